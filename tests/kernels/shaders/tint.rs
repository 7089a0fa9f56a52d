//! Every module and every pipeline as a browser compiles it: tint, the compiler of Chromium, takes them.

use std::collections::BTreeMap;
use std::io::{Seek as _, Write as _};
use std::process::Command;

use kiln::ops::Dispatch;
use serde_json::json;

use super::{ALL, has_subgroups, root};

/// naga takes barriers under control flow that varies within a workgroup; browsers, whose compiler tint is, do not.
#[test]
fn modules_pass_tint() {
    let enable = |source| if has_subgroups(source) { "enable subgroups;\n" } else { "" };
    let modules: BTreeMap<_, _> =
        ALL.modules.iter().map(|(s, m)| (*s, enable(m.source).to_string() + &m.text())).collect();
    // Dawn's device that is none has what WebGPU promises of every one.
    let pipelines = ALL.pipelines().filter(|launch| launch.target.workgroup_bytes <= 16_384).map(|launch| {
        let Dispatch { module, entry, constants, .. } = &launch.dispatch;
        let constants: BTreeMap<_, _> = constants.iter().copied().collect();
        json!({ "module": module.stem, "entry": entry, "constants": constants })
    });
    let (passed, text) = tint(&json!({ "modules": modules, "pipelines": pipelines.collect::<Vec<_>>() }));
    assert!(passed, "{text}");
    // What it does not take is found.
    let barrier = "@compute @workgroup_size(4) fn f(@builtin(local_invocation_index) i: u32) {
        if (i > 1u) { workgroupBarrier(); } }";
    let wide = "override N: u32 = 1; @compute @workgroup_size(N) fn f() {}";
    let pipeline = json!([{ "module": "wide", "entry": "f", "constants": { "N": 1_000 } }]);
    let (passed, text) = tint(&json!({ "modules": { "barrier": barrier, "wide": wide }, "pipelines": pipeline }));
    assert!(!passed, "{text}");
    for part in ["barrier.wgsl: ", "uniform control flow", "wide.wgsl, f with {\"N\":1000}: ", "workgroup_size"] {
        assert!(text.contains(part), "no {part:?} in {text}");
    }
}

/// Whether `scripts/tint` takes shaders, and what it says.
fn tint(shaders: &serde_json::Value) -> (bool, String) {
    let mut input = tempfile::tempfile().expect("a temporary file");
    input.write_all(shaders.to_string().as_bytes()).and_then(|()| input.rewind()).expect("a writable temporary file");
    let done = Command::new("node").arg(root().join("scripts/tint")).stdin(input).output();
    let done = done.expect("Node.js runs scripts/tint: in Debian its packages are nodejs and npm");
    let text = [done.stdout, done.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    assert!(matches!(done.status.code(), Some(0 | 1)), "{}: {text}", done.status);
    (done.status.success(), text)
}

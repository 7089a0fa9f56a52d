//! Limits in writing, kept by the source tree itself: lengths, leftovers, doc comments, what stays private.

use std::collections::BTreeMap;
use std::path::Path;

/// Lines a file may have.
const FILE_LINES: usize = 500;
/// Lines a function may have, its signature and closing brace included.
const FUNCTION_LINES: usize = 70;

/// A text file of the source tree.
struct Source {
    /// Relative to the repository, with `/`.
    path: String,
    text: String,
}

impl Source {
    fn is(&self, extension: &str) -> bool {
        self.path.rsplit_once('.').is_some_and(|(_, found)| found == extension)
    }

    /// Numbered from 1.
    fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        (1..).zip(self.text.lines())
    }
}

/// The repository's own files, without fixtures: those are data.
fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut sources = Vec::new();
    // Not every folder is in a packaged crate.
    let folders = ["src", "shaders", "tests", "examples", "benches", "scripts", ".ci"];
    for folder in folders.iter().map(|f| root.join(f)).filter(|f| f.exists()) {
        collect(root, &folder, &mut sources);
    }
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(sources.len() > 50, "{} files are too few to be all", sources.len());
    sources
}

fn collect(root: &Path, folder: &Path, sources: &mut Vec<Source>) {
    for entry in std::fs::read_dir(folder).expect("a readable folder") {
        let path = entry.expect("a readable folder").path();
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        if path.is_dir() {
            if !["fixtures", "__pycache__"].contains(&name.as_str()) {
                collect(root, &path, sources);
            }
            continue;
        }
        let relative = path.strip_prefix(root).expect("found under the root");
        let parts: Vec<_> = relative.iter().map(|part| part.to_string_lossy()).collect();
        // What is not text, such as a tiny data file beside a test, has no lines to count.
        if let Ok(text) = std::fs::read_to_string(&path) {
            sources.push(Source { path: parts.join("/"), text });
        }
    }
}

/// Fails with every complaint.
fn report(complaints: &[String]) {
    assert!(complaints.is_empty(), "{} complaints:\n  {}", complaints.len(), complaints.join("\n  "));
}

/// The complaints of a look at each line: what is wrong with it, if anything.
fn report_lines(filter: impl Fn(&Source) -> bool, wrong: impl Fn(&str) -> Option<String>) {
    let mut complaints = Vec::new();
    for source in sources().iter().filter(|s| filter(s)) {
        for (number, line) in source.lines() {
            complaints.extend(wrong(line).map(|what| format!("{}:{number}: {what}: {}", source.path, line.trim())));
        }
    }
    report(&complaints);
}

#[test]
fn files_are_short() {
    let long = sources().into_iter().filter(|s| s.text.lines().count() > FILE_LINES);
    let complaint = |s: Source| format!("{} has {} lines, at most {FILE_LINES}", s.path, s.text.lines().count());
    report(&long.map(complaint).collect::<Vec<_>>());
}

#[test]
fn functions_are_short() {
    let mut complaints = Vec::new();
    for source in sources().iter().filter(|s| s.is("rs") || s.is("wgsl")) {
        for (name, from, lines) in functions(source) {
            if lines > FUNCTION_LINES {
                complaints
                    .push(format!("{}:{from}: `{name}` has {lines} lines, at most {FUNCTION_LINES}", source.path));
            }
        }
    }
    report(&complaints);
}

/// Name, first line and number of lines of each function. Formatted code closes a body where its `fn` is indented.
fn functions(source: &Source) -> Vec<(&str, usize, usize)> {
    let mut found = Vec::new();
    let mut open: Vec<(&str, usize, usize)> = Vec::new();
    for (number, line) in source.lines() {
        let code = line.trim_start();
        let indent = line.len() - code.len();
        if code.starts_with('}') {
            found.extend(open.pop_if(|f| f.2 == indent).map(|(name, from, _)| (name, from, number + 1 - from)));
        } else if code.starts_with(')') && code.ends_with(';') {
            // A trait's declaration of several lines: no body.
            open.pop_if(|f| f.2 == indent);
        }
        // Nor have those of one line that end so.
        if let Some(name) = function_name(code).filter(|_| !code.ends_with([';', '}'])) {
            open.push((name, number, indent));
        }
    }
    assert!(open.is_empty(), "{}: the ends of {open:?} were not found", source.path);
    found
}

/// The name where the line begins a function.
fn function_name(code: &str) -> Option<&str> {
    let mut words = code.split_whitespace().skip_while(|word| {
        let modifier = ["pub", "const", "async", "unsafe", "extern", "\"C\""].contains(word);
        // WGSL's attributes may stand before `fn`.
        modifier || word.starts_with("pub(") || word.starts_with('@') || word.ends_with(')')
    });
    (words.next()? == "fn").then(|| words.next())?.map(|rest| rest.split(['(', '<']).next().unwrap_or(rest))
}

#[test]
fn functions_are_counted() {
    let text = "\
impl T {
    pub(crate) fn a(
        x: u32,
    ) -> u32 {
        x
    }
    fn b(
        &self,
    );
    fn c<T>(&self) {}
}

@compute @workgroup_size(8, 8) fn d() {
}
";
    let source = Source { path: "x.rs".into(), text: text.into() };
    assert_eq!(functions(&source), [("a", 2, 5), ("d", 13, 2)]);
}

#[test]
fn nothing_is_left_over() {
    // In two parts, so that this file does not complain of itself.
    let unfinished = [["TO", "DO"], ["FIX", "ME"], ["X", "XX"], ["todo", "!("], ["unimplemented", "!("], ["dbg", "!("]]
        .map(|parts| parts.concat());
    report_lines(|_| true, |line| unfinished.iter().find(|word| line.contains(*word)).map(|w| format!("left {w}")));
    let ignored = ["#[", "ignore"].concat();
    report_lines(|s| s.is("rs"), |line| line.contains(&ignored).then(|| "tests are never skipped".into()));
}

#[test]
fn lines_end_clean() {
    report_lines(|_| true, |line| line.ends_with([' ', '\t']).then(|| "white space at the end".into()));
    report_lines(|s| s.is("rs") || s.is("wgsl"), |line| line.contains('\t').then(|| "a tab".into()));
    let open = sources().into_iter().filter(|s| !s.text.is_empty() && !s.text.ends_with('\n'));
    report(&open.map(|s| format!("{} does not end in a newline", s.path)).collect::<Vec<_>>());
}

#[test]
fn rust_files_say_what_they_are_for() {
    let bare = sources().into_iter().filter(|s| s.is("rs") && !s.text.starts_with("//! "));
    report(&bare.map(|s| format!("{} does not begin with //!", s.path)).collect::<Vec<_>>());
}

#[test]
fn each_shader_is_included_once() {
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for source in sources().iter().filter(|s| s.path.starts_with("src/")) {
        for (number, line) in source.lines() {
            // By its place under shaders/: the way there differs by folder.
            for file in line.split("include_str!(\"").skip(1).filter_map(|rest| rest.split('"').next()) {
                let file = file.rsplit_once("shaders/").map_or(file, |(_, file)| file);
                places.entry(file.into()).or_default().push(format!("{}:{number}", source.path));
            }
        }
    }
    assert!(places.len() > 10, "{} shaders are too few to be all", places.len());
    let twice = places.iter().filter(|(_, places)| places.len() > 1);
    report(&twice.map(|(file, places)| format!("{file} is included at {}", places.join(", "))).collect::<Vec<_>>());
}

/// A layer without the first two would be saved and could not be loaded; one without the last could not be written for Keras.
#[test]
fn layers_can_be_saved() {
    const LAYERS: &str = "src/nn/layers/";
    let sources = sources();
    let own = || sources.iter().filter(|s| s.path.starts_with(LAYERS));
    // Each folder has a table of what it makes of files.
    let is_made = |kind: &str| own().any(|s| s.path.ends_with("/mod.rs") && s.text.contains(&format!("\"{kind}\" =>")));
    let has = |text: &str, method: &str| text.contains(method) || text.contains("kept_by_settings!(");
    let mut texts: BTreeMap<&str, String> = BTreeMap::new();
    for source in own().filter(|s| s.path.trim_start_matches(LAYERS) != "mod.rs") {
        // Files of a folder whose layers are made by one macro are one.
        let folder = source.path.rsplit_once('/').map_or("", |(folder, _)| folder);
        let macros = own().find(|s| s.path == format!("{folder}/mod.rs") && is_made_by_a_macro(&s.text));
        *texts.entry(macros.map_or(&source.path, |_| folder)).or_default() += &source.text;
    }
    let mut complaints = Vec::new();
    // One that no file keeps says so.
    for (path, text) in texts.iter().filter(|(_, t)| t.contains("impl Layer for") && !t.contains("fn is_saved(")) {
        let kinds = kinds(text);
        assert!(!kinds.is_empty(), "{path} has no kind");
        for kind in kinds {
            if !has(text, "fn config(") {
                complaints.push(format!("{path}: {kind} has no `config`"));
            }
            if !has(text, "fn keras(") {
                complaints.push(format!("{path}: {kind} has no `keras`, its config as Keras has it"));
            }
            if !is_made(kind) {
                complaints.push(format!("{LAYERS}: `from_config` does not make {kind}"));
            }
        }
    }
    report(&complaints);
}

/// Whether a file's layers are made by a macro that it calls.
fn is_made_by_a_macro(text: &str) -> bool {
    ["stringify!($name)", "kept_by_settings!($name)", "impl Layer for $name"].iter().any(|mark| text.contains(mark))
}

/// The kinds of a file's layers: what `fn kind` returns, and the names that a macro is given, or the kinds beside them.
fn kinds(text: &str) -> Vec<&str> {
    let returned = |body: &'_ str| body.trim_start().starts_with('"');
    let bodies = text.split("fn kind(&self) -> &'static str {").skip(1).filter(|body| returned(body));
    let literal = bodies.filter_map(|body| body.split('"').nth(1));
    let is_name = |name: &&str| name.starts_with(char::is_uppercase) && name.chars().all(char::is_alphanumeric);
    let given = text.lines().filter_map(|line| line.trim().split_once(": ")).map(|(name, _)| name).filter(is_name);
    let calls = text.lines().filter(|line| line.contains("_layer!(")).filter_map(|line| line.split('"').nth(1));
    literal.chain(given.chain(calls).filter(|_| is_made_by_a_macro(text))).collect()
}

/// The folders and files of `src/`, each of which knows those before it alone: what everything may use, values and their
/// kernels, graphs, what runs them, what is trained, and what looks at that.
const ORDER: [&str; 25] = [
    "error",
    "printable",
    "suggest",
    "memory",
    "clock",
    "threads",
    "random",
    "cache",
    "config",
    "tensor",
    "kernel",
    "graph",
    "ops",
    "rewrite",
    "io",
    "plot",
    "plan",
    "device",
    "data",
    "nn",
    "train",
    "table",
    "auto",
    "check",
    "bench",
];

#[test]
fn imports_run_downwards() {
    let sources = sources();
    let rank = |name: &str| ORDER.iter().position(|known| *known == name);
    let top = |s: &Source| s.path.strip_prefix("src/")?.split(['/', '.']).next().map(str::to_owned);
    let tests = test_modules(&sources);
    let mut complaints = Vec::new();
    for source in sources.iter().filter(|s| s.is("rs") && s.path != "src/lib.rs" && !tests.contains(&s.path)) {
        let Some(own) = top(source).filter(|top| top != "bin") else { continue };
        let Some(place) = rank(&own) else {
            complaints.push(format!("{} has no place in ORDER", source.path));
            continue;
        };
        let tested = source.text.find("#[cfg(test)]\nmod tests {").unwrap_or(source.text.len());
        for line in source.text[..tested].lines().map(comment_free) {
            // Users look for these here; they stand where models do.
            let is_named = |path, item| source.path == path && line == item;
            if is_named("src/nn/mod.rs", "pub use crate::train::{Model, Predictor, Sequential};")
                || is_named("src/plot/mod.rs", "pub use crate::train::{ModelPlot, plot_model};")
            {
                continue;
            }
            let named =
                line.split("crate::").skip(1).map(|rest| rest.split(|c: char| !c.is_alphanumeric() && c != '_'));
            for name in named.filter_map(|mut words| words.next()).filter(|name| rank(name) > Some(place)) {
                complaints.push(format!("{} knows {name}, which is above it: {}", source.path, line.trim()));
            }
        }
    }
    report(&complaints);
}

/// The files that are compiled for unit tests alone.
fn test_modules(sources: &[Source]) -> Vec<String> {
    let mut found = Vec::new();
    for source in sources {
        let folder = source.path.trim_end_matches("mod.rs").trim_end_matches(".rs").trim_end_matches('/');
        for pair in source.text.lines().collect::<Vec<_>>().windows(2) {
            let module = pair[1].strip_prefix("mod ").and_then(|rest| rest.strip_suffix(';'));
            if let Some(module) = module.filter(|_| pair[0].starts_with("#[cfg(") && pair[0].contains("test")) {
                found.push(format!("{folder}/{module}.rs"));
            }
        }
    }
    found
}

/// The library waits where the blocking face does, and where it asked whether that polls it.
#[test]
fn futures_do_not_wait() {
    let waits = ["PollType::Wait", "poll(wgpu", "pollster", "thread::sleep", "thread::park", ".recv()", "Condvar"];
    let known =
        ["src/device/blocking.rs", "src/device/gpu/waiting.rs", "src/data/fetch/package.rs", "src/train/model/gate.rs"];
    let tests = ["src/device/gpu/never_blocking.rs", "src/device/gpu/counters.rs", "src/device/gpu/lost.rs"];
    let others = |s: &Source| {
        let at = s.path.as_str();
        at.starts_with("src/") && !at.starts_with("src/bin/") && ![&known[..], &tests].concat().contains(&at)
    };
    let wait = |line: &str| {
        waits.iter().find(|wait| comment_free(line).contains(*wait)).map(|wait| format!("waits by {wait}"))
    };
    report_lines(others, wait);
    let (mut complaints, mut asked) = (Vec::new(), 0);
    for source in sources().iter().filter(|s| s.is("rs") && others(s)) {
        let lines: Vec<&str> = source.text.lines().collect();
        for (name, from, count) in functions(source) {
            let body = lines[from - 1..from - 1 + count].join("\n");
            if !lines[from - 1].contains("async fn") || !body.contains("block_on(") {
                continue;
            }
            match body.contains("is_allowed()") {
                true => asked += 1,
                false => complaints.push(format!("{}:{from}: `{name}` blocks", source.path)),
            }
        }
    }
    report(&complaints);
    assert_eq!(asked, 1, "of streams alone");
}

/// The standard library's clocks panic in a browser.
#[test]
fn time_comes_from_one_clock() {
    let library =
        |s: &Source| s.path.starts_with("src/") && !s.path.starts_with("src/bin/") && s.path != "src/clock.rs";
    let clock = |line: &str| {
        let code = comment_free(line);
        code.contains("std::time::") && (code.contains("Instant") || code.contains("SystemTime"))
    };
    report_lines(library, |line| clock(line).then(|| "take it from crate::clock".into()));
}

#[test]
fn wgpu_stays_inside_the_gpu_device() {
    let outside = |s: &Source| s.path.starts_with("src/") && !s.path.starts_with("src/device/gpu/");
    let names = |code: &str| ["wgpu::", "naga::"].iter().any(|name| code.contains(name));
    report_lines(outside, |line| names(comment_free(line)).then(|| "belongs into src/device/gpu".into()));
    let inside = sources().into_iter().filter(|s| s.path.starts_with("src/device/gpu/"));
    let complaints = inside.flat_map(|source| {
        let named = public_items(&source).into_iter().filter(|(_, code)| names(code));
        named.map(|(number, code)| format!("{}:{number}: is public: {code}", source.path)).collect::<Vec<_>>()
    });
    report(&complaints.collect::<Vec<_>>());
}

/// First line and text of what is public: a field, or an item up to its body.
fn public_items(source: &Source) -> Vec<(usize, String)> {
    const ITEMS: [&str; 10] = ["fn", "async", "const", "unsafe", "struct", "enum", "type", "trait", "static", "use"];
    let mut found: Vec<(usize, String)> = Vec::new();
    let mut open = false;
    for (number, line) in source.lines() {
        let code = comment_free(line).trim();
        if let Some(rest) = code.strip_prefix("pub ") {
            open = rest.split(' ').next().is_some_and(|word| ITEMS.contains(&word));
            found.push((number, code.into()));
        } else if let Some((_, text)) = found.last_mut().filter(|_| open) {
            text.push_str(code);
        }
        open &= !code.ends_with(['{', ';', '}']);
    }
    found
}

/// The line without a comment at its end. Strings that hold `//` are cut short, which hides no path of a crate.
fn comment_free(line: &str) -> &str {
    line.split_once("//").map_or(line, |(code, _)| code)
}

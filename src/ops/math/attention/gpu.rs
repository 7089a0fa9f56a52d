//! The launches of attention. Each goes along a part of the keys, or of the queries, that no invocation's loops are too long for.

use super::super::dispatch::{Binding, Dispatch, LIB_ATTENTION, LIB_GRID, Module, Params};
use super::{Attention, Extents, Io};

const MODULE: Module = Module {
    stem: "attention",
    source: include_str!("../../../../shaders/attention.wgsl"),
    libs: &[LIB_GRID, LIB_ATTENTION],
};
const GRADIENT_MODULE: Module = Module {
    stem: "attention_gradient",
    source: include_str!("../../../../shaders/attention_gradient.wgsl"),
    libs: &[LIB_GRID, LIB_ATTENTION],
};

/// Rounds of an invocation's loops, at most: llvmpipe ends them after four times as many as 2^14.
const MOST_ROUNDS: usize = 1 << 13;

/// COLUMNS of lib/attention.wgsl.
const COLUMNS: usize = 16;

/// The part of a launch that is known from the op, and what differs by launch.
struct Launch {
    n: usize,
    /// What invocations go along.
    along: [usize; 2],
    member: usize,
}

fn launch(
    op: &Attention,
    e: &Extents,
    module: Module,
    entry: &'static str,
    launch: &Launch,
    bindings: Vec<Binding>,
) -> Dispatch {
    let [batch, head, query, key] = e.mask_strides();
    let whole = op.window.unwrap_or(u32::MAX as usize).min(u32::MAX as usize);
    let params = Params::new()
        .u32("n", launch.n)
        .u32("queries", e.queries)
        .u32("keys", e.keys)
        .u32("heads", e.heads)
        .u32("groups", e.groups)
        .u32("window", whole)
        .u32("first", launch.along[0])
        .u32("end", launch.along[1])
        .u32("mask_batch", batch)
        .u32("mask_head", head)
        .u32("mask_query", query)
        .u32("mask_key", key)
        .u32("member", launch.member)
        .f32("scale", op.scale);
    let sees = op.window.is_none_or(|window| e.queries < e.keys.saturating_add(window));
    Dispatch::of(module, entry, bindings, params, launch.n.div_ceil(Dispatch::WIDTH))
        .constant("KEY", e.key as f64)
        .constant("VALUE", e.value as f64)
        .constant("MASKED", e.mask.is_some())
        .constant("CAUSAL", op.causal)
        .constant("BOUNDED", e.mask.is_none() && sees)
}

/// Parts of an axis, each of which takes so many rounds an element.
fn parts(len: usize, rounds: usize) -> impl Iterator<Item = [usize; 2]> {
    let span = (MOST_ROUNDS / rounds).max(1);
    (0..len).step_by(span).map(move |first| [first, len.min(first + span)])
}

/// Rounds of a product of two rows.
fn rounds(width: usize) -> usize {
    width / 4 + width % 4
}

fn chunks(width: usize) -> usize {
    width.div_ceil(COLUMNS)
}

pub(super) fn forward(op: &Attention, io: &Io) -> Vec<Dispatch> {
    let e = Extents::of(&io.inputs).expect("checked by the shape rule");
    let n = e.batch * e.queries * e.heads * chunks(e.value);
    let mask = if e.mask.is_some() { Binding::Input(3) } else { Binding::Input(0) };
    let [q, k, v, y, stats] =
        [Binding::Input(0), Binding::Input(1), Binding::Input(2), Binding::Output(0), Binding::Output(1)];
    let bindings = vec![Binding::Params, y, stats, q, k, mask, Binding::Scratch(2 * n), v];
    let along = parts(e.keys, 1 + rounds(e.key));
    let make = |along: [usize; 2]| {
        let own = Launch { n, along, member: 0 };
        launch(op, &e, MODULE, "forward", &own, bindings.clone()).constant("LAST", along[1] == e.keys)
    };
    along.map(make).collect()
}

pub(super) fn gradient(op: &Attention, io: &Io) -> Vec<Dispatch> {
    let count = io.inputs.len();
    let e = Extents::of(&io.inputs[..count - 3]).expect("checked by the shape rule");
    let rows = e.batch * e.queries * e.heads;
    let mask = if e.mask.is_some() { Binding::Input(3) } else { Binding::Input(0) };
    let [y, stats, dy] = [count - 3, count - 2, count - 1].map(Binding::Input);
    let (scratch, params) = (Binding::Scratch(3 * rows), Binding::Params);
    let [q, k, v] = [0, 1, 2].map(Binding::Input);
    let of = |entry, own: &Launch, bindings| launch(op, &e, GRADIENT_MODULE, entry, own, bindings);
    let first = Launch { n: rows, along: [0, e.keys], member: 0 };
    let mut launches = vec![of("rows", &first, vec![params, scratch, dy, y, stats])];
    let score = 1 + rounds(e.key);
    for along in parts(e.keys, score + rounds(e.value)) {
        let own = Launch { n: rows * chunks(e.key), along, member: 0 };
        let bindings = vec![params, scratch, dy, q, k, mask, Binding::Output(0), v];
        launches.push(of("queries", &own, bindings).constant("GOES_ON", along[0] > 0));
    }
    let keys = e.batch * e.keys * e.groups;
    for (entry, width, rounds, output) in [("keys", e.key, score + rounds(e.value), 1), ("values", e.value, score, 2)] {
        for member in 0..e.heads / e.groups {
            for along in parts(e.queries, rounds) {
                let own = Launch { n: keys * chunks(width), along, member };
                let mut bindings = vec![params, scratch, dy, q, k, mask, Binding::Output(output)];
                // The weights themselves take no values.
                bindings.extend((entry == "keys").then_some(v));
                launches.push(of(entry, &own, bindings).constant("GOES_ON", member + along[0] > 0));
            }
        }
    }
    launches
}

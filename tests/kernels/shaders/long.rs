//! No invocation goes round its loops too often, whatever the extents.

use std::collections::BTreeMap;
use std::sync::Arc;

use kiln::graph::Type;
use kiln::ops::accuracy::{InTopK, SparseCategoricalAccuracy};
use kiln::ops::argreduce::ArgReduce;
use kiln::ops::attention::{Attention, AttentionGrad};
use kiln::ops::average_pool::{AveragePool, AveragePoolGrad};
use kiln::ops::conv::Conv;
use kiln::ops::convolution::Pass;
use kiln::ops::log_softmax::{LogSoftmax, LogSoftmaxGrad};
use kiln::ops::matmul::MatMul;
use kiln::ops::max_pool::{MaxPool, MaxPoolGrad};
use kiln::ops::normalize::{Normalize, NormalizeGrad};
use kiln::ops::pool::Area;
use kiln::ops::record::Record;
use kiln::ops::recurrence::{Cell, MOST_UNITS, Recurrence, RecurrenceGrad};
use kiln::ops::reduce::{Reduce, ReduceGrad, Reduction};
use kiln::ops::resize::{Interpolation, Resize, ResizeGrad};
use kiln::ops::softmax::{Softmax, SoftmaxGrad};
use kiln::ops::softmax_cross_entropy::{SoftmaxCrossEntropy, SoftmaxCrossEntropyGrad, SoftmaxCrossEntropyStep};
use kiln::ops::sum::{Sum, SumPair};
use kiln::ops::take::{Take, TakeGrad};
use kiln::ops::thresholds::Thresholds;
use kiln::ops::translate::{Fill, Translate};
use kiln::ops::window::Window;
use kiln::ops::{AdapterKind, Dispatch, Io, Op, Target, all_cases};

use rayon::prelude::*;

use super::{entry_index_of, parse, report, rounds, with_constants};

/// What an invocation may do in all its loops together: a quarter of what llvmpipe lets it.
const MOST: u32 = 1 << 14;

fn float(shape: &[usize]) -> Type {
    Type::float(shape.to_vec())
}

/// Ops on more than a case can hold: so many along each axis that a loop may run over.
fn large() -> Vec<(Arc<dyn Op>, Vec<Type>)> {
    let mut all: Vec<(Arc<dyn Op>, Vec<Type>)> = Vec::new();
    for n in [70_000, 200_000, 1_000_000] {
        let labels = |rows: usize| Type::u32([rows]);
        for shape in [[1, n], [n, 1], [n, 10], [3, n]] {
            let [rows, columns] = shape;
            let (x, row) = (float(&shape), float(&[rows]));
            all.push((Arc::new(Softmax), vec![x.clone()]));
            all.push((Arc::new(SoftmaxGrad), vec![x.clone(); 2]));
            all.push((Arc::new(LogSoftmax), vec![x.clone()]));
            all.push((Arc::new(LogSoftmaxGrad), vec![x.clone(); 2]));
            let logits = vec![x.clone(), labels(rows)];
            all.push((Arc::new(SoftmaxCrossEntropy), logits.clone()));
            all.push((Arc::new(SparseCategoricalAccuracy), logits.clone()));
            all.push((Arc::new(InTopK(5)), logits.clone()));
            let step = [logits, vec![row]].concat();
            all.push((Arc::new(SoftmaxCrossEntropyGrad), step.clone()));
            all.push((Arc::new(SoftmaxCrossEntropyStep), step));
            for axis in [0, 1] {
                all.push((Arc::new(Sum::new(axis..axis + 1)), vec![x.clone()]));
                all.push((Arc::new(ArgReduce { min: false, axis }), vec![x.clone()]));
                for reduction in [Reduction::Max, Reduction::Prod] {
                    let reduce = Reduce { reduction, axes: axis..axis + 1 };
                    all.push((Arc::new(ReduceGrad(reduce.clone())), vec![x.clone(), float(&[shape[1 - axis]])]));
                    all.push((Arc::new(reduce), vec![x.clone()]));
                }
            }
            for axis in [0, 1] {
                let op = Normalize { axes: axis..axis + 1, epsilon: 1e-3 };
                let inputs = vec![x.clone(), float(&[shape[1 - axis]]), x.clone()];
                all.push((Arc::new(NormalizeGrad(op.clone())), inputs));
                all.push((Arc::new(op), vec![x.clone()]));
            }
            all.push((Arc::new(Sum::mean(&x.shape)), vec![x.clone()]));
            all.push((Arc::new(SumPair), vec![x.clone(), float(&[128, 10])]));
            all.push((Arc::new(SumPair), vec![float(&[128, 10]), x.clone()]));
            all.push((Arc::new(Thresholds { count: columns.clamp(2, 300) }), vec![x.clone(); 2]));
            all.push((Arc::new(Record { ends: Some(rows) }), vec![row_of(rows), x.clone()]));
            all.push((Arc::new(Take), vec![x.clone(), labels(10)]));
        }
        all.push((Arc::new(Sum::new(0..3)), vec![float(&[3, n, 5])]));
        all.push((Arc::new(Sum::new(1..2)), vec![float(&[3, n, 5])]));
        for (trans_a, trans_b) in [(false, false), (false, true), (true, false), (true, true)] {
            let product = |m: usize, k: usize, n: usize| {
                let [a, b] = [if trans_a { [k, m] } else { [m, k] }, if trans_b { [n, k] } else { [k, n] }];
                (Arc::new(MatMul::new(trans_a, trans_b)) as Arc<dyn Op>, vec![float(&a), float(&b)])
            };
            all.extend([product(3, n, 5), product(1, n, 1), product(128, n, 128), product(n, 3, 5), product(3, 5, n)]);
        }
        let fill = Fill::Reflect;
        // An image's axis has at most 16,000 pixels.
        for shape in [[n, 5, 3], [2, 16_000, 3], [2, 3, 16_000]] {
            for transposed in [false, true] {
                let op = Translate { reach: [1.0; 2], fill, salt: 0, transposed };
                all.push((Arc::new(op), vec![float(&shape), Type::u32([4])]));
            }
        }
        let interpolation = Interpolation::Bilinear;
        for (axis, x_extent, y_extent) in [(0, 1, 16_000), (1, 16_000, 1), (1, 16_000, 16_000)] {
            let shape = |extent: usize| if axis == 0 { float(&[extent, 3]) } else { float(&[3, extent]) };
            all.push((Arc::new(Resize { axis, extent: y_extent, interpolation }), vec![shape(x_extent)]));
            all.push((Arc::new(ResizeGrad { axis, extent: x_extent, interpolation }), vec![shape(y_extent)]));
        }
        all.push((Arc::new(TakeGrad { rows: 10 }), vec![labels(n), float(&[n, 3])]));
    }
    all.extend(recurrences());
    all
}

/// Recurrences of many steps and of many units.
fn recurrences() -> Vec<(Arc<dyn Op>, Vec<Type>)> {
    let mut all: Vec<(Arc<dyn Op>, Vec<Type>)> = Vec::new();
    for cell in [Cell::Simple, Cell::Lstm, Cell::Gru, Cell::GruResetAfter] {
        for [rows, steps, units] in [[1, 70_000, 3], [3, 10, MOST_UNITS], [70_000, 2, 5]] {
            let forward = Recurrence::new(cell);
            let width = cell.gates() * units;
            let mut inputs =
                vec![float(&[rows, steps, width]), float(&[units, width]), float(&[rows, cell.states(), units])];
            inputs.extend((cell == Cell::GruResetAfter).then(|| float(&[units])));
            let made = forward.outputs(&inputs).expect("a legal shape");
            all.push((Arc::new(forward.clone()), inputs));
            let inputs = vec![made[3].clone(), float(&[width, units]), made[2].clone(), made[0].clone()];
            all.push((Arc::new(RecurrenceGrad { forward, of_y: true, of_last: false }), inputs));
        }
    }
    all
}

/// Attention of many keys, of many queries, and of many of both, of narrow rows and of wide ones.
fn attentions() -> Vec<(Arc<dyn Op>, Vec<Type>)> {
    let mut all: Vec<(Arc<dyn Op>, Vec<Type>)> = Vec::new();
    for ([queries, keys], [heads, width]) in
        [([3, 70_000], [1, 1]), ([70_000, 3], [1, 1]), ([20_000, 20_000], [2, 3]), ([3, 3], [8, 4096])]
    {
        for causal in [false, true] {
            let op = Attention { causal, ..Attention::new(1.0) };
            let (q, k) = (float(&[1, queries, heads, width]), float(&[1, keys, 1, width]));
            let inputs = vec![q.clone(), k.clone(), k];
            let left = float(&[1, queries, heads, 2]);
            all.push((Arc::new(AttentionGrad(op)), [&inputs[..], &[q.clone(), left, q]].concat()));
            all.push((Arc::new(op), inputs));
        }
    }
    all
}

/// Convolutions of each channel by itself: of many pixels, by large kernels, to many filters a channel.
fn depthwise() -> Vec<(Arc<dyn Op>, Vec<Type>)> {
    let mut all: Vec<(Arc<dyn Op>, Vec<Type>)> = Vec::new();
    for (pixels, channels, taps, multiplier) in [(1_000_000, 4, 3, 1), (70_000, 4, 9_000, 1), (70_000, 3, 100, 90)] {
        let window = Window::new([1, taps]);
        let filters = channels * multiplier;
        let (x, w) = (float(&[1, 1, pixels, channels]), float(&[1, taps, 1, filters]));
        let y = float(&[1, 1, pixels - taps + 1, filters]);
        let forward = Conv::new(window, channels);
        all.push((Arc::new(forward), vec![x.clone(), w.clone()]));
        all.push((Arc::new(Conv::transposed(window, channels, [1, pixels])), vec![y.clone(), w]));
        all.push((Arc::new(Conv { pass: Pass::Kernel, ..forward }), vec![x, y]));
    }
    all
}

/// Pooling by windows about as large as its kernels take.
fn pools() -> Vec<(Arc<dyn Op>, Vec<Type>)> {
    let window = |size, strides| Area::Window(Window { strides, ..Window::new(size) });
    let areas = [
        ([1, 1, 70_000, 1], window([1, 16_000], [1, 1])),
        ([1, 300, 300, 1], window([127, 128], [1, 1])),
        ([1, 1_000, 1_000, 1], window([50, 50], [100, 100])),
        ([1, 1_000, 1_000, 1], window([5, 5], [400, 300])),
        ([1, 1, 70_000, 4], Area::Adaptive([1, 5])),
        ([1, 1, 5, 4], Area::Adaptive([1, 70_000])),
    ];
    let mut all: Vec<(Arc<dyn Op>, Vec<Type>)> = Vec::new();
    for (shape, area) in areas {
        let (x, forward) = (float(&shape), AveragePool::new(area));
        let y = area.pooled("pool", &x).expect("about as large as they may be");
        all.push((Arc::new(MaxPool(area)), vec![x.clone()]));
        all.push((Arc::new(MaxPoolGrad::new(area)), vec![x.clone(), y.clone()]));
        all.push((Arc::new(forward), vec![x]));
        all.push((Arc::new(AveragePoolGrad::new(forward, [shape[1], shape[2]])), vec![y]));
    }
    all
}

fn row_of(rows: usize) -> Type {
    float(&[rows])
}

/// An op on types of inputs, with what it writes.
fn io_of(op: &dyn Op, inputs: Vec<Type>) -> Io {
    let mut outputs = op.outputs(&inputs).expect("a legal shape");
    if op.name() == "record" {
        let width = inputs.iter().map(|x| x.shape.get(1).copied().unwrap_or(1)).sum();
        outputs = vec![float(&[2, width]), Type::u32([4])];
    }
    Io { inputs, outputs }
}

/// What is measured of a launch: its module with its constants, its entry point, itself, and the op's types. Cases launch every
/// module, whose tests validate it.
fn measured<T>(dispatch: &Dispatch, io: &Io, of: fn(&naga::Module, usize, &Dispatch, &Io) -> T) -> T {
    let module = with_constants(dispatch).unwrap_or_else(|e| panic!("{}: {e}", dispatch.kernel()));
    of(&module, entry_index_of(&module, dispatch.entry), dispatch, io)
}

#[test]
fn no_invocation_loops_longer_than_every_adapter_lets_it() {
    let cases = all_cases().into_iter().filter(|case| !case.op.is_view());
    let cases = cases.map(|case| (case.op.clone(), case.io().expect("cases are legal")));
    let large = large().into_iter().chain(pools()).chain(attentions()).chain(depthwise()).map(|(op, inputs)| {
        let io = io_of(&*op, inputs);
        (op, io)
    });
    let long = |io: &Io| io.inputs.iter().chain(&io.outputs).any(|t| t.shape.len() > 10_000);
    let mut launches = BTreeMap::new();
    for (op, io) in cases.chain(large).filter(|(_, io)| long(io)) {
        for target in Target::all() {
            for dispatch in op.gpu(&io, &target) {
                launches.entry(format!("{dispatch:?}")).or_insert((dispatch, io.clone(), target.kind));
            }
        }
    }
    assert!(launches.len() > 300, "{} launches are too few to be all", launches.len());
    // It takes long, so that each processor has a share.
    let launches: Vec<_> = launches.into_values().collect();
    let complain = |(dispatch, io, kind): &(Dispatch, Io, AdapterKind)| {
        let rounds = measured(dispatch, io, rounds::most);
        let inputs = || io.inputs.iter().map(Type::to_string).collect::<Vec<_>>().join(", ");
        (rounds > MOST).then(|| format!("{} of {} on {kind:?}: {rounds} rounds", dispatch.kernel(), inputs()))
    };
    report(launches.par_iter().filter_map(complain).collect::<Vec<_>>());
}

/// Of a row of 512 numbers: x once for its moments and once more, y; of the gradient both operands and dx, and what of the operands
/// the row's invocation has no room to keep.
#[test]
fn normalization_moves_half_more_than_the_least_at_most() {
    let (x, row) = (float(&[4096, 512]), float(&[4096]));
    let op = Normalize { axes: 1..2, epsilon: 1e-3 };
    let all: [(&dyn Op, _, u64); 2] =
        [(&op, vec![x.clone()], 2), (&NormalizeGrad(op.clone()), vec![x.clone(), row, x], 3)];
    for (op, inputs, least) in all {
        let io = io_of(op, inputs);
        for kind in [AdapterKind::Software, AdapterKind::Hardware] {
            let [launch] = &op.gpu(&io, &Target::new(kind))[..] else { panic!("{}: not one launch", op.name()) };
            // Rows that a workgroup shares have two numbers for each invocation.
            let numbers = if kind == AdapterKind::Software { 512 } else { 2 };
            let (moved, least) = (measured(launch, &io, rounds::moved), 4 * numbers * least);
            // Beside them a few numbers for the row: its statistics, and the first of its numbers.
            assert!((least..least * 3 / 2 + 16).contains(&moved), "{} on {kind:?}: {moved} bytes a row", op.name());
        }
    }
}

/// A launch of one workgroup of a kernel that is made here.
fn of_text(body: &str, n: u32) -> u32 {
    let text = format!(
        "struct P {{ n: u32 }}
        @group(0) @binding(0) var<storage, read_write> y: array<f32>;
        @group(0) @binding(1) var<uniform> p: P;
        fn twice(n: u32) -> u32 {{ var sum = 0u; for (var i = 0u; i < 2u * n; i++) {{ sum += i; }} return sum; }}
        @compute @workgroup_size(4) fn f(@builtin(global_invocation_id) id: vec3<u32>) {{ {body} }}
        "
    );
    let module = kiln::ops::Module { stem: "rounds", source: "", libs: &[] };
    let params = kiln::ops::Params::new().u32("n", n as usize);
    let bindings = vec![kiln::ops::Binding::Output(0), kiln::ops::Binding::Params];
    let dispatch =
        Dispatch { module, entry: "f", constants: vec![], bindings, params, workgroups: [3, 1, 1], repeats: 1 };
    let io = Io { inputs: vec![], outputs: vec![float(&[12])] };
    let checked = parse(&text).unwrap_or_else(|e| panic!("{e}"));
    rounds::most(&checked.module, 0, &dispatch, &io)
}

#[test]
fn rounds_are_counted() {
    for (body, n, rounds) in [
        ("for (var i = 0u; i < p.n; i++) { y[i] = 1.0; }", 70, 70),
        ("for (var i = 0u; i < p.n; i++) { for (var k = 0u; k < 3u; k++) { y[i] = 1.0; } }", 70, 280),
        ("for (var i = 0u; i < p.n; i++) { y[i] = 1.0; } for (var i = 0u; i < p.n; i++) { y[i] = 1.0; }", 70, 140),
        ("for (var i = id.x; i < p.n; i += 4u) { y[i] = 1.0; }", 70, 18),
        // A second counter, by which another loop ends.
        (
            "var k = 1u; for (var i = 0u; i < 9u; i++) { k += i; } for (var i = k; i < 40u; i += 2u) { y[i] = 1.0; }",
            0,
            11,
        ),
        ("for (var i = 0u; i < p.n; i++) { if i == 5u { break; } y[i] = 1.0; }", 70, 5),
        ("for (var i = 5u; i < p.n; i++) { y[i] = 1.0; i += 1u; }", 70, 33),
        ("y[0] = f32(twice(p.n));", 70, 140),
        ("if y[0] > 0.0 { for (var i = 0u; i < p.n; i++) { y[i] = 1.0; } }", 70, 70),
        ("for (var i = 0u; i < p.n; i++) { if y[i] > 0.0 { continue; } y[i] = 1.0; }", 70, 70),
        ("for (var i = 0u; i < min(p.n, arrayLength(&y)); i++) { y[i] = 1.0; }", 70, 12),
        ("for (var i = i32(p.n); i >= 0; i -= 2) { y[i] = 1.0; }", 70, 36),
        ("if id.x >= p.n { return; } for (var i = 0u; i < 5u; i++) { y[i] = 1.0; }", 0, 0),
        // What ends by what is in a buffer has no end that is known.
        ("for (var i = 0u; y[i] > 0.0; i++) { y[i] = 1.0; }", 70, rounds::CUT_OFF),
        // A softmax of one invocation a row.
        (
            "var most = y[0]; for (var i = 1u; i < p.n; i++) { most = max(most, y[i]); }
          var total = 0.0; for (var i = 0u; i < p.n; i++) { total += exp(y[i] - most); }
          for (var i = 0u; i < p.n; i++) { y[i] = exp(y[i] - most) / total; }",
            30_000,
            rounds::CUT_OFF,
        ),
    ] {
        assert_eq!(of_text(body, n), rounds, "{body}");
    }
}

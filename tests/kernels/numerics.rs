//! Every op on numbers at the edges of f32, against the f64 reference: zeros of both signs, the smallest subnormals,
//! numbers whose squares overflow, infinities, NaN.
//!
//! What must hold of each element, of the reference's result r rounded to f32: NaN where r is NaN; that infinity where r
//! is one; zero or subnormal where r is that, because WGSL lets devices flush subnormals; else near r. A device may flush
//! subnormal inputs too: then the reference's result of zeros in their place counts.

use std::collections::BTreeMap;

use kiln::check::{Loaded, outputs};
use kiln::device::{Device, Executor};
use kiln::ops::softmax::Softmax;
use kiln::ops::softmax_cross_entropy::{SoftmaxCrossEntropy, SoftmaxCrossEntropyGrad};
use kiln::ops::unary::Unary;
use kiln::ops::{Case, all_cases};
use kiln::{DType, Tensor};

const TINY: f32 = f32::from_bits(1);
const EDGES: [f32; 9] = [0.0, -0.0, TINY, -TINY, LARGE, -LARGE, f32::INFINITY, f32::NEG_INFINITY, f32::NAN];

/// Of the cases of each op, whatever its settings, one that all pairs of edges fit into if there is any, and one that is
/// small.
fn chosen() -> Vec<(Case, Option<Case>)> {
    let mut by_op: BTreeMap<String, Vec<Case>> = BTreeMap::new();
    for case in all_cases() {
        by_op.entry(format!("{:?}", case.op)).or_default().push(case);
    }
    let elements = |case: &Case| case.inputs.iter().chain(&case.targets).map(|t| t.shape().len()).max().unwrap_or(0);
    let choose = |mut cases: Vec<Case>| {
        cases.sort_by_key(elements);
        let wide = cases.iter().find(|case| {
            let mut floats = floats(case).map(|i| operand(case, i).shape());
            floats.next().is_some_and(|first| first.len() >= 121 && floats.all(|shape| shape == first))
        });
        let small = cases.iter().find(|case| elements(case) >= 12).or(cases.last()).expect("a case or more");
        (small.clone(), wide.cloned())
    };
    by_op.into_values().map(choose).collect()
}

/// An input, or behind them a target.
fn operand(case: &Case, i: usize) -> &Tensor {
    case.inputs.iter().chain(&case.targets).nth(i).expect("an operand")
}

fn floats(case: &Case) -> impl Iterator<Item = usize> {
    let operands = case.inputs.iter().chain(&case.targets).enumerate();
    operands.filter(|(_, t)| t.dtype() == DType::F32).map(|(i, _)| i)
}

/// The case with other numbers in a float operand: `f` of each one's place and the number that was there.
fn altered(case: &Case, operand: usize, f: impl Fn(usize, f32) -> f32) -> Case {
    let mut case = case.clone();
    let tensor = case.inputs.iter_mut().chain(&mut case.targets).nth(operand).expect("an operand");
    let values: Vec<f32> = tensor.values().to_f32().iter().enumerate().map(|(i, &x)| f(i, x)).collect();
    *tensor = Tensor::new(tensor.shape().clone(), values).expect("as many as before");
    case
}

/// The case with zeros for subnormals.
fn flushed(case: &Case) -> Case {
    let flush = |_, x: f32| if x.is_subnormal() { 0f32.copysign(x) } else { x };
    floats(case).fold(case.clone(), |case, i| altered(&case, i, flush))
}

/// Where a finite number as large as [`LARGE`] comes out otherwise in f32 than in f64 by right, and why: ops by name.
const EXCUSED: &[(&str, &str)] = &[
    ("adadelta", SQUARES),
    ("adagrad", SQUARES),
    ("adam", SQUARES),
    ("dropout+activation_grad", "elu gives nothing below -1: of -1e30 its slope magnifies how a subnormal was rounded"),
    ("gru_grad", NOT_KEPT),
    ("gru_reset_after", "a state times a weight of 1e30 each is infinite in f32, and so is what is left of both"),
    ("gru_reset_after_grad", NOT_KEPT),
    ("lstm_grad", NOT_KEPT),
    ("nadam", SQUARES),
    ("normalize", "the mean of numbers of 1e30 is rounded by 1e23, whose square is infinite in f32"),
    ("rmsprop", SQUARES),
    ("sigmoid_grad", NO_OUTPUT),
    ("tanh_grad", NO_OUTPUT),
    ("simple_rnn_grad", NOT_KEPT),
    ("softmax_grad", NO_OUTPUT),
    ("softsign_grad", "its slope there, 1e-60, is 0 in f32, and a product with infinity no number"),
];
const SQUARES: &str =
    "the square of the gradient is infinite in f32, and so is the second moment: see `ops/optimizer.rs`";
const NO_OUTPUT: &str = "it takes y between -1 and 1, which the function gives, and squares it";
const NOT_KEPT: &str = "it takes gates between -1 and 1, which its walk keeps, and multiplies them by what goes back";
const LARGE: f32 = 1e30;

/// Something to try of an op.
struct Variant {
    what: String,
    case: Case,
    /// Whether [`LARGE`] is in it.
    large: bool,
}

/// Each edge as the last number of each float operand of a small case.
fn last(small: &Case) -> Vec<Variant> {
    let mut variants = Vec::new();
    for i in floats(small) {
        let last = operand(small, i).shape().len() - 1;
        for edge in EDGES {
            let case = altered(small, i, |at, x| if at == last { edge } else { x });
            variants.push(Variant { what: format!("{edge:e} last in operand {i}"), large: has_large(&case), case });
        }
    }
    variants
}

/// All pairs of edges and ordinary numbers in a wide case, with and without the large ones.
fn pairs(wide: &Case) -> Vec<Variant> {
    let mixed = |large: bool| {
        let edges: Vec<f32> = EDGES.into_iter().filter(|edge| large || edge.abs() != LARGE).collect();
        let period = edges.len() + 2;
        let case = floats(wide).enumerate().fold(wide.clone(), |case, (nth, i)| {
            altered(&case, i, |at, x| *edges.get(at / period.pow(nth as u32) % period).unwrap_or(&x))
        });
        Variant { what: format!("{} edges", edges.len()), case, large }
    };
    [true, false].map(mixed).into()
}

/// Whether a case holds [`LARGE`]: some do before anything is put in.
fn has_large(case: &Case) -> bool {
    floats(case).any(|i| operand(case, i).values().to_f64().iter().any(|x| x.abs() == f64::from(LARGE)))
}

/// The size of a number below which the case's tolerance falls no further.
fn floor(case: &Case) -> f64 {
    let sizes = floats(case).flat_map(|i| operand(case, i).values().to_f64()).filter(|x| x.is_finite()).map(f64::abs);
    match (case.sums, case.targets.is_empty()) {
        // What is left of a sum has the error of its largest number.
        (true, true) => sizes.fold(1.0, f64::max),
        // An optimizer's numbers are each made of their own.
        (true, false) => 1.0,
        (false, _) => f64::from(f32::MIN_POSITIVE),
    }
}

/// Whether a result f is right where the reference has r.
fn right(r: f64, f: f64, ulps: f64, floor: f64) -> bool {
    let rounded = r as f32;
    if rounded.is_nan() || rounded.is_infinite() {
        return (rounded.is_nan() && f.is_nan()) || f64::from(rounded) == f;
    }
    (f - r).abs() <= ulps * 2f64.powi(-23) * (r.abs() + floor)
        || (!rounded.is_normal() && f.abs() < f64::from(f32::MIN_POSITIVE))
}

/// The device under test and the reference, each with a case and the plan for those like it.
struct Pair<'e> {
    tested: (Loaded, &'e mut Executor),
    reference: (Loaded, &'e mut Executor),
}

impl<'e> Pair<'e> {
    fn of(case: &Case, tested: &'e mut Executor, reference: &'e mut Executor) -> Self {
        let load = |executor: &'e mut Executor| (Loaded::new(case, executor).expect("the device runs"), executor);
        Self { tested: load(tested), reference: load(reference) }
    }

    /// The first element that is wrong, in words.
    fn fault(&mut self, case: &Case) -> Option<String> {
        let run = |(loaded, executor): &mut (Loaded, &mut Executor), case: &Case| {
            loaded.outputs(case, executor).expect("the device runs").concat()
        };
        let (found, wanted) = (run(&mut self.tested, case), run(&mut self.reference, case));
        let floor = floor(case);
        let wrong = |wanted: &[f64], i: &usize| !right(wanted[*i], found[*i], case.ulps, floor);
        let mut faults: Vec<usize> = (0..found.len()).filter(|i| wrong(&wanted, i)).collect();
        if !faults.is_empty() {
            let of_flushed = run(&mut self.reference, &flushed(case));
            faults.retain(|i| wrong(&of_flushed, i));
        }
        faults.first().map(|&i| format!("element {i} is {:e}, expected {:e}", found[i], wanted[i]))
    }
}

/// Whether the device's own functions keep NaN. WGSL lets a device take it that there is none, and SwiftShader's exp, log
/// and max do: there only what has no NaN in it is held against the reference.
fn keeps_nan(tested: &mut Executor) -> bool {
    let case = Case::new("NaN", Unary::Exp, vec![Tensor::from([f32::NAN; 4])]);
    outputs(&case, tested).expect("the device runs").concat().iter().all(|y| y.is_nan())
}

fn check(device: &Device, chosen: Vec<(Case, Option<Case>)>) {
    let (mut tested, mut reference) = (Executor::new(device).unwrap(), Executor::new(&Device::reference()).unwrap());
    let (mut faults, mut runs) = (Vec::new(), 0);
    let tried = |op: &&str| chosen.iter().any(|(case, _)| case.op.name() == *op);
    let mut unused: Vec<&str> = EXCUSED.iter().map(|(op, _)| *op).filter(tried).collect();
    let keeps_nan = keeps_nan(&mut tested);
    let of_small = chosen.iter().map(|(small, _)| (small, last(small)));
    let of_wide = chosen.iter().filter_map(|(_, wide)| wide.as_ref()).map(|wide| (wide, pairs(wide)));
    for (like, variants) in of_small.chain(of_wide) {
        let mut pair = Pair::of(like, &mut tested, &mut reference);
        for Variant { what, case, large } in variants {
            runs += 1;
            let Some(fault) = pair.fault(&case) else { continue };
            let op = case.op.name();
            if large && EXCUSED.iter().any(|(excused, _)| *excused == op) {
                unused.retain(|name| *name != op);
            } else if keeps_nan || !fault.contains("NaN") {
                faults.push(format!("{:?} {}, {what}: {fault}", case.op, case.label));
            }
        }
    }
    assert!(runs > 10 * chosen.len(), "{runs} runs are too few to be all");
    assert!(faults.is_empty(), "{device}: {} of {runs} runs:\n{}", faults.len(), faults.join("\n"));
    assert!(unused.is_empty(), "{device}: {unused:?} are right with large numbers, and need no excuse");
}

#[test]
fn edges_of_f32_on_the_cpu() {
    check(&Device::cpu(), chosen());
}

#[cfg(feature = "gpu")]
#[test]
fn edges_of_f32_on_the_adapter() {
    check(&crate::common::adapter(), chosen());
}

/// Products alone have kernels for either kind of adapter; one of each name takes less time than all.
#[cfg(feature = "gpu")]
#[test]
fn edges_of_f32_in_the_kernels_of_the_other_kind_of_adapter() {
    use kiln::ops::{AdapterKind, Target};
    let adapter = crate::common::adapter();
    let products: BTreeMap<&str, _> = chosen()
        .into_iter()
        .filter(|(case, _)| case.op.name().starts_with("matmul"))
        .map(|c| (c.0.op.name(), c))
        .collect();
    let products: Vec<_> = products.into_values().collect();
    for kind in [AdapterKind::Hardware, AdapterKind::Software] {
        let other = adapter.clone().with_kernels_for(Target::new(kind));
        if other.target() != adapter.target() {
            check(&other, products.clone());
        }
    }
}

/// Softmax of exercise 14, and cross-entropy where the right class is certain, by themselves and beside a wrong one.
fn certainty(device: &Device) {
    let mut executor = Executor::new(device).unwrap();
    let mut run = |case: Case| outputs(&case, &mut executor).unwrap().remove(0);
    let near = |found: &[f64], wanted: &[f64]| {
        let off = |(f, w): (&f64, &f64)| (f - w).abs() > 1e-6 * w.abs().max(1.0);
        assert!(
            found.len() == wanted.len() && !found.iter().zip(wanted).any(off),
            "{device}: {found:?}, not {wanted:?}"
        );
    };
    near(
        &run(Case::new("", Softmax, vec![Tensor::from([1.0f32, 2.0, 788.0, 789.0])])),
        &[0.0, 0.0, 0.268941, 0.731059],
    );
    let inputs = vec![Tensor::from([[1e3f32, 0.0, -1e3], [1e3, 0.0, -1e3]]), Tensor::from([0u32, 2])];
    near(&run(Case::new("", SoftmaxCrossEntropy, inputs.clone())), &[0.0, 2e3]);
    let inputs = [inputs, vec![Tensor::from([1.0f32, 0.5])]].concat();
    near(&run(Case::new("", SoftmaxCrossEntropyGrad, inputs)), &[0.0, 0.0, 0.0, 0.5, 0.0, -0.5]);
}

#[test]
fn certainty_is_no_overflow() {
    certainty(&Device::cpu());
    certainty(&Device::reference());
    #[cfg(feature = "gpu")]
    certainty(&crate::common::adapter());
}

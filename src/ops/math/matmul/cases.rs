//! The product's test cases: every shape, epilogue and kernel.

use super::super::activation::Function;
use super::super::case::random;
use super::super::dispatch::MOST_WORKGROUPS;
use super::{Case, Epilogue, MatMul, Problem};
use crate::tensor::Shape;

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (i, (trans_a, trans_b)) in [(false, false), (true, false), (false, true), (true, true)].into_iter().enumerate()
    {
        // Small and odd, multiples of every tile, primes around them, and the shapes of a classifier's layers.
        for [m, n, k] in [
            [1, 1, 1],
            [2, 3, 1],
            [3, 5, 7],
            [4, 4, 4],
            [8, 12, 6],
            [16, 16, 64],
            [9, 31, 33],
            [65, 64, 20],
            [97, 10, 13],
            [12, 10, 128],
            [128, 10, 257],
            [128, 127, 16],
            [132, 68, 36],
            [10, 512, 97],
            [40, 12, 300],
        ] {
            let op = MatMul::new(trans_a, trans_b);
            let case = case_of(op, [m, n, k], 200 + i as u64);
            cases.push(if m * n * k <= 800 { case.wrt(&[0, 1]) } else { case });
        }
    }
    // Enough tiles for the larger workgroup tiles, and more than two of them along K.
    for (i, (trans_a, trans_b, extents)) in [
        (false, false, [1028, 1032, 21]),
        (false, true, [1028, 1032, 20]),
        (true, false, [2052, 2048, 36]),
        (false, true, [2049, 2047, 9]),
        (false, false, [32_700, 8, 20]),
        (true, false, [32_643, 9, 3]),
        (false, true, [8, 32_700, 20]),
        (true, true, [7, 32_643, 3]),
    ]
    .into_iter()
    .enumerate()
    {
        cases.push(case_of(MatMul::new(trans_a, trans_b), extents, 230 + i as u64));
    }
    cases.extend(long_cases());
    cases.extend(epilogue_cases());
    let sequences = vec![random([2, 3, 5], 220), random([5, 4], 221)];
    cases.push(Case::new("rows of (2, 3, 5)", MatMul::new(false, false), sequences).wrt(&[0, 1]).sums(5));
    cases.extend(stacked_cases());
    cases
}

/// More of K than an adapter may let one invocation loop over: few rows and columns, for each kernel, parts of one launch and
/// launches one after the other, the last of which has the epilogue.
fn long_cases() -> Vec<Case> {
    let relu = Epilogue::Activate { bias: true, activation: Function::Relu };
    let long = |(i, (trans_a, trans_b, extents)): (usize, (bool, bool, [usize; 3]))| {
        case_of(MatMul::new(trans_a, trans_b), extents, 250 + i as u64)
    };
    let mut cases: Vec<Case> = [
        (false, true, [3, 2, 70_000]),
        (true, false, [5, 3, 200_000]),
        (true, false, [4, 4, 200_000]),
        (true, false, [8, 8, 70_001]),
        (false, false, [16, 16, 20_000]),
    ]
    .into_iter()
    .enumerate()
    .map(long)
    .collect();
    cases.push(case_of(MatMul { epilogue: relu, ..MatMul::new(true, false) }, [1, 6, 70_000], 256));
    cases.push(stacked_case(MatMul { epilogue: relu, ..MatMul::stacked(true, false) }, &[2], [3, 5, 70_000], 257));
    cases.push(stacked_case(MatMul::stacked(true, true), &[3], [4, 4, 20_000], 258));
    cases
}

/// An epilogue is a pipeline of its own in every kernel, which a software adapter compiles for up to a second. So bias and
/// one function run in every kernel, the others, which are no more to a kernel than another number, in one each.
fn epilogue_cases() -> Vec<Case> {
    let shapes = [
        (false, false, [5, 7, 3]),
        (false, true, [33, 12, 10]),
        (false, false, [97, 10, 31]),
        (false, false, [3, 6, 5]),
        (false, false, [2, 8, 12]),
        (false, true, [12, 20, 8]),
        (false, false, [5, 6, 259]),
    ];
    // One takes long to compile; the others have enough tiles for the larger workgroup tiles.
    let larger = [(true, false, [36, 20, 97]), (false, false, [1028, 1032, 5]), (false, false, [1028, 1032, 12])];
    let mut cases = Vec::new();
    for (i, epilogue) in epilogues().into_iter().enumerate() {
        let everywhere = match epilogue {
            Epilogue::Activate { activation: f, .. } | Epilogue::ActivateGrad(f) => f == Function::Tanh,
            Epilogue::ScaleShift { bias, activation } => bias && activation == Some(Function::Tanh),
            Epilogue::None | Epilogue::Bias => true,
        };
        let one = i % shapes.len();
        let chosen = if everywhere { [&shapes[..], &larger].concat() } else { vec![shapes[one]] };
        cases.extend(chosen.into_iter().map(|(trans_a, trans_b, extents)| {
            case_of(MatMul { epilogue, ..MatMul::new(trans_a, trans_b) }, extents, 210 + i as u64)
        }));
    }
    cases
}

/// Every epilogue but none.
pub fn epilogues() -> Vec<Epilogue> {
    let mut all = vec![Epilogue::Bias];
    for bias in [false, true] {
        all.extend(
            [None, Some(Function::Relu), Some(Function::Tanh)]
                .map(|activation| Epilogue::ScaleShift { bias, activation }),
        );
    }
    for activation in Function::ALL {
        all.extend([false, true].map(|bias| Epilogue::Activate { bias, activation }));
        all.push(Epilogue::ActivateGrad(activation));
    }
    all
}

/// A case of random operands for any extents M, N, K.
pub fn case_of(op: MatMul, extents: [usize; 3], seed: u64) -> Case {
    stacked_case(op, &[], extents, seed)
}

/// Each kernel and each way to store an operand, fused epilogues, and more products than a grid holds. Few, because each
/// is a pipeline of its own.
fn stacked_cases() -> Vec<Case> {
    let stacked = MatMul::stacked;
    let relu = Epilogue::Activate { bias: true, activation: Function::Relu };
    let tanh = Epilogue::ActivateGrad(Function::Tanh);
    vec![
        stacked_case(stacked(false, false), &[2, 3], [3, 5, 7], 222).wrt(&[0, 1]),
        stacked_case(stacked(true, true), &[2], [17, 18, 5], 223).wrt(&[0, 1]),
        stacked_case(stacked(false, false), &[3], [4, 8, 12], 224),
        stacked_case(stacked(true, true), &[3], [8, 12, 4], 225),
        stacked_case(stacked(false, true), &[2], [20, 36, 16], 226),
        stacked_case(MatMul { epilogue: relu, ..stacked(false, false) }, &[2], [5, 8, 4], 227),
        stacked_case(MatMul { epilogue: tanh, ..stacked(false, false) }, &[2], [5, 7, 3], 228),
        stacked_case(stacked(false, false), &[MOST_WORKGROUPS + 2], [1, 1, 1], 229),
        stacked_case(stacked(false, true), &[1], [5, 8, 300], 240),
    ]
}

/// A case of random operands for a product as its kernel is chosen, with an epilogue.
pub fn case_of_problem(problem: Problem, epilogue: Epilogue, seed: u64) -> Case {
    let Problem { stacks, extents, transposed: [trans_a, trans_b], .. } = problem;
    let stacked = stacks > 1;
    let axes = if stacked { &[stacks][..] } else { &[] };
    stacked_case(MatMul { trans_a, trans_b, stacked, epilogue }, axes, extents, seed)
}

/// [`case_of`] with these axes before each matrix.
fn stacked_case(op: MatMul, stacks: &[usize], [m, n, k]: [usize; 3], seed: u64) -> Case {
    let matrices = |rows: usize, columns: usize| [stacks, &[rows, columns]].concat();
    let a = random(if op.trans_a { matrices(k, m) } else { matrices(m, k) }, seed);
    let b = random(if op.trans_b { matrices(n, k) } else { matrices(k, n) }, seed + 50);
    let extras = op.epilogue.random(&matrices(m, n).into(), seed + 100);
    let transposed = |t: bool| if t { "'" } else { "" };
    let (ta, tb) = (transposed(op.trans_a), transposed(op.trans_b));
    let stacks = if op.stacked { format!("{} of ", Shape::from(stacks)) } else { String::new() };
    let label = format!("{stacks}({m}, {k}){ta} x ({k}, {n}){tb} {:?}", op.epilogue);
    let own = match op.epilogue {
        Epilogue::None => 2.0,
        // What the sum is off, absolutely, the exponential is off relatively: some K ulps where the sum is large.
        Epilogue::Activate { activation: Function::Exponential, .. } => 16.0 + k as f64,
        // An activation adds a few ulps of its own to those of the sum.
        _ => 16.0,
    };
    Case::new(label, op, [a, b].into_iter().chain(extras).collect()).ulps(own).sums(k)
}

#[cfg(test)]
mod tests {
    use std::any::Any;
    use std::mem::discriminant;

    use super::*;
    use crate::graph::Type;
    use crate::kernel::matmul::{DEEPEST, MOST_PRODUCTS, SHALLOWEST};
    use crate::ops::{Binding, Dispatch, Io, Op, Target, Tuning};

    /// A field of a launch's uniform.
    fn param(launch: &Dispatch, name: &str) -> usize {
        launch.params.fields().iter().find(|(field, _)| *field == name).expect("a field").1 as usize
    }

    fn is_set(launch: &Dispatch, name: &str) -> bool {
        launch.constants.contains(&(name, 1.0))
    }

    /// The pieces of K that the launches of a product take, in the order of their starts, of each part.
    fn pieces(launches: &[Dispatch], k: usize) -> Vec<std::ops::Range<usize>> {
        let mut pieces = Vec::new();
        for launch in launches.iter().filter(|l| l.entry != "add_parts") {
            let (span, start, depth) = (param(launch, "span"), param(launch, "start"), param(launch, "depth"));
            assert_eq!(start > 0, is_set(launch, "ADD"), "{launch:?}");
            let parts = if is_set(launch, "SPLIT") { param(launch, "stacks") } else { 1 };
            for part in (0..parts).map(|part| part * span..((part + 1) * span).min(k)) {
                pieces.push((part.start + start).min(part.end)..(part.start + start + depth).min(part.end));
            }
        }
        pieces.retain(|piece| !piece.is_empty());
        pieces.sort_by_key(|piece| piece.start);
        pieces
    }

    /// The op and operands of a problem.
    fn product(problem: &Problem) -> (MatMul, Io) {
        let ([m, n, k], [trans_a, trans_b]) = (problem.extents, problem.transposed);
        let stack = if problem.stacks > 1 { vec![problem.stacks] } else { vec![] };
        let side = |t: bool, x: usize, y: usize| Type::float([&stack[..], &if t { [y, x] } else { [x, y] }].concat());
        let op = MatMul { stacked: problem.stacks > 1, ..MatMul::new(trans_a, trans_b) };
        let inputs = vec![side(trans_a, m, k), side(trans_b, k, n)];
        (op, Io { outputs: op.outputs(&inputs).unwrap(), inputs })
    }

    #[test]
    fn no_launch_of_a_large_product_takes_as_long_as_a_driver_lets_it() {
        for (text, count) in [
            ("4096x4096x2048", 1),
            ("8192x8192x8192", 16),
            ("30000x4096x784:nt", 2),
            ("65000x65000x600", 2),
            ("64x2048x2048x512", 4),
            ("65536x8x8x8", 2),
        ] {
            let problem: Problem = text.parse().unwrap();
            let [m, n, k] = problem.extents;
            let (op, io) = product(&problem);
            let launches = op.gpu(&io, &Target::all()[0]);
            assert_eq!(launches.len(), count, "{text}");
            for launch in &launches {
                let (depth, z) = (param(launch, "depth"), launch.workgroups[2] as usize);
                assert!(
                    (m * n * k.min(depth) * z) as u64 <= MOST_PRODUCTS || depth == SHALLOWEST,
                    "{text}: {launch:?}"
                );
            }
            let made: usize = launches
                .iter()
                .map(|launch| {
                    (k.min(param(launch, "start") + param(launch, "depth")) - param(launch, "start"))
                        * launch.workgroups[2] as usize
                })
                .sum();
            assert_eq!(made, k * problem.stacks, "{text}");
        }
    }

    #[test]
    fn no_launch_takes_more_of_k_than_an_invocation_may_loop_over() {
        for text in ["4x4x200000:tn", "5x3x8193", "784x16x70000:tn", "3x5x7x70000:nt", "1x1x16777216:nt", "64x64x8192"]
        {
            let problem: Problem = text.parse().unwrap();
            let ((op, io), [.., k]) = (product(&problem), problem.extents);
            for target in Target::all() {
                for kernel in problem.candidates(&target) {
                    let mut tuning = Tuning::default();
                    tuning.choose(problem, Some(kernel.clone()));
                    let launches = op.gpu(&io, &Target { tuning: tuning.into(), ..target.clone() });
                    let pieces = pieces(&launches, k);
                    assert!(pieces.iter().all(|piece| piece.len() <= DEEPEST), "{text} {kernel}: {pieces:?}");
                    let joined = pieces.windows(2).all(|pair| pair[0].end == pair[1].start);
                    let ends = (pieces[0].start, pieces[pieces.len() - 1].end);
                    assert!(joined && ends == (0, k), "{text} {kernel}: {pieces:?}");
                    let sums = launches.iter().find(|launch| launch.entry == "add_parts");
                    assert!(sums.is_none_or(|launch| param(launch, "stacks") <= 1 << 14), "{text} {kernel}");
                }
            }
        }
    }

    #[test]
    fn cases_have_every_epilogue_and_each_kind_of_it_in_every_kernel() {
        let mut launched: Vec<(&str, Epilogue)> = Vec::new();
        for case in cases() {
            let op = (&*case.op as &dyn Any).downcast_ref::<MatMul>().expect("a product's cases are products");
            let io = case.io().expect("cases are legal");
            for target in Target::all() {
                // The parts of a product are added up by another kernel, which alone has the epilogue.
                let launches = op.gpu(&io, &target).into_iter().filter(|l| l.bindings.contains(&Binding::Output(0)));
                launched.extend(launches.map(|launch| (launch.entry, op.epilogue)));
            }
        }
        for epilogue in epilogues() {
            assert!(launched.iter().any(|&(_, e)| e == epilogue), "{epilogue:?} has no case");
            for (kernel, _) in &launched {
                let same = |e| discriminant(&e) == discriminant(&epilogue);
                assert!(
                    launched.iter().any(|&(k, e)| k == *kernel && same(e)),
                    "{kernel} has no case like {epilogue:?}"
                );
            }
        }
    }
}

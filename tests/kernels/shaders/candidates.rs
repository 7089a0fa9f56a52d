//! The launches of all kernels that `kiln tune` may choose.

use kiln::graph::Type;
use kiln::ops::conv::{Conv, case_of_types};
use kiln::ops::convolution::Pass;
use kiln::ops::matmul::{Form, Problem, case_of_problem};
use kiln::ops::window::Window;
use kiln::ops::{Case, Epilogue, Target, Tuning};

use super::Launch;

/// What `kiln tune` may choose: every candidate for a product where loads by vec4 fit, and for one where they do not; of matrices, and
/// of the passes of convolutions.
pub fn launches(mut node: usize) -> Vec<Launch> {
    let matrices = ["64x32x16:nn", "7x5x3:tn"].map(|problem| {
        let problem: Problem = problem.parse().expect("a product");
        (problem, case_of_problem(problem, Epilogue::None, 0))
    });
    let tried: Vec<(Problem, Case)> = matrices.into_iter().chain(convolutions()).collect();
    let mut launches = Vec::new();
    for (target, (problem, case)) in Target::all().iter().flat_map(|t| tried.iter().map(move |tried| (t, tried))) {
        let io = case.io().expect("a product");
        for kernel in problem.candidates(target) {
            let word = if problem.form == Form::Matrices { "matmul " } else { "" };
            let tuning = Tuning::parse(&format!("{word}{problem}\t{kernel}"), target).expect("a candidate");
            let target = Target { tuning: tuning.into(), ..target.clone() };
            node += 1;
            let label = format!("{problem} by {kernel} on {:?}", target.kind);
            let launch =
                |dispatch| Launch { label: label.clone(), node, dispatch, io: io.clone(), target: target.clone() };
            launches.extend(case.op.gpu(&io, &target).into_iter().map(launch));
        }
    }
    launches
}

/// The passes of convolutions of all channels and of each by itself, of multiples of four and not.
fn convolutions() -> Vec<(Problem, Case)> {
    let mut all = Vec::new();
    for (channels, filters, groups) in [(4, 8, 1), (3, 5, 1), (8, 8, 8), (3, 6, 3)] {
        let window = Window::new([3, 3]);
        let forward = Conv::new(window, groups);
        let (x, w) = (Type::float([2, 12, 14, channels]), Type::float([3, 3, channels / groups, filters]));
        let y = Type::float([2, 10, 12, filters]);
        for (op, operands) in [
            (forward, [&x, &w]),
            (Conv::transposed(window, groups, [12, 14]), [&y, &w]),
            (Conv { pass: Pass::Kernel, ..forward }, [&x, &y]),
        ] {
            let operands = operands.map(Type::clone);
            let [problem] = op.problems(&operands).expect("legal")[..] else { panic!("without strides it is one") };
            all.push((problem, case_of_types(op, &operands, 0).expect("legal")));
        }
    }
    all
}

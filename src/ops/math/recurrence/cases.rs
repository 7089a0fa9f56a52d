//! Cases of the recurrence and of its gradient.

use super::super::activation::Function;
use super::super::binary::changed;
use super::super::case::{positive, random};
use super::{Case, Cell, Recurrence, RecurrenceGrad};
use crate::tensor::Tensor;

const CELLS: [Cell; 4] = [Cell::Simple, Cell::Lstm, Cell::Gru, Cell::GruResetAfter];

/// Inputs of a recurrence over (rows, steps, units). u is small enough that states do not grow.
fn inputs(op: &Recurrence, [rows, steps, units]: [usize; 3], seed: u64) -> Vec<Tensor> {
    let (width, states) = (op.cell.gates() * units, op.cell.states());
    let share = (units as f32).sqrt().recip();
    let u = changed(&random([units, width], seed + 1), |u| u * share);
    let mut inputs = vec![random([rows, steps, width], seed), u, random([rows, states, units], seed + 2)];
    inputs.extend((op.cell == Cell::GruResetAfter).then(|| random([units], seed + 3)));
    inputs.extend(op.masked.then(|| mask([rows, steps], seed + 4)));
    inputs.extend(op.dropped.then(|| dropped([rows, units], seed + 5)));
    inputs
}

/// Ones and zeros, one zero in three.
fn mask(shape: [usize; 2], seed: u64) -> Tensor {
    changed(&positive(shape, seed), |x| if x < 0.33 { 0.0 } else { 1.0 })
}

fn dropped(shape: [usize; 2], seed: u64) -> Tensor {
    changed(&positive(shape, seed), |x| if x < 0.25 { 0.0 } else { 4.0 / 3.0 })
}

/// Inputs of the gradient: numbers that a walk may have kept.
fn kept(op: &RecurrenceGrad, [rows, steps, units]: [usize; 3], seed: u64) -> Vec<Tensor> {
    let forward = &op.forward;
    let saved = changed(&positive([rows, steps, forward.cell.kept() * units], seed), |x| 0.05 + 0.9 * x);
    let share = (units as f32).sqrt().recip();
    let u = changed(&random([forward.cell.gates() * units, units], seed + 1), |u| u * share);
    let mut inputs = vec![saved, u, random([rows, steps, units], seed + 2)];
    inputs.extend(op.of_y.then(|| random([rows, steps, units], seed + 3)));
    inputs.extend(op.of_last.then(|| random([rows, forward.cell.states(), units], seed + 4)));
    inputs.extend(forward.masked.then(|| mask([rows, steps], seed + 5)));
    inputs.extend(forward.dropped.then(|| dropped([rows, units], seed + 6)));
    inputs
}

/// What errors of a step become in those behind it: some times those of its sums.
fn tolerance(case: Case, [_, steps, units]: [usize; 3]) -> Case {
    case.ulps(16.0).sums(16 * units.max(4) * steps.min(16))
}

/// Extents, whether masked, dropped and backwards, and whether the loss depends on y and on the last state.
type Setting = ([usize; 3], [bool; 3], [bool; 2]);

/// Settings whose steps are walked, but for the widest.
const WALKS: &[Setting] = &[
    ([1, 1, 1], [false; 3], [true, false]),
    ([7, 3, 5], [true, false, false], [false, true]),
    ([5, 7, 16], [true; 3], [true; 2]),
    ([2, 3, 3], [false, false, true], [false, true]),
    ([2, 1000, 3], [false, false, true], [false, true]),
    ([3, 2, 300], [false, true, false], [true; 2]),
    ([2, 3, 4], [false, true, false], [true; 2]),
    ([3, 2, 4], [true, true, false], [true; 2]),
];

/// Settings that software adapters make by products, of vectors or not; GPUs do the last ones of an LSTM and of the GRU, too.
const PRODUCTS: &[Setting] = &[
    ([9, 4, 96], [true; 3], [true; 2]),
    ([5, 2, 131], [false, false, true], [true, false]),
    ([6, 2, 132], [true, false, false], [false, true]),
    ([5, 2, 301], [true, true, false], [true; 2]),
];

pub(crate) fn cases() -> Vec<Case> {
    let of = |settings: &'static [Setting], first: u64| {
        let all = CELLS.into_iter().flat_map(|cell| settings.iter().map(move |&setting| (cell, setting)));
        all.zip((first..).step_by(10)).flat_map(|((cell, setting), seed)| both(cell, setting, seed))
    };
    of(WALKS, 90_010).chain(of(PRODUCTS, 92_000)).chain(activations()).collect()
}

/// A recurrence and its gradient.
fn both(cell: Cell, (extents, [masked, dropped, backwards], [of_y, of_last]): Setting, seed: u64) -> [Case; 2] {
    let op = Recurrence { masked, dropped, backwards, ..Recurrence::new(cell) };
    let [rows, steps, units] = extents;
    let marks = [(masked, " masked"), (dropped, " dropped"), (backwards, " backwards")];
    let marks: String = marks.into_iter().filter(|(is, _)| *is).map(|(_, mark)| mark).collect();
    let label = format!("({rows}, {steps}, {units}){marks}");
    let case = Case::new(&label, op.clone(), inputs(&op, extents, seed));
    let wrt: &[usize] = if cell == Cell::GruResetAfter { &[0, 1, 2, 3] } else { &[0, 1, 2] };
    let case = if rows * steps * units < 600 { case.wrt(wrt) } else { case };
    let op = RecurrenceGrad { forward: op, of_y, of_last };
    let gradient = Case::new(&label, op.clone(), kept(&op, extents, seed));
    [tolerance(case, extents), tolerance(gradient, extents)]
}

/// Every activation, and none, of the plain cell; of the others some that their gates may have.
fn activations() -> Vec<Case> {
    let plain = Function::ALL.into_iter().map(Some).chain([None]).map(|f| (Cell::Simple, [f, None]));
    let leaky = Some(Function::LeakyRelu { negative_slope: 0.2 });
    let gated = [
        (Cell::Lstm, [Some(Function::Relu), Some(Function::HardSigmoid)]),
        (Cell::Gru, [None, Some(Function::Sigmoid)]),
        (Cell::GruResetAfter, [leaky, Some(Function::Tanh)]),
    ];
    let mut cases = Vec::new();
    for ((cell, [activation, recurrent_activation]), seed) in plain.chain(gated).zip(91_000..) {
        let op = Recurrence { activation, recurrent_activation, ..Recurrence::new(cell) };
        let label = activation.map_or("linear", Function::name);
        let extents = [3, 2, 5];
        // Small numbers: of exponentials nothing grows.
        let inputs = inputs(&op, extents, seed * 10).iter().map(|x| changed(x, |x| 0.4 * x)).collect();
        cases.push(tolerance(Case::new(label, op, inputs).wrt(&[0, 1, 2]), extents));
    }
    cases
}

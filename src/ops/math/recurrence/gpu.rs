//! The recurrence on a GPU, in one of two ways.
//!
//! A walk: a workgroup owns four rows and walks the steps with them, u read from the cache. A launch walks as many steps as an
//! invocation's loops may have rounds for, and the launch is repeated: where it goes on stands in scratch memory.
//!
//! Products: each step's product with u is a kernel of products, over all rows, and a launch beside it is the cell. The two take turns.

use std::any::Any;

use super::super::Binding;
use super::super::activation::Function;
use super::super::dispatch::{AdapterKind, Dispatch, LIB_ACTIVATION, LIB_GRID, LIB_RECURRENCE, Module, Params, Target};
use super::super::epilogue::Epilogue;
use super::super::launches::Launches;
use super::{Cell, Recurrence, RecurrenceGrad, Sizes};
use crate::kernel::Io;
use crate::kernel::matmul::{Form, Problem};

const MODULE: Module = Module {
    stem: "recurrence",
    source: include_str!("../../../../shaders/recurrence.wgsl"),
    libs: &[LIB_GRID, LIB_ACTIVATION, LIB_RECURRENCE],
};
const GRADIENT_MODULE: Module = Module {
    stem: "recurrence_gradient",
    source: include_str!("../../../../shaders/recurrence_gradient.wgsl"),
    libs: &[LIB_GRID, LIB_ACTIVATION, LIB_RECURRENCE],
};

/// Rows of a workgroup that walks, and of an invocation that makes one step: a vector's.
const ROWS: usize = 4;

/// Rounds of all its loops together that an invocation of a launch may take, half of what is allowed.
const ROUNDS: usize = 1 << 13;

/// Numbers of u from which a GPU makes products: each workgroup that walks reads u at every step from the cache that all share,
/// which takes as long as two launches where u has some MB.
const WIDE: usize = 1 << 18;
/// Products of two numbers a step from which a software adapter does: it loads lane by lane, of which a walk does ten times as much,
/// and a launch takes it 50 us.
const LONG: usize = 1 << 16;

/// The product of each step (rows, n), of (rows, k) and weights (k, n), if it is worth a launch.
fn product(op: &Recurrence, sizes: Sizes, [n, k]: [usize; 2], target: &Target) -> Option<Problem> {
    let Sizes { rows, steps, .. } = sizes;
    let is_large = match target.kind {
        AdapterKind::Hardware => n * k >= WIDE,
        AdapterKind::Software => rows * n * k >= LONG,
    };
    // The candidate of the other GRU needs the gates of all units before its product.
    let is_launch = is_large && op.cell != Cell::Gru && rows > 0 && steps > 0;
    is_launch.then_some(Problem { form: Form::Matrices, stacks: 1, extents: [rows, n, k], transposed: [false; 2] })
}

/// What the launches of a pass have in common.
struct Pass<'a> {
    op: &'a Recurrence,
    io: &'a Io,
    sizes: Sizes,
    module: Module,
    /// The product of each step, where it is a launch.
    product: Option<Problem>,
}

impl<'a> Pass<'a> {
    fn forward(op: &'a Recurrence, io: &'a Io, target: &Target) -> Self {
        let sizes = Sizes::of(&io.outputs[0]);
        let width = op.cell.gates() * sizes.units;
        Self { op, io, sizes, module: MODULE, product: product(op, sizes, [width, sizes.units], target) }
    }

    fn backward(op: &'a RecurrenceGrad, io: &'a Io, target: &Target) -> Self {
        let (op, sizes) = (&op.forward, Sizes::of(&io.inputs[2]));
        let width = op.cell.gates() * sizes.units;
        Self { op, io, sizes, module: GRADIENT_MODULE, product: product(op, sizes, [sizes.units, width], target) }
    }

    /// Floats of a step's product.
    fn sums(&self) -> usize {
        self.product.map_or(0, |problem| problem.extents[0] * problem.extents[1])
    }

    /// How many counts there are of steps that are done: workgroups that walk, or invocations of one step.
    fn groups(&self) -> usize {
        let fours = self.sizes.rows.div_ceil(ROWS).max(1);
        if self.product.is_some() { fours * self.sizes.units } else { fours }
    }

    /// Where in the shaders' scratch memory the counts begin, what h is multiplied by, and the bias; and where that ends. A step's
    /// product comes before them.
    fn places(&self) -> [usize; 4] {
        let Sizes { rows, units, .. } = self.sizes;
        let counts = self.sums();
        let dropped = counts + self.groups();
        let bias = dropped + if self.op.dropped { rows * units } else { 0 };
        [counts, dropped, bias, bias + if self.op.has_bias() { units } else { 0 }]
    }

    fn scratch(&self) -> Binding {
        Binding::Scratch(self.places()[3])
    }

    /// Invocations of a workgroup that walks.
    fn group(&self) -> usize {
        self.sizes.units.next_multiple_of(32).min(256)
    }

    fn params(&self) -> Params {
        let Sizes { rows, steps, units } = self.sizes;
        let [counts, dropped, bias, end] = self.places();
        let first = if self.op.backwards { steps.saturating_sub(1) } else { 0 };
        let params = Params::new().u32("rows", rows).u32("steps", steps).u32("groups", self.groups());
        let params = params.u32("counts", counts).u32("dropped", dropped).u32("bias", bias).u32("end", end);
        params.u32("units", units).u32("states", self.op.cell.states()).u32("first", first)
    }

    fn specialise(&self, launch: Dispatch) -> Dispatch {
        let cell = match self.op.cell {
            Cell::Simple => 0,
            Cell::Lstm => 1,
            Cell::Gru => 2,
            Cell::GruResetAfter => 3,
        };
        let launch = launch
            .constant("CELL", cell)
            .constant("GATES", self.op.cell.gates() as u32)
            .constant("KEPT", self.op.cell.kept() as u32)
            .constant("UNITS", self.sizes.units as u32)
            .constant("BACKWARDS", self.op.backwards)
            .constant("MASKED", self.op.masked)
            .constant("DROPPED", self.op.dropped);
        let with =
            |launch, f: Option<Function>, name| f.into_iter().fold(launch, |launch, f| f.specialise(launch, name));
        with(with(launch, self.op.activation, "ACTIVATION"), self.op.recurrent_activation, "RECURRENT_ACTIVATION")
    }

    /// A launch of so many invocations, which is the same kernel whatever the cell and its units.
    fn over(&self, entry: &'static str, bindings: Vec<Binding>, invocations: usize) -> Dispatch {
        let workgroups = invocations.div_ceil(Dispatch::WIDTH);
        Dispatch::of(self.module, entry, bindings, self.params(), workgroups)
    }

    /// The launch that makes a step of each unit of four rows.
    fn one_step(&self, bindings: Vec<Binding>) -> Dispatch {
        self.specialise(self.over("one_step", bindings, self.groups()))
    }

    /// The launch that puts in place what the steps begin with.
    fn begin(&self, entry: &'static str, bindings: Vec<Binding>) -> Dispatch {
        let Sizes { rows, units, .. } = self.sizes;
        let most = (rows * units * self.op.cell.states()).max(units).max(self.groups());
        self.over(entry, bindings, most)
    }

    /// The launches that walk, given how many products of all units a step takes.
    fn walk(&self, bindings: Vec<Binding>) -> Dispatch {
        let Sizes { steps, units, .. } = self.sizes;
        // Of a unit: its sums, four at a time, then those that are left, and what is made of them.
        let of_unit = units / 4 + units % 4 + 1;
        let products = if self.op.cell == Cell::Gru { 2 } else { 1 };
        let of_step = 1 + (1 + products) * units.div_ceil(self.group()) * of_unit;
        let span = (ROUNDS / of_step).clamp(1, steps.max(1));
        let launch = Dispatch::of(self.module, "walk", bindings, self.params(), self.groups());
        let launch = launch.constant("GROUP", self.group() as u32).constant("SPAN", span as u32);
        self.specialise(launch).repeated(steps.div_ceil(span).max(1))
    }

    /// The left side of a step's product, which the cell before it makes.
    fn state(problem: Problem) -> Binding {
        Binding::SecondScratch(problem.extents[0] * problem.extents[2])
    }

    /// The launches of a step's product, of what the step beside it has left in `state` with the weights.
    fn products(&self, problem: Problem, state: Binding, target: &Target) -> Vec<Dispatch> {
        let (params, constants, epilogue) = (Params::new(), Vec::new(), Epilogue::None);
        let launches = Launches { io: self.io, problem, params, constants, epilogue };
        launches.at([state, Binding::Input(1), self.scratch()], target)
    }

    /// Those launches for each step.
    fn each_step(&self, launches: impl Iterator<Item = Dispatch>) -> impl Iterator<Item = Dispatch> {
        let steps = self.sizes.steps;
        launches.map(move |launch| launch.repeated(steps))
    }
}

/// A binding that must be something, and the first input where there is none.
fn given(input: Option<usize>) -> Binding {
    Binding::Input(input.unwrap_or(0))
}

pub(super) fn forward(op: &Recurrence, io: &Io, target: &Target) -> Vec<Dispatch> {
    let pass = Pass::forward(op, io, target);
    let [mask, dropped] = op.optional();
    let [y, last, prev, saved] = [0, 1, 2, 3].map(Binding::Output);
    let (first, bias, params) = (Binding::Input(2), given(op.has_bias().then_some(3)), Binding::Params);
    let (x, u, scratch) = (Binding::Input(0), Binding::Input(1), pass.scratch());
    let mut begin = vec![first, given(dropped), bias, last, prev, scratch, params];
    let mut steps = vec![x, u, given(mask), y, last, prev, saved, scratch, params];
    let Some(problem) = pass.product else {
        return vec![pass.begin("begin", begin), pass.walk(steps)];
    };
    let state = Pass::state(problem);
    begin.push(state);
    steps[1] = state;
    let cell = pass.one_step(steps);
    let steps = pass.each_step(pass.products(problem, state, target).into_iter().chain([cell]));
    [pass.begin("begin_products", begin)].into_iter().chain(steps).collect()
}

pub(super) fn backward(op: &RecurrenceGrad, io: &Io, target: &Target) -> Vec<Dispatch> {
    let pass = Pass::backward(op, io, target);
    let [dy, dlast, mask, dropped] = op.places();
    let ([dx, ds], params, scratch) = ([0, 1].map(Binding::Output), Binding::Params, pass.scratch());
    let [saved, u, prev] = [0, 1, 2].map(Binding::Input);
    let begin = pass.begin("begin", vec![given(dlast), given(dropped), ds, scratch, params]);
    let begin = begin.constant("OF_LAST", op.of_last);
    let mut steps = vec![saved, u, given(mask), given(dy), prev, dx, ds, scratch, params];
    let Some(problem) = pass.product else {
        return vec![begin, pass.walk(steps).constant("OF_Y", op.of_y)];
    };
    let state = Pass::state(problem);
    steps[1] = state;
    let cell = pass.one_step(steps).constant("OF_Y", op.of_y);
    let steps = pass.each_step([cell].into_iter().chain(pass.products(problem, state, target)));
    let end = pass.over("end", vec![ds, scratch, params], pass.sizes.rows * pass.sizes.units);
    [begin].into_iter().chain(steps).chain([end]).collect()
}

/// The product of each step where it is a launch of its own on such an adapter: of a recurrence, or of the gradient of one.
pub(crate) fn product_of_step(op: &dyn Any, io: &Io, target: &Target) -> Option<Problem> {
    match (op.downcast_ref(), op.downcast_ref()) {
        (Some(op), _) => Pass::forward(op, io, target).product,
        (_, Some(op)) => Pass::backward(op, io, target).product,
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::cases::cases;
    use super::*;

    /// Two begin a recurrence, one its gradient, with a gradient of the last state and without, and one ends that.
    #[test]
    fn what_begins_and_ends_is_the_same_for_all_cells_and_units() {
        let mut pipelines = BTreeSet::new();
        for case in cases() {
            let io = case.io().unwrap();
            for launch in Target::all().iter().flat_map(|target| case.op.gpu(&io, target)) {
                if launch.entry.starts_with("begin") || launch.entry == "end" {
                    pipelines.insert(format!("{} {:?}", launch.kernel(), launch.constants));
                }
            }
        }
        assert_eq!(pipelines.len(), 5, "{pipelines:?}");
    }
}

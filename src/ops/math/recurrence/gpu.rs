//! The recurrence on a GPU: a workgroup owns four rows and walks the steps with them, u read from the cache. A launch walks as many
//! steps as an invocation's loops may have rounds for, and the launch is repeated: where it goes on stands in scratch memory.

use super::super::Binding;
use super::super::activation::Function;
use super::super::dispatch::{Dispatch, LIB_ACTIVATION, LIB_GRID, LIB_RECURRENCE, Module, Params, Target};
use super::{Cell, Recurrence, RecurrenceGrad, Sizes};
use crate::kernel::Io;

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

/// Rows of a workgroup: a vector's.
const ROWS: usize = 4;

/// Rounds of all its loops together that an invocation of a launch may take, half of what is allowed.
const ROUNDS: usize = 1 << 13;

/// What both passes are launched with.
struct Walk<'a> {
    op: &'a Recurrence,
    sizes: Sizes,
    module: Module,
}

impl Walk<'_> {
    fn workgroups(&self) -> usize {
        self.sizes.rows.div_ceil(ROWS).max(1)
    }

    /// What the shaders' scratch memory has: a count for each workgroup, what h is multiplied by, the bias.
    fn scratch(&self) -> Binding {
        let Sizes { rows, units, .. } = self.sizes;
        let dropped = if self.op.dropped { rows * units } else { 0 };
        Binding::Scratch(self.workgroups() + dropped + if self.op.has_bias() { units } else { 0 })
    }

    /// Invocations of a workgroup.
    fn group(&self) -> usize {
        self.sizes.units.next_multiple_of(32).min(256)
    }

    fn params(&self) -> Params {
        Params::new().u32("rows", self.sizes.rows).u32("steps", self.sizes.steps).u32("groups", self.workgroups())
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

    /// The launch that puts in place what the walk begins with.
    fn begin(&self, bindings: Vec<Binding>) -> Dispatch {
        let Sizes { rows, units, .. } = self.sizes;
        let most = (rows * units * self.op.cell.states()).max(units).max(self.workgroups());
        let launch = Dispatch::of(self.module, "begin", bindings, self.params(), most.div_ceil(Dispatch::WIDTH));
        self.specialise(launch)
    }

    /// The launches that walk, given how many products of all units a step takes.
    fn walk(&self, bindings: Vec<Binding>) -> Dispatch {
        let Sizes { steps, units, .. } = self.sizes;
        // Of a unit: its sums, four at a time, then those that are left, and what is made of them.
        let of_unit = units / 4 + units % 4 + 1;
        let products = if self.op.cell == Cell::Gru { 2 } else { 1 };
        let of_step = 1 + (1 + products) * units.div_ceil(self.group()) * of_unit;
        let span = (ROUNDS / of_step).clamp(1, steps.max(1));
        let launch = Dispatch::of(self.module, "walk", bindings, self.params(), self.workgroups());
        let launch = launch.constant("GROUP", self.group() as u32).constant("SPAN", span as u32);
        self.specialise(launch).repeated(steps.div_ceil(span).max(1))
    }
}

/// A binding that must be something, and the first input where there is none.
fn given(input: Option<usize>) -> Binding {
    Binding::Input(input.unwrap_or(0))
}

pub(super) fn forward(op: &Recurrence, io: &Io, _target: &Target) -> Vec<Dispatch> {
    let [rows, steps, units] = io.outputs[0].shape[..] else { unreachable!("the shape rule has made it") };
    let walk = Walk { op, sizes: Sizes { rows, steps, units }, module: MODULE };
    let [mask, dropped] = op.optional();
    let [y, last, prev, saved] = [0, 1, 2, 3].map(Binding::Output);
    let (first, bias) = (Binding::Input(2), given(op.has_bias().then_some(3)));
    let begin = vec![first, given(dropped), bias, last, prev, walk.scratch(), Binding::Params];
    let (x, u) = (Binding::Input(0), Binding::Input(1));
    let rest = vec![x, u, given(mask), y, last, prev, saved, walk.scratch(), Binding::Params];
    vec![walk.begin(begin), walk.walk(rest)]
}

pub(super) fn backward(op: &RecurrenceGrad, io: &Io, _target: &Target) -> Vec<Dispatch> {
    let [rows, steps, units] = io.inputs[2].shape[..] else { unreachable!("the shape rule has seen it") };
    let walk = Walk { op: &op.forward, sizes: Sizes { rows, steps, units }, module: GRADIENT_MODULE };
    let [dy, dlast, mask, dropped] = op.places();
    let [dx, ds] = [0, 1].map(Binding::Output);
    let begin = vec![given(dlast), given(dropped), ds, walk.scratch(), Binding::Params];
    let [saved, u, prev] = [0, 1, 2].map(Binding::Input);
    let rest = vec![saved, u, given(mask), given(dy), prev, dx, ds, walk.scratch(), Binding::Params];
    let of = |launch: Dispatch| launch.constant("OF_Y", op.of_y).constant("OF_LAST", op.of_last);
    vec![of(walk.begin(begin)), of(walk.walk(rest))]
}

//! Random graphs, fused and planned, on every executor, against a plain evaluation of the graph as it was written: node
//! after node, each by its f64 loop, with leaves that change in place. Leaves overlap, values have several readers, effects stand
//! between them; there are skip connections, states, and two heads on one value. And that the same finds a fault as soon as one of the guards of rewrites is out.

mod writer;

use std::collections::BTreeMap;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

use rand::Rng as _;
use writer::{Numbers, Writer};

use super::choose::Kind;
use super::{Device, Executor};
use crate::error::Result;
use crate::graph::order::switch::without;
use crate::graph::{Graph, Guard, Id, Leaf};
use crate::ops::clock::WORDS;
use crate::ops::cpu::{Slice, SliceMut};
use crate::ops::optimizer::SCALARS;
use crate::ops::{CpuArgs, CpuOp, Io};
use crate::plan::{Arena, Buffer, BufferId, Plan};
use crate::random::stream;
use crate::tensor::{DType, Shape, Values};

const SEEDS: u64 = 500;
/// The adapter has one seed in so many: a kernel that it has not seen yet takes it long.
#[cfg(feature = "gpu")]
const ON_ADAPTER: u64 = 25;
/// The rows and columns of most values.
const N: usize = 4;
const OUTPUTS: usize = 3;
/// The shapes of the trainable tensors, then that of a state.
const TENSORS: [&[usize]; 4] = [&[N, N], &[N], &[N, N], &[N]];
const STATE: usize = TENSORS.len() - 1;

fn arena() -> Arena {
    Arena::new(&TENSORS.map(Shape::from))
}

/// What each buffer holds before a run: small whole numbers.
fn memory(seed: u64) -> BTreeMap<BufferId, Values> {
    let mut rng = stream(seed, "memory", 0);
    let mut numbers = |len: usize| -> Vec<f64> { (0..len).map(|_| f64::from(rng.next_u32() % 5) - 2.0).collect() };
    let matrices = [BufferId::Input(0), BufferId::Input(1)].into_iter().chain((0..1 + OUTPUTS).map(BufferId::Output));
    let rows = [BufferId::Input(2), BufferId::Output(OUTPUTS + 1)];
    let arenas = [BufferId::Params, BufferId::Grads, BufferId::Moment(0)];
    let lens = matrices.map(|id| (id, N * N)).chain(rows.map(|id| (id, N))).chain(arenas.map(|id| (id, arena().len())));
    let mut memory: BTreeMap<_, _> = lens.map(|(id, len)| (id, Values::F64(numbers(len)))).collect();
    memory.insert(BufferId::Input(9), Values::U32(vec![1, 3, 0, 1]));
    memory.insert(BufferId::Clock, Values::U32(vec![0; WORDS]));
    let mut scalars = vec![0.0; SCALARS];
    scalars[0] = 1.0;
    memory.insert(BufferId::Schedule, Values::F64(scalars));
    memory
}

/// Where a leaf of so many elements lies.
fn place(leaf: &Leaf, len: usize) -> (BufferId, Range<usize>) {
    match leaf {
        Leaf::Param(i) => (BufferId::Params, arena().segments()[*i].clone()),
        Leaf::Grad(i) => (BufferId::Grads, arena().segments()[*i].clone()),
        Leaf::Params => (BufferId::Params, 0..len),
        Leaf::Grads => (BufferId::Grads, 0..len),
        Leaf::Moment(i) => (BufferId::Moment(*i), 0..len),
        Leaf::Input(i) => (BufferId::Input(*i), 0..len),
        Leaf::Output(i) => (BufferId::Output(*i), 0..len),
        Leaf::Clock => (BufferId::Clock, 0..len),
        Leaf::Schedule => (BufferId::Schedule, 0..len),
        Leaf::From(leaf, first) => (place(leaf, len).0, *first..first + len),
        other => unreachable!("{other:?} is not written here"),
    }
}

fn slice(values: &Values) -> Slice<'_, f64> {
    match values {
        Values::F64(v) => Slice::Real(v),
        Values::U32(v) => Slice::U32(v),
        other => unreachable!("{}", other.dtype()),
    }
}

/// Runs the nodes one after the other over what the buffers hold.
fn evaluate(g: &Graph, memory: &mut BTreeMap<BufferId, Values>) {
    let mut made: BTreeMap<Id, Values> = BTreeMap::new();
    for node in g.nodes() {
        let find = |id: &Id, memory: &BTreeMap<BufferId, Values>| match g.leaf_of(*id) {
            Some(leaf) => {
                let (buffer, range) = place(leaf, g.shape(*id).len());
                match &memory[&buffer] {
                    Values::U32(v) => Values::U32(v[range].to_vec()),
                    other => Values::F64(other.to_f64()[range].to_vec()),
                }
            }
            None => made[id].clone(),
        };
        let inputs: Vec<Values> = node.inputs.iter().map(|x| find(x, memory)).collect();
        let io = Io { inputs: g.types(&node.inputs), outputs: g.types(&node.outputs) };
        let zeros = |id: &Id| vec![0.0; g.shape(*id).len()];
        let before = |y: &Id| if node.effect { find(y, memory).to_f64() } else { zeros(y) };
        let mut outputs: Vec<Vec<f64>> = node.outputs.iter().map(before).collect();
        if node.op.is_view() {
            outputs[0] = inputs[0].to_f64();
        } else {
            let inputs: Vec<Slice<'_, f64>> = inputs.iter().map(slice).collect();
            let mut written: Vec<SliceMut<'_, f64>> = outputs.iter_mut().map(|y| SliceMut::Real(y)).collect();
            CpuOp::<f64>::cpu(&*node.op, CpuArgs { io: &io, inputs: &inputs, outputs: &mut written });
        }
        for (y, values) in node.outputs.iter().zip(outputs) {
            let Some(leaf) = g.leaf_of(*y) else {
                made.insert(*y, Values::F64(values));
                continue;
            };
            let (buffer, range) = place(leaf, values.len());
            let Some(Values::F64(kept)) = memory.get_mut(&buffer) else { unreachable!("{buffer} is of floats") };
            kept[range].copy_from_slice(&values);
        }
    }
}

/// What the buffers hold once a device has run the graph.
fn run(g: &Graph, memory: &BTreeMap<BufferId, Values>, device: &Device) -> Result<Vec<(BufferId, Vec<f64>)>> {
    let mut executor = Executor::new(device)?;
    for (&id, values) in memory {
        let dtype = if matches!(values, Values::U32(_)) { DType::U32 } else { DType::F32 };
        executor.allocate(&Buffer { id, dtype, len: values.len(), row_len: values.len() })?;
        executor.write(id, values)?;
    }
    let plan = executor.load(&Plan::new("random", g, &arena())?)?;
    executor.run(plan, 1)?;
    let read = |(&id, values): (&BufferId, &Values)| Ok((id, executor.read(id, 0..values.len())?.to_f64()));
    memory.iter().map(read).collect()
}

/// The first buffer of a seed's graph in which a device leaves something else than the plain evaluation does.
fn fault(seed: u64, device: &Device, fused: bool) -> Result<Option<String>> {
    let (g, known) = Writer::new(seed).finish();
    let before = memory(seed);
    let mut wanted = before.clone();
    evaluate(&g, &mut wanted);
    let precision = if matches!(device.kind, Kind::Reference) { 1e-12 } else { 1e-5 };
    for (id, found) in run(&if fused { g.clone().fused() } else { g.clone() }, &before, device)? {
        let numbers = known.get(&id).copied().unwrap_or(Numbers { exact: true, bound: 2.0 });
        let most = if numbers.exact { 0.0 } else { precision * numbers.bound.max(1.0) };
        let wanted = wanted[&id].to_f64();
        let off = wanted.iter().zip(&found).position(|(w, f)| (w - f).is_nan() || (w - f).abs() > most);
        if let Some(i) = off {
            let what = if fused { "fused" } else { "as written" };
            let message = format!("seed {seed}, {what}, {device}: {id}[{i}] is {}, not {}", found[i], wanted[i]);
            return Ok(Some(message));
        }
    }
    Ok(None)
}

fn assert_right(seeds: impl Iterator<Item = u64>, device: &Device) {
    for seed in seeds {
        for fused in [false, true] {
            let fault = fault(seed, device, fused).unwrap_or_else(|e| panic!("seed {seed}: {e}"));
            assert_eq!(fault, None);
        }
    }
}

#[test]
fn what_is_fused_and_planned_computes_what_was_written() {
    for device in [Device::reference(), Device::cpu()] {
        assert_right(0..SEEDS, &device);
    }
    #[cfg(feature = "gpu")]
    {
        let name = std::env::var("KILN_TEST_DEVICE").unwrap_or_else(|_| "gpu".into());
        let adapter = Device::choose_untuned(&name).expect("no adapter; run scripts/test, which installs one").device;
        assert_right((0..SEEDS).step_by(ON_ADAPTER as usize), &adapter);
    }
}

#[test]
fn without_any_one_guard_a_result_is_wrong() {
    let device = Device::reference();
    let goes_wrong = |guard: Guard| {
        let goes_wrong = |seed: u64| {
            let outcome = catch_unwind(AssertUnwindSafe(|| without(Some(guard), || fault(seed, &device, true))));
            !matches!(outcome, Ok(Ok(None)))
        };
        (0..SEEDS).find(|&seed| goes_wrong(seed))
    };
    let found: Vec<(Guard, Option<u64>)> = Guard::ALL.into_iter().map(|guard| (guard, goes_wrong(guard))).collect();
    println!("{found:?}");
    assert!(found.iter().all(|(_, seed)| seed.is_some()), "no seed needs a guard: {found:?}");
}

//! Random graphs, fused and planned, on every executor, against a plain evaluation of the graph as it was written: node
//! after node, each by its f64 loop, with leaves that change in place. Leaves overlap, values have several readers, and
//! effects stand between them. And that the same finds a fault as soon as one of the guards of rewrites is out.

use std::collections::BTreeMap;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

use rand::Rng as _;

use super::choose::Kind;
use super::{Device, Executor};
use crate::error::Result;
use crate::graph::order::switch::without;
use crate::graph::{Graph, Guard, Id, Leaf, Type};
use crate::nn::optimizer::{Optimizer as _, SCALARS, Sgd};
use crate::ops::accumulate::Accumulate;
use crate::ops::accuracy::SparseCategoricalAccuracy;
use crate::ops::activation::{Activate, ActivateGrad, Function};
use crate::ops::binary::Binary;
use crate::ops::clock::WORDS;
use crate::ops::copy::Copy;
use crate::ops::cpu::{Slice, SliceMut};
use crate::ops::matmul::MatMul;
use crate::ops::pad::Pad;
use crate::ops::reshape::Reshape;
use crate::ops::slice::{Cut, Slice as Part};
use crate::ops::softmax_cross_entropy::{SoftmaxCrossEntropy, SoftmaxCrossEntropyGrad};
use crate::ops::sum::Sum;
use crate::ops::transpose::Transpose;
use crate::ops::{CpuArgs, CpuOp, Io, Op};
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
/// The shapes of the trainable tensors.
const TENSORS: [&[usize]; 3] = [&[N, N], &[N], &[N, N]];

/// What is known of a value's elements, or of those of a buffer.
#[derive(Clone, Copy, Debug)]
struct Numbers {
    /// Whether they are whole numbers, which each device computes exactly.
    exact: bool,
    /// None is further from 0.
    bound: f64,
}

#[derive(Clone, Debug)]
struct Value {
    id: Id,
    numbers: Numbers,
    /// The buffer that its elements are in where it is a leaf or a view of one.
    buffer: Option<BufferId>,
    is_leaf: bool,
}

/// Writes a random graph.
struct Writer {
    rng: rand::rngs::ChaCha8Rng,
    g: Graph,
    arena: Arena,
    values: Vec<Value>,
    buffers: BTreeMap<BufferId, Numbers>,
    labels: Id,
    clock: Id,
    schedule: Id,
}

fn arena() -> Arena {
    Arena::new(&TENSORS.map(Shape::from))
}

impl Writer {
    fn new(seed: u64) -> Self {
        let (mut g, arena) = (Graph::new(), arena());
        let labels = g.leaf(Leaf::Input(9), Type::u32([N]));
        let clock = g.leaf(Leaf::Clock, Type::u32([WORDS]));
        let schedule = g.leaf(Leaf::Schedule, Type::float([1, SCALARS]));
        let (values, buffers) = Default::default();
        let rng = stream(seed, "graph", 0);
        let mut writer = Self { rng, g, arena, values, buffers, labels, clock, schedule };
        for _ in 0..4 {
            writer.leaf();
        }
        writer
    }

    fn below(&mut self, n: usize) -> usize {
        self.rng.next_u32() as usize % n
    }

    /// A leaf, which may be one that there is under another id, or overlap with one.
    fn leaf(&mut self) {
        let (leaf, shape, buffer) = match self.below(9) {
            i @ 0..2 => (Leaf::Input(i), vec![N, N], BufferId::Input(i)),
            2 => (Leaf::Input(2), vec![N], BufferId::Input(2)),
            3 => (Leaf::Output(0), vec![N, N], BufferId::Output(0)),
            i @ 4..7 => (Leaf::Param(i - 4), TENSORS[i - 4].to_vec(), BufferId::Params),
            7 => (Leaf::From(Box::new(Leaf::Params), 64), vec![N], BufferId::Params),
            _ => (Leaf::Grad(0), vec![N, N], BufferId::Grads),
        };
        let id = self.g.leaf(leaf, Type::float(shape));
        let numbers = Numbers { exact: true, bound: 2.0 };
        self.values.push(Value { id, numbers, buffer: Some(buffer), is_leaf: true });
    }

    /// A value that fits, rather a new one.
    fn pick(&mut self, fits: impl Fn(&Graph, &Value) -> bool) -> Option<Value> {
        let fitting: Vec<Value> = self.values.iter().filter(|value| fits(&self.g, value)).cloned().collect();
        let recent = fitting.len().saturating_sub(if self.below(3) > 0 { 4 } else { 1000 });
        let fitting = &fitting[recent..];
        let value = fitting.get(self.below(fitting.len().max(1)))?.clone();
        // A leaf has what its buffer holds by now.
        let now = value.buffer.filter(|_| value.is_leaf).and_then(|buffer| self.buffers.get(&buffer));
        Some(Value { numbers: now.copied().unwrap_or(value.numbers), ..value })
    }

    fn pick_shape(&mut self, shape: &[usize]) -> Option<Value> {
        self.pick(|g, value| **g.shape(value.id) == *shape)
    }

    fn apply(&mut self, op: impl Op, inputs: &[&Value], numbers: Numbers) -> Option<Value> {
        if numbers.bound > 1e5 {
            return None;
        }
        let buffer = if op.is_view() { inputs[0].buffer } else { None };
        let inputs: Vec<Id> = inputs.iter().map(|value| value.id).collect();
        let id = self.g.apply(op, &inputs).unwrap();
        let value = Value { id, numbers, buffer, is_leaf: false };
        self.values.push(value.clone());
        Some(value)
    }

    /// Anything: an op, an effect, a leaf.
    fn add(&mut self) -> Option<()> {
        match self.below(16) {
            0..3 => self.product(),
            3..5 => self.elementwise(),
            5 => self.activation(),
            6 => self.sum(),
            7..9 => self.moved(),
            9..11 => self.classifier(),
            11..14 => self.copied(),
            14 => self.arenas(),
            _ => {
                self.leaf();
                Some(())
            }
        }
    }

    /// A product, and perhaps what may become its epilogue, with something between.
    fn product(&mut self) -> Option<()> {
        let (a, b) = (self.pick_shape(&[N, N])?, self.pick_shape(&[N, N])?);
        let numbers = all(&[&a, &b], |bounds| N as f64 * bounds[0] * bounds[1]);
        let op = MatMul::new(self.below(2) == 0, self.below(2) == 0);
        let mut y = self.apply(op, &[&a, &b], numbers)?;
        for _ in 0..self.below(3) {
            self.between();
            y = match self.below(3) {
                0 => {
                    let bias = self.pick_shape(&[N])?;
                    self.apply(Binary::Add, &[&y, &bias], all(&[&y, &bias], |bounds| bounds[0] + bounds[1]))?
                }
                1 => self.apply(Activate(Function::Relu), &[&y], y.numbers)?,
                _ => {
                    // Relu's slope is a step: a rounded h might be on its other side.
                    let h = self.pick(|g, value| **g.shape(value.id) == [N, N] && value.numbers.exact)?;
                    let numbers = all(&[&h, &y], |bounds| bounds[1]);
                    h.numbers.exact.then(|| self.apply(ActivateGrad(Function::Relu), &[&h, &y], numbers))??
                }
            };
        }
        Some(())
    }

    /// Sometimes an effect, sometimes nothing.
    fn between(&mut self) {
        if self.below(3) == 0 {
            let _ = self.copied();
        }
    }

    fn elementwise(&mut self) -> Option<()> {
        let a = self.pick(|_, _| true)?;
        let shape = self.g.shape(a.id).clone();
        let b = self.pick_shape(&shape)?;
        let (op, bound): (_, fn(&[f64]) -> f64) = match self.below(4) {
            0 => (Binary::Add, |bounds| bounds[0] + bounds[1]),
            1 => (Binary::Sub, |bounds| bounds[0] + bounds[1]),
            2 => (Binary::Mul, |bounds| bounds[0] * bounds[1]),
            _ => (Binary::Max, |bounds| bounds[0].max(bounds[1])),
        };
        self.apply(op, &[&a, &b], all(&[&a, &b], bound)).map(drop)
    }

    fn activation(&mut self) -> Option<()> {
        let x = self.pick_shape(&[N, N])?;
        self.apply(Activate(Function::Tanh), &[&x], Numbers { exact: false, bound: 1.0 }).map(drop)
    }

    /// Sums of rows, often two, which may become a pair.
    fn sum(&mut self) -> Option<()> {
        for _ in 0..1 + self.below(2) {
            let x = self.pick_shape(&[N, N])?;
            self.apply(Sum::new(0..1), &[&x], all(&[&x], |bounds| N as f64 * bounds[0]))?;
            self.between();
        }
        Some(())
    }

    /// The same elements elsewhere, or under another shape.
    fn moved(&mut self) -> Option<()> {
        match self.below(6) {
            0..2 => {
                let x = self.pick_shape(&[N, N])?;
                self.apply(Reshape([N * N].into()), &[&x], x.numbers)
            }
            2..4 => {
                let x = self.pick_shape(&[N * N])?;
                self.apply(Reshape([N, N].into()), &[&x], x.numbers)
            }
            4 => {
                let x = self.pick_shape(&[N, N])?;
                self.apply(Transpose(vec![1, 0]), &[&x], x.numbers)
            }
            _ => {
                let x = self.pick_shape(&[N, N])?;
                let part = self.apply(Part(vec![Cut::new(1, 3), Cut::new(0, N)]), &[&x], x.numbers)?;
                self.between();
                let (before, step, shape) = (vec![0, 0], vec![1, 1], [N, N].into());
                self.apply(Pad { before, step, shape, value: 1.0 }, &[&part], part.numbers)
            }
        }
        .map(drop)
    }

    /// Cross-entropy, its gradient and the accuracy of the same logits, with something between.
    fn classifier(&mut self) -> Option<()> {
        // Of rounded scores another one may be the largest.
        let x = self.pick(|g, value| **g.shape(value.id) == [N, N] && value.numbers.exact)?;
        if !x.numbers.exact {
            return None;
        }
        let labels = Value { id: self.labels, numbers: x.numbers, buffer: None, is_leaf: false };
        let rounded = |bound| Numbers { exact: false, bound };
        self.apply(SoftmaxCrossEntropy, &[&x, &labels], rounded(2.0 * x.numbers.bound + 2.0))?;
        let hits_first = self.below(2) == 0;
        for hits in [hits_first, !hits_first] {
            self.between();
            if hits {
                self.apply(SparseCategoricalAccuracy, &[&x, &labels], Numbers { exact: true, bound: 1.0 })?;
            } else {
                let dloss = self.pick_shape(&[N])?;
                self.apply(SoftmaxCrossEntropyGrad, &[&x, &labels, &dloss], rounded(dloss.numbers.bound))?;
            }
        }
        Some(())
    }

    /// A value that goes into a leaf.
    fn copied(&mut self) -> Option<()> {
        let (leaf, shape, buffer) = match self.below(10) {
            i @ 0..2 => (Leaf::Input(i), vec![N, N], BufferId::Input(i)),
            2 => (Leaf::Input(2), vec![N], BufferId::Input(2)),
            i @ 3..6 => (Leaf::Param(i - 3), TENSORS[i - 3].to_vec(), BufferId::Params),
            i @ 6..8 => (Leaf::Grad(i - 6), TENSORS[i - 6].to_vec(), BufferId::Grads),
            8 => (Leaf::From(Box::new(Leaf::Params), 64), vec![N], BufferId::Params),
            _ => (Leaf::Output(0), vec![N, N], BufferId::Output(0)),
        };
        // No device reads and writes a buffer at once.
        let x = self.pick(|g, value| **g.shape(value.id) == *shape && value.buffer != Some(buffer))?;
        let target = self.g.leaf(leaf, Type::float(shape));
        self.g.effect(Copy, &[x.id], &[target]).unwrap();
        self.fill(buffer, x.numbers);
        Some(())
    }

    /// Notes what a buffer holds from here on, beside what it held.
    fn fill(&mut self, buffer: BufferId, new: Numbers) {
        let old = self.buffers.entry(buffer).or_insert(Numbers { exact: true, bound: 2.0 });
        *old = Numbers { exact: old.exact && new.exact, bound: old.bound.max(new.bound) };
    }

    /// An effect on whole arenas, or parts of them.
    fn arenas(&mut self) -> Option<()> {
        let len = self.arena.len();
        let held =
            |writer: &Self, buffer| writer.buffers.get(&buffer).copied().unwrap_or(Numbers { exact: true, bound: 2.0 });
        let [params, grads, moment] =
            [BufferId::Params, BufferId::Grads, BufferId::Moment(0)].map(|buffer| held(self, buffer));
        let add = |a: Numbers, b: Numbers| Numbers { exact: a.exact && b.exact, bound: a.bound + b.bound };
        if add(add(params, grads), moment).bound > 1e4 {
            return None;
        }
        let whole = |g: &mut Graph, leaf| g.leaf(leaf, Type::float([len]));
        if self.below(2) == 0 {
            let [from, to] = [Leaf::Grads, Leaf::Moment(0)].map(|leaf| whole(&mut self.g, leaf));
            self.g.effect(Accumulate { ends: None }, &[from], &[to]).unwrap();
            self.fill(BufferId::Moment(0), add(grads, moment));
            return Some(());
        }
        let first = 64 * self.below(2);
        let part = |leaf| if first == 0 { leaf } else { Leaf::From(Box::new(leaf), first) };
        let [grad, param] = [Leaf::Grads, Leaf::Params].map(|leaf| self.g.leaf(part(leaf), Type::float([len - first])));
        self.g.effect_dyn(Sgd::default().update(), &[grad, self.schedule, self.clock], &[param]).unwrap();
        self.fill(BufferId::Params, add(params, grads));
        Some(())
    }

    /// The graph, with what its outputs hold.
    fn finish(mut self) -> (Graph, BTreeMap<BufferId, Numbers>) {
        for _ in 0..8 + self.below(20) {
            let _ = self.add();
        }
        for i in 1..1 + OUTPUTS {
            if let Some(x) = self.pick_shape(&[N, N]).filter(|x| x.buffer != Some(BufferId::Output(i))) {
                self.g.output(i, x.id).unwrap();
                self.fill(BufferId::Output(i), x.numbers);
            }
        }
        if let Some(x) = self.pick_shape(&[N]) {
            self.g.output(OUTPUTS + 1, x.id).unwrap();
            self.fill(BufferId::Output(OUTPUTS + 1), x.numbers);
        }
        (self.g, self.buffers)
    }
}

/// What is known of a result, by what is known of its operands.
fn all(operands: &[&Value], bound: impl Fn(&[f64]) -> f64) -> Numbers {
    let bounds: Vec<f64> = operands.iter().map(|value| value.numbers.bound).collect();
    Numbers { exact: operands.iter().all(|value| value.numbers.exact), bound: bound(&bounds) }
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

//! A model's state on a device: parameters, moments, the resident data and the plans.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use rand::Rng as _;

use super::feed::Ordered;
use super::trace::{self, Definition, Key, Resident};
use crate::device::{Device, Executor};
use crate::error::{Error, Result};
use crate::graph::{Graph, Phase, Type};
use crate::memory;
use crate::nn::Parameter;
use crate::nn::network::MOST_COLUMNS;
use crate::nn::optimizer::{self, Optimizer, SCALARS};
use crate::ops::clock::WORDS;
use crate::plan::{Arena, Buffer, BufferId, Plan};
use crate::random::stream;
use crate::tensor::{DType, Tensor, Values};

/// What memory is asked for.
const WEIGHTS: &str = "a copy of the weights";

/// More plans than this are rarely needed; all are made anew then.
const MOST_PLANS: usize = 16;

/// What is done with the moving averages of weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Average {
    /// The weights become their averages.
    ToWeights,
    /// The averages become the weights.
    OfWeights,
    /// They change places.
    Swapped,
}

#[derive(Debug)]
pub(crate) struct Session {
    executor: Executor,
    parameters: Vec<Parameter>,
    arena: Arena,
    plans: HashMap<Key, usize>,
    /// Keys the device's random numbers.
    random_seed: u32,
    /// How many copies of the parameters are in use.
    snapshots: usize,
    /// Bytes that a buffer can have.
    largest_buffer: Option<u64>,
}

impl Session {
    /// Parameters at their initial values, on a device.
    pub async fn new(device: &Device, parameters: &[Parameter], seed: u64) -> Result<Self> {
        let arena = Arena::new(parameters.iter().map(|p| &p.shape));
        let executor = Executor::new(device)?;
        let (parameters, random_seed) = (parameters.to_vec(), stream(seed, "device", 0).next_u32());
        let (plans, largest_buffer) = (HashMap::new(), device.largest_buffer());
        let mut session = Self { executor, parameters, arena, plans, random_seed, snapshots: 0, largest_buffer };
        session.allocate_arena(BufferId::Params)?;
        // One tensor at a time, so that the host holds no second copy of all.
        for (i, (p, segment)) in session.parameters.iter().zip(session.arena.segments()).enumerate() {
            let mut values = p.initializer.values(&p.shape, seed, i)?;
            values[p.ones.clone()].fill(1.0);
            session.executor.write_at_async(BufferId::Params, segment.start, &Values::F32(values)).await?;
        }
        Ok(session)
    }

    /// Another session that shares the parameters, to predict; `None` where the device has no such thing. Training here changes
    /// nothing there.
    pub fn beside(&self) -> Option<Self> {
        let executor = self.executor.beside(BufferId::Params)?;
        let (parameters, arena, plans) = (self.parameters.clone(), self.arena.clone(), HashMap::new());
        let (random_seed, largest_buffer) = (self.random_seed, self.largest_buffer);
        Some(Self { executor, parameters, arena, plans, random_seed, snapshots: 0, largest_buffer })
    }

    pub fn executor(&mut self) -> &mut Executor {
        &mut self.executor
    }

    /// Whether the device is gone, with all that it held.
    pub fn is_lost(&self) -> bool {
        self.executor.is_lost()
    }

    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    fn allocate_arena(&mut self, id: BufferId) -> Result<()> {
        let len = self.arena.len();
        self.executor.allocate(&Buffer { id, dtype: DType::F32, len, row_len: len })
    }

    /// Writes a tensor for each parameter, in their order; what lies between them stays.
    async fn write_arena(&mut self, id: BufferId, tensors: &[Tensor]) -> Result<()> {
        for (segment, tensor) in self.arena.segments().iter().zip(tensors) {
            self.executor.write_at_async(id, segment.start, tensor.values()).await?;
        }
        Ok(())
    }

    /// Sets a whole arena to one value.
    async fn fill_arena(&mut self, id: BufferId, value: f64) -> Result<()> {
        const PIECE: usize = 1 << 16;
        let len = self.arena.len();
        self.allocate_arena(id)?;
        let piece = Values::F64(vec![value; len.min(PIECE)]);
        let last = Values::F64(vec![value; len % PIECE]);
        for start in (0..len).step_by(PIECE) {
            self.executor.write_at_async(id, start, if len - start < PIECE { &last } else { &piece }).await?;
        }
        Ok(())
    }

    /// Sets the optimizer's state to its start.
    pub async fn reset_moments(&mut self, optimizer: &dyn Optimizer) -> Result<()> {
        self.forget_plans()?;
        for (moment, state) in optimizer::states(optimizer).iter().enumerate() {
            self.fill_arena(BufferId::Moment(moment), state.initial).await?;
        }
        Ok(())
    }

    /// Replaces the optimizer's state: of each moment, a tensor for each parameter.
    pub async fn set_moments(&mut self, moments: &[Vec<Tensor>]) -> Result<()> {
        for (moment, tensors) in moments.iter().enumerate() {
            self.write_arena(BufferId::Moment(moment), tensors).await?;
        }
        Ok(())
    }

    /// A moment of all parameters, in their order.
    pub async fn moment(&mut self, moment: usize) -> Result<Vec<Tensor>> {
        self.read_arena(BufferId::Moment(moment)).await
    }

    /// All parameters, in their order.
    pub async fn weights(&mut self) -> Result<Vec<Tensor>> {
        self.read_arena(BufferId::Params).await
    }

    /// The parameter of this index.
    pub async fn weight(&mut self, index: usize) -> Result<Tensor> {
        let segment = self.arena.segments()[index].clone();
        Tensor::new(self.parameters[index].shape.clone(), self.executor.read_async(BufferId::Params, segment).await?)
    }

    /// Replaces the parameter of this index.
    pub async fn set_weight(&mut self, index: usize, tensor: &Tensor) -> Result<()> {
        let p = &self.parameters[index];
        if *tensor.shape() != p.shape || !tensor.dtype().is_float() {
            let (path, shape, dtype, given) = (p.path(), &p.shape, tensor.dtype(), tensor.shape());
            let message = format!("expected f32 or f64 {path} {shape}; was given {dtype} {given}");
            return Err(Error::shape("set_weight", message));
        }
        self.executor.write_at_async(BufferId::Params, self.arena.segments()[index].start, tensor.values()).await
    }

    /// The gradients of the last training step, in the parameters' order; zeros before the first.
    pub async fn gradients(&mut self) -> Result<Vec<Tensor>> {
        self.allocate_arena(BufferId::Grads)?;
        let mut gradients = self.read_arena(BufferId::Grads).await?;
        // Where a step is looked at before its update, a state's segment holds what it becomes.
        for (gradient, p) in gradients.iter_mut().zip(&self.parameters).filter(|(_, p)| p.is_state) {
            let zeros: Values = match gradient.values() {
                Values::F64(_) => vec![0.0f64; p.shape.len()].into(),
                _ => vec![0.0f32; p.shape.len()].into(),
            };
            *gradient = Tensor::new(p.shape.clone(), zeros)?;
        }
        Ok(gradients)
    }

    async fn read_arena(&mut self, id: BufferId) -> Result<Vec<Tensor>> {
        let all = self.executor.read_async(id, 0..self.arena.len()).await?;
        let cut = |(p, segment): (&Parameter, &Range<usize>)| match &all {
            Values::F64(v) => Tensor::new(p.shape.clone(), memory::copy(&v[segment.clone()], WEIGHTS)?),
            Values::F32(v) => Tensor::new(p.shape.clone(), memory::copy(&v[segment.clone()], WEIGHTS)?),
            _ => unreachable!("arenas hold floats"),
        };
        self.parameters.iter().zip(self.arena.segments()).map(cut).collect()
    }

    /// Replaces all parameters.
    pub async fn set_weights(&mut self, tensors: &[Tensor]) -> Result<()> {
        let described = |shapes: Vec<String>| shapes.join(", ");
        let wanted: Vec<String> = self.parameters.iter().map(|p| format!("{} {}", p.path(), p.shape)).collect();
        let fits = tensors.len() == self.parameters.len()
            && tensors.iter().zip(&self.parameters).all(|(t, p)| *t.shape() == p.shape && t.dtype().is_float());
        if !fits {
            let given = described(tensors.iter().map(|t| format!("{} {}", t.dtype(), t.shape())).collect());
            let message = format!("expected f32 or f64 {}; was given {given}", described(wanted));
            return Err(Error::shape("set_weights", message));
        }
        self.write_arena(BufferId::Params, tensors).await
    }

    /// Replaces parameters by their paths.
    pub async fn set_some(&mut self, tensors: &[(String, Tensor)]) -> Result<()> {
        let places: HashMap<String, usize> = self.paths().zip(0..).collect();
        for (path, tensor) in tensors {
            let place = places.get(path).copied().filter(|&place| self.parameters[place].shape == *tensor.shape());
            let Some(place) = place else {
                return Err(Error::shape("set_weights", format!("no weight {path} of {}", tensor.shape())));
            };
            self.executor.write_at_async(BufferId::Params, self.arena.segments()[place].start, tensor.values()).await?;
        }
        Ok(())
    }

    /// Copies all parameters aside, over the copy of this index or, without one, beside all others. Returns its index.
    pub fn snapshot(&mut self, over: Option<usize>) -> Result<usize> {
        let index = over.filter(|&index| index < self.snapshots).unwrap_or(self.snapshots);
        self.allocate_arena(BufferId::Snapshot(index))?;
        self.executor.copy(BufferId::Params, BufferId::Snapshot(index), 0..self.arena.len())?;
        self.snapshots = self.snapshots.max(index + 1);
        Ok(index)
    }

    /// Sets all parameters to those of a copy.
    pub fn restore(&mut self, snapshot: usize) -> Result<()> {
        self.executor.copy(BufferId::Snapshot(snapshot), BufferId::Params, 0..self.arena.len())
    }

    /// Copies the weights of some parameters, or their averages, on the device; `average` is the averages' index.
    pub fn copy_average(&mut self, which: &[bool], to: Average, average: usize) -> Result<()> {
        let (weights, average) = (BufferId::Params, BufferId::Moment(average));
        let free = BufferId::Snapshot(self.snapshots);
        let copies: &[(BufferId, BufferId)] = match to {
            Average::ToWeights => &[(average, weights)],
            Average::OfWeights => &[(weights, average)],
            Average::Swapped => &[(weights, free), (average, weights), (free, average)],
        };
        if to == Average::Swapped {
            self.allocate_arena(free)?;
        }
        for (stretch, which) in self.arena.stretches(which.iter().copied()) {
            let mut copies = copies.iter().filter(|_| which);
            copies.try_for_each(|&(from, to)| self.executor.copy(from, to, stretch.clone()))?;
        }
        Ok(())
    }

    /// Frees the copies' places for those of the next run.
    pub fn forget_snapshots(&mut self) {
        self.snapshots = 0;
    }

    /// Puts the samples of each input on the device, from `column` on.
    pub async fn put_inputs(&mut self, column: usize, inputs: &[(&Tensor, f32)]) -> Result<Resident> {
        for (column, (x, _)) in (column..).zip(inputs) {
            self.put_column(column, x).await?;
        }
        let typed = |(x, scale): &(&Tensor, f32)| (Type::of(x), f64::from(*scale).to_bits());
        Ok(Resident { column, inputs: inputs.iter().map(typed).collect(), targets: Vec::new(), weighted: false })
    }

    async fn put_column(&mut self, column: usize, tensor: &Tensor) -> Result<()> {
        let id = BufferId::Data(column);
        self.executor.allocate(&column_of(id, &Type::of(tensor)))?;
        self.executor.write_async(id, tensor.values()).await
    }

    /// Puts a set on the device, with a weight for each row, if any.
    pub async fn put(&mut self, set: &Resident, columns: &Ordered<'_>, weights: Option<&Tensor>) -> Result<()> {
        for (column, tensor) in (set.column..).zip(columns.tensors(weights)) {
            self.put_column(column, tensor).await?;
        }
        Ok(())
    }

    /// Writes rows of a set to where [`Session::reserve`] made room for them.
    pub async fn write(&mut self, set: &Resident, columns: &Ordered<'_>, weights: Option<&Tensor>) -> Result<()> {
        for (column, tensor) in (set.column..).zip(columns.tensors(weights)) {
            self.executor.write_async(BufferId::Data(column), tensor.values()).await?;
        }
        Ok(())
    }

    /// Frees the columns of a data set, and all plans: they may be for rows that rest there.
    pub async fn release_data(&mut self, column: usize) -> Result<()> {
        self.free_plans().await?;
        (column..column + MOST_COLUMNS).for_each(|column| self.executor.release(BufferId::Data(column)));
        Ok(())
    }

    /// Whether the device can have a buffer for a column of data.
    pub fn holds(&self, column: &Tensor) -> bool {
        let needed = column_of(BufferId::Data(0), &Type::of(column)).len_bytes() as u64;
        self.largest_buffer.is_none_or(|limit| needed <= limit)
    }

    /// Sees to it that there are buffers for a source's columns.
    pub fn reserve(&mut self, source: &Resident) -> Result<()> {
        let mut columns = source.columns();
        columns.try_for_each(|(column, ty)| self.executor.allocate(&column_of(BufferId::Data(column), &ty)))
    }

    /// The plans of a run's keys, each made at its first use.
    pub async fn plans(&mut self, model: &Definition<'_>, keys: &[Key]) -> Result<Vec<usize>> {
        let missing = keys.iter().filter(|key| !self.plans.contains_key(key)).collect::<HashSet<_>>().len();
        // All at once: a plan that goes to make room for the run's second would be its first.
        if self.plans.len() + missing > MOST_PLANS {
            self.free_plans().await?;
        }
        for key in keys {
            if !self.plans.contains_key(key) {
                let plan = self.executor.load(&make_plan(model, &mut self.parameters, key)?)?;
                self.plans.insert(key.clone(), plan);
            }
        }
        Ok(keys.iter().map(|key| self.plans[key]).collect())
    }

    /// Makes all plans anew and sets the gradients to zeros: other weights are trained from here on.
    pub async fn forget_trained(&mut self) -> Result<()> {
        self.forget_plans()?;
        self.fill_arena(BufferId::Grads, 0.0).await
    }

    fn forget_plans(&mut self) -> Result<()> {
        self.plans.clear();
        self.executor.forget_plans()
    }

    /// Forgets all plans, and waits until the device has their memory back.
    async fn free_plans(&mut self) -> Result<()> {
        self.executor.finish_async().await?;
        self.forget_plans()
    }

    /// The graph of a step as its layers wrote it.
    pub fn trace(&self, model: &Definition<'_>, key: &Key) -> Result<Graph> {
        trace::step(model, &mut self.parameters.clone(), key)
    }

    /// Runs a graph with outputs of these lengths once, and returns them.
    pub async fn run_once(&mut self, graph: &Graph, lens: &[usize]) -> Result<Vec<Vec<f64>>> {
        let plan = self.executor.load(&Plan::new("once", graph, &self.arena)?)?;
        self.executor.run_async(plan, 1).await?;
        let mut outputs = Vec::with_capacity(lens.len());
        for (i, &len) in lens.iter().enumerate() {
            outputs.push(self.executor.read_async(BufferId::Output(i), 0..len).await?.to_f64());
        }
        self.forget_plans()?;
        Ok(outputs)
    }

    /// The parameters' names, in their order.
    pub fn paths(&self) -> impl Iterator<Item = String> + '_ {
        self.parameters.iter().map(Parameter::path)
    }

    /// Sets out on a run: the order of rows, and the clock at its start.
    pub async fn start(&mut self, order: Vec<u32>, iteration: u64) -> Result<()> {
        self.executor.forget_peek();
        // No plan has it where the model reads none of its samples.
        let (len, id) = (order.len(), BufferId::Order);
        self.executor.allocate(&Buffer { id, dtype: DType::U32, len, row_len: len })?;
        self.executor.write_async(BufferId::Order, &Values::U32(order)).await?;
        self.set_clock(0, 0, iteration).await
    }

    /// Puts the clock at a step of the run, before which these many rows were taken, and of the model's life.
    pub async fn set_clock(&mut self, step: usize, rows: usize, iteration: u64) -> Result<()> {
        // The count of all steps keys random numbers only: it may wrap.
        let clock: [u32; WORDS] = [step as u32, rows as u32, iteration as u32, self.random_seed];
        self.executor.write_async(BufferId::Clock, &Values::U32(clock.to_vec())).await
    }

    /// The optimizer's scalars of the next `steps` steps after `iteration`, and what [`trace::complete`] adds.
    pub async fn write_schedule(&mut self, optimizer: &dyn Optimizer, iteration: u64, steps: usize) -> Result<()> {
        let mut rows = memory::room(steps * SCALARS, "the optimizer's scalars of each step of an epoch")?;
        (1..=steps as u64).for_each(|t| rows.extend(optimizer::scalars(optimizer, iteration + t)));
        trace::complete(&mut rows, optimizer, iteration, steps);
        // A plan whose weights are not trained, or none of which is excluded, reads less of it, or nothing.
        let (len, id) = (rows.len(), BufferId::Schedule);
        self.executor.allocate(&Buffer { id, dtype: DType::F32, len, row_len: len })?;
        self.executor.write_async(BufferId::Schedule, &Values::F64(rows)).await
    }
}

/// The buffer of a column of data.
fn column_of(id: BufferId, ty: &Type) -> Buffer {
    let len = ty.shape.len();
    Buffer { id, dtype: ty.dtype, len, row_len: len / ty.shape.first().copied().unwrap_or(1).max(1) }
}

/// Traces a step and plans it.
pub(crate) fn make_plan(model: &Definition<'_>, parameters: &mut [Parameter], key: &Key) -> Result<Plan> {
    let graph = trace::step(model, parameters, key)?.fused();
    let arena = Arena::new(parameters.iter().map(|p| &p.shape));
    let verb = match key.mode {
        trace::Mode::Train => "train",
        trace::Mode::Evaluate => "evaluate",
        trace::Mode::Predict => "predict",
    };
    let mut plan = Plan::new(format!("{verb}, batch {}", key.batch), &graph, &arena)?;
    if key.part != trace::Part::All {
        plan.retain(|phase| (phase == Phase::Update) == (key.part == trace::Part::Update));
    }
    Ok(plan)
}

//! The CPU executor: walks a plan's steps over slices, in f32 to train or in f64 as the reference.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use super::Span;
use crate::clock::Instant;
use crate::error::{Error, Result};
use crate::memory;
use crate::ops::cpu::{CpuArgs, CpuOp, Real, Slice, SliceMut};
use crate::ops::{Io, Op};
use crate::plan::{Buffer, BufferId, Plan, Step};
use crate::tensor::{DType, Values};
use crate::threads::Pool;

/// A buffer in host memory.
#[derive(Clone, Debug)]
enum Memory<T> {
    /// Other executors may read it, too: whoever writes it has a copy of its own from then on.
    Real(Arc<Vec<T>>),
    U32(Vec<u32>),
    U8(Vec<u8>),
}

impl<T: Real> Memory<T> {
    fn zeros(buffer: &Buffer) -> Result<Self> {
        let Buffer { id, dtype, len, .. } = *buffer;
        // `vec!` ends the process where there is no memory, so it is asked for once before.
        if Vec::<T>::new().try_reserve_exact(len).is_err() {
            return Err(Error::memory("cpu", format!("the buffer of {id}"), len as u64 * size_of::<T>() as u64));
        }
        Ok(match dtype {
            DType::F32 | DType::F64 => Self::Real(Arc::new(vec![T::zero(); len])),
            DType::U32 => Self::U32(vec![0; len]),
            DType::U8 => Self::U8(vec![0; len]),
        })
    }

    fn empty() -> Self {
        Self::Real(Arc::default())
    }

    fn bytes(&self) -> u64 {
        let bytes = match self {
            Self::Real(v) => size_of_val(&v[..]),
            Self::U32(v) => size_of_val(&v[..]),
            Self::U8(v) => v.len(),
        };
        bytes as u64
    }

    fn fits(&self, buffer: &Buffer) -> bool {
        match self {
            Self::Real(v) => matches!(buffer.dtype, DType::F32 | DType::F64) && v.len() >= buffer.len,
            Self::U32(v) => buffer.dtype == DType::U32 && v.len() >= buffer.len,
            Self::U8(v) => buffer.dtype == DType::U8 && v.len() >= buffer.len,
        }
    }

    fn slice(&self, range: &Range<usize>) -> Slice<'_, T> {
        match self {
            Self::Real(v) => Slice::Real(&v[range.clone()]),
            Self::U32(v) => Slice::U32(&v[range.clone()]),
            Self::U8(v) => Slice::U8(&v[range.clone()]),
        }
    }

    fn all_mut(&mut self) -> SliceMut<'_, T> {
        match self {
            Self::Real(v) => SliceMut::Real(&mut Arc::make_mut(v)[..]),
            Self::U32(v) => SliceMut::U32(v),
            Self::U8(_) => unreachable!("bytes are data at rest, which no op writes"),
        }
    }
}

/// A plan that is ready to run.
#[derive(Debug)]
struct Loaded {
    steps: Vec<LoadedStep>,
    /// Whether there is work for several threads in it.
    parallel: bool,
}

#[derive(Debug)]
struct LoadedStep {
    op: Arc<dyn Op>,
    io: Io,
    inputs: usize,
    outputs: usize,
    touched: Vec<Touched>,
}

/// A buffer that a step reads or writes; a step's are in the order of the list of all buffers.
#[derive(Debug)]
struct Touched {
    buffer: usize,
    written: bool,
    /// Which of the step's inputs, or of its outputs, lie in the buffer and where, first to last.
    operands: Vec<(usize, Range<usize>)>,
}

/// The buffers of a step's places, `index` of which each place has.
fn touched(step: &Step, index: impl Fn(&BufferId) -> usize) -> Vec<Touched> {
    let mut touched: Vec<Touched> = Vec::new();
    for (places, written) in [(&step.inputs, false), (&step.outputs, true)] {
        for (operand, place) in places.iter().enumerate() {
            let (buffer, operand) = (index(&place.buffer), (operand, place.range.clone()));
            match touched.iter_mut().find(|t| t.buffer == buffer) {
                Some(found) if found.written == written => found.operands.push(operand),
                Some(_) => unreachable!("{} reads {}, which it writes: Plan::check", step.op.name(), place.buffer),
                None => touched.push(Touched { buffer, written, operands: vec![operand] }),
            }
        }
    }
    touched.sort_by_key(|t| t.buffer);
    touched.iter_mut().for_each(|t| t.operands.sort_by_key(|(_, range)| range.start));
    touched
}

/// Runs plans on the processor, in a thread pool of its own.
#[derive(Debug)]
pub struct Executor<T> {
    memory: Vec<Memory<T>>,
    session: HashMap<BufferId, usize>,
    plans: Vec<Loaded>,
    pool: Pool,
    /// Whether plans that leave nothing to a second thread run on the caller's.
    on_callers: bool,
}

/// Lets the generic executor call an op in its own float type.
pub trait Float: Real {
    /// Runs the op's CPU loop.
    fn call(op: &dyn Op, args: CpuArgs<'_, Self>);
}

impl Float for f32 {
    fn call(op: &dyn Op, args: CpuArgs<'_, Self>) {
        CpuOp::<Self>::cpu(op, args);
    }
}

impl Float for f64 {
    fn call(op: &dyn Op, args: CpuArgs<'_, Self>) {
        CpuOp::<Self>::cpu(op, args);
    }
}

impl<T: Float> Executor<T> {
    /// An executor that runs on the threads of a pool.
    pub fn new(pool: Pool) -> Self {
        let (memory, session, plans, on_callers) = (Vec::new(), HashMap::new(), Vec::new(), false);
        Self { memory, session, plans, pool, on_callers }
    }

    /// Another executor in the same pool, which has this buffer of the session alone, in the same memory. Small plans run on the
    /// threads that ask for them.
    pub fn beside(&self, id: BufferId) -> Self {
        let memory = vec![self.memory[self.session[&id]].clone()];
        Self { memory, session: [(id, 0)].into(), plans: Vec::new(), pool: self.pool.clone(), on_callers: true }
    }

    /// Sees to it that a buffer of the session has at least this size; one that has keeps what it holds, a new one is
    /// zeros.
    ///
    /// # Errors
    /// [`Error::Device`] where there is no memory for it.
    pub fn allocate(&mut self, buffer: &Buffer) -> Result<()> {
        match self.session.get(&buffer.id) {
            Some(&index) if self.memory[index].fits(buffer) => {}
            Some(&index) => self.memory[index] = Memory::zeros(buffer)?,
            None => {
                let memory = Memory::zeros(buffer)?;
                self.session.insert(buffer.id, self.memory.len());
                self.memory.push(memory);
            }
        }
        Ok(())
    }

    /// Writes elements from `start` on, rounded to this executor's float.
    pub fn write(&mut self, id: BufferId, start: usize, values: &Values) {
        let memory = &mut self.memory[self.session[&id]];
        let range = start..start + values.len();
        match (memory, values) {
            (Memory::U32(to), Values::U32(from)) => to[range].copy_from_slice(from),
            (Memory::U8(to), Values::U8(from)) => to[range].copy_from_slice(from),
            (Memory::Real(to), Values::F64(from)) => {
                Arc::make_mut(to)[range].iter_mut().zip(from).for_each(|(to, &x)| *to = T::of(x));
            }
            (Memory::Real(to), Values::F32(from)) => {
                Arc::make_mut(to)[range].iter_mut().zip(from).for_each(|(to, &x)| *to = T::of(f64::from(x)));
            }
            (_, values) => panic!("{id} does not hold {}", values.dtype()),
        }
    }

    /// Copies elements of a buffer of floats to the same place in another.
    pub fn copy(&mut self, from: BufferId, to: BufferId, range: Range<usize>) {
        let buffers = self.memory.get_disjoint_mut([self.session[&from], self.session[&to]]);
        if let Ok([Memory::Real(from), Memory::Real(to)]) = buffers {
            Arc::make_mut(to)[range.clone()].copy_from_slice(&from[range]);
        }
    }

    /// Bytes of all buffers.
    pub fn bytes(&self) -> u64 {
        self.memory.iter().map(Memory::bytes).sum()
    }

    /// Bytes of a buffer of the session; 0 where there is none.
    pub fn bytes_of(&self, id: BufferId) -> u64 {
        self.session.get(&id).map_or(0, |&index| self.memory[index].bytes())
    }

    /// Frees a buffer of the session. No plan that needs it runs before it is allocated again.
    pub fn release(&mut self, id: BufferId) {
        if let Some(&index) = self.session.get(&id) {
            self.memory[index] = Memory::empty();
        }
    }

    /// Elements of a buffer: floats as this executor's.
    ///
    /// # Errors
    /// [`Error::Memory`] where there is none for them.
    pub fn read(&self, id: BufferId, range: Range<usize>) -> Result<Values> {
        let what = format!("a copy of {id}");
        Ok(match &self.memory[self.session[&id]] {
            Memory::Real(v) => T::values(memory::copy(&v[range], &what)?),
            Memory::U32(v) => Values::U32(memory::copy(&v[range], &what)?),
            Memory::U8(v) => Values::U8(memory::copy(&v[range], &what)?),
        })
    }

    /// The type of a buffer of the session, and its elements.
    pub fn layout(&self, id: BufferId) -> Option<(DType, usize)> {
        self.session.get(&id).map(|&index| match &self.memory[index] {
            Memory::Real(v) => (DType::F32, v.len()),
            Memory::U32(v) => (DType::U32, v.len()),
            Memory::U8(v) => (DType::U8, v.len()),
        })
    }

    /// How many plans are loaded.
    pub fn plans(&self) -> usize {
        self.plans.len()
    }

    /// Makes a plan ready to run; its session buffers must be allocated. Returns its number.
    ///
    /// # Errors
    /// [`Error::Device`] where there is no memory for its values.
    pub fn load(&mut self, plan: &Plan) -> Result<usize> {
        let mut own = HashMap::new();
        for buffer in plan.buffers.iter().filter(|b| b.id.is_plans_own()) {
            let memory = match buffer.id {
                BufferId::Constants => Memory::Real(Arc::new(plan.constants.iter().map(|&x| T::of(x)).collect())),
                _ => Memory::zeros(buffer)?,
            };
            own.insert(buffer.id, self.memory.len());
            self.memory.push(memory);
        }
        let index = |id: &BufferId| *own.get(id).or_else(|| self.session.get(id)).expect("allocated before loading");
        let steps = plan.steps.iter().map(|step| LoadedStep {
            op: step.op.clone(),
            io: step.io.clone(),
            inputs: step.inputs.len(),
            outputs: step.outputs.len(),
            touched: touched(step, index),
        });
        self.plans.push(Loaded { steps: steps.collect(), parallel: plan.flops() >= PARALLEL_FROM });
        Ok(self.plans.len() - 1)
    }

    /// Frees all plans; their numbers are void.
    pub fn forget_plans(&mut self) {
        self.plans.clear();
        let kept: Vec<usize> = self.session.values().copied().collect();
        let plans_own = self.memory.iter_mut().enumerate().filter(|(index, _)| !kept.contains(index));
        plans_own.for_each(|(_, memory)| *memory = Memory::empty());
    }

    /// Runs plans that take turns: run i is of `turns[i % turns.len()]`.
    pub fn run(&mut self, turns: &[usize], runs: Range<usize>) {
        let (plans, memory) = (&self.plans, &mut self.memory);
        let parallel = plans[turns[0]].parallel;
        let all = || {
            for step in runs.flat_map(|run| &plans[turns[run % turns.len()]].steps) {
                run_step(step, memory);
            }
        };
        if self.on_callers && !parallel { all() } else { self.pool.run(parallel, all) }
    }

    /// Runs a plan `runs` times and times each step.
    pub fn profile(&mut self, plan: usize, runs: usize) -> Vec<Span> {
        let (plan, memory) = (&self.plans[plan], &mut self.memory);
        let begin = Instant::now();
        let timed = |(index, step): (usize, &LoadedStep)| {
            let start = begin.elapsed();
            run_step(step, memory);
            Span { step: index, start, duration: begin.elapsed() - start }
        };
        self.pool.run(plan.parallel, || {
            std::iter::repeat_n(&plan.steps, runs).flat_map(|steps| steps.iter().enumerate()).map(timed).collect()
        })
    }
}

/// A plan of fewer operations leaves next to nothing to a second thread.
const PARALLEL_FROM: u64 = 1_000_000;

/// Operands of a step that are listed without asking for memory.
const FEW: usize = 8;

/// A list of `count`, in `few` where they fit.
fn list<'a, X>(count: usize, few: &'a mut [X; FEW], many: &'a mut Vec<X>, empty: impl Fn() -> X) -> &'a mut [X] {
    if count <= FEW {
        return &mut few[..count];
    }
    many.resize_with(count, empty);
    many
}

/// Runs one step, without asking for memory.
fn run_step<T: Float>(step: &LoadedStep, memory: &mut [Memory<T>]) {
    let (mut few_inputs, mut many_inputs) = ([Slice::Real(&[]); FEW], Vec::new());
    let (mut few_outputs, mut many_outputs) = (std::array::from_fn(|_| SliceMut::Real(&mut [])), Vec::new());
    let inputs = list(step.inputs, &mut few_inputs, &mut many_inputs, || Slice::Real(&[]));
    let outputs = list(step.outputs, &mut few_outputs, &mut many_outputs, || SliceMut::Real(&mut []));
    let (mut rest, mut first) = (memory, 0);
    for touched in &step.touched {
        let (one, behind) = rest[touched.buffer - first..].split_first_mut().expect("a buffer of the list");
        (rest, first) = (behind, touched.buffer + 1);
        if touched.written {
            cut(one.all_mut(), &touched.operands, outputs);
        } else {
            touched.operands.iter().for_each(|(input, range)| inputs[*input] = one.slice(range));
        }
    }
    T::call(&*step.op, CpuArgs { io: &step.io, inputs, outputs });
}

/// Gives each output its range of a buffer.
fn cut<'a, T>(mut rest: SliceMut<'a, T>, ranges: &[(usize, Range<usize>)], outputs: &mut [SliceMut<'a, T>]) {
    let mut end = 0;
    for (output, range) in ranges {
        let (one, behind) = rest.cut(range.start - end..range.end - end);
        (outputs[*output], rest, end) = (one, behind, range.end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_that_no_memory_holds_is_an_error() {
        let mut executor = Executor::<f32>::new(Pool::new(1).unwrap());
        let len = 1 << 50;
        let buffer = Buffer { id: BufferId::Params, dtype: DType::F32, len, row_len: len };
        let error = executor.allocate(&buffer).unwrap_err().to_string();
        assert!(error.contains("params") && error.contains("smaller batches"), "{error}");
    }
}

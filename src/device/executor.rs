//! One face for all executors.

use std::ops::Range;
use std::time::Duration;

use super::blocking::block_on;
use super::choose::{Device, Kind};
use super::cpu;
#[cfg(feature = "gpu")]
use super::gpu;
use crate::error::{Error, Result};
use crate::plan::{Buffer, BufferId, Plan};
use crate::tensor::{DType, Values};
use crate::threads::Pool;

/// Runs plans on a device and keeps the session's buffers there. What may have to wait for the device has a twin whose name
/// ends in `_async`, for callers that cannot block.
#[derive(Debug)]
pub struct Executor {
    inner: Inner,
    starts: u64,
    memory_limit: Option<u64>,
    device: String,
}

#[derive(Debug)]
enum Inner {
    Cpu(cpu::Executor<f32>),
    Reference(cpu::Executor<f64>),
    #[cfg(feature = "gpu")]
    Gpu(Box<gpu::Executor>),
}

/// When a step, or one of its launches where it has several, ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The index of the plan's step.
    pub step: usize,
    /// Since the first one began.
    pub start: Duration,
    /// How long it took.
    pub duration: Duration,
}

/// Runs of a plan between two looks at the clock on the wall.
const CPU_RUNS: usize = 16;

macro_rules! on_cpu_or_gpu {
    ($inner:expr, $cpu:ident => $on_cpu:expr, $gpu:ident => $on_gpu:expr) => {
        match $inner {
            Inner::Cpu($cpu) => $on_cpu,
            Inner::Reference($cpu) => $on_cpu,
            #[cfg(feature = "gpu")]
            Inner::Gpu($gpu) => $on_gpu,
        }
    };
}

impl Executor {
    /// An executor on a device.
    ///
    /// # Errors
    /// [`Error::Device`] where the system gives no threads.
    pub fn new(device: &Device) -> Result<Self> {
        let pool = || device.pool.clone().map_or_else(|| Pool::new(0), Ok);
        let inner = match &device.kind {
            Kind::Cpu => Inner::Cpu(cpu::Executor::new(pool()?)),
            Kind::Reference => Inner::Reference(cpu::Executor::new(pool()?)),
            #[cfg(feature = "gpu")]
            Kind::Gpu(context, target) => Inner::Gpu(Box::new(gpu::Executor::new(context.clone(), target.clone()))),
        };
        Ok(Self { inner, starts: 0, memory_limit: device.memory_limit, device: device.to_string() })
    }

    /// Another executor that reads this one's buffer of floats, in the same memory; `None` where the device has no such thing.
    /// What is written here from then on it does not see.
    pub(crate) fn beside(&self, id: BufferId) -> Option<Self> {
        let inner = match &self.inner {
            Inner::Cpu(cpu) => Inner::Cpu(cpu.beside(id)),
            Inner::Reference(cpu) => Inner::Reference(cpu.beside(id)),
            #[cfg(feature = "gpu")]
            Inner::Gpu(_) => return None,
        };
        Some(Self { inner, starts: 0, memory_limit: self.memory_limit, device: self.device.clone() })
    }

    /// Fixes how many runs of a plan go to the device at once; `None`, the default, lets it choose. The result is the
    /// same to the bit.
    pub fn set_steps_per_submit(&mut self, steps: Option<usize>) {
        on_cpu_or_gpu!(&mut self.inner, _cpu => { let _ = steps; }, gpu => gpu.set_steps_per_submit(steps));
    }

    /// Sees to it that a buffer of the session has at least this size; one that has keeps what it holds, a new one is
    /// zeros.
    ///
    /// # Errors
    /// [`Error::Limit`] where the device allows no buffer of that size, [`Error::Memory`] where it has no room left, and
    /// [`Error::Device`].
    pub fn allocate(&mut self, buffer: &Buffer) -> Result<()> {
        let held = on_cpu_or_gpu!(&self.inner, cpu => cpu.bytes_of(buffer.id), gpu => gpu.bytes_of(buffer.id));
        let needed = buffer.len_bytes() as u64;
        if needed > held {
            self.check_memory(&format!("the buffer of {}", buffer.id), needed, held)?;
        }
        on_cpu_or_gpu!(&mut self.inner, cpu => cpu.allocate(buffer), gpu => gpu.allocate(buffer))
    }

    /// That there is room for so many bytes in place of those that are freed for them.
    fn check_memory(&self, what: &str, needed: u64, freed: u64) -> Result<()> {
        let Some(limit) = self.memory_limit else { return Ok(()) };
        let used = on_cpu_or_gpu!(&self.inner, cpu => cpu.bytes(), gpu => gpu.bytes()) - freed;
        if used + needed > limit { Err(Error::memory(&self.device, what, needed)) } else { Ok(()) }
    }

    /// Frees a buffer of the session. No plan that needs it may run before it is allocated again.
    pub fn release(&mut self, id: BufferId) {
        on_cpu_or_gpu!(&mut self.inner, cpu => cpu.release(id), gpu => gpu.release(id));
    }

    /// Whether the device is gone, with all that it held.
    pub fn is_lost(&self) -> bool {
        on_cpu_or_gpu!(&self.inner, _cpu => false, gpu => gpu.is_lost())
    }

    /// Writes elements from the start of a buffer on; floats are rounded to the device's.
    ///
    /// # Errors
    /// [`Error::Argument`] where there is no such buffer, or it does not hold them; [`Error::Device`] where the device refuses.
    pub fn write(&mut self, id: BufferId, values: &Values) -> Result<()> {
        self.write_at(id, 0, values)
    }

    /// [`Executor::write`] for callers that cannot block: what is large goes to a GPU in pieces, each when the last is there.
    ///
    /// # Errors
    /// As [`Executor::write`].
    pub async fn write_async(&mut self, id: BufferId, values: &Values) -> Result<()> {
        self.write_at_async(id, 0, values).await
    }

    /// [`Executor::write`] from an element on; bytes from a row's start on.
    ///
    /// # Errors
    /// As [`Executor::write`].
    pub fn write_at(&mut self, id: BufferId, start: usize, values: &Values) -> Result<()> {
        block_on(self.write_at_async(id, start, values))
    }

    /// [`Executor::write_at`] for callers that cannot block.
    ///
    /// # Errors
    /// As [`Executor::write`].
    pub async fn write_at_async(&mut self, id: BufferId, start: usize, values: &Values) -> Result<()> {
        let dtype = self.check_place(id, start..start.saturating_add(values.len()))?;
        let float = matches!(values, Values::F32(_) | Values::F64(_));
        if if float { !dtype.is_float() } else { values.dtype() != dtype } {
            return Err(Error::argument(id.to_string(), format!("holds {dtype}, was given {}", values.dtype())));
        }
        on_cpu_or_gpu!(
            &mut self.inner,
            cpu => { cpu.write(id, start, values); Ok(()) },
            gpu => gpu.write(id, start, values).await
        )
    }

    /// The type of a buffer that has these elements.
    fn check_place(&self, id: BufferId, range: Range<usize>) -> Result<DType> {
        match on_cpu_or_gpu!(&self.inner, cpu => cpu.layout(id), gpu => gpu.layout(id)) {
            Some((dtype, len)) if range.end <= len => Ok(dtype),
            Some((_, len)) => {
                Err(Error::argument(id.to_string(), format!("has {len} elements, {} were asked for", range.end)))
            }
            None => Err(Error::argument(id.to_string(), "was not allocated: no plan that was loaded has it")),
        }
    }

    /// Copies elements of a buffer of floats to the same place in another, on the device.
    ///
    /// # Errors
    /// [`Error::Argument`] where one of the two has no such elements; [`Error::Device`] where the device refuses.
    pub fn copy(&mut self, from: BufferId, to: BufferId, range: Range<usize>) -> Result<()> {
        for id in [from, to] {
            if !self.check_place(id, range.clone())?.is_float() {
                return Err(Error::argument(id.to_string(), "holds no floats, which alone are copied"));
            }
        }
        on_cpu_or_gpu!(&mut self.inner, cpu => { cpu.copy(from, to, range); Ok(()) }, gpu => gpu.copy(from, to, range))
    }

    /// Elements of a buffer, once everything asked for has run: floats as f32 or f64.
    ///
    /// # Errors
    /// [`Error::Device`] where the device refuses or is lost.
    pub fn read(&mut self, id: BufferId, range: Range<usize>) -> Result<Values> {
        block_on(self.read_async(id, range))
    }

    /// [`Executor::read`] for callers that cannot block.
    ///
    /// # Errors
    /// As [`Executor::read`].
    pub async fn read_async(&mut self, id: BufferId, range: Range<usize>) -> Result<Values> {
        self.check_place(id, range.clone())?;
        on_cpu_or_gpu!(&mut self.inner, cpu => cpu.read(id, range), gpu => gpu.read(id, range).await)
    }

    /// What elements of a buffer were lately; `None` while the device has not answered. Never waits.
    ///
    /// # Errors
    /// [`Error::Device`] where the device refuses or is lost.
    pub fn peek(&mut self, id: BufferId, range: Range<usize>) -> Result<Option<Values>> {
        self.check_place(id, range.clone())?;
        on_cpu_or_gpu!(&mut self.inner, cpu => cpu.read(id, range).map(Some), gpu => gpu.peek(id, range))
    }

    /// Forgets what [`Executor::peek`] asked for, before it is out of date.
    pub fn forget_peek(&mut self) {
        on_cpu_or_gpu!(&mut self.inner, _cpu => {}, gpu => gpu.forget_peek());
    }

    /// Makes a plan ready to run, with the session's buffers that it needs. Returns its number.
    ///
    /// # Errors
    /// [`Error::Limit`] or [`Error::Device`] where the device has no room, or does not compile a kernel; [`Error::Shape`]
    /// where a step reads and writes one buffer.
    pub fn load(&mut self, plan: &Plan) -> Result<usize> {
        plan.check()?;
        for buffer in plan.buffers.iter().filter(|b| !b.id.is_plans_own()) {
            self.allocate(buffer)?;
        }
        let own = plan.buffers.iter().filter(|b| b.id.is_plans_own()).map(|b| b.len_bytes() as u64).sum();
        self.check_memory(&format!("the values of the plan {:?}", plan.name), own, 0)?;
        on_cpu_or_gpu!(&mut self.inner, cpu => cpu.load(plan), gpu => gpu.load(plan))
    }

    /// Frees all plans; their numbers are void. Never waits: a GPU has the memory back when what was started has run.
    ///
    /// # Errors
    /// [`Error::Device`] where the device is lost.
    pub fn forget_plans(&mut self) -> Result<()> {
        on_cpu_or_gpu!(&mut self.inner, cpu => { cpu.forget_plans(); Ok(()) }, gpu => gpu.forget_plans())
    }

    /// Starts the first of these runs of plans that take turns, and returns how many; run i is of `plans[i % plans.len()]`.
    ///
    /// # Errors
    /// [`Error::Device`] where the device refuses, runs out of memory or is lost.
    pub fn run_some(&mut self, plans: &[usize], runs: Range<usize>) -> Result<usize> {
        block_on(self.run_some_async(plans, runs))
    }

    /// [`Executor::run_some`] for callers that cannot block: a GPU has two submits under way at most.
    ///
    /// # Errors
    /// As [`Executor::run_some`].
    pub async fn run_some_async(&mut self, plans: &[usize], runs: Range<usize>) -> Result<usize> {
        self.check_plans(plans)?;
        if runs.is_empty() {
            return Ok(0);
        }
        self.starts += 1;
        on_cpu_or_gpu!(
            &mut self.inner,
            cpu => {
                let runs = runs.start..runs.end.min(runs.start + CPU_RUNS);
                cpu.run(plans, runs.clone());
                Ok(runs.len())
            },
            gpu => gpu.run_some(plans, runs).await
        )
    }

    fn check_plans(&self, plans: &[usize]) -> Result<()> {
        let loaded = on_cpu_or_gpu!(&self.inner, cpu => cpu.plans(), gpu => gpu.plans());
        match plans.iter().find(|&&plan| plan >= loaded) {
            Some(plan) => Err(Error::argument("plan", format!("there is no plan {plan}; {loaded} are loaded"))),
            None if plans.is_empty() => Err(Error::argument("plans", "none is given; give one or more")),
            None => Ok(()),
        }
    }

    /// How often runs were started so far: each time one or more, a GPU's in one submit.
    pub fn starts(&self) -> u64 {
        self.starts
    }

    /// Starts `times` runs of a plan.
    ///
    /// # Errors
    /// [`Error::Device`] where the device refuses, runs out of memory or is lost.
    pub fn run(&mut self, plan: usize, times: usize) -> Result<()> {
        block_on(self.run_async(plan, times))
    }

    /// [`Executor::run`] for callers that cannot block.
    ///
    /// # Errors
    /// As [`Executor::run`].
    pub async fn run_async(&mut self, plan: usize, times: usize) -> Result<()> {
        let mut done = 0;
        while done < times {
            done += self.run_some_async(&[plan], done..times).await?;
        }
        Ok(())
    }

    /// Waits until everything started has run.
    ///
    /// # Errors
    /// [`Error::Device`] where the device is lost.
    pub fn finish(&mut self) -> Result<()> {
        block_on(self.finish_async())
    }

    /// [`Executor::finish`] for callers that cannot block.
    ///
    /// # Errors
    /// As [`Executor::finish`].
    pub async fn finish_async(&mut self) -> Result<()> {
        on_cpu_or_gpu!(&mut self.inner, _cpu => Ok(()), gpu => gpu.finish().await)
    }

    /// Runs a plan `runs` times and times each launch, or each step on the CPU, by the device's own clock.
    ///
    /// # Errors
    /// [`Error::Device`] where the adapter times no kernels, refuses or is lost.
    pub fn profile(&mut self, plan: usize, runs: usize) -> Result<Vec<Span>> {
        block_on(self.profile_async(plan, runs))
    }

    /// [`Executor::profile`] for callers that cannot block.
    ///
    /// # Errors
    /// As [`Executor::profile`].
    pub async fn profile_async(&mut self, plan: usize, runs: usize) -> Result<Vec<Span>> {
        self.check_plans(&[plan])?;
        on_cpu_or_gpu!(&mut self.inner, cpu => Ok(cpu.profile(plan, runs)), gpu => gpu.profile(plan, runs).await)
    }
}

//! The GPU executor: compiles a plan's launches once and replays them through wgpu.

mod adapter;
mod context;
#[cfg(all(test, feature = "counters"))]
mod counters;
#[cfg(test)]
mod lost;
#[cfg(test)]
mod never_blocking;
mod pace;
mod profile;
mod readback;
mod replay;
#[cfg(not(target_family = "wasm"))]
mod waiting;
#[cfg(target_family = "wasm")]
#[path = "browser.rs"]
mod waiting;

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::Arc;

use pace::Pace;

pub use adapter::{Adapter, AdapterSummary};
pub use context::Context;

use crate::error::Result;
use crate::ops::{Binding, Dispatch, Target};
use crate::plan::{Buffer, BufferId, Place, Plan};
use crate::tensor::{DType, Values};

/// Bindings start at multiples of this many bytes, which every device allows.
const ALIGNMENT: u64 = 256;

#[derive(Debug)]
struct DeviceBuffer {
    layout: Buffer,
    buffer: wgpu::Buffer,
}

/// What a loaded plan launches, once or more often.
#[derive(Debug)]
struct Launch {
    /// The index of the plan's step that it belongs to.
    step: usize,
    pipeline: wgpu::ComputePipeline,
    bindings: Vec<Bound>,
    workgroups: [u32; 3],
}

impl Launch {
    fn encode(&self, bind_group: &wgpu::BindGroup, pass: &mut wgpu::ComputePass<'_>) {
        let [x, y, z] = self.workgroups;
        pass.set_pipeline(&self.pipeline);
        pass.set_bind_group(0, bind_group, &[]);
        pass.dispatch_workgroups(x, y, z);
    }
}

/// What a launch binds.
#[derive(Debug)]
enum Bound {
    Place(Place),
    /// The bytes of the plan's uniform buffer.
    Params(Range<u64>),
}

#[derive(Debug)]
struct LoadedPlan {
    name: String,
    own: HashMap<BufferId, DeviceBuffer>,
    uniforms: wgpu::Buffer,
    kernels: Vec<Launch>,
    /// Which kernel each launch is of, in order.
    launches: Vec<usize>,
    /// One a kernel, made when the session's buffers last changed.
    bind_groups: Vec<wgpu::BindGroup>,
    generation: u64,
    pace: Pace,
}

/// Runs plans on a GPU.
#[derive(Debug)]
pub struct Executor {
    context: Arc<Context>,
    target: Target,
    session: HashMap<BufferId, DeviceBuffer>,
    /// Counts the session's buffers made, so that plans know when to bind anew.
    generation: u64,
    plans: Vec<LoadedPlan>,
    flight: replay::Flight,
    peek: Option<readback::Peek>,
}

impl Executor {
    /// An executor on an open device, with the kernels for a kind of adapter.
    pub fn new(context: Arc<Context>, target: Target) -> Self {
        let (session, plans) = (HashMap::new(), Vec::new());
        let flight = replay::Flight::new(replay::patience(context.summary().kind));
        Self { context, target, session, generation: 0, plans, flight, peek: None }
    }

    /// Fixes how many runs of a plan go to one submit; `None`, the default, takes as many as fit some 20 ms.
    pub fn set_steps_per_submit(&mut self, steps: Option<usize>) {
        self.flight.fixed = steps;
    }

    /// Sees to it that a buffer of the session has at least this size; one that has keeps what it holds, a new one is
    /// zeros.
    ///
    /// # Errors
    /// [`crate::Error::Limit`] or [`crate::Error::Device`] where the device has no room for it.
    pub fn allocate(&mut self, layout: &Buffer) -> Result<()> {
        let same_rows = |b: &Buffer| layout.dtype != DType::U8 || b.row_len == layout.row_len;
        let fits = |b: &Buffer| b.dtype == layout.dtype && b.len >= layout.len && same_rows(b);
        if self.session.get(&layout.id).is_some_and(|b| fits(&b.layout)) {
            return Ok(());
        }
        let buffer = self.context.buffer(layout)?;
        self.session.insert(layout.id, DeviceBuffer { layout: layout.clone(), buffer });
        self.generation += 1;
        Ok(())
    }

    /// Writes elements from `start` on; doubles are rounded. Of bytes, `start` is where a row begins.
    ///
    /// # Errors
    /// [`crate::Error::Device`] where the device refuses.
    pub async fn write(&mut self, id: BufferId, start: usize, values: &Values) -> Result<()> {
        let DeviceBuffer { layout, buffer } = &self.session[&id];
        let (count, row_len) = (values.len(), layout.row_len.max(1));
        let end = start + count;
        assert!(end <= layout.len, "{end} elements into {id} of {}", layout.len);
        let piece = (PIECE / row_len).max(1) * row_len;
        for first in (0..count).step_by(piece) {
            let end = count.min(first + piece);
            let bytes = bytes_of(values, first..end, row_len);
            let before = Buffer { len: start + first, ..layout.clone() }.len_bytes() as u64;
            self.context.queue.write_buffer(buffer, before, &bytes);
            self.context.check(&format!("writing {id}"))?;
            if end < count {
                // What is written waits in memory of its own until it is submitted and done.
                let submitted = self.context.submit(None);
                self.context.wait(&submitted, self.flight.patience).await?;
            }
        }
        self.context.check(&format!("writing {id}"))
    }

    /// Copies elements of a buffer of floats to the same place in another.
    ///
    /// # Errors
    /// [`crate::Error::Device`] where the device refuses.
    pub fn copy(&mut self, from: BufferId, to: BufferId, range: Range<usize>) -> Result<()> {
        let (source, target) = (&self.session[&from].buffer, &self.session[&to].buffer);
        let mut encoder = self.context.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        let [start, len] = [range.start, range.len()].map(|elements| 4 * elements as u64);
        encoder.copy_buffer_to_buffer(source, start, target, start, len);
        self.context.queue.submit([encoder.finish()]);
        self.context.check(&format!("copying {from} to {to}"))
    }

    /// Makes a plan ready to run; its session buffers must be allocated. Returns its number.
    ///
    /// # Errors
    /// [`crate::Error::Limit`] or [`crate::Error::Device`] where the device has no room, or does not compile a kernel.
    pub fn load(&mut self, plan: &Plan) -> Result<usize> {
        let mut own = HashMap::new();
        for layout in plan.buffers.iter().filter(|b| b.id.is_plans_own()) {
            let buffer = self.context.buffer(layout)?;
            if layout.id == BufferId::Constants {
                let numbers: Vec<f32> = plan.constants.iter().map(|&x| x as f32).collect();
                self.context.queue.write_buffer(&buffer, 0, bytemuck::cast_slice(&numbers));
            }
            own.insert(layout.id, DeviceBuffer { layout: layout.clone(), buffer });
        }
        let (mut uniforms, mut kernels) = (Vec::new(), Vec::new());
        let (mut launches, mut guesses) = (Vec::new(), Vec::new());
        let dispatches: Vec<_> = plan.steps.iter().map(|step| step.op.gpu(&step.io, &self.target)).collect();
        for layout in scratch(dispatches.iter().flatten()) {
            let buffer = self.context.buffer(&layout)?;
            own.insert(layout.id, DeviceBuffer { layout, buffer });
        }
        let pipelines = self.context.pipelines(dispatches.iter().flatten());
        let mut pipelines = pipelines.into_iter();
        for (index, (step, dispatches)) in plan.steps.iter().zip(&dispatches).enumerate() {
            let guess = pace::guess(step) / dispatches.iter().map(|d| d.repeats).sum::<usize>().max(1) as u32;
            for dispatch in dispatches {
                let start = uniforms.len() as u64;
                uniforms.extend(dispatch.params.to_bytes());
                let bind = |binding: &Binding| match (*binding, binding.scratch()) {
                    (Binding::Input(i), _) => Bound::Place(step.inputs[i].clone()),
                    (Binding::Output(i), _) => Bound::Place(step.outputs[i].clone()),
                    (_, Some((which, len))) => Bound::Place(Place { buffer: BufferId::Scratch(which), range: 0..len }),
                    (_, None) => Bound::Params(start..uniforms.len() as u64),
                };
                let bindings = dispatch.bindings.iter().map(bind).collect();
                let pipeline = pipelines.next().expect("one a dispatch");
                kernels.push(Launch { step: index, pipeline, bindings, workgroups: dispatch.workgroups });
                uniforms.resize(uniforms.len().next_multiple_of(ALIGNMENT as usize), 0);
            }
            let mut first = kernels.len() - dispatches.len();
            for turns in dispatches.chunk_by(|a, b| a.repeats == b.repeats) {
                let last = first + turns.len();
                launches.extend((0..turns[0].repeats).flat_map(|_| first..last));
                first = last;
            }
            guesses.resize(launches.len(), guess);
        }
        let uniforms = self.uniform_buffer(&uniforms);
        self.context.check(&format!("preparing the plan {:?}", plan.name))?;
        let (name, pace) = (plan.name.clone(), Pace::new(&guesses, self.flight.longest));
        let (bind_groups, generation) = (Vec::new(), 0);
        self.plans.push(LoadedPlan { name, own, uniforms, kernels, launches, bind_groups, generation, pace });
        Ok(self.plans.len() - 1)
    }

    /// Whether the device is gone, with all that it held.
    pub fn is_lost(&self) -> bool {
        self.context.is_lost()
    }

    /// Bytes of all buffers.
    pub fn bytes(&self) -> u64 {
        let all = self.session.values().chain(self.plans.iter().flat_map(|plan| plan.own.values()));
        all.map(|made| made.buffer.size()).sum()
    }

    /// Bytes of a buffer of the session; 0 where there is none.
    pub fn bytes_of(&self, id: BufferId) -> u64 {
        self.session.get(&id).map_or(0, |made| made.buffer.size())
    }

    /// The type of a buffer of the session, and its elements.
    pub fn layout(&self, id: BufferId) -> Option<(DType, usize)> {
        self.session.get(&id).map(|made| (made.layout.dtype, made.layout.len))
    }

    /// How many plans are loaded.
    pub fn plans(&self) -> usize {
        self.plans.len()
    }

    /// Frees a buffer of the session. No plan that needs it runs before it is allocated again.
    pub fn release(&mut self, id: BufferId) {
        self.session.remove(&id);
        self.generation += 1;
    }

    /// Frees all plans; their numbers are void. What they have submitted runs on, and keeps what it needs.
    ///
    /// # Errors
    /// [`crate::Error::Device`] where the device is lost.
    pub fn forget_plans(&mut self) -> Result<()> {
        self.flight.forget_plans();
        self.plans.clear();
        self.context.check("freeing plans")
    }

    fn uniform_buffer(&self, bytes: &[u8]) -> wgpu::Buffer {
        let buffer = self.context.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("params"),
            size: (bytes.len() as u64).max(ALIGNMENT),
            usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        if !bytes.is_empty() {
            self.context.queue.write_buffer(&buffer, 0, bytes);
        }
        buffer
    }

    /// Makes a plan's bind groups, unless the session's buffers are still those it is bound to.
    fn bind(&mut self, plan: usize) -> Result<()> {
        let loaded = &self.plans[plan];
        if loaded.bind_groups.len() == loaded.kernels.len() && loaded.generation == self.generation {
            return Ok(());
        }
        let bind_groups = loaded.kernels.iter().map(|launch| {
            let entries: Vec<_> = launch.bindings.iter().zip(0..).map(|(b, i)| self.entry(loaded, b, i)).collect();
            self.context.device.create_bind_group(&wgpu::BindGroupDescriptor {
                label: None,
                layout: &launch.pipeline.get_bind_group_layout(0),
                entries: &entries,
            })
        });
        let bind_groups = bind_groups.collect();
        self.context.check(&format!("binding the plan {:?}", loaded.name))?;
        let loaded = &mut self.plans[plan];
        (loaded.bind_groups, loaded.generation) = (bind_groups, self.generation);
        Ok(())
    }

    fn entry<'a>(&'a self, plan: &'a LoadedPlan, bound: &Bound, binding: u32) -> wgpu::BindGroupEntry<'a> {
        let (buffer, range) = match bound {
            Bound::Params(range) => (&plan.uniforms, range.clone()),
            Bound::Place(place) => {
                let made = plan.own.get(&place.buffer).unwrap_or_else(|| &self.session[&place.buffer]);
                (&made.buffer, binding_range(place, made.buffer.size()))
            }
        };
        let size = std::num::NonZeroU64::new(range.end - range.start);
        let resource = wgpu::BufferBinding { buffer, offset: range.start, size };
        wgpu::BindGroupEntry { binding, resource: wgpu::BindingResource::Buffer(resource) }
    }
}

/// The buffers that all launches which need them use in turn.
fn scratch<'a>(launches: impl Iterator<Item = &'a Dispatch>) -> Vec<Buffer> {
    let mut longest = BTreeMap::new();
    for (which, len) in launches.flat_map(|launch| &launch.bindings).filter_map(|binding| binding.scratch()) {
        // Parts of nothing have a binding, too.
        let most: &mut usize = longest.entry(which).or_insert(1);
        *most = len.max(*most);
    }
    let buffer = |(which, len)| Buffer { id: BufferId::Scratch(which), dtype: DType::F32, len, row_len: len };
    longest.into_iter().map(buffer).collect()
}

/// The bytes that a place binds: a segment of an arena or rows of the schedule, rounded up to the 16 that a vec4 needs;
/// elsewhere the whole buffer, so that a kernel that writes past its output is caught by what the tests have put there.
fn binding_range(place: &Place, size: u64) -> Range<u64> {
    match place.buffer {
        BufferId::Params | BufferId::Grads | BufferId::Moment(_) | BufferId::Schedule | BufferId::Constants => {
            let (start, end) = (4 * place.range.start as u64, 4 * place.range.end as u64);
            start..end.max(start + 4).next_multiple_of(16).min(size)
        }
        _ => 0..size,
    }
}

/// Elements that are written at once: 32 MiB of floats.
const PIECE: usize = 8 << 20;

/// Elements as a buffer has them: doubles rounded, rows of bytes filled up to whole words.
fn bytes_of(values: &Values, range: Range<usize>, row_len: usize) -> Cow<'_, [u8]> {
    match values {
        Values::F32(v) => Cow::Borrowed(bytemuck::cast_slice(&v[range])),
        Values::U32(v) => Cow::Borrowed(bytemuck::cast_slice(&v[range])),
        Values::F64(v) => Cow::Owned(v[range].iter().flat_map(|&x| (x as f32).to_ne_bytes()).collect()),
        Values::U8(v) if row_len.is_multiple_of(4) => Cow::Borrowed(&v[range]),
        Values::U8(v) => Cow::Owned(pad_rows(&v[range], row_len)),
    }
}

/// Rows of bytes, each filled up to whole words.
fn pad_rows(bytes: &[u8], row_len: usize) -> Vec<u8> {
    let mut padded = Vec::with_capacity(bytes.len() / row_len * row_len.next_multiple_of(4));
    for row in bytes.chunks(row_len) {
        padded.extend_from_slice(row);
        padded.resize(padded.len().next_multiple_of(4), 0);
    }
    padded
}

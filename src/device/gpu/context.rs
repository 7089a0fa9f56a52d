//! An open device: its queue, its compiled pipelines and the first error it reported.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};

use super::adapter::AdapterSummary;
use crate::error::{Error, Result};
use crate::ops::{Dispatch, Module};
use crate::plan::{Buffer, BufferId};
use crate::threads::map_in_any_order;

/// What the device reported, in words for the user.
#[derive(Debug, Default)]
struct Reported {
    /// The first failure that nobody has asked for yet, and whether memory was lacking.
    first: Option<(String, bool)>,
    /// Why the device is gone. Whoever asks is told, from then on.
    lost: Option<String>,
}

/// The failures that the device reported.
#[derive(Clone, Debug, Default)]
pub(super) struct Failure(Arc<Mutex<Reported>>);

impl Failure {
    fn reported(&self) -> MutexGuard<'_, Reported> {
        self.0.lock().expect("never poisoned")
    }

    /// Notes an error that wgpu reports outside any scope: Kiln has none, so that is every error.
    pub(super) fn note(&self, error: &wgpu::Error) {
        let (words, memory) = match error {
            wgpu::Error::OutOfMemory { .. } => ("out of memory; take smaller batches or a smaller model".into(), true),
            wgpu::Error::Validation { description, .. } => (format!("refused a command: {description}"), false),
            wgpu::Error::Internal { description, .. } => (format!("failed inside: {description}"), false),
        };
        self.reported().first.get_or_insert((words, memory));
    }

    /// Notes that the device is gone; only the first reason counts.
    pub fn lose(&self, why: String) {
        self.reported().lost.get_or_insert(why);
    }

    pub fn is_lost(&self) -> bool {
        self.reported().lost.is_some()
    }

    /// The first failure since the last call, and whether memory was lacking; of a lost device, always its loss.
    fn take(&self) -> Option<(String, bool)> {
        let mut reported = self.reported();
        let first = reported.first.take();
        match (&reported.lost, first) {
            (None, first) => first,
            (Some(lost), Some((first, _))) => Some((format!("{lost}; before that: {first}"), false)),
            (Some(lost), None) => Some((lost.clone(), false)),
        }
    }
}

/// What makes a pipeline: module, entry point and constants.
type PipelineKey = (Module, &'static str, Vec<(&'static str, u64)>);

fn key(launch: &Dispatch) -> PipelineKey {
    (launch.module, launch.entry, launch.constants.iter().map(|&(name, value)| (name, value.to_bits())).collect())
}

/// An open device that plans can run on.
pub struct Context {
    pub(super) summary: AdapterSummary,
    pub(super) device: wgpu::Device,
    pub(super) queue: wgpu::Queue,
    pub(super) limits: wgpu::Limits,
    pub(super) failure: Failure,
    #[cfg(not(target_family = "wasm"))]
    pub(super) waiter: super::waiting::Waiter,
    pub(super) modules: Mutex<HashMap<Module, wgpu::ShaderModule>>,
    pub(super) pipelines: Mutex<HashMap<PipelineKey, wgpu::ComputePipeline>>,
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").field("summary", &self.summary).finish_non_exhaustive()
    }
}

impl Context {
    /// What the adapter is.
    pub fn summary(&self) -> &AdapterSummary {
        &self.summary
    }

    /// The first error that the device reported since the last call; of a lost device, always its loss.
    pub(super) fn check(&self, doing: &str) -> Result<()> {
        match self.failure.take() {
            Some((words, _)) => Err(self.error(format!("{doing}: {words}"))),
            None => Ok(()),
        }
    }

    /// Whether the device is gone, with all that it held.
    pub(super) fn is_lost(&self) -> bool {
        self.failure.is_lost()
    }

    pub(super) fn error(&self, message: impl Into<String>) -> Error {
        Error::Device { device: self.summary.name.clone(), message: message.into() }
    }

    /// The pipelines of launches, in their order. Those not compiled yet are, on all of the processor's cores: drivers
    /// take from milliseconds to a good part of a second for one.
    pub(super) fn pipelines<'a>(&self, launches: impl Iterator<Item = &'a Dispatch>) -> Vec<wgpu::ComputePipeline> {
        let keyed: Vec<(PipelineKey, &Dispatch)> = launches.map(|launch| (key(launch), launch)).collect();
        let mut pipelines = self.pipelines.lock().expect("never poisoned");
        let mut missing: Vec<(&PipelineKey, wgpu::ShaderModule, &Dispatch)> = Vec::new();
        for (key, launch) in &keyed {
            if !pipelines.contains_key(key) && !missing.iter().any(|(other, ..)| *other == key) {
                missing.push((key, self.module(launch), launch));
            }
        }
        let compile = |(key, module, launch): &(&PipelineKey, wgpu::ShaderModule, &Dispatch)| {
            ((*key).clone(), self.compile(module, launch))
        };
        let compiled = map_in_any_order(&missing, compile);
        pipelines.extend(compiled);
        keyed.iter().map(|(key, _)| pipelines[key].clone()).collect()
    }

    /// A launch's module, read at its first use.
    fn module(&self, launch: &Dispatch) -> wgpu::ShaderModule {
        let mut modules = self.modules.lock().expect("never poisoned");
        let module = modules.entry(launch.module).or_insert_with(|| {
            self.device.create_shader_module(wgpu::ShaderModuleDescriptor {
                label: Some(launch.module.stem),
                source: wgpu::ShaderSource::Wgsl(launch.module.text().into()),
            })
        });
        module.clone()
    }

    fn compile(&self, module: &wgpu::ShaderModule, launch: &Dispatch) -> wgpu::ComputePipeline {
        self.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(launch.entry),
            layout: None,
            module,
            entry_point: Some(launch.entry),
            compilation_options: wgpu::PipelineCompilationOptions {
                constants: &launch.constants,
                // Every kernel writes its workgroup memory before it reads it.
                zero_initialize_workgroup_memory: false,
            },
            cache: None,
        })
    }

    /// Bytes that a buffer can have and still be bound as a whole.
    pub(crate) fn largest_buffer(&self) -> u64 {
        self.limits.max_storage_buffer_binding_size.min(self.limits.max_buffer_size)
    }

    /// A buffer that kernels read and write and the host copies to and from.
    ///
    /// # Errors
    /// [`Error::Limit`] where the device allows no buffer or binding of that size.
    pub(super) fn buffer(&self, buffer: &Buffer) -> Result<wgpu::Buffer> {
        let needed = (buffer.len_bytes() as u64).max(4).next_multiple_of(super::ALIGNMENT);
        let limit = self.largest_buffer();
        if needed > limit {
            let advice = match buffer.id {
                BufferId::Log => {
                    "take larger batches, fewer thresholds or metrics of fewer classes, or train on the CPU"
                }
                _ => "keep pixels as bytes, take fewer samples or smaller batches, or train on the CPU",
            };
            let what = format!("the buffer of {}", buffer.id);
            return Err(Error::Limit { device: self.summary.name.clone(), what, needed, limit, advice });
        }
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
        let label = buffer.id.to_string();
        let made = self.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some(&label),
            size: needed,
            usage,
            mapped_at_creation: false,
        });
        match self.failure.take() {
            None => Ok(made),
            Some((_, true)) => Err(Error::memory(&self.summary.name, format!("the buffer of {label}"), needed)),
            Some((words, false)) => Err(self.error(format!("making the buffer of {label}, {needed} bytes: {words}"))),
        }
    }
}

//! The adapters of this machine, and opening one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use super::context::{Context, Failure};
use crate::device::blocking::block_on;
use crate::error::{Error, Result};
use crate::ops::AdapterKind;

/// What an adapter is, in the words of its driver, and what it allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdapterSummary {
    /// The adapter's name.
    pub name: String,
    /// The graphics interface: Vulkan, Metal, Dx12.
    pub backend: String,
    /// The driver's name and version.
    pub driver: String,
    /// Discrete GPU, integrated GPU, virtual GPU, software or other.
    pub device_type: &'static str,
    /// GPU or software: which kernels it gets.
    pub kind: AdapterKind,
    /// Bytes that one binding can have.
    pub max_binding_bytes: u64,
    /// Bytes that one buffer can have.
    pub max_buffer_bytes: u64,
    /// Storage buffers that one kernel can have.
    pub max_storage_buffers: u32,
    /// Invocations that one workgroup can have.
    pub max_workgroup_invocations: u32,
    /// Bytes of workgroup memory.
    pub max_workgroup_memory_bytes: u32,
    /// Whether kernels can be timed on the device.
    pub timestamps: bool,
    /// Whether kernels can exchange values within a subgroup.
    pub subgroups: bool,
    /// How many lanes every subgroup has, where they can and it is one number.
    pub subgroup_size: Option<u32>,
    /// Whether kernels can compute in f16.
    pub f16: bool,
}

impl AdapterSummary {
    fn of(adapter: &wgpu::Adapter) -> Self {
        let (info, limits, features) = (adapter.get_info(), adapter.limits(), adapter.features());
        let (device_type, kind) = match info.device_type {
            wgpu::DeviceType::DiscreteGpu => ("discrete GPU", AdapterKind::Hardware),
            wgpu::DeviceType::IntegratedGpu => ("integrated GPU", AdapterKind::Hardware),
            wgpu::DeviceType::VirtualGpu => ("virtual GPU", AdapterKind::Hardware),
            wgpu::DeviceType::Cpu => ("software", AdapterKind::Software),
            wgpu::DeviceType::Other => ("other", AdapterKind::Hardware),
        };
        let subgroups = features.contains(wgpu::Features::SUBGROUP);
        let subgroup_size =
            (subgroups && info.subgroup_min_size == info.subgroup_max_size).then_some(info.subgroup_min_size);
        Self {
            subgroups,
            subgroup_size,
            name: info.name,
            backend: format!("{:?}", info.backend),
            driver: [info.driver, info.driver_info].join(" ").trim().to_string(),
            device_type,
            kind,
            max_binding_bytes: limits.max_storage_buffer_binding_size,
            max_buffer_bytes: limits.max_buffer_size,
            max_storage_buffers: limits.max_storage_buffers_per_shader_stage,
            max_workgroup_invocations: limits.max_compute_invocations_per_workgroup,
            max_workgroup_memory_bytes: limits.max_compute_workgroup_storage_size,
            timestamps: features.contains(wgpu::Features::TIMESTAMP_QUERY),
            f16: features.contains(wgpu::Features::SHADER_F16),
        }
    }

    /// Whether the adapter is a processor that runs shaders.
    pub fn is_software(&self) -> bool {
        self.kind == AdapterKind::Software
    }

    /// Lower is taken first: discrete before integrated before the rest, software last.
    fn rank(&self) -> usize {
        let order = ["discrete GPU", "integrated GPU", "virtual GPU", "other", "software"];
        order.iter().position(|t| *t == self.device_type).unwrap_or(order.len())
    }
}

/// An adapter that can be opened.
#[derive(Clone, Debug)]
pub struct Adapter {
    summary: AdapterSummary,
    adapter: wgpu::Adapter,
}

impl Adapter {
    /// All adapters, the one that is taken first in front.
    ///
    /// # Errors
    /// None natively; in a browser, where this cannot be waited for, [`Error::Device`].
    pub fn list() -> Result<Vec<Self>> {
        block_on(async { Ok(Self::list_async().await) })
    }

    /// [`Adapter::list`] for callers that cannot block.
    pub async fn list_async() -> Vec<Self> {
        let backends = wgpu::Backends::VULKAN | wgpu::Backends::METAL | wgpu::Backends::DX12;
        let descriptor =
            wgpu::InstanceDescriptor { backends, ..wgpu::InstanceDescriptor::new_without_display_handle() };
        let instance = wgpu::Instance::new(descriptor);
        let adapters = instance.enumerate_adapters(backends).await;
        let mut all: Vec<Self> =
            adapters.into_iter().map(|adapter| Self { summary: AdapterSummary::of(&adapter), adapter }).collect();
        // Stable: adapters of one rank stay in the order in which the system lists them.
        all.sort_by_key(|a| a.summary.rank());
        all
    }

    /// What it is.
    pub fn summary(&self) -> &AdapterSummary {
        &self.summary
    }

    /// Opens the adapter.
    ///
    /// # Errors
    /// [`Error::Device`] where the driver refuses.
    pub async fn open(&self) -> Result<Arc<Context>> {
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("kiln"),
            // For `kiln profile`, and for products on software adapters; nothing else is asked for.
            required_features: self.adapter.features() & (wgpu::Features::TIMESTAMP_QUERY | wgpu::Features::SUBGROUP),
            required_limits: self.adapter.limits(),
            memory_hints: wgpu::MemoryHints::Performance,
            ..Default::default()
        };
        let (device, queue) = self.adapter.request_device(&descriptor).await.map_err(|e| Error::Device {
            device: self.summary.name.clone(),
            message: format!("the driver gives no device: {e}; try another with --device, or update the driver"),
        })?;
        let failure = Failure::default();
        let on_error = failure.clone();
        device.on_uncaptured_error(Arc::new(move |error| on_error.note(&error)));
        let on_loss = failure.clone();
        // Dropping the device is reported as a loss, too; nobody is there to ask for it then.
        device.set_device_lost_callback(move |_, message| {
            let why = if message.is_empty() { String::new() } else { format!(" ({message})") };
            on_loss.lose(format!("the device was lost{why}; run again, in smaller batches if it happens again"));
        });
        let limits = device.limits();
        let (modules, pipelines) = (Mutex::new(HashMap::new()), Mutex::new(HashMap::new()));
        Ok(Arc::new(Context {
            summary: self.summary.clone(),
            device,
            queue,
            limits,
            failure,
            #[cfg(not(target_family = "wasm"))]
            waiter: super::waiting::Waiter::default(),
            modules,
            pipelines,
        }))
    }
}

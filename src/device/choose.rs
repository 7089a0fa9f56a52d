//! Choosing a device.

use std::fmt;
#[cfg(feature = "gpu")]
use std::sync::Arc;

use super::blocking::block_on;
#[cfg(feature = "gpu")]
use super::gpu;
use crate::error::{Error, Result};
use crate::ops::{AdapterKind, Target};
use crate::threads::{Pool, cores};

/// A place to train: the CPU, the f64 reference on the CPU, or an open GPU.
///
/// ```
/// use kiln::prelude::*;
/// let device = Device::choose("cpu")?.device;
/// assert!(!device.is_gpu());
/// let mut model = Sequential::new().add(Dense::new(1)).device(device);
/// assert_eq!(model.predict(&Tensor::from([[0.0f32]]))?, Tensor::from([[0.0f32]]));
/// # Ok::<(), kiln::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Device {
    pub(super) kind: Kind,
    /// Bytes that all buffers of a model may have together.
    pub(super) memory_limit: Option<u64>,
    /// Threads that models on the CPU share; without them each has all of the processor's.
    pub(super) pool: Option<Pool>,
}

#[derive(Clone, Debug)]
pub(super) enum Kind {
    Cpu,
    Reference,
    #[cfg(feature = "gpu")]
    Gpu(Arc<gpu::Context>, Target),
}

/// A device, and in one line why it was taken and how to take another.
///
/// ```
/// use kiln::device::Device;
/// let choice = Device::choose("auto")?;
/// println!("{}: {}", choice.device, choice.reason);
/// # Ok::<(), kiln::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Choice {
    /// The device.
    pub device: Device,
    /// Why it was taken.
    pub reason: String,
}

impl From<Kind> for Device {
    fn from(kind: Kind) -> Self {
        Self { kind, memory_limit: None, pool: None }
    }
}

impl Device {
    /// The CPU, in f32.
    pub fn cpu() -> Self {
        Kind::Cpu.into()
    }

    /// The CPU in f64: slower, and what every kernel is checked against.
    pub fn reference() -> Self {
        Kind::Reference.into()
    }

    /// A hardware GPU if there is one, else the CPU.
    ///
    /// # Errors
    /// [`Error::Device`] where the GPU's driver refuses.
    pub fn auto() -> Result<Self> {
        Ok(Self::choose("auto")?.device)
    }

    /// The first GPU; a software adapter where there is no hardware.
    ///
    /// # Errors
    /// [`Error::NoDevice`] where there is no adapter at all.
    pub fn gpu() -> Result<Self> {
        Ok(Self::choose("gpu")?.device)
    }

    /// The device of a request: `auto`, `cpu`, `gpu`, `reference`, an adapter's index in `kiln devices`, or a part of
    /// its name.
    ///
    /// # Errors
    /// [`Error::NoDevice`] that lists the devices there are, where none fits; [`Error::Format`] where the adapter's kernels
    /// were chosen by `kiln tune` and its file is broken.
    pub fn choose(request: &str) -> Result<Choice> {
        block_on(Self::choose_async(request))
    }

    /// [`Device::choose`] for callers that cannot block.
    ///
    /// # Errors
    /// As [`Device::choose`].
    pub async fn choose_async(request: &str) -> Result<Choice> {
        let Choice { device, reason } = Self::choose_untuned_async(request).await?;
        #[cfg(feature = "gpu")]
        if let Kind::Gpu(context, target) = &device.kind {
            let tuning = context.summary().tuning(target)?;
            return Ok(Choice { device: device.tuned(tuning), reason });
        }
        Ok(Choice { device, reason })
    }

    /// [`Device::choose`] without a look at what `kiln tune` has kept: with the built-in choice of kernels, whatever the
    /// machine's user has measured.
    ///
    /// # Errors
    /// [`Error::NoDevice`] that lists the devices there are, where none fits.
    pub fn choose_untuned(request: &str) -> Result<Choice> {
        block_on(Self::choose_untuned_async(request))
    }

    /// [`Device::choose_untuned`] for callers that cannot block.
    ///
    /// # Errors
    /// As there.
    pub async fn choose_untuned_async(request: &str) -> Result<Choice> {
        match request.trim().to_lowercase().as_str() {
            "cpu" => Ok(Choice { device: Self::cpu(), reason: "asked for".into() }),
            "reference" => Ok(Choice { device: Self::reference(), reason: "asked for".into() }),
            #[cfg(feature = "gpu")]
            _ => choose_adapter(request).await,
            #[cfg(not(feature = "gpu"))]
            "auto" => Ok(Choice { device: Self::cpu(), reason: "Kiln was built without its GPU backend".into() }),
            #[cfg(not(feature = "gpu"))]
            _ => Err(unknown(request, &[])),
        }
    }

    /// What ops may know of the device. The CPU counts as software: `kiln plan` prints kernels for it.
    pub fn target(&self) -> Target {
        match &self.kind {
            Kind::Cpu | Kind::Reference => Target::new(AdapterKind::Software),
            #[cfg(feature = "gpu")]
            Kind::Gpu(_, target) => target.clone(),
        }
    }

    /// The same device with the kernels for another, built-in ones: how the kernels for GPUs are tested on a software
    /// adapter.
    #[must_use]
    pub fn with_kernels_for(self, target: Target) -> Self {
        let kind = match self.kind {
            #[cfg(feature = "gpu")]
            Kind::Gpu(context, _) => Kind::Gpu(context, target),
            other => {
                let _ = target;
                other
            }
        };
        Self { kind, ..self }
    }

    /// The same device, of whose memory a model takes at most so many bytes. A set for which there is no room on the device
    /// streams, as it does where the device's own memory ends; anything else for which there is none is an
    /// [`Error::Memory`].
    #[must_use]
    pub fn with_memory_limit(self, bytes: u64) -> Self {
        Self { memory_limit: Some(bytes), ..self }
    }

    /// The same device, whose models run on these threads where it is the CPU.
    pub(crate) fn with_pool(self, pool: Pool) -> Self {
        Self { pool: Some(pool), ..self }
    }

    /// The driver's name and version; `None` for the CPU, which has none.
    pub fn driver(&self) -> Option<&str> {
        match &self.kind {
            Kind::Cpu | Kind::Reference => None,
            #[cfg(feature = "gpu")]
            Kind::Gpu(context, _) => Some(&context.summary().driver),
        }
    }

    /// Bytes that a buffer can have; `None` for the CPU, which has no limit but its memory.
    pub fn largest_buffer(&self) -> Option<u64> {
        match &self.kind {
            Kind::Cpu | Kind::Reference => None,
            #[cfg(feature = "gpu")]
            Kind::Gpu(context, _) => Some(context.largest_buffer()),
        }
    }

    /// Whether it is a GPU or a software adapter.
    pub fn is_gpu(&self) -> bool {
        !matches!(self.kind, Kind::Cpu | Kind::Reference)
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Cpu => write!(f, "cpu ({} threads, f32)", cores()),
            Kind::Reference => write!(f, "reference ({} threads, f64)", cores()),
            #[cfg(feature = "gpu")]
            Kind::Gpu(context, _) => {
                let s = context.summary();
                write!(f, "{} ({}, {})", s.name, s.backend, s.device_type)
            }
        }
    }
}

#[cfg(feature = "gpu")]
async fn choose_adapter(request: &str) -> Result<Choice> {
    let adapters = gpu::Adapter::list_async().await;
    let opened = async |adapter: &gpu::Adapter, reason: String| -> Result<Choice> {
        let summary = adapter.summary();
        let target = Target {
            subgroup_size: summary.subgroup_size,
            workgroup_bytes: summary.max_workgroup_memory_bytes as usize,
            ..Target::new(summary.kind)
        };
        Ok(Choice { device: Kind::Gpu(adapter.open().await?, target).into(), reason })
    };
    let wanted = request.trim().to_lowercase();
    let first = adapters.first();
    let hardware = first.filter(|a| !a.summary().is_software());
    match (wanted.as_str(), hardware, first) {
        ("auto", Some(gpu), _) => opened(gpu, "a hardware GPU; --device cpu takes the processor".into()).await,
        ("auto", None, Some(software)) => {
            let name = &software.summary().name;
            let reason = format!("no hardware GPU found; --device gpu takes the software adapter {name}");
            Ok(Choice { device: Device::cpu(), reason })
        }
        ("auto", None, None) => {
            let reason = "no GPU found; `kiln devices` lists what there is".into();
            Ok(Choice { device: Device::cpu(), reason })
        }
        ("gpu", _, Some(adapter)) if adapter.summary().is_software() => {
            opened(adapter, "the software adapter, since no hardware GPU was found".into()).await
        }
        ("gpu", _, Some(adapter)) => opened(adapter, "asked for".into()).await,
        _ => {
            let index = wanted.parse::<usize>().ok();
            let fits = |i: usize, a: &gpu::Adapter| match index {
                Some(index) => i == index,
                None => a.summary().name.to_lowercase().contains(&wanted) && wanted != "gpu",
            };
            match adapters.iter().enumerate().find(|(i, a)| fits(*i, a)) {
                Some((_, adapter)) => opened(adapter, "asked for".into()).await,
                None => {
                    let names: Vec<&str> = adapters.iter().map(|a| a.summary().name.as_str()).collect();
                    Err(unknown(request, &names))
                }
            }
        }
    }
}

/// The answer to a request that fits nothing; adapters by their names.
fn unknown(request: &str, adapters: &[&str]) -> Error {
    let words: &[&str] =
        if cfg!(feature = "gpu") { &["auto", "cpu", "gpu", "reference"] } else { &["auto", "cpu", "reference"] };
    let hint = match crate::suggest::nearest(request, &[words, adapters].concat()) {
        Some(name) if name != request => format!("no such device; did you mean {name:?}? "),
        _ => "no such device. ".into(),
    };
    let adapters = match adapters {
        _ if !cfg!(feature = "gpu") => "none, since Kiln was built without its GPU backend (feature `gpu`)".into(),
        [] => {
            "no adapter was found: install your GPU's Vulkan driver, or a software one such as Mesa's lavapipe".into()
        }
        names => names.iter().enumerate().map(|(i, n)| format!("{i} = {n}")).collect::<Vec<_>>().join(", "),
    };
    let message = format!("{hint}There are {}, and by index or part of the name: {adapters}", words.join(", "));
    Error::NoDevice { request: request.into(), message }
}

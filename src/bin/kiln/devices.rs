//! `kiln devices`.

use std::fmt::Write as _;
use std::io::{self, Write};

use anyhow::Result;
use kiln::device::{Choice, Device};
use serde_json::{Value, json};

/// List what there is to train on, and what `--device auto` takes
#[derive(clap::Args)]
#[command(after_help = "An adapter is taken by its index or a part of its name: `--device 0`, `--device nvidia`.")]
pub struct Args {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> Result<()> {
    let auto = Device::choose("auto");
    let text = if args.json { as_json(auto)? } else { as_text(auto)? };
    io::stdout().write_all(text.as_bytes())?;
    Ok(())
}

fn as_text(auto: kiln::Result<Choice>) -> Result<String> {
    let mut text = adapters::text()?;
    writeln!(text, "{}", Device::cpu())?;
    writeln!(text, "{}: what kernels are checked against\n", Device::reference())?;
    match auto {
        Ok(Choice { device, reason }) => writeln!(text, "auto takes {device}: {reason}")?,
        Err(e) => writeln!(text, "auto fails: {e}")?,
    }
    Ok(text)
}

fn as_json(auto: kiln::Result<Choice>) -> Result<String> {
    let auto = match auto {
        Ok(Choice { device, reason }) => json!({ "device": device.to_string(), "reason": reason }),
        Err(e) => json!({ "error": e.to_string() }),
    };
    let cpu = |request: &str, device: Device| json!({ "request": request, "name": device.to_string(), "type": "cpu" });
    let mut devices: Vec<Value> = adapters::json();
    devices.extend([cpu("cpu", Device::cpu()), cpu("reference", Device::reference())]);
    let all = json!({ "auto": auto, "devices": devices });
    Ok(serde_json::to_string_pretty(&all)? + "\n")
}

#[cfg(feature = "gpu")]
mod adapters {
    use std::fmt::Write as _;
    use std::path::PathBuf;

    use kiln::device::gpu::{Adapter, AdapterSummary};
    use serde_json::{Value, json};

    fn all() -> Vec<AdapterSummary> {
        let adapters = Adapter::list().expect("nothing but a browser refuses to wait");
        adapters.iter().map(|adapter| adapter.summary().clone()).collect()
    }

    pub fn text() -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        let all = all();
        if all.is_empty() {
            writeln!(text, "No GPU and no software adapter found. On Linux a GPU needs its Vulkan driver.\n")?;
        }
        for (index, a) in all.iter().enumerate() {
            let yes = |has: bool| if has { "yes" } else { "no" };
            writeln!(text, "{index}  {}", a.name)?;
            writeln!(text, "   {}, {}, driver {}", a.backend, a.device_type, a.driver)?;
            writeln!(
                text,
                "   largest buffer {}, largest binding {}, storage buffers a kernel {}",
                bytes(a.max_buffer_bytes),
                bytes(a.max_binding_bytes),
                a.max_storage_buffers
            )?;
            writeln!(
                text,
                "   a workgroup: {} invocations, {} of memory",
                a.max_workgroup_invocations,
                bytes(a.max_workgroup_memory_bytes.into())
            )?;
            let (timestamps, subgroups, f16) = (yes(a.timestamps), yes(a.subgroups), yes(a.f16));
            writeln!(text, "   timestamps {timestamps}, subgroups {subgroups}, f16 {f16}")?;
            if let Some(file) = tuning_file(a) {
                writeln!(text, "   products take the kernels of `kiln tune`: {}", file.display())?;
            }
            writeln!(text)?;
        }
        Ok(text)
    }

    /// The file of `kiln tune`, where it is there.
    fn tuning_file(adapter: &AdapterSummary) -> Option<PathBuf> {
        adapter.tuning_file().filter(|file| file.exists())
    }

    /// In the largest unit of 1024 that leaves a whole, or else two digits after the point.
    fn bytes(n: u64) -> String {
        let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
        let step = (n.max(1).ilog2() / 10) as usize;
        let value = n as f64 / (1u64 << (10 * step)) as f64;
        let text = format!("{value:.2}");
        format!("{} {}", text.trim_end_matches('0').trim_end_matches('.'), units[step])
    }

    pub fn json() -> Vec<Value> {
        let one = |(index, a): (usize, &AdapterSummary)| {
            json!({
                "index": index,
                "request": index.to_string(),
                "name": a.name,
                "backend": a.backend,
                "driver": a.driver,
                "type": a.device_type,
                "max_buffer_bytes": a.max_buffer_bytes,
                "max_binding_bytes": a.max_binding_bytes,
                "max_storage_buffers": a.max_storage_buffers,
                "max_workgroup_invocations": a.max_workgroup_invocations,
                "max_workgroup_memory_bytes": a.max_workgroup_memory_bytes,
                "timestamps": a.timestamps,
                "subgroups": a.subgroups,
                "f16": a.f16,
                "tuning_file": tuning_file(a),
            })
        };
        all().iter().enumerate().map(one).collect()
    }
}

#[cfg(not(feature = "gpu"))]
mod adapters {
    use serde_json::Value;

    pub fn text() -> Result<String, std::fmt::Error> {
        Ok("Kiln was built without its GPU backend (feature `gpu`).\n\n".into())
    }

    pub fn json() -> Vec<Value> {
        Vec::new()
    }
}

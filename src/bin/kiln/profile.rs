//! `kiln profile`.

use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use kiln::bench::{Meter, Peaks};
use kiln::data::{NamedSet, Split};
use kiln::device::{Choice, Device};
use kiln::io::write_file;
use kiln::train::{KernelTime, Profile};
use serde_json::{Value, json};

use crate::model::{DeviceArgs, ModelArgs};
use crate::outputs::{self, Kind, outputs};

const EXAMPLES: &str = "\
On a GPU each kernel runs in a pass of its own, between two timestamps of the device; what a step takes as it is usually
sent is in `kiln bench`. `of bound` is the time that the device's peaks allow over the time it took.

Examples:
  kiln profile mnist
  kiln profile mnist --device gpu --steps 100 --trace trace.json   open it at https://ui.perfetto.dev";

/// Time each kernel of a training step on the device
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    model: ModelArgs,

    #[command(flatten)]
    place: DeviceArgs,

    /// Steps to time
    #[arg(long, value_name = "N", default_value_t = 50)]
    steps: usize,

    /// Write a trace for Perfetto or Chrome here
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> Result<()> {
    let set = NamedSet::find_images(&args.model.set)?;
    let Choice { device, .. } = Device::choose(&args.place.device)?;
    let mut model = args.model.model(set, device.clone(), None)?;
    // Before anything runs: hours later is late to learn that a folder is missing.
    outputs::check(&outputs(&[("trace", &args.trace, Kind::File)]), &[])?;
    let Split { train, .. } = args.model.load(set)?;
    let profile = model.profile(&train, args.model.batch(train.len())?, args.steps)?;
    let peaks = Meter::new(&device, Duration::from_millis(50))?.peaks()?;
    let mut out = io::stdout().lock();
    match args.json {
        true => writeln!(out, "{}", serde_json::to_string_pretty(&as_json(&profile, &device, &peaks))?)?,
        false => print(&mut out, &profile, &device, &peaks)?,
    }
    out.flush()?;
    // What was measured before what may fail.
    Ok(args.trace.as_ref().map_or(Ok(()), |path| write_file(path, profile.to_trace()))?)
}

fn share(kernel: &KernelTime, profile: &Profile) -> f64 {
    kernel.timing.duration.as_secs_f64() / profile.step().as_secs_f64().max(1e-12)
}

fn print(out: &mut impl Write, profile: &Profile, device: &Device, peaks: &Peaks) -> io::Result<()> {
    let (gflops, gbytes) = (peaks.flops_per_second / 1e9, peaks.bytes_per_second / 1e9);
    writeln!(out, "Device: {device}\nPeaks:  {gflops:.1} GFLOP/s, {gbytes:.1} GB/s\n")?;
    writeln!(
        out,
        "{:>6} {:>10} {:>9} {:>8} {:>9}  {:<8} {:<10} {:<28} kernel",
        "share", "us", "GFLOP/s", "GB/s", "of bound", "phase", "layer", "op"
    )?;
    let mut kernels: Vec<&KernelTime> = profile.kernels.iter().collect();
    kernels.sort_by_key(|kernel| std::cmp::Reverse(kernel.timing.duration));
    for kernel in kernels {
        let timing = &kernel.timing;
        let line = format!(
            "{:>5.1}% {:>10.1} {:>9.1} {:>8.1} {:>8.0}%  {:<8} {:<10} {:<28} {}",
            100.0 * share(kernel, profile),
            timing.duration.as_secs_f64() * 1e6,
            timing.flops_per_second() / 1e9,
            timing.bytes_per_second() / 1e9,
            100.0 * timing.share_of_bound(peaks),
            kernel.phase,
            kernel.layer,
            kernel.op,
            kernel.kernel
        );
        writeln!(out, "{}", line.trim_end())?;
    }
    let step = profile.step().as_secs_f64() * 1e6;
    writeln!(out, "\n{step:.1} us a step, the mean of {} steps", profile.steps)
}

fn as_json(profile: &Profile, device: &Device, peaks: &Peaks) -> Value {
    let kernel = |kernel: &KernelTime| {
        json!({
            "op": kernel.op, "layer": kernel.layer, "phase": kernel.phase.to_string(), "kernel": kernel.kernel,
            "seconds": kernel.timing.duration.as_secs_f64(), "share": share(kernel, profile),
            "flops": kernel.timing.flops, "bytes": kernel.timing.bytes,
            "share_of_bound": kernel.timing.share_of_bound(peaks),
        })
    };
    json!({
        "device": device.to_string(), "driver": device.driver(), "steps": profile.steps,
        "step_seconds": profile.step().as_secs_f64(), "peak_flops_per_second": peaks.flops_per_second,
        "peak_bytes_per_second": peaks.bytes_per_second,
        "kernels": profile.kernels.iter().map(kernel).collect::<Vec<_>>(),
    })
}

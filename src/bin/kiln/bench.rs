//! `kiln bench`.

use std::io::{self, Write};
use std::time::Duration;

use anyhow::{Result, ensure};
use clap::ValueEnum;
use kiln::bench::{
    Convolution, Meter, Model, ModelTime, NORMALIZED, POOLED, Peaks, Product, STANDARD, SUMMED, Timing, convolutions,
    products,
};
use kiln::device::{Choice, Device};
use kiln::train::KernelTime;
use serde_json::{Value, json};

use crate::model::DeviceArgs;

const EXAMPLES: &str = "\
`of bound` is the time that the device's own peaks allow, arithmetic or memory, over the time it took. Data that a cache
holds may pass the peak of memory. Run it where nothing else runs: on a busy machine it measures the others.

Examples:
  kiln bench
  kiln bench --device gpu --json > bench.json
  kiln bench --only products --round-ms 20
  kiln bench --model cnn --json";

/// Measure this device: its peaks, matrix products, a long sum, layer normalization, pooling, convolutions, the kernels of a training step, whole models
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    place: DeviceArgs,

    /// Only this part
    #[arg(long, value_name = "PART")]
    only: Option<Part>,

    /// Of the whole models this one only, and no other part: 784-512-10, 784-100-10, cnn, lenet, resnet, lstm, gru, simple_rnn, lstm50 or transformer
    #[arg(long, value_name = "NAME", conflicts_with = "only")]
    model: Option<String>,

    /// Milliseconds that each of five rounds takes at least
    #[arg(long, value_name = "MS", default_value_t = 100)]
    round_ms: u64,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    Products,
    Sums,
    #[value(name = "layer_norm")]
    LayerNorm,
    #[value(name = "max_pool")]
    MaxPool,
    Conv,
    Kernels,
    Models,
}

/// Steps that kernels are timed over.
const STEPS: usize = 20;

pub fn run(args: &Args) -> Result<()> {
    ensure!(args.round_ms > 0, "round_ms: 0 times nothing; give 1 or more");
    let models =
        args.model.as_deref().map_or(Ok(STANDARD.to_vec()), |name| Model::by_name(name).map(|one| vec![one]))?;
    let Choice { device, .. } = Device::choose(&args.place.device)?;
    let mut meter = Meter::new(&device, Duration::from_millis(args.round_ms))?;
    let (peaks, launch) = (meter.peaks()?, meter.launch()?);
    let mut out = Printer { out: io::stdout().lock(), json: args.json, peaks, parts: serde_json::Map::new() };
    out.head(&device, launch)?;
    let only = args.only.or(args.model.as_ref().map(|_| Part::Models));
    let wanted = |part| only.is_none_or(|only| only == part);
    if wanted(Part::Products) {
        out.title("products", &["transposed", "ms", "GFLOP/s", "of peak"])?;
        for product in products() {
            out.product(product, &meter.product(product)?)?;
        }
    }
    if wanted(Part::Sums) {
        out.title("sums", &["ms", "GB/s"])?;
        out.sum("sum", &meter.sum()?)?;
        // Beside a processor's sum, which all cores share: what they can read.
        if !device.is_gpu() {
            out.sum("read", &meter.read())?;
        }
    }
    if wanted(Part::LayerNorm) {
        out.title("layer_norm", &["ms", "GB/s", "of bound"])?;
        for (what, timing) in ["forward", "backward"].into_iter().zip(meter.layer_norm()?) {
            out.norm(what, &timing)?;
        }
    }
    if wanted(Part::MaxPool) {
        out.title("max_pool", &["ms", "GB/s", "of bound"])?;
        for (what, timing) in ["forward", "backward"].into_iter().zip(meter.max_pool()?) {
            out.pool(what, &timing)?;
        }
    }
    if wanted(Part::Conv) {
        out.title("conv", &["ms", "GFLOP/s", "GB/s", "of bound"])?;
        for convolution in convolutions() {
            for (pass, timing) in ["forward", "dX", "dW"].into_iter().zip(meter.convolution(convolution)?) {
                out.convolution(convolution, pass, &timing)?;
            }
        }
    }
    if wanted(Part::Kernels) {
        out.title("kernels", &["ms", "GFLOP/s", "GB/s", "of bound"])?;
        for kernel in STANDARD[0].profile(&device, STEPS)?.kernels {
            out.kernel(&kernel)?;
        }
    }
    if wanted(Part::Models) {
        out.title("models", &["batch", "us a step", "steps/s", "samples/s", "GFLOP/s", "first step"])?;
        for model in models {
            out.model(model, &model.time(&device, Duration::from_millis(args.round_ms))?)?;
        }
    }
    out.finish()
}

/// Milliseconds.
fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// Prints a line as soon as it is measured, or gathers all for JSON.
struct Printer<W> {
    out: W,
    json: bool,
    peaks: Peaks,
    parts: serde_json::Map<String, Value>,
}

impl<W: Write> Printer<W> {
    fn head(&mut self, device: &Device, launch: Duration) -> Result<()> {
        let Peaks { flops_per_second, bytes_per_second } = self.peaks;
        if !self.json {
            writeln!(self.out, "Device:  {device}")?;
            if let Some(driver) = device.driver() {
                writeln!(self.out, "Driver:  {driver}")?;
            }
            let (gflops, gbytes) = (flops_per_second / 1e9, bytes_per_second / 1e9);
            writeln!(self.out, "Peaks:   {gflops:.1} GFLOP/s of f32 multiply-adds, {gbytes:.1} GB/s of copies")?;
            writeln!(self.out, "Launch:  {:.1} us a step that does nothing", ms(launch) * 1e3)?;
        }
        let head = json!({
            "device": device.to_string(), "driver": device.driver(), "kiln": env!("CARGO_PKG_VERSION"),
            "peak_flops_per_second": flops_per_second, "peak_bytes_per_second": bytes_per_second,
            "launch_seconds": launch.as_secs_f64(),
        });
        let Value::Object(head) = head else { unreachable!("an object was written") };
        self.parts.extend(head);
        Ok(())
    }

    fn title(&mut self, part: &str, columns: &[&str]) -> Result<()> {
        self.parts.insert(part.into(), Value::Array(Vec::new()));
        if !self.json {
            let columns: String = columns.iter().map(|column| format!(" {column:>10}")).collect();
            writeln!(self.out, "\n{part:<34}{columns}")?;
        }
        Ok(())
    }

    fn row(&mut self, part: &str, name: &str, columns: &[String], value: Value) -> Result<()> {
        if self.json {
            self.parts[part].as_array_mut().expect("made by its title").push(value);
            return Ok(());
        }
        let columns: String = columns.iter().map(|column| format!(" {column:>10}")).collect();
        writeln!(self.out, "{name:<34}{columns}")?;
        Ok(self.out.flush()?)
    }

    fn product(&mut self, product: Product, timing: &Timing) -> Result<()> {
        let ([m, n, k], [a, b]) = (product.extents, product.transposed);
        let transposed = if a {
            "a"
        } else if b {
            "b"
        } else {
            ""
        };
        let rate = timing.flops_per_second();
        let share = rate / self.peaks.flops_per_second;
        let columns = [
            transposed.to_string(),
            format!("{:.3}", ms(timing.duration)),
            format!("{:.1}", rate / 1e9),
            format!("{:.0}%", 100.0 * share),
        ];
        let value = json!({
            "what": product.what, "m": m, "n": n, "k": k, "transposed_a": a, "transposed_b": b,
            "seconds": timing.duration.as_secs_f64(), "flops_per_second": rate, "share_of_peak": share,
        });
        self.row("products", &format!("{} {m}x{n}x{k}", product.what), &columns, value)
    }

    fn sum(&mut self, what: &str, timing: &Timing) -> Result<()> {
        let (duration, rate) = (timing.duration, timing.bytes_per_second());
        let columns = [format!("{:.3}", ms(duration)), format!("{:.1}", rate / 1e9)];
        let value = json!({
            "what": what, "numbers": SUMMED, "seconds": duration.as_secs_f64(), "bytes_per_second": rate,
        });
        self.row("sums", &format!("{what} of {SUMMED} numbers"), &columns, value)
    }

    fn norm(&mut self, what: &str, timing: &Timing) -> Result<()> {
        let [rows, columns] = NORMALIZED;
        let value = json!({"what": what, "rows": rows, "columns": columns});
        self.moved("layer_norm", &format!("{what} of {rows} rows of {columns}"), timing, value)
    }

    fn pool(&mut self, what: &str, timing: &Timing) -> Result<()> {
        let [batch, height, width, channels] = POOLED;
        let value = json!({"what": what, "batch": batch, "height": height, "width": width, "channels": channels});
        self.moved("max_pool", &format!("{what} of {batch}x{height}x{width}x{channels}"), timing, value)
    }

    /// What the memory bounds.
    fn moved(&mut self, part: &str, name: &str, timing: &Timing, mut value: Value) -> Result<()> {
        let (duration, rate, share) = (timing.duration, timing.bytes_per_second(), timing.share_of_bound(&self.peaks));
        let cells = [format!("{:.3}", ms(duration)), format!("{:.1}", rate / 1e9), format!("{:.0}%", 100.0 * share)];
        for (key, number) in
            [("seconds", duration.as_secs_f64()), ("bytes_per_second", rate), ("share_of_bound", share)]
        {
            value[key] = number.into();
        }
        self.row(part, name, &cells, value)
    }

    fn convolution(&mut self, convolution: Convolution, pass: &str, timing: &Timing) -> Result<()> {
        let Convolution { what, images: [batch, height, width, channels], size: [rows, columns], filters, groups } =
            convolution;
        let name = format!("{what} {batch}x{height}x{width}x{channels} {pass}");
        let value = json!({
            "what": what, "pass": pass, "batch": batch, "height": height, "width": width, "channels": channels,
            "kernel_height": rows, "kernel_width": columns, "filters": filters, "groups": groups,
        });
        self.computed("conv", &name, timing, value)
    }

    fn kernel(&mut self, kernel: &KernelTime) -> Result<()> {
        let KernelTime { op, layer, timing, .. } = kernel;
        let value = json!({ "op": op, "layer": layer, "kernel": kernel.kernel });
        self.computed("kernels", format!("{layer} {op}").trim(), timing, value)
    }

    /// What arithmetic or the memory bounds.
    fn computed(&mut self, part: &str, name: &str, timing: &Timing, mut value: Value) -> Result<()> {
        let (flops, bytes) = (timing.flops_per_second(), timing.bytes_per_second());
        let (seconds, share) = (timing.duration.as_secs_f64(), timing.share_of_bound(&self.peaks));
        let columns = [
            format!("{:.3}", ms(timing.duration)),
            format!("{:.1}", flops / 1e9),
            format!("{:.1}", bytes / 1e9),
            format!("{:.0}%", 100.0 * share),
        ];
        for (key, number) in
            [("seconds", seconds), ("flops_per_second", flops), ("bytes_per_second", bytes), ("share_of_bound", share)]
        {
            value[key] = number.into();
        }
        self.row(part, name, &columns, value)
    }

    fn model(&mut self, model: Model, time: &ModelTime) -> Result<()> {
        let step = time.step.as_secs_f64();
        let columns = [
            model.batch.to_string(),
            format!("{:.1}", step * 1e6),
            format!("{:.0}", 1.0 / step),
            format!("{:.0}", model.batch as f64 / step),
            format!("{:.1}", time.flops as f64 / step / 1e9),
            format!("{:.0} ms", ms(time.first_step)),
        ];
        let value = json!({
            "model": model.name, "batch": model.batch, "optimizer": model.optimizer, "step_seconds": step,
            "flops_per_second": time.flops as f64 / step, "first_step_seconds": time.first_step.as_secs_f64(),
        });
        self.row("models", model.name, &columns, value)
    }

    fn finish(mut self) -> Result<()> {
        if self.json {
            writeln!(self.out, "{}", serde_json::to_string_pretty(&Value::Object(self.parts))?)?;
        }
        Ok(self.out.flush()?)
    }
}

//! `kiln tune`.

use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use kiln::bench::tune::{Trial, Tuned, default_problems};
use kiln::device::{Choice, Device};
use kiln::ops::matmul::{Kernel, Problem};
use serde_json::{Value, json};

use crate::model::ModelArgs;

const EXAMPLES: &str = "\
Measures every kernel that computes a product: those of a data set's training step, its convolutions' passes among them, those
of --shape, or a default set of squares and layers. A kernel that is at least 5% faster than the built-in choice and gives what the f64 reference does is
kept for this adapter, its driver and this version of Kiln, in a file of the user's cache ($KILN_CACHE_DIR names another
folder). Whatever opens the adapter from then on takes it; nothing is measured at any other time. Another kernel may
round otherwise: a run repeats itself to the bit as long as the file stays as it is. Run it where nothing else runs.

Examples:
  kiln tune mnist
  kiln tune mnist --hidden 512,256 --batch-size 32 --device 1
  kiln tune mnist --layers \"conv2d 32 3 relu, flatten, dense 10 softmax\"
  kiln tune --shape 128x512x784 --shape 784x512x128:tn
  kiln tune --forget";

/// The options that say nothing without a data set.
const MODEL: &[&str] = &[
    "hidden",
    "layers",
    "activation",
    "optimizer",
    "batch_size",
    "clip_value",
    "clip_norm",
    "global_clip_norm",
    "gradient_accumulation_steps",
];

/// Measure which kernels are the fastest on this adapter, and keep the choice
#[derive(clap::Args)]
#[command(after_help = EXAMPLES, mut_arg("set", |set| set.required(false)))]
#[command(mut_args(|arg| if MODEL.contains(&arg.get_id().as_str()) { arg.requires("set") } else { arg }))]
pub struct Args {
    #[command(flatten)]
    model: Option<ModelArgs>,

    /// A product MxNxK, or STACKxMxNxK; after it :tn, :nt or :tt where a, b or both are stored transposed
    #[arg(long = "shape", value_name = "SHAPE")]
    shapes: Vec<Problem>,

    /// gpu, or one of `kiln devices` by index or part of its name
    #[arg(long, default_value = "gpu")]
    device: String,

    /// Remove what was kept for this adapter
    #[arg(long, conflicts_with_all = ["set", "shapes"])]
    forget: bool,

    /// Milliseconds that each round of a measurement takes at least
    #[arg(long, value_name = "MS", default_value_t = 20)]
    round_ms: u64,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> Result<()> {
    if args.forget {
        return forget(args);
    }
    ensure!(args.round_ms > 0, "round_ms: 0 times nothing; give 1 or more");
    let Choice { device, .. } = Device::choose(&args.device)?;
    // Before anything is measured.
    let file = device.tuning_file()?;
    let mut tuning = (*device.tuning()).clone();
    let mut out = Printer { out: io::stdout().lock(), rows: args.json.then(Vec::new) };
    out.head(&device)?;
    let mut displaced = 0;
    for trial in trials(args, &device)? {
        let tuned = trial.run(&device, Duration::from_millis(args.round_ms))?;
        tuned.apply(&mut tuning);
        displaced += usize::from(tuned.displaces());
        out.row(&tuned)?;
    }
    if *device.tuning() != tuning {
        device.keep_tuning(&tuning)?;
    }
    out.finish(&device, &file, [displaced, tuning.len()])
}

fn trials(args: &Args, device: &Device) -> Result<Vec<Trial>> {
    let of = |shapes: &[Problem]| shapes.iter().copied().map(Trial::of).collect::<kiln::Result<Vec<_>>>();
    let mut trials = of(&args.shapes)?;
    match &args.model {
        Some(model) => trials.extend(Trial::of_plan(&model.training_plan(device)?, &device.target())),
        None if trials.is_empty() => {
            trials.extend(of(&default_problems(device.target().kind))?);
        }
        None => {}
    }
    Ok(trials)
}

fn forget(args: &Args) -> Result<()> {
    // The file may be broken: that may be why it is to go.
    let Choice { device, .. } = Device::choose_untuned(&args.device)?;
    let (file, forgotten) = (device.tuning_file()?, device.forget_tuning()?);
    let mut out = io::stdout().lock();
    if args.json {
        writeln!(out, "{}", json!({ "device": device.to_string(), "file": file, "forgotten": forgotten }))?;
    } else if forgotten {
        writeln!(out, "Removed {}: {device} takes the built-in choice of kernels.", file.display())?;
    } else {
        writeln!(out, "Nothing was kept for {device}; the file would be {}", file.display())?;
    }
    Ok(())
}

fn us(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// Prints a line as soon as it is measured, or gathers all for JSON.
struct Printer<W> {
    out: W,
    rows: Option<Vec<Value>>,
}

impl<W: Write> Printer<W> {
    fn head(&mut self, device: &Device) -> Result<()> {
        if self.rows.is_none() {
            let [built_in, best] = ["built-in us", "best us"];
            writeln!(self.out, "Device:  {device}\nDriver:  {}\n", device.driver().unwrap_or("none"))?;
            writeln!(self.out, "{:<28} {built_in:>12} {best:>12} {:>6}  kernel", "product", "ratio")?;
        }
        Ok(self.out.flush()?)
    }

    fn row(&mut self, tuned: &Tuned) -> Result<()> {
        let Tuned { problem, built_in, built_in_time, kernel, time, candidates, refused } = tuned;
        let ratio = built_in_time.as_secs_f64() / time.as_secs_f64();
        if let Some(rows) = &mut self.rows {
            let fault = |(kernel, fault): &(Kernel, String)| json!({ "kernel": kernel.to_string(), "fault": fault });
            rows.push(json!({
                "product": problem.to_string(), "built_in": built_in.to_string(),
                "built_in_seconds": built_in_time.as_secs_f64(), "kernel": kernel.to_string(),
                "seconds": time.as_secs_f64(), "ratio": ratio, "candidates": candidates,
                "refused": refused.iter().map(fault).collect::<Vec<_>>(),
            }));
            return Ok(());
        }
        let whose = if tuned.displaces() { "" } else { " (built-in)" };
        let (built_in, best) = (us(*built_in_time), us(*time));
        writeln!(self.out, "{problem:<28} {built_in:>12.1} {best:>12.1} {ratio:>6.2}  {kernel}{whose}")?;
        for (kernel, fault) in refused {
            writeln!(self.out, "  not taken: {kernel}: {fault}")?;
        }
        Ok(self.out.flush()?)
    }

    fn finish(mut self, device: &Device, file: &Path, [displaced, kept]: [usize; 2]) -> Result<()> {
        if let Some(rows) = self.rows {
            let all = json!({
                "device": device.to_string(), "driver": device.driver(), "kiln": env!("CARGO_PKG_VERSION"),
                "file": file, "kept": kept, "products": rows,
            });
            writeln!(self.out, "{}", serde_json::to_string_pretty(&all)?)?;
        } else if kept == 0 {
            writeln!(self.out, "\nThe built-in choice is the best everywhere: nothing is kept.")?;
        } else {
            let file = file.display();
            let differ = if displaced == 1 { "differs" } else { "differ" };
            writeln!(self.out, "\n{displaced} of these choices {differ} from the built-in ones; {file} keeps {kept}.")?;
        }
        Ok(self.out.flush()?)
    }
}

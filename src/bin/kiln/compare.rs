//! `kiln compare`: the same training on two devices, step by step.

use std::io::{self, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use kiln::Tensor;
use kiln::bench::Model as Timed;
use kiln::data::{Dataset, NamedSet};
use kiln::device::{Choice, Device};
use kiln::nn::Model;
use kiln::plot::{Chart, Panel};
use kiln::tensor::Values;
use kiln::train::Fit;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::data::Bar;
use crate::model::{ModelArgs, image, shaped};
use crate::outputs::{self, Kind, outputs};

const EXAMPLES: &str = "\
Both devices start from the same weights and take the same batches, in the order of the file. Differences of gradients
and weights are relative to the largest element of their tensor; the verdict is on the losses. Two runs of one command
print the same losses and the same hashes of the weights.

Examples:
  kiln compare mnist
  kiln compare mnist --devices gpu,reference --steps 500 --optimizer adam
  kiln compare mnist --tolerance 1e-6 --json
  kiln compare fashion-mnist --model resnet --optimizer adam --batch-size 20
  kiln compare synthetic --model transformer   on samples that are made, not fetched
  kiln compare mnist --steps 500 --plot losses.png";

/// Train on two devices at once, and say how far their losses, gradients and weights are apart
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    model: ModelArgs,

    /// A net that `kiln bench` times, by its name there, instead of --hidden or --layers; on the set's images or on its `synthetic` samples
    #[arg(long = "model", value_name = "NAME", conflicts_with_all = ["hidden", "activation", "layers"])]
    timed: Option<String>,

    /// The two devices, each as --device of `kiln train` takes it
    #[arg(long, value_name = "A,B", value_delimiter = ',', default_value = "gpu,cpu")]
    devices: Vec<String>,

    /// Training steps
    #[arg(long, value_name = "N", default_value_t = 100)]
    steps: usize,

    /// Largest relative difference of a step's losses that passes
    #[arg(long, value_name = "T", default_value_t = 1e-5)]
    tolerance: f64,

    /// Step size [default: the optimizer's: 0.01 for sgd, else 0.001]
    #[arg(long, value_name = "RATE", allow_negative_numbers = true)]
    learning_rate: Option<f64>,

    /// Of the initial weights
    #[arg(long, default_value_t = 0)]
    seed: u64,

    /// Draw the losses and their difference by step: a file whose name ends in .png or .svg
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Looks at gradients and weights between the first step and the last.
const LOOKS: usize = 8;

pub fn run(args: &Args) -> Result<()> {
    let task = Task::new(args)?;
    ensure!(args.devices.len() == 2, "devices: {:?}: give two with a comma between, such as gpu,cpu", args.devices);
    ensure!(args.steps > 0, "steps: 0 compares nothing; give 1 or more");
    ensure!(args.tolerance >= 0.0, "tolerance: {} is no tolerance; give 0 or more, such as 1e-5", args.tolerance);
    outputs::check(&outputs(&[("plot", &args.plot, Kind::Picture)]), &[])?;
    let mut sides = Vec::with_capacity(2);
    for request in &args.devices {
        let Choice { device, .. } = Device::choose(request)?;
        sides.push(Side::new(task.model(&device, args)?.seed(args.seed), &device));
    }
    let train = task.load(args)?;
    let batch = args.model.batch(train.len())?;
    let [a, b] = &mut sides[..] else { unreachable!("two devices were asked for") };
    let comparison = Comparison::run(a, b, &train, batch, args)?;
    let mut out = io::stdout().lock();
    if args.json {
        writeln!(out, "{}", comparison.json())?
    } else {
        comparison.print(&mut out)?
    }
    out.flush()?;
    if let Some(path) = &args.plot {
        comparison.chart(&args.model.set).save(path)?;
    }
    match comparison.first_beyond() {
        None => Ok(()),
        Some(step) => anyhow::bail!("the losses are beyond the tolerance of {:e} from step {step} on", args.tolerance),
    }
}

/// The set's name for samples that are made for the net.
const SYNTHETIC: &str = "synthetic";
/// Of those there are no more than so many: longer runs take them again.
const MOST: usize = 10_000;

/// What is trained on what.
enum Task {
    /// The net that the options describe.
    Described(&'static NamedSet),
    /// One that `kiln bench` times; without a set on samples that are made for it.
    Timed(Timed, Option<&'static NamedSet>),
}

impl Task {
    fn new(args: &Args) -> Result<Self> {
        let timed = args.timed.as_deref().map(Timed::by_name).transpose()?;
        if args.model.set == SYNTHETIC {
            let net =
                timed.context("synthetic: its samples are those of the nets of `kiln bench`: give one by --model")?;
            return Ok(Self::Timed(net, None));
        }
        let set = NamedSet::find_images(&args.model.set)?;
        let Some(net) = timed else { return Ok(Self::Described(set)) };
        let (name, wanted, found) = (net.name, net.sample_shape(), image(set));
        let advice = format!("`kiln compare {SYNTHETIC} --model {name}` makes samples for it");
        ensure!(
            wanted == found,
            "model: {name} takes samples of {wanted}, those of {} are {found}: {advice}",
            set.name
        );
        Ok(Self::Timed(net, Some(set)))
    }

    fn model(&self, device: &Device, args: &Args) -> kiln::Result<Model> {
        match self {
            Self::Described(set) => args.model.model(set, device.clone(), args.learning_rate),
            Self::Timed(net, _) => args.model.compiled(net.network(device)?, args.learning_rate.into()),
        }
    }

    fn load(&self, args: &Args) -> kiln::Result<Dataset> {
        match self {
            Self::Described(set) => Ok(args.model.load(set)?.train),
            Self::Timed(_, Some(set)) => shaped(Bar::load(set)?.train, &image(set)),
            Self::Timed(net, None) => Ok(net.data(args.steps.saturating_mul(args.model.batch_size()).clamp(1, MOST))),
        }
    }
}

/// A model on one of the devices.
struct Side {
    model: Model,
    device: String,
    losses: Vec<f64>,
    /// Of the steps after the first, which waits for kernels to compile.
    duration: Duration,
}

impl Side {
    fn new(model: Model, device: &Device) -> Self {
        Self { model, device: device.to_string(), losses: Vec::new(), duration: Duration::ZERO }
    }

    fn train(&mut self, rows: &Dataset, batch: usize) -> Result<()> {
        let start = Instant::now();
        let history = self.model.fit(rows, Fit::new().batch_size(batch).shuffle(false).verbose(0))?;
        if !self.losses.is_empty() {
            self.duration += start.elapsed();
        }
        self.losses.extend(history.batch_losses());
        Ok(())
    }

    fn samples_per_second(&self, batch: usize) -> f64 {
        ((self.losses.len() - 1) * batch) as f64 / self.duration.as_secs_f64().max(1e-9)
    }

    /// The first digits of a hash of all weights' bits.
    fn hash(&mut self) -> Result<String> {
        let mut hash = Sha256::new();
        for tensor in self.model.weights()? {
            match tensor.values() {
                Values::F32(v) => v.iter().for_each(|x| hash.update(x.to_bits().to_le_bytes())),
                other => other.to_f64().iter().for_each(|x| hash.update(x.to_bits().to_le_bytes())),
            }
        }
        Ok(hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect())
    }
}

/// The largest difference of each tensor, relative to its largest element.
fn differences(a: &[Tensor], b: &[Tensor]) -> Vec<f64> {
    let one = |(a, b): (&Tensor, &Tensor)| {
        let (a, b) = (a.values().to_f64(), b.values().to_f64());
        let largest = a.iter().chain(&b).fold(0.0f64, |most, x| most.max(x.abs()));
        let apart = a.iter().zip(&b).fold(0.0f64, |most, (a, b)| most.max((a - b).abs()));
        if apart == 0.0 { 0.0 } else { apart / largest }
    };
    a.iter().zip(b).map(one).collect()
}

/// The largest of some differences, NaN if there is one.
fn largest(all: impl IntoIterator<Item = f64>) -> f64 {
    all.into_iter().fold(0.0, |most, x| if x.is_nan() || x > most { x } else { most })
}

/// Gradients and weights after some step, by parameter.
struct Look {
    step: usize,
    gradients: Vec<f64>,
    weights: Vec<f64>,
}

struct Comparison {
    devices: [String; 2],
    losses: [Vec<f64>; 2],
    samples_per_second: [f64; 2],
    hashes: [String; 2],
    parameters: Vec<String>,
    looks: Vec<Look>,
    tolerance: f64,
}

impl Comparison {
    fn run(a: &mut Side, b: &mut Side, data: &Dataset, batch: usize, args: &Args) -> Result<Self> {
        let mut looks = Vec::new();
        let mut step = 0;
        for steps in chunks(args.steps, data.len() / batch) {
            let rows = rows(data, step * batch, steps * batch);
            a.train(&rows, batch)?;
            b.train(&rows, batch)?;
            step += steps;
            let gradients = differences(&a.model.gradients()?, &b.model.gradients()?);
            looks.push(Look { step, gradients, weights: differences(&a.model.weights()?, &b.model.weights()?) });
        }
        Ok(Self {
            parameters: a.model.parameter_paths()?,
            hashes: [a.hash()?, b.hash()?],
            samples_per_second: [&a, &b].map(|side| side.samples_per_second(batch)),
            devices: [&a, &b].map(|side| side.device.clone()),
            losses: [&a, &b].map(|side| side.losses.clone()),
            looks,
            tolerance: args.tolerance,
        })
    }

    /// The relative difference of the losses by step.
    fn apart(&self) -> Vec<f64> {
        let [a, b] = &self.losses;
        a.iter().zip(b).map(|(a, b)| if a == b { 0.0 } else { (a - b).abs() / a.abs().max(b.abs()) }).collect()
    }

    /// The first step, from 1, whose losses are further apart than allowed.
    fn first_beyond(&self) -> Option<usize> {
        self.apart().iter().position(|x| x.is_nan() || *x > self.tolerance).map(|i| i + 1)
    }

    fn print(&self, out: &mut impl Write) -> io::Result<()> {
        let [a, b] = &self.devices;
        writeln!(
            out,
            "A: {a}\nB: {b}\n\nLargest relative differences of loss, of the steps so far; gradients, weights.\n"
        )?;
        let heads = ["loss A", "loss B", "loss", "gradients", "weights"];
        writeln!(
            out,
            "{:>6} {:>11} {:>11} {:>9} {:>9} {:>9}",
            "step", heads[0], heads[1], heads[2], heads[3], heads[4]
        )?;
        let apart = self.apart();
        for look in &self.looks {
            let i = look.step - 1;
            let so_far = largest(apart[..look.step].iter().copied());
            let [g, w] = [&look.gradients, &look.weights].map(|all| largest(all.iter().copied()));
            let (loss_a, loss_b) = (self.losses[0][i], self.losses[1][i]);
            writeln!(out, "{:>6} {loss_a:>11.7} {loss_b:>11.7} {so_far:>9.1e} {g:>9.1e} {w:>9.1e}", look.step)?;
        }
        self.print_parameters(out)?;
        for (name, i) in [("A", 0), ("B", 1)] {
            let rate = self.samples_per_second[i];
            let rate = if self.losses[0].len() > 1 { format!(", {rate:.0} samples/s") } else { String::new() };
            writeln!(out, "{name}: weights {}{rate}", self.hashes[i])?;
        }
        let (steps, worst, tolerance) = (apart.len(), largest(apart), self.tolerance);
        match self.first_beyond() {
            None => {
                writeln!(out, "The losses of {steps} steps agree: {worst:.1e} apart at most, {tolerance:.0e} allowed.")
            }
            Some(step) => writeln!(
                out,
                "The losses DIFFER: {worst:.1e} apart at most, {tolerance:.0e} allowed, exceeded first at step {step}."
            ),
        }
    }

    fn print_parameters(&self, out: &mut impl Write) -> io::Result<()> {
        let width = self.parameters.iter().map(String::len).max().unwrap_or(0).max(9);
        writeln!(out, "\n{:<width$} {:>9} {:>9}", "parameter", "gradients", "weights")?;
        for (i, path) in self.parameters.iter().enumerate() {
            let of = |all: fn(&Look) -> &Vec<f64>| largest(self.looks.iter().map(|look| all(look)[i]));
            writeln!(out, "{path:<width$} {:>9.1e} {:>9.1e}", of(|l| &l.gradients), of(|l| &l.weights))?;
        }
        writeln!(out)
    }

    fn chart(&self, set: &str) -> Chart {
        let names = ["A", "B"].into_iter().zip(&self.devices).map(|(name, device)| format!("{name}: {device}"));
        let losses = names.zip(&self.losses).fold(Panel::new("loss"), |panel, (name, of)| panel.curve(name, of));
        let apart = self.apart();
        let allowed = vec![self.tolerance; apart.len()];
        let apart = Panel::new("relative difference, where there is one").log().dots("of the losses", &apart);
        Chart::new(format!("{set} on two devices"), "step").panel(losses).panel(apart.curve("allowed", &allowed))
    }

    fn json(&self) -> Value {
        let by_parameter = |all: &[f64]| -> Value {
            Value::Object(self.parameters.iter().zip(all).map(|(path, &x)| (path.clone(), json!(x))).collect())
        };
        let look = |look: &Look| {
            let (gradients, weights) = (by_parameter(&look.gradients), by_parameter(&look.weights));
            json!({ "step": look.step, "gradients": gradients, "weights": weights })
        };
        let device = |i: usize| {
            json!({
                "device": self.devices[i], "losses": self.losses[i], "weights_hash": self.hashes[i],
                "samples_per_second": self.samples_per_second[i],
            })
        };
        let (apart, first_beyond) = (self.apart(), self.first_beyond());
        json!({
            "devices": [device(0), device(1)], "steps": apart.len(), "tolerance": self.tolerance,
            "relative_differences": apart, "worst": largest(apart.iter().copied()), "first_beyond": first_beyond,
            "agree": first_beyond.is_none(), "looks": self.looks.iter().map(look).collect::<Vec<_>>(),
        })
    }
}

/// How many steps there are between looks: one, then the rest in equal parts, none longer than the data.
fn chunks(steps: usize, most: usize) -> Vec<usize> {
    let part = (steps - 1).div_ceil(LOOKS).clamp(1, most);
    let mut chunks = vec![1];
    let mut left = steps - 1;
    while left > 0 {
        chunks.push(part.min(left));
        left -= part.min(left);
    }
    chunks
}

/// `count` samples from the `first` on. Where too few are left, they begin anew with the whole set's start.
fn rows(data: &Dataset, first: usize, count: usize) -> Dataset {
    let first = first % data.len();
    let first = if first + count > data.len() { 0 } else { first };
    data.split_at(first).1.head(count)
}

//! What the examples share: the options that stand behind their names, and how the notes train on Fashion-MNIST.
#![allow(dead_code, reason = "each example uses a part")]

use anyhow::Context;
use kiln::data::Split;
use kiln::prelude::*;

/// `--device NAME`, the device to run on; `auto` unless given. Anything else is an error.
pub fn device() -> anyhow::Result<Device> {
    let [device] = options(["--device"])?;
    choose(device)
}

/// `--device NAME` as for [`device()`], and `--seed N`; 0 unless given.
pub fn device_and_seed() -> anyhow::Result<(Device, u64)> {
    let [device, seed] = options(["--device", "--seed"])?;
    Ok((choose(device)?, whole_seed(seed)?))
}

fn whole_seed(seed: Option<String>) -> anyhow::Result<u64> {
    let Some(seed) = seed else { return Ok(0) };
    seed.parse().with_context(|| format!("--seed {seed}: give a whole number"))
}

/// `--device NAME` as for [`device()`], and what makes a run shorter.
pub struct Args {
    /// Where to train.
    pub device: Device,
    /// `--limit N`: how many of the training samples are taken; all unless given.
    pub limit: usize,
    /// `--epochs N`.
    pub epochs: usize,
    /// `--seed N`, of what is drawn; 0 unless given. Only examples that make their own samples take it.
    pub seed: u64,
}

impl Args {
    /// What the command line asks for; `epochs` where it does not say how many.
    pub fn read(epochs: usize) -> anyhow::Result<Self> {
        let [device, limit, wanted] = options(["--device", "--limit", "--epochs"])?;
        Self::of([device, limit, wanted, None], usize::MAX, epochs)
    }

    /// [`Args::read`] with `--seed N`, for an example that makes so many samples to train on.
    pub fn read_seeded(samples: usize, epochs: usize) -> anyhow::Result<Self> {
        Self::of(options(["--device", "--limit", "--epochs", "--seed"])?, samples, epochs)
    }

    /// [`Args::read_seeded`], and a whole number of the example's own: its name on the command line, and what it is unless given.
    pub fn read_seeded_and(samples: usize, epochs: usize, own: (&str, usize)) -> anyhow::Result<(Self, usize)> {
        let [device, limit, wanted, seed, found] = options(["--device", "--limit", "--epochs", "--seed", own.0])?;
        let found = number(own.0, found, own.1)?;
        Ok((Self::of([device, limit, wanted, seed], samples, epochs)?, found))
    }

    fn of([device, limit, wanted, seed]: [Option<String>; 4], samples: usize, epochs: usize) -> anyhow::Result<Self> {
        let limit = number("--limit", limit, samples)?.min(samples);
        let (epochs, seed) = (number("--epochs", wanted, epochs)?, whole_seed(seed)?);
        Ok(Self { limit, epochs, seed, device: choose(device)? })
    }
}

/// What stands behind each of these on the command line.
fn options<const N: usize>(known: [&str; N]) -> anyhow::Result<[Option<String>; N]> {
    let mut values = [const { None }; N];
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let place = known.iter().position(|name| *name == arg);
        let place = place.with_context(|| format!("unknown argument `{arg}`; give any of {}", known.join(", ")))?;
        values[place] = Some(args.next().with_context(|| format!("{arg} needs a value behind it"))?);
    }
    Ok(values)
}

fn choose(name: Option<String>) -> anyhow::Result<Device> {
    Ok(Device::choose(name.as_deref().unwrap_or("auto"))?.device)
}

fn number(option: &str, value: Option<String>, default: usize) -> anyhow::Result<usize> {
    let Some(value) = value else { return Ok(default) };
    let number = value.parse().ok().filter(|&n| n > 0);
    number.with_context(|| format!("{option} {value}: give a whole number above 0"))
}

/// Fashion-MNIST to train on, and the last fifth of its training samples to validate on; of the first `limit` samples.
pub fn fashion_mnist(limit: usize) -> anyhow::Result<Split> {
    let data = kiln::data::fashion_mnist()?.train.head(limit);
    anyhow::ensure!(data.len() >= 5, "--limit {limit}: the last fifth is no sample to validate on; give 5 or more");
    let (train, test) = data.split_at(data.len() - data.len() / 5);
    Ok(Split { train, test })
}

/// Trains a net on Fashion-MNIST in batches of 32, and prints the last epoch's figures beside those of the notes.
pub fn train(
    model: impl Into<Model>,
    optimizer: impl Optimizer + 'static,
    args: Args,
    notes: &[(&str, f64)],
) -> anyhow::Result<()> {
    let data = fashion_mnist(args.limit)?;
    let mut model = model.into().device(args.device);
    model.build(data.train.sample_shape())?;
    print!("{}", model.summary()?);
    model.compile(optimizer, Loss::SparseCategoricalCrossentropy, [Metric::Accuracy])?;
    let history = model.fit(&data.train, Fit::new().epochs(args.epochs).validation_data(&data.test))?;
    println!("{:<14}{:>8}{:>8}", "", "Kiln", "notes");
    for (name, value) in history.epochs().last().into_iter().flat_map(Logs::iter) {
        let noted = notes.iter().find(|(noted, _)| *noted == name);
        let noted = noted.map_or(String::new(), |(_, value)| format!("{value:>8.4}"));
        println!("{name:<14}{value:>8.4}{noted}");
    }
    Ok(())
}

/// A learning rate that rises to `highest` in a straight line over the first of so many equal `parts` of the steps, and falls to 0 in
/// half a wave over the others.
pub fn one_cycle(highest: f64, steps: usize, parts: u64) -> CosineDecay {
    let (steps, warmup_steps) = (steps as u64, steps as u64 / parts);
    CosineDecay { warmup_target: Some(highest), warmup_steps, ..CosineDecay::new(0.0, steps - warmup_steps) }
}

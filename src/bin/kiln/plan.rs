//! `kiln plan`.

use std::io::{self, Write};
use std::path::Path;

use anyhow::Result;
use clap::ValueEnum;
use kiln::device::{Choice, Device};
use kiln::nn::Model;
use kiln::ops::{AdapterKind, Target};

use crate::arrays::ends_in;
use crate::model::{DeviceArgs, ModelArgs};

const EXAMPLES: &str = "\
Nothing is fetched or trained. The device decides which kernels are printed; for the CPU they are those of a software
adapter, though it runs none. In place of a data set a model's file may stand, .safetensors or .keras: its layers and optimizer are
planned, for --batch-size samples.

Examples:
  kiln plan mnist
  kiln plan mnist --kernels gpu
  kiln plan net.keras --batch-size 32
  kiln plan mnist --hidden 512,256 --batch-size 32 --device gpu";

/// Print what one training step does: ops, kernels, workgroups, buffers, bytes and FLOPs
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    model: ModelArgs,

    #[command(flatten)]
    place: DeviceArgs,

    /// Print the kernels of this kind of adapter, whatever the device
    #[arg(long, value_name = "KIND")]
    kernels: Option<Kernels>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Kernels {
    /// Those of a GPU that nothing more is known of
    Gpu,
    /// Those of a processor that runs shaders
    Software,
}

impl Kernels {
    fn target(self) -> Target {
        Target::new(match self {
            Self::Gpu => AdapterKind::Hardware,
            Self::Software => AdapterKind::Software,
        })
    }
}

/// The path of a model's file, where a name ends as such.
fn model_file(name: &str) -> Option<&Path> {
    Some(Path::new(name)).filter(|path| ends_in(path, "safetensors") || ends_in(path, "keras"))
}

pub fn run(args: &Args) -> Result<()> {
    let Choice { device, .. } = Device::choose(&args.place.device)?;
    let target = args.kernels.map_or(device.target(), Kernels::target);
    let plan = match model_file(&args.model.set) {
        Some(path) => args.model.plan_of(Model::load(path)?)?,
        None => args.model.training_plan(&device)?,
    };
    let tuned = target.tuning.len();
    let mut out = io::stdout().lock();
    write!(out, "{}", plan.report(target))?;
    if tuned > 0 {
        writeln!(out, "kernels of {tuned} products are chosen by {}", device.tuning_file()?.display())?;
    }
    Ok(())
}

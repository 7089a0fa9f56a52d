//! `kiln plan`.

use std::io::{self, Write};

use anyhow::{Result, ensure};
use clap::ValueEnum;
use kiln::data::NamedSet;
use kiln::device::{Choice, Device};
use kiln::ops::{AdapterKind, Target};

use crate::model::{DeviceArgs, ModelArgs};

const EXAMPLES: &str = "\
Nothing is fetched or trained. The device decides which kernels are printed; for the CPU they are those of a software
adapter, though it runs none.

Examples:
  kiln plan mnist
  kiln plan mnist --kernels gpu
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

pub fn run(args: &Args) -> Result<()> {
    let set = NamedSet::find(&args.model.set)?;
    let (samples, sample_len) = extents(set);
    let batch = args.model.batch_size;
    ensure!(
        (1..=samples).contains(&batch),
        "batch_size: {batch} does not fit the {samples} samples of {}; give 1 to {samples}",
        set.name
    );
    let Choice { device, .. } = Device::choose(&args.place.device)?;
    let target = args.kernels.map_or(device.target(), Kernels::target);
    let mut model = args.model.model(set, device, None)?;
    model.build([sample_len])?;
    let plan = model.training_plan(batch, samples)?;
    write!(io::stdout(), "{}", plan.report(target))?;
    Ok(())
}

/// How many training samples the set has and how many bytes each: the lengths of its files tell, so that a plan needs
/// no data. An IDX file has 4 bytes, then 4 an axis, then one byte an element.
fn extents(set: &NamedSet) -> (usize, usize) {
    let [images, labels, ..] = set.files.map(|file| file.len as usize);
    let samples = labels - 8;
    (samples, (images - 16) / samples)
}

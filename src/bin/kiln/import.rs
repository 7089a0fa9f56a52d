//! `kiln import`.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use kiln::device::Device;
use kiln::io::printable;
use kiln::nn::{Chain, Model, Sequential};

use crate::arrays::ends_in;
use crate::outputs::{self, Kind, Output};

const EXAMPLES: &str = "\
MODEL is a saved model, Keras' model.to_json() in a .json, or an .onnx. WEIGHTS are a .safetensors, .npz, .keras or .weights.h5:
weights by Kiln's names, by Keras' (v.path) or by PyTorch's (a state_dict), whose layouts are changed to Keras'. Without WEIGHTS the
model has to have its own, as an .onnx has. OUTPUT is written as its name ends: .safetensors, .keras, .onnx; .npz and .weights.h5 have
weights alone.

Layers go together by name and shape, PyTorch's by shape, too; what was matched to what is printed. Where several layers may be the
same, that is an error: give the layers the names of the file, as `dense 128 relu name=fc1`. Nothing is written unless every weight of
the model is in the file.

Examples:
  kiln import net.onnx net.safetensors
  kiln import net.json net.weights.h5 net.keras
  kiln import --layers 'input 784, dense 128 relu, dense 10 softmax' torch.safetensors net.safetensors";

const USAGE: &str = "\
kiln import <MODEL> [WEIGHTS] <OUTPUT>
       kiln import --layers <LAYERS> <WEIGHTS> <OUTPUT>";

/// Make a model of another program's files: of a network and of weights by their names
#[derive(clap::Args)]
#[command(after_help = EXAMPLES, override_usage = USAGE)]
pub struct Args {
    /// MODEL, its WEIGHTS unless it has them, and OUTPUT
    #[arg(value_name = "FILE", num_args = 2..=3, required = true)]
    files: Vec<PathBuf>,

    /// The network in place of MODEL, as `kiln train` takes it; it begins with `input`
    #[arg(long, value_name = "LAYERS")]
    layers: Option<String>,
}

pub fn run(args: &Args) -> Result<()> {
    let (model, weights, output) = match (&args.files[..], &args.layers) {
        ([weights, output], Some(_)) => (None, Some(weights), output),
        ([model, output], None) => (Some(model), None, output),
        ([model, weights, output], None) => (Some(model), Some(weights), output),
        _ => bail!("layers: stand in place of MODEL; give WEIGHTS and OUTPUT beside them"),
    };
    let read = [("the model", model), ("the weights", weights)];
    let read: Vec<(&str, &Path)> = read.into_iter().filter_map(|(what, path)| Some((what, path?.as_path()))).collect();
    let kind = if is_model(output) { Kind::Model } else { Kind::File };
    outputs::check(&[Output { option: "OUTPUT", path: output, kind }], &read)?;
    let made = match (model, &args.layers) {
        (Some(path), _) => opened(path, weights.is_some())?,
        (None, Some(layers)) => chain(layers)?,
        (None, None) => bail!("MODEL: give a file, or --layers"),
    };
    let mut made = made.device(Device::cpu());
    if let Some(path) = weights {
        let taken = made.load_weights_from(path)?;
        let text = format!("{}: {taken}", path.display());
        writeln!(io::stdout(), "{}", outputs::printable_lines(text.trim_end()))?;
        ensure!(
            taken.is_complete(),
            "{}: has not all weights of the model; nothing is written. `kiln train --from` begins with those that are there",
            path.display()
        );
    }
    write(&mut made, output)?;
    writeln!(io::stdout(), "{} is written", printable(&output.display().to_string()))?;
    Ok(())
}

/// Whether a path ends as weights alone do.
fn is_weights(path: &Path) -> bool {
    ends_in(path, "npz") || path.to_string_lossy().to_lowercase().ends_with(".weights.h5")
}

/// Whether a path is to be a model that is loaded again.
fn is_model(path: &Path) -> bool {
    !is_weights(path) && !ends_in(path, "onnx")
}

/// The model of a file; it has weights, unless they come from another one.
fn opened(path: &Path, has_weights: bool) -> Result<Model> {
    if ends_in(path, "onnx") {
        return Ok(Model::import_onnx(path)?);
    }
    ensure!(
        has_weights || !ends_in(path, "json"),
        "{}: describes a model, and has no weights; give a file of them behind it",
        path.display()
    );
    Ok(Model::load(path)?)
}

/// The model of layers as text.
fn chain(layers: &str) -> Result<Model> {
    let model = Sequential::from(&layers.parse::<Chain>()?);
    model.parameters().context("layers: begin with the shape of a sample, such as `input 784`")?;
    Ok(model.into_model())
}

fn write(model: &mut Model, output: &Path) -> Result<()> {
    match output {
        path if is_weights(path) => model.save_weights(path)?,
        path if ends_in(path, "onnx") => model.export(path)?,
        path => model.save(path)?,
    }
    Ok(())
}

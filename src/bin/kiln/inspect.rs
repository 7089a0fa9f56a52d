//! `kiln inspect`.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use kiln::device::Device;
use kiln::io::printable;
use kiln::nn::Model;
use kiln::plot::{self, ImageGrid, feature_maps, normalized};
use kiln::tensor::{Shape, Tensor};

use crate::model::DeviceArgs;
use crate::outputs::{self, Kind, Output};
use crate::picture::{self, Changes};
use crate::pictures::Pictures;
use crate::table;
use crate::unpacked::UnpackedArgs;

const EXAMPLES: &str = "\
Draws the picture as the model takes it, the layer's filters, and what the layer makes of the picture: a tile for each channel, or
for each filter, from the smallest value in black to the largest in white. Filters are drawn where they are pictures: over one
channel or three, or over the pixels of the picture. `kiln summary` lists the layers.

Examples:
  kiln inspect mnist.safetensors seven.png
  kiln inspect mnist.safetensors seven.png --layer conv2d_1 --output maps.png";

/// Draw what a layer of a saved model sees in a picture: its filters and feature maps
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// A file of `kiln train --save`, or a .keras
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// A PNG or JPEG file; of an IDX file the first picture
    #[arg(value_name = "PICTURE")]
    picture: PathBuf,

    /// The layer's name [default: the first one that has weights]
    #[arg(long, value_name = "NAME")]
    layer: Option<String>,

    /// Where to draw: .png or .svg [default: PICTURE-LAYER.png in this folder]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,

    #[command(flatten)]
    changes: Changes,

    #[command(flatten)]
    place: DeviceArgs,

    #[command(flatten)]
    packed: UnpackedArgs,
}

/// The most tiles of a kind that are drawn.
const MOST_TILES: usize = 256;

pub fn run(args: &Args) -> Result<()> {
    let mut model = Model::load(&args.file)?.device(Device::choose(&args.place.device)?.device);
    let layer = args.layer(&model)?;
    let path = args.output.clone().unwrap_or_else(|| default_output(&args.picture, &layer));
    let output = Output { option: "output", path: &path, kind: Kind::Picture };
    outputs::check(&[output], &[("the model", &args.file), ("the picture", &args.picture)])?;
    let x = args.sample(&model)?;
    let given = model.up_to(&layer)?.predict(&x)?;
    let given = given.reshape(&given.shape()[1..].iter().map(|&extent| extent as isize).collect::<Vec<_>>())?;
    let title = format!("{layer}: {}", args.picture.file_name().unwrap_or_default().display());
    let mut grid = ImageGrid::new(printable(&title));
    if let Some(image) = as_image(&x, model.sample_shape()?)? {
        grid = grid.images("the picture", &image)?;
    }
    let mut said = Vec::new();
    let kind = model.layer(&layer)?.kind();
    if let Some(kernel) = kernel(&mut model, &layer)? {
        let words = kernel.shape().iter().map(ToString::to_string).collect::<Vec<_>>().join(" x ");
        match filters(&kernel, kind, model.sample_shape()?)? {
            Some(tiles) => {
                let what = format!("{} of {}", counted(tiles.rows(), "filter"), size_of(tiles.shape()));
                grid = grid.images(drawn(&what, tiles.rows()), &tiles.head(MOST_TILES))?;
                said.push(what);
            }
            None => said.push(format!("a kernel of {words}, which is not drawn: it is no picture")),
        }
    }
    let (what, tiles) = outputs_of(&given, &layer)?;
    grid.images(drawn(&what, tiles.rows()), &tiles.head(MOST_TILES))?.save(&path)?;
    said.push(what);
    writeln!(io::stdout(), "{}: {layer} ({kind}): {}", printable(&path.display().to_string()), said.join("; "))?;
    Ok(())
}

/// What is drawn, and how much of it where that is not all.
fn drawn(what: &str, tiles: usize) -> String {
    if tiles > MOST_TILES { format!("{what}, the first {MOST_TILES}") } else { what.into() }
}

fn size_of(images: &Shape) -> String {
    format!("{} x {}", images[1], images[2])
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// Beside the command, by the names of the picture and the layer.
fn default_output(picture: &Path, layer: &str) -> PathBuf {
    let stem = picture.file_stem().unwrap_or_default().to_string_lossy();
    let plain = |name: &str| name.replace(|c: char| !c.is_alphanumeric() && c != '_' && c != '-', "_");
    format!("{}-{}.png", plain(&stem), plain(layer)).into()
}

impl Args {
    fn layer(&self, model: &Model) -> Result<String> {
        if let Some(layer) = &self.layer {
            model.layer(layer)?;
            return Ok(layer.clone());
        }
        let first = model.parameters()?.first().map(|parameter| parameter.layer.clone());
        let name =
            first.with_context(|| format!("layer: no layer of {} has weights; name one", self.file.display()))?;
        // Of a model in the model.
        Ok(name.split('/').next().unwrap_or(&name).into())
    }

    /// The picture as a batch of one sample.
    fn sample(&self, model: &Model) -> Result<Tensor> {
        let (file, most) = (self.file.display(), self.packed.max_unpacked);
        ensure!(
            table::find(model, &self.file, None)?.is_none(),
            "{file}: was trained on a table, which has no pictures"
        );
        if let Some(pictures) = Pictures::find(model, &self.file)? {
            ensure!(!self.picture.is_dir(), "{}: is a folder; give a picture", self.picture.display());
            return pictures.samples(&[&self.picture], self.changes, most);
        }
        Ok(picture::read(&self.picture, model.sample_shape()?, self.changes, most)?.0.head(1))
    }
}

/// A sample as an image (1, height, width, 1 or 3), where it is one.
fn as_image(x: &Tensor, sample: &Shape) -> Result<Option<Tensor>> {
    let extents = match (picture::extents(sample), &sample[..]) {
        (Some((height, width)), _) => [1, height as isize, width as isize, 1],
        (None, &[height, width, 3]) => [1, height as isize, width as isize, 3],
        _ => return Ok(None),
    };
    Ok(Some(x.reshape(&extents)?))
}

/// The weight by which the layer sees: its first one, where that has two axes or more.
fn kernel(model: &mut Model, layer: &str) -> Result<Option<Tensor>> {
    let of_layer = |p: &&kiln::nn::Parameter| p.layer == layer && p.shape.rank() >= 2;
    let Some(path) = model.parameters()?.iter().find(of_layer).map(kiln::nn::Parameter::path) else { return Ok(None) };
    Ok(Some(model.weight(&path)?))
}

/// A kernel as images (filters, height, width, 1 or 3), where it is such.
fn filters(kernel: &Tensor, kind: &str, sample: &Shape) -> Result<Option<Tensor>> {
    // (height, width, channels, filters)
    let extents = match (&kernel.shape()[..], picture::extents(sample), &sample[..]) {
        (&[height, width, channels, more], ..) if kind.starts_with("Depthwise") => [height, width, 1, channels * more],
        (&[height, width, filters, channels], ..) if kind.contains("Transpose") => {
            if channels != 1 {
                return Ok(None);
            }
            [height, width, channels, filters]
        }
        (&[height, width, channels, filters], ..) => [height, width, channels, filters],
        (&[inputs, units], Some((height, width)), _) if inputs == height * width => [height, width, 1, units],
        (&[inputs, units], _, &[height, width, 3]) if inputs == height * width * 3 => [height, width, 3, units],
        _ => return Ok(None),
    };
    if ![1, 3].contains(&extents[2]) {
        return Ok(None);
    }
    Ok(Some(plot::filters(&kernel.reshape(&extents.map(|extent| extent as isize))?)?))
}

/// What a layer gives as images, and in words.
fn outputs_of(given: &Tensor, layer: &str) -> Result<(String, Tensor)> {
    let (least, most) = given
        .values()
        .to_f64()
        .iter()
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), &x| (least.min(x), most.max(x)));
    let range = format!("from {least:.3} to {most:.3}");
    match given.shape()[..] {
        [height, width, channels] => {
            Ok((format!("{} of {height} x {width}, {range}", counted(channels, "map")), feature_maps(given)?))
        }
        [height, width] => {
            let map = feature_maps(&given.reshape(&[height as isize, width as isize, 1])?)?;
            Ok((format!("{height} x {width} outputs, {range}"), map))
        }
        [len] => {
            // A strip, or a square where that would be too long.
            let columns = if len <= 32 { len } else { len.isqrt() + usize::from(len.isqrt().pow(2) < len) };
            let mut values = normalized(&given.values().to_f64());
            values.resize(len.div_ceil(columns) * columns, 0.0);
            let strip = Tensor::new([1, len.div_ceil(columns), columns, 1], values)?;
            Ok((format!("{}, {range}", counted(len, "output")), strip))
        }
        _ => bail!("layer: {layer} gives {} for a picture, which is none; name another layer", given.shape()),
    }
}

//! Folders of pictures, a folder a class, and what a saved model keeps of them.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
use flate2::Crc;
use kiln::data::{ColorMode, ImageFolder, ImageLoader, Interpolation, Source as _};
use kiln::io::read_file;
use kiln::nn::{Config, FromSetting, Model};
use kiln::random::shuffled_with;
use kiln::tensor::{Shape, Tensor, Values};

use crate::outputs::Output;
use crate::picture::{self, Changes};
use crate::samples::{Loaded, Samples};

/// How pictures become samples.
#[derive(Args)]
pub struct PictureArgs {
    /// Of a folder of pictures: bring all to this height and width, such as 64x64
    #[arg(long, value_name = "HxW", value_parser = size)]
    size: Option<[u32; 2]>,

    /// Of a folder of pictures: make all rgb or grayscale [default: what they are, where all are alike]
    #[arg(long, value_name = "MODE", value_parser = named::<ColorMode>)]
    color_mode: Option<ColorMode>,

    /// Of a folder of pictures: how they come to --size: bilinear or nearest [default: bilinear]
    #[arg(long, value_name = "HOW", value_parser = named::<Interpolation>, requires = "size")]
    interpolation: Option<Interpolation>,
}

fn size(text: &str) -> Result<[u32; 2], String> {
    let extent = |text: &str| text.parse().ok().filter(|&extent: &u32| extent > 0);
    let found = text.split_once('x').and_then(|(height, width)| Some([extent(height)?, extent(width)?]));
    found.ok_or_else(|| "give height and width in pixels, such as 64x64".into())
}

/// An option's value by Keras' name.
fn named<T: FromSetting>(name: &str) -> Result<T, String> {
    T::from_setting(&name.into())
}

impl PictureArgs {
    /// That no option is given which `name`, no folder, would not heed.
    pub fn refuse(&self, name: &str) -> Result<()> {
        let given = [("size", self.size.is_some()), ("color_mode", self.color_mode.is_some())];
        match given.into_iter().find(|(_, given)| *given) {
            Some((option, _)) => bail!("{option}: {name} is no folder of pictures"),
            None => Ok(()),
        }
    }
}

/// The path of a folder, where a name is one.
pub fn folder<P: AsRef<Path> + ?Sized>(name: &P) -> Option<&Path> {
    Some(name.as_ref()).filter(|path| path.is_dir())
}

/// That nothing is written over a picture of the folder.
pub fn spared(outputs: &[Output<'_>], folder: &Path) -> Result<()> {
    let Ok(folder) = folder.canonicalize() else { return Ok(()) };
    let is_inside = |path: &Path| path.is_file() && path.canonicalize().is_ok_and(|path| path.starts_with(&folder));
    match outputs.iter().find(|output| is_inside(output.path)) {
        Some(Output { option, path, .. }) => {
            bail!("{option}: {} is in the folder of the data set, and would be lost; give another name", path.display())
        }
        None => Ok(()),
    }
}

/// The folders of a set: of what is trained on, validated on and measured on.
struct Parts {
    train: PathBuf,
    validation: Option<PathBuf>,
    test: Option<PathBuf>,
}

impl Parts {
    /// A folder with `train` and `test`, `val` or `validation`, or else all of it to train on.
    fn of(folder: &Path) -> Self {
        let part = |names: &[&str]| names.iter().map(|name| folder.join(name)).find(|path| path.is_dir());
        let (train, test) = (part(&["train"]), part(&["test"]));
        match (train, part(&["val", "valid", "validation"]), test) {
            (Some(train), Some(validation), None) => Self { train, validation: None, test: Some(validation) },
            (Some(train), validation, Some(test)) => Self { train, validation, test: Some(test) },
            _ => Self { train: folder.into(), validation: None, test: None },
        }
    }
}

/// What pictures of a folder are as samples, and which of them are measured on.
pub struct Pictures {
    pub classes: Vec<String>,
    size: [u32; 2],
    color_mode: ColorMode,
    /// `None`: pictures of another size are refused.
    interpolation: Option<Interpolation>,
    /// Where no folder says which pictures are measured on.
    test_split: Option<f64>,
    seed: u64,
    /// What tells other files: how many there were, and a sum of their names.
    files: usize,
    crc: usize,
}

/// The note in the file.
const NOTE: &str = "pictures";

/// The library's names of options, and the command's.
const OPTIONS: [(&str, &str); 3] = [
    ("name a size by ImageFolder::image_size", "give --size HEIGHTxWIDTH, to which all are brought"),
    ("by color_mode", "by --color-mode rgb or --color-mode grayscale"),
    ("class_names: ", ""),
];

/// An error's text in the words of the command's options.
pub fn in_options(e: &kiln::Error) -> anyhow::Error {
    let text = OPTIONS.iter().fold(e.to_string(), |text, (ours, theirs)| text.replace(ours, theirs));
    anyhow::Error::msg(text)
}

/// A folder of pictures of these classes.
fn opened(folder: &Path, loader: ImageLoader, classes: &[String]) -> Result<ImageFolder> {
    let opened = ImageFolder::open_with(folder, loader).and_then(|opened| opened.class_names(classes));
    opened.map_err(|e| in_options(&e).context(folder.display().to_string()))
}

/// Of the files' names and classes, in their order.
fn checksum(folders: &[&ImageFolder], root: &Path) -> (usize, usize) {
    let mut crc = Crc::new();
    for file in folders.iter().flat_map(|folder| folder.files()) {
        crc.update(file.strip_prefix(root).unwrap_or(file).as_os_str().as_encoded_bytes());
        crc.update(b"\n");
    }
    (folders.iter().map(|folder| folder.len()).sum(), crc.sum() as usize)
}

impl Pictures {
    /// Those of a folder as the options have them.
    pub fn new(
        folder: &Path,
        args: &PictureArgs,
        (test_split, seed): (Option<f64>, u64),
        max_unpacked: Option<u64>,
    ) -> Result<(Self, Loaded)> {
        let parts = Parts::of(folder);
        ensure!(
            parts.test.is_none() || test_split.is_none(),
            "test_split: {} has a folder of its own to measure on; leave --test-split out",
            folder.display()
        );
        let mut loader = max_unpacked.into_iter().fold(ImageLoader::new(), ImageLoader::max_unpacked);
        if let Some([height, width]) = args.size {
            loader = loader.image_size(height, width).interpolation(args.interpolation.unwrap_or_default());
        }
        let train = ImageFolder::open_with(&parts.train, loader).map_err(|e| in_options(&e))?;
        let classes = train.classes().to_vec();
        ensure!(
            classes.len() > 1,
            "{}: holds one class, {:?}; there are two or more to be told apart, each in a folder of its own",
            parts.train.display(),
            classes[0]
        );
        let others = parts.others(&train, &classes)?;
        let folders: Vec<&ImageFolder> = [&train].into_iter().chain(others.iter().flatten()).collect();
        let files: Vec<&PathBuf> = folders.iter().flat_map(|folder| folder.files()).collect();
        let color_mode = match args.color_mode {
            Some(mode) => mode,
            None => ImageLoader::color_mode_of(&files).map_err(|e| in_options(&e))?,
        };
        let (count, crc) = checksum(&folders, folder);
        let pictures = Self {
            size: train.loader().size().context("the first picture has a size")?,
            classes,
            color_mode,
            interpolation: args.size.map(|_| args.interpolation.unwrap_or_default()),
            test_split: parts.test.is_none().then(|| test_split.unwrap_or(0.2)),
            seed,
            files: count,
            crc,
        };
        let loaded = pictures.load(train, others)?;
        Ok((pictures, loaded))
    }

    /// The pictures that were trained on before, read as they were then.
    pub fn again(&self, folder: &Path, max_unpacked: Option<u64>) -> Result<Loaded> {
        let parts = Parts::of(folder);
        let train = self.open(&parts.train, max_unpacked)?;
        let others = parts.others(&train, &self.classes)?;
        let folders: Vec<&ImageFolder> = [&train].into_iter().chain(others.iter().flatten()).collect();
        let ((count, crc), name) = (checksum(&folders, folder), folder.display());
        let (files, advice) = (self.files, "give the folder that it was trained on");
        ensure!(count == files, "{name}: has {count} pictures, the run had {files}; {advice}");
        ensure!(crc == self.crc, "{name}: has other files than the run had; {advice}");
        self.load(train, others)
    }

    /// A folder of pictures of these classes.
    fn open(&self, folder: &Path, max_unpacked: Option<u64>) -> Result<ImageFolder> {
        opened(folder, self.loader(max_unpacked), &self.classes)
    }

    fn load(&self, train: ImageFolder, [validation, test]: [Option<ImageFolder>; 2]) -> Result<Loaded> {
        // In an order of its own: the last ones, of which a validation may be, are not all of one class.
        let mixed = |folder: ImageFolder, index| {
            let rows = shuffled_with((0..folder.len()).collect(), self.seed, NOTE, index);
            folder.color_mode(self.color_mode).subset(&rows)
        };
        let train = mixed(train, 0)?;
        let validation = validation.map(|folder| mixed(folder, 1)).transpose()?;
        let [train, test] = match (test, self.test_split) {
            (Some(test), _) => [train, mixed(test, 2)?],
            (None, share) => train.stratified_split(share.unwrap_or(0.2), self.seed)?,
        };
        Ok(Loaded { train: train.into(), validation: validation.map(Samples::from), test: test.into() })
    }

    /// The pictures that are measured on in a folder: those of its `test`, the held back ones, or all.
    pub fn test(&self, folder: &Path, held_out: bool, max_unpacked: Option<u64>) -> Result<Samples> {
        if held_out {
            return Ok(self.again(folder, max_unpacked)?.test);
        }
        let parts = Parts::of(folder);
        Ok(self.open(parts.test.as_ref().unwrap_or(&parts.train), max_unpacked)?.into())
    }

    /// Pictures as samples of the model.
    pub fn samples<P: AsRef<Path> + Sync>(
        &self,
        files: &[P],
        changes: Changes,
        max_unpacked: Option<u64>,
    ) -> Result<Tensor> {
        if changes.fit {
            let samples = files.iter().map(|file| {
                let file = file.as_ref();
                self.sample(&read_file(file)?, file, changes, max_unpacked)
            });
            let samples = samples.collect::<Result<Vec<_>>>()?;
            return Ok(Tensor::concatenate(&samples.iter().collect::<Vec<_>>(), 0)?);
        }
        let x = self.loader(max_unpacked).load(files).map_err(|e| for_a_model(&e))?;
        if changes.invert { inverted(x) } else { Ok(x) }
    }

    /// The bytes of a picture as one sample of the model, (1, height, width, channels). `path` stands in the errors only.
    pub fn sample(&self, bytes: &[u8], path: &Path, changes: Changes, max_unpacked: Option<u64>) -> Result<Tensor> {
        let shape = self.sample_shape();
        if changes.fit {
            let seen = picture::seen(bytes, path, &shape, changes, max_unpacked)?;
            return Ok(Tensor::new([&[1], &shape[..]].concat(), seen.pixels)?);
        }
        let x = self.loader(max_unpacked).parse(bytes, path).map_err(|e| for_a_model(&e))?;
        let x = x.reshape(&[&[1], &shape[..]].concat().iter().map(|&extent| extent as isize).collect::<Vec<_>>())?;
        if changes.invert { inverted(x) } else { Ok(x) }
    }

    /// Height, width and channels.
    pub fn sample_shape(&self) -> Shape {
        [self.size[0] as usize, self.size[1] as usize, self.color_mode.channels()].into()
    }

    /// What makes samples of pictures.
    fn loader(&self, max_unpacked: Option<u64>) -> ImageLoader {
        let [height, width] = self.size;
        let loader = ImageLoader::new().exact_size(height, width).color_mode(self.color_mode);
        let loader = self.interpolation.into_iter().fold(loader, ImageLoader::interpolation);
        max_unpacked.into_iter().fold(loader, ImageLoader::max_unpacked)
    }

    /// Keeps it with the model.
    pub fn keep(&self, model: &mut Model) {
        let config = Config::new(NOTE)
            .with("classes", self.classes.clone())
            .with("height", self.size[0] as usize)
            .with("width", self.size[1] as usize)
            .with("color_mode", self.color_mode)
            .with("interpolation", self.interpolation)
            .with("test_split", self.test_split)
            .with("seed", self.seed)
            .with("files", self.files)
            .with("crc", self.crc);
        model.set_note(NOTE, config);
    }

    /// [`Pictures::find`] of a model that must have them, for the folder of this name.
    pub fn of(model: &Model, path: &Path, name: &str) -> Result<Self> {
        let none = || format!("{}: was trained on no folder of pictures, {name} is one", path.display());
        Self::find(model, path)?.with_context(none)
    }

    /// Those of the model in the file at `path`, where it was trained on such a folder.
    pub fn find(model: &Model, path: &Path) -> Result<Option<Self>> {
        let Some(mut config) = model.note::<Config>(NOTE)? else { return Ok(None) };
        let mut read = || -> Result<Self> {
            let size = [config.take::<usize>("height")?, config.take::<usize>("width")?];
            let pictures = Self {
                classes: config.take("classes")?,
                size: [u32::try_from(size[0])?, u32::try_from(size[1])?],
                color_mode: config.take("color_mode")?,
                interpolation: config.take("interpolation")?,
                test_split: config.take("test_split")?,
                seed: config.take("seed")?,
                files: config.take("files")?,
                crc: config.take("crc")?,
            };
            let ([height, width], channels) = (size, pictures.color_mode.channels());
            let sample = model.sample_shape()?;
            ensure!(
                sample[..] == [height, width, channels],
                "pictures: are {height} x {width} with {channels} channels, the model takes samples of {sample}"
            );
            Ok(pictures)
        };
        read().map(Some).with_context(|| path.display().to_string())
    }

    /// What becomes of pictures.
    pub fn print(&self) -> String {
        let ([height, width], classes) = (self.size, self.classes.join(", "));
        let colour = if self.color_mode == ColorMode::Rgb { "in colour" } else { "grey" };
        let resized = if self.interpolation.is_some() { ", to which others are brought" } else { "" };
        format!("{height} x {width} pixels{resized}, {colour}; classes {classes}")
    }
}

impl Parts {
    /// The folders to validate and to measure on, of these classes, read as those to train on.
    fn others(&self, train: &ImageFolder, classes: &[String]) -> Result<[Option<ImageFolder>; 2]> {
        let open = |path: &Option<PathBuf>| {
            path.as_deref().map(|path| opened(path, train.loader().clone(), classes)).transpose()
        };
        Ok([open(&self.validation)?, open(&self.test)?])
    }
}

/// An error's text about a picture for a model, in this command's words.
fn for_a_model(e: &kiln::Error) -> anyhow::Error {
    anyhow::Error::msg(
        e.to_string().replace(OPTIONS[0].0, "the model was trained on pictures of one size: bring it to that"),
    )
}

/// Black for white.
fn inverted(x: Tensor) -> Result<Tensor> {
    let shape = x.shape().clone();
    let Values::U8(pixels) = x.into_values() else { bail!("invert: is for pictures of bytes") };
    Ok(Tensor::new(shape, pixels.into_iter().map(|pixel| 255 - pixel).collect::<Vec<_>>())?)
}

//! What `train` trains on: a named set, arrays of NumPy's, a folder of pictures, or a table of one's own.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use kiln::data::{LoadOptions, NamedSet, Scaler, Split};
use kiln::nn::Model;
use kiln::table::{Baseline, Preprocessor, Report};
use kiln::tensor::Shape;

use crate::arrays::{self, Largest, archive};
use crate::data::Bar;
use crate::model::{Task, image, predicts_values};
use crate::pictures::{PictureArgs, Pictures, folder};
use crate::samples::Loaded;
use crate::saved::class_names;
use crate::table::{self, Opened, TableArgs};

/// A data set, loaded when it is wanted.
pub enum Set {
    Named(&'static NamedSet),
    /// Of a file of this name.
    Arrays {
        name: String,
        split: Box<Split>,
        /// None where the targets are numbers.
        largest: Option<Largest>,
        print: arrays::Print,
    },
    Table {
        name: String,
        split: Box<Split>,
        preprocessor: Box<Preprocessor>,
        report: Box<Report>,
    },
    /// Of a folder of this name.
    Folder {
        name: String,
        loaded: Box<Loaded>,
        pictures: Box<Pictures>,
    },
}

impl Set {
    /// The set of this name, of pictures in a folder or, where it has an ending such as `.csv`, in this file and `more` of them.
    pub fn find(
        (name, more): (&str, &[PathBuf]),
        (args, pictures): (&TableArgs, &PictureArgs),
        seed: u64,
        max_unpacked: Option<u64>,
    ) -> Result<Self> {
        only_of_tables(name, more)?;
        if let Some(path) = pictures_in(name) {
            args.refuse_columns(name)?;
            let (pictures, loaded) =
                Pictures::new(path, pictures, (args.test_split, args.split_seed.unwrap_or(seed)), max_unpacked)?;
            return Ok(Self::of_folder(path, pictures, loaded));
        }
        pictures.refuse(name)?;
        let Some(path) = table_in(name) else {
            args.refuse(name)?;
            return Self::without_columns(name, args.predicts_values(), max_unpacked);
        };
        Ok(Self::of_table(path, args.open(&with(path, more), max_unpacked)?))
    }

    /// The set of this name, or the table that the model in `file` was trained on, read as it was then.
    pub fn again(
        (name, more): (&str, &[PathBuf]),
        args: &TableArgs,
        (model, file): (&Model, &Path),
        max_unpacked: Option<u64>,
    ) -> Result<Self> {
        only_of_tables(name, more)?;
        if table_in(name).is_none() {
            args.refuse_columns(name)?;
        }
        if let Some(path) = pictures_in(name) {
            let pictures = Pictures::of(model, file, name)?;
            let loaded = pictures.again(path, max_unpacked)?;
            return Ok(Self::of_folder(path, pictures, loaded));
        }
        let Some(path) = table_in(name) else {
            let set = Self::without_columns(name, predicts_values(model), max_unpacked)?;
            if let Self::Arrays { print, .. } = &set {
                print.check(model, Path::new(name))?;
            }
            return Ok(set);
        };
        let preprocessor = table::of(model, file, max_unpacked)?;
        Ok(Self::of_table(path, args.again(preprocessor, &with(path, more))?))
    }

    /// What is no table.
    fn without_columns(name: &str, values: bool, max_unpacked: Option<u64>) -> Result<Self> {
        let Some(path) = archive(name) else { return Ok(Self::Named(NamedSet::find_images(name)?)) };
        let (split, largest) = arrays::split(path, values, max_unpacked)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let print = arrays::Print::of(&split);
        Ok(Self::Arrays { name, split: Box::new(split), largest, print })
    }

    pub fn of_table(path: &Path, Opened { split, preprocessor, report }: Opened) -> Self {
        let (split, preprocessor, report) = (Box::new(split), Box::new(preprocessor), Box::new(report));
        Self::Table { name: table::called(path), split, preprocessor, report }
    }

    fn of_folder(path: &Path, pictures: Pictures, loaded: Loaded) -> Self {
        let whole = path.canonicalize().unwrap_or_else(|_| path.into());
        let name = whole.file_name().unwrap_or(whole.as_os_str()).to_string_lossy().into_owned();
        Self::Folder { name, loaded: Box::new(loaded), pictures: Box::new(pictures) }
    }

    /// The weights of classes, by their indices.
    pub fn class_weight(&self) -> Vec<(u32, f32)> {
        match self {
            Self::Named(_) | Self::Arrays { .. } | Self::Folder { .. } => Vec::new(),
            Self::Table { preprocessor, .. } => preprocessor.class_weight(),
        }
    }

    pub fn name(&self) -> &str {
        match self {
            Self::Named(set) => set.name,
            Self::Arrays { name, .. } | Self::Table { name, .. } | Self::Folder { name, .. } => name,
        }
    }

    /// What is to be predicted.
    pub fn task(&self) -> Task {
        match self {
            Self::Named(set) => Task::Classes(set.classes),
            Self::Arrays { largest: Some(largest), .. } => Task::Classes(largest.classes()),
            Self::Arrays { split, .. } => Task::Values(split.train.y().shape()[1]),
            Self::Table { preprocessor, .. } => match preprocessor.classes() {
                [] => Task::Values(preprocessor.targets().len()),
                classes => Task::Classes(classes.len()),
            },
            Self::Folder { pictures, .. } => Task::Classes(pictures.classes.len()),
        }
    }

    /// What numbers to predict are scaled by: they are trained on at mean 0 and standard deviation 1.
    pub fn target_scaler(&self) -> Result<Option<Scaler>> {
        match self {
            Self::Arrays { split, largest: None, .. } => Ok(Some(Scaler::standardize_targets(&split.train)?)),
            Self::Table { split, preprocessor, .. } if preprocessor.classes().is_empty() => {
                Ok(Some(Scaler::standardize_targets(&split.train)?))
            }
            _ => Ok(None),
        }
    }

    /// What the result is to be held against, where that is known before the data are fetched.
    pub fn baseline(&self) -> Result<Option<Baseline>> {
        match self {
            Self::Table { report, .. } => Ok(report.baseline.clone()),
            Self::Arrays { split, .. } => Ok(Some(Baseline::of(&split.train, &split.test)?)),
            Self::Named(_) | Self::Folder { .. } => Ok(None),
        }
    }

    /// The shape of a sample; images have their channels.
    pub fn sample_shape(&self) -> Shape {
        match self {
            Self::Named(set) => image(set),
            Self::Arrays { split, .. } | Self::Table { split, .. } => split.train.sample_shape(),
            Self::Folder { pictures, .. } => pictures.sample_shape(),
        }
    }

    /// That an output layer for the classes can be held: `bytes` is what it takes in training where samples are of a length.
    /// A table's classes are words that are there; a label of arrays may be any number.
    pub fn check_output(&self, bytes: impl Fn(usize) -> Result<u64, kiln::Error>) -> Result<()> {
        let Self::Arrays { split, largest: Some(largest), .. } = self else { return Ok(()) };
        largest.check(bytes(split.train.sample_shape().len())?)
    }

    /// The names of the classes; none where they are numbers.
    pub fn class_names(&self) -> Vec<String> {
        match self {
            Self::Named(set) => class_names(set),
            Self::Arrays { .. } => Vec::new(),
            Self::Table { preprocessor, .. } => preprocessor.classes().to_vec(),
            Self::Folder { pictures, .. } => pictures.classes.clone(),
        }
    }

    /// Whether it has samples of its own to validate on.
    pub fn is_validated(&self) -> bool {
        matches!(self, Self::Folder { loaded, .. } if loaded.validation.is_some())
    }

    /// How many rows of a table are trained on, those to validate on among them.
    pub fn training_rows(&self) -> Option<usize> {
        match self {
            Self::Table { split, .. } => Some(split.train.len()),
            Self::Named(_) | Self::Arrays { .. } | Self::Folder { .. } => None,
        }
    }

    /// What a table holds.
    pub fn report(&self) -> Option<&Report> {
        match self {
            Self::Table { report, .. } => Some(report),
            Self::Named(_) | Self::Arrays { .. } | Self::Folder { .. } => None,
        }
    }

    /// The samples, with a bar where they have to be fetched.
    pub fn load(self) -> Result<Loaded> {
        let Split { train, test } = match self {
            Self::Named(set) => Bar::load(set)?,
            Self::Arrays { split, .. } | Self::Table { split, .. } => *split,
            Self::Folder { loaded, .. } => return Ok(*loaded),
        };
        Ok(Loaded { train: train.into(), validation: None, test: test.into() })
    }

    /// Keeps with the model what it needs of a table, or tells these arrays from others.
    pub fn keep(&self, model: &mut Model) {
        match self {
            Self::Named(_) => {}
            Self::Arrays { print, .. } => print.keep(model),
            Self::Folder { pictures, .. } => pictures.keep(model),
            Self::Table { preprocessor, .. } => preprocessor.keep(model),
        }
    }
}

/// A table's files.
pub fn with(path: &Path, more: &[PathBuf]) -> Vec<PathBuf> {
    [path.into()].into_iter().chain(more.iter().cloned()).collect()
}

/// That what is no table is named alone.
fn only_of_tables(name: &str, more: &[PathBuf]) -> Result<()> {
    match more.first() {
        Some(path) if table_in(name).is_none() => {
            bail!("{}: {name} is no table, which alone may be of several files; give one data set", path.display())
        }
        _ => Ok(()),
    }
}

/// The path of a folder of pictures, where a name is one: a named set's is that set's, one of tables is theirs.
pub fn pictures_in(name: &str) -> Option<&Path> {
    folder(name).filter(|path| NamedSet::find_images(name).is_err() && !holds_tables(path))
}

/// The path of a table, where a name is one: it has an ending, and not that of an archive, or it is a folder of tables.
pub fn table_in(name: &str) -> Option<&Path> {
    let path = Path::new(name);
    let is_file = path.extension().is_some() && archive(name).is_none() && !path.is_dir();
    (is_file || NamedSet::find_images(name).is_err() && holds_tables(path)).then_some(path)
}

/// Whether a folder holds tables, and no folders in which there might be pictures.
fn holds_tables(path: &Path) -> bool {
    let is_folder = |entry: std::io::Result<fs::DirEntry>| entry.is_ok_and(|entry| entry.path().is_dir());
    let flat = || fs::read_dir(path).is_ok_and(|mut entries| !entries.any(is_folder));
    path.is_dir() && flat() && kiln::table::files(path).is_ok_and(|files| !files.is_empty())
}

/// The files of a set, as far as they are there to be read.
pub fn files_of(name: &str) -> Vec<PathBuf> {
    if let Some(path) = table_in(name).or_else(|| archive(name)) {
        return if path.is_dir() { kiln::table::files(path).unwrap_or_default() } else { vec![path.into()] };
    }
    let found =
        |set: &NamedSet| set.folder(LoadOptions { fetch: false, ..LoadOptions::default() }).map(|at| set.paths(&at));
    NamedSet::find(name).and_then(found).unwrap_or_default()
}

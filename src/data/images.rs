//! Folders of pictures: a folder a class, as Keras' `image_dataset_from_directory` reads them.

mod head;
mod jpeg;
mod loader;
mod resize;

use std::fs;
use std::path::{Path, PathBuf};

pub use crate::ops::resize::Interpolation;
pub use loader::{ColorMode, ImageLoader};

use super::png::{most_bytes, without_panic};
use super::{Dataset, Fold, Source, parse_png_within};
use crate::error::{Error, Result};
use crate::io::file_kind;
use crate::tensor::Tensor;

/// What is wrong with a file of these first bytes, which is no picture.
fn neither(bytes: &[u8]) -> String {
    match file_kind(bytes) {
        Some(kind) => format!("is {kind}; pictures are read as PNG or JPEG: save it as one of these"),
        None => "cannot be read as PNG or JPEG: it begins as neither; mend or remove it".into(),
    }
}

/// The picture in the bytes of a PNG or JPEG file: `u8` of shape `(height, width, channels)`, as [`super::parse_png`] has it; a JPEG has
/// one channel or three. The first bytes tell which it is. `path` stands in the errors only.
///
/// ```no_run
/// let path = std::path::Path::new("rose.jpg");
/// let picture = kiln::data::parse_image(&std::fs::read(path).unwrap(), path)?;
/// println!("{}", picture.shape());
/// # Ok::<(), kiln::Error>(())
/// ```
///
/// # Errors
/// [`Error::Format`] where it is neither, is damaged, or holds more than 64 MB and 1024 times its own size.
pub fn parse_image(bytes: &[u8], path: &Path) -> Result<Tensor> {
    parse_image_within(bytes, path, most_bytes(bytes.len()) as u64)
}

/// [`parse_image`] of bytes that may unpack to `max_unpacked` bytes.
///
/// # Errors
/// [`Error::Format`], as of [`parse_image`].
pub fn parse_image_within(bytes: &[u8], path: &Path, max_unpacked: u64) -> Result<Tensor> {
    if bytes.starts_with(b"\x89PNG") {
        return parse_png_within(bytes, path, max_unpacked);
    }
    if !bytes.starts_with(jpeg::SIGNATURE) {
        return Err(Error::format(path, neither(bytes)));
    }
    let most = usize::try_from(max_unpacked).unwrap_or(usize::MAX);
    without_panic(|| jpeg::parse(bytes, most)).map_err(|e| Error::format(path, e))
}

/// PNG and JPEG files in a folder for each class, whose name is the class's, and in that folder's own folders. What lies
/// beside the classes, files with other endings, and hidden folders such as `.ipynb_checkpoints` are passed over. Classes
/// are sorted by name, files by folder and name. Of pixels with alpha the colour counts alone, as in Keras.
///
/// It is a [`Source`]: pictures are decoded while the model trains, on all of the processor's cores, and need not fit in
/// memory. [`ImageFolder::load`] reads all of them. Samples are bytes `(height, width, channels)`.
///
/// ```no_run
/// use kiln::data::ImageFolder;
/// use kiln::prelude::*;
/// let pictures = ImageFolder::open("flowers")?.image_size(64, 64);
/// println!("{} pictures of {}", pictures.files().len(), pictures.classes().join(", "));
/// let [train, test] = pictures.stratified_split(0.2, 1)?;
/// # Ok::<(), kiln::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ImageFolder {
    files: Vec<PathBuf>,
    labels: Vec<u32>,
    classes: Vec<String>,
    loader: ImageLoader,
}

/// What a folder holds, sorted.
fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let listed = fs::read_dir(folder).map_err(Error::io(folder, "list"))?;
    let paths = listed.map(|entry| entry.map(|entry| entry.path()).map_err(Error::io(folder, "list")));
    let mut paths = paths.collect::<Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

fn is_picture(path: &Path) -> bool {
    let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase());
    path.is_file() && ending.is_some_and(|ending| ["png", "jpg", "jpeg"].contains(&ending.as_str()))
}

/// The PNG and JPEG files in a folder, by their endings, then those in each folder below, in the folders' order; hidden folders are
/// passed over.
///
/// ```no_run
/// for path in kiln::data::image_files("garden")? {
///     println!("{}", path.display());
/// }
/// # Ok::<(), kiln::Error>(())
/// ```
///
/// # Errors
/// [`Error::Io`] where a folder cannot be listed.
pub fn image_files(folder: impl AsRef<Path>) -> Result<Vec<PathBuf>> {
    pictures(folder.as_ref().into())
}

fn pictures(class: PathBuf) -> Result<Vec<PathBuf>> {
    let (mut folders, mut at) = (vec![class], 0);
    while let Some(folder) = folders.get(at) {
        let below = entries(folder)?.into_iter().filter(|path| path.is_dir() && !path.is_symlink() && !is_hidden(path));
        folders.extend(below.collect::<Vec<_>>());
        at += 1;
    }
    // By the letters of the whole path, as Keras sorts them.
    folders.sort_by(|a, b| a.as_os_str().cmp(b.as_os_str()));
    let files = folders.iter().map(|folder| entries(folder)).collect::<Result<Vec<_>>>()?;
    Ok(files.into_iter().flatten().filter(|path| is_picture(path)).collect())
}

fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
}

impl ImageFolder {
    /// Lists a folder's pictures, and takes the first one's size for that of all.
    ///
    /// # Errors
    /// [`Error::Io`] where a folder cannot be listed; [`Error::Format`] where there are no folders of pictures, one has
    /// none, or the head of the first picture does not say its size.
    pub fn open(folder: impl AsRef<Path>) -> Result<Self> {
        Self::open_with(folder, ImageLoader::new())
    }

    /// [`ImageFolder::open`] of pictures that are read as a loader does, to its size where it has one.
    ///
    /// # Errors
    /// As [`ImageFolder::open`].
    pub fn open_with(folder: impl AsRef<Path>, loader: ImageLoader) -> Result<Self> {
        let folder = folder.as_ref();
        let (mut files, mut labels, mut classes) = (Vec::new(), Vec::new(), Vec::new());
        for class in entries(folder)?.into_iter().filter(|path| path.is_dir() && !is_hidden(path)) {
            files.extend(pictures(class.clone())?);
            if files.len() == labels.len() {
                return Err(Error::format(class, "holds no PNG or JPEG files; fill or remove it"));
            }
            labels.resize(files.len(), classes.len() as u32);
            classes.push(class.file_name().unwrap_or_default().to_string_lossy().into_owned());
        }
        let Some(first) = files.first() else {
            return Err(Error::format(folder, "holds no folders; put the pictures of each class into one of its own"));
        };
        let loader = if loader.size().is_some() { loader } else { loader.sized_like(first)? };
        Ok(Self { files, labels, classes, loader })
    }

    /// Brings all pictures to this size.
    #[must_use]
    pub fn image_size(mut self, height: u32, width: u32) -> Self {
        self.loader = self.loader.image_size(height, width);
        self
    }

    /// Brings pictures of another size to the first one's, or to that of [`ImageFolder::image_size`], in this way; default bilinear,
    /// over as many more of the old pixels where a picture shrinks. Without either call, a picture of another size is an error.
    #[must_use]
    pub fn interpolation(mut self, interpolation: Interpolation) -> Self {
        self.loader = self.loader.interpolation(interpolation);
        self
    }

    /// What becomes of the colours; default [`ColorMode::Rgb`].
    #[must_use]
    pub fn color_mode(mut self, color_mode: ColorMode) -> Self {
        self.loader = self.loader.color_mode(color_mode);
        self
    }

    /// [`ColorMode::Grayscale`].
    #[must_use]
    pub fn grayscale(self) -> Self {
        self.color_mode(ColorMode::Grayscale)
    }

    /// How the pictures are read; other pictures become samples of the same form by it.
    pub fn loader(&self) -> &ImageLoader {
        &self.loader
    }

    /// Gives the classes these indices, in order, as Keras' `class_names` does; there may be more than the folder has.
    ///
    /// # Errors
    /// [`Error::Argument`] that names a class of the folder which is not among them.
    pub fn class_names(mut self, names: &[String]) -> Result<Self> {
        let place = |class: &String| {
            let place = names.iter().position(|name| name == class);
            place.ok_or_else(|| Error::argument("class_names", crate::suggest::unknown(class, names)))
        };
        let places = self.classes.iter().map(place).collect::<Result<Vec<_>>>()?;
        self.labels.iter_mut().for_each(|label| *label = places[*label as usize] as u32);
        self.classes = names.to_vec();
        Ok(self)
    }

    /// The classes, by their indices.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// The pictures' files, by their rows.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// These pictures, in this order, each as often as it is named.
    ///
    /// # Errors
    /// [`Error::Argument`] that names a row which there is not.
    pub fn subset(&self, rows: &[usize]) -> Result<Self> {
        self.check(rows)?;
        let files = rows.iter().map(|&row| self.files[row].clone()).collect();
        let labels = rows.iter().map(|&row| self.labels[row]).collect();
        Ok(Self { files, labels, classes: self.classes.clone(), loader: self.loader.clone() })
    }

    /// The pictures to train on, and a share to measure on with the same share of each class, as [`Dataset::stratified_split`] cuts
    /// off: before any is read, so that both parts are sources that need not fit in memory.
    ///
    /// ```no_run
    /// use kiln::data::ImageFolder;
    /// use kiln::prelude::*;
    /// let [train, test] = ImageFolder::open("flowers")?.image_size(64, 64).stratified_split(0.2, 1)?;
    /// let mut model = Sequential::new().add(Flatten).add(Dense::new(train.classes().len()).activation("softmax"));
    /// model.compile("adam", "sparse_categorical_crossentropy", ["accuracy"])?;
    /// model.fit(&train, Fit::new().epochs(5))?;
    /// println!("{:?}", model.evaluate(&test)?.get("accuracy"));
    /// # Ok::<(), kiln::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Dataset::stratified_split`].
    pub fn stratified_split(&self, test_share: f64, seed: u64) -> Result<[Self; 2]> {
        let labels = Tensor::new([self.labels.len()], self.labels.clone())?;
        let Fold { train, test } = Fold::stratified(&labels, test_share, seed)?;
        Ok([self.subset(&train)?, self.subset(&test)?])
    }

    fn check(&self, rows: &[usize]) -> Result<()> {
        match rows.iter().find(|&&row| row >= self.files.len()) {
            Some(row) => Err(Error::argument("rows", format!("there is no row {row} of {}", self.files.len()))),
            None => Ok(()),
        }
    }

    /// Reads all pictures.
    ///
    /// # Errors
    /// [`Error::Format`] for a file that cannot be read or is of another size; [`Error::Argument`] for a size of zero.
    pub fn load(&self) -> Result<Dataset> {
        self.read(&(0..self.files.len()).collect::<Vec<_>>())
    }
}

impl Source for ImageFolder {
    fn len(&self) -> usize {
        self.files.len()
    }

    fn read(&self, rows: &[usize]) -> Result<Dataset> {
        self.check(rows)?;
        let x = self.loader.load(&rows.iter().map(|&row| &self.files[row]).collect::<Vec<_>>())?;
        let labels: Vec<u32> = rows.iter().map(|&row| self.labels[row]).collect();
        Dataset::new(x, Tensor::new([rows.len()], labels)?)
    }
}

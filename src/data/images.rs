//! Folders of pictures: a folder a class, as Keras' `image_dataset_from_directory` reads them.

use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use image::imageops::FilterType;
use image::{DynamicImage, GrayImage, ImageReader, Limits, Luma, RgbImage};

use super::png::{most_bytes, without_panic};
use super::{Dataset, Source, parse_png, rgb_to_grayscale};
use crate::error::{Error, Result};
use crate::io::whole;
use crate::tensor::{Tensor, Values};
use crate::threads::map_each;

/// How pictures come to another size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Interpolation {
    /// Each pixel from those around its place, weighed by their distance; where the picture shrinks, from as many more.
    #[default]
    Bilinear,
    /// Each pixel from the one nearest to its place.
    Nearest,
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
/// let split = pictures.load()?.stratified_split(0.2, 1)?;
/// # Ok::<(), kiln::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ImageFolder {
    files: Vec<PathBuf>,
    labels: Vec<u32>,
    classes: Vec<String>,
    /// Height and width.
    size: [u32; 2],
    grayscale: bool,
    /// `None`: a picture of another size is an error.
    interpolation: Option<Interpolation>,
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

/// The pictures of a class: those in its folder, then those in each folder below, in the folders' order.
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

/// The picture in a file, RGB or grey. What the file's first bytes say that it is counts, not its name.
fn decoded(path: &Path) -> Result<DynamicImage> {
    let bytes = whole::read(path)?;
    if bytes.starts_with(b"\x89PNG") {
        return Ok(of_png(&parse_png(&bytes, path)?));
    }
    let decode = || {
        let mut reader = ImageReader::new(Cursor::new(&bytes)).with_guessed_format().map_err(|e| e.to_string())?;
        let mut limits = Limits::default();
        limits.max_alloc = Some(most_bytes(bytes.len()) as u64);
        reader.limits(limits);
        reader.decode().map_err(|e| e.to_string())
    };
    let refused = |e| Error::format(path, format!("cannot be read as PNG or JPEG: {e}; mend or remove it"));
    without_panic(decode).map_err(refused)
}

/// Without alpha.
fn of_png(png: &Tensor) -> DynamicImage {
    let (&[height, width, channels], Values::U8(samples)) = (&**png.shape(), png.values()) else {
        unreachable!("parse_png gives bytes of three axes")
    };
    let [height, width] = [height, width].map(|extent| extent as u32);
    let kept = if channels < 3 { 1 } else { 3 };
    let samples = samples.chunks(channels).flat_map(|pixel| &pixel[..kept]).copied().collect();
    let picture = match kept {
        1 => GrayImage::from_raw(width, height, samples).map(DynamicImage::from),
        _ => RgbImage::from_raw(width, height, samples).map(DynamicImage::from),
    };
    picture.expect("as many samples as the shape says")
}

fn grayscale(picture: &RgbImage) -> GrayImage {
    GrayImage::from_fn(picture.width(), picture.height(), |x, y| Luma([rgb_to_grayscale(picture.get_pixel(x, y).0)]))
}

impl ImageFolder {
    /// Lists a folder's pictures, and takes the first one's size for that of all.
    ///
    /// # Errors
    /// [`Error::Io`] where a folder cannot be listed; [`Error::Format`] where there are no folders of pictures, one has
    /// none, or the first picture cannot be read.
    pub fn open(folder: impl AsRef<Path>) -> Result<Self> {
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
        let picture = decoded(first)?;
        Ok(Self {
            size: [picture.height(), picture.width()],
            files,
            labels,
            classes,
            grayscale: false,
            interpolation: None,
        })
    }

    /// Brings all pictures to this size.
    #[must_use]
    pub fn image_size(mut self, height: u32, width: u32) -> Self {
        self.size = [height, width];
        self.interpolation = self.interpolation.or_else(|| Some(Interpolation::default()));
        self
    }

    /// Brings pictures of another size to the first one's, or to that of [`ImageFolder::image_size`], in this way;
    /// without either call, such a picture is an error.
    #[must_use]
    pub fn interpolation(mut self, interpolation: Interpolation) -> Self {
        self.interpolation = Some(interpolation);
        self
    }

    /// One channel, as [`rgb_to_grayscale`] makes it of red, green and blue, and not three.
    #[must_use]
    pub fn grayscale(mut self) -> Self {
        self.grayscale = true;
        self
    }

    /// The classes, by their indices.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// The pictures' files, by their rows.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// Reads all pictures.
    ///
    /// # Errors
    /// [`Error::Format`] for a file that cannot be read or is of another size; [`Error::Argument`] for a size of zero.
    pub fn load(&self) -> Result<Dataset> {
        self.read(&(0..self.files.len()).collect::<Vec<_>>())
    }

    /// The bytes of a picture.
    fn picture(&self, path: &Path) -> Result<Vec<u8>> {
        let [height, width] = self.size;
        let picture = decoded(path)?.into_rgb8();
        let mut picture = if self.grayscale { DynamicImage::from(grayscale(&picture)) } else { picture.into() };
        if (picture.height(), picture.width()) != (height, width) {
            let filter = match self.interpolation {
                Some(Interpolation::Bilinear) => FilterType::Triangle,
                Some(Interpolation::Nearest) => FilterType::Nearest,
                None => {
                    let message = format!(
                        "is {} x {}, {} is {height} x {width}; name a size by ImageFolder::image_size",
                        picture.height(),
                        picture.width(),
                        self.files[0].display()
                    );
                    return Err(Error::format(path, message));
                }
            };
            picture = picture.resize_exact(width, height, filter);
        }
        Ok(picture.into_bytes())
    }
}

impl Source for ImageFolder {
    fn len(&self) -> usize {
        self.files.len()
    }

    fn read(&self, rows: &[usize]) -> Result<Dataset> {
        let [height, width] = self.size;
        if height == 0 || width == 0 {
            return Err(Error::argument("image_size", format!("{height} x {width} has no pixels")));
        }
        if let Some(row) = rows.iter().find(|&&row| row >= self.files.len()) {
            return Err(Error::argument("rows", format!("there is no row {row} of {}", self.files.len())));
        }
        let pixels = map_each(rows, |&row| self.picture(&self.files[row]))?.concat();
        let channels = if self.grayscale { 1 } else { 3 };
        let labels: Vec<u32> = rows.iter().map(|&row| self.labels[row]).collect();
        let x = Tensor::new([rows.len(), height as usize, width as usize, channels], pixels)?;
        Dataset::new(x, Tensor::new([rows.len()], labels)?)
    }
}

//! Pictures as samples, all of one size and one kind of colour.

use std::path::{Path, PathBuf};

use super::head::Head;
use super::resize::resized;
use super::{Interpolation, parse_image_within};
use crate::data::png;
use crate::data::rgb_to_grayscale;
use crate::error::{Error, Result};
use crate::io::whole;
use crate::memory;
use crate::tensor::{Tensor, Values};
use crate::threads::{self, map_each};

/// What becomes of the colours of pictures: Keras' `color_mode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ColorMode {
    /// Red, green and blue; what is grey has three channels alike.
    #[default]
    Rgb,
    /// One channel: the brightness, as [`rgb_to_grayscale`] makes it.
    Grayscale,
}

crate::config::named!(ColorMode: "rgb" = Rgb, "grayscale" = Grayscale);

impl ColorMode {
    /// How many channels there are: 3 or 1.
    pub fn channels(self) -> usize {
        if self == Self::Rgb { 3 } else { 1 }
    }
}

/// Reads PNG and JPEG files as samples: bytes (height, width, channels), all alike. Of pixels with alpha the colour counts alone,
/// as in Keras.
///
/// ```no_run
/// use kiln::data::{ColorMode, ImageLoader};
/// let loader = ImageLoader::new().image_size(64, 64).color_mode(ColorMode::Grayscale);
/// let x = loader.load(&["rose.jpg", "tulip.png"])?;
/// assert_eq!(x.shape().to_string(), "(2, 64, 64, 1)");
/// # Ok::<(), kiln::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct ImageLoader {
    /// Height and width; `None`: those of the first picture.
    size: Option<[u32; 2]>,
    /// The picture that has the size.
    like: Option<PathBuf>,
    color_mode: ColorMode,
    /// `None`: a picture of another size is an error.
    interpolation: Option<Interpolation>,
    max_unpacked: Option<u64>,
}

/// Rows of pixels of 1 to 4 channels.
struct Pixels {
    height: usize,
    width: usize,
    channels: usize,
    bytes: Vec<u8>,
}

impl ImageLoader {
    /// In colour; pictures of unlike sizes are an error.
    pub fn new() -> Self {
        Self::default()
    }

    /// Brings all pictures to this size.
    #[must_use]
    pub fn image_size(self, height: u32, width: u32) -> Self {
        let interpolation = self.interpolation.unwrap_or_default();
        self.exact_size(height, width).interpolation(interpolation)
    }

    /// Takes pictures of this size; one of another is an error unless [`ImageLoader::interpolation`] says how it comes to it.
    #[must_use]
    pub fn exact_size(mut self, height: u32, width: u32) -> Self {
        (self.size, self.like) = (Some([height, width]), None);
        self
    }

    /// The size of the picture in a file, for all.
    pub(super) fn sized_like(mut self, path: &Path) -> Result<Self> {
        self.size = Some(Head::read(path)?.size);
        self.like = Some(path.into());
        Ok(self)
    }

    /// Brings pictures of another size to that of all in this way.
    #[must_use]
    pub fn interpolation(mut self, interpolation: Interpolation) -> Self {
        self.interpolation = Some(interpolation);
        self
    }

    /// What becomes of the colours; default [`ColorMode::Rgb`].
    #[must_use]
    pub fn color_mode(mut self, color_mode: ColorMode) -> Self {
        self.color_mode = color_mode;
        self
    }

    /// How many bytes a file may unpack to; without it 64 MB, and 1024 times its own size.
    #[must_use]
    pub fn max_unpacked(mut self, bytes: u64) -> Self {
        self.max_unpacked = Some(bytes);
        self
    }

    /// Height and width of the samples, where they are known before a picture is read.
    pub fn size(&self) -> Option<[u32; 2]> {
        self.size
    }

    /// Reads pictures, on all of the processor's cores: bytes (pictures, height, width, channels).
    ///
    /// # Errors
    /// [`Error::Format`] for a file that cannot be read or is of another size; [`Error::Argument`] for a size of zero, or no files;
    /// [`Error::Memory`] where all do not fit.
    pub fn load<P: AsRef<Path> + Sync>(&self, files: &[P]) -> Result<Tensor> {
        let Some(first) = files.first() else {
            return Err(Error::argument("files", "there are none; give the path of a picture"));
        };
        let sized;
        let (loader, [height, width]) = match self.size {
            Some(size) => (self, size),
            None => {
                sized = self.clone().sized_like(first.as_ref())?;
                (&sized, sized.size.unwrap_or_default())
            }
        };
        if height == 0 || width == 0 {
            return Err(Error::argument("image_size", format!("{height} x {width} has no pixels")));
        }
        let shape = [files.len(), height as usize, width as usize, self.color_mode.channels()];
        let len = shape.iter().try_fold(1usize, |len, &extent| len.checked_mul(extent)).unwrap_or(usize::MAX);
        let size = [height, width].map(|extent| extent as usize);
        let mut samples = Vec::new();
        // Not all at once, so that what is decoded is not held twice.
        for some in files.chunks(at_once(len / files.len())) {
            // The first of those that are wrong, whichever thread is the fastest.
            let decoded = map_each(some, |file| Ok(loader.sample(file.as_ref(), size)))?;
            let decoded = decoded.into_iter().collect::<Result<Vec<_>>>()?;
            // Once some are known to be as large as the head of the first says.
            if samples.is_empty() {
                samples = memory::room(len, &format!("the pixels of {} pictures", files.len()))?;
            }
            decoded.iter().for_each(|sample| samples.extend_from_slice(sample));
        }
        Tensor::new(shape, samples)
    }

    /// The bytes of a picture as a sample.
    fn sample(&self, path: &Path, size: [usize; 2]) -> Result<Vec<u8>> {
        self.fitted(self.pixels(path)?, size, path)
    }

    fn fitted(&self, pixels: Pixels, size: [usize; 2], path: &Path) -> Result<Vec<u8>> {
        let Pixels { height, width, channels, bytes } = pixels.in_mode(self.color_mode);
        if [height, width] == size {
            return Ok(bytes);
        }
        let Some(interpolation) = self.interpolation else {
            let whose = self.like.as_ref().map_or("expected".into(), |like| format!("{} is", like.display()));
            let [rows, columns] = size;
            let advice = "name a size by ImageFolder::image_size";
            return Err(Error::format(path, format!("is {height} x {width}, {whose} {rows} x {columns}; {advice}")));
        };
        Ok(resized(&bytes, [height, width, channels], size, interpolation))
    }

    /// The bytes of a file as a sample (height, width, channels). `path` stands in the errors only.
    ///
    /// # Errors
    /// As [`ImageLoader::load`].
    pub fn parse(&self, bytes: &[u8], path: &Path) -> Result<Tensor> {
        let pixels = self.parsed(bytes, path)?;
        let size = self.size.map_or([pixels.height, pixels.width], |size| size.map(|extent| extent as usize));
        let sample = self.fitted(pixels, size, path)?;
        Tensor::new([size[0], size[1], self.color_mode.channels()], sample)
    }

    fn pixels(&self, path: &Path) -> Result<Pixels> {
        self.parsed(&whole::read(path)?, path)
    }

    fn parsed(&self, bytes: &[u8], path: &Path) -> Result<Pixels> {
        let most = self.max_unpacked.unwrap_or_else(|| png::most_bytes(bytes.len()) as u64);
        let picture = parse_image_within(bytes, path, most)?;
        let [height, width, channels] = **picture.shape() else { unreachable!("pictures have three axes") };
        let Values::U8(bytes) = picture.into_values() else { unreachable!("pictures are bytes") };
        Ok(Pixels { height, width, channels, bytes })
    }

    /// Whether the pictures in these files are grey or in colour, by their heads.
    ///
    /// # Errors
    /// [`Error::Format`] that names one of each where there are both, or a file that cannot be read.
    pub fn color_mode_of<P: AsRef<Path> + Sync>(files: &[P]) -> Result<ColorMode> {
        let modes = map_each(files, |file| Head::read(file.as_ref()).map(|head| head.color_mode))?;
        let place = |mode| modes.iter().position(|known| *known == mode).map(|at| files[at].as_ref());
        match (place(ColorMode::Grayscale), place(ColorMode::Rgb)) {
            (Some(grey), Some(colour)) => {
                let message =
                    format!("is grey, {} is in colour; say which all are to be, by color_mode", colour.display());
                Err(Error::format(grey, message))
            }
            (Some(_), None) => Ok(ColorMode::Grayscale),
            _ => Ok(ColorMode::Rgb),
        }
    }
}

/// How many samples of so many bytes are decoded before they are put beside the others: 64 MB, but one for each thread.
fn at_once(sample: usize) -> usize {
    ((64 << 20) / sample.max(1)).min(256).max(threads::count())
}

impl Pixels {
    /// In a mode of colours, without alpha.
    fn in_mode(self, mode: ColorMode) -> Self {
        let pixels = || self.bytes.chunks(self.channels);
        let bytes = match (self.channels, mode) {
            (1, ColorMode::Grayscale) | (3, ColorMode::Rgb) => self.bytes,
            (2, ColorMode::Grayscale) => pixels().map(|pixel| pixel[0]).collect(),
            (1 | 2, ColorMode::Rgb) => pixels().flat_map(|pixel| [pixel[0]; 3]).collect(),
            (_, ColorMode::Grayscale) => {
                pixels().map(|pixel| rgb_to_grayscale([pixel[0], pixel[1], pixel[2]])).collect()
            }
            (_, ColorMode::Rgb) => pixels().flat_map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect(),
        };
        Self { channels: mode.channels(), bytes, ..self }
    }
}

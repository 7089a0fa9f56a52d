//! Pictures that a model is asked about: read from files, brought to the model's size, drawn in a terminal.

mod fit;

use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
use kiln::data::{ImageLoader, parse_idx, parse_idx_within, parse_image, parse_image_within, rgb_to_grayscale};
use kiln::io::{file_kind, read_file};
use kiln::tensor::{Shape, Tensor, Values};

/// A grey picture, row by row.
#[derive(Debug)]
pub struct Picture {
    height: usize,
    width: usize,
    pixels: Vec<u8>,
}

/// Rows and columns of a sample that is a grey picture; a flat one is taken for a square.
pub fn extents(sample: &Shape) -> Option<(usize, usize)> {
    match **sample {
        [height, width] | [height, width, 1] | [1, height, width] => Some((height, width)),
        [len] => Some(len.isqrt()).filter(|side| side * side == len).map(|side| (side, side)),
        _ => None,
    }
}

/// What is done to a picture before the model sees it.
#[derive(Args, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Black for white and white for black
    #[arg(long)]
    pub invert: bool,

    /// Make it as MNIST's pictures were made: crop what is drawn, scale it to 20/28 of the size, put its centre of mass in the middle
    #[arg(long)]
    pub fit: bool,
}

impl Changes {
    /// The option that is given, where one is.
    pub fn option(self) -> Option<&'static str> {
        if self.invert { Some("invert") } else { self.fit.then_some("fit") }
    }
}

/// A picture as a sample of a model.
pub struct Seen {
    /// Bytes, in the sample's shape.
    pub pixels: Vec<u8>,
    /// How bright the picture's border was, after [`Changes::invert`]: 0 to 255. `None` in colour.
    pub border: Option<u8>,
}

/// Whether these are the first bytes of a PNG or a JPEG.
pub fn is_picture(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\x89PNG") || bytes.starts_with(b"\xff\xd8\xff")
}

/// The samples of a file or a pipe, and the border of one that is a picture: a PNG, a JPEG, an IDX file, or text of pixels, a sample a
/// line; the first bytes tell.
pub fn read(path: &Path, sample: &Shape, changes: Changes, max_unpacked: Option<u64>) -> Result<(Tensor, Option<u8>)> {
    let bytes = read_file(path)?;
    let shape = |count: usize| [&[count], &sample[..]].concat();
    if is_picture(&bytes) {
        let Seen { pixels, border } = seen(&bytes, path, sample, changes, max_unpacked)?;
        return Ok((Tensor::new(shape(1), pixels)?, border));
    }
    ensure!(!changes.fit, "fit: is for PNG and JPEG pictures, {} is neither", path.display());
    let samples = match bytes[..] {
        [0, 0, ..] | [0x1f, 0x8b, ..] => {
            let all = match max_unpacked {
                Some(most) => parse_idx_within(&bytes, path, most)?,
                None => parse_idx(&bytes, path)?,
            };
            let Values::U8(bytes) = all.values() else { bail!("{}: holds {}, not bytes", path.display(), all.dtype()) };
            let row = all.shape().iter().skip(1).product::<usize>();
            ensure!(
                row == sample.len(),
                "{}: holds {}, the model takes samples of {sample}",
                path.display(),
                all.shape()
            );
            bytes.chunks(row).map(<[u8]>::to_vec).collect()
        }
        _ => text(&bytes, path, sample.len())?,
    };
    let flip = |pixel: u8| if changes.invert { 255 - pixel } else { pixel };
    let pixels: Vec<u8> = samples.iter().flatten().copied().map(flip).collect();
    Ok((Tensor::new(shape(samples.len()), pixels)?, None))
}

/// The bytes of a PNG or a JPEG in the size and the colours of a sample. `path` stands in the errors only.
pub fn seen(bytes: &[u8], path: &Path, sample: &Shape, changes: Changes, max_unpacked: Option<u64>) -> Result<Seen> {
    if let [height, width, 3] = **sample {
        ensure!(!changes.fit, "fit: is for grey pictures, the model takes pictures in colour");
        let loader = ImageLoader::new().image_size(u32::try_from(height)?, u32::try_from(width)?);
        let loader = max_unpacked.into_iter().fold(loader, ImageLoader::max_unpacked);
        let Values::U8(mut pixels) = loader.parse(bytes, path)?.into_values() else {
            unreachable!("pictures are bytes")
        };
        if changes.invert {
            pixels.iter_mut().for_each(|pixel| *pixel = 255 - *pixel);
        }
        return Ok(Seen { pixels, border: None });
    }
    let (height, width) = extents(sample)
        .with_context(|| format!("the model takes samples of {sample}, a picture has height, width and colours"))?;
    let image = match max_unpacked {
        Some(most) => parse_image_within(bytes, path, most)?,
        None => parse_image(bytes, path)?,
    };
    let picture = Picture::of_image(&image, if changes.invert { 255 } else { 0 });
    let picture = if changes.invert { picture.inverted() } else { picture };
    let border = Some(picture.border());
    let picture = if changes.fit {
        picture.fitted(height, width).with_context(|| path.display().to_string())?
    } else {
        picture.resized(height, width)
    };
    Ok(Seen { pixels: picture.pixels, border })
}

/// Lines of pixels, with commas or spaces between.
fn text(bytes: &[u8], path: &Path, len: usize) -> Result<Vec<Vec<u8>>> {
    let name = path.display();
    if let Some(kind) = file_kind(bytes) {
        bail!("{name}: is {kind}; give a picture as PNG or JPEG, an IDX file or text of pixels");
    }
    let text =
        std::str::from_utf8(bytes).with_context(|| format!("{name}: read as PNG, JPEG, IDX or text of pixels"))?;
    let mut samples = Vec::new();
    for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()) {
        let words = line.split([',', ';', ' ', '\t']).filter(|word| !word.is_empty());
        let pixels = words.map(|word| word.parse().with_context(|| format!("{word:?} is no pixel, which is 0 to 255")));
        let pixels: Vec<u8> = pixels.collect::<Result<_>>().with_context(|| format!("{name}, line {number}"))?;
        ensure!(pixels.len() == len, "{name}, line {number}: {} pixels, the model takes {len}", pixels.len());
        samples.push(pixels);
    }
    ensure!(!samples.is_empty(), "{name}: holds no pixels");
    Ok(samples)
}

impl Picture {
    pub fn new(height: usize, width: usize, pixels: &[u8]) -> Self {
        Self { height, width, pixels: pixels.to_vec() }
    }

    /// Colours by their brightness. What is transparent shows the paper, of this grey.
    fn of_image(image: &Tensor, paper: u8) -> Self {
        let Values::U8(samples) = image.values() else { unreachable!("pictures are bytes") };
        let [height, width, channels] = **image.shape() else { unreachable!("pictures have three axes") };
        let over = |ink: u8, alpha: u8| {
            let [ink, alpha, paper] = [ink, alpha, paper].map(u32::from);
            ((ink * alpha + paper * (255 - alpha) + 127) / 255) as u8
        };
        let grey = |pixel: &[u8]| match *pixel {
            [r, g, b] => rgb_to_grayscale([r, g, b]),
            [r, g, b, alpha] => rgb_to_grayscale([r, g, b].map(|colour| over(colour, alpha))),
            [grey, alpha] => over(grey, alpha),
            _ => pixel[0],
        };
        Self { height, width, pixels: samples.chunks(channels).map(grey).collect() }
    }

    fn inverted(mut self) -> Self {
        self.pixels.iter_mut().for_each(|pixel| *pixel = 255 - *pixel);
        self
    }

    /// Each pixel the mean over the area that it covers.
    fn resized(&self, height: usize, width: usize) -> Self {
        if (height, width) == (self.height, self.width) {
            return Self::new(height, width, &self.pixels);
        }
        let columns: Vec<_> = (0..width).map(|x| shares(x, width, self.width)).collect();
        let mut pixels = Vec::with_capacity(height * width);
        for y in 0..height {
            let rows = shares(y, height, self.height);
            for columns in &columns {
                let terms =
                    rows.iter().flat_map(|&(y, a)| columns.iter().map(move |&(x, b)| (y * self.width + x, a * b)));
                pixels.push(terms.map(|(at, share)| share * f64::from(self.pixels[at])).sum::<f64>().round() as u8);
            }
        }
        Self { height, width, pixels }
    }

    /// Two rows a line: the upper and the lower half of a block, full where the pixel is bright.
    pub fn draw(&self) -> String {
        let bright = |y: usize, x: usize| y < self.height && self.pixels[y * self.width + x] >= 128;
        let block = |y, x| match (bright(y, x), bright(y + 1, x)) {
            (false, false) => ' ',
            (true, false) => '▀',
            (false, true) => '▄',
            (true, true) => '█',
        };
        let line = |y| (0..self.width).map(|x| block(y, x)).collect::<String>();
        (0..self.height).step_by(2).map(|y| line(y).trim_end().to_string() + "\n").collect()
    }
}

/// The old places that the new one of `len` covers, with the share of each; the shares are one in all.
fn shares(place: usize, len: usize, old: usize) -> Vec<(usize, f64)> {
    // In units of 1 / len of an old place.
    let (begin, end) = (place * old, (place + 1) * old);
    let covered = |at: usize| (at, ((at + 1) * len).min(end) as f64 - (at * len).max(begin) as f64);
    (begin / len..end.div_ceil(len)).map(covered).map(|(at, units)| (at, units / old as f64)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pixel_is_the_mean_of_what_it_covers() {
        let picture = Picture::new(2, 4, &[0, 100, 200, 200, 40, 60, 0, 0]);
        assert_eq!(picture.resized(1, 2).pixels, [50, 100]);
        assert_eq!(picture.resized(2, 4).pixels, picture.pixels);
        // A half of the first and of the second, and so on; larger ones repeat.
        assert_eq!(Picture::new(1, 3, &[30, 60, 90]).resized(1, 2).pixels, [40, 80]);
        assert_eq!(Picture::new(1, 2, &[10, 20]).resized(2, 4).pixels, [10, 10, 20, 20, 10, 10, 20, 20]);
        assert_eq!(shares(1, 2, 3), [(1, 1.0 / 3.0), (2, 2.0 / 3.0)]);
    }

    /// Black ink of which a half is there and a half is transparent, on a transparent ground.
    #[test]
    fn what_is_transparent_is_paper() {
        let inks = |channels: usize, ink: [u8; 8]| {
            Tensor::new([1, 8 / channels, channels], ink.to_vec()).expect("eight samples")
        };
        let grey = inks(2, [0, 255, 0, 128, 0, 0, 200, 255]);
        assert_eq!(Picture::of_image(&grey, 255).pixels, [0, 127, 255, 200]);
        assert_eq!(Picture::of_image(&grey, 0).pixels, [0, 0, 0, 200]);
        let colour = inks(4, [0, 0, 0, 0, 255, 0, 0, 255]);
        assert_eq!(Picture::of_image(&colour, 255).pixels, [255, 76]);
        assert_eq!(Picture::of_image(&colour, 0).pixels, [0, 76]);
    }

    #[test]
    fn rows_are_drawn_in_pairs() {
        assert_eq!(Picture::new(3, 3, &[255, 0, 0, 0, 255, 0, 255, 255, 0]).draw(), "▀▄\n▀▀\n");
    }
}

//! Draws images as tiles: originals and reconstructions, filters, feature maps.

use std::path::Path;

use plotters::prelude::*;

use super::picture::{Area, Drawn, Picture, TEXT, UNITS, save, text, title_width, width_of};
use crate::error::{Error, Result};
use crate::tensor::{Tensor, Values};

/// About the longer side of a tile.
const SIDE: u32 = 112;
/// The most that a pixel of an image takes, in pixels of the picture.
const LARGEST_PIXEL: u32 = 16;
/// The most pixels that a tile shows along an axis; of larger images every second one, or fewer.
const MOST_SHOWN: usize = 2 * SIDE as usize;
/// How wide the tiles of a part are together, at most.
const WIDTH: u32 = 960 * UNITS;
const GAP: u32 = 4 * UNITS;
/// The height of a part's title.
const LINE: u32 = 28 * UNITS;
const MOST_IMAGES: usize = 1024;

/// Images as tiles, in parts with titles, one below the other.
///
/// ```
/// use kiln::Tensor;
/// use kiln::plot::ImageGrid;
/// let images = Tensor::new([2, 3, 3, 1], vec![0.5f32; 18])?;
/// let file = std::env::temp_dir().join("kiln-doc-grid.png");
/// ImageGrid::new("Two grey squares").images("of nine pixels", &images)?.save(&file)?;
/// # std::fs::remove_file(file).unwrap();
/// # Ok::<(), kiln::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct ImageGrid {
    title: String,
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq)]
struct Part {
    title: String,
    /// Rows and columns of pixels.
    extents: [usize; 2],
    /// Of each image its pixels, row by row.
    images: Vec<Vec<[u8; 3]>>,
}

impl ImageGrid {
    /// A picture without images.
    pub fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), parts: Vec::new() }
    }

    /// Adds images (images, height, width, 1 or 3) below the others: bytes, or numbers from 0 for black to 1 for white, which are cut
    /// off beyond that.
    ///
    /// # Errors
    /// [`Error::Shape`] where they are no images; [`Error::Argument`] where there are more than 1024.
    pub fn images(mut self, title: impl Into<String>, images: &Tensor) -> Result<Self> {
        let shape = images.shape();
        let [count, height, width, channels @ (1 | 3)] = **shape else {
            let message = format!("takes (images, height, width, 1 or 3), was given {shape}");
            return Err(Error::shape("ImageGrid::images", message));
        };
        if shape.is_empty() || count > MOST_IMAGES {
            let message = format!("{count} images of {height} x {width}; give 1 to {MOST_IMAGES} that have pixels");
            return Err(Error::argument("images", message));
        }
        let bytes: Vec<u8> = match images.values() {
            Values::U8(bytes) => bytes.clone(),
            numbers => numbers.to_f64().iter().map(|x| (255.0 * x.clamp(0.0, 1.0)).round() as u8).collect(),
        };
        let step = height.max(width).div_ceil(MOST_SHOWN);
        let image = |bytes: &[u8]| {
            let pixel = |(y, x): (usize, usize)| match bytes[(y * width + x) * channels..][..channels] {
                [red, green, blue] => [red, green, blue],
                _ => [bytes[y * width + x]; 3],
            };
            let rows = (0..height).step_by(step);
            rows.flat_map(|y| (0..width).step_by(step).map(move |x| (y, x))).map(pixel).collect()
        };
        let images = bytes.chunks(height * width * channels).map(image).collect();
        let extents = [height, width].map(|extent| extent.div_ceil(step));
        self.parts.push(Part { title: title.into(), extents, images });
        Ok(self)
    }

    /// Writes the picture: PNG or SVG, as the file's name ends. A file that is there is replaced.
    ///
    /// # Errors
    /// Those of [`super::check_path`].
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        save(self, path.as_ref())
    }
}

/// The values of a tensor from 0 for its smallest to 1 for its largest; where all are the same, 0.5. What is not finite is 0.
pub fn normalized(values: &[f64]) -> Vec<f32> {
    let finite = values.iter().copied().filter(|x| x.is_finite());
    let (least, most) = finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), x| (least.min(x), most.max(x)));
    let share = |x: f64| if most > least { (x - least) / (most - least) } else { 0.5 };
    values.iter().map(|&x| if x.is_finite() { share(x) as f32 } else { 0.0 }).collect()
}

/// The channels of an image (height, width, channels) as grey images (channels, height, width, 1), each from its smallest value to
/// its largest.
///
/// # Errors
/// [`Error::Shape`] where it is no image.
pub fn feature_maps(image: &Tensor) -> Result<Tensor> {
    let [height, width, channels] = **image.shape() else {
        let message = format!("takes (height, width, channels), was given {}", image.shape());
        return Err(Error::shape("feature_maps", message));
    };
    filters(&image.reshape(&[height, width, 1, channels].map(|extent| extent as isize))?)
}

/// The filters of a kernel (height, width, channels, filters), of one channel or three, as images (filters, height, width, channels),
/// each from its smallest value to its largest.
///
/// # Errors
/// [`Error::Shape`] where it is no such kernel.
pub fn filters(kernel: &Tensor) -> Result<Tensor> {
    let [height, width, channels @ (1 | 3), filters] = **kernel.shape() else {
        let message = format!("takes (height, width, 1 or 3, filters), was given {}", kernel.shape());
        return Err(Error::shape("filters", message));
    };
    let values = kernel.values().to_f64();
    let filter = |i: usize| normalized(&values.iter().skip(i).step_by(filters).copied().collect::<Vec<_>>());
    Tensor::new([filters, height, width, channels], (0..filters).flat_map(filter).collect::<Vec<_>>())
}

impl Part {
    /// Units a pixel.
    fn pixel(&self) -> u32 {
        let longer = self.extents[0].max(self.extents[1]) as u32;
        (SIDE / longer).clamp(1, LARGEST_PIXEL) * UNITS
    }

    /// Height and width of a tile.
    fn tile(&self) -> [u32; 2] {
        self.extents.map(|extent| extent as u32 * self.pixel())
    }

    fn columns(&self) -> u32 {
        ((WIDTH + GAP) / (self.tile()[1] + GAP)).clamp(1, self.images.len() as u32)
    }

    fn height(&self) -> u32 {
        LINE + (self.images.len() as u32).div_ceil(self.columns()) * (self.tile()[0] + GAP)
    }

    fn width(&self) -> u32 {
        (self.columns() * (self.tile()[1] + GAP)).max(width_of(&self.title))
    }
}

impl Picture for ImageGrid {
    fn title(&self) -> &str {
        &self.title
    }

    fn size(&self) -> (u32, u32) {
        let width = self.parts.iter().map(Part::width).max().unwrap_or(0);
        (width.max(title_width(&self.title)), self.parts.iter().map(Part::height).sum::<u32>().max(1))
    }

    fn draw<DB: DrawingBackend>(&self, area: &Area<DB>, drop: i32) -> Drawn<DB> {
        let mut top = 0;
        for part in &self.parts {
            area.draw_text(&part.title, &text(TEXT), (0, top + LINE as i32 / 2 + drop))?;
            let ([height, width], pixel) = (part.tile().map(|extent| (extent + GAP) as i32), part.pixel() as i32);
            for (i, image) in (0..).zip(&part.images) {
                let columns = part.columns() as i32;
                let (left, above) = (i % columns * width, top + LINE as i32 + i / columns * height);
                for (y, row) in (0..).zip(image.chunks(part.extents[1])) {
                    // What is alike beside each other is one shape.
                    let mut x = 0;
                    for run in row.chunk_by(|a, b| a == b) {
                        let end = x + run.len() as i32;
                        let [from, to] = [(x, y), (end, y + 1)].map(|(x, y)| (left + pixel * x, above + pixel * y));
                        let [red, green, blue] = run[0];
                        area.draw(&Rectangle::new([from, to], RGBColor(red, green, blue).filled()))?;
                        x = end;
                    }
                }
            }
            top += part.height() as i32;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_go_from_black_to_white() {
        assert_eq!(normalized(&[-1.0, 0.0, 3.0, f64::NAN]), [0.0, 0.25, 1.0, 0.0]);
        assert_eq!(normalized(&[2.0, 2.0]), [0.5, 0.5]);
        let image = Tensor::new([1, 2, 2], vec![0.0f32, 10.0, 4.0, 30.0]).unwrap();
        let maps = feature_maps(&image).unwrap();
        assert_eq!(maps, Tensor::new([2, 1, 2, 1], vec![0.0f32, 1.0, 0.0, 1.0]).unwrap());
        // Of three channels the smallest and the largest of all three are black and white.
        let kernel = Tensor::new([1, 1, 3, 2], vec![0.0f32, 4.0, 1.0, 0.0, 2.0, 2.0]).unwrap();
        let colours = Tensor::new([2, 1, 1, 3], vec![0.0f32, 0.5, 1.0, 1.0, 0.0, 0.5]).unwrap();
        assert_eq!(filters(&kernel).unwrap(), colours);
        let refused = filters(&Tensor::new([1, 1, 2, 1], vec![0.0f32; 2]).unwrap()).unwrap_err().to_string();
        assert!(refused.contains("takes (height, width, 1 or 3, filters), was given (1, 1, 2, 1)"), "{refused}");
    }

    #[test]
    fn tiles_stand_in_rows_that_fit() {
        let grid = |count: usize, side: usize| {
            let images = Tensor::new([count, side, side, 1], vec![0.5f32; count * side * side]).unwrap();
            ImageGrid::new("").images("", &images).unwrap().parts.remove(0)
        };
        let part = grid(32, 28);
        assert_eq!((part.pixel(), part.tile(), part.columns()), (4 * UNITS, [112 * UNITS; 2], 8));
        assert_eq!((grid(3, 3).columns(), grid(1, 300).extents, grid(1, 2000).columns()), (3, [150; 2], 1));
        assert!(grid(1000, 64).width() <= WIDTH + GAP);
    }
}

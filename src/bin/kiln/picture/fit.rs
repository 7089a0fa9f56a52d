//! Pictures made as MNIST's were: what is drawn fills a box of 20 of 28 pixels, and its centre of mass is in the middle.

use anyhow::{Result, ensure};

use super::Picture;

/// MNIST's box and its pictures' side.
const BOX: f64 = 20.0;
const SIDE: f64 = 28.0;
/// What is brighter than this, of 255 at the brightest, is drawn; less is the ground or the soft edge of a line.
const DRAWN: u8 = 64;
/// By so much what is drawn is brighter than the ground at least.
const LEAST_CONTRAST: u8 = 16;

impl Picture {
    /// The median of the outermost pixels.
    pub fn border(&self) -> u8 {
        let is_outermost = |at: usize| {
            let (y, x) = (at / self.width, at % self.width);
            y == 0 || x == 0 || y + 1 == self.height || x + 1 == self.width
        };
        let mut border: Vec<u8> =
            (0..self.pixels.len()).filter(|&at| is_outermost(at)).map(|at| self.pixels[at]).collect();
        border.sort_unstable();
        border[border.len() / 2]
    }

    /// What is brighter than the border, in a picture of this size as MNIST has it, on black.
    ///
    /// # Errors
    /// Where nothing is brighter than the border.
    pub fn fitted(&self, height: usize, width: usize) -> Result<Self> {
        let (ground, brightest) = (self.border(), self.pixels.iter().copied().max().unwrap_or(0));
        let contrast = brightest.saturating_sub(ground);
        ensure!(
            contrast >= LEAST_CONTRAST,
            "fit: nothing in the picture is brighter than its border; dark ink on bright paper takes --invert"
        );
        let level = |pixel: u8| (f64::from(pixel.saturating_sub(ground)) / f64::from(contrast) * 255.0).round() as u8;
        let ink =
            Self::new(self.height, self.width, &self.pixels.iter().map(|&pixel| level(pixel)).collect::<Vec<_>>());
        let ink = ink.cropped();
        let fill = |extent: usize, of: usize| BOX / SIDE * extent as f64 / of as f64;
        let scale = fill(height, ink.height).min(fill(width, ink.width));
        let scaled = |extent: usize| ((extent as f64 * scale).round() as usize).max(1);
        Ok(ink.resized(scaled(ink.height), scaled(ink.width)).centred(height, width))
    }

    /// The smallest rectangle with all that is drawn.
    fn cropped(&self) -> Self {
        let is_drawn = |y: usize, x: usize| self.pixels[y * self.width + x] >= DRAWN;
        let rows: Vec<usize> = (0..self.height).filter(|&y| (0..self.width).any(|x| is_drawn(y, x))).collect();
        let columns: Vec<usize> = (0..self.width).filter(|&x| (0..self.height).any(|y| is_drawn(y, x))).collect();
        let (top, bottom) = (rows[0], rows[rows.len() - 1]);
        let (left, right) = (columns[0], columns[columns.len() - 1]);
        let row = |y: usize| self.pixels[y * self.width + left..=y * self.width + right].iter().copied();
        Self::new(bottom - top + 1, right - left + 1, &(top..=bottom).flat_map(row).collect::<Vec<_>>())
    }

    /// On black, the centre of mass at the pixel in the middle, as near as all of it stays inside.
    fn centred(&self, height: usize, width: usize) -> Self {
        let mass: f64 = self.pixels.iter().copied().map(f64::from).sum();
        let moment = |place: &dyn Fn(usize) -> usize| {
            let terms = self.pixels.iter().enumerate().map(|(at, &pixel)| place(at) as f64 * f64::from(pixel));
            terms.sum::<f64>() / mass
        };
        let put = |centre: f64, own: usize, whole: usize| {
            let first = (whole as f64 / 2.0 - centre).round().max(0.0) as usize;
            first.min(whole - own.min(whole))
        };
        let top = put(moment(&|at| at / self.width), self.height, height);
        let left = put(moment(&|at| at % self.width), self.width, width);
        let mut pixels = vec![0; height * width];
        for (y, row) in self.pixels.chunks(self.width).enumerate() {
            let first = (top + y) * width + left;
            pixels[first..first + self.width].copy_from_slice(row);
        }
        Self { height, width, pixels }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A bright rectangle of so many rows and columns on a ground, in a larger picture.
    fn drawn([height, width]: [usize; 2], [top, left, rows, columns]: [usize; 4], ground: u8) -> Picture {
        let is_ink =
            |at: usize| (top..top + rows).contains(&(at / width)) && (left..left + columns).contains(&(at % width));
        let pixels: Vec<u8> = (0..height * width).map(|at| if is_ink(at) { 230 } else { ground }).collect();
        Picture::new(height, width, &pixels)
    }

    #[test]
    fn what_is_drawn_is_in_the_middle_and_as_large_as_mnists() {
        // Twice as high as wide, in the corner of a large grey picture.
        let found = drawn([100, 150], [3, 90, 80, 40], 60).fitted(28, 28).unwrap();
        let at = |y: usize, x: usize| found.pixels[y * 28 + x];
        let rows: Vec<usize> = (0..28).filter(|&y| (0..28).any(|x| at(y, x) > 0)).collect();
        let columns: Vec<usize> = (0..28).filter(|&x| (0..28).any(|y| at(y, x) > 0)).collect();
        assert_eq!((rows[0], rows.len(), columns[0], columns.len()), (5, 20, 10, 10));
        assert_eq!((at(14, 14), at(0, 0)), (255, 0));
        // A picture that is so already stays as it is; a dark one becomes as bright.
        let again = found.fitted(28, 28).unwrap();
        assert_eq!(again.pixels, found.pixels);
    }

    /// The heavier end is nearer to the middle.
    #[test]
    fn the_centre_of_mass_is_in_the_middle() {
        let mut pixels = vec![0; 28 * 28];
        (4..24).for_each(|y| pixels[y * 28 + 4] = 255);
        (4..24).for_each(|x| pixels[4 * 28 + x] = 255);
        let found = Picture::new(28, 28, &pixels).fitted(28, 28).unwrap();
        let first = found.pixels.iter().position(|&pixel| pixel > 0).unwrap();
        // 39 pixels: the mean row and column is 190 / 39, 4.9 behind the corner, which is 14 - 4.9 = 9 then; but all stays inside.
        assert_eq!((first / 28, first % 28), (8, 8));
        assert_eq!(found.pixels.iter().filter(|&&pixel| pixel > 0).count(), 39);
    }

    #[test]
    fn a_picture_with_nothing_in_it_is_an_error() {
        let paper = drawn([20, 20], [5, 5, 0, 0], 200);
        assert!(paper.fitted(28, 28).unwrap_err().to_string().contains("nothing in the picture is brighter"));
        let dark_on_bright = drawn([20, 20], [5, 5, 9, 9], 255);
        assert_eq!(dark_on_bright.border(), 255);
        assert!(dark_on_bright.fitted(28, 28).unwrap_err().to_string().contains("--invert"));
    }

    #[test]
    fn the_border_is_what_most_of_it_is() {
        assert_eq!(Picture::new(3, 3, &[9, 9, 200, 9, 255, 9, 9, 200, 9]).border(), 9);
        assert_eq!(Picture::new(1, 2, &[1, 3]).border(), 3);
    }
}

//! Draws a confusion matrix: a square of shades, true classes downwards, those they are taken for to the right.

use std::path::Path;

use plotters::prelude::*;

use super::picture::{Area, COLOURS, Drawn, Picture, TEXT, UNITS, centred, save, text, width_of};
use crate::error::{Error, Result};

/// About the side of the square, where cells are neither too large nor too small for it.
const SIDE: u32 = 560 * UNITS;
const LARGEST_CELL: u32 = 56 * UNITS;
/// Cells that are smaller have no number, and no name of a class each.
const SMALLEST_NAMED: u32 = 28 * UNITS;
const MOST_CLASSES: usize = 1000;
/// The height of the axis' title and the classes' names above the square.
const ABOVE: u32 = 56 * UNITS;
const GAP: u32 = 8 * UNITS;

const FROM: &str = "true class";
const TO: &str = "taken for class";

struct HeatMap<'a> {
    counts: &'a [u32],
    classes: usize,
}

/// Writes the picture of counts (classes, classes).
pub(crate) fn heat_map(counts: &[u32], classes: usize, path: &Path) -> Result<()> {
    if classes > MOST_CLASSES {
        let message = format!("{classes} classes are more than a picture shows; it takes {MOST_CLASSES}");
        return Err(Error::argument("plot", message));
    }
    save(&HeatMap { counts, classes }, path)
}

impl HeatMap<'_> {
    fn cell(&self) -> u32 {
        (SIDE / self.classes as u32).clamp(UNITS / 2, LARGEST_CELL)
    }

    /// The room for the axis' title left of the square.
    fn left() -> u32 {
        width_of(FROM) + 2 * GAP + LARGEST_CELL
    }

    /// The classes that are named: all, or about as many as there is room for.
    fn named(&self) -> impl Iterator<Item = usize> + use<> {
        (0..self.classes).step_by(SMALLEST_NAMED.div_ceil(self.cell()) as usize)
    }
}

impl Picture for HeatMap<'_> {
    fn title(&self) -> &str {
        "Confusion matrix"
    }

    fn size(&self) -> (u32, u32) {
        let side = self.cell() * self.classes as u32;
        (Self::left() + side.max(width_of(TO)), ABOVE + side)
    }

    fn draw<DB: DrawingBackend>(&self, area: &Area<DB>, drop: i32) -> Drawn<DB> {
        let (cell, left, top) = (self.cell() as i32, Self::left() as i32, ABOVE as i32);
        let middle = |i: usize| cell * i as i32 + cell / 2;
        area.draw_text(TO, &text(TEXT), (left, top / 4 + drop))?;
        area.draw_text(FROM, &text(TEXT), (0, top + cell / 2 + drop))?;
        for class in self.named() {
            let (name, style) = (class.to_string(), centred(TEXT));
            area.draw_text(&name, &style, (left + middle(class), top * 3 / 4 + drop))?;
            area.draw_text(&name, &style, (left - (LARGEST_CELL / 2) as i32, top + middle(class) + drop))?;
        }
        for (row, counts) in self.counts.chunks(self.classes).enumerate() {
            let samples = counts.iter().map(|&count| f64::from(count)).sum::<f64>().max(1.0);
            for (column, &count) in counts.iter().enumerate() {
                // By the root of the share: a few samples of many are to be seen.
                let depth = (f64::from(count) / samples).sqrt();
                let corner = (left + cell * column as i32, top + cell * row as i32);
                let opposite = (corner.0 + cell, corner.1 + cell);
                area.draw(&Rectangle::new([corner, opposite], shade(depth).filled()))?;
                if self.cell() >= SMALLEST_NAMED && count > 0 {
                    let style = if depth > 0.6 { centred(TEXT).color(&WHITE) } else { centred(TEXT) };
                    let at = (left + middle(column), top + middle(row) + drop);
                    area.draw_text(&count.to_string(), &style, at)?;
                }
            }
        }
        Ok(())
    }
}

/// From nearly white to the first of the colours.
fn shade(depth: f64) -> RGBColor {
    let [from, to] = [RGBColor(0xf4, 0xf4, 0xf4), COLOURS[0]];
    let mix = |from: u8, to: u8| (f64::from(from) + depth * (f64::from(to) - f64::from(from))).round() as u8;
    RGBColor(mix(from.0, to.0), mix(from.1, to.1), mix(from.2, to.2))
}

//! Draws a confusion matrix: a square of shades, true classes downwards, those they are taken for to the right.

use std::path::Path;

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::picture::{Area, COLOURS, Drawn, Picture, TEXT, UNITS, centred, png, save, text, width_of};
use crate::error::{Error, Result};
use crate::io::printable;

/// About the side of the square, where cells are neither too large nor too small for it.
const SIDE: u32 = 560 * UNITS;
const LARGEST_CELL: u32 = 56 * UNITS;
/// Cells that are smaller have no number, and no name of a class each.
const SMALLEST_NAMED: u32 = 28 * UNITS;
const MOST_CLASSES: usize = 1000;
/// The height of the axis' title above the square, and of the classes' names where they lie.
const LINE: u32 = 28 * UNITS;
const GAP: u32 = 8 * UNITS;
/// The most of a name that is drawn.
const LONGEST_NAME: usize = 24;

const FROM: &str = "true class";
const TO: &str = "taken for class";

/// A picture of counts (classes, classes).
pub(crate) struct HeatMap<'a> {
    counts: &'a [u32],
    /// Of the classes, none too long.
    names: Vec<String>,
    /// The width of the widest of those that are drawn.
    widest: u32,
}

impl<'a> HeatMap<'a> {
    pub(crate) fn new(counts: &'a [u32], names: &[String]) -> Result<Self> {
        let classes = names.len();
        if classes > MOST_CLASSES {
            let message = format!("{classes} classes are more than a picture shows; it takes {MOST_CLASSES}");
            return Err(Error::argument("plot", message));
        }
        let mut map = Self { counts, names: names.iter().map(|name| shortened(name)).collect(), widest: 0 };
        map.widest = map.named().map(|(_, name)| width_of(name)).max().unwrap_or(0);
        Ok(map)
    }

    /// Writes it as PNG or SVG, as the name ends.
    pub(crate) fn save(&self, path: &Path) -> Result<()> {
        save(self, path)
    }

    /// The bytes of a PNG file.
    pub(crate) fn png(&self) -> Result<Vec<u8>> {
        png(self).map_err(|what| Error::argument("plot", format!("the picture was not drawn: {what}")))
    }

    fn cell(&self) -> u32 {
        (SIDE / self.names.len() as u32).clamp(UNITS / 2, LARGEST_CELL)
    }

    /// The classes that are named: all, or about as many as there is room for.
    fn named(&self) -> impl Iterator<Item = (usize, &str)> {
        let all = self.names.iter().map(String::as_str).enumerate();
        all.step_by(SMALLEST_NAMED.div_ceil(self.cell()) as usize)
    }

    /// Whether the names above the square stand on end: the widest would reach into its neighbour.
    fn upright(&self) -> bool {
        self.widest + GAP > self.cell().max(SMALLEST_NAMED)
    }

    /// The room left of the square: the axis' title, then the names.
    fn left(&self) -> u32 {
        width_of(FROM) + 3 * GAP + self.widest
    }

    /// The room above the square: the axis' title, then the names.
    fn above(&self) -> u32 {
        LINE + if self.upright() { self.widest + GAP } else { LINE }
    }
}

fn shortened(name: &str) -> String {
    let name = printable(name);
    if name.chars().count() <= LONGEST_NAME {
        return name.into_owned();
    }
    name.chars().take(LONGEST_NAME - 1).chain(['…']).collect()
}

impl Picture for HeatMap<'_> {
    fn title(&self) -> &str {
        "Confusion matrix"
    }

    fn size(&self) -> (u32, u32) {
        let side = self.cell() * self.names.len() as u32;
        (self.left() + side.max(width_of(TO)), self.above() + side)
    }

    fn draw<DB: DrawingBackend>(&self, area: &Area<DB>, drop: i32) -> Drawn<DB> {
        let (cell, left, top, gap) = (self.cell() as i32, self.left() as i32, self.above() as i32, GAP as i32);
        let middle = |i: usize| cell * i as i32 + cell / 2;
        area.draw_text(TO, &text(TEXT), (left, (LINE / 2) as i32 + drop))?;
        area.draw_text(FROM, &text(TEXT), (0, top + cell / 2 + drop))?;
        for (class, name) in self.named() {
            if self.upright() {
                // On end, what is below is to the right.
                let style = text(TEXT).transform(FontTransform::Rotate270);
                area.draw_text(name, &style, (left + middle(class) + drop, top - gap))?;
            } else {
                area.draw_text(name, &centred(TEXT), (left + middle(class), top - (LINE / 2) as i32 + drop))?;
            }
            let style = text(TEXT).pos(Pos::new(HPos::Right, VPos::Center));
            area.draw_text(name, &style, (left - gap, top + middle(class) + drop))?;
        }
        for (row, counts) in self.counts.chunks(self.names.len()).enumerate() {
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

//! Pictures of models: a box a layer, from the inputs at the top to the outputs at the bottom.

use std::path::Path;

use plotters::prelude::*;

use super::Model;
use crate::error::{Error, Result};
use crate::io::printable;
use crate::nn::summary::{Row, shapes_text};
use crate::plot::layered::{Layout, Point, layered, passed};
use crate::plot::picture::{self, Area, Drawn, Picture, TEXT, UNITS, centred, width_of};

/// Of a box, in pixels: a line of text and what is on both sides of it.
const LINE: f64 = 28.0;
const BESIDE_TEXT: f64 = 12.0;
/// Around the layers of a model inside the model.
const AROUND: f64 = 18.0;
const ARROW: f64 = 6.0;

const HEAD: RGBColor = RGBColor(0x26, 0x3d, 0x55);
const MODEL_HEAD: RGBColor = RGBColor(0x5f, 0x78, 0x90);
const INSIDE: RGBColor = RGBColor(0xf3, 0xf6, 0xf9);
const EDGE: RGBColor = RGBColor(0x26, 0x3d, 0x55);
const LINES: RGBColor = RGBColor(0x55, 0x55, 0x55);
const TRAINABLE: RGBColor = RGBColor(0xd5, 0xec, 0xdc);
const FROZEN: RGBColor = RGBColor(0xf7, 0xd9, 0xd3);

/// More boxes, or more lines that pass them, and nobody finds a way through the picture.
const MOST_BOXES: usize = 2000;
const MOST_PASSED: usize = 10_000;
/// Bytes that a PNG is drawn in.
const MOST_BYTES: u64 = 1 << 30;

/// A picture of a model, as Keras' `plot_model` draws it: see [`plot_model`].
#[derive(Clone, Debug)]
pub struct ModelPlot {
    title: String,
    rows: Vec<Row>,
    shown: Shown,
}

/// What the boxes show.
#[derive(Clone, Copy, Debug, Default)]
struct Shown {
    shapes: bool,
    names: bool,
    trainable: bool,
    nested: bool,
}

/// The picture of a model: a box for each layer with its type, below those that it reads, and a line for each of these.
///
/// ```
/// use kiln::plot::plot_model;
/// use kiln::prelude::*;
/// let x = Input::new([4]);
/// let h = Dense::new(4).apply(&x)?;
/// let model = Model::new(&x, Add.apply([&h, &x.value()])?)?;
/// let file = std::env::temp_dir().join("kiln-doc-model.svg");
/// plot_model(&model)?.show_shapes(true).show_layer_names(true).save(&file)?;
/// # std::fs::remove_file(file).unwrap();
/// # Ok::<(), kiln::Error>(())
/// ```
///
/// # Errors
/// [`Error::Model`] where the model was not built.
pub fn plot_model(model: &Model) -> Result<ModelPlot> {
    let summary = model.summary()?;
    Ok(ModelPlot { title: summary.model, rows: summary.rows, shown: Shown::default() })
}

impl ModelPlot {
    /// Whether each box has the shapes of what its layer reads and gives; default false.
    #[must_use]
    pub fn show_shapes(mut self, show_shapes: bool) -> Self {
        self.shown.shapes = show_shapes;
        self
    }

    /// Whether each box has its layer's name before its type; default false.
    #[must_use]
    pub fn show_layer_names(mut self, show_layer_names: bool) -> Self {
        self.shown.names = show_layer_names;
        self
    }

    /// Whether each box says of a layer with weights whether they are trained; default false.
    #[must_use]
    pub fn show_trainable(mut self, show_trainable: bool) -> Self {
        self.shown.trainable = show_trainable;
        self
    }

    /// Whether the layers of models inside the model are drawn, in a frame each; default false.
    #[must_use]
    pub fn expand_nested(mut self, expand_nested: bool) -> Self {
        self.shown.nested = expand_nested;
        self
    }

    /// Writes the picture: PNG or SVG, as the file's name ends. A file that is there is replaced.
    ///
    /// # Errors
    /// Those of [`crate::plot::check_path`]; [`Error::Argument`] where there are too many layers for a picture.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        crate::plot::check_path(path)?;
        let boxes = count(&self.rows, self.shown);
        if boxes > MOST_BOXES {
            let message = format!("{boxes} layers are too many for a picture; {MOST_BOXES} at most");
            return Err(Error::argument("plot", message));
        }
        let diagram = Diagram::of(&self.rows, self.shown)?;
        let whole = Whole { title: &self.title, diagram };
        let (width, height) = picture::whole(&whole);
        let bytes = 3 * u64::from(width) * u64::from(height);
        if bytes > MOST_BYTES && matches!(crate::plot::Format::of(path)?, crate::plot::Format::Png) {
            let message =
                format!("{}: the picture is too large for a PNG; give a name that ends in .svg", path.display());
            return Err(Error::argument("plot", message));
        }
        picture::save(&whole, path)
    }
}

/// How many boxes there are.
fn count(rows: &[Row], shown: Shown) -> usize {
    let inner = |row: &Row| row.inner.as_ref().filter(|_| shown.nested).map_or(0, |inner| count(inner, shown));
    rows.iter().map(|row| 1 + inner(row)).sum()
}

/// A field of a box.
#[derive(Clone, Debug)]
struct Cell {
    text: String,
    width: f64,
    colour: RGBColor,
}

/// A layer as it is drawn.
#[derive(Clone, Debug)]
struct Boxed {
    head: String,
    cells: Vec<Cell>,
    size: Point,
    inner: Option<Diagram>,
}

/// Boxes with their places.
#[derive(Clone, Debug)]
struct Diagram {
    boxes: Vec<Boxed>,
    layout: Layout,
}

impl Diagram {
    fn of(rows: &[Row], shown: Shown) -> Result<Self> {
        let boxes = rows.iter().map(|row| Boxed::of(row, shown)).collect::<Result<Vec<_>>>()?;
        let sizes: Vec<Point> = boxes.iter().map(|boxed| boxed.size).collect();
        let lines = rows.iter().enumerate().flat_map(|(to, row)| row.sources.iter().map(move |&from| (from, to)));
        let lines: Vec<(usize, usize)> = lines.collect();
        let passed = passed(sizes.len(), &lines);
        if passed > MOST_PASSED {
            let message = format!("{} connections that skip so many layers are too many for a picture", lines.len());
            return Err(Error::argument("plot", message));
        }
        Ok(Self { layout: layered(&sizes, &lines), boxes })
    }

    fn draw<DB: DrawingBackend>(&self, area: &Area<DB>, at: Point, drop: i32) -> Drawn<DB> {
        let moved = |(x, y): Point| units((at.0 + x, at.1 + y));
        for line in &self.layout.lines {
            let Some(&end) = line.last() else { continue };
            let away = |&&(x, y): &&Point| (x - end.0).hypot(y - end.1) > 1.0;
            let before = line.iter().rev().find(away).copied().unwrap_or((end.0, end.1 - 1.0));
            let points: Vec<(i32, i32)> = line.iter().map(|&point| moved(point)).collect();
            area.draw(&PathElement::new(points, LINES.stroke_width(3 * UNITS / 2)))?;
            area.draw(&Polygon::new(arrow(before, end).map(moved), LINES.filled()))?;
        }
        for (boxed, &(x, y)) in self.boxes.iter().zip(&self.layout.boxes) {
            boxed.draw(area, (at.0 + x, at.1 + y), drop)?;
        }
        Ok(())
    }
}

/// The head of a line that comes to its end from a point.
fn arrow(from: Point, end: Point) -> [Point; 3] {
    let (dx, dy) = (end.0 - from.0, end.1 - from.1);
    let length = dx.hypot(dy).max(1e-9);
    let (along, across) = ((dx / length * ARROW, dy / length * ARROW), (-dy / length, dx / length));
    let side = |s: f64| (end.0 - 1.6 * along.0 + s * ARROW * across.0, end.1 - 1.6 * along.1 + s * ARROW * across.1);
    [end, side(0.75), side(-0.75)]
}

impl Boxed {
    fn of(row: &Row, shown: Shown) -> Result<Self> {
        let name = printable(&row.name);
        let head = if shown.names { format!("{name} ({})", row.kind) } else { row.kind.to_string() };
        let cell = |text: String, colour| Cell { width: text_width(&text), text, colour };
        let mut cells = Vec::new();
        if shown.shapes {
            if !row.inputs.is_empty() {
                cells.push(cell(format!("Input shape: {}", shapes_text(&row.inputs)), WHITE));
            }
            cells.push(cell(format!("Output shape: {}", shapes_text(&row.outputs)), WHITE));
        }
        if shown.trainable && row.parameters > 0 {
            let frozen = row.non_trainable == row.parameters;
            let (text, colour) = if frozen { ("Non-trainable", FROZEN) } else { ("Trainable", TRAINABLE) };
            cells.push(cell(text.into(), colour));
        }
        let inner = row.inner.as_ref().filter(|_| shown.nested);
        let inner = inner.map(|inner| Diagram::of(inner, shown)).transpose()?;
        let inside = inner.as_ref().map_or((0.0, 0.0), |inner| inner.layout.size);
        let frame = if inner.is_some() { 2.0 * AROUND } else { 0.0 };
        let fields: f64 = cells.iter().map(|cell| cell.width).sum();
        let width = text_width(&head).max(fields).max(inside.0 + frame);
        // Fields fill the box.
        let more = (width - fields) / cells.len().max(1) as f64;
        cells.iter_mut().for_each(|cell| cell.width += more);
        let height = LINE + if cells.is_empty() { 0.0 } else { LINE } + inside.1 + frame;
        Ok(Self { head, cells, size: (width, height), inner })
    }

    fn draw<DB: DrawingBackend>(&self, area: &Area<DB>, (x, y): Point, drop: i32) -> Drawn<DB> {
        let (width, height) = self.size;
        let field = |(x, y): Point, (width, height): Point, style: ShapeStyle| {
            area.draw(&Rectangle::new([units((x, y)), units((x + width, y + height))], style))
        };
        let text = |text: &str, (x, y): Point, style: &TextStyle<'_>| {
            let (x, y) = units((x, y));
            area.draw_text(text, style, (x, y + drop))
        };
        let head = if self.inner.is_some() { MODEL_HEAD } else { HEAD };
        field((x, y), self.size, if self.inner.is_some() { INSIDE } else { WHITE }.filled())?;
        field((x, y), (width, LINE), head.filled())?;
        text(&self.head, (x + width / 2.0, y + LINE / 2.0), &centred(TEXT).color(&WHITE))?;
        let mut left = x;
        for cell in &self.cells {
            field((left, y + LINE), (cell.width, LINE), cell.colour.filled())?;
            field((left, y + LINE), (cell.width, LINE), EDGE.stroke_width(UNITS))?;
            text(&cell.text, (left + cell.width / 2.0, y + 1.5 * LINE), &centred(TEXT))?;
            left += cell.width;
        }
        field((x, y), (width, height), EDGE.stroke_width(3 * UNITS / 2))?;
        let Some(inner) = &self.inner else { return Ok(()) };
        let top = LINE + if self.cells.is_empty() { 0.0 } else { LINE } + AROUND;
        inner.draw(area, (x + (width - inner.layout.size.0) / 2.0, y + top), drop)
    }
}

/// The width of a field with a text, in pixels.
fn text_width(text: &str) -> f64 {
    f64::from(width_of(text)) / f64::from(UNITS) + 2.0 * BESIDE_TEXT
}

fn units((x, y): Point) -> (i32, i32) {
    let unit = |pixels: f64| (pixels * f64::from(UNITS)).round() as i32;
    (unit(x), unit(y))
}

/// A diagram below its title.
struct Whole<'a> {
    title: &'a str,
    diagram: Diagram,
}

impl Picture for Whole<'_> {
    fn title(&self) -> &str {
        self.title
    }

    fn size(&self) -> (u32, u32) {
        let (width, height) = units(self.diagram.layout.size);
        // The title has its room, too.
        ((width.max(0) as u32 + UNITS).max(picture::title_width(self.title)), height.max(0) as u32 + UNITS)
    }

    fn draw<DB: DrawingBackend>(&self, area: &Area<DB>, drop: i32) -> Drawn<DB> {
        self.diagram.draw(area, (0.5, 0.5), drop)
    }
}

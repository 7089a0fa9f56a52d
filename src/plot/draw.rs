//! Draws a chart with plotters, four units to a pixel: SVG scales them down, PNG averages them.

use std::sync::Once;

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::register_font;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::axis::Axis;
use super::{Chart, Curve, Panel, png};

/// Units a pixel of an SVG. Plotters places everything at whole units.
const UNITS: u32 = 4;
/// Units a pixel of a PNG, which is therefore fine enough for a screen of double density.
const PNG_UNITS: u32 = 2;

const WIDTH: u32 = 960 * UNITS;
const HEAD: u32 = 48 * UNITS;
const PANEL: u32 = 280 * UNITS;
const MARGIN: u32 = 20 * UNITS;
const LEGEND_LINE: u32 = 26 * UNITS;
/// The height of the steps' labels, and that of the axis' title below them.
const X_LABELS: u32 = 28 * UNITS;
const X_TITLE: u32 = 16 * UNITS;
const Y_LABELS: u32 = 64 * UNITS;

/// Below the legend.
const LEGEND_GAP: u32 = 6 * UNITS;
/// Of the legend: a curve's sample, and the room between it and the name.
const SAMPLE: u32 = 28 * UNITS;
const GAP: u32 = 8 * UNITS;

const TITLE: u32 = 18 * UNITS;
const TEXT: u32 = 14 * UNITS;

const INK: RGBColor = RGBColor(0x26, 0x26, 0x26);
const GRID: RGBColor = RGBColor(0xe4, 0xe4, 0xe4);
const AXIS: RGBColor = RGBColor(0x8c, 0x8c, 0x8c);
/// Those of Okabe and Ito that differ most in lightness first, <https://jfly.uni-koeln.de/color/>: they stay apart for
/// the colour-blind, and in grey.
const COLOURS: [RGBColor; 6] = [
    RGBColor(0x00, 0x72, 0xb2),
    RGBColor(0xe6, 0x9f, 0x00),
    RGBColor(0x00, 0x9e, 0x73),
    RGBColor(0xcc, 0x79, 0xa7),
    RGBColor(0xd5, 0x5e, 0x00),
    RGBColor(0x56, 0xb4, 0xe9),
];
/// Curves of no more values than this show each as a dot.
const MOST_DOTTED: usize = 32;

/// Values beyond are left out as infinite ones are: an axis from one end of the doubles to the other has no length.
const MOST: f64 = 1e300;

/// How far below its place plotters has to put text in pixels for its capitals to stand in the middle there.
const DROP: i32 = (TEXT / 5) as i32;

/// What the SVG asks its viewer for. PNG takes the font of a crate, whatever the machine has.
const FAMILY: &str = "Ubuntu, Helvetica, Arial, sans-serif";

type Area<DB> = DrawingArea<DB, Shift>;
type Drawn<DB> = Result<(), DrawingAreaErrorKind<<DB as DrawingBackend>::ErrorType>>;

impl Chart {
    pub(super) fn svg(&self) -> Result<Vec<u8>, String> {
        let (width, height) = self.size();
        let mut text = String::new();
        self.draw(SVGBackend::with_string(&mut text, (width, height)), 0).map_err(|e| e.to_string())?;
        let size = |units| format!("width=\"{}\" height=\"{}\"", width / units, height / units);
        Ok(text.replacen(&size(1), &size(UNITS), 1).into_bytes())
    }

    pub(super) fn png(&self) -> Result<Vec<u8>, String> {
        let (width, height) = self.size();
        let mut pixels = vec![0; 3 * width as usize * height as usize];
        self.draw(BitMapBackend::with_buffer(&mut pixels, (width, height)), DROP).map_err(|e| e.to_string())?;
        Ok(png::encode(&averaged(&pixels, width as usize), width / PNG_UNITS, height / PNG_UNITS))
    }

    fn size(&self) -> (u32, u32) {
        let panels: u32 = self.panels.iter().map(Panel::height).sum();
        (WIDTH, 2 * MARGIN + HEAD + panels + X_LABELS + X_TITLE)
    }

    fn draw<DB: DrawingBackend>(&self, backend: DB, drop: i32) -> Drawn<DB> {
        let root = backend.into_drawing_area();
        root.fill(&WHITE)?;
        let (head, mut rest) = root.margin(MARGIN, MARGIN, MARGIN, MARGIN).split_vertically(HEAD);
        head.draw_text(&self.title, &text(TITLE), (0, (HEAD / 4) as i32 + drop))?;
        let lengths = self.panels.iter().flat_map(|p| &p.curves).map(|c| c.values.len());
        let x = Axis::steps(lengths.max().unwrap_or(0));
        for (i, panel) in self.panels.iter().enumerate() {
            let x_title = (i + 1 == self.panels.len()).then_some(&*self.x_title);
            let below = if x_title.is_some() { X_LABELS + X_TITLE } else { 0 };
            let (area, others) = rest.split_vertically(panel.height() + below);
            panel.draw(&area, &x, x_title, drop)?;
            rest = others;
        }
        root.present()
    }
}

impl Panel {
    fn height(&self) -> u32 {
        PANEL + LEGEND_GAP + self.legend().last().map_or(0, |entry| entry.line + 1) * LEGEND_LINE
    }

    fn draw<DB: DrawingBackend>(&self, area: &Area<DB>, x: &Axis, x_title: Option<&str>, drop: i32) -> Drawn<DB> {
        self.draw_legend(area, drop)?;
        let (_, plot) = area.split_vertically(self.height() - PANEL);
        let values: Vec<f64> = self.curves.iter().flat_map(|c| self.heights(c)).flatten().collect();
        let mut chart = ChartBuilder::on(&plot)
            .margin_bottom(MARGIN / 2)
            .margin_right(MARGIN / 2)
            .y_label_area_size(Y_LABELS)
            .x_label_area_size(if x_title.is_some() { X_LABELS + X_TITLE } else { 0 })
            .build_cartesian_2d(x.clone(), Axis::values(&values, self.log))?;
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(GRID.stroke_width(UNITS))
            .axis_style(AXIS.stroke_width(UNITS))
            .set_all_tick_mark_size(2 * UNITS)
            .y_label_offset(drop)
            .label_style(text(TEXT))
            .x_desc(x_title.unwrap_or_default())
            .axis_desc_style(text(TEXT))
            .draw()?;
        for (i, curve) in self.curves.iter().enumerate() {
            let style = self.style(i);
            let points: Vec<Option<(f64, f64)>> =
                self.heights(curve).enumerate().map(|(i, y)| Some(((i + 1) as f64, y?))).collect();
            for run in points.split(Option::is_none) {
                let run: Vec<(f64, f64)> = run.iter().copied().flatten().collect();
                if !curve.line || curve.values.len() <= MOST_DOTTED || run.len() == 1 {
                    chart.draw_series(run.iter().map(|&at| dot(at, style)))?;
                }
                if curve.line {
                    chart.draw_series([PathElement::new(run, style)])?;
                }
            }
        }
        Ok(())
    }

    /// Where a curve's values stand on the vertical axis.
    fn heights<'a>(&'a self, curve: &'a Curve) -> impl Iterator<Item = Option<f64>> + 'a {
        let height = |&v: &f64| if self.log { v.log10() } else { v };
        curve.values.iter().map(height).map(|v| (v.abs() < MOST).then_some(v))
    }

    /// Of several lines the first is wide: one that lies upon it does not hide it.
    fn style(&self, curve: usize) -> ShapeStyle {
        let wide = curve == 0 && self.curves.iter().filter(|c| c.line).count() > 1;
        COLOURS[curve % COLOURS.len()].stroke_width(match self.curves[curve].line {
            false => 0,
            true if wide => 7 * UNITS / 2,
            true => 7 * UNITS / 4,
        })
    }

    /// The axis' title, then a sample and the name of each curve, in as many lines as they take.
    fn draw_legend<DB: DrawingBackend>(&self, area: &Area<DB>, drop: i32) -> Drawn<DB> {
        let middle = |line: u32| (line * LEGEND_LINE + LEGEND_LINE / 2) as i32;
        area.draw_text(&self.y_title, &text(TEXT), (0, middle(0) + drop))?;
        for (i, (entry, curve)) in self.legend().iter().zip(&self.curves).enumerate() {
            let (x, y) = (entry.x as i32, middle(entry.line));
            let (style, end) = (self.style(i), x + SAMPLE as i32);
            match curve.line {
                true => area.draw(&PathElement::new(vec![(x, y), (end, y)], style))?,
                false => area.draw(&dot((x + SAMPLE as i32 / 2, y), style))?,
            }
            area.draw_text(&curve.name, &text(TEXT), (end + GAP as i32, y + drop))?;
        }
        Ok(())
    }

    fn legend(&self) -> Vec<Entry> {
        let (mut entries, mut x, mut line) = (Vec::new(), Y_LABELS.max(width_of(&self.y_title) + 3 * GAP), 0);
        for curve in &self.curves {
            let width = SAMPLE + GAP + width_of(&curve.name);
            if x > Y_LABELS && x + width > WIDTH - 2 * MARGIN {
                (x, line) = (Y_LABELS, line + 1);
            }
            entries.push(Entry { x, line });
            x += width + 3 * GAP;
        }
        entries
    }
}

/// Where a curve stands in the legend.
struct Entry {
    x: u32,
    line: u32,
}

/// A little wider than its line, where it has one.
fn dot<C>(at: C, style: ShapeStyle) -> Circle<C, u32> {
    Circle::new(at, style.stroke_width / 2 + 7 * UNITS / 4, style.filled())
}

/// Text that starts at its left end, in the middle of its height.
fn text(size: u32) -> TextStyle<'static> {
    static FONT: Once = Once::new();
    FONT.call_once(|| {
        let font = epaint_default_fonts::UBUNTU_LIGHT;
        assert!(register_font(FAMILY, FontStyle::Normal, font).is_ok(), "the crate holds a font");
    });
    (FAMILY, size).into_font().color(&INK).pos(Pos::new(HPos::Left, VPos::Center))
}

fn width_of(name: &str) -> u32 {
    text(TEXT).font.box_size(name).map_or(0, |(width, _)| width)
}

/// The mean of each square of pixels: edges are smooth then.
fn averaged(pixels: &[u8], width: usize) -> Vec<u8> {
    const SIDE: usize = PNG_UNITS as usize;
    let mut small = Vec::with_capacity(pixels.len() / (SIDE * SIDE));
    for rows in pixels.chunks_exact(3 * width * SIDE) {
        for x in 0..width / SIDE {
            for channel in 0..3 {
                let at = |i: usize| u32::from(rows[3 * ((i / SIDE) * width + x * SIDE + i % SIDE) + channel]);
                small.push(((0..SIDE * SIDE).map(at).sum::<u32>() / PNG_UNITS.pow(2)) as u8);
            }
        }
    }
    small
}

//! Draws charts.

use plotters::prelude::*;

use super::axis::Axis;
use super::picture::{Area, COLOURS, Drawn, MARGIN, Picture, TEXT, UNITS, text, width_of};
use super::{Chart, Curve, Panel};

const WIDTH: u32 = 960 * UNITS;
const PANEL: u32 = 280 * UNITS;
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

const GRID: RGBColor = RGBColor(0xe4, 0xe4, 0xe4);
const AXIS: RGBColor = RGBColor(0x8c, 0x8c, 0x8c);
/// Curves of no more values than this show each as a dot.
const MOST_DOTTED: usize = 32;

/// Values beyond are left out as infinite ones are: an axis from one end of the doubles to the other has no length.
const MOST: f64 = 1e300;

impl Picture for Chart {
    fn title(&self) -> &str {
        &self.title
    }

    fn size(&self) -> (u32, u32) {
        let panels: u32 = self.panels.iter().map(Panel::height).sum();
        (WIDTH - 2 * MARGIN, panels + X_LABELS + X_TITLE)
    }

    fn draw<DB: DrawingBackend>(&self, area: &Area<DB>, drop: i32) -> Drawn<DB> {
        let mut rest = area.clone();
        let lengths = self.panels.iter().flat_map(|p| &p.curves).map(|c| c.values.len());
        let last = lengths.max().unwrap_or(0);
        let x = match &self.log_x {
            Some(at) => Horizontal { axis: Axis::powers(at), at: at.clone() },
            None => Horizontal { axis: Axis::steps(last), at: (1..=last).map(|step| step as f64).collect() },
        };
        for (i, panel) in self.panels.iter().enumerate() {
            let x_title = (i + 1 == self.panels.len()).then_some(&*self.x_title);
            let below = if x_title.is_some() { X_LABELS + X_TITLE } else { 0 };
            let (area, others) = rest.split_vertically(panel.height() + below);
            panel.draw(&area, &x, x_title, drop)?;
            rest = others;
        }
        Ok(())
    }
}

/// The axis below all panels, and where the values stand upon it.
struct Horizontal {
    axis: Axis,
    at: Vec<f64>,
}

impl Panel {
    fn height(&self) -> u32 {
        PANEL + LEGEND_GAP + self.legend().last().map_or(0, |entry| entry.line + 1) * LEGEND_LINE
    }

    fn draw<DB: DrawingBackend>(&self, area: &Area<DB>, x: &Horizontal, x_title: Option<&str>, drop: i32) -> Drawn<DB> {
        self.draw_legend(area, drop)?;
        let (_, plot) = area.split_vertically(self.height() - PANEL);
        let values: Vec<f64> = self.curves.iter().flat_map(|c| self.heights(c)).flatten().collect();
        let mut chart = ChartBuilder::on(&plot)
            .margin_bottom(MARGIN / 2)
            .margin_right(MARGIN / 2)
            .y_label_area_size(Y_LABELS)
            .x_label_area_size(if x_title.is_some() { X_LABELS + X_TITLE } else { 0 })
            .build_cartesian_2d(x.axis.clone(), Axis::values(&values, self.log))?;
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
                self.heights(curve).zip(&x.at).map(|(y, &at)| Some((at, y?))).collect();
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

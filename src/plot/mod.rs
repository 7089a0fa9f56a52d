//! Pictures as PNG or SVG: curves over steps in panels that share the axis of steps, models, and images as tiles.

mod axis;
mod draw;
mod heat_map;
mod image_grid;
pub(crate) mod layered;
pub(crate) mod picture;
mod png;

use std::path::Path;

pub(crate) use heat_map::HeatMap;
pub use image_grid::{ImageGrid, feature_maps, filters, normalized};
// Whoever draws a model looks for it here; it stands where models do.
pub use crate::train::{ModelPlot, plot_model};

use crate::error::{Error, Result};

/// Panels of curves, one below the other, over one axis: of steps that start at 1, or [`Chart::log_x`].
///
/// ```
/// use kiln::plot::{Chart, Panel};
/// let losses = [0.9, 0.5, 0.3, 0.25];
/// let panel = Panel::new("loss").curve("training", &losses);
/// let file = std::env::temp_dir().join("kiln-doc-chart.svg");
/// Chart::new("A run", "epoch").panel(panel).save(&file)?;
/// # std::fs::remove_file(file).unwrap();
/// # Ok::<(), kiln::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Chart {
    title: String,
    x_title: String,
    /// The logarithms of where the values stand; where there are none they stand at 1, 2, 3 and so on.
    log_x: Option<Vec<f64>>,
    panels: Vec<Panel>,
}

/// Curves over one vertical axis.
///
/// ```no_run
/// use kiln::plot::{Chart, Panel};
/// let panel = Panel::new("loss").log().curve("training", &[1.0, 0.1, 0.01]).curve("validation", &[1.1, 0.3, 0.2]);
/// Chart::new("A run", "epoch").panel(panel).save("run.png")?;
/// # Ok::<(), kiln::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Panel {
    y_title: String,
    log: bool,
    curves: Vec<Curve>,
}

#[derive(Clone, Debug, PartialEq)]
struct Curve {
    name: String,
    values: Vec<f64>,
    /// Whether its points are joined.
    line: bool,
}

impl Panel {
    /// A panel without curves, whose vertical axis has this title.
    pub fn new(y_title: impl Into<String>) -> Self {
        Self { y_title: y_title.into(), log: false, curves: Vec::new() }
    }

    /// Gives the vertical axis the scale of a logarithm. What is zero or less is left out.
    #[must_use]
    pub fn log(mut self) -> Self {
        self.log = true;
        self
    }

    /// Adds a curve: its name in the legend, and its values at 1, 2, 3 and so on. What is not finite is left out.
    #[must_use]
    pub fn curve(self, name: impl Into<String>, values: &[f64]) -> Self {
        self.with(Curve { name: name.into(), values: values.to_vec(), line: true })
    }

    /// [`Panel::curve`] as dots that no line joins.
    #[must_use]
    pub fn dots(self, name: impl Into<String>, values: &[f64]) -> Self {
        self.with(Curve { name: name.into(), values: values.to_vec(), line: false })
    }

    fn with(mut self, curve: Curve) -> Self {
        self.curves.push(curve);
        self
    }
}

impl Chart {
    /// A chart without panels; `x_title` says what the values are counted by.
    pub fn new(title: impl Into<String>, x_title: impl Into<String>) -> Self {
        Self { title: title.into(), x_title: x_title.into(), log_x: None, panels: Vec::new() }
    }

    /// Where the values of each curve stand in place of 1, 2, 3 and so on: above 0, on the scale of a logarithm. Values beyond the last
    /// are left out.
    #[must_use]
    pub fn log_x(mut self, at: &[f64]) -> Self {
        self.log_x = Some(at.iter().map(|x| x.log10()).collect());
        self
    }

    /// Adds a panel at the bottom.
    #[must_use]
    pub fn panel(mut self, panel: Panel) -> Self {
        self.panels.push(panel);
        self
    }

    /// Writes the picture: PNG or SVG, as the file's name ends. A file that is there is replaced.
    ///
    /// # Errors
    /// Those of [`check_path`].
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        picture::save(self, path.as_ref())
    }
}

/// Checks that a picture can be written at `path`, so that a long run does not find out at its end.
///
/// # Errors
/// [`Error::Argument`] where the name ends neither in `.png` nor in `.svg`; those of [`crate::io::check_file`].
pub fn check_path(path: impl AsRef<Path>) -> Result<()> {
    let path = path.as_ref();
    Format::of(path)?;
    crate::io::check_file(path)
}

pub(crate) enum Format {
    Png,
    Svg,
}

impl Format {
    pub(crate) fn of(path: &Path) -> Result<Self> {
        match path.extension().map(|e| e.to_string_lossy().to_lowercase()).as_deref() {
            Some("png") => Ok(Self::Png),
            Some("svg") => Ok(Self::Svg),
            _ => Err(Error::argument("plot", format!("{}: give a name that ends in .png or .svg", path.display()))),
        }
    }
}

//! Data sets: samples with their targets, tables, pictures, IDX files and NumPy's, and the named sets that are found or fetched.

mod columns;
#[cfg(feature = "csv")]
mod csv;
mod dataset;
#[cfg(feature = "fetch")]
mod fetch;
mod idx;
#[cfg(feature = "images")]
mod images;
mod integers;
mod named;
mod npz;
#[cfg(feature = "png")]
mod png;
mod remote;
mod scaler;
mod sets;
mod source;
mod split;
mod sums;
mod text;
mod timeseries;

pub use columns::{Column, Columns};
pub(crate) use columns::{ordered, places};
#[cfg(feature = "csv")]
pub(crate) use csv::Rows;
#[cfg(feature = "csv")]
pub use csv::{Csv, Encoding, Missing, Table};
pub use dataset::Dataset;
pub(crate) use dataset::{check_labels, check_scale};
#[cfg(feature = "fetch")]
pub use fetch::Fetcher;
pub use idx::{parse_idx, parse_idx_within, read_idx, read_pair, write_idx};
#[cfg(feature = "images")]
pub use images::{ColorMode, ImageFolder, ImageLoader, Interpolation, image_files, parse_image, parse_image_within};
pub use named::{Content, LoadOptions, NamedSet, Split};
pub use npz::Npz;
#[cfg(feature = "png")]
pub use png::{parse_png, parse_png_within, read_png, rgb_to_grayscale};
pub use remote::{Manager, Package, Progress, RemoteFile};
pub use scaler::Scaler;
pub use sets::{SETS, airline, airline_with, fashion_mnist, mnist, mnist_from, mnist_with, moby_dick, moby_dick_with};
pub use source::Source;
pub(crate) use split::class_counts;
pub use split::{Fold, KFold};
pub use text::{Standardize, TextOutput, TextSplit, TextVectorization};
pub use timeseries::{TimeseriesDataset, Windows};

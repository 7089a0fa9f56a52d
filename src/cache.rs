//! Kiln's folder in the user's cache.

use std::path::PathBuf;

/// Names the folder in place of the one in the user's cache.
const KILN_CACHE_DIR: &str = "KILN_CACHE_DIR";

/// The folder, where the system has one; it may have to be made.
pub(crate) fn folder() -> Option<PathBuf> {
    let named = std::env::var_os(KILN_CACHE_DIR).filter(|name| !name.is_empty()).map(PathBuf::from);
    // Absolute, so that messages name a place that can be found.
    named.map(|name| std::path::absolute(&name).unwrap_or(name)).or_else(of_user)
}

#[cfg(any(feature = "fetch", feature = "gpu"))]
fn of_user() -> Option<PathBuf> {
    use etcetera::base_strategy::{BaseStrategy, choose_native_strategy};
    Some(choose_native_strategy().ok()?.cache_dir().join("kiln"))
}

/// Without a way to know the platform's folders there is none.
#[cfg(not(any(feature = "fetch", feature = "gpu")))]
fn of_user() -> Option<PathBuf> {
    None
}

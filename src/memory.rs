//! Memory of the host for as much as data ask for: where the system has none, that is an error.

use crate::error::{Error, Result};

/// An empty list with room for `n` elements.
///
/// # Errors
/// [`Error::Memory`] that says what it was for.
pub(crate) fn room<T>(n: usize, what: &str) -> Result<Vec<T>> {
    let mut list = Vec::new();
    let needed = (n as u64).saturating_mul(size_of::<T>() as u64);
    list.try_reserve_exact(n).map_err(|_| Error::memory("this machine", what, needed))?;
    Ok(list)
}

/// Sees to it that a list can grow by `more` elements.
///
/// # Errors
/// As [`room`].
#[cfg(feature = "csv")]
pub(crate) fn reserve<T>(list: &mut Vec<T>, more: usize, what: &str) -> Result<()> {
    let needed = (list.len() as u64).saturating_add(more as u64).saturating_mul(size_of::<T>() as u64);
    list.try_reserve(more).map_err(|_| Error::memory("this machine", what, needed))
}

/// A list of what an iterator gives, which knows how many.
///
/// # Errors
/// As [`room`].
pub(crate) fn list<T>(values: impl ExactSizeIterator<Item = T>, what: &str) -> Result<Vec<T>> {
    let mut list = room(values.len(), what)?;
    list.extend(values);
    Ok(list)
}

/// A copy of a slice.
///
/// # Errors
/// As [`room`].
pub(crate) fn copy<T: Copy>(values: &[T], what: &str) -> Result<Vec<T>> {
    let mut list = room(values.len(), what)?;
    list.extend_from_slice(values);
    Ok(list)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_machine_has_is_an_error() {
        let error = room::<u64>(1 << 58, "the order of samples").unwrap_err().to_string();
        assert!(error.contains("no memory for the order of samples, 2305843009213693952 bytes"), "{error}");
        assert!(error.contains("take fewer samples"), "{error}");
        assert!(room::<u64>(usize::MAX, "all").is_err());
        #[cfg(feature = "csv")]
        {
            let mut two = vec![1u64, 2];
            let error = reserve(&mut two, 1 << 58, "samples").unwrap_err().to_string();
            assert!(error.contains("samples, 2305843009213693968 bytes") && two == [1, 2], "{error}");
        }
        assert_eq!((list(0..3u8, "few").unwrap(), copy(&[1, 2], "two").unwrap()), (vec![0, 1, 2], vec![1, 2]));
    }
}

//! "Did you mean": the nearest of a list of names.

use crate::printable::printable;

/// Says that `name` is unknown, which names there are, and which is the nearest.
pub(crate) fn unknown(name: &str, known: &[impl AsRef<str>]) -> String {
    let known: Vec<&str> = known.iter().map(AsRef::as_ref).collect();
    let list = known.iter().map(|known| printable(known)).collect::<Vec<_>>().join(", ");
    match nearest(name, &known) {
        Some(best) => format!("{name:?} is unknown; did you mean {best:?}? There are: {list}"),
        None => format!("{name:?} is unknown; there are: {list}"),
    }
}

/// The known name within a third of its length in edits.
pub(crate) fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let name = name.to_lowercase();
    let with_distance = known.iter().map(|k| (strsim::damerau_levenshtein(&name, &k.to_lowercase()), *k));
    with_distance.min().filter(|(d, k)| *d <= k.len().div_ceil(3)).map(|(_, k)| k)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_found() {
        let known = ["sgd", "rmsprop", "adam"];
        assert_eq!(nearest("rmspop", &known), Some("rmsprop"));
        assert_eq!(nearest("Adma", &known), Some("adam"));
        assert_eq!(nearest("transformer", &known), None);
    }
}

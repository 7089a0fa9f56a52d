//! Names with numbers in them, in the order of the numbers.

/// A part of a name: letters, or a number.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    Number(u64),
    Text(String),
}

/// The parts of a name, by which `conv10` comes behind `conv2`.
pub(super) fn parts(name: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut rest = name;
    while let Some(first) = rest.chars().next() {
        let is_number = first.is_ascii_digit();
        let end = rest.find(|c: char| c.is_ascii_digit() != is_number).unwrap_or(rest.len());
        let (part, behind) = rest.split_at(end);
        // More digits than any number has are a text like others.
        parts.push(match part.parse() {
            Ok(number) if is_number => Part::Number(number),
            _ => Part::Text(part.into()),
        });
        rest = behind;
    }
    parts
}

/// The name with each number left open: names of one stem have an order.
pub(super) fn stem(name: &str) -> String {
    let open = |part| match part {
        Part::Number(_) => "#".to_string(),
        Part::Text(text) => text,
    };
    parts(name).into_iter().map(open).collect()
}

/// The class and the number of a name that Keras made: `dense_2` of these classes, `dense` as number 0.
pub(super) fn automatic<'n>(name: &'n str, classes: &[String]) -> Option<(&'n str, u64)> {
    let is_known = |class: &str| classes.iter().any(|known| known == class);
    if is_known(name) {
        return Some((name, 0));
    }
    let (class, number) = name.rsplit_once('_')?;
    let is_plain = number.bytes().all(|c| c.is_ascii_digit()) && !number.starts_with('0');
    Some((class, number.parse().ok()?)).filter(|_| is_plain && is_known(class))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_ordered_by_their_numbers() {
        let mut names = ["b.10.w", "b.2.w", "a", "b.2.v", "b"];
        names.sort_by_key(|name| parts(name));
        assert_eq!(names, ["a", "b", "b.2.v", "b.2.w", "b.10.w"]);
        assert_eq!(stem("layer1.0.conv12"), "layer#.#.conv#");
        assert_eq!(stem("99999999999999999999999"), "99999999999999999999999");
    }

    #[test]
    fn names_that_keras_made_are_known() {
        let classes = ["dense".to_string(), "max_pooling2d".into()];
        assert_eq!(automatic("dense", &classes), Some(("dense", 0)));
        assert_eq!(automatic("dense_12", &classes), Some(("dense", 12)));
        for other in ["dense_", "dense_01", "dense_+1", "dense_x", "dens", "hidden_1", "dense_1_1"] {
            assert_eq!(automatic(other, &classes), None, "{other}");
        }
    }
}

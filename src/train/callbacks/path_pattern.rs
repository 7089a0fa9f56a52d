//! Names of files with numbers of the run in them, as Keras has them: `model-{epoch:02}-{val_loss:.4f}.safetensors`.

use crate::error::{Error, Result};

/// A text with places for numbers.
#[derive(Debug)]
pub(super) struct PathPattern(Vec<Part>);

#[derive(Debug)]
enum Part {
    Text(String),
    Number { name: String, format: Format },
}

/// How a number is written: `05.2f` is two decimals, filled up with zeros to five characters.
#[derive(Debug, Default)]
struct Format {
    zeros: bool,
    width: usize,
    decimals: Option<usize>,
}

impl Format {
    /// The part of Python's formats that makes sense in a name; `None` for the rest.
    fn parse(text: &str) -> Option<Self> {
        let (number, whole) = match text.strip_suffix('d') {
            Some(number) => (number, true),
            None => (text.strip_suffix('f').unwrap_or(text), false),
        };
        let (width, decimals) = match number.split_once('.') {
            Some((width, decimals)) => (width, Some(decimals.parse::<u8>().ok()?.into())),
            None => (number, None),
        };
        let digits = if width.is_empty() { 0 } else { width.parse::<u8>().ok()?.into() };
        (!whole || decimals.is_none()).then_some(Self { zeros: width.starts_with('0'), width: digits, decimals })
    }

    fn write(&self, x: f64) -> String {
        let text = self.decimals.map_or(x.to_string(), |decimals| format!("{x:.decimals$}"));
        let width = self.width;
        if self.zeros && x.is_finite() { format!("{text:0>width$}") } else { format!("{text:>width$}") }
    }
}

impl PathPattern {
    /// Braces hold a name, or a name, a colon and a format; two of one kind stand for one.
    pub fn parse(pattern: &str) -> Result<Self> {
        let wrong = |what: &str| {
            let message = format!("{pattern:?} {what}; give names like \"model-{{epoch:02}}-{{val_loss:.4f}}\"");
            Error::argument("path", message)
        };
        let (mut parts, mut rest) = (vec![Part::Text(String::new())], pattern);
        while let Some(c) = rest.chars().next() {
            let (text, after) = match c {
                '{' | '}' if rest[1..].starts_with(c) => (&rest[..1], &rest[2..]),
                '}' => return Err(wrong("has a } without {")),
                '{' => {
                    let (inside, after) = rest[1..].split_once('}').ok_or_else(|| wrong("has a { without }"))?;
                    let (name, format) = inside.split_once(':').unwrap_or((inside, ""));
                    let format = Format::parse(format).ok_or_else(|| wrong(&format!("has the format {format:?}")))?;
                    parts.push(Part::Number { name: name.into(), format });
                    ("", after)
                }
                _ => rest.split_at(c.len_utf8()),
            };
            match parts.last_mut() {
                Some(Part::Text(before)) => before.push_str(text),
                _ => parts.push(Part::Text(text.into())),
            }
            rest = after;
        }
        Ok(Self(parts))
    }

    /// The text with each name's number.
    ///
    /// # Errors
    /// [`Error::Argument`] that lists the names there are.
    pub fn fill(&self, numbers: &[(&str, f64)]) -> Result<String> {
        let parts = self.0.iter().map(|part| match part {
            Part::Text(text) => Ok(text.clone()),
            Part::Number { name, format } => {
                let names: Vec<&str> = numbers.iter().map(|(name, _)| *name).collect();
                let unknown = || Error::argument("path", crate::suggest::unknown(name, &names));
                let (_, x) = numbers.iter().find(|(known, _)| known == name).ok_or_else(unknown)?;
                Ok(format.write(*x))
            }
        });
        parts.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(pattern: &str) -> Result<String> {
        PathPattern::parse(pattern)?.fill(&[("epoch", 7.0), ("val_loss", -0.03125), ("lost", f64::NAN)])
    }

    #[test]
    fn numbers_are_written_as_pythons_formats_write_them() {
        for (pattern, wanted) in [
            ("plain", "plain"),
            ("", ""),
            ("{epoch}", "7"),
            ("m-{epoch:02}.x", "m-07.x"),
            ("{epoch:03d}{epoch:3d}{epoch:1}", "007  77"),
            ("{val_loss}", "-0.03125"),
            ("{val_loss:.4f}, {val_loss:.2}, {val_loss:.0f}", "-0.0312, -0.03, -0"),
            ("{{{epoch}}} ünder {{", "{7} ünder {"),
            ("{lost:.4f} {lost:05}", "NaN   NaN"),
        ] {
            assert_eq!(filled(pattern).unwrap(), wanted, "{pattern}");
        }
    }

    #[test]
    fn what_is_no_pattern_is_named() {
        for (pattern, parts) in [
            ("{epoch", ["\"{epoch\" has a { without }", "{val_loss:.4f}"]),
            ("epoch}", ["has a } without {", "{epoch:02}"]),
            ("{epoch:x}", ["has the format \"x\"", "give names like"]),
            ("{epoch:.2d}", ["has the format \".2d\"", "give names like"]),
            ("{epoch:-3}", ["has the format \"-3\"", "give names like"]),
            ("{vla_loss}", ["path: \"vla_loss\" is unknown; did you mean \"val_loss\"?", "epoch, val_loss, lost"]),
            ("{}", ["path: \"\" is unknown", "epoch"]),
        ] {
            let text = filled(pattern).unwrap_err().to_string();
            assert!(parts.iter().all(|part| text.contains(part)), "{text}");
        }
    }
}

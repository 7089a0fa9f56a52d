//! Values of settings as text: numbers, names, lists, and names with settings of their own.

use std::ops::Range;

use super::{Fault, fault};
use crate::nn::{Config, Setting};

/// The parts of a range of the text between separators that stand in no brackets, without white space around them.
pub(super) fn pieces(
    text: &str,
    whole: Range<usize>,
    is_separator: impl Fn(char) -> bool,
) -> Result<Vec<Range<usize>>, Fault> {
    let (mut open, mut parts, mut start) = (Vec::new(), Vec::new(), whole.start);
    for (at, c) in text[whole.clone()].char_indices().map(|(at, c)| (whole.start + at, c)) {
        match c {
            '(' | '[' => open.push((at, if c == '(' { ')' } else { ']' })),
            ')' | ']' if open.pop().is_none_or(|(_, closing)| closing != c) => {
                return fault(at..at + 1, format!("`{c}` closes nothing"));
            }
            _ if open.is_empty() && is_separator(c) => {
                parts.push(trimmed(text, start..at));
                start = at + c.len_utf8();
            }
            _ => {}
        }
    }
    if let Some((at, closing)) = open.pop() {
        return fault(at..at + 1, format!("`{closing}` is missing for this bracket"));
    }
    parts.push(trimmed(text, start..whole.end));
    Ok(parts)
}

fn trimmed(text: &str, part: Range<usize>) -> Range<usize> {
    let found = &text[part.clone()];
    let start = part.start + (found.len() - found.trim_start().len());
    start..start + found.trim().len()
}

/// Whether a text may be the name of a setting, a class or an option's value.
pub(super) fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// What a text stands for.
pub(super) fn value(text: &str) -> Result<Setting, String> {
    let expected = || format!("{text:?} is no value; expected a number, a name, true, false, none, 3x5 or (3, 5)");
    let inner = |open: char, close: char| text.strip_prefix(open).and_then(|rest| rest.strip_suffix(close));
    match text.to_ascii_lowercase().as_str() {
        "true" => return Ok(true.into()),
        "false" => return Ok(false.into()),
        "none" | "null" => return Ok(Setting::Null),
        _ => {}
    }
    if let Some(list) = inner('(', ')').or_else(|| inner('[', ']')) {
        let parts = pieces(list, 0..list.len(), |c| c == ',').map_err(|fault| fault.message)?;
        let parts = parts.into_iter().map(|part| &list[part]).filter(|part| !part.is_empty());
        return parts.map(value).collect::<Result<Vec<_>, _>>().map(Setting::List);
    }
    if is_name(text) {
        return Ok(text.into());
    }
    if let Ok(number) = text.parse::<i128>() {
        return Ok(Setting::Int(number));
    }
    if let Some(number) = text.parse::<f64>().ok().filter(|number| number.is_finite()) {
        return Ok(number.into());
    }
    let extents: Option<Vec<usize>> = text.split('x').map(|extent| extent.parse().ok()).collect();
    if let Some(extents) = extents.filter(|extents| extents.len() > 1) {
        return Ok(extents.into());
    }
    match text.split_once('(') {
        Some((class, rest)) if is_name(class) && rest.ends_with(')') => class_of(class, &rest[..rest.len() - 1]),
        _ => Err(expected()),
    }
}

/// A class with settings: `leaky_relu(negative_slope=0.1)`.
fn class_of(class: &str, settings: &str) -> Result<Setting, String> {
    let parts = pieces(settings, 0..settings.len(), |c| c == ',').map_err(|fault| fault.message)?;
    let mut config = Config::new(class);
    for part in parts.into_iter().map(|part| &settings[part]).filter(|part| !part.is_empty()) {
        let named = part.split_once('=').filter(|(name, _)| is_name(name.trim_end()) && *name != "class");
        let (name, text) = named.ok_or_else(|| format!("{part:?} is no setting of {class}; write NAME=VALUE"))?;
        config = config.with(name.trim_end(), value(text.trim_start())?);
    }
    Ok(config.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_what_they_look_like() {
        let list = |values: &[i128]| Setting::List(values.iter().map(|&value| Setting::Int(value)).collect());
        for (text, expected) in [
            ("3", Setting::Int(3)),
            ("-1", Setting::Int(-1)),
            ("0.25", Setting::Float(0.25)),
            ("1e-3", Setting::Float(0.001)),
            ("True", true.into()),
            ("none", Setting::Null),
            ("same", "same".into()),
            ("3x5", list(&[3, 5])),
            ("(3, 5)", list(&[3, 5])),
            ("[1,]", list(&[1])),
            ("((1, 2), (3, 4))", Setting::List(vec![list(&[1, 2]), list(&[3, 4])])),
            ("elu(alpha = 2)", Config::new("elu").with("alpha", Setting::Int(2)).into()),
        ] {
            assert_eq!(value(text), Ok(expected), "{text}");
        }
        for text in ["", "3y", "1e999", "x(3)", "elu(class=3)", "=", "é", "3x", "(3", "a b"] {
            assert!(value(text).is_err(), "{text}: {:?}", value(text));
        }
    }
}

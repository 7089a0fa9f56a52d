//! Tensors as NumPy prints arrays: columns aligned, lines of 75 characters at most, the middle of long ones left out.

use std::fmt;

use super::{Shape, Tensor, Values};

/// NumPy's print options.
const DIGITS: usize = 8;
const LINE: usize = 75;
const THRESHOLD: usize = 1000;
const EDGE: usize = 3;
const GAP: &str = "...";

/// The places along an axis that are shown; `None` for the gap.
fn shown(extent: usize, summary: bool) -> Vec<Option<usize>> {
    if summary && extent > 2 * EDGE {
        return (0..EDGE).map(Some).chain([None]).chain((extent - EDGE..extent).map(Some)).collect();
    }
    (0..extent).map(Some).collect()
}

/// The places of all elements that are shown, in order.
fn shown_elements(shape: &Shape, summary: bool) -> Vec<usize> {
    shape.iter().fold(vec![0], |places, &extent| {
        let along = |place: usize| shown(extent, summary).into_iter().flatten().map(move |k| place * extent + k);
        places.into_iter().flat_map(along).collect()
    })
}

/// A float's digits: as few as tell it from its neighbours, at most [`DIGITS`] after the point.
fn digits(x: f64, single: bool, scientific: bool) -> String {
    let shortest = match (single, scientific) {
        (true, false) => format!("{}", x as f32),
        (true, true) => format!("{:e}", x as f32),
        (false, false) => format!("{x}"),
        (false, true) => format!("{x:e}"),
    };
    let fraction = |text: &str| text.split(['.', 'e']).nth(1).filter(|_| text.contains('.')).map_or(0, str::len);
    if fraction(&shortest) <= DIGITS {
        return shortest;
    }
    let cut = if scientific { format!("{x:.DIGITS$e}") } else { format!("{x:.DIGITS$}") };
    let (number, exponent) = cut.split_once('e').map_or((cut.as_str(), None), |(n, e)| (n, Some(e)));
    let number = number.trim_end_matches('0').trim_end_matches('.');
    exponent.map_or(number.into(), |exponent| format!("{number}e{exponent}"))
}

/// Whether NumPy shows the numbers with exponents.
fn is_scientific(numbers: &[f64]) -> bool {
    let sizes = || numbers.iter().map(|x| x.abs()).filter(|&x| x.is_finite() && x != 0.0);
    let (most, least) = (sizes().fold(0.0, f64::max), sizes().fold(f64::INFINITY, f64::min));
    most >= 1e8 || least < 1e-4 || (most > 0.0 && most / least > 1000.0)
}

/// A float's text on both sides of its point; with an exponent the right side has `fraction` digits before it.
fn sides(text: &str, fraction: usize) -> (String, String) {
    let (number, exponent) = text.split_once('e').map_or((text, None), |(n, e)| (n, Some(e)));
    let (left, right) = number.split_once('.').unwrap_or((number, ""));
    let right = match exponent.map(|e| e.parse::<i32>().unwrap_or(0)) {
        Some(e) => format!("{right:0<fraction$}e{}{:02}", if e < 0 { '-' } else { '+' }, e.abs()),
        None => right.into(),
    };
    (left.into(), right)
}

/// The numbers, each as wide as the widest, their points below each other.
fn floats(numbers: &[f64], single: bool) -> Vec<String> {
    let scientific = is_scientific(numbers);
    let texts: Vec<String> = numbers.iter().map(|&x| digits(x, single, scientific)).collect();
    let finite = |x: f64| x.is_finite();
    let pairs = || texts.iter().zip(numbers).filter(|(_, x)| finite(**x)).map(|(text, _)| text);
    let fraction = pairs().map(|text| sides(text, 0).1.split('e').next().map_or(0, str::len)).max().unwrap_or(0);
    let widest = |side: fn((String, String)) -> String| pairs().map(|t| side(sides(t, fraction)).len()).max();
    let (left, right) = (widest(|s| s.0).unwrap_or(0), widest(|s| s.1).unwrap_or(0));
    let point = usize::from(pairs().next().is_some());
    let other = |x: f64| {
        if x.is_nan() {
            "nan"
        } else if x > 0.0 {
            "inf"
        } else {
            "-inf"
        }
    };
    let others = numbers.iter().filter(|x| !x.is_finite()).map(|&x| other(x).len()).max().unwrap_or(0);
    let width = (left + point + right).max(others);
    let line = |(text, &x): (&String, &f64)| {
        let text = if finite(x) {
            let (before, after) = sides(text, fraction);
            format!("{before}.{after:<right$}")
        } else {
            other(x).into()
        };
        format!("{text:>width$}")
    };
    texts.iter().zip(numbers).map(line).collect()
}

fn words(values: &Values, places: &[usize]) -> Vec<String> {
    let numbers = values.to_f64();
    let numbers: Vec<f64> = places.iter().map(|&place| numbers[place]).collect();
    match values {
        Values::F32(_) => floats(&numbers, true),
        Values::F64(_) => floats(&numbers, false),
        Values::U32(_) | Values::U8(_) => {
            let width = numbers.iter().map(|x| x.to_string().len()).max().unwrap_or(0);
            numbers.iter().map(|x| format!("{x:>width$}")).collect()
        }
    }
}

/// The next words as nested brackets, each line but the first after `indent`.
fn nested(
    words: &mut impl Iterator<Item = String>,
    extents: &[usize],
    summary: bool,
    indent: usize,
    room: usize,
) -> String {
    let Some((&extent, inner)) = extents.split_first() else {
        return words.next().unwrap_or_default();
    };
    let mut next = |place: Option<usize>| match place {
        Some(_) => nested(words, inner, summary, indent + 1, room.saturating_sub(1)),
        None => GAP.into(),
    };
    let items: Vec<String> = shown(extent, summary).into_iter().map(&mut next).collect();
    let margin = " ".repeat(indent);
    if !inner.is_empty() {
        return format!("[{}]", items.join(&format!("{}{margin}", "\n".repeat(inner.len()))));
    }
    let (mut text, mut line) = (String::new(), indent);
    for (k, item) in items.iter().enumerate() {
        if k > 0 && line + 1 + item.len() > room.saturating_sub(1) {
            text.push_str(&format!("\n{margin}{item}"));
            line = indent + item.len();
        } else {
            let space = if k > 0 { " " } else { "" };
            text.push_str(&format!("{space}{item}"));
            line += space.len() + item.len();
        }
    }
    format!("[{text}]")
}

impl fmt::Display for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.values.is_empty() {
            return f.write_str("[]");
        }
        if self.shape.is_scalar() {
            return match &self.values {
                Values::F32(v) => write!(f, "{:?}", v[0]),
                Values::F64(v) => write!(f, "{:?}", v[0]),
                Values::U32(v) => write!(f, "{}", v[0]),
                Values::U8(v) => write!(f, "{}", v[0]),
            };
        }
        let summary = self.values.len() > THRESHOLD;
        let words = words(&self.values, &shown_elements(&self.shape, summary));
        f.write_str(&nested(&mut words.into_iter(), &self.shape, summary, 1, LINE))
    }
}

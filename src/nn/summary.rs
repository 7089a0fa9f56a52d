//! A model's table, as Keras prints it.

use std::collections::HashMap;
use std::fmt;

use super::Parameter;
use crate::io::printable;
use crate::tensor::Shape;

/// One layer of a [`Summary`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The layer's name.
    pub name: String,
    /// Its type.
    pub kind: &'static str,
    /// The shape of its output; the first axis, the batch's, is printed as `None`.
    pub output: Shape,
    /// Numbers that the layer computes with beside its input.
    pub parameters: usize,
    /// How many of them are not trained.
    pub non_trainable: usize,
}

/// A model's layers, shapes and counts; `Display` is Keras' table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// The model's name.
    pub model: String,
    /// Its layers.
    pub rows: Vec<Row>,
}

impl Summary {
    /// The parameters of all layers.
    pub fn parameters(&self) -> usize {
        self.rows.iter().map(|r| r.parameters).sum()
    }

    /// How many of them are not trained.
    pub fn non_trainable(&self) -> usize {
        self.rows.iter().map(|r| r.non_trainable).sum()
    }
}

/// The numbers that each layer has, by its name: all, and those that are not trained.
pub(super) fn counts(parameters: &[Parameter]) -> HashMap<&str, (usize, usize)> {
    let mut counts: HashMap<&str, (usize, usize)> = HashMap::new();
    for Parameter { layer, shape, trainable, .. } in parameters {
        let (all, non_trainable) = counts.entry(layer).or_default();
        *all += shape.len();
        *non_trainable += if *trainable { 0 } else { shape.len() };
    }
    counts
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = ["Layer (type)", "Output Shape", "Param #"].map(String::from);
        let rows = self.rows.iter().map(|r| {
            let shape = std::iter::once("None".to_string()).chain(r.output[1..].iter().map(usize::to_string));
            let shape = format!("({})", shape.collect::<Vec<_>>().join(", "));
            [format!("{} ({})", printable(&r.name), r.kind), shape, thousands(r.parameters)]
        });
        let rows: Vec<[String; 3]> = rows.collect();
        let least = [31, 22, 13];
        let width =
            |c: usize| rows.iter().chain([&head]).map(|r| r[c].chars().count()).max().unwrap_or(0).max(least[c]);
        let widths = [width(0), width(1), width(2)];
        let rule = |ends: [char; 4]| {
            let cells = widths.map(|w| ends[3].to_string().repeat(w + 2));
            format!("{}{}{}", ends[0], cells.join(&ends[1].to_string()), ends[2])
        };
        let line = |bar: char, r: &[String; 3]| {
            let [a, b, c] = widths;
            format!("{bar} {:<a$} {bar} {:<b$} {bar} {:>c$} {bar}", r[0], r[1], r[2])
        };
        writeln!(f, "Model: {:?}", self.model)?;
        writeln!(f, "{}", rule(['┏', '┳', '┓', '━']))?;
        writeln!(f, "{}", line('┃', &head))?;
        writeln!(f, "{}", rule(['┡', '╇', '┩', '━']))?;
        for (i, row) in rows.iter().enumerate() {
            if i > 0 {
                writeln!(f, "{}", rule(['├', '┼', '┤', '─']))?;
            }
            writeln!(f, "{}", line('│', row))?;
        }
        writeln!(f, "{}", rule(['└', '┴', '┘', '─']))?;
        let count = |n: usize| format!("{} ({})", thousands(n), bytes(4 * n));
        let (all, non_trainable) = (self.parameters(), self.non_trainable());
        writeln!(f, " Total params: {}", count(all))?;
        writeln!(f, " Trainable params: {}", count(all - non_trainable))?;
        writeln!(f, " Non-trainable params: {}", count(non_trainable))
    }
}

/// 401920 as 401,920.
fn thousands(n: usize) -> String {
    let digits = n.to_string();
    let mut grouped = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// 1628200 as 1.55 MB, in steps of 1024 as Keras counts.
fn bytes(n: usize) -> String {
    let units = ["B", "KB", "MB", "GB"];
    let step = (0..3).find(|&i| n < 1 << (10 * (i + 1))).unwrap_or(3);
    format!("{:.2} {}", n as f64 / (1u64 << (10 * step)) as f64, units[step])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_print_as_keras_prints_them() {
        assert_eq!((thousands(0), thousands(999), thousands(401_920)), ("0".into(), "999".into(), "401,920".into()));
        assert_eq!(
            (bytes(0), bytes(1_628_200), bytes(318_040)),
            ("0.00 B".into(), "1.55 MB".into(), "310.59 KB".into())
        );
    }
}

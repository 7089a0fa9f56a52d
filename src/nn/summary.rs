//! A model's table, as Keras prints it.

use std::collections::HashMap;
use std::fmt;

use super::Parameter;
use super::network::{Built, Network, Wire};
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
    /// What it is called on, a value each, as Keras has it: `dense[0][1]` is the second value of the first call of `dense`.
    pub connected_to: Vec<String>,
}

/// A model's layers, shapes and counts; `Display` is Keras' table. Where the layers are no chain, it says what each reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// The model's name.
    pub model: String,
    /// Its layers; those that take the inputs, too, where the layers are no chain.
    pub rows: Vec<Row>,
    /// Whether each layer reads the one before it alone.
    pub is_chain: bool,
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

/// The table of a network.
pub(crate) fn of(model: &str, network: &Network, built: &Built) -> Summary {
    let (counts, is_chain) = (counts(&built.parameters), network.is_chain());
    let mut rows = Vec::new();
    if !is_chain {
        rows.extend(network.inputs.iter().zip(&built.samples).map(|(input, sample)| Row {
            name: input.name.clone(),
            kind: "InputLayer",
            output: [&[1], &sample[..]].concat().into(),
            parameters: 0,
            non_trainable: 0,
            connected_to: Vec::new(),
        }));
    }
    let (mut row_of, mut times, mut nth) = (HashMap::new(), vec![0; network.layers.len()], Vec::new());
    for (call, shapes) in network.calls.iter().zip(&built.shapes) {
        nth.push(times[call.layer]);
        times[call.layer] += 1;
        let (name, layer) = &network.layers[call.layer];
        if layer.sample_shape().is_some() {
            continue;
        }
        let row = *row_of.entry(call.layer).or_insert_with(|| {
            let (parameters, non_trainable) = counts.get(name.as_str()).copied().unwrap_or_default();
            let (name, output, connected_to) = (name.clone(), shapes[0].clone(), Vec::new());
            rows.push(Row { name, kind: layer.kind(), output, parameters, non_trainable, connected_to });
            rows.len() - 1
        });
        let read = |wire: &Wire| match *wire {
            Wire::Input(input) => format!("{}[0][0]", network.inputs[input].name),
            Wire::Output { call, index } => {
                format!("{}[{}][{index}]", network.layers[network.calls[call].layer].0, nth[call])
            }
        };
        rows[row].connected_to.extend(call.reads.iter().map(read));
    }
    Summary { model: model.into(), rows, is_chain }
}

/// The numbers that each layer has, by its name: all, and those that are not trained.
fn counts(parameters: &[Parameter]) -> HashMap<&str, (usize, usize)> {
    let mut counts: HashMap<&str, (usize, usize)> = HashMap::new();
    for Parameter { layer, shape, trainable, .. } in parameters {
        let (all, non_trainable) = counts.entry(layer).or_default();
        *all += shape.len();
        *non_trainable += if *trainable { 0 } else { shape.len() };
    }
    counts
}

impl Summary {
    /// The table's lines, of which several may be of one layer: its cells in each.
    fn cells(&self) -> Vec<Vec<[String; 4]>> {
        let lines = |r: &Row| {
            let shape = std::iter::once("None".to_string()).chain(r.output[1..].iter().map(usize::to_string));
            let shape = format!("({})", shape.collect::<Vec<_>>().join(", "));
            let reads = if r.connected_to.is_empty() { vec!["-".to_string()] } else { r.connected_to.clone() };
            let first = [format!("{} ({})", printable(&r.name), r.kind), shape, thousands(r.parameters)];
            let mut cells = first.into_iter();
            let line = |read: &String| {
                let mut cell = || cells.next().unwrap_or_default();
                [cell(), cell(), cell(), printable(read).to_string()]
            };
            reads.iter().map(line).collect()
        };
        self.rows.iter().map(lines).collect()
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = ["Layer (type)", "Output Shape", "Param #", "Connected to"].map(String::from);
        let rows = self.cells();
        let columns = if self.is_chain { 3 } else { 4 };
        let least = [31, 22, 13, 18];
        let widths: Vec<usize> = (0..columns)
            .map(|c| {
                let cells = rows.iter().flatten().chain([&head]).map(|r| r[c].chars().count());
                cells.max().unwrap_or(0).max(least[c])
            })
            .collect();
        let rule = |ends: [char; 4]| {
            let cells: Vec<String> = widths.iter().map(|w| ends[3].to_string().repeat(w + 2)).collect();
            format!("{}{}{}", ends[0], cells.join(&ends[1].to_string()), ends[2])
        };
        let line = |bar: char, r: &[String; 4]| {
            let cell =
                |(c, &w): (usize, &usize)| if c == 2 { format!(" {:>w$} ", r[c]) } else { format!(" {:<w$} ", r[c]) };
            let cells: Vec<String> = widths.iter().enumerate().map(cell).collect();
            format!("{bar}{}{bar}", cells.join(&bar.to_string()))
        };
        writeln!(f, "Model: {:?}", self.model)?;
        writeln!(f, "{}", rule(['┏', '┳', '┓', '━']))?;
        writeln!(f, "{}", line('┃', &head))?;
        writeln!(f, "{}", rule(['┡', '╇', '┩', '━']))?;
        for (i, lines) in rows.iter().enumerate() {
            if i > 0 {
                writeln!(f, "{}", rule(['├', '┼', '┤', '─']))?;
            }
            lines.iter().try_for_each(|cells| writeln!(f, "{}", line('│', cells)))?;
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

//! A model's table, as Keras prints it.

use std::collections::HashMap;
use std::fmt;

use super::Parameter;
use super::layers::Layer;
use super::network::{Built, Call, Network, Wire, path_of};
use crate::io::printable;
use crate::tensor::Shape;

/// One layer of a [`Summary`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Row {
    /// The layer's name.
    pub name: String,
    /// Its type.
    pub kind: &'static str,
    /// The shapes of what it reads, at its first call; the first axis, the batch's, is printed as `None`.
    pub inputs: Vec<Shape>,
    /// The shapes of what it gives.
    pub outputs: Vec<Shape>,
    /// Numbers that the layer computes with beside its input.
    pub parameters: usize,
    /// How many of them are not trained.
    pub non_trainable: usize,
    /// What it is called on, a value each, as Keras has it: `dense[0][1]` is the second value of the first call of `dense`.
    pub connected_to: Vec<String>,
    /// The rows of the layers that these values come from, counted from 0, each once.
    pub sources: Vec<usize>,
    /// Of a model inside the model, its layers; those that take its inputs, too, where they are no chain.
    pub inner: Option<Vec<Row>>,
}

/// A model's layers, shapes and counts; `Display` is Keras' table. Where the layers are no chain, it says what each reads.
///
/// ```
/// use kiln::prelude::*;
/// let model = Sequential::new().add(Input::new([4])).add(Dense::new(3));
/// let summary = model.summary()?;
/// assert_eq!((summary.rows.len(), summary.parameters()), (1, 15));
/// println!("{summary}");
/// # Ok::<(), kiln::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// The model's name.
    pub model: String,
    /// Its layers; those that take the inputs, too, where the layers are no chain.
    pub rows: Vec<Row>,
    /// Whether each layer reads the one before it alone.
    pub is_chain: bool,
    expand_nested: bool,
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

    /// Whether the table has the layers of models inside the model, each below its model; default false.
    ///
    /// ```
    /// use kiln::prelude::*;
    /// let inner = Sequential::new().add(Dense::new(2)).named("inner");
    /// let model = Sequential::new().add(Input::new([3])).add(inner);
    /// assert!(model.summary()?.expand_nested(true).to_string().contains("└ dense (Dense)"));
    /// # Ok::<(), kiln::Error>(())
    /// ```
    #[must_use]
    pub fn expand_nested(mut self, expand_nested: bool) -> Self {
        self.expand_nested = expand_nested;
        self
    }
}

/// The table of a network.
pub(crate) fn of(model: &str, network: &Network, built: &Built) -> Summary {
    let (rows, is_chain) = (rows_of(network, built, true), network.is_chain());
    Summary { model: model.into(), rows, is_chain, expand_nested: false }
}

/// The layers of a network, which may be inside one that is not trained.
fn rows_of(network: &Network, built: &Built, trainable: bool) -> Vec<Row> {
    let (counts, is_chain) = (counts(&built.parameters), network.is_chain());
    let mut rows: Vec<Row> = Vec::new();
    if !is_chain {
        rows.extend(network.inputs.iter().zip(&built.samples).map(|(input, sample)| Row {
            name: input.name.clone(),
            kind: "InputLayer",
            inputs: Vec::new(),
            outputs: vec![batch_of(sample)],
            parameters: 0,
            non_trainable: 0,
            connected_to: Vec::new(),
            sources: Vec::new(),
            inner: None,
        }));
    }
    let (mut row_of, mut times, mut nth) = (HashMap::new(), vec![0; network.layers.len()], Vec::new());
    // The row of what each call gives: none of the input of a chain.
    let mut row_of_call: Vec<Option<usize>> = Vec::new();
    for (call, shapes) in network.calls.iter().zip(&built.shapes) {
        nth.push(times[call.layer]);
        times[call.layer] += 1;
        let (name, layer) = &network.layers[call.layer];
        if layer.sample_shape().is_some() {
            row_of_call.push(None);
            continue;
        }
        let row = *row_of.entry(call.layer).or_insert_with(|| {
            let inner = inner_row(&**layer, call, built, trainable && layer.is_trainable());
            let [parameters, non_trainable] = count(&counts, name, &**layer);
            rows.push(Row {
                name: name.clone(),
                kind: layer.kind(),
                inputs: call.reads.iter().map(|&wire| batch_of(&built.sample_of(wire))).collect(),
                outputs: shapes.clone(),
                parameters,
                non_trainable: if trainable { non_trainable } else { parameters },
                connected_to: Vec::new(),
                sources: Vec::new(),
                inner,
            });
            rows.len() - 1
        });
        row_of_call.push(Some(row));
        for &wire in &call.reads {
            let (read, source) = match wire {
                Wire::Input(input) => {
                    (format!("{}[0][0]", network.inputs[input].name), Some(input).filter(|_| !is_chain))
                }
                Wire::Output { call, index } => {
                    let name = &network.layers[network.calls[call].layer].0;
                    (format!("{name}[{}][{index}]", nth[call]), row_of_call[call])
                }
            };
            rows[row].connected_to.push(read);
            let known = &rows[row].sources;
            let new = source.filter(|source| !known.contains(source));
            rows[row].sources.extend(new);
        }
    }
    rows
}

/// The layers of a model that is a layer.
fn inner_row(layer: &dyn Layer, call: &Call, built: &Built, trainable: bool) -> Option<Vec<Row>> {
    let network = &layer.nested()?.network;
    let samples = call.reads.iter().map(|&wire| built.sample_of(wire)).collect();
    let built = network.build(samples).ok()?;
    Some(rows_of(network, &built, trainable))
}

fn batch_of(sample: &Shape) -> Shape {
    [&[1], &sample[..]].concat().into()
}

/// The numbers that a layer has, of a model all that its layers have: all, and those that are not trained.
fn count(counts: &HashMap<&str, [usize; 2]>, name: &str, layer: &dyn Layer) -> [usize; 2] {
    let of = |path: &str| counts.get(path).copied().unwrap_or_default();
    match layer.nested() {
        None => of(name),
        Some(nested) => {
            let leaves = nested.network.leaves().into_iter().map(|(path, _)| of(&path_of(name, &path)));
            leaves.fold([0, 0], |a, b| [a[0] + b[0], a[1] + b[1]])
        }
    }
}

/// The numbers that each layer has, by its path: all, and those that are not trained.
fn counts(parameters: &[Parameter]) -> HashMap<&str, [usize; 2]> {
    let mut counts: HashMap<&str, [usize; 2]> = HashMap::new();
    for Parameter { layer, shape, trainable, .. } in parameters {
        let [all, non_trainable] = counts.entry(layer).or_default();
        *all += shape.len();
        *non_trainable += if *trainable { 0 } else { shape.len() };
    }
    counts
}

/// (1, 28, 28) as (None, 28, 28).
pub(crate) fn shape_text(shape: &Shape) -> String {
    let extents = shape.iter().skip(1).map(usize::to_string);
    let extents: Vec<String> = std::iter::once("None".to_string()).chain(extents).collect();
    if let [only] = &extents[..] { format!("({only},)") } else { format!("({})", extents.join(", ")) }
}

/// Several as Keras has a list of them.
pub(crate) fn shapes_text(shapes: &[Shape]) -> String {
    let texts: Vec<String> = shapes.iter().map(shape_text).collect();
    if let [only] = &texts[..] { only.clone() } else { format!("[{}]", texts.join(", ")) }
}

impl Summary {
    /// The table's lines, of which several may be of one layer: its cells in each.
    fn cells(&self) -> Vec<Vec<[String; 4]>> {
        let mut cells = Vec::new();
        self.add_cells(&mut cells, &self.rows, 0);
        cells
    }

    fn add_cells(&self, cells: &mut Vec<Vec<[String; 4]>>, rows: &[Row], depth: usize) {
        let head = if depth == 0 { String::new() } else { format!("{}└ ", "   ".repeat(depth)) };
        for row in rows {
            let dash = ["-".to_string()];
            // A chain's table has no column for them.
            let reads = if self.is_chain || row.connected_to.is_empty() { &dash[..] } else { &row.connected_to };
            let name = format!("{head}{} ({})", printable(&row.name), row.kind);
            let mut first = [name, shapes_text(&row.outputs), thousands(row.parameters)].into_iter();
            let line = |read: &String| {
                let mut cell = || first.next().unwrap_or_default();
                [cell(), cell(), cell(), printable(read).to_string()]
            };
            cells.push(reads.iter().map(line).collect());
            if let Some(inner) = row.inner.as_ref().filter(|_| self.expand_nested) {
                self.add_cells(cells, inner, depth + 1);
            }
        }
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

//! The functional front: values that layers are applied to, <https://keras.io/guides/functional_api/>.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::layers::{Input, Layer};
use super::network::{Call, Network, Port, Wire, snake_case, traced_alone};
use crate::error::{Error, Result};
use crate::tensor::Shape;

/// What an [`Input`] stands for, or what a layer makes of other values: the edges of a network that is written down.
/// Clones are the same value.
///
/// ```
/// use kiln::prelude::*;
/// let pixels = Input::new([784]).named("pixels");
/// let hidden = Dense::new(64).activation(Activation::Relu).apply(&pixels)?;
/// let again = Dense::new(64).activation(Activation::Relu).apply(&hidden)?;
/// // A connection that skips a layer.
/// let sum = Add.apply([&hidden, &again])?;
/// let classes = Dense::new(10).activation(Activation::Softmax).apply(&sum)?;
/// assert_eq!(classes.shape().to_string(), "(10,)");
/// let model = Model::new(&pixels, &classes)?;
/// assert_eq!(model.summary()?.parameters(), 784 * 64 + 64 + 64 * 64 + 64 + 64 * 10 + 10);
/// # Ok::<(), kiln::Error>(())
/// ```
#[derive(Clone)]
pub struct Value {
    made: Arc<Made>,
    /// Which of what its maker gives.
    index: usize,
}

/// Where values come from.
struct Made {
    maker: Maker,
    /// The shape of a sample of each value.
    shapes: Vec<Shape>,
    /// Makers are numbered as the program makes them: each behind those that it reads.
    number: u64,
}

enum Maker {
    Input { name: Option<String> },
    Call { layer: Arc<dyn Layer>, reads: Vec<Value> },
}

impl Made {
    fn new(maker: Maker, shapes: Vec<Shape>) -> Arc<Self> {
        static MADE: AtomicU64 = AtomicU64::new(0);
        Arc::new(Self { maker, shapes, number: MADE.fetch_add(1, Ordering::Relaxed) })
    }
}

/// A long chain of values goes link by link: one that drops the next would need as much stack as it is long.
impl Drop for Made {
    fn drop(&mut self) {
        let reads_of = |made: &mut Self| match &mut made.maker {
            Maker::Call { reads, .. } => std::mem::take(reads),
            Maker::Input { .. } => Vec::new(),
        };
        let mut left = reads_of(self);
        while let Some(value) = left.pop() {
            if let Some(mut made) = Arc::into_inner(value.made) {
                left.append(&mut reads_of(&mut made));
            }
        }
    }
}

impl Value {
    /// That of an input.
    pub(super) fn of_input(name: Option<String>, shape: Shape) -> Self {
        Self { made: Made::new(Maker::Input { name }, vec![shape]), index: 0 }
    }

    /// The shape of a sample, without the batch's axis.
    pub fn shape(&self) -> &Shape {
        &self.made.shapes[self.index]
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match &self.made.maker {
            Maker::Input { .. } => "InputLayer",
            Maker::Call { layer, .. } => layer.kind(),
        };
        write!(f, "Value({kind} {})", self.shape())
    }
}

/// One value or several, as layers are applied to and models are made of: a [`Value`], an [`Input`], arrays and lists of
/// either, or both in a tuple.
#[derive(Clone, Debug)]
pub struct Values(Vec<Value>);

impl From<Value> for Values {
    fn from(value: Value) -> Self {
        Self(vec![value])
    }
}

impl From<&Value> for Values {
    fn from(value: &Value) -> Self {
        value.clone().into()
    }
}

impl From<Input> for Values {
    fn from(input: Input) -> Self {
        input.value().into()
    }
}

impl From<&Input> for Values {
    fn from(input: &Input) -> Self {
        input.value().into()
    }
}

impl<V: Into<Self>, const N: usize> From<[V; N]> for Values {
    fn from(values: [V; N]) -> Self {
        values.into_iter().collect()
    }
}

/// Clones of a slice's.
impl<V: Into<Self> + Clone> From<&[V]> for Values {
    fn from(values: &[V]) -> Self {
        values.iter().cloned().collect()
    }
}

impl<V: Into<Self>> From<Vec<V>> for Values {
    fn from(values: Vec<V>) -> Self {
        values.into_iter().collect()
    }
}

impl<A: Into<Self>, B: Into<Self>> From<(A, B)> for Values {
    fn from((a, b): (A, B)) -> Self {
        [a.into(), b.into()].into()
    }
}

impl<A: Into<Self>, B: Into<Self>, C: Into<Self>> From<(A, B, C)> for Values {
    fn from((a, b, c): (A, B, C)) -> Self {
        [a.into(), b.into(), c.into()].into()
    }
}

impl<V: Into<Values>> FromIterator<V> for Values {
    fn from_iter<I: IntoIterator<Item = V>>(values: I) -> Self {
        Self(values.into_iter().flat_map(|value| value.into().0).collect())
    }
}

/// A layer that is applied more than once, with the same weights each time.
///
/// ```
/// use kiln::prelude::*;
/// let (left, right) = (Input::new([8]), Input::new([8]));
/// let code = Dense::new(3).shared();
/// let distance = Subtract.apply([code.apply(&left)?, code.apply(&right)?])?;
/// let model = Model::new([&left, &right], distance)?;
/// assert_eq!(model.summary()?.parameters(), 8 * 3 + 3);
/// # Ok::<(), kiln::Error>(())
/// ```
#[derive(Debug)]
pub struct Shared(Arc<dyn Layer>);

impl Shared {
    pub(crate) fn new(layer: Arc<dyn Layer>) -> Self {
        Self(layer)
    }

    /// See [`Layer::apply`].
    ///
    /// # Errors
    /// As [`Layer::apply`].
    pub fn apply(&self, inputs: impl Into<Values>) -> Result<Value> {
        let mut values = self.apply_all(inputs)?;
        match (values.pop(), values.len()) {
            (Some(value), 0) => Ok(value),
            (_, more) => {
                let message = format!("gives {} values; take them by apply_all", more + 1);
                Err(Error::shape(format!("layer {:?}", self.name()), message))
            }
        }
    }

    /// See [`Layer::apply_all`].
    ///
    /// # Errors
    /// As [`Layer::apply`].
    pub fn apply_all(&self, inputs: impl Into<Values>) -> Result<Vec<Value>> {
        let Values(reads) = inputs.into();
        let shapes: Vec<&Shape> = reads.iter().map(Value::shape).collect();
        let shapes = traced_alone(&*self.0, &self.name(), &shapes)?;
        let count = shapes.len();
        let made = Made::new(Maker::Call { layer: Arc::clone(&self.0), reads }, shapes);
        Ok((0..count).map(|index| Value { made: Arc::clone(&made), index }).collect())
    }

    /// The layer's name, or the one that it has if no other is of its type.
    fn name(&self) -> String {
        self.0.name().map_or_else(|| snake_case(self.0.kind()), String::from)
    }
}

impl Network {
    /// The network from some inputs to some values that layers made of them.
    ///
    /// # Errors
    /// As [`crate::nn::Model::new`].
    pub(crate) fn between(Values(inputs): Values, Values(outputs): Values) -> Result<Self> {
        let refused = |message: String| Err(Error::Model { model: "model \"functional\"".into(), message });
        if let Some(other) = inputs.iter().find(|value| !matches!(value.made.maker, Maker::Input { .. })) {
            return refused(format!("the input {other:?} is what a layer gives; give an Input"));
        }
        let mut seen = HashSet::new();
        if !inputs.iter().all(|input| seen.insert(input.made.number)) {
            return refused(
                "an input is given twice; give it once, and apply layers to it as often as you like".into(),
            );
        }
        if outputs.is_empty() || inputs.is_empty() {
            return refused("a model has one input or more, and one output or more".into());
        }
        let made = needed(&outputs);
        let mut network = Network { first_place: inputs.len(), ..Network::default() };
        let mut wires: HashMap<u64, Vec<Wire>> = HashMap::new();
        for (i, Value { made: input, .. }) in inputs.iter().enumerate() {
            let Maker::Input { name } = &input.maker else { unreachable!("checked above") };
            let name = network.names.of(name.as_deref(), "InputLayer");
            network.inputs.push(Port { name, shape: Some(input.shapes[0].clone()) });
            wires.insert(input.number, vec![Wire::Input(i)]);
        }
        let mut layers: HashMap<*const (), usize> = HashMap::new();
        for made in &made {
            let Maker::Call { layer, reads } = &made.maker else {
                if wires.contains_key(&made.number) {
                    continue;
                }
                return refused("an output needs an Input that is not among the model's inputs; give it, too".into());
            };
            let reads = reads.iter().map(|read| wires[&read.made.number][read.index]).collect();
            let known = layers.len();
            let index = *layers.entry(Arc::as_ptr(layer).cast()).or_insert(known);
            if index == known {
                let name = network.names.of(layer.name(), layer.kind());
                network.layers.push((name, Arc::clone(layer)));
            }
            network.calls.push(Call { layer: index, reads });
            let call = network.calls.len() - 1;
            wires.insert(made.number, (0..made.shapes.len()).map(|index| Wire::Output { call, index }).collect());
        }
        let read: HashSet<u64> = made.iter().map(|made| made.number).collect();
        if let Some(unread) = inputs.iter().position(|input| !read.contains(&input.made.number)) {
            let name = &network.inputs[unread].name;
            return refused(format!("no output needs the input {name:?}; leave it out"));
        }
        network.outputs = outputs.iter().map(|value| wires[&value.made.number][value.index]).collect();
        network.sort_by_depth();
        Ok(network)
    }
}

/// What values need, themselves included, in the order in which it was made.
fn needed(outputs: &[Value]) -> Vec<&Made> {
    let (mut seen, mut needed) = (HashSet::new(), Vec::new());
    let mut left: Vec<&Value> = outputs.iter().collect();
    while let Some(value) = left.pop() {
        let made = &*value.made;
        if seen.insert(made.number) {
            needed.push(made);
            if let Maker::Call { reads, .. } = &made.maker {
                left.extend(reads);
            }
        }
    }
    needed.sort_unstable_by_key(|made| made.number);
    needed
}

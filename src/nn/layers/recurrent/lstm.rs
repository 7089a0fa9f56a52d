//! Long short-term memory, <https://keras.io/api/layers/recurrent_layers/lstm/>.

use super::{
    Activation, Config, Constraint, Id, Initializer, IntoRecurrent, KerasObject, Kind, Layer, OrName, Recurrent,
    Regularizer, Result, Scope, gates, recurrent_layer, weight_setters,
};

/// (i, f, g, o) = x\[t\] kernel + h[t - 1] recurrent_kernel + bias; c\[t\] = s(f) c[t - 1] + s(i) tanh(g); h\[t\] = s(o) tanh(c\[t\]), with s the
/// recurrent activation: from (batch, steps, features) to (batch, units), h behind the last step. It may be called on a first h and c, each
/// (batch, units), as well, behind x. Hochreiter and Schmidhuber, 1997.
///
/// The kernel (features, 4 units) starts Glorot-uniform, the recurrent kernel (units, 4 units) orthogonal, the bias (4 units,) at zero and at
/// one for the forget gate, unless told otherwise.
///
/// ```
/// use kiln::prelude::*;
/// let model = Sequential::new()
///     .add(Input::new([28, 28]))
///     .add(Lstm::new(64).return_sequences(true))
///     .add(Lstm::new(32).dropout(0.2))
///     .add(Dense::new(10).activation("softmax"));
/// let rows = model.summary()?.rows;
/// assert_eq!(rows[0].outputs[0][1..], [28, 64]);
/// assert_eq!(rows[1].parameters, 4 * (64 * 32 + 32 * 32 + 32));
/// # Ok::<(), kiln::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Lstm {
    pub(super) inner: Recurrent,
}

impl Lstm {
    /// A layer of this many units.
    pub fn new(units: usize) -> Self {
        Self { inner: Recurrent::new(Kind::Lstm { unit_forget_bias: true }, units) }
    }

    /// Whether the forget gate's bias starts at one, whatever the others start from; default true: Jozefowicz and others, 2015.
    #[must_use]
    pub fn unit_forget_bias(mut self, unit_forget_bias: bool) -> Self {
        self.inner.kind = Kind::Lstm { unit_forget_bias };
        self
    }
}

recurrent_layer!(Lstm, "LSTM");
gates!(Lstm);

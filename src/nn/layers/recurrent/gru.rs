//! The gated recurrent unit, <https://keras.io/api/layers/recurrent_layers/gru/>.

use super::{
    Activation, Config, Constraint, Id, Initializer, IntoRecurrent, KerasObject, Kind, Layer, OrName, Recurrent,
    Regularizer, Result, Scope, gates, recurrent_layer, weight_setters,
};

/// (z, r) = s(x\[t\] kernel + h[t - 1] recurrent_kernel + bias) of the first two thirds, g = tanh(x\[t\] kernel + r (h[t - 1] recurrent_kernel +
/// bias)) of the last, h\[t\] = z h[t - 1] + (1 - z) g, with s the recurrent activation: from (batch, steps, features) to (batch, units), h
/// behind the last step. It may be called on a first state (batch, units) as well, behind x. Cho and others, 2014.
///
/// The kernel (features, 3 units) starts Glorot-uniform, the recurrent kernel (units, 3 units) orthogonal, the bias (2, 3 units), one of
/// the kernel's product and one of the recurrent kernel's, at zero, unless told otherwise.
///
/// ```
/// use kiln::prelude::*;
/// let model = Sequential::new().add(Input::new([10, 4])).add(Gru::new(8)).add(Dense::new(1));
/// assert_eq!(model.summary()?.rows[0].parameters, 3 * (4 * 8 + 8 * 8 + 2 * 8));
/// # Ok::<(), kiln::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Gru {
    pub(super) inner: Recurrent,
}

impl Gru {
    /// A layer of this many units.
    pub fn new(units: usize) -> Self {
        Self { inner: Recurrent::new(Kind::Gru { reset_after: true }, units) }
    }

    /// Whether the reset gate is applied behind the product with the recurrent kernel; default true. Without it h is multiplied by the
    /// gate before the product, as in the paper, and there is one bias (3 units,).
    #[must_use]
    pub fn reset_after(mut self, reset_after: bool) -> Self {
        self.inner.kind = Kind::Gru { reset_after };
        self
    }
}

recurrent_layer!(Gru, "GRU");
gates!(Gru);

//! The plain recurrent layer, <https://keras.io/api/layers/recurrent_layers/simple_rnn/>.

use super::{
    Activation, Config, Constraint, Id, Initializer, IntoRecurrent, KerasObject, Kind, Layer, OrName, Recurrent,
    Regularizer, Result, Scope, recurrent_layer, weight_setters,
};

/// h\[t\] = activation(x\[t\] kernel + h[t - 1] recurrent_kernel + bias): from (batch, steps, features) to (batch, units), h behind the last
/// step. It may be called on a first state (batch, units) as well, behind x.
///
/// The kernel (features, units) starts Glorot-uniform, the recurrent kernel (units, units) orthogonal, the bias (units,) at zero, unless told
/// otherwise.
///
/// ```
/// use kiln::prelude::*;
/// let model = Sequential::new().add(Input::new([50, 1])).add(SimpleRnn::new(20)).add(Dense::new(1));
/// assert_eq!(model.summary()?.rows[0].parameters, 20 + 20 * 20 + 20);
/// # Ok::<(), kiln::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct SimpleRnn {
    pub(super) inner: Recurrent,
}

impl SimpleRnn {
    /// A layer of this many units.
    pub fn new(units: usize) -> Self {
        Self { inner: Recurrent::new(Kind::Simple, units) }
    }
}

recurrent_layer!(SimpleRnn, "SimpleRNN");

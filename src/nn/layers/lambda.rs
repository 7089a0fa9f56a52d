//! A closure as a layer, <https://keras.io/api/layers/core_layers/lambda/>.

use std::fmt;
use std::sync::Arc;

use super::Layer;
use crate::error::Result;
use crate::graph::Id;
use crate::nn::Scope;

/// What a closure does with a layer's inputs.
type Call = dyn Fn(&mut Scope<'_>, &[Id]) -> Result<Vec<Id>> + Send + Sync;

/// A layer that is a closure. The summary shows it; a file cannot keep it, and refuses a model that has one by its name: a
/// [`Layer`] of your own, which a file knows by its class, is kept.
///
/// ```
/// use kiln::nn::layers::Lambda;
/// use kiln::ops::unary::Unary;
/// use kiln::prelude::*;
/// let square = Lambda::new(|scope, x| Ok(vec![scope.graph.apply(Unary::Square, x)?]));
/// let mut model = Sequential::new().add(square.named("square")).device(Device::cpu());
/// assert_eq!(model.predict(&Tensor::from([[3.0f32]]))?, Tensor::from([[9.0f32]]));
/// assert!(model.save("squared.safetensors").unwrap_err().to_string().contains("layer \"square\""));
/// # Ok::<(), kiln::Error>(())
/// ```
#[derive(Clone)]
pub struct Lambda {
    call: Arc<Call>,
}

impl Lambda {
    /// The layer of a closure, which is [`Layer::call`].
    pub fn new(call: impl Fn(&mut Scope<'_>, &[Id]) -> Result<Vec<Id>> + Send + Sync + 'static) -> Self {
        Self { call: Arc::new(call) }
    }
}

impl fmt::Debug for Lambda {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lambda")
    }
}

impl Layer for Lambda {
    fn kind(&self) -> &'static str {
        "Lambda"
    }

    fn call(&self, scope: &mut Scope<'_>, inputs: &[Id]) -> Result<Vec<Id>> {
        (self.call)(scope, inputs)
    }

    fn is_saved(&self) -> bool {
        false
    }
}

//! Sequences both ways, <https://keras.io/api/layers/recurrent_layers/bidirectional/>.

use super::{
    CELL, Config, Id, IntoRecurrent, KerasObject, Layer, Recurrent, Result, Scope, Setting, is_kept, with_states,
};
use crate::config::named;
use crate::graph::Graph;
use crate::nn::layers::by_name;
use crate::nn::network::snake_case;
use crate::nn::{Misnamed, OrName};
use crate::ops::binary::Binary;
use crate::ops::concat::Concat;

/// What becomes of what the two ways give.
///
/// ```
/// use kiln::nn::layers::MergeMode;
/// use kiln::prelude::*;
/// let y = Bidirectional::new(Lstm::new(8)).merge_mode(MergeMode::Sum).apply(Input::new([5, 3]))?;
/// assert_eq!(y.shape().to_string(), "(8,)");
/// # Ok::<(), kiln::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum MergeMode {
    /// Side by side: twice as many units.
    #[default]
    Concat,
    /// Their sum.
    Sum,
    /// Their product, element by element.
    Mul,
    /// Their mean.
    Ave,
    /// Two values.
    Separate,
}

named!(MergeMode: "concat" = Concat, "sum" = Sum, "mul" = Mul, "ave" = Ave, "none" = Separate);
by_name!(MergeMode: "merge_mode");

/// A recurrent layer that goes through sequences forwards, and one with weights of its own that goes backwards: from (batch, steps,
/// features) to (batch, 2 units), the states that the two end with, or (batch, steps, 2 units) of a layer with `return_sequences`. It may be
/// called on first states as well, behind x: those of the way forwards, then those of the way back. Steps that a mask passes over are
/// zeros in what it gives of all steps.
///
/// ```
/// use kiln::prelude::*;
/// let both = Bidirectional::new(Lstm::new(16).return_sequences(true));
/// let model = Sequential::new().add(Input::new([20, 3])).add(both).add(Dense::new(5));
/// assert_eq!(model.parameter_paths()?[3], "bidirectional/backward_layer/kernel");
/// assert_eq!(model.output_shape()?[..], [20, 5]);
/// # Ok::<(), kiln::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Bidirectional {
    forward: Recurrent,
    backward: Recurrent,
    merge_mode: MergeMode,
    misnamed: Misnamed,
}

const WAYS: [&str; 2] = ["forward_layer/", "backward_layer/"];

impl Bidirectional {
    /// A layer both ways, what they give side by side.
    pub fn new(layer: impl IntoRecurrent) -> Self {
        let forward = layer.into_recurrent();
        let backward = Recurrent { go_backwards: true, ..forward.clone() };
        Self { forward, backward, merge_mode: MergeMode::Concat, misnamed: Misnamed::default() }
    }

    /// Sets what becomes of what the two ways give: `"concat"`, the default, `"sum"`, `"mul"`, `"ave"`, or `"none"`, which leaves them two
    /// values.
    #[must_use]
    pub fn merge_mode(mut self, merge_mode: impl OrName<MergeMode>) -> Self {
        self.misnamed.set(&mut self.merge_mode, merge_mode);
        self
    }

    /// Sets the layer of the way back, which has `go_backwards` set; unless told otherwise it is that of the way forwards.
    #[must_use]
    pub fn backward_layer(mut self, layer: impl IntoRecurrent) -> Self {
        self.backward = layer.into_recurrent();
        self
    }

    pub(super) fn from_config(config: &mut Config) -> Result<Self> {
        let way = |mut inner: Config| {
            let recurrent = Recurrent::from_config(&mut inner)?;
            inner.end().map(|()| recurrent)
        };
        let forward = way(config.take("layer")?)?;
        let backward = match config.take_or("backward_layer", None)? {
            Some(backward) => way(backward)?,
            None => Recurrent { go_backwards: true, ..forward.clone() },
        };
        let merge_mode = config.take_or("merge_mode", MergeMode::Concat)?;
        Ok(Self { forward, backward, merge_mode, misnamed: Misnamed::default() })
    }

    /// Both ways, as Keras has them: what a mask passes over is zeros where all steps are given.
    fn ways(&self) -> [Recurrent; 2] {
        let way = |layer: &Recurrent| Recurrent { zero_output_for_mask: layer.return_sequences, ..layer.clone() };
        [way(&self.forward), way(&self.backward)]
    }

    /// That the two go together.
    fn check(&self, scope: &Scope<'_>) -> Result<()> {
        self.misnamed.check_in(scope)?;
        let Self { forward, backward, .. } = self;
        if forward.go_backwards || !backward.go_backwards {
            return Err(scope.error("goes forwards and backwards: set go_backwards of the backward_layer alone"));
        }
        let common = |layer: &Recurrent| (layer.return_sequences, layer.return_state, layer.stateful);
        if common(forward) != common(backward) {
            let message = "its two layers differ in return_sequences, return_state or stateful; give both the same";
            return Err(scope.error(message));
        }
        if forward.cell().states() != backward.cell().states() {
            return Err(scope.error("its two layers have states of two kinds; give both the same type"));
        }
        Ok(())
    }

    fn merged(&self, graph: &mut Graph, ways: [Id; 2]) -> Result<Vec<Id>> {
        let axis = graph.shape(ways[0]).rank() - 1;
        Ok(vec![match self.merge_mode {
            MergeMode::Separate => return Ok(ways.to_vec()),
            MergeMode::Concat => graph.apply(Concat(axis), &ways)?,
            MergeMode::Sum => graph.apply(Binary::Add, &ways)?,
            MergeMode::Mul => graph.apply(Binary::Mul, &ways)?,
            MergeMode::Ave => {
                let (sum, half) = (graph.apply(Binary::Add, &ways)?, graph.fill(0.5, []));
                graph.apply(Binary::Mul, &[sum, half])?
            }
        }])
    }
}

impl Layer for Bidirectional {
    fn kind(&self) -> &'static str {
        "Bidirectional"
    }

    fn call(&self, scope: &mut Scope<'_>, inputs: &[Id]) -> Result<Vec<Id>> {
        self.check(scope)?;
        let [forward, backward] = self.ways();
        let (x, first) = forward.expect(scope, inputs, 2)?;
        let (of_forward, of_backward) = first.split_at(first.len() / 2);
        let one = forward.walk(scope, WAYS[0], x, of_forward, false)?;
        let other = backward.walk(scope, WAYS[1], x, of_backward, true)?;
        // What the way back gives of a step stands at that step.
        let ways = if forward.return_sequences { [one.sequence, other.sequence] } else { [one.last, other.last] };
        let mut outputs = self.merged(scope.graph, ways)?;
        if let Some(mask) = one.mask.filter(|_| forward.return_sequences) {
            outputs.iter().try_for_each(|&y| scope.set_mask(y, mask))?;
        }
        if forward.return_state {
            outputs.extend(one.states.into_iter().chain(other.states));
        }
        Ok(outputs)
    }

    fn config(&self) -> Config {
        Config::new(self.kind())
            .with("layer", self.forward.config())
            .with("backward_layer", self.backward.config())
            .with("merge_mode", self.merge_mode)
    }

    fn keras(&self, name: &str) -> Result<KerasObject> {
        let [forward, backward] = self.ways();
        let named = |way: &str, layer: &Recurrent| layer.keras(&format!("{way}_{}", snake_case(layer.class())));
        let merge_mode = match self.merge_mode {
            MergeMode::Separate => Setting::Null,
            other => other.into(),
        };
        Ok(KerasObject::layer(self.kind(), name)
            .with("merge_mode", merge_mode)
            .with("layer", named("forward", &forward)?)
            .with("backward_layer", named("backward", &backward)?))
    }

    fn keras_weight(&self, name: &str) -> String {
        let inner = |way: &str, layer: &Recurrent, name: &str| {
            format!("{way}_{}/{}/{name}", snake_case(layer.class()), layer.cell_name())
        };
        match name.split_once('/') {
            Some(("forward_layer", name)) => inner("forward", &self.forward, name),
            Some((_, name)) => inner("backward", &self.backward, name),
            None => name.into(),
        }
    }

    fn keras_call(&self, values: Vec<Setting>) -> crate::nn::keras::Arguments {
        with_states(values)
    }

    fn keras_group(&self, name: &str) -> String {
        let (way, name) = name.split_once('/').unwrap_or(("", name));
        if is_kept(name) { way.into() } else { format!("{way}/{CELL}") }
    }
}

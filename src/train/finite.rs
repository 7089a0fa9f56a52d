//! What [`Fit::check_finite`](super::Fit::check_finite) does when a number is lost: it runs the step once more, op by op.

use std::collections::HashMap;

use super::rows::Rows;
use super::session::Session;
use super::trace::{Definition, Key, Mode, Part};
use crate::error::{Error, Result};
use crate::graph::{Id, Leaf, Node, Phase};
use crate::tensor::DType;

/// When [`Model::fit`](crate::nn::Model::fit) looks whether the numbers are still finite.
///
/// ```
/// use kiln::prelude::*;
/// let x = Tensor::from([[1e30f32]]);
/// let mut model = Sequential::new().add(Dense::new(1)).device(Device::cpu());
/// model.compile("sgd", "mse", [])?;
/// let fit = Fit::new().check_finite(CheckFinite::Step).verbose(0);
/// let error = model.fit(&Dataset::new(x.clone(), x)?, fit).unwrap_err();
/// assert!(error.to_string().contains("step 1"), "{error}");
/// # Ok::<(), kiln::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CheckFinite {
    /// After each epoch, at the losses of all its steps: costs nothing. The step is known, but the weights that it began
    /// with are gone, so that the layer and the op often are not.
    #[default]
    Epoch,
    /// After each step, at its loss and its gradients, before they change the weights: slow, since the device waits for the
    /// host. The run stops at that very step with the weights that it began with, and names the layer and the op. It
    /// trains to the same bits as without.
    Step,
    /// Never: the run goes on with NaN.
    Off,
}

/// The names that [`CheckFinite::by_name`] knows.
const NAMES: [(&str, CheckFinite); 3] =
    [("epoch", CheckFinite::Epoch), ("step", CheckFinite::Step), ("off", CheckFinite::Off)];

impl CheckFinite {
    /// The setting of this name: `epoch`, `step` or `off`.
    ///
    /// # Errors
    /// [`Error::Argument`] that lists the names.
    pub fn by_name(name: &str) -> Result<Self> {
        let found = NAMES.iter().find(|(known, _)| *known == name).map(|&(_, when)| when);
        let unknown = || Error::argument("check_finite", crate::suggest::unknown(name, &NAMES.map(|(known, _)| known)));
        found.ok_or_else(unknown)
    }
}

const FIND_OUT: &str = "the same run with check_finite at every step (--check-finite step) names the layer and the op";

/// What made the numbers of a step not finite, as a clause. The clock stands at the step; `intact` says whether the
/// weights are those that it began with, or those of the epoch's end.
pub(super) async fn origin(
    session: &mut Session,
    model: &Definition<'_>,
    (rows, batch): (&Rows<'_>, usize),
    intact: bool,
) -> String {
    // Without an update: what is clipped there are gradients of other steps, too.
    let key = &rows.key(Mode::Train, Part::All, batch, false);
    let told = async {
        let weights: Vec<Vec<f64>> = session.weights().await?.iter().map(|w| w.values().to_f64()).collect();
        if let Some(lost) = lost_weights(session, &weights) {
            return Ok(match intact {
                true => format!("{lost} before the step: the update before it, or who set the weights, made it so"),
                false => format!("{lost} at the epoch's end; {FIND_OUT}"),
            });
        }
        let found = first_lost(session, model, key, &weights).await?;
        Ok::<_, Error>(match (intact, found) {
            (true, Some(found)) => found,
            (true, None) => "once more and op by op, the step gives finite numbers".into(),
            (false, Some(found)) => format!("with the weights of the epoch's end, {found}; {FIND_OUT}"),
            (false, None) => format!("with the weights of the epoch's end, all is finite; {FIND_OUT}"),
        })
    };
    told.await.unwrap_or_else(|e| format!("why is not known, for the step did not run once more: {e}"))
}

/// Which weights are not finite: `dense/kernel holds NaN`.
fn lost_weights(session: &Session, weights: &[Vec<f64>]) -> Option<String> {
    const MOST_NAMED: usize = 4;
    let values = weights.iter().map(|w| w.iter().copied().find(|v| !v.is_finite()));
    let lost: Vec<(String, f64)> = session.paths().zip(values).filter_map(|(path, v)| Some((path, v?))).collect();
    let (_, value) = *lost.first()?;
    let names: Vec<&str> = lost.iter().take(MOST_NAMED).map(|(path, _)| path.as_str()).collect();
    let more = lost.len() - names.len();
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    Some(format!("{}{more} {} {value}", names.join(", "), if lost.len() == 1 { "holds" } else { "hold" }))
}

/// Runs a step's layers, loss and gradients with every value kept, and says which op was the first to make one that is not
/// finite, and of what.
async fn first_lost(
    session: &mut Session,
    model: &Definition<'_>,
    key: &Key,
    weights: &[Vec<f64>],
) -> Result<Option<String>> {
    let step = session.trace(model, key)?;
    let nodes: Vec<Node> = step.needed().into_iter().filter(|n| !n.effect).cloned().collect();
    let mut graph = step.without_effects();
    let made = nodes.iter().flat_map(|n| &n.outputs).copied();
    let made: Vec<Id> = made.filter(|&y| graph.ty(y).dtype == DType::F32).collect();
    for (i, &y) in made.iter().enumerate() {
        graph.output(i, y)?;
    }
    let lens: Vec<usize> = made.iter().map(|&y| graph.shape(y).len()).collect();
    let values = session.run_once(&graph, &lens).await?;
    let made: HashMap<Id, &Vec<f64>> = made.into_iter().zip(&values).collect();
    let of = |id: Id| match graph.leaf_of(id) {
        Some(&Leaf::Param(i)) => Some(&weights[i]),
        _ => made.get(&id).copied(),
    };
    for node in &nodes {
        for &y in &node.outputs {
            let Some(at) = of(y).and_then(|values| values.iter().position(|v| !v.is_finite())) else { continue };
            let given = node.inputs.iter().filter_map(|&x| of(x)).flatten();
            let range = given.fold(None, |range, &v| {
                let (low, high) = range.unwrap_or((v, v));
                Some((v.min(low), v.max(high)))
            });
            let from =
                range.map_or(String::new(), |(low, high)| format!(", from numbers between {low:.2e} and {high:.2e}"));
            let (place, ty) = (place(node, model), graph.ty(y));
            let (value, at, name) = (of(y).expect("it was just read")[at], ty.shape.position(at), node.op.name());
            return Ok(Some(format!("{place}: {name} gives {value} at {at} of {}{from}", ty.shape)));
        }
    }
    Ok(None)
}

/// Where in a step a node belongs.
fn place(node: &Node, model: &Definition<'_>) -> String {
    let layer = match &*node.layer {
        "" => "the batch".to_string(),
        name if model.network.layer(name).is_some() => format!("layer {name:?}"),
        other => format!("the {other}"),
    };
    if node.phase == Phase::Backward { format!("{layer}, backward") } else { layer }
}

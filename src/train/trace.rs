//! From layers to the graph of one step: batch, layers, loss, gradients, update.

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::graph::{Graph, Id, Leaf, Phase, Type};
use crate::nn::layers::Layer;
use crate::nn::optimizer::{Optimizer, SCALARS};
use crate::nn::{About, Known, Loss, Metric, Parameter, Scope};
use crate::ops::accumulate::Accumulate;
use crate::ops::binary::Binary;
use crate::ops::clock::{Advance, WORDS};
use crate::ops::copy::Copy;
use crate::ops::gather::Gather;
use crate::ops::predictions::Keep;
use crate::ops::record::Record;
use crate::ops::sum::Sum;
use crate::plan::{Arena, SEGMENT_ALIGNMENT};
use crate::tensor::{DType, Shape};

/// What a step is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Mode {
    Train,
    Evaluate,
    Predict,
}

/// Which phases of a step are run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Part {
    All,
    BeforeUpdate,
    Update,
}

/// A resident data set, as a plan needs to know it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Source {
    /// The index of [`Leaf::Data`] that holds the samples; the targets are in the next, the weights in the one after.
    pub column: usize,
    /// The samples' type, all rows.
    pub x: Type,
    /// The targets' type, all rows.
    pub y: Type,
    /// Whether each row has a weight.
    pub weighted: bool,
    /// What samples are multiplied by, in bits.
    pub scale: u64,
}

impl Source {
    /// The weights' type, all rows.
    pub fn weight_type(&self) -> Type {
        Type::float([self.x.shape[0]])
    }
}

/// Everything that one plan differs from another by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub mode: Mode,
    pub part: Part,
    pub source: Source,
    /// Rows a step.
    pub batch: usize,
    /// Rows that a run of steps takes.
    pub rows: usize,
    /// Steps of a run.
    pub steps: usize,
    /// Whether the step ends with an update, where gradients are accumulated; elsewhere each does.
    pub updates: bool,
}

/// A model as a step needs it.
pub(crate) struct Model<'a> {
    pub about: &'a About,
    /// The shape of one sample.
    pub sample: &'a Shape,
    pub layers: &'a [(String, Box<dyn Layer>)],
    pub loss: Option<Loss>,
    pub metrics: &'a [Metric],
    /// The shape of the last layer's output for one sample.
    pub output: &'a [usize],
    pub optimizer: Option<&'a dyn Optimizer>,
}

impl Model<'_> {
    /// Columns of the log: the loss, then what the metrics need.
    pub fn log_width(&self) -> usize {
        1 + self.metrics.iter().map(|metric| metric.width(self.output)).sum::<usize>()
    }
}

/// Applies all layers to a batch and returns the output of each; with the clock where the model is trained.
pub(crate) fn forward(
    layers: &[(String, Box<dyn Layer>)],
    graph: &mut Graph,
    mut parameters: Known<'_>,
    x: Id,
    clock: Option<Id>,
) -> Result<Vec<Id>> {
    let batch = graph.shape(x).first().copied();
    let mut outputs = Vec::new();
    let mut x = x;
    let mut known: HashMap<String, Vec<usize>> = HashMap::new();
    for (i, parameter) in parameters.all().iter().enumerate() {
        known.entry(parameter.layer.clone()).or_default().push(i);
    }
    for (index, (name, layer)) in layers.iter().enumerate() {
        graph.set_layer(name);
        let (trainable, own, draws) = (layer.is_trainable(), known.remove(name).unwrap_or_default(), Cell::new(0));
        let parameters = parameters.lent();
        let mut scope = Scope { graph, parameters, own, layer: name, index, draws, clock, trainable };
        x = layer.call(&mut scope, x)?;
        graph.check("the layer's output", &[x])?;
        let ty = graph.ty(x);
        if ty.shape.first().copied() != batch || ty.dtype != DType::F32 {
            let rows = batch.unwrap_or(0);
            let message =
                format!("gives {ty} for a batch of {rows}; expected f32 with the samples' axis first, ({rows}, ...)");
            return Err(Error::shape(format!("layer {name:?}"), message));
        }
        outputs.push(x);
    }
    graph.set_layer("");
    Ok(outputs)
}

/// The graph of one step, as its layers write it.
pub(crate) fn step(model: &Model<'_>, parameters: &mut [Parameter], key: &Key) -> Result<Graph> {
    let mut g = Graph::new();
    let clock = g.leaf(Leaf::Clock, Type::u32([WORDS]));
    let order = g.leaf(Leaf::Order, Type::u32([key.rows]));
    let source = &key.source;
    let mut columns = vec![g.leaf(Leaf::Data(source.column), source.x.clone())];
    let mut scales = vec![f64::from_bits(source.scale)];
    if key.mode != Mode::Predict {
        columns.push(g.leaf(Leaf::Data(source.column + 1), source.y.clone()));
        scales.push(1.0);
    }
    let gather = Gather { batch: key.batch, scales };
    let batch = g.apply_all(Arc::new(gather), &[&columns[..], &[order, clock]].concat())?;
    let weights = if source.weighted && key.mode != Mode::Predict {
        let column = g.leaf(Leaf::Data(source.column + 2), source.weight_type());
        Some(g.apply(Gather { batch: key.batch, scales: vec![1.0] }, &[column, order, clock])?)
    } else {
        None
    };
    let x = batch[0];
    let training = (key.mode == Mode::Train).then_some(clock);
    let outputs = forward(model.layers, &mut g, Known::Built(&mut *parameters), x, training)?;
    let predicted = outputs.last().copied().unwrap_or(x);
    match batch[..] {
        [_, targets] => learn(model, &mut g, parameters, key, ([predicted, targets, clock], weights))?,
        _ => {
            g.set_phase(Phase::Record);
            let all = [&[key.rows], &g.shape(predicted)[1..]].concat();
            let all = g.leaf(Leaf::Predictions, Type::float(all));
            g.effect(Keep, &[predicted, clock], &[all])?;
            g.effect(Advance { batch: key.batch }, &[], &[clock])?;
        }
    }
    Ok(g)
}

/// Loss, metrics and, to train, gradients and update.
fn learn(
    model: &Model<'_>,
    g: &mut Graph,
    params: &[Parameter],
    key: &Key,
    ([predicted, targets, clock], weights): ([Id; 3], Option<Id>),
) -> Result<()> {
    g.set_layer("loss");
    let loss = model.loss.expect("checked before tracing");
    let mut losses = loss.append(g, predicted, targets)?;
    if let Some(weights) = weights {
        losses = g.apply(Binary::Mul, &[losses, weights])?;
    }
    for (i, param) in params.iter().enumerate() {
        if let Some(regularizer) = param.regularizer.filter(|_| param.trainable) {
            let w = weight(g, i, param);
            losses = regularizer.append(g, losses, w)?;
        }
    }
    g.set_layer("metrics");
    let mut columns = vec![losses];
    for metric in model.metrics {
        columns.extend(metric.append(g, predicted, targets)?);
    }
    g.set_layer("");
    if key.mode == Mode::Train {
        let optimizer = model.optimizer.expect("checked before tracing");
        backward(g, params, losses, optimizer)?;
        g.set_phase(Phase::Update);
        update(g, params, optimizer, key, clock)?;
    }
    // What ends the step comes last, because the others read the clock. A step in parts is looked at before its update.
    let whole = key.part == Part::All;
    if !whole {
        g.effect(Advance { batch: key.batch }, &[], &[clock])?;
    }
    g.set_phase(Phase::Record);
    g.set_layer("metrics");
    let log = g.leaf(Leaf::Log, Type::float([key.steps, model.log_width()]));
    g.effect(Record { ends: whole.then_some(key.batch) }, &columns, &[log, clock])
}

/// A weight in a step. One that its layer asks for where the model predicts alone has a gradient of zeros.
fn weight(g: &mut Graph, index: usize, param: &Parameter) -> Id {
    g.parameter(index).unwrap_or_else(|| g.leaf(Leaf::Param(index), Type::float(param.shape.clone())))
}

/// The gradients of the mean loss, as the optimizer clips them, each into its segment of the arena; where they are
/// accumulated, it is their mean that is clipped, in [`accumulate`].
fn backward(g: &mut Graph, params: &[Parameter], losses: Id, optimizer: &dyn Optimizer) -> Result<()> {
    g.set_layer("loss");
    let mean = g.apply(Sum::mean(&g.shape(losses).clone()), &[losses])?;
    let trained: Vec<usize> = (0..params.len()).filter(|&i| params[i].trainable).collect();
    let leaves: Vec<Id> = trained.iter().map(|&i| weight(g, i, &params[i])).collect();
    let gradients = g.gradients(mean, &leaves)?;
    g.set_layer("clipping");
    let options = optimizer.options();
    let accumulated = options.gradient_accumulation_steps.is_some();
    let gradients = if accumulated { gradients } else { options.clip(g, gradients)? };
    for (i, gradient) in trained.into_iter().zip(gradients) {
        let place = g.leaf(Leaf::Grad(i), Type::float(params[i].shape.clone()));
        g.effect(Copy, &[gradient], &[place])?;
    }
    Ok(())
}

/// Adds the gradients up; at the end of a cycle of so many steps makes them their mean, as the optimizer clips it.
fn accumulate(
    g: &mut Graph,
    params: &[Parameter],
    optimizer: &dyn Optimizer,
    (len, ends): (usize, Option<u64>),
) -> Result<()> {
    let arenas = [Leaf::Grads, Leaf::Moment(optimizer.moments())].map(|leaf| g.leaf(leaf, Type::float([len])));
    let read = usize::from(ends.is_none());
    g.effect(Accumulate { ends }, &arenas[..read], &arenas[read..])?;
    if ends.is_none() {
        return Ok(());
    }
    g.set_layer("clipping");
    let trained = params.iter().enumerate().filter(|(_, p)| p.trainable);
    let places: Vec<Id> = trained.map(|(i, p)| g.leaf(Leaf::Grad(i), Type::float(p.shape.clone()))).collect();
    let clipped = optimizer.options().clip(g, places.clone())?;
    for (place, clipped) in places.into_iter().zip(clipped).filter(|(place, clipped)| place != clipped) {
        g.effect(Copy, &[clipped], &[place])?;
    }
    g.set_layer("");
    Ok(())
}

/// The optimizer's update of what is trained: one where nothing is left out, else one for each stretch of the arenas;
/// none within a cycle of accumulated gradients.
fn update(g: &mut Graph, params: &[Parameter], optimizer: &dyn Optimizer, key: &Key, clock: Id) -> Result<()> {
    let (arena, steps) = (Arena::new(params.iter().map(|p| &p.shape)), key.steps);
    if let Some(cycle) = optimizer.options().gradient_accumulation_steps {
        accumulate(g, params, optimizer, (arena.len(), key.updates.then_some(cycle)))?;
        if !key.updates {
            return Ok(());
        }
    }
    let decays = optimizer.options().decays(params)?;
    let kinds = params.iter().zip(decays).map(|(p, decays)| p.trainable.then_some(decays));
    for (stretch, kind) in arena.stretches(kinds) {
        let Some(decays) = kind else { continue };
        let first_row = if decays { 0 } else { undecayed(steps) };
        let schedule = g.leaf(leaf_from(Leaf::Schedule, first_row), Type::float([steps, SCALARS]));
        let mut part = |leaf| g.leaf(leaf_from(leaf, stretch.start), Type::float([stretch.len()]));
        let grads = part(Leaf::Grads);
        let moments = (0..optimizer.moments()).map(Leaf::Moment);
        let targets: Vec<Id> = [Leaf::Params].into_iter().chain(moments).map(part).collect();
        g.effect_dyn(optimizer.update(), &[grads, schedule, clock], &targets)?;
    }
    Ok(())
}

/// Where in the schedule of so many steps the rows for weights that do not decay begin.
pub(crate) fn undecayed(steps: usize) -> usize {
    (steps * SCALARS).next_multiple_of(SEGMENT_ALIGNMENT)
}

/// What the session keeps, from an element on.
fn leaf_from(leaf: Leaf, first: usize) -> Leaf {
    if first == 0 { leaf } else { Leaf::From(Box::new(leaf), first) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Tensor;
    use crate::device::Device;
    use crate::nn::layers::Dense;
    use crate::nn::optimizer::Sgd;
    use crate::nn::{Activation, Sequential};
    use crate::train::session::make_plan;

    #[test]
    fn weights_add_a_gather_and_two_products_and_nothing_where_there_are_none() {
        let mut model = Sequential::new().add(Dense::new(3).activation(Activation::Softmax)).device(Device::cpu());
        model.compile(Sgd::default(), Loss::SparseCategoricalCrossentropy, [Metric::Accuracy]).unwrap();
        model.predict(&Tensor::from([[0.0f32; 4]])).unwrap();
        let (session, model) = model.parts();
        let steps = |mode, weighted| {
            let source = Source { column: 0, x: Type::float([9, 4]), y: Type::u32([9]), weighted, scale: 0 };
            let key = Key { mode, part: Part::All, source, batch: 3, rows: 9, steps: 3, updates: true };
            let plan = make_plan(&model, &mut session.parameters().to_vec(), &key).unwrap();
            plan.steps.iter().map(|step| step.op.name()).collect::<Vec<_>>()
        };
        let (plain, weighted) = (steps(Mode::Train, false), steps(Mode::Train, true));
        let count = |steps: &[&str], name: &str| steps.iter().filter(|step| **step == name).count();
        assert_eq!([count(&plain, "gather"), count(&weighted, "gather")], [1, 2]);
        assert_eq!([count(&plain, "mul"), count(&weighted, "mul")], [0, 2]);
        let one = "softmax_cross_entropy_step";
        assert_eq!([count(&plain, one), count(&weighted, one)], [1, 0]);
        assert_eq!(steps(Mode::Predict, true), steps(Mode::Predict, false));
    }
}

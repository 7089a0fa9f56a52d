//! From layers to the graph of one step: batch, layers, loss, gradients, update.

use std::collections::BTreeMap;

use super::About;
use super::gathered::Gathered;
use super::target_units::Units;
use crate::error::{Error, Result};
use crate::graph::{Graph, Id, Leaf, Phase, Type};
use crate::nn::network::Forward;
use crate::nn::optimizer::{self, Optimizer, SCALARS};
use crate::nn::{Known, Metric, Network, Objective, Parameter, mask, metric};
use crate::ops::accumulate::Accumulate;
use crate::ops::binary::Binary;
use crate::ops::clock::{Advance, WORDS};
use crate::ops::copy::Copy;
use crate::ops::moving_average::MovingAverage;
use crate::ops::predictions::Keep;
use crate::ops::record::Record;
use crate::ops::sum::Sum;
use crate::plan::{Arena, SEGMENT_ALIGNMENT};
use crate::tensor::Shape;

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

/// A resident data set, as a plan needs to know it: columns of samples, then of targets, then of weights.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Resident {
    /// The index of [`Leaf::Data`] that holds the first column.
    pub column: usize,
    /// The type of each input, all rows, and what its samples are multiplied by, in bits.
    pub inputs: Vec<(Type, u64)>,
    /// The type of each target, all rows.
    pub targets: Vec<Type>,
    /// Whether each row has a weight.
    pub weighted: bool,
}

impl Resident {
    /// The columns with their indices: samples and targets, then weights.
    pub fn columns(&self) -> impl Iterator<Item = (usize, Type)> + '_ {
        let inputs = self.inputs.iter().map(|(x, _)| x.clone());
        let rows = self.inputs[0].0.shape[0];
        let weights = self.weighted.then(|| Type::float([rows]));
        (self.column..).zip(inputs.chain(self.targets.iter().cloned()).chain(weights))
    }
}

/// Everything that one plan differs from another by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub mode: Mode,
    pub part: Part,
    pub source: Resident,
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
pub(crate) struct Definition<'a> {
    pub about: &'a About,
    pub network: &'a Network,
    /// The shape of a sample of each input.
    pub samples: &'a [Shape],
    /// What each output is trained for; none where the model was not compiled.
    pub objectives: &'a [Objective],
    /// The shape of each output for one sample.
    pub outputs: &'a [Shape],
    /// Whether each output has a mask.
    pub masked: &'a [bool],
    pub optimizer: Option<&'a dyn Optimizer>,
    /// The rows of a batch of evaluation and of prediction.
    pub at_once: usize,
}

/// A value that is logged: its name, the metric that it is of, unless it is a loss, and how many columns of the log it has.
#[derive(Clone, Debug)]
pub(crate) struct Logged {
    pub name: String,
    pub metric: Option<Metric>,
    pub width: usize,
    /// Whether it is a mean over what a mask lets count, which the second column counts.
    pub masked: bool,
}

impl Logged {
    /// The value, from the sum of each column over so many samples.
    pub fn of_sums(&self, sums: &[f64], samples: f64) -> f64 {
        match self.metric {
            None => sums[0] / samples,
            // As Keras has it.
            Some(_) if self.masked && sums[1] == 0.0 => 0.0,
            Some(metric) if self.masked => metric.of_sums(&sums[..1], sums[1]),
            Some(metric) => metric.of_sums(sums, samples),
        }
    }
}

impl Definition<'_> {
    /// What is logged, in the order of the log: the loss, of several outputs the loss of each, the metrics of each.
    pub fn logged(&self) -> Vec<Logged> {
        let several = self.outputs.len() > 1;
        let names = self.network.output_names();
        let loss = |name: String| Logged { name, metric: None, width: 1, masked: false };
        let mut logged = vec![loss("loss".into())];
        if several {
            logged.extend(names.iter().map(|name| loss(format!("{name}_loss"))));
        }
        for (i, (objective, output)) in self.objectives.iter().zip(&names).enumerate() {
            logged.extend(metric::names(&objective.metrics).zip(&objective.metrics).map(|(name, &metric)| Logged {
                name: if several { format!("{output}_{name}") } else { name },
                metric: Some(metric),
                width: metric.width(&self.outputs[i], self.masked[i]),
                masked: self.masked[i] && metric.is_mean(),
            }));
        }
        logged
    }

    /// Of each output, what brings it to its targets' units, where they are scaled.
    pub(in crate::train) fn units(&self, g: &mut Graph, predicted: &[Id]) -> Result<Vec<Option<Units>>> {
        let names = self.network.output_names();
        let outputs = names.iter().zip(predicted).enumerate();
        outputs
            .map(|(i, (name, &y))| self.about.target_scaler(i).map(|scaler| Units::new(g, name, scaler, y)).transpose())
            .collect()
    }

    /// Columns of the log.
    pub fn log_width(&self) -> usize {
        self.logged().iter().map(|logged| logged.width).sum()
    }
}

/// The graph of one step, as its layers write it.
pub(crate) fn step(model: &Definition<'_>, parameters: &mut [Parameter], key: &Key) -> Result<Graph> {
    let mut g = Graph::new();
    let clock = g.leaf(Leaf::Clock, Type::u32([WORDS]));
    let order = g.leaf(Leaf::Order, Type::u32([key.rows]));
    let Gathered { inputs: x, targets, weights } = Gathered::of(&mut g, key, order, clock)?;
    let (x, targets) = (&x[..], &targets[..]);
    let training = (key.mode == Mode::Train).then_some(clock);
    let network = model.network;
    let Forward { outputs, states, masks, .. } =
        network.forward(&mut g, Known::Built(&mut *parameters), x, training)?;
    let predicted = network.outputs.iter().map(|wire| wire.of(x, &outputs)).collect::<Result<Vec<_>>>()?;
    if key.mode != Mode::Predict {
        let masks: Vec<Option<Id>> = predicted.iter().map(|y| masks.get(y).copied()).collect();
        check_masks(model, &masks)?;
        let batch = Batch { predicted: &predicted, masks: &masks, targets, weights, clock, states: &states };
        learn(model, &mut g, parameters, key, &batch)?;
        return Ok(g);
    }
    let units = model.units(&mut g, &predicted)?;
    g.set_phase(Phase::Record);
    for (i, (&y, units)) in predicted.iter().zip(&units).enumerate() {
        let y = units.as_ref().map_or(Ok(y), |units| units.own(&mut g, y))?;
        let all = [&[key.rows], &g.shape(y)[1..]].concat();
        let all = g.leaf(Leaf::Predictions(i), Type::float(all));
        g.effect(Keep, &[y, clock], &[all])?;
    }
    g.effect(Advance { batch: key.batch }, &[], &[clock])?;
    Ok(g)
}

/// That the outputs have the masks which they had as the model was built: the log's columns follow from these.
fn check_masks(model: &Definition<'_>, masks: &[Option<Id>]) -> Result<()> {
    let differs = |(mask, &masked): (&Option<Id>, &bool)| mask.is_some() != masked;
    let Some(output) = masks.iter().zip(model.masked).position(differs) else { return Ok(()) };
    let name = &model.network.output_names()[output];
    let message = "has a mask where the model is trained or where it predicts, and none elsewhere; let its layers set masks \
                   at every call";
    Err(Error::shape(format!("output {name:?}"), message))
}

/// A batch that went through the network.
struct Batch<'b> {
    predicted: &'b [Id],
    /// The masks of those that have one.
    masks: &'b [Option<Id>],
    targets: &'b [Id],
    /// What each sample's loss is multiplied by.
    weights: Option<Id>,
    clock: Id,
    /// What states become.
    states: &'b BTreeMap<usize, Id>,
}

/// Loss, metrics and, to train, gradients and update.
fn learn(model: &Definition<'_>, g: &mut Graph, params: &[Parameter], key: &Key, batch: &Batch<'_>) -> Result<()> {
    g.set_layer("loss");
    let clock = batch.clock;
    let units = model.units(g, batch.predicted)?;
    let (mut own, mut sum) = (Vec::new(), None);
    for (i, objective) in model.objectives.iter().enumerate() {
        let (predicted, targets, mask) = (batch.predicted[i], batch.targets[i], batch.masks[i]);
        let targets = units[i].as_ref().map_or(Ok(targets), |units| units.scaled(g, predicted, targets))?;
        let shares = mask.map(|mask| mask::shares(g, mask)).transpose()?;
        let mut losses = objective.loss.weighed(g, predicted, targets, shares)?;
        if let Some(weights) = batch.weights {
            losses = g.apply(Binary::Mul, &[losses, weights])?;
        }
        own.push(losses);
        if objective.loss_weight != 1.0 {
            let weight = g.fill(objective.loss_weight, []);
            losses = g.apply(Binary::Mul, &[losses, weight])?;
        }
        sum = Some(match sum {
            Some(sum) => g.apply(Binary::Add, &[sum, losses])?,
            None => losses,
        });
    }
    let mut losses = sum.expect("compiled for an output or more");
    for (i, param) in params.iter().enumerate() {
        if let Some(regularizer) = param.regularizer.filter(|_| param.trainable) {
            let w = weight(g, i, param);
            losses = regularizer.append(g, losses, w)?;
        }
    }
    g.set_layer("metrics");
    let mut columns = vec![losses];
    if own.len() > 1 {
        columns.extend(own);
    }
    for (i, objective) in model.objectives.iter().enumerate() {
        let measured = !objective.metrics.is_empty();
        let own = units[i].as_ref().filter(|_| measured).map(|units| units.own(g, batch.predicted[i])).transpose()?;
        let predicted = own.unwrap_or(batch.predicted[i]);
        for metric in &objective.metrics {
            columns.extend(metric.append(g, predicted, batch.targets[i], batch.masks[i])?);
        }
    }
    g.set_layer("");
    if key.mode == Mode::Train {
        let optimizer = model.optimizer.expect("checked before tracing");
        backward(g, params, losses, optimizer)?;
        let next = next_states(g, params, batch.states, key.part)?;
        g.set_phase(Phase::Update);
        // Before the weights': where gradients are accumulated, their mean is written over the gradients' arena.
        for (state, value) in next {
            g.effect(Copy, &[value], &[state])?;
        }
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

/// The states that change, and what each becomes at the step's end. Where a step is looked at before its update, that waits in
/// the state's segment of the gradients, which it has no other use for: the update is another plan.
fn next_states(g: &mut Graph, params: &[Parameter], states: &BTreeMap<usize, Id>, part: Part) -> Result<Vec<(Id, Id)>> {
    let mut next = Vec::with_capacity(states.len());
    for (&index, &value) in states {
        g.set_layer(&params[index].layer);
        let state = weight(g, index, &params[index]);
        if part == Part::All {
            next.push((state, value));
            continue;
        }
        let place = g.leaf(Leaf::Grad(index), Type::float(params[index].shape.clone()));
        g.effect(Copy, &[value], &[place])?;
        next.push((state, place));
    }
    g.set_layer("");
    Ok(next)
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

/// What the optimizer does to the weights at a step's end.
fn update(g: &mut Graph, params: &[Parameter], optimizer: &dyn Optimizer, key: &Key, clock: Id) -> Result<()> {
    let (arena, options) = (Arena::new(params.iter().map(|p| &p.shape)), optimizer.options());
    if let Some(cycle) = options.gradient_accumulation_steps {
        accumulate(g, params, optimizer, (arena.len(), key.updates.then_some(cycle)))?;
    }
    // No update within a cycle of accumulated gradients. Averages and constraints do not wait for one, as in Keras.
    if key.updates || options.gradient_accumulation_steps.is_none() {
        move_weights(g, params, &arena, optimizer, (key.steps, clock))?;
    }
    average(g, params, &arena, optimizer, (key.steps, clock))?;
    constrain(g, params)
}

/// Moves what is trained along its gradients: by one effect where nothing is left out, else by one for each stretch of the arenas.
fn move_weights(
    g: &mut Graph,
    params: &[Parameter],
    arena: &Arena,
    optimizer: &dyn Optimizer,
    (steps, clock): (usize, Id),
) -> Result<()> {
    let decays = optimizer::decays(optimizer.options(), params)?;
    let kinds = params.iter().zip(decays).map(|(p, decays)| p.trainable.then_some(decays));
    for (stretch, kind) in arena.stretches(kinds) {
        let Some(decays) = kind else { continue };
        let first_row = if decays { 0 } else { section(steps, 1) };
        let schedule = g.leaf(leaf_from(Leaf::Schedule, first_row), Type::float([steps, SCALARS]));
        let mut part = |leaf| g.leaf(leaf_from(leaf, stretch.start), Type::float([stretch.len()]));
        let grads = part(Leaf::Grads);
        let moments = (0..optimizer.moments()).map(Leaf::Moment);
        let targets: Vec<Id> = [Leaf::Params].into_iter().chain(moments).map(part).collect();
        g.effect_dyn(optimizer.update(), &[grads, schedule, clock], &targets)?;
    }
    Ok(())
}

/// Takes the weights that are trained into their moving averages, where the optimizer keeps any.
fn average(
    g: &mut Graph,
    params: &[Parameter],
    arena: &Arena,
    optimizer: &dyn Optimizer,
    (steps, clock): (usize, Id),
) -> Result<()> {
    let Some(index) = optimizer::average(optimizer) else { return Ok(()) };
    let first_row = averages(optimizer, steps);
    for (stretch, trained) in arena.stretches(params.iter().map(|p| p.trainable)) {
        if !trained {
            continue;
        }
        let schedule = g.leaf(leaf_from(Leaf::Schedule, first_row), Type::float([steps, SCALARS]));
        let part = |leaf| g.leaf(leaf_from(leaf, stretch.start), Type::float([stretch.len()]));
        let targets = [Leaf::Params, Leaf::Moment(index)].map(part);
        g.effect(MovingAverage, &[schedule, clock], &targets)?;
    }
    Ok(())
}

/// Brings the weights that are trained back within their constraints.
fn constrain(g: &mut Graph, params: &[Parameter]) -> Result<()> {
    for (i, param) in params.iter().enumerate().filter(|(_, param)| param.trainable) {
        let Some(constraint) = &param.constraint else { continue };
        g.set_layer(&param.layer);
        let w = weight(g, i, param);
        let held = constraint.append(g, w)?;
        g.effect(Copy, &[held], &[w])?;
    }
    g.set_layer("");
    Ok(())
}

/// Where in the schedule of so many steps the rows of a kind begin: the first are the optimizer's, behind them are those for weights that
/// do not decay, where there are any, then those of the averages of weights.
fn section(steps: usize, kind: usize) -> usize {
    kind * (steps * SCALARS).next_multiple_of(SEGMENT_ALIGNMENT)
}

/// Where in the schedule of so many steps the rows of the averages begin.
fn averages(optimizer: &dyn Optimizer, steps: usize) -> usize {
    section(steps, 1 + usize::from(!optimizer.options().exclude_from_weight_decay.is_empty()))
}

/// Fills the rows of a schedule that stand behind the optimizer's own, for the steps after `iteration`.
pub(crate) fn complete(rows: &mut Vec<f64>, optimizer: &dyn Optimizer, iteration: u64, steps: usize) {
    let options = optimizer.options();
    if !options.exclude_from_weight_decay.is_empty() {
        rows.resize(section(steps, 1), 0.0);
        rows.extend_from_within(..steps * SCALARS);
        rows[section(steps, 1)..].chunks_mut(SCALARS).for_each(|row| row[SCALARS - 1] = 0.0);
    }
    if options.use_ema {
        rows.resize(averages(optimizer, steps), 0.0);
        rows.extend((1..=steps as u64).flat_map(|t| options.average(iteration + t)));
    }
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
    use crate::nn::{Activation, Loss, Sequential};
    use crate::train::session::make_plan;

    #[test]
    fn weights_add_a_gather_and_two_products_and_nothing_where_there_are_none() {
        let mut model = Sequential::new().add(Dense::new(3).activation(Activation::Softmax)).device(Device::cpu());
        model.compile(Sgd::default(), Loss::SparseCategoricalCrossentropy, [Metric::Accuracy]).unwrap();
        model.predict(&Tensor::from([[0.0f32; 4]])).unwrap();
        let (session, model) = model.parts();
        let steps = |mode, weighted| {
            let (inputs, targets) = (vec![(Type::float([9, 4]), 0)], vec![Type::u32([9])]);
            let source = Resident { column: 0, inputs, targets, weighted };
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

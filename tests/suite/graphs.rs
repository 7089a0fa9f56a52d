//! Graphs that cannot be are errors, not panics; values without elements; large models take time in proportion.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use kiln::device::{Device, Executor, Function};
use kiln::graph::{Aggregation, Graph, Id, Leaf, Type};
use kiln::nn::Scope;
use kiln::nn::optimizer::Sgd;
use kiln::ops::Epilogue;
use kiln::ops::binary::Binary;
use kiln::ops::copy::Copy;
use kiln::ops::matmul::MatMul;
use kiln::ops::pad::Pad;
use kiln::ops::softmax_cross_entropy::SoftmaxCrossEntropyStep;
use kiln::ops::sum::Sum;
use kiln::ops::{Io, Op, all_cases};
use kiln::plan::{Arena, BufferId, Plan};
use kiln::prelude::*;
use kiln::tensor::DType;

use crate::common::executors;

fn input(g: &mut Graph, i: usize, shape: &[usize]) -> Id {
    g.leaf(Leaf::Input(i), Type::float(shape))
}

#[test]
fn an_op_that_makes_several_values_or_none_is_not_for_apply() {
    let mut g = Graph::new();
    let (x, dloss) = (input(&mut g, 0, &[2, 3]), input(&mut g, 1, &[2]));
    let labels = g.leaf(Leaf::Input(2), Type::u32([2]));
    let error = g.apply(SoftmaxCrossEntropyStep, &[x, labels, dloss]).unwrap_err().to_string();
    assert!(error.contains("softmax_cross_entropy_step: makes 3 values") && error.contains("apply_all"), "{error}");
    let error = g.apply(Copy, &[x]).unwrap_err().to_string();
    assert!(error.contains("copy: makes 0 values") && error.contains("effect"), "{error}");
    assert!(g.nodes().is_empty());
}

#[test]
fn an_effect_changes_leaves_that_are_kept_and_nothing_else() {
    let mut g = Graph::new();
    let (x, three) = (input(&mut g, 0, &[2]), g.fill(3.0, [2]));
    let y = g.apply(Binary::Add, &[x, x]).unwrap();
    let error = g.effect(Copy, &[x], &[y]).unwrap_err().to_string();
    assert!(error.contains("copy: target 0, f32 (2,), is a value that a node makes"), "{error}");
    let error = g.effect(Copy, &[x], &[three]).unwrap_err().to_string();
    assert!(error.contains("is a constant"), "{error}");
}

#[test]
fn values_of_another_graph_are_refused() {
    let (mut g, mut other) = (Graph::new(), Graph::new());
    let (x, strange) = (input(&mut g, 0, &[2]), input(&mut other, 0, &[2]));
    let late = input(&mut g.clone(), 1, &[2]);
    for id in [strange, late] {
        let errors = [
            g.apply(Binary::Add, &[x, id]).unwrap_err(),
            g.apply_all(Arc::new(Binary::Add), &[x, id]).unwrap_err(),
            g.effect(Copy, &[id], &[x]).unwrap_err(),
            g.effect(Copy, &[x], &[id]).unwrap_err(),
            g.output(0, id).unwrap_err(),
            g.gradients(id, &[x]).unwrap_err(),
            g.reduce(Aggregation::Sum, id, None, false).unwrap_err(),
        ];
        assert!(errors.iter().all(|e| e.to_string().contains("is of another graph")), "{errors:?}");
        assert!(g.leaf_of(id).is_none() && g.producer(id).is_none() && g.filled_with(id).is_none());
    }
    // A copy knows what was there when it was made.
    g.clone().apply(Binary::Add, &[x, x]).unwrap();
}

#[test]
fn a_fused_product_has_no_gradient() {
    let mut g = Graph::new();
    let (a, bias) = (input(&mut g, 0, &[2, 2]), input(&mut g, 1, &[2]));
    let product = MatMul { epilogue: Epilogue::Bias, ..MatMul::new(false, false) };
    let y = g.apply(product, &[a, a, bias]).unwrap();
    let loss = g.apply(Sum::new(0..2), &[y]).unwrap();
    let error = g.gradients(loss, &[a]).unwrap_err().to_string();
    assert!(error.contains("matmul+bias: has no gradient") && error.contains("before the graph is fused"), "{error}");
}

#[test]
fn a_function_has_no_parameters_and_no_clock() {
    for leaf in [Leaf::Param(0), Leaf::Params, Leaf::Clock] {
        let mut g = Graph::new();
        let ty = if leaf == Leaf::Clock { Type::u32([4]) } else { Type::float([4]) };
        let x = g.leaf(leaf.clone(), ty);
        g.output(0, x).unwrap();
        let error = Function::new(&Device::cpu(), &g).unwrap_err().to_string();
        assert!(error.contains(&format!("graph: has the leaf {leaf:?}")) && error.contains("Leaf::Input"), "{error}");
    }
}

/// A layer that sums over some of its first axes.
#[derive(Debug)]
struct SumLayer(usize);

impl Layer for SumLayer {
    fn kind(&self) -> &'static str {
        "SumLayer"
    }

    fn call(&self, scope: &mut Scope<'_>, inputs: &[Id]) -> Result<Vec<Id>> {
        let [x] = scope.expect(inputs)?;
        Ok(vec![scope.graph.apply(Sum::new(0..self.0), &[x])?])
    }
}

/// A layer that gives a value of a graph of its own.
#[derive(Debug)]
struct Elsewhere;

impl Layer for Elsewhere {
    fn kind(&self) -> &'static str {
        "Elsewhere"
    }

    fn call(&self, _scope: &mut Scope<'_>, _inputs: &[Id]) -> Result<Vec<Id>> {
        Ok(vec![input(&mut Graph::new(), 0, &[1, 3])])
    }
}

#[test]
fn a_layer_that_loses_the_batch_is_named() {
    for axes in [1, 2] {
        let text = Sequential::new().add(SumLayer(axes)).build([3]).unwrap_err().to_string();
        assert!(
            text.contains("layer \"sum_layer\"") && text.contains("expected f32 with the samples' axis first"),
            "{text}"
        );
    }
    let text = Sequential::new().add(Elsewhere).build([3]).unwrap_err().to_string();
    assert!(text.contains("layer \"elsewhere\"") && text.contains("of another graph"), "{text}");
    // With a batch of one it looks right.
    let mut model = Sequential::new().add(SumLayer(1)).device(Device::cpu());
    model.build([1, 3]).unwrap();
    let text = model.predict(&Tensor::new([2, 1, 3], vec![0.0f32; 6]).unwrap()).unwrap_err().to_string();
    assert!(text.contains("layer \"sum_layer\": gives f32 (1, 3) for a batch of 2"), "{text}");
}

/// Types that no op expects, in place of those that it was made for.
fn strange_types() -> Vec<Type> {
    let shapes: [&[usize]; 8] = [&[], &[0], &[1], &[0, 3], &[3, 0], &[2, 3], &[1, 2, 3, 1], &[2; 9]];
    let of = |dtype| shapes.map(|shape| Type { shape: shape.into(), dtype });
    [DType::F32, DType::U32, DType::U8].into_iter().flat_map(of).collect()
}

#[test]
fn a_shape_rule_answers_to_whatever_it_is_given() {
    let strange = strange_types();
    for case in all_cases() {
        let Io { inputs, outputs } = case.io().unwrap();
        let mut lists = vec![vec![], vec![Type::float([2, 3]); inputs.len() + 1], inputs.clone()];
        lists.extend(strange.iter().map(|ty| vec![ty.clone(); inputs.len()]));
        for at in 0..inputs.len() {
            lists.push(inputs.iter().enumerate().filter(|(i, _)| *i != at).map(|(_, ty)| ty.clone()).collect());
            for ty in &strange {
                let mut list = inputs.clone();
                list[at] = ty.clone();
                lists.push(list);
            }
        }
        // What matters is that each call returns.
        for list in &lists {
            let _ = case.op.outputs(list);
            for targets in [vec![], outputs.clone(), vec![Type::float([0]); outputs.len()], list.clone()] {
                let _ = case.op.check_targets(list, &targets);
            }
        }
    }
    let pad = Pad { before: vec![usize::MAX], step: vec![usize::MAX], shape: [4].into(), value: 0.0 };
    let mut g = Graph::new();
    for shape in [&[0][..], &[3], &[]] {
        let x = input(&mut g, 0, shape);
        let text = g.apply(pad.clone(), &[x]).unwrap_err().to_string();
        assert!(text.contains("pad: ") && text.contains("does not fit (4,)"), "{text}");
    }
}

/// A case's types with no elements along each axis of one extent, wherever that occurs.
fn emptied(inputs: &[Type], extent: usize) -> Vec<Type> {
    let empty = |ty: &Type| {
        let extents: Vec<usize> = ty.shape.iter().map(|&e| if e == extent { 0 } else { e }).collect();
        Type { shape: extents.into(), dtype: ty.dtype }
    };
    inputs.iter().map(empty).collect()
}

#[test]
fn values_without_elements_go_through_every_op_and_come_back() {
    for device in executors() {
        let mut executor = Executor::new(&device).unwrap();
        let mut tried: HashMap<&str, HashSet<Vec<Type>>> = HashMap::new();
        // Each kernel takes a software adapter long to compile.
        let most = if device.is_gpu() { 2 } else { usize::MAX };
        for case in all_cases().into_iter().filter(|case| case.targets.is_empty()) {
            let inputs = case.io().unwrap().inputs;
            let extents: BTreeSet<usize> = inputs.iter().flat_map(|ty| ty.shape.iter().copied()).collect();
            for types in extents.into_iter().map(|extent| emptied(&inputs, extent)) {
                let Ok(outputs) = case.op.outputs(&types) else { continue };
                let tried = tried.entry(case.op.name()).or_default();
                let bytes = types.iter().any(|ty| ty.dtype == DType::U8);
                if bytes || tried.len() >= most || !tried.insert(types.clone()) {
                    continue;
                }
                let found = run_once(&mut executor, &case.op, &types).unwrap_or_else(|e| {
                    panic!("{device}: {} of {types:?}: {e}", case.op.name());
                });
                let lens: Vec<usize> = outputs.iter().map(|ty| ty.shape.len()).collect();
                assert_eq!(found, lens, "{device}: {} of {types:?}", case.op.name());
            }
        }
        let count: usize = tried.values().map(HashSet::len).sum();
        assert!(count > 40, "{device}: {count}");
    }
}

/// Runs an op on inputs of zeros. Returns how many elements of each output are read back.
fn run_once(executor: &mut Executor, op: &Arc<dyn Op>, types: &[Type]) -> Result<Vec<usize>> {
    let mut g = Graph::new();
    let leaves: Vec<Id> = types.iter().enumerate().map(|(i, ty)| g.leaf(Leaf::Input(i), ty.clone())).collect();
    let made = g.apply_all(op.clone(), &leaves)?;
    made.iter().enumerate().try_for_each(|(i, &y)| g.output(i, y))?;
    executor.forget_plans()?;
    let plan = executor.load(&Plan::new("empty", &g, &Arena::default())?)?;
    executor.run(plan, 1)?;
    let read = |(i, &y)| Ok(executor.read(BufferId::Output(i), 0..g.shape(y).len())?.len());
    made.iter().enumerate().map(read).collect()
}

#[test]
fn a_call_gives_back_no_elements_where_there_are_none() {
    let mut g = Graph::new();
    let x = input(&mut g, 0, &[0]);
    let y = g.apply(Binary::Add, &[x, x]).unwrap();
    g.output(0, y).unwrap();
    for device in executors() {
        let found = Function::new(&device, &g).unwrap().call(&[Tensor::new([0], Vec::<f32>::new()).unwrap()]).unwrap();
        assert_eq!((&**found[0].shape(), found[0].values().len()), (&[0][..], 0), "{device}");
    }
}

/// What a model of so many layers of 2 units takes to be built, described and planned.
fn planned(layers: usize) -> Duration {
    let start = Instant::now();
    let mut model = (0..layers).fold(Sequential::new().add(Input::new([2])), |model, _| model.add(Dense::new(2)));
    model.compile(Sgd::default(), Loss::MeanSquaredError, []).unwrap();
    assert_eq!(model.summary().unwrap().parameters(), layers * 6);
    assert!(model.training_plan(4, 8).unwrap().steps.len() > 3 * layers);
    start.elapsed()
}

#[test]
fn a_model_of_many_layers_is_planned_in_time_that_grows_with_them() {
    println!("1,500 layers {:?}, 3,000 layers {:?}", planned(1_500), planned(3_000));
    let taken = planned(20_000);
    println!("20,000 layers {taken:?}");
    assert!(taken < Duration::from_secs(40), "{taken:?}");
}

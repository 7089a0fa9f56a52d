//! Fusion and planning: the fused graph computes what the graph as written does, in fewer steps and less memory.

use kiln::device::{Device, Executor};
use kiln::graph::{Graph, Id, Leaf, Type};
use kiln::nn::optimizer::RmsProp;
use kiln::nn::{Activation, Loss, Metric, Sequential};
use kiln::ops::activation::{Activate, Function};
use kiln::ops::binary::Binary;
use kiln::ops::case::random;
use kiln::ops::matmul::MatMul;
use kiln::ops::sum::Sum;
use kiln::ops::{AdapterKind, Target};
use kiln::plan::{Arena, BufferId, Plan};
use kiln::prelude::{Dense, Flatten};

use crate::common::executors;

/// Two layers of `width` units, the sum of squares as loss, and all gradients as outputs.
fn net(function: Function, shape: [usize; 4]) -> (Graph, Vec<Type>) {
    let [batch, inputs, hidden, outputs] = shape;
    let mut g = Graph::new();
    let extents = [vec![batch, inputs], vec![inputs, hidden], vec![hidden], vec![hidden, outputs], vec![outputs]];
    let types: Vec<Type> = extents.into_iter().map(Type::float).collect();
    let leaves: Vec<Id> = types.iter().enumerate().map(|(i, ty)| g.leaf(Leaf::Input(i), ty.clone())).collect();
    let mut dense = |x: Id, kernel: usize| -> Id {
        let product = g.apply(MatMul::new(false, false), &[x, leaves[kernel]]).unwrap();
        let sum = g.apply(Binary::Add, &[product, leaves[kernel + 1]]).unwrap();
        g.apply(Activate(function), &[sum]).unwrap()
    };
    let h = dense(leaves[0], 1);
    let y = dense(h, 3);
    let squares = g.apply(Binary::Mul, &[y, y]).unwrap();
    let loss = g.apply(Sum::new(0..2), &[squares]).unwrap();
    let mut outputs = g.gradients(loss, &leaves).unwrap();
    outputs.push(loss);
    for (i, &value) in outputs.iter().enumerate() {
        g.output(i, value).unwrap();
    }
    (g, types)
}

fn run(graph: &Graph, inputs: &[Type], device: &Device) -> (usize, Vec<Vec<f64>>) {
    let mut executor = Executor::new(device).unwrap();
    let plan = Plan::new("fusion", graph, &Arena::default());
    let loaded = executor.load(&plan).unwrap();
    for (i, ty) in inputs.iter().enumerate() {
        executor.write(BufferId::Input(i), random(ty.shape.clone(), i as u64).values()).unwrap();
    }
    executor.run(loaded, 1).unwrap();
    let outputs = plan.buffers.iter().filter(|b| matches!(b.id, BufferId::Output(_)));
    let mut read = |id, len| pollster::block_on(executor.read(id, 0..len)).unwrap().to_f64();
    (plan.steps.len(), outputs.map(|b| read(b.id, b.len)).collect())
}

#[test]
fn fused_and_unfused_agree() {
    let shapes = [[3, 5, 7, 2], [8, 16, 12, 4], [33, 20, 64, 10]];
    for (i, function) in Function::ALL.into_iter().enumerate() {
        // One each, in turn: every function is a pipeline of its own, which takes a software adapter long to compile.
        let shape = shapes[i % shapes.len()];
        let (graph, inputs) = net(function, shape);
        let fused = graph.clone().fused(&[]);
        let (_, wanted) = run(&graph, &inputs, &Device::reference());
        for device in executors() {
            let (steps, plain) = run(&graph, &inputs, &device);
            let (fewer, found) = run(&fused, &inputs, &device);
            // Two products take in their bias and activation, one the gradient of an activation; two sums are one.
            assert_eq!(fewer, steps - 6, "{device} {function:?}");
            let largest = wanted.iter().flatten().fold(0.0f64, |m, x| m.max(x.abs()));
            let far = |a: &[Vec<f64>]| {
                let pairs = a.iter().flatten().zip(wanted.iter().flatten());
                pairs.map(|(a, b)| (a - b).abs() / largest).fold(0.0, f64::max)
            };
            // An exponential of exponentials loses as many ulps as its exponent is large.
            let most = if function == Function::Exponential { 1e-4 } else { 2e-6 };
            let both = [far(&plain), far(&found)];
            assert!(both.iter().all(|&far| far < most), "{device} {function:?} {shape:?}: {both:?}");
        }
    }
}

#[test]
fn a_value_that_others_need_is_not_fused_away() {
    let mut g = Graph::new();
    let x = g.leaf(Leaf::Input(0), Type::float([2, 3]));
    let w = g.leaf(Leaf::Input(1), Type::float([3, 4]));
    let product = g.apply(MatMul::new(false, false), &[x, w]).unwrap();
    let y = g.apply(Activate(Function::Relu), &[product]).unwrap();
    for (i, value) in [product, y].into_iter().enumerate() {
        g.output(i, value).unwrap();
    }
    let inputs = [Type::float([2, 3]), Type::float([3, 4])];
    assert_eq!(run(&g, &inputs, &Device::cpu()), run(&g.clone().fused(&[]), &inputs, &Device::cpu()));
}

fn mnist_net() -> Sequential {
    let mut model = Sequential::new()
        .add(Flatten)
        .add(Dense::new(512).activation(Activation::Relu))
        .add(Dense::new(10).activation(Activation::Softmax));
    model.build([28, 28]).unwrap();
    model.compile(RmsProp::default(), Loss::SparseCategoricalCrossentropy, [Metric::Accuracy]).unwrap();
    model
}

#[test]
fn the_training_step_of_mnist_is_as_short_as_it_should_be() {
    let plan = mnist_net().training_plan(128, 60_000).unwrap();
    let names: Vec<&str> = plan.steps.iter().map(|s| s.op.name()).collect();
    let wanted = [
        "gather",
        "matmul+activation",
        "matmul+bias",
        "softmax_cross_entropy_step",
        "matmul+activation_grad",
        "matmul",
        "sum_pair",
        "matmul",
        "rmsprop",
        "record",
    ];
    let mut sorted = (names.clone(), wanted.to_vec());
    sorted.0.sort_unstable();
    sorted.1.sort_unstable();
    assert_eq!(sorted.0, sorted.1, "{names:?}");
    let dispatches = |target| plan.steps.iter().map(|s| s.op.gpu(&s.io, &target).len()).sum::<usize>();
    assert_eq!(dispatches(Target::new(AdapterKind::Software)), 10);
    // On a GPU the two products of the way forward have a long K and few tiles: their parts take a second pass each.
    assert_eq!(dispatches(Target::new(AdapterKind::Hardware)), 12);
    // Five products, not six: there is no gradient of the pixels.
    let products = plan.steps.iter().filter(|s| s.op.name().starts_with("matmul")).map(|s| s.op.flops(&s.io));
    assert_eq!(products.sum::<u64>(), 2 * 128 * (2 * 784 * 512 + 3 * 512 * 10));
}

#[test]
fn no_step_reads_and_writes_one_buffer_and_slots_hold_one_value_at_a_time() {
    let plan = mnist_net().training_plan(128, 60_000).unwrap();
    let mut live: std::collections::HashMap<BufferId, usize> = std::collections::HashMap::new();
    for (i, step) in plan.steps.iter().enumerate() {
        for y in &step.outputs {
            assert!(step.inputs.iter().all(|x| x.buffer != y.buffer), "step {i} reads and writes {}", y.buffer);
            live.insert(y.buffer, i);
        }
        for x in step.inputs.iter().filter(|x| matches!(x.buffer, BufferId::Temp(_))) {
            assert!(live.contains_key(&x.buffer), "step {i} reads {} before it is written", x.buffer);
        }
    }
    let temps = plan.buffers.iter().filter(|b| matches!(b.id, BufferId::Temp(_)));
    let held: usize = temps.map(|b| b.len).sum();
    // Batch, hidden layer and its gradient are the large ones: 128 * (784 + 512 + 512) and small change.
    assert!(held < 128 * (784 + 512 + 512) + 8192, "{held}");
}

#[test]
fn a_plan_prints_steps_buffers_and_totals() {
    let plan = mnist_net().training_plan(128, 60_000).unwrap();
    let text = plan.report(Device::cpu().target()).to_string();
    for part in ["matmul+activation", "rmsprop", "params", "FLOPs", "dispatches a run", "slots", "47040000"] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    println!("{text}");
}

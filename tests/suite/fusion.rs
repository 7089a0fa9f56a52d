//! Fusion and planning: the fused graph computes what the graph as written does, in fewer steps and less memory.

use kiln::device::{Device, Executor};
use kiln::graph::{Graph, Id, Leaf, Type};
use kiln::nn::optimizer::RmsProp;
use kiln::nn::{Activation, Loss, Metric, Sequential};
use kiln::ops::activation::{Activate, Function};
use kiln::ops::average_pool::AveragePool;
use kiln::ops::binary::Binary;
use kiln::ops::case::{clock, random};
use kiln::ops::copy::Copy;
use kiln::ops::dropout::Dropout;
use kiln::ops::matmul::MatMul;
use kiln::ops::max_pool::MaxPool;
use kiln::ops::pool::Area;
use kiln::ops::reshape::Reshape;
use kiln::ops::scale_shift::ScaleShift;
use kiln::ops::sum::Sum;
use kiln::ops::window::{Padding, Window};
use kiln::ops::{AdapterKind, Op, Target};
use kiln::plan::{Arena, BufferId, Plan};
use kiln::prelude::{Dense, Flatten};
use kiln::tensor::{DType, Values};

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
    let plan = Plan::new("fusion", graph, &Arena::default()).unwrap();
    let loaded = executor.load(&plan).unwrap();
    for (i, ty) in inputs.iter().enumerate() {
        let numbers = if ty.dtype == DType::U32 { clock(1, 3) } else { random(ty.shape.clone(), i as u64) };
        executor.write(BufferId::Input(i), numbers.values()).unwrap();
    }
    executor.run(loaded, 1).unwrap();
    let outputs = plan.buffers.iter().filter(|b| matches!(b.id, BufferId::Output(_)));
    let mut read = |id, len| executor.read(id, 0..len).unwrap().to_f64();
    (plan.steps.len(), outputs.map(|b| read(b.id, b.len)).collect())
}

#[test]
fn fused_and_unfused_agree() {
    let shapes = [[3, 5, 7, 2], [8, 16, 12, 4], [33, 20, 64, 10]];
    for (i, function) in Function::ALL.into_iter().enumerate() {
        // One each, in turn: every function is a pipeline of its own, which takes a software adapter long to compile.
        let shape = shapes[i % shapes.len()];
        let (graph, inputs) = net(function, shape);
        let fused = graph.clone().fused();
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

/// That of an activation of (2, 7, 6, 5) and of what follows it, the gradient of the sum of squares.
fn activated(function: Function, next: impl Op) -> (Graph, Vec<Type>) {
    let types = vec![Type::float([2, 7, 6, 5]), Type::u32([4])];
    let mut g = Graph::new();
    let leaves: Vec<Id> = types.iter().enumerate().map(|(i, ty)| g.leaf(Leaf::Input(i), ty.clone())).collect();
    let h = g.apply(Activate(function), &leaves[..1]).unwrap();
    let takes_clock = next.name() == "dropout";
    let y = g.apply(next, &[h, leaves[1]][..if takes_clock { 2 } else { 1 }]).unwrap();
    let squares = g.apply(Binary::Mul, &[y, y]).unwrap();
    let loss = g.apply(Sum::new(0..4), &[squares]).unwrap();
    let dx = g.gradients(loss, &leaves[..1]).unwrap()[0];
    g.output(0, dx).unwrap();
    (g, if takes_clock { types } else { types[..1].to_vec() })
}

#[test]
fn the_gradient_of_an_activation_goes_into_that_of_what_follows_it() {
    let window = |size, strides| Window { strides, ..Window::new(size) };
    let same = window([3, 2], [2, 1]).padded(Padding::Same, [7, 6]);
    let dilated = Window { dilation: [2, 2], pads: [[1, 2], [0, 1]], ..Window::new([2, 3]) };
    let areas = [window([2, 2], [2, 2]).into(), same.into(), dilated.into(), Area::Adaptive([3, 4])];
    for (i, area) in areas.into_iter().enumerate() {
        let f = [Function::Relu, Function::Elu { alpha: 0.5 }][i % 2];
        for (graph, inputs) in [activated(f, MaxPool(area)), activated(f, AveragePool::new(area))] {
            assert_one_step_less(&graph, &inputs);
        }
    }
    for f in [Function::Relu, Function::Sigmoid] {
        let (graph, inputs) = activated(f, Dropout::new(0.25, 7));
        assert_one_step_less(&graph, &inputs);
    }
}

/// On processors to the bit.
fn assert_one_step_less(graph: &Graph, inputs: &[Type]) {
    for device in executors() {
        let [(steps, plain), (fewer, found)] = [graph, &graph.clone().fused()].map(|g| run(g, inputs, &device));
        assert_eq!(fewer, steps - 1, "{device}");
        let near = |(a, b): (&f64, &f64)| (a - b).abs() <= if device.is_gpu() { 1e-6 } else { 0.0 };
        assert!(plain[0].iter().zip(&found[0]).all(near), "{device}: {plain:?}, fused {found:?}");
    }
}

/// One run on each executor, fused and not: what each output holds.
fn outputs_everywhere(g: &Graph, inputs: &[&[f32]], len: usize) -> Vec<Vec<f64>> {
    let run = |device: Device, graph: &Graph| {
        let mut executor = Executor::new(&device).unwrap();
        let plan = executor.load(&Plan::new("moves", graph, &Arena::default()).unwrap()).unwrap();
        for (i, values) in inputs.iter().enumerate() {
            executor.write(BufferId::Input(i), &Values::F32(values.to_vec())).unwrap();
        }
        executor.run(plan, 1).unwrap();
        executor.read(BufferId::Output(0), 0..len).unwrap().to_f64()
    };
    let fused = g.clone().fused();
    executors().into_iter().flat_map(|device| [run(device.clone(), g), run(device, &fused)]).collect()
}

#[test]
fn a_copy_into_a_leaf_waits_for_those_that_read_it() {
    let mut g = Graph::new();
    let p = g.leaf(Leaf::Input(0), Type::float([1]));
    let (half, one) = (g.fill(0.5, [1]), g.fill(1.0, [1]));
    let t = g.apply(Binary::Mul, &[p, half]).unwrap();
    let new = g.apply(Binary::Add, &[t, one]).unwrap();
    let y = g.apply(Binary::Add, &[p, one]).unwrap();
    g.output(0, y).unwrap();
    g.effect(Copy, &[new], &[p]).unwrap();
    assert!(outputs_everywhere(&g, &[&[10.0]], 1).iter().all(|y| *y == [11.0]));
}

#[test]
fn a_product_is_not_moved_over_a_change_of_what_it_reads() {
    let mut g = Graph::new();
    let [a, w] = [0, 1].map(|i| g.leaf(Leaf::Input(i), Type::float([1, 1])));
    let zero = g.fill(0.0, [1, 1]);
    let m = g.apply(MatMul::new(false, false), &[a, w]).unwrap();
    g.effect(Copy, &[zero], &[w]).unwrap();
    let y = g.apply(Activate(Function::Relu), &[m]).unwrap();
    g.output(0, y).unwrap();
    assert!(outputs_everywhere(&g, &[&[2.0], &[3.0]], 1).iter().all(|y| *y == [6.0]));
}

#[test]
fn a_view_of_a_leaf_keeps_what_the_leaf_was() {
    let mut g = Graph::new();
    let p = g.leaf(Leaf::Input(0), Type::float([2, 2]));
    let view = g.apply(Reshape([4].into()), &[p]).unwrap();
    let zero = g.fill(0.0, [2, 2]);
    g.effect(Copy, &[zero], &[p]).unwrap();
    let y = g.apply(Binary::Add, &[view, view]).unwrap();
    g.output(0, y).unwrap();
    assert!(outputs_everywhere(&g, &[&[1.0, 2.0, 3.0, 4.0]], 4).iter().all(|y| *y == [2.0, 4.0, 6.0, 8.0]));
}

#[test]
fn a_step_that_reads_and_writes_one_buffer_is_an_error_of_the_plan() {
    let mut g = Graph::new();
    let p = g.leaf(Leaf::Input(0), Type::float([2]));
    g.set_layer("tied");
    g.effect(Copy, &[p], &[p]).unwrap();
    let error = Plan::new("same", &g, &Arena::default()).unwrap_err().to_string();
    assert!(error.contains("layer \"tied\", copy: reads and writes the buffer of input0"), "{error}");
    // Two tensors of one arena lie in one buffer.
    let (mut g, arena) = (Graph::new(), Arena::new(&[[2].into(), [2].into()]));
    let [a, b] = [0, 1].map(|i| g.leaf(Leaf::Param(i), Type::float([2])));
    g.effect(Copy, &[a], &[b]).unwrap();
    let error = Plan::new("arena", &g, &arena).unwrap_err().to_string();
    assert!(error.contains("the buffer of params"), "{error}");
    // A plan made by hand is looked at where it is loaded.
    let mut g = Graph::new();
    let [a, b] = [0, 1].map(|i| g.leaf(Leaf::Input(i), Type::float([2])));
    g.effect(Copy, &[a], &[b]).unwrap();
    let mut plan = Plan::new("by hand", &g, &Arena::default()).unwrap();
    plan.steps[0].outputs = plan.steps[0].inputs.clone();
    for device in executors() {
        let error = Executor::new(&device).unwrap().load(&plan).unwrap_err().to_string();
        assert!(error.contains("reads and writes"), "{device}: {error}");
    }
}

#[test]
fn leaves_without_a_place_are_errors_of_the_plan() {
    let error = |leaf: Leaf, shape: &[usize], arena: &Arena| {
        let mut g = Graph::new();
        let x = g.leaf(leaf, Type::float(shape));
        g.output(0, x).unwrap();
        Plan::new("placeless", &g, arena).unwrap_err().to_string()
    };
    let (none, one) = (Arena::default(), Arena::new(&[[2].into()]));
    assert!(error(Leaf::Param(0), &[2], &none).contains("Param(0) is not among the 0 tensors of the arena"));
    assert!(error(Leaf::Param(0), &[3], &one).contains("the arena has 2 elements for it"));
    assert!(error(Leaf::Params, &[65], &one).contains("ends at 65, the arena at 64"));
    assert!(error(Leaf::From(Box::new(Leaf::Params), 64), &[1], &one).contains("ends at 65"));
    assert!(error(Leaf::From(Box::new(Leaf::Params), 3), &[1], &one).contains("expected a multiple of 64"));
    assert!(error(Leaf::From(Box::new(Leaf::Input(0)), 64), &[1], &one).contains("in an arena"));
}

#[test]
fn gradients_of_what_an_effect_has_changed_are_errors() {
    let two_versions = |change_first: bool| {
        let mut g = Graph::new();
        let p = g.leaf(Leaf::Input(0), Type::float([2]));
        let a = g.leaf(Leaf::Input(1), Type::float([2]));
        let zero = g.fill(0.0, [2]);
        let y = g.apply(Binary::Mul, &[a, p]).unwrap();
        if change_first {
            g.effect(Copy, &[zero], &[p]).unwrap();
        }
        let loss = g.apply(Sum::new(0..1), &[y]).unwrap();
        g.gradients(loss, &[a])
    };
    assert!(two_versions(false).is_ok());
    let error = two_versions(true).unwrap_err().to_string();
    assert!(error.contains("gradients: mul reads Input(0), which an effect has changed"), "{error}");
    // Through a leaf and out of it again.
    let mut g = Graph::new();
    let [a, p] = [0, 1].map(|i| g.leaf(Leaf::Input(i), Type::float([2])));
    let twice = g.apply(Binary::Add, &[a, a]).unwrap();
    g.effect(Copy, &[twice], &[p]).unwrap();
    let loss = g.apply(Sum::new(0..1), &[p]).unwrap();
    assert!(g.gradients(loss, &[a]).unwrap_err().to_string().contains("sum reads Input(1)"));
    // Two values for one leaf: the gradient with respect to one would leave out the other.
    let mut g = Graph::new();
    let [a, again] = [0, 0].map(|i| g.leaf(Leaf::Input(i), Type::float([2])));
    let y = g.apply(Binary::Mul, &[a, again]).unwrap();
    let loss = g.apply(Sum::new(0..1), &[y]).unwrap();
    assert!(g.gradients(loss, &[a]).unwrap_err().to_string().contains("another value stands for"));
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
    assert_eq!(run(&g, &inputs, &Device::cpu()), run(&g.clone().fused(), &inputs, &Device::cpu()));
}

#[test]
fn a_product_that_is_a_scale_or_a_shift_keeps_its_pass() {
    for place in [1, 2] {
        let mut g = Graph::new();
        let types: Vec<Type> = [&[1, 2][..], &[2, 3], &[3], &[3]].map(Type::float).into();
        let leaves: Vec<Id> = types.iter().enumerate().map(|(i, ty)| g.leaf(Leaf::Input(i), ty.clone())).collect();
        let product = g.apply(MatMul::new(false, false), &leaves[..2]).unwrap();
        let mut operands = leaves[2..].to_vec();
        operands.insert(place, product);
        let y = g.apply(ScaleShift, &operands).unwrap();
        g.output(0, y).unwrap();
        assert_eq!(run(&g, &types, &Device::cpu()), run(&g.clone().fused(), &types, &Device::cpu()));
    }
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

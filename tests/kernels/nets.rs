//! Each op of whole nets at the shapes that it has there, by the kernels for GPUs: the rules that choose one go by shapes, of which a case of a
//! few numbers reaches few, and on a software adapter no net runs them.

use std::collections::HashSet;
use std::sync::Arc;

use kiln::bench::STANDARD;
use kiln::check::check_case;
use kiln::device::{Device, Executor};
use kiln::graph::Type;
use kiln::ops::case::random;
use kiln::ops::{AdapterKind, Case, Target};
use kiln::plan::Step;
use kiln::prelude::*;
use kiln::tensor::DType;

use crate::common::{adapter, compiled};

/// Random numbers of which recurrent weights may be: of larger ones each time step makes more of what was rounded before it.
fn tenths(ty: &Type, seed: u64) -> Tensor {
    let numbers = random(ty.shape.clone(), seed).values().to_f32().into_iter().map(|x| 0.1 * x).collect::<Vec<_>>();
    Tensor::new(ty.shape.clone(), numbers).unwrap()
}

/// A step's op on random numbers; none of an effect, and of one that takes or gives whole numbers.
fn case_of(step: &Step, seed: u64) -> Option<Case> {
    let is_float = |ty: &Type| ty.dtype == DType::F32;
    let outputs = step.op.outputs(&step.io.inputs).expect("the plan has it");
    if outputs.is_empty() || !step.io.inputs.iter().chain(&outputs).all(is_float) {
        return None;
    }
    let count = |types: &[Type]| types.iter().map(|ty| ty.shape.len()).max().unwrap_or(0).max(1);
    let [read, made] = [count(&step.io.inputs), count(&outputs)];
    let terms = (step.op.flops(&step.io) as usize / 2).max(read) / made;
    let inputs = step.io.inputs.iter().zip(0..).map(|(ty, i)| tenths(ty, seed + i)).collect();
    let label = format!("{} {:?} {:?}", step.op.name(), step.op, step.io.inputs);
    let op = Arc::clone(&step.op);
    // Whatever comes behind a sum, such as an activation, adds its own error.
    let case = Case { label, op, inputs, targets: Vec::new(), wrt: Vec::new(), ulps: 64.0, sums: false };
    Some(case.sums(terms))
}

/// A net whose gradient of images is of strides, a sum over 256 numbers and more, and of few pixels.
fn strided() -> Model {
    let layers = "conv2d 64 3 relu strides=2 padding=same, conv2d 96 3 relu strides=2 padding=same, \
                  conv2d_transpose 64 3 relu strides=2 padding=same, flatten, dense 10 softmax";
    compiled(layers, [14, 14, 4], "sparse_categorical_crossentropy")
}

#[test]
fn each_op_of_whole_nets_gives_what_the_reference_does_by_the_kernels_for_gpus() {
    let standard = STANDARD.map(|model| (model.name, model.untrained(&Device::cpu()).unwrap()));
    let mut reference = Executor::new(&Device::reference()).unwrap();
    let gpu = adapter().with_kernels_for(Target::new(AdapterKind::Hardware));
    let mut tested = Executor::new(&gpu).unwrap();
    let (mut seen, mut wrong) = (HashSet::new(), Vec::new());
    for (name, model) in standard.into_iter().chain([("strided", strided())]) {
        for step in &model.training_plan(2, 60_000).unwrap().steps {
            let Some(case) = case_of(step, seen.len() as u64).filter(|case| seen.insert(case.label.clone())) else {
                continue;
            };
            if let Err(error) = check_case(&case, &mut tested, &mut reference).unwrap().result {
                wrong.push(format!("{name}: {}: {error}", case.label));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {}: {wrong:#?}", wrong.len(), seen.len());
    assert!(seen.len() > 100, "{} ops are too few", seen.len());
}

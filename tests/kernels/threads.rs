//! The CPU's bits do not follow the number of threads: where work is cut follows from extents alone.

use kiln::graph::Type;
use kiln::nn::optimizer;
use kiln::ops::Epilogue;
use kiln::ops::binary::Binary;
use kiln::ops::case::{clock, integers, random};
use kiln::ops::cpu::{Slice, SliceMut};
use kiln::ops::matmul::{MatMul, case_of};
use kiln::ops::softmax::Softmax;
use kiln::ops::take::TakeGrad;
use kiln::ops::{Case, CpuArgs, CpuOp, Real, all_cases};
use kiln::prelude::*;
use kiln::tensor::{DType, Values};

/// What a tensor or an output holds, in a float of the executor's.
enum Memory<T> {
    Real(Vec<T>),
    U32(Vec<u32>),
    U8(Vec<u8>),
}

fn memory<T: Real>(tensor: &Tensor) -> Memory<T> {
    match tensor.values() {
        Values::U32(v) => Memory::U32(v.clone()),
        Values::U8(v) => Memory::U8(v.clone()),
        floats => Memory::Real(floats.to_f64().into_iter().map(T::of).collect()),
    }
}

fn read<T>(memory: &Memory<T>) -> Slice<'_, T> {
    match memory {
        Memory::Real(v) => Slice::Real(v),
        Memory::U32(v) => Slice::U32(v),
        Memory::U8(v) => Slice::U8(v),
    }
}

fn written<T>(memory: &mut Memory<T>) -> SliceMut<'_, T> {
    match memory {
        Memory::Real(v) => SliceMut::Real(v),
        Memory::U32(v) => SliceMut::U32(v),
        Memory::U8(_) => unreachable!("no op writes bytes"),
    }
}

/// What a case's outputs hold before: what its targets do, or what no op leaves there.
fn before<T: Real>(case: &Case, outputs: &[Type]) -> Vec<Memory<T>> {
    if !case.targets.is_empty() {
        return case.targets.iter().map(memory).collect();
    }
    let empty = |ty: &Type| match ty.dtype {
        DType::U32 => Memory::U32(vec![7; ty.shape.len()]),
        _ => Memory::Real(vec![T::of(-7.5); ty.shape.len()]),
    };
    outputs.iter().map(empty).collect()
}

/// The bits of a case's outputs as an op makes them in f32 or f64.
fn bits<T: Real>(case: &Case, cpu: impl Fn(CpuArgs<'_, T>)) -> Vec<Vec<u64>> {
    let io = case.io().expect("cases are legal");
    let inputs: Vec<Memory<T>> = case.inputs.iter().map(memory).collect();
    let inputs: Vec<Slice<'_, T>> = inputs.iter().map(read).collect();
    let mut made = before::<T>(case, &io.outputs);
    let mut outputs: Vec<SliceMut<'_, T>> = made.iter_mut().map(written).collect();
    cpu(CpuArgs { io: &io, inputs: &inputs, outputs: &mut outputs });
    let words = |memory: &Memory<T>| match memory {
        Memory::Real(v) => v.iter().map(|x| x.f64().to_bits()).collect(),
        Memory::U32(v) => v.iter().map(|&x| x.into()).collect(),
        Memory::U8(v) => v.iter().map(|&x| x.into()).collect(),
    };
    made.iter().map(words).collect()
}

/// Work enough for several threads, of which ops' own cases have little.
fn large_cases() -> Vec<Case> {
    let mut cases = Vec::new();
    // The products of the steps of small nets, in each of which K or the rows are cut.
    for (i, (trans_a, trans_b, extents)) in [
        (false, false, [32, 100, 784]),
        (false, false, [128, 512, 784]),
        (true, false, [784, 100, 32]),
        (true, false, [784, 512, 128]),
        (false, true, [128, 512, 10]),
        (false, true, [128, 784, 512]),
        (false, true, [130, 300, 1100]),
        (true, true, [70, 90, 1300]),
        (true, false, [16, 10, 40_000]),
    ]
    .into_iter()
    .enumerate()
    {
        cases.push(case_of(MatMul::new(trans_a, trans_b), extents, 400 + i as u64));
    }
    cases.push(case_of(MatMul { epilogue: Epilogue::Bias, ..MatMul::new(false, false) }, [300, 200, 100], 420));
    cases.push(Case::new("rows", Softmax, vec![random([700, 130], 421)]));
    cases.push(Case::new("sums", Binary::Add, vec![random([70_001], 422), random([70_001], 423)]));
    let indices = integers([30_000], 1_000, DType::U32, 424);
    cases.push(Case::new("runs", TakeGrad { rows: 1_000 }, vec![indices, random([30_000, 33], 425)]));
    for name in ["sgd", "rmsprop", "adam", "nadam"] {
        let optimizer = optimizer::by_name(name).unwrap();
        let scalars = optimizer.scalars(1).map(|scalar| scalar as f32).to_vec();
        let schedule = Tensor::new([1, scalars.len()], scalars).unwrap();
        let targets = (0..=optimizer.moments()).map(|i| random([70_003], 427 + i as u64)).collect();
        let inputs = vec![random([70_003], 426), schedule, clock(0, 0)];
        cases.push(Case { op: optimizer.update(), ..Case::new(name, Softmax, inputs).changes(targets) });
    }
    cases
}

#[test]
fn every_op_gives_the_same_bits_on_any_number_of_threads() {
    let pools = [1, 2, 3, 8].map(|n| rayon::ThreadPoolBuilder::new().num_threads(n).build().unwrap());
    let cases = all_cases().into_iter().filter(|case| !case.op.is_view()).chain(large_cases());
    for case in cases {
        let all = pools.each_ref().map(|pool| {
            pool.install(|| {
                let single = bits::<f32>(&case, |args| CpuOp::<f32>::cpu(&*case.op, args));
                (single, bits::<f64>(&case, |args| CpuOp::<f64>::cpu(&*case.op, args)))
            })
        });
        let [one, others @ ..] = &all;
        assert!(others.iter().all(|other| other == one), "{} {}: bits follow the threads", case.op.name(), case.label);
    }
}

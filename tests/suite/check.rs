//! The checks themselves: ops that are wrong on purpose are caught, and the finding says what is wrong.

use std::cell::Cell;

use kiln::check::{Bench, Part, check_case, check_gradient, check_gradient_on, check_model, items, items_of};
use kiln::device::{Device, Executor};
use kiln::graph::{Graph, Id, Type};
use kiln::nn::Sequential;
use kiln::ops::binary::Binary;
use kiln::ops::case::random;
use kiln::ops::{Case, CpuArgs, CpuOp, Dispatch, Io, Module, Op, Params, Target};

/// y = x * x in f64; in f32, and in its gradient and kernel, as wrong as it is made.
#[derive(Clone, Copy, Debug)]
struct Square {
    /// Added to element 5 in f32.
    error: f32,
    /// dy/dx in units of x: 2 is right.
    slope: f64,
    kernel: &'static str,
}

const RIGHT: Square = Square { error: 0.0, slope: 2.0, kernel: GUARDED };

impl CpuOp<f32> for Square {
    fn cpu(&self, mut args: CpuArgs<'_, f32>) {
        let (x, [y]) = (args.real(0), args.out());
        y.iter_mut().zip(x).for_each(|(y, x)| *y = x * x);
        y.iter_mut().skip(5).take(1).for_each(|y| *y += self.error);
    }
}

impl CpuOp<f64> for Square {
    fn cpu(&self, mut args: CpuArgs<'_, f64>) {
        let (x, [y]) = (args.real(0), args.out());
        y.iter_mut().zip(x).for_each(|(y, x)| *y = x * x);
    }
}

impl Op for Square {
    fn name(&self) -> &'static str {
        "square_of_the_test"
    }

    fn outputs(&self, inputs: &[Type]) -> kiln::Result<Vec<Type>> {
        Ok(inputs.to_vec())
    }

    fn grad(&self, g: &mut Graph, x: &[Id], _y: &[Id], dy: &[Option<Id>]) -> kiln::Result<Vec<Option<Id>>> {
        let slope = g.fill(self.slope, []);
        let slope = g.apply(Binary::Mul, &[x[0], slope])?;
        Ok(vec![Some(g.apply(Binary::Mul, &[slope, dy[0].expect("one output")])?)])
    }

    fn gpu(&self, io: &Io, _target: &Target) -> Vec<Dispatch> {
        let n = io.outputs[0].shape.len();
        // One stem for right and wrong kernels, and one of Kiln's at that: a text is not taken for another.
        let module = Module { stem: "softmax", source: self.kernel, libs: &[] };
        vec![Dispatch::over(module, "square", io, Params::new().u32("n", n), n)]
    }
}

/// A kernel whose write stands under a guard, or has something else instead.
macro_rules! kernel {
    ($write:literal) => {
        concat!(
            "struct Params { n: u32 }
            @group(0) @binding(0) var<storage, read> x: array<f32>;
            @group(0) @binding(1) var<storage, read_write> y: array<f32>;
            @group(0) @binding(2) var<uniform> params: Params;
            @compute @workgroup_size(64)
            fn square(@builtin(global_invocation_id) id: vec3<u32>) {
                let i = id.x;
                ",
            $write,
            "
            }"
        )
    };
}

const GUARDED: &str = kernel!("if i < params.n { y[i] = x[i] * x[i]; }");
#[cfg(feature = "gpu")]
const OVERRUN: &str = kernel!("if i <= params.n { y[i] = x[i] * x[i]; }");

fn case(op: Square, n: usize) -> Case {
    Case::new(format!("({n},)"), op, vec![random([n], 7)]).wrt(&[0])
}

fn executors(device: &Device) -> (Executor, Executor) {
    (Executor::new(device).unwrap(), Executor::new(&Device::reference()).unwrap())
}

/// What is wrong with the case.
#[track_caller]
fn fault(device: &Device, case: &Case) -> String {
    let (mut tested, mut reference) = executors(device);
    let finding = check_case(case, &mut tested, &mut reference).unwrap();
    assert_eq!((finding.op, finding.case.as_str()), ("square_of_the_test", case.label.as_str()));
    finding.result.expect_err("it is wrong")
}

#[test]
fn a_wrong_element_is_named() {
    let wrong = case(Square { error: 1e-3, ..RIGHT }, 7);
    let found = fault(&Device::cpu(), &wrong);
    assert!(found.contains("element 5 is ") && found.contains("allowed 2.0"), "{found}");
    let (mut tested, mut reference) = executors(&Device::cpu());
    for right in [case(RIGHT, 7), case(Square { error: 1e-3, ..RIGHT }, 5)] {
        let finding = check_case(&right, &mut tested, &mut reference).unwrap();
        assert!(finding.result.clone().unwrap() < 1.0 && finding.relative < 1e-7, "{finding:?}");
    }
}

#[test]
fn the_smallest_failing_case_stands_first() {
    let wrong = Square { error: 1e-3, ..RIGHT };
    let cases = [50, 3, 20, 9].map(|n| case(wrong, n)).to_vec();
    let device = Device::cpu();
    let items = items_of(&device, cases, false).unwrap();
    assert_eq!(items.iter().map(|item| item.part).collect::<Vec<_>>(), [Part::Forward, Part::Gradient]);
    assert_eq!(items[0].shaders, ["softmax"]);
    let row = items[0].run(&mut Bench::new(&device).unwrap()).unwrap();
    let failures: Vec<&str> = row.failures.iter().map(|f| f.inputs.as_str()).collect();
    assert_eq!((row.cases, failures), (4, vec!["(9,) of f32", "(20,) of f32", "(50,) of f32"]));
}

#[test]
fn a_tolerance_too_tight_is_told_from_one_that_fits() {
    let off = case(Square { error: 1e-6, ..RIGHT }, 7);
    assert!(fault(&Device::cpu(), &off).contains("ulps"));
    let (mut tested, mut reference) = executors(&Device::cpu());
    let finding = check_case(&off.ulps(1e4), &mut tested, &mut reference).unwrap();
    assert!(finding.result.is_ok(), "{finding:?}");
}

#[test]
fn a_wrong_gradient_rule_is_caught() {
    let (wrong, right) = (case(Square { slope: 1.0, ..RIGHT }, 7), case(RIGHT, 7));
    assert!(check_gradient(&wrong).unwrap() > 0.1 && check_gradient(&right).unwrap() < 1e-7);
    let (mut tested, mut reference) = executors(&Device::cpu());
    let found = check_gradient_on(&wrong, &mut tested, &mut reference).unwrap().result.expect_err("it is wrong");
    assert!(found.contains("gradient with respect to input 0") && found.contains("finite differences"), "{found}");
    let finding = check_gradient_on(&right, &mut tested, &mut reference).unwrap();
    assert!(finding.result.is_ok(), "{finding:?}");
}

#[test]
fn a_gradient_that_is_wrong_on_the_device_only_is_caught() {
    // The second op's gradient reads the first one's output, which is wrong in f32.
    let wrong = Square { error: 1e-3, ..RIGHT };
    let case = Case::new("(7,)", Cube(wrong), vec![random([7], 7)]).wrt(&[0]);
    let (mut tested, mut reference) = executors(&Device::cpu());
    let found = check_gradient_on(&case, &mut tested, &mut reference).unwrap().result.expect_err("it is wrong");
    assert!(found.contains("input 0: element 5 is "), "{found}");
}

/// y = x^3, whose gradient goes through a [`Square`].
#[derive(Clone, Copy, Debug)]
struct Cube(Square);

macro_rules! cube {
    ($($t:ty),*) => {$(
        impl CpuOp<$t> for Cube {
            fn cpu(&self, mut args: CpuArgs<'_, $t>) {
                let (x, [y]) = (args.real(0), args.out());
                y.iter_mut().zip(x).for_each(|(y, x)| *y = x * x * x);
            }
        }
    )*};
}
cube!(f32, f64);

impl Op for Cube {
    fn name(&self) -> &'static str {
        "cube_of_the_test"
    }

    fn outputs(&self, inputs: &[Type]) -> kiln::Result<Vec<Type>> {
        Ok(inputs.to_vec())
    }

    fn grad(&self, g: &mut Graph, x: &[Id], _y: &[Id], dy: &[Option<Id>]) -> kiln::Result<Vec<Option<Id>>> {
        let (square, three) = (g.apply(self.0, &[x[0]])?, g.fill(3.0, []));
        let slope = g.apply(Binary::Mul, &[square, three])?;
        Ok(vec![Some(g.apply(Binary::Mul, &[slope, dy[0].expect("one output")])?)])
    }

    fn gpu(&self, _io: &Io, _target: &Target) -> Vec<Dispatch> {
        Vec::new()
    }
}

#[cfg(feature = "gpu")]
#[test]
fn sentinels_catch_an_overrun_of_one_element() {
    let device = crate::common::adapter();
    let found = fault(&device, &case(Square { kernel: OVERRUN, ..RIGHT }, 7));
    assert!(found.contains("wrote past the end of its output of 7 elements"), "{found}");
    let (mut tested, mut reference) = executors(&device);
    assert!(check_case(&case(RIGHT, 7), &mut tested, &mut reference).unwrap().result.is_ok());
}

#[cfg(feature = "gpu")]
#[test]
fn kernels_of_the_other_kind_are_listed_where_they_are_others() {
    let device = crate::common::adapter();
    let all = items(&device, None, true).unwrap();
    let others: Vec<&str> = all.iter().filter(|item| item.kernels.is_some()).map(|item| item.op).collect();
    assert!(others.contains(&"matmul") && !others.contains(&"concat"), "{others:?}");
    assert!(items(&device, None, false).unwrap().iter().all(|item| item.kernels.is_none()));
}

/// The parts that take whole kernels are run by `ops.rs` and by `kiln check`.
#[test]
fn optimizers_nets_limits_and_the_generator_pass_on_the_processor() {
    let device = Device::cpu();
    let all = items(&device, None, true).unwrap();
    let quick = |part| [Part::Steps, Part::Random, Part::Training, Part::Limits].contains(&part);
    let mut bench = Bench::new(&device).unwrap();
    let mut steps = 0;
    for item in all.iter().filter(|item| quick(item.part)) {
        let row = item.run(&mut bench).unwrap();
        assert!(row.failures.is_empty() && row.cases > 0, "{item:?}: {row:#?}");
        steps += usize::from(item.part == Part::Steps);
    }
    assert!(steps >= 3, "{steps} optimizers are too few to be all");
    assert!(all.iter().all(|item| item.kernels.is_none()), "the processor has loops, not kernels of a kind");
}

#[test]
fn the_filter_takes_names_parts_of_names_and_shaders() {
    let names = |filter: &str| -> Vec<&str> {
        let mut names: Vec<&str> =
            items(&Device::cpu(), Some(filter), false).unwrap().iter().map(|item| item.op).collect();
        names.dedup();
        names
    };
    assert!(names("sgd").iter().all(|name| *name == "sgd"));
    // The shader's stem takes all that is in the file.
    assert!(["relu", "relu_grad", "tanh"].iter().all(|name| names("activation").contains(name)));
    assert!(names("sigm").contains(&"sigmoid"));
    let error = items(&Device::cpu(), Some("sigmod"), false).unwrap_err().to_string();
    assert!(error.starts_with("filter: \"sigmod\" is unknown; did you mean \"sigmoid\"? There are: "), "{error}");
}

/// A model whose weights are others on the device than on the reference, as a kernel that is wrong would have it.
#[test]
fn a_model_that_computes_something_else_is_caught() {
    let layers = "input 6 6 1, conv2d 3 3 relu, batch_normalization, flatten, dense 4";
    let make = || Sequential::from_text(layers).map(Sequential::into_model);
    let rows = check_model(make, &Device::cpu()).unwrap();
    let named: Vec<(Part, &str)> = rows.iter().map(|row| (row.part, row.name.as_str())).collect();
    assert_eq!(named[..2], [(Part::Forward, "dense"), (Part::Gradient, "conv2d/kernel")]);
    assert_eq!(named.len(), 1 + 6, "{named:?}");
    assert!(rows.iter().all(|row| row.row.failures.is_empty()), "{rows:?}");
    // The device's is made first, each time.
    let made = Cell::new(0);
    let other = || {
        let mut model = make()?.device(Device::cpu());
        if made.replace(made.get() + 1) % 3 == 0 {
            let bias = model.weight("dense/bias")?;
            model.set_weight("dense/bias", &(&bias + 1e-3))?;
        }
        Ok(model)
    };
    let rows = check_model(other, &Device::cpu()).unwrap();
    let failed: Vec<&str> =
        rows.iter().filter(|row| !row.row.failures.is_empty()).map(|row| row.name.as_str()).collect();
    assert_eq!(failed.first(), Some(&"dense"), "{rows:?}");
    assert!(rows[0].row.failures[0].result.as_ref().unwrap_err().contains("expected"), "{rows:?}");
    assert_eq!(made.get(), 9, "three batches, each on the device and on the reference");
}

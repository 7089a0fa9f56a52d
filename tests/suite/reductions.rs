//! Reductions over any axes against NumPy's answers, which `scripts/golden-tensor` wrote, and their gradients.

use kiln::Tensor;
use kiln::device::{Device, Executor};
use kiln::graph::{Aggregation, Graph, Id, Leaf, Type};
use kiln::ops::binary::Binary;
use kiln::ops::sum::Sum;
use kiln::plan::{Arena, BufferId, Plan};
use serde_json::Value;

use crate::common::fixture;
use crate::tensor::tensor;

const ALL: [(&str, Aggregation); 7] = [
    ("sum", Aggregation::Sum),
    ("mean", Aggregation::Mean),
    ("max", Aggregation::Max),
    ("min", Aggregation::Min),
    ("prod", Aggregation::Prod),
    ("argmax", Aggregation::ArgMax),
    ("argmin", Aggregation::ArgMin),
];

/// What becomes of inputs by way of a graph, and its shape.
fn run(executor: &mut Executor, inputs: &[&Tensor], build: impl Fn(&mut Graph, &[Id]) -> Id) -> (Vec<usize>, Vec<f64>) {
    let mut g = Graph::new();
    let leaf = |(i, t): (usize, &&Tensor)| (Leaf::Input(i), Type { shape: t.shape().clone(), dtype: t.dtype() });
    let leaves: Vec<Id> = inputs.iter().enumerate().map(leaf).map(|(leaf, ty)| g.leaf(leaf, ty)).collect();
    let y = build(&mut g, &leaves);
    g.output(0, y).unwrap();
    executor.forget_plans().unwrap();
    let plan = executor.load(&Plan::new("reduction", &g, &Arena::default()).unwrap()).unwrap();
    for (i, t) in inputs.iter().enumerate() {
        executor.write(BufferId::Input(i), t.values()).unwrap();
    }
    executor.run(plan, 1).unwrap();
    let shape = g.shape(y).to_vec();
    let values = executor.read(BufferId::Output(0), 0..shape.iter().product()).unwrap();
    (shape, values.to_f64())
}

fn axes(args: &Value) -> Option<Vec<isize>> {
    let list = args["axes"].as_array()?;
    Some(list.iter().map(|axis| axis.as_i64().expect("an axis") as isize).collect())
}

/// The devices, and how far each may be from the truth, relatively.
fn devices() -> Vec<(Device, f64)> {
    vec![
        (Device::reference(), 1e-15),
        (Device::cpu(), 1e-6),
        #[cfg(feature = "gpu")]
        (crate::common::adapter(), 1e-6),
    ]
}

#[test]
fn reductions_answer_as_numpys() {
    let golden = fixture("numpy-reductions.json");
    let cases = golden["cases"].as_array().expect("a list");
    assert!(cases.len() > 100, "{} cases are too few to be all", cases.len());
    for (device, tolerance) in devices() {
        let mut executor = Executor::new(&device).unwrap();
        for case in cases {
            let (_, how) = ALL.into_iter().find(|(name, _)| case["op"] == *name).expect("a reduction");
            let (x, answer, axes) = (tensor(&case["inputs"][0]), tensor(&case["answer"]), axes(&case["args"]));
            let keepdims = case["args"]["keepdims"] == true;
            let (shape, found) = run(&mut executor, &[&x], |g, x| {
                g.reduce(how, x[0], axes.as_deref(), keepdims).expect("axes that fit")
            });
            let wanted = answer.values().to_f64();
            let same =
                |(f, w): (&f64, &f64)| f == w || (f.is_nan() && w.is_nan()) || (f - w).abs() <= tolerance * w.abs();
            let right = shape == **answer.shape() && found.iter().zip(&wanted).all(same);
            assert!(right, "{device}: {how:?} {} of {}: {found:?}, not {answer}", case["args"], x.shape());
        }
    }
}

#[test]
fn gradients_go_back_to_axes_that_are_no_neighbours() {
    let ones = Tensor::new([2, 3, 4], vec![1.0f32; 24]).unwrap();
    let r = Tensor::from([2.0f32, -8.0, 0.5]);
    for (device, _) in devices() {
        let mut executor = Executor::new(&device).unwrap();
        // Of equal numbers each has an equal share of an extreme; the product's gradient is that of all others.
        for (how, share) in [(Aggregation::Max, 0.125), (Aggregation::Mean, 0.125), (Aggregation::Prod, 1.0)] {
            let (shape, found) = run(&mut executor, &[&ones, &r], |g, x| {
                let y = g.reduce(how, x[0], Some(&[2, 0]), false).unwrap();
                let weighted = g.apply(Binary::Mul, &[y, x[1]]).unwrap();
                let loss = g.apply(Sum::new(0..1), &[weighted]).unwrap();
                g.gradients(loss, &[x[0]]).unwrap()[0]
            });
            let wanted: Vec<f64> = (0..24).map(|i| share * [2.0, -8.0, 0.5][i / 4 % 3]).collect();
            assert_eq!((shape, found), (vec![2, 3, 4], wanted), "{device}: {how:?}");
        }
    }
}

#[test]
fn axes_that_do_not_fit_are_named() {
    let mut g = Graph::new();
    let x = g.fill(1.0, [2, 3]);
    let mut refuses = |axes: &[isize], words: &[&str]| {
        let text = g.reduce(Aggregation::Sum, x, Some(axes), false).expect_err("must be refused").to_string();
        words.iter().for_each(|word| assert!(text.contains(word), "{text:?} lacks {word:?}"));
    };
    refuses(&[2], &["axis 2", "(2, 3)", "-2 to -1"]);
    refuses(&[0, -3], &["axis -3"]);
    refuses(&[1, -1], &["[1, -1]", "axis 1 twice"]);
    let none = g.fill(1.0, [0, 3]);
    let text = g.reduce(Aggregation::Max, none, None, false).expect_err("must be refused").to_string();
    assert!(text.contains("(0, 3)"), "{text}");
}

/// How far a number is from what it should be, in units of f32's last place there.
fn ulps(found: f64, wanted: f64) -> f64 {
    (found - wanted).abs() / f64::from((wanted.abs() as f32).next_up() - wanted.abs() as f32)
}

#[test]
fn long_sums_keep_their_digits_on_every_device() {
    for (device, _) in devices() {
        let mut executor = Executor::new(&device).unwrap();
        let tenth = f64::from(0.1f32);
        for (aggregation, n, wanted) in [
            (Aggregation::Sum, 1_000_000, 1e6 * tenth),
            (Aggregation::Mean, 100_000, tenth),
            (Aggregation::Sum, 70_000, 70_000.0 * tenth),
        ] {
            for shape in [vec![n], vec![n / 2, 2]] {
                let x = Tensor::new(shape, vec![0.1f32; n]).unwrap();
                let (_, y) = run(&mut executor, &[&x], |g, x| g.reduce(aggregation, x[0], None, false).unwrap());
                assert!(ulps(y[0], wanted) <= 20.0, "{aggregation:?} of {n} on {device}: {}, not {wanted}", y[0]);
            }
        }
        // llvmpipe counted no more than 65,535, and did not see the last.
        let ones = Tensor::new([70_000], vec![1.0f32; 70_000]).unwrap();
        let (_, y) = run(&mut executor, &[&ones], |g, x| g.reduce(Aggregation::Sum, x[0], None, false).unwrap());
        assert_eq!(y, [70_000.0], "{device}");
        let rising = Tensor::new([70_000], (0..70_000).map(|i| i as f32).collect::<Vec<_>>()).unwrap();
        let (_, y) = run(&mut executor, &[&rising], |g, x| g.reduce(Aggregation::Max, x[0], None, false).unwrap());
        assert_eq!(y, [69_999.0], "{device}");
    }
}

/// The bias' gradient of (w x + b - 1)^2 where w and b are 0, over one batch of 140,000.
#[test]
fn a_bias_gradient_of_a_large_batch_is_right() {
    let n = 140_000;
    let [x, t] = [0.5f32, 1.0].map(|value| Tensor::new([n, 1], vec![value; n]).unwrap());
    for (device, _) in devices() {
        let bias = |g: &mut Graph, leaves: &[Id]| {
            let [x, t, w, b] = *leaves else { unreachable!("four") };
            let product = g.apply(kiln::ops::matmul::MatMul::new(false, false), &[x, w]).unwrap();
            let y = g.apply(Binary::Add, &[product, b]).unwrap();
            let error = g.apply(Binary::Sub, &[y, t]).unwrap();
            let square = g.apply(kiln::ops::unary::Unary::Square, &[error]).unwrap();
            let loss = g.apply(Sum::mean(&g.shape(square).clone()), &[square]).unwrap();
            g.gradients(loss, &[b]).unwrap()[0]
        };
        let (w, b) = (Tensor::from([[0.0f32]]), Tensor::from([0.0f32]));
        let (_, y) = run(&mut Executor::new(&device).unwrap(), &[&x, &t, &w, &b], bias);
        assert!(ulps(y[0], -2.0) <= 20.0, "{device}: {}", y[0]);
    }
}

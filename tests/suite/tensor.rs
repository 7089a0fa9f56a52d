//! The host tensor against NumPy's answers, which `scripts/golden-tensor` wrote, and what it says of bad input.

use std::collections::BTreeMap;

use kiln::tensor::{Over, Values};
use kiln::{DType, Result, Tensor};
use serde_json::Value;

use crate::common::fixture;

/// Distance in which functions of f32 may lie from NumPy's own, which are within a few ulps of the truth.
const SINGLE: f64 = 1e-6;
const DOUBLE: f64 = 1e-14;

fn dtype(name: &Value) -> DType {
    let all = [DType::F32, DType::F64, DType::U32, DType::U8];
    all.into_iter().find(|dtype| Some(dtype.to_string().as_str()) == name.as_str()).expect("a type")
}

/// A tensor of a fixture.
pub fn tensor(value: &Value) -> Tensor {
    let list = |key: &str| value[key].as_array().expect("a list").clone();
    let shape: Vec<usize> = list("shape").iter().map(|n| n.as_u64().expect("an extent") as usize).collect();
    let number = |x: &Value| x.as_f64().unwrap_or_else(|| x.as_str().expect("a number").parse().expect("a number"));
    let numbers: Vec<f64> = list("values").iter().map(number).collect();
    let values = match dtype(&value["dtype"]) {
        DType::F32 => Values::F32(numbers.iter().map(|&x| x as f32).collect()),
        DType::F64 => Values::F64(numbers),
        DType::U32 => Values::U32(numbers.iter().map(|&x| x as u32).collect()),
        DType::U8 => Values::U8(numbers.iter().map(|&x| x as u8).collect()),
    };
    Tensor::new(shape, values).expect("as many values as the shape holds")
}

fn over(args: &Value) -> Over {
    let over = args["axis"].as_i64().map_or(Over::all(), |axis| Over::axis(axis as isize));
    if args["keepdims"] == true { over.keepdims() } else { over }
}

fn places(args: &Value) -> Vec<isize> {
    args.as_array().expect("a list").iter().map(|n| n.as_i64().expect("a number") as isize).collect()
}

fn apply(op: &str, inputs: &[Tensor], args: &Value) -> Result<Tensor> {
    let x = &inputs[0];
    match op {
        "add" => x.try_add(&inputs[1]),
        "sub" => x.try_sub(&inputs[1]),
        "mul" => x.try_mul(&inputs[1]),
        "div" => x.try_div(&inputs[1]),
        "maximum" => x.maximum(&inputs[1]),
        "astype" => Ok(x.astype(dtype(args))),
        "neg" => Ok(x.neg()),
        "exp" => Ok(x.exp()),
        "log" => Ok(x.log()),
        "sqrt" => Ok(x.sqrt()),
        "dot" => x.dot(&inputs[1]),
        "reshape" => x.reshape(&places(args)),
        "transpose" => Ok(x.transpose()),
        "permute" => x.permute(&places(args)),
        "slice" => x.slice(args.as_str().expect("a text")),
        "concatenate" => {
            Tensor::concatenate(&inputs.iter().collect::<Vec<_>>(), args.as_i64().expect("an axis") as isize)
        }
        "sum" => x.sum(over(args)),
        "mean" => x.mean(over(args)),
        "max" => x.max(over(args)),
        "min" => x.min(over(args)),
        "argmax" => x.argmax(over(args)),
        "argmin" => x.argmin(over(args)),
        "to_categorical" => Tensor::to_categorical(x, args.as_u64().expect("a count") as usize),
        other => panic!("no operation {other}"),
    }
}

/// What is wrong with an answer, if anything.
fn difference(found: &Tensor, wanted: &Tensor) -> Option<String> {
    if (found.shape(), found.dtype()) != (wanted.shape(), wanted.dtype()) {
        return Some(format!("{} {}, not {} {}", found.dtype(), found.shape(), wanted.dtype(), wanted.shape()));
    }
    let tolerance = if found.dtype() == DType::F32 { SINGLE } else { DOUBLE };
    let same = |(a, b): (&f64, &f64)| a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= tolerance * b.abs();
    let (a, b) = (found.values().to_f64(), wanted.values().to_f64());
    (!a.iter().zip(&b).all(same)).then(|| format!("{a:?}, not {b:?}"))
}

#[test]
fn operations_answer_as_numpys() {
    let golden = fixture("numpy-tensor.json");
    let (mut counts, mut wrong) = (BTreeMap::<&str, usize>::new(), Vec::new());
    for case in golden["cases"].as_array().expect("a list") {
        let op = case["op"].as_str().expect("a name");
        let inputs: Vec<Tensor> = case["inputs"].as_array().expect("a list").iter().map(tensor).collect();
        *counts.entry(op).or_default() += 1;
        let difference = match (op, case["answer"].as_str()) {
            ("display", Some(text)) => {
                let found = inputs[0].to_string();
                (found != text).then(|| format!("\n{found}\nnot\n{text}"))
            }
            _ => match apply(op, &inputs, &case["args"]) {
                Ok(found) => difference(&found, &tensor(&case["answer"])),
                Err(e) => Some(e.to_string()),
            },
        };
        let types: Vec<String> = inputs.iter().map(|t| format!("{} {}", t.dtype(), t.shape())).collect();
        wrong.extend(difference.map(|d| format!("{op} {} of {}: {d}", case["args"], types.join(", "))));
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(counts.len() == 24 && counts.values().all(|&n| n >= 4), "too few cases: {counts:?}");
}

/// Checks that a call is refused with all of `words`.
fn refuses(result: Result<Tensor>, words: &[&str]) {
    let text = result.expect_err("must be refused").to_string();
    words.iter().for_each(|word| assert!(text.contains(word), "{text:?} lacks {word:?}"));
}

fn zeros(shape: &[usize]) -> Tensor {
    Tensor::new(shape, vec![0.0f32; shape.iter().product()]).expect("as many")
}

#[test]
fn shapes_that_do_not_fit_are_named() {
    let (a, b) = (zeros(&[2, 3]), zeros(&[4]));
    let results = [
        ("try_add", a.try_add(&b)),
        ("try_sub", a.try_sub(&b)),
        ("try_mul", a.try_mul(&b)),
        ("try_div", a.try_div(&b)),
        ("maximum", a.maximum(&b)),
    ];
    for (op, result) in results {
        refuses(result, &[&format!("Tensor::{op}: "), "(2, 3) and (4,)", "3, 4"]);
    }
    refuses(a.dot(&b), &["Tensor::dot: ", "(2, 3)", "(4,)", "3 is not 4"]);
    refuses(a.dot(&a), &["axis 0 of (2, 3)", "3 is not 2"]);
    refuses(Tensor::concatenate(&[&a, &zeros(&[2, 2])], 0), &["(2, 3) and (2, 2)", "beside axis 0"]);
    refuses(Tensor::concatenate(&[&a, &b], 0), &["(2, 3) and (4,)"]);
    refuses(Tensor::concatenate(&[], 0), &["given none"]);
    refuses(a.reshape(&[4, -1]), &["(2, 3)", "[4, -1]", "6 elements"]);
    refuses(a.reshape(&[5]), &["[5]", "6 elements"]);
    refuses(a.reshape(&[-1, -1]), &["only one extent can be -1"]);
    refuses(a.reshape(&[-2, 3]), &["-2 is no extent"]);
    refuses(zeros(&[0]).reshape(&[0, -1]), &["0 elements"]);
    refuses(a.reshape(&[isize::MAX, isize::MAX]), &["6 elements"]);
}

#[test]
fn axes_out_of_range_are_named() {
    let a = zeros(&[2, 3]);
    refuses(a.sum(2), &["Tensor::sum: ", "axis 2", "(2, 3)", "0 to 1, or -2 to -1"]);
    refuses(a.mean(-3), &["Tensor::mean: ", "axis -3"]);
    refuses(zeros(&[]).max(0), &["axis 0", "it has none"]);
    refuses(a.argmax(isize::MAX), &["Tensor::argmax: "]);
    refuses(a.permute(&[0, 2]), &["Tensor::permute: ", "axis 2"]);
    refuses(a.permute(&[0, -2]), &["[0, -2]", "once"]);
    refuses(a.permute(&[1]), &["[1]", "once"]);
    refuses(zeros(&[0, 2]).min(0), &["Tensor::min: ", "no elements", "(0, 2)"]);
    refuses(zeros(&[0, 2]).argmin(Over::all()), &["Tensor::argmin: ", "no elements"]);
}

#[test]
fn slices_that_cannot_be_read_name_the_part() {
    let a = zeros(&[2, 3]);
    refuses(a.slice("0, x:2"), &["Tensor::slice: ", "\"x:2\"", "\"x\""]);
    refuses(a.slice("1.5"), &["\"1.5\"", "whole number"]);
    refuses(a.slice("0,"), &["write : for a whole axis"]);
    refuses(a.slice("::0"), &["\"::0\"", "step 0"]);
    refuses(a.slice("1:2:3:4"), &["\"1:2:3:4\"", "two colons"]);
    refuses(a.slice("..., ..."), &["more than one ..."]);
    refuses(a.slice(":, :, 0"), &["names 3 axes", "(2, 3) has 2"]);
    refuses(a.slice(":, 3"), &["place 3", "axis 1", "(2, 3)"]);
    refuses(a.slice("-3"), &["place -3", "axis 0"]);
    let far = format!("{}:{}:{}", isize::MIN, isize::MAX, isize::MAX);
    assert_eq!(a.slice(&far).expect("clipped").shape().to_string(), "(1, 3)");
    assert_eq!(a.slice(&format!("::{}", isize::MIN)).expect("clipped").shape().to_string(), "(1, 3)");
}

#[test]
fn labels_are_checked() {
    refuses(Tensor::to_categorical(&Tensor::from([0u32, 3]), 3), &["label 3 at 1", "3 classes"]);
    refuses(Tensor::to_categorical(&Tensor::from([0.0f32]), 3), &["f32"]);
    refuses(Tensor::from([u32::MAX, 1]).sum(0), &["4294967296", "u32", "astype(DType::F64)"]);
}

#[test]
fn operators_are_the_methods() {
    let (a, row) = (Tensor::from([[1.0f32, 2.0], [3.0, 4.0]]), Tensor::from(vec![10.0f32, 20.0]));
    assert_eq!(&a + &row, a.try_add(&row).unwrap());
    assert_eq!(a.clone() - &row, a.try_sub(&row).unwrap());
    assert_eq!(&a * row.clone(), a.try_mul(&row).unwrap());
    assert_eq!(a.clone() / row.clone(), a.try_div(&row).unwrap());
    assert_eq!((-&a, -a.clone()), (a.neg(), a.neg()));
    // A number is no f64 beside f32, and makes a float of integers.
    assert_eq!((&a + 0.5, 1.0 - &a), (Tensor::from([[1.5f32, 2.5], [3.5, 4.5]]), -(&a - 1.0)));
    assert_eq!(Tensor::from([4u8, 6]) / 4.0, Tensor::from([1.0f64, 1.5]));
    assert_eq!(2.0 * row, Tensor::from([20.0f32, 40.0]));
}

#[test]
fn operators_panic_with_both_shapes() {
    let said = |operator: fn(&Tensor, &Tensor) -> Tensor| {
        let panic = std::panic::catch_unwind(|| operator(&zeros(&[2, 3]), &zeros(&[4]))).unwrap_err();
        panic.downcast_ref::<String>().unwrap().clone()
    };
    for said in [said(|a, b| a + b), said(|a, b| a - b), said(|a, b| a * b), said(|a, b| a / b)] {
        assert!(said.contains("(2, 3) and (4,)"), "{said}");
    }
    for (t, part) in [(zeros(&[2, 3]), "no element [2, 0] in shape (2, 3)"), (zeros(&[4]), "no element [2, 0]")] {
        let panic = std::panic::catch_unwind(|| t[[2, 0]]).unwrap_err();
        assert!(panic.downcast_ref::<String>().unwrap().contains(part));
    }
    let panic = std::panic::catch_unwind(|| Tensor::from([1u8])[[0]]).unwrap_err();
    assert!(panic.downcast_ref::<String>().unwrap().contains("the elements are u8; take one by at"));
}

#[test]
fn elements_go_in_and_out() {
    let mut t = Tensor::try_from(vec![vec![1.0f32, 2.0], vec![3.0, 4.5]]).unwrap();
    assert_eq!((t[[1, 0]], t.at::<u32>(&[1, 1]).unwrap(), t.to_vec::<f64>()), (3.0, 4, vec![1.0, 2.0, 3.0, 4.5]));
    t[[0, 1]] = 7.0;
    assert_eq!(t, Tensor::from([[1.0f32, 7.0], [3.0, 4.5]]));
    assert_eq!(Tensor::from(&[1u32, 2][..]), Tensor::from([1u32, 2]));
    assert_eq!(Tensor::from(0.5f64).at::<f32>(&[]).unwrap(), 0.5);
    refuses(Tensor::try_from(vec![vec![1u8], vec![]]), &["row 0 has 1 elements, row 1 has 0"]);
    refuses(t.at::<f32>(&[0]).map(Tensor::from), &["no element [0] in shape (2, 2)"]);
}

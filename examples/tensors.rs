//! Tensors in host memory, as NumPy has them, and the bare graph.
//!
//! `cargo run --example tensors` prints each operation with its result.

use kiln::device::{Device, Executor};
use kiln::graph::{Graph, Leaf, Type};
use kiln::ops::binary::Binary;
use kiln::ops::copy::Copy;
use kiln::plan::{Arena, BufferId, Plan};
use kiln::tensor::Over;
use kiln::{DType, Result, Shape, Tensor};

pub fn main() -> anyhow::Result<()> {
    shapes()?;
    arithmetic()?;
    products()?;
    parts()?;
    reductions()?;
    softmax()?;
    Ok(graph()?)
}

fn show(title: &str, tensor: &Tensor) {
    println!("{title}: {} {}\n{tensor}\n", tensor.dtype(), tensor.shape());
}

/// The whole numbers from 0 on.
fn counted(shape: impl Into<Shape>) -> Result<Tensor> {
    let shape = shape.into();
    let values: Vec<f32> = (0..shape.len()).map(|i| i as f32).collect();
    Tensor::new(shape, values)
}

fn shapes() -> Result<()> {
    let vector = Tensor::from([12u8, 3, 6, 14]);
    for (name, tensor) in [("a scalar", Tensor::from(12.0f32)), ("a vector", vector), ("a cube", counted([2, 3, 2])?)] {
        show(&format!("{name}, rank {}", tensor.rank()), &tensor);
    }
    let x = counted([3, 2])?;
    show("reshape(&[6, 1])", &x.reshape(&[6, 1])?);
    show("reshape(&[2, -1])", &x.reshape(&[2, -1])?);
    show("transpose()", &x.transpose());
    show("permute(&[1, 2, 0]) of (2, 3, 2)", &counted([2, 3, 2])?.permute(&[1, 2, 0])?);
    show("concatenate(&[&x, &x], -1)", &Tensor::concatenate(&[&x, &x], -1)?);
    Ok(())
}

fn arithmetic() -> Result<()> {
    let (x, row) = (counted([2, 3])?, Tensor::from([10.0f32, 20.0, 30.0]));
    show("x", &x);
    show("&x + &row, the row repeated", &(&x + &row));
    show("&x - &row", &(&x - &row));
    show("&x * &row", &(&x * &row));
    show("&x / &row", &(&x / &row));
    show("x.astype(DType::U8)", &x.astype(DType::U8));
    show("-&x", &-&x);
    show("x.exp()", &x.exp());
    show("x.log()", &x.log());
    show("x.sqrt()", &x.sqrt());
    show("relu: x - 2 beside 0", &(&x - 2.0).maximum(&Tensor::from(0.0f32))?);
    for (a, b) in [(DType::U8, DType::F32), (DType::U32, DType::F32), (DType::U8, DType::U32)] {
        println!("{a} and {b} give {}", a.promote(b));
    }
    println!("shapes that do not fit: {}\n", x.try_add(&Tensor::from([1.0f32, 2.0])).expect_err("3 is not 2"));
    Ok(())
}

fn products() -> Result<()> {
    let x = counted([2, 3])?;
    let v = Tensor::from([1.0f32, 2.0, 3.0]);
    show("(3,) dot (3,)", &v.dot(&v)?);
    show("(2, 3) dot (3,)", &x.dot(&v)?);
    show("(2, 3) dot (3, 2)", &x.dot(&x.transpose())?);
    let wide = counted([2, 2, 2, 3])?.dot(&counted([3, 2])?)?;
    show("(2, 2, 2, 3) dot (3, 2)", &wide);
    Ok(())
}

fn parts() -> Result<()> {
    let images = counted([4, 3, 4])?;
    for text in ["1:3, :, -2:", "0", "..., -1", "::-2, 1, ::3", "10:"] {
        show(&format!("slice({text:?}) of {}", images.shape()), &images.slice(text)?);
    }
    Ok(())
}

fn reductions() -> Result<()> {
    let x = Tensor::from([[0.1f32, 0.7, 0.2], [0.5, 0.3, 0.2]]);
    show("x", &x);
    show("x.sum(Over::all())", &x.sum(Over::all())?);
    show("x.mean(0)", &x.mean(0)?);
    show("x.max(Over::axis(-1).keepdims())", &x.max(Over::axis(-1).keepdims())?);
    show("x.min(1)", &x.min(1)?);
    show("x.argmax(-1)", &x.argmax(-1)?);
    show("x.argmin(-1)", &x.argmin(-1)?);
    show("to_categorical(&[0, 3, 1], 4)", &Tensor::to_categorical(&Tensor::from([0u8, 3, 1]), 4)?);
    Ok(())
}

/// Less the largest, or e^789 would be infinite.
fn softmax() -> Result<()> {
    let x = Tensor::from([1.0f32, 2.0, 788.0, 789.0]);
    let powers = (&x - x.max(Over::all())?).exp();
    show("softmax of [1, 2, 788, 789]", &(&powers / powers.sum(Over::all())?));
    Ok(())
}

/// 10 + 20 as a graph of constants; then the same with the 10 fed at run time.
fn graph() -> Result<()> {
    let mut g = Graph::new();
    let (ten, twenty) = (g.fill(10.0, Shape::default()), g.fill(20.0, Shape::default()));
    let fed = g.leaf(Leaf::Input(0), Type::float(Shape::default()));
    for (i, summand) in [ten, fed].into_iter().enumerate() {
        let sum = g.apply(Binary::Add, &[summand, twenty])?;
        let place = g.leaf(Leaf::Output(i), g.ty(sum).clone());
        g.effect(Copy, &[sum], &[place])?;
    }
    let mut executor = Executor::new(&Device::auto()?)?;
    let plan = executor.load(&Plan::new("sums", &g, &Arena::default())?)?;
    let read = |executor: &mut Executor, i| executor.read(BufferId::Output(i), 0..1);
    for feed in [10.0f32, 22.0] {
        executor.write(BufferId::Input(0), Tensor::from(feed).values())?;
        executor.run(plan, 1)?;
        show(&format!("graph: {feed} fed, + 20"), &Tensor::new([], read(&mut executor, 1)?)?);
    }
    show("graph: 10 + 20", &Tensor::new([], read(&mut executor, 0)?)?);
    Ok(())
}

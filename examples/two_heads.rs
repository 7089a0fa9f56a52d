//! Two inputs and two outputs: a small picture and a number in, a class and a value out.
//!
//! `cargo run --release --example two_heads [-- --device NAME]` draws bars, upright or lying, of a brightness that the number
//! scales; the net tells how they lie and how bright they were. It prints the summary, both figures and one answer.

mod common;

use kiln::prelude::*;

const SIDE: usize = 6;
const COUNT: usize = 600;

/// Pictures with a bar, the number that each was dimmed by, how the bar lies, and how bright it was before.
fn bars() -> Result<Dataset> {
    let (mut pictures, mut dims, mut lying, mut bright) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for i in 0..COUNT {
        // No generator: the same bars everywhere.
        let (place, lies) = (i % SIDE, i / SIDE % 2);
        let [brightness, dim] = [0.2 + (i * 37 % 81) as f32 / 100.0, 0.25 + (i * 53 % 97) as f32 / 128.0];
        let lit = |at: usize| if lies == 1 { at / SIDE == place } else { at % SIDE == place };
        pictures.extend((0..SIDE * SIDE).map(|at| if lit(at) { (255.0 * brightness * dim) as u8 } else { 0 }));
        dims.push(dim);
        lying.push(lies as u32);
        bright.push(brightness);
    }
    let column = |values| Tensor::new([COUNT, 1], values);
    Dataset::new(
        [("picture", Tensor::new([COUNT, SIDE, SIDE], pictures)?), ("dim", column(dims)?)],
        [("lies", Tensor::new([COUNT], lying)?), ("brightness", column(bright)?)],
    )
}

fn model() -> Result<Model> {
    let picture = Input::new([SIDE, SIDE]).named("picture");
    let dim = Input::new([1]).named("dim");
    let seen = Dense::new(32).activation(Activation::Relu).apply(Flatten.apply(&picture)?)?;
    let both = Concatenate::new().apply((&seen, &dim))?;
    let both = Dense::new(32).activation(Activation::Relu).apply(both)?;
    let lies = Dense::new(2).activation(Activation::Softmax).named("lies").apply(&seen)?;
    let brightness = Dense::new(1).named("brightness").apply(both)?;
    Model::new((&picture, &dim), [lies, brightness])
}

pub fn main() -> anyhow::Result<()> {
    let (train, test) = bars()?.split_at(500);
    let mut model = model()?.seed(1).device(common::device()?);
    print!("{}", model.summary()?);
    let lies = Objective::new(Loss::SparseCategoricalCrossentropy).metrics([Metric::Accuracy]);
    let brightness = Objective::new(Loss::MeanSquaredError).metrics([Metric::MeanAbsoluteError]);
    let adam = Adam::new(0.005);
    model.compile_with(adam, [("lies", lies), ("brightness", brightness)])?;
    model.fit(&train, Fit::new().epochs(60).batch_size(20).seed(1).verbose(0))?;
    let scores = model.evaluate(&test)?;
    let of = |name| scores.get(name).expect("asked for");
    println!("lies: accuracy {:.2}", of("lies_accuracy"));
    println!("brightness: off by {:.2} on the mean", of("brightness_mean_absolute_error"));
    let one = test.head(1);
    let answers = model.predict_all(&[one.inputs()[0].tensor(), one.inputs()[1].tensor()])?;
    println!("the first: {:.2?} and {:.2?}", answers[0].values().to_f32(), answers[1].values().to_f32());
    Ok(())
}

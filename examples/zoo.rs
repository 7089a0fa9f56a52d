//! Seven kinds of animals by a multinomial logistic regression: 16 features and a softmax.
//!
//! `cargo run --release --example zoo [-- --device NAME]` learns all 101 animals of examples/data/zoo.csv.

mod common;

use kiln::data::Csv;
use kiln::prelude::*;

const ZOO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data/zoo.csv");
const KINDS: [&str; 7] = ["mammal", "bird", "reptile", "fish", "amphibian", "insect", "invertebrate"];

pub fn main() -> anyhow::Result<()> {
    let device = common::device()?;
    let zoo = Csv::new().label("type").classes(KINDS).without(["name"]).read(ZOO)?.data;
    let mut model = Sequential::new().add(Dense::new(7).activation(Activation::Softmax)).device(device);
    let optimizer = Sgd { learning_rate: 0.1, ..Sgd::default() };
    model.compile(optimizer, Loss::SparseCategoricalCrossentropy, [Metric::Accuracy])?;
    model.fit(&zoo, Fit::new().epochs(300).verbose(0))?;
    let scores = model.evaluate(&zoo)?;
    let [loss, accuracy] = ["loss", "accuracy"].map(|name| scores.get(name).expect("measured"));
    println!("loss {loss:.4}, accuracy {accuracy:.2}: {} of {}", (accuracy * zoo.len() as f64).round(), zoo.len());
    Ok(())
}

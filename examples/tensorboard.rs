//! What TensorBoard shows of a training: values by epoch and by step, histograms of weights and gradients, the model's
//! table, the confusion matrix of the validation, and a picture of one's own.
//!
//! `cargo run --example tensorboard [FOLDER]` writes them into FOLDER, `runs/spirals` unless given, and prints the values by
//! epoch as JSON; `tensorboard --logdir runs` then shows them.

use std::fs;
use std::path::PathBuf;

use kiln::io::tensorboard::EventWriter;
use kiln::prelude::*;
use kiln::train::callbacks::UpdateFreq;

/// Points on two spirals that wind around each other, and which of them each is on.
fn spirals() -> Result<Dataset> {
    let point = |i: u32| {
        let (radius, turn) = (i as f32 / 240.0, i as f32 / 40.0);
        let angle = turn + if i.is_multiple_of(2) { 0.0 } else { std::f32::consts::PI };
        [radius * angle.cos(), radius * angle.sin()]
    };
    let x: Vec<f32> = (0..240).flat_map(point).collect();
    let y: Vec<u32> = (0..240).map(|i| i % 2).collect();
    Dataset::new(Tensor::new([240, 2], x)?, Tensor::new([240], y)?)
}

pub fn main() -> anyhow::Result<()> {
    let folder = PathBuf::from(std::env::args().nth(1).unwrap_or_else(|| "runs/spirals".into()));
    let data = spirals()?;
    let mut model = Sequential::new()
        .add(Dense::new(16).activation(Activation::Tanh))
        .add(Dense::new(2).activation(Activation::Softmax))
        .device(Device::cpu());
    model.compile(Adam::default(), Loss::SparseCategoricalCrossentropy, [Metric::Accuracy])?;
    let names = ["inner", "outer"];
    let board = TensorBoard::new(&folder)
        .histogram_freq(2)
        .write_gradients(true)
        .update_freq(UpdateFreq::Batches(5))
        .confusion_matrix_freq(2)
        .class_names(names);
    let options = Fit::new().epochs(5).batch_size(16).validation_data(&data).verbose(0).callback(board);
    let history = model.fit(&data, options)?;

    // Each folder is a run: the callback's are `train` and `validation`.
    let picture = folder.join("curves.png");
    history.plot(&picture)?;
    model.confusion_matrix(&data)?.with_class_names(names)?.plot(folder.join("confusion.png"))?;
    let mut writer = EventWriter::create(folder.join("pictures"))?;
    writer.image("curves", 0, &fs::read(&picture)?)?;
    writer.flush()?;
    println!("{}", history.to_json());
    Ok(())
}

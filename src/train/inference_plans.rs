//! Tests of what a step of predictions consists of.

use super::Sequential;
use super::session::make_plan;
use super::trace::{Key, Mode, Part, Resident};
use crate::Tensor;
use crate::device::Device;
use crate::graph::Type;
use crate::nn::layers::{
    BatchNormalization, Conv1D, Conv1DTranspose, Conv2D, Conv2DTranspose, Dense, DepthwiseConv1D, DepthwiseConv2D,
    SeparableConv2D,
};
use crate::nn::{Activation, Layer};

/// A layer, the shape of a sample, and the ops of a step that predicts, but for the statistics'.
type Net<'a> = (Box<dyn Layer>, &'a [usize], &'a [&'a str]);

/// The ops of a step of predictions of samples of a shape, but for those that bring samples in and answers out.
fn steps(layers: Vec<Box<dyn Layer>>, sample: &[usize]) -> Vec<&'static str> {
    let mut model = layers.into_iter().fold(Sequential::new(), Sequential::add).device(Device::cpu());
    let x = Type::float([&[2], sample].concat());
    model.predict(&Tensor::new(x.shape.clone(), vec![0.5f32; x.shape.len()]).unwrap()).unwrap();
    let (session, model) = model.parts();
    let source = Resident { column: 0, inputs: vec![(x, 0)], targets: Vec::new(), weighted: false };
    let key = Key { mode: Mode::Predict, part: Part::All, source, batch: 2, rows: 2, steps: 1, updates: true };
    let plan = make_plan(&model, &mut session.parameters().to_vec(), &key).unwrap();
    let names = plan.steps.iter().map(|step| step.op.name());
    names.filter(|name| !["gather", "predictions", "clock"].contains(name)).collect()
}

#[test]
fn batch_normalization_behind_a_product_takes_no_pass_of_its_own() {
    const STATISTICS: &str = "scale_shift_statistics";
    let (images, sequences) = (&[6, 5, 4][..], &[7, 4][..]);
    let nets: [Net<'_>; 9] = [
        (Box::new(Conv2D::new(3, 3)), images, &["conv+scale_shift"]),
        (Box::new(Conv2D::new(3, 3).use_bias(false)), images, &["conv+scale_shift"]),
        (Box::new(DepthwiseConv2D::new(2)), images, &["conv+scale_shift"]),
        (Box::new(SeparableConv2D::new(3, 2)), images, &["conv", "matmul+scale_shift"]),
        (Box::new(Conv2DTranspose::new(3, 2)), images, &["conv_transpose+scale_shift"]),
        (Box::new(Conv1D::new(3, 2)), sequences, &["conv+scale_shift"]),
        (Box::new(DepthwiseConv1D::new(2)), sequences, &["conv+scale_shift"]),
        (Box::new(Conv1DTranspose::new(3, 2)), sequences, &["conv_transpose+scale_shift"]),
        (Box::new(Dense::new(3)), sequences, &["matmul+scale_shift"]),
    ];
    for (layer, sample, wanted) in nets {
        let said = format!("{layer:?}");
        let found = steps(vec![layer, Box::new(BatchNormalization::new()), Box::new(Activation::Relu)], sample);
        let mut sorted = [found.clone(), [wanted, &[STATISTICS]].concat()];
        sorted.iter_mut().for_each(|names| names.sort_unstable());
        assert_eq!(sorted[0], sorted[1], "{said}: {found:?}");
    }
}

#[test]
fn batch_normalization_that_no_product_is_before_is_one_pass() {
    let found = steps(vec![Box::new(BatchNormalization::new().axis(1))], &[6, 5]);
    assert_eq!(found, ["scale_shift_statistics", "scale_shift"]);
    // The activation of the product comes first: nothing is scaled before it.
    let relu = Dense::new(3).activation(Activation::Relu);
    let found = steps(vec![Box::new(relu), Box::new(BatchNormalization::new())], &[6]);
    assert_eq!(found, ["matmul+activation", "scale_shift_statistics", "scale_shift"]);
}

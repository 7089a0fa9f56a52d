//! The test that training leaves nothing behind on the device, by wgpu's own counts.

use super::Context;
use crate::device::Device;
use crate::device::choose::Kind;
use crate::prelude::*;

/// What the device holds once everything submitted has run: objects by kind, and bytes of buffers.
fn held(context: &Context) -> [(&'static str, isize); 7] {
    context.device.poll(wgpu::PollType::wait_indefinitely()).expect("the device answers");
    let counts = context.device.get_internal_counters().hal;
    // Those of submits that have run are kept for others: as many as were ever under way at once.
    assert!(counts.command_encoders.read() < 10, "{} encoders", counts.command_encoders.read());
    [
        ("buffers", counts.buffers.read()),
        ("bytes", counts.buffer_memory.read()),
        ("bind groups", counts.bind_groups.read()),
        ("bind group layouts", counts.bind_group_layouts.read()),
        ("pipelines", counts.compute_pipelines.read()),
        ("modules", counts.shader_modules.read()),
        ("fences", counts.fences.read()),
    ]
}

#[test]
fn the_device_holds_no_more_after_10000_steps() {
    let request = std::env::var("KILN_TEST_DEVICE").unwrap_or_else(|_| "gpu".into());
    let device = Device::choose(&request).expect("no adapter; run scripts/test, which installs one").device;
    let Kind::Gpu(context, _) = &device.kind else { panic!("{device} is no adapter") };
    let x = |rows: usize| Tensor::new([rows, 5], (0..rows * 5).map(|i| (i % 7) as f32).collect::<Vec<_>>()).unwrap();
    let y = |rows: usize| Tensor::new([rows], (0..rows).map(|i| (i % 3) as u8).collect::<Vec<_>>()).unwrap();
    let (training, validation) = (Dataset::new(x(399), y(399)).unwrap(), Dataset::new(x(50), y(50)).unwrap());
    let mut model = Sequential::new().add(Dense::new(4).activation(Activation::Relu)).add(Dropout::new(0.1));
    model = model.add(Dense::new(3).activation(Activation::Softmax)).device(device.clone());
    model.compile(RmsProp::default(), Loss::SparseCategoricalCrossentropy, [Metric::Accuracy]).unwrap();
    // 100 steps an epoch, the last of them a short one.
    let mut counts = Vec::new();
    let mut train = |epochs: usize| {
        let fit = Fit::new().epochs(epochs).batch_size(4).verbose(0).validation_data(&validation);
        model.fit(&training, fit.on_epoch_end(|_, _| counts.push(held(context)))).unwrap();
        model.predict(&x(50)).unwrap();
        counts.push(held(context));
    };
    train(1);
    (0..10).for_each(|_| train(10));
    let (first, later) = (counts[1], &counts[2..]);
    assert!(first[0].1 > 0, "the counts do not count: {first:?}");
    assert!(later.iter().all(|&now| now == first), "{first:?} after 100 steps; later {later:?}");
}

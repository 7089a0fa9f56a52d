//! How much memory plans take: what their slots hold against the least that any plan of the same steps could.

use std::collections::{BTreeMap, HashMap};
use std::ops::RangeInclusive;

use kiln::bench::STANDARD;
use kiln::device::Device;
use kiln::plan::{BufferId, Place, Plan};
use kiln::prelude::*;

use crate::common::compiled;

/// The bytes of the slots that values use in turn.
fn held(plan: &Plan) -> usize {
    plan.buffers.iter().filter(|b| matches!(b.id, BufferId::Temp(_))).map(|b| b.len * b.dtype.size()).sum()
}

/// From the step that makes each value in a slot to the last that reads it; and the value's bytes.
fn lives(plan: &Plan) -> Vec<(RangeInclusive<usize>, usize)> {
    let mut lives: Vec<(RangeInclusive<usize>, usize)> = Vec::new();
    let mut in_slot: HashMap<BufferId, usize> = HashMap::new();
    let is_slot = |place: &&Place| matches!(place.buffer, BufferId::Temp(_));
    for (n, step) in plan.steps.iter().enumerate() {
        for place in step.inputs.iter().filter(is_slot) {
            let life = &mut lives[in_slot[&place.buffer]].0;
            *life = *life.start()..=n;
        }
        for (place, ty) in step.outputs.iter().zip(&step.io.outputs).filter(|(place, _)| is_slot(place)) {
            in_slot.insert(place.buffer, lives.len());
            lives.push((n..=n, ty.shape.len() * ty.dtype.size()));
        }
    }
    lives
}

/// The largest sum of values that are needed at one step: those that it reads, those that it writes and those that wait.
fn bound(plan: &Plan) -> usize {
    let lives = lives(plan);
    let at = |step: usize| lives.iter().filter(|(life, _)| life.contains(&step)).map(|(_, bytes)| bytes).sum();
    (0..plan.steps.len()).map(at).max().unwrap_or(0)
}

fn model(name: &str) -> Model {
    STANDARD.into_iter().find(|model| model.name == name).expect(name).untrained(&Device::cpu()).unwrap()
}

/// An image made smaller and larger again.
fn autoencoder() -> Model {
    let layers = "conv2d 16 3 relu strides=2 padding=same, conv2d 8 3 relu strides=2 padding=same, \
                  conv2d_transpose 8 3 relu strides=2 padding=same, conv2d_transpose 16 3 relu strides=2 padding=same, \
                  conv2d 1 3 sigmoid padding=same";
    compiled(layers, [28, 28, 1], "mse")
}

#[test]
fn slots_hold_little_more_than_what_a_step_needs_at_once() {
    let standard = STANDARD.map(|model| (model.name, model.batch, model.untrained(&Device::cpu()).unwrap()));
    let mut shares = BTreeMap::new();
    for (name, batch, model) in standard.into_iter().chain([("autoencoder", 128, autoencoder())]) {
        for (kind, plan) in
            [("trains", model.training_plan(batch, 60_000)), ("evaluates", model.evaluation_plan(10_000))]
        {
            let plan = plan.unwrap();
            let (held, bound) = (held(&plan), bound(&plan));
            assert!(bound > 0 && held >= bound, "{name} {kind}: {held} bytes of slots are fewer than {bound}");
            shares.insert(format!("{name} {kind}"), held as f64 / bound as f64);
        }
    }
    // A transformer's evaluation, of values of many sizes, is not packed as well; its training is.
    let most = |name: &str| if name == "transformer evaluates" { 1.36 } else { 1.25 };
    assert!(shares.iter().all(|(name, &share)| share <= most(name)), "{shares:#?}");
    // 200 images of 26x26x32, 24x24x64 and again 24x24x64, of which max pooling's gradient needs two at least.
    let cnn = bound(&model("cnn").training_plan(200, 60_000).unwrap());
    let least = 4 * 200 * (26 * 26 * 32 + 2 * 24 * 24 * 64);
    assert!((least..2 * least).contains(&cnn), "{cnn} of {least}");
}

#[test]
fn an_evaluation_takes_memory_for_a_batch_whatever_the_number_of_images() {
    // The largest step of the CNN's evaluation reads 26x26x32 and writes 24x24x64; its training holds 24x24x64 once more, and what was
    // pooled. The residual net's evaluation holds three images at most, its training those of all blocks.
    for (name, most) in [("cnn", 56), ("resnet", 20)] {
        let model = model(name);
        let [few, many] = [1_000, 10_000].map(|rows| model.evaluation_plan(rows).unwrap());
        let slots = |plan: &Plan| {
            let slots = plan.buffers.iter().filter(|b| matches!(b.id, BufferId::Temp(_)));
            slots.map(|b| (b.id, b.dtype, b.len)).collect::<Vec<_>>()
        };
        assert_eq!(slots(&few), slots(&many), "{name}");
        // No gradients and no moments; what a training step keeps for them it does not hold.
        let (training, evaluation) = (held(&model.training_plan(500, 10_000).unwrap()), held(&many));
        assert!(evaluation * 100 <= training * most, "{name}: {evaluation} of {training}");
        assert!(many.buffers.iter().all(|b| !matches!(b.id, BufferId::Grads | BufferId::Moment(_))), "{name}");
    }
}

/// Of 500 images at once, as small ones are measured, the first layer alone would make 8.6 GB.
#[test]
fn an_evaluation_of_large_images_takes_few_at_once() {
    let mut model = Sequential::from_text("conv2d 16 3 relu padding=same, max_pooling2d 4, flatten, dense 2").unwrap();
    model.build([512, 512, 3]).unwrap();
    model.compile("adam", "mse", []).unwrap();
    let plan = model.evaluation_plan(1_000).unwrap();
    let largest = 4 * 512 * 512 * 16;
    assert!((8 * largest..=20 * largest).contains(&held(&plan)), "{} of {largest}", held(&plan));
}

//! What a callback is told while an epoch is under way.

use kiln::prelude::*;

use crate::common::devices;

/// Notes each call.
struct Seen(Vec<(usize, f64)>);

impl Callback for Seen {
    fn wants_progress(&self) -> bool {
        true
    }

    fn on_progress(&mut self, step: usize, logs: &Logs) -> Result<()> {
        self.0.push((step, logs.get("loss").expect("a loss")));
        Ok(())
    }
}

/// An epoch takes half a second or more, of which it is told in passing.
#[test]
fn progress_is_told_in_passing_and_changes_no_bit() {
    for device in devices() {
        let steps = if device.is_gpu() { 1000 } else { 20_000 };
        let x: Vec<f32> = (0..steps * 64).map(|i| (i % 97) as f32 / 97.0).collect();
        let y = Tensor::new([steps, 1], vec![0.5f32; steps]).unwrap();
        let data = Dataset::new(Tensor::new([steps, 64], x).unwrap(), y).unwrap();
        let run = |fit: Fit<'_>| {
            let mut model = Sequential::new().add(Dense::new(256)).add(Dense::new(1)).device(device.clone());
            model.compile(Sgd::default(), Loss::MeanSquaredError, []).unwrap();
            let history = model.fit(&data, fit.batch_size(1).verbose(0)).unwrap();
            (history, model.weights().unwrap())
        };
        let mut seen = Seen(Vec::new());
        assert!(run(Fit::new().callback(&mut seen)) == run(Fit::new()), "{device}: another run than without");
        let told: Vec<usize> = seen.0.iter().map(|(step, _)| *step).collect();
        assert!(!told.is_empty() && told.len() < steps / 20, "{device}: {} times", told.len());
        assert!(told.is_sorted() && told[0] >= 1 && told[told.len() - 1] <= steps, "{device}: {told:?}");
        assert!(seen.0.iter().all(|(_, loss)| loss.is_finite()), "{device}");
    }
}

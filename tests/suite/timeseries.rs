//! Windows over series: Keras' own, by `scripts/golden-text`; windows to the next steps; training from a source.

use kiln::data::{Source, TimeseriesDataset, Windows};
use kiln::prelude::*;
use kiln::tensor::Values;

use crate::common::{devices, fixture, numbers, says};

#[test]
fn windows_and_their_targets_are_keras() {
    let golden = fixture("keras-timeseries.json");
    for (name, case) in golden.as_object().unwrap() {
        let count = |name: &str| case[name].as_u64().unwrap() as usize;
        let setting = |name: &str| case["settings"][name].as_u64().map(|value| value as usize);
        let (steps, targets) = (count("steps"), count("targets"));
        let data = Tensor::new([steps, 2], (0..2 * steps).map(|x| x as f32).collect::<Vec<_>>()).unwrap();
        let wanted = Tensor::new([targets], (0..targets).map(|x| x as f32 + 100.0).collect::<Vec<_>>()).unwrap();
        let mut windows = Windows::new(setting("sequence_length").unwrap())
            .sequence_stride(setting("sequence_stride").unwrap_or(1))
            .sampling_rate(setting("sampling_rate").unwrap_or(1))
            .start_index(setting("start_index").unwrap_or(0));
        if let Some(end) = setting("end_index") {
            windows = windows.end_index(end);
        }
        let set = TimeseriesDataset::from_array(data, wanted, windows).unwrap();
        let all = set.to_dataset().unwrap();
        assert_eq!(all.x().shape().iter().map(|&n| n as f64).collect::<Vec<_>>(), numbers(&case["shape"]), "{name}");
        assert_eq!(all.x().values().to_f64(), numbers(&case["x"]), "{name}");
        assert_eq!(all.y().values().to_f64(), numbers(&case["y"]), "{name}");
        assert_eq!(set.len(), all.len(), "{name}");
        // In any order, some of them twice.
        let rows: Vec<usize> = (0..set.len()).rev().chain([0]).collect();
        assert_eq!(set.read(&rows).unwrap(), all.subset(&rows).unwrap(), "{name}");
    }
}

#[test]
fn each_step_leads_to_the_next_one() {
    for (steps, windows, starts) in [
        (5, Windows::new(4), vec![0]),
        (9, Windows::new(4), vec![0, 1, 2, 3, 4]),
        (9, Windows::new(4).sequence_stride(4), vec![0, 4]),
        (9, Windows::new(3).sequence_stride(4).start_index(1), vec![1, 5]),
        (9, Windows::new(3).start_index(2).end_index(7), vec![2, 3]),
        (9, Windows::new(3).sampling_rate(2), vec![0, 1, 2, 3]),
    ] {
        let series = Tensor::new([steps], (0..steps as u32).map(|x| x * 7).collect::<Vec<_>>()).unwrap();
        let set = TimeseriesDataset::next_steps(series, windows).unwrap().to_dataset().unwrap();
        let rate = if windows == Windows::new(3).sampling_rate(2) { 2 } else { 1 };
        let wanted = |later: u32| -> Vec<u32> {
            let n = set.x().shape()[1] as u32;
            starts.iter().flat_map(|start| (0..n).map(move |step| (start + step * rate + later) * 7)).collect()
        };
        assert_eq!(set.x().values(), &Values::U32(wanted(0)), "{windows:?}");
        assert_eq!(set.y().values(), &Values::U32(wanted(1)), "{windows:?}");
    }
}

#[test]
fn windows_that_are_none_are_refused() {
    let series = || Tensor::from([1f32, 2.0, 3.0, 4.0]);
    let next = |windows| TimeseriesDataset::next_steps(series(), windows);
    says(next(Windows::new(4)), &["sequence_length: a window and its target take 5 steps; there are 4"]);
    says(next(Windows::new(0)), &["sequence_length: is 0"]);
    says(next(Windows::new(1).sequence_stride(0)), &["sequence_stride: is 0"]);
    says(next(Windows::new(1).sampling_rate(0)), &["sampling_rate: is 0"]);
    says(next(Windows::new(usize::MAX).sampling_rate(usize::MAX)), &["sequence_length: a window"]);
    says(next(Windows::new(1).end_index(5)), &["from step 0 to 5 are none of a series of 4"]);
    says(next(Windows::new(1).start_index(4)), &["from step 4 to 4 are none"]);
    let to = |targets: Tensor, windows| TimeseriesDataset::from_array(series(), targets, windows);
    says(to(series(), Windows::new(5)), &["take 5 steps; there are 4"]);
    says(to(Tensor::from([1f32]), Windows::new(2).start_index(1)), &["sequence_length: "]);
    says(to(Tensor::new([], vec![1f32]).unwrap(), Windows::new(2)), &["targets: is a scalar"]);
    assert_eq!(to(series(), Windows::new(4)).unwrap().len(), 1);
    says(next(Windows::new(2)).unwrap().read(&[2]), &["rows: there is no window 2 of 2"]);
}

/// What streams from windows trains to the bits of all windows at rest.
#[test]
fn windows_train_as_their_copies_do() -> Result<()> {
    let series: Vec<f32> = (0..70u32).map(|step| (step * step % 17) as f32 / 17.0).collect();
    let windows = TimeseriesDataset::from_array(
        Tensor::new([70], series.clone())?,
        Tensor::new([65], series[5..].to_vec())?,
        Windows::new(5),
    )?;
    let copies = windows.to_dataset()?;
    for device in devices() {
        let fit = |source: &dyn Source| -> Result<Vec<f64>> {
            let mut model = Sequential::new().add(Dense::new(3)).add(Dense::new(1)).device(device.clone());
            model.compile(Sgd::new(0.1), "mse", [])?;
            Ok(model.fit(source, Fit::new().epochs(2).batch_size(16).verbose(0))?.get("loss").to_vec())
        };
        assert_eq!(fit(&windows)?, fit(&copies)?);
    }
    Ok(())
}

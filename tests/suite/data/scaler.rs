//! Scaled columns, held against the formulas in doubles.

use kiln::data::{Dataset, Scaler};
use kiln::prelude::*;
use kiln::random;

use super::{says, text};

fn set(x: Tensor) -> Dataset {
    let n = x.rows();
    Dataset::new(x, Tensor::new([n], vec![0u32; n]).unwrap()).unwrap()
}

#[track_caller]
fn near(found: &[f64], wanted: &[f64]) {
    assert_eq!(found.len(), wanted.len());
    for (f, w) in found.iter().zip(wanted) {
        assert!((f - w).abs() <= 1e-14 * w.abs(), "{found:?}, expected {wanted:?}");
    }
}

/// NumPy's x.mean(0) and x.std(0), x.min(0) and x.max(0) - x.min(0).
#[test]
fn scales_are_numpys() {
    let data = set(Tensor::from([[1.0f32, -10.0, 0.5], [2.0, 30.0, 0.25], [4.0, 10.0, 8.0], [9.0, 50.0, -2.0]]));
    let scaler = Scaler::standardize(&data);
    near(&scaler.center, &[4.0, 20.0, 1.6875]);
    near(&scaler.scale, &[3.082_207_001_484_488, 22.360_679_774_997_898, 3.772_329_353_330_645]);
    let found = scaler.apply(&data).unwrap();
    let first = [(1.0 - 4.0) / scaler.scale[0], (-10.0 - 20.0) / scaler.scale[1], (0.5 - 1.6875) / scaler.scale[2]];
    assert_eq!(found.x().values().to_f32()[..3], first.map(|x| x as f32));

    let scaler = Scaler::min_max(&data);
    assert_eq!((&scaler.center[..], &scaler.scale[..]), (&[1.0, -10.0, -2.0][..], &[8.0, 60.0, 10.0][..]));
    assert_eq!(scaler.apply(&data).unwrap().x().values().to_f32()[9..], [1.0, 1.0, 0.0]);
}

#[test]
fn scaled_columns_have_mean_0_and_deviation_1() {
    for seed in 0..20 {
        let x: Vec<f32> = random::uniform(300, 5.0, seed, "scaler", 0).iter().map(|x| x + 1000.0).collect();
        let data = set(Tensor::new([100, 3], x).unwrap());
        let scaled = Scaler::standardize(&data).apply(&data).unwrap().x().values().to_f64();
        for column in 0..3 {
            let values: Vec<f64> = scaled.iter().skip(column).step_by(3).copied().collect();
            let mean = values.iter().sum::<f64>() / 100.0;
            let variance = values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 100.0;
            // Each value is rounded to f32.
            assert!(mean.abs() < 1e-7 && (variance - 1.0).abs() < 1e-6, "seed {seed}: {mean} {variance}");
        }
    }
}

/// scikit-learn leaves such a column's scale at 1; 0.1 in f32 has a mean that is rounded.
#[test]
fn a_column_that_does_not_vary_is_centred_alone() {
    let data = set(Tensor::from([[0.1f32, 1e9], [0.1, 1e9], [0.1, 1e9]]));
    for scaler in [Scaler::standardize(&data), Scaler::min_max(&data)] {
        assert_eq!(scaler.scale, [1.0, 1.0]);
        let scaled = scaler.apply(&data).unwrap().x().values().to_f64();
        assert!(scaled.iter().all(|x| x.abs() < 1e-16), "{scaled:?}");
    }
}

#[test]
fn what_was_fitted_is_applied_to_others() {
    let train = set(Tensor::from([[0.0f32, 0.0], [2.0, 4.0]]));
    let scaler = Scaler::min_max(&train);
    let other = set(Tensor::from([[3.0f32, -4.0]]));
    assert_eq!(*scaler.apply(&other).unwrap().x(), Tensor::from([[1.5f32, -1.0]]));
    assert_eq!(scaler.apply_to(other.x()).unwrap(), Tensor::from([[1.5f32, -1.0]]));
    says(&text(scaler.apply_to(&Tensor::from([[1.0f32, 2.0, 3.0]]))), &["fitted to 2 columns, these samples are (3,)"]);
    says(&text(scaler.apply_to(&Tensor::from(1.0f32))), &["fitted to 2 columns"]);
}

/// As they are batched: 255 is 1.
#[test]
fn bytes_are_scaled_first() {
    let data = set(Tensor::new([2, 1, 2], vec![0u8, 51, 255, 51]).unwrap());
    let scaler = Scaler::min_max(&data);
    near(&scaler.scale, &[1.0, 1.0]);
    let scaled = scaler.apply(&data).unwrap();
    assert_eq!((scaled.x(), scaled.scale()), (&Tensor::new([2, 1, 2], vec![0.0f32, 0.0, 1.0, 0.0]).unwrap(), 1.0));
    assert_eq!(scaler.apply_to(data.x()).unwrap(), *scaled.x());
}

#[test]
fn the_text_is_read_again_to_the_bit() {
    let data = set(Tensor::new([50, 4], random::uniform(200, 3.0, 9, "scaler", 1)).unwrap());
    let scaler = Scaler::standardize(&data);
    assert_eq!(scaler.to_string().parse::<Scaler>().unwrap(), scaler);
    let refused = |bad: &str, parts: &[&str]| says(&text(bad.parse::<Scaler>()), parts);
    refused("", &["Scaler: expected a line that begins with \"center\""]);
    refused("center 1\nscal 2\n", &["begins with \"scale\""]);
    refused("center 1 x\nscale 2 2\n", &["center: \"x\" is no number"]);
    refused("center 1 2\nscale 2\n", &["center has 2 columns, scale 1"]);
    refused("center 1\nscale 0\n", &["scale is 0"]);
    refused("center 1\nscale inf\n", &["scale: inf is no finite number"]);
}

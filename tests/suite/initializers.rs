//! Initialisers against Keras' definition of each: mean, variance, bounds, orthogonality.
//!
//! Their numbers come from another generator than Keras', so the moments of many are what there is to compare.

#[cfg(feature = "gpu")]
use std::fmt::Write as _;

use kiln::nn::init::NAMES;
use kiln::prelude::*;

/// A kernel's: 401,408 numbers.
const SHAPE: [usize; 2] = [784, 512];

/// The standard deviation of a standard normal distribution that is cut off at ±2: scipy.stats.truncnorm(-2, 2).std().
const CUT_STDDEV: f64 = 0.879_625_661_034_239_8;

fn values(initializer: Initializer, shape: impl Into<Shape>) -> Vec<f64> {
    initializer.values(&shape.into(), 1, 0).unwrap().into_iter().map(f64::from).collect()
}

/// How numbers are drawn: their mean, the variance about it, and how far from the mean they go.
struct Drawn {
    mean: f64,
    variance: f64,
    bound: f64,
}

impl Drawn {
    fn uniform(mean: f64, variance: f64) -> Self {
        Self { mean, variance, bound: (3.0 * variance).sqrt() }
    }

    /// Normal of this variance after it is cut at two standard deviations.
    fn cut(mean: f64, variance: f64) -> Self {
        Self { mean, variance, bound: 2.0 * variance.sqrt() / CUT_STDDEV }
    }

    /// Checks the numbers of a kernel, and says what they are.
    fn check(&self, initializer: Initializer) -> String {
        let w = values(initializer, SHAPE);
        let n = w.len() as f64;
        let mean = w.iter().sum::<f64>() / n;
        let variance = w.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / n / self.variance;
        let mean = (mean - self.mean) / (self.variance / n).sqrt();
        let furthest = w.iter().map(|x| (x - self.mean).abs()).fold(0.0, f64::max);
        assert!(mean.abs() < 5.0, "{initializer:?}: the mean is {mean} standard errors off");
        // It strays by 0.22% for the normal and by less elsewhere.
        assert!((variance - 1.0).abs() < 0.01, "{initializer:?}: the variance is {variance} of what it should be");
        let start = format!("mean {mean:.1} standard errors off, variance {variance:.4} of it");
        if self.bound == f64::INFINITY {
            // Of so many, the furthest lies some 4.7 standard deviations out.
            let furthest = furthest / self.variance.sqrt();
            assert!((4.0..6.0).contains(&furthest), "{initializer:?}: goes {furthest} standard deviations out");
            return format!("{start}, furthest {furthest:.1} standard deviations out");
        }
        // The bound itself is rounded to f32.
        let reach = furthest / self.bound;
        assert!((0.99..=1.0 + 1e-7).contains(&reach), "{initializer:?}: reaches {reach} of its bound");
        format!("{start}, furthest {reach:.4} of the bound")
    }
}

/// How far the columns, or rows where those are fewer, are from orthonormal times the gain.
fn off_orthogonal(gain: f64, shape: &[usize]) -> f64 {
    let columns = shape[shape.len() - 1];
    let w = values(Initializer::Orthogonal(gain), shape);
    let rows = w.len() / columns;
    let vector = |i: usize| -> Vec<f64> {
        if rows < columns {
            w[i * columns..(i + 1) * columns].to_vec()
        } else {
            w.iter().skip(i).step_by(columns).copied().collect()
        }
    };
    let vectors: Vec<Vec<f64>> = (0..rows.min(columns)).map(vector).collect();
    let mut worst = 0.0f64;
    for (i, j) in (0..vectors.len()).flat_map(|i| (0..=i).map(move |j| (i, j))) {
        let product: f64 = vectors[i].iter().zip(&vectors[j]).map(|(a, b)| a * b).sum();
        worst = worst.max((product - if i == j { gain * gain } else { 0.0 }).abs());
    }
    worst
}

/// Checks that each number is what its row and column say.
fn exactly(initializer: Initializer, wanted: impl Fn(usize, usize) -> f64) -> String {
    let w = values(initializer, SHAPE);
    let right = w.iter().enumerate().all(|(i, &x)| x == wanted(i / SHAPE[1], i % SHAPE[1]));
    assert!(right, "{initializer:?}");
    "to the bit".into()
}

/// Checks an initialiser by its name, with Keras' defaults: its definition, and what was found.
fn check(name: &str) -> (&'static str, String) {
    let initializer = Initializer::by_name(name).unwrap();
    let (inputs, both) = (784.0, (784.0 + 512.0) / 2.0);
    let (said, drawn) = match name {
        "zeros" => return ("0", exactly(initializer, |_, _| 0.0)),
        "ones" => return ("1", exactly(initializer, |_, _| 1.0)),
        "constant" => return ("its value, 0", exactly(initializer, |_, _| 0.0)),
        "identity" => return ("1 on the diagonal, else 0", exactly(initializer, |r, c| f64::from(u8::from(r == c)))),
        "orthogonal" => {
            let off = off_orthogonal(1.0, &SHAPE);
            assert!(off < 1e-6, "{name}: {off:e}");
            return ("W' W = 1", format!("{off:.1e} off at most"));
        }
        "random_uniform" => ("uniform in ±0.05", Drawn::uniform(0.0, 0.05 * 0.05 / 3.0)),
        "random_normal" => ("normal, variance 0.05²", Drawn { mean: 0.0, variance: 0.0025, bound: f64::INFINITY }),
        "truncated_normal" => {
            ("normal of variance 0.05², cut at ±0.1", Drawn::cut(0.0, 0.0025 * CUT_STDDEV * CUT_STDDEV))
        }
        "glorot_uniform" => ("uniform, variance 2 / (fan in + fan out)", Drawn::uniform(0.0, 1.0 / both)),
        "glorot_normal" => ("cut normal, variance 2 / (fan in + fan out)", Drawn::cut(0.0, 1.0 / both)),
        "he_uniform" => ("uniform, variance 2 / fan in", Drawn::uniform(0.0, 2.0 / inputs)),
        "he_normal" => ("cut normal, variance 2 / fan in", Drawn::cut(0.0, 2.0 / inputs)),
        "lecun_uniform" => ("uniform, variance 1 / fan in", Drawn::uniform(0.0, 1.0 / inputs)),
        "lecun_normal" => ("cut normal, variance 1 / fan in", Drawn::cut(0.0, 1.0 / inputs)),
        other => panic!("{other} has no definition here"),
    };
    (said, drawn.check(initializer))
}

/// Checks each, by its name.
#[test]
fn the_table_names_every_initializer() {
    let found = NAMES.map(|(name, _)| (name, check(name)));
    #[cfg(feature = "gpu")]
    crate::common::write_parity("Initialisers", || {
        let mut text = String::from(
            "\
Numbers of a (784, 512) kernel, by name and so with Keras' defaults, against Keras' definition. They are other numbers than
Keras', of the same distribution. A mean must be within 5 of its standard errors, a variance within 1%, and nothing past
the bound, which the furthest number must come within 1% of.

| initializer | definition | found |
|---|---|---|
",
        );
        for (name, (said, found)) in &found {
            writeln!(text, "| `{name}` | {said} | {found} |").unwrap();
        }
        text
    });
    crate::common::assert_parity_lists(&found.each_ref().map(|(name, _)| *name));
}

#[test]
fn settings_move_the_moments() {
    let normal = Initializer::RandomNormal { mean: 3.0, stddev: 0.5 };
    Drawn { mean: 3.0, variance: 0.25, bound: f64::INFINITY }.check(normal);
    Drawn::uniform(2.5, 1.0 / 12.0).check(Initializer::RandomUniform { minval: 2.0, maxval: 3.0 });
    let cut = Initializer::TruncatedNormal { mean: 1.0, stddev: 0.1 };
    Drawn::cut(1.0, 0.01 * CUT_STDDEV * CUT_STDDEV).check(cut);
}

#[test]
fn orthogonal_ones_are_orthogonal() {
    for shape in [vec![40, 40], vec![70, 30], vec![30, 70], vec![3, 3, 4, 20], vec![1, 5], vec![5, 1]] {
        let off = off_orthogonal(1.5, &shape);
        assert!(off < 1e-6, "{shape:?}: {off:e} off");
    }
    // The sign fix: without it the first entry would be of one sign more often than of the other.
    let first = |i| Initializer::Orthogonal(1.0).values(&[2, 2].into(), 3, i).unwrap()[0];
    let positive = (0..400).filter(|&i| first(i) > 0.0).count();
    assert!((150..250).contains(&positive), "{positive} of 400");
}

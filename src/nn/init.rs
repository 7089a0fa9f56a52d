//! Initialisers, <https://keras.io/api/layers/initializers/>.

use super::{Config, Configured, KerasObject, Setting};
use crate::error::{Error, Result};
use crate::memory;
use crate::random;
use crate::tensor::Shape;

/// What a trainable tensor starts from. Random numbers come from [`random::stream`], one of its own for each tensor of a
/// model, so they are other numbers than Keras', of the same distribution.
///
/// Of a tensor (..., inputs, outputs), fan in is the inputs and fan out the outputs, each times the axes before them (a
/// convolution's window); of a vector both are its length. A normal form is cut off at two standard deviations and
/// widened so that its variance after the cut is the one that its name stands for.
///
/// ```
/// use kiln::prelude::*;
/// let dense = Dense::new(4).kernel_initializer(Initializer::HeNormal).bias_initializer("ones");
/// let mut model = Sequential::new().add(Input::new([2])).add(dense).device(Device::cpu());
/// assert_eq!(model.weight("dense/bias")?, Tensor::from([1.0f32; 4]));
/// # Ok::<(), kiln::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Initializer {
    /// All zeros.
    Zeros,
    /// All ones.
    Ones,
    /// All of this value.
    Constant(f64),
    /// Uniform in `minval..maxval`; by name -0.05..0.05.
    RandomUniform {
        /// The lower end.
        minval: f64,
        /// The upper end.
        maxval: f64,
    },
    /// Normal; by name with mean 0 and standard deviation 0.05.
    RandomNormal {
        /// The mean.
        mean: f64,
        /// The standard deviation.
        stddev: f64,
    },
    /// Normal, with what lies further than two standard deviations from the mean drawn anew; by name of mean 0 and
    /// standard deviation 0.05. The cut leaves 0.88 of the standard deviation.
    TruncatedNormal {
        /// The mean.
        mean: f64,
        /// The standard deviation before the cut.
        stddev: f64,
    },
    /// Uniform in ±sqrt(6 / (fan in + fan out)): Glorot and Bengio, <https://proceedings.mlr.press/v9/glorot10a.html>.
    GlorotUniform,
    /// Normal with variance 2 / (fan in + fan out).
    GlorotNormal,
    /// Uniform in ±sqrt(6 / fan in): He and others, <https://arxiv.org/abs/1502.01852>.
    HeUniform,
    /// Normal with variance 2 / fan in.
    HeNormal,
    /// Uniform in ±sqrt(3 / fan in): LeCun and others, <https://doi.org/10.1007/3-540-49430-8_2>.
    LecunUniform,
    /// Normal with variance 1 / fan in.
    LecunNormal,
    /// Orthonormal columns times this gain, or rows where those are fewer, of the tensor with all axes but the last taken
    /// as one; every such matrix is as likely: Saxe and others, <https://arxiv.org/abs/1312.6120>. By name gain 1.
    Orthogonal(f64),
    /// Ones times this gain on the diagonal of a matrix, zeros elsewhere; by name gain 1.
    Identity(f64),
}

/// Keras' names, with what they stand for by default.
pub const NAMES: [(&str, Initializer); 14] = [
    ("zeros", Initializer::Zeros),
    ("ones", Initializer::Ones),
    ("constant", Initializer::Constant(0.0)),
    ("random_uniform", Initializer::RandomUniform { minval: -0.05, maxval: 0.05 }),
    ("random_normal", Initializer::RandomNormal { mean: 0.0, stddev: 0.05 }),
    ("truncated_normal", Initializer::TruncatedNormal { mean: 0.0, stddev: 0.05 }),
    ("glorot_uniform", Initializer::GlorotUniform),
    ("glorot_normal", Initializer::GlorotNormal),
    ("he_uniform", Initializer::HeUniform),
    ("he_normal", Initializer::HeNormal),
    ("lecun_uniform", Initializer::LecunUniform),
    ("lecun_normal", Initializer::LecunNormal),
    ("orthogonal", Initializer::Orthogonal(1.0)),
    ("identity", Initializer::Identity(1.0)),
];

/// The standard deviation of a standard normal distribution that is cut off at ±2.
const CUT_STDDEV: f64 = 0.879_625_661_034_239_8;
/// What the configs of Keras' initialisers that scale by fans have, all of it null here.
const SCALED: &[&str] = &["seed", "input_axes", "output_axes"];
/// The purpose of the random streams.
const WEIGHTS: &str = "weights";

impl Initializer {
    /// The initialiser of Keras' name with Keras' defaults: `glorot_uniform`, `he_normal`, `zeros` and so on.
    ///
    /// # Errors
    /// [`Error::Argument`] that lists the names, and the likeliest one.
    pub fn by_name(name: &str) -> Result<Self> {
        let lower = name.to_lowercase();
        let found = NAMES.iter().find(|(known, _)| *known == lower).map(|&(_, initializer)| initializer);
        let unknown = || crate::suggest::unknown(name, &NAMES.map(|(known, _)| known));
        found.ok_or_else(|| Error::argument("initializer", unknown()))
    }

    /// Why it makes no tensor of this shape, if so.
    pub(crate) fn refusal(self, shape: &Shape) -> Option<String> {
        if let Some((name, number)) = self.settings().into_iter().find(|(_, number)| !number.is_finite()) {
            return Some(format!("has {name} {number}; give a finite number"));
        }
        match self {
            Self::Orthogonal(_) if shape.rank() < 2 => Some("orthogonal takes two or more axes".into()),
            Self::Identity(_) if shape.rank() != 2 => Some("identity takes two axes".into()),
            Self::RandomUniform { minval, maxval } if minval > maxval => {
                Some(format!("random_uniform takes a range; {minval}..{maxval} is none"))
            }
            Self::RandomNormal { stddev, .. } | Self::TruncatedNormal { stddev, .. } if stddev < 0.0 => {
                Some(format!("{stddev} is no standard deviation; give 0 or more"))
            }
            _ => None,
        }
    }

    /// The same where fans are known to be others than a tensor's shape says.
    pub(super) fn of_fans(self, fan_in: usize, fan_out: usize) -> Self {
        let glorot = 2.0 / (fan_in + fan_out).max(2) as f64;
        let by_inputs = |scale: f64| scale / fan_in.max(1) as f64;
        let uniform = |variance: f64| {
            let limit = (3.0 * variance).sqrt();
            Self::RandomUniform { minval: -limit, maxval: limit }
        };
        let normal = |variance: f64| Self::TruncatedNormal { mean: 0.0, stddev: variance.sqrt() / CUT_STDDEV };
        match self {
            Self::GlorotUniform => uniform(glorot),
            Self::GlorotNormal => normal(glorot),
            Self::HeUniform => uniform(by_inputs(2.0)),
            Self::HeNormal => normal(by_inputs(2.0)),
            Self::LecunUniform => uniform(by_inputs(1.0)),
            Self::LecunNormal => normal(by_inputs(1.0)),
            other => other,
        }
    }

    /// The initialiser as Keras serializes it. Keras keeps no gain of an identity.
    pub fn keras(self) -> KerasObject {
        let (class, others): (_, &[&str]) = match self {
            Self::Zeros => return KerasObject::new("keras.initializers", "Zeros"),
            Self::Ones => return KerasObject::new("keras.initializers", "Ones"),
            Self::Identity(_) => return KerasObject::new("keras.initializers", "Identity"),
            Self::Constant(value) => return KerasObject::new("keras.initializers", "Constant").with("value", value),
            Self::RandomUniform { .. } => ("RandomUniform", &["seed"]),
            Self::RandomNormal { .. } => ("RandomNormal", &["seed"]),
            Self::TruncatedNormal { .. } => ("TruncatedNormal", &["seed"]),
            Self::Orthogonal(_) => ("Orthogonal", &["seed"]),
            Self::GlorotUniform => ("GlorotUniform", SCALED),
            Self::GlorotNormal => ("GlorotNormal", SCALED),
            Self::HeUniform => ("HeUniform", SCALED),
            Self::HeNormal => ("HeNormal", SCALED),
            Self::LecunUniform => ("LecunUniform", SCALED),
            Self::LecunNormal => ("LecunNormal", SCALED),
        };
        let object = KerasObject::new("keras.initializers", class);
        object.with_all(others.iter().map(|key| (key, Setting::Null))).with_all(self.settings())
    }

    /// Its settings by name.
    fn settings(self) -> Vec<(&'static str, f64)> {
        match self {
            Self::Constant(value) => vec![("value", value)],
            Self::RandomUniform { minval, maxval } => vec![("minval", minval), ("maxval", maxval)],
            Self::RandomNormal { mean, stddev } | Self::TruncatedNormal { mean, stddev } => {
                vec![("mean", mean), ("stddev", stddev)]
            }
            Self::Orthogonal(gain) | Self::Identity(gain) => vec![("gain", gain)],
            _ => Vec::new(),
        }
    }

    /// The starting values of the tensor of this shape and index under a model's seed, in row-major order.
    ///
    /// # Errors
    /// [`Error::Argument`] where the shape or a setting does not suit: an identity is a matrix.
    pub fn values(self, shape: &Shape, seed: u64, index: usize) -> Result<Vec<f32>> {
        if let Some(refusal) = self.refusal(shape) {
            return Err(Error::argument("initializer", format!("{refusal}, was given {shape}")));
        }
        let (n, index) = (shape.len(), index as u64);
        // Asked for here, where it can be refused.
        drop(memory::room::<f32>(n, &format!("the initial values of {shape}"))?);
        let uniform = |mean: f64, limit: f64| {
            let mut values = random::uniform(n, limit, seed, WEIGHTS, index);
            if mean != 0.0 {
                values.iter_mut().for_each(|x| *x = (mean + f64::from(*x)) as f32);
            }
            values
        };
        let normal = || random::normal(seed, WEIGHTS, index);
        let cut = |mean: f64, stddev: f64| {
            // Of known length: a list that grows would hold twice as much.
            let mut values = Vec::with_capacity(n);
            values.extend(normal().filter(|z| z.abs() <= 2.0).take(n).map(|z| (mean + stddev * z) as f32));
            values
        };
        let (fan_in, fan_out) = fans(shape);
        Ok(match self.of_fans(fan_in, fan_out) {
            Self::Zeros => vec![0.0; n],
            Self::Ones => vec![1.0; n],
            Self::Constant(value) => vec![value as f32; n],
            Self::RandomUniform { minval, maxval } => uniform(f64::midpoint(minval, maxval), 0.5 * (maxval - minval)),
            Self::RandomNormal { mean, stddev } => normal().take(n).map(|z| (mean + stddev * z) as f32).collect(),
            Self::TruncatedNormal { mean, stddev } => cut(mean, stddev),
            Self::Orthogonal(gain) => orthogonal(shape, gain, normal()),
            Self::Identity(gain) => {
                let on_diagonal = |i: usize| i / shape[1] == i % shape[1];
                (0..n).map(|i| if on_diagonal(i) { gain as f32 } else { 0.0 }).collect()
            }
            by_fans => unreachable!("{by_fans:?} is another by its fans"),
        })
    }
}

impl Configured for Initializer {
    fn config(&self) -> Config {
        let same = |other: &Self| std::mem::discriminant(other) == std::mem::discriminant(self);
        let name = NAMES.iter().find(|(_, initializer)| same(initializer)).map(|(name, _)| *name);
        Config::new(name.expect("every initialiser has a name")).with_all(self.settings())
    }

    fn from_config(config: &mut Config) -> Result<Self> {
        let mut initializer = Self::by_name(config.class())?;
        let mut set = |name, value: &mut f64| config.take_or(name, *value).map(|told| *value = told);
        match &mut initializer {
            Self::Constant(value) => set("value", value)?,
            Self::RandomUniform { minval, maxval } => {
                set("minval", minval)?;
                set("maxval", maxval)?;
            }
            Self::RandomNormal { mean, stddev } | Self::TruncatedNormal { mean, stddev } => {
                set("mean", mean)?;
                set("stddev", stddev)?;
            }
            Self::Orthogonal(gain) | Self::Identity(gain) => set("gain", gain)?,
            _ => {}
        }
        Ok(initializer)
    }
}

/// Fan in and fan out: see [`Initializer`].
fn fans(shape: &Shape) -> (usize, usize) {
    match **shape {
        [] => (1, 1),
        [one] => (one, one),
        [ref field @ .., i, o] => {
            let field: usize = field.iter().product();
            (field * i, field * o)
        }
    }
}

/// Q of the QR decomposition of a matrix of normal numbers, with R's diagonal positive: without that, Q would not be
/// uniform among the orthogonal matrices. Gram and Schmidt's method makes it so by itself; done twice to each column, it
/// leaves them orthogonal to rounding.
fn orthogonal(shape: &Shape, gain: f64, mut normal: impl Iterator<Item = f64>) -> Vec<f32> {
    let (rows, columns) = (shape[..shape.rank() - 1].iter().product::<usize>(), shape[shape.rank() - 1]);
    let (long, short) = (rows.max(columns), rows.min(columns));
    let mut basis: Vec<Vec<f64>> = Vec::with_capacity(short);
    for _ in 0..short {
        let mut column: Vec<f64> = normal.by_ref().take(long).collect();
        for _ in 0..2 {
            for known in &basis {
                let along = dot(known, &column);
                column.iter_mut().zip(known).for_each(|(x, k)| *x -= along * k);
            }
        }
        let length = dot(&column, &column).sqrt();
        column.iter_mut().for_each(|x| *x /= length);
        basis.push(column);
    }
    let of = |r: usize, c: usize| if rows < columns { basis[r][c] } else { basis[c][r] };
    (0..rows * columns).map(|i| (gain * of(i / columns, i % columns)) as f32).collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(initializer: Initializer, shape: impl Into<Shape>) -> Vec<f64> {
        let values = initializer.values(&shape.into(), 1, 0).unwrap();
        values.into_iter().map(f64::from).collect()
    }

    #[test]
    fn a_normal_has_its_distribution() {
        let z: Vec<f64> = random::normal(5, "test", 0).take(400_000).collect();
        // Shares below these, from the normal distribution's table; a share strays by 0.0008.
        for (at, share) in [(-2.0, 0.02275), (-1.0, 0.158_66), (0.0, 0.5), (0.5, 0.691_46), (1.5, 0.933_19)] {
            let found = z.iter().filter(|&&z| z < at).count() as f64 / z.len() as f64;
            assert!((found - share).abs() < 0.004, "{found} below {at}, expected {share}");
        }
        let neighbours = z.windows(2).map(|p| p[0] * p[1]).sum::<f64>() / z.len() as f64;
        assert!(neighbours.abs() < 0.008, "neighbours are correlated by {neighbours}");
    }

    #[test]
    fn each_tensor_and_seed_has_numbers_of_its_own() {
        let shape = Shape::from([3, 4]);
        for (name, initializer) in &NAMES[3..13] {
            let of = |seed, index| initializer.values(&shape, seed, index).unwrap();
            assert_eq!(of(1, 0), of(1, 0), "{name}");
            assert!(of(1, 0) != of(1, 1) && of(1, 0) != of(2, 0), "{name}");
        }
    }

    #[test]
    fn plain_ones_are_what_they_say() {
        assert_eq!(values(Initializer::Zeros, [2, 3]), [0.0; 6]);
        assert_eq!(values(Initializer::Ones, [3]), [1.0; 3]);
        assert_eq!(values(Initializer::Constant(-2.5), [2]), [-2.5; 2]);
        assert_eq!(values(Initializer::Identity(2.0), [2, 3]), [2.0, 0.0, 0.0, 0.0, 2.0, 0.0]);
        assert_eq!(values(Initializer::Identity(1.0), [3, 2]), [1.0, 0.0, 0.0, 1.0, 0.0, 0.0]);
    }

    #[test]
    fn fans_are_keras() {
        let of = |shape: &[usize]| fans(&Shape::from(shape.to_vec()));
        assert_eq!([of(&[]), of(&[7]), of(&[3, 5]), of(&[2, 4, 3, 5])], [(1, 1), (7, 7), (3, 5), (24, 40)]);
    }

    #[test]
    fn what_does_not_suit_is_refused() {
        assert!(Initializer::Identity(1.0).values(&[2, 2, 2].into(), 0, 0).is_err());
        assert!(Initializer::Orthogonal(1.0).values(&[4].into(), 0, 0).is_err());
        assert!(Initializer::RandomNormal { mean: 0.0, stddev: -1.0 }.values(&[4].into(), 0, 0).is_err());
        assert!(Initializer::RandomUniform { minval: 1.0, maxval: 0.0 }.values(&[4].into(), 0, 0).is_err());
        let unknown = Initializer::by_name("he_norm").unwrap_err().to_string();
        assert!(unknown.contains("he_normal"), "{unknown}");
    }
}

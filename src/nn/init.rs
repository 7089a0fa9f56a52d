//! Initialisers, <https://keras.io/api/layers/initializers/>.

use crate::random;
use crate::tensor::Shape;

/// What a trainable tensor starts from.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Initializer {
    /// All zeros.
    Zeros,
    /// All ones.
    Ones,
    /// Uniform in ±sqrt(6 / (fan in + fan out)): Glorot and Bengio, <https://proceedings.mlr.press/v9/glorot10a.html>.
    GlorotUniform,
}

impl Initializer {
    /// The starting values of the tensor of this shape and index under a model's seed.
    pub fn values(self, shape: &Shape, seed: u64, index: usize) -> Vec<f32> {
        let n = shape.len();
        match self {
            Self::Zeros => vec![0.0; n],
            Self::Ones => vec![1.0; n],
            Self::GlorotUniform => {
                // Of (..., in, out) the axes before the last two are the receptive field of each input.
                let (fan_in, fan_out) = match **shape {
                    [] => (1, 1),
                    [one] => (one, one),
                    [ref field @ .., i, o] => {
                        (field.iter().product::<usize>() * i, field.iter().product::<usize>() * o)
                    }
                };
                random::uniform(n, (6.0 / (fan_in + fan_out) as f64).sqrt(), seed, "weights", index as u64)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn glorot_uniform_has_its_range_and_variance() {
        let shape = Shape::from([784, 512]);
        let w = Initializer::GlorotUniform.values(&shape, 1, 0);
        let limit = (6.0f64 / 1296.0).sqrt();
        assert!(w.iter().all(|x| f64::from(x.abs()) <= limit));
        let variance = w.iter().map(|x| f64::from(x * x)).sum::<f64>() / w.len() as f64;
        // The variance of a uniform is limit^2 / 3; the mean of 401,408 squares strays by 0.14%.
        assert!((variance / (limit * limit / 3.0) - 1.0).abs() < 0.01, "{variance}");
        assert_ne!(w, Initializer::GlorotUniform.values(&shape, 1, 1), "each tensor has numbers of its own");
        assert_eq!(Initializer::Zeros.values(&shape, 1, 0), vec![0.0; 401_408]);
    }
}

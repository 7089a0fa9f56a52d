//! Choosing one of several by scores: the next token of a text.

use rand::Rng as _;

use crate::error::{Error, Result};
use crate::random;

/// Chooses one of several by their scores (logits), as text is generated: at random by their probabilities, which
/// [`Sampler::temperature`], [`Sampler::top_k`] and [`Sampler::top_p`] change in this order. One seed draws the same on every device.
///
/// ```
/// use kiln::nn::Sampler;
/// let logits = [0.5f32.ln(), 0.3f32.ln(), 0.2f32.ln()];
/// let probabilities = Sampler::new().top_k(2).probabilities(&logits)?;
/// assert!((probabilities[0] - 0.625).abs() < 1e-6 && probabilities[2] == 0.0);
/// assert_eq!(Sampler::new().temperature(0.0).sample(&logits)?, 0);
/// # Ok::<(), kiln::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Sampler {
    temperature: f64,
    top_k: Option<usize>,
    top_p: Option<f64>,
    seed: u64,
    /// How many were chosen.
    drawn: u64,
}

impl Default for Sampler {
    fn default() -> Self {
        Self::new()
    }
}

impl Sampler {
    /// By the probabilities as they are, with seed 0.
    pub fn new() -> Self {
        Self { temperature: 1.0, top_k: None, top_p: None, seed: 0, drawn: 0 }
    }

    /// Divides the scores by this: below 1 what is likely becomes likelier, above 1 less so. At 0 the likeliest is taken, the first of
    /// equals.
    #[must_use]
    pub fn temperature(mut self, temperature: f64) -> Self {
        self.temperature = temperature;
        self
    }

    /// Takes one of the `k` likeliest, of equals the first.
    #[must_use]
    pub fn top_k(mut self, k: impl Into<Option<usize>>) -> Self {
        self.top_k = k.into();
        self
    }

    /// Takes one of the likeliest that together have a probability of `p` or more, and are as few as that takes.
    #[must_use]
    pub fn top_p(mut self, p: impl Into<Option<f64>>) -> Self {
        self.top_p = p.into();
        self
    }

    /// Draws by this seed, from the first draw on.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        (self.seed, self.drawn) = (seed, 0);
        self
    }

    /// That settings are in their ranges.
    ///
    /// # Errors
    /// [`Error::Argument`] that names the setting.
    pub fn check(&self) -> Result<()> {
        let refused = |name: &str, message: String| Err(Error::argument(name, message));
        if !(self.temperature >= 0.0 && self.temperature.is_finite()) {
            return refused("temperature", format!("{} is none; give a number from 0 on", self.temperature));
        }
        if self.top_k == Some(0) {
            return refused("top_k", "0 leaves nothing to choose from; give 1 or more".into());
        }
        match self.top_p {
            Some(p) if !(p > 0.0 && p <= 1.0) => {
                refused("top_p", format!("{p} is no share; give more than 0, up to 1"))
            }
            _ => Ok(()),
        }
    }

    /// What each is chosen with, by its score. A score of minus infinity is never chosen.
    ///
    /// # Errors
    /// [`Error::Argument`] where a setting is out of its range, a score is NaN or infinite, or none is above minus infinity.
    pub fn probabilities(&self, logits: &[f32]) -> Result<Vec<f64>> {
        self.check()?;
        if let Some(at) = logits.iter().position(|logit| logit.is_nan() || *logit == f32::INFINITY) {
            return Err(Error::argument("logits", format!("number {at} is {}, which is no score", logits[at])));
        }
        // The likeliest first, of equals the first.
        let mut order: Vec<usize> = (0..logits.len()).filter(|&at| logits[at] > f32::NEG_INFINITY).collect();
        order.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]).then(a.cmp(&b)));
        let Some(&first) = order.first() else {
            return Err(Error::argument("logits", format!("none of {} can be chosen", logits.len())));
        };
        let most = if self.temperature == 0.0 { 1 } else { self.top_k.unwrap_or(usize::MAX) };
        order.truncate(most);
        let scale = if self.temperature == 0.0 { 1.0 } else { self.temperature };
        let weight = |at: usize| libm::exp((f64::from(logits[at]) - f64::from(logits[first])) / scale);
        let mut weights: Vec<f64> = order.iter().map(|&at| weight(at)).collect();
        if let Some(p) = self.top_p {
            let wanted = p * weights.iter().sum::<f64>();
            let mut sum = 0.0;
            let enough = weights.iter().position(|weight| {
                sum += weight;
                sum >= wanted
            });
            weights.truncate(enough.map_or(usize::MAX, |at| at + 1));
        }
        let sum = weights.iter().sum::<f64>();
        let mut probabilities = vec![0.0; logits.len()];
        order.iter().zip(weights).for_each(|(&at, weight)| probabilities[at] = weight / sum);
        Ok(probabilities)
    }

    /// Chooses one, by its place among the scores.
    ///
    /// # Errors
    /// As [`Sampler::probabilities`].
    pub fn sample(&mut self, logits: &[f32]) -> Result<usize> {
        let probabilities = self.probabilities(logits)?;
        let bits = random::stream(self.seed, "sample", self.drawn).next_u64() >> 11;
        self.drawn += 1;
        // In [0, 1).
        let mut left = bits as f64 / (1u64 << 53) as f64;
        let mut last = 0;
        for (at, probability) in probabilities.into_iter().enumerate().filter(|(_, probability)| *probability > 0.0) {
            last = at;
            left -= probability;
            if left < 0.0 {
                break;
            }
        }
        Ok(last)
    }
}

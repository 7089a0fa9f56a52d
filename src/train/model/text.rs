//! How a model reads texts, and how it goes on with one.

use super::{Loss, Model};
use crate::data::{TextOutput, TextVectorization};
use crate::device::blocking::block_on;
use crate::error::{Error, Result};
use crate::nn::Sampler;
use crate::tensor::Tensor;

/// The key in a model's configuration.
pub(super) const TEXT: &str = "text_vectorization";

impl Model {
    /// Keeps with the model how its texts became tokens, in its file, too: [`Model::generate`] and `kiln generate` read and write texts by
    /// it. `None` forgets it.
    pub fn set_text_vectorization(&mut self, text: impl Into<Option<TextVectorization>>) {
        self.about.text = text.into();
    }

    /// What was kept by [`Model::set_text_vectorization`].
    pub fn text_vectorization(&self) -> Option<&TextVectorization> {
        self.about.text.as_ref()
    }

    /// Goes on with a text, token by token, without an end: [`Iterator::take`] as many as are wanted. The model takes windows of tokens
    /// `(length,)` and gives scores or probabilities of the whole vocabulary: for the token that follows each `(length, vocabulary)`, where
    /// later tokens must not change earlier scores, or for the one that follows the window, `(vocabulary,)`. Longer texts are cut to
    /// their last `length` tokens; shorter ones are filled up with padding, behind them in the first case, else before them.
    /// Padding and the unknown are never chosen.
    ///
    /// ```
    /// use kiln::data::{TextSplit, TextVectorization};
    /// use kiln::nn::Sampler;
    /// use kiln::prelude::*;
    /// let mut text = TextVectorization::new().split(TextSplit::Character);
    /// text.adapt(["abc"])?;
    /// // Scores that any window leads to: the bias of untrained layers, 0.
    /// let mut model = Sequential::new().add(Input::new([4])).add(Dense::new(5)).device(Device::cpu());
    /// model.set_text_vectorization(text);
    /// let more = model.generate("ab", Sampler::new().temperature(0.5))?.take(3).collect::<Result<String>>()?;
    /// assert_eq!(more.len(), 3);
    /// # Ok::<(), kiln::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Model`] where the model keeps no vocabulary, takes or gives something else; [`Error::Argument`] for a prompt without a
    /// token or a setting of the sampler that is out of its range.
    pub fn generate(&mut self, prompt: &str, sampler: Sampler) -> Result<Generation<'_>> {
        sampler.check()?;
        let text = self.about.text.clone().ok_or_else(|| {
            self.error("keeps no vocabulary; train it on tokens and call set_text_vectorization before it is saved")
        })?;
        let text = text.output_sequence_length(None);
        if !text.is_split() || text.output() != TextOutput::Int {
            return Err(
                self.error("was trained on texts as a whole, not on tokens in their order; there is no next one")
            );
        }
        self.one_output()?;
        let built = self.built()?;
        let (sample, output, size) = (&built.samples[0], &built.outputs[0], text.vocabulary_size());
        let (length, each) = match (&sample[..], &output[..]) {
            (&[length], &[n, scores]) if n == length && scores == size => (length, true),
            (&[length], &[scores]) if scores == size => (length, false),
            _ => {
                let message = format!(
                    "takes {sample} and gives {output}; to go on with a text it has to take (length,) and give (length, {size}) or ({size},)"
                );
                return Err(self.error(message));
            }
        };
        let tokens = text.apply(&[prompt])?.to_vec::<u32>();
        if tokens.is_empty() {
            return Err(Error::argument("prompt", format!("{prompt:?} holds no token; give a text to go on with")));
        }
        Ok(Generation { model: self, text, sampler, tokens, length, each })
    }
}

/// How a text goes on: [`Model::generate`]. Each item is a token's text, after a blank where tokens are words.
#[derive(Debug)]
pub struct Generation<'m> {
    model: &'m mut Model,
    text: TextVectorization,
    sampler: Sampler,
    /// Of the prompt and what follows it, the last ones.
    tokens: Vec<u32>,
    /// How many the model takes.
    length: usize,
    /// Whether it gives scores behind each of them.
    each: bool,
}

impl Generation<'_> {
    /// The next token's text. For callers that cannot block; others iterate.
    ///
    /// # Errors
    /// As [`Model::predict`]; [`Error::Argument`] where a score is NaN.
    pub async fn next_async(&mut self) -> Result<String> {
        let known = self.tokens.len().min(self.length);
        self.tokens.drain(..self.tokens.len() - known);
        let padding = vec![0; self.length - known];
        let window =
            if self.each { [&self.tokens[..], &padding].concat() } else { [&padding, &self.tokens[..]].concat() };
        let window = Tensor::new([1, self.length], window)?;
        let scores = self.model.predict_scaled(&[(&window, 1.0)]).await?.remove(0).values().to_f32();
        let size = self.text.vocabulary_size();
        let scores = if self.each { &scores[(known - 1) * size..known * size] } else { &scores[..] };
        let mut logits = self.logits(scores);
        // Padding and the unknown.
        logits[..2].fill(f32::NEG_INFINITY);
        let token = self.sampler.sample(&logits)? as u32;
        self.tokens.push(token);
        self.text.continuation(token)
    }

    /// Of a model that ends with probabilities their logarithms.
    fn logits(&self, scores: &[f32]) -> Vec<f32> {
        let is_distribution = || {
            let sum = scores.iter().map(|&score| f64::from(score)).sum::<f64>();
            scores.iter().all(|score| *score >= 0.0) && (sum - 1.0).abs() < 1e-3
        };
        match self.model.loss() {
            Some(Loss::SparseCategoricalCrossentropyFromLogits { .. }) => scores.to_vec(),
            _ if is_distribution() => scores.iter().map(|score| score.ln()).collect(),
            _ => scores.to_vec(),
        }
    }
}

impl Iterator for Generation<'_> {
    type Item = Result<String>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(block_on(self.next_async()))
    }
}

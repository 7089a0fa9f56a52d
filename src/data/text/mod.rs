//! Texts as numbers: a vocabulary that is learned from texts, and what texts become by it.

mod config;
mod tokens;

use std::collections::HashMap;

use crate::error::{Error, Result};
use crate::memory;
use crate::tensor::{Tensor, Values};
pub use tokens::{Standardize, TextSplit};
use tokens::{Tokenizer, Widths};

/// The token that fills short texts up, as Keras has it.
const PADDING: &str = "";
/// The token of what the vocabulary lacks.
const UNKNOWN: &str = "[UNK]";

/// What a text becomes: Keras' `output_mode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TextOutput {
    /// The index of each token, in their order: 0 is padding, 1 what the vocabulary lacks.
    #[default]
    Int,
    /// For each word of the vocabulary, 1 where the text has it.
    MultiHot,
    /// For each word of the vocabulary, how often the text has it.
    Count,
    /// How often, by how few of the texts that the vocabulary was learned from have the word.
    TfIdf,
}

crate::config::named!(TextOutput: "int" = Int, "multi_hot" = MultiHot, "count" = Count, "tf_idf" = TfIdf);

/// Turns texts into numbers, by a vocabulary of words or of characters: Keras' `TextVectorization`. A text is no tensor, so
/// that this is no layer but a preparation of data; [`Model::set_text_vectorization`](crate::nn::Model::set_text_vectorization)
/// keeps it in a model's file.
///
/// ```
/// use kiln::data::TextVectorization;
/// let mut words = TextVectorization::new().output_sequence_length(4);
/// words.adapt(["The whale, the sea.", "The sea!"])?;
/// assert_eq!(words.vocabulary(), ["", "[UNK]", "the", "sea", "whale"]);
/// let x = words.apply(&["the white whale", "sea"])?;
/// assert_eq!(x.to_vec::<u32>(), [2, 1, 4, 0, 3, 0, 0, 0]);
/// # Ok::<(), kiln::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct TextVectorization {
    tokenizer: Tokenizer,
    max_tokens: Option<usize>,
    output_mode: TextOutput,
    output_sequence_length: Option<usize>,
    pad_to_max_tokens: bool,
    /// Without padding and the unknown; `None` before there is one.
    words: Option<Vec<String>>,
    /// Where each of the words stands among all tokens.
    index: HashMap<String, u32>,
    /// What a count of each of the words is multiplied by.
    idf_weights: Option<Vec<f32>>,
}

impl Default for TextVectorization {
    fn default() -> Self {
        Self::new()
    }
}

impl TextVectorization {
    /// With Keras' defaults: words in lower case, without punctuation, as many as there are, to their indices.
    pub fn new() -> Self {
        let (standardize, split) = (Some(Standardize::default()), Some(TextSplit::default()));
        Self {
            tokenizer: Tokenizer { standardize, split, ngrams: None },
            max_tokens: None,
            output_mode: TextOutput::Int,
            output_sequence_length: None,
            pad_to_max_tokens: false,
            words: None,
            index: HashMap::new(),
            idf_weights: None,
        }
    }

    /// How many tokens the vocabulary has at most, padding and the unknown among them; default `None`, no limit.
    #[must_use]
    pub fn max_tokens(mut self, max_tokens: impl Into<Option<usize>>) -> Self {
        self.max_tokens = max_tokens.into();
        self
    }

    /// What is done to a text before it is split; `None` is nothing.
    #[must_use]
    pub fn standardize(mut self, standardize: impl Into<Option<Standardize>>) -> Self {
        self.tokenizer.standardize = standardize.into();
        self
    }

    /// How a text becomes tokens; with `None` it is one.
    #[must_use]
    pub fn split(mut self, split: impl Into<Option<TextSplit>>) -> Self {
        self.tokenizer.split = split.into();
        self
    }

    /// Makes tokens of this many neighbours, too, and of fewer: 2 is single ones and pairs.
    #[must_use]
    pub fn ngrams(mut self, most: usize) -> Self {
        self.tokenizer.ngrams = Some(Widths::UpTo(most));
        self
    }

    /// Makes tokens of as many neighbours as each of these widths says, the narrowest not before it is named.
    #[must_use]
    pub fn ngrams_of(mut self, widths: impl IntoIterator<Item = usize>) -> Self {
        self.tokenizer.ngrams = Some(Widths::Of(widths.into_iter().collect()));
        self
    }

    /// What a text becomes. Of other modes than [`TextOutput::Int`] the vocabulary has no padding.
    #[must_use]
    pub fn output_mode(mut self, output_mode: TextOutput) -> Self {
        self.output_mode = output_mode;
        let words = self.words.take();
        self.set_words_to(words);
        self
    }

    /// How many indices a text becomes, cut off or filled up with 0; without it as many as the longest of a call has.
    #[must_use]
    pub fn output_sequence_length(mut self, length: impl Into<Option<usize>>) -> Self {
        self.output_sequence_length = length.into();
        self
    }

    /// Whether rows of counts are as long as [`TextVectorization::max_tokens`] says where the vocabulary is shorter.
    #[must_use]
    pub fn pad_to_max_tokens(mut self, pad: bool) -> Self {
        self.pad_to_max_tokens = pad;
        self
    }

    /// Learns the vocabulary from texts, in place of what it had: words that are more frequent come first; of equally
    /// frequent ones, as in Keras, the last by its bytes.
    ///
    /// # Errors
    /// [`Error::Argument`] where settings do not go together, or the texts hold no token.
    pub fn adapt<T: AsRef<str>>(&mut self, texts: impl IntoIterator<Item = T>) -> Result<()> {
        self.check_settings()?;
        let mut found: HashMap<String, Found> = HashMap::new();
        let mut documents = 0;
        for text in texts {
            documents += 1;
            self.tokenizer.each(text.as_ref(), &mut |token| match found.get_mut(token) {
                Some(found) => found.count(documents),
                None => {
                    let mut first = Found::default();
                    first.count(documents);
                    found.insert(token.into(), first);
                }
            });
        }
        let mut found: Vec<(String, Found)> =
            found.into_iter().filter(|(token, _)| ![PADDING, UNKNOWN].contains(&token.as_str())).collect();
        if found.is_empty() {
            return Err(Error::argument(
                "texts",
                format!("{documents} texts hold no token; there is nothing to learn"),
            ));
        }
        found.sort_unstable_by(|(a, x), (b, y)| (y.count, b).cmp(&(x.count, a)));
        found.truncate(self.max_tokens.map_or(usize::MAX, |most| most - self.specials().len()));
        let weight = |(_, found): &(_, Found)| (1.0 + documents as f64 / (1 + found.documents) as f64).ln() as f32;
        let weights = (self.output_mode == TextOutput::TfIdf).then(|| found.iter().map(weight).collect());
        self.set_words_to(Some(found.into_iter().map(|(token, _)| token).collect()));
        self.idf_weights = weights;
        Ok(())
    }

    /// Takes these words for the vocabulary, in this order. They may begin with what [`TextVectorization::vocabulary`] begins
    /// with: padding and the unknown, or the unknown alone.
    ///
    /// # Errors
    /// [`Error::Argument`] where there is none, one is there twice, there are more than
    /// [`TextVectorization::max_tokens`], padding or the unknown stand elsewhere, or the mode needs weights:
    /// [`TextVectorization::set_vocabulary_with_idf`].
    pub fn set_vocabulary<T: Into<String>>(&mut self, words: impl IntoIterator<Item = T>) -> Result<()> {
        self.set_words(words.into_iter().map(Into::into).collect(), None)
    }

    /// [`TextVectorization::set_vocabulary`] of words each with its inverse document frequency, for [`TextOutput::TfIdf`].
    ///
    /// # Errors
    /// As there; [`Error::Argument`] where the mode is another, or a weight is not finite.
    pub fn set_vocabulary_with_idf<T: Into<String>>(
        &mut self,
        words: impl IntoIterator<Item = (T, f32)>,
    ) -> Result<()> {
        let (words, weights) = words.into_iter().map(|(word, weight)| (word.into(), weight)).unzip();
        self.set_words(words, Some(weights))
    }

    fn set_words(&mut self, mut words: Vec<String>, weights: Option<Vec<f32>>) -> Result<()> {
        let specials = self.specials();
        if specials.iter().eq(words.iter().take(specials.len())) && weights.is_none() {
            words.drain(..specials.len());
        }
        let mut set = self.clone();
        set.set_words_to(Some(words));
        set.idf_weights = weights;
        *self = set.checked()?;
        Ok(())
    }

    /// All tokens, each at its index, padding and the unknown first; of other modes than [`TextOutput::Int`] without padding. Before
    /// there is a vocabulary, these alone.
    pub fn vocabulary(&self) -> Vec<&str> {
        self.specials().iter().copied().chain(self.words().iter().map(String::as_str)).collect()
    }

    /// The token of an index.
    fn token(&self, index: usize) -> Option<&str> {
        let specials = self.specials();
        let word = |index| self.words().get(index).map(String::as_str);
        index.checked_sub(specials.len()).map_or_else(|| Some(specials[index]), word)
    }

    /// How many tokens [`TextVectorization::vocabulary`] has.
    pub fn vocabulary_size(&self) -> usize {
        self.specials().len() + self.words().len()
    }

    /// The numbers that texts become. Of [`TextOutput::Int`] they are `u32` of shape `(texts, tokens)`, or `(texts,)` where texts are
    /// not split and no length is set; of other modes `f32` of shape `(texts, vocabulary)`.
    ///
    /// # Errors
    /// [`Error::Argument`] where there is no vocabulary yet, or settings do not go together; [`Error::Memory`] where the machine
    /// has none for as many numbers.
    pub fn apply<T: AsRef<str>>(&self, texts: &[T]) -> Result<Tensor> {
        self.check()?;
        if self.words.is_none() {
            return Err(Error::argument("vocabulary", "there is none yet; call adapt or set_vocabulary first"));
        }
        if self.output_mode == TextOutput::Int { self.indices(texts) } else { self.counts(texts) }
    }

    /// A text of tokens by their indices; padding is nothing. Words stand between blanks, characters side by side.
    ///
    /// ```
    /// use kiln::data::{TextSplit, TextVectorization};
    /// let mut characters = TextVectorization::new().standardize(None).split(TextSplit::Character);
    /// characters.adapt(["Call me Ishmael."])?;
    /// let tokens = characters.apply(&["Ishmael"])?.to_vec::<u32>();
    /// assert_eq!(characters.detokenize(&tokens)?, "Ishmael");
    /// # Ok::<(), kiln::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Argument`] for an index beyond the vocabulary.
    pub fn detokenize(&self, tokens: &[u32]) -> Result<String> {
        let token = |&index: &u32| {
            let size = self.vocabulary_size();
            let beyond = || Error::argument("tokens", format!("there is no token {index} of {size}"));
            self.token(index as usize).ok_or_else(beyond)
        };
        let tokens = tokens.iter().map(token).collect::<Result<Vec<&str>>>()?;
        let tokens: Vec<&str> = tokens.into_iter().filter(|token| *token != PADDING).collect();
        Ok(tokens.join(self.tokenizer.separator()))
    }

    /// What a token adds to the text before it.
    pub(crate) fn continuation(&self, token: u32) -> Result<String> {
        Ok([self.tokenizer.separator(), &self.detokenize(&[token])?].concat())
    }

    /// Whether a text is split into tokens.
    pub(crate) fn is_split(&self) -> bool {
        self.tokenizer.split.is_some()
    }

    /// What a text becomes.
    pub(crate) fn output(&self) -> TextOutput {
        self.output_mode
    }

    /// The tokens that stand for no word.
    fn specials(&self) -> &'static [&'static str] {
        if self.output_mode == TextOutput::Int { &[PADDING, UNKNOWN] } else { &[UNKNOWN] }
    }

    fn words(&self) -> &[String] {
        self.words.as_deref().unwrap_or_default()
    }

    /// With these words, and no weights.
    fn set_words_to(&mut self, words: Option<Vec<String>>) {
        (self.words, self.idf_weights) = (words, None);
        let first = self.specials().len() as u32;
        self.index = (first..).zip(self.words()).map(|(index, word)| (word.clone(), index)).collect();
    }

    /// The index of a token.
    fn lookup(&self, token: &str) -> u32 {
        let unknown = self.specials().len() as u32 - 1;
        if token == PADDING { 0 } else { self.index.get(token).copied().unwrap_or(unknown) }
    }

    fn indices<T: AsRef<str>>(&self, texts: &[T]) -> Result<Tensor> {
        let mut rows: Vec<Vec<u32>> = memory::room(texts.len(), "the tokens of texts")?;
        for text in texts {
            let mut row = Vec::new();
            self.tokenizer.each(text.as_ref(), &mut |token| row.push(self.lookup(token)));
            rows.push(row);
        }
        let longest = rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = self.output_sequence_length.unwrap_or(longest);
        let mut all = memory::room(texts.len().saturating_mul(width), "the tokens of texts")?;
        for row in rows {
            let kept = row.len().min(width);
            all.extend_from_slice(&row[..kept]);
            all.resize(all.len() + width - kept, 0);
        }
        if self.tokenizer.split.is_none() && self.output_sequence_length.is_none() {
            return Tensor::new([texts.len()], all);
        }
        Tensor::new([texts.len(), width], all)
    }

    fn counts<T: AsRef<str>>(&self, texts: &[T]) -> Result<Tensor> {
        let width = self.max_tokens.filter(|_| self.pad_to_max_tokens).unwrap_or(self.vocabulary_size());
        let mut all: Vec<f32> = memory::room(texts.len().saturating_mul(width), "the counts of texts")?;
        let weights = self.idf_weights.as_ref().map(|weights| {
            let mean = weights.iter().map(|&weight| f64::from(weight)).sum::<f64>() / weights.len() as f64;
            [&[mean as f32], &weights[..]].concat()
        });
        for text in texts {
            let start = all.len();
            all.resize(start + width, 0.0);
            let row = &mut all[start..];
            self.tokenizer.each(text.as_ref(), &mut |token| {
                if token != PADDING {
                    row[self.lookup(token) as usize] += 1.0;
                }
            });
            match &weights {
                Some(weights) => row.iter_mut().zip(weights).for_each(|(count, weight)| *count *= weight),
                None if self.output_mode == TextOutput::MultiHot => row.iter_mut().for_each(|n| *n = n.min(1.0)),
                None => {}
            }
        }
        Tensor::new([texts.len(), width], Values::from(all))
    }

    /// That settings go together, whatever the vocabulary is.
    fn check_settings(&self) -> Result<()> {
        let refused = |name: &str, message: String| Err(Error::argument(name, message));
        let specials = self.specials().len();
        if let Some(most) = self.max_tokens.filter(|&most| most <= specials) {
            let message =
                format!("{most} has no place for a word beside {:?}; give {} or more", self.specials(), specials + 1);
            return refused("max_tokens", message);
        }
        if self.pad_to_max_tokens && self.max_tokens.is_none() {
            return refused("pad_to_max_tokens", "needs max_tokens, which says how far".into());
        }
        if self.output_sequence_length == Some(0) {
            return refused("output_sequence_length", "0 leaves nothing of a text; give 1 or more".into());
        }
        if self.output_sequence_length.is_some() && self.output_mode != TextOutput::Int {
            return refused("output_sequence_length", "counts of words have no length to cut; leave it out".into());
        }
        match &self.tokenizer.ngrams {
            Some(_) if self.tokenizer.split.is_none() => {
                refused("ngrams", "a text that is not split has no neighbours to join; set split".into())
            }
            Some(widths) if !widths.are_some() => {
                let widths: &[usize] = if let Widths::Of(widths) = widths { widths } else { &[] };
                refused("ngrams", format!("{widths:?} are no widths; give one or more, each 1 or more"))
            }
            _ => Ok(()),
        }
    }

    /// That they go together with the vocabulary, too.
    fn check(&self) -> Result<()> {
        self.check_settings()?;
        let wanted = if self.output_mode == TextOutput::TfIdf { self.words().len() } else { 0 };
        if self.idf_weights.as_ref().map_or(0, Vec::len) != wanted {
            let message = format!("expected {wanted}: of mode tf_idf one a word, of others none");
            return Err(Error::argument("idf_weights", message));
        }
        let (size, specials) = (self.vocabulary_size(), self.specials());
        match self.max_tokens.filter(|&most| most < size) {
            Some(most) => {
                let message = format!("has {size} tokens, {specials:?} among them; max_tokens is {most}");
                Err(Error::argument("vocabulary", message))
            }
            None => Ok(()),
        }
    }

    /// One that is kept or set, if its vocabulary is such as texts give.
    fn checked(self) -> Result<Self> {
        self.check()?;
        let refused = |message: String| Err(Error::argument("vocabulary", message));
        let Some(words) = &self.words else { return Ok(self) };
        let weights = self.idf_weights.as_ref();
        if words.is_empty() {
            return refused("there are no words; give one or more".into());
        }
        if let Some(word) = words.iter().find(|word| [PADDING, UNKNOWN].contains(&word.as_str())) {
            let message = format!(
                "{word:?} is no word but stands for none; give words alone, or begin with {:?}",
                self.specials()
            );
            return refused(message);
        }
        if self.index.len() < words.len() {
            let twice = words.iter().zip(self.specials().len() as u32..).find(|(word, at)| self.index[*word] != *at);
            return refused(format!("{:?} is there twice", twice.map_or("", |(word, _)| word)));
        }
        match weights.and_then(|weights| weights.iter().find(|weight| !weight.is_finite())) {
            Some(weight) => Err(Error::argument("idf_weights", format!("{weight} is no finite number"))),
            None => Ok(self),
        }
    }
}

/// How often a token was found.
#[derive(Default)]
struct Found {
    count: u64,
    /// In how many texts, and the last of them, counted from 1.
    documents: u64,
    last: u64,
}

impl Found {
    fn count(&mut self, document: u64) {
        self.count += 1;
        if self.last != document {
            (self.documents, self.last) = (self.documents + 1, document);
        }
    }
}

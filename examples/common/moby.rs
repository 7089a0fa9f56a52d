//! What the examples on Moby Dick share: the text as tokens, and what models reach on the chapters that are held out.

use anyhow::Context as _;
use kiln::data::{TextSplit, TextVectorization, TimeseriesDataset, Windows};
use kiln::nn::Sampler;
use kiln::prelude::*;

use super::ngram::NGram;

/// The novel, character by character: every tenth chapter is held out.
pub struct Moby {
    pub text: TextVectorization,
    pub train: Vec<Vec<u32>>,
    pub test: Vec<Vec<u32>>,
}

impl Moby {
    /// Of the chapters to train on the first `limit` characters.
    pub fn read(limit: usize) -> anyhow::Result<Self> {
        let chapters = kiln::data::moby_dick()?;
        let mut text = TextVectorization::new().standardize(None).split(TextSplit::Character);
        let (mut train, mut test) = (Vec::new(), Vec::new());
        for (number, chapter) in (1..).zip(&chapters) {
            if number % 10 == 0 { test.push(chapter) } else { train.push(chapter) }
        }
        text.adapt(&train)?;
        let tokens = |chapters: &[&String]| -> Result<Vec<Vec<u32>>> {
            chapters.iter().map(|chapter| Ok(text.apply(&[chapter])?.to_vec::<u32>())).collect()
        };
        let (mut left, mut train, test) = (limit, tokens(&train)?, tokens(&test)?);
        for chapter in &mut train {
            chapter.truncate(left);
            left -= chapter.len();
        }
        train.retain(|chapter| !chapter.is_empty());
        Ok(Self { text, train, test })
    }

    /// Prints what n-grams reach, counted in the same chapters.
    pub fn print_ngrams(&self) {
        for order in [3, 5] {
            let ngram = NGram::new(order, self.text.vocabulary_size(), &self.train);
            println!("{order}-gram: {:.3} bits a character", ngram.bits(&self.test));
        }
    }

    /// Windows of so many characters of the chapters to train on, each with the character that follows.
    pub fn windows(&self, length: usize, stride: usize) -> Result<TimeseriesDataset> {
        let all = self.train.concat();
        TimeseriesDataset::next_steps(Tensor::new([all.len()], all)?, Windows::new(length).sequence_stride(stride))
    }

    /// The chapters held out as windows that overlap by half, whose first half counts nothing: each character is predicted from half a
    /// window or more before it.
    pub fn held_out(&self, length: usize) -> Result<Dataset> {
        let all = self.test.concat();
        let windows = Windows::new(length).sequence_stride(length / 2);
        let windows = TimeseriesDataset::next_steps(Tensor::new([all.len()], all)?, windows)?.to_dataset()?;
        let mut labels = windows.y().to_vec::<u32>();
        labels
            .iter_mut()
            .enumerate()
            .filter(|(at, _)| at % length < length / 2)
            .for_each(|(_, label)| *label = IGNORED);
        Dataset::new(windows.x().clone(), Tensor::new(windows.y().shape().clone(), labels)?)
    }
}

/// No character's token: that of padding.
pub const IGNORED: u32 = 0;

/// The loss of the next character.
pub fn loss() -> Loss {
    Loss::SparseCategoricalCrossentropyFromLogits { ignore_class: Some(IGNORED) }
}

/// What a model reaches, in bits a character.
pub fn bits(model: &mut Model, data: &Dataset) -> anyhow::Result<f64> {
    Ok(model.evaluate(data)?.get("loss").context("compiled with one")? / std::f64::consts::LN_2)
}

/// Saves a model as `runs/NAME.safetensors`, and prints what it goes on with.
pub fn save_and_write(model: &mut Model, name: &str) -> anyhow::Result<()> {
    std::fs::create_dir_all("runs")?;
    model.save(format!("runs/{name}.safetensors"))?;
    let prompt = "The whale ";
    let more = model.generate(prompt, Sampler::new().temperature(0.7))?.take(300).collect::<kiln::Result<String>>()?;
    println!("{prompt}{more}");
    Ok(())
}

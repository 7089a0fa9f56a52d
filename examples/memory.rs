//! Memory: what a SimpleRNN, an LSTM and a GRU still know of a token, by how many others have followed it.
//!
//! Each sequence has 60 tokens of four kinds. One of them, at any place, is marked; behind the last token the answer is the kind of the
//! marked one. The gap is the number of tokens behind it.
//! `cargo run --release --example memory [-- --device NAME --limit N --epochs N --seed N --gap N]` trains all three on the same sequences,
//! prints what they reach on others, by gap, and draws it to `runs/memory.png`. `--gap` is the longest; sequences are a token longer.

mod common;

use kiln::plot::{Chart, Panel};
use kiln::prelude::*;
use kiln::random::uniform;

const KINDS: usize = 4;
const UNITS: usize = 32;
/// Sequences of each gap that are tested.
const TESTED: usize = 200;

/// A sequence for each gap: of each token five numbers, of which that of its kind is 1, and the last where it is marked.
fn sequences(gaps: &[usize], length: usize, seed: u64) -> Result<Dataset> {
    const WIDTH: usize = KINDS + 1;
    let tokens = drawn(gaps.len() * length, KINDS, seed, "tokens");
    let (mut x, mut y) = (vec![0f32; tokens.len() * WIDTH], Vec::new());
    for (at, kind) in tokens.iter().enumerate() {
        x[at * WIDTH + kind] = 1.0;
    }
    for (row, gap) in gaps.iter().enumerate() {
        let at = (row + 1) * length - 1 - gap;
        x[at * WIDTH + KINDS] = 1.0;
        y.push(tokens[at] as u32);
    }
    Dataset::new(Tensor::new([gaps.len(), length, WIDTH], x)?, Tensor::new([gaps.len()], y)?)
}

/// Whole numbers below `most`.
fn drawn(count: usize, most: usize, seed: u64, purpose: &str) -> Vec<usize> {
    uniform(count, 1.0, seed, purpose, 0).iter().map(|x| ((x + 1.0) / 2.0 * most as f32) as usize).collect()
}

/// The share of right answers of each gap, of which there are `TESTED` sequences each.
fn accuracies(model: &mut Model, test: &Dataset) -> Result<Vec<f64>> {
    let (scores, wanted) = (model.predict(test.x())?.to_vec::<f32>(), test.y().to_vec::<u32>());
    let best = |scores: &[f32]| (0..KINDS).max_by(|&i, &j| scores[i].total_cmp(&scores[j]));
    let right: Vec<bool> =
        scores.chunks(KINDS).zip(wanted).map(|(scores, kind)| best(scores) == Some(kind as usize)).collect();
    Ok(right.chunks(TESTED).map(|gap| gap.iter().filter(|&&right| right).count() as f64 / TESTED as f64).collect())
}

pub fn main() -> anyhow::Result<()> {
    let (args, longest) = common::Args::read_seeded_and(4000, 15, ("--gap", 59))?;
    let (seed, length) = (args.seed, longest + 1);
    let train = sequences(&drawn(args.limit, length, seed, "gaps"), length, seed)?;
    let each: Vec<usize> = (1..=longest).flat_map(|gap| [gap; TESTED]).collect();
    let test = sequences(&each, length, seed + 1000)?;
    let empty = || Sequential::new().seed(seed).device(args.device.clone());
    let nets = [
        ("SimpleRNN", empty().add(SimpleRnn::new(UNITS))),
        ("LSTM", empty().add(Lstm::new(UNITS))),
        ("GRU", empty().add(Gru::new(UNITS))),
    ];
    let mut curves = Vec::new();
    for (name, net) in nets {
        let mut model = net.add(Dense::new(KINDS).activation("softmax")).into_model();
        model.compile(Adam::new(0.01).global_clip_norm(1.0), "sparse_categorical_crossentropy", [])?;
        model.fit(&train, Fit::new().epochs(args.epochs).batch_size(50).verbose(0))?;
        curves.push((name, accuracies(&mut model, &test)?));
    }
    println!("{:>5}{:>11}{:>8}{:>8}", "gap", curves[0].0, curves[1].0, curves[2].0);
    for gap in (1..=longest).filter(|gap| *gap == 1 || *gap == longest || gap % 5 == 0) {
        let [simple, lstm, gru] = [0, 1, 2].map(|at: usize| curves[at].1[gap - 1]);
        println!("{gap:>5}{simple:>11.3}{lstm:>8.3}{gru:>8.3}");
    }
    let reaches = |at: usize, gap: &usize| curves[at].1[gap - 1] >= 0.99;
    let apart = (1..=longest).filter(|gap| reaches(1, gap) && reaches(2, gap) && !reaches(0, gap)).count();
    println!("gaps at which LSTM and GRU reach 0.99 and SimpleRNN does not: {apart} of {longest}");
    for (name, curve) in &curves {
        println!("{name}: {:.3} on average", curve.iter().sum::<f64>() / curve.len() as f64);
    }
    std::fs::create_dir_all("runs")?;
    let panel = curves.iter().fold(Panel::new("test accuracy"), |panel, (name, curve)| panel.curve(*name, curve));
    Chart::new("A marked token among others", "tokens behind it").panel(panel).save("runs/memory.png")?;
    Ok(())
}

//! The settings that are tried, and in what order.

use rand::Rng as _;

use super::Settings;
use super::task::Task;
use crate::nn::Activation;
use crate::random::{shuffled_with, stream};

/// Trials that cover the range of each setting in equal parts.
const BLOCK: usize = 8;

/// The settings that go with some data.
#[derive(Debug)]
pub(super) struct Space {
    /// Units of a hidden layer.
    units: Vec<usize>,
    batches: Vec<usize>,
    /// How many convolutions there may be; 0 where samples are no pictures.
    blocks: usize,
    balances: bool,
}

const ACTIVATIONS: [Activation; 3] = [Activation::Relu, Activation::Tanh, Activation::Silu];

/// The powers of two from `least` to `most`.
fn powers(least: usize, most: usize) -> Vec<usize> {
    std::iter::successors(Some(least), |n| Some(2 * n)).take_while(|&n| n <= most.max(least)).collect()
}

/// The element at `u`, from 0 to below 1, of a list.
fn at<T: Clone>(list: &[T], u: f64) -> T {
    list[((u * list.len() as f64) as usize).min(list.len() - 1)].clone()
}

/// From `least` to `most`, evenly by magnitude, to two digits, as they are printed.
fn magnitude([least, most]: [f64; 2], u: f64) -> f64 {
    two_digits(least * libm::pow(most / least, u))
}

fn two_digits(x: f64) -> f64 {
    format!("{x:.1e}").parse().expect("Rust reads what it writes")
}

impl Space {
    /// For data whose folds are trained on so many rows.
    pub fn of(task: &Task, rows: usize) -> Self {
        let blocks =
            task.picture.map_or(0, |[height, width, _]| (height.min(width) / 4).max(1).ilog2() as usize).min(3);
        Self {
            units: powers(8, (rows / 4).next_power_of_two().clamp(16, 256)),
            batches: powers((rows / 500).next_power_of_two().clamp(16, 64), (rows / 4).min(256)),
            blocks,
            balances: task.is_imbalanced,
        }
    }

    /// Those that are tried first: what most data are served well enough by, and of tables what is linear.
    fn first(&self) -> Vec<Settings> {
        let usual = Settings {
            filters: (0..self.blocks).map(|block| 16 << block).collect(),
            hidden: vec![at(&self.units, 0.7)],
            activation: Activation::Relu,
            learning_rate: 0.003,
            batch_size: at(&self.batches, 0.3),
            dropout: 0.0,
            weight_decay: 0.0,
            balanced: false,
        };
        let linear = Settings { hidden: Vec::new(), learning_rate: 0.01, ..usual.clone() };
        if self.blocks > 0 { vec![usual] } else { vec![usual, linear] }
    }

    /// Those of a trial. They follow from the seed and the trial's number alone. Behind the first, eight trials together have each
    /// eighth of every setting's range once, a Latin hypercube.
    pub fn settings(&self, seed: u64, trial: usize) -> Settings {
        let mut first = self.first();
        if trial < first.len() {
            return first.swap_remove(trial);
        }
        let drawn = trial - first.len();
        let (block, place) = ((drawn / BLOCK) as u64, drawn % BLOCK);
        let mut within = stream(seed, "auto", drawn as u64);
        let mut dimension = 0;
        let mut u = || {
            dimension += 1;
            let eighth = shuffled_with((0..BLOCK).collect(), seed, &format!("auto {dimension}"), block)[place];
            (eighth as f64 + f64::from(within.next_u32()) / (u64::from(u32::MAX) + 1) as f64) / BLOCK as f64
        };
        let (depth, widest, narrows) = (at(&[0, 1, 1, 1, 2, 2, 2, 3], u()), at(&self.units, u()), u() < 0.5);
        let depth = if self.blocks > 0 { depth.min(1) } else { depth };
        let width = |layer: usize| if narrows { (widest >> layer).max(8) } else { widest };
        let learning_rate = magnitude([3e-4, 3e-2], u());
        let batch_size = at(&self.batches, u());
        let dropout = two_digits((u() - 0.4).max(0.0));
        let decay = u();
        let weight_decay = if decay < 0.35 { 0.0 } else { magnitude([1e-3, 3.0], (decay - 0.35) / 0.65) };
        let activation = at(&ACTIVATIONS, u());
        let (balanced, blocks, filters) = (u() < 0.5 && self.balances, u(), at(&[8, 16, 32], u()));
        let blocks = (blocks * self.blocks as f64) as usize + usize::from(self.blocks > 0);
        Settings {
            filters: (0..blocks).map(|block| filters << block).collect(),
            hidden: (0..depth).map(width).collect(),
            activation,
            learning_rate,
            batch_size,
            dropout: if depth == 0 && blocks == 0 { 0.0 } else { dropout },
            weight_decay,
            balanced,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Dataset;
    use crate::tensor::Tensor;

    fn task(sample: &[usize], labels: Vec<u32>) -> Task {
        let shape: Vec<usize> = [labels.len()].iter().chain(sample).copied().collect();
        let len = shape.iter().product();
        let y = Tensor::new([labels.len()], labels).unwrap();
        Task::of(&Dataset::new(Tensor::new(shape, vec![0u8; len]).unwrap(), y).unwrap()).unwrap()
    }

    #[test]
    fn trials_cover_the_space() {
        let space = Space::of(&task(&[4], vec![0, 0, 0, 1]), 2000);
        let all: Vec<Settings> = (0..82).map(|trial| space.settings(3, trial)).collect();
        let some = |has: &dyn Fn(&Settings) -> bool| {
            let count = all[2..].iter().filter(|settings| has(settings)).count();
            assert!(count > 0 && count < 80, "{count} of 80");
            count
        };
        assert_eq!([0, 1, 2, 3].map(|depth| some(&|s| s.hidden.len() == depth)), [10, 30, 30, 10]);
        for activation in ACTIVATIONS {
            some(&|s| s.activation == activation);
        }
        for units in &space.units {
            some(&|s| s.hidden.first() == Some(units));
        }
        for batch in &space.batches {
            some(&|s| s.batch_size == *batch);
        }
        for block in all[2..].chunks(BLOCK) {
            // One in each eighth of a range of two powers of ten.
            let mut eighths: Vec<f64> = block.iter().map(|s| (s.learning_rate / 3e-4).log10() * 4.0).collect();
            eighths.sort_by(f64::total_cmp);
            let near = |(eighth, x): (f64, &f64)| (eighth - 0.2..=eighth + 1.2).contains(x);
            assert!((0..8).map(f64::from).zip(&eighths).all(near), "{eighths:?}");
        }
        some(&|s| s.dropout > 0.0);
        some(&|s| s.weight_decay > 0.5);
        some(&|s| s.weight_decay == 0.0);
        some(&|s| s.balanced);
        assert!(
            all.iter().all(|s| s.filters.is_empty() && s.dropout < 0.61 && (s.dropout == 0.0 || !s.hidden.is_empty()))
        );
    }

    #[test]
    fn settings_follow_from_seed_and_number() {
        let space = Space::of(&task(&[4], vec![0, 0, 1, 1]), 2000);
        assert_eq!([0, 1].map(|trial| space.settings(3, trial)).to_vec(), space.first());
        assert!(space.settings(3, 1).hidden.is_empty());
        assert_eq!(space.settings(3, 17), space.settings(3, 17));
        assert_ne!(space.settings(3, 17), space.settings(3, 18));
        assert_ne!(space.settings(3, 17), space.settings(4, 17));
        assert!((0..80).all(|trial| !space.settings(3, trial).balanced), "classes are balanced already");
    }

    #[test]
    fn pictures_have_convolutions_that_fit_them() {
        for (sample, most) in [(&[8, 8][..], 1), (&[28, 28], 2), (&[64, 64, 3], 3)] {
            let space = Space::of(&task(sample, vec![0, 1, 2]), 500);
            let blocks: Vec<usize> = (0..81).map(|trial| space.settings(3, trial).filters.len()).collect();
            assert_eq!(blocks.iter().max(), Some(&most));
            assert_eq!(blocks.iter().min(), Some(&1));
        }
        for sample in [&[7, 7][..], &[28 * 28], &[20, 5, 2]] {
            let space = Space::of(&task(sample, vec![0, 1, 2]), 500);
            assert!((0..81).all(|trial| space.settings(3, trial).filters.is_empty()));
        }
    }
}

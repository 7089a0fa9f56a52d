//! The random generator of the host: ChaCha with 8 rounds, the same numbers on every platform and in every version.

use rand::rngs::ChaCha8Rng;
use rand::{Rng as _, SeedableRng as _};

/// A generator of its own for each (seed, purpose, index): streams do not overlap, and none depends on how much
/// another has drawn.
pub fn stream(seed: u64, purpose: &str, index: u64) -> ChaCha8Rng {
    let mut key = [0u8; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..16].copy_from_slice(&index.to_le_bytes());
    assert!(purpose.len() <= 16, "a purpose has at most 16 bytes: {purpose}");
    key[16..16 + purpose.len()].copy_from_slice(purpose.as_bytes());
    ChaCha8Rng::from_seed(key)
}

/// The purpose of an epoch's order.
pub(crate) const SHUFFLE: &str = "shuffle";

/// The numbers 0..n in an order shuffled from (seed, epoch).
pub fn shuffled(n: u32, seed: u64, epoch: u64) -> Vec<u32> {
    shuffled_with((0..n).collect(), seed, SHUFFLE, epoch)
}

/// The values in an order shuffled by Fisher and Yates' method from (seed, purpose, index).
pub fn shuffled_with<T>(mut order: Vec<T>, seed: u64, purpose: &str, index: u64) -> Vec<T> {
    let mut rng = stream(seed, purpose, index);
    for i in (1..order.len()).rev() {
        // Multiply-shift maps 32 random bits to 0..=i; its bias is below 2^-32 * n, far under anything measurable.
        let j = (u64::from(rng.next_u32()) * (i as u64 + 1)) >> 32;
        order.swap(i, j as usize);
    }
    order
}

/// `n` numbers uniform in [-limit, limit), each a multiple of 2^-23 of the limit.
pub fn uniform(n: usize, limit: f64, seed: u64, purpose: &str, index: u64) -> Vec<f32> {
    let mut rng = stream(seed, purpose, index);
    (0..n).map(|_| (f64::from(rng.next_u32() >> 8) / 8_388_608.0 - 1.0) * limit).map(|x| x as f32).collect()
}

/// Standard normal numbers by Box and Muller's method, none further out than 8.6. Logarithm, sine and cosine are
/// libm's in Rust, not the platform's, so that the numbers are the same everywhere.
pub fn normal(seed: u64, purpose: &str, index: u64) -> impl Iterator<Item = f64> + use<> {
    let mut rng = stream(seed, purpose, index);
    let pairs = std::iter::repeat_with(move || {
        // In (0, 1] for the logarithm, multiples of 2^-53.
        let [a, b] = std::array::from_fn(|_| ((rng.next_u64() >> 11) + 1) as f64 / (1u64 << 53) as f64);
        let (radius, (sin, cos)) = ((-2.0 * libm::log(a)).sqrt(), libm::sincos(std::f64::consts::TAU * b));
        [radius * cos, radius * sin]
    });
    pairs.flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shuffle_is_a_permutation_and_repeats() {
        let a = shuffled(1000, 7, 3);
        let mut sorted = a.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..1000).collect::<Vec<_>>());
        assert_eq!(a, shuffled(1000, 7, 3));
        assert_ne!(a, shuffled(1000, 7, 4));
        assert_ne!(a, shuffled(1000, 8, 3));
        assert_eq!((shuffled(0, 1, 1), shuffled(1, 1, 1)), (vec![], vec![0]));
    }

    #[test]
    fn every_place_is_as_likely() {
        let mut counts = [[0u32; 5]; 5];
        for epoch in 0..5000 {
            shuffled(5, 1, epoch).iter().enumerate().for_each(|(place, &n)| counts[place][n as usize] += 1);
        }
        // 1000 expected, standard deviation 28: six of them.
        assert!(counts.iter().flatten().all(|c| (830..1170).contains(c)), "{counts:?}");
    }

    #[test]
    fn uniform_keeps_its_range_and_known_values() {
        let u = uniform(10_000, 0.5, 1, "weights", 0);
        assert!(u.iter().all(|x| (-0.5..0.5).contains(x)));
        let mean = u.iter().sum::<f32>() / 10_000.0;
        assert!(mean.abs() < 0.02, "{mean}");
        assert_eq!(uniform(4, 1.0, 42, "weights", 0), uniform(4, 1.0, 42, "weights", 0));
    }
}

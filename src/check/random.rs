//! The host's random generator: its known answers, which are the same on every platform.

use rand::Rng as _;

use super::Finding;
use crate::random::{shuffled, stream, uniform};

/// The first words of ChaCha with 8 rounds under a key and a nonce of zeros, test vector 1 of 256 bits in
/// <https://datatracker.ietf.org/doc/html/draft-strombergson-chacha-test-vectors-01>.
const CHACHA8: [u32; 8] =
    [0x2fef_003e, 0xd640_5f89, 0xe8b8_5b7f, 0xa1a5_091f, 0xc30e_842c, 0x3b7f_9ace, 0x88e1_1b18, 0x1e1a_71ef];

/// What another program, of few lines in Python, makes of the same streams.
const ORDER: [u32; 10] = [0, 4, 7, 6, 9, 8, 3, 2, 5, 1];
const WEIGHTS: [u32; 4] = [0xbe4e_a648, 0xbe8b_e126, 0x3ec3_fe5a, 0x3d99_1348];

/// What the generator came to.
pub(super) fn findings() -> Vec<Finding> {
    let mut rng = stream(0, "", 0);
    let words: Vec<u32> = CHACHA8.iter().map(|_| rng.next_u32()).collect();
    let weights: Vec<u32> = uniform(4, 0.5, 42, "weights", 1).into_iter().map(f32::to_bits).collect();
    vec![
        known("ChaCha8 under the zero key", &words, &CHACHA8),
        known("an order of ten samples", &shuffled(10, 7, 3), &ORDER),
        known("four weights, in bits", &weights, &WEIGHTS),
    ]
}

fn known(what: &'static str, found: &[u32], expected: &[u32]) -> Finding {
    let same = found == expected;
    let differ =
        || format!("{found:x?}, expected {expected:x?}: initial weights and batches differ from other machines'");
    Finding::of("random", what, if same { Ok(0.0) } else { Err(differ()) })
}

//! Philox-4x32-10, the random generator of kernels: Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as
//! 1, 2, 3" (2011). A number follows from a counter and a key alone, so that any device makes the same one for the same
//! step, op and element, in any order.

use super::cpu::{for_each_row, vectorised};

/// The shared functions, `shaders/lib/philox.wgsl`.
pub(crate) const LIB_PHILOX: &str = include_str!("../../shaders/lib/philox.wgsl");

/// Four random words of a counter under a key.
pub fn philox(counter: [u32; 4], key: [u32; 2]) -> [u32; 4] {
    side_by_side(counter.map(|word| [word]), key).map(|[word]| word)
}

/// The same of so many counters side by side, for which the compiler has vectors.
#[inline(always)]
fn side_by_side<const N: usize>(mut counter: [[u32; N]; 4], mut key: [u32; 2]) -> [[u32; N]; 4] {
    for _ in 0..10 {
        let mut next = [[0; N]; 4];
        for i in 0..N {
            let wide_0 = u64::from(0xD251_1F53_u32) * u64::from(counter[0][i]);
            let wide_2 = u64::from(0xCD9E_8D57_u32) * u64::from(counter[2][i]);
            next[0][i] = (wide_2 >> 32) as u32 ^ counter[1][i] ^ key[0];
            next[1][i] = wide_2 as u32;
            next[2][i] = (wide_0 >> 32) as u32 ^ counter[3][i] ^ key[1];
            next[3][i] = wide_0 as u32;
        }
        counter = next;
        key = [key[0].wrapping_add(0x9E37_79B9), key[1].wrapping_add(0xBB67_AE85)];
    }
    counter
}

/// The random word of element `i` of the op `salt` in the step and under the seed that the clock holds.
pub fn word(i: u32, salt: u32, clock: &[u32]) -> u32 {
    philox([i / 4, clock[2], salt, 0], [clock[3], 0])[i as usize % 4]
}

/// Elements whose words are made at once.
pub(crate) const AT_ONCE: usize = 4 * LANES;
const LANES: usize = 16;

/// What [`word`] gives of the elements from `first` on, a multiple of four.
#[inline(always)]
pub(crate) fn words(first: u32, salt: u32, clock: &[u32]) -> [u32; AT_ONCE] {
    let mut counter = [[0; LANES], [clock[2]; LANES], [salt; LANES], [0; LANES]];
    for (i, counter) in counter[0].iter_mut().enumerate() {
        *counter = (first / 4).wrapping_add(i as u32);
    }
    let counter = side_by_side(counter, [clock[3], 0]);
    let mut words = [0; AT_ONCE];
    for i in 0..LANES {
        for (part, counter) in counter.iter().enumerate() {
            words[4 * i + part] = counter[i];
        }
    }
    words
}

/// Calls `f(first, y_piece, words)` for pieces of `y` with the random words of their elements, in parallel where it pays; `first` is
/// the piece's first index.
pub(crate) fn for_each_words<T: Send>(
    y: &mut [T],
    salt: u32,
    clock: &[u32],
    f: impl Fn(usize, &mut [T], [u32; AT_ONCE]) + Sync,
) {
    for_each_row(y, AT_ONCE, |block, y| {
        let first = block * AT_ONCE;
        f(first, y, vectorised!(words(first as u32, salt, clock)));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_at_once_are_the_words_one_by_one() {
        for first in [0, 64, 1_000, u32::MAX - 63] {
            let clock = [1, 2, 3, 4];
            let one_by_one: Vec<u32> = (0..AT_ONCE as u32).map(|i| word(first + i, 7, &clock)).collect();
            assert_eq!(words(first, 7, &clock).to_vec(), one_by_one, "{first}");
        }
    }

    /// The vectors that the authors publish with their code (Random123, kat_vectors).
    #[test]
    fn known_answers() {
        assert_eq!(philox([0; 4], [0; 2]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        assert_eq!(philox([u32::MAX; 4], [u32::MAX; 2]), [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
        let counter = [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344];
        let words = [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1];
        assert_eq!(philox(counter, [0xa409_3822, 0x299f_31d0]), words);
    }
}

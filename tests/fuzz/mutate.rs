//! Inputs made of others.

/// SplitMix64.
pub struct Rng(u64);

impl Rng {
    /// The numbers of an input.
    pub fn new(seed: u64, reader: &str, number: u64) -> Self {
        let name = reader.bytes().fold(0u64, |hash, byte| hash.wrapping_mul(31).wrapping_add(u64::from(byte)));
        let mut rng = Self(seed ^ name.rotate_left(32) ^ number.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        rng.next();
        rng
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Below `n`, which is not 0.
    pub fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    pub fn of<'a, T: ?Sized>(&mut self, all: &[&'a T]) -> &'a T {
        all[self.below(all.len())]
    }
}

/// Where arithmetic ends.
const NUMBERS: [u64; 14] =
    [0, 1, 2, 0x7f, 0xff, 0x7fff, 0xffff, 0x7fff_ffff, 0xffff_ffff, 1 << 32, 1 << 53, u64::MAX >> 1, 1 << 63, u64::MAX];

/// What stands in text for a number, or for something else.
const WORDS: [&str; 24] = [
    "0",
    "-0",
    "1",
    "-1",
    "2",
    "0.5",
    "1e308",
    "1e-320",
    "1e999",
    "NaN",
    "\"NaN\"",
    "\"inf\"",
    "\"-inf\"",
    "4294967296",
    "9007199254740993",
    "9223372036854775808",
    "12297829382473034672",
    "18446744073709551615",
    "340282366920938463463374607431768211456",
    "1.0000000000000002",
    "null",
    "[]",
    "{}",
    "\"\"",
];

/// One of the inputs with some changes, each at a place of its own.
pub fn mutated(seeds: &[Vec<u8>], is_text: bool, rng: &mut Rng) -> Vec<u8> {
    let mut bytes = seeds[rng.below(seeds.len())].clone();
    // Many change one thing, some a lot.
    let times = 1 + (rng.next().trailing_ones() as usize) * 2;
    for _ in 0..times {
        match (is_text, rng.below(if is_text { 10 } else { 7 })) {
            (true, 7..) => token(&mut bytes, rng),
            (_, kind) => change(&mut bytes, seeds, kind, rng),
        }
    }
    bytes
}

fn change(bytes: &mut Vec<u8>, seeds: &[Vec<u8>], kind: usize, rng: &mut Rng) {
    let at = rng.below(bytes.len() + 1);
    let end = (at + 1 + rng.below(16)).min(bytes.len());
    match kind {
        0 if at < bytes.len() => bytes[at] ^= 1 << rng.below(8),
        1 if at < bytes.len() => bytes[at] = rng.next() as u8,
        2 => bytes.insert(at, rng.next() as u8),
        3 => drop(bytes.drain(at..end)),
        4 => {
            let piece = bytes[at..end].repeat(1 + rng.below(4));
            bytes.splice(at..at, piece);
        }
        5 => {
            let number = NUMBERS[rng.below(NUMBERS.len())];
            let (little, big) = (number.to_le_bytes(), number.to_be_bytes());
            let size = 1 << rng.below(4);
            let number = if rng.below(2) == 0 { &little[..size] } else { &big[8 - size..] };
            let end = (at + size).min(bytes.len());
            bytes.splice(at..end, number.iter().copied());
        }
        6 if rng.below(4) == 0 => bytes.truncate(at),
        6 => {
            let other = &seeds[rng.below(seeds.len())];
            let from = rng.below(other.len() + 1);
            let piece = &other[from..(from + rng.below(64)).min(other.len())];
            bytes.splice(at..end, piece.iter().copied());
        }
        _ => {}
    }
}

/// Puts another in the place of a number or a word.
fn token(bytes: &mut Vec<u8>, rng: &mut Rng) {
    let ends = |byte: &u8| b",:[]{} \t\n()=".contains(byte);
    let starts: Vec<usize> =
        (0..bytes.len()).filter(|&i| !ends(&bytes[i]) && (i == 0 || ends(&bytes[i - 1]))).collect();
    if starts.is_empty() {
        return;
    }
    let start = starts[rng.below(starts.len())];
    let end = (start..bytes.len()).find(|&i| ends(&bytes[i])).unwrap_or(bytes.len());
    let word = match rng.below(8) {
        0 => {
            let other = starts[rng.below(starts.len())];
            let end = (other..bytes.len()).find(|&i| ends(&bytes[i])).unwrap_or(bytes.len());
            bytes[other..end].to_vec()
        }
        _ => rng.of(&WORDS).as_bytes().to_vec(),
    };
    bytes.splice(start..end, word);
}

//! A language model of n-grams: how likely a token is after the few before it, counted in texts.

use std::collections::HashMap;

/// Counts of tokens after their contexts, interpolated as Kneser and Ney do, with Chen and Goodman's three discounts: after a context
/// that was seen n times a token seen c times has the probability (c - d) / n and its share of what the discounts d leave, by its
/// probability after the context without its first token. Contexts that are not the longest count before how many different tokens
/// theirs stood. Below all is 1 / size.
pub struct NGram {
    size: usize,
    /// By length, single tokens first.
    orders: Vec<Order>,
}

struct Order {
    /// Of each row of so many tokens.
    counts: HashMap<u64, u32>,
    /// Of each row without its last token.
    contexts: HashMap<u64, Context>,
    /// Of what was seen once, twice, and more often.
    discounts: [f64; 3],
}

#[derive(Clone, Copy, Default)]
struct Context {
    times: u32,
    /// How many tokens were seen behind it once, twice, and more often.
    different: [u32; 3],
}

/// A row of tokens from 1 to 255 as one number.
fn key(tokens: &[u32]) -> u64 {
    tokens.iter().fold(0, |key, &token| key << 8 | u64::from(token))
}

impl NGram {
    /// Counts up to `most` tokens in a row, 8 at most, in texts of tokens from 1 to `size - 1`, of 256 at most.
    pub fn new(most: usize, size: usize, texts: &[Vec<u32>]) -> Self {
        assert!((1..=8).contains(&most) && size <= 256, "a key has 8 bytes");
        let rows = |len: usize| {
            let mut counts = HashMap::<u64, u32>::new();
            for row in texts.iter().flat_map(|text| text.windows(len)) {
                *counts.entry(key(row)).or_default() += 1;
            }
            counts
        };
        let (mut orders, mut longer) = (Vec::new(), rows(most));
        orders.push(Order::new(longer.clone()));
        for len in (1..most).rev() {
            // Before how many different tokens a row stood; one at a text's beginning stood nowhere else, perhaps.
            let mut counts = HashMap::<u64, u32>::new();
            for row in longer.keys() {
                *counts.entry(row & ((1 << (8 * len)) - 1)).or_default() += 1;
            }
            for text in texts.iter().filter(|text| text.len() >= len) {
                counts.entry(key(&text[..len])).or_insert(1);
            }
            orders.push(Order::new(counts));
            longer = rows(len);
        }
        orders.reverse();
        Self { size, orders }
    }

    /// How likely a token is after those of a text before it.
    pub fn probability(&self, before: &[u32], token: u32) -> f64 {
        let mut probability = 1.0 / self.size as f64;
        for (len, order) in self.orders.iter().enumerate() {
            let Some(start) = before.len().checked_sub(len) else { break };
            let context = key(&before[start..]);
            let Some(Context { times, different }) = order.contexts.get(&context) else { break };
            let count = order.counts.get(&(context << 8 | u64::from(token))).copied().unwrap_or(0);
            let discount = if count == 0 { 0.0 } else { order.discounts[count.min(3) as usize - 1] };
            let left: f64 = order.discounts.iter().zip(different).map(|(d, &n)| d * f64::from(n)).sum();
            probability = (f64::from(count) - discount + left * probability) / f64::from(*times);
        }
        probability
    }

    /// The mean of -log2 of each token's probability, in bits a token.
    pub fn bits(&self, texts: &[Vec<u32>]) -> f64 {
        let tokens = texts.iter().map(Vec::len).sum::<usize>();
        let bits = |text: &Vec<u32>| -> f64 {
            (0..text.len()).map(|at| -self.probability(&text[..at], text[at]).log2()).sum()
        };
        texts.iter().map(bits).sum::<f64>() / tokens as f64
    }
}

impl Order {
    fn new(counts: HashMap<u64, u32>) -> Self {
        let mut contexts = HashMap::<u64, Context>::new();
        let mut often = [0.0; 4];
        for (row, &count) in &counts {
            let context = contexts.entry(row >> 8).or_default();
            context.times += count;
            context.different[count.min(3) as usize - 1] += 1;
            if count <= 4 {
                often[count as usize - 1] += 1.0;
            }
        }
        let share = if often[0] == 0.0 { 0.5 } else { often[0] / (often[0] + 2.0 * often[1]) };
        let discount = |seen: usize| {
            let fewer = (seen + 1) as f64 * share * often[seen] / f64::max(often[seen - 1], 1.0);
            (seen as f64 - fewer).clamp(0.05, seen as f64)
        };
        Self { counts, contexts, discounts: [1, 2, 3].map(discount) }
    }
}

//! Attentions of odd extents: one key, primes, groups of heads, masks of every form, launches that go on.

use super::super::Case;
use super::super::case::random;
use super::{Attention, AttentionGrad};
use crate::tensor::Tensor;

/// batch, queries, keys, heads, groups, key, value
type Extents = [usize; 7];

fn operands([batch, queries, keys, heads, groups, key, value]: Extents, seed: u64) -> Vec<Tensor> {
    vec![
        random([batch, queries, heads, key], seed),
        random([batch, keys, groups, key], seed + 1),
        random([batch, keys, groups, value], seed + 2),
    ]
}

/// Ones of a shape, and zeros and halves, which do not count either, that go by their place; whole rows of these, too, where `rows`.
fn mask(shape: [usize; 4], rows: bool) -> Tensor {
    let keys = shape[3];
    let counts = |i: usize| i % 5 < 3 && !(rows && i / keys % 4 == 1) || (!rows && i.is_multiple_of(keys));
    let number = |i: usize| if counts(i) { 1.0 } else { (i % 2) as f32 / 2.0 };
    Tensor::new(shape, (0..shape.iter().product()).map(number).collect::<Vec<_>>()).expect("one an element")
}

/// An attention of given extents.
struct Form(&'static str, Attention, Extents, Option<Tensor>);

impl Form {
    fn forward(&self) -> Case {
        let Self(label, op, extents, mask) = self;
        let inputs = [operands(*extents, 900), mask.iter().cloned().collect()].concat();
        let case = Case::new(*label, *op, inputs).ulps(8.0).sums(extents[2] + extents[5]);
        // Finite differences take a forward pass for each number.
        if extents.iter().product::<usize>() < 3000 { case.wrt(&[0, 1, 2]) } else { case }
    }

    fn gradient(&self) -> Case {
        let Self(label, op, [batch, queries, keys, heads, _, key, value], _) = *self;
        let [y, dy] = [991, 990].map(|seed| random([batch, queries, heads, value], seed));
        // What is left need not be of these scores: about the largest, and the sum.
        let stats = (0..batch * queries * heads).flat_map(|i| [2.0 + (i % 3) as f32 * 0.25, keys as f32 * 0.125]);
        let stats = Tensor::new([batch, queries, heads, 2], stats.collect::<Vec<_>>()).expect("two a row");
        let inputs = [self.forward().inputs, vec![y, stats, dy]].concat();
        Case::new(label, AttentionGrad(op), inputs).ulps(16.0).sums(queries.max(keys) + 2 * key)
    }
}

pub(crate) fn cases() -> Vec<Case> {
    let plain = Attention::new(0.5);
    let causal = Attention { causal: true, ..plain };
    let windowed = Attention { window: Some(3), ..plain };
    let both = Attention { window: Some(2), ..causal };
    let forms = [
        Form("one of each", plain, [1; 7], None),
        Form("two heads of 5 and 3 numbers", plain, [2, 3, 7, 2, 2, 5, 3], None),
        Form("causal, 7 by 7", causal, [2, 7, 7, 2, 2, 4, 4], None),
        Form("causal, more queries than keys", causal, [1, 11, 3, 1, 1, 3, 2], None),
        Form("causal, more keys than queries", causal, [1, 3, 11, 1, 1, 3, 2], None),
        Form("a window", windowed, [2, 9, 9, 1, 1, 4, 5], None),
        Form("a causal window", both, [2, 9, 8, 1, 1, 4, 5], None),
        Form("a causal window that leaves some nothing", both, [1, 13, 5, 1, 1, 2, 3], None),
        Form("six heads of two groups", plain, [2, 3, 5, 6, 2, 4, 3], None),
        Form("keys that do not count", plain, [3, 4, 5, 2, 2, 3, 3], Some(mask([3, 1, 1, 5], false))),
        Form("causal, and keys that do not count", causal, [3, 5, 5, 2, 2, 3, 3], Some(mask([3, 1, 1, 5], true))),
        Form("a mask of all", plain, [2, 3, 5, 2, 1, 3, 3], Some(mask([2, 2, 3, 5], false))),
        Form("queries for which nothing counts", plain, [2, 4, 5, 2, 2, 3, 3], Some(mask([1, 1, 4, 5], true))),
        Form("17 and 33 numbers", causal, [1, 19, 19, 2, 2, 17, 33], None),
        Form("a causal window, heads of 16 and 32 numbers in two groups", both, [1, 18, 17, 4, 2, 16, 32], None),
        Form("64 steps of 4 heads", causal, [2, 64, 64, 4, 4, 16, 16], None),
        Form("1,700 keys in two launches", plain, [1, 3, 1700, 1, 1, 19, 19], None),
        Form("1,700 queries in launches", plain, [1, 1700, 3, 2, 1, 19, 19], None),
        Form("1,700 causal queries in launches", causal, [1, 1700, 5, 1, 1, 19, 2], None),
    ];
    let mut cases: Vec<Case> = forms.iter().map(Form::forward).collect();
    cases.extend(forms.iter().map(Form::gradient));
    // An error of a score is one of its exponential.
    let far = Form("scores of some thousands", Attention::new(2000.0), [1, 5, 7, 1, 1, 4, 3], None).forward();
    cases.push(far.wrt(&[]).ulps(1e4));
    cases
}

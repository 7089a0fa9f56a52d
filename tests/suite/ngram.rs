//! The n-grams that the examples on texts stand beside.

#[path = "../../examples/common/ngram.rs"]
mod of_examples;

use of_examples::NGram;

#[test]
fn single_tokens_are_discounted_as_by_hand() {
    let model = NGram::new(1, 3, &[vec![1, 1, 2]]);
    // Seen once: one less a third; seen twice: nothing is left; what is left, 7/3 of 3, is shared by all three.
    for (token, wanted) in [(0, 7.0 / 27.0), (1, 7.0 / 27.0), (2, 13.0 / 27.0)] {
        assert!((model.probability(&[], token) - wanted).abs() < 1e-12, "{token}: {}", model.probability(&[], token));
    }
    let bits = -(2.0 * (7.0f64 / 27.0).log2() + (13.0f64 / 27.0).log2()) / 3.0;
    assert!((model.bits(&[vec![1], vec![1, 2]]) - bits).abs() < 1e-12);
}

#[test]
fn probabilities_of_all_tokens_sum_to_one() {
    let text = |n: u32, step: u32| (0..n).map(|at| 1 + (at * at * step / 3 + at / 7) % 6).collect::<Vec<_>>();
    let texts = [text(200, 5), text(90, 7), vec![3], text(2, 1)];
    let model = NGram::new(5, 9, &texts);
    let contexts = [vec![], vec![1], vec![2, 6], vec![8, 7, 8, 7], vec![7, 1, 2], texts[0][40..60].to_vec()];
    for context in contexts {
        let sum: f64 = (0..9).map(|token| model.probability(&context, token)).sum();
        assert!((sum - 1.0).abs() < 1e-12, "{context:?}: {sum}");
    }
    // What was seen is told better by longer contexts.
    assert!(model.bits(&texts) < NGram::new(2, 9, &texts).bits(&texts));
}

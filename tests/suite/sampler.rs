//! How one of several is chosen by scores.

use kiln::nn::Sampler;

/// Scores of these probabilities.
fn logits(probabilities: &[f64]) -> Vec<f32> {
    probabilities.iter().map(|p| p.ln() as f32).collect()
}

#[track_caller]
fn near(sampler: &Sampler, logits: &[f32], wanted: &[f64]) {
    let found = sampler.probabilities(logits).unwrap();
    assert!(found.iter().zip(wanted).all(|(a, b)| (a - b).abs() < 1e-6), "{found:?}, not {wanted:?}");
    assert!(found.iter().zip(wanted).all(|(a, b)| (*a == 0.0) == (*b == 0.0)), "{found:?}, not {wanted:?}");
}

#[test]
fn the_likeliest_are_kept_and_share_the_rest() {
    let four = logits(&[0.1, 0.4, 0.2, 0.3]);
    let plain = Sampler::new();
    near(&plain, &four, &[0.1, 0.4, 0.2, 0.3]);
    near(&plain.clone().top_k(2), &four, &[0.0, 4.0 / 7.0, 0.0, 3.0 / 7.0]);
    near(&plain.clone().top_k(9), &four, &[0.1, 0.4, 0.2, 0.3]);
    near(&plain.clone().top_p(0.39), &four, &[0.0, 1.0, 0.0, 0.0]);
    near(&plain.clone().top_p(0.41), &four, &[0.0, 4.0 / 7.0, 0.0, 3.0 / 7.0]);
    near(&plain.clone().top_p(0.71), &four, &[0.0, 4.0 / 9.0, 2.0 / 9.0, 3.0 / 9.0]);
    near(&plain.clone().top_p(1.0), &four, &[0.1, 0.4, 0.2, 0.3]);
    // The share is of what top_k left, and of what the temperature made of it.
    near(&plain.clone().top_k(2).top_p(0.57), &four, &[0.0, 1.0, 0.0, 0.0]);
    near(&plain.clone().temperature(0.5), &four, &[0.01 / 0.3, 0.16 / 0.3, 0.04 / 0.3, 0.09 / 0.3]);
    near(&plain.clone().temperature(0.5).top_p(0.53), &four, &[0.0, 1.0, 0.0, 0.0]);
    near(&plain.clone().temperature(0.0), &four, &[0.0, 1.0, 0.0, 0.0]);
}

#[test]
fn of_equals_the_first_are_kept() {
    let equal = [1.0f32; 4];
    near(&Sampler::new().top_k(3), &equal, &[1.0 / 3.0, 1.0 / 3.0, 1.0 / 3.0, 0.0]);
    near(&Sampler::new().top_p(0.5), &equal, &[0.5, 0.5, 0.0, 0.0]);
    near(&Sampler::new().temperature(0.0), &equal, &[1.0, 0.0, 0.0, 0.0]);
    near(&Sampler::new(), &[f32::NEG_INFINITY, -1e30, -1e30], &[0.0, 0.5, 0.5]);
    near(&Sampler::new().temperature(1e-3), &[1000.0, 3000.0, 3000.0], &[0.0, 0.5, 0.5]);
}

#[test]
fn draws_are_as_frequent_as_they_are_likely_and_repeat() {
    let four = logits(&[0.1, 0.4, 0.0, 0.5]);
    let draw = |seed| {
        let mut sampler = Sampler::new().seed(seed);
        (0..4000).map(|_| sampler.sample(&four).unwrap()).collect::<Vec<_>>()
    };
    let (drawn, mut counts) = (draw(7), [0u32; 4]);
    drawn.iter().for_each(|&at| counts[at] += 1);
    // Five standard deviations.
    for (count, wanted) in counts.into_iter().zip([400.0, 1600.0, 0.0, 2000.0]) {
        assert!((f64::from(count) - wanted).abs() < 5.0 * 32.0 && (count == 0) == (wanted == 0.0), "{counts:?}");
    }
    assert_eq!(drawn, draw(7));
    assert_ne!(drawn, draw(8));
}

#[test]
fn what_is_no_setting_or_no_score_is_refused() {
    let plain = Sampler::new();
    for (sampler, part) in [
        (plain.clone().temperature(-1.0), "temperature: -1"),
        (plain.clone().temperature(f64::NAN), "temperature: NaN"),
        (plain.clone().top_k(0), "top_k: 0"),
        (plain.clone().top_p(0.0), "top_p: 0"),
        (plain.clone().top_p(1.5), "top_p: 1.5"),
    ] {
        let text = sampler.probabilities(&[0.0]).unwrap_err().to_string();
        assert!(text.contains(part), "{text}");
    }
    for (logits, part) in [
        (&[0.0, f32::NAN][..], "number 1 is NaN"),
        (&[f32::INFINITY], "inf"),
        (&[], "none of 0"),
        (&[f32::NEG_INFINITY], "none of 1"),
    ] {
        let text = plain.probabilities(logits).unwrap_err().to_string();
        assert!(text.contains(part), "{text}");
    }
}

//! Texts that models go on with: by a table that says what follows what, in the library and by `kiln generate`.

use kiln::data::{TextOutput, TextSplit, TextVectorization};
use kiln::nn::Sampler;
use kiln::prelude::*;

#[cfg(feature = "cli")]
use crate::cli;
use crate::common::{devices, says};

const LENGTH: usize = 4;

/// What takes windows of tokens and gives logits or, with a softmax, probabilities of the next one by the last alone: `b` follows `a`
/// with 0.7, `c` with 0.3; `a` follows `c`, `c` follows `b`, both always. The unknown and padding would be likelier than any.
fn model(probabilities: bool, device: Device) -> Sequential {
    let mut text = TextVectorization::new().split(TextSplit::Character);
    text.set_vocabulary(["a", "b", "c"]).unwrap();
    let mut model = Sequential::new().add(Input::new([LENGTH])).add(Embedding::new(5, 5));
    if probabilities {
        model = model.add(Activation::Softmax);
    }
    let mut model = model.device(device);
    let (mut table, never) = (vec![3.0f32; 25], -200.0);
    for (token, next) in [(2, [never, 0.7f32.ln(), 0.3f32.ln()]), (3, [never, never, 0.0]), (4, [0.0, never, never])] {
        table[token * 5 + 2..token * 5 + 5].copy_from_slice(&next);
    }
    model.set_weights(&[Tensor::new([5, 5], table).unwrap()]).unwrap();
    model.set_text_vectorization(text);
    model
}

fn text(model: &mut Model, prompt: &str, sampler: Sampler, length: usize) -> Result<String> {
    model.generate(prompt, sampler)?.take(length).collect()
}

#[test]
fn what_follows_is_drawn_as_the_model_says() -> Result<()> {
    for device in devices() {
        let mut model = model(false, device);
        // Shorter than a window, as long, and longer.
        for prompt in ["b", "abca", "abcabcab"] {
            let found = text(&mut model, prompt, Sampler::new().temperature(0.0), 7)?;
            let start = ["c", "a", "b"].iter().position(|last| prompt.ends_with(last)).unwrap();
            assert_eq!(found, ["abcabca", "bcabcab", "cabcabc"][start], "{prompt}");
        }
    }
    let mut model = model(false, Device::cpu());
    let long = text(&mut model, "c", Sampler::new().seed(3), 600)?;
    let (ab, ac) = (long.matches("ab").count() as f64, long.matches("ac").count() as f64);
    assert!((ab / (ab + ac) - 0.7).abs() < 0.1, "{ab} of {}", ab + ac);
    assert_eq!(long, text(&mut model, "c", Sampler::new().seed(3), 600)?);
    assert_ne!(long, text(&mut model, "c", Sampler::new().seed(4), 600)?);
    for sampler in [Sampler::new().top_k(1), Sampler::new().top_p(0.6)] {
        assert_eq!(text(&mut model, "c", sampler, 6)?, "abcabc");
    }
    Ok(())
}

#[test]
fn probabilities_are_drawn_from_as_scores_are() -> Result<()> {
    let [scores, probabilities] =
        [false, true].map(|softmax| text(&mut model(softmax, Device::cpu()), "a", Sampler::new().seed(5), 40));
    assert_eq!(scores?, probabilities?);
    Ok(())
}

/// Words, and one answer a window: shorter texts have padding before them.
#[test]
fn words_stand_between_blanks_and_windows_may_have_one_answer() -> Result<()> {
    let mut words = TextVectorization::new().output_sequence_length(9);
    words.set_vocabulary(["sea", "whale"])?;
    let mut model = Sequential::new().add(Input::new([2])).add(Dense::new(4).use_bias(false)).device(Device::cpu());
    // The last token alone counts: of the sea comes the whale. Padding, 0, is before a single word.
    model.set_weights(&[Tensor::from([[0.0f32, 0.0, 9.0, 0.0], [0.0, 0.0, 0.0, 1.0]])])?;
    model.set_text_vectorization(words);
    assert_eq!(text(&mut model, "SEA", Sampler::new().temperature(0.0), 2)?, " whale sea");
    Ok(())
}

#[test]
fn what_cannot_go_on_says_why() -> Result<()> {
    let mut model = model(false, Device::cpu());
    says(text(&mut model, "", Sampler::new(), 1), &["prompt: \"\" holds no token"]);
    says(text(&mut model, "a", Sampler::new().top_p(2.0), 1), &["top_p: 2"]);
    let known = model.text_vectorization().unwrap().clone();
    for (text_of, part) in [
        (None, "keeps no vocabulary"),
        (Some(known.clone().output_mode(TextOutput::Count)), "on texts as a whole"),
        (Some(known.clone().split(None)), "on texts as a whole"),
    ] {
        model.set_text_vectorization(text_of);
        says(text(&mut model, "a", Sampler::new(), 1), &[part]);
    }
    let mut other = Sequential::new().add(Input::new([2, 3])).add(Dense::new(5)).device(Device::cpu());
    other.set_text_vectorization(known);
    says(text(&mut other, "a", Sampler::new(), 1), &["takes (2, 3) and gives (2, 5)", "(length, 5) or (5,)"]);
    Ok(())
}

#[cfg(feature = "cli")]
#[test]
fn the_command_goes_on_with_a_prompt() -> Result<()> {
    let folder = tempfile::TempDir::new()?;
    let path = folder.path().join("table.safetensors");
    let name = path.to_str().expect("utf-8");
    model(false, Device::cpu()).save(&path)?;
    let run = |options: &str| {
        let options: Vec<&str> = options.split(' ').filter(|word| !word.is_empty()).collect();
        cli::run(
            folder.path(),
            &[&["generate", name, "--device", "cpu", "--prompt", "a\n\u{1b}b"], &options[..]].concat(),
        )
    };
    // Not as it is read, but as it was given; a terminal is not obeyed.
    assert_eq!(run("--length 5 --temperature 0"), (Some(0), "a\n\\u{1b}bcabca\n".into(), String::new()));
    let (_, drawn, _) = run("--length 30 --seed 7");
    assert_eq!((&drawn, drawn.len()), (&run("--length 30 --seed 7").1, 9 + 30 + 1));
    assert_ne!(drawn, run("--length 30 --seed 8").1);
    assert_eq!(run("--length 3 --top-k 1").1, run("--length 3 --top-p 0.5").1);
    for (options, part) in [("--top-k 0", "top_k: 0"), ("--temperature nan", "temperature"), ("--top-p 0", "top_p: 0")]
    {
        let (code, _, stderr) = run(options);
        assert!(code == Some(1) && stderr.contains(part), "{stderr}");
    }
    let mut bare = model(false, Device::cpu());
    bare.set_text_vectorization(None);
    bare.save(&path)?;
    let (code, stdout, stderr) = run("");
    assert!(code == Some(1) && stdout.is_empty() && stderr.contains("keeps no vocabulary"), "{stderr}");
    Ok(())
}

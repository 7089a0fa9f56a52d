//! Texts as numbers, against Keras, whose answers `scripts/golden-text` wrote; what does not go together; models' files.

use kiln::data::{Standardize, TextOutput, TextSplit, TextVectorization};
use kiln::nn::{Config, FromSetting, Setting};
use kiln::prelude::*;
use serde_json::Value;

use crate::common::{fixture, numbers, says};

fn texts(value: &Value) -> Vec<String> {
    value.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_string()).collect()
}

/// Keras' settings as a model's file would have them.
fn setting(value: &Value) -> Setting {
    match value {
        Value::Null => Setting::Null,
        Value::Bool(value) => (*value).into(),
        Value::Number(number) => Setting::Int(number.as_i64().expect("whole").into()),
        Value::String(text) => text.as_str().into(),
        Value::Array(values) => Setting::List(values.iter().map(setting).collect()),
        Value::Object(_) => panic!("no setting: {value}"),
    }
}

/// The layer of Keras' `get_config`.
fn from_keras(settings: &Value) -> TextVectorization {
    let known = settings.as_object().unwrap().iter().filter(|(name, _)| *name != "vocabulary_size");
    let config =
        known.fold(Config::new("TextVectorization"), |config, (name, value)| config.with(name, setting(value)));
    TextVectorization::from_setting(&config.into()).unwrap()
}

#[test]
fn texts_become_what_keras_makes_of_them() {
    let golden = fixture("keras-text.json");
    for (name, case) in golden.as_object().unwrap() {
        let mut layer = from_keras(&case["settings"]);
        layer.adapt(texts(&case["learned"])).unwrap();
        assert_eq!(layer.vocabulary(), texts(&case["vocabulary"]), "{name}");
        assert_eq!(layer.vocabulary_size(), layer.vocabulary().len(), "{name}");
        let asked = texts(&case["asked"]);
        let flat = |value: &Value| match value {
            Value::Array(rows) if rows.iter().all(Value::is_array) => rows.iter().flat_map(numbers).collect(),
            other => numbers(other),
        };
        let check = |layer: &TextVectorization| {
            let output = layer.apply(&asked).unwrap();
            let shape: Vec<f64> = output.shape().iter().map(|&n| n as f64).collect();
            assert_eq!(shape, numbers(&case["shape"]), "{name}");
            let (found, wanted) = (output.values().to_f64(), flat(&case["output"]));
            let near = |(a, b): (&f64, &f64)| (a - b).abs() <= 2e-7 * b.abs();
            assert!(
                found.len() == wanted.len() && found.iter().zip(&wanted).all(near),
                "{name}: {found:?}, {wanted:?}"
            );
        };
        check(&layer);
        // As files keep it, and by its vocabulary alone.
        let again = TextVectorization::from_setting(&layer.clone().into()).unwrap();
        assert_eq!(again, layer, "{name}");
        let mut given = from_keras(&case["settings"]);
        let words = texts(&case["vocabulary"]);
        if case["settings"]["output_mode"] != "tf_idf" {
            given.set_vocabulary(words.clone()).unwrap();
            check(&given);
            let specials = if case["settings"]["output_mode"] == "int" { 2 } else { 1 };
            given.set_vocabulary(words[specials..].to_vec()).unwrap();
            assert_eq!(given, layer, "{name}");
        }
    }
}

#[test]
fn weights_come_with_a_vocabulary_or_from_texts() -> Result<()> {
    let counted = TextVectorization::new().output_mode(TextOutput::TfIdf);
    let mut layer = counted.clone();
    layer.set_vocabulary_with_idf([("sea", 0.5), ("whale", 1.5)])?;
    assert_eq!(layer.apply(&["whale sea whale ship"])?.to_vec::<f32>(), [1.0, 0.5, 3.0]);
    says(layer.set_vocabulary(["sea"]), &["idf_weights: expected 1"]);
    says(layer.set_vocabulary_with_idf([("sea", f32::NAN)]), &["idf_weights: NaN"]);
    // A vocabulary that was learned for another mode has none.
    let mut words = TextVectorization::new();
    words.adapt(["sea"])?;
    says(words.clone().output_mode(TextOutput::TfIdf).apply(&["sea"]), &["idf_weights: expected 1"]);
    assert_eq!(
        words.output_mode(TextOutput::Count).apply(&["sea", "sea ship sea"])?.to_vec::<f32>(),
        [0.0, 1.0, 1.0, 2.0]
    );
    Ok(())
}

#[test]
fn what_does_not_go_together_is_refused() {
    let new = TextVectorization::new;
    let counts = || new().output_mode(TextOutput::Count);
    for (layer, part) in [
        (new().max_tokens(2), "max_tokens: 2 has no place for a word"),
        (counts().max_tokens(1), "max_tokens: 1 has no place"),
        (counts().pad_to_max_tokens(true), "pad_to_max_tokens: needs max_tokens"),
        (new().output_sequence_length(0), "output_sequence_length: 0"),
        (counts().output_sequence_length(3), "output_sequence_length: counts"),
        (new().ngrams(0), "ngrams: [] are no widths"),
        (new().ngrams_of([1, 0]), "ngrams: [1, 0] are no widths"),
        (new().split(None).ngrams(2), "ngrams: a text that is not split"),
    ] {
        says(layer.clone().adapt(["a"]), &[part]);
        says(layer.apply(&["a"]), &[part]);
        says(TextVectorization::from_setting(&layer.into()).map_err(Error::other), &[part]);
    }
    says(new().apply(&["a"]), &["vocabulary: there is none yet; call adapt"]);
    says(new().adapt(["", " ", "!"]), &["texts: 3 texts hold no token"]);
    for (words, part) in [
        (&["a", "a"][..], "\"a\" is there twice"),
        (&[], "there are no words"),
        (&["a", ""], "\"\" is no word"),
        (&["", "a"], "\"\" is no word"),
        (&["a", "[UNK]"], "\"[UNK]\" is no word"),
        (&["", "[UNK]"], "there are no words"),
        (&["a", "b", "c"], "has 5 tokens"),
    ] {
        let mut layer = new().max_tokens(4);
        says(layer.set_vocabulary(words.iter().copied()), &["vocabulary: ", part]);
        assert_eq!(layer, new().max_tokens(4), "nothing is changed");
    }
    let mut layer = new();
    layer.set_vocabulary(["a"]).unwrap();
    says(layer.detokenize(&[2, 3]), &["tokens: there is no token 3 of 3"]);
    // No machine has as much memory.
    says(layer.output_sequence_length(1 << 60).apply(&["a", "b"]), &["no memory for the tokens of texts"]);
    for (name, value) in [("ragged", Setting::Bool(true)), ("sparse", true.into()), ("encoding", "latin-1".into())] {
        let config = Config::new("TextVectorization").with(name, value);
        says(TextVectorization::from_setting(&config.into()).map_err(Error::other), &[name, "not supported"]);
    }
}

#[test]
fn tokens_become_texts_again() -> Result<()> {
    let mut words = TextVectorization::new();
    words.adapt(["the sea the whale"])?;
    assert_eq!(words.detokenize(&words.apply(&["The whale, the ship"])?.to_vec::<u32>())?, "the whale the [UNK]");
    let mut characters = TextVectorization::new().standardize(None).split(TextSplit::Character);
    let text = "“É ß”\n\té";
    characters.adapt([text])?;
    let padded = characters.clone().output_sequence_length(12).apply(&[text])?;
    assert_eq!(characters.detokenize(&padded.to_vec::<u32>())?, text);
    Ok(())
}

#[test]
fn n_grams_may_be_longer_than_every_text() -> Result<()> {
    // One is made by a method, one as from a file: neither asks for memory for widths that no text has.
    let config = Config::new("TextVectorization").with("ngrams", Setting::Int(1 << 60));
    let kept = TextVectorization::from_setting(&config.into()).map_err(Error::other)?;
    for mut text in [TextVectorization::new().ngrams(1 << 60), kept] {
        text.adapt(["a b"])?;
        assert_eq!(text.vocabulary(), ["", "[UNK]", "b", "a b", "a"]);
    }
    Ok(())
}

#[test]
fn a_models_file_keeps_how_texts_became_tokens() -> Result<()> {
    let mut model = Sequential::new().add(Input::new([2])).add(Dense::new(1)).device(Device::cpu());
    assert_eq!(Model::from_bytes(&model.to_bytes()?)?.text_vectorization(), None);
    let mut text = TextVectorization::new().standardize(Standardize::Lower).max_tokens(9).ngrams_of([2, 1]);
    text.adapt(["A \"tricky\" one: \u{1b} é", "ONE"])?;
    model.set_text_vectorization(text.clone());
    let again = Model::from_bytes(&model.to_bytes()?)?;
    assert_eq!(again.text_vectorization(), Some(&text));
    model.set_text_vectorization(None);
    assert_eq!(Model::from_bytes(&model.to_bytes()?)?.text_vectorization(), None);
    Ok(())
}

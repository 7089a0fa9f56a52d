//! Whether two serialized objects are the same.

use super::KerasObject;
use crate::io::json;
use crate::nn::Setting;

/// Settings that change nothing that a network computes, or random numbers alone, which Kiln draws by seeds of its own.
pub(super) const FREE: [&str; 10] = [
    "name",
    "trainable",
    "dtype",
    "seed",
    "unroll",
    "implementation",
    "use_cudnn",
    "ragged",
    "optional",
    "batch_input_shape",
];

/// The first setting of an object that another one of its class, made from it, has otherwise.
pub(super) fn difference(given: &KerasObject, made: &KerasObject) -> Option<String> {
    let differs = |(key, value): &&(String, Setting)| {
        !FREE.contains(&key.as_str()) && !is_same(value, made.get(key).unwrap_or(&Setting::Null))
    };
    let differs = |entry: &&(String, Setting)| differs(entry) && !is_default(entry);
    given.config().iter().find(differs).map(|(key, value)| {
        let has = made.get(key).map_or_else(|| "has no such setting".into(), |known| format!("has {}", shown(known)));
        format!("its {key} is {}; Kiln's {} {has}", shown(value), given.class_name())
    })
}

/// Whether a setting is what Keras makes of none, as it builds the layer: sequences have one axis to attend along.
fn is_default((key, value): &(String, Setting)) -> bool {
    key == "attention_axes" && *value == Setting::List(vec![Setting::Int(1)])
}

/// A setting as text for an error.
pub(super) fn shown(value: &Setting) -> String {
    let text = json::write(value);
    match text.char_indices().nth(80) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

/// Whether two values are, numbers to what f32 holds of them.
fn is_same(a: &Setting, b: &Setting) -> bool {
    match (a, b) {
        (Setting::Int(_) | Setting::Float(_), Setting::Int(_) | Setting::Float(_)) => {
            let [a, b] = [a, b].map(|number| number.read::<f64>().map(|x| x as f32));
            a == b
        }
        (Setting::List(one), Setting::List(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(a, b)| is_same(a, b))
        }
        // An axis alone, and a list of one.
        (Setting::List(one), other @ (Setting::Int(_) | Setting::Float(_))) => {
            matches!(&one[..], [only] if is_same(only, other))
        }
        (Setting::Int(_) | Setting::Float(_), Setting::List(_)) => is_same(b, a),
        (Setting::Map(_), Setting::Map(_)) => match (a.read::<KerasObject>(), b.read::<KerasObject>()) {
            (Ok(a), Ok(b)) => a.class_name() == b.class_name() && difference(&a, &b).is_none(),
            _ => a == b,
        },
        // A function by its name alone, and as an object.
        (Setting::Map(_), Setting::Text(name)) => a.read::<KerasObject>().is_ok_and(|object| {
            object.get(super::layer::FUNCTION) == Some(b)
                || crate::nn::network::snake_case(object.class_name()) == *name
        }),
        _ => a == b,
    }
}

//! What there is to be asked: the page, the model's description, whether the server is well, and the model itself.

use std::path::Path;

use kiln::io::file_kind;
use kiln::table::Preprocessor;
use kiln::tensor::Tensor;
use serde_json::{Map, Value, json};

use super::answer::{Answer, Head, Site};
use super::body::{self, Numbers};
use crate::picture::{self, Changes};
use crate::trained::{Takes, Trained, as_json};

/// A model with what is said of it.
pub struct Routes {
    model: Trained,
    description: String,
    most_bytes: usize,
}

/// Where each method is answered.
const PATHS: [(&str, &str); 4] =
    [("/", "GET, HEAD"), ("/health", "GET, HEAD"), ("/model", "GET, HEAD"), ("/predict", "POST")];

const PAGE: &str = include_str!("page.html");
/// The page is one file, which asks this server alone.
const POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src blob: data:; \
    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// A refusal: its status and what is said.
type Refused = (u16, String);

impl Routes {
    /// Those of a model, which is called `name`.
    pub fn new(model: Trained, name: &str, most_bytes: usize) -> Self {
        let description = describe(&model, name).to_string();
        Self { model, description, most_bytes }
    }

    fn predict(&self, head: &Head, body: &[u8]) -> Result<Answer, Refused> {
        let changes = changes(&head.query)?;
        let bad = |message: String| (400, message);
        if let Takes::Records(columns) = &self.model.takes {
            if let Some(option) = changes.option() {
                return Err(bad(format!("{option}: is for pictures, this model takes records of a table")));
            }
            let asked = body::records(body).map_err(bad)?;
            let x = columns.samples(asked.all).map_err(|e| bad(e.to_string()))?;
            return self.answer_to(&x, asked.is_list, None);
        }
        let declared = declared(head);
        if picture::is_picture(body) || declared == Some(Declared::Picture) {
            return self.picture(body, changes);
        }
        if let Some(option) = changes.option() {
            return Err(bad(format!("{option}: is for pictures, the body is none")));
        }
        if declared.is_none()
            && let Some(kind) = file_kind(body)
        {
            return Err((415, format!("the body is {kind}; {}", self.wanted())));
        }
        let numbers = body::numbers(body).map_err(bad)?;
        let is_list = is_list(&numbers, &self.model).map_err(bad)?;
        let x = samples(numbers, &self.model).map_err(bad)?;
        self.answer_to(&x, is_list, None)
    }

    fn picture(&self, body: &[u8], changes: Changes) -> Result<Answer, Refused> {
        if !self.model.takes_pictures() {
            return Err((415, format!("the body is a picture; {}", self.wanted())));
        }
        if !picture::is_picture(body) {
            let kind = file_kind(body).unwrap_or("neither PNG nor JPEG");
            return Err((415, format!("the body is {kind}; {}", self.wanted())));
        }
        let seen = self.model.picture(body, Path::new("the picture"), changes);
        let (x, border) = seen.map_err(|e| (400, crate::one_line_of_causes(&e).replace("--invert", "?invert=true")))?;
        let hint = self.model.is_negative_of(border).map(|set| {
            let advice = if changes.invert { "leave invert out" } else { "ask with ?invert=true" };
            format!("the picture's border is bright, pictures of {set} are bright on black; {advice}")
        });
        self.answer_to(&x, false, hint)
    }

    fn answer_to(&self, x: &Tensor, is_list: bool, hint: Option<String>) -> Result<Answer, Refused> {
        // What the model refuses is in the samples: tokens that no table has, numbers of another range.
        let (_, said) = self.model.ask(x).map_err(|e| (400, crate::one_line_of_causes(&e)))?;
        let mut all = said.iter().map(as_json);
        let text = if is_list {
            Value::from(all.map(Value::from).collect::<Vec<_>>()).to_string()
        } else {
            let mut one: Map<String, Value> = all.next().unwrap_or_default();
            one.extend(hint.map(|hint| ("hint".to_string(), json!(hint))));
            Value::from(one).to_string()
        };
        Ok(Answer::json(text))
    }

    /// What a body may be.
    fn wanted(&self) -> &'static str {
        match (&self.model.takes, self.model.takes_pictures()) {
            (Takes::Records(_), _) => "send records of the table as JSON, with the content type application/json",
            (_, true) => {
                "send a PNG or a JPEG as it is, with the content type image/png or image/jpeg (curl --data-binary @FILE -H \
                 'content-type: image/png'), or numbers as JSON"
            }
            (_, false) => "send numbers as JSON, with the content type application/json",
        }
    }
}

impl Site for Routes {
    fn early(&self, head: &Head) -> Option<Answer> {
        let Some((_, methods)) = PATHS.iter().find(|(path, _)| *path == head.path) else {
            let paths = PATHS.map(|(path, _)| path).join(", ");
            return Some(Answer::error(404, format!("there is no {}; there are {paths}", head.path)));
        };
        if !methods.split(", ").any(|method| method == head.method) {
            let message = format!("{} takes {methods}, not {}", head.path, head.method);
            return Some(Answer { allow: Some(methods), ..Answer::error(405, message) });
        }
        match head.path.as_str() {
            "/" => {
                Some(Answer { content_type: "text/html; charset=utf-8", policy: Some(POLICY), ..Answer::json(PAGE) })
            }
            "/health" => Some(Answer::json(r#"{"status":"ok"}"#)),
            "/model" => Some(Answer::json(self.description.as_str())),
            _ => {
                let is_wanted = match declared(head) {
                    None | Some(Declared::Json) => true,
                    Some(Declared::Picture) => self.model.takes_pictures(),
                    Some(Declared::Other) => false,
                };
                let given = head.content_type.as_deref().unwrap_or_default();
                let refused = || Answer::error(415, format!("the content type {given} is not read; {}", self.wanted()));
                (!is_wanted).then(refused)
            }
        }
    }

    fn answer(&self, head: &Head, body: &[u8]) -> Answer {
        self.predict(head, body).unwrap_or_else(|(status, message)| Answer::error(status, message))
    }

    fn most_bytes(&self) -> usize {
        self.most_bytes
    }
}

/// What a body is said to be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Declared {
    Json,
    Picture,
    Other,
}

/// `None` where the bytes have to tell: nothing is said, only that they are bytes, or what curl says of all that it sends.
fn declared(head: &Head) -> Option<Declared> {
    let kind = head.content_type.as_deref()?.split(';').next().unwrap_or_default().trim().to_lowercase();
    match kind.as_str() {
        "" | "application/octet-stream" | "application/x-www-form-urlencoded" => None,
        "application/json" | "text/json" | "text/plain" => Some(Declared::Json),
        "image/png" | "image/jpeg" | "image/jpg" => Some(Declared::Picture),
        _ if kind.ends_with("+json") => Some(Declared::Json),
        _ => Some(Declared::Other),
    }
}

/// What the query asks for: `invert` and `fit`, bare or with a value.
fn changes(query: &str) -> Result<Changes, Refused> {
    let mut changes = Changes::default();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, "true"));
        let is_on = match value {
            "true" | "1" => true,
            "false" | "0" => false,
            _ => return Err((400, format!("{name}: {value:?} is neither true nor false"))),
        };
        match name {
            "invert" => changes.invert = is_on,
            "fit" => changes.fit = is_on,
            _ => return Err((400, format!("{name}: is no setting; there are invert and fit, of pictures"))),
        }
    }
    Ok(changes)
}

/// Whether numbers are several samples; an error where they are none of the model's.
fn is_list(numbers: &Numbers, model: &Trained) -> Result<bool, String> {
    let (shape, sample) = (&numbers.shape[..], &model.sample[..]);
    let len = model.sample.len();
    match shape {
        _ if shape == sample => Ok(false),
        [_, rest @ ..] if rest == sample => Ok(true),
        [count] if *count == len => Ok(false),
        [_, count] if *count == len => Ok(true),
        _ => {
            let given = shape.iter().map(ToString::to_string).collect::<Vec<_>>().join(" x ");
            Err(format!(
                "the lists are {given} numbers, a sample is {}: send one sample, or a list of samples, each nested so or flat",
                model.sample
            ))
        }
    }
}

/// Numbers as samples, which [`is_list`] took for such.
fn samples(numbers: Numbers, model: &Trained) -> Result<Tensor, String> {
    let rows = numbers.values.len() / model.sample.len();
    let shape = [&[rows], &model.sample[..]].concat();
    let tensor = if model.bytes {
        let is_byte = |number: &&f32| number.fract() == 0.0 && (0.0..=255.0).contains(*number);
        if let Some(other) = numbers.values.iter().find(|number| !is_byte(number)) {
            return Err(format!(
                "{other} is no pixel: the model was trained on whole numbers from 0 to 255; send such"
            ));
        }
        Tensor::new(shape, numbers.values.iter().map(|&number| number as u8).collect::<Vec<_>>())
    } else {
        Tensor::new(shape, numbers.values)
    };
    tensor.map_err(|e| e.to_string())
}

/// What the model takes and gives, for the page and for programs.
fn describe(model: &Trained, name: &str) -> Value {
    let (gives, names) = model.names();
    let mut said = json!({ "model": name, "gives": gives, "names": names });
    match &model.takes {
        Takes::Records(columns) => {
            said["takes"] = json!("records");
            said["columns"] = described(columns);
        }
        Takes::Pictures(_) | Takes::Numbers => {
            said["takes"] = json!(if model.takes_pictures() { "pictures" } else { "numbers" });
            said["shape"] = json!(model.sample.to_vec());
            said["numbers"] = json!(if model.bytes { "whole numbers from 0 to 255" } else { "numbers" });
        }
    }
    said
}

/// The columns of a table, with their words and, as far as the scaler tells, what is typical: the mean, or the commonest word.
fn described(table: &Preprocessor) -> Value {
    let mut means = table.scaler().map(|scaler| scaler.center.as_slice());
    let column = |(name, words): (&str, Option<&[String]>)| {
        let width = words.map_or(1, <[String]>::len);
        let own = means.and_then(|means| means.split_at_checked(width));
        means = own.map(|(_, rest)| rest);
        let typical = own.map(|(own, _)| match words {
            None => json!(format!("{:.3e}", own[0]).parse::<f64>().unwrap_or_default()),
            Some(words) => {
                let most = own.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                json!(own.iter().position(|&mean| mean == most).map(|at| &words[at]))
            }
        });
        json!({ "name": name, "words": words, "typical": typical })
    };
    table.encoding().columns().map(column).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_says_what_is_done_to_a_picture() {
        let both = Changes { invert: true, fit: true };
        assert_eq!(changes("invert=true&fit").unwrap(), both);
        assert_eq!(changes("&invert=1&fit=0&").unwrap(), Changes { fit: false, ..both });
        assert_eq!(changes("").unwrap(), Changes::default());
        assert!(changes("invert=yes").unwrap_err().1.contains("\"yes\" is neither true nor false"));
        assert!(changes("inverted").unwrap_err().1.contains("inverted: is no setting; there are invert and fit"));
    }

    #[test]
    fn a_content_type_may_say_more_than_its_kind() {
        let head = |kind: Option<&str>| Head {
            method: "POST".into(),
            path: "/predict".into(),
            query: String::new(),
            content_type: kind.map(Into::into),
        };
        for (kind, wanted) in [
            (Some("application/json; charset=utf-8"), Some(Declared::Json)),
            (Some("Application/Problem+JSON"), Some(Declared::Json)),
            (Some("image/JPEG"), Some(Declared::Picture)),
            (Some("image/gif"), Some(Declared::Other)),
            (Some("multipart/form-data; boundary=x"), Some(Declared::Other)),
            (Some("application/x-www-form-urlencoded"), None),
            (None, None),
        ] {
            assert!(declared(&head(kind)) == wanted, "{kind:?}");
        }
    }
}

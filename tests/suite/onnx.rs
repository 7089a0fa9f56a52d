//! The ONNX project's own test cases of operators (`scripts/golden-onnx`), each through Kiln's layers and ops on every device, and
//! the table of them in `docs/onnx-cases.md`; and what those leave out of recurrence, as ONNX Runtime has it.

mod attention;
mod call;
mod losses;
mod math;
mod normalizations;
mod recurrent;
mod windows;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use kiln::device::Device;
use kiln::io::TensorFile;
use kiln::{Result, Tensor};
use serde_json::Value;

use crate::common::fixture;

/// What an operator's cases are translated to: from a case's inputs to its outputs, by the attributes alone.
type Translation = fn(&Case, &Device) -> Result<Vec<Tensor>>;

/// A case of an operator.
pub struct Case {
    name: String,
    operator: String,
    attributes: Value,
    /// Those that are left out are nothing.
    inputs: Vec<Option<Array>>,
    outputs: Vec<Option<Array>>,
    /// Why Kiln does not have it, where that can be told from its types and sizes.
    refusal: Option<String>,
}

/// An input or output.
#[derive(Clone)]
struct Array {
    ty: String,
    tensor: Option<Tensor>,
}

impl Array {
    /// Of the arrays, or with its numbers beside its shape.
    fn of(entry: &Value, arrays: Option<&TensorFile>) -> Option<Self> {
        let key = entry.get("key").map(|key| key.as_str().expect("a name"));
        let tensor =
            key.map(|key| arrays.and_then(|all| all.tensor(key).ok()).expect("the arrays of the cases").clone());
        let tensor = tensor.or_else(|| entry.get("values").map(|_| tensor_of(entry)));
        Some(Self { ty: entry.get("type")?.as_str()?.into(), tensor })
    }
}

/// Numbers as they are written beside their shape.
fn tensor_of(entry: &Value) -> Tensor {
    let list = |key: &str| entry[key].as_array().expect("a list").iter();
    let shape: Vec<usize> = list("shape").map(|n| n.as_u64().expect("an extent") as usize).collect();
    let values: Vec<f32> = list("values").map(|x| x.as_f64().expect("a number") as f32).collect();
    Tensor::new(shape, values).expect("as many as the shape says")
}

impl Case {
    fn of(case: &Value, arrays: Option<&TensorFile>) -> Self {
        let list = |side: &str| case.get(side).and_then(Value::as_array).cloned().unwrap_or_default();
        let text = |key: &str| case[key].as_str().expect("a text").to_string();
        let inputs: Vec<_> = list("inputs").iter().map(|entry| Array::of(entry, arrays)).collect();
        let outputs: Vec<_> = list("outputs").iter().map(|entry| Array::of(entry, arrays)).collect();
        let mut case = Self {
            name: text("name"),
            operator: text("operator"),
            attributes: case["attributes"].clone(),
            refusal: case.get("numbers").map(|_| "too large for the fixture".to_string()),
            inputs,
            outputs,
        };
        case.refusal = case.refusal.take().or_else(|| case.refused());
        case
    }

    /// Kiln computes in floats of 32 bits, on images of two axes, and takes whole numbers for labels and indices alone.
    fn refused(&self) -> Option<String> {
        let ty = &self.inputs.first()?.as_ref()?.ty;
        if !ty.starts_with("float") || ty == "float16" {
            return Some(if ty.ends_with("16") { "floats of 16 bits" } else { "whole numbers" }.into());
        }
        let is_convolution = self.operator.starts_with("Conv");
        if is_convolution && self.tensor(0)?.shape().rank() > 4 {
            return Some("convolution over three axes".into());
        }
        let is_extreme = ["ReduceMax", "ReduceMin"].contains(&self.operator.as_str());
        if is_extreme && self.tensor(0)?.shape().is_empty() {
            return Some("the largest or smallest of nothing, which Keras and NumPy refuse, too".into());
        }
        if self.outputs.len() == 2 && self.operator == "MaxPool" {
            return Some("places of the largest beside them".into());
        }
        recurrent::refusal(self)
    }

    fn tensor(&self, i: usize) -> Option<&Tensor> {
        self.inputs.get(i)?.as_ref()?.tensor.as_ref()
    }

    fn number(&self, name: &str, default: f64) -> f64 {
        self.attributes.get(name).map_or(default, |value| value.as_f64().expect("a number"))
    }

    fn int(&self, name: &str, default: isize) -> isize {
        self.attributes.get(name).map_or(default, |value| value.as_i64().expect("a whole number") as isize)
    }

    fn flag(&self, name: &str) -> bool {
        self.int(name, 0) == 1
    }

    fn text(&self, name: &str) -> &str {
        self.attributes.get(name).map_or("", |value| value.as_str().expect("a text"))
    }

    fn ints(&self, name: &str) -> Option<Vec<isize>> {
        let list = self.attributes.get(name)?.as_array().expect("a list");
        Some(list.iter().map(|value| value.as_i64().expect("a whole number") as isize).collect())
    }

    fn texts(&self, name: &str) -> Option<Vec<String>> {
        let list = self.attributes.get(name)?.as_array().expect("a list");
        Some(list.iter().map(|value| value.as_str().expect("a text").into()).collect())
    }

    fn numbers(&self, name: &str) -> Vec<f64> {
        let list = self.attributes.get(name).and_then(Value::as_array).into_iter().flatten();
        list.map(|value| value.as_f64().expect("a number")).collect()
    }

    /// Whether an output is asked for.
    fn wants(&self, i: usize) -> bool {
        self.outputs.get(i).is_some_and(Option::is_some)
    }

    /// What is wrong with an answer.
    fn difference(&self, found: &[Tensor]) -> Option<String> {
        let outputs: Vec<&Array> = self.outputs.iter().flatten().collect();
        if found.len() != outputs.len() {
            return Some(format!("{} outputs, expected {}", found.len(), outputs.len()));
        }
        found.iter().zip(outputs).find_map(|(found, wanted)| {
            let wanted = wanted.tensor.as_ref().expect("the fixture has it");
            if found.shape() != wanted.shape() {
                return Some(format!("{}, expected {}", found.shape(), wanted.shape()));
            }
            let (found, wanted) = (found.values().to_f64(), wanted.values().to_f64());
            let finite = wanted.iter().filter(|w| w.is_finite());
            let size = (finite.clone().map(|w| w * w).sum::<f64>() / finite.count().max(1) as f64).sqrt();
            // Some are written by hand to four decimals, not always to the nearest. ONNX asks for 1e-3 of the number.
            let is_rounded = wanted.iter().all(|w| (1e4 * w - (1e4 * w).round()).abs() < 1e-2);
            let least = if is_rounded { 1e-4 } else { 1e-7 };
            let limit = |w: f64| 1e-5 * w.abs().max(size) + least;
            let same = |f: f64, w: f64| f == w || (f.is_nan() && w.is_nan()) || (f - w).abs() <= limit(w);
            let wrong = found.iter().zip(&wanted).position(|(&f, &w)| !same(f, w))?;
            Some(format!("element {wrong} is {}, expected {}", found[wrong], wanted[wrong]))
        })
    }
}

fn translation(operator: &str) -> Option<Translation> {
    let all = [
        attention::translation,
        math::translation,
        losses::translation,
        normalizations::translation,
        recurrent::translation,
        windows::translation,
    ];
    all.into_iter().find_map(|of| of(operator))
}

fn cases() -> Vec<Case> {
    let arrays = format!("{}/tests/fixtures/onnx-cases.npz", env!("CARGO_MANIFEST_DIR"));
    let arrays = TensorFile::read(arrays).expect("the arrays of the cases");
    let golden = fixture("onnx-cases.json");
    golden["cases"].as_array().expect("a list").iter().map(|case| Case::of(case, Some(&arrays))).collect()
}

/// What became of an operator's cases.
#[derive(Default)]
struct Row {
    passed: usize,
    /// Names by reason.
    refused: BTreeMap<String, Vec<String>>,
    failed: Vec<String>,
}

fn outcome(case: &Case, device: &Device) -> Result<(), String> {
    let translation = translation(&case.operator).ok_or("has no translation")?;
    let found = translation(case, device).map_err(|e| e.to_string())?;
    case.difference(&found).map_or(Ok(()), Err)
}

#[test]
fn cases_of_onnx_pass() {
    let mut rows: BTreeMap<String, Row> = BTreeMap::new();
    let devices = crate::common::executors();
    for case in cases() {
        let row = rows.entry(case.operator.clone()).or_default();
        if let Some(reason) = &case.refusal {
            row.refused.entry(reason.clone()).or_default().push(case.name.clone());
            continue;
        }
        let wrong = devices.iter().find_map(|device| {
            let wrong = outcome(&case, device).err()?;
            Some(format!("{} on {device}: {wrong}", case.name))
        });
        row.passed += usize::from(wrong.is_none());
        row.failed.extend(wrong);
    }
    let failed: Vec<&String> = rows.values().flat_map(|row| &row.failed).collect();
    let (passed, all) = totals(&rows);
    assert!(failed.is_empty(), "{} failed: {failed:#?}", failed.len());
    assert!(10 * passed >= 9 * all, "{passed} of {all} passed");
    check_table(&rows);
}

/// What the package's cases of recurrent operators leave out (`scripts/golden-onnx-recurrent`).
#[test]
fn recurrence_is_that_of_onnx_runtime() {
    let golden = fixture("onnx-recurrent.json");
    let cases = golden["cases"].as_array().expect("a list").iter().map(|case| Case::of(case, None));
    let (refused, cases): (Vec<Case>, Vec<Case>) = cases.partition(|case| case.refusal.is_some());
    let names: Vec<&str> = refused.iter().map(|case| case.name.as_str()).collect();
    let lacked = ["lstm_peepholes", "lstm_input_forget", "lstm_out_of_other_activations", "gru_clip", "rnn_softsign"];
    assert_eq!(names, lacked, "what the op lacks");
    assert_eq!(cases.len(), 13);
    for device in crate::common::executors() {
        for case in &cases {
            outcome(case, &device).unwrap_or_else(|e| panic!("{} on {device}: {e}", case.name));
        }
    }
}

fn totals(rows: &BTreeMap<String, Row>) -> (usize, usize) {
    let passed = rows.values().map(|row| row.passed).sum::<usize>();
    let others = rows.values().map(|row| row.failed.len() + row.refused.values().map(Vec::len).sum::<usize>());
    (passed, passed + others.sum::<usize>())
}

/// That the document is what the cases say; under `KILN_WRITE_DOCS=1` it is written.
fn check_table(rows: &BTreeMap<String, Row>) {
    let (passed, all) = totals(rows);
    let mut text = format!(
        "# ONNX's test cases\n\nWritten by `KILN_WRITE_DOCS=1 cargo test --all-features cases_of_onnx`; do not edit.\n\n\
         The package `onnx` has test cases of its operators. `scripts/golden-onnx` exports them, and \
         `tests/suite/onnx.rs` runs them through Kiln's layers and ops, each on the reference, the CPU and the adapter under \
         test: {passed} of {all} pass.\n\n| operator | passed | not applicable | failed |\n|---|---|---|---|\n"
    );
    let mut reasons: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (operator, row) in rows {
        let refused = row.refused.values().map(Vec::len).sum::<usize>();
        writeln!(text, "| {operator} | {} | {refused} | {} |", row.passed, row.failed.len()).unwrap();
        for (reason, names) in &row.refused {
            reasons.entry(reason).or_default().extend(names.iter().map(String::as_str));
        }
    }
    text.push_str("\nNot applicable:\n\n");
    for (reason, names) in reasons {
        writeln!(text, "- {reason}: {}", names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "))
            .unwrap();
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/onnx-cases.md");
    if std::env::var_os("KILN_WRITE_DOCS").is_some() {
        std::fs::write(path, &text).expect(path);
    }
    // A packaged crate has no docs.
    if let Ok(found) = std::fs::read_to_string(path) {
        assert_eq!(found, text, "{path} is out of date; write it anew with KILN_WRITE_DOCS=1");
    }
}

//! Keras' own files as inputs: archives whose check sums are made right again, weights alone, and descriptions.

use std::fs;
use std::path::PathBuf;

use flate2::Crc;
use kiln::prelude::*;

use crate::mutate::Rng;
use crate::readers::{fixture, place};

/// Models of the fixtures whose weights are inputs.
const MODELS: [&str; 3] = ["dense", "recurrent", "two_outputs"];

fn of_keras(name: &str) -> Vec<u8> {
    fixture(&format!("keras-files/{name}.keras"))
}

/// Where weights are written to and read from.
pub fn weights_place() -> PathBuf {
    place().with_extension("weights.h5")
}

pub fn archives() -> Vec<Vec<u8>> {
    let names = ["dense", "recurrent", "two_outputs", "nested", "both_ways", "merged", "ftrl"];
    let own = |name: &str| {
        let mut model = Model::from_bytes(of_keras(name)).unwrap().device(Device::cpu());
        let path = place().with_extension("keras");
        model.save(&path).unwrap();
        fs::read(path).unwrap()
    };
    names.iter().map(|name| of_keras(name)).chain([own("dense"), own("recurrent")]).collect()
}

fn number(bytes: &[u8], at: usize, len: usize) -> Option<usize> {
    let bytes = bytes.get(at..at.checked_add(len)?)?;
    Some(bytes.iter().rev().fold(0, |number, &byte| number << 8 | usize::from(byte)))
}

/// An archive whose files have right sums, as far as its list makes sense.
pub fn summed(mut bytes: Vec<u8>, rng: &mut Rng) -> Vec<u8> {
    let Some(end) = bytes.windows(4).rposition(|four| four == b"PK\x05\x06") else { return bytes };
    let mut at = number(&bytes, end + 16, 4).unwrap_or(usize::MAX);
    while rng.below(64) > 0 && bytes.get(at..).is_some_and(|rest| rest.starts_with(b"PK\x01\x02")) {
        let field = |place: usize, len: usize| number(&bytes, at + place, len).unwrap_or(0);
        let (len, local, names) = (field(20, 4), field(42, 4), field(28, 2) + field(30, 2) + field(32, 2));
        let start =
            local + 30 + number(&bytes, local + 26, 2).unwrap_or(0) + number(&bytes, local + 28, 2).unwrap_or(0);
        if let Some(content) = bytes.get(start..start + len) {
            let mut sum = Crc::new();
            sum.update(content);
            bytes[at + 16..at + 20].copy_from_slice(&sum.sum().to_le_bytes());
        }
        at += 46 + names;
    }
    bytes
}

pub fn archive(bytes: &[u8]) {
    if let Ok(model) = Model::from_bytes(bytes) {
        let _ = (model.summary().map(|summary| summary.to_string()), model.to_json());
    }
}

/// The weights of some models, as Keras wrote them and as Kiln does, and those of the fixtures that lie.
pub fn weights() -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for name in MODELS {
        let archive = of_keras(name);
        // The last file of Keras' archives, stored as it is.
        let start = archive.windows(8).position(|eight| eight == b"\x89HDF\r\n\x1a\n").expect("it has weights");
        all.push(archive[start..].to_vec());
        let mut model = Model::from_bytes(&archive).unwrap().device(Device::cpu());
        model.save_weights(weights_place()).unwrap();
        all.push(fs::read(weights_place()).unwrap());
    }
    let lying = ["virtual", "external", "link", "unwritten", "parts", "words"];
    all.extend(lying.iter().map(|name| fixture(&format!("keras-files/{name}.weights.h5"))));
    all
}

pub fn load(bytes: &[u8]) {
    fs::write(weights_place(), bytes).unwrap();
    for name in MODELS {
        let mut model = Model::from_json(&description_of(name)).unwrap().device(Device::cpu());
        let _ = model.load_weights(weights_place());
    }
    let mut small = Sequential::new().add(Input::new([3])).add(Dense::new(2)).device(Device::cpu());
    let _ = small.load_weights(weights_place());
}

fn description_of(name: &str) -> String {
    golden()["models"][name]["json"].as_str().expect(name).into()
}

fn golden() -> &'static serde_json::Value {
    static GOLDEN: std::sync::OnceLock<serde_json::Value> = std::sync::OnceLock::new();
    GOLDEN.get_or_init(|| serde_json::from_slice(&fixture("keras-files/models.json")).unwrap())
}

/// What Keras describes all models of the fixtures as, and those that Kiln refuses.
pub fn descriptions() -> Vec<Vec<u8>> {
    let texts = |entries: &serde_json::Value, of: fn(&serde_json::Value) -> &serde_json::Value| -> Vec<Vec<u8>> {
        let texts = entries.as_object().unwrap().values().map(|entry| of(entry).as_str().unwrap());
        texts.map(|text| text.as_bytes().to_vec()).collect()
    };
    [texts(&golden()["models"], |entry| &entry["json"]), texts(&golden()["refused"], |entry| entry)].concat()
}

pub fn description(bytes: &[u8]) {
    if let Ok(model) = Model::from_json(&String::from_utf8_lossy(bytes)) {
        let _ = (model.summary().map(|summary| summary.to_string()), model.to_json());
    }
}

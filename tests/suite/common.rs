//! What several tests need.

#[cfg(feature = "gpu")]
use kiln::device::Device;
use serde_json::Value;

/// The adapter under test: `KILN_TEST_DEVICE`, else the first GPU or software adapter.
///
/// # Panics
/// Where there is none: kernels are always tested. `scripts/test` installs a software adapter.
#[cfg(feature = "gpu")]
pub fn adapter() -> Device {
    let request = std::env::var("KILN_TEST_DEVICE").unwrap_or_else(|_| "gpu".into());
    let device = Device::choose(&request).expect("no adapter; run scripts/test, which installs one").device;
    assert!(device.is_gpu(), "{device} has no kernels to test");
    device
}

/// A fixture, parsed.
pub fn fixture(name: &str) -> Value {
    let path = format!("{}/tests/fixtures/{name}", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(&path).expect(&path)).expect(&path)
}

/// A fixture's list of numbers.
pub fn numbers(value: &Value) -> Vec<f64> {
    let list = value.as_array().unwrap_or_else(|| panic!("expected a list: {value}"));
    list.iter().map(|x| x.as_f64().expect("a number")).collect()
}

fn norm(values: impl Iterator<Item = f64>) -> f64 {
    values.map(|x| x * x).sum::<f64>().sqrt()
}

/// How far a tensor lies from what is wanted, as a share of the way from its start: |w - w_wanted| / |w_wanted - w_0|.
pub fn distance(found: &[f64], wanted: &[f64], start: &[f64]) -> f64 {
    assert_eq!(found.len(), wanted.len());
    let moved = norm(wanted.iter().zip(start).map(|(w, s)| w - s));
    norm(found.iter().zip(wanted).map(|(f, w)| f - w)) / moved
}

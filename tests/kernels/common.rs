//! What tests of kernels need, and the suite's, too.

#[cfg(feature = "gpu")]
use kiln::device::Device;
use kiln::prelude::*;
use kiln::tensor::Shape;

/// The adapter under test, with the built-in kernels: `KILN_TEST_DEVICE`, else the first GPU or software adapter.
///
/// # Panics
/// Where there is none: kernels are always tested. `scripts/test` installs a software adapter.
#[cfg(feature = "gpu")]
pub fn adapter() -> Device {
    let device =
        Device::choose_untuned(&adapter_name()).expect("no adapter; run scripts/test, which installs one").device;
    assert!(device.is_gpu(), "{device} has no kernels to test");
    device
}

/// What the adapter under test is asked for by.
#[cfg(feature = "gpu")]
pub fn adapter_name() -> String {
    std::env::var("KILN_TEST_DEVICE").unwrap_or_else(|_| "gpu".into())
}

/// A net of a text, built for samples of this shape and compiled with Adam.
pub fn compiled(layers: &str, shape: impl Into<Shape>, loss: &str) -> Model {
    let mut model = Sequential::from_text(layers).unwrap().into_model();
    model.build(shape).unwrap();
    model.compile("adam", loss, []).unwrap();
    model
}

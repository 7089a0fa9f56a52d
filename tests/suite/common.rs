//! What several tests need.

use kiln::device::Device;

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

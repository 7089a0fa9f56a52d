//! How long something takes on a device, and what the device could do in that time.

use std::time::Duration;

/// What was run, how much it is, and how long it took.
#[derive(Clone, Debug, PartialEq)]
pub struct Timing {
    /// The median time of one run.
    pub duration: Duration,
    /// Floating-point operations of one run.
    pub flops: u64,
    /// Bytes that one run reads and writes, each operand counted once.
    pub bytes: u64,
}

impl Timing {
    /// Operations a second.
    pub fn flops_per_second(&self) -> f64 {
        self.flops as f64 / self.duration.as_secs_f64()
    }

    /// Bytes a second.
    pub fn bytes_per_second(&self) -> f64 {
        self.bytes as f64 / self.duration.as_secs_f64()
    }

    /// The time that the device's peaks allow, over the time it took: 1 where either arithmetic or memory is at its bound.
    pub fn share_of_bound(&self, peaks: &Peaks) -> f64 {
        let bound = (self.flops as f64 / peaks.flops_per_second).max(self.bytes as f64 / peaks.bytes_per_second);
        bound / self.duration.as_secs_f64()
    }
}

/// What a device can do at most, as measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Peaks {
    /// Floating-point operations a second, by chains of fused multiply-adds.
    pub flops_per_second: f64,
    /// Bytes read and written a second, by a copy of a buffer that no cache holds.
    pub bytes_per_second: f64,
}

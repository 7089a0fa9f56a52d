//! The adapter's limits: more workgroups than one dimension has, a buffer near the limit of a binding, one beyond it,
//! and buffers of odd sizes.

use super::{Finding, check_case};
use crate::device::{Device, Executor};
use crate::error::{Error, Result};
use crate::graph::{Graph, Leaf, Type};
use crate::ops::case::random;
use crate::ops::copy::Copy;
use crate::ops::dispatch::MOST_WORKGROUPS;
use crate::ops::{Case, Dispatch};
use crate::plan::{Arena, Buffer, BufferId, Plan};
use crate::tensor::{DType, Values};

/// No more than this is taken for the largest buffer, twice on the device and twice on the host.
const MOST_BYTES: usize = 128 << 20;
/// Elements looked at in the large buffer: at its start, in its midst and at its end.
const WINDOW: usize = 4096;

/// What the limits came to.
pub(super) fn findings(device: &Device) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    let (mut tested, mut reference) = (Executor::new(device)?, Executor::new(&Device::reference())?);
    let copies = |n: usize| Case::new(format!("a copy of {n} elements"), Copy, vec![random([n], n as u64)]);
    let folded = MOST_WORKGROUPS * Dispatch::WIDTH;
    // The odd sizes first: a buffer that was larger once stays so.
    for n in [1, 2, 3, 5, 7, 61, 67, 251, 257, 1021, 4099, 65_537, folded, folded + 1] {
        let case = copies(n).changes(vec![random([n], 1)]).ulps(0.0);
        findings.push(Finding { op: "limits", ..check_case(&case, &mut tested, &mut reference)? });
    }
    drop((tested, reference));
    findings.push(large(device)?);
    findings.extend(beyond(device)?);
    Ok(findings)
}

/// A copy between two buffers as large as the device allows, or as is decent to take.
fn large(device: &Device) -> Result<Finding> {
    let bytes = device.largest_buffer().map_or(MOST_BYTES, |most| MOST_BYTES.min(most as usize)) / 256 * 256;
    let n = bytes / 4;
    let ty = Type::float([n]);
    let mut g = Graph::new();
    let (x, y) = (g.leaf(Leaf::Input(0), ty.clone()), g.leaf(Leaf::Output(0), ty));
    g.effect(Copy, &[x], &[y])?;
    let mut executor = Executor::new(device)?;
    let plan = executor.load(&Plan::new("large buffers", &g, &Arena::default())?)?;
    // Whole numbers below 2^24 are exact in f32, and each but the last few is its own.
    let value = |i: usize| (i % 16_777_213) as f32;
    executor.write(BufferId::Input(0), &Values::F32((0..n).map(value).collect()))?;
    executor.run(plan, 1)?;
    let mut result = Ok(0.0);
    for start in [0, n / 2 - WINDOW / 2, n - WINDOW] {
        let found = executor.read(BufferId::Output(0), start..start + WINDOW)?.to_f32();
        if let Some(i) = (0..WINDOW).find(|&i| found[i].to_bits() != value(start + i).to_bits()) {
            result = Err(format!("element {} is {}, expected {}", start + i, found[i], value(start + i)));
            break;
        }
    }
    Ok(Finding::of("limits", format!("a copy of {} MiB", bytes >> 20), result))
}

/// A buffer beyond the limit has to be refused in words, before the driver is asked.
fn beyond(device: &Device) -> Result<Option<Finding>> {
    let Some(limit) = device.largest_buffer() else { return Ok(None) };
    let len = (limit / 4 + 64) as usize;
    let refused =
        Executor::new(device)?.allocate(&Buffer { id: BufferId::Input(0), dtype: DType::F32, len, row_len: len });
    let result = match refused {
        Err(Error::Limit { .. }) => Ok(0.0),
        Err(other) => Err(format!("expected to be refused for the limit of {limit} bytes, found: {other}")),
        Ok(()) => Err(format!("a buffer beyond the limit of {limit} bytes was made")),
    };
    Ok(Some(Finding::of("limits", "a buffer beyond the limit is refused", result)))
}

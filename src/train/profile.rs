//! Where the time of a training step goes.

use std::fmt::Write as _;
use std::time::Duration;

use super::feed::Expected;
use super::session::{Session, make_plan};
use super::trace::Definition;
use super::training::start_training;
use crate::data::Dataset;
use crate::device::{Span, Timing};
use crate::error::{Error, Result};
use crate::graph::Phase;
use crate::ops::{Dispatch, Target};

/// Steps that run before any is timed: kernels are compiled and caches filled by then.
const WARM_UP: usize = 3;

/// Where the time of training steps went.
#[derive(Clone, Debug)]
pub struct Profile {
    /// How many steps were timed.
    pub steps: usize,
    /// What a step consists of, in the order in which it runs.
    pub kernels: Vec<KernelTime>,
    /// When each ran, step after step.
    pub spans: Vec<Span>,
}

/// What one op of a training step took.
#[derive(Clone, Debug)]
pub struct KernelTime {
    /// The op.
    pub op: &'static str,
    /// The layer that it belongs to.
    pub layer: String,
    /// When in a step it runs.
    pub phase: Phase,
    /// Shader and entry point; the CPU runs none.
    pub kernel: String,
    /// The mean time a step, and what it does in that time.
    pub timing: Timing,
}

impl Profile {
    /// The mean time of a step, as the sum of its ops.
    pub fn step(&self) -> Duration {
        self.kernels.iter().map(|kernel| kernel.timing.duration).sum()
    }

    /// The spans as a trace that Perfetto and Chrome's `about:tracing` draw.
    pub fn to_trace(&self) -> String {
        let mut trace = String::from("{\"traceEvents\":[");
        for (i, span) in self.spans.iter().enumerate() {
            let kernel = &self.kernels[span.step];
            let microseconds = |time: Duration| time.as_nanos() as f64 / 1e3;
            let comma = if i == 0 { "" } else { "," };
            // Names of ops, layers and entry points: letters, digits and signs that JSON leaves alone.
            write!(
                trace,
                "{comma}\n{{\"ph\":\"X\",\"pid\":1,\"tid\":1,\"ts\":{},\"dur\":{},\"name\":\"{}\",\"cat\":\"{}\",\
                 \"args\":{{\"layer\":{:?},\"kernel\":\"{}\"}}}}",
                microseconds(span.start),
                microseconds(span.duration),
                kernel.op,
                kernel.phase,
                kernel.layer,
                kernel.kernel
            )
            .expect("strings take everything");
        }
        trace + "\n]}\n"
    }
}

/// Trains for some steps and times the last `steps` of them.
pub(crate) async fn profile(
    session: &mut Session,
    model: &Definition<'_>,
    (data, expected): (&Dataset, Expected),
    (batch, steps): (usize, usize),
    target: Option<&Target>,
) -> Result<Profile> {
    let all = WARM_UP.saturating_add(steps);
    if steps == 0 || batch == 0 || all.saturating_mul(batch) > data.len() {
        let message = format!(
            "{steps} steps of {batch} after {WARM_UP} to warm up do not fit {} samples; give 1 to {}",
            data.len(),
            (data.len() / batch.max(1)).saturating_sub(WARM_UP)
        );
        return Err(Error::argument("steps", message));
    }
    let (loaded, key) = start_training(session, model, (data, expected), batch, all).await?;
    let plan = make_plan(model, &mut session.parameters().to_vec(), &key)?;
    session.executor().run_async(loaded, WARM_UP).await?;
    let spans = session.executor().profile_async(loaded, steps).await?;
    let kernels = plan.steps.iter().enumerate().map(|(index, step)| {
        let total: Duration = spans.iter().filter(|span| span.step == index).map(|span| span.duration).sum();
        let launches = target.map_or(Vec::new(), |target| step.op.gpu(&step.io, target));
        let kernels: Vec<String> = launches.iter().map(Dispatch::kernel).collect();
        KernelTime {
            op: step.op.name(),
            layer: step.layer.to_string(),
            phase: step.phase,
            kernel: kernels.join(" "),
            timing: Timing {
                duration: total / steps as u32,
                flops: step.op.flops(&step.io),
                bytes: step.bytes_moved(),
            },
        }
    });
    Ok(Profile { steps, kernels: kernels.collect(), spans })
}

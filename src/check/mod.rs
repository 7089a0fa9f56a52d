//! Checks of a device on the user's own machine: every op against the f64 reference, gradients, optimizers, the random
//! generator, whole training steps, and the adapter's limits. `kiln check` prints what [`items`] come to.

mod gradients;
mod limits;
mod model;
mod ops;
mod random;
mod training;

use std::fmt;
use std::time::Duration;

pub use gradients::{check_gradient, check_gradient_on};
pub use model::{ModelRow, ModelTable, check_model};
pub(crate) use ops::graph as graph_of;
pub use ops::{Loaded, check_case, check_ops, check_steps, outputs};

use crate::clock::Instant;
use crate::device::{Device, Executor};
use crate::error::{Error, Result};
use crate::ops::{AdapterKind, Case, Dispatch, Target, all_cases};

/// What a case came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// The op's name.
    pub op: &'static str,
    /// The case's label.
    pub case: String,
    /// The inputs' types, as text.
    pub inputs: String,
    /// Elements of all inputs: the fewer, the easier it is to look into.
    pub elements: usize,
    /// The largest error allowed, in ulps.
    pub allowed: f64,
    /// The worst error relative to the largest element; 0 where the case failed.
    pub relative: f64,
    /// The worst error in ulps, or what is wrong.
    pub result: Result<f64, String>,
}

impl Finding {
    /// A finding on a case.
    fn new(case: &Case, allowed: f64, relative: f64, result: Result<f64, String>) -> Self {
        let types: Vec<String> = case.inputs.iter().map(|t| format!("{} of {}", t.shape(), t.dtype())).collect();
        let elements = case.inputs.iter().map(|t| t.shape().len()).sum();
        let (op, label, inputs) = (case.op.name(), case.label.clone(), types.join(", "));
        Self { op, case: label, inputs, elements, allowed, relative, result }
    }

    /// A finding on something that is no op's case.
    fn of(op: &'static str, case: impl Into<String>, result: Result<f64, String>) -> Self {
        let (inputs, elements) = (String::new(), 0);
        Self { op, case: case.into(), inputs, elements, allowed: 0.0, relative: 0.0, result }
    }
}

/// What an [`Item`] is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// An op's cases.
    Forward,
    /// The gradients of an op's cases, on the device as on the reference, and there against finite differences.
    Gradient,
    /// An optimizer's op over 20 steps.
    Steps,
    /// The host's random generator.
    Random,
    /// Steps of whole nets.
    Training,
    /// The adapter's limits.
    Limits,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Forward => "forward",
            Self::Gradient => "gradient",
            Self::Steps => "20 steps",
            Self::Random => "random",
            Self::Training => "training",
            Self::Limits => "limits",
        })
    }
}

/// One line of `kiln check`: a part of the check for one op.
#[derive(Clone, Debug)]
pub struct Item {
    /// What is checked of it.
    pub part: Part,
    /// The op, or what else is checked.
    pub op: &'static str,
    /// The stems of the shader files that the op's kernels are in.
    pub shaders: Vec<&'static str>,
    /// The kind of adapter whose kernels run, where it is not the device's own.
    pub kernels: Option<Target>,
    cases: Vec<Case>,
}

/// The head of the table whose lines are [`Item::line`].
pub fn heading() -> String {
    heading_of("op", NAMES)
}

/// The head of a table of what is named so, whose names have so many letters.
fn heading_of(what: &str, width: usize) -> String {
    let [worst, allowed, relative] = ["worst ulps", "allowed", "relative"];
    format!("{:<9} {what:<width$} {:>5} {worst:>10} {allowed:>8} {relative:>9} {:>8}", "part", "cases", "time")
}

/// So many letters the names of ops have room for.
const NAMES: usize = 28;

/// A line of the table: what a part of the check of this name came to, which has room for so many letters.
fn line(part: Part, name: &str, width: usize, row: &Row) -> String {
    let verdict = if row.failures.is_empty() { "" } else { "  FAILS" };
    let (cases, time) = (row.cases, row.duration.as_secs_f64());
    format!(
        "{part:<9} {name:<width$} {cases:>5} {:>10.2} {:>8.1} {:>9.1e} {time:>6.2} s{verdict}",
        row.ulps, row.allowed, row.relative
    )
}

/// What an [`Item`] came to.
#[derive(Clone, Debug)]
pub struct Row {
    /// How many cases there were.
    pub cases: usize,
    /// The worst error in ulps, measured by what was allowed for it.
    pub ulps: f64,
    /// What was allowed for it.
    pub allowed: f64,
    /// The worst error relative to the largest element of its output.
    pub relative: f64,
    /// How long it took.
    pub duration: Duration,
    /// The cases that failed, the smallest first.
    pub failures: Vec<Finding>,
}

/// The device under test and the reference.
#[derive(Debug)]
pub struct Bench {
    device: Device,
    tested: Executor,
    reference: Executor,
}

impl Bench {
    /// A bench for a device.
    ///
    /// # Errors
    /// [`Error::Device`] where the system gives no threads.
    pub fn new(device: &Device) -> Result<Self> {
        let (tested, reference) = (Executor::new(device)?, Executor::new(&Device::reference())?);
        Ok(Self { device: device.clone(), tested, reference })
    }
}

/// Everything there is to check on a device whose op's name, shader or part is `filter`, or else contains it.
/// With `all_kernels`, the kernels for other kinds of adapters too, wherever they are others.
///
/// # Errors
/// [`Error::Argument`] that lists the names, where nothing fits the filter.
pub fn items(device: &Device, filter: Option<&str>, all_kernels: bool) -> Result<Vec<Item>> {
    let mut all = items_of(device, all_cases(), all_kernels)?;
    all.push(Item::of(Part::Random, "random"));
    all.push(Item::of(Part::Training, "training"));
    all.push(Item::of(Part::Limits, "limits"));
    let Some(filter) = filter.map(str::to_lowercase) else { return Ok(all) };
    let names = |item: &Item| item.shaders.iter().copied().chain([item.op]).collect::<Vec<_>>();
    let any = |fits: &dyn Fn(&str) -> bool| all.iter().any(|item| names(item).into_iter().any(fits));
    let exact = |name: &str| name == filter;
    let part = |name: &str| name.contains(&filter);
    let fits: &dyn Fn(&str) -> bool = match (any(&exact), any(&part)) {
        (true, _) => &exact,
        (false, true) => &part,
        (false, false) => {
            let mut known: Vec<&str> = all.iter().flat_map(names).collect();
            known.sort_unstable();
            known.dedup();
            return Err(Error::argument("filter", crate::suggest::unknown(&filter, &known)));
        }
    };
    Ok(all.iter().filter(|item| names(item).into_iter().any(fits)).cloned().collect())
}

/// The items of given cases: an op of one's own is checked by its cases, as Kiln's are (`examples/custom_op.rs`).
///
/// ```
/// use kiln::check::{Bench, items_of};
/// use kiln::ops::Case;
/// use kiln::ops::case::random;
/// use kiln::ops::unary::Unary;
/// use kiln::prelude::*;
/// let device = Device::cpu();
/// let case = Case::new("a vector", Unary::Square, vec![random([100], 1)]).wrt(&[0]);
/// let mut bench = Bench::new(&device)?;
/// for item in items_of(&device, vec![case], false)? {
///     assert!(item.run(&mut bench)?.failures.is_empty());
/// }
/// # Ok::<(), kiln::Error>(())
/// ```
///
/// # Errors
/// [`Error::Shape`] where an op does not take its case.
pub fn items_of(device: &Device, cases: Vec<Case>, all_kernels: bool) -> Result<Vec<Item>> {
    let own = device.target();
    // The CPU has loops, not kernels of a kind.
    let wanted = all_kernels && device.is_gpu();
    let others: Vec<Target> = Target::all().into_iter().filter(|other| wanted && other.runs_on(&own)).collect();
    let mut all: [Vec<Item>; 3] = Default::default();
    for case in cases {
        let io = case.io()?;
        let kernels = case.op.gpu(&io, &own);
        let mut add = |list: usize, part, kernels, dispatches: &[Dispatch], case: &Case| {
            Item::add(&mut all[list], part, kernels, dispatches, case);
        };
        add(0, Part::Forward, None, &kernels, &case);
        let mut seen = vec![kernels.clone()];
        for other in &others {
            let others = case.op.gpu(&io, other);
            if !seen.contains(&others) {
                add(0, Part::Forward, Some(other.clone()), &others, &case);
                seen.push(others);
            }
        }
        if !case.wrt.is_empty() {
            add(1, Part::Gradient, None, &kernels, &case);
        }
        if ops::is_optimizer(&case) {
            add(2, Part::Steps, None, &kernels, &case);
        }
    }
    Ok(all.into_iter().flatten().collect())
}

impl Item {
    fn of(part: Part, op: &'static str) -> Self {
        Self { part, op, shaders: Vec::new(), kernels: None, cases: Vec::new() }
    }

    /// Adds a case to the item of its op, made at the first.
    fn add(list: &mut Vec<Self>, part: Part, kernels: Option<Target>, dispatches: &[Dispatch], case: &Case) {
        let op = case.op.name();
        let found = list.iter().position(|item| item.op == op && item.kernels == kernels);
        let index = found.unwrap_or_else(|| {
            list.push(Self { kernels, ..Self::of(part, op) });
            list.len() - 1
        });
        let item = &mut list[index];
        for dispatch in dispatches {
            if !item.shaders.contains(&dispatch.module.stem) {
                item.shaders.push(dispatch.module.stem);
            }
        }
        item.cases.push(case.clone());
    }

    /// What it came to, as a line of the table that [`heading`] opens.
    pub fn line(&self, row: &Row) -> String {
        format!("{}  {}", line(self.part, self.op, NAMES, row), self.kernels_in_words()).trim_end().to_string()
    }

    /// Which kernels it runs, in words; nothing where they are the adapter's own.
    pub fn kernels_in_words(&self) -> &'static str {
        match &self.kernels {
            None => "",
            Some(Target { kind: AdapterKind::Software, .. }) => "software kernels",
            Some(target) if *target == Target::new(target.kind) => "GPU kernels",
            Some(_) => "GPU kernels, larger tiles",
        }
    }

    /// How many cases it has, as far as that is known before it runs.
    pub fn case_count(&self) -> usize {
        self.cases.len()
    }

    /// Runs it.
    ///
    /// # Errors
    /// What the device reports; a wrong result is in [`Row::failures`].
    pub fn run(&self, bench: &mut Bench) -> Result<Row> {
        let start = Instant::now();
        let findings = match self.part {
            Part::Forward => self.forward(bench)?,
            Part::Gradient => self.each(|case| check_gradient_on(case, &mut bench.tested, &mut bench.reference))?,
            Part::Steps => self.each(|case| check_steps(case, 20, &mut bench.tested, &mut bench.reference))?,
            Part::Random => random::findings(),
            Part::Training => training::findings(&bench.device)?,
            Part::Limits => limits::findings(&bench.device)?,
        };
        Ok(Row::new(findings, start.elapsed()))
    }

    fn each(&self, mut check: impl FnMut(&Case) -> Result<Finding>) -> Result<Vec<Finding>> {
        let mut findings = Vec::with_capacity(self.cases.len());
        for case in &self.cases {
            let finding = check(case)?;
            let is_enough = finding.result.is_err() && one_failure_is_enough();
            findings.push(finding);
            if is_enough {
                break;
            }
        }
        Ok(findings)
    }

    fn forward(&self, bench: &mut Bench) -> Result<Vec<Finding>> {
        let Some(target) = &self.kernels else {
            return self.each(|case| check_case(case, &mut bench.tested, &mut bench.reference));
        };
        let mut tested = Executor::new(&bench.device.clone().with_kernels_for(target.clone()))?;
        self.each(|case| check_case(case, &mut tested, &mut bench.reference))
    }
}

/// Whether a fault was put into a shader: the first case that finds it ends an item.
fn one_failure_is_enough() -> bool {
    cfg!(feature = "mutate") && std::env::var_os("KILN_MUTANT").is_some()
}

impl Row {
    fn new(findings: Vec<Finding>, duration: Duration) -> Self {
        let cases = findings.len();
        let (mut row, mut share) =
            (Self { cases, ulps: 0.0, allowed: 0.0, relative: 0.0, duration, failures: Vec::new() }, -1.0);
        for finding in findings {
            row.relative = row.relative.max(finding.relative);
            match finding.result {
                Ok(ulps) if ulps / finding.allowed.max(1e-9) > share => {
                    (row.ulps, row.allowed, share) = (ulps, finding.allowed, ulps / finding.allowed.max(1e-9));
                }
                Ok(_) => {}
                Err(_) => row.failures.push(finding),
            }
        }
        row.failures.sort_by_key(|finding| finding.elements);
        row
    }
}

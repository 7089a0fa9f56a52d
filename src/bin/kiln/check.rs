//! `kiln check`.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use kiln::check::{self, Bench, Finding, Item, ModelRow, ModelTable, Part, Row};
use kiln::device::{Choice, Device};
use kiln::io::printable;
use kiln::nn::Model;
use serde_json::{Value, json};

use crate::outputs;

const EXAMPLES: &str = "\
Errors are in ulps: units of 2^-23 of the element or, for sums, of the output's root mean square; the line shows the
case that came nearest to what is allowed. `relative` is the worst error over an output's largest element. Gradients
are also checked against finite differences in f64. --device cpu checks the processor's loops instead of kernels.

--model checks what one model computes: its outputs for random samples, and the gradient of each of its weights for a mean squared
error. A tensor fails where it is off for each of three batches: rounding may turn a rectifier over in one.

Examples:
  kiln check
  kiln check --filter matmul --all-kernels
  kiln check --model mnist.safetensors
  kiln check --device 1 --json > check.json";

/// Prove every op, gradient and optimizer on this adapter against an f64 reference
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// gpu, cpu, or one of `kiln devices` by index or part of its name
    #[arg(long, default_value = "gpu")]
    device: String,

    /// Check what this model computes instead: a file of `kiln train --save`, or a .keras
    #[arg(long, value_name = "FILE", conflicts_with_all = ["filter", "all_kernels", "list"])]
    model: Option<PathBuf>,

    /// Check this op only: its name, a part of it, or its shader file's
    #[arg(long, value_name = "OP")]
    filter: Option<String>,

    /// Check the kernels for the other kind of adapter, GPU or software, too
    #[arg(long)]
    all_kernels: bool,

    /// List what would be checked
    #[arg(long)]
    list: bool,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> Result<()> {
    let Choice { device, .. } = Device::choose(&args.device)?;
    match &args.model {
        Some(path) => model(args, path, &device),
        None => ops(args, &device),
    }
}

fn ops(args: &Args, device: &Device) -> Result<()> {
    let items = check::items(device, args.filter.as_deref(), args.all_kernels)?;
    if args.list {
        return list(&items, args.json);
    }
    let mut out = io::stdout().lock();
    if !args.json {
        writeln!(out, "{}\n\n{}", head(device), check::heading())?;
    }
    let start = Instant::now();
    let mut bench = Bench::new(device)?;
    let mut rows = Vec::with_capacity(items.len());
    for item in &items {
        let row = item.run(&mut bench)?;
        if !args.json {
            writeln!(out, "{}", item.line(&row))?;
            out.flush()?;
        }
        rows.push((Checked::of(item, &args.device), row));
    }
    Outcome { device, rows, duration: start.elapsed() }.told(args.json, &mut out)
}

fn model(args: &Args, path: &Path, device: &Device) -> Result<()> {
    let start = Instant::now();
    let rows = check::check_model(|| Model::load(path), device)?;
    let mut out = io::stdout().lock();
    if !args.json {
        write!(out, "{}\n\n{}", head(device), outputs::printable_lines(&ModelTable(&rows).to_string()))?;
    }
    let repeat = format!("kiln check --device {:?} --model {}", args.device, path.display());
    let rows = rows.into_iter().map(|ModelRow { part, name, row }| {
        (Checked { part, op: name, shaders: Vec::new(), kernels: "", repeat: repeat.clone() }, row)
    });
    Outcome { device, rows: rows.collect(), duration: start.elapsed() }.told(args.json, &mut out)
}

fn list(items: &[Item], as_json: bool) -> Result<()> {
    let mut out = io::stdout().lock();
    if as_json {
        let one = |item: &Item| {
            json!({
                "part": item.part.to_string(), "op": item.op, "kernels": item.kernels_in_words(), "shaders": item.shaders,
                "cases": item.case_count(),
            })
        };
        let all: Vec<Value> = items.iter().map(one).collect();
        writeln!(out, "{}", serde_json::to_string_pretty(&all)?)?;
        return Ok(());
    }
    for item in items {
        let shaders: Vec<String> = item.shaders.iter().map(|stem| format!("{stem}.wgsl")).collect();
        let line = format!("{:<9} {:<28} {} {}", item.part, item.op, shaders.join(" "), item.kernels_in_words());
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

fn driver(device: &Device) -> &str {
    device.driver().unwrap_or("none")
}

fn head(device: &Device) -> String {
    format!("Adapter: {device}\nDriver:  {}", driver(device))
}

fn seconds(duration: Duration) -> String {
    format!("{:.2} s", duration.as_secs_f64())
}

/// What a line is about.
struct Checked {
    part: Part,
    /// The op, or the output or the weight of a model.
    op: String,
    shaders: Vec<&'static str>,
    kernels: &'static str,
    /// The command line that checks it alone.
    repeat: String,
}

impl Checked {
    /// An item on a device that was asked for so.
    fn of(item: &Item, request: &str) -> Self {
        let all_kernels = if item.kernels.is_some() { " --all-kernels" } else { "" };
        let repeat = format!("kiln check --device {request:?} --filter {}{all_kernels}", item.op);
        let (part, op, kernels) = (item.part, item.op.to_string(), item.kernels_in_words());
        Self { part, op, shaders: item.shaders.clone(), kernels, repeat }
    }
}

/// What all of it came to.
struct Outcome<'a> {
    device: &'a Device,
    rows: Vec<(Checked, Row)>,
    duration: Duration,
}

impl Outcome<'_> {
    /// Says what it came to; an error where something failed.
    fn told(&self, as_json: bool, out: &mut impl Write) -> Result<()> {
        match as_json {
            true => writeln!(out, "{}", self.json())?,
            false => self.print(out)?,
        }
        out.flush()?;
        match self.failures() {
            0 => Ok(()),
            failures => bail!("{failures} of {} cases fail on {}", self.cases(), self.device),
        }
    }

    fn cases(&self) -> usize {
        self.rows.iter().map(|(_, row)| row.cases).sum()
    }

    fn failures(&self) -> usize {
        self.rows.iter().map(|(_, row)| row.failures.len()).sum()
    }

    /// The failing case with the fewest elements: the one to report.
    fn smallest_failure(&self) -> Option<(&Checked, &Finding)> {
        let failures = self.rows.iter().flat_map(|(item, row)| row.failures.iter().map(move |f| (item, f)));
        failures.min_by_key(|(_, finding)| finding.elements)
    }

    fn print(&self, out: &mut impl Write) -> io::Result<()> {
        let (cases, failures, time) = (self.cases(), self.failures(), seconds(self.duration));
        if failures == 0 {
            return writeln!(out, "\nAll {cases} cases pass in {time}.");
        }
        writeln!(out, "\n{failures} of {cases} cases FAIL, after {time}.")?;
        let Some((item, finding)) = self.smallest_failure() else { return Ok(()) };
        writeln!(out, "\nThe smallest failing case, to report to the driver's authors or to Kiln's:")?;
        for (name, text) in self.report(item, finding) {
            writeln!(out, "  {:<9} {}", format!("{name}:"), printable(&text))?;
        }
        Ok(())
    }

    fn report(&self, item: &Checked, finding: &Finding) -> Vec<(&'static str, String)> {
        let shaders: Vec<String> = item.shaders.iter().map(|stem| format!("shaders/{stem}.wgsl")).collect();
        let fields = [
            ("op", format!("{} ({})", finding.op, item.part)),
            ("kernels", [&*shaders.join(" "), item.kernels].join(" ").trim().to_string()),
            ("case", finding.case.clone()),
            ("inputs", finding.inputs.clone()),
            ("found", finding.result.clone().err().unwrap_or_default()),
            ("adapter", self.device.to_string()),
            ("driver", driver(self.device).into()),
            ("kiln", env!("CARGO_PKG_VERSION").into()),
            ("repeat", item.repeat.clone()),
        ];
        fields.into_iter().filter(|(_, text)| !text.is_empty()).collect()
    }

    fn json(&self) -> Value {
        let failure = |finding: &Finding| {
            json!({
                "op": finding.op, "case": finding.case, "inputs": finding.inputs, "allowed_ulps": finding.allowed,
                "found": finding.result.clone().err(),
            })
        };
        let row = |(item, row): &(Checked, Row)| {
            json!({
                "part": item.part.to_string(), "op": item.op, "kernels": item.kernels, "shaders": item.shaders,
                "cases": row.cases, "worst_ulps": row.ulps, "allowed_ulps": row.allowed,
                "worst_relative": row.relative, "seconds": row.duration.as_secs_f64(),
                "failures": row.failures.iter().map(failure).collect::<Vec<_>>(),
            })
        };
        let smallest = self.smallest_failure().map(|(item, finding)| {
            self.report(item, finding).into_iter().map(|(name, text)| (name.to_string(), json!(text))).collect()
        });
        json!({
            "device": self.device.to_string(), "driver": self.device.driver(), "cases": self.cases(),
            "failures": self.failures(), "passed": self.failures() == 0, "seconds": self.duration.as_secs_f64(),
            "smallest_failure": smallest.map(Value::Object),
            "rows": self.rows.iter().map(row).collect::<Vec<_>>(),
        })
    }
}

//! `kiln check`.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use kiln::check::{self, Bench, Finding, Item, Row};
use kiln::device::{Choice, Device};
use serde_json::{Value, json};

const EXAMPLES: &str = "\
Errors are in ulps: units of 2^-23 of the element or, for sums, of the output's root mean square; the line shows the
case that came nearest to what is allowed. `relative` is the worst error over an output's largest element. Gradients
are also checked against finite differences in f64. --device cpu checks the processor's loops instead of kernels.

Examples:
  kiln check
  kiln check --filter matmul --all-kernels
  kiln check --device 1 --json > check.json";

/// Prove every op, gradient and optimizer on this adapter against an f64 reference
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// gpu, cpu, or one of `kiln devices` by index or part of its name
    #[arg(long, default_value = "gpu")]
    device: String,

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
    let items = check::items(&device, args.filter.as_deref(), args.all_kernels)?;
    if args.list {
        return list(&items, args.json);
    }
    let mut out = io::stdout().lock();
    if !args.json {
        head(&mut out, &device)?;
    }
    let start = Instant::now();
    let mut bench = Bench::new(&device)?;
    let mut rows = Vec::with_capacity(items.len());
    for item in &items {
        let row = item.run(&mut bench)?;
        if !args.json {
            writeln!(out, "{}", item.line(&row))?;
            out.flush()?;
        }
        rows.push((item, row));
    }
    let outcome = Outcome { device: &device, request: &args.device, rows, duration: start.elapsed() };
    if args.json {
        writeln!(out, "{}", outcome.json())?
    } else {
        outcome.print(&mut out)?
    }
    out.flush()?;
    match outcome.failures() {
        0 => Ok(()),
        failures => bail!("{failures} of {} cases fail on {device}", outcome.cases()),
    }
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

fn head(out: &mut impl Write, device: &Device) -> io::Result<()> {
    writeln!(out, "Adapter: {device}\nDriver:  {}\n\n{}", driver(device), check::heading())
}

fn seconds(duration: Duration) -> String {
    format!("{:.2} s", duration.as_secs_f64())
}

/// What all items came to.
struct Outcome<'a> {
    device: &'a Device,
    request: &'a str,
    rows: Vec<(&'a Item, Row)>,
    duration: Duration,
}

impl Outcome<'_> {
    fn cases(&self) -> usize {
        self.rows.iter().map(|(_, row)| row.cases).sum()
    }

    fn failures(&self) -> usize {
        self.rows.iter().map(|(_, row)| row.failures.len()).sum()
    }

    /// The failing case with the fewest elements: the one to report.
    fn smallest_failure(&self) -> Option<(&Item, &Finding)> {
        let failures = self.rows.iter().flat_map(|(item, row)| row.failures.iter().map(|f| (*item, f)));
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
            writeln!(out, "  {:<9} {text}", format!("{name}:"))?;
        }
        Ok(())
    }

    fn report(&self, item: &Item, finding: &Finding) -> Vec<(&'static str, String)> {
        let shaders: Vec<String> = item.shaders.iter().map(|stem| format!("shaders/{stem}.wgsl")).collect();
        let repeat = format!("kiln check --device {:?} --filter {}", self.request, item.op);
        let all_kernels = if item.kernels.is_some() { " --all-kernels" } else { "" };
        let fields = [
            ("op", format!("{} ({})", finding.op, item.part)),
            ("kernels", [shaders.join(" "), item.kernels_in_words().into()].join(" ").trim().to_string()),
            ("case", finding.case.clone()),
            ("inputs", finding.inputs.clone()),
            ("found", finding.result.clone().err().unwrap_or_default()),
            ("adapter", self.device.to_string()),
            ("driver", driver(self.device).into()),
            ("kiln", env!("CARGO_PKG_VERSION").into()),
            ("repeat", repeat + all_kernels),
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
        let row = |(item, row): &(&Item, Row)| {
            json!({
                "part": item.part.to_string(), "op": item.op, "kernels": item.kernels_in_words(), "shaders": item.shaders,
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

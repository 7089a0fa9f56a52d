//! What the Rust peers share: arguments, MNIST, the loop over epochs, the timing of products, the JSON line.
//!
//! Usage of each, the same as that of the Python peers:
//!
//!     PROGRAM train --data FOLDER --hidden N|--net NAME --batch N [--epochs N] [--limit N]
//!     PROGRAM products
//!
//! The net is 784-N-10 with relu and softmax cross-entropy, trained by RMSprop (0.001, rho 0.9, epsilon 1e-7) in f32; or
//! one of convolutions or of sequences, where the program has it, trained by Adam (0.001, epsilon 1e-7).
//! A peer's package has the version of what it times.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

pub const PIXELS: usize = 784;
pub const CLASSES: usize = 10;
/// Rows that are scored at once.
pub const SCORED: usize = 1000;
/// Steps of `lstm50`, and the numbers of each.
pub const SERIES: [usize; 2] = [50, 64];
/// Tokens of a sample of `transformer`.
pub const LENGTH: usize = 64;
/// Tokens there are to choose from.
pub const WORDS: usize = 256;

/// A framework under the clock.
pub trait Peer: Sized {
    const NAME: &'static str;
    /// Whether its graph takes batches of one size only: the short last one is left out.
    const FIXED_BATCH: bool = false;

    fn new(hidden: usize, batch: usize) -> Result<Self>;

    /// The net of this name.
    fn of_name(net: &str) -> Result<Self> {
        Err(format!("{} has no net {net}", Self::NAME).into())
    }

    /// Starts a training step on pixels of (batch, 784) in 0..1, or what else the net takes, and their labels.
    fn step(&mut self, x: Vec<f32>, y: &[u8]) -> Result<()>;

    /// Waits for the steps and returns the last one's mean loss.
    fn loss(&mut self) -> Result<f32>;

    /// Scores of shape (1000, 10) for 1000 rows of pixels.
    fn scores(&mut self, x: Vec<f32>) -> Result<Vec<f32>>;

    /// Makes a product ready; what is returned runs it so many times and waits for the last.
    fn product(product: &Product) -> Result<Runs>;

    /// The adapter that it runs on, where it says so.
    fn adapter(&self) -> Option<String> {
        None
    }
}

pub type Runs = Box<dyn FnMut(usize) -> Result<()>>;

/// A peer's `main`.
pub fn run<P: Peer>() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some("train") => train::<P>(&Arguments::read(&arguments[1..])?),
        Some("products") => products::<P>(),
        _ => Err("the first argument is train or products".into()),
    }
}

struct Arguments {
    data: PathBuf,
    hidden: usize,
    /// A net other than the dense one.
    net: Option<String>,
    batch: usize,
    epochs: usize,
    limit: Option<usize>,
}

impl Arguments {
    fn read(words: &[String]) -> Result<Self> {
        let mut read = Self { data: PathBuf::new(), hidden: 512, net: None, batch: 128, epochs: 5, limit: None };
        for pair in words.chunks(2) {
            let [name, value] = pair else { return Err(format!("{} has no value", pair[0]).into()) };
            match name.as_str() {
                "--data" => read.data = value.into(),
                "--hidden" => read.hidden = value.parse()?,
                "--net" => read.net = Some(value.clone()),
                "--batch" => read.batch = value.parse()?,
                "--epochs" => read.epochs = value.parse()?,
                "--limit" => read.limit = Some(value.parse()?),
                _ => return Err(format!("unknown option {name}").into()),
            }
        }
        Ok(read)
    }
}

/// Samples of bytes and their labels, as MNIST's files have them.
struct Set {
    bytes: Vec<u8>,
    labels: Vec<u8>,
    /// Bytes of a sample.
    width: usize,
    /// Labels of a sample.
    targets: usize,
    /// What a byte is multiplied by.
    scale: f32,
}

impl Set {
    /// MNIST's.
    fn read(folder: &Path, part: &str) -> Result<Self> {
        let content = |name: String| -> Result<Vec<u8>> {
            let path = folder.join(name);
            let file = std::fs::read(&path).map_err(|e| format!("{}: {e}", path.display()))?;
            // The fourth byte is the number of axes; four bytes an axis follow.
            Ok(file[4 + 4 * usize::from(file[3])..].to_vec())
        };
        let (bytes, labels) =
            (content(format!("{part}-images-idx3-ubyte"))?, content(format!("{part}-labels-idx1-ubyte"))?);
        Ok(Self { bytes, labels, width: PIXELS, targets: 1, scale: 1.0 / 255.0 })
    }

    /// What a net is trained on: those that take no image have random numbers or tokens.
    fn of(net: Option<&str>, a: &Arguments) -> Result<Self> {
        let (width, targets, most, scale) = match net {
            Some("lstm50") => (SERIES[0] * SERIES[1], 1, CLASSES, 1.0 / 255.0),
            Some("transformer") => (LENGTH, LENGTH, WORDS, 1.0),
            _ => return Self::read(&a.data, "train"),
        };
        let (samples, mut random) =
            (a.limit.ok_or("nets that take no image need --limit")?, Random(88_172_645_463_325_252));
        let mut drawn =
            |count: usize, most: usize| (0..count).map(|_| ((random.next() >> 32) % most as u64) as u8).collect();
        Ok(Self { bytes: drawn(samples * width, 256), labels: drawn(samples * targets, most), width, targets, scale })
    }

    fn len(&self) -> usize {
        self.labels.len() / self.targets
    }

    fn samples(&self, rows: &[usize]) -> Vec<f32> {
        let mut x = Vec::with_capacity(rows.len() * self.width);
        for row in rows {
            x.extend(self.bytes[row * self.width..][..self.width].iter().map(|&byte| f32::from(byte) * self.scale));
        }
        x
    }

    fn labels(&self, rows: &[usize]) -> Vec<u8> {
        rows.iter().flat_map(|&row| &self.labels[row * self.targets..][..self.targets]).copied().collect()
    }
}

/// Xorshift: for orders, weights and operands.
pub struct Random(pub u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Values in -limit..limit.
    pub fn uniform(&mut self, count: usize, limit: f32) -> Vec<f32> {
        (0..count).map(|_| ((self.next() >> 40) as f32 / (1u64 << 23) as f32 - 1.0) * limit).collect()
    }

    fn shuffle(&mut self, order: &mut [usize]) {
        for i in (1..order.len()).rev() {
            order.swap(i, (self.next() % (i as u64 + 1)) as usize);
        }
    }
}

/// The middle value, or the one above the middle.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Trains and prints a step's time in the median epoch but the first, and how long the first step took.
fn train<P: Peer>(a: &Arguments) -> Result<()> {
    let set = Set::of(a.net.as_deref(), a)?;
    let samples = a.limit.map_or(set.len(), |limit| limit.min(set.len()));
    let (mut peer, net) = match &a.net {
        Some(net) => (P::of_name(net)?, net.clone()),
        None => (P::new(a.hidden, a.batch)?, format!("784-{}-10", a.hidden)),
    };
    let mut order: Vec<usize> = (0..samples).collect();
    let (mut random, mut first, mut loss, mut steps) = (Random(7), None, f32::NAN, Vec::new());
    for _ in 0..a.epochs {
        let start = Instant::now();
        random.shuffle(&mut order);
        let mut count = 0;
        for rows in order.chunks(a.batch).filter(|rows| !P::FIXED_BATCH || rows.len() == a.batch) {
            peer.step(set.samples(rows), &set.labels(rows))?;
            if first.is_none() {
                peer.loss()?;
                first = Some(start.elapsed());
            }
            count += 1;
        }
        loss = peer.loss()?;
        steps.push(start.elapsed().as_secs_f64() / f64::from(count));
    }
    let timed = if steps.len() > 1 { steps.split_off(1) } else { steps };
    let accuracy = if a.limit.is_none() { accuracy(&mut peer, &a.data)?.to_string() } else { "null".into() };
    println!(
        "{{\"peer\": \"{}\", \"version\": \"{}\", \"net\": \"{net}\", \"batch\": {}, \"us_per_step\": {:.1}, \
         \"first_step_ms\": {:.1}, \"loss\": {loss:.4}, \"accuracy\": {accuracy}, \"adapter\": {}}}",
        P::NAME,
        env!("CARGO_PKG_VERSION"),
        a.batch,
        median(timed) * 1e6,
        first.unwrap_or_default().as_secs_f64() * 1e3,
        peer.adapter().map_or("null".into(), |name| format!("{name:?}")),
    );
    Ok(())
}

/// Over the test set.
fn accuracy<P: Peer>(peer: &mut P, folder: &Path) -> Result<f64> {
    let set = Set::read(folder, "t10k")?;
    let all: Vec<usize> = (0..set.len()).collect();
    let mut right = 0;
    for rows in all.chunks_exact(SCORED) {
        let scores = peer.scores(set.samples(rows))?;
        for (scores, label) in scores.chunks(CLASSES).zip(set.labels(rows)) {
            let best = (0..CLASSES).max_by(|&i, &j| scores[i].total_cmp(&scores[j]));
            right += usize::from(best == Some(label.into()));
        }
    }
    Ok(right as f64 / all.len() as f64)
}

/// A product of a row-major `a` and `b`, either of which may be stored transposed.
pub struct Product {
    /// What `kiln bench` calls it.
    what: &'static str,
    /// Rows, columns, and the extent that is summed over.
    extents: [usize; 3],
    pub transposed: [bool; 2],
}

const PRODUCTS: [Product; 5] = [
    Product { what: "square", extents: [512; 3], transposed: [false; 2] },
    Product { what: "square", extents: [1024; 3], transposed: [false; 2] },
    Product { what: "forward", extents: [128, 512, 784], transposed: [false; 2] },
    Product { what: "dW", extents: [784, 512, 128], transposed: [true, false] },
    Product { what: "dX", extents: [128, 784, 512], transposed: [false, true] },
];

impl Product {
    /// Shapes of the operands as they are stored.
    pub fn shapes(&self) -> [[usize; 2]; 2] {
        let ([m, n, k], [a, b]) = (self.extents, self.transposed);
        [if a { [k, m] } else { [m, k] }, if b { [n, k] } else { [k, n] }]
    }

    /// Values of the operands.
    pub fn operands(&self) -> [Vec<f32>; 2] {
        self.shapes().map(|[rows, columns]| Random(88_172_645_463_325_252).uniform(rows * columns, 1.0))
    }
}

/// Prints GFLOP/s of each product: the median of five rounds of 100 ms or more.
fn products<P: Peer>() -> Result<()> {
    let mut rates = String::new();
    for product in PRODUCTS {
        let [m, n, k] = product.extents;
        let seconds = seconds_a_run(&mut P::product(&product)?)?;
        let separator = if rates.is_empty() { "" } else { ", " };
        let rate = 2.0 * (m * n * k) as f64 / seconds / 1e9;
        write!(rates, "{separator}\"{} {m}x{n}x{k}\": {rate:.2}", product.what)?;
    }
    println!(
        "{{\"peer\": \"{}\", \"version\": \"{}\", \"products\": {{{rates}}}}}",
        P::NAME,
        env!("CARGO_PKG_VERSION")
    );
    Ok(())
}

fn seconds_a_run(runs: &mut Runs) -> Result<f64> {
    let mut timed = |count: usize| -> Result<Duration> {
        let start = Instant::now();
        runs(count)?;
        Ok(start.elapsed())
    };
    // What is tuned or compiled is done in these.
    timed(2)?;
    let mut count = 1;
    while timed(count)? < Duration::from_millis(100) {
        count *= 2;
    }
    let rounds: Result<Vec<f64>> = (0..5).map(|_| Ok(timed(count)?.as_secs_f64())).collect();
    Ok(median(rounds?) / count as f64)
}

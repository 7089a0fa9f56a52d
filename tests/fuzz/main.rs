//! Every reader against bytes that nobody means well with: each input ends in a value or an error, without a panic, within
//! bounded memory and work.
//!
//! `cargo test --all-features --test fuzz` runs a fixed number of inputs a reader; `cargo test --all-features --test fuzz
//! -- --seconds 600` runs for so long, by another seed each time; `--seed N` and `--reader NAME` choose. An input follows
//! from reader, seed and number. What fails is written to `target/fuzz`; once mended it belongs in `tests/fixtures/fuzz`,
//! which is read first.

mod bombs;
mod hdf5;
mod keras;
mod memory;
mod mutate;
mod readers;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime};
use std::{fs, thread};

use mutate::Rng;
use readers::{READERS, Reader};

/// Nobody waits longer for an answer about a small file. Twenty times what the slowest took.
const PATIENCE: Duration = Duration::from_secs(20);

/// What is being read, and since when: for the watchman.
static CURRENT: Mutex<Option<(String, Instant)>> = Mutex::new(None);

/// What was asked for.
struct Options {
    seconds: Option<u64>,
    seed: u64,
    reader: Option<String>,
}

impl Options {
    fn of(args: impl Iterator<Item = String>) -> Option<Self> {
        let mut options = Self { seconds: None, seed: 1, reader: None };
        let mut args = args.skip(1);
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--seconds" => {
                    options.seconds = Some(args.next()?.parse().ok()?);
                    options.seed = SystemTime::UNIX_EPOCH.elapsed().ok()?.as_secs();
                }
                "--seed" => options.seed = args.next()?.parse().ok()?,
                "--reader" => options.reader = Some(args.next()?),
                // The test harness's own: there is nothing to list, and a filter chooses other tests.
                "--list" => return None,
                _ => {}
            }
        }
        Some(options)
    }
}

fn main() -> ExitCode {
    let Some(options) = Options::of(std::env::args()) else { return ExitCode::SUCCESS };
    println!("seed {}", options.seed);
    std::panic::set_hook(Box::new(|_| {}));
    thread::spawn(watch);
    let mut finds = 0;
    let wanted = |reader: &&Reader| options.reader.as_ref().is_none_or(|name| name == reader.name);
    let readers: Vec<&Reader> = READERS.iter().filter(wanted).collect();
    for reader in &readers {
        for (path, bytes) in finds_of(reader) {
            finds += u32::from(fails(reader, &bytes, &path.display().to_string()));
        }
    }
    let is_wanted = |name: &str| options.reader.as_ref().is_none_or(|wanted| wanted == name);
    if is_wanted("bombs") {
        finds += bombs::all().into_iter().map(|bomb| u32::from(bursts(bomb))).sum::<u32>();
    }
    let start = Instant::now();
    let mut number = 0;
    let seeds: Vec<Vec<Vec<u8>>> = readers.iter().map(|reader| (reader.seeds)()).collect();
    loop {
        let open = |reader: &Reader| options.seconds.is_some() || number < reader.count;
        for (reader, seeds) in readers.iter().zip(&seeds).filter(|(reader, _)| open(reader)) {
            for number in number..number + 100 {
                let rng = &mut Rng::new(options.seed, reader.name, number);
                let bytes = (reader.wrap)(mutate::mutated(seeds, reader.is_text, rng), rng);
                let name = format!("{}-{}-{number}", reader.name, options.seed);
                if fails(reader, &bytes, &name) {
                    finds += 1;
                    keep(&name, &bytes);
                }
            }
        }
        number += 100;
        match options.seconds {
            Some(seconds) if start.elapsed() < Duration::from_secs(seconds) => {}
            None if readers.iter().any(|reader| number < reader.count) => {}
            _ => break,
        }
    }
    println!("up to {number} inputs for each of {} readers: {finds} finds", readers.len());
    if finds == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The inputs that once failed.
fn finds_of(reader: &Reader) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/fuzz");
    let files = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let start = format!("{}-", reader.name);
    let own = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&start));
    files.filter(own).map(|path| (path.clone(), fs::read(path).expect("it was listed"))).collect()
}

/// Whether the reader does what it must not.
fn fails(reader: &Reader, bytes: &[u8], name: &str) -> bool {
    told(name, bytes, (reader.most)(bytes.len()), || (reader.read)(bytes)).is_err()
}

/// Whether a file that is made to take all there is does so, or says something else than it should.
fn bursts(bomb: bombs::Bomb) -> bool {
    let bombs::Bomb { name, bytes, read, says } = bomb;
    match told(name, &bytes, readers::of_other_programs(bytes.len()), || read(&bytes)) {
        Ok(Err(error)) if error.contains(says) => false,
        Ok(Err(error)) => {
            println!("{name}: says {error:?}, expected {says:?}");
            true
        }
        Ok(Ok(())) => {
            println!("{name}: was read, expected an error with {says:?}");
            true
        }
        Err(()) => true,
    }
}

/// What a reader makes of an input, or that it does what it must not, which is printed.
fn told<T>(name: &str, bytes: &[u8], most: usize, read: impl FnOnce() -> T) -> Result<T, ()> {
    // For an input that ends the process.
    keep("current", bytes);
    *CURRENT.lock().unwrap() = Some((name.to_string(), Instant::now()));
    memory::start();
    let outcome = catch_unwind(AssertUnwindSafe(read));
    let [peak, asked] = memory::used();
    *CURRENT.lock().unwrap() = None;
    let what = match outcome {
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            format!("panic: {}", text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("without words"))
        }
        Ok(_) if peak > most => format!("{} MB held", peak >> 20),
        Ok(_) if asked > 8 * most => format!("{} MB asked for in all", asked >> 20),
        Ok(told) => return Ok(told),
    };
    println!("{name}, {} bytes: {what}", bytes.len());
    Err(())
}

fn keep(name: &str, bytes: &[u8]) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/fuzz");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(format!("{name}.bin")), bytes).unwrap();
}

/// Ends the process where an input takes too long.
fn watch() {
    loop {
        thread::sleep(Duration::from_secs(1));
        if let Some((name, since)) = &*CURRENT.lock().unwrap()
            && since.elapsed() > PATIENCE
        {
            println!("{name}: no answer after {} s", PATIENCE.as_secs());
            std::process::exit(1);
        }
    }
}

//! Loads `kiln serve` with so many requests a second, and with bad ones in between, and says how long the answers took.
//!
//! ```sh
//! cargo run --release -- serve zoo.safetensors --device cpu
//! cargo run --release --example serve_load -- 127.0.0.1:8080 --rate 1000 --seconds 60 --bad 1000 --pid $(pidof kiln)
//! ```
//!
//! A request counts from the moment at which it is due, where the connection still waits for the answer before; else from when it is
//! sent. Without `--body` it asks for what `/model` calls typical.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Map, Value};

/// Connections that are kept open and share the requests.
const CONNECTIONS: u32 = 8;

struct Settings {
    address: String,
    rate: f64,
    seconds: f64,
    bad: usize,
    body: Option<String>,
    pid: Option<u32>,
}

fn settings() -> Result<Settings> {
    let mut args = std::env::args().skip(1);
    let address = args.next().context("name the server's address, such as 127.0.0.1:8080")?;
    let mut settings = Settings { address, rate: 1000.0, seconds: 10.0, bad: 0, body: None, pid: None };
    while let Some(option) = args.next() {
        let value = args.next().with_context(|| format!("{option} has no value"))?;
        match option.as_str() {
            "--rate" => settings.rate = value.parse()?,
            "--seconds" => settings.seconds = value.parse()?,
            "--bad" => settings.bad = value.parse()?,
            "--body" => settings.body = Some(value),
            "--pid" => settings.pid = Some(value.parse()?),
            _ => bail!("{option}: is no option; there are --rate, --seconds, --bad, --body and --pid"),
        }
    }
    ensure!(settings.rate > 0.0 && settings.seconds > 0.0, "the rate and the seconds are more than 0");
    Ok(settings)
}

/// A connection that is kept open.
struct Client {
    stream: BufReader<TcpStream>,
}

impl Client {
    fn open(address: &str) -> Result<Self> {
        let stream = TcpStream::connect(address).with_context(|| format!("cannot reach {address}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    /// Sends bytes and reads one answer: its status and its body.
    fn ask(&mut self, request: &[u8]) -> io::Result<(u16, Vec<u8>)> {
        self.stream.get_mut().write_all(request)?;
        let (mut line, mut status, mut length) = (String::new(), 0, 0);
        loop {
            line.clear();
            if self.stream.read_line(&mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let head = line.trim_end().to_lowercase();
            if let Some(rest) = head.strip_prefix("http/1.1 ") {
                status = rest.get(..3).and_then(|code| code.parse().ok()).unwrap_or(0);
            } else if let Some(rest) = head.strip_prefix("content-length:") {
                length = rest.trim().parse().unwrap_or(0);
            } else if head.is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        Ok((status, body))
    }
}

fn post(body: &[u8]) -> Vec<u8> {
    let head = "POST /predict HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: ";
    [format!("{head}{}\r\n\r\n", body.len()).as_bytes(), body].concat()
}

/// A record of what is typical of each column.
fn typical(client: &mut Client) -> Result<String> {
    let (status, body) = client.ask(b"GET /model HTTP/1.1\r\nhost: localhost\r\n\r\n")?;
    ensure!(status == 200, "/model was answered with {status}");
    let model: Value = serde_json::from_slice(&body)?;
    let columns = model["columns"].as_array().context("the model takes no records; give a body by --body")?;
    let value = |column: &Value| {
        let first = column["words"].get(0).cloned().unwrap_or_else(|| 0.into());
        Some(column["typical"].clone()).filter(|value| !value.is_null()).unwrap_or(first)
    };
    let pair = |column: &Value| (column["name"].as_str().unwrap_or_default().to_string(), value(column));
    Ok(Value::from(columns.iter().map(pair).collect::<Map<_, _>>()).to_string())
}

/// The times of a connection's answers in seconds, and how many were no good ones.
fn load(settings: &Settings, request: &[u8], begin: Instant, first: u32) -> Result<(Vec<f64>, usize)> {
    let mut client = Client::open(&settings.address)?;
    let (mut times, mut failed) = (Vec::new(), 0);
    let total = (settings.rate * settings.seconds) as u32;
    for number in (first..total).step_by(CONNECTIONS as usize) {
        let due = begin + Duration::from_secs_f64(f64::from(number) / settings.rate);
        let early = due.checked_duration_since(Instant::now());
        if let Some(early) = early {
            thread::sleep(early);
        }
        let from = if early.is_some() { Instant::now() } else { due };
        match client.ask(request) {
            Ok((200, _)) => times.push(from.elapsed().as_secs_f64()),
            Ok(_) => failed += 1,
            Err(_) => {
                failed += 1;
                client = Client::open(&settings.address)?;
            }
        }
    }
    Ok((times, failed))
}

/// Sends bad requests, spread over the time; how many of them were not refused as such.
fn disturb(settings: &Settings, good: &str, begin: Instant) -> Result<usize> {
    let cut = &good[..good.len() / 2];
    let big = format!("POST /predict HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n", 1u64 << 40);
    let kinds: [Vec<u8>; 8] = [
        post(cut.as_bytes()),
        post(b"{\"no such column\": 1}"),
        post(b"[[[]]]"),
        post(&[0xff; 300]),
        b"GET /nothing HTTP/1.1\r\nhost: localhost\r\n\r\n".to_vec(),
        b"DELETE /predict HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n\r\n".to_vec(),
        b"this is no HTTP\r\n\r\n".to_vec(),
        big.into_bytes(),
    ];
    let (mut client, mut wrong) = (Client::open(&settings.address)?, 0);
    for number in 0..settings.bad {
        let due = begin + Duration::from_secs_f64(settings.seconds * number as f64 / settings.bad as f64);
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let kind = number % kinds.len();
        let refused = client.ask(&kinds[kind]).is_ok_and(|(status, _)| (400..500).contains(&status));
        wrong += usize::from(!refused);
        // After these the server closes the connection.
        if kind >= 6 || !refused {
            client = Client::open(&settings.address)?;
        }
    }
    Ok(wrong)
}

/// What a process has in memory, in kB; Linux tells.
fn memory(pid: Option<u32>) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", pid?)).ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.trim().strip_suffix(" kB")?.parse().ok()
}

pub fn main() -> Result<()> {
    let settings = settings()?;
    let body = match &settings.body {
        Some(body) => body.clone(),
        None => typical(&mut Client::open(&settings.address)?)?,
    };
    let request = post(body.as_bytes());
    let (status, answer) = Client::open(&settings.address)?.ask(&request)?;
    ensure!(status == 200, "the server says {status}: {}", String::from_utf8_lossy(&answer));
    let (before, begin) = (memory(settings.pid), Instant::now());
    let (all, wrong) = thread::scope(|scope| {
        let (settings, request, body) = (&settings, &request, &body);
        let bad = scope.spawn(move || disturb(settings, body, begin));
        let good: Vec<_> =
            (0..CONNECTIONS).map(|first| scope.spawn(move || load(settings, request, begin, first))).collect();
        let good: Result<Vec<_>> = good.into_iter().map(|thread| thread.join().expect("it does not panic")).collect();
        Ok::<_, anyhow::Error>((good?, bad.join().expect("it does not panic")?))
    })?;
    let failed: usize = all.iter().map(|(_, failed)| failed).sum();
    let mut times: Vec<f64> = all.into_iter().flat_map(|(times, _)| times).collect();
    times.sort_by(f64::total_cmp);
    ensure!(!times.is_empty(), "no request was answered");
    let at = |share: f64| times[((times.len() as f64 * share) as usize).min(times.len() - 1)] * 1e3;
    let seconds = begin.elapsed().as_secs_f64();
    println!(
        "{} requests answered in {seconds:.1} s, {:.0} a second; {failed} failed",
        times.len(),
        times.len() as f64 / seconds
    );
    println!(
        "p50 {:.3} ms, p90 {:.3} ms, p99 {:.3} ms, p99.9 {:.3} ms, max {:.3} ms",
        at(0.5),
        at(0.9),
        at(0.99),
        at(0.999),
        at(1.0)
    );
    println!("{} bad requests, of which {wrong} were not refused", settings.bad);
    if let (Some(before), Some(after)) = (before, memory(settings.pid)) {
        println!("the server's memory: {before} kB before, {after} kB after");
    }
    ensure!(failed == 0 && wrong == 0, "not all was answered as it should be");
    Ok(())
}

//! `kiln serve`: what it answers to good and bad requests, and how it ends.
#![cfg(all(feature = "serve", unix))]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, ChildStdout, Command, Stdio};

use image::{GrayImage, ImageFormat, Luma};
use kiln::io::TensorFile;
use kiln::prelude::*;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::cli::{command, devices, fixture, output, says};

/// A server, its address and what it printed first.
struct Served {
    child: Child,
    stdout: BufReader<ChildStdout>,
    address: String,
}

/// A connection that is kept open.
struct Client(BufReader<TcpStream>);

/// The status, the headers in small letters, and the body.
struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    #[track_caller]
    fn json(&self) -> Value {
        assert!(self.head.contains("content-type: application/json\r\n"), "{}", self.head);
        serde_json::from_slice(&self.body).unwrap()
    }

    /// That it is an error of a status that says these parts.
    #[track_caller]
    fn refuses(&self, status: u16, parts: &[&str]) {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.body));
        says(self.json()["error"].as_str().unwrap(), parts);
    }
}

impl Client {
    fn send(&mut self, bytes: &[u8]) {
        self.0.get_mut().write_all(bytes).unwrap();
    }

    fn receive(&mut self) -> Answer {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(self.0.read_line(&mut head).unwrap() > 0, "the connection ended: {head}");
        }
        let head = head.to_lowercase();
        let length = head.split("content-length: ").nth(1).map_or("0", |rest| rest.split('\r').next().unwrap());
        let mut body = vec![0; length.parse().unwrap()];
        self.0.read_exact(&mut body).unwrap();
        Answer { status: head["http/1.1 ".len()..][..3].parse().unwrap(), head, body }
    }

    /// A request with a body of a content type.
    fn ask(&mut self, line: &str, kind: &str, body: &[u8]) -> Answer {
        let kind = if kind.is_empty() { String::new() } else { format!("content-type: {kind}\r\n") };
        let head = format!("{line} HTTP/1.1\r\nhost: x\r\n{kind}content-length: {}\r\n\r\n", body.len());
        self.send(&[head.as_bytes(), body].concat());
        self.receive()
    }

    fn predict(&mut self, body: &str) -> Answer {
        self.ask("POST /predict", "application/json", body.as_bytes())
    }

    /// That the server has closed it.
    fn is_closed(&mut self) -> bool {
        matches!(self.0.read(&mut [0]), Ok(0) | Err(_))
    }
}

impl Served {
    fn start(folder: &TempDir, args: &[&str]) -> Self {
        let mut command = command(folder.path(), &[&["serve"], args, &["--port", "0"]].concat());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let address = line.split("http://").nth(1).expect("an address").split(';').next().unwrap().to_string();
        Self { child, stdout, address }
    }

    fn client(&self) -> Client {
        Client(BufReader::new(TcpStream::connect(&self.address).unwrap()))
    }

    fn signal(&self, signal: &str) {
        assert!(Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap().success());
    }

    /// Its exit code and what it said on standard error.
    fn end(mut self) -> (Option<i32>, String) {
        let (mut rest, mut said) = (String::new(), String::new());
        self.stdout.read_to_string(&mut rest).unwrap();
        self.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert_eq!(rest, "");
        (self.child.wait().unwrap().code(), said)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ended = self.child.kill();
    }
}

const ZOO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data/zoo.csv");

/// A model of the zoo's table, in which legs are words.
fn zoo(folder: &TempDir) -> String {
    let file = folder.path().join("zoo.safetensors").to_str().unwrap().to_string();
    let table = ["train", ZOO, "--label", "type", "--without", "name", "--words", "legs", "--device", "cpu"];
    let net =
        ["--hidden", "16", "--optimizer", "adam", "--learning-rate", "0.05", "--batch-size", "16", "--epochs", "20"];
    output(folder.path(), &[&table[..], &net, &["-q", "--save", &file]].concat());
    file
}

/// The records of the table with their labels.
fn animals() -> Vec<(Value, String)> {
    let text = std::fs::read_to_string(ZOO).unwrap();
    let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split(',').collect()).collect();
    let of_row = |row: &Vec<&str>| {
        let pair = |at: usize| (rows[0][at].to_string(), json!(row[at].parse::<u32>().unwrap()));
        (Value::from((1..17).map(pair).collect::<serde_json::Map<_, _>>()), row[17].to_string())
    };
    rows[1..].iter().map(of_row).collect()
}

#[test]
fn records_are_answered_one_by_one_and_in_lists_as_the_command_answers_their_file() {
    let folder = TempDir::new().unwrap();
    let (file, animals) = (zoo(&folder), animals());
    for device in devices() {
        let said = folder.path().join("said.json").to_str().unwrap().to_string();
        output(folder.path(), &["predict", &file, ZOO, "--device", &device, "--output", &said]);
        let wanted: Vec<Value> = serde_json::from_str(&std::fs::read_to_string(said).unwrap()).unwrap();
        let server = Served::start(&folder, &[&file, "--device", &device]);
        let mut client = server.client();
        let all: Vec<&Value> = animals.iter().map(|(record, _)| record).collect();
        let listed = client.predict(&json!(all).to_string()).json();
        assert_eq!(listed.as_array().unwrap().len(), 101);
        let mut right = 0;
        for (i, (record, label)) in animals.iter().enumerate() {
            let one = if i < 5 { client.predict(&record.to_string()).json() } else { listed[i].clone() };
            assert_eq!(one["class"], wanted[i]["class"]);
            for (name, share) in one["probabilities"].as_object().unwrap() {
                let other = wanted[i]["probabilities"][name].as_f64().unwrap();
                assert!((share.as_f64().unwrap() - other).abs() < 1e-5, "{device}: {name}: {share}, {other}");
            }
            assert_eq!(one["probabilities"][one["class"].as_str().unwrap()], one["probability"]);
            right += usize::from(one["class"] == **label);
        }
        assert!(right > 90, "{right} of 101");
        let about = client.ask("GET /model", "", b"").json();
        assert_eq!(
            (&about["takes"], &about["gives"], &about["names"][5]),
            (&json!("records"), &json!("classes"), &json!("mammal"))
        );
        assert_eq!(about["columns"].as_array().unwrap().len(), 16);
        assert_eq!(about["columns"][12]["words"].as_array().unwrap().len(), 6, "{}", about["columns"][12]);
        server.signal("-TERM");
        assert_eq!(server.end(), (Some(0), String::new()));
    }
}

#[test]
fn what_is_wrong_is_refused_and_the_server_goes_on() {
    let folder = TempDir::new().unwrap();
    let file = zoo(&folder);
    let server = Served::start(&folder, &[&file, "--device", "cpu", "--max-body", "4K"]);
    let mut client = server.client();
    let mut record = animals()[0].0.clone();
    let good = record.to_string();
    for (body, parts) in [
        (&good[..40], &["the body is no JSON: EOF while parsing a string at line 1 column 40"][..]),
        ("", &["the body is empty"]),
        ("[]", &["the list is empty"]),
        ("12", &["expected a record, such as {\"column\": 1}"]),
        ("{\"hair\": [1]}", &["a number, a text or null in column \"hair\""]),
        (&format!("[{good}, {{\"hare\": 1}}]"), &["record 2: column \"hare\" is unknown; did you mean \"hair\"?"]),
        (&good.replace("\"hair\"", "\"milk\""), &["record 1: column \"milk\" is there twice"]),
        (&good.replace("\"hair\":1", "\"hair\":\"much\""), &["column \"hair\": \"much\" is no number"]),
        (
            &good.replace("\"hair\":1", "\"hair\":null"),
            &["column \"hair\": the field is missing; the model was told of no value"],
        ),
        (&good.replace("\"legs\":4", "\"legs\":7"), &["column \"legs\": \"7\" is unknown"]),
    ] {
        client.predict(body).refuses(400, parts);
    }
    record.as_object_mut().unwrap().remove("hair");
    client.predict(&record.to_string()).refuses(400, &["column \"hair\" is not there"]);
    client.ask("POST /predict?invert", "application/json", good.as_bytes()).refuses(400, &["invert: is for pictures"]);
    client.ask("GET /predict", "", b"").refuses(405, &["/predict takes POST, not GET"]);
    let answer = client.ask("POST /health", "", b"");
    answer.refuses(405, &["/health takes GET, HEAD, not POST"]);
    assert!(answer.head.contains("allow: get, head\r\n"), "{}", answer.head);
    client.ask("GET /no/such", "", b"").refuses(404, &["there is no /no/such; there are /, /health, /model, /predict"]);
    client.ask("POST /predict", "image/png", b"x").refuses(415, &["the content type image/png is not read", "JSON"]);
    client.ask("POST /predict", "multipart/form-data; boundary=x", b"").refuses(415, &["multipart/form-data"]);

    // Told before a byte of it is sent, and found out while it is: either way the connection ends.
    let head = "POST /predict HTTP/1.1\r\nhost: x\r\n";
    client.send(format!("{head}content-length: 99999999999\r\n\r\n").as_bytes());
    client.receive().refuses(413, &["more than 4096 bytes, the most that --max-body allows"]);
    let mut client = server.client();
    client.send(format!("{head}transfer-encoding: chunked\r\n\r\n2000\r\n{}", " ".repeat(0x2000)).as_bytes());
    client.receive().refuses(413, &["more than 4096 bytes"]);
    for bad in
        ["no HTTP at all\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", "POST /predict HTTP/1.1\r\ncontent-length: x\r\n\r\n"]
    {
        let mut client = server.client();
        client.send(bad.as_bytes());
        assert_eq!(client.receive().status, 400, "{bad:?}");
        assert!(client.is_closed());
    }
    let mut long = server.client();
    long.send(format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "y".repeat(20_000)).as_bytes());
    assert_eq!(long.receive().status, 431);
    // Half of a request, and no more.
    server.client().send(b"POST /predict HTTP/1.1\r\ncontent-length: 9\r\n\r\n{");

    let mut client = server.client();
    assert_eq!(client.predict(&good).json()["class"], "mammal");
    // What curl says of a body unless it is told otherwise.
    assert_eq!(client.ask("POST /predict", "application/x-www-form-urlencoded", good.as_bytes()).status, 200);
    assert_eq!(client.ask("GET /health", "", b"").json(), json!({ "status": "ok" }));
    let page = client.ask("GET /", "", b"");
    assert!(
        page.body.starts_with(b"<!DOCTYPE html>") && page.head.contains("content-security-policy: default-src 'none'")
    );
    server.signal("-INT");
    assert_eq!(server.end(), (Some(0), String::new()));
}

#[test]
fn a_request_under_way_is_answered_before_the_server_ends() {
    let folder = TempDir::new().unwrap();
    let file = zoo(&folder);
    let server = Served::start(&folder, &[&file, "--device", "cpu"]);
    let good = animals()[0].0.to_string();
    let (mut idle, mut under_way) = (server.client(), server.client());
    assert_eq!(idle.predict(&good).status, 200);
    let head =
        format!("POST /predict HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: {}\r\n\r\n", good.len());
    under_way.send(head.as_bytes());
    // The server waits for the body now.
    assert_eq!(under_way.receive().status, 100);
    server.signal("-TERM");
    // Once it was heard, idle connections are closed.
    assert!(idle.is_closed());
    under_way.send(good.as_bytes());
    let answer = under_way.receive();
    assert_eq!((answer.status, &answer.json()["class"]), (200, &json!("mammal")));
    assert!(under_way.is_closed());
    assert_eq!(server.end(), (Some(0), String::new()));
}

/// Several requests in one go, and one byte by byte.
#[test]
fn it_matters_not_how_the_bytes_of_requests_come() {
    let folder = TempDir::new().unwrap();
    let file = zoo(&folder);
    let server = Served::start(&folder, &[&file, "--device", "cpu"]);
    let good = animals()[0].0.to_string();
    let head = "POST /predict HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: ";
    let one = format!("{head}{}\r\n\r\n{good}", good.len());
    let mut client = server.client();
    client.send([one.as_str(), "GET /health HTTP/1.1\r\nhost: x\r\n\r\n"].concat().repeat(20).as_bytes());
    for _ in 0..20 {
        assert_eq!(client.receive().json()["class"], "mammal");
        assert_eq!(client.receive().json(), json!({ "status": "ok" }));
    }
    one.as_bytes().iter().for_each(|&byte| client.send(&[byte]));
    assert_eq!(client.receive().json()["class"], "mammal");
    server.signal("-TERM");
    assert_eq!(server.end(), (Some(0), String::new()));
}

#[test]
fn many_ask_at_once() {
    let folder = TempDir::new().unwrap();
    let file = zoo(&folder);
    for device in devices() {
        let server = Served::start(&folder, &[&file, "--device", &device]);
        let animals = animals();
        let wanted: Vec<Value> =
            animals.iter().map(|(record, _)| server.client().predict(&record.to_string()).json()).collect();
        std::thread::scope(|scope| {
            for first in 0..8 {
                let (animals, wanted, server) = (&animals, &wanted, &server);
                scope.spawn(move || {
                    let mut client = server.client();
                    for i in (0..animals.len()).map(|i| (i + first * 13) % animals.len()) {
                        let found = client.predict(&animals[i].0.to_string()).json();
                        assert_eq!(found["class"], wanted[i]["class"]);
                    }
                });
            }
        });
        server.signal("-TERM");
        assert_eq!(server.end(), (Some(0), String::new()));
    }
}

fn bytes(picture: &GrayImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    picture.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

#[test]
fn pictures_are_taken_as_they_are_and_numbers_too() {
    let folder = fixture();
    let file = folder.path().join("model.safetensors").to_str().unwrap().to_string();
    let train = ["train", "mnist", "--device", "cpu", "--hidden", "16", "--epochs", "1", "-q", "--save", &file];
    output(folder.path(), &train);
    let server = Served::start(&folder, &[&file, "--device", "cpu"]);
    let mut client = server.client();
    let about = client.ask("GET /model", "", b"").json();
    assert_eq!((&about["takes"], &about["shape"]), (&json!("pictures"), &json!([28, 28])));
    assert_eq!(about["numbers"], "whole numbers from 0 to 255");
    let paper =
        GrayImage::from_fn(28, 28, |x, y| Luma([if (10..18).contains(&x) && (4..24).contains(&y) { 0 } else { 255 }]));
    let ink = GrayImage::from_fn(28, 28, |x, y| Luma([255 - paper.get_pixel(x, y).0[0]]));
    let mut ask = |query: &str, kind: &str, body: &[u8]| client.ask(&format!("POST /predict{query}"), kind, body);
    let (png, jpeg) = (bytes(&paper, ImageFormat::Png), bytes(&paper, ImageFormat::Jpeg));
    let bright = ask("", "image/png", &png).json();
    says(
        bright["hint"].as_str().unwrap(),
        &["border is bright, pictures of mnist are bright on black; ask with ?invert=true"],
    );
    let turned = ask("?invert=true", "", &png).json();
    assert!(turned.get("hint").is_none(), "{turned}");
    assert_eq!(turned, ask("", "image/png", &bytes(&ink, ImageFormat::Png)).json());
    says(ask("?invert", "", &bytes(&ink, ImageFormat::Png)).json()["hint"].as_str().unwrap(), &["leave invert out"]);
    assert_eq!(ask("?invert=true&fit=true", "image/jpeg", &jpeg).status, 200);
    ask("?fit", "image/png", &png)
        .refuses(400, &["fit: nothing in the picture is brighter than its border", "?invert=true"]);

    let rows: Vec<Vec<u8>> = ink.rows().map(|row| row.map(|pixel| pixel.0[0]).collect()).collect();
    let flat = rows.concat();
    assert_eq!(ask("", "application/json", json!(rows).to_string().as_bytes()).json(), turned);
    assert_eq!(ask("", "application/json", json!(flat).to_string().as_bytes()).json(), turned);
    assert_eq!(ask("", "", json!([flat, flat]).to_string().as_bytes()).json(), json!([turned, turned]));
    let mut wrong = |query: &str, kind: &str, body: &[u8], status: u16, parts: &[&str]| {
        ask(query, kind, body).refuses(status, parts)
    };
    wrong("", "image/png", b"GIF89a", 415, &["the body is a GIF picture; send a PNG or a JPEG as it is"]);
    wrong("", "", b"%PDF-1.7", 415, &["the body is a PDF document"]);
    wrong("", "image/webp", b"RIFF", 415, &["image/webp is not read"]);
    wrong("", "", &png[..png.len() / 2], 400, &["the picture: cannot be read as PNG"]);
    wrong("", "", b"[[1, 2], [3, 4]]", 400, &["the lists are 2 x 2 numbers, a sample is (28, 28)"]);
    wrong(
        "",
        "",
        json!(vec![0.5; 784]).to_string().as_bytes(),
        400,
        &["0.5 is no pixel", "whole numbers from 0 to 255"],
    );
    wrong("?inverse", "", &png, 400, &["inverse: is no setting; there are invert and fit"]);
    server.signal("-TERM");
    assert_eq!(server.end().0, Some(0));
}

#[test]
fn a_model_of_values_answers_with_their_names() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("line.safetensors");
    let x = Tensor::from([[0.0f32, 1.0], [1.0, 0.0], [1.0, 1.0], [0.5, 0.5]]);
    let data = kiln::data::Dataset::new(x.clone(), Tensor::from([[1.0f32], [0.0], [1.0], [0.5]])).unwrap();
    let mut model = Sequential::new().add(Dense::new(1)).device(Device::cpu());
    model.compile("sgd", "mean_squared_error", []).unwrap();
    model.fit(&data, Fit::new()).unwrap();
    model.save(&file).unwrap();
    let wanted = model.predict(&x).unwrap().values().to_f64();
    let server = Served::start(&folder, &[file.to_str().unwrap(), "--device", "cpu"]);
    let mut client = server.client();
    let found = client.predict("[[0, 1], [1, 0]]").json();
    for (i, wanted) in wanted[..2].iter().enumerate() {
        assert!((found[i]["values"]["0"].as_f64().unwrap() - wanted).abs() < 1e-6, "{found}");
    }
    client.ask("POST /predict", "image/png", b"x").refuses(415, &["send numbers as JSON"]);
    client.predict("[1, 2, 3]").refuses(400, &["the lists are 3 numbers, a sample is (2,)"]);
}

#[test]
fn what_cannot_be_served_is_said() {
    let folder = TempDir::new().unwrap();
    let file = zoo(&folder);
    let server = Served::start(&folder, &[&file, "--device", "cpu"]);
    let port = server.address.rsplit(':').next().unwrap().to_string();
    let array = folder.path().join("x.npz").to_str().unwrap().to_string();
    TensorFile::new().with("x", Tensor::from([1.0f32])).write(&array).unwrap();
    for (args, parts) in [
        (vec![file.as_str(), "--port", &port], vec!["cannot listen to 127.0.0.1:", "another program listens there"]),
        (vec!["nowhere.safetensors"], vec!["nowhere.safetensors: "]),
        (vec![&array], vec!["x.npz"]),
    ] {
        let (code, _, stderr) = crate::cli::run(folder.path(), &[&["serve", "--device", "cpu"], &args[..]].concat());
        assert_eq!(code, Some(1), "{stderr}");
        says(&stderr, &parts);
    }
    let open = Served::start(&folder, &[&file, "--device", "cpu", "--host", "0.0.0.0"]);
    open.signal("-TERM");
    let (code, said) = open.end();
    assert_eq!(code, Some(0));
    says(&said, &["anybody who reaches this machine can ask the model: there is no password and no encryption"]);
}

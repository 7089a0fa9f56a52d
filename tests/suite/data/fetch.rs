//! Fetching: from servers on loopback, and from what stands in for package managers.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use kiln::data::{Fetcher, Manager, Package, RemoteFile};

use super::*;

/// Nothing listens there.
const DEAD: &str = "http://127.0.0.1:1";
pub(super) const CONTENT: &[u8] = b"the content that every test fetches, long enough to be cut in two";

struct Server {
    base: String,
    asked: Arc<Mutex<Vec<String>>>,
}

fn serve(answer: impl Fn(&str) -> Vec<u8> + Send + 'static) -> Server {
    serve_ranges(move |path, _start| answer(path))
}

/// A server on loopback that answers each path, and where a range is asked for its start, with the bytes that `answer`
/// gives, then closes the connection. It notes the path, with ` START` after it where a range is asked for.
fn serve_ranges(answer: impl Fn(&str, Option<usize>) -> Vec<u8> + Send + 'static) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&asked);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
            let Some(request) = lines.next() else { continue };
            let headers: Vec<_> = lines.take_while(|line| !line.is_empty()).map(|line| line.to_lowercase()).collect();
            let range = headers.iter().find_map(|line| line.strip_prefix("range: bytes=")?.strip_suffix('-'));
            let path = request.split(' ').nth(1).unwrap_or_default();
            let bytes = answer(path, range.map(|start| start.parse().unwrap()));
            log.lock().unwrap().push(range.map_or(path.into(), |start| format!("{path} {start}")));
            // A client that has had enough may hang up.
            let _ = stream.write_all(&bytes);
        }
    });
    Server { base, asked }
}

fn head(status: &str, len: usize) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\nContent-Length: {len}\r\nConnection: close\r\n\r\n").into_bytes()
}

fn ok(body: &[u8]) -> Vec<u8> {
    [head("200 OK", body.len()), body.to_vec()].concat()
}

fn not_found(_path: &str) -> Vec<u8> {
    head("404 Not Found", 0)
}

pub(super) fn fetcher<'a>(folder: &Path, mirrors: &[&str]) -> Fetcher<'a> {
    let mut fetcher = Fetcher::new("toy", folder);
    fetcher.mirrors = mirrors.iter().map(ToString::to_string).collect();
    fetcher
}

fn fetch(folder: &Path, mirrors: &[&str]) -> kiln::Result<()> {
    let sha256 = sum(CONTENT);
    fetcher(folder, mirrors).fetch(&[RemoteFile { name: "file", sha256: &sha256, len: CONTENT.len() as u64 }])
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn each_bad_mirror_leads_to_the_next() {
    let folder = TempDir::new().unwrap();
    let zipped = gzip(CONTENT);
    let whole = zipped.clone();
    let cut = serve(move |_| [head("200 OK", whole.len()), whole[..whole.len() / 2].to_vec()].concat());
    let half = gzip(&CONTENT[..20]);
    let short = serve(move |_| ok(&half));
    let wrong = gzip(&vec![b'x'; CONTENT.len()]);
    let other = serve(move |_| ok(&wrong));
    let missing = serve(not_found);
    let huge = gzip(&vec![0; 1 << 24]);
    let bomb = serve(move |_| ok(&huge));
    let long = serve(|_| ok(&vec![b'x'; 1 << 20]));
    let bad = [DEAD, &cut.base, &short.base, &other.base, &missing.base, &bomb.base, &long.base];
    let message = text(fetch(folder.path(), &bad));
    let reasons =
        ["1. http://127.0.0.1:1/file.gz: ", "ends early", "20 bytes", "SHA-256 is", "answers 404", "more than"];
    says(&message, &reasons);
    says(&message, &["toy: ", "7. ", folder.path().join("file").to_str().unwrap()]);
    let left = names(folder.path());
    assert!(matches!(&left[..], [only] if only.starts_with(".kiln-part-file-")), "of the cut one alone: {left:?}");

    let good = serve(move |_| ok(&zipped));
    fetch(folder.path(), &[&bad[..], &[&good.base]].concat()).unwrap();
    assert_eq!(names(folder.path()), ["file"]);
    assert_eq!(fs::read(folder.path().join("file")).unwrap(), CONTENT);

    // What is there is not asked for again.
    fetch(folder.path(), &[&good.base]).unwrap();
    assert_eq!(*good.asked.lock().unwrap(), ["/file.gz"]);
}

/// Of a body, the bytes from `start` on, as an answer to a request for a range.
fn partial(body: &[u8], start: usize) -> Vec<u8> {
    let (rest, len) = (&body[start..], body.len());
    let range = format!("206 Partial Content\r\nContent-Range: bytes {start}-{}/{len}", len - 1);
    [head(&range, rest.len()), rest.to_vec()].concat()
}

/// Fetches from a server that cuts `body` after `half` bytes, then again from the same one, which then answers as `then`
/// says. What was asked for.
fn cut_then(body: Vec<u8>, half: usize, then: impl Fn(Option<usize>) -> Vec<u8> + Send + 'static) -> Vec<String> {
    let folder = TempDir::new().unwrap();
    let first = AtomicBool::new(true);
    let server = serve_ranges(move |_, start| match first.swap(false, Ordering::Relaxed) {
        true => [head("200 OK", body.len()), body[..half].to_vec()].concat(),
        false => then(start),
    });
    says(&text(fetch(folder.path(), &[&server.base])), &[&format!("the first {half} bytes are kept")]);
    let left = names(folder.path());
    assert!(matches!(&left[..], [only] if only.starts_with(".kiln-part-file-")), "{left:?}");
    fetch(folder.path(), &[&server.base]).unwrap();
    assert_eq!(names(folder.path()), ["file"]);
    assert_eq!(fs::read(folder.path().join("file")).unwrap(), CONTENT);
    server.asked.lock().unwrap().clone()
}

#[test]
fn a_fetch_that_was_cut_goes_on() {
    let zipped = gzip(CONTENT);
    for (body, half) in [(CONTENT.to_vec(), 20), (zipped.clone(), zipped.len() / 2), (zipped.clone(), 1)] {
        let rest = body.clone();
        let asked = cut_then(body, half, move |start| partial(&rest, start.expect("a range")));
        assert_eq!(asked, ["/file.gz".into(), format!("/file.gz {half}")]);
    }
}

#[test]
fn a_fetch_that_cannot_go_on_starts_again() {
    let whole = || ok(&gzip(CONTENT));
    let asked = cut_then(gzip(CONTENT), 20, move |_| whole());
    assert_eq!(asked, ["/file.gz", "/file.gz 20"], "a server that knows no ranges");

    let all = ["/file.gz", "/file.gz 20", "/file.gz"];
    let refused = head("416 Range Not Satisfiable", 0);
    assert_eq!(cut_then(gzip(CONTENT), 20, move |start| start.map_or_else(whole, |_| refused.clone())), all);
    let other_part = move |start: Option<usize>| start.map_or_else(whole, |_| partial(&gzip(CONTENT), 21));
    assert_eq!(cut_then(gzip(CONTENT), 20, other_part), all);
    // The file changed between the two: the halves do not belong together.
    let before = vec![b'x'; CONTENT.len()];
    let changed = |start: Option<usize>| start.map_or_else(|| ok(CONTENT), |start| partial(CONTENT, start));
    assert_eq!(cut_then(before, 20, changed), all, "caught by its checksum");
    let rezipped = move |start: Option<usize>| start.map_or_else(whole, |_| partial(&[0xff; 90], 20));
    assert_eq!(cut_then(gzip(CONTENT), 20, rezipped), all, "caught by gzip");
}

#[test]
fn a_body_that_was_unpacked_on_the_way_will_do() {
    let folder = TempDir::new().unwrap();
    let raw = serve(|_| ok(CONTENT));
    fetch(folder.path(), &[&format!("{}/", raw.base)]).unwrap();
    assert_eq!(*raw.asked.lock().unwrap(), ["/file.gz"]);
}

#[test]
fn a_dead_mirror_is_tried_once_and_one_that_answers_for_each_file() {
    let folder = TempDir::new().unwrap();
    let missing = serve(not_found);
    let options = LoadOptions {
        folder: Some(folder.path().into()),
        mirrors: Some(vec![DEAD.into(), missing.base.clone()]),
        packages: false,
        ..LoadOptions::default()
    };
    let message = text(mnist_with(options));
    assert_eq!(message.matches(DEAD).count(), 1, "{message}");
    assert_eq!(message.matches("answers 404").count(), 4, "{message}");
    for file in SETS[0].files {
        says(&message, &[folder.path().join(file.name).to_str().unwrap()]);
    }
    assert!(!message.contains("npm"), "{message}");
}

#[test]
fn a_mirror_that_is_not_https_is_not_asked() {
    let folder = TempDir::new().unwrap();
    says(&text(fetch(folder.path(), &["http://mirror.invalid/x"])), &["must be https://"]);
    let redirect = b"HTTP/1.1 302 Found\r\nLocation: http://mirror.invalid/\r\nContent-Length: 0\r\n\r\n";
    let away = serve(|_| redirect.to_vec());
    says(&text(fetch(folder.path(), &[&away.base])), &[&away.base]);
}

#[test]
fn a_mirror_that_never_answers_costs_its_timeout() {
    let folder = TempDir::new().unwrap();
    // Its backlog accepts the connection, but nobody takes part in the TLS handshake.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("https://{}", silent.local_addr().unwrap());
    let mut fetcher = fetcher(folder.path(), &[&base]);
    fetcher.connect_timeout = Duration::from_millis(100);
    let start = std::time::Instant::now();
    says(&text(fetcher.fetch(SETS[0].files)), &["timed out (", "t10k-labels-idx1-ubyte"]);
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
}

/// What is there under a partial download's name may be somebody else's.
#[cfg(unix)]
#[test]
fn a_partial_download_that_is_a_link_is_not_followed() {
    let (folder, elsewhere) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let body = gzip(CONTENT);
    let whole = AtomicBool::new(false);
    let server = serve(move |_| match whole.swap(true, Ordering::Relaxed) {
        false => [head("200 OK", body.len()), body[..20].to_vec()].concat(),
        true => ok(&body),
    });
    says(&text(fetch(folder.path(), &[&server.base])), &["the first 20 bytes are kept"]);
    let [part] = &names(folder.path())[..] else { panic!("one partial download") };
    let (part, target) = (folder.path().join(part), elsewhere.path().join("precious"));
    fs::rename(&part, &target).unwrap();
    std::os::unix::fs::symlink(&target, &part).unwrap();
    let precious = fs::read(&target).unwrap();
    fetch(folder.path(), &[&server.base]).unwrap();
    assert_eq!(fs::read(&target).unwrap(), precious);
    assert_eq!(names(folder.path()), ["file"]);
    assert_eq!(*server.asked.lock().unwrap(), ["/file.gz", "/file.gz"], "nothing was gone on from");
}

#[test]
fn progress_ends_at_the_files_length() {
    let folder = TempDir::new().unwrap();
    let zipped = gzip(CONTENT);
    let good = serve(move |_| ok(&zipped));
    let sha256 = sum(CONTENT);
    let mut seen = Vec::new();
    let mut note = |now: kiln::data::Progress<'_>| seen.push((now.file.to_string(), now.bytes, now.total));
    let mut fetcher = fetcher(folder.path(), &[&good.base]);
    fetcher.progress = Some(&mut note);
    let len = CONTENT.len() as u64;
    fetcher.fetch(&[RemoteFile { name: "file", sha256: &sha256, len }]).unwrap();
    assert_eq!(seen.first(), Some(&("file".into(), 0, Some(len))));
    assert_eq!(seen.last(), Some(&("file".into(), len, Some(len))));
}

#[test]
fn two_at_once_both_succeed() {
    let folder = TempDir::new().unwrap();
    let zipped = gzip(CONTENT);
    let good = serve(move |_| ok(&zipped));
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| fetch(folder.path(), &[&good.base]).unwrap());
        }
    });
    assert_eq!(names(folder.path()), ["file"]);
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("a file");
    fs::write(&file, "").unwrap();
    let inside = file.join("mnist");
    let refusal = fetch(&inside, &[DEAD]);
    assert!(matches!(&refusal, Err(Error::Io { path, .. }) if *path == inside), "{refusal:?}");
    says(&text(refusal), &["KILN_DATA"]);
}

#[test]
fn a_name_that_leads_elsewhere_is_refused() {
    let folder = TempDir::new().unwrap();
    for name in ["../file", "a/b", "..", ""] {
        let refusal = fetcher(folder.path(), &[]).fetch(&[RemoteFile { name, sha256: "", len: 0 }]);
        assert!(matches!(refusal, Err(Error::Argument { .. })), "{name:?}: {refusal:?}");
    }
}

pub(super) const NPM: Package<'static> =
    Package { manager: Manager::Npm, spec: "toy-data@1.0.0", folder: "package/data" };
#[cfg(unix)]
const PIP: Package<'static> = Package { manager: Manager::Pip, spec: "toy==1.0", folder: "toy/data" };
const APT: Package<'static> = Package { manager: Manager::Apt, spec: "dataset-toy", folder: "usr/share/toy" };

/// Fetches from a package, with commands in place of the programs that are named.
fn from_package(folder: &Path, package: Package<'static>, commands: &[(&str, &[&str])]) -> kiln::Result<()> {
    let sha256 = sum(CONTENT);
    let mut fetcher = fetcher(folder, &[DEAD]);
    fetcher.package = Some(package);
    for (tool, command) in commands {
        fetcher.commands.insert(tool.to_string(), command.iter().map(Into::into).collect());
    }
    fetcher.fetch(&[RemoteFile { name: "file", sha256: &sha256, len: CONTENT.len() as u64 }])
}

fn with_npm(folder: &Path, command: &[&str]) -> kiln::Result<()> {
    from_package(folder, NPM, &[("npm", command)])
}

#[test]
fn npm_that_is_not_installed_is_one_more_reason() {
    let folder = TempDir::new().unwrap();
    let message = text(with_npm(folder.path(), &["/nowhere/npm"]));
    says(&message, &["2. npm, toy-data@1.0.0: /nowhere/npm is not installed", "Put these files there"]);
    assert_eq!(names(folder.path()), [""; 0]);
}

#[test]
fn verify_names_the_file_that_is_not_what_it_should_be() {
    let folder = TempDir::new().unwrap();
    let contents = small_mnist(3, 2);
    let mut set = SETS[0];
    set.files = known(&set, &contents);
    write_all(folder.path(), &contents);
    let faults = || set.verify(folder.path()).unwrap().into_iter().map(|(_, fault)| fault.unwrap_or_default());
    assert_eq!(faults().collect::<Vec<_>>(), [""; 4]);
    let zip = |at: usize, bytes: &[u8]| {
        fs::remove_file(folder.path().join(set.files[at].name)).unwrap();
        fs::write(folder.path().join(format!("{}.gz", set.files[at].name)), bytes).unwrap();
    };
    zip(0, &gzip(&contents[0]));
    zip(1, &gzip(&contents[1])[..9]);
    fs::write(folder.path().join(set.files[2].name), &contents[2][1..]).unwrap();
    let mut changed = contents[3].clone();
    *changed.last_mut().unwrap() ^= 1;
    fs::write(folder.path().join(set.files[3].name), changed).unwrap();
    let faults: Vec<_> = faults().collect();
    assert_eq!(faults[0], "", "a gzipped file will do");
    for (fault, part) in faults[1..].iter().zip(["cannot be read", "bytes, ", "SHA-256 is"]) {
        says(fault, &[part]);
    }
    fs::remove_file(folder.path().join(set.files[3].name)).unwrap();
    assert!(matches!(set.verify(folder.path()), Err(Error::Io { .. })));
}

/// What stands in for a program: a shell script, run by `sh` so that no file is executed that was just written.
#[cfg(unix)]
pub(super) fn tool(folder: &Path, name: &str, script: &str) -> String {
    let path = folder.join(name);
    fs::write(&path, script).unwrap();
    path.into_os_string().into_string().unwrap()
}

/// A tar archive; beside it lies the same gzipped.
#[cfg(unix)]
pub(super) fn archive(folder: &Path, entries: &[(&str, &[u8])]) -> String {
    let mut archive = tar::Builder::new(Vec::new());
    for (path, bytes) in entries {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, path, *bytes).unwrap();
    }
    let path = folder.join("toy.tar");
    let bytes = archive.into_inner().unwrap();
    fs::write(&path, &bytes).unwrap();
    let path = path.into_os_string().into_string().unwrap();
    fs::write(format!("{path}.gz"), gzip(&bytes)).unwrap();
    path
}

#[cfg(unix)]
#[test]
fn npm_has_what_no_mirror_has() {
    let (tools, folder) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let toy = archive(tools.path(), &[("package/package.json", b"{}"), ("package/data/file", CONTENT)]);
    let check = r#"case "$*" in pack*--ignore-scripts*toy-data@1.0.0) ;; *) echo "asked for $*" >&2; exit 1;; esac"#;
    let npm = tool(tools.path(), "npm", &format!("{check}\ncp {toy}.gz toy-data-1.0.0.tgz\n"));
    with_npm(folder.path(), &["sh", &npm]).unwrap();
    assert_eq!(names(folder.path()), ["file"]);
    assert_eq!(fs::read(folder.path().join("file")).unwrap(), CONTENT);
}

#[cfg(unix)]
#[test]
fn npm_that_does_not_help_says_why() {
    let (tools, folder) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let wrong = vec![b'x'; CONTENT.len()];
    for (script, reason) in [
        ("echo npm error code E404 >&2; exit 3".to_string(), "code E404"),
        ("exit 0".into(), "left no .tgz file"),
        ("echo nonsense >toy.tgz".into(), "archive is damaged"),
        (format!("cp {}.gz toy.tgz", archive(tools.path(), &[("package/file", CONTENT)])), "does not hold file"),
    ] {
        let npm = tool(tools.path(), "npm", &script);
        says(&text(with_npm(folder.path(), &["sh", &npm])), &["2. npm, toy-data@1.0.0: ", reason]);
    }
    let npm = tool(
        tools.path(),
        "npm",
        &format!("cp {}.gz toy.tgz", archive(tools.path(), &[("package/data/file", &wrong)])),
    );
    says(&text(with_npm(folder.path(), &["sh", &npm])), &["file: its SHA-256 is"]);
    assert_eq!(names(folder.path()), [""; 0], "something was left behind");
}

#[cfg(unix)]
#[test]
fn apt_has_what_no_mirror_has() {
    let (tools, folder) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let toy = archive(tools.path(), &[("./usr/share/doc/file", b"no"), ("./usr/share/toy/file.gz", &gzip(CONTENT))]);
    let check = r#"case "$*" in download*dataset-toy) ;; *) echo "asked for $*" >&2; exit 1;; esac"#;
    let apt = tool(tools.path(), "apt-get", &format!("{check}\necho W: as root >&2\ncp {toy} dataset-toy_1_all.deb\n"));
    let dpkg = tool(tools.path(), "dpkg-deb", "cat dataset-toy_1_all.deb");
    let run = |apt: &[&str], dpkg: &[&str]| from_package(folder.path(), APT, &[("apt-get", apt), ("dpkg-deb", dpkg)]);

    says(&text(run(&["/nowhere/apt-get"], &["sh", &dpkg])), &["2. apt-get, dataset-toy: /nowhere/apt-get is not"]);
    says(&text(run(&["sh", &apt], &["/nowhere/dpkg-deb"])), &["/nowhere/dpkg-deb is not installed", "Put these files"]);
    let unknown = tool(tools.path(), "unknown", "echo E: Unable to locate package >&2; exit 100");
    says(&text(run(&["sh", &unknown], &["sh", &dpkg])), &["E: Unable to locate package"]);
    let silent = tool(tools.path(), "silent", "exit 0");
    says(&text(run(&["sh", &silent], &["sh", &dpkg])), &["left no .deb file"]);
    assert_eq!(names(folder.path()), [""; 0], "something was left behind");

    run(&["sh", &apt], &["sh", &dpkg]).unwrap();
    assert_eq!(fs::read(folder.path().join("file")).unwrap(), CONTENT);
    assert_eq!(names(folder.path()), ["file"]);
}

/// A wheel is a ZIP archive; Kiln's own `.npz` is one, too, whose files have an ending.
#[cfg(unix)]
#[test]
fn pip_has_what_no_mirror_has() {
    let (tools, folder) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let npz = tools.path().join("toy.npz");
    let values = kiln::Tensor::from([1f32, 2.0, 3.0]);
    kiln::io::TensorFile::new().with("toy/data/file", values).write(&npz).unwrap();
    let whole = fs::read(&npz).unwrap();
    // The file within, stored: NumPy's header of 128 bytes at most, then the numbers.
    let start = whole.windows(6).position(|six| six == b"\x93NUMPY").unwrap();
    let end = whole.windows(4).position(|four| four == b"PK\x01\x02").unwrap();
    let content = &whole[start..end];
    let wheel = npz.to_str().unwrap();
    let check =
        r#"case "$*" in download*--no-deps*--only-binary=:all:*toy==1.0) ;; *) echo "asked for $*" >&2; exit 1;; esac"#;
    let pip = tool(tools.path(), "pip", &format!("{check}\n[ -d $TMPDIR ] && cp {wheel} toy-1.0-py3-none-any.whl\n"));
    let fetch = |sha256: &str, len, command: &[&str]| {
        let mut fetcher = fetcher(folder.path(), &[]);
        fetcher.package = Some(PIP);
        fetcher.commands.insert("pip".into(), command.iter().map(Into::into).collect());
        fetcher.fetch(&[RemoteFile { name: "file.npy", sha256, len }])
    };
    let (sha256, len) = (sum(content), content.len() as u64);
    says(&text(fetch(&sha256, len, &["/nowhere/pip"])), &["1. pip, toy==1.0: /nowhere/pip is not installed"]);
    says(&text(fetch(&sha256, len - 1, &["sh", &pip])), &["toy/data/file.npy: has 140 bytes, 139 were expected"]);
    says(&text(fetch(&sum(b"other"), len, &["sh", &pip])), &["file.npy: its SHA-256 is"]);
    let damaged = tool(tools.path(), "damaged", "echo nonsense >toy.whl");
    says(&text(fetch(&sha256, len, &["sh", &damaged])), &["the archive is damaged"]);
    assert_eq!(names(folder.path()), [""; 0], "something was left behind");
    fetch(&sha256, len, &["sh", &pip]).unwrap();
    assert_eq!(fs::read(folder.path().join("file.npy")).unwrap(), content);
}

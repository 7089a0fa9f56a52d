//! A network, or a package manager, that stays silent.

use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use kiln::data::RemoteFile;

use super::fetch::*;
use super::*;

/// A listener that takes every connection and says nothing. How many it took.
fn silent() -> (String, Arc<Mutex<Vec<TcpStream>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let taken = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&taken);
    thread::spawn(move || listener.incoming().flatten().for_each(|stream| kept.lock().unwrap().push(stream)));
    (base, taken)
}

#[test]
fn a_network_that_stays_silent_is_given_up_after_so_long_in_all() {
    let folder = TempDir::new().unwrap();
    let (base, taken) = silent();
    // Of five mirrors the first two use up what is the mirrors'.
    let mirrors: Vec<String> = (0..5).map(|mirror| format!("{base}/{mirror}")).collect();
    let mut fetcher = fetcher(folder.path(), &mirrors.iter().map(String::as_str).collect::<Vec<_>>());
    fetcher.patience = Duration::from_millis(300);
    let waited_for = std::cell::RefCell::new(Vec::new());
    let mut note = |now: kiln::data::Progress<'_>| waited_for.borrow_mut().push(now.source.to_string());
    fetcher.progress = Some(&mut note);
    let message = text(fetcher.fetch(SETS[0].files));
    assert_eq!(taken.lock().unwrap().len(), 2, "{message}");
    assert_eq!(message.matches("after 0.1 s of silence").count(), 2, "{message}");
    assert_eq!(message.matches("not tried: the mirrors before it were silent for 0.2 s").count(), 3, "{message}");
    let file = SETS[0].files[0].name;
    assert_eq!(*waited_for.borrow(), [0, 1].map(|mirror| format!("{base}/{mirror}/{file}.gz")));
}

#[cfg(unix)]
#[test]
fn a_package_manager_that_does_nothing_is_stopped() {
    let (tools, folder) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let sha256 = sum(CONTENT);
    let mut fetcher = fetcher(folder.path(), &[]);
    fetcher.package = Some(NPM);
    fetcher.patience = Duration::from_millis(300);
    let npm = tool(tools.path(), "npm", "exec sleep 1000");
    fetcher.commands.insert("npm".into(), vec!["sh".into(), npm.into()]);
    let refused = fetcher.fetch(&[RemoteFile { name: "file", sha256: &sha256, len: CONTENT.len() as u64 }]);
    says(&text(refused), &["npm, toy-data@1.0.0: stopped after 0.3 s in which nothing came"]);
    // One whose files grow is waited for longer than that.
    let toy = archive(tools.path(), &[("package/data/file", CONTENT)]);
    let script = format!("mkdir cache; for i in 1 2 3 4 5; do echo >>cache/part; sleep 0.1; done; cp {toy}.gz toy.tgz");
    fetcher.patience = Duration::from_millis(400);
    let npm = tool(tools.path(), "npm-slow", &script);
    fetcher.commands.insert("npm".into(), vec!["sh".into(), npm.into()]);
    fetcher.fetch(&[RemoteFile { name: "file", sha256: &sha256, len: CONTENT.len() as u64 }]).unwrap();
}

//! Who listens, a thread for each connection, and how all of it ends.

use std::collections::HashMap;
use std::io::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::answer::Site;
use super::connection::{self, Watch};

/// Connections at one time; who comes then is told to come later.
const MOST_CONNECTIONS: usize = 512;
/// What is under way when the server ends has so long.
const LAST_ANSWERS: Duration = Duration::from_secs(10);
/// The thread of a connection needs little: the network's work is in the heap.
const STACK: usize = 1 << 20;
/// Before the listener is asked again after it failed, as it does where the process has no file left.
const PAUSE: Duration = Duration::from_millis(50);

/// The connections that are open.
#[derive(Default)]
pub struct Server {
    open: Mutex<Open>,
    closed: Condvar,
    ends: AtomicBool,
}

#[derive(Default)]
struct Open {
    next: u64,
    sockets: HashMap<u64, (TcpStream, Arc<Watch>)>,
}

/// Takes a connection off the list, however its thread ends.
struct Entry<'a> {
    server: &'a Server,
    number: u64,
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        self.server.open().sockets.remove(&self.number);
        self.server.closed.notify_all();
    }
}

impl Server {
    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes connections until [`Server::end`] is called; then waits for the answers under way. Returns how many had not ended by then.
    pub fn run(self: &Arc<Self>, listener: TcpListener, site: &Arc<dyn Site + Send>) -> usize {
        loop {
            let taken = listener.accept();
            if self.ends.load(SeqCst) {
                drop(listener);
                return self.wait();
            }
            // The listener itself does not fail, what it takes may.
            let Ok((stream, _)) = taken else {
                thread::sleep(PAUSE);
                continue;
            };
            let _gone_again = self.take(stream, site.clone());
        }
    }

    /// Gives a connection a thread.
    fn take(self: &Arc<Self>, mut stream: TcpStream, site: Arc<dyn Site + Send>) -> io::Result<()> {
        let watch = Arc::new(Watch::default());
        let number = {
            let mut open = self.open();
            if self.ends.load(SeqCst) {
                return Ok(());
            }
            if open.sockets.len() >= MOST_CONNECTIONS {
                drop(open);
                return stream.write_all(busy().as_bytes());
            }
            open.next += 1;
            let number = open.next;
            open.sockets.insert(number, (stream.try_clone()?, watch.clone()));
            number
        };
        let server = self.clone();
        let entry = move || {
            let _entry = Entry { server: &server, number };
            let _gone = connection::serve(&stream, &watch, &*site);
        };
        let spawned = thread::Builder::new().name("connection".into()).stack_size(STACK).spawn(entry);
        spawned.map(drop).inspect_err(|_| drop(Entry { server: self, number }))
    }

    /// Lets the server end: idle connections are closed, others when they are answered. `address` is what it listens to.
    pub fn end(&self, address: SocketAddr) {
        self.ends.store(true, SeqCst);
        for (stream, watch) in self.open().sockets.values() {
            watch.ends.store(true, SeqCst);
            if !watch.busy.load(SeqCst) {
                // What has arrived can still be read, and be answered.
                let _gone = stream.shutdown(Shutdown::Read);
            }
        }
        // The listener waits for somebody.
        let _unreachable = TcpStream::connect_timeout(&reached_by(address), PAUSE * 20);
    }

    fn wait(&self) -> usize {
        let (begin, mut open) = (Instant::now(), self.open());
        loop {
            let left = LAST_ANSWERS.saturating_sub(begin.elapsed());
            if open.sockets.is_empty() || left.is_zero() {
                return open.sockets.values().filter(|(_, watch)| watch.busy.load(SeqCst)).count();
            }
            open = self.closed.wait_timeout(open, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// What one connection too many is told.
fn busy() -> String {
    let body = r#"{"error":"the server has all the connections that it takes; come back soon"}"#;
    let head = "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\nconnection: close\r\n";
    format!("{head}content-length: {}\r\n\r\n{body}", body.len())
}

/// An address at which this machine reaches one that it listens to.
fn reached_by(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        ip if !ip.is_unspecified() => ip,
        IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    };
    SocketAddr::new(ip, address.port())
}

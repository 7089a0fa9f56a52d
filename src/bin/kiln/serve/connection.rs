//! One socket and the HTTP on it, by `hyper`, on a thread of its own.

use std::cell::Cell;
use std::convert::Infallible;
use std::future::Future;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::{Body as _, Bytes, Incoming};
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::server::conn::http1;
use hyper::service::service_fn;

use super::answer::{Answer, Head, Site};

/// A thread looks so often whether a silent socket has had its time.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// A connection on which nothing is asked is kept so long.
const IDLE: Duration = Duration::from_secs(120);
/// From a request's first byte to its last there may be so long.
const ARRIVAL: Duration = Duration::from_secs(30);
/// What a client goes on sending after it was answered is read so long, so that it can read the answer.
const LINGER: Duration = Duration::from_secs(2);
/// A request's line and headers have so many bytes at most.
const MOST_HEAD: usize = 16 << 10;

/// What others see of a connection.
#[derive(Default)]
pub struct Watch {
    /// A request is arriving or being answered.
    pub busy: AtomicBool,
    /// The server is to end: the connection closes after the answer under way.
    pub ends: AtomicBool,
}

/// The socket as `hyper` reads and writes it. A read never waits: it is tried once bytes are known to be there.
struct Socket<'a> {
    stream: &'a TcpStream,
    readable: &'a Cell<bool>,
}

impl Read for Socket<'_> {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, mut into: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        if !self.readable.take() {
            return Poll::Pending;
        }
        let mut bytes = [0; 16 << 10];
        let most = into.remaining().min(bytes.len());
        let mut stream = self.stream;
        Poll::Ready(stream.read(&mut bytes[..most]).map(|count| into.put_slice(&bytes[..count])))
    }
}

impl Write for Socket<'_> {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut stream = self.stream;
        Poll::Ready(stream.write(bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.stream.shutdown(Shutdown::Write))
    }
}

/// Whether the future asked to be polled again.
#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, SeqCst);
    }
}

/// Answers what is asked on a socket until that is closed.
pub fn serve(stream: &TcpStream, watch: &Watch, site: &dyn Site) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(LOOK_EVERY))?;
    stream.set_write_timeout(Some(ARRIVAL))?;
    let readable = Cell::new(false);
    // When the first byte of the request under way came.
    let began = Cell::new(None::<Instant>);
    // The head of the request under way was read: from then on the answer may say that the connection ends with it.
    let is_asked = Cell::new(false);
    let service = service_fn(|request| {
        let (began, is_asked, watch) = (&began, &is_asked, watch);
        async move {
            is_asked.set(true);
            let answer = answer(request, site).await;
            is_asked.set(false);
            began.set(None);
            watch.busy.store(false, SeqCst);
            Ok::<_, Infallible>(as_response(answer))
        }
    });
    let mut builder = http1::Builder::new();
    builder.half_close(true).max_header_size(MOST_HEAD);
    let mut connection = pin!(builder.serve_connection(Socket { stream, readable: &readable }, service));
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(woken.clone());
    let mut silent = Instant::now();
    loop {
        let ends = watch.ends.load(SeqCst);
        if ends && is_asked.get() {
            connection.as_mut().graceful_shutdown();
        }
        if connection.as_mut().poll(&mut Context::from_waker(&waker)).is_ready() {
            break;
        }
        if woken.0.swap(false, SeqCst) {
            continue;
        }
        if ends && began.get().is_none() {
            // What has arrived can still be read, and is answered.
            stream.shutdown(Shutdown::Read)?;
        }
        // All is done that can be done without more bytes.
        match stream.peek(&mut [0]) {
            Ok(count) => {
                readable.set(true);
                silent = Instant::now();
                if count > 0 && began.get().is_none() {
                    began.set(Some(silent));
                    watch.busy.store(true, SeqCst);
                }
            }
            Err(e) if [ErrorKind::WouldBlock, ErrorKind::TimedOut, ErrorKind::Interrupted].contains(&e.kind()) => {
                let had = began.get().map_or((silent, IDLE), |began| (began, ARRIVAL));
                if had.0.elapsed() > had.1 {
                    return Ok(());
                }
            }
            Err(e) => return Err(e),
        }
        if began.get().is_some_and(|began| began.elapsed() > ARRIVAL) {
            return Ok(());
        }
    }
    linger(stream)
}

/// Reads what a client still sends. A socket that is closed over unread bytes takes the answer from the client.
fn linger(mut stream: &TcpStream) -> io::Result<()> {
    stream.shutdown(Shutdown::Write)?;
    stream.set_read_timeout(Some(LINGER))?;
    let (begin, mut bytes) = (Instant::now(), vec![0; 64 << 10]);
    while begin.elapsed() < LINGER && stream.read(&mut bytes)? > 0 {}
    Ok(())
}

async fn answer(request: hyper::Request<Incoming>, site: &dyn Site) -> Answer {
    let (parts, body) = request.into_parts();
    let content_type = parts.headers.get(CONTENT_TYPE).map(|value| String::from_utf8_lossy(value.as_bytes()).into());
    let head = Head {
        method: parts.method.to_string(),
        path: parts.uri.path().into(),
        query: parts.uri.query().unwrap_or_default().into(),
        content_type,
    };
    if let Some(answer) = site.early(&head) {
        return answer;
    }
    let most = site.most_bytes();
    let too_large =
        || Answer::error(413, format!("the body has more than {most} bytes, the most that --max-body allows"));
    if body.size_hint().lower() > most as u64 {
        return too_large();
    }
    let bytes = match Limited::new(body, most).collect().await {
        Ok(body) => body.to_bytes(),
        Err(e) if e.is::<LengthLimitError>() => return too_large(),
        Err(e) => return Answer::error(400, format!("the body could not be read: {e}")),
    };
    let answered = catch_unwind(AssertUnwindSafe(|| site.answer(&head, &bytes)));
    answered
        .unwrap_or_else(|_| Answer::error(500, "the server failed; it goes on, and this is a mistake in Kiln".into()))
}

fn as_response(answer: Answer) -> hyper::Response<Full<Bytes>> {
    let mut response = hyper::Response::new(Full::new(Bytes::from(answer.body)));
    *response.status_mut() = hyper::StatusCode::from_u16(answer.status).expect("a status of HTTP");
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(answer.content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if let Some(methods) = answer.allow {
        headers.insert(ALLOW, HeaderValue::from_static(methods));
    }
    if let Some(policy) = answer.policy {
        headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    }
    response
}

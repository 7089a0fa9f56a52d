//! The HTTPS mirrors.

use std::io::{self, Read};
use std::path::Path;
use std::time::Duration;

use ureq::http::{Response, StatusCode};
use ureq::{Agent, Body, Timeout};

use super::super::{Progress, RemoteFile, idx};
use super::partial::Partial;
use super::place;
use crate::data::sums::Refused;
use crate::error::Result;

/// Nor may a mirror trickle for ever.
const WHOLE_BODY: Duration = Duration::from_secs(900);

pub(super) struct Mirrors<'a> {
    agent: Agent,
    connect_timeout: Duration,
    /// A mirror that sends nothing for so long has stalled.
    stall: Duration,
    /// How long mirrors may still be silent, all of them together.
    patience: Duration,
    /// Those still worth trying: one that cannot be connected to costs its timeout once, not for every file.
    alive: Vec<&'a str>,
}

struct Miss {
    why: String,
    /// Not worth trying for another file.
    dead: bool,
    /// What came, and what was kept before it, is of no use.
    spoilt: bool,
    /// What was waited for in vain, where it was.
    silent: Option<Timeout>,
}

impl<'a> Mirrors<'a> {
    /// Two thirds of `patience` are the mirrors', a third at most each one's.
    pub(super) fn new(bases: &'a [String], connect_timeout: Duration, patience: Duration) -> Self {
        let config = Agent::config_builder()
            .timeout_recv_body(Some(WHOLE_BODY))
            .user_agent(concat!("kiln/", env!("CARGO_PKG_VERSION")));
        let alive = bases.iter().map(String::as_str).collect();
        Self { agent: config.build().into(), connect_timeout, stall: patience / 3, patience: patience / 3 * 2, alive }
    }

    /// How long the mirrors were silent in all.
    pub(super) fn silence(&self) -> Duration {
        self.stall * 2 - self.patience
    }

    /// How long may be waited for this.
    fn limit(&self, phase: Timeout) -> Duration {
        let most = if matches!(phase, Timeout::Resolve | Timeout::Connect) { self.connect_timeout } else { self.stall };
        most.min(self.patience)
    }

    /// Counts a silence, and says how long it was.
    fn lose_patience(&mut self, miss: &mut Miss) {
        let Some(phase) = miss.silent else { return };
        let waited = self.limit(phase);
        miss.why = format!("{} after {} s of silence", miss.why, waited.as_secs_f64());
        self.patience -= waited;
    }

    /// Whether a mirror had the file, which is then in its place.
    pub(super) fn fetch(
        &mut self,
        file: &RemoteFile<'_>,
        folder: &Path,
        report: &mut dyn FnMut(Progress<'_>),
        tried: &mut Vec<String>,
    ) -> Result<bool> {
        let mut next = 0;
        while let Some(&base) = self.alive.get(next) {
            let url = format!("{}/{}.gz", base.trim_end_matches('/'), file.name);
            if self.patience.is_zero() {
                tried.push(format!(
                    "{url}: not tried: the mirrors before it were silent for {} s",
                    self.silence().as_secs_f64()
                ));
                self.alive.remove(next);
                continue;
            }
            report(Progress { file: file.name, source: &url, bytes: 0, total: Some(file.len) });
            let report = &mut |now: Progress<'_>| report(Progress { source: &url, ..now });
            let Some(miss) = self.download(&url, file, folder, report)? else { return Ok(true) };
            tried.push(format!("{url}: {}", miss.why));
            if miss.dead {
                self.alive.remove(next);
            } else {
                next += 1;
            }
        }
        Ok(false)
    }

    /// `None` where the file is in its place.
    fn download(
        &mut self,
        url: &str,
        file: &RemoteFile<'_>,
        folder: &Path,
        report: &mut dyn FnMut(Progress<'_>),
    ) -> Result<Option<Miss>> {
        if !is_local(url) && !url.starts_with("https://") {
            let why = "not tried: a mirror must be https://".into();
            return Ok(Some(Miss { why, dead: true, spoilt: false, silent: None }));
        }
        // Deflate never makes a file much longer: a body beyond this is not the file's.
        let limit = file.len + file.len / 100 + (1 << 16);
        let mut partial = Partial::open(folder, file, url, limit);
        loop {
            let goes_on = partial.len() > 0;
            let Some(mut miss) =
                self.attempt(url, limit, &mut partial, &mut |body| place::install(body, file, folder, report))?
            else {
                return Ok(None);
            };
            self.lose_patience(&mut miss);
            if !miss.spoilt {
                let kept = partial.settle();
                if kept > 0 {
                    miss.why = format!("{}; the first {kept} bytes are kept, to go on from", miss.why);
                }
                return Ok(Some(miss));
            }
            partial.discard();
            // The file may have changed since it was cut, or the server be unable to go on: once more, whole.
            if !goes_on {
                return Ok(Some(miss));
            }
        }
    }

    /// Asks for what is missing of the body, and has the decompressed whole installed. `None` where it was.
    fn attempt(
        &self,
        url: &str,
        limit: u64,
        partial: &mut Partial,
        install: &mut dyn FnMut(&mut dyn Read) -> Result<(), Refused>,
    ) -> Result<Option<Miss>> {
        let local = is_local(url);
        let mut request = self.agent.get(url);
        if partial.len() > 0 {
            request = request.header("Range", format!("bytes={}-", partial.len()));
        }
        let (connect, stall) = (Some(self.limit(Timeout::Connect)), Some(self.limit(Timeout::PerRead)));
        let request = request.config().timeout_resolve(connect).timeout_connect(connect);
        let request = request.timeout_recv_response(stall).timeout_per_read(stall).https_only(!local);
        let request = if local { request.proxy(None) } else { request };
        let response = match request.build().call() {
            Ok(response) => response,
            Err(e) => return Ok(Some(Miss::of(&e))),
        };
        let begins_at = beginning(&response);
        let body = response.into_body().into_with_config().limit(limit).reader();
        let body = match begins_at {
            Some(0) => partial.anew(body),
            Some(at) if at == partial.len() => partial.continued(body),
            _ => {
                let why = "the server sends another part than it was asked for".into();
                return Ok(Some(Miss { why, dead: false, spoilt: true, silent: None }));
            }
        };
        let installed = match idx::gunzipped(body) {
            Ok((mut bytes, _)) => install(&mut bytes),
            Err(e) => Err(Refused::Read(e)),
        };
        match installed {
            Ok(()) => Ok(None),
            Err(Refused::Read(e)) => {
                let miss = Miss::while_reading(e);
                Ok(Some(Miss { spoilt: miss.spoilt || partial.ended(), ..miss }))
            }
            Err(Refused::Content(why)) => Ok(Some(Miss { why, dead: false, spoilt: true, silent: None })),
            Err(Refused::Write(e)) => Err(e),
        }
    }
}

/// The place in the file of the answer's first byte: a server may pass over the range that it was asked for. `None` where
/// it does not say.
fn beginning(response: &Response<Body>) -> Option<u64> {
    if response.status() != StatusCode::PARTIAL_CONTENT {
        return Some(0);
    }
    let range = response.headers().get("Content-Range")?.to_str().ok()?;
    range.strip_prefix("bytes ")?.split('-').next()?.trim().parse().ok()
}

impl Miss {
    fn of(e: &ureq::Error) -> Self {
        let answered = matches!(
            e,
            ureq::Error::StatusCode(_)
                | ureq::Error::RedirectFailed
                | ureq::Error::TooManyRedirects
                | ureq::Error::RequireHttpsOnly(_)
        );
        let why = match e {
            ureq::Error::StatusCode(code) => format!("the server answers {code}"),
            ureq::Error::Timeout(phase) => format!("timed out ({phase})"),
            ureq::Error::Io(e) => e.to_string(),
            other => other.to_string(),
        };
        let silent = if let ureq::Error::Timeout(phase) = e { Some(*phase) } else { None };
        Self { why, dead: !answered, spoilt: matches!(e, ureq::Error::StatusCode(416)), silent }
    }

    /// An I/O error here comes from the connection or from the gzip decoder.
    fn while_reading(e: io::Error) -> Self {
        match e.kind() {
            io::ErrorKind::UnexpectedEof => {
                Self { why: "the body ends early".into(), dead: false, spoilt: false, silent: None }
            }
            io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => {
                Self { why: format!("damaged gzip: {e}"), dead: false, spoilt: true, silent: None }
            }
            _ => match ureq::Error::from(e) {
                ureq::Error::BodyExceedsLimit(limit) => Self {
                    why: format!("the body is longer than {limit} bytes"),
                    dead: false,
                    spoilt: true,
                    silent: None,
                },
                other => Self::of(&other),
            },
        }
    }
}

/// Plain HTTP to this machine itself: what a test serves, and no wire that could be tapped.
fn is_local(url: &str) -> bool {
    let host = url.strip_prefix("http://").and_then(|rest| rest.split('/').next()).unwrap_or("");
    let host = host.rsplit_once(':').map_or(host, |(host, _port)| host);
    matches!(host, "127.0.0.1" | "localhost" | "[::1]")
}

#[cfg(test)]
mod tests {
    use super::is_local;

    #[test]
    fn only_this_machine_may_speak_plain_http() {
        for url in ["http://127.0.0.1:80/x", "http://localhost/x", "http://[::1]:8/x", "http://localhost"] {
            assert!(is_local(url), "{url}");
        }
        for url in
            ["http://a.example/x", "http://localhost.example/x", "http://localhost@a.example:80/x", "ftp://localhost"]
        {
            assert!(!is_local(url), "{url}");
        }
    }
}

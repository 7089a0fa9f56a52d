//! The HTTPS mirrors.

use std::io;
use std::path::Path;
use std::time::Duration;

use ureq::Agent;

use super::super::{Progress, RemoteFile, idx};
use super::place::{self, Refused};
use crate::error::Result;

/// A mirror that sends nothing for so long has stalled.
const STALL: Duration = Duration::from_secs(20);
/// Nor may it trickle for ever.
const WHOLE_BODY: Duration = Duration::from_secs(900);

pub(super) struct Mirrors<'a> {
    agent: Agent,
    /// Those still worth trying: one that cannot be connected to costs its timeout once, not for every file.
    alive: Vec<&'a str>,
}

struct Miss {
    why: String,
    dead: bool,
}

impl<'a> Mirrors<'a> {
    pub(super) fn new(bases: &'a [String], connect_timeout: Duration) -> Self {
        let config = Agent::config_builder()
            .timeout_resolve(Some(connect_timeout))
            .timeout_connect(Some(connect_timeout))
            .timeout_recv_response(Some(STALL))
            .timeout_per_read(Some(STALL))
            .timeout_recv_body(Some(WHOLE_BODY))
            .user_agent(concat!("kiln/", env!("CARGO_PKG_VERSION")));
        Self { agent: config.build().into(), alive: bases.iter().map(String::as_str).collect() }
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
        &self,
        url: &str,
        file: &RemoteFile<'_>,
        folder: &Path,
        report: &mut dyn FnMut(Progress<'_>),
    ) -> Result<Option<Miss>> {
        let local = is_local(url);
        if !local && !url.starts_with("https://") {
            return Ok(Some(Miss { why: "not tried: a mirror must be https://".into(), dead: true }));
        }
        let request = self.agent.get(url).config().https_only(!local);
        let request = if local { request.proxy(None) } else { request };
        let response = match request.build().call() {
            Ok(response) => response,
            Err(e) => return Ok(Some(Miss::of(&e))),
        };
        // Deflate never makes a file much longer: a body beyond this is not the file's.
        let limit = file.len + file.len / 100 + (1 << 16);
        let body = response.into_body().into_with_config().limit(limit).reader();
        let installed = match idx::gunzipped(body) {
            Ok((mut bytes, _)) => place::install(&mut bytes, file, folder, report),
            Err(e) => Err(Refused::Read(e)),
        };
        match installed {
            Ok(()) => Ok(None),
            Err(Refused::Read(e)) => Ok(Some(Miss::while_reading(e))),
            Err(Refused::Content(why)) => Ok(Some(Miss { why, dead: false })),
            Err(Refused::Write(e)) => Err(e),
        }
    }
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
        Self { why, dead: !answered }
    }

    /// An I/O error here comes from the connection or from the gzip decoder.
    fn while_reading(e: io::Error) -> Self {
        match e.kind() {
            io::ErrorKind::UnexpectedEof => Self { why: "the body ends early".into(), dead: false },
            io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => {
                Self { why: format!("damaged gzip: {e}"), dead: false }
            }
            _ => match ureq::Error::from(e) {
                ureq::Error::BodyExceedsLimit(limit) => {
                    Self { why: format!("the body is longer than {limit} bytes"), dead: false }
                }
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

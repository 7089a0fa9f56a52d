//! What is asked and answered over HTTP, whatever speaks it.

use serde_json::json;

/// What a request says before its body.
pub struct Head {
    pub method: String,
    pub path: String,
    /// What stands behind the `?`.
    pub query: String,
    pub content_type: Option<String>,
}

/// What goes back.
pub struct Answer {
    pub status: u16,
    pub content_type: &'static str,
    pub body: Vec<u8>,
    /// The methods that there are, where another was used.
    pub allow: Option<&'static str>,
    /// What a page may load.
    pub policy: Option<&'static str>,
}

impl Answer {
    pub fn json(body: impl Into<Vec<u8>>) -> Self {
        Self { status: 200, content_type: "application/json", body: body.into(), allow: None, policy: None }
    }

    /// `{"error": message}`.
    pub fn error(status: u16, message: String) -> Self {
        Self { status, ..Self::json(json!({ "error": message }).to_string()) }
    }
}

/// What answers, from several threads at once.
pub trait Site: Sync {
    /// The answer that needs no body: what is read only, and what is refused.
    fn early(&self, head: &Head) -> Option<Answer>;

    /// The answer to a body.
    fn answer(&self, head: &Head, body: &[u8]) -> Answer;

    /// A body has so many bytes at most.
    fn most_bytes(&self) -> usize;
}

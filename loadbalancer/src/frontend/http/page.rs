//! Telling a client that its request failed: JSON for programs, a short page for people. Pure.

use protocol::{
    http::{Request, Status},
    id::RequestId,
    message::ErrorCode,
};
use serde_json::json;

/// Why a request failed, as the client is told.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// The status.
    pub status: Status,
    /// The same for the laboratory's own words.
    pub code: ErrorCode,
    /// What happened, as a sentence.
    pub message: String,
    /// Whether the request surely was not and will not be carried out.
    pub definite: bool,
    /// When to come again, in seconds.
    pub retry_after: Option<u32>,
}

impl Refusal {
    /// A failure that is certain.
    #[must_use]
    pub fn definite(status: Status, message: impl Into<String>) -> Self {
        let code = match status.code() {
            413 | 414 | 431 => ErrorCode::TooLarge,
            408 | 504 => ErrorCode::Timeout,
            503 => ErrorCode::Busy,
            502 => ErrorCode::Unavailable,
            400..500 => ErrorCode::BadRequest,
            _ => ErrorCode::Internal,
        };
        Self { status, code, message: message.into(), definite: true, retry_after: None }
    }

    /// The same, and the client may come again in a second.
    #[must_use]
    pub fn come_again(self) -> Self {
        Self { retry_after: Some(1), ..self }
    }

    /// The same, but nobody knows whether the request was carried out.
    #[must_use]
    pub fn in_doubt(self) -> Self {
        Self { definite: false, code: ErrorCode::UnknownOutcome, ..self }
    }

    /// The body and its type, for whoever sent this request (`None`: it could not be read).
    #[must_use]
    pub fn page(&self, request: Option<&Request>, id: Option<RequestId>) -> (&'static str, Vec<u8>) {
        let accept = request.and_then(|request| request.header("accept")).unwrap_or_default();
        if prefers_html(accept) {
            return ("text/html; charset=utf-8", self.html(id).into_bytes());
        }
        let (status, code) = (self.status.code(), self.code.as_str());
        let mut told = json!({ "status": status, "code": code, "message": self.message, "definite": self.definite });
        if let Some(id) = id {
            told["request"] = json!(id.to_string());
        }
        ("application/json", format!("{told}\n").into_bytes())
    }

    fn html(&self, id: Option<RequestId>) -> String {
        let (status, message) = (self.status, escape(&self.message));
        let id = id.map_or_else(String::new, |id| format!("<p><small>Request {id}</small></p>\n"));
        format!(
            "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>{status}</title>\n<h1>{status}</h1>\n\
             <p>{message}</p>\n{id}</html>\n"
        )
    }
}

/// Whether who accepts this would rather read HTML than JSON. `*/*`, as `curl` says it, means a program.
fn prefers_html(accept: &str) -> bool {
    let quality = |wanted: &str| {
        let range = accept
            .split(',')
            .map(str::trim)
            .find(|range| range.split(';').next().is_some_and(|media| media.trim().eq_ignore_ascii_case(wanted)))?;
        let q = range.split(';').skip(1).find_map(|parameter| parameter.trim().strip_prefix("q="));
        Some(q.map_or(1.0, |q| q.parse::<f64>().unwrap_or(0.0)))
    };
    let html = quality("text/html").unwrap_or(0.0);
    html > 0.0 && html >= quality("application/json").unwrap_or(0.0)
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers_get_a_page_and_programs_get_json() {
        let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
        assert!(prefers_html(browser));
        for program in ["", "*/*", "application/json", "application/json, text/html;q=0.5", "text/html;q=0"] {
            assert!(!prefers_html(program), "{program}");
        }
    }

    #[test]
    fn what_a_peer_said_is_no_markup() {
        let refusal = Refusal::definite(Status::BAD_GATEWAY, "It said <script>alert(\"1\")</script>.");
        assert!(refusal.html(None).contains("&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;"));
    }
}

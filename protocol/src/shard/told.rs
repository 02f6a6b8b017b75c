//! How a sharded table, and each of its replicas, are asked and answer: JSON in, a status and JSON out.
//!
//! ```text
//! {"message":"3 Data entries added","status":"success"}                     200
//! {"message":"<Error> Stud_id 7 is there already","status":"failure"}       409
//! ```

use crate::http::Status;
use serde::de::DeserializeOwned;
use serde_json::json;

/// Rows that one call may write: more belong into several.
pub const MOST_ROWS: usize = 100_000;

/// An answer: a status, and JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// How it went.
    pub status: Status,
    /// The words.
    pub body: String,
}

/// It is done: what, and further members of the answer, each with a comma behind it.
#[must_use]
pub fn done(message: &str, members: &str) -> Told {
    Told { status: Status::OK, body: format!("{{\"message\":{},{members}\"status\":\"success\"}}", json!(message)) }
}

/// What was asked cannot be.
#[must_use]
pub fn refused(status: Status, why: &str) -> Told {
    Told { status, body: json!({ "message": format!("<Error> {why}"), "status": "failure" }).to_string() }
}

/// What was asked makes no sense.
#[must_use]
pub fn bad(why: &str) -> Told {
    refused(Status::BAD_REQUEST, why)
}

/// What this body is.
///
/// # Errors
/// The answer that says why it is no such thing.
pub fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Told> {
    serde_json::from_slice(body).map_err(|error| bad(&format!("The payload cannot be read: {error}")))
}

impl Told {
    /// What it says, without the JSON around it: for people.
    #[must_use]
    pub fn says(&self) -> String {
        let body: Option<serde_json::Value> = serde_json::from_str(&self.body).ok();
        let message = body.as_ref().and_then(|body| body["message"].as_str());
        message.map_or_else(|| self.body.clone(), |said| said.strip_prefix("<Error> ").unwrap_or(said).to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_json_and_can_be_said_to_people() {
        assert_eq!(done("3 \"rows\"", "\"seq\":7,").body, r#"{"message":"3 \"rows\"","seq":7,"status":"success"}"#);
        let no = bad("no such \"row\"");
        assert_eq!(no.body, r#"{"message":"<Error> no such \"row\"","status":"failure"}"#);
        assert_eq!((no.says(), done("added", "").says()), ("no such \"row\"".to_owned(), "added".to_owned()));
        assert_eq!(parse::<Vec<i64>>(b"[1,2]"), Ok(vec![1, 2]));
        assert!(parse::<Vec<i64>>(b"[1,2").unwrap_err().says().starts_with("The payload cannot be read"));
    }
}

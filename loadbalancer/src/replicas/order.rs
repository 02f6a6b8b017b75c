//! What is asked for in the bodies of `/add` and `/rm`, and how it is answered: to the byte as the coursework has it. Pure.

use super::{MAX_REPLICAS, names};
use protocol::http::Status;
use serde_json::Value;

/// So many replicas, some of them by their ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// How many, 1 to [`MAX_REPLICAS`].
    pub n: usize,
    /// The ids that were named: each once, and at most `n`.
    pub ids: Vec<String>,
}

/// Why something is not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The status of the answer.
    pub status: Status,
    /// What is wrong, without a full stop.
    pub why: String,
}

impl Refusal {
    /// What was asked for cannot be.
    #[must_use]
    pub fn bad(why: impl Into<String>) -> Self {
        Self { status: Status::BAD_REQUEST, why: why.into() }
    }

    /// It could be, but not now.
    #[must_use]
    pub fn unavailable(why: impl Into<String>) -> Self {
        Self { status: Status::SERVICE_UNAVAILABLE, why: why.into() }
    }

    /// `{"message":"<Error> …","status":"failure"}`
    #[must_use]
    pub fn body(&self) -> String {
        let message = Value::from(format!("<Error> {}", self.why));
        format!("{{\"message\":{message},\"status\":\"failure\"}}")
    }
}

/// `{"message":{"N":3,"replicas":["Server 1","Server 2","Server 3"]},"status":"successful"}`
#[must_use]
pub fn list(names: &[String]) -> String {
    let (n, names) = (names.len(), Value::from(names));
    format!("{{\"message\":{{\"N\":{n},\"replicas\":{names}}},\"status\":\"successful\"}}")
}

/// There is no such path.
#[must_use]
pub fn no_endpoint(path: &str) -> Refusal {
    Refusal::bad(format!("'{path}' endpoint does not exist in server replicas"))
}

/// Reads the body of `POST /add`.
///
/// # Errors
/// What is wrong with it.
pub fn read_add(body: &[u8]) -> Result<Order, Refusal> {
    read(body, "Length of hostname list is more than newly added instances")
}

/// Reads the body of `DELETE /rm`.
///
/// # Errors
/// What is wrong with it.
pub fn read_remove(body: &[u8]) -> Result<Order, Refusal> {
    read(body, "Length of hostname list is more than removable instances")
}

fn read(body: &[u8], too_many: &str) -> Result<Order, Refusal> {
    let value: Value = serde_json::from_slice(body).map_err(|_| Refusal::bad("The body is not JSON"))?;
    let Value::Object(object) = value else { return Err(Refusal::bad("The body is not a JSON object")) };
    let n = match object.get("n") {
        None => return Err(Refusal::bad("The body has no n, the number of instances")),
        Some(n) => n.as_u64().and_then(|n| usize::try_from(n).ok()).filter(|n| (1..=MAX_REPLICAS).contains(n)),
    };
    let n = n.ok_or_else(|| Refusal::bad(format!("n is not a number from 1 to {MAX_REPLICAS}")))?;
    let none = Vec::new();
    let names = match object.get("hostnames") {
        None | Some(Value::Null) => &none,
        Some(Value::Array(names)) => names,
        Some(_) => return Err(Refusal::bad("hostnames is not a list")),
    };
    if names.len() > n {
        return Err(Refusal::bad(too_many));
    }
    let mut ids: Vec<String> = Vec::new();
    for name in names {
        let name = name.as_str().ok_or_else(|| Refusal::bad("A hostname is not a text"))?;
        let id = names::id_of(name).map_err(Refusal::bad)?;
        if ids.contains(&id) {
            return Err(Refusal::bad(format!("Hostname '{name}' is there twice")));
        }
        ids.push(id);
    }
    Ok(Order { n, ids })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_those_of_the_coursework() {
        let names = ["Server 1", "Server 2", "S5"].map(str::to_owned);
        let told = r#"{"message":{"N":3,"replicas":["Server 1","Server 2","S5"]},"status":"successful"}"#;
        assert_eq!(list(&names), told);
        assert_eq!(list(&[]), r#"{"message":{"N":0,"replicas":[]},"status":"successful"}"#);
        let told = r#"{"message":"<Error> '/other' endpoint does not exist in server replicas","status":"failure"}"#;
        assert_eq!(no_endpoint("/other").body(), told);
    }

    #[test]
    fn a_path_cannot_break_out_of_its_text() {
        assert!(no_endpoint("/\"x\\").body().contains(r#"'/\"x\\' endpoint"#));
    }

    #[test]
    fn bodies_are_read() {
        let order = read_add(br#"{"n":4,"hostnames":["S5","Server 7"],"more":1}"#).unwrap();
        assert_eq!(order, Order { n: 4, ids: vec!["S5".into(), "7".into()] });
        assert_eq!(read_remove(br#"{"n":1}"#).unwrap(), Order { n: 1, ids: Vec::new() });
    }

    #[test]
    fn what_is_wrong_is_told() {
        for (body, why) in [
            ("", "The body is not JSON"),
            ("{\"n\":1", "The body is not JSON"),
            ("[1]", "The body is not a JSON object"),
            ("{}", "The body has no n, the number of instances"),
            (r#"{"n":0}"#, "n is not a number from 1 to 64"),
            (r#"{"n":-1}"#, "n is not a number from 1 to 64"),
            (r#"{"n":1.5}"#, "n is not a number from 1 to 64"),
            (r#"{"n":"3"}"#, "n is not a number from 1 to 64"),
            (r#"{"n":65}"#, "n is not a number from 1 to 64"),
            (r#"{"n":99999999999999999999999}"#, "n is not a number from 1 to 64"),
            (r#"{"n":1,"hostnames":"S5"}"#, "hostnames is not a list"),
            (r#"{"n":1,"hostnames":[5]}"#, "A hostname is not a text"),
            (r#"{"n":2,"hostnames":["S5","S5"]}"#, "Hostname 'S5' is there twice"),
            (r#"{"n":2,"hostnames":["5","Server 5"]}"#, "Hostname 'Server 5' is there twice"),
            (
                r#"{"n":1,"hostnames":["--help me"]}"#,
                "\"--help me\" is no hostname: use 1 to 64 letters (a to z), digits, '_', '.' and '-', or 'Server' and a number",
            ),
            (r#"{"n":1,"hostnames":["S5","S4"]}"#, "Length of hostname list is more than newly added instances"),
        ] {
            assert_eq!(read_add(body.as_bytes()), Err(Refusal::bad(why)), "{body}");
        }
        let removed = read_remove(br#"{"n":1,"hostnames":["S5","S4"]}"#).unwrap_err();
        assert_eq!(removed.why, "Length of hostname list is more than removable instances");
    }
}

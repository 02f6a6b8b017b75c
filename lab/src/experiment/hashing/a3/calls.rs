//! Every call once, as it is typed and as it is answered.

use super::stage::Stage;
use protocol::http::{Method, client::Ask};
use std::fmt::Write;

/// Method, path and body.
const CALLS: [(&str, &str, &str); 9] = [
    ("GET", "/rep", ""),
    ("POST", "/add", r#"{"n":4,"hostnames":["S5","S4","S10","S11"]}"#),
    ("POST", "/add", r#"{"n":1,"hostnames":["S6","S7"]}"#),
    ("DELETE", "/rm", r#"{"n":4,"hostnames":["S5","S4","S10","S11"]}"#),
    ("DELETE", "/rm", r#"{"n":1,"hostnames":["Server 1","Server 2"]}"#),
    ("GET", "/home", ""),
    ("GET", "/heartbeat", ""),
    ("GET", "/other", ""),
    ("GET", "/rep", ""),
];

/// Calls all, and shows what was answered.
pub fn all(stage: &mut Stage) -> anyhow::Result<String> {
    let mut shown = String::new();
    for (method, path, body) in CALLS {
        let what = match method {
            "POST" => Ask::post(path),
            "DELETE" => Ask::new(Method::Delete, path),
            _ => Ask::get(path),
        };
        let reply = stage.call(&what.body(body))?;
        let call = format!("{method} {path} {body}");
        writeln!(shown, "    {}\n    → {} {}\n", call.trim_end(), reply.status.code(), reply.text().trim_end())?;
    }
    Ok(shown)
}

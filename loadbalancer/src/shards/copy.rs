//! A shard from one server to another, without holding it: what is read of the one's answer is the other one's question.
//!
//! It may be as large as it is. It is given up when nothing comes any more ([`Patience::copy`](super::patience::Patience::copy)).

use super::server::Server;
use protocol::{
    deadline::Deadline,
    http::{Framing, Headers, HttpConnection, HttpError, Method, Status, Version, encode::push_request},
};
use serde_json::{Value, json};
use std::io::{self, Write};

/// The longest answer to `/fill` that is taken, in bytes.
const LONGEST_ANSWER: u64 = 64 * 1024;

/// Fills a shard of one server with what another one has: the number at which that is.
///
/// # Errors
/// Why it has not worked; then the one that was to be filled has what it had before.
pub fn copy(from: &Server, to: &Server, shard: &str) -> Result<u64, String> {
    let number = pour(from, to, shard).unwrap_or_else(|error| Err(error.to_string()))?;
    // What answers at the port of one that has ended is another server.
    match [from, to].into_iter().find(|server| !server.runs()) {
        Some(ended) => Err(format!("the process of server {} has ended", ended.name)),
        None => Ok(number),
    }
}

fn pour(from: &Server, to: &Server, shard: &str) -> Result<Result<u64, String>, HttpError> {
    let mut source = HttpConnection::connect(from.address(), from.patience().answer)?;
    let question = json!({ "shards": [shard] }).to_string();
    let asked = head(from, &Method::Get, "/copy", Framing::Length(question.len() as u64))?;
    source.send(&[&asked, question.as_bytes()])?;
    let answer = source.read_final_answer(&Method::Get, Deadline::after(from.patience().copy))?;
    if answer.status != Status::OK {
        return Ok(Err(format!("server {} gives no copy ({})", from.name, answer.status.code())));
    }
    let target = HttpConnection::connect(to.address(), to.patience().answer)?;
    let mut target = target.with_send_patience(to.patience().copy);
    let mut filling = target.write(head(to, &Method::Post, "/fill", Framing::Chunked)?, Framing::Chunked);
    let mut rows = source.body();
    rows.let_pause(from.patience().copy);
    // A copy that is cut off stays without its end, so that nothing is filled with half of it.
    let bytes = io::copy(&mut rows, &mut filling).and_then(|bytes| filling.flush().map(|()| bytes))?;
    filling.finish()?;
    let deadline = Deadline::after(to.patience().rest_of_copy(bytes));
    let filled = target.read_final_answer(&Method::Post, deadline)?;
    let body = target.body().until(deadline).whole(LONGEST_ANSWER)?;
    let told: Value = serde_json::from_slice(&body).map_err(HttpError::Json)?;
    let seq = told["shards"][shard]["seq"].as_u64().filter(|_| filled.status == Status::OK);
    Ok(seq.ok_or_else(|| format!("it does not take the copy ({}): {}", filled.status.code(), told["message"])))
}

fn head(server: &Server, method: &Method, path: &str, framing: Framing) -> Result<Vec<u8>, HttpError> {
    let (mut head, mut headers) = (Vec::new(), Headers::new());
    headers.push("Host", server.address().to_string())?;
    push_request(&mut head, (method, path, Version::Http11), &headers, framing, Some("close"));
    Ok(head)
}

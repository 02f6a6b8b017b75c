//! Writing heads: pure, into memory.
//!
//! Whatever says where a message ends is written here, from the [`Framing`] that really follows, and nowhere else:
//! `Content-Length`, `Transfer-Encoding` and `Connection` among the given fields are left out.

use super::{
    date::http_date,
    framing::{Framing, Version},
    headers::Headers,
    method::Method,
    status::Status,
};
use std::{io::Write, time::SystemTime};

/// Appends the head of an answer. `connection` is the value of the field `Connection`, if one is needed; `Date` is added
/// unless it is among the fields.
pub fn push_answer(out: &mut Vec<u8>, status: Status, headers: &Headers, framing: Framing, connection: Option<&str>) {
    // Writing into memory has no way to fail.
    let _ = write!(out, "HTTP/1.1 {} {}\r\n", status.code(), status.phrase());
    if !headers.contains("date") && !status.is_interim() {
        let _ = write!(out, "Date: {}\r\n", http_date(SystemTime::now()));
    }
    push_fields(out, headers, framing, connection);
}

/// Appends the head of a request. `target` must be what [`Target::parse`](super::Target::parse) takes for this method.
pub fn push_request(
    out: &mut Vec<u8>,
    (method, target, version): (&Method, &str, Version),
    headers: &Headers,
    framing: Framing,
    connection: Option<&str>,
) {
    let _ = write!(out, "{method} {target} {}\r\n", version.as_str());
    push_fields(out, headers, framing, connection);
}

/// What stands before and behind a piece of a chunked body of this length. With a trailer, which may be empty, the body
/// ends behind this piece; a piece of length 0 without one is nothing at all, because a chunk of size 0 would be the end.
#[must_use]
pub fn around_chunk(length: usize, trailer: Option<&Headers>) -> (Vec<u8>, Vec<u8>) {
    let (mut before, mut behind) = (Vec::new(), Vec::new());
    if length > 0 {
        let _ = write!(before, "{length:x}\r\n");
        behind.extend_from_slice(b"\r\n");
    }
    if let Some(trailer) = trailer {
        behind.extend_from_slice(b"0\r\n");
        trailer.iter().for_each(|(name, value)| push_field(&mut behind, name, value));
        behind.extend_from_slice(b"\r\n");
    }
    (before, behind)
}

fn push_fields(out: &mut Vec<u8>, headers: &Headers, framing: Framing, connection: Option<&str>) {
    let ours = |name: &str| {
        ["content-length", "transfer-encoding", "connection"].iter().any(|own| name.eq_ignore_ascii_case(own))
    };
    headers.iter().filter(|(name, _)| !ours(name)).for_each(|(name, value)| push_field(out, name, value));
    let _ = match framing {
        Framing::Length(length) => write!(out, "Content-Length: {length}\r\n"),
        Framing::Chunked => out.write_all(b"Transfer-Encoding: chunked\r\n"),
        Framing::Empty | Framing::UntilClose => Ok(()),
    };
    if let Some(connection) = connection {
        push_field(out, "Connection", connection.as_bytes());
    }
    out.extend_from_slice(b"\r\n");
}

fn push_field(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

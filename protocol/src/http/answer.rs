//! The head of an answer: read from bytes. No I/O.

use super::{
    framing::{Framing, Version},
    headers::Headers,
    lines::{Lines, Of},
    method::Method,
    refused::Refused,
    request::{split_first_line, wants_to_keep},
    status::Status,
};

/// The head of an answer as it came from a server: all of it but the body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The version that the server speaks.
    pub version: Version,
    /// How it went.
    pub status: Status,
    /// The fields, in order.
    pub headers: Headers,
    /// How the end of the body is found.
    pub framing: Framing,
    /// Whether the server keeps the connection.
    pub keep_alive: bool,
}

impl Answer {
    /// Reads the head of an answer to a request with this method from the bytes of a connection. `None`: it is not
    /// there whole yet. Returns also how many bytes it takes; what follows is the body.
    ///
    /// # Errors
    /// Whatever cannot be read in exactly one way.
    pub fn parse(to: &Method, bytes: &[u8]) -> Result<Option<(Self, usize)>, Refused> {
        let Some(head) = Lines::new(Of::Response).find(bytes)? else { return Ok(None) };
        let end = head.end;
        Ok(Some((Self::from_head(to, &bytes[head])?, end)))
    }

    /// Reads the lines of a head.
    pub(super) fn from_head(to: &Method, head: &[u8]) -> Result<Self, Refused> {
        let (line, fields) = split_first_line(head).ok_or(Refused::StatusLine)?;
        let (version, rest) = line.split_at_checked(8).ok_or(Refused::StatusLine)?;
        let version = Version::parse(version, Refused::StatusLine)?;
        let status = status(rest)?;
        let headers = Headers::parse(fields)?;
        let framing = Framing::of_response(to, status, version, &headers)?;
        let keep_alive = framing != Framing::UntilClose && wants_to_keep(version, &headers);
        Ok(Self { version, status, headers, framing, keep_alive })
    }
}

/// Reads ` 200 OK`. The phrase may be missing, with or without the space before it: it means nothing.
fn status(text: &[u8]) -> Result<Status, Refused> {
    let [b' ', code @ ..] = text else { return Err(Refused::StatusLine) };
    let (digits, phrase) = code.split_at_checked(3).ok_or(Refused::StatusLine)?;
    let harmless = |&byte: &u8| byte == b'\t' || (byte >= b' ' && byte != 0x7f);
    if !digits.iter().all(u8::is_ascii_digit) || !matches!(phrase, [] | [b' ', ..]) || !phrase.iter().all(harmless) {
        return Err(Refused::StatusLine);
    }
    let code = digits.iter().fold(0, |code, digit| code * 10 + u16::from(digit - b'0'));
    Status::new(code).ok_or(Refused::StatusLine)
}

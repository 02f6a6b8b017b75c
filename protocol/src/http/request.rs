//! The head of a request: read from bytes, and written to them. No I/O.

use super::{
    authority::Authority,
    framing::{Framing, Version},
    headers::Headers,
    lines::{Lines, Of},
    method::Method,
    refused::Refused,
    target::Target,
};

/// The head of a request: all of it but the body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// What is to be done.
    pub method: Method,
    /// To what.
    pub target: Target,
    /// The version that the peer speaks.
    pub version: Version,
    /// The host that is asked: from the target if it has one, else from `Host`. Only HTTP/1.0 may leave it out.
    pub host: Option<Authority>,
    /// The fields, in order, with `Host` and the others.
    pub headers: Headers,
    /// How the end of the body is found.
    pub framing: Framing,
    /// Whether the peer waits for `100 Continue` before it sends the body.
    pub expects_continue: bool,
    /// Whether the peer wants to keep the connection.
    pub keep_alive: bool,
}

impl Request {
    /// Reads the head of a request from the bytes of a connection. `None`: it is not there whole yet. Returns also how
    /// many bytes it takes; what follows is the body.
    ///
    /// # Errors
    /// Whatever cannot be read in exactly one way.
    pub fn parse(bytes: &[u8]) -> Result<Option<(Self, usize)>, Refused> {
        let Some(head) = Lines::new(Of::Request).find(bytes)? else { return Ok(None) };
        let end = head.end;
        Ok(Some((Self::from_head(&bytes[head])?, end)))
    }

    /// Reads the lines of a head.
    pub(super) fn from_head(head: &[u8]) -> Result<Self, Refused> {
        let (line, fields) = split_first_line(head).ok_or(Refused::RequestLine)?;
        let mut parts = line.split(|&byte| byte == b' ');
        let (Some(method), Some(target), Some(version), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(Refused::RequestLine);
        };
        let method = Method::parse(method)?;
        let version = Version::parse(version, Refused::RequestLine)?;
        let target = Target::parse(&method, target)?;
        let headers = Headers::parse(fields)?;
        let host = host(version, &target, &headers)?;
        let framing = Framing::of_request(version, &headers)?;
        let expects_continue = expectation(version, &headers)? && !framing.is_empty();
        let keep_alive = wants_to_keep(version, &headers);
        Ok(Self { method, target, version, host, headers, framing, expects_continue, keep_alive })
    }

    /// Shorthand for `target.path()`.
    #[must_use]
    pub fn path(&self) -> &str {
        self.target.path()
    }

    /// The value of the first field with this name, if it is text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)
    }
}

/// The first line without its end, and the lines behind it.
pub(super) fn split_first_line(head: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = head.windows(2).position(|two| two == b"\r\n")?;
    Some((&head[..end], &head[end + 2..]))
}

/// The one host that the request is for.
fn host(version: Version, target: &Target, headers: &Headers) -> Result<Option<Authority>, Refused> {
    let mut values = headers.all("host");
    let field = values.next().map(Authority::parse).transpose()?;
    if values.next().is_some() {
        return Err(Refused::HostTwice);
    }
    match (target.authority(), field) {
        (_, None) if version == Version::Http11 => Err(Refused::HostMissing),
        (Some(asked), Some(field)) if !asked.is_same(&field) => Err(Refused::HostDiffers),
        (Some(asked), _) => Ok(Some(asked.clone())),
        (None, field) => Ok(field),
    }
}

/// Whether the peer waits for `100 Continue`. In HTTP/1.0 there is none, and the field means nothing.
fn expectation(version: Version, headers: &Headers) -> Result<bool, Refused> {
    if version == Version::Http10 {
        return Ok(false);
    }
    let mut values = headers.all("expect");
    match (values.next(), values.next()) {
        (None, _) => Ok(false),
        (Some(value), None) if value.eq_ignore_ascii_case(b"100-continue") => Ok(true),
        _ => Err(Refused::Expectation),
    }
}

/// Whether a peer that sent these fields wants to keep the connection (RFC 9112 §9.3).
pub(super) fn wants_to_keep(version: Version, headers: &Headers) -> bool {
    let asked = version == Version::Http11 || headers.lists("connection", "keep-alive");
    asked && !headers.lists("connection", "close")
}

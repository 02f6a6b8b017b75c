//! How the end of a body is found (RFC 9112 §6.3), and when it cannot be trusted.

use super::{headers::Headers, method::Method, refused::Refused, status::Status};

/// How the end of a message's body is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Framing {
    /// There is no body.
    Empty,
    /// It has this many bytes (`Content-Length`).
    Length(u64),
    /// It comes in chunks, the last of which is empty (`Transfer-Encoding: chunked`).
    Chunked,
    /// It ends with the connection. Only answers, and only those without the two above: nobody can tell such an end from
    /// a loss.
    UntilClose,
}

/// The versions that are spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// HTTP/1.0: no chunks, and a connection ends after an answer unless both sides say `keep-alive`.
    Http10,
    /// HTTP/1.1.
    Http11,
}

impl Version {
    /// Reads `HTTP/1.1` or `HTTP/1.0`; `malformed` is the error for what is no version at all.
    pub(super) fn parse(text: &[u8], malformed: Refused) -> Result<Self, Refused> {
        match text {
            b"HTTP/1.1" => Ok(Self::Http11),
            b"HTTP/1.0" => Ok(Self::Http10),
            [b'H', b'T', b'T', b'P', b'/', major, rest @ ..] if major.is_ascii_digit() => match rest {
                [] => Err(Refused::Version),
                [b'.', minor] if minor.is_ascii_digit() => Err(Refused::Version),
                _ => Err(malformed),
            },
            _ => Err(malformed),
        }
    }

    /// As it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        if self == Self::Http11 { "HTTP/1.1" } else { "HTTP/1.0" }
    }
}

impl Framing {
    /// The framing of a request's body.
    pub(super) fn of_request(version: Version, headers: &Headers) -> Result<Self, Refused> {
        Ok(announced(version, headers)?.unwrap_or(Self::Empty))
    }

    /// The framing of the body of an answer to a request with this method.
    pub(super) fn of_response(
        to: &Method,
        status: Status,
        version: Version,
        headers: &Headers,
    ) -> Result<Self, Refused> {
        let announced = announced(version, headers)?;
        // Who overlooked that a 204 has no body would take what it announces for one, or the next answer for it.
        let lies = status.is_interim() || status == Status::NO_CONTENT;
        if lies && !matches!(announced, None | Some(Self::Length(0))) {
            return Err(Refused::BodyForbidden);
        }
        let tunnel = *to == Method::Connect && status.is_success();
        if *to == Method::Head || status.never_has_a_body() || tunnel {
            return Ok(Self::Empty);
        }
        Ok(announced.unwrap_or(Self::UntilClose))
    }

    /// Whether there surely is no body.
    #[must_use]
    pub fn is_empty(self) -> bool {
        matches!(self, Self::Empty | Self::Length(0))
    }
}

/// What the fields say about the body, if they say one thing.
fn announced(version: Version, headers: &Headers) -> Result<Option<Framing>, Refused> {
    let coded = headers.contains("transfer-encoding");
    let length = content_length(headers)?;
    match (coded, length) {
        (true, Some(_)) => Err(Refused::LengthAndCoding),
        (true, None) if version == Version::Http10 => Err(Refused::CodingInOldVersion),
        (true, None) => transfer_coding(headers).map(Some),
        (false, length) => Ok(length.map(Framing::Length)),
    }
}

/// The one `Content-Length`. Two that agree are refused too, and so are zeros in front: some programs read octal.
fn content_length(headers: &Headers) -> Result<Option<u64>, Refused> {
    let mut values = headers.all("content-length");
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() || value.contains(&b',') {
        return Err(Refused::LengthTwice);
    }
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) || (value.len() > 1 && value[0] == b'0') {
        return Err(Refused::Length);
    }
    let length = str::from_utf8(value).ok().and_then(|digits| digits.parse().ok());
    length.map(Some).ok_or(Refused::Length)
}

/// `chunked`, once and alone. Another coding below it (`gzip, chunked`) is allowed by the RFC and not known here.
fn transfer_coding(headers: &Headers) -> Result<Framing, Refused> {
    let mut values = headers.all("transfer-encoding");
    let value = values.next().unwrap_or_default();
    if values.next().is_some() {
        return Err(Refused::Coding);
    }
    if value.eq_ignore_ascii_case(b"chunked") {
        return Ok(Framing::Chunked);
    }
    let codings: Vec<_> = value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii).collect();
    let is_chunked = |coding: &&[u8]| coding.eq_ignore_ascii_case(b"chunked");
    let (last, below) = codings.split_last().ok_or(Refused::Coding)?;
    let tokens = below.iter().all(|coding| super::method::is_token(coding));
    if is_chunked(last) && !below.is_empty() && tokens && !below.iter().any(is_chunked) {
        return Err(Refused::CodingUnknown);
    }
    Err(Refused::Coding)
}

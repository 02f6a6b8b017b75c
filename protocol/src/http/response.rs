//! An answer that is being made.

use super::{
    encode::push_answer,
    error::HttpError,
    framing::{Framing, Version},
    headers::{Headers, InvalidField},
    method::Method,
    request::Request,
    status::Status,
    writer::BodyWriter,
};
use serde::Serialize;
use serde_json::json;
use std::{borrow::Cow, fmt, io};

/// What writes a body as it goes.
type Stream = Box<dyn FnOnce(&mut BodyWriter<'_>) -> io::Result<()> + Send>;

/// An answer that is being made: status, fields, and a body that is there or will be written.
///
/// `Date`, `Content-Length`, `Transfer-Encoding` and `Connection` are not set here; they follow from what is sent.
#[derive(Debug)]
pub struct Response {
    status: Status,
    headers: Headers,
    body: Body,
}

enum Body {
    Whole(Cow<'static, [u8]>),
    Stream { length: Option<u64>, write: Stream },
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(bytes) => write!(f, "{} bytes", bytes.len()),
            Self::Stream { length, .. } => write!(f, "a stream of {length:?} bytes"),
        }
    }
}

impl Response {
    /// An answer without a body.
    #[must_use]
    pub fn new(status: Status) -> Self {
        Self { status, headers: Headers::new(), body: Body::Whole(Cow::Borrowed(&[])) }
    }

    /// An answer with this body, of this type (`text/html; charset=utf-8`).
    ///
    /// # Errors
    /// If the type cannot be sent.
    pub fn whole(
        status: Status,
        content_type: &str,
        body: impl Into<Cow<'static, [u8]>>,
    ) -> Result<Self, InvalidField> {
        Self { body: Body::Whole(body.into()), ..Self::new(status) }.header("Content-Type", content_type)
    }

    /// An answer that is text.
    #[must_use]
    pub fn text(status: Status, text: impl Into<String>) -> Self {
        Self::typed(status, "text/plain; charset=utf-8", text.into().into_bytes())
    }

    /// An answer that is JSON, with an end of line behind it for those who read it in a terminal.
    #[must_use]
    pub fn json(status: Status, value: &impl Serialize) -> Self {
        let Ok(mut bytes) = serde_json::to_vec(value) else {
            return Self::error(Status::INTERNAL_SERVER_ERROR, "The answer cannot be written as JSON.");
        };
        bytes.push(b'\n');
        Self::typed(status, "application/json", bytes)
    }

    /// An error as JSON: `{"code":"not-found","message":"…","status":404}`.
    #[must_use]
    pub fn error(status: Status, message: &str) -> Self {
        let code = status.phrase().to_ascii_lowercase().replace(' ', "-");
        Self::json(status, &json!({ "status": status.code(), "code": code, "message": message }))
    }

    /// An answer whose body is written as it goes: of this length if it is known, else in chunks. If `write` fails or
    /// panics, or writes another number of bytes, the peer is told if nothing of the answer has left yet; else the
    /// connection is cut, so that the peer sees that something is missing.
    ///
    /// # Errors
    /// If the type cannot be sent.
    pub fn stream(
        status: Status,
        content_type: &str,
        length: Option<u64>,
        write: impl FnOnce(&mut BodyWriter<'_>) -> io::Result<()> + Send + 'static,
    ) -> Result<Self, InvalidField> {
        let body = Body::Stream { length, write: Box::new(write) };
        Self { body, ..Self::new(status) }.header("Content-Type", content_type)
    }

    /// Types of ours are valid.
    fn typed(status: Status, content_type: &'static str, bytes: Vec<u8>) -> Self {
        let mut response = Self { body: Body::Whole(bytes.into()), ..Self::new(status) };
        response.headers.append("Content-Type", content_type.as_bytes());
        response
    }

    /// Adds a field.
    ///
    /// # Errors
    /// If its name is no token, or its value could end the line (CR, LF, NUL and other control characters).
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Result<Self, InvalidField> {
        self.headers.push(name, value)?;
        Ok(self)
    }

    /// Adds `Retry-After`, in seconds.
    #[must_use]
    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.headers.append("Retry-After", seconds.to_string().as_bytes());
        self
    }

    /// The status.
    #[must_use]
    pub fn status(&self) -> Status {
        self.status
    }

    /// The fields.
    pub fn headers_mut(&mut self) -> &mut Headers {
        &mut self.headers
    }

    /// How its body is framed for this peer, if the peer takes one at all.
    fn framing(&self, version: Version) -> Framing {
        if self.status.never_has_a_body() {
            return Framing::Empty;
        }
        match &self.body {
            Body::Whole(bytes) => Framing::Length(bytes.len() as u64),
            Body::Stream { length: Some(length), .. } => Framing::Length(*length),
            Body::Stream { length: None, .. } if version == Version::Http11 => Framing::Chunked,
            Body::Stream { length: None, .. } => Framing::UntilClose,
        }
    }

    /// Sends it as the answer to this request (`None`: to one that could not be read). Returns whether the connection can
    /// be kept, which it is not if `keep` is false.
    pub(super) fn send(
        self,
        connection: &mut super::HttpConnection,
        request: Option<&Request>,
        keep: bool,
    ) -> Result<bool, HttpError> {
        let version = request.map_or(Version::Http11, |request| request.version);
        let framing = self.framing(version);
        let keep = keep && framing != Framing::UntilClose;
        let head = self.head(framing, version, keep);
        let silent = framing == Framing::Empty || request.is_some_and(|request| request.method == Method::Head);
        match self.body {
            _ if silent => connection.send(&[&head])?,
            Body::Whole(bytes) => connection.send(&[&head, &bytes])?,
            Body::Stream { write, .. } => {
                let mut writer = connection.write(head, framing);
                write(&mut writer)?;
                writer.finish()?;
            }
        }
        Ok(keep)
    }

    fn head(&self, framing: Framing, version: Version, keep: bool) -> Vec<u8> {
        let mut head = Vec::with_capacity(256);
        let connection = match (keep, version) {
            (false, _) => Some("close"),
            (true, Version::Http10) => Some("keep-alive"),
            (true, Version::Http11) => None,
        };
        push_answer(&mut head, self.status, &self.headers, framing, connection);
        head
    }

    /// The bytes of an answer that is sent to someone who is not served. A body that would have to be written is left out.
    pub(super) fn into_farewell(self) -> Vec<u8> {
        let body = if let Body::Whole(bytes) = &self.body { bytes.clone() } else { Cow::Borrowed(&[][..]) };
        let mut bytes = self.head(Framing::Length(body.len() as u64), Version::Http11, false);
        bytes.extend_from_slice(&body);
        bytes
    }
}

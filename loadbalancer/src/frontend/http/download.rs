//! What the client has of its answer, and what it is still owed.

use super::resume::Resume;
use protocol::http::{Answer, Framing, Headers, Method, Request, Status, Version, encode};

/// The answer as the client gets it.
#[derive(Debug, Default)]
pub(super) struct Download {
    /// How its body is framed, once any of it was sent.
    framing: Option<Framing>,
    /// How to go on elsewhere, if that can be.
    resume: Option<Resume>,
    /// Its status, once it is known.
    pub(super) status: Option<Status>,
    /// Bytes of the body that were passed.
    pub(super) passed: u64,
    /// Whether the client's connection is kept behind it.
    pub(super) keep: bool,
}

impl Download {
    /// Whether the client has any of it.
    pub(super) fn has_begun(&self) -> bool {
        self.framing.is_some()
    }

    /// How to go on with it elsewhere, if it has begun and can.
    pub(super) fn resume(&self) -> Option<&Resume> {
        self.resume.as_ref().filter(|_| self.has_begun())
    }

    /// How its body is framed.
    pub(super) fn framing(&self) -> Framing {
        self.framing.unwrap_or(Framing::Empty)
    }

    /// How many bytes of the body may still follow.
    pub(super) fn room(&self) -> u64 {
        match self.framing() {
            Framing::Length(length) => length.saturating_sub(self.passed),
            Framing::Empty => 0,
            Framing::Chunked | Framing::UntilClose => u64::MAX,
        }
    }

    /// Whether the client was promised more than it has got.
    pub(super) fn is_owed(&self) -> bool {
        matches!(self.framing(), Framing::Length(_)) && self.room() > 0
    }

    /// So many more bytes of the body were passed.
    pub(super) fn passed(&mut self, bytes: u64) {
        self.passed += bytes;
        if let Some(resume) = &mut self.resume {
            resume.passed(bytes);
        }
    }

    /// The answer begins: returns its head. `known`: the length of its body, if all of it is there. `keep`: whether the
    /// client's connection could be kept.
    pub(super) fn begin(
        &mut self,
        (request, answer): (&Request, &Answer),
        headers: &Headers,
        known: Option<u64>,
        keep: bool,
    ) -> Vec<u8> {
        let framing = framing(request.version, answer, known);
        self.keep = keep && framing != Framing::UntilClose;
        self.framing = Some(framing);
        self.resume = Resume::of(&request.method, answer);
        self.status = Some(answer.status);
        // A body that is not sent is announced all the same: HEAD asks for nothing else.
        let announced = if framing == Framing::Empty { announced(request, answer) } else { framing };
        let connection = match (self.keep, request.version) {
            (false, _) => Some("close"),
            (true, Version::Http10) => Some("keep-alive"),
            (true, Version::Http11) => None,
        };
        let mut head = Vec::with_capacity(512);
        encode::push_answer(&mut head, answer.status, headers, announced, connection);
        head
    }
}

/// How the body is framed for a client that speaks this version.
fn framing(version: Version, answer: &Answer, known: Option<u64>) -> Framing {
    match (answer.framing, known) {
        (Framing::Empty, _) => Framing::Empty,
        (Framing::Length(length), _) | (_, Some(length)) => Framing::Length(length),
        _ if version == Version::Http11 => Framing::Chunked,
        _ => Framing::UntilClose,
    }
}

/// What is said about a body that is not sent.
fn announced(request: &Request, answer: &Answer) -> Framing {
    let may_tell = request.method == Method::Head || answer.status == Status::NOT_MODIFIED;
    let length = answer.headers.get("content-length").and_then(|digits| digits.parse().ok());
    match length {
        Some(length) if may_tell && !answer.status.is_interim() && answer.status != Status::NO_CONTENT => {
            Framing::Length(length)
        }
        _ => Framing::Empty,
    }
}

//! Finding the bytes of a body among those of a connection: a state machine without I/O.
//!
//! The connection shows it what has come, and it says how many bytes are coding (sizes of chunks, ends of lines) and
//! how many behind them are certain to belong to the body, which is never copied here.
//!
//! A chunked body, byte by byte (`\r\n` is the end of a line):
//!
//! ```text
//! 5\r\n        coding: a chunk of 5 bytes follows
//! hello\r\n    5 bytes of the body, then the end of the chunk
//! 0\r\n        coding: the last chunk
//! ETag: x\r\n  a trailer field
//! \r\n         the end
//! ```

use super::{
    framing::Framing,
    headers::Headers,
    limits::{MAX_EXTENSION, MAX_EXTENSIONS, MAX_SIZE_DIGITS, MAX_TRAILER},
    lines::{Lines, Of},
    refused::Refused,
    target::hex,
};

/// Where in its body a message is.
#[derive(Clone, Debug)]
pub struct Decoder {
    state: State,
    /// How many bytes of extensions may still come.
    extensions: usize,
    /// The trailer, gathered until its end is there.
    gathered: Vec<u8>,
    lines: Lines,
    trailer: Headers,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// So many bytes are left; then the message is over.
    Length(u64),
    /// All that comes belongs to the body.
    UntilClose,
    /// In the digits of a chunk's size.
    Size { digits: u8, value: u64 },
    /// In a chunk's extensions.
    Extension { length: usize, value: u64 },
    /// Behind the CR of the line with the size.
    SizeEnd { value: u64 },
    /// In a chunk, with so many bytes left.
    Data(u64),
    /// Behind the last byte of a chunk: CR must come, then LF.
    DataEnd { cr: bool },
    /// Behind the last chunk.
    Trailer,
    /// The message is over.
    Done,
}

impl Decoder {
    /// At the beginning of a body with this framing.
    #[must_use]
    pub fn new(framing: Framing) -> Self {
        let state = match framing {
            Framing::Empty | Framing::Length(0) => State::Done,
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => State::Size { digits: 0, value: 0 },
            Framing::UntilClose => State::UntilClose,
        };
        let (gathered, trailer) = (Vec::new(), Headers::new());
        Self { state, extensions: MAX_EXTENSIONS, gathered, lines: Lines::new(Of::Trailer), trailer }
    }

    /// Whether the body has come to its end.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// How many of the next bytes surely belong to the body.
    #[must_use]
    pub fn certain(&self) -> u64 {
        match self.state {
            State::Length(left) | State::Data(left) => left,
            State::UntilClose => u64::MAX,
            _ => 0,
        }
    }

    /// How much of the body is left, where that is known: of a chunked one it is not.
    #[must_use]
    pub fn left(&self) -> Option<u64> {
        match self.state {
            State::Length(left) => Some(left),
            State::Done => Some(0),
            _ => None,
        }
    }

    /// The fields behind a chunked body, once it is done. Those that would change how the message is understood
    /// (`Content-Length`, `Host` …) are not among them.
    #[must_use]
    pub fn trailer(&self) -> &Headers {
        &self.trailer
    }

    /// Looks at the bytes that come next and returns how many of them are coding and to be passed over. Behind them, if
    /// any are left, come [`Decoder::certain`] bytes of the body, or the next message.
    ///
    /// # Errors
    /// If they break the rules of chunks.
    pub fn coding(&mut self, bytes: &[u8]) -> Result<usize, Refused> {
        let mut used = 0;
        while used < bytes.len() && !self.is_done() && self.certain() == 0 {
            if self.state == State::Trailer {
                used += self.read_trailer(&bytes[used..])?;
            } else {
                self.state = self.after(bytes[used])?;
                used += 1;
            }
        }
        Ok(used)
    }

    /// So many bytes of the body (at most [`Decoder::certain`]) have been taken.
    pub fn passed(&mut self, bytes: usize) {
        let bytes = bytes as u64;
        self.state = match self.state {
            State::Length(left) if left <= bytes => State::Done,
            State::Length(left) => State::Length(left - bytes),
            State::Data(left) if left <= bytes => State::DataEnd { cr: false },
            State::Data(left) => State::Data(left - bytes),
            other => other,
        };
    }

    /// The connection has ended.
    ///
    /// # Errors
    /// [`Refused::Cut`] if more had to come.
    pub fn end(&mut self) -> Result<(), Refused> {
        if !matches!(self.state, State::UntilClose | State::Done) {
            return Err(Refused::Cut);
        }
        self.state = State::Done;
        Ok(())
    }

    /// The state behind this byte of coding.
    fn after(&mut self, byte: u8) -> Result<State, Refused> {
        match self.state {
            State::Size { digits, value } => size(digits, value, byte),
            State::Extension { value, .. } if byte == b'\r' => Ok(State::SizeEnd { value }),
            State::Extension { length, value } => {
                let harmless = byte == b'\t' || (byte >= b' ' && byte != 0x7f);
                if !harmless || length == MAX_EXTENSION || self.extensions == 0 {
                    return Err(Refused::ChunkExtension);
                }
                self.extensions -= 1;
                Ok(State::Extension { length: length + 1, value })
            }
            State::SizeEnd { value: 0 } if byte == b'\n' => Ok(State::Trailer),
            State::SizeEnd { value } if byte == b'\n' => Ok(State::Data(value)),
            State::DataEnd { cr: false } if byte == b'\r' => Ok(State::DataEnd { cr: true }),
            State::DataEnd { cr: true } if byte == b'\n' => Ok(State::Size { digits: 0, value: 0 }),
            _ => Err(Refused::ChunkEnd),
        }
    }

    /// Gathers the trailer; returns how many bytes it took.
    fn read_trailer(&mut self, bytes: &[u8]) -> Result<usize, Refused> {
        let before = self.gathered.len();
        let part = bytes.len().min(MAX_TRAILER + 1 - before);
        self.gathered.extend_from_slice(&bytes[..part]);
        let Some(found) = self.lines.find(&self.gathered)? else { return Ok(part) };
        self.trailer = Headers::parse(&self.gathered[found.clone()])?;
        for name in FORBIDDEN_IN_TRAILER {
            self.trailer.remove(name);
        }
        self.state = State::Done;
        Ok(found.end - before)
    }
}

/// The state behind this byte of a chunk's size.
fn size(digits: u8, value: u64, byte: u8) -> Result<State, Refused> {
    match hex(byte) {
        Some(_) if digits == MAX_SIZE_DIGITS => Err(Refused::ChunkSize),
        Some(digit) => Ok(State::Size { digits: digits + 1, value: value << 4 | u64::from(digit) }),
        None if digits == 0 => Err(Refused::ChunkSize),
        None if byte == b';' => Ok(State::Extension { length: 0, value }),
        None if byte == b'\r' => Ok(State::SizeEnd { value }),
        None => Err(Refused::ChunkSize),
    }
}

/// Fields that mean nothing behind a body, because they say how it is to be read, to whom it goes, or who sent it
/// (RFC 9110 §6.5.1). A sender could otherwise change what was already decided.
const FORBIDDEN_IN_TRAILER: [&str; 22] = [
    "authorization",
    "cache-control",
    "connection",
    "content-encoding",
    "content-length",
    "content-range",
    "content-type",
    "cookie",
    "expect",
    "host",
    "if-match",
    "if-none-match",
    "keep-alive",
    "max-forwards",
    "proxy-authorization",
    "range",
    "set-cookie",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
];

//! Frames: where one message ends and the next begins.
//!
//! **The problem.** TCP carries bytes, not messages. One `write` may arrive as three `read`s, three `write`s as
//! one. A program that takes one `read` for one message works in the classroom and fails in the corridor: it cuts
//! long answers, and what was cut off is later taken for the beginning of the next.
//!
//! **The idea.** Say the length first. Every message is a *frame*: a prefix of 32 bytes that never changes its
//! shape, then a small JSON header, then a raw body, each as long as the prefix says.
//!
//! ```text
//!  0  4  magic "LABP"          who speaks here: a stranger is recognised by his first four bytes
//!  4  1  version               1
//!  5  1  kind                  an ASCII letter: upper case asks, lower case answers
//!  6  2  flags
//!  8 16  request id            client number and sequence; the load balancer's tag towards a server
//! 24  4  length of the header  at most 16 KiB
//! 28  4  length of the body    at most 4 MiB
//! ```
//!
//! All numbers are big endian. `F` of 60 header bytes and no body begins, in a hex dump, with
//! `4c 41 42 50 01 46 00 00 …`, readable as `LABP.F..`. A relay needs only the prefix to pass a frame on: it reads
//! 32 bytes, knows how many follow, and copies them without looking at them or holding them.
//!
//! **When it is wrong.** A length that lies makes the receiver wait for bytes that never come (hence a deadline on
//! every read) or take the next frame's prefix for body (hence the magic, which makes the mistake visible at
//! once). A length that is too large is refused before anything is allocated.
//!
//! **Versions.** The prefix and the error frame are the same in all versions, so that a side can always tell the
//! other which version it speaks. Unknown JSON keys are ignored. An unknown kind is an error: it might be a
//! request whose meaning we would get wrong.
//!
//! Sources: W. R. Stevens, *UNIX Network Programming* I, §3.10 (`readn`, `writen`); HTTP/2's frame layout in
//! RFC 9113 §4.1 is the same idea with 9 bytes.

use crate::{
    id::RequestId,
    limits::{MAX_BODY, MAX_HEADER},
};

/// The first four bytes of every frame.
pub const MAGIC: [u8; 4] = *b"LABP";

/// The version of the protocol that this side speaks.
pub const VERSION: u8 = 1;

/// Length of the prefix in bytes.
pub const PREFIX_LEN: usize = 32;

/// Flag of a request that must not write, whatever its text says: duplicates and hedges carry it.
pub const FLAG_READ_ONLY: u16 = 0x0001;

/// Flag of a request that was sent before, and may have been carried out: whoever gets it looks for its record first.
pub const FLAG_REPEATED: u16 = 0x0002;

/// What a frame is. On the wire an ASCII letter: upper case asks, lower case answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    /// `F`: asks for a file.
    File = b'F',
    /// `Q`: asks for the result of an SQL statement, which is the body.
    Query = b'Q',
    /// `P`: asks for a pong, to measure the path alone.
    Ping = b'P',
    /// `S`: asks the load balancer for its list of servers.
    Servers = b'S',
    /// `K`: takes back the request of this id, sent earlier on the same connection.
    Cancel = b'K',
    /// `I`: asks a server who it is (control port).
    Identify = b'I',
    /// `B`: asks a server whether it lives (control port).
    Heartbeat = b'B',
    /// `J`: a server would like to join (registration port).
    Join = b'J',
    /// `R`: a server says who it is, with the proof that it may (registration port).
    Register = b'R',
    /// `L`: a member renews its lease (registration port).
    Lease = b'L',
    /// `h`: begins an answer.
    Head = b'h',
    /// `d`: a chunk of a file, or a batch of rows.
    Data = b'd',
    /// `e`: ends an answer that is complete.
    End = b'e',
    /// `x`: ends an answer that failed, at its beginning or in its middle.
    Error = b'x',
    /// `p`: answers a ping.
    Pong = b'p',
    /// `s`: the load balancer's list of servers.
    ServerList = b's',
    /// `i`: says who this server is.
    Identity = b'i',
    /// `b`: answers a heartbeat.
    Alive = b'b',
    /// `j`: says what must be proved.
    Challenge = b'j',
    /// `r`: the server is a member.
    Registered = b'r',
    /// `l`: the lease is renewed.
    Renewed = b'l',
}

impl Kind {
    const ALL: [Self; 21] = [
        Self::File,
        Self::Query,
        Self::Ping,
        Self::Servers,
        Self::Cancel,
        Self::Identify,
        Self::Heartbeat,
        Self::Join,
        Self::Register,
        Self::Lease,
        Self::Head,
        Self::Data,
        Self::End,
        Self::Error,
        Self::Pong,
        Self::ServerList,
        Self::Identity,
        Self::Alive,
        Self::Challenge,
        Self::Registered,
        Self::Renewed,
    ];

    fn from_byte(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u8 == byte)
    }

    /// Whether an answer is over with this frame.
    #[must_use]
    pub fn ends_an_answer(self) -> bool {
        matches!(self, Self::End | Self::Error | Self::Pong | Self::ServerList)
    }
}

/// The 32 bytes before everything else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefix {
    /// What the frame is.
    pub kind: Kind,
    /// Bits such as [`FLAG_READ_ONLY`]; unknown ones are ignored.
    pub flags: u16,
    /// The request this frame asks or answers.
    pub id: RequestId,
    /// Length of the JSON header in bytes, at most [`MAX_HEADER`].
    pub header_len: u32,
    /// Length of the body in bytes, at most [`MAX_BODY`].
    pub body_len: u32,
}

/// Why 32 bytes are not the prefix of a frame.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum FrameError {
    /// The first four bytes are not [`MAGIC`].
    #[error("The other side does not speak the lab protocol: a frame begins with LABP, and here come the bytes {}.", printable(.0))]
    Magic([u8; 4]),
    /// Another version of the protocol.
    #[error("The other side speaks version {0} of the lab protocol; this side speaks version {VERSION}.")]
    Version(u8),
    /// A letter that names no kind of frame.
    #[error("There is no frame of kind {} in version {VERSION} of the lab protocol.", printable(&[*.0]))]
    Kind(u8),
    /// A header longer than the limit.
    #[error("The frame announces a header of {0} bytes; at most {MAX_HEADER} are allowed.")]
    Header(u32),
    /// A body longer than the limit.
    #[error("The frame announces a body of {0} bytes; at most {MAX_BODY} are allowed.")]
    Body(u32),
}

fn printable(bytes: &[u8]) -> String {
    format!("\"{}\"", bytes.escape_ascii())
}

impl Prefix {
    /// The prefix of a frame with these parts, whose lengths the caller has kept within the limits.
    #[must_use]
    pub fn new(kind: Kind, id: RequestId, header_len: usize, body_len: usize) -> Self {
        debug_assert!(header_len <= MAX_HEADER && body_len <= MAX_BODY, "{header_len} {body_len}");
        Self { kind, flags: 0, id, header_len: header_len as u32, body_len: body_len as u32 }
    }

    /// The same frame under another id: how a relay puts its tag on a request, and takes it off an answer.
    #[must_use]
    pub fn with_id(self, id: RequestId) -> Self {
        Self { id, ..self }
    }

    /// Whether the request must not write.
    #[must_use]
    pub fn read_only(&self) -> bool {
        self.flags & FLAG_READ_ONLY != 0
    }

    /// The same request, marked as one that must not write.
    #[must_use]
    pub fn as_read_only(self) -> Self {
        Self { flags: self.flags | FLAG_READ_ONLY, ..self }
    }

    /// The same request, marked as one that was sent before.
    #[must_use]
    pub fn as_repeated(self) -> Self {
        Self { flags: self.flags | FLAG_REPEATED, ..self }
    }

    /// Whether the request was sent before, and may have been carried out.
    #[must_use]
    pub fn repeated(&self) -> bool {
        self.flags & FLAG_REPEATED != 0
    }

    /// Header and body together, in bytes.
    #[must_use]
    pub fn rest_len(&self) -> usize {
        self.header_len as usize + self.body_len as usize
    }

    /// The prefix as it goes over the wire.
    #[must_use]
    pub fn encode(&self) -> [u8; PREFIX_LEN] {
        let mut bytes = [0; PREFIX_LEN];
        bytes[0..4].copy_from_slice(&MAGIC);
        bytes[4] = VERSION;
        bytes[5] = self.kind as u8;
        bytes[6..8].copy_from_slice(&self.flags.to_be_bytes());
        bytes[8..24].copy_from_slice(&self.id.to_bytes());
        bytes[24..28].copy_from_slice(&self.header_len.to_be_bytes());
        bytes[28..32].copy_from_slice(&self.body_len.to_be_bytes());
        bytes
    }

    /// Reads a prefix.
    ///
    /// # Errors
    /// What is wrong with it, in the order of the fields: a stranger is told that he is a stranger before he is
    /// told that his lengths are odd.
    pub fn decode(bytes: &[u8; PREFIX_LEN]) -> Result<Self, FrameError> {
        let number = |at: usize| u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        if bytes[0..4] != MAGIC {
            return Err(FrameError::Magic([bytes[0], bytes[1], bytes[2], bytes[3]]));
        }
        if bytes[4] != VERSION {
            return Err(FrameError::Version(bytes[4]));
        }
        let kind = Kind::from_byte(bytes[5]).ok_or(FrameError::Kind(bytes[5]))?;
        let mut id = [0; 16];
        id.copy_from_slice(&bytes[8..24]);
        let prefix = Self {
            kind,
            flags: u16::from_be_bytes([bytes[6], bytes[7]]),
            id: RequestId::from_bytes(id),
            header_len: number(24),
            body_len: number(28),
        };
        if prefix.header_len as usize > MAX_HEADER {
            return Err(FrameError::Header(prefix.header_len));
        }
        if prefix.body_len as usize > MAX_BODY {
            return Err(FrameError::Body(prefix.body_len));
        }
        Ok(prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn example() -> Prefix {
        Prefix { flags: FLAG_READ_ONLY, ..Prefix::new(Kind::Query, RequestId { client: 1, sequence: 2 }, 60, 9) }
    }

    #[test]
    fn the_layout_is_the_documented_one() {
        let bytes = example().encode();
        assert_eq!(&bytes[..8], b"LABP\x01Q\x00\x01");
        assert_eq!(&bytes[8..24], b"\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\x02");
        assert_eq!(&bytes[24..], b"\0\0\0\x3c\0\0\0\x09");
        assert_eq!(Prefix::decode(&bytes), Ok(example()));
    }

    #[test]
    fn each_wrong_field_is_named() {
        let broken = |at: usize, byte: u8| {
            let mut bytes = example().encode();
            bytes[at] = byte;
            Prefix::decode(&bytes).expect_err("a broken prefix")
        };
        assert_eq!(broken(0, b'H'), FrameError::Magic(*b"HABP"));
        assert_eq!(broken(4, 9), FrameError::Version(9));
        assert_eq!(broken(5, b'?'), FrameError::Kind(b'?'));
        assert_eq!(broken(24, 0xff), FrameError::Header(0xff00_003c));
        assert_eq!(broken(28, 0x01), FrameError::Body(0x0100_0009));
        assert_eq!(
            broken(4, 9).to_string(),
            "The other side speaks version 9 of the lab protocol; this side speaks version 1."
        );
    }

    #[test]
    fn letters_are_unique_and_their_case_tells_the_direction() {
        let in_between = |kind| {
            use Kind::{Alive, Challenge, Data, Head, Identity, Registered, Renewed};
            matches!(kind, Head | Data | Identity | Alive | Challenge | Registered | Renewed)
        };
        for kind in Kind::ALL {
            assert_eq!(Kind::from_byte(kind as u8), Some(kind));
            assert_eq!((kind as u8).is_ascii_lowercase(), kind.ends_an_answer() || in_between(kind));
        }
    }

    proptest! {
        #[test]
        fn any_32_bytes_are_a_prefix_or_an_error_never_a_panic(bytes in proptest::array::uniform32(any::<u8>())) {
            if let Ok(prefix) = Prefix::decode(&bytes) {
                prop_assert_eq!(prefix.encode(), bytes);
            }
        }

        #[test]
        fn what_is_encoded_is_decoded(client: u64, sequence: u64, flags: u16, header in 0..=MAX_HEADER, body in 0..=MAX_BODY, kind in 0..Kind::ALL.len()) {
            let prefix = Prefix { flags, ..Prefix::new(Kind::ALL[kind], RequestId { client, sequence }, header, body) };
            prop_assert_eq!(Prefix::decode(&prefix.encode()), Ok(prefix));
        }
    }
}

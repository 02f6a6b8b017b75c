//! Names of requests.
//!
//! **The problem.** An answer that comes late must not be taken for the answer to the next question. Where
//! messages carry no name that mistake is unavoidable, and from then on every answer belongs to another question.
//!
//! **The idea.** A client draws a random 64-bit number when it starts and counts its requests; both together name
//! a request. The client never talks to another client, so nothing has to be agreed: two of a million clients
//! share a number with probability 3 · 10⁻⁸. And nobody has to trust even that: the load balancer gives each
//! attempt at a server a *tag* of its own (the same 16 bytes, drawn by the load balancer), so that clients whose
//! ids collide still get their own answers.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::{fmt, str::FromStr};

/// Name of one request: who asked (a random number) and that client's count. 16 bytes on the wire, 33 characters
/// as text: `5f1d3a9c00b7e214-0000000000000001`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct RequestId {
    /// The client's random number.
    pub client: u64,
    /// The client's count of requests, from 1.
    pub sequence: u64,
}

impl RequestId {
    /// The id of nothing in particular: used in frames that answer no request, such as the refusal of a connection.
    pub const NONE: Self = Self { client: 0, sequence: 0 };

    /// The id as it stands in a frame's prefix, big endian.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 16] {
        ((u128::from(self.client) << 64) | u128::from(self.sequence)).to_be_bytes()
    }

    /// Reads the id from a frame's prefix.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        let both = u128::from_be_bytes(bytes);
        Self { client: (both >> 64) as u64, sequence: both as u64 }
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}-{:016x}", self.client, self.sequence)
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why a text is not the id of a request.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("A request id is two numbers of 16 hexadecimal digits joined by '-', as 5f1d3a9c00b7e214-0000000000000001.")]
pub struct NotAnId;

impl FromStr for RequestId {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        let (client, sequence) = text.split_once('-').ok_or(NotAnId)?;
        Ok(Self { client: hex64(client)?, sequence: hex64(sequence)? })
    }
}

fn hex64(digits: &str) -> Result<u64, NotAnId> {
    let plain = digits.len() == 16 && digits.bytes().all(|b| b.is_ascii_hexdigit());
    if !plain {
        return Err(NotAnId);
    }
    u64::from_str_radix(digits, 16).map_err(|_| NotAnId)
}

impl Serialize for RequestId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for RequestId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

/// Hands out the ids of one client (or the tags of one load balancer), in order.
#[derive(Debug)]
pub struct IdSource {
    client: u64,
    last: std::sync::atomic::AtomicU64,
}

impl IdSource {
    /// A source for this client number. Draw the number at random, once a process.
    #[must_use]
    pub fn new(client: u64) -> Self {
        Self { client, last: std::sync::atomic::AtomicU64::new(0) }
    }

    /// The next id; never the same twice.
    pub fn next(&self) -> RequestId {
        let sequence = self.last.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1;
        RequestId { client: self.client, sequence }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_and_text_lead_back_to_the_same_id() {
        let id = RequestId { client: 0x5f1d_3a9c_00b7_e214, sequence: 258 };
        assert_eq!(RequestId::from_bytes(id.to_bytes()), id);
        assert_eq!(id.to_string(), "5f1d3a9c00b7e214-0000000000000102");
        assert_eq!(id.to_string().parse(), Ok(id));
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            "-",
            "1-2",
            "5f1d3a9c00b7e214-00000000000001g2",
            "+f1d3a9c00b7e214-0000000000000102",
            "5f1d3a9c00b7e2140000000000000102",
        ] {
            assert_eq!(text.parse::<RequestId>(), Err(NotAnId), "{text:?}");
        }
    }

    #[test]
    fn a_source_counts_from_one() {
        let source = IdSource::new(7);
        assert_eq!(source.next(), RequestId { client: 7, sequence: 1 });
        assert_eq!(source.next(), RequestId { client: 7, sequence: 2 });
    }
}

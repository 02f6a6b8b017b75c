//! Names of requests.
//!
//! **The problem.** An answer that comes late must not be taken for the answer to the next question. Where
//! messages carry no name that mistake is unavoidable, and from then on every answer belongs to another question.
//!
//! **The idea.** A client draws a number when it starts and counts its requests; both together name a request. The
//! client never talks to another client, so nothing has to be agreed. And nobody has to trust even that: the load
//! balancer gives each attempt at a server a *tag* of its own (the same 16 bytes, drawn by the load balancer), so
//! that clients whose ids collide still get their own answers.
//!
//! **Ids have an age.** A write is carried out once because its id is recorded with it, and a repeat finds the record.
//! Records cannot be kept for ever, and a repeat that comes after its record is gone would be carried out again. So
//! a client number says when it was drawn: 24 bits of minutes since 2020, then 40 random bits. Whoever keeps records
//! refuses ids that are older than what it keeps. A client that stays draws a new number every [`RENEW_AFTER`], so
//! that its ids stay young. Two of a thousand clients that draw in the same minute share a number with probability
//! 5 · 10⁻⁷.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::{
    fmt,
    str::FromStr,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// How long a client uses a number before it draws a new one.
pub const RENEW_AFTER: Duration = Duration::from_secs(10 * 60);

/// Random bits of a client number; the minutes stand above them.
const RANDOM_BITS: u32 = 40;

/// 2020-01-01T00:00:00Z in seconds since 1970: the minutes of client numbers count from here, and last until 2051.
const EPOCH_2020: u64 = 1_577_836_800;

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

    /// How old the id's client number is at this time, in minutes; numbers from the future are 0 minutes old.
    #[must_use]
    pub fn age_minutes(self, now: SystemTime) -> u64 {
        minutes(now).saturating_sub(self.client >> RANDOM_BITS)
    }

    /// How far the id's client number lies in the future of this time, in minutes: more than a few means that one
    /// of two clocks is wrong, and that the id would look young for too long.
    #[must_use]
    pub fn minutes_ahead(self, now: SystemTime) -> u64 {
        (self.client >> RANDOM_BITS).saturating_sub(minutes(now))
    }

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
        // By hand: every HTTP request and answer carries one, and this is a tenth of what `{:016x}` costs.
        let mut text = [b'-'; 33];
        for (at, number) in [(0, self.client), (17, self.sequence)] {
            for (digit, place) in text[at..at + 16].iter_mut().zip((0..64).step_by(4).rev()) {
                *digit = b"0123456789abcdef"[(number >> place & 15) as usize];
            }
        }
        f.write_str(str::from_utf8(&text).map_err(|_| fmt::Error)?)
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

/// A client number drawn at this time.
#[must_use]
pub fn draw_client_number(now: SystemTime) -> u64 {
    minutes(now) << RANDOM_BITS | fastrand::u64(..1 << RANDOM_BITS)
}

/// Minutes since 2020, in 24 bits.
fn minutes(now: SystemTime) -> u64 {
    let seconds = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    (seconds.saturating_sub(EPOCH_2020) / 60) & 0xff_ffff
}

/// Hands out ids that share a number, in order: the tags of a load balancer, or the requests of a short-lived client.
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

/// Hands out the ids of a client that asks one request after the other, and knows which of them are settled.
#[derive(Debug)]
pub struct ClientIds {
    client: u64,
    drawn: SystemTime,
    last: u64,
    /// The lowest sequence whose outcome the client may still ask for.
    low_water: u64,
}

impl ClientIds {
    /// A source whose number is drawn at this time.
    #[must_use]
    pub fn new(now: SystemTime) -> Self {
        Self { client: draw_client_number(now), drawn: now, last: 0, low_water: 1 }
    }

    /// The next id, and the low-water mark to send with it: everything below is settled.
    pub fn next(&mut self, now: SystemTime) -> (RequestId, u64) {
        let renew = now.duration_since(self.drawn).is_ok_and(|age| age >= RENEW_AFTER);
        if renew {
            *self = Self::new(now);
        }
        self.last += 1;
        (RequestId { client: self.client, sequence: self.last }, self.low_water)
    }

    /// The outcome of this request is known: nobody will ask for it again. A request that stays unsettled keeps the
    /// mark where it is, and with it the records of all later ones.
    pub fn settled(&mut self, id: RequestId) {
        if id.client == self.client && id.sequence == self.low_water {
            self.low_water += 1;
        }
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

    #[test]
    fn a_number_tells_its_age() {
        let at = |minutes: u64| UNIX_EPOCH + Duration::from_secs(EPOCH_2020 + minutes * 60);
        let id = RequestId { client: draw_client_number(at(1_000)), sequence: 1 };
        assert_eq!((id.age_minutes(at(1_000)), id.age_minutes(at(1_090)), id.age_minutes(at(5))), (0, 90, 0));
        assert_eq!((id.minutes_ahead(at(990)), id.minutes_ahead(at(1_090))), (10, 0));
    }

    #[test]
    fn a_client_that_stays_renews_its_number_and_settles_in_order() {
        let begin = SystemTime::now();
        let mut ids = ClientIds::new(begin);
        let (first, _) = ids.next(begin);
        let (second, mark) = ids.next(begin);
        assert_eq!((second.sequence, mark), (2, 1));
        ids.settled(first);
        assert_eq!(ids.next(begin), (RequestId { client: first.client, sequence: 3 }, 2));
        let (later, mark) = ids.next(begin + RENEW_AFTER);
        assert_ne!(later.client, first.client);
        assert_eq!((later.sequence, mark), (1, 1));
    }
}

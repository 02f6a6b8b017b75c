//! What requests have in common: the key by which a ring of hashes sends them to the same server, and the client whose
//! turn it is in the queue.

use super::request::Request;
use protocol::id::RequestId;
use std::net::IpAddr;
use xxhash_rust::xxh3::xxh3_64;

/// What a request is hashed by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum HashKey {
    /// Who asks: a client keeps its server
    Client,
    /// What is asked: the same file or statement goes to the same server, which may have it at hand
    #[default]
    Text,
    /// The request's own id: requests are spread evenly
    Request,
    /// A random number of six digits for each request, as in the coursework
    SixDigits,
}

impl HashKey {
    /// The key of this request.
    #[must_use]
    pub fn of(self, request: &Request) -> u64 {
        let text = || match &request.file {
            Some(file) => xxh3_64(file.name.as_bytes()),
            None => xxh3_64(&request.body),
        };
        self.pick(|| client(request), text, request.prefix.id)
    }

    /// The key of a request with this id: the hash of its client, of its text, or of the id.
    #[must_use]
    pub fn pick(self, client: impl FnOnce() -> u64, text: impl FnOnce() -> u64, id: RequestId) -> u64 {
        match self {
            Self::Client => client(),
            Self::Text => text(),
            Self::Request => of_id(id),
            Self::SixDigits => six_digits(id),
        }
    }
}

/// The hash of a client's address.
#[must_use]
pub fn of_ip(client: IpAddr) -> u64 {
    match client {
        IpAddr::V4(v4) => xxh3_64(&v4.octets()),
        IpAddr::V6(v6) => xxh3_64(&v6.octets()),
    }
}

/// The hash of a request's id.
#[must_use]
pub fn of_id(id: RequestId) -> u64 {
    xxh3_64(&id.to_bytes())
}

/// A number of six digits, as random as the hash of the id: no dice are needed, and the same id has the same number.
#[must_use]
pub fn six_digits(id: RequestId) -> u64 {
    100_000 + of_id(id) % 900_000
}

/// Whose request this is: clients of the same name are one.
#[must_use]
pub fn client(request: &Request) -> u64 {
    xxh3_64(request.client.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn six_digits_are_spread_over_all_numbers_of_six_digits() {
        let number = |sequence| six_digits(RequestId { client: 7, sequence });
        let drawn: Vec<u64> = (0..9_000).map(number).collect();
        assert!(drawn.iter().all(|number| (100_000..1_000_000).contains(number)));
        // Of 9,000 in nine parts each gets a thousand, give or take five standard deviations (30).
        for part in 1..=9 {
            let count = drawn.iter().filter(|number| **number / 100_000 == part).count();
            assert!((850..=1_150).contains(&count), "{count} begin with {part}");
        }
        assert_eq!(number(3), number(3));
    }
}

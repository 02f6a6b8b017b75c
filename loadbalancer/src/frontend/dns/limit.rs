//! How much one network may ask in datagrams. Pure.
//!
//! **The problem.** The sender of a datagram may be a lie: then the answers flood somebody who never asked. Cookies and short
//! answers make that unattractive; a limit ends it.
//!
//! **The idea.** A bucket of tokens for each network (/24 of IPv4, /56 of IPv6): so many answers a second, and at most a
//! second's worth at once. Beyond that every second query gets an empty answer that says "ask over TCP" (TC), the others
//! nothing. Whoever asked really does so, and is answered there; whoever was lied about is spared.
//!
//! **Simplified.** There is a fixed number of buckets, and networks share them by hash: memory stays flat, and now and then two
//! networks have one limit together. BIND's and NSD's response rate limiting counts by network *and* answer.
//!
//! Source: P. Vixie, V. Schryver, *DNS Response Rate Limiting*, ISC-TN-2012-1.

use std::{net::IpAddr, time::Duration};
use xxhash_rust::xxh3::xxh3_64;

/// How many buckets there are.
const BUCKETS: usize = 16_384;

/// What a query gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allowed {
    /// Its answer.
    Answer,
    /// Word that it may ask over TCP.
    OverTcp,
    /// Nothing.
    Nothing,
}

/// The buckets.
#[derive(Debug)]
pub struct Limit {
    per_second: f64,
    buckets: Vec<Bucket>,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    tokens: f64,
    filled: Duration,
    /// How many in a row found it empty.
    empty: u32,
}

impl Limit {
    /// So many answers a second for each network.
    #[must_use]
    pub fn new(per_second: u32) -> Self {
        let per_second = f64::from(per_second);
        let full = Bucket { tokens: per_second, filled: Duration::ZERO, empty: 0 };
        Self { per_second, buckets: vec![full; BUCKETS] }
    }

    /// What a query from this address gets. `now` only grows.
    pub fn ask(&mut self, address: IpAddr, now: Duration) -> Allowed {
        let at = (xxh3_64(&network(address).to_be_bytes()) % BUCKETS as u64) as usize;
        let bucket = &mut self.buckets[at];
        let since = now.saturating_sub(bucket.filled).as_secs_f64();
        bucket.tokens = (bucket.tokens + since * self.per_second).min(self.per_second);
        bucket.filled = now;
        if bucket.tokens >= 1.0 {
            (bucket.tokens, bucket.empty) = (bucket.tokens - 1.0, 0);
            return Allowed::Answer;
        }
        bucket.empty += 1;
        if bucket.empty % 2 == 1 { Allowed::OverTcp } else { Allowed::Nothing }
    }
}

/// The network of an address.
fn network(address: IpAddr) -> u128 {
    match address.to_canonical() {
        IpAddr::V4(ip) => u128::from(ip.to_bits() & 0xffff_ff00),
        IpAddr::V6(ip) => ip.to_bits() >> 72 << 72,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_network_gets_so_many_and_then_every_second_a_hint() {
        let mut limit = Limit::new(10);
        let mut asked = |address: &str, now_ms: u64| limit.ask(ip(address), Duration::from_millis(now_ms));
        assert!((0..10).all(|n| asked(&format!("192.0.2.{n}"), 0) == Allowed::Answer));
        let beyond = [0; 4].map(|_| asked("192.0.2.200", 0));
        assert_eq!(beyond, [Allowed::OverTcp, Allowed::Nothing, Allowed::OverTcp, Allowed::Nothing]);
        assert_eq!(asked("198.51.100.1", 0), Allowed::Answer, "another network");
        assert_eq!(asked("192.0.2.1", 100), Allowed::Answer, "a tenth of a second later");
        assert_eq!(asked("192.0.2.1", 100), Allowed::OverTcp);
        assert!((0..10).all(|_| asked("192.0.2.1", 60_000) == Allowed::Answer));
        assert_ne!(asked("192.0.2.1", 60_000), Allowed::Answer, "a quiet minute earns no more than a second's worth");
    }

    #[test]
    fn networks() {
        assert_eq!(network(ip("192.0.2.1")), network(ip("192.0.2.255")));
        assert_eq!(network(ip("::ffff:192.0.2.1")), network(ip("192.0.2.1")));
        assert_ne!(network(ip("192.0.2.1")), network(ip("192.0.3.1")));
        assert_eq!(network(ip("2001:db8:1:ff00::1")), network(ip("2001:db8:1:ffff::2")));
        assert_ne!(network(ip("2001:db8:1:100::1")), network(ip("2001:db8:1:200::1")));
    }
}

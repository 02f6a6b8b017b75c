//! Cookies: who can be answered at length.
//!
//! **The problem.** The sender's address of a datagram is whatever its sender writes. Who asks a short question in the name
//! of somebody else has a long answer sent there, a hundred thousand times a second: the servers are the weapon.
//!
//! **The idea.** An asker brings a *client cookie* of 8 bytes of its own. With its first answer it gets a *server cookie*:
//! a hash over that, over its address and the time, which nobody can make without our secret. Who brings it back later has
//! received something at that address; so that is its address, and it may get answers of any length. Whoever brings none
//! gets nothing that is much longer than its question, and can ask again over TCP, which proves an address, too.
//!
//! ```text
//! client cookie       server cookie
//! 24 a5 ac 08 …   +   01 000000   68 5f 2a 10   c0 ff ee … (8 bytes)
//!                     version     made when     HMAC-SHA256(secret, client cookie, version and time, address), its beginning
//! ```
//!
//! Nothing is remembered of anybody: the secret alone tells a true cookie.
//!
//! **Simplified.** The layout is RFC 9018's; its hash is SipHash-2-4, so that several brands of servers behind one address
//! accept each other's cookies. Ours are accepted by ourselves alone.
//!
//! Sources: RFC 7873, RFC 9018.

use super::edns::{Edns, option};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::net::IpAddr;

/// Length of a client cookie, in bytes.
const CLIENT: usize = 8;
/// Length of both cookies together, in bytes.
const BOTH: usize = 24;
/// How long a cookie is accepted, in seconds.
const LASTS: u32 = 3_600;
/// How far in the future one may have been made, in seconds: clocks are set back.
const AHEAD: u32 = 300;

/// Makes cookies, and knows its own.
pub struct Cookies {
    secret: [u8; 32],
}

/// What an asker's cookie says about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It brings none.
    Stranger,
    /// It brings one of its own only, or an old one: it gets one back.
    New([u8; BOTH]),
    /// It has received something from us before: it is where it says. It gets a new cookie back.
    Known([u8; BOTH]),
    /// What it brings is no cookie (RFC 7873 §5.2.2: FORMERR).
    Nonsense,
}

impl Standing {
    /// What is given back.
    #[must_use]
    pub fn cookie(&self) -> Option<&[u8]> {
        match self {
            Self::New(cookie) | Self::Known(cookie) => Some(cookie),
            Self::Stranger | Self::Nonsense => None,
        }
    }
}

impl Cookies {
    /// With this secret, which nobody else may know.
    #[must_use]
    pub fn new(secret: [u8; 32]) -> Self {
        Self { secret }
    }

    /// With a secret from the system's own source of randomness.
    ///
    /// # Errors
    /// If the system gives none.
    pub fn draw() -> std::io::Result<Self> {
        let mut secret = [0; 32];
        getrandom::fill(&mut secret).map_err(std::io::Error::other)?;
        Ok(Self::new(secret))
    }

    /// What the cookie of an asker at this address says; `now` in seconds since 1970.
    #[must_use]
    pub fn judge(&self, edns: Option<&Edns<'_>>, address: IpAddr, now: u32) -> Standing {
        let Some(brought) = edns.and_then(|edns| edns.options.get(option::COOKIE)) else { return Standing::Stranger };
        let (Some(client), CLIENT | 16..=40) = (brought.first_chunk::<CLIENT>(), brought.len()) else {
            return Standing::Nonsense;
        };
        let given = self.make(client, now, address);
        if self.is_own(brought, client, address, now) { Standing::Known(given) } else { Standing::New(given) }
    }

    fn is_own(&self, brought: &[u8], client: &[u8; CLIENT], address: IpAddr, now: u32) -> bool {
        let Ok(brought) = <&[u8; BOTH]>::try_from(brought) else { return false };
        let made = u32::from_be_bytes([brought[12], brought[13], brought[14], brought[15]]);
        let age = now.wrapping_sub(made);
        let timely = age <= LASTS || made.wrapping_sub(now) <= AHEAD;
        let right = self.make(client, made, address);
        // In constant time: how much of a guess was right is nobody's business.
        timely && right.iter().zip(brought).fold(0, |differ, (a, b)| differ | (a ^ b)) == 0
    }

    fn make(&self, client: &[u8; CLIENT], made: u32, address: IpAddr) -> [u8; BOTH] {
        let mut cookie = [0; BOTH];
        cookie[..CLIENT].copy_from_slice(client);
        cookie[CLIENT] = 1;
        cookie[12..16].copy_from_slice(&made.to_be_bytes());
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.secret) else { unreachable!("any length is a key") };
        mac.update(&cookie[..16]);
        match address {
            IpAddr::V4(ip) => mac.update(&ip.octets()),
            IpAddr::V6(ip) => mac.update(&ip.octets()),
        }
        cookie[16..].copy_from_slice(&mac.finalize().into_bytes()[..8]);
        cookie
    }
}

impl std::fmt::Debug for Cookies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Cookies")
    }
}

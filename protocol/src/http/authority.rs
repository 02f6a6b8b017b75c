//! Host and port: the value of `Host`, and the authority of a target.

use super::refused::Refused;
use std::{fmt, net::IpAddr};

/// The port that HTTP has when none is named.
const DEFAULT_PORT: u16 = 80;

/// A host, in lower case (an IPv6 address in its brackets), and perhaps a port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Authority {
    /// The host: a name, an IPv4 address, or an IPv6 address in brackets. Never empty.
    pub host: String,
    /// The port, if one is named.
    pub port: Option<u16>,
}

impl Authority {
    /// Reads `host` or `host:port`. A user (`me@host`) is refused. RFC 3986 §3.2.2 allows escapes and marks like `;` in a
    /// host; no host on a network has them, so whoever sends them wants something else.
    ///
    /// # Errors
    /// [`Refused::Host`]
    pub fn parse(text: &[u8]) -> Result<Self, Refused> {
        let text = str::from_utf8(text).map_err(|_| Refused::Host)?;
        let (host, port) = match text.rfind([':', ']']) {
            Some(at) if text.as_bytes()[at] == b':' => (&text[..at], Some(&text[at + 1..])),
            _ => (text, None),
        };
        if !is_host(host) {
            return Err(Refused::Host);
        }
        let port = match port {
            None | Some("") => None,
            Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => {
                Some(digits.parse().map_err(|_| Refused::Host)?)
            }
            Some(_) => return Err(Refused::Host),
        };
        Ok(Self { host: host.to_ascii_lowercase(), port })
    }

    /// The host and port of the page that a value of `Origin` names; none of a page that did not come by `http:`.
    #[must_use]
    pub fn of_origin(origin: &[u8]) -> Option<Self> {
        origin.strip_prefix(b"http://").and_then(|rest| Self::parse(rest).ok())
    }

    /// The host, if it is an address and no name: nobody can let it point elsewhere.
    #[must_use]
    pub fn ip(&self) -> Option<IpAddr> {
        self.host.trim_start_matches('[').trim_end_matches(']').parse().ok()
    }

    /// Whether both name the same host and port, where no port is port 80.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.host == other.host && self.port.unwrap_or(DEFAULT_PORT) == other.port.unwrap_or(DEFAULT_PORT)
    }
}

fn is_host(host: &str) -> bool {
    if let Some(rest) = host.strip_prefix('[') {
        let address = rest.strip_suffix(']').unwrap_or_default();
        return address.parse::<std::net::Ipv6Addr>().is_ok();
    }
    !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b))
}

impl fmt::Display for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.host)?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

//! The PROXY protocol: telling a server who its client is.
//!
//! **The problem.** Behind a relay every connection comes from the relay. The server's log, its limits and its access rules
//! see one address.
//!
//! **The idea.** Before the first byte of the client the relay sends one line (version 1) or one block (version 2) that names
//! both ends of the client's connection. The server must expect it: to anybody else it is garbage, and if it believed such
//! a line from everybody, anybody could claim any address. So we send it by flag, and accept it from trusted networks only.
//!
//! ```text
//! v1   PROXY TCP4 192.0.2.7 192.0.2.1 56324 443\r\n          at most 107 bytes
//! v2   0D 0A 0D 0A 00 0D 0A 51 55 49 54 0A                   signature
//!      21                                                    version 2, command PROXY
//!      11                                                    TCP over IPv4
//!      00 0C                                                 12 bytes follow
//!      C0 00 02 07  C0 00 02 01  DC 04  01 BB
//! ```
//!
//! Source: W. Tarreau, *The PROXY protocol, versions 1 & 2* (2020).

use std::{
    io::Write as _,
    net::{IpAddr, SocketAddr},
    str::FromStr,
};

/// What every block of version 2 begins with: bytes that no other protocol begins with.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// The longest line of version 1, in bytes.
pub const LONGEST_LINE: usize = 107;
/// The longest block of version 2 that is read, in bytes: addresses, and extras that are passed over.
pub const LONGEST_BLOCK: usize = 16 + 536;

/// Which version is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Version {
    /// A line of text
    V1,
    /// A block of bytes
    V2,
}

/// The ends of the client's connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    /// The client.
    pub client: SocketAddr,
    /// The address that it connected to.
    pub destination: SocketAddr,
}

/// What the beginning of a connection says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Read {
    /// Not enough has come to say.
    More,
    /// A header of this length. `None`: it names nobody (a check of the relay's own).
    Header(usize, Option<Ends>),
    /// No header, and why.
    Wrong(&'static str),
}

/// The header that names these ends.
#[must_use]
pub fn header(version: Version, ends: Ends) -> Vec<u8> {
    match version {
        Version::V1 => line(ends),
        Version::V2 => block(ends),
    }
}

fn line(Ends { client, destination }: Ends) -> Vec<u8> {
    let family = match (client.ip(), destination.ip()) {
        (IpAddr::V4(_), IpAddr::V4(_)) => "TCP4",
        (IpAddr::V6(_), IpAddr::V6(_)) => "TCP6",
        _ => return b"PROXY UNKNOWN\r\n".to_vec(),
    };
    let (from, to) = (client.ip(), destination.ip());
    format!("PROXY {family} {from} {to} {} {}\r\n", client.port(), destination.port()).into_bytes()
}

fn block(Ends { client, destination }: Ends) -> Vec<u8> {
    let mut addresses = Vec::new();
    let family = match (client.ip(), destination.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            addresses.extend_from_slice(&from.octets());
            addresses.extend_from_slice(&to.octets());
            0x11
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            addresses.extend_from_slice(&from.octets());
            addresses.extend_from_slice(&to.octets());
            0x21
        }
        _ => 0x00,
    };
    if family != 0 {
        addresses.extend_from_slice(&client.port().to_be_bytes());
        addresses.extend_from_slice(&destination.port().to_be_bytes());
    }
    let mut block = SIGNATURE.to_vec();
    // Writing into memory cannot fail.
    let _ = block.write_all(&[0x21, family, 0, addresses.len() as u8]);
    block.extend_from_slice(&addresses);
    block
}

/// Reads a header of either version from the beginning of a connection.
#[must_use]
pub fn read(bytes: &[u8]) -> Read {
    if bytes.len() < SIGNATURE.len() && SIGNATURE.starts_with(bytes) {
        return Read::More;
    }
    if bytes.starts_with(&SIGNATURE) { read_block(bytes) } else { read_line(bytes) }
}

fn read_line(bytes: &[u8]) -> Read {
    const WORD: &[u8] = b"PROXY ";
    if !bytes.starts_with(&WORD[..WORD.len().min(bytes.len())]) {
        return Read::Wrong("it does not begin with a PROXY header");
    }
    let Some(end) = bytes.windows(2).take(LONGEST_LINE - 1).position(|pair| pair == b"\r\n") else {
        return if bytes.len() < LONGEST_LINE { Read::More } else { Read::Wrong("its PROXY line does not end") };
    };
    let words: Option<Vec<&str>> = std::str::from_utf8(&bytes[..end]).ok().map(|line| line.split(' ').collect());
    match words.as_deref() {
        Some(["PROXY", "UNKNOWN", ..]) => Read::Header(end + 2, None),
        Some(["PROXY", family @ ("TCP4" | "TCP6"), from, to, from_port, to_port]) => {
            let client = address(family, from, from_port);
            match (client, address(family, to, to_port)) {
                (Some(client), Some(destination)) => Read::Header(end + 2, Some(Ends { client, destination })),
                _ => Read::Wrong("an address in its PROXY line is none"),
            }
        }
        _ => Read::Wrong("its PROXY line has other words than it should"),
    }
}

fn address(family: &str, ip: &str, port: &str) -> Option<SocketAddr> {
    let ip = IpAddr::from_str(ip).ok().filter(|ip| ip.is_ipv4() == (family == "TCP4"))?;
    // Leading zeros and signs could be read in two ways.
    let plain = port == "0" || (!port.starts_with('0') && port.bytes().all(|byte| byte.is_ascii_digit()));
    let port = plain.then(|| port.parse().ok())??;
    Some(SocketAddr::new(ip, port))
}

fn read_block(bytes: &[u8]) -> Read {
    let [version, family, high, low, ref rest @ ..] = bytes[SIGNATURE.len()..] else { return Read::More };
    let len = usize::from(u16::from_be_bytes([high, low]));
    let whole = SIGNATURE.len() + 4 + len;
    match version {
        0x20 | 0x21 if whole > LONGEST_BLOCK => return Read::Wrong("its PROXY block is too long"),
        0x20 | 0x21 if bytes.len() < whole => return Read::More,
        0x20 => return Read::Header(whole, None),
        0x21 => {}
        _ => return Read::Wrong("its PROXY block has an unknown version or command"),
    }
    let rest = &rest[..len];
    match family {
        0x11 => named::<4>(whole, rest, IpAddr::from),
        0x21 => named::<16>(whole, rest, IpAddr::from),
        // Unix sockets, datagrams, and what is not said: nobody whom we could name.
        _ => Read::Header(whole, None),
    }
}

fn named<const N: usize>(whole: usize, rest: &[u8], ip: fn([u8; N]) -> IpAddr) -> Read {
    let octets = |at: usize| rest.get(at..at + N).and_then(|bytes| <[u8; N]>::try_from(bytes).ok());
    let port = |at: usize| rest.get(at..at + 2).map(|bytes| u16::from_be_bytes([bytes[0], bytes[1]]));
    match (octets(0), octets(N), port(2 * N), port(2 * N + 2)) {
        (Some(from), Some(to), Some(from_port), Some(to_port)) => {
            let client = SocketAddr::new(ip(from), from_port);
            let destination = SocketAddr::new(ip(to), to_port);
            Read::Header(whole, Some(Ends { client, destination }))
        }
        _ => Read::Wrong("its PROXY block is too short for its addresses"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(client: &str, destination: &str) -> Ends {
        Ends { client: client.parse().unwrap(), destination: destination.parse().unwrap() }
    }

    #[test]
    fn the_line_and_the_block_of_the_specification() {
        let ends = ends("192.0.2.7:56324", "192.0.2.1:443");
        assert_eq!(header(Version::V1, ends), b"PROXY TCP4 192.0.2.7 192.0.2.1 56324 443\r\n");
        let block = header(Version::V2, ends);
        assert_eq!(block[12..], [0x21, 0x11, 0, 12, 192, 0, 2, 7, 192, 0, 2, 1, 0xdc, 0x04, 0x01, 0xbb]);
    }

    #[test]
    fn what_is_written_is_read_wherever_it_is_cut() {
        for ends in [ends("192.0.2.7:1", "192.0.2.1:65535"), ends("[2001:db8::1]:56324", "[::1]:443")] {
            for version in [Version::V1, Version::V2] {
                let mut bytes = header(version, ends);
                let len = bytes.len();
                bytes.extend_from_slice(b"GET / HTTP/1.1");
                for cut in 0..len {
                    assert_eq!(read(&bytes[..cut]), Read::More, "{version:?} cut at {cut}");
                }
                assert_eq!(read(&bytes), Read::Header(len, Some(ends)), "{version:?}");
            }
        }
    }

    #[test]
    fn the_relays_own_checks_name_nobody() {
        assert_eq!(read(b"PROXY UNKNOWN\r\n"), Read::Header(15, None));
        assert_eq!(read(b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n"), Read::Header(35, None));
        let local = [&SIGNATURE[..], &[0x20, 0x00, 0, 0]].concat();
        assert_eq!(read(&local), Read::Header(16, None));
        assert_eq!(header(Version::V1, ends("192.0.2.7:1", "[::1]:2")), b"PROXY UNKNOWN\r\n");
    }

    #[test]
    fn anything_else_is_wrong() {
        let lines: [&[u8]; 9] = [
            b"GET / HTTP/1.1\r\n",
            b"PROXY TCP4 192.0.2.7 192.0.2.1 56324\r\n",
            b"PROXY TCP4 192.0.2.7 192.0.2.1 56324 443 1\r\n",
            b"PROXY TCP4 ::1 ::1 1 2\r\n",
            b"PROXY TCP6 192.0.2.7 192.0.2.1 1 2\r\n",
            b"PROXY TCP4 192.0.2.7 192.0.2.1 01 2\r\n",
            b"PROXY TCP4 192.0.2.7 192.0.2.1 +1 2\r\n",
            b"PROXY TCP4 192.0.2.7 192.0.2.1 1 65536\r\n",
            b"PROXY UDP4 192.0.2.7 192.0.2.1 1 2\r\n",
        ];
        for line in lines {
            assert!(matches!(read(line), Read::Wrong(_)), "{}", String::from_utf8_lossy(line));
        }
        let endless = [b"PROXY TCP4 ".as_slice(), &[b'1'; 200]].concat();
        assert!(matches!(read(&endless), Read::Wrong(_)));
        let block = |head: [u8; 4]| read(&[&SIGNATURE[..], &head, &[0; 100]].concat());
        assert!(matches!(block([0x31, 0x11, 0, 12]), Read::Wrong(_)), "version 3");
        assert!(matches!(block([0x22, 0x11, 0, 12]), Read::Wrong(_)), "an unknown command");
        assert!(matches!(block([0x21, 0x11, 0, 11]), Read::Wrong(_)), "too short");
        assert!(matches!(block([0x21, 0x11, 0xff, 0xff]), Read::Wrong(_)), "too long");
    }
}

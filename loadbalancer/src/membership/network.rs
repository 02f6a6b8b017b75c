//! Networks as people write them: `10.0.0.0/8`, `::1/128`, or a single address.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

/// All addresses that begin with the same bits. `10.1.0.0/16` are the addresses 10.1.0.0 to 10.1.255.255.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    first: IpAddr,
    bits: u32,
}

impl Network {
    /// Whether the address is one of this network. An IPv4 address written as IPv6 (`::ffff:10.1.2.3`) is the IPv4 one.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.first, address.to_canonical()) {
            (IpAddr::V4(first), IpAddr::V4(address)) => (first.to_bits() ^ address.to_bits()) & mask_v4(self.bits) == 0,
            (IpAddr::V6(first), IpAddr::V6(address)) => (first.to_bits() ^ address.to_bits()) & mask_v6(self.bits) == 0,
            _ => false,
        }
    }

    /// Whether all of it is this machine speaking to itself.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        match self.first {
            IpAddr::V4(first) => first.is_loopback() && self.bits >= 8,
            IpAddr::V6(first) => first.is_loopback() && self.bits == Ipv6Addr::BITS,
        }
    }
}

/// The first `bits` bits. A shift by the whole width is not defined, and means no bit at all.
fn mask_v4(bits: u32) -> u32 {
    u32::MAX.checked_shl(Ipv4Addr::BITS - bits).unwrap_or(0)
}

fn mask_v6(bits: u32) -> u128 {
    u128::MAX.checked_shl(Ipv6Addr::BITS - bits).unwrap_or(0)
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let not_understood = || format!("'{text}' is no network: write 192.168.1.0/24, fd00::/8, or a single address.");
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let first: IpAddr = address.parse().map_err(|_| not_understood())?;
        let most = if first.is_ipv4() { Ipv4Addr::BITS } else { Ipv6Addr::BITS };
        let plain = |bits: &str| !bits.is_empty() && bits.bytes().all(|byte| byte.is_ascii_digit());
        let bits = match bits {
            None => most,
            Some(bits) if plain(bits) => bits.parse().map_err(|_| not_understood())?,
            Some(_) => return Err(not_understood()),
        };
        if bits > most {
            return Err(format!("'{text}' asks for {bits} bits; an address of this kind has {most}."));
        }
        let begin = match first {
            IpAddr::V4(address) => IpAddr::V4(Ipv4Addr::from_bits(address.to_bits() & mask_v4(bits))),
            IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & mask_v6(bits))),
        };
        if begin != first {
            return Err(format!("'{text}' has bits beyond its {bits}: did you mean {begin}/{bits}, or {first} alone?"));
        }
        Ok(Self { first, bits })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first, self.bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has(network: &str, address: &str) -> bool {
        network.parse::<Network>().unwrap().contains(address.parse().unwrap())
    }

    #[test]
    fn a_network_has_the_addresses_with_its_first_bits() {
        for (network, inside, outside) in [
            ("127.0.0.0/8", "127.255.0.1", "128.0.0.0"),
            ("10.1.16.0/20", "10.1.31.255", "10.1.32.0"),
            ("10.1.2.3", "10.1.2.3", "10.1.2.2"),
            ("0.0.0.0/0", "255.255.255.255", "::1"),
            ("fd00::/8", "fdff::1", "fe00::1"),
            ("::1/128", "::1", "::2"),
            ("::/0", "fe80::1", "10.0.0.1"),
        ] {
            assert!(has(network, inside) && !has(network, outside), "{network}");
        }
        assert!(has("10.0.0.0/8", "::ffff:10.1.2.3") && !has("::/0", "::ffff:10.1.2.3"));
    }

    #[test]
    fn wrong_words_are_explained() {
        for (text, words) in [
            ("", "is no network"),
            ("10.0.0.0/", "is no network"),
            ("10.0.0.0/+8", "is no network"),
            ("10.0.0.0/x", "is no network"),
            ("localhost/8", "is no network"),
            ("10.0.0.0/33", "has 32"),
            ("10.0.0.0/99999999999", "is no network"),
            ("::/129", "has 128"),
            ("10.0.0.5/8", "did you mean 10.0.0.0/8"),
        ] {
            let error = text.parse::<Network>().unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
    }

    #[test]
    fn loopback_is_recognised() {
        let loopback = |text: &str| text.parse::<Network>().unwrap().is_loopback();
        assert!(loopback("127.0.0.0/8") && loopback("127.0.0.1") && loopback("::1"));
        assert!(!loopback("126.0.0.0/7") && !loopback("::/0") && !loopback("10.0.0.0/8"));
    }
}

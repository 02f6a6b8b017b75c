//! What is asked: a name, and which kind of record of it.

use super::name::Name;
use std::{fmt, str::FromStr};

/// The type of a record, or of what is asked.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct RecordType(pub u16);

/// Types that are named here. All others are passed on by their number.
pub mod record_type {
    use super::RecordType;

    /// An IPv4 address.
    pub const A: RecordType = RecordType(1);
    /// Who answers for a zone.
    pub const NS: RecordType = RecordType(2);
    /// The beginning of a zone.
    pub const SOA: RecordType = RecordType(6);
    /// A text.
    pub const TXT: RecordType = RecordType(16);
    /// An IPv6 address.
    pub const AAAA: RecordType = RecordType(28);
    /// Where a service is: host and port (RFC 2782).
    pub const SRV: RecordType = RecordType(33);
    /// EDNS.
    pub const OPT: RecordType = RecordType(41);
    /// Whatever there is.
    pub const ANY: RecordType = RecordType(255);
}

/// Classes.
pub mod class {
    /// The Internet: the only one in use.
    pub const IN: u16 = 1;
}

const NAMES: [(u16, &str); 16] = [
    (1, "A"),
    (2, "NS"),
    (5, "CNAME"),
    (6, "SOA"),
    (12, "PTR"),
    (15, "MX"),
    (16, "TXT"),
    (28, "AAAA"),
    (33, "SRV"),
    (41, "OPT"),
    (43, "DS"),
    (46, "RRSIG"),
    (48, "DNSKEY"),
    (64, "SVCB"),
    (65, "HTTPS"),
    (255, "ANY"),
];

impl fmt::Display for RecordType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match NAMES.iter().find(|(number, _)| *number == self.0) {
            Some((_, name)) => f.write_str(name),
            None => write!(f, "TYPE{}", self.0),
        }
    }
}

impl fmt::Debug for RecordType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for RecordType {
    type Err = String;

    /// Reads `AAAA`, in any case, or `TYPE28` (RFC 3597).
    fn from_str(text: &str) -> Result<Self, String> {
        let named = NAMES.iter().find(|(_, name)| name.eq_ignore_ascii_case(text)).map(|(number, _)| *number);
        let numbered =
            || text.get(..4).filter(|word| word.eq_ignore_ascii_case("TYPE")).and(text.get(4..)?.parse().ok());
        named.or_else(numbered).map(Self).ok_or_else(|| format!("'{text}' is no type of record, as A or AAAA is."))
    }
}

/// One question.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Question {
    /// About which name.
    pub name: Name,
    /// Which records.
    pub record_type: RecordType,
    /// Of which class.
    pub class: u16,
}

impl Question {
    /// A question about a name of the Internet.
    #[must_use]
    pub fn new(name: Name, record_type: RecordType) -> Self {
        Self { name, record_type, class: class::IN }
    }

    /// As it stands in a message.
    pub fn write(&self, into: &mut Vec<u8>) {
        into.extend_from_slice(self.name.wire());
        into.extend_from_slice(&self.record_type.0.to_be_bytes());
        into.extend_from_slice(&self.class.to_be_bytes());
    }
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.record_type)?;
        if self.class == class::IN { Ok(()) } else { write!(f, " CLASS{}", self.class) }
    }
}

//! The second word of the header: what kind of message this is.

use std::fmt;

/// The flags of a message, as they stand in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(pub u16);

/// What is wanted of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opcode(pub u8);

impl Opcode {
    /// The usual: an answer to a question.
    pub const QUERY: Self = Self(0);
}

/// How it went. The upper bits of a number above 15 stand in the OPT record.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rcode(pub u16);

impl Rcode {
    /// It went well (which says nothing of whether there are records).
    pub const NO_ERROR: Self = Self(0);
    /// The query makes no sense.
    pub const FORMAT_ERROR: Self = Self(1);
    /// It made sense, and went wrong.
    pub const SERVER_FAILURE: Self = Self(2);
    /// There is no such name.
    pub const NO_SUCH_NAME: Self = Self(3);
    /// That kind of query is not known here.
    pub const NOT_IMPLEMENTED: Self = Self(4);
    /// Known, and not wanted.
    pub const REFUSED: Self = Self(5);
    /// EDNS of a version that is not spoken here.
    pub const BAD_VERSION: Self = Self(16);

    /// The name that `dig` shows.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::NO_ERROR => "NOERROR",
            Self::FORMAT_ERROR => "FORMERR",
            Self::SERVER_FAILURE => "SERVFAIL",
            Self::NO_SUCH_NAME => "NXDOMAIN",
            Self::NOT_IMPLEMENTED => "NOTIMP",
            Self::REFUSED => "REFUSED",
            Self::BAD_VERSION => "BADVERS",
            _ => return None,
        })
    }
}

impl fmt::Display for Rcode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "RCODE{}", self.0),
        }
    }
}

impl fmt::Debug for Rcode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Flags {
    const RESPONSE: u16 = 1 << 15;
    const AUTHORITATIVE: u16 = 1 << 10;
    const TRUNCATED: u16 = 1 << 9;
    const RECURSION_DESIRED: u16 = 1 << 8;
    const CHECKING_DISABLED: u16 = 1 << 4;

    /// A query that asks for recursion, as clients do.
    pub const QUERY: Self = Self(Self::RECURSION_DESIRED);

    /// QR: whether it is an answer. An answer is never answered.
    #[must_use]
    pub fn is_response(self) -> bool {
        self.has(Self::RESPONSE)
    }

    /// What is wanted.
    #[must_use]
    pub fn opcode(self) -> Opcode {
        Opcode((self.0 >> 11 & 0xf) as u8)
    }

    /// AA: whether the answer is of one who knows, and not of one who asked.
    #[must_use]
    pub fn is_authoritative(self) -> bool {
        self.has(Self::AUTHORITATIVE)
    }

    /// TC: whether records were left out, so that one should ask again over TCP.
    #[must_use]
    pub fn is_truncated(self) -> bool {
        self.has(Self::TRUNCATED)
    }

    /// The lower four bits of how it went.
    #[must_use]
    pub fn rcode(self) -> u16 {
        self.0 & 0xf
    }

    /// The flags of an answer to a query with these: opcode, RD and CD are given back (RFC 1035 §4.1.1, RFC 4035 §3.2.2).
    #[must_use]
    pub fn answered(self) -> Self {
        Self(self.0 & (0xf << 11 | Self::RECURSION_DESIRED | Self::CHECKING_DISABLED) | Self::RESPONSE)
    }

    /// These, and authoritative.
    #[must_use]
    pub fn authoritative(self) -> Self {
        Self(self.0 | Self::AUTHORITATIVE)
    }

    /// These, and truncated.
    #[must_use]
    pub fn truncated(self) -> Self {
        Self(self.0 | Self::TRUNCATED)
    }

    /// These, with the lower bits of how it went.
    #[must_use]
    pub fn with(self, rcode: Rcode) -> Self {
        Self(self.0 & !0xf | rcode.0 & 0xf)
    }

    fn has(self, bit: u16) -> bool {
        self.0 & bit != 0
    }
}

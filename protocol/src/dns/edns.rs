//! EDNS(0): what a message says beyond its twelve bytes of header, in a record that is none (RFC 6891).

/// Codes of options.
pub mod option {
    /// A cookie (RFC 7873).
    pub const COOKIE: u16 = 10;
}

/// What an OPT record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edns<'a> {
    /// The largest datagram that its sender can take, in bytes.
    pub datagram: u16,
    /// The upper eight bits of how it went.
    pub rcode: u8,
    /// The version; only 0 is defined.
    pub version: u8,
    /// The flags; the highest is DO, "DNSSEC records are welcome".
    pub flags: u16,
    /// The options.
    pub options: Options<'a>,
}

/// The options of an OPT record, which were found to be whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options<'a>(&'a [u8]);

impl<'a> Options<'a> {
    /// No options.
    pub const NONE: Self = Self(&[]);

    /// Reads them; `None` if they are cut.
    #[must_use]
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let mut rest = bytes;
        while !rest.is_empty() {
            rest = First::of(rest)?.behind;
        }
        Some(Self(bytes))
    }

    /// What the first option of this code says.
    #[must_use]
    pub fn get(self, code: u16) -> Option<&'a [u8]> {
        let mut rest = self.0;
        while let Some(first) = First::of(rest) {
            if first.code == code {
                return Some(first.data);
            }
            rest = first.behind;
        }
        None
    }

    /// As they stand in the message.
    #[must_use]
    pub fn bytes(self) -> &'a [u8] {
        self.0
    }
}

/// The first option, and what stands behind it.
struct First<'a> {
    code: u16,
    data: &'a [u8],
    behind: &'a [u8],
}

impl<'a> First<'a> {
    fn of(bytes: &'a [u8]) -> Option<Self> {
        let (head, rest) = bytes.split_first_chunk::<4>()?;
        let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
        let (data, behind) = rest.split_at_checked(length)?;
        Some(Self { code: u16::from_be_bytes([head[0], head[1]]), data, behind })
    }
}

impl Edns<'_> {
    /// The bit that says that DNSSEC records are welcome.
    pub const DNSSEC_OK: u16 = 1 << 15;

    /// Writes it as the record that it is.
    pub fn write(&self, into: &mut Vec<u8>) {
        let options = self.options.bytes();
        into.push(0);
        into.extend_from_slice(&super::record_type::OPT.0.to_be_bytes());
        into.extend_from_slice(&self.datagram.to_be_bytes());
        into.extend_from_slice(&[self.rcode, self.version]);
        into.extend_from_slice(&self.flags.to_be_bytes());
        into.extend_from_slice(&u16::try_from(options.len()).unwrap_or(u16::MAX).to_be_bytes());
        into.extend_from_slice(options);
    }
}

//! Names of hosts and zones.

use super::message::Malformed;
use std::{
    fmt,
    hash::{Hash, Hasher},
    str::FromStr,
};

/// The longest name, in bytes, with the length before each label and the empty label at its end (RFC 1035 §2.3.4).
pub const MAX_NAME: usize = 255;
/// The longest label.
const MAX_LABEL: usize = 63;
/// The two bits that make a length a pointer.
const POINTER: u8 = 0b1100_0000;

/// A name, label by label, its case kept. Names that differ in case only are equal (RFC 4343).
#[derive(Clone)]
pub struct Name {
    /// As in a message, but never with a pointer: each label behind its length, and a zero at the end.
    wire: Vec<u8>,
}

/// Why a text is no name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is no name of a host: {why}.")]
pub struct InvalidName {
    text: String,
    why: &'static str,
}

impl Name {
    /// The name above all others.
    #[must_use]
    pub fn root() -> Self {
        Self { wire: vec![0] }
    }

    /// Reads the name that begins there, following pointers. Returns where it ends, too.
    ///
    /// # Errors
    /// If it runs out of the message, points anywhere but back, or is too long.
    pub fn read(message: &[u8], at: usize) -> Result<(Self, usize), Malformed> {
        let mut wire = Vec::with_capacity(32);
        let end = walk(message, at, |label| wire.extend_from_slice(label))?;
        wire.push(0);
        Ok((Self { wire }, end))
    }

    /// Where the name that begins there ends.
    ///
    /// # Errors
    /// As [`Name::read`].
    pub fn skip(message: &[u8], at: usize) -> Result<usize, Malformed> {
        walk(message, at, |_| {})
    }

    /// As in a message, without pointers.
    #[must_use]
    pub fn wire(&self) -> &[u8] {
        &self.wire
    }

    /// Its labels, from the left.
    pub fn labels(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = &self.wire[..];
        std::iter::from_fn(move || {
            let (len, behind) = rest.split_first().filter(|(len, _)| **len > 0)?;
            let (label, after) = behind.split_at(usize::from(*len));
            rest = after;
            Some(label)
        })
    }
}

/// Names above and below each other.
impl Name {
    /// The labels that this name has before those of `zone`; `None` if it is not in that zone. The zone's own name has none.
    #[must_use]
    pub fn below(&self, zone: &Self) -> Option<Vec<&[u8]>> {
        let (mut own, above): (Vec<_>, Vec<_>) = (self.labels().collect(), zone.labels().collect());
        let at = own.len().checked_sub(above.len())?;
        let same = own[at..].iter().zip(above).all(|(one, other)| one.eq_ignore_ascii_case(other));
        own.truncate(at);
        same.then_some(own)
    }

    /// The name without so many of its first labels, spelled as it is here; the root if it has no more.
    #[must_use]
    pub fn above(&self, labels: usize) -> Self {
        let at: usize = self.labels().take(labels).map(|label| 1 + label.len()).sum();
        Self { wire: self.wire[at..].to_vec() }
    }

    /// The name of this label below this name; `None` if the label is empty, or either is too long.
    #[must_use]
    pub fn child(&self, label: &[u8]) -> Option<Self> {
        let length = u8::try_from(label.len()).ok().filter(|length| (1..=MAX_LABEL as u8).contains(length))?;
        let wire = [&[length], label, &self.wire[..]].concat();
        (wire.len() <= MAX_NAME).then_some(Self { wire })
    }
}

/// Walks over a name, telling each label with its length before it.
///
/// A pointer must lead to before all that was read of the name so far. So each jump is to a lower place than the last one,
/// and there is no circle.
fn walk(message: &[u8], at: usize, mut tell: impl FnMut(&[u8])) -> Result<usize, Malformed> {
    let (mut at, mut lowest, mut end, mut length) = (at, at, None, 1);
    loop {
        let len = *message.get(at).ok_or(Malformed::Cut)?;
        match len & POINTER {
            0 if len == 0 => return Ok(end.unwrap_or(at + 1)),
            0 => {
                let next = at + 1 + usize::from(len);
                let label = message.get(at..next).ok_or(Malformed::Cut)?;
                length += label.len();
                if length > MAX_NAME {
                    return Err(Malformed::NameTooLong);
                }
                tell(label);
                at = next;
            }
            POINTER => {
                let low = *message.get(at + 1).ok_or(Malformed::Cut)?;
                let to = usize::from(u16::from_be_bytes([len & !POINTER, low]));
                if to >= lowest || to < super::HEADER {
                    return Err(Malformed::Pointer);
                }
                end = end.or(Some(at + 2));
                (at, lowest) = (to, to);
            }
            _ => return Err(Malformed::Label),
        }
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        // Lengths are below 64 and so no letters.
        self.wire.eq_ignore_ascii_case(&other.wire)
    }
}

impl Eq for Name {}

impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.wire.iter().for_each(|byte| state.write_u8(byte.to_ascii_lowercase()));
    }
}

impl FromStr for Name {
    type Err = InvalidName;

    /// Reads `www.example.com`, with or without a dot at the end; `\.` and `\046` are a dot within a label.
    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let invalid = |why| InvalidName { text: text.to_owned(), why };
        if text == "." {
            return Ok(Self::root());
        }
        let (mut wire, mut label) = (Vec::with_capacity(text.len() + 2), Vec::new());
        let mut bytes = text.strip_suffix('.').filter(|rest| !rest.ends_with('\\')).unwrap_or(text).bytes();
        loop {
            let next = bytes.next();
            match next {
                None | Some(b'.') => {
                    let len = u8::try_from(label.len()).ok().filter(|len| usize::from(*len) <= MAX_LABEL);
                    let len = len.ok_or_else(|| invalid("a part of it is longer than 63 bytes"))?;
                    if len == 0 {
                        return Err(invalid("a part of it is empty"));
                    }
                    wire.push(len);
                    wire.append(&mut label);
                }
                Some(b'\\') => label.push(escaped(&mut bytes).ok_or_else(|| invalid("its '\\' escapes nothing"))?),
                Some(byte) => label.push(byte),
            }
            if next.is_none() {
                break;
            }
        }
        wire.push(0);
        if wire.len() > MAX_NAME { Err(invalid("it is longer than 253 characters")) } else { Ok(Self { wire }) }
    }
}

/// What follows a `\`: three digits, or a character that stands for itself.
fn escaped(bytes: &mut std::str::Bytes<'_>) -> Option<u8> {
    let first = bytes.next()?;
    if !first.is_ascii_digit() {
        return Some(first);
    }
    let digits = [first, bytes.next()?, bytes.next()?];
    str::from_utf8(&digits).ok()?.parse().ok()
}

impl fmt::Display for Name {
    /// As zone files have it, without the dot at the end; only the root is a dot.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.wire.len() == 1 {
            return f.write_str(".");
        }
        for (n, label) in self.labels().enumerate() {
            if n > 0 {
                f.write_str(".")?;
            }
            for byte in label {
                match byte {
                    b'.' | b'\\' => write!(f, "\\{}", char::from(*byte))?,
                    0x21..=0x7e => write!(f, "{}", char::from(*byte))?,
                    other => write!(f, "\\{other:03}")?,
                }
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

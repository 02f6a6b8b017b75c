//! The fields of a head or a trailer: names and values in their order.

use super::{limits::MAX_FIELDS, method::is_token, refused::Refused};
use std::fmt;

/// Fields in the order in which they came. Names are compared without regard to case; a name may come several times;
/// a value is bytes, because HTTP allows other characters than ASCII without saying which.
///
/// All names lie in one piece of memory and all values in another, so that a head of twenty fields costs three
/// allocations and not forty.
#[derive(Clone, Default)]
pub struct Headers {
    names: String,
    values: Vec<u8>,
    fields: Vec<Field>,
}

/// Room for the name or the value of a field that is not known yet, in bytes.
const TYPICAL: usize = 24;

/// Where a field's name and value lie.
#[derive(Clone, Copy)]
struct Field {
    name: (u32, u32),
    value: (u32, u32),
}

/// A field that cannot be sent, because it would end its line or begin another.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("The field {name:?} cannot be sent: its name is no token, or its value has a control character.")]
pub struct InvalidField {
    /// The name, as it was given.
    pub name: String,
}

impl Headers {
    /// No fields.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// No fields, with room for all of another message's and so many more: so nothing moves as they are added.
    #[must_use]
    pub fn with_room_for(others: &Self, more: usize) -> Self {
        Self {
            names: String::with_capacity(others.names.len() + more * TYPICAL),
            values: Vec::with_capacity(others.values.len() + more * TYPICAL),
            fields: Vec::with_capacity(others.fields.len() + more),
        }
    }

    /// Reads field lines up to and with the empty line that ends them.
    pub(super) fn parse(lines: &[u8]) -> Result<Self, Refused> {
        let mut parsed = [httparse::EMPTY_HEADER; MAX_FIELDS];
        let fields = match httparse::parse_headers(lines, &mut parsed) {
            Ok(httparse::Status::Complete((used, fields))) if used == lines.len() => fields,
            // Whoever calls this has found the empty line already: it cannot be anywhere else.
            Ok(_) => return Err(Refused::BareLineFeed),
            Err(httparse::Error::TooManyHeaders) => return Err(Refused::TooManyFields),
            Err(httparse::Error::HeaderValue) => return Err(Refused::FieldValue),
            Err(_) => return Err(Refused::FieldName),
        };
        let mut headers = Self {
            names: String::with_capacity(lines.len() / 2),
            values: Vec::with_capacity(lines.len()),
            fields: Vec::with_capacity(fields.len()),
        };
        fields.iter().for_each(|field| headers.append(field.name, field.value));
        Ok(headers)
    }

    /// Adds a field behind the others.
    ///
    /// # Errors
    /// If the name is no token, or the value has a control character (CR, LF, NUL …) or white space at an end.
    pub fn push(&mut self, name: &str, value: impl AsRef<[u8]>) -> Result<(), InvalidField> {
        let value = value.as_ref();
        let harmless = value.iter().all(|&byte| byte == b'\t' || (byte >= b' ' && byte != 0x7f));
        if !is_token(name.as_bytes()) || !harmless || value.trim_ascii().len() != value.len() {
            return Err(InvalidField { name: name.to_owned() });
        }
        self.append(name, value);
        Ok(())
    }

    /// Adds those fields of another message that are `wanted`. They were valid there, so they are not looked at again.
    pub fn copy(&mut self, others: &Self, wanted: impl Fn(&str) -> bool) {
        others.iter().filter(|(name, _)| wanted(name)).for_each(|(name, value)| self.append(name, value));
    }

    /// Sets a field: those that had its name are gone.
    ///
    /// # Errors
    /// As [`Headers::push`]; then nothing has changed.
    pub fn set(&mut self, name: &str, value: impl AsRef<[u8]>) -> Result<(), InvalidField> {
        let before = self.fields.len();
        self.push(name, value)?;
        let added = self.fields.split_off(before);
        self.remove(name);
        self.fields.extend(added);
        Ok(())
    }

    /// Adds a field that is known to be valid.
    pub(super) fn append(&mut self, name: &str, value: &[u8]) {
        let offset = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        let (name_at, value_at) = (offset(self.names.len()), offset(self.values.len()));
        self.names.push_str(name);
        self.values.extend_from_slice(value);
        let (name, value) = ((name_at, offset(self.names.len())), (value_at, offset(self.values.len())));
        self.fields.push(Field { name, value });
    }

    /// Removes all fields with this name; says whether there were any.
    pub fn remove(&mut self, name: &str) -> bool {
        let before = self.fields.len();
        let names = &self.names;
        self.fields.retain(|field| !name_of(names, field).eq_ignore_ascii_case(name));
        self.fields.len() < before
    }

    /// The fields, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.fields.iter().map(|field| {
            let (from, to) = field.value;
            (name_of(&self.names, field), self.values.get(from as usize..to as usize).unwrap_or_default())
        })
    }

    /// How many fields there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// The values of all fields with this name.
    pub fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.iter().filter(move |(each, _)| each.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// The value of the first field with this name, if it is text.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next().and_then(|value| str::from_utf8(value).ok())
    }

    /// Whether there is a field with this name.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.all(name).next().is_some()
    }

    /// The members of a list that stands in one or several fields with this name, between commas, without the white
    /// space around them. Not for values with quoted texts.
    pub fn list<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.all(name).flat_map(|value| value.split(|&b| b == b',')).map(<[u8]>::trim_ascii).filter(|m| !m.is_empty())
    }

    /// Whether the list with this name has this member, in upper or lower case.
    #[must_use]
    pub fn lists(&self, name: &str, member: &str) -> bool {
        self.list(name).any(|each| each.eq_ignore_ascii_case(member.as_bytes()))
    }
}

fn name_of<'a>(names: &'a str, field: &Field) -> &'a str {
    names.get(field.name.0 as usize..field.name.1 as usize).unwrap_or_default()
}

/// Names are equal without regard to case.
impl PartialEq for Headers {
    fn eq(&self, other: &Self) -> bool {
        let mut pairs = self.iter().zip(other.iter());
        self.len() == other.len() && pairs.all(|(a, b)| a.0.eq_ignore_ascii_case(b.0) && a.1 == b.1)
    }
}

impl Eq for Headers {}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter().map(|(name, value)| (name, String::from_utf8_lossy(value)))).finish()
    }
}

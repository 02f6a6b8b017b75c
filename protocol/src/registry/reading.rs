//! From the bytes of `servers.json` to a list of servers. Pure: no file is touched here.

use super::entry::{Entry, id_of};
use crate::{database::kind_of, places::without_mark};
use serde_json::{Value, error::Category};
use std::collections::HashSet;

/// Characters of a rejected element that are shown.
const SHOWN: usize = 120;

/// What was read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reading {
    /// The servers, in the order of the file. No id and no address occurs twice.
    pub entries: Vec<Entry>,
    /// The elements that are no server, and why.
    pub rejected: Vec<Rejected>,
    /// A sentence, when there is no list at all: the file is missing or empty.
    pub note: Option<String>,
}

/// An element of `servers.json` that is no server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// Its position, from 0.
    pub index: usize,
    /// Its id, if it has one.
    pub id: Option<String>,
    /// Its text, shortened.
    pub text: String,
    /// What is wrong with it, as a sentence.
    pub why: String,
}

impl std::fmt::Display for Rejected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { index, text, why, .. } = self;
        write!(f, "Entry {} of the registry is left out: {why} It reads {text}", index + 1)
    }
}

impl Reading {
    /// Understands the content of a registry file.
    ///
    /// # Errors
    /// What is wrong with the file as a whole, as the end of a sentence.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let Some(elements) = elements(bytes)? else {
            return Ok(Self::nothing("The registry file is empty: no server is registered."));
        };
        let mut reading = Self::default();
        let (mut ids, mut addresses) = (HashSet::new(), HashSet::new());
        for (index, value) in elements.iter().enumerate() {
            let entry = Entry::from_value(value).and_then(|entry| {
                if ids.contains(&entry.id) {
                    return Err(format!("The id {} is taken by an entry before it.", entry.id));
                }
                if addresses.contains(&entry.address) {
                    return Err(format!("The address {} is taken by an entry before it.", entry.address));
                }
                Ok(entry)
            });
            match entry {
                Ok(entry) => {
                    ids.insert(entry.id.clone());
                    addresses.insert(entry.address);
                    reading.entries.push(entry);
                }
                Err(why) => {
                    reading.rejected.push(Rejected { index, id: id_of(value), text: shortened(value), why });
                }
            }
        }
        Ok(reading)
    }

    pub(super) fn missing() -> Self {
        Self::nothing("The registry file does not exist yet: no server is registered.")
    }

    fn nothing(note: &str) -> Self {
        Self { note: Some(note.to_owned()), ..Self::default() }
    }

    /// The server of this id.
    #[must_use]
    pub fn find(&self, id: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.id == id)
    }
}

/// The elements of the list; nothing when there is only blank space.
pub(super) fn elements(bytes: &[u8]) -> Result<Option<Vec<Value>>, String> {
    let text = without_mark(bytes);
    if text.trim_ascii().is_empty() {
        return Ok(None);
    }
    match serde_json::from_slice(text) {
        Ok(Value::Array(elements)) => Ok(Some(elements)),
        Ok(other) => Err(format!("holds {} where an array of servers belongs", kind_of(&other))),
        Err(error) if error.classify() == Category::Eof => {
            Err(format!("ends in the middle (line {}), as if half written", error.line()))
        }
        Err(error) => Err(format!("is not JSON: {error}")),
    }
}

fn shortened(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(SHOWN) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

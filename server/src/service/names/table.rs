//! The table of a name server: which names it knows, and their addresses.
//!
//! ```text
//! # one record a line, as in the course
//! www.princeton.edu  128.1.1.4   A
//! GOOGLE.com         46.1.3.7    A
//! GOOGLE.com         2a00:1450::7 AAAA
//! ```
//!
//! Names are found whatever their case is, and answered in the table's spelling. A name may have several addresses.

use protocol::dns::{Name, RecordType, record_type};
use std::{
    collections::HashMap,
    fs, io,
    net::{Ipv4Addr, Ipv6Addr},
    path::Path,
};

/// The largest file of a table, in bytes: some hundred thousand names. A larger one is something else.
const MAX_TABLE: u64 = 16 * 1024 * 1024;

/// An address of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The name as the table spells it.
    pub name: Name,
    /// A or AAAA.
    pub record_type: RecordType,
    /// The address, as it stands in a message.
    pub data: Vec<u8>,
}

/// The names that a server knows.
#[derive(Debug, Default)]
pub struct Table {
    records: HashMap<Name, Vec<Record>>,
}

/// Why a file is no table.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// It cannot be read.
    #[error("The table of names {path} cannot be read: {source}.")]
    Unreadable {
        /// The file.
        path: String,
        /// The system's words.
        source: io::Error,
    },
    /// A line of it makes no sense.
    #[error("Line {line} of the table of names {path} is no record, as 'www.example.com 192.0.2.1 A' is: {why}")]
    Line {
        /// The file.
        path: String,
        /// Which line, from 1.
        line: usize,
        /// What is wrong.
        why: String,
    },
}

impl Table {
    /// Reads a file.
    ///
    /// # Errors
    /// If it cannot be read, or a line is no record; the line is told.
    pub fn read(path: &Path) -> Result<Self, TableError> {
        let shown = || path.display().to_string();
        let unreadable = |source| TableError::Unreadable { path: shown(), source };
        if fs::metadata(path).map_err(unreadable)?.len() > MAX_TABLE {
            return Err(unreadable(io::Error::other("it is longer than 16 MiB")));
        }
        let text = fs::read_to_string(path).map_err(unreadable)?;
        Self::parse(&text).map_err(|(line, why)| TableError::Line { path: shown(), line, why })
    }

    fn parse(text: &str) -> Result<Self, (usize, String)> {
        let mut table = Self::default();
        for (n, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default().trim();
            if !line.is_empty() {
                let record = record(line).map_err(|why| (n + 1, why))?;
                table.records.entry(record.name.clone()).or_default().push(record);
            }
        }
        Ok(table)
    }

    /// The records of this name, whatever its case is; `None` if it is not known.
    #[must_use]
    pub fn get(&self, name: &Name) -> Option<&[Record]> {
        self.records.get(name).map(Vec::as_slice)
    }

    /// How many names there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.records.len()
    }
}

fn record(line: &str) -> Result<Record, String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [name, address, kind] = words[..] else { return Err("it has not three words.".to_owned()) };
    let name: Name = name.parse().map_err(|error: protocol::dns::InvalidName| error.to_string())?;
    // By RFC 4592 it would stand for names that are in no line. Here each name has its line; one that nobody can ask for would
    // be a mistake that nobody sees.
    if name.labels().any(|label| label == b"*") {
        return Err(format!(
            "'{name}' would stand for many names (a wildcard): those are not kept here, one name a line."
        ));
    }
    let record_type: RecordType = kind.parse()?;
    let no_address = |what| format!("'{address}' is no {what} address.");
    let data = match record_type {
        record_type::A => address.parse::<Ipv4Addr>().map_err(|_| no_address("IPv4"))?.octets().to_vec(),
        record_type::AAAA => address.parse::<Ipv6Addr>().map_err(|_| no_address("IPv6"))?.octets().to_vec(),
        other => return Err(format!("records of type {other} are not kept here, only A and AAAA.")),
    };
    Ok(Record { name, record_type, data })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    #[test]
    fn names_are_found_whatever_their_case_and_keep_it() {
        let text = "www.princeton.edu 128.1.1.4 A\r\n\n# more\nGOOGLE.com\t46.1.3.7  A # big\ngoogle.COM ::7 aaaa\n";
        let table = Table::parse(text).unwrap();
        assert_eq!(table.len(), 2);
        let found = table.get(&name("google.com")).unwrap();
        assert_eq!((found[0].name.to_string().as_str(), &found[0].data[..]), ("GOOGLE.com", &[46, 1, 3, 7][..]));
        assert_eq!((found[1].record_type, found[1].data.len()), (record_type::AAAA, 16));
        assert!(table.get(&name("com")).is_none() && table.get(&name("www.google.com")).is_none());
    }

    #[test]
    fn a_line_that_is_no_record_is_told() {
        for (line, why) in [
            ("www.a.b", "three words"),
            ("www.a.b 1.2.3.4 A IN", "three words"),
            ("www..b 1.2.3.4 A", "empty"),
            ("www.a.b 1.2.3 A", "'1.2.3' is no IPv4 address"),
            ("www.a.b 1.2.3.4 AAAA", "no IPv6 address"),
            ("www.a.b 1.2.3.4 B", "no type of record"),
            ("www.a.b 1.2.3.4 MX", "only A and AAAA"),
            ("*.a.b 1.2.3.4 A", "a wildcard"),
            ("www.*.b 1.2.3.4 A", "a wildcard"),
        ] {
            let (number, told) = Table::parse(&format!("a.b 1.2.3.4 A\n{line}\n")).unwrap_err();
            assert!(number == 2 && told.contains(why), "{line}: {told}");
        }
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let error = Table::read(Path::new("/nowhere/PROJ2-TS1.txt")).unwrap_err().to_string();
        assert!(error.contains("/nowhere/PROJ2-TS1.txt") && error.contains("cannot be read"), "{error}");
    }
}

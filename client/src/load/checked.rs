//! Where answers go in a load test: they are checked, and then forgotten or kept.

use crate::{
    answer::{Part, Sink, SinkError},
    received::{Inbox, Incoming, ReceiveError, check},
};
use protocol::{id::RequestId, message::End, value::to_hex};
use sha2::{Digest, Sha256};

/// What is done with the bytes of files.
#[derive(Clone, Debug)]
pub enum Fate {
    /// Their number is checked, and nothing else.
    Count,
    /// They are hashed and checked.
    Verify,
    /// They are hashed, checked and written.
    Keep(Inbox),
}

/// Checks one answer after the other.
#[derive(Debug)]
pub struct Checked {
    fate: Fate,
    /// What the first value of the first row has to be, as text, if anything.
    pub expected: Option<String>,
    /// What it was instead.
    pub unexpected: Option<String>,
    /// The name of the file that was asked for.
    pub name: String,
    /// Rows of this answer.
    pub rows: u64,
    /// Frames of other requests, since the beginning.
    pub foreign: u64,
    announced: u64,
    came: u64,
    digest: Sha256,
    incoming: Option<Incoming>,
}

impl Checked {
    /// A sink for files of this fate.
    #[must_use]
    pub fn new(fate: Fate) -> Self {
        Self {
            fate,
            expected: None,
            unexpected: None,
            name: String::new(),
            rows: 0,
            foreign: 0,
            announced: 0,
            came: 0,
            digest: Sha256::new(),
            incoming: None,
        }
    }

    /// Another answer begins.
    pub fn begin(&mut self) {
        self.rows = 0;
        (self.announced, self.came) = (0, 0);
        self.unexpected = None;
        self.incoming = None;
    }

    /// The next bytes of the file.
    ///
    /// # Errors
    /// When they are too many, or cannot be written.
    pub fn bytes(&mut self, bytes: &[u8]) -> Result<(), ReceiveError> {
        if let Some(incoming) = &mut self.incoming {
            return incoming.write(bytes);
        }
        let came = self.came.saturating_add(bytes.len() as u64);
        if came > self.announced {
            return Err(ReceiveError::Size { announced: self.announced, came });
        }
        self.came = came;
        if matches!(self.fate, Fate::Verify) {
            self.digest.update(bytes);
        }
        Ok(())
    }

    fn file(&mut self, size: u64) -> Result<(), ReceiveError> {
        (self.announced, self.came) = (size, 0);
        match &self.fate {
            Fate::Count => {}
            Fate::Verify => self.digest.reset(),
            Fate::Keep(inbox) => self.incoming = Some(inbox.begin(&self.name, size)?),
        }
        Ok(())
    }

    fn chunk_ends(&self, sha256: &str) -> Result<(), ReceiveError> {
        match (&self.fate, &self.incoming) {
            (_, Some(incoming)) => incoming.check(sha256),
            (Fate::Verify, _) => check(&self.digest, self.came, sha256),
            _ => Ok(()),
        }
    }

    fn file_ends(&mut self, sha256: &str) -> Result<(), ReceiveError> {
        if let Some(incoming) = self.incoming.take() {
            return incoming.finish(sha256).map(drop);
        }
        if self.came != self.announced {
            return Err(ReceiveError::Size { announced: self.announced, came: self.came });
        }
        if matches!(self.fate, Fate::Verify) {
            let found = to_hex(&self.digest.finalize_reset());
            if !found.eq_ignore_ascii_case(sha256) {
                return Err(ReceiveError::Digest { announced: sha256.to_owned(), found });
            }
        }
        Ok(())
    }
}

impl Sink for Checked {
    fn take(&mut self, part: Part<'_>) -> Result<(), SinkError> {
        match part {
            Part::File(size) => self.file(size)?,
            Part::Chunk(bytes, sha256) => {
                self.bytes(bytes)?;
                self.chunk_ends(sha256)?;
            }
            Part::Row(row) => {
                self.rows += 1;
                if let (1, Some(expected)) = (self.rows, &self.expected) {
                    let found = row.first().map(ToString::to_string).unwrap_or_default();
                    self.unexpected = (found != *expected).then_some(found);
                }
            }
            Part::Columns(_) | Part::Changed(_) | Part::Pong | Part::Servers(_) => {}
        }
        Ok(())
    }

    fn foreign(&mut self, _: RequestId) {
        self.foreign += 1;
    }

    fn end(&mut self, end: &End) -> Result<(), SinkError> {
        // Only the end of a file has a digest, which the answer's order has made sure of.
        if let Some(sha256) = &end.sha256 {
            self.file_ends(sha256)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::value::Value;

    fn received(fate: Fate, size: u64, bytes: &[u8], chunk: &str, end: &str) -> Result<(), SinkError> {
        let mut checked = Checked::new(fate);
        checked.begin();
        checked.take(Part::File(size))?;
        checked.bytes(bytes)?;
        checked.take(Part::Chunk(&[], chunk))?;
        checked.end(&End { sha256: Some(end.to_owned()), ..End::default() })
    }

    #[test]
    fn files_are_checked_as_far_as_they_are_looked_at() {
        let right = to_hex(&Sha256::digest(b"abc"));
        assert!(received(Fate::Verify, 3, b"abc", &right, &right).is_ok());
        assert!(matches!(
            received(Fate::Verify, 3, b"abc", "00", &right),
            Err(SinkError::Receive(ReceiveError::Chunk { .. }))
        ));
        assert!(matches!(
            received(Fate::Verify, 3, b"abc", &right, "00"),
            Err(SinkError::Receive(ReceiveError::Digest { .. }))
        ));
        assert!(received(Fate::Count, 3, b"abc", "", "").is_ok());
        for (size, bytes) in [(2, b"abc"), (4, b"abc")] {
            assert!(matches!(
                received(Fate::Count, size, bytes, "", ""),
                Err(SinkError::Receive(ReceiveError::Size { .. }))
            ));
        }
        let folder = tempfile::tempdir().unwrap();
        assert!(received(Fate::Keep(Inbox::new(folder.path().into())), 3, b"abc", &right, &right).is_ok());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn the_first_value_is_compared_with_what_was_expected() {
        let unexpected = |value| {
            let mut checked = Checked::new(Fate::Verify);
            checked.expected = Some("7".to_owned());
            checked.begin();
            checked.take(Part::Row(vec![value, Value::Null])).unwrap();
            checked.take(Part::Row(vec![Value::Integer(9)])).unwrap();
            checked.unexpected
        };
        assert_eq!(unexpected(Value::Integer(7)), None);
        assert_eq!(unexpected(Value::Text("7".into())), None);
        assert_eq!(unexpected(Value::Integer(8)), Some("8".into()));
    }
}

//! Requests from a pipe: each line is one, empty lines are none.
//!
//! A pipe may hold anything: a line of a gigabyte, bytes that are no text, the mark that some editors put at the
//! beginning of a file. Each line that cannot be a request is answered like one that was refused, and the next line
//! is read as if nothing had happened.

use protocol::{limits::MAX_SQL, message::ErrorCode};
use std::io::{self, BufRead, Read};

/// Longest line that is taken, in bytes: a statement of the greatest length, and some space around it. What is
/// longer is read to its end without being kept, and refused.
pub const LONGEST_LINE: usize = MAX_SQL + 16 * 1024;

/// Reads lines.
#[derive(Debug)]
pub struct Lines<R> {
    input: R,
    first: bool,
}

/// Why a line is no request.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub enum BadLine {
    /// Too long.
    #[error("A line has at most {LONGEST_LINE} bytes; this one has more.")]
    Long,
    /// Bytes that are no text.
    #[error("The line is not UTF-8 text.")]
    NotText,
}

impl BadLine {
    /// What it is for programs.
    #[must_use]
    pub fn code(self) -> ErrorCode {
        match self {
            Self::Long => ErrorCode::TooLarge,
            Self::NotText => ErrorCode::BadRequest,
        }
    }
}

impl<R: BufRead> Lines<R> {
    /// The lines of this input.
    pub fn new(input: R) -> Self {
        Self { input, first: true }
    }

    /// The next line, without its end; nothing at the end of the input.
    ///
    /// # Errors
    /// When the input cannot be read.
    pub fn next_line(&mut self) -> io::Result<Option<Result<String, BadLine>>> {
        let mut line = Vec::new();
        if (&mut self.input).take(LONGEST_LINE as u64 + 1).read_until(b'\n', &mut line)? == 0 {
            return Ok(None);
        }
        let ended = line.pop_if(|byte| *byte == b'\n').is_some();
        line.pop_if(|byte| *byte == b'\r');
        if line.len() > LONGEST_LINE {
            if !ended {
                self.skip_line()?;
            }
            return Ok(Some(Err(BadLine::Long)));
        }
        if std::mem::take(&mut self.first) && line.starts_with("\u{feff}".as_bytes()) {
            line.drain(..3);
        }
        Ok(Some(String::from_utf8(line).map_err(|_| BadLine::NotText)))
    }

    fn skip_line(&mut self) -> io::Result<()> {
        loop {
            let buffered = self.input.fill_buf()?;
            let end = buffered.iter().position(|byte| *byte == b'\n');
            let (length, ended) = (end.map_or(buffered.len(), |at| at + 1), end.is_some() || buffered.is_empty());
            self.input.consume(length);
            if ended {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(input: &[u8]) -> Vec<Result<String, BadLine>> {
        let mut lines = Lines::new(io::BufReader::with_capacity(7, input));
        std::iter::from_fn(|| lines.next_line().unwrap()).collect()
    }

    #[test]
    fn lines_with_and_without_their_ends() {
        let text = |text: &str| Ok(text.to_owned());
        assert_eq!(all(b"SELECT 1\r\n\nfile a"), [text("SELECT 1"), text(""), text("file a")]);
        assert_eq!(all("\u{feff}SELECT\n\u{feff}".as_bytes()), [text("SELECT"), text("\u{feff}")]);
        assert_eq!(all(b""), []);
    }

    #[test]
    fn a_bad_line_does_not_spoil_the_next() {
        let mut input = b"\xff\xfe\n".to_vec();
        input.extend(vec![b'x'; 3 * LONGEST_LINE]);
        input.extend(b"\nSELECT 1\n");
        input.extend(vec![b'x'; LONGEST_LINE]);
        let lines = all(&input);
        assert_eq!(lines[..3], [Err(BadLine::NotText), Err(BadLine::Long), Ok("SELECT 1".into())]);
        assert_eq!(lines[3].as_ref().map(String::len), Ok(LONGEST_LINE));
        assert_eq!(lines.len(), 4);
        assert_eq!(all(&vec![b'x'; 2 * LONGEST_LINE]), [Err(BadLine::Long)]);
    }
}

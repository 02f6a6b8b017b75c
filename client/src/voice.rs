//! Everything that the client prints, and where.
//!
//! | what | table, blocks | csv | json |
//! |---|---|---|---|
//! | answers | stdout | stdout | stdout |
//! | the walkthrough ("Sending request from client 2") | stdout | stderr | nowhere |
//! | errors | stderr | stderr | stdout, as JSON |
//!
//! So a program that reads stdout finds data there and nothing else. `--quiet` silences the walkthrough. Answers
//! gather in a buffer; before any other line is printed the buffer is emptied, so that the order on a terminal is
//! the order in which things happened.

use crate::render::Format;
use std::{
    fmt,
    io::{self, BufWriter, Write},
};

/// How much of an answer is gathered before it is written, in bytes.
const BUFFER: usize = 64 * 1024;

/// Where the walkthrough goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Steps {
    Stdout,
    Stderr,
    Nowhere,
}

/// The client's two outputs.
pub struct Voice {
    out: BufWriter<Box<dyn Write + Send>>,
    err: Box<dyn Write + Send>,
    steps: Steps,
}

impl fmt::Debug for Voice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Voice").field("steps", &self.steps).finish_non_exhaustive()
    }
}

impl Voice {
    /// A voice on stdout and stderr.
    #[must_use]
    pub fn standard(format: Format, quiet: bool) -> Self {
        Self::new(Box::new(io::stdout()), Box::new(io::stderr()), format, quiet)
    }

    /// A voice on these two outputs.
    #[must_use]
    pub fn new(out: Box<dyn Write + Send>, err: Box<dyn Write + Send>, format: Format, quiet: bool) -> Self {
        let steps = match format {
            _ if quiet => Steps::Nowhere,
            Format::Table | Format::Blocks => Steps::Stdout,
            Format::Csv => Steps::Stderr,
            Format::Json => Steps::Nowhere,
        };
        Self { out: BufWriter::with_capacity(BUFFER, out), err, steps }
    }

    /// Where answers are written.
    pub fn page(&mut self) -> &mut dyn Write {
        &mut self.out
    }

    /// Writes what has gathered.
    ///
    /// # Errors
    /// When nobody reads any more.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    /// Tells a step of the walkthrough. Whether anybody reads it matters to nobody.
    pub fn step(&mut self, line: fmt::Arguments<'_>) {
        let line = format!("{line}\n");
        let _nobody_reads = match self.steps {
            Steps::Stdout => self.out.write_all(line.as_bytes()).and_then(|()| self.out.flush()),
            Steps::Stderr => self.err.write_all(line.as_bytes()),
            Steps::Nowhere => Ok(()),
        };
    }

    /// Tells what went wrong.
    pub fn complain(&mut self, line: fmt::Arguments<'_>) {
        let _nobody_reads = self.out.flush();
        let _nobody_reads = self.err.write_all(format!("{line}\n").as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Paper(Arc<Mutex<Vec<u8>>>);

    impl Write for Paper {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn heard(format: Format, quiet: bool) -> (String, String) {
        let (out, err) = (Paper::default(), Paper::default());
        let mut voice = Voice::new(Box::new(out.clone()), Box::new(err.clone()), format, quiet);
        voice.page().write_all(b"answer\n").unwrap();
        voice.step(format_args!("step"));
        voice.complain(format_args!("wrong"));
        let text = |paper: Paper| String::from_utf8(paper.0.lock().unwrap().clone()).unwrap();
        (text(out), text(err))
    }

    #[test]
    fn programs_find_nothing_but_data_on_stdout() {
        let both = |out: &str, err: &str| (out.to_owned(), err.to_owned());
        assert_eq!(heard(Format::Table, false), both("answer\nstep\n", "wrong\n"));
        assert_eq!(heard(Format::Csv, false), both("answer\n", "step\nwrong\n"));
        assert_eq!(heard(Format::Json, false), both("answer\n", "wrong\n"));
        assert_eq!(heard(Format::Blocks, true), both("answer\n", "wrong\n"));
    }
}

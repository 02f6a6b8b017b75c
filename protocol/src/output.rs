//! Whole lines to the terminal, and never a panic for it.
//!
//! **The problem.** `println!` panics when nobody reads any more (`server | head -1`), and a line that leaves in
//! several writes is torn apart when several threads or processes share one terminal.
//!
//! **The idea.** A line is put together in memory and given away in one write; a failure to write is no failure of
//! the program. Three kinds of lines, because they are silenced differently:
//!
//! | function | goes to | `--quiet` | for |
//! |---|---|---|---|
//! | [`say()`] | stdout | silences it | the walkthrough that a class follows: "Chosen server: 1" |
//! | [`show()`] | stdout | stays | results that were asked for; tells whether anybody still reads |
//! | [`warn()`] | stderr | stays | what went wrong |
//!
//! Each is a function that takes `format_args!` and a macro of the same name that takes a format.
//!
//! **When it is wrong.** A write blocks while the terminal is stopped (Ctrl-S) or a pipe is full, so no lock may be
//! held while a line is written. Text that came from somewhere else is printed as [`Plain`], or it could move the
//! cursor, rename the window, or pretend to be another line.

use std::{
    fmt::{self, Write as _},
    io::{self, Write},
    sync::atomic::{AtomicBool, Ordering},
};

static QUIET: AtomicBool = AtomicBool::new(false);

/// Silences [`say()`] in this process (or lets it speak again).
pub fn set_quiet(quiet: bool) {
    QUIET.store(quiet, Ordering::Relaxed);
}

/// Whether [`say()`] is silenced.
#[must_use]
pub fn is_quiet() -> bool {
    QUIET.load(Ordering::Relaxed)
}

/// So many of something: `1 request`, `2 requests`.
#[must_use]
pub fn count(n: u64, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}

/// Writes a line of the walkthrough to stdout, unless the process is quiet.
pub fn say(line: fmt::Arguments<'_>) {
    if !is_quiet() {
        let _nobody_reads = write_line(&mut io::stdout().lock(), line);
    }
}

/// Writes a line of a result to stdout. False when nobody reads any more: then there is no point in more of it.
pub fn show(line: fmt::Arguments<'_>) -> bool {
    write_line(&mut io::stdout().lock(), line).is_ok()
}

/// Writes a line about something that went wrong to stderr.
pub fn warn(line: fmt::Arguments<'_>) {
    let _nobody_reads = write_line(&mut io::stderr().lock(), line);
}

/// Writes a line of the walkthrough to stdout, unless the process is quiet: `say!("Chosen server: {id}")`.
#[macro_export]
macro_rules! say {
    ($($line:tt)*) => { $crate::output::say(::std::format_args!($($line)*)) };
}

/// Writes a line of a result to stdout: `show!("{table}")`. False when nobody reads any more.
#[macro_export]
macro_rules! show {
    ($($line:tt)*) => { $crate::output::show(::std::format_args!($($line)*)) };
}

/// Writes a line about something that went wrong to stderr: `warn!("{error}")`.
#[macro_export]
macro_rules! warn {
    ($($line:tt)*) => { $crate::output::warn(::std::format_args!($($line)*)) };
}

pub use crate::{say, show, warn};

/// Text from elsewhere, made harmless for a terminal: control characters are shown (`\u{1b}`) instead of obeyed.
/// Ends of lines and tabs stay.
#[derive(Clone, Copy, Debug)]
pub struct Plain<'a>(pub &'a str);

impl fmt::Display for Plain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        while let Some(at) = rest.find(is_obeyed) {
            f.write_str(&rest[..at])?;
            let mut after = rest[at..].chars();
            for character in after.by_ref().take(1) {
                fmt::Display::fmt(&character.escape_default(), f)?;
            }
            rest = after.as_str();
        }
        f.write_str(rest)
    }
}

/// Control characters, and the marks that turn the direction of writing around.
fn is_obeyed(character: char) -> bool {
    let turns = matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    turns || (character.is_control() && !matches!(character, '\n' | '\t'))
}

fn write_line(out: &mut impl Write, line: fmt::Arguments<'_>) -> io::Result<()> {
    let mut text = String::with_capacity(128);
    text.write_fmt(line).map_err(io::Error::other)?;
    text.push('\n');
    out.write_all(text.as_bytes())?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts the writes, and fails like a pipe that nobody reads when told to.
    #[derive(Default)]
    struct Pipe {
        writes: Vec<Vec<u8>>,
        closed: bool,
    }

    impl Write for Pipe {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.closed {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            self.writes.push(bytes.to_vec());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_is_one_write() {
        let mut pipe = Pipe::default();
        write_line(&mut pipe, format_args!("Chosen server: {} of {}", 1, 3)).unwrap();
        assert_eq!(pipe.writes, [b"Chosen server: 1 of 3\n".to_vec()]);
    }

    #[test]
    fn a_closed_pipe_is_an_answer_and_not_a_panic() {
        let mut pipe = Pipe { closed: true, ..Pipe::default() };
        assert!(write_line(&mut pipe, format_args!("anybody?")).is_err());
    }

    #[test]
    fn macros_and_functions_take_the_same_line() {
        let id = "1";
        say!("Chosen server: {id}");
        say(format_args!("Chosen server: {id}"));
        assert!(show!("{id}"));
        warn!("{id} of {}", 3);
    }

    #[test]
    fn text_from_elsewhere_cannot_drive_the_terminal() {
        assert_eq!(
            Plain("SELECT 'ä';\n\t\u{1b}]0;x\u{7}\r\u{202e}").to_string(),
            "SELECT 'ä';\n\t\\u{1b}]0;x\\u{7}\\r\\u{202e}"
        );
        assert_eq!(Plain("").to_string(), "");
    }
}

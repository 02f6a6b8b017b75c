//! What a typed line means.
//!
//! ```text
//! file colors.csv       a file              FILE "my notes.txt"   too
//! \help  \servers  \ping  \timing  \quit    commands of the client itself
//! anything else         SQL
//! ```
//!
//! A line that begins with the word `file`, in any case, asks for a file; `files`, `file_size` and the like do not,
//! and no SQL statement begins with that word. The rest of the line is the name, spaces and all; quotes around the
//! whole of it are taken off, because a shell's habit puts them there. A name is never looked at as a path here:
//! the server decides what it may mean there, and [`crate::received`] what it becomes here.
//!
//! Pure: text in, meaning out.

mod statement;

pub use statement::Statement;

use protocol::limits::{MAX_FILE_NAME, MAX_SQL};

/// What `file` without a name is answered with.
pub const FILE_USAGE: &str = "Which file? Type file and its name, as in: file colors.csv";

/// Something that is sent to the load balancer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// A file of this name.
    File(String),
    /// The result of this SQL statement.
    Query(String),
    /// A pong, to measure the path alone: no database, no processing time.
    Ping,
    /// The load balancer's list of servers.
    Servers,
}

impl Request {
    /// Whether losing the answer leaves open if something was changed. Only SQL changes anything.
    #[must_use]
    pub fn may_change_something(&self) -> bool {
        matches!(self, Self::Query(_))
    }
}

/// Something the client does by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Say what can be typed.
    Help,
    /// Tell the time taken by each request, or stop telling it.
    Timing,
    /// End.
    Quit,
}

/// The commands as they are completed and explained: what to type, and what it does.
pub const COMMANDS: [(&str, &str); 5] = [
    ("\\help", "this text"),
    ("\\servers", "the servers, as the load balancer sees them"),
    ("\\ping", "one ping to a server and back, and its time in microseconds"),
    ("\\timing", "tell the time taken by each request, or stop telling it"),
    ("\\quit", "end (so does Ctrl-D)"),
];

/// What a line means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// Nothing: the line is empty.
    Empty,
    /// A request for the load balancer.
    Request(Request),
    /// A command for the client.
    Command(Command),
}

/// Why a line cannot be sent. Each says what to type instead.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum Misuse {
    /// `file` alone.
    #[error("{FILE_USAGE}")]
    NoName,
    /// A name that no file has.
    #[error("A file name has at most {MAX_FILE_NAME} bytes; this one has {0}.")]
    LongName(usize),
    /// A statement that no server takes.
    #[error("A statement has at most {MAX_SQL} bytes; this one has {0}.")]
    LongStatement(usize),
    /// A command that does not exist.
    #[error("There is no command {0}. \\help lists those that there are.")]
    UnknownCommand(String),
}

/// Says what a line (or a whole statement of several lines) means.
///
/// # Errors
/// [`Misuse`], for what no server could do anything with.
pub fn understand(text: &str) -> Result<Line, Misuse> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(Line::Empty);
    }
    if text.starts_with('\\') {
        return command(text);
    }
    if let Some(rest) = after_file(text) {
        return file(rest);
    }
    if is_word(text, &["quit", "exit"]) {
        return Ok(Line::Command(Command::Quit));
    }
    if is_word(text, &["help", "?"]) {
        return Ok(Line::Command(Command::Help));
    }
    if text.len() > MAX_SQL {
        return Err(Misuse::LongStatement(text.len()));
    }
    Ok(Line::Request(Request::Query(text.to_owned())))
}

/// What follows the word `file`, if the line begins with it.
fn after_file(text: &str) -> Option<&str> {
    let (word, rest) = text.split_at_checked(4)?;
    let ends = rest.chars().next().is_none_or(|c| c.is_whitespace() || matches!(c, ';' | '"' | '\''));
    (word.eq_ignore_ascii_case("file") && ends).then_some(rest)
}

fn file(rest: &str) -> Result<Line, Misuse> {
    let name = without_quotes(rest.trim());
    match name.len() {
        0 => Err(Misuse::NoName),
        _ if name.chars().all(|c| c == ';') => Err(Misuse::NoName),
        1..=MAX_FILE_NAME => Ok(Line::Request(Request::File(name.to_owned()))),
        len => Err(Misuse::LongName(len)),
    }
}

fn without_quotes(name: &str) -> &str {
    let within = |quote: char| name.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
    within('"').or_else(|| within('\'')).unwrap_or(name)
}

fn command(text: &str) -> Result<Line, Misuse> {
    let word = text.trim_end_matches(|c: char| c == ';' || c.is_whitespace());
    match word.to_ascii_lowercase().as_str() {
        "\\help" | "\\h" | "\\?" => Ok(Line::Command(Command::Help)),
        "\\servers" | "\\s" => Ok(Line::Request(Request::Servers)),
        "\\ping" | "\\p" => Ok(Line::Request(Request::Ping)),
        "\\timing" | "\\t" => Ok(Line::Command(Command::Timing)),
        "\\quit" | "\\q" | "\\exit" => Ok(Line::Command(Command::Quit)),
        _ => Err(Misuse::UnknownCommand(word.chars().take(40).collect())),
    }
}

/// Whether the text is one of these words, in any case, perhaps with the `;` that a habit of SQL puts there.
fn is_word(text: &str, words: &[&str]) -> bool {
    let word = text.trim_end_matches(|c: char| c == ';' || c.is_whitespace());
    words.iter().any(|known| known.eq_ignore_ascii_case(word))
}

/// Whether Enter ends what begins with this line even on a terminal, where SQL goes on to its `;`.
#[must_use]
pub fn ends_at_enter(first_line: &str) -> bool {
    let text = first_line.trim();
    text.starts_with('\\') || after_file(text).is_some() || is_word(text, &["quit", "exit", "help", "?"])
}

/// Whether the line is a command with its backslash, so that it may stand between the lines of a statement.
#[must_use]
pub fn is_command(line: &str) -> bool {
    let text = line.trim();
    text.starts_with('\\') && command(text).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(text: &str) -> Request {
        match understand(text) {
            Ok(Line::Request(request)) => request,
            other => panic!("{text:?}: {other:?}"),
        }
    }

    #[test]
    fn file_in_any_case_asks_for_the_rest_of_the_line() {
        for (text, name) in [
            ("file colors.csv", "colors.csv"),
            ("FILE colors.csv", "colors.csv"),
            ("  File\t colors.csv \r", "colors.csv"),
            ("file my holiday photo.jpg", "my holiday photo.jpg"),
            ("file \"my notes.txt\"", "my notes.txt"),
            ("file 'it''s.txt'", "it''s.txt"),
            ("file\"a b\"", "a b"),
            ("file \"half", "\"half"),
            ("file Großmutter 日本.txt", "Großmutter 日本.txt"),
            ("file ../../etc/passwd", "../../etc/passwd"),
            ("file a;b", "a;b"),
        ] {
            assert_eq!(request(text), Request::File(name.into()), "{text:?}");
        }
    }

    #[test]
    fn file_without_a_name_is_told_what_to_type() {
        for text in ["file", "FILE  ", "file \"\"", "file ''", "file;"] {
            assert_eq!(understand(text), Err(Misuse::NoName), "{text:?}");
        }
        assert_eq!(Misuse::NoName.to_string(), FILE_USAGE);
        assert_eq!(understand(&format!("file {}", "x".repeat(1025))), Err(Misuse::LongName(1025)));
        assert!(understand(&format!("file {}", "x".repeat(1024))).is_ok());
    }

    #[test]
    fn anything_else_is_sql() {
        for text in ["SELECT 1;", "files", "file_list", "filé", "fil", "sélect", "quit everything", "-- file x"] {
            assert_eq!(request(text), Request::Query(text.into()), "{text:?}");
        }
        assert_eq!(request("\u{feff}SELECT"), Request::Query("\u{feff}SELECT".into()));
        let long = format!("SELECT '{}'", "x".repeat(MAX_SQL));
        assert_eq!(understand(&long), Err(Misuse::LongStatement(long.len())));
    }

    #[test]
    fn commands() {
        assert_eq!(understand("\\HELP"), Ok(Line::Command(Command::Help)));
        assert_eq!(understand("\\timing;"), Ok(Line::Command(Command::Timing)));
        assert_eq!(understand("\\servers"), Ok(Line::Request(Request::Servers)));
        assert_eq!(understand("\\Ping ;"), Ok(Line::Request(Request::Ping)));
        for text in ["\\quit", "\\q", "quit", "EXIT", "exit ;", "\\exit"] {
            assert_eq!(understand(text), Ok(Line::Command(Command::Quit)), "{text:?}");
        }
        assert_eq!(understand("\\drop x"), Err(Misuse::UnknownCommand("\\drop x".into())));
        assert_eq!(understand(" \t\r\n"), Ok(Line::Empty));
        for (command, _) in COMMANDS {
            assert!(understand(command).is_ok(), "{command}");
        }
    }

    #[test]
    fn what_ends_at_enter() {
        for text in ["file a", "file", "\\help", "quit", " \\x"] {
            assert!(ends_at_enter(text), "{text:?}");
        }
        for text in ["SELECT", "SELECT 1;", "", "files"] {
            assert!(!ends_at_enter(text), "{text:?}");
        }
    }
}

//! The prompt of a user at a terminal.
//!
//! ```text
//! Enter query: SELECT Name
//!         ...> FROM COLORS;
//! ```
//!
//! SQL goes on over several lines up to its `;` or an empty line; `file …` and commands end at Enter. A command with its
//! backslash may also stand between the lines of a statement, but not inside quotes, as in PostgreSQL's psql. What was typed
//! is remembered, also for the next time; a statement of several lines is one entry. Text that is pasted is taken
//! line by line, as if it had been typed; so are lines that were typed while a request ran.
//!
//! Ctrl-C gives up the line, and everything gathered before it; Ctrl-D on an empty line ends. Both keys come from
//! the editor here, not as signals; see [`crate::interrupt`] for Ctrl-C while a request runs. That one drops the lines
//! behind the request as well: whoever presses it wants none of what he has pasted to go on. Bytes that are no UTF-8
//! text give up as much, and are told as in a pipe: the rest of the line, or of the statement, would mean something else.
//!
//! Editing, history and the drawing are rustyline's.

mod complete;

use crate::{
    lines::BadLine,
    request::{Statement, is_command},
    session::{Flow, Session},
    status::Status,
};
use complete::Vocabulary;
use rustyline::{
    Config, Context, Editor, Helper, Highlighter, Hinter, Validator, completion::Completer, error::ReadlineError,
    history::FileHistory,
};
use std::{fs, io, mem, path::PathBuf};

/// What is printed where a request begins.
pub const PROMPT: &str = "Enter query: ";

/// What is printed where a statement goes on.
pub const CONTINUATION: &str = "        ...> ";

/// How many entries the history keeps.
const HISTORY_LENGTH: usize = 1_000;

/// Longest entry of the history, in bytes: what is longer was not typed and will not be edited.
const LONGEST_ENTRY: usize = 16 * 1024;

/// What a command is answered with where it is text.
const TEXT_INSIDE: &str = "Inside quotes or a comment that is a part of the statement. Ctrl-C drops the statement.";

/// What the editor asks for completion.
#[derive(Debug, Default, Helper, Highlighter, Hinter, Validator)]
struct Helpful {
    vocabulary: Vocabulary,
}

impl Completer for Helpful {
    type Candidate = String;

    fn complete(&self, line: &str, pos: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<String>)> {
        Ok(self.vocabulary.complete(line.get(..pos).unwrap_or(line)))
    }
}

/// The prompt, and what it remembers.
struct Prompt {
    editor: Editor<Helpful, FileHistory>,
    history: Option<PathBuf>,
    statement: Statement,
    /// Ctrl-C since the last line.
    interrupts: u32,
}

/// Lets a user type requests until there is an end.
///
/// # Errors
/// When the terminal cannot be read.
pub fn run(session: &mut Session, history: Option<PathBuf>, once: bool) -> io::Result<Status> {
    let mut prompt = Prompt::new(history, session).map_err(into_io)?;
    loop {
        let shown = if prompt.statement.is_empty() { PROMPT } else { CONTINUATION };
        let flow = match prompt.editor.readline(shown) {
            Ok(text) => prompt.take(&text, session, once),
            Err(ReadlineError::Interrupted) => {
                prompt.interrupted(session);
                Flow::Nothing
            }
            Err(ReadlineError::Eof) => Flow::End,
            Err(ReadlineError::Signal(_)) => Flow::Nothing,
            Err(ReadlineError::Io(error)) if error.kind() == io::ErrorKind::InvalidData => prompt.no_text(session),
            Err(error) => return Err(into_io(error)),
        };
        match flow {
            Flow::End => break,
            Flow::Asked | Flow::Interrupted if once => break,
            Flow::Interrupted => {
                prompt.statement.clear();
                prompt.drop_ahead().map_err(into_io)?;
            }
            _ => {}
        }
    }
    // Who sits at the prompt has seen each error; only a single request is judged.
    Ok(if once { session.status() } else { Status::Done })
}

impl Prompt {
    fn new(history: Option<PathBuf>, session: &mut Session) -> rustyline::Result<Self> {
        let config = config()?;
        let entries = FileHistory::with_config(&config);
        let editor = editor(config, entries, Helpful::default())?;
        let mut prompt = Self { editor, history, statement: Statement::default(), interrupts: 0 };
        prompt.load_history(session);
        Ok(prompt)
    }

    /// A history that cannot be read is no reason not to begin.
    fn load_history(&mut self, session: &mut Session) {
        let Some(path) = &self.history else { return };
        match self.editor.load_history(path) {
            Err(ReadlineError::Io(error)) if error.kind() == io::ErrorKind::NotFound => {
                // Made now, so that a folder that is not there is no obstacle later.
                let _told_when_saving = path.parent().map(fs::create_dir_all);
            }
            Err(error) => {
                session.voice().complain(format_args!("The history {} is not used: {error}.", path.display()));
                self.history = None;
            }
            Ok(()) => {}
        }
    }

    /// Remembers an entry, at once: the program may be killed later, and others may append to the same file.
    fn remember(&mut self, entry: &str, session: &mut Session) {
        let added = entry.len() <= LONGEST_ENTRY && self.editor.add_history_entry(entry).unwrap_or(false);
        let Some(path) = self.history.as_ref().filter(|_| added) else { return };
        if let Err(error) = self.editor.append_history(path) {
            session.voice().complain(format_args!("The history {} cannot be kept: {error}.", path.display()));
            self.history = None;
        }
    }

    /// Takes what was typed or pasted, line by line.
    fn take(&mut self, text: &str, session: &mut Session, once: bool) -> Flow {
        self.interrupts = 0;
        let mut last = Flow::Nothing;
        for line in text.split('\n') {
            let Some(request) = self.statement.push(line) else {
                if is_command(line) {
                    session.voice().complain(format_args!("{TEXT_INSIDE}"));
                }
                continue;
            };
            self.remember(&request, session);
            last = session.handle(&request);
            if let Some(helper) = self.editor.helper_mut() {
                helper.vocabulary.learn(session.take_learnt());
            }
            if last == Flow::End || last == Flow::Interrupted || (once && last == Flow::Asked) {
                break;
            }
        }
        last
    }

    /// Drops what has arrived behind the request that was taken back. The terminal dropped what it had at the key; what
    /// the editor has read ahead it gives up only with itself.
    fn drop_ahead(&mut self) -> rustyline::Result<()> {
        let config = config()?;
        let history = mem::replace(self.editor.history_mut(), FileHistory::with_config(&config));
        let helpful = self.editor.helper_mut().map(mem::take).unwrap_or_default();
        self.editor = editor(config, history, helpful)?;
        Ok(())
    }

    /// Refuses bytes that are no text, with the statement around them. The editor drops what it has read ahead.
    fn no_text(&mut self, session: &mut Session) -> Flow {
        drop_arrived();
        let flow = session.refuse("", &BadLine::NotText.to_string(), BadLine::NotText.code());
        if !self.statement.is_empty() {
            session.voice().complain(format_args!("The statement that it belongs to is dropped, and was not sent."));
        }
        self.statement.clear();
        flow
    }

    fn interrupted(&mut self, session: &mut Session) {
        self.statement.clear();
        self.interrupts += 1;
        if self.interrupts > 1 {
            session.voice().complain(format_args!("To end, type \\quit or press Ctrl-D."));
        }
    }
}

/// Drops what the terminal has and nobody has read.
fn drop_arrived() {
    #[cfg(unix)]
    let _gone = rustix::termios::tcflush(io::stdin(), rustix::termios::QueueSelector::IFlush);
}

fn config() -> rustyline::Result<Config> {
    Ok(Config::builder()
        .max_history_size(HISTORY_LENGTH)?
        .history_ignore_dups(true)?
        .history_ignore_space(true)
        .auto_add_history(false)
        .completion_type(rustyline::CompletionType::List)
        .build())
}

fn editor(config: Config, history: FileHistory, helpful: Helpful) -> rustyline::Result<Editor<Helpful, FileHistory>> {
    let mut editor = Editor::with_history(config, history)?;
    editor.set_helper(Some(helpful));
    Ok(editor)
}

fn into_io(error: ReadlineError) -> io::Error {
    match error {
        ReadlineError::Io(error) => error,
        other => io::Error::other(other.to_string()),
    }
}

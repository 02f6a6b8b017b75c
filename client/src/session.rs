//! What a user does with one line after the other: understand it, send it, show the answer, remember the worst.
//!
//! Prompt, pipe and command line are three ways to get lines; what happens to a line is the same, and is here.

use crate::{
    again,
    display::Display,
    error::{Error, Failed},
    exchange::Exchange,
    link::Ticket,
    received::Inbox,
    render::{Style, Told},
    request::{COMMANDS, Command, Line, Misuse, Request, understand},
    status::Status,
    voice::Voice,
};
use protocol::{
    id::RequestId,
    message::{End, ErrorCode, Failure},
    output::Plain,
};

/// What `expired` means for the one who asked.
const EXPIRED: &str = "No record of this request is kept any more. It was not carried out now; whether it was earlier, only the data can tell: look before you send it anew.";

/// What `id-reused` means for the one who asked.
const REUSED: &str = "An id stands for one statement, to the letter. Repeat the statement as it was, or leave out --request-id to send this one anew.";

/// What can be typed, but for the commands.
const HELP: &str = "\
file NAME   receive a file
SQL;        the result of a statement; it may go over several lines, with commands between them;
            an empty line sends it as well, Ctrl-C drops it
";

/// Whether there is another line to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// The line was empty, or a command of the client itself.
    Nothing,
    /// A request was sent, or refused before.
    Asked,
    /// A request was taken back with Ctrl-C.
    Interrupted,
    /// The user wants to end, or nobody reads the answers any more.
    End,
}

/// One user at work.
#[derive(Debug)]
pub struct Session {
    exchange: Exchange,
    inbox: Inbox,
    style: Style,
    voice: Voice,
    client: String,
    timing: bool,
    /// Whether a bar shows how far a file has come.
    bar_wanted: bool,
    status: Status,
    /// The id under which the next request was sent before, if it was.
    again: Option<RequestId>,
    /// What the last request taught: titles of columns, or the name of a file.
    learnt: Learnt,
}

/// Words that a request has shown to exist.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Learnt {
    /// Names of columns, and of what stands in statements that succeeded.
    pub words: Vec<String>,
    /// Names of files that arrived.
    pub files: Vec<String>,
}

impl Session {
    /// A session of this client.
    #[must_use]
    pub fn new(client: String, exchange: Exchange, inbox: Inbox, style: Style, voice: Voice) -> Self {
        let (timing, bar_wanted, status, again) = (true, false, Status::Done, None);
        Self { exchange, inbox, style, voice, client, timing, bar_wanted, status, again, learnt: Learnt::default() }
    }

    /// Asks the first request under this id, under which it was sent before.
    #[must_use]
    pub fn asking_again(self, id: Option<RequestId>) -> Self {
        Self { again: id, ..self }
    }

    /// Shows a bar while a file arrives.
    #[must_use]
    pub fn with_bar(self, bar_wanted: bool) -> Self {
        Self { bar_wanted, ..self }
    }

    /// The worst of all so far.
    #[must_use]
    pub fn status(&self) -> Status {
        self.status
    }

    /// What was learnt since the last call.
    pub fn take_learnt(&mut self) -> Learnt {
        std::mem::take(&mut self.learnt)
    }

    /// The outputs.
    pub fn voice(&mut self) -> &mut Voice {
        &mut self.voice
    }

    /// Does what this line, or statement of several lines, asks for.
    pub fn handle(&mut self, text: &str) -> Flow {
        match understand(text) {
            Ok(Line::Empty) => Flow::Nothing,
            Ok(Line::Command(command)) => self.command(command),
            Ok(Line::Request(request)) => self.request(text.trim(), &request),
            Err(misuse) => self.refuse(text.trim(), &misuse.to_string(), code_of(&misuse)),
        }
    }

    /// Refuses something that never was a request.
    pub fn refuse(&mut self, text: &str, why: &str, code: ErrorCode) -> Flow {
        self.status.add(Status::Failed);
        let failure = Failure::definite(code, why);
        let told = Told { server: "", seconds: 0.0 };
        let shown = self.style.begin(text, None).failed(self.voice.page(), &failure, told);
        if shown.and_then(|()| self.voice.flush()).is_err() {
            return Flow::End;
        }
        self.complain(&failure);
        Flow::Asked
    }

    fn command(&mut self, command: Command) -> Flow {
        match command {
            Command::Quit => return Flow::End,
            Command::Help => self.help(),
            Command::Timing => {
                self.timing = !self.timing;
                self.voice.step(format_args!("Timing is {}.", if self.timing { "on" } else { "off" }));
            }
        }
        Flow::Nothing
    }

    fn help(&mut self) {
        let mut text = String::from(HELP);
        for (command, what) in COMMANDS {
            text += &format!("{command:<12}{what}\n");
        }
        if self.style.format.is_data() {
            self.voice.complain(format_args!("{}", text.trim_end()));
        } else {
            let _nobody_reads = self.voice.page().write_all(text.as_bytes()).and_then(|()| self.voice.flush());
        }
    }

    fn request(&mut self, text: &str, request: &Request) -> Flow {
        let ticket = self.again.take().map_or_else(|| self.exchange.next_ticket(), Ticket::again);
        let told = !matches!(request, Request::Servers | Request::Ping);
        if told {
            self.voice.step(format_args!("Sending request from client {}", Plain(&self.client)));
        }
        let render = self.style.begin(text, Some(ticket.id));
        let mut display = Display::new(&mut self.voice, render, &self.inbox);
        display.bar_wanted = self.bar_wanted;
        display.for_programs = self.style.format.is_data();
        if let Request::File(name) = request {
            display.file = name;
        }
        let asked = self.exchange.ask(ticket, request, &mut display);
        let failure = asked.as_ref().err().map(Failed::to_failure);
        let closed = failure.as_ref().map_or(Ok(()), |failure| display.failed(failure));
        let (seconds, titles) = (display.seconds(), std::mem::take(&mut display.titles));
        match &asked {
            Ok(_) => self.learn(text, request, titles),
            Err(failed) => self.note(text, request, failed),
        }
        if closed.is_err() || matches!(&asked, Err(Failed { error: Error::Output(_), .. })) {
            return Flow::End;
        }
        if told {
            self.tell(asked.as_ref().ok(), failure.as_ref(), seconds);
        }
        if self.exchange.was_interrupted() { Flow::Interrupted } else { Flow::Asked }
    }

    /// Which server answered, and how long it took.
    fn tell(&mut self, end: Option<&End>, failure: Option<&Failure>, seconds: f64) {
        let server = end.map(|end| end.server.as_str()).or(failure.and_then(|failure| failure.server.as_deref()));
        if let Some(server) = server.filter(|server| !server.is_empty()) {
            self.voice.step(format_args!("Answered by server {}", Plain(server)));
        }
        if self.timing {
            self.voice.step(format_args!("Time taken: {seconds:.2}"));
        }
    }

    /// Notes a failed request, and tells it.
    fn note(&mut self, text: &str, request: &Request, failed: &Failed) {
        let failure = failed.to_failure();
        self.status.add(if failure.definite { Status::Failed } else { Status::Unknown });
        self.complain(&failure);
        if self.tells_errors_as_data() {
            return;
        }
        match failure.code {
            ErrorCode::Expired => self.voice.complain(format_args!("{EXPIRED}")),
            ErrorCode::IdReused => self.voice.complain(format_args!("{REUSED}")),
            ErrorCode::NotFound => {
                if let Some(name) = without_semicolon(request) {
                    self.voice.complain(format_args!("Do you mean file {}, without the semicolon?", Plain(name)));
                }
            }
            _ if failure.definite => {}
            _ => {
                let command = again::command(self.exchange.link(), failed.request, text);
                self.voice.complain(format_args!(
                    "Its outcome is unknown: it may have been carried out, or may still be. (Request {id})\nTo ask again without doing it twice:\n  {command}",
                    id = failed.request,
                ));
            }
        }
    }

    fn complain(&mut self, failure: &Failure) {
        if self.tells_errors_as_data() {
            return;
        }
        self.voice.complain(format_args!("{}", Plain(&failure.message)));
        // Beside an outcome that is unknown it would be bad advice: whoever follows it may do the same twice.
        if let Some(ms) = failure.retry_after_ms.filter(|_| failure.definite) {
            self.voice.complain(format_args!("Ask again in {} s.", ms as f64 / 1000.0));
        }
    }

    fn tells_errors_as_data(&self) -> bool {
        self.style.format == crate::render::Format::Json
    }

    fn learn(&mut self, text: &str, request: &Request, titles: Vec<String>) {
        match request {
            Request::File(name) => self.learnt.files.push(name.clone()),
            Request::Query(_) => {
                self.learnt.words.extend(titles);
                self.learnt.words.extend(words_of(text).map(str::to_owned));
            }
            Request::Servers | Request::Ping => {}
        }
    }
}

/// What a file was perhaps meant to be called whose name ends with the `;` that belongs to SQL.
fn without_semicolon(request: &Request) -> Option<&str> {
    let Request::File(name) = request else { return None };
    let meant = name.trim_end_matches(|c: char| c == ';' || c.is_whitespace());
    (meant.len() < name.len()).then_some(meant)
}

/// The names in a statement that succeeded, as far as they can be told without parsing it.
fn words_of(sql: &str) -> impl Iterator<Item = &str> {
    const MOST: usize = 50;
    let is_name = |word: &&str| word.len() > 2 && !word.starts_with(|c: char| c.is_ascii_digit());
    sql.split(|c: char| !c.is_alphanumeric() && c != '_').filter(is_name).take(MOST)
}

fn code_of(misuse: &Misuse) -> ErrorCode {
    match misuse {
        Misuse::NoName | Misuse::UnknownCommand(_) => ErrorCode::BadRequest,
        Misuse::LongName(_) | Misuse::LongStatement(_) => ErrorCode::TooLarge,
    }
}

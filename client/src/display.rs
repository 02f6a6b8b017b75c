//! Where the pieces of one answer go: rows to the renderer, a file to `received/`.

use crate::{
    answer::{Part, Sink, SinkError},
    received::{Arrived, Inbox, Incoming, Naming},
    render::{Render, Told},
    voice::Voice,
};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use protocol::{
    flags::{UNLIMITED, capacity_in_words},
    id::RequestId,
    message::{End, Failure, ServerStatus},
    output::Plain,
    value::Value,
};
use std::{
    io,
    path::{Path, PathBuf},
    time::Instant,
};

/// The titles of the load balancer's list; the reason, which is often empty, comes last.
const SERVER_COLUMNS: [&str; 9] =
    ["server", "address", "state", "processing time", "capacity", "active", "answered", "failed", "reason"];

/// The display of one answer.
pub(crate) struct Display<'a> {
    pub(crate) voice: &'a mut Voice,
    pub(crate) render: Box<dyn Render>,
    pub(crate) inbox: &'a Inbox,
    /// The name of the file that was asked for, if it was one.
    pub(crate) file: &'a str,
    /// Whether a bar shows how far a file has come.
    pub(crate) bar_wanted: bool,
    /// Whether a program reads it.
    pub(crate) for_programs: bool,
    /// Column titles, for the prompt's completion.
    pub(crate) titles: Vec<String>,
    foreign_told: bool,
    started: Instant,
    sent: Instant,
    incoming: Option<(Incoming, ProgressBar)>,
}

impl<'a> Display<'a> {
    pub(crate) fn new(voice: &'a mut Voice, render: Box<dyn Render>, inbox: &'a Inbox) -> Self {
        let (titles, started, file) = (Vec::new(), Instant::now(), "");
        let (bar_wanted, for_programs, foreign_told) = (false, false, false);
        let (sent, incoming) = (started, None);
        Self { voice, render, inbox, file, bar_wanted, for_programs, titles, foreign_told, started, sent, incoming }
    }

    /// Since the request was sent.
    pub(crate) fn seconds(&self) -> f64 {
        self.started.elapsed().as_secs_f64()
    }

    /// The request failed: what has come of a file is removed, and what has been printed is closed.
    pub(crate) fn failed(&mut self, failure: &Failure) -> io::Result<()> {
        if let Some((_removed, bar)) = self.incoming.take() {
            bar.finish_and_clear();
        }
        let told = Told { server: "", seconds: self.seconds() };
        self.render.failed(self.voice.page(), failure, told)?;
        self.voice.flush()
    }

    fn begin_file(&mut self, size: u64) -> Result<(), SinkError> {
        let incoming = self.inbox.begin(self.file, size)?;
        self.voice.step(format_args!("Preparing to receive the file: {}", Plain(self.file)));
        let bar = if self.bar_wanted && size > 0 { bar(size) } else { ProgressBar::hidden() };
        self.incoming = Some((incoming, bar));
        Ok(())
    }

    fn end_file(&mut self, incoming: Incoming, bar: &ProgressBar, end: &End) -> Result<(), SinkError> {
        bar.finish_and_clear();
        let arrived = incoming.finish(end.sha256.as_deref().unwrap_or_default())?;
        self.voice.step(format_args!("File {} received successfully!", Plain(self.file)));
        self.voice.step(format_args!("{}", place_of(&arrived)));
        self.render.file(self.voice.page(), &arrived)?;
        Ok(())
    }

    fn pong(&mut self) -> io::Result<()> {
        let microseconds = self.sent.elapsed().as_nanos() as f64 / 1000.0;
        let page = self.voice.page();
        if !self.for_programs {
            return writeln!(page, "Pong after {microseconds:.1} µs");
        }
        self.render.columns(page, vec!["microseconds".to_owned()])?;
        self.render.row(page, vec![Value::Real(microseconds)])
    }

    /// People see the reasons only where there are any; programs find the same columns each time.
    fn servers(&mut self, servers: Vec<ServerStatus>) -> io::Result<()> {
        if servers.is_empty() && !self.for_programs {
            return writeln!(self.voice.page(), "No servers: the load balancer knows of none.");
        }
        let reasons = self.for_programs || servers.iter().any(|server| server.reason.is_some());
        let columns = if reasons { &SERVER_COLUMNS[..] } else { &SERVER_COLUMNS[..SERVER_COLUMNS.len() - 1] };
        let page = self.voice.page();
        self.render.columns(page, columns.iter().map(|title| (*title).to_owned()).collect())?;
        servers.into_iter().try_for_each(|server| {
            let mut row = row_of(server);
            row.truncate(columns.len());
            self.render.row(page, row)
        })
    }
}

impl Sink for Display<'_> {
    fn sending(&mut self) {
        self.sent = Instant::now();
    }

    fn take(&mut self, part: Part<'_>) -> Result<(), SinkError> {
        match part {
            Part::File(size) => self.begin_file(size)?,
            Part::Chunk(bytes, sha256) => {
                if let Some((incoming, bar)) = &mut self.incoming {
                    incoming.write(bytes)?;
                    incoming.check(sha256)?;
                    bar.inc(bytes.len() as u64);
                }
            }
            Part::Columns(titles) => {
                self.titles.clone_from(&titles);
                self.render.columns(self.voice.page(), titles)?;
            }
            Part::Row(row) => self.render.row(self.voice.page(), row)?,
            Part::Changed(rows) => self.render.changed(self.voice.page(), rows)?,
            Part::Pong => self.pong()?,
            Part::Servers(servers) => self.servers(servers)?,
        }
        Ok(())
    }

    fn foreign(&mut self, request: RequestId) {
        // Told once a request: who sends nonsense can send much of it.
        if !std::mem::replace(&mut self.foreign_told, true) {
            let words = "An answer to another request came";
            self.voice
                .complain(format_args!("{words} ({request}); it was dropped, and so is all further of its kind."));
        }
    }

    fn end(&mut self, end: &End) -> Result<(), SinkError> {
        if let Some((incoming, bar)) = self.incoming.take() {
            self.end_file(incoming, &bar, end)?;
        }
        let told = Told { server: &end.server, seconds: self.seconds() };
        self.render.end(self.voice.page(), told)?;
        Ok(self.voice.flush()?)
    }
}

fn bar(size: u64) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(size), ProgressDrawTarget::stderr());
    match ProgressStyle::with_template("{bar:30} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

fn place_of(arrived: &Arrived) -> String {
    let path = from_here(&arrived.path);
    let path = path.to_string_lossy();
    let path = Plain(&path);
    match arrived.how {
        Naming::New => format!("Saved as {path}"),
        Naming::Numbered => format!("Saved as {path}, because another file of that name was there and is kept"),
        Naming::AlreadyThere => format!("{path} has the same content already and is kept"),
    }
}

/// The path as a person in the current folder would write it.
fn from_here(path: &Path) -> PathBuf {
    let here = std::env::current_dir().ok();
    here.and_then(|here| path.strip_prefix(here).ok()).unwrap_or(path).to_path_buf()
}

fn row_of(server: ServerStatus) -> Vec<Value> {
    let count = |number: u64| Value::Integer(i64::try_from(number).unwrap_or(i64::MAX));
    vec![
        Value::Text(server.id),
        Value::Text(server.address.to_string()),
        Value::Text(server.state),
        Value::Real(server.processing_time),
        if server.capacity == UNLIMITED {
            Value::Text(capacity_in_words(UNLIMITED))
        } else {
            count(server.capacity.into())
        },
        count(server.active.into()),
        count(server.answered),
        count(server.failed),
        server.reason.map_or(Value::Text(String::new()), Value::Text),
    ]
}

//! A process of the laboratory.

use super::READY_TIME;
use anyhow::{Context, bail};
use protocol::deadline::Deadline;
use std::{
    fs::{self, OpenOptions},
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    thread,
    time::Duration,
};

/// How often a child that should end is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// How often its log is looked at by whoever waits for a line: how soon it was said may be what is measured.
const LOG_EVERY: Duration = Duration::from_millis(1);
/// Lines of a log that are shown when its program did not start.
const SHOWN_LINES: usize = 12;

/// The `lab` program: server, load balancer and client in one file.
#[derive(Clone, Debug)]
pub struct Binary(PathBuf);

impl Binary {
    /// The program that runs now.
    ///
    /// # Errors
    /// If the system does not say which it is.
    pub fn own() -> anyhow::Result<Self> {
        std::env::current_exe().map(Self).context("The path of this program cannot be found")
    }

    /// The `lab` program in this file.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// A command that runs it with these arguments.
    #[must_use]
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.0);
        command.args(args);
        command
    }
}

/// A child process. Dropping it kills it, if it still lives.
#[derive(Debug)]
pub struct Child {
    name: String,
    process: std::process::Child,
    log: Option<PathBuf>,
    /// If the process is only the guardian of a program (see [`tied`](super::tied)): the number of that one.
    guarded: Option<u32>,
}

impl Child {
    /// Starts a command without input, in a process group of its own (so that Ctrl-C does not reach it), its output
    /// at the end of a log file.
    ///
    /// # Errors
    /// If the log cannot be written, or the process cannot be started.
    pub fn start(name: &str, mut command: Command, log: PathBuf) -> anyhow::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(&log);
        let file = file.with_context(|| format!("The log {} cannot be made", log.display()))?;
        let errors = file.try_clone()?;
        command.stdin(Stdio::null()).stdout(file).stderr(errors);
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        Self::spawn(name, command, Some(log))
    }

    /// Starts a command with our own terminal.
    ///
    /// # Errors
    /// If the process cannot be started.
    pub fn start_in_front(name: &str, command: Command) -> anyhow::Result<Self> {
        Self::spawn(name, command, None)
    }

    fn spawn(name: &str, mut command: Command, log: Option<PathBuf>) -> anyhow::Result<Self> {
        let process = command.spawn().with_context(|| format!("The process {name} cannot be started"))?;
        Ok(Self { name: name.to_owned(), process, log, guarded: None })
    }

    /// The same child, which is the guardian of this program.
    #[must_use]
    pub fn guarding(mut self, program: u32) -> Self {
        self.guarded = Some(program);
        self
    }

    /// The number of the process; of the program, where the process is its guardian.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.guarded.unwrap_or_else(|| self.process.id())
    }

    /// An error with the end of its log if the child has ended.
    ///
    /// # Errors
    /// That it has ended, and what it said last.
    pub fn must_live(&mut self) -> anyhow::Result<()> {
        let Some(status) = self.process.try_wait()? else { return Ok(()) };
        let log = self.log.as_deref().map(last_lines).unwrap_or_default();
        bail!("{} ended unasked ({status}). Its last words:\n{log}", self.name)
    }

    /// Waits until a line of the log begins so. Returns what follows in the first of them.
    ///
    /// # Errors
    /// If the child ends before, or does not say it in time.
    pub fn wait_for_line(&mut self, begin: &str) -> anyhow::Result<String> {
        let deadline = Deadline::after(READY_TIME);
        loop {
            let said = self.log.as_ref().map(|log| fs::read_to_string(log).unwrap_or_default()).unwrap_or_default();
            // The last line may still be being written.
            let whole = said.rsplit_once('\n').map_or("", |(whole, _)| whole);
            if let Some(rest) = whole.lines().find_map(|line| line.strip_prefix(begin)) {
                return Ok(rest.to_owned());
            }
            self.must_live()?;
            if deadline.has_passed() {
                bail!("{} did not say: {begin}", self.name);
            }
            thread::park_timeout(LOG_EVERY);
        }
    }

    /// Waits for the child and returns its status; one that was ended by a signal has failed.
    ///
    /// # Errors
    /// If the system does not say.
    pub fn wait(&mut self) -> anyhow::Result<ExitCode> {
        let status = self.process.wait()?;
        let code = status.code().and_then(|code| u8::try_from(code).ok());
        Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
    }

    /// Waits until the child has ended by itself, kills it when the deadline has passed.
    pub fn end(&mut self, deadline: Deadline) {
        let _or_killed = self.ends_by(deadline);
    }

    /// The same; says whether it ended by itself.
    pub fn ends_by(&mut self, deadline: Deadline) -> bool {
        while let Ok(None) = self.process.try_wait() {
            if deadline.has_passed() {
                self.kill();
                return false;
            }
            thread::park_timeout(LOOK_EVERY);
        }
        true
    }

    /// `kill -9`, and waits until the process is gone. It works on a stopped process too. A guardian must not be killed
    /// before its program; it ends when that is gone.
    pub fn kill(&mut self) {
        let alive = matches!(self.process.try_wait(), Ok(None));
        if alive && (self.guarded.is_none() || self.signal(Signal::Kill).is_err()) {
            let _gone_already = self.process.kill();
        }
        let _gone = self.process.wait();
    }

    /// Stops the process (SIGSTOP): it keeps its memory, connections and locks, and does nothing.
    ///
    /// # Errors
    /// If the process is gone, or the system has no such thing.
    pub fn freeze(&self) -> anyhow::Result<()> {
        self.signal(Signal::Freeze)
    }

    /// Lets a stopped process go on (SIGCONT).
    ///
    /// # Errors
    /// If the process is gone, or the system has no such thing.
    pub fn thaw(&self) -> anyhow::Result<()> {
        self.signal(Signal::Thaw)
    }

    /// Ctrl-C (SIGINT).
    ///
    /// # Errors
    /// If the process is gone, or the system has no such thing.
    pub fn interrupt(&self) -> anyhow::Result<()> {
        self.signal(Signal::Interrupt)
    }

    /// Asks the process to end in order (SIGTERM).
    ///
    /// # Errors
    /// If the process is gone, or the system has no such thing.
    pub fn ask_to_end(&self) -> anyhow::Result<()> {
        self.signal(Signal::End)
    }

    #[cfg(unix)]
    fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        use rustix::process::{Pid, kill_process};
        let signal = match signal {
            Signal::Freeze => rustix::process::Signal::STOP,
            Signal::Thaw => rustix::process::Signal::CONT,
            Signal::End => rustix::process::Signal::TERM,
            Signal::Interrupt => rustix::process::Signal::INT,
            Signal::Kill => rustix::process::Signal::KILL,
        };
        let pid = i32::try_from(self.pid()).ok().and_then(Pid::from_raw).context("The process has no number")?;
        kill_process(pid, signal).with_context(|| format!("{} cannot be sent a signal", self.name))
    }

    #[cfg(not(unix))]
    fn signal(&self, _signal: Signal) -> anyhow::Result<()> {
        bail!("This system cannot do that to a process.")
    }
}

#[cfg_attr(not(unix), allow(dead_code))]
enum Signal {
    Freeze,
    Thaw,
    End,
    Interrupt,
    Kill,
}

impl Drop for Child {
    fn drop(&mut self) {
        self.end(Deadline::after(Duration::ZERO));
    }
}

fn last_lines(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n")
}

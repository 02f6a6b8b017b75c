//! A process of the laboratory.

use anyhow::{Context, bail};
use protocol::deadline::Deadline;
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    thread,
    time::Duration,
};

/// How often a child that should end is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// Lines of a log that are shown when its program did not start.
const SHOWN_LINES: usize = 12;

/// A child process. Dropping it kills it, if it still lives.
pub struct Child {
    name: String,
    process: std::process::Child,
    log: Option<PathBuf>,
}

impl Child {
    /// Starts this binary under another name, in a process group of its own, its output in a log file.
    pub fn start(name: &str, args: &[&str], log: PathBuf) -> anyhow::Result<Self> {
        let file = File::create(&log).with_context(|| format!("The log {} cannot be made", log.display()))?;
        let errors = file.try_clone()?;
        let mut command = own_binary(args)?;
        command.stdin(Stdio::null()).stdout(file).stderr(errors);
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        Self::spawn(name, command, Some(log))
    }

    /// Starts this binary under another name with our own terminal.
    pub fn start_in_front(args: &[&str]) -> anyhow::Result<Self> {
        Self::spawn("client", own_binary(args)?, None)
    }

    fn spawn(name: &str, mut command: Command, log: Option<PathBuf>) -> anyhow::Result<Self> {
        let process = command.spawn().with_context(|| format!("The process {name} cannot be started"))?;
        Ok(Self { name: name.to_owned(), process, log })
    }

    /// An error with the end of its log if the child has ended.
    pub fn must_live(&mut self) -> anyhow::Result<()> {
        let Some(status) = self.process.try_wait()? else { return Ok(()) };
        let log = self.log.as_deref().map(last_lines).unwrap_or_default();
        bail!("{} ended while the laboratory was starting ({status}). Its last words:\n{log}", self.name)
    }

    /// Waits for the child and returns its status; one that was ended by a signal has failed.
    pub fn wait(&mut self) -> anyhow::Result<ExitCode> {
        let status = self.process.wait()?;
        let code = status.code().and_then(|code| u8::try_from(code).ok());
        Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
    }

    /// Waits until the child has ended by itself, kills it when the deadline has passed.
    pub fn end(&mut self, deadline: Deadline) {
        while let Ok(None) = self.process.try_wait() {
            if deadline.has_passed() {
                let _ = self.process.kill();
                let _ = self.process.wait();
                return;
            }
            thread::park_timeout(LOOK_EVERY);
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.end(Deadline::after(Duration::ZERO));
    }
}

fn own_binary(args: &[&str]) -> anyhow::Result<Command> {
    let own = std::env::current_exe().context("The path of this program cannot be found")?;
    let mut command = Command::new(own);
    command.args(args);
    Ok(command)
}

fn last_lines(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n")
}

//! A program that is not ours, tied to ours: it ends when the lifeline does.
//!
//! HAProxy knows nothing of our lifelines. So it is started by a process of ours, `lab tied`, which holds on to the
//! lifeline and kills it when that ends, however that comes about.

use super::{Child, LOOK_EVERY, READY_TIME, Site};
use anyhow::{Context, bail};
use clap::Args;
use protocol::{
    deadline::Deadline,
    lifeline::{self, LifelineAddress},
    output::show,
    stop::Stop,
};
use std::{
    ffi::OsString,
    fs,
    process::{Command, ExitCode, Stdio},
    thread,
};

/// What stands before the number of the process.
const MARK: &str = "process ";

/// Options of `lab tied`.
#[derive(Args, Debug)]
pub struct Tie {
    /// What to hold on to
    #[arg(long, value_name = "IP:PORT/TOKEN")]
    lifeline: LifelineAddress,
    /// The program and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<OsString>,
}

/// Runs the program until it ends or the lifeline does.
///
/// # Errors
/// If it cannot be started.
pub fn run(tie: &Tie) -> anyhow::Result<ExitCode> {
    let (name, rest) = tie.command.split_first().context("No program is named")?;
    let parent_gone = Stop::new();
    let gone = parent_gone.clone();
    lifeline::hold(&tie.lifeline, move || gone.drain())?;
    let spawned = Command::new(name).args(rest).stdin(Stdio::null()).spawn();
    let mut process = spawned.with_context(|| format!("{} cannot be started", name.display()))?;
    show!("{MARK}{}", process.id());
    while !parent_gone.wait_timeout(LOOK_EVERY) {
        if let Some(status) = process.try_wait()? {
            bail!("{} ended by itself ({status})", name.display());
        }
    }
    process.kill()?;
    process.wait()?;
    Ok(ExitCode::SUCCESS)
}

/// Starts a program that is tied to this one, its output in `NAME.log`. What is returned is its guardian: dropping it
/// kills the program.
///
/// # Errors
/// If it cannot be started; the error shows its last words.
pub fn start(site: &Site, name: &str, command: &[&str]) -> anyhow::Result<Child> {
    let lifeline = site.lifeline_argument();
    let log = site.folder.log(name);
    // What an earlier program of this name has said is no news.
    let known = fs::read_to_string(&log).map_or(0, |said| said.len());
    let args = [&["tied", "--lifeline", &lifeline, "--"], command].concat();
    let mut guardian = Child::start(name, site.binary.command(&args), log.clone())?;
    let deadline = Deadline::after(READY_TIME);
    loop {
        let said = fs::read_to_string(&log).unwrap_or_default();
        let mut news = said.get(known..).unwrap_or_default().lines();
        if let Some(pid) = news.find_map(|line| line.strip_prefix(MARK)?.parse().ok()) {
            return Ok(guardian.guarding(pid));
        }
        guardian.must_live()?;
        if deadline.has_passed() {
            bail!("{name} was not started within {} s.", READY_TIME.as_secs());
        }
        thread::park_timeout(LOOK_EVERY);
    }
}

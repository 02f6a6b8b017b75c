//! `loadbalancer why`: what happened to a request, read from the journal. The load balancer need not be running.

use crate::event::{
    journal,
    why::{Answer, Past, Question, Unanswerable},
};
use clap::Args;
use protocol::{
    flags::RegistryFlag,
    output::{show, warn},
    places::Places,
    runs::{RUNS, latest},
};
use std::{
    io,
    path::{Path, PathBuf},
    process::ExitCode,
};

/// What is to be explained, and from which journal.
#[derive(Args, Clone, Debug)]
pub struct WhyFlags {
    /// The id of the request as the client printed it, or its beginning; the first half lists that client's requests
    #[arg(value_name = "ID", required_unless_present_any = ["last", "failed"], conflicts_with_all = ["last", "failed"])]
    pub id: Option<String>,
    /// Explain the request that ended last
    #[arg(long, conflicts_with = "failed")]
    pub last: bool,
    /// List the requests that failed
    #[arg(long)]
    pub failed: bool,
    /// The journal to read [default: runs/latest/journal.jsonl beside the registry]
    #[arg(long, value_name = "FILE")]
    pub journal: Option<PathBuf>,
    /// Where the servers are.
    #[command(flatten)]
    pub registry: RegistryFlag,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

impl WhyFlags {
    fn question(&self) -> Question {
        match &self.id {
            Some(id) => Question::Request(id.clone()),
            None if self.last => Question::Last,
            None => Question::Failed,
        }
    }

    fn journal(&self) -> io::Result<PathBuf> {
        if let Some(path) = &self.journal {
            return Ok(path.clone());
        }
        let registry = self.registry.path(&Places::here()?);
        Ok(latest(&registry.parent().unwrap_or(Path::new(".")).join(RUNS)).join(journal::FILE))
    }
}

/// Answers on stdout. The status is 0 if there was an answer, 1 if not, 2 if the question fits no request or several.
#[must_use]
pub fn run(flags: &WhyFlags) -> ExitCode {
    let journal = match flags.journal() {
        Ok(journal) => journal,
        Err(error) => {
            warn!("{error}");
            return ExitCode::FAILURE;
        }
    };
    match Past::Journal(journal).answer(&flags.question()) {
        Ok(answer) => tell(&answer, flags.json),
        Err(error) => {
            warn!("{error}");
            if let Unanswerable::NoJournal { .. } = error
                && flags.journal.is_none()
            {
                warn!("Name another one with --journal, or start a load balancer here.");
            }
            ExitCode::from(if error.is_wrong_usage() { 2 } else { 1 })
        }
    }
}

fn tell(answer: &Answer, json: bool) -> ExitCode {
    let said = if json { serde_json::to_string_pretty(answer) } else { Ok(answer.to_string()) };
    match said {
        Ok(said) => {
            let _nobody_reads = show!("{}", said.trim_end());
            if answer.is_known() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            warn!("The answer cannot be written as JSON: {error}.");
            ExitCode::FAILURE
        }
    }
}

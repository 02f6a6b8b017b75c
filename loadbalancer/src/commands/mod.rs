//! The commands of the program, beside serving: `loadbalancer why …` and the like.
//!
//! Without a command the program serves: `loadbalancer --balance random`. A command has flags of its own and takes none of
//! those, so that nobody believes he has changed something by `loadbalancer --balance random why …`.

pub mod why;
pub mod ctl;

use crate::config::Config;
use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Distributes the requests of clients over servers.
///
/// Servers are found in the registry (servers.json), also those that start later. Clients connect to port 5050
/// unless --listen says otherwise.
#[derive(Clone, Debug, Parser)]
#[command(name = "loadbalancer", version, max_term_width = 110, args_conflicts_with_subcommands = true)]
pub struct Program {
    /// What to do instead of serving.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// How to serve.
    #[command(flatten)]
    pub config: Config,
}

/// What can be done instead of serving.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Explain what happened to a request, and why, from the journal
    Why(why::WhyFlags),
    /// Look at a load balancer that is running, and change it
    Ctl(ctl::CtlFlags),
}

impl Command {
    /// Does it.
    #[must_use]
    pub fn run(&self) -> ExitCode {
        match self {
            Self::Why(flags) => why::run(flags),
            Self::Ctl(flags) => ctl::run(flags),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn parse(args: &[&str]) -> Result<Program, clap::Error> {
        Program::try_parse_from([&["loadbalancer"], args].concat())
    }

    #[test]
    fn flags_serve_and_a_command_takes_none_of_them() {
        Program::command().debug_assert();
        let serves = parse(&["--balance", "random", "--quiet"]).unwrap();
        assert!(serves.command.is_none() && serves.config.quiet.quiet);
        assert!(parse(&[]).unwrap().command.is_none());
        assert!(matches!(parse(&["why", "--last"]).unwrap().command, Some(Command::Why(_))));
        assert!(parse(&["--balance", "random", "why", "--last"]).is_err());
        assert!(parse(&["why", "--last", "--balance", "random"]).is_err());
    }

    #[test]
    fn why_is_asked_one_question() {
        for wrong in [&["why"][..], &["why", "5f", "--last"], &["why", "--last", "--failed"], &["why", "5f", "6f"]] {
            assert!(parse(wrong).is_err(), "{wrong:?}");
        }
        assert!(parse(&["why", "5f", "--json", "--journal", "x.jsonl"]).is_ok());
    }
}

//! The classroom: starts the whole laboratory with one command, and tests it end to end.
//!
//! `lab up` (or just `lab`, or `cargo run`) starts three servers, the load balancer and a client's prompt, each as a
//! process of its own. There is one binary: `lab server …` is the program `server`, and so on, so that nothing has
//! to be found or installed for the laboratory to start itself.
//!
//! | thread     | role                                  | blocks on          | what stops it        |
//! |------------|---------------------------------------|--------------------|----------------------|
//! | main       | starts the others, waits for the prompt | the client process | the prompt's end     |
//! | `lifeline` | holds on to the children              | a socket           | the end of `lab up`  |
//!
//! `lab drill`, `lab bench`, `lab experiment` and `lab framing` start processes in the same way; their threads are listed in
//! their own rooms.
//! `lab race` starts no process: it plays scenes at the pool, with the order of the threads drawn.
//!
//! `lab up` itself passes nothing on: the client speaks to the load balancer, the load balancer to the servers.

pub mod process;
pub mod up;
pub mod drill;
pub mod record;
pub mod bench;
pub mod experiment;
pub mod framing;
#[cfg(feature = "race")]
pub mod race;
pub mod simulate;

use clap::{Parser, Subcommand};
use protocol::{flags::run_parsed, output::warn};
use std::{ffi::OsString, process::ExitCode};

/// A program by the name it is called with.
type Program = (&'static str, fn(Vec<OsString>) -> ExitCode);

/// The programs that the one binary also is, by the first argument.
const PROGRAMS: [Program; 3] = [
    ("server", |args| server::run(args)),
    ("loadbalancer", |args| loadbalancer::run(args)),
    ("client", |args| client::run(args)),
];

/// The whole laboratory in one command.
#[derive(Debug, Parser)]
#[command(name = "lab", version, max_term_width = 110)]
#[command(after_help = "`lab server …`, `lab loadbalancer …` and `lab client …` are the three programs themselves.")]
struct Command {
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Start three servers, the load balancer and a client's prompt; end them all when the prompt ends (default)
    Up(up::Up),
    /// Let things go wrong on purpose while clients ask, and judge what they saw
    Drill(drill::Drills),
    /// Measure our load balancer beside direct access and HAProxy, in turn on the same servers
    Bench(bench::Bench),
    /// Let threads meet at the pool in thousands of orders: find planted races, and none in the pool itself
    #[cfg(feature = "race")]
    Race(race::Race),
    /// Ask a question about load balancing, and put the answer beside what theory says
    Experiment(experiment::Experiments),
    /// Send the same bytes through relays that guess where a message ends, and through some that do not
    Framing(framing::Framing),
    /// A relay that guesses where a message ends, or does not: for trying out, not for use
    Relay(framing::relay::RelayArgs),
    /// Run the pool and its policies under a virtual clock, with faults by chance, and check the rules after each step
    Simulate(simulate::Simulate),
    /// A program that is not ours, which ends with the process that holds the lifeline
    #[command(hide = true)]
    Tied(process::Tie),
    /// A server whose files cost as little as they can, for measuring
    #[command(hide = true)]
    Source(bench::source::SourceArgs),
}

/// Runs the program with these arguments (the first is its name).
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = args.into_iter().collect();
    let program = PROGRAMS.iter().find(|(name, _)| args.get(1).is_some_and(|arg| arg == name));
    if let Some((_, run)) = program {
        return run(args.into_iter().skip(1).collect());
    }
    run_parsed(args, |command: Command| {
        let ended = match command.action.unwrap_or_else(|| Action::Up(up::Up::default())) {
            Action::Up(up) => up::run(&up),
            Action::Drill(drills) => drill::run(&drills),
            Action::Bench(bench) => bench::run(&bench),
            #[cfg(feature = "race")]
            Action::Race(race) => race::run(&race),
            Action::Experiment(experiments) => experiment::run(&experiments),
            Action::Framing(framing) => framing::run(&framing),
            Action::Relay(relay) => framing::relay::run(&relay),
            Action::Simulate(simulate) => simulate::run(&simulate),
            Action::Tied(tie) => process::run_tied(&tie),
            Action::Source(source) => bench::source::run(&source),
        };
        ended.unwrap_or_else(|error| {
            warn!("{error:#}");
            ExitCode::FAILURE
        })
    })
}

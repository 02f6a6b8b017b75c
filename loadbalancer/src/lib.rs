//! The load balancer: takes the requests of clients, chooses a server for each, and carries the answer back.
//!
//! | room           | what is in it                                                                       |
//! |----------------|-------------------------------------------------------------------------------------|
//! | [`policy`]     | one file per algorithm, pure                                                         |
//! | [`pool`]       | THE lock: servers, idle list, waiting requests, leases                               |
//! | [`health`]     | states and thresholds: checks, ejection, slow start; pure                            |
//! | [`membership`] | where servers come from (`servers.json`, the network), and the thread for each       |
//! | [`dispatch`]   | the life of a request: take a server, relay, give it back, try another               |
//! | [`replicas`]   | servers that the load balancer starts itself, and replaces                           |
//! | [`frontend`]   | how clients speak                                                                    |
//! | [`event`]      | everything that can happen, as one typed enum; the terminal and the journal          |
//! | [`admin`]      | looking at it, and changing it, while it runs: an HTTP API on a port of its own      |
//! | [`simulation`] | the pool's rules and policies under a virtual clock, with faults                     |
//! | [`config`]     | the command line for serving                                                         |
//! | [`commands`]   | what the program does instead of serving: `why`, `ctl`                               |
//!
//! # Threads
//!
//! | thread         | role                            | blocks on                              | locks it takes | what stops it            |
//! |----------------|---------------------------------|----------------------------------------|----------------|--------------------------|
//! | main           | starts, then waits for the end  | the stop signal                        | –              | Ctrl-C                   |
//! | `client-N`     | one client, all its requests    | `accept`; client; server; its turn     | pool           | drain, or its client     |
//! | `http-N`       | one HTTP client, all its requests| `accept`; client; server; its turn    | pool           | drain, or its client     |
//! | `dns-udp`      | takes queries in                | a socket                               | pool, flights  | drain                    |
//! | `dns-clock`    | hedges and gives up queries     | its next appointment                   | pool, flights  | drain                    |
//! | `dns-ID`       | hears one name server           | a socket                               | pool, flights  | its server leaves        |
//! | `dns-N`        | one connection of queries       | `accept`; client; an answer            | pool, flights  | drain, or its client     |
//! | `udp-in`       | takes datagrams of clients in   | a socket                               | requests, pool | drain                    |
//! | `udp-ID`       | hears one server, tagged mode   | a socket                               | requests, pool | its server leaves        |
//! | `udp-clock`    | sends again and gives up        | its next appointment                   | requests, pool | drain                    |
//! | `udp-flow`     | one flow: hears its server      | a socket                               | flows, pool    | silence, or its server   |
//! | `loser-N`      | copies that were not first      | last words; its queue                  | pool           | end of the program       |
//! | `registry`     | follows `servers.json`          | its next look                          | –              | stop                     |
//! | `join-N`       | one server that has joined      | `accept`; its next word                | members        | its lease, or stop       |
//! | `admin-N`      | one connection of administration| `accept`; its next request; a handshake| pool, members | drain; too many at rest  |
//! | `contact-ID`   | control port of one server      | its heartbeat; the next one            | pool           | entry gone, or stop      |
//! | `console`      | prints events                   | its queue                              | stdout         | end of the events        |
//! | `journal`      | writes events                   | its queue                              | –              | end of the events        |
//! | `recent`       | remembers events                | its queue                              | its memory     | end of the events        |
//! | `replicas`, `replica-ID`, `retire-ID` | its own servers: see [`replicas`] | its queue, a pipe | pool, members | end of the program |
//! | `signals`      | Ctrl-C                          | a signal                               | –              | end of the process       |
//! | `lifeline`     | the parent's death              | a socket                               | –              | end of the process       |
//!
//! Lock order: the pool's lock is the outermost and the only one that several threads want at the same time; a
//! server's list of kept connections has a lock of its own, never held together with another. The list of members has
//! one, too, under which nothing is done in the pool.

pub mod policy;
pub mod health;
pub mod pool;
pub mod membership;
pub mod dispatch;
pub mod replicas;
pub mod shards;
pub mod frontend;
pub mod event;
pub mod admin;
pub mod config;
pub mod simulation;
pub mod commands;
mod running;

pub use running::LoadBalancer;

use crate::{commands::Program, config::Config};
use anyhow::Context as _;
use protocol::{descriptors, flags::run_parsed, lifeline, output::warn, stop::Stop};
use std::{ffi::OsString, process::ExitCode, thread, time::Duration};

/// How long requests in hand may take to finish when the parent process is gone.
const ORPHAN_TIME: Duration = Duration::from_secs(1);

/// Runs the program with these arguments (the first is its name).
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    run_parsed(args, |program: Program| match (&program.command, &program.config) {
        (Some(command), _) => command.run(),
        (None, config) => serve_or_say_why_not(config),
    })
}

fn serve_or_say_why_not(config: &Config) -> ExitCode {
    match serve(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            warn!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Serves until told to end.
fn serve(config: &Config) -> anyhow::Result<()> {
    config.quiet.apply();
    let stop = Stop::on_signals().context("Signals cannot be handled")?;
    descriptors::allow_all();
    hold_lifeline(config, &stop)?;
    let balancer = LoadBalancer::start(config)?;
    stop.wait();
    balancer.end();
    Ok(())
}

/// Ends the program when its parent is gone: soon, and surely.
fn hold_lifeline(config: &Config, stop: &Stop) -> anyhow::Result<()> {
    if let Some(parent) = &config.lifeline.lifeline {
        let stop = stop.clone();
        lifeline::hold(parent, move || {
            stop.drain();
            thread::sleep(ORPHAN_TIME);
            std::process::exit(1);
        })?;
    }
    Ok(())
}

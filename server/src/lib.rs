//! A server: the worker behind the load balancer.
//!
//! It listens on two ports. On the *service* port one thread carries each connection: it takes one of the server's places
//! ([`slots`](Config::capacity)), spends the processing time ([`Work`]), does the work and answers. What it serves
//! there is one strategy of several ([`ServiceName`]); all else is the same for all of them. On the *control* port it says
//! who it is and that it lives, also when all places are taken.
//!
//! # Threads
//!
//! | name | role | blocks on | locks | what stops it |
//! |---|---|---|---|---|
//! | main | starts everything, waits for the end, drains | the wish to end; the crews' last threads | – | Ctrl-C, SIGTERM, the lifeline |
//! | `service-n` | carries connections of the service, one after the other | `accept`; the next request, or the next bytes; the processing time (a wait on the connection, or computation: then it blocks on nothing); a file or the database; a slow reader, with a deadline | its own connection's; the writing connection of the database, for one transaction | draining: when its request is answered, or all is echoed; aborting: its socket is shut down |
//! | `control-n` | carries connections to the control port | `accept`; the next question | – | the same, after the service has ended |
//! | `reverse-n` | instead, with `--service reverse`: takes datagrams and answers them | the socket, 100 ms at most; the processing time | that of the agents, for a moment | draining: when nothing has come for 100 ms, or after a second |
//! | `ring` | with `--ring`: speaks with the neighbours, and takes the server down and up | the socket, a beat at most | those of the outage and the agents, for a moment | draining |
//! | `membership` | keeps the entry in `servers.json` | a wait of 250 ms | the registry's lock file, to write | the end of the service, before its drain |
//! | `membership` | instead, with `--join`: keeps the lease at the load balancer | a wait of a second; the load balancer's answer, with a deadline | that of its connection, for a moment | the same |
//! | `signals` | turns Ctrl-C into the wish to end | the signal | – | the end of the process |
//! | `lifeline` | notices the end of the process that started this one | a read | – | the end of the process |
//!
//! # Order at the end
//!
//! First the entry leaves `servers.json`, or the lease ends, so that nothing new is sent here; then the service drains; last the control
//! port closes, because until then somebody may want to know how the drain is going.

mod config;
mod prepare;

mod files;
pub mod sql;

mod slots;
mod work;

mod service;

mod ring;

mod control;
mod membership;
mod joining;

mod running;

pub use config::Config;
pub use membership::{ClaimError, JoinError};
pub use ring::RingConfig;
pub use running::{Running, StartError};
pub use service::ServiceName;
pub use work::Work;

use config::Arguments;
use protocol::{
    flags::run_parsed,
    lifeline,
    output::{say, warn},
    stop::Stop,
};
use std::{ffi::OsString, process::ExitCode, time::Duration};

/// How long a server may go on with its requests when the process that started it has ended.
const ORPHAN_TIME: Duration = Duration::from_secs(1);

/// Whoever keeps shards for a load balancer holds on to their file. Stopped when the load balancer dies, it would not hear of that, and
/// its successor would wait for the file for ever; the system ends it all the same. Who has started it is a thread that lives as long
/// as its process.
#[cfg(target_os = "linux")]
fn die_with_the_starter() {
    use rustix::process::{Signal, set_parent_process_death_signal};
    let _then_only_the_lifeline = set_parent_process_death_signal(Some(Signal::KILL));
}

#[cfg(not(target_os = "linux"))]
fn die_with_the_starter() {}

/// Status of a wrong command line.
const USAGE: u8 = 2;

/// Runs the program with these arguments (the first is its name).
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = args.into_iter().collect();
    if let Some(ended) = prepare::command(&args) {
        return ended;
    }
    run_parsed(args, |arguments: Arguments| {
        arguments.quiet.apply();
        let config = match arguments.config() {
            Ok(config) => config,
            Err(error) => {
                warn!("{error}");
                return if error.is_usage() { ExitCode::from(USAGE) } else { ExitCode::FAILURE };
            }
        };
        match serve(&arguments, &config) {
            Ok(()) => ExitCode::SUCCESS,
            Err(sentence) => {
                warn!("{sentence}");
                ExitCode::FAILURE
            }
        }
    })
}

fn serve(arguments: &Arguments, config: &Config) -> Result<(), String> {
    protocol::descriptors::allow_all();
    let stop = Stop::on_signals().map_err(|e| format!("The signals of the process cannot be listened to: {e}."))?;
    if let Some(parent) = arguments.lifeline() {
        let stop = stop.clone();
        let orphaned = move || {
            stop.drain();
            if !stop.wait_abort_timeout(ORPHAN_TIME) {
                stop.abort();
            }
        };
        lifeline::hold(parent, orphaned).map_err(|e| e.to_string())?;
        if config.service == ServiceName::Shard {
            die_with_the_starter();
        }
    }
    let running = Running::start(config, stop.clone()).map_err(|e| e.to_string())?;
    stop.wait();
    match running.active() {
        0 => say!("Server {} is ending...", config.id),
        n => say!("Server {} is ending; it finishes what it has first ({n}). Ctrl-C again gives that up.", config.id),
    }
    running.end();
    Ok(())
}

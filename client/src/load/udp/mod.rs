//! `client load --udp`: many clients that ask in datagrams, as those of the agents and their servers do.
//!
//! ```text
//! asked      1 2 3
//! answered   3 2 1      within 3 s, or it is a time-out; then the next request
//! ```
//!
//! **Late answers.** A request carries no number, so an answer does not say what it answers. Whoever goes on after a time-out
//! on the same socket may take the late answer for that of the next request: it looks right, has taken no time, and
//! from then on every answer is the one before. Here a client that has given a request up goes on with a *fresh socket*
//! ([`caller`]): the late answer comes to the old port, where it is counted and not believed.
//!
//! `--numbered` puts the number of the client and of the request behind the payload. Then each answer is seen to be that of
//! its request, also where somebody in between mixes up clients. It is no longer the request of the original.
//!
//! **Cost.** The generator shares the machine with what it measures. A request costs two system calls, `send` and `recv`, one
//! reading of the clock and no lock: a client counts alone and hands in what it has once a period ([`periods`]).
//!
//! **When it is wrong.** The loop is closed: N clients never have more than N requests under way, so a slow system is asked less
//! often (see [coordinated omission](super)). A time-out is in no latency: look at the success first. Percentiles are kept
//! to a hundredth of their value.
//!
//! # Threads
//!
//! | name | does | blocks on | locks | ends |
//! |---|---|---|---|---|
//! | main | starts the clients, writes the periods as they become complete | the next of them, the stop | that of the periods, at the end | with the program |
//! | load-1 … load-N | one client each | its socket, for the time of an answer | that of the periods, once a period | when there were enough requests, the time is over, or at the stop |
//! | signals | asks for the stop on Ctrl-C; a second one ends the program | waiting for signals | none | with the program |

pub mod plan;
pub mod payload;
pub mod caller;
pub mod periods;
pub mod report;
mod run;

pub use run::run;

use super::failed;
use crate::status::Status;
use periods::{Row, TITLES};
use plan::{Args, Plan};
use protocol::{flags::run_parsed, lifeline, output::show, stop::Stop, warn};
use std::{
    ffi::OsString,
    fs::File,
    io::{self, Write},
    process::ExitCode,
};

/// The flag that makes it so.
const FLAG: &str = "--udp";

/// Whether these arguments of `client load` ask for datagrams.
#[must_use]
pub fn is_wanted(args: &[OsString]) -> bool {
    args.iter().filter_map(|arg| arg.to_str()).any(|arg| arg.split('=').next() == Some(FLAG))
}

/// Runs `client load --udp` with these arguments (the first is the program's name), and says with which status it ends.
pub fn main(args: Vec<OsString>) -> ExitCode {
    run_parsed(args, |args: Args| start(&args.into_plan()).map_or_else(|error| failed(&error), ExitCode::from))
}

fn start(plan: &Plan) -> io::Result<Status> {
    if let Some(parent) = &plan.lifeline {
        let end = || std::process::exit(Status::Failed.code().into());
        lifeline::hold(parent, end).map_err(io::Error::other)?;
    }
    // Before anything is sent: a run of an hour must not end with a file that cannot be written.
    let mut file = plan.csv.as_ref().map(|path| {
        let made = File::create(path).and_then(|mut file| writeln!(file, "{TITLES}").map(|()| file));
        made.map_err(|error| io::Error::other(format!("The periods cannot be written to {}: {error}.", path.display())))
    });
    let mut file = file.take().transpose()?;
    let mut unwritten = None;
    let report = run(plan, &Stop::on_signals()?, &mut |row: &Row| {
        if let Some(Err(error)) = file.as_mut().map(|file| writeln!(file, "{}", row.csv())) {
            unwritten = Some(error);
        }
        if !plan.json {
            let _nobody_reads = show!("{row}");
        }
    })?;
    let _nobody_reads = if plan.json { show!("{}", report.json()?) } else { show!("\n{report}") };
    if let Some(error) = unwritten {
        warn!("Periods are missing in the file: {error}.");
        return Ok(Status::Failed);
    }
    Ok(report.status())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datagrams_are_wanted_by_the_flag_alone() {
        let wanted = |line: &str| is_wanted(&line.split(' ').map(OsString::from).collect::<Vec<_>>());
        assert!(wanted("client --threads 3 --udp") && wanted("client --udp=:5000"));
        assert!(!wanted("client --clients 3") && !wanted("client --udper") && !wanted("client udp"));
    }
}

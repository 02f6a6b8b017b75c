//! `client load`: many clients at once, and what they see.
//!
//! **The problem.** A number such as "p99 is 3 ms" answers a question, and which one depends on how it was asked.
//!
//! # Closed loop and open loop
//!
//! In a *closed loop* each client asks, waits, and asks again. So the system decides how fast it is asked: when it
//! stalls, so does the load. It measures how much a system can do: throughput with N at once.
//!
//! In an *open loop* requests come on time, as they do from many users who know nothing of each other: when the system
//! stalls they pile up, as they would. It measures what users feel at a given load.
//!
//! # Coordinated omission
//!
//! A client that waits for a stalled answer does not send what it would have sent meanwhile; the stall counts once
//! instead of as often as it was felt. Ten requests, one every 10 ms, of which the third takes 45 ms and the others 1:
//!
//! ```text
//! should begin  0   10  20  30  40  50  60  70  80  90   ms
//! ends          1   11  65  66  67  68  69  71  81  91
//! from sending  1   1   45  1   1   1   1   1   1   1    9 of 10 took 1 ms, it says
//! corrected     1   1   45  36  27  18  9   1   1   1    but 5 of 10 users waited for 9 ms and more
//! ```
//!
//! So in the open loop latency counts from when a request *should* have begun (`latency_us`); the latency from sending
//! is told beside it (`latency_uncorrected_us`): the difference is what waiting in a queue costs. Nothing can be
//! corrected in a closed loop, because nobody said when requests should have come.
//!
//! # What a percentile hides
//!
//! * Whoever sends 100 requests meets the p99 with a probability of 63 %; a page of many parts is as slow as its
//!   slowest. Look at p99.9 and max, too.
//! * Errors are not in it. A server that refuses at once has wonderful percentiles; look at `errors` first.
//! * Percentiles of parts cannot be averaged. Here the histograms of all clients are added instead.
//! * A minute's percentiles hide a second's stall: `--timeline` tells each second.
//! * The instrument is in it. `start_delay_us` tells how late requests began although a client was free.
//!
//! # When it is wrong
//!
//! Load generator and system share one machine here, so each takes processor time from the other; compare ratios of
//! runs that alternate, not figures of different days. The open loop has as many places as it has clients: when all
//! are taken, requests begin late (and that counts). What is due and never sent when the time is over is told as
//! `unsent`, since it is in no percentile.
//!
//! **Simplified.** wrk2, k6 or Gatling also ramp the load up and down, think between requests, and run on several
//! machines.
//!
//! Sources: Gil Tene, *How NOT to Measure Latency* (2015), and his wrk2; B. Schroeder, A. Wierman, M. Harchol-Balter,
//! *Open Versus Closed: A Cautionary Tale*, NSDI 2006.
//!
//! With `--udp` they ask in datagrams, and have other flags: [`udp`].
//!
//! # Threads
//!
//! | name | does | blocks on | locks | ends |
//! |---|---|---|---|---|
//! | main | starts the clients, adds up what they saw | their results, the stop, the end of all time | a client's socket, to cut it off | with the program |
//! | load-1 … load-N | one client each | its connection, with deadlines; its next turn; its pauses | its socket's when it connects; the timeline's once a second | when the plan is fulfilled, at the stop, or cut off |
//! | signals | asks for the stop on Ctrl-C; a second one ends the program | waiting for signals | none | with the program |

pub mod plan;
pub mod mix;
pub mod template;
pub mod schedule;
pub mod latency;
pub mod tally;
pub mod timeline;
pub mod checked;
pub mod caller;
pub mod settle;
pub mod worker;
mod run;
pub mod report;
pub mod udp;

pub use run::run;

use crate::{WRONG_USAGE, status::Status};
use plan::{Args, Plan};
use protocol::{flags::run_parsed, lifeline, output::show, places::Places, stop::Stop, warn};
use std::{ffi::OsString, fs::File, io, process::ExitCode};
use timeline::Timeline;

/// The word that makes the client a load generator, as its first argument.
pub const COMMAND: &str = "load";

/// Runs `client load` with these arguments (the first is the program's name), and says with which status it ends.
pub fn main(args: Vec<OsString>) -> ExitCode {
    if udp::is_wanted(&args) {
        return udp::main(args);
    }
    run_parsed(args, |args: Args| {
        let places = match Places::here() {
            Ok(places) => places,
            Err(error) => return failed(&error),
        };
        match args.into_plan(&places) {
            Ok(plan) => start(plan).map_or_else(|error| failed(&error), ExitCode::from),
            Err(misuse) => {
                let _nobody_reads = misuse.print();
                ExitCode::from(WRONG_USAGE)
            }
        }
    })
}

fn failed(error: &io::Error) -> ExitCode {
    warn!("{error}");
    Status::Failed.into()
}

fn start(plan: Plan) -> io::Result<Status> {
    if let Some(parent) = &plan.lifeline {
        let end = || std::process::exit(Status::Failed.code().into());
        lifeline::hold(parent, end).map_err(io::Error::other)?;
    }
    // Before anything is sent: a run of an hour must not end with a file that cannot be written.
    let file = plan.timeline.as_ref().map(|path| {
        File::create(path).map_err(|error| {
            io::Error::other(format!("The timeline cannot be written to {}: {error}.", path.display()))
        })
    });
    let file = file.transpose()?;
    let timeline = file.is_some().then(Timeline::default);
    let json = plan.json;
    let report = run(plan, &Stop::on_signals()?, timeline.as_ref())?;
    if let (Some(file), Some(timeline)) = (file, timeline) {
        timeline.write(&mut io::BufWriter::new(file))?;
    }
    let _nobody_reads = if json { show!("{}", report.json()?) } else { show!("{report}") };
    Ok(report.status())
}

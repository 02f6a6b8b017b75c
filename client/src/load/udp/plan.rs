//! The command line of `client load --udp`, and what it comes to.

use super::payload::Payload;
use clap::Parser;
use protocol::{
    flags::{BalancerFlag, LifelineFlag, parse_host, parse_timeout},
    lifeline::LifelineAddress,
};
use std::{net::SocketAddr, path::PathBuf, time::Duration};

/// How long a run takes when nothing is said.
const USUAL_DURATION: Duration = Duration::from_secs(10);

/// Most clients at once: with the sockets that wait for late answers they take 20,000 of some 28,000 ports.
pub const MOST_THREADS: u32 = 5_000;

/// The port that is asked when none is named: that of the load balancer.
const USUAL_PORT: u16 = 5_050;

const AFTER_HELP: &str = "\
Each thread sends a request, waits for its answer, and sends the next. After a time-out or a wrong answer it goes on with a \
fresh socket, so that a late answer is taken for no other.

Columns of the CSV: when the period ended, in seconds; requests that ended in it, and how: answers, timeouts, wrong; mean, \
percentiles and maximum of the answers' latencies in milliseconds.

Status: 0 all answered; 1 time-outs or wrong answers; 2 wrong usage.

Examples:
  client load --udp --threads 500
  client load --udp 127.0.0.1:6001 --threads 1000 --for 1m --csv run.csv
  client load --udp --threads 50 --requests 100000 --numbered --every 1s";

/// Generates load in datagrams and measures it.
#[derive(Debug, Parser)]
#[command(name = "client load", bin_name = "client load", version, after_help = AFTER_HELP, max_term_width = 110)]
pub struct Args {
    /// Ask in datagrams, there [default: at the address of --balancer]
    #[arg(long, value_name = "HOST[:PORT]", num_args = 0..=1, required = true, value_parser = parse_target)]
    udp: Option<Option<SocketAddr>>,

    /// How many clients ask at once, each with a thread and a socket of its own
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST_THREADS)))]
    threads: u32,

    /// What is asked, as bytes; the answer is the same turned around
    #[arg(long, value_name = "BYTES", default_value_t)]
    payload: Payload,

    /// Put the numbers of the client and of the request behind it, so that each answer is seen to be that of its request
    #[arg(long)]
    numbered: bool,

    /// How long an answer is waited for
    #[arg(long, value_name = "TIME", default_value = "3s", value_parser = parse_timeout)]
    timeout: Duration,

    /// How many requests are sent in all, over all threads together
    #[arg(long, value_name = "M", value_parser = clap::value_parser!(u64).range(1..))]
    requests: Option<u64>,

    /// How long requests are sent [default: 10s, unless --requests is given; with both, what comes first ends it]
    #[arg(long = "for", alias = "duration", value_name = "TIME", value_parser = parse_timeout)]
    duration: Option<Duration>,

    /// How long a period of the statistics is
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse_period)]
    every: Duration,

    /// Write a CSV file with a line for each period
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,

    /// Print one JSON object instead of a line for each period and a table
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    balancer: BalancerFlag,

    #[command(flatten)]
    lifeline: LifelineFlag,
}

/// All that a load test in datagrams depends on.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Whom they ask.
    pub target: SocketAddr,
    /// How many clients there are.
    pub threads: u32,
    /// What they ask.
    pub payload: Payload,
    /// Whether numbers stand behind that.
    pub numbered: bool,
    /// How long an answer is waited for.
    pub timeout: Duration,
    /// After so many requests it ends.
    pub requests: Option<u64>,
    /// After so much time it ends.
    pub duration: Option<Duration>,
    /// How long a period is.
    pub every: Duration,
    /// Where the periods are written.
    pub csv: Option<PathBuf>,
    /// Whether JSON is printed.
    pub json: bool,
    /// What ties this process to the one that started it.
    pub lifeline: Option<LifelineAddress>,
}

impl Args {
    /// What the arguments come to.
    #[must_use]
    pub fn into_plan(self) -> Plan {
        let unlimited = self.requests.is_none() && self.duration.is_none();
        Plan {
            target: self.udp.flatten().unwrap_or(self.balancer.balancer),
            threads: self.threads,
            payload: self.payload,
            numbered: self.numbered,
            timeout: self.timeout,
            requests: self.requests,
            duration: if unlimited { Some(USUAL_DURATION) } else { self.duration },
            every: self.every,
            csv: self.csv,
            json: self.json,
            lifeline: self.lifeline.lifeline,
        }
    }
}

fn parse_target(text: &str) -> Result<SocketAddr, String> {
    parse_host(text, USUAL_PORT)
}

/// A period, from 10 ms: each client hands in what it has once in each.
fn parse_period(text: &str) -> Result<Duration, String> {
    let period = parse_timeout(text)?;
    if period < Duration::from_millis(10) { Err(format!("'{text}' is shorter than 10 ms.")) } else { Ok(period) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn plan(line: &str) -> Result<Plan, String> {
        let args = Args::try_parse_from(["client load"].into_iter().chain(line.split_whitespace()));
        args.map(Args::into_plan).map_err(|error| error.to_string())
    }

    #[test]
    fn the_definition_is_sound_and_the_default_is_that_of_the_original_for_ten_seconds() {
        Args::command().debug_assert();
        let plan = plan("--udp").unwrap();
        assert_eq!((plan.threads, plan.payload, plan.timeout), (1, Payload::default(), Duration::from_secs(3)));
        assert_eq!((plan.requests, plan.duration, plan.every), (None, Some(USUAL_DURATION), Duration::from_secs(10)));
        assert_eq!(plan.target, "127.0.0.1:5050".parse().unwrap());
    }

    #[test]
    fn the_target_stands_after_the_flag_or_is_the_load_balancer() {
        let target = |line: &str| plan(line).unwrap().target.to_string();
        assert_eq!(target("--udp 127.0.0.1:6001 --threads 500"), "127.0.0.1:6001");
        assert_eq!(target("--threads 500 --udp :6001"), "127.0.0.1:6001");
        assert_eq!(target("--udp --balancer 127.0.0.1:7000"), "127.0.0.1:7000");
        assert_eq!(plan("--udp --requests 5").unwrap().duration, None);
        assert_eq!(plan("--udp --requests 5 --for 2s").unwrap().duration, Some(Duration::from_secs(2)));
    }

    #[test]
    fn nonsense_is_refused() {
        for line in [
            "--threads 3",
            "--udp --threads 0",
            "--udp --threads 5001",
            "--udp --payload 300",
            "--udp --timeout 0s",
            "--udp --requests 0",
            "--udp --every 1ms",
            "--udp nowhere:port",
            "--udp --mix ping=1",
        ] {
            assert!(plan(line).is_err(), "{line}");
        }
    }
}

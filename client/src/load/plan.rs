//! The command line of `client load`, and what it comes to.

use super::{
    checked::Fate,
    mix::{Item, Mix, parse_mix},
    schedule::{Arrivals, Schedule},
    template::Template,
};
use crate::{link::Link, received::Inbox};
use clap::{CommandFactory, Parser, ValueEnum, error::ErrorKind};
use protocol::{
    flags::{
        BalancerFlag, ConnectTimeoutFlag, LifelineFlag, ReceivedFlag, RequestTimeoutFlag, parse_client_id,
        parse_duration, parse_timeout,
    },
    lifeline::LifelineAddress,
    limits::{MAX_CONNECTIONS, MAX_ID},
    places::Places,
};
use std::{path::PathBuf, time::Duration};

/// How long a run takes when nothing is said.
const USUAL_DURATION: Duration = Duration::from_secs(10);

/// How long `--settle` asks when it is given without a time.
const USUAL_SETTLE: &str = "30s";

/// What follows the options. clap takes `{n}` for the end of a line, unless something invisible is in it: here the code
/// that sets a terminal back to its usual colours, which clap takes out again where there is no terminal.
const AFTER_HELP: &str = "\
Requests of a mix: `ping` (32 bytes there, 100 back, no database), `file NAME`, `sql STATEMENT`. In names and \
statements {\u{1b}[0mn} is the count of the request among all clients, {client} the number of the client, {random} a random \
number that depends on the seed and on {\u{1b}[0mn}.

Closed loop (usual): each client asks, waits for the answer, and asks again. Open loop (--rate): requests begin on \
time whatever has become of those before them, and latency counts from when a request should have begun; the latency \
from sending is told beside it. The clients' number bounds how many requests can be under way.

--balancer may also name a server's own address: it speaks the same frames, so the path without the load balancer \
can be measured.

In datagrams: client load --udp [HOST[:PORT]], which has flags of its own; see client load --udp --help.

Status: 0 all answered; 1 errors or wrong answers; 2 wrong usage; 3 requests whose outcome is unknown.

Examples:
  client load --clients 64 --duration 10s
  client load --clients 8 --requests 10000 --mix \"ping=80,file colors.csv=10,sql SELECT 1=10\"
  client load --clients 16 --rate 500 --duration 1m --timeline run.csv --request \"sql SELECT * FROM COLORS\"
  client load --clients 16 --requests 1600 --settle --request \"sql INSERT INTO T VALUES ({\u{1b}[0mn}, {random})\"
  client load --clients 1 --balancer 127.0.0.1:6001 --json";

/// All requests of one `--mix`. Under its own name clap would take one request for each `--mix`.
type WholeMix = Vec<Item>;

/// Generates load and measures it.
#[derive(Debug, Parser)]
#[command(name = "client load", bin_name = "client load", version, after_help = AFTER_HELP, max_term_width = 110)]
pub struct Args {
    /// How many clients ask at once, each with a thread and a connection of its own
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=MAX_CONNECTIONS as i64))]
    clients: u32,

    /// How many requests are sent in all, over all clients together (warm-up not counted)
    #[arg(long, value_name = "M", value_parser = clap::value_parser!(u64).range(1..))]
    requests: Option<u64>,

    /// How long requests are sent (warm-up not counted) [default: 10s, unless --requests is given; with both, what
    /// comes first ends it]
    #[arg(long, value_name = "TIME", value_parser = parse_timeout)]
    duration: Option<Duration>,

    /// Open loop: so many requests a second over all clients together
    #[arg(long, value_name = "R", value_parser = parse_rate)]
    rate: Option<f64>,

    /// Open loop: at what distances requests begin
    #[arg(long, value_enum, default_value_t, requires = "rate", value_name = "HOW")]
    arrivals: Arrivals,

    /// Requests and their weights: ping=80,file colors.csv=10,sql SELECT 1=10 [default: ping=1]
    #[arg(long, value_name = "MIX", value_parser = parse_mix)]
    mix: Option<WholeMix>,

    /// One request of the mix with its weight before a colon (1 if there is none); may be given several times
    #[arg(long, value_name = "[WEIGHT:]REQUEST", value_parser = Item::parse)]
    request: Vec<Item>,

    /// What the first value of the first row of each SQL answer must be; with placeholders as in requests
    #[arg(long, value_name = "TEXT")]
    expect: Option<String>,

    /// Decides the order of the mix, the random numbers and random distances [default: drawn, and told]
    #[arg(long)]
    seed: Option<u64>,

    /// Use a new connection for each request; its latency includes the connecting
    #[arg(long)]
    new_connection: bool,

    /// Send requests for this long before those that are counted
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = parse_duration)]
    warmup: Duration,

    /// After an unknown outcome, ask again under the same id until it is known, at most for this long
    #[arg(long, value_name = "TIME", num_args = 0..=1, require_equals = true, default_missing_value = USUAL_SETTLE,
          value_parser = parse_timeout)]
    settle: Option<Duration>,

    /// What becomes of files
    #[arg(long, value_enum, default_value_t = Sink::Discard)]
    sink: Sink,

    /// Do not hash files, only count their bytes: for measuring the path alone
    #[arg(long, conflicts_with = "sink")]
    no_verify: bool,

    /// Print one JSON object instead of a table
    #[arg(long)]
    json: bool,

    /// Write a CSV file with a line for each second: requests, answers, errors, mean, p50, p99
    #[arg(long, value_name = "FILE")]
    timeline: Option<PathBuf>,

    /// How the clients are called, before their number: load-1, load-2 …
    #[arg(long, value_name = "ID", default_value = "load", value_parser = parse_client_id)]
    client_id: String,

    #[command(flatten)]
    balancer: BalancerFlag,

    #[command(flatten)]
    received: ReceivedFlag,

    #[command(flatten)]
    request_timeout: RequestTimeoutFlag,

    #[command(flatten)]
    connect_timeout: ConnectTimeoutFlag,

    #[command(flatten)]
    lifeline: LifelineFlag,
}

/// What becomes of files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Sink {
    /// They are hashed, checked and forgotten
    Discard,
    /// They are hashed, checked and written to the folder for received files
    Received,
}

/// All that a load test depends on.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where requests go.
    pub link: Link,
    /// How many clients there are.
    pub clients: u32,
    /// When they ask, and until when.
    pub schedule: Schedule,
    /// What they ask.
    pub mix: Mix,
    /// What the first value of an SQL answer must be.
    pub expect: Option<Template>,
    /// What decides order and random numbers.
    pub seed: u64,
    /// Whether each request gets a connection of its own.
    pub new_connection: bool,
    /// How long an unknown outcome is asked for again, if at all.
    pub settle: Option<Duration>,
    /// What becomes of files.
    pub fate: Fate,
    /// Whether JSON is printed.
    pub json: bool,
    /// Where the seconds are written.
    pub timeline: Option<PathBuf>,
    /// What ties this process to the one that started it.
    pub lifeline: Option<LifelineAddress>,
}

impl Args {
    /// What the arguments come to.
    ///
    /// # Errors
    /// A usage error.
    pub fn into_plan(self, places: &Places) -> Result<Plan, clap::Error> {
        let seed = self.seed.unwrap_or_else(|| fastrand::u64(..1 << 32));
        let mut items = self.mix.unwrap_or_default();
        items.extend(self.request);
        if items.is_empty() {
            items.extend(Item::new("ping", 1));
        }
        let mix = Mix::new(items, seed).map_err(|wrong| Self::command().error(ErrorKind::ValueValidation, wrong))?;
        let unlimited = self.requests.is_none() && self.duration.is_none();
        let duration = if unlimited { Some(USUAL_DURATION) } else { self.duration };
        let fate = match (self.no_verify, self.sink) {
            (true, _) => Fate::Count,
            (false, Sink::Discard) => Fate::Verify,
            (false, Sink::Received) => Fate::Keep(Inbox::new(self.received.path(places))),
        };
        Ok(Plan {
            link: Link {
                client: self.client_id,
                balancer: self.balancer.balancer,
                connect_timeout: self.connect_timeout.connect_timeout,
                request_timeout: self.request_timeout.request_timeout,
            },
            clients: self.clients,
            schedule: Schedule {
                rate: self.rate,
                arrivals: self.arrivals,
                seed,
                warmup: self.warmup,
                requests: self.requests,
                duration,
            },
            mix,
            expect: self.expect.as_deref().map(Template::new),
            seed,
            new_connection: self.new_connection,
            settle: self.settle,
            fate,
            json: self.json,
            timeline: self.timeline,
            lifeline: self.lifeline.lifeline,
        })
    }
}

impl Plan {
    /// Where the requests of this client go, under its own name.
    #[must_use]
    pub fn link_of(&self, number: u64) -> Link {
        let number = format!("-{number}");
        let room = MAX_ID.saturating_sub(number.len());
        let client = self.link.client.chars().take(room).collect::<String>() + &number;
        Link { client, ..self.link.clone() }
    }
}

fn parse_rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if (0.001..=10_000_000.0).contains(&rate) => Ok(rate),
        _ => Err(format!("'{text}' is not a rate: write requests per second, from 0.001 to 10000000.")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(line: &[&str]) -> Result<Plan, String> {
        let args = Args::try_parse_from(["client load"].iter().chain(line)).map_err(|error| error.to_string())?;
        let places = Places { root: "/lab".into(), found: true };
        args.into_plan(&places).map_err(|error| error.to_string())
    }

    #[test]
    fn the_definition_is_sound_and_the_default_is_ten_seconds_of_pings_by_one_client() {
        Args::command().debug_assert();
        let help = Args::command().render_long_help().to_string();
        assert!(help.contains("({n},") && help.contains("Usage: client load [OPTIONS]"), "{help}");
        let plan = plan(&[]).unwrap();
        assert_eq!((plan.clients, plan.mix.items().len(), plan.mix.items()[0].text.as_str()), (1, 1, "ping"));
        assert_eq!(plan.schedule.duration, Some(USUAL_DURATION));
        assert!(plan.settle.is_none() && matches!(plan.fate, Fate::Verify) && plan.schedule.rate.is_none());
        assert_eq!(plan.link_of(3).client, "load-3");
    }

    #[test]
    fn what_is_given_is_taken() {
        let plan = plan(&[
            "--mix",
            "ping=1,sql SELECT 1=2",
            "--request",
            "3:file x",
            "--settle",
            "--requests",
            "5",
            "--rate",
            "0.5",
            "--no-verify",
            "--seed",
            "7",
            "--warmup",
            "2s",
            "--expect",
            "{n}",
        ])
        .unwrap();
        let weights: Vec<u32> = plan.mix.items().iter().map(|item| item.weight).collect();
        assert_eq!((weights, plan.seed, plan.settle), (vec![1, 2, 3], 7, Some(Duration::from_secs(30))));
        assert_eq!((plan.schedule.rate, plan.schedule.duration, plan.schedule.requests), (Some(0.5), None, Some(5)));
        assert!(matches!(plan.fate, Fate::Count) && plan.expect.is_some());
    }

    #[test]
    fn nonsense_is_refused() {
        for line in [
            &["--clients", "0"][..],
            &["--clients", "5001"],
            &["--rate", "0"],
            &["--rate", "nan"],
            &["--rate", "10", "--arrivals", "often"],
            &["--arrivals", "poisson"],
            &["--requests", "0"],
            &["--duration", "0s"],
            &["--mix", "ping"],
            &["--request", "0:ping"],
            &["--settle=soon"],
            &["--no-verify", "--sink", "received"],
            &["ping"],
        ] {
            assert!(plan(line).is_err(), "{line:?}");
        }
    }
}

//! The command line, and what it comes to: raw arguments → validated configuration.

use crate::{exchange::Link, render::Format};
use clap::Parser;
use protocol::{
    flags::{
        BalancerFlag, ConnectTimeoutFlag, LifelineFlag, QuietFlag, ReceivedFlag, RequestTimeoutFlag, parse_client_id,
    },
    lifeline::LifelineAddress,
    places::Places,
};
use std::{io, path::PathBuf};

/// Where the prompt's history is kept, below the laboratory's root.
const HISTORY: &str = "runs/client-history";

const AFTER_HELP: &str = "\
Requests:
  file NAME    receive a file; the rest of the line is its name
  \\servers     the servers, as the load balancer sees them
  \\help  \\timing  \\quit
  anything else is SQL; at the prompt it goes on to its ';' or to an empty line

Without a request on the command line, requests are typed at a prompt; from a pipe, each line is one.

Status: 0 all done; 1 a request was refused or failed for certain; 2 wrong usage; 3 the outcome of a request \
is unknown; of several requests the worst. The prompt, which has shown each error, ends with 0.

Examples:
  client 1
  client 1 \"file colors.csv\" \"SELECT * FROM COLORS LIMIT 3\"
  client 1 --format json < requests.txt";

/// Asks a load balancer for files and SQL results.
#[derive(Debug, Parser)]
#[command(name = "client", version, after_help = AFTER_HELP)]
pub struct Args {
    /// The id of this client, which the load balancer and the servers show
    #[arg(value_parser = parse_client_id)]
    client_id: String,

    /// Requests to send one after the other, without a prompt; quote each of them
    #[arg(value_name = "REQUEST")]
    requests: Vec<String>,

    /// End after one request
    #[arg(long)]
    once: bool,

    /// How answers are printed
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,

    #[command(flatten)]
    balancer: BalancerFlag,

    #[command(flatten)]
    received: ReceivedFlag,

    #[command(flatten)]
    request_timeout: RequestTimeoutFlag,

    #[command(flatten)]
    connect_timeout: ConnectTimeoutFlag,

    /// The file in which the prompt keeps what was typed [default: runs/client-history of the laboratory]
    #[arg(long, value_name = "FILE")]
    history: Option<PathBuf>,

    #[command(flatten)]
    quiet: QuietFlag,

    #[command(flatten)]
    lifeline: LifelineFlag,
}

/// All that a run of the client depends on.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the load balancer is, and how long to wait for it.
    pub link: Link,
    /// The requests of the command line; none means prompt or pipe.
    pub requests: Vec<String>,
    /// Whether to end after one request.
    pub once: bool,
    /// How answers are printed.
    pub format: Format,
    /// Where files arrive.
    pub received: PathBuf,
    /// Where the prompt's history is kept, if anywhere.
    pub history: Option<PathBuf>,
    /// Whether the walkthrough is silenced.
    pub quiet: bool,
    /// What ties this process to the one that started it.
    pub lifeline: Option<LifelineAddress>,
}

impl Args {
    /// What the arguments come to, started in the current folder.
    ///
    /// # Errors
    /// When the current folder is gone.
    pub fn into_config(self) -> io::Result<Config> {
        Ok(self.in_places(&Places::here()?))
    }

    fn in_places(self, places: &Places) -> Config {
        // Outside a laboratory nothing is left behind that nobody asked for.
        let usual_history = places.found.then(|| places.root.join(HISTORY));
        Config {
            received: self.received.path(places),
            history: self.history.or(usual_history),
            requests: joined(self.requests),
            once: self.once,
            format: self.format,
            quiet: self.quiet.quiet,
            lifeline: self.lifeline.lifeline,
            link: Link {
                client: self.client_id,
                balancer: self.balancer.balancer,
                connect_timeout: self.connect_timeout.connect_timeout,
                request_timeout: self.request_timeout.request_timeout,
            },
        }
    }
}

/// Each argument is one request, but `client 1 file colors.csv` is meant as one although nothing is quoted: a lone
/// `file` would mean nothing.
fn joined(requests: Vec<String>) -> Vec<String> {
    match requests.first() {
        Some(first) if first.trim().eq_ignore_ascii_case("file") => vec![requests.join(" ")],
        _ => requests,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;
    use std::time::Duration;

    fn config(line: &[&str]) -> Result<Config, String> {
        let args = Args::try_parse_from(["client"].iter().chain(line)).map_err(|error| error.to_string())?;
        Ok(args.in_places(&Places { root: "/lab".into(), found: true }))
    }

    #[test]
    fn the_definition_is_sound_and_explains_each_flag() {
        Args::command().debug_assert();
        let help = Args::command().render_long_help().to_string();
        for flag in ["--once", "--format", "--balancer", "--received", "--request-timeout", "--history", "--quiet"] {
            assert!(help.contains(flag), "{flag}");
        }
        assert!(!help.contains("--lifeline"));
    }

    #[test]
    fn defaults() {
        let config = config(&["2"]).unwrap();
        assert_eq!(config.link.client, "2");
        assert_eq!(config.link.balancer, "127.0.0.1:5050".parse().unwrap());
        assert_eq!(config.link.connect_timeout, Duration::from_secs(2));
        assert_eq!(config.link.request_timeout, Duration::from_secs(60));
        assert_eq!(config.received, PathBuf::from("/lab/received"));
        assert_eq!(config.history, Some("/lab/runs/client-history".into()));
        assert!(config.requests.is_empty() && !config.once && config.format == Format::Table);
    }

    #[test]
    fn outside_a_laboratory_no_history_is_left() {
        let args = Args::try_parse_from(["client", "2"]).unwrap();
        assert_eq!(args.in_places(&Places { root: "/tmp".into(), found: false }).history, None);
    }

    #[test]
    fn each_argument_is_a_request_and_a_lone_file_takes_the_rest() {
        let requests = |line: &[&str]| config(line).unwrap().requests;
        assert_eq!(requests(&["1", "file a b", "SELECT 1"]), ["file a b", "SELECT 1"]);
        assert_eq!(requests(&["1", "file", "a", "b.csv"]), ["file a b.csv"]);
        assert_eq!(requests(&["1", "file"]), ["file"]);
    }

    #[test]
    fn ids_of_clients() {
        for id in ["1", "zoë", "a b", "007", "-7"] {
            let parsed = config(&["--once", "--", id]).map(|config| config.link.client);
            assert_eq!(parsed.as_deref(), Ok(id));
        }
        for id in ["", "\u{1b}[2J", "a\nb", &"x".repeat(65)] {
            assert!(config(&["--", id]).is_err(), "{id:?}");
        }
        assert!(config(&[]).unwrap_err().contains("CLIENT_ID"));
    }
}

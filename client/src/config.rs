//! The command line, and what it comes to: raw arguments → validated configuration.

use crate::{
    link::Link,
    render::Format,
    request::{Line, Request, understand},
};
use clap::{CommandFactory, Parser, error::ErrorKind};
use protocol::{
    flags::{
        BalancerFlag, ConnectTimeoutFlag, LifelineFlag, QuietFlag, ReceivedFlag, RequestTimeoutFlag, parse_client_id,
    },
    id::RequestId,
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
  \\ping        one ping to a server and back, and its time in microseconds
  \\help  \\timing  \\quit
  anything else is SQL; at the prompt it goes on to its ';' or to an empty line

Without a request on the command line, requests are typed at a prompt; from a pipe, each line is one.

Status: 0 all done; 1 a request was refused or failed for certain; 2 wrong usage; 3 the outcome of a request \
is unknown; of several requests the worst. The prompt, which has shown each error, ends with 0.

`client load …`, `client resolve …` and `client students …` are other programs: the first generates load and measures it, the \
second asks for the addresses of names, the third asks a table in shards; see their `--help`. (A client whose id is to be \"load\" is started with `client -- load`.)

Examples:
  client 1
  client 1 \"file colors.csv\" \"SELECT * FROM COLORS LIMIT 3\"
  client 1 --format json < requests.txt
  client 1 --request-id 6f1d3a9c00b7e214-0000000000000003 \"INSERT INTO NOTES VALUES ('once')\"";

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

    /// Ask again for the outcome of a request, under the id that was printed with its error: what was carried out is
    /// not carried out again, what was not is carried out now. Needs that one request on the command line
    #[arg(long, value_name = "ID", requires = "requests")]
    request_id: Option<RequestId>,

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
    /// The id under which the only request of the command line was sent before.
    pub again: Option<RequestId>,
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
    /// Whether the arguments make sense together.
    ///
    /// # Errors
    /// A usage error that says what is missing.
    pub fn check(&self) -> Result<(), clap::Error> {
        if self.request_id.is_none() {
            return Ok(());
        }
        let wrong = match joined(self.requests.clone()).as_slice() {
            [request] => match understand(request) {
                Ok(Line::Request(Request::File(_) | Request::Query(_))) => return Ok(()),
                _ => "Only a statement or a file can be asked for again with --request-id.",
            },
            _ => "--request-id stands for one request: name exactly one on the command line, in quotes.",
        };
        Err(Self::command().error(ErrorKind::WrongNumberOfValues, wrong))
    }

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
            again: self.request_id,
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
    fn an_id_is_asked_again_with_exactly_one_request() {
        const ID: &str = "5f1d3a9c00b7e214-0000000000000001";
        let check = |line: &[&str]| {
            let args = Args::try_parse_from(["client", "1"].iter().chain(line))?;
            args.check().map(|()| args.request_id)
        };
        assert_eq!(check(&["--request-id", ID, "INSERT"]).unwrap(), Some(ID.parse().unwrap()));
        assert!(check(&["--request-id", ID, "file", "a b"]).is_ok());
        assert!(check(&["INSERT", "SELECT"]).unwrap().is_none());
        for wrong in [&["--request-id", ID][..], &["--request-id", ID, "A", "B"], &["--request-id", "7", "A"]] {
            assert_eq!(check(wrong).unwrap_err().exit_code(), 2, "{wrong:?}");
        }
        assert!(check(&["--request-id", ID, "\\servers"]).unwrap_err().to_string().contains("Only a statement"));
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

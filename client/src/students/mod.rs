//! `client students`: the calls of a table in shards (`loadbalancer --shards`), from the command line.
//!
//! ```text
//! $ client students init
//! Configured Database
//! $ client students load students.csv
//! 10000 rows written
//! $ client students read 2255
//! +---------+-----------+------------+
//! | Stud_id | Stud_name | Stud_marks |
//! +==================================+
//! |    2255 | Ada       |         27 |
//! +---------+-----------+------------+
//! ```
//!
//! **The problem.** A change whose answer does not come is neither done nor refused, and who is told "error" will type it again.
//!
//! **The idea.** Three outcomes, three statuses: done (0), certainly not done (1), nobody knows (3). The third one is told only where it is
//! true: when the load balancer says so (504), or when the connection is lost after the change was sent. What only reads is never
//! unknown. A file is checked whole before its first row is sent, and goes in batches; `/write` adds a batch whole or not at all, so
//! what is written when something fails is told by lines of the file (`batches`).
//!
//! **When it is wrong.** A batch whose outcome is unknown may be written. Sent again, it is refused if it is (its keys are taken), and
//! the refusal names a key: read it to know. In the lab's own protocol a request has an
//! id, under which it is asked again; the coursework's calls have none.
//!
//! | file | what is in it |
//! |---|---|
//! | `call` | a call, sent, and what became of it |
//! | `csv` | rows from the lines of a file (pure) |
//! | `batches` | a file, sent in batches |
//! | `shown` | what is printed |
//!
//! Main does everything; `signals` asks for the stop when a file is sent: the batch that is under way is finished.

mod call;
mod csv;
mod batches;
mod shown;

use crate::{WRONG_USAGE, status::Status};
use call::{Call, Outcome};
use clap::{Args, Parser, Subcommand};
use protocol::{
    flags::{parse_host, parse_timeout, run_parsed},
    output::Plain,
    warn,
};
use serde_json::{Map, Value, json};
use shown::Form;
use std::{ffi::OsString, fs, net::SocketAddr, path::PathBuf, process::ExitCode, time::Duration};

/// The word that makes the client ask a table in shards, as its first argument.
pub const COMMAND: &str = "students";

/// Where the documentation starts the table.
const PORT: u16 = 5100;

/// Most rows of one call, as the load balancer has it.
const MOST_ROWS: u32 = 100_000;

const AFTER_HELP: &str = "\
Status: 0 done; 1 certainly not done; 2 wrong usage; 3 a change of which nobody knows whether it is done.

Examples:
  client students init
  client students load students.csv --batch 500
  client students load students.csv --from 4002      # goes on where the last one has ended
  client students read 0 4095 --format csv > shard1.csv
  client students update 2255 --marks 28 --balancer 127.0.0.1:5100";

/// Asks a table of students that is kept in shards (`loadbalancer --shards`).
#[derive(Debug, Parser)]
#[command(name = "client students", bin_name = "client students", version, after_help = AFTER_HELP, max_term_width = 110)]
struct Students {
    /// Where the table is asked
    #[arg(long, global = true, value_name = "HOST[:PORT]", default_value = "127.0.0.1:5100", value_parser = parse_table)]
    balancer: SocketAddr,
    /// How long an answer is waited for; `init` waits for all servers
    #[arg(long, global = true, value_name = "TIME", default_value = "100s", value_parser = parse_timeout)]
    timeout: Duration,
    /// How answers are printed
    #[arg(long, global = true, value_name = "FORMAT", value_enum, default_value = "table")]
    format: Form,
    #[command(subcommand)]
    command: Command,
}

/// What is asked.
#[derive(Debug, Subcommand)]
enum Command {
    /// Begin: with six servers, four shards of 4,096 keys and three replicas of each, or with the map of a file
    Init {
        /// The body of `POST /init`: N, schema, shards, servers
        #[arg(long, value_name = "MAP.json")]
        file: Option<PathBuf>,
    },
    /// Show shards and servers
    Status,
    /// Show the students from one number to another, both included, or one
    #[command(allow_negative_numbers = true)]
    Read {
        /// The first number
        low: i64,
        /// The last one [default: the first one]
        high: Option<i64>,
    },
    /// Add a student
    #[command(allow_negative_numbers = true)]
    Write {
        /// The number, which nobody has yet
        id: i64,
        /// The name
        name: String,
        /// The marks: a number, or text
        marks: String,
    },
    /// Give a student another name or other marks
    #[command(allow_negative_numbers = true)]
    Update {
        /// The number
        id: i64,
        #[command(flatten)]
        changed: Changed,
    },
    /// Remove a student
    #[command(allow_negative_numbers = true)]
    Delete {
        /// The number
        id: i64,
    },
    /// Add the students of a file: CSV with the header Stud_id,Stud_name,Stud_marks
    Load {
        /// The file
        file: PathBuf,
        /// Rows of one call: it adds all of them or none
        #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST_ROWS)))]
        batch: u32,
        /// Begin with this line of the file: what stands before it is there already
        #[arg(long, value_name = "LINE", default_value_t = 1)]
        from: usize,
    },
}

/// What becomes different.
#[derive(Args, Debug)]
#[group(required = true, multiple = true)]
struct Changed {
    /// The new name
    #[arg(long)]
    name: Option<String>,
    /// The new marks
    #[arg(long, allow_hyphen_values = true)]
    marks: Option<String>,
}

fn parse_table(text: &str) -> Result<SocketAddr, String> {
    parse_host(text, PORT)
}

/// Runs `client students` with these arguments (the first is the program's name), and says with which status it ends.
pub fn main(args: Vec<OsString>) -> ExitCode {
    run_parsed(args, |args: Students| {
        if args.format == Form::Csv && !matches!(args.command, Command::Read { .. }) {
            warn!("Only what is read can be printed as CSV: use --format json.");
            return ExitCode::from(WRONG_USAGE);
        }
        args.carry_out().into()
    })
}

impl Students {
    fn carry_out(&self) -> Status {
        match &self.command {
            Command::Load { file, batch, from } => batches::load(self, file, *batch as usize, *from),
            Command::Init { file: Some(file) } => match fs::read(file) {
                Ok(map) => self.ask(&Call::Init(map)),
                Err(error) => {
                    warn!("{} cannot be read: {error}.", Plain(&file.display().to_string()));
                    Status::Failed
                }
            },
            Command::Init { file: None } => self.ask(&Call::Init(Vec::new())),
            Command::Status => self.ask(&Call::Status),
            Command::Read { low, high } => self.ask(&Call::Read(*low, high.unwrap_or(*low))),
            Command::Write { id, name, marks } => {
                self.ask(&Call::Write(vec![csv::row(*id, name.clone(), csv::marks(marks))]))
            }
            Command::Update { id, changed } => self.ask(&Call::Update(*id, changed.data())),
            Command::Delete { id } => self.ask(&Call::Delete(*id)),
        }
    }

    /// Asks, and prints what came of it.
    fn ask(&self, call: &Call) -> Status {
        let outcome = call.ask(self.balancer, self.timeout);
        match &outcome {
            Outcome::Done(body) => shown::answer(self.format, call, body),
            Outcome::Refused(why) | Outcome::Unknown(why) => shown::trouble(self.format, why),
        }
        outcome.status()
    }
}

impl Changed {
    fn data(&self) -> Map<String, Value> {
        let name = self.name.iter().map(|name| ("Stud_name".to_owned(), json!(name)));
        let marks = self.marks.iter().map(|marks| ("Stud_marks".to_owned(), csv::marks(marks)));
        name.chain(marks).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Students, String> {
        Students::try_parse_from(["students"].into_iter().chain(line.split(' '))).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_typed_is_understood() {
        let read = parsed("read -5 -1 --format json").unwrap();
        assert!(matches!(read.command, Command::Read { low: -5, high: Some(-1) }) && read.format == Form::Json);
        let update = parsed("--balancer 127.0.0.1:9 update 7 --marks -3").unwrap();
        let Command::Update { id: 7, changed } = update.command else { panic!() };
        assert_eq!((json!(changed.data()), update.balancer.port()), (json!({ "Stud_marks": -3 }), 9));
        for line in ["update 7", "write 7 Ada", "load f --batch 0", "load f --batch 100001", "read x", "read", "frob"] {
            assert!(parsed(line).is_err(), "{line}");
        }
    }
}

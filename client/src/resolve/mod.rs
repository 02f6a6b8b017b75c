//! `client resolve`: asks a DNS server, or a load balancer in front of several, for the addresses of names.
//!
//! ```text
//! $ client resolve names.txt
//! $ cat RESOLVED.txt
//! www.princeton.edu 128.1.1.4 A IN
//! nothinghere.com - TIMED OUT
//! GOOGLE.com 46.1.3.7 A IN
//! ```
//!
//! **The problem.** A name that nobody answers for costs the whole time-out. Asked one after the other, five names of which
//! two are unknown take ten seconds.
//!
//! **The idea.** Each name is asked for by a thread of its own, up to 64 at a time, each with a socket of its own.
//! So all names together take as long as the slowest of them, and answers cannot be mixed up. `--one-by-one` shows the
//! other way.
//!
//! **Whom to believe.** A datagram is taken for the answer only if it comes from the server that was asked, says that it is
//! an answer, and repeats our id and our question (`asking`). The id is drawn for each question, and so is the port of
//! the socket, by the system. What does not fit is counted and waited past.
//!
//! **When it is wrong.** A program that resolves many names keeps what it has learned for as long as it may (the TTL). This
//! one forgets everything when it ends, as `dig` does.
//!
//! Sources: RFC 1035 §7.3 (matching answers), RFC 5452 (how not to be fooled), RFC 7766 (asking again over TCP).
//!
//! # Threads
//!
//! | name | does | blocks on | locks | ends |
//! |---|---|---|---|---|
//! | main | reads the names, waits for the threads, writes the answers | the threads | none | with the program |
//! | ask-1 … ask-N | asks for the next name that nobody asks for yet | its socket, with a deadline | none | when all names are asked for |

mod asking;
mod book;

use crate::{WRONG_USAGE, status::Status};
use asking::{Asker, Found};
use clap::Parser;
use protocol::{
    dns::{Name, Question, RecordType, record_type},
    flags::{parse_host, parse_timeout, run_parsed},
    output::{Plain, show},
    warn,
};
use std::{
    ffi::OsString,
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::Duration,
};

/// The word that makes the client ask for names, as its first argument.
pub const COMMAND: &str = "resolve";

/// The port at which a load balancer answers DNS here: that of DNS itself is for the administrator of a machine.
const DNS_PORT: u16 = 5053;

/// How many names are asked for at once.
const AT_ONCE: usize = 64;

const AFTER_HELP: &str = "\
Status: 0 if every name has got its line (for a single name: if it has an address); 1 if not; 2 wrong usage.

Examples:
  client resolve names.txt
  client resolve www.rutgers.edu --balancer 127.0.0.1:5053
  client resolve names.txt --type AAAA --one-by-one";

/// Asks a load balancer or a name server for the addresses of names.
#[derive(Debug, Parser)]
#[command(name = "client resolve", bin_name = "client resolve", version, after_help = AFTER_HELP, max_term_width = 110)]
struct Args {
    /// A file of names, one a line, or a name
    #[arg(value_name = "FILE|NAME")]
    what: String,
    /// Where to ask
    #[arg(long, value_name = "HOST[:PORT]", default_value = "127.0.0.1:5053", value_parser = parse_dns)]
    balancer: SocketAddr,
    /// The kind of address: A or AAAA
    #[arg(long = "type", value_name = "TYPE", default_value = "A", value_parser = parse_type)]
    record_type: RecordType,
    /// Where the answers to a file's names are written
    #[arg(long, value_name = "FILE", default_value = "RESOLVED.txt")]
    output: PathBuf,
    /// How long each name is waited for; a load balancer gives up after 5 s
    #[arg(long, value_name = "TIME", default_value = "6s", value_parser = parse_timeout)]
    timeout: Duration,
    /// Ask for each name only when the one before it has got its answer
    #[arg(long)]
    one_by_one: bool,
    /// Ask over TCP
    #[arg(long)]
    tcp: bool,
}

fn parse_dns(text: &str) -> Result<SocketAddr, String> {
    parse_host(text, DNS_PORT)
}

fn parse_type(text: &str) -> Result<RecordType, String> {
    let known = |record_type: &RecordType| [record_type::A, record_type::AAAA].contains(record_type);
    text.parse().ok().filter(known).ok_or_else(|| format!("'{text}' is no kind of address: A or AAAA."))
}

/// Runs `client resolve` with these arguments (the first is the program's name), and says with which status it ends.
pub fn main(args: Vec<OsString>) -> ExitCode {
    run_parsed(args, |args: Args| {
        let path = Path::new(&args.what);
        if path.is_file() && same_file(path, &args.output) {
            warn!("The answers would overwrite the names: write them elsewhere, with --output.");
            return ExitCode::from(WRONG_USAGE);
        }
        if path.is_file() {
            return args.answer_file(path).map_or_else(|error| failed(&error.to_string()), ExitCode::from);
        }
        match args.what.parse::<Name>() {
            Ok(name) => {
                if looks_like_a_file(&args.what) {
                    warn!("There is no file {}: it is asked for as a name.", Plain(&args.what));
                }
                args.answer_one(name).into()
            }
            Err(error) => {
                warn!("{error} And there is no such file.");
                ExitCode::from(WRONG_USAGE)
            }
        }
    })
}

fn same_file(one: &Path, other: &Path) -> bool {
    one.canonicalize().ok().is_some_and(|one| other.canonicalize().is_ok_and(|other| one == other))
}

fn looks_like_a_file(what: &str) -> bool {
    what.contains('/') || [".txt", ".csv"].iter().any(|end| what.ends_with(end))
}

fn failed(why: &str) -> ExitCode {
    warn!("{why}");
    Status::Failed.into()
}

impl Args {
    fn asker(&self) -> Asker {
        Asker { server: self.balancer, timeout: self.timeout, tcp: self.tcp }
    }

    fn answer_one(&self, name: Name) -> Status {
        let question = Question::new(name, self.record_type);
        let found = self.asker().ask(&question);
        let _nobody_reads = show!("{}", book::lines(&question, &found).join("\n"));
        tell_trouble(&found);
        if matches!(found, Found::Addresses(_)) { Status::Done } else { Status::Failed }
    }

    fn answer_file(&self, path: &Path) -> io::Result<Status> {
        let questions: Vec<Question> =
            book::read(path)?.into_iter().map(|name| Question::new(name, self.record_type)).collect();
        let found = self.answer_all(&questions)?;
        book::write(&self.output, &questions, &found)?;
        let trouble = found.iter().find(|found| matches!(found, Found::Trouble(_)));
        trouble.into_iter().for_each(tell_trouble);
        let resolved = found.iter().filter(|found| matches!(found, Found::Addresses(_))).count();
        let (all, shown) = (found.len(), self.output.display().to_string());
        let _nobody_reads = show!("{resolved} of {all} names have an address: see {}.", Plain(&shown));
        Ok(if trouble.is_some() { Status::Failed } else { Status::Done })
    }

    /// Asks for all of them; each thread takes the next one that nobody has taken.
    fn answer_all(&self, questions: &[Question]) -> io::Result<Vec<Found>> {
        let at_once = if self.one_by_one { 1 } else { questions.len().min(AT_ONCE) };
        let (next, asker) = (AtomicUsize::new(0), self.asker());
        let work = || {
            let mut found = Vec::new();
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let Some(question) = questions.get(at) else { return found };
                found.push((at, asker.ask(question)));
            }
        };
        let mut found = thread::scope(|scope| {
            let thread = |n: usize| thread::Builder::new().name(format!("ask-{}", n + 1)).spawn_scoped(scope, work);
            let threads: Vec<_> = (0..at_once).map(thread).collect::<io::Result<_>>()?;
            let ended = threads.into_iter().flat_map(|thread| thread.join().unwrap_or_default());
            io::Result::Ok(ended.collect::<Vec<_>>())
        })?;
        found.sort_by_key(|(at, _)| *at);
        Ok(found.into_iter().map(|(_, found)| found).collect())
    }
}

fn tell_trouble(found: &Found) {
    if let Found::Trouble(why) = found {
        warn!("The server cannot be asked: {}.", Plain(why));
    }
}

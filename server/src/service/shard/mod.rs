//! The service `shard`: some shards of one table, over HTTP, as one replica among several.
//!
//! **The problem.** A table that is cut into shards, each on several servers, is one table only as long as the copies of a shard are
//! equal. In the coursework a server carries out whatever comes, in the order in which it happens to come: a write that is sent
//! again is there twice, two writes that overtake each other leave two copies that differ for ever, and a copy that is
//! taken for a new server while others write is of no moment at all.
//!
//! **The idea.** The changes of a shard are numbered by whoever orders them (the load balancer). A server applies number n after
//! n − 1 and before n + 1, once, and remembers what it has answered: who asks again gets the same answer, and who is too early is told
//! which number is next. Number, change and answer are in one transaction. Two servers with the same number have the
//! same rows; `/copy` is a snapshot that says which number that is, and `/fill` takes one in.
//!
//! ```text
//! shard sh1        at 41
//! seq 42, write    applied: at 42     "Data entries added"
//! seq 42, write    not applied        "Data entries added"          the answer got lost, and the change came again
//! seq 44, write    not applied        409: sh1 is at 42             43 has not come yet
//! ```
//!
//! A change without a number gets the next one: for whoever tries a server by hand, as the coursework's calls have none.
//!
//! | path | methods | what |
//! |---|---|---|
//! | `/home`, `/heartbeat` | GET | as in the service `http` |
//! | `/config` | POST | makes the table's shards |
//! | `/state` | GET | the number and the rows of each shard |
//! | `/copy` | GET | all rows of some shards, and their numbers |
//! | `/fill` | POST | what `/copy` of another server has given, instead of what was there |
//! | `/read` | POST | the rows of a range |
//! | `/write`, `/update`, `/del` | POST, PUT, DELETE | a change |
//!
//! | file | what is in it |
//! |---|---|
//! | [`protocol::shard`] | columns, and which values they take (pure) |
//! | [`calls`] | what is asked, and the words of the answers (pure) |
//! | [`store`] | shards, numbers, remembered answers: in a file of SQLite, or in PostgreSQL |
//! | [`stream`] | rows as JSON, written and read without holding them |
//!
//! **When it is wrong.** A server believes whoever numbers. What orders changes, and which servers have all of them, is the load
//! balancer's business. All shards of a server are in one store, so they share its durable commits per second.
//!
//! Source: F. B. Schneider, *Implementing Fault-Tolerant Services Using the State Machine Approach*, ACM Computing Surveys 1990.

mod calls;
mod store;
mod stream;

pub use store::ShardStoreError;

use self::{
    calls::{Call, Told, configured, refused},
    store::Store,
};
use super::{Service, Terms, http::admission};
use crate::{Config, StartError};
use protocol::{
    http::{BodyReader, BodyWriter, HttpError, HttpService, Method, Request, Respond, Response, Status, Times},
    id::RequestId,
    listener::{Handler, Refusal, Visit},
    output::{Plain, say, warn},
    shard::{COPY_PAUSE, SEQ_FIELD},
};
use std::{
    io::{BufWriter, Write},
    net::{SocketAddr, TcpStream},
    sync::Arc,
    time::Duration,
};

/// Longest body of a call but `/fill`, in bytes: some hundred thousand rows. More than whoever numbers takes from a client, because
/// it writes a change anew.
const MAX_CALL: u64 = 64 * 1024 * 1024;

/// How long a copy that is given or taken may stand still. Longer than the load balancer waits, so that it is the one that says why it was given up.
const PAUSE: Duration = Duration::from_secs(2 * COPY_PAUSE.as_secs());

/// Rows are sent in pieces of about so many bytes.
const PIECE: usize = 64 * 1024;

/// Serves shards.
pub(super) struct Shards {
    service: HttpService<Replica>,
}

/// What there is to be asked for.
struct Replica {
    terms: Terms,
    store: Arc<Store>,
}

impl Shards {
    /// Opens what keeps the shards of this server.
    pub(super) fn open(config: &Config, terms: Terms) -> Result<Self, StartError> {
        let store = Store::open(&config.id, &config.shard_file, config.shard_database.as_ref())?;
        say!("Connected to database successfully");
        let service = HttpService::new(Replica { terms, store: Arc::new(store) });
        Ok(Self { service: service.with_times(Times { send: PAUSE, ..Times::default() }) })
    }
}

impl Service for Shards {
    /// It shares none: each replica has its own.
    fn database(&self) -> Option<&str> {
        None
    }
}

impl Handler for Shards {
    fn serve(&self, visit: &Visit) {
        self.service.serve(visit);
    }

    fn refuse(&self, stream: &TcpStream, why: Refusal) {
        self.service.refuse(stream, why);
    }

    fn panicked(&self, message: &str) {
        self.service.panicked(message);
    }
}

impl Respond for Replica {
    fn respond(&self, request: &Request, body: &mut BodyReader<'_>) -> Result<Response, HttpError> {
        let segments = request.target.segments().unwrap_or_default();
        let path: Vec<&str> = segments.iter().map(AsRef::as_ref).collect();
        let wanted = match path[..] {
            ["home" | "heartbeat" | "state" | "copy"] => "GET",
            ["config" | "fill" | "read" | "write"] => "POST",
            ["update"] => "PUT",
            ["del"] => "DELETE",
            _ => return Ok(tell(&refused(Status::NOT_FOUND, "There is nothing at this path."))),
        };
        let asked = if request.method == Method::Head { "GET" } else { request.method.as_str() };
        if asked != wanted {
            let told = refused(Status::METHOD_NOT_ALLOWED, &format!("This path takes only {wanted}."));
            return Ok(tell(&told).header("Allow", wanted)?);
        }
        if path[0] == "heartbeat" {
            return Ok(Response::new(Status::OK));
        }
        let place = match admission::admit(&self.terms, &what(request), body) {
            Ok(place) => place,
            Err(unanswered) => return unanswered.or_told(),
        };
        let answered = match path[0] {
            "home" => Ok(tell(&calls::home(&self.terms.id))),
            "state" => self.store.state().map(|state| tell(&calls::state(&state))),
            "fill" => {
                body.let_pause(PAUSE);
                let told = self.store.fill(body).map_or_else(|told| told, |filled| calls::filled(&filled));
                self.and_then_tidy(told)
            }
            name => match Call::read(name, &body.whole(MAX_CALL)?) {
                Ok(call) => self.carry_out(call),
                Err(told) => Err(told),
            },
        };
        drop(place);
        Ok(answered.unwrap_or_else(|told| tell(&told)))
    }

    fn refusal(&self, _request: Option<&Request>, status: Status, sentence: &str) -> Response {
        tell(&refused(status, sentence.trim_end_matches('.')))
    }

    fn failed(&self, peer: SocketAddr, error: &HttpError) {
        say!("({}, {}): {}", peer.ip(), peer.port(), Plain(&error.sentence()));
    }

    fn panicked(&self, message: &str) {
        warn!("A defect of the server ended a request: {}", Plain(message));
    }
}

impl Replica {
    fn carry_out(&self, call: Call) -> Result<Response, Told> {
        match call {
            Call::Config { schema, shards } => {
                self.store.configure(&schema, &shards)?;
                Ok(tell(&configured(&self.terms.id, &shards)))
            }
            Call::Read { shard, low, high, seq } => {
                let rows = self.store.rows(std::slice::from_ref(&shard))?;
                if let Some(wanted) = seq.filter(|wanted| *wanted != rows.at(&shard)) {
                    return Err(calls::out_of_order(&shard, rows.at(&shard), wanted));
                }
                streamed(move |out| rows.write_range(low, high, out))
            }
            Call::Copy { shards } => {
                let rows = self.store.rows(&shards)?;
                streamed(move |out| rows.write_all(out))
            }
            Call::Change(change) => {
                let answer = tell(&self.store.apply(&change)?);
                // Whoever numbers believes only what says that it is the outcome of this number.
                match change.seq {
                    Some(seq) => answer.header(SEQ_FIELD, seq.to_string()).map_err(|_| cannot_be_sent()),
                    None => Ok(answer),
                }
            }
        }
    }
}

impl Replica {
    /// An answer, and behind it what was filled, or could not be, is tidied up: that takes as long as there are rows, and nobody waits for it.
    fn and_then_tidy(&self, Told { status, body }: Told) -> Result<Response, Told> {
        let (store, length) = (Arc::clone(&self.store), body.len() as u64);
        let write = move |answer: &mut BodyWriter<'_>| {
            let sent = answer.write_all(body.as_bytes()).and_then(|()| answer.flush());
            store.tidy();
            sent
        };
        Response::stream(status, "application/json", Some(length), write).map_err(|_| cannot_be_sent())
    }
}

/// What is asked, for the log; and for which call, if whoever numbers has said so.
fn what(request: &Request) -> String {
    let path = request.target.path();
    let call = request.headers.get("x-request-id").and_then(|id| id.parse::<RequestId>().ok());
    call.map_or_else(|| path.to_owned(), |call| format!("{path} (call {call})"))
}

fn tell(told: &Told) -> Response {
    Response::whole(told.status, "application/json", told.body.clone().into_bytes())
        .unwrap_or_else(|_| Response::new(told.status))
}

/// An answer that is written while rows are read.
fn streamed(write: impl FnOnce(&mut dyn Write) -> std::io::Result<()> + Send + 'static) -> Result<Response, Told> {
    let write = move |body: &mut BodyWriter<'_>| {
        let mut out = BufWriter::with_capacity(PIECE, body);
        write(&mut out)?;
        out.flush()
    };
    Response::stream(Status::OK, "application/json", None, write).map_err(|_| cannot_be_sent())
}

fn cannot_be_sent() -> Told {
    refused(Status::INTERNAL_SERVER_ERROR, "The answer cannot be sent")
}

#[cfg(test)]
mod tests;

//! The service `lab`: files and SQL in the lab protocol. The life of a request: read it, take a place, spend the processing time, do the work, answer.
//!
//! One thread carries a connection, and with it one request at a time. The processing time stands for the work of a real
//! server, and is what makes one server weaker than another here; how it is spent is in [`work`](crate::work). It is spent
//! *before* the file is opened or the statement begins, so that no transaction is open meanwhile.

mod requester;
mod answer;
mod answer_file;
mod answer_sql;

use self::{
    answer::Answer,
    answer_file::answer_file,
    answer_sql::{RequestWatch, answer_sql},
    requester::{Ask, Lost, Request, Requester},
};
use super::{Service, Terms, open_database};
use crate::{
    Config, StartError,
    files::FileRoom,
    sql::{Database, Statement},
    work::Unfinished,
};
use parking_lot::Mutex;
use protocol::{
    deadline::Deadline,
    frame::{Kind, Prefix},
    id::RequestId,
    listener::{Handler, Refusal, Visit},
    message::{ErrorCode, Failure, FileRequest, QueryRequest},
    output::{Plain, say, warn},
    wire::{Connection, push_frame, to_header},
};
use std::{
    io::{Read, Write},
    net::{Shutdown, TcpStream},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

/// Body of a pong, in bytes: with the prefix it makes a hundred.
const PONG_BODY: usize = 68;

/// Most characters of a statement that are printed.
const SHOWN: usize = 500;

/// How long a peer that is refused gets to read that. Short, because the thread that refuses is the last one left.
const REFUSAL_TIME: Duration = Duration::from_millis(20);

/// Serves files and SQL in the lab protocol.
pub(super) struct Lab {
    terms: Terms,
    /// How long a statement may run.
    statement_time: Duration,
    room: FileRoom,
    database: Box<dyn Database>,
}

impl Lab {
    /// Opens what the configuration names.
    pub(super) fn open(config: &Config, terms: Terms) -> Result<Self, StartError> {
        let (statement_time, room) = (config.statement_time, FileRoom::new(config.files.clone()));
        Ok(Self { terms, statement_time, room, database: open_database(config)? })
    }
}

impl Service for Lab {
    fn database(&self) -> Option<&str> {
        Some(self.database.identity())
    }
}

impl Handler for Lab {
    fn serve(&self, visit: &Visit) {
        let Ok(connection) = Connection::new(Arc::clone(visit.stream())) else { return };
        let peer = connection.peer();
        say!("Connected with ({}, {})", peer.ip(), peer.port());
        let requester = Arc::new(Mutex::new(Requester::new(connection)));
        let mut id = RequestId::NONE;
        let end = loop {
            let prefix = match visit.wait_for_request(|| requester.lock().next_prefix()) {
                Ok(Some(prefix)) => prefix,
                Ok(None) => return,
                Err(error) => break error,
            };
            id = prefix.id;
            let request = match requester.lock().request(&prefix) {
                Ok(Some(request)) => request,
                Ok(None) => continue,
                Err(error) => break error,
            };
            if self.survive(visit, &requester, &request).is_err() {
                return;
            }
        };
        // Nothing else holds it now: the watches of its requests have ended with them.
        if let Some(requester) = Arc::into_inner(requester) {
            requester.into_inner().close(id, &end);
        }
    }

    fn refuse(&self, stream: &TcpStream, why: Refusal) {
        let sentence = match why {
            Refusal::TooManyConnections => "This server serves as many connections as it may.",
            Refusal::NoDescriptors => "This server has no file descriptor left for another connection.",
            Refusal::NoThread => "This server got no further thread from the system.",
        };
        refuse(stream, &Failure::definite(ErrorCode::Busy, sentence).from_server(&self.terms.id));
    }

    fn panicked(&self, message: &str) {
        warn!("A defect of the server ended a connection: {}", Plain(message));
    }
}

/// Sends a failure to somebody who is not served, without waiting for him.
pub(crate) fn refuse(mut stream: &TcpStream, failure: &Failure) {
    let mut frame = Vec::new();
    push_frame(&mut frame, Kind::Error, RequestId::NONE, &to_header(failure), &[]);
    let told = stream
        .set_write_timeout(Some(REFUSAL_TIME))
        .and_then(|()| stream.write_all(&frame))
        .and_then(|()| stream.shutdown(Shutdown::Write))
        .and_then(|()| stream.set_read_timeout(Some(REFUSAL_TIME)));
    if told.is_ok() {
        // A socket that is closed with unread bytes is reset, and the reset may overtake the failure.
        let _either_way = stream.read(&mut [0; 4096]);
    }
}

impl Lab {
    /// Answers the request; a panic in here costs this request alone.
    fn survive(&self, visit: &Visit, requester: &Arc<Mutex<Requester>>, request: &Request) -> Result<(), Lost> {
        let work = AssertUnwindSafe(|| self.answer(visit, requester, request));
        catch_unwind(work).unwrap_or_else(|panic| {
            let failure =
                Failure::indefinite(ErrorCode::Internal, "The server met a defect of its own in this request.");
            // Whether a frame was cut short is not known, so the connection ends with this.
            let _ended_anyway = Answer::new(requester, request.id, &self.terms.id, None).fail(failure);
            let words = panic.downcast_ref::<String>().cloned();
            self.panicked(
                &words.or_else(|| panic.downcast_ref().map(|text: &&str| (*text).into())).unwrap_or_default(),
            );
            Err(Lost)
        })
    }

    fn answer(&self, visit: &Visit, requester: &Arc<Mutex<Requester>>, request: &Request) -> Result<(), Lost> {
        let bare = || Answer::new(requester, request.id, &self.terms.id, None);
        match &request.ask {
            Ask::Nonsense(failure) => return bare().fail(failure.clone()),
            Ask::Ping => {
                let pong = Prefix::new(Kind::Pong, request.id, 0, PONG_BODY);
                return requester.lock().send(&pong, &[], &[0; PONG_BODY]);
            }
            Ask::File(header) => say!("file {}", Plain(&header.name)),
            Ask::Query(_, sql) => say!("{}", Plain(&beginning(sql))),
        }
        if visit.draining() {
            let failure = Failure::definite(ErrorCode::Draining, "This server is ending and takes no new requests.");
            return bare().fail(request.not_begun(failure));
        }
        let Some(slot) = self.terms.slots.take() else { return bare().fail(request.not_begun(self.full())) };
        let answer = Answer::new(requester, request.id, &self.terms.id, Some(slot));
        say!("Received request. Processing...");
        match &request.ask {
            Ask::File(header) => self.file(header, requester, answer),
            Ask::Query(header, sql) => self.query(header, sql, request, requester, answer),
            Ask::Ping | Ask::Nonsense(_) => Ok(()),
        }
    }

    fn full(&self) -> Failure {
        let capacity = self.terms.slots.capacity();
        let requests = if capacity == 1 { "one request" } else { "requests" };
        let message = format!("This server has {requests} in process and takes {capacity} at once.");
        let again = u64::try_from(self.terms.processing_time.as_millis()).unwrap_or(u64::MAX);
        Failure::definite(ErrorCode::Busy, message).retry_after_ms(again.max(1))
    }

    fn file(&self, header: &FileRequest, requester: &Mutex<Requester>, answer: Answer<'_>) -> Result<(), Lost> {
        match self.process(requester, first_byte(header.timeout_ms)) {
            Ok(()) => answer_file(&self.room, header, answer),
            Err(failure) => answer.fail(failure),
        }
    }

    fn query(
        &self,
        header: &QueryRequest,
        sql: &str,
        request: &Request,
        requester: &Arc<Mutex<Requester>>,
        answer: Answer<'_>,
    ) -> Result<(), Lost> {
        let first_byte = first_byte(header.timeout_ms);
        if let Err(failure) = self.process(requester, first_byte) {
            return answer.fail(request.not_begun(failure));
        }
        let statement = Statement {
            sql,
            request: header.request,
            read_only: request.read_only,
            repeated: request.repeated,
            low_water: header.low_water,
        };
        let watch = RequestWatch::new(requester, self.statement_time, first_byte);
        answer_sql(&*self.database, &statement, watch, answer)
    }

    /// Spends the processing time, or as much of it as somebody waits for.
    fn process(&self, requester: &Mutex<Requester>, first_byte: Option<Deadline>) -> Result<(), Failure> {
        let failure = match self.terms.spend(requester, first_byte) {
            Ok(()) => return Ok(()),
            Err(Unfinished::TimeOver) => {
                Failure::definite(ErrorCode::Timeout, "The request's time was over before it was processed.")
            }
            Err(Unfinished::Unwanted(why)) => Failure::definite(ErrorCode::Cancelled, why.to_string()),
        };
        say!("{}", failure.message);
        Err(failure)
    }
}

fn first_byte(timeout_ms: Option<u64>) -> Option<Deadline> {
    timeout_ms.map(|ms| Deadline::after(Duration::from_millis(ms)))
}

/// A statement as it is shown.
pub(super) fn beginning(sql: &str) -> String {
    match sql.char_indices().nth(SHOWN) {
        Some((at, _)) => format!("{}…", &sql[..at]),
        None => sql.to_owned(),
    }
}

#[cfg(test)]
mod tests;

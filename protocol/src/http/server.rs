//! Serving HTTP with a [`Crew`](crate::listener::Crew): requests in, answers out, one thread per connection.
//!
//! ```text
//! wait (a drain ends it) → head → respond, which may read the body → answer → drop what is left of the body → again
//! ```

use super::{
    connection::HttpConnection,
    error::HttpError,
    limits::{IDLE_TIME, MAX_UNWANTED, REFUSE_TIME},
    method::Method,
    reader::BodyReader,
    request::Request,
    response::Response,
    status::Status,
};
use crate::{
    deadline::{Deadline, Phase},
    limits::{BLOCK_TIME, HEADER_TIME, LINGER_TIME},
    listener::{Handler, Refusal, Visit},
};
use std::{
    any::Any,
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

/// What answers requests.
pub trait Respond: Send + Sync + 'static {
    /// Answers one request. The body can be read, whole or as it comes, or left alone. An error is made an answer by
    /// [`Respond::refusal`]. A panic ends this request alone, with status 500.
    ///
    /// # Errors
    /// Whatever the answer shall be an error for.
    fn respond(&self, request: &Request, body: &mut BodyReader<'_>) -> Result<Response, HttpError>;

    /// Makes the answer for a failure: JSON, unless this is replaced. `request` is there if its head could be read.
    fn refusal(&self, _request: Option<&Request>, status: Status, sentence: &str) -> Response {
        Response::error(status, sentence)
    }

    /// Is told when an exchange failed: a message was refused, too slow or cut.
    fn failed(&self, _peer: SocketAddr, _error: &HttpError) {}

    /// Is told that answering panicked, with the message.
    fn panicked(&self, _message: &str) {}

    /// Is told that a connection was not served.
    fn turned_away(&self, _peer: Option<SocketAddr>, _why: Refusal) {}
}

/// How long a server waits.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// For a next request on a kept connection.
    pub idle: Duration,
    /// For a whole head, from its first byte on.
    pub head: Duration,
    /// For each 256 KiB of a body.
    pub body: Duration,
    /// For the peer to take each 256 KiB of an answer.
    pub send: Duration,
}

impl Default for Times {
    fn default() -> Self {
        Self { idle: IDLE_TIME, head: HEADER_TIME, body: BLOCK_TIME, send: BLOCK_TIME }
    }
}

/// Lets a [`Crew`](crate::listener::Crew) serve HTTP.
#[derive(Debug)]
pub struct HttpService<R> {
    respond: R,
    times: Times,
}

/// What becomes of a connection after a request.
enum Then {
    /// It is kept for the next.
    Keep,
    /// It is closed, and the peer may be sending still.
    Close,
    /// It is of no use, or the peer has closed it.
    Drop,
}

impl<R: Respond> HttpService<R> {
    /// Serves with the usual times.
    pub fn new(respond: R) -> Self {
        Self { respond, times: Times::default() }
    }

    /// Serves with these times.
    #[must_use]
    pub fn with_times(self, times: Times) -> Self {
        Self { times, ..self }
    }

    /// Reads one request and answers it.
    fn exchange(&self, visit: &Visit, connection: &mut HttpConnection) -> Then {
        let request = match self.next_request(visit, connection) {
            Ok(Some(request)) => request,
            Ok(None) => return Then::Drop,
            Err(error) => return self.refuse_head(connection, &error),
        };
        let (response, broken) = self.answer(&request, connection);
        let Some(response) = response else { return Then::Drop };
        let stuck = connection.owes_continue || connection.decoder.left().is_some_and(|left| left > MAX_UNWANTED);
        let keep = request.keep_alive && !broken && !stuck && !visit.draining();
        match self.send(response, connection, &request, keep) {
            Ok(true) if connection.skip_body(MAX_UNWANTED) => Then::Keep,
            // A peer that asked for the end sends nothing more, so there is nothing to wait for.
            Ok(_) if !request.keep_alive && connection.is_settled() => Then::Drop,
            Ok(_) => Then::Close,
            Err(()) => Then::Drop,
        }
    }

    /// Waits for the next request, until a drain or the idle time ends it, and reads its head.
    fn next_request(&self, visit: &Visit, connection: &mut HttpConnection) -> Result<Option<Request>, HttpError> {
        if !connection.has_unread() {
            let idle = Deadline::after(self.times.idle);
            if !visit.wait_for_request(|| connection.wait(Phase::Idle, Some(idle)))? {
                return Ok(None);
            }
        }
        connection.read_request(self.times.head)
    }

    /// Answers a request whose head cannot be believed; after it, nobody knows where the next one begins.
    fn refuse_head(&self, connection: &mut HttpConnection, error: &HttpError) -> Then {
        let Some(status) = error.status() else { return Then::Drop };
        self.respond.failed(connection.peer(), error);
        let response = self.respond.refusal(None, status, &error.sentence());
        if response.send(connection, None, false).is_ok() { Then::Close } else { Then::Drop }
    }

    /// The answer, and whether the connection is of no use after it. No answer: there is nobody left to tell.
    fn answer(&self, request: &Request, connection: &mut HttpConnection) -> (Option<Response>, bool) {
        if request.method == Method::Connect {
            let sentence = "This is no proxy for CONNECT.";
            return (Some(self.respond.refusal(Some(request), Status::NOT_IMPLEMENTED, sentence)), true);
        }
        let peer = connection.peer();
        let mut body = connection.body();
        match catch_unwind(AssertUnwindSafe(|| self.respond.respond(request, &mut body))) {
            Ok(Ok(response)) => (Some(response), false),
            Ok(Err(error)) => {
                if error.ends_connection() {
                    self.respond.failed(peer, &error);
                }
                let refusal = |status| self.respond.refusal(Some(request), status, &error.sentence());
                (error.status().map(refusal), error.ends_connection())
            }
            Err(panic) => {
                let sentence = self.tell_panic(panic.as_ref());
                (Some(self.respond.refusal(Some(request), Status::INTERNAL_SERVER_ERROR, &sentence)), false)
            }
        }
    }

    /// Sends the answer; says whether the connection is kept, or that it is of no use. A body that fails while it is
    /// written is told if nothing has left yet. Else the connection ends without a word, since any word would be taken
    /// for a part of the body.
    fn send(
        &self,
        response: Response,
        connection: &mut HttpConnection,
        request: &Request,
        keep: bool,
    ) -> Result<bool, ()> {
        let sent = catch_unwind(AssertUnwindSafe(|| response.send(connection, Some(request), keep)));
        let sentence = match sent {
            Ok(Ok(keep)) => return Ok(keep),
            Ok(Err(error)) => {
                self.respond.failed(connection.peer(), &error);
                error.sentence()
            }
            Err(panic) => self.tell_panic(panic.as_ref()),
        };
        if connection.has_answered {
            return Err(());
        }
        let refusal = self.respond.refusal(Some(request), Status::INTERNAL_SERVER_ERROR, &sentence);
        refusal.send(connection, Some(request), false).map_err(drop)
    }

    /// Reports a panic; returns what the peer is told of it.
    fn tell_panic(&self, panic: &(dyn Any + Send)) -> String {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        self.respond.panicked(&text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default());
        "The request made the program fail.".to_owned()
    }
}

impl<R: Respond> Handler for HttpService<R> {
    fn serve(&self, visit: &Visit) {
        let Ok(connection) = HttpConnection::new(Arc::clone(visit.stream())) else { return };
        let mut connection = connection.with_patience(self.times.body).with_send_patience(self.times.send);
        loop {
            match self.exchange(visit, &mut connection) {
                Then::Keep => {}
                Then::Close => return connection.close(),
                Then::Drop => return,
            }
        }
    }

    fn refuse(&self, stream: &TcpStream, why: Refusal) {
        let sentence = match why {
            Refusal::TooManyConnections => "As many connections as allowed are being served.",
            Refusal::NoDescriptors => "The process has no file descriptor left.",
            Refusal::NoThread => "The system gives no further thread.",
        };
        let response = self.respond.refusal(None, Status::SERVICE_UNAVAILABLE, sentence).retry_after(1);
        let _nobody_to_tell = turn_away(stream, &response.into_farewell());
        self.respond.turned_away(stream.peer_addr().ok(), why);
    }

    fn panicked(&self, message: &str) {
        self.respond.panicked(message);
    }
}

/// Sends an answer to someone who is not served, and waits a moment for him to read it: a socket that is closed with
/// unread bytes is reset, and the reset may overtake the answer.
fn turn_away(mut stream: &TcpStream, farewell: &[u8]) -> io::Result<()> {
    stream.set_write_timeout(Some(REFUSE_TIME))?;
    stream.write_all(farewell)?;
    stream.shutdown(Shutdown::Write)?;
    stream.set_read_timeout(Some(REFUSE_TIME))?;
    let until = Deadline::after(LINGER_TIME.min(REFUSE_TIME));
    let mut scratch = [0; 1024];
    while !until.has_passed() && stream.read(&mut scratch)? > 0 {}
    Ok(())
}

//! Asking over HTTP: for command lines and tests. One connection, one request after the other, small bodies whole.
//!
//! Whoever needs more (bodies as they come, interim answers, a tunnel) uses [`HttpConnection`] itself.

use super::{
    answer::Answer,
    connection::HttpConnection,
    encode::push_request,
    error::HttpError,
    framing::{Framing, Version},
    headers::{Headers, InvalidField},
    method::Method,
    status::Status,
    target::Target,
};
use crate::{
    deadline::{Deadline, Phase},
    wire::WireError,
};
use serde::{Serialize, de::DeserializeOwned};
use std::{mem, net::SocketAddr, time::Duration};

/// A question: a request that is being made.
#[derive(Clone, Debug)]
pub struct Ask {
    method: Method,
    target: String,
    headers: Headers,
    body: Vec<u8>,
    limit: u64,
}

/// Most bytes of an answer that are taken, unless [`Ask::limit`] says something else: more than any answer of ours.
const USUAL_LIMIT: u64 = 16 * 1024 * 1024;

impl Ask {
    /// A request with this method, for this path and query.
    #[must_use]
    pub fn new(method: Method, target: impl Into<String>) -> Self {
        Self { method, target: target.into(), headers: Headers::new(), body: Vec::new(), limit: USUAL_LIMIT }
    }

    /// GET
    #[must_use]
    pub fn get(target: impl Into<String>) -> Self {
        Self::new(Method::Get, target)
    }

    /// POST
    #[must_use]
    pub fn post(target: impl Into<String>) -> Self {
        Self::new(Method::Post, target)
    }

    /// Adds a field.
    ///
    /// # Errors
    /// If it cannot be sent.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Result<Self, InvalidField> {
        self.headers.push(name, value)?;
        Ok(self)
    }

    /// Gives it a body.
    #[must_use]
    pub fn body(self, body: impl Into<Vec<u8>>) -> Self {
        Self { body: body.into(), ..self }
    }

    /// Gives it a body of JSON.
    ///
    /// # Errors
    /// If the value cannot be written as JSON.
    pub fn json(mut self, value: &impl Serialize) -> Result<Self, HttpError> {
        self.body = serde_json::to_vec(value).map_err(HttpError::Json)?;
        self.headers.append("Content-Type", b"application/json");
        Ok(self)
    }

    /// Takes at most this many bytes for an answer.
    #[must_use]
    pub fn limit(self, limit: u64) -> Self {
        Self { limit, ..self }
    }

    /// The head as it is sent. The target is checked, or it could bring a second request with it.
    fn head(&self, host: SocketAddr, keep: bool) -> Result<Vec<u8>, HttpError> {
        Target::parse(&self.method, self.target.as_bytes())?;
        let mut headers = Headers::new();
        if !self.headers.contains("host") {
            headers.append("Host", host.to_string().as_bytes());
        }
        self.headers.iter().for_each(|(name, value)| headers.append(name, value));
        let needless = self.body.is_empty() && !self.method.expects_a_body();
        let framing = if needless { Framing::Empty } else { Framing::Length(self.body.len() as u64) };
        let mut head = Vec::with_capacity(256);
        let line = (&self.method, self.target.as_str(), Version::Http11);
        push_request(&mut head, line, &headers, framing, if keep { None } else { Some("close") });
        Ok(head)
    }
}

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Reply {
    /// How it went.
    pub status: Status,
    /// The fields of its head.
    pub headers: Headers,
    /// The body.
    pub body: Vec<u8>,
    /// The fields behind a chunked body.
    pub trailer: Headers,
}

impl Reply {
    /// The body as text, whatever is no UTF-8 replaced.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// [`HttpError::Json`] if it is not what is expected.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, HttpError> {
        serde_json::from_slice(&self.body).map_err(HttpError::Json)
    }
}

/// How long an answer is waited for.
#[derive(Clone, Copy)]
enum Wait<'a> {
    /// All of it must be there by then.
    Until(Deadline),
    /// It must have begun by then, and may pause for so long.
    Begun(&'a dyn Fn() -> Deadline, Duration),
}

impl Wait<'_> {
    /// The same for who shall have said something already.
    fn cut_short(self) -> Self {
        match self {
            Self::Begun(_, pause) => Self::Until(Deadline::after(pause)),
            until @ Self::Until(_) => until,
        }
    }
}

/// A connection to a server that is asked one thing after the other.
#[derive(Debug)]
pub struct Client {
    connection: HttpConnection,
    /// Whether the server keeps the connection.
    kept: bool,
}

impl Client {
    /// Connects, waiting at most this long.
    ///
    /// # Errors
    /// If nobody accepts in time.
    pub fn connect(address: SocketAddr, within: Duration) -> Result<Self, HttpError> {
        Ok(Self { connection: HttpConnection::connect(address, within)?, kept: true })
    }

    /// Gives the server this long to take each 256 KiB of a question.
    #[must_use]
    pub fn with_send_patience(self, patience: Duration) -> Self {
        Self { connection: self.connection.with_send_patience(patience), ..self }
    }

    /// Whether the server keeps the connection for another question.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        self.kept
    }

    /// Sends a request and reads the whole answer within this time. Any status is an answer, not an error.
    ///
    /// # Errors
    /// If the request cannot be sent, or no answer comes in time, or one that is not to be believed or too large. Then the
    /// connection is of no use.
    pub fn ask(&mut self, ask: &Ask, within: Duration) -> Result<Reply, HttpError> {
        self.exchange(ask, Wait::Until(Deadline::after(within)), true)
    }

    /// The same for what may take long, and has a large answer: the answer must begin before `begin` (which is asked anew four times in each
    /// `pause`, as what the server has in hand may have changed meanwhile), and then may pause for so long.
    ///
    /// # Errors
    /// As [`Client::ask`].
    pub fn ask_patiently(
        &mut self,
        ask: &Ask,
        begin: &dyn Fn() -> Deadline,
        pause: Duration,
    ) -> Result<Reply, HttpError> {
        self.exchange(ask, Wait::Begun(begin, pause), true)
    }

    fn exchange(&mut self, ask: &Ask, wait: Wait<'_>, keep: bool) -> Result<Reply, HttpError> {
        if !mem::take(&mut self.kept) {
            return Err(WireError::Closed { peer: self.connection.peer(), phase: Phase::Send }.into());
        }
        let head = ask.head(self.connection.peer(), keep)?;
        // A server may refuse before it has read the body, and end its side: the answer is there all the same.
        let sent = self.connection.send(&[&head, &ask.body]);
        // Who has not taken the question in time is not waited for as if it had.
        let wait = if sent.is_ok() { wait } else { wait.cut_short() };
        let answer = match (self.answer(&ask.method, wait), sent) {
            (Ok(answer), _) => answer,
            (Err(_), Err(sending)) => return Err(sending),
            (Err(reading), Ok(())) => return Err(reading),
        };
        let mut body = self.connection.body();
        match wait {
            Wait::Until(deadline) => body = body.until(deadline),
            Wait::Begun(_, pause) => body.let_pause(pause),
        }
        let bytes = body.whole(ask.limit)?;
        let trailer = body.trailer().clone();
        self.kept = keep && answer.keep_alive;
        Ok(Reply { status: answer.status, headers: answer.headers, body: bytes, trailer })
    }

    /// The head of the answer.
    fn answer(&mut self, to: &Method, wait: Wait<'_>) -> Result<Answer, HttpError> {
        let deadline = match wait {
            Wait::Until(deadline) => deadline,
            Wait::Begun(begin, pause) => {
                // While nothing has come, nothing is lost by waiting on.
                let slice = || begin().min(Deadline::after(pause / 4));
                while let Err(error) = self.connection.wait(Phase::Answer, Some(slice())) {
                    if !matches!(error, HttpError::Wire(WireError::Timeout { .. })) || begin().has_passed() {
                        return Err(error);
                    }
                }
                Deadline::after(pause)
            }
        };
        self.connection.read_final_answer(to, deadline)
    }
}

/// One who asks a server again and again, on a connection that is replaced when it is of no use any more.
#[derive(Debug)]
pub struct KeptClient {
    address: SocketAddr,
    within: Duration,
    kept: Option<Client>,
}

impl KeptClient {
    /// Asks at this address, and waits at most this long for a connection, and for each answer. Connects when it is asked.
    #[must_use]
    pub fn new(address: SocketAddr, within: Duration) -> Self {
        Self { address, within, kept: None }
    }

    /// Asks. Nothing is asked twice: what has failed is told, and the next question gets a new connection.
    ///
    /// # Errors
    /// As [`Client::connect`] and [`Client::ask`].
    pub fn ask(&mut self, ask: &Ask) -> Result<Reply, HttpError> {
        let mut client = match self.kept.take() {
            Some(client) => client,
            None => Client::connect(self.address, self.within)?,
        };
        let reply = client.ask(ask, self.within)?;
        self.kept = Some(client).filter(Client::is_kept);
        Ok(reply)
    }
}

/// Connects, asks one thing, and ends the connection: all within this time.
///
/// # Errors
/// As [`Client::connect`] and [`Client::ask`].
pub fn ask(address: SocketAddr, ask: &Ask, within: Duration) -> Result<Reply, HttpError> {
    let deadline = Deadline::after(within);
    Client::connect(address, within)?.exchange(ask, Wait::Until(deadline), false)
}

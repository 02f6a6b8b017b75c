//! One request: read it, take a server, send it, pass the answer back. If the server is lost, decide whether another one may
//! have the request, or the rest of the answer.
//!
//! | lost when                                | GET, HEAD, OPTIONS, TRACE, PUT, DELETE      | POST, PATCH and others                      |
//! |------------------------------------------|---------------------------------------------|---------------------------------------------|
//! | before anything was sent                 | another server                              | another server                              |
//! | before the client has any of the answer  | another server, if the body is still here   | 502, not definite, unless idempotency is promised |
//! | in the middle of the answer              | the rest from another, by `Range`, or a cut | a cut                                       |
//! | it answered 503                          | another server                              | passed on                                   |
//!
//! Source: RFC 9110 §9.2.2 (idempotent methods).

use super::{
    Http, Then,
    attempt::{Attempt, attempt},
    download::Download,
    fields::{self, Arrival, Underscores},
    page::Refusal,
    sticky,
    trouble::Trouble,
    upload::Upload,
    watch,
};
use crate::{
    dispatch::{
        budget::Account,
        retry::{Lost, MAX_ATTEMPTS},
        tell_choice,
    },
    event::Event,
    policy::ServerKey,
    pool::{Found, Refused, Server, Taking, Wanted},
};
use protocol::{
    deadline::Deadline,
    http::{HttpConnection, HttpError, Method, Request, Status},
    limits::CLIENT_PATIENCE,
    listener::Visit,
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use xxhash_rust::xxh3::xxh3_64;

/// How long a request pauses before a server that lost it is tried again, because there is no other.
const PAUSE: Duration = Duration::from_millis(20);

/// A request in hand.
pub(super) struct Exchange<'a> {
    pub(super) http: &'a Http,
    pub(super) visit: &'a Visit,
    pub(super) request: &'a Request,
    pub(super) client: &'a mut HttpConnection,
    pub(super) arrival: Arrival,
    pub(super) since: Instant,
    pub(super) deadline: Deadline,
    pub(super) upload: Upload,
    pub(super) download: Download,
    wanted: Wanted,
    tried: Vec<ServerKey>,
    attempts: u32,
    /// Who had the request last.
    pub(super) server: Option<Arc<Server>>,
    /// Whether a server may have carried it out.
    pub(super) doubt: bool,
}

/// What became of a request.
pub(super) enum Outcome {
    /// The client has its answer.
    Answered,
    /// Its connection is a tunnel no more.
    Tunnelled,
    /// The client must be told.
    Refused(Refusal),
    /// The client's request is at fault, so that nobody knows where the next one begins.
    Unbelieved(HttpError),
    /// The client is gone.
    ClientGone(String),
    /// The client has a part of its answer, and gets no more.
    Cut(String),
}

impl<'a> Exchange<'a> {
    /// A request that was received from this client.
    pub(super) fn new(http: &'a Http, visit: &'a Visit, request: &'a Request, client: &'a mut HttpConnection) -> Self {
        let peer = client.peer();
        // Asking the system for it is a call, which every other request is spared.
        let local = if request.host.is_none() { visit.stream().local_addr().ok() } else { None };
        let trusted = http.flags.http_trust.iter().any(|network| network.contains(peer.ip()));
        let arrival = Arrival { peer, local, trusted, id: http.ids.next() };
        Self {
            http,
            visit,
            request,
            client,
            arrival,
            since: Instant::now(),
            deadline: Deadline::after(http.request_timeout),
            upload: Upload::new(request, http.flags.http_max_body),
            download: Download::default(),
            wanted: http.wanted(request, &arrival),
            tried: Vec::new(),
            attempts: 0,
            server: None,
            doubt: false,
        }
    }

    /// Answers it. Returns what becomes of the client's connection.
    pub(super) fn run(mut self) -> Then {
        let totals = self.http.pool.totals();
        totals.requests.add_one();
        let _in_hand = totals.in_hand.enter();
        self.http.events.step(|| Event::RequestReceived {
            request: self.arrival.id,
            client: self.arrival.peer.ip().to_string(),
            text: format!("{} {}", self.request.method, self.request.target.path_and_query()),
        });
        let outcome = self.carry_out();
        totals.bytes_in.add(self.upload.bytes());
        self.end(outcome)
    }

    /// Tries servers until one has answered, or the rules or the deadline say that it is over.
    fn carry_out(&mut self) -> Outcome {
        if let Err(refusal) = self.check() {
            return Outcome::Refused(refusal);
        }
        if let Err(error) = self.upload.read_ahead(self.client) {
            return self.unbelieved(error);
        }
        let mut account = self.http.budget.open();
        loop {
            let found = match self.take() {
                Ok(found) => found,
                Err(Refused::Withdrawn) => return Outcome::ClientGone("it is gone".to_owned()),
                Err(refused) => return self.no_server(refused),
            };
            match attempt(self, found.lease) {
                Attempt::Answered => return Outcome::Answered,
                Attempt::Tunnelled => return Outcome::Tunnelled,
                Attempt::Busy(why) => {
                    let _in_time = self.goes_on(&mut account, None, &why, true);
                }
                Attempt::Trouble(Trouble::Client(why)) => return Outcome::ClientGone(why),
                Attempt::Trouble(Trouble::Request(error)) => return self.unbelieved(error),
                Attempt::Trouble(Trouble::Server { lost, why, how }) => {
                    let lost = if self.download.has_begun() { Lost::Partly } else { lost };
                    let again = self.may_follow(lost);
                    if !self.goes_on(&mut account, Some(lost), &why, again) {
                        return self.given_up(lost, &why, how);
                    }
                }
            }
        }
    }

    /// What is refused before any server is asked.
    fn check(&self) -> Result<(), Refusal> {
        let (request, flags) = (self.request, &self.http.flags);
        if request.method == Method::Connect {
            return Err(Refusal::definite(Status::NOT_IMPLEMENTED, "This is no proxy for CONNECT."));
        }
        if !self.http.serves(request) {
            return Err(Refusal::definite(Status::MISDIRECTED_REQUEST, "This host is not served here."));
        }
        if fields::passed_before(request) >= fields::MAX_PASSED {
            return Err(Refusal::definite(
                Status::LOOP_DETECTED,
                "The request goes round in a circle of load balancers.",
            ));
        }
        if flags.http_underscores == Underscores::Refuse && request.headers.iter().any(|(name, _)| name.contains('_')) {
            let message = "A field has '_' in its name, which some servers take for '-'.";
            return Err(Refusal::definite(Status::BAD_REQUEST, message));
        }
        Ok(())
    }

    /// Takes a server, waiting for one with an eye on the client, and tells why this one.
    fn take(&mut self) -> Result<Found, Refused> {
        let (http, id) = (self.http, self.arrival.id);
        let found = match http.pool.take(&self.wanted)? {
            Taking::Server(found) => found,
            Taking::Turn(turn) => {
                http.events.step(|| Event::RequestWaits { request: id, ahead: turn.ahead() });
                let deadline = Deadline::after(http.queue_timeout).min(self.deadline);
                turn.wait(deadline, || !watch::is_gone(self.client, self.request))?
            }
        };
        self.attempts += 1;
        tell_choice(&http.pool, &http.events, id, self.attempts, &found, false);
        let server = found.lease.server();
        if let Some(before) = self.server.replace(Arc::clone(server)) {
            http.pool.count_again(&before, server);
        }
        self.tried.push(server.key);
        Ok(found)
    }

    // ------------------------------------------------------------------------------------------- trying again

    /// Whether the request may be done twice, and all of it is still here.
    pub(super) fn may_repeat(&self) -> bool {
        let promised = self.http.flags.http_idempotency_key && self.request.headers.contains("idempotency-key");
        (self.request.method.is_idempotent() || promised) && self.upload.is_repeatable()
    }

    /// Whether a server that only says that it is busy can be left for another one.
    pub(super) fn has_another_try(&self) -> bool {
        let untried = self.http.pool.servers().iter().any(|server| !self.tried.contains(&server.key));
        self.may_repeat() && untried && self.attempts < MAX_ATTEMPTS && !self.deadline.has_passed()
    }

    /// Whether, after such a loss, another server may have the request or the rest of the answer.
    fn may_follow(&self, lost: Lost) -> bool {
        match lost {
            Lost::BeforeSent => self.upload.is_repeatable(),
            Lost::Unanswered => self.may_repeat(),
            Lost::Partly => self.download.resume().is_some() && self.may_repeat(),
        }
    }

    /// Tells that a server was lost; whether another one is tried.
    fn goes_on(&mut self, account: &mut Account<'_>, lost: Option<Lost>, why: &str, again: bool) -> bool {
        if lost == Some(Lost::Partly) {
            self.deadline = self.deadline.max(Deadline::after(CLIENT_PATIENCE));
        }
        let in_time = self.attempts < MAX_ATTEMPTS && !self.deadline.has_passed();
        let again = again && in_time && account.may_retry();
        let (request, server) = (self.arrival.id, self.server_id());
        self.http.events.emit(|| Event::AttemptFailed { request, server, why: why.to_owned(), again, lost });
        self.doubt |= lost.is_some_and(|lost| lost != Lost::BeforeSent) && !self.request.method.is_idempotent();
        if again {
            self.wanted.avoid.clone_from(&self.tried);
            let others = self.http.pool.servers().iter().any(|server| !self.tried.contains(&server.key));
            if !others {
                std::thread::park_timeout(PAUSE * self.attempts);
            }
        }
        again
    }

    /// The id of the server that had it last.
    pub(super) fn server_id(&self) -> String {
        self.server.as_ref().map_or_else(String::new, |server| server.id.clone())
    }
}

impl Http {
    /// What this request wants of its server.
    fn wanted(&self, request: &Request, arrival: &Arrival) -> Wanted {
        let client = xxh3_64(arrival.peer.ip().to_string().as_bytes());
        let text = || xxh3_64(request.target.path_and_query().as_bytes());
        let key = self.hash_key.pick(|| client, text, arrival.id);
        let stuck = self.flags.http_sticky.as_ref().and_then(|name| sticky::cookie(request, name));
        let avoid = stuck.map_or_else(Vec::new, |cookie| sticky::others(&self.pool, cookie));
        Wanted { client, key, avoid, ..Wanted::default() }
    }
}

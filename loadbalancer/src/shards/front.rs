//! The calls over HTTP. Each has a name, which its answer says (`X-Request-Id`) and by which its steps are told.

use super::{
    answers::{added, coming, configured, removed_servers},
    asked::Asked,
    calls::Call,
    keeper::Word,
    table::Table,
};
use crate::{
    dispatch::key::HashKey,
    event::{Event, micros},
};
use crossbeam_channel::{Sender, bounded};
use protocol::{
    http::{BodyReader, HttpError, HttpService, Method, Request, Respond, Response, Status},
    id::{IdSource, RequestId},
    listener::{Handler, Refusal, Visit},
    message::ErrorCode,
    shard::told::{Told, refused},
};
use std::{
    net::{SocketAddr, TcpStream},
    sync::Arc,
    time::{Duration, Instant},
};

/// The longest body of a call, in bytes.
const MAX_BODY: u64 = 16 * 1024 * 1024;
/// How long somebody waits for new servers at the most: the keeper says something earlier, if it lives.
const KEEPER_TIME: Duration = Duration::from_secs(90);
/// Who has answered, in the journal: no id of a server has brackets.
pub const TABLE: &str = "(shards)";

/// Answers calls.
pub struct Front {
    /// The table.
    pub table: Arc<Table>,
    /// Its keeper.
    pub keeper: Sender<Word>,
    /// The names of calls.
    pub ids: IdSource,
    /// What policies that hash send to the same server.
    pub hash_key: HashKey,
}

/// Its connections, counted.
pub struct Door {
    /// What serves them.
    pub service: HttpService<Front>,
    /// Where they are counted.
    pub table: Arc<Table>,
}

impl Handler for Door {
    fn serve(&self, visit: &Visit) {
        let (totals, peer) = (self.table.pool.totals(), visit.stream().peer_addr().ok());
        totals.connections.add_one();
        let _connected = totals.clients.enter();
        peer.into_iter().for_each(|peer| self.table.events.step(|| Event::ClientConnected { peer }));
        self.service.serve(visit);
        peer.into_iter().for_each(|peer| self.table.events.step(|| Event::ClientLeft { peer }));
    }

    fn refuse(&self, stream: &TcpStream, why: Refusal) {
        self.service.refuse(stream, why);
    }

    fn panicked(&self, message: &str) {
        self.service.panicked(message);
    }
}

impl Respond for Front {
    fn respond(&self, request: &Request, body: &mut BodyReader<'_>) -> Result<Response, HttpError> {
        let path = request.target.path().trim_start_matches('/');
        let method = match path {
            "heartbeat" | "home" => Some("GET"),
            path => Call::method(path),
        };
        let Some(method) = method else {
            return Ok(tell(&refused(Status::NOT_FOUND, "There is nothing at this path")));
        };
        let asked = if request.method == Method::Head { "GET" } else { request.method.as_str() };
        if asked != method {
            let told = refused(Status::METHOD_NOT_ALLOWED, &format!("This path takes only {method}"));
            return Ok(tell(&told).header("Allow", method)?);
        }
        match path {
            "heartbeat" => Ok(Response::new(Status::OK)),
            "home" => {
                let body = r#"{"message":"Hello from Load Balancer","status":"successful"}"#.to_owned();
                Ok(tell(&Told { status: Status::OK, body }))
            }
            path => {
                let (peer, since) = (body.peer(), Instant::now());
                let body = body.whole(MAX_BODY)?;
                let id = self.ids.next();
                let told = self.answer((method, path), &body, (id, peer), since);
                Ok(tell(&told).header("X-Request-Id", id.to_string())?)
            }
        }
    }

    fn failed(&self, peer: SocketAddr, error: &HttpError) {
        self.table.pool.totals().client_errors.add_one();
        self.table.events.emit(|| Event::ClientFailed { peer, why: error.sentence() });
    }

    fn refusal(&self, _request: Option<&Request>, status: Status, sentence: &str) -> Response {
        tell(&refused(status, sentence.trim_end_matches('.')))
    }

    fn panicked(&self, message: &str) {
        self.table.events.emit(|| Event::Panicked { message: message.to_owned() });
    }

    fn turned_away(&self, peer: Option<SocketAddr>, why: Refusal) {
        self.table.pool.totals().refused.add_one();
        self.table.events.emit(|| Event::ClientRefused { peer, why: format!("{why:?}") });
    }
}

impl Front {
    /// Answers a call, and tells of it.
    fn answer(
        &self,
        (method, path): (&str, &str),
        body: &[u8],
        (id, peer): (RequestId, SocketAddr),
        since: Instant,
    ) -> Told {
        let (totals, events) = (self.table.pool.totals(), &self.table.events);
        let _in_hand = totals.in_hand.enter();
        totals.bytes_in.add(body.len() as u64);
        let call = Call::read(path, body, &mut || fastrand::u32(..));
        events.step(|| {
            let no_call = |_: &Told| format!("{method} /{path}, which cannot be understood");
            let text = call.as_ref().map_or_else(no_call, ToString::to_string);
            Event::RequestReceived { request: id, client: peer.ip().to_canonical().to_string(), text }
        });
        if call.is_ok() { &totals.requests } else { &totals.malformed }.add_one();
        let asked = Asked::new(id, peer.ip(), body, self.hash_key);
        let told = call.and_then(|call| self.carry_out(call, &asked));
        let told = told.unwrap_or_else(|told| told);
        self.tell_end(id, &told, since);
        told
    }

    fn tell_end(&self, request: RequestId, told: &Told, since: Instant) {
        let (totals, events) = (self.table.pool.totals(), &self.table.events);
        if matches!(told.status, Status::OK | Status::ACCEPTED) {
            let took = since.elapsed();
            totals.answered.add_one();
            totals.times.add(took);
            totals.bytes_out.add(told.body.len() as u64);
            let took_us = micros(took);
            events.step(|| Event::ResponseSent { request, server: TABLE.to_owned(), took_us, complete: true });
            return;
        }
        let definite = told.status != Status::GATEWAY_TIMEOUT;
        if definite { &totals.failed } else { &totals.in_doubt }.add_one();
        let (code, message) = (code_of(told.status), told.says());
        events.emit(|| Event::RequestFailed { request, code, definite, message });
    }

    pub(super) fn carry_out(&self, call: Call, asked: &Asked) -> Result<Told, Told> {
        match call {
            Call::Init(map) => {
                let names = map.servers.keys().cloned().collect();
                self.table.init(map, asked)?;
                Ok(self.in_service(names, configured))
            }
            Call::Add { shards, servers } => {
                let mut names: Vec<String> = servers.keys().cloned().collect();
                // Server4 before Server58127, also in the answer: a number that was drawn is the longest.
                names.sort_by_key(|name| (name.len(), name.clone()));
                self.table.add(shards, servers, asked)?;
                let told = self.in_service(names.clone(), || added(self.servers(), &names));
                let there = self.table.layout();
                match names.iter().find(|name| there.as_ref().is_none_or(|there| there.since(name).is_none())) {
                    Some(gone) => {
                        Err(refused(Status::CONFLICT, &format!("Server '{gone}' was removed again meanwhile")))
                    }
                    None => Ok(told),
                }
            }
            Call::Remove { n, names } => {
                let names = self.table.remove(n, names, asked)?;
                Ok(removed_servers(self.servers(), &names))
            }
            call => self.table.carry_out(call, asked),
        }
    }

    fn servers(&self) -> usize {
        self.table.layout().map_or(0, |layout| layout.map.servers.len())
    }

    /// Waits until these servers are in service. The map is kept whatever comes of that.
    fn in_service(&self, names: Vec<String>, done: impl FnOnce() -> Told) -> Told {
        let (reply, answer) = bounded(1);
        if self.keeper.send(Word::Await(names, reply)).is_err() {
            return coming(&[]);
        }
        match answer.recv_timeout(KEEPER_TIME) {
            Ok(Ok(())) => done(),
            Ok(Err(missing)) => coming(&missing),
            Err(_) => coming(&[]),
        }
    }
}

fn code_of(status: Status) -> ErrorCode {
    match status {
        Status::BAD_REQUEST => ErrorCode::BadRequest,
        Status::NOT_FOUND => ErrorCode::NotFound,
        Status::SERVICE_UNAVAILABLE => ErrorCode::Unavailable,
        Status::GATEWAY_TIMEOUT => ErrorCode::UnknownOutcome,
        _ => ErrorCode::SqlError,
    }
}

fn tell(told: &Told) -> Response {
    let response = Response::whole(told.status, "application/json", told.body.clone().into_bytes());
    let response = response.unwrap_or_else(|_| Response::new(told.status));
    if told.status == Status::SERVICE_UNAVAILABLE { response.retry_after(1) } else { response }
}

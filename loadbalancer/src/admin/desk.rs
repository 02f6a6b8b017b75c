//! Answers the requests of the administration: who may, what is asked for, and what comes of it.

use super::{
    csv::{self, is_up},
    door::{Door, Refused},
    fronts::{Front, FrontSnapshot, Fronts},
    metrics,
    past::Memory,
    route::{Act, Place},
    wish,
};
use crate::{
    event::{Event, Events},
    membership::{Members, NotAdded, Source, members::Member},
    pool::{Pool, PoolSnapshot, Unacceptable},
};
use protocol::{
    http::{BodyReader, HttpError, Method, Request, Respond, Response, Status, escape},
    listener::Refusal,
};
use serde::Serialize;
use serde_json::{Value, json};
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

/// What is answered at `/`.
const INDEX: &str = "\
The administration of a load balancer.

GET  /servers               all servers, the queue and the totals, as JSON
GET  /servers/ID            one server
GET  /policy                the policy, its options, and what else there is
GET  /stats.csv             the statistics in the columns of HAProxy's \"show stat\"
GET  /metrics               the same for Prometheus (OpenMetrics text)
GET  /health                200 if a server takes requests, else 503
GET  /why/REQUEST           what became of a request, and why; also /why/last and /why/failed
GET  /events?since=N        what happened after N, in microseconds since 1970; without it the latest

Each can be asked about one pool only: ?pool=lab, ?pool=tcp.

Changes need the token (Authorization: Bearer TOKEN), and their bodies are JSON (Content-Type: application/json).
POST /servers/ID/drain      it finishes what it has and gets nothing new; /maintenance: nor is it missed; /ready: it is back
POST /servers/ID/weight     {\"weight\": 5}, or null for none of its own
POST /servers/ID/capacity   {\"capacity\": 4}, or \"unlimited\"
POST /servers/ID/remove     it leaves the pool; DELETE /servers/ID is the same
POST /servers               {\"control\": \"127.0.0.1:7001\"} adds the server that answers there
POST /policy                {\"policy\": \"round-robin\", \"options\": {}}
";

/// What answers.
#[derive(Debug)]
pub struct Desk {
    /// Who may.
    pub door: Door,
    /// What is shown, and changed.
    pub fronts: Fronts,
    /// Where servers are added and removed.
    pub members: Arc<Members>,
    /// Where what happens is told.
    pub events: Events,
    /// What is remembered of what happened.
    pub memory: Memory,
    /// Whether the load balancer is ending.
    pub ending: Arc<AtomicBool>,
}

/// Something that is done with a server of this id.
type Change = Box<dyn FnOnce(&Pool, &str) -> Result<(), Unacceptable>>;

/// All servers, as they are shown.
#[derive(Serialize)]
struct Shown {
    pools: Vec<FrontSnapshot>,
    /// Those that should be in the pool and are not.
    outside: Vec<Value>,
}

impl Respond for Desk {
    fn respond(&self, request: &Request, body: &mut BodyReader<'_>) -> Result<Response, HttpError> {
        let peer = body.peer();
        if let Err(refused) = self.door.may_look(request) {
            return self.turn_away(request, peer, refused);
        }
        let place = Place::of(request)?;
        if !place.allows(&request.method) {
            return place.not_allowed(&request.method);
        }
        let response = if matches!(request.method, Method::Get | Method::Head) {
            self.show(&place, request)
        } else {
            if let Err(refused) = self.door.may_change(request, peer.ip()) {
                return self.turn_away(request, peer, refused);
            }
            check_type(request)?;
            self.change(place, request, body)
        };
        Ok(response?.header("Cache-Control", "no-store")?.header("X-Content-Type-Options", "nosniff")?)
    }

    fn failed(&self, peer: SocketAddr, error: &HttpError) {
        let (asked, why) = ("a request that is none".to_owned(), error.sentence());
        self.events.emit(|| Event::AdminRefused { peer: Some(peer), asked, why });
    }

    fn panicked(&self, message: &str) {
        self.events.emit(|| Event::Panicked { message: message.to_owned() });
    }

    fn turned_away(&self, peer: Option<SocketAddr>, why: Refusal) {
        let (asked, why) = ("to connect".to_owned(), format!("{why:?}"));
        self.events.emit(|| Event::AdminRefused { peer, asked, why });
    }
}

impl Desk {
    fn turn_away(&self, request: &Request, peer: SocketAddr, refused: Refused) -> Result<Response, HttpError> {
        let asked = format!("{} {}", request.method, request.path());
        self.events.emit(|| Event::AdminRefused { peer: Some(peer), asked, why: refused.to_string() });
        let status = match refused {
            Refused::NoToken | Refused::WrongToken => Status::UNAUTHORIZED,
            Refused::Host | Refused::Origin | Refused::Elsewhere => Status::FORBIDDEN,
        };
        let response = Response::error(status, &refused.to_string());
        let challenge = if refused == Refused::NoToken { "Bearer" } else { "Bearer error=\"invalid_token\"" };
        if status == Status::UNAUTHORIZED { Ok(response.header("WWW-Authenticate", challenge)?) } else { Ok(response) }
    }

    // ------------------------------------------------------------------------------------------- looking

    fn show(&self, place: &Place, request: &Request) -> Result<Response, HttpError> {
        let snapshots = || -> Result<Vec<_>, HttpError> {
            Ok(self.fronts.meant(request)?.into_iter().map(Front::snapshot).collect())
        };
        match place {
            Place::Index => Ok(Response::text(Status::OK, INDEX)),
            Place::Health => Ok(self.health(&snapshots()?)),
            Place::Servers => Ok(Response::json(Status::OK, &Shown { pools: snapshots()?, outside: self.outside() })),
            Place::Server(id) => Ok(Response::json(Status::OK, &self.server(id, request)?)),
            Place::Policy => Ok(policy(&self.fronts.meant(request)?)),
            Place::Stats => {
                let text = csv::csv(&snapshots()?);
                Ok(Response::whole(Status::OK, "text/csv; charset=utf-8", text.into_bytes())?)
            }
            Place::Metrics => {
                let text = metrics::openmetrics(snapshots()?);
                Ok(Response::whole(Status::OK, metrics::CONTENT_TYPE, text.into_bytes())?)
            }
            Place::Why(asked) => self.memory.why(asked, request),
            Place::Events => self.memory.events(request),
            Place::Act(..) => place.not_allowed(&request.method),
        }
    }

    fn health(&self, fronts: &[FrontSnapshot]) -> Response {
        let sum = |count: fn(&PoolSnapshot) -> usize| fronts.iter().map(|front| count(&front.pool)).sum::<usize>();
        let up = sum(|pool| pool.servers.iter().filter(|server| is_up(server)).count());
        let (status, word) = match (self.ending.load(Ordering::SeqCst), up) {
            (true, _) => (Status::SERVICE_UNAVAILABLE, "ending"),
            (false, 0) => (Status::SERVICE_UNAVAILABLE, "no-server"),
            (false, _) => (Status::OK, "ok"),
        };
        let (servers, waiting) = (sum(|pool| pool.servers.len()), sum(|pool| pool.waiting));
        let pid = std::process::id();
        let shown = json!({ "health": word, "servers": servers, "up": up, "waiting": waiting, "pid": pid });
        Response::json(status, &shown)
    }

    /// The members that are not in the pool, and why.
    fn outside(&self) -> Vec<Value> {
        let shown = |member: Member| {
            let why = member.why_not.unwrap_or_else(|| "It has not said yet who it is.".to_owned());
            json!({
                "id": member.entry.id, "address": member.entry.address, "control": member.entry.control,
                "source": word_of(member.source), "why": why,
            })
        };
        let absent = |member: &Member| !self.fronts.have(&member.entry.id);
        self.members.list().into_iter().filter(absent).map(shown).collect()
    }

    fn server(&self, id: &str, request: &Request) -> Result<Value, HttpError> {
        let front = self.fronts.of_server(id, request).map_err(|error| self.explain(id, error))?;
        let found = front.pool.snapshot().servers.into_iter().find(|server| server.id == id);
        let mut shown = found.map_or(Value::Null, |server| serde_json::to_value(server).unwrap_or_default());
        shown["pool"] = front.name.into();
        Ok(shown)
    }

    /// A server that is not in the pool may be known, and then it is known why it is not.
    fn explain(&self, id: &str, error: HttpError) -> HttpError {
        let outside = |member: &Member| member.entry.id == id && !self.fronts.have(id);
        let outside = self.members.list().into_iter().find(outside);
        match (error.status(), outside) {
            (Some(Status::NOT_FOUND), Some(member)) => {
                let why = member.why_not.unwrap_or_else(|| "it has not said yet who it is".to_owned());
                let sentence = format!("Server {id} is known, but not in the pool: {why}");
                HttpError::answer(Status::NOT_FOUND, sentence)
            }
            _ => error,
        }
    }

    // ------------------------------------------------------------------------------------------ changing

    fn change(&self, place: Place, request: &Request, body: &mut BodyReader<'_>) -> Result<Response, HttpError> {
        let (told, peer) = (format!("{} {}", request.method, request.path()), body.peer());
        let tell = || self.events.emit(|| Event::AdminAsked { peer, asked: told });
        match place {
            Place::Act(id, act) => self.act(&id, act, request, body, tell),
            Place::Server(id) => self.act(&id, Act::Remove, request, body, tell),
            Place::Policy => {
                let ((name, options), meant) = (wish::policy(body)?, self.fronts.meant(request)?);
                tell();
                meant.iter().for_each(|front| front.pool.change_policy(name, &options));
                Ok(policy(&meant))
            }
            Place::Servers => {
                let addition: wish::Addition = wish::read(body)?;
                tell();
                self.add(addition.control)
            }
            _ => place.not_allowed(&request.method),
        }
    }

    /// Something is done with a server; `tell` when it is understood what.
    fn act(
        &self,
        id: &str,
        act: Act,
        request: &Request,
        body: &mut BodyReader<'_>,
        tell: impl FnOnce(),
    ) -> Result<Response, HttpError> {
        let change: Change = match act {
            Act::Remove => {
                wish::nothing(body)?;
                self.fronts.meant(request)?;
                tell();
                return self.remove(id);
            }
            Act::Decide(admin) => {
                wish::nothing(body)?;
                Box::new(move |pool, id| pool.decide_on(id, admin))
            }
            Act::Weigh => {
                let weight = wish::weight(body)?;
                Box::new(move |pool, id| pool.weigh(id, weight))
            }
            Act::Resize => {
                let capacity = wish::capacity(body)?;
                Box::new(move |pool, id| pool.resize(id, capacity))
            }
        };
        let front = self.fronts.of_server(id, request).map_err(|error| self.explain(id, error))?;
        tell();
        change(&front.pool, id).map_err(|why| {
            let unknown = matches!(why, Unacceptable::NoSuchServer(_));
            let status = if unknown { Status::NOT_FOUND } else { Status::UNPROCESSABLE_CONTENT };
            HttpError::answer(status, why.to_string())
        })?;
        Ok(Response::json(Status::OK, &self.server(id, request)?))
    }

    fn add(&self, control: SocketAddr) -> Result<Response, HttpError> {
        let entry = self.members.add_at(control).map_err(|why| {
            let status = match why {
                NotAdded::NotAllowed(_) => Status::FORBIDDEN,
                NotAdded::Taken(_) => Status::CONFLICT,
                NotAdded::NotBelieved { .. } | NotAdded::Nobody { .. } => Status::UNPROCESSABLE_CONTENT,
                NotAdded::Ending => Status::SERVICE_UNAVAILABLE,
            };
            HttpError::answer(status, why.to_string())
        })?;
        let location = format!("/servers/{}", escape(&entry.id));
        Ok(Response::json(Status::CREATED, &entry).header("Location", location)?)
    }

    fn remove(&self, id: &str) -> Result<Response, HttpError> {
        let unknown = || {
            if self.fronts.have(id) {
                let sentence = format!(
                    "Server {id} was named on the command line, or has shards (DELETE /rm there): it can be drained here, \
                     but not removed."
                );
                return HttpError::answer(Status::CONFLICT, sentence);
            }
            HttpError::answer(Status::NOT_FOUND, Unacceptable::NoSuchServer(id.to_owned()).to_string())
        };
        let removed = self.members.remove(id).ok_or_else(unknown)?;
        Ok(Response::json(Status::OK, &json!({ "removed": id, "source": word_of(removed.source) })))
    }
}

/// The policy of the first of these, and of each.
fn policy(fronts: &[&Front]) -> Response {
    let of = |front: &&Front| {
        let (policy, options) = front.pool.policy();
        json!({ "pool": front.name, "policy": policy, "options": options })
    };
    let pools: Vec<Value> = fronts.iter().map(of).collect();
    let (policy, options) = pools.first().map_or_else(Default::default, |pool| (&pool["policy"], &pool["options"]));
    let shown = json!({ "policy": policy, "options": options, "pools": pools, "policies": wish::names() });
    Response::json(Status::OK, &shown)
}

/// A body must say that it is JSON: a form of another site's page cannot.
fn check_type(request: &Request) -> Result<(), HttpError> {
    if request.framing.is_empty() {
        return Ok(());
    }
    let mut types = request.headers.all("content-type");
    let json = |value: &[u8]| {
        let essence = value.split(|byte| *byte == b';').next().unwrap_or_default();
        essence.trim_ascii().eq_ignore_ascii_case(b"application/json")
    };
    let (first, second) = (types.next(), types.next());
    if first.is_some_and(json) && second.is_none() {
        return Ok(());
    }
    Err(HttpError::answer(Status::UNSUPPORTED_MEDIA_TYPE, "The body must be JSON: Content-Type: application/json."))
}

fn word_of(source: Source) -> &'static str {
    match source {
        Source::File => "file",
        Source::Joined => "joined",
        Source::Added => "added",
        Source::Replica => "replica",
    }
}

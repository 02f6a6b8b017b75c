//! A replica that lives in this process, and can be told to fail.

use crate::shards::{patience::Patience, server::Server};
use crossbeam_channel::{Receiver, Sender, bounded};
use parking_lot::Mutex;
use protocol::{
    http::{BodyReader, BodyWriter, HttpError, HttpService, Request, Respond, Response, Status},
    listener::{Crew, CrewOptions},
    shard::{KEY, SEQ_FIELD},
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    io::Write,
    net::TcpListener,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

/// Nothing here takes so long.
pub const LONG: Duration = Duration::from_secs(20);

/// Number and rows of a shard.
type Shard = (u64, BTreeMap<i64, Value>);

/// What is held at a gate: of which path and text, where it says that it is there, and where it hears that it may go on.
type Held = (String, Sender<()>, Receiver<()>);

/// What a replica has, and how it feels.
#[derive(Default)]
pub struct Replica {
    shards: Mutex<BTreeMap<String, Shard>>,
    /// Paths that are answered with 500.
    broken: Mutex<Vec<&'static str>>,
    /// A path at which the next question is held: it says that it is there, and goes on when it is told.
    gate: Mutex<Option<Held>>,
    /// As the writer of a store: held during a change.
    writer: Mutex<()>,
    /// In how many pieces rows are sent, and how long each is waited for.
    slow: Mutex<Option<(usize, Duration)>>,
    /// What it was asked: when, which path, and the name of the call.
    heard: Mutex<Vec<(Instant, String, Option<String>)>>,
}

/// It, and the threads that carry it.
pub struct Fake {
    pub replica: Arc<Replica>,
    pub server: Arc<Server>,
    _crew: Crew,
}

/// The other side of a gate.
pub struct Gate {
    pub reached: Receiver<()>,
    pub open: Sender<()>,
}

struct Answers(Arc<Replica>);

impl Fake {
    pub fn new(name: &str, shards: &[&str]) -> Self {
        Self::with_patience(name, shards, Patience::default())
    }

    /// The same, which is waited for so long.
    pub fn with_patience(name: &str, shards: &[&str], patience: Patience) -> Self {
        let replica = Arc::new(Replica::default());
        replica.shards.lock().extend(shards.iter().map(|shard| ((*shard).to_owned(), Shard::default())));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let service = Arc::new(HttpService::new(Answers(Arc::clone(&replica))));
        let crew = Crew::start(listener, CrewOptions { name: "fake", max_connections: 64 }, service).unwrap();
        let server = Arc::new(Server::new(name, crew.address(), None).with_patience(patience));
        Self { replica, server, _crew: crew }
    }
}

impl Replica {
    pub fn breaks(&self, paths: &[&'static str]) {
        *self.broken.lock() = paths.to_vec();
    }

    /// When it was asked for this path, and the name of each call.
    pub fn heard(&self, path: &str) -> Vec<(Instant, Option<String>)> {
        let heard = self.heard.lock();
        heard.iter().filter(|(_, of, _)| of == path).map(|(at, _, call)| (*at, call.clone())).collect()
    }

    /// Sends rows in so many pieces from now on, and takes so long for each.
    pub fn is_slow(&self, pieces: usize, each: Duration) {
        *self.slow.lock() = Some((pieces, each));
    }

    /// Holds the next question to this path that has this text in its body.
    pub fn gate(&self, path_and_text: &str) -> Gate {
        let ((reach, reached), (open, opened)) = (bounded(1), bounded(1));
        *self.gate.lock() = Some((path_and_text.to_owned(), reach, opened));
        Gate { reached, open }
    }

    /// Where a shard is, and its keys.
    pub fn has(&self, shard: &str) -> (u64, Vec<i64>) {
        let shards = self.shards.lock();
        let (seq, rows) = &shards[shard];
        (*seq, rows.keys().copied().collect())
    }

    fn state(&self) -> Value {
        let at = |(name, (seq, _)): (&String, &Shard)| (name.clone(), json!({ "seq": seq }));
        self.shards.lock().iter().map(at).collect::<serde_json::Map<_, _>>().into()
    }

    fn fill(&self, copy: &Value) {
        for (shard, seq) in copy["seq"].as_object().unwrap() {
            let rows = copy[shard].as_array().unwrap().iter().map(|row| (row[KEY].as_i64().unwrap(), row.clone()));
            self.shards.lock().insert(shard.clone(), (seq.as_u64().unwrap(), rows.collect()));
        }
    }

    /// An answer that has rows.
    fn rows(&self, text: String) -> Response {
        let Some((pieces, each)) = *self.slow.lock() else {
            return Response::whole(Status::OK, "application/json", text.into_bytes()).unwrap();
        };
        let write = move |out: &mut BodyWriter<'_>| {
            text.as_bytes().chunks(text.len().div_ceil(pieces)).try_for_each(|piece| {
                out.write_all(piece)?;
                out.flush()?;
                // Not to wait for anything: this is how slow it is.
                thread::sleep(each);
                Ok(())
            })
        };
        Response::stream(Status::OK, "application/json", None, write).unwrap()
    }

    /// A change that has its number: the status and the words, if it is that of the next number.
    fn change(&self, path: &str, body: &Value) -> Option<(Status, Value)> {
        let mut shards = self.shards.lock();
        let (at, rows) = shards.get_mut(body["shard"].as_str()?)?;
        if body["seq"].as_u64()? != *at + 1 {
            return None;
        }
        *at += 1;
        let taken = |row: &Value| rows.contains_key(&row[KEY].as_i64().unwrap());
        match (path, body["data"].as_array()) {
            ("/write", Some(data)) if data.iter().any(taken) => {
                return Some((Status::CONFLICT, json!({ "message": "<Error> it is there already" })));
            }
            ("/write", Some(data)) => rows.extend(data.iter().map(|row| (row[KEY].as_i64().unwrap(), row.clone()))),
            ("/del", _) => drop(rows.remove(&body[KEY].as_i64()?)),
            _ => {}
        }
        Some((Status::OK, json!({ "status": "success" })))
    }
}

impl Respond for Answers {
    fn respond(&self, request: &Request, body: &mut BodyReader<'_>) -> Result<Response, HttpError> {
        let (path, replica) = (request.target.path().to_owned(), &self.0);
        let call = request.headers.get("x-request-id").map(str::to_owned);
        replica.heard.lock().push((Instant::now(), path.clone(), call));
        body.let_pause(LONG);
        let bytes = body.whole(1 << 24)?;
        let _writer = ["/write", "/update", "/del"].contains(&&*path).then(|| replica.writer.lock());
        let text = format!("{path} {}", String::from_utf8_lossy(&bytes));
        let mut gate = replica.gate.lock();
        if let Some((_, reach, opened)) = gate.take_if(|(held, ..)| held.split('+').all(|part| text.contains(part))) {
            drop(gate);
            reach.send(()).unwrap();
            let _given_up = opened.recv_timeout(LONG);
        }
        if replica.broken.lock().iter().any(|broken| *broken == path) {
            return Ok(Response::new(Status::INTERNAL_SERVER_ERROR));
        }
        let body: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        let json =
            |value: &Value| Response::whole(Status::OK, "application/json", value.to_string().into_bytes()).unwrap();
        Ok(match &*path {
            "/heartbeat" => Response::new(Status::OK),
            "/state" => json(&json!({ "shards": replica.state() })),
            "/copy" => {
                let shard = body["shards"][0].as_str().unwrap();
                let (seq, rows) = replica.shards.lock()[shard].clone();
                let rows = rows.into_values().collect::<Vec<_>>();
                replica.rows(json!({ shard: rows, "seq": { shard: seq }, "status": "success" }).to_string())
            }
            "/fill" => {
                replica.fill(&body);
                json(&json!({ "shards": replica.state() }))
            }
            "/read" => {
                let shards = replica.shards.lock();
                let (seq, rows) = &shards[body["shard"].as_str().unwrap()];
                if body["seq"].as_u64() != Some(*seq) {
                    return Ok(Response::new(Status::CONFLICT));
                }
                let key = |end: &str| body[KEY][end].as_i64().unwrap();
                let rows: Vec<String> = rows.range(key("low")..=key("high")).map(|(_, row)| row.to_string()).collect();
                let text = format!("{{\"data\":[{}],\"status\":\"success\"}}", rows.join(","));
                replica.rows(text)
            }
            path => match replica.change(path, &body) {
                Some((status, said)) => {
                    let answer = Response::whole(status, "application/json", said.to_string().into_bytes()).unwrap();
                    answer.header(SEQ_FIELD, body["seq"].to_string()).unwrap()
                }
                None => Response::new(Status::CONFLICT),
            },
        })
    }
}

//! Everything that can happen, as one typed enum.
//!
//! One stream of events leaves the load balancer. The lines on the terminal, the journal of a run and the tests all
//! read it; nothing is logged beside it. Where nobody listens an event costs one load of a boolean: [`Events::emit`]
//! takes a closure, which is then not called. The *steps* of requests, of which there are a dozen for each, have an
//! entrance of their own ([`Events::step`]): a terminal that was told to be quiet wants the news, not the steps.
//!
//! Each listener has a queue of its own, bounded, served by a thread of its own. Nobody waits for a listener: one
//! that is too slow (a terminal stopped with Ctrl-S, a full disk) loses events and is told how many.

pub mod console;
pub mod journal;
mod about;
pub mod reader;
pub mod recent;
pub mod why;
pub mod audience;

use crate::{
    dispatch::retry::Lost,
    policy::{How, Name},
    pool::{Admin, Skipped},
};
use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use protocol::{id::RequestId, message::ErrorCode};
use serde::{Deserialize, Serialize};
use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

/// Events that wait for one listener. Beyond this the listener loses events; 8,192 are about a second of a busy
/// classroom and 2 MiB.
const QUEUE: usize = 8_192;

/// Something that happened. Times are in microseconds, processing times in seconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the fields are named for what they are; the variants say when")]
pub enum Event {
    /// The load balancer listens.
    Started { address: SocketAddr, policy: String, seed: u64 },
    /// A further frontend listens.
    FrontendListening { frontend: String, address: SocketAddr },
    /// How many bytes of datagrams that wait a frontend asked the system to keep, and how many it keeps.
    DatagramRoom { frontend: String, asked: u64, given: u64 },
    /// The kernel has dropped so many datagrams since this was told last, because they came faster than they were taken.
    DatagramsDropped { frontend: String, count: u64 },
    /// The load balancer has been told to end, and finishes what it has.
    Stopping,
    /// A client connected.
    ClientConnected { peer: SocketAddr },
    /// A client closed its connection.
    ClientLeft { peer: SocketAddr },
    /// A client was turned away at the door.
    ClientRefused { peer: Option<SocketAddr>, why: String },
    /// A client broke the rules, was too slow, or vanished in the middle of something.
    ClientFailed { peer: SocketAddr, why: String },
    /// A message of a client was answered with an error, or with nothing: a datagram, or one of several on a connection, which
    /// goes on.
    MessageRefused { peer: SocketAddr, why: String },
    /// A request arrived whole.
    RequestReceived { request: RequestId, client: String, text: String },
    /// No server has spare capacity: the request waits behind `ahead` others.
    RequestWaits { request: RequestId, ahead: usize },
    /// A server was chosen, and here is the evidence.
    ServerChosen {
        request: RequestId,
        attempt: u32,
        server: String,
        policy: Name,
        /// What led to the choice, beside the candidates.
        how: How,
        considered: Vec<Considered>,
        skipped: Vec<SkippedServer>,
        waited_us: u64,
        lock_wait_us: u64,
        /// Whether this is a copy, sent while the first server is still working.
        copy: bool,
        /// Of a sharded table: for the rows of which shard.
        #[serde(default)]
        shard: Option<String>,
    },
    /// The load balancer has answered a question about a name of its own zone with these servers, the chosen one first, and
    /// allows to keep that so many seconds. Whoever does so does not ask again, and what the servers get is not seen here.
    ServersNamed { request: RequestId, servers: Vec<String>, rcode: String, ttl_s: u32 },
    /// A copy of a request is sent to another server; `after_us`: after the original, 0 if at once.
    CopySent { request: RequestId, server: String, after_us: u64 },
    /// A copy would have been sent, but was not.
    CopyNotSent { request: RequestId, why: String },
    /// Of several servers with the same request one was first; this one was not, and is told to stop.
    CopyLost { request: RequestId, server: String, why: String },
    /// The first byte of the answer is there.
    AnswerBegun { request: RequestId, server: String, after_us: u64 },
    /// A file that another server began goes on from this byte.
    FileResumed { request: RequestId, server: String, offset: u64 },
    /// The server has said its last word on this request and is idle again.
    AnswerTaken { request: RequestId, server: String, bytes: u64 },
    /// A file has been passed on whole: this many bytes of its content, not counting the frames around them. Of a file whose
    /// beginning the client had already these are the rest.
    FileSent { request: RequestId, server: String, bytes: u64 },
    /// The client has its answer.
    ResponseSent {
        request: RequestId,
        server: String,
        took_us: u64,
        /// Whether it is what was asked for, and not an error of the request's own.
        #[serde(default = "yes")]
        complete: bool,
    },
    /// A connection that was passed on is over: bytes from the client, bytes from the server, and why.
    ConnectionEnded { request: RequestId, server: String, up: u64, down: u64, took_us: u64, how: String },
    /// The client was told that its request failed.
    RequestFailed { request: RequestId, code: ErrorCode, definite: bool, message: String },
    /// The client took its request back, or is gone.
    RequestCancelled { request: RequestId, server: Option<String> },
    /// The client cannot be told any more what became of its request: it is gone, or does not read.
    RequestAbandoned { request: RequestId, why: String },
    /// A server was lost, or refused, while it had this request. Where requests are datagrams (`--udp`, `--dns`) a quiet terminal does not
    /// say it: one server that is lost has hundreds of them.
    AttemptFailed {
        request: RequestId,
        server: String,
        why: String,
        again: bool,
        /// How far it had come when the server was lost; null if the server itself said that it would not, or stopped.
        #[serde(default)]
        lost: Option<Lost>,
    },
    /// An answer came to nothing that was asked, or to nothing that is still waited for: it was dropped.
    ForeignAnswer {
        server: String,
        id: RequestId,
        /// Of DNS: what it is about and why it is not believed. There `id` ends in the id of the message itself, which is none of a
        /// request but one of a copy; of which one is not known any more.
        #[serde(default)]
        about: Option<String>,
    },
    /// A call has the locks of its shards, so long after it wanted them: a change alone, reads together.
    ShardsLocked { request: RequestId, shards: Vec<String>, alone: bool, waited_us: u64 },
    /// A server has given the rows of a shard that a read wants, as they are after this change.
    ShardRead { request: RequestId, shard: String, server: String, seq: u64, bytes: u64 },
    /// A change of a shard has got its number, and goes to these servers at once. Those that are absent should have it, too, and do not
    /// live.
    ChangeOrdered { request: RequestId, shard: String, seq: u64, servers: Vec<String>, absent: Vec<String> },
    /// A server has missed a change of a shard: from now on it is out of step, and asked nothing of that shard before it was filled.
    ReplicaOutOfStep { request: RequestId, shard: String, server: String, seq: u64, why: String },
    /// All servers that are in step have a change, durably.
    ChangeDone {
        request: RequestId,
        shard: String,
        seq: u64,
        servers: Vec<String>,
        /// What all of them say, if they refuse it; that uses up its number, too.
        refused: Option<String>,
    },
    /// Nobody knows whether a change is done. Until its servers have agreed, nothing is read or changed in this shard.
    ChangeUnknown { request: RequestId, shard: String, seq: u64, why: String },
    /// The sharded table has these shards on these servers from now on, durably.
    TableChanged { request: RequestId, shards: Vec<String>, servers: Vec<String> },
    /// The servers of a shard were asked for the number of their last change. The highest is that of the shard from now on: who has it is
    /// believed, who is behind is filled, and who was silent, too.
    ShardSettled { shard: String, seq: u64, believed: Vec<String>, behind: Vec<String>, silent: Vec<String> },
    /// A server was filled with a copy of a shard and the changes behind it, while others went on: it is in step.
    ReplicaFilled {
        server: String,
        shard: String,
        /// Whose copy it is.
        from: String,
        /// The last change in the copy.
        copied: u64,
        /// The last change that it has now.
        seq: u64,
        after_ms: u64,
    },
    /// A server has come back without the rows that it had of a shard. It is out of step, and will be filled.
    ReplicaEmpty { server: String, shard: String },
    /// A server could not be filled. It is tried again.
    ReplicaNotFilled { server: String, shard: String, why: String },
    /// A server was found, believed, and gets requests.
    ServerJoined { server: String, address: SocketAddr, processing_time: f64, capacity: u32, incarnation: u64 },
    /// A server gets nothing until it has been asked what it is doing.
    ServerDoubtful { server: String, why: String },
    /// A server that was down or doubtful answers again.
    ServerUp { server: String },
    /// A server does not answer and gets nothing.
    ServerDown { server: String, why: String },
    /// A server is ending and gets nothing new.
    ServerDraining { server: String },
    /// A server failed too often, or is much slower than the others, and is left out for a while.
    ServerEjected { server: String, why: String, lasting_ms: u64 },
    /// A server that was left out gets requests again.
    ServerReadmitted { server: String },
    /// A person has drained a server, taken it into maintenance, or has it back.
    ServerAdministered { server: String, admin: Admin },
    /// A person has given a server a weight, or taken it away.
    ServerWeighed { server: String, weight: Option<u32> },
    /// A person has changed how many requests a server holds at once.
    ServerResized { server: String, capacity: u32 },
    /// Another policy chooses from now on.
    PolicyChanged { policy: Name },
    /// A server is no longer in the registry.
    ServerLeft { server: String },
    /// Who answers at this address is not who the registry says.
    ServerNotBelieved { server: String, address: SocketAddr, why: String },
    /// An entry of the registry was removed because its process is surely gone.
    EntryRemoved { server: String, address: SocketAddr, why: String },
    /// Servers may join over the network, here.
    JoinListening { address: SocketAddr, token: bool },
    /// A server asks to join over the network: it may, if it is who it says.
    ServerAsksToJoin { server: String, address: SocketAddr, peer: SocketAddr },
    /// Somebody who wanted to join over the network was sent away.
    JoinRefused { peer: SocketAddr, server: Option<String>, why: String },
    /// A server that had joined over the network is out: its lease was not renewed.
    LeaseEnded { server: String, why: String },
    /// A person has removed a server.
    ServerRemoved { server: String },
    /// The load balancer has started a server of its own.
    ReplicaStarted { server: String, pid: u32 },
    /// A replica gets requests, so long after it was started.
    ReplicaInService { server: String, after_ms: u64 },
    /// A replica has ended, hangs, or did not come into service.
    ReplicaLost {
        server: String,
        why: String,
        /// How long its successor is waited with: 0, unless it dies again and again. Null if it gets none, because it was just
        /// being added.
        again_ms: Option<u64>,
    },
    /// Another replica is in service in the place of one that was lost, so long after that.
    ReplicaReplaced { server: String, by: String, after_ms: u64 },
    /// Somebody has removed a replica: it finishes what it has, and ends.
    ReplicaRemoved { server: String },
    /// The load balancer can be administered here; the token that changes need is in this file, if anything can be changed.
    AdminListening { address: SocketAddr, token: Option<PathBuf> },
    /// Somebody who may asks for a change.
    AdminAsked { peer: SocketAddr, asked: String },
    /// Somebody was turned away by the administration.
    AdminRefused { peer: Option<SocketAddr>, asked: String, why: String },
    /// The registry, or an entry of it, cannot be read.
    RegistryTrouble { why: String },
    /// The registry can be read again, after it could not.
    RegistryWell {
        /// How many servers are in it.
        servers: usize,
    },
    /// A defect: a handler panicked, and one connection ended.
    Panicked { message: String },
    /// This listener was too slow and has lost this many events.
    EventsLost { count: u64 },
}

/// A server that could have been chosen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Considered {
    /// Its id.
    pub server: String,
    /// What the policy compares, as it was before the choice: less is better.
    pub score: Option<f64>,
    /// Its processing time in seconds.
    pub processing_time: f64,
    /// How many requests it held.
    pub active: u32,
    /// How many it may hold.
    pub capacity: u32,
    /// The weight that a person gave it.
    #[serde(default)]
    pub weight: Option<u32>,
    /// When it had been chosen last, as a count of all choices: 0 for never.
    #[serde(default)]
    pub last_chosen: u64,
}

/// A server that could not be chosen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SkippedServer {
    /// Its id.
    pub server: String,
    /// Why not.
    pub why: Skipped,
}

fn yes() -> bool {
    true
}

/// An event with its time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Microseconds since 1970.
    pub at_us: u64,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

/// What a listener wants to hear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wants {
    /// Everything, the steps of requests included.
    Everything,
    /// What happens to servers, and what goes wrong.
    News,
}

/// Where events go. Clones share the listeners.
#[derive(Clone, Debug, Default)]
pub struct Events {
    listeners: Arc<Vec<Listener>>,
    /// Whether any listener wants everything.
    steps: bool,
}

#[derive(Debug)]
struct Listener {
    wants: Wants,
    queue: Sender<Arc<Record>>,
    lost: AtomicU64,
}

impl Events {
    /// A stream with this many listeners that want everything, and the receiving end of each.
    #[must_use]
    pub fn with_listeners(count: usize) -> (Self, Vec<Receiver<Arc<Record>>>) {
        Self::for_listeners(&vec![Wants::Everything; count])
    }

    /// A stream with a listener for each of these wishes, and the receiving end of each.
    #[must_use]
    pub fn for_listeners(wishes: &[Wants]) -> (Self, Vec<Receiver<Arc<Record>>>) {
        let listener = |wants: &Wants| {
            let (queue, receiver) = bounded(QUEUE);
            (Listener { wants: *wants, queue, lost: AtomicU64::new(0) }, receiver)
        };
        let (listeners, receivers): (Vec<_>, Vec<_>) = wishes.iter().map(listener).unzip();
        let steps = wishes.contains(&Wants::Everything);
        (Self { listeners: Arc::new(listeners), steps }, receivers)
    }

    /// Whether anybody wants the steps of requests: whether evidence is worth collecting.
    #[must_use]
    pub fn steps_wanted(&self) -> bool {
        self.steps
    }

    /// Tells all listeners the news that `event` makes; does not call it when there are none. Never waits.
    pub fn emit(&self, event: impl FnOnce() -> Event) {
        if !self.listeners.is_empty() {
            let record = Arc::new(Record { at_us: now_us(), event: event() });
            self.listeners.iter().for_each(|listener| listener.tell(&record));
        }
    }

    /// Tells a step of a request to those who want everything; does not even make it when nobody does. Never waits.
    pub fn step(&self, event: impl FnOnce() -> Event) {
        if self.steps {
            let record = Arc::new(Record { at_us: now_us(), event: event() });
            let everything = self.listeners.iter().filter(|listener| listener.wants == Wants::Everything);
            everything.for_each(|listener| listener.tell(&record));
        }
    }
}

impl Listener {
    fn tell(&self, record: &Arc<Record>) {
        let lost = self.lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            let loss = Arc::new(Record { at_us: record.at_us, event: Event::EventsLost { count: lost } });
            if self.queue.try_send(loss).is_err() {
                self.lost.fetch_add(lost, Ordering::Relaxed);
            }
        }
        if let Err(TrySendError::Full(_)) = self.queue.try_send(Arc::clone(record)) {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn now_us() -> u64 {
    micros(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default())
}

/// A duration in whole microseconds, as events carry it.
#[must_use]
pub fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_listeners_the_event_is_not_even_made() {
        Events::default().emit(|| unreachable!("nobody listens"));
        Events::for_listeners(&[Wants::News]).0.step(|| unreachable!("nobody wants the steps"));
    }

    #[test]
    fn who_wants_only_news_hears_no_steps() {
        let (events, receivers) = Events::for_listeners(&[Wants::News, Wants::Everything]);
        events.step(|| Event::RequestWaits { request: RequestId::NONE, ahead: 2 });
        events.emit(|| Event::Stopping);
        assert_eq!(receivers.iter().map(Receiver::len).collect::<Vec<_>>(), [1, 2]);
    }

    #[test]
    fn every_listener_hears_everything() {
        let (events, receivers) = Events::with_listeners(2);
        events.emit(|| Event::Stopping);
        for receiver in receivers {
            assert_eq!(receiver.try_recv().unwrap().event, Event::Stopping);
        }
    }

    #[test]
    fn a_slow_listener_loses_events_is_told_how_many_and_holds_nobody_up() {
        let (events, receivers) = Events::with_listeners(1);
        (0..QUEUE + 10).for_each(|_| events.emit(|| Event::Stopping));
        assert_eq!(receivers[0].try_iter().count(), QUEUE);
        events.emit(|| Event::Stopping);
        let heard: Vec<_> = receivers[0].try_iter().map(|record| record.event.clone()).collect();
        assert_eq!(heard, [Event::EventsLost { count: 10 }, Event::Stopping]);
    }

    #[test]
    fn a_record_is_one_flat_object() {
        let record = Record { at_us: 5, event: Event::RequestWaits { request: RequestId::NONE, ahead: 2 } };
        let json = r#"{"at_us":5,"event":"request-waits","request":"0000000000000000-0000000000000000","ahead":2}"#;
        assert_eq!(serde_json::to_string(&record).unwrap(), json);
    }

    #[test]
    fn a_record_is_read_back_as_it_was_written() {
        let chosen = Event::ServerChosen {
            request: RequestId { client: u64::MAX, sequence: 1 },
            attempt: 1,
            server: "1".into(),
            policy: Name::Power,
            how: How::Ring { key: u64::MAX, point: u64::MAX - 1, passed: 1 },
            considered: vec![Considered {
                server: "1".into(),
                score: Some(0.1 + 0.2),
                processing_time: 1e-9,
                active: 0,
                capacity: u32::MAX,
                weight: Some(256),
                last_chosen: u64::MAX,
            }],
            skipped: vec![SkippedServer { server: "2".into(), why: Skipped::WarmingUp }],
            waited_us: 1,
            lock_wait_us: 2,
            copy: true,
            shard: Some("sh1".into()),
        };
        for event in [chosen, Event::Stopping, Event::ClientRefused { peer: None, why: "…".into() }] {
            let record = Record { at_us: u64::MAX, event };
            let json = serde_json::to_string(&record).unwrap();
            assert_eq!(serde_json::from_str::<Record>(&json).unwrap(), record, "{json}");
        }
    }

    #[test]
    fn what_an_earlier_version_did_not_say_is_filled_in() {
        let id = RequestId::NONE;
        let lost = format!(r#"{{"event":"attempt-failed","request":"{id}","server":"1","why":"w","again":true}}"#);
        let event = Event::AttemptFailed { request: id, server: "1".into(), why: "w".into(), again: true, lost: None };
        assert_eq!(serde_json::from_str::<Event>(&lost).unwrap(), event);
        let sent = format!(r#"{{"event":"response-sent","request":"{id}","server":"1","took_us":5}}"#);
        let event = Event::ResponseSent { request: id, server: "1".into(), took_us: 5, complete: true };
        assert_eq!(serde_json::from_str::<Event>(&sent).unwrap(), event);
    }
}

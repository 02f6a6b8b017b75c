//! Where the time of a request went.
//!
//! The time from the first step to the last is cut at the steps that change what is waited for: a server was chosen, it began
//! to answer, it was lost. What is between two cuts went to one thing; the parts add up to the whole. Of copies at several
//! servers the time counts once, for the one that is listened to in the end.

use super::words::time;
use crate::event::Event;
use serde::Serialize;
use std::fmt;

/// How long it takes to have locks that are free, at the most, in microseconds.
const FREE: u64 = 500;

/// What time went to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "where", rename_all = "kebab-case")]
pub enum Where {
    /// Receiving it: from its first byte to its last.
    Arriving,
    /// Waiting for a server with room, and for the pool's lock.
    Waiting,
    /// At the server whose answer came, until its first byte.
    Server {
        /// Which.
        server: String,
    },
    /// At a server that was lost, or refused.
    Lost {
        /// Which.
        server: String,
    },
    /// Passing the answer on to the client, from its first byte.
    Passing,
    /// Passing a connection on, from its server's choice to its end.
    Connected {
        /// Which.
        server: String,
    },
    /// Waiting for others with the same shards.
    Locked,
    /// At the servers of a shard, until all had a change.
    Replicas {
        /// Which shard.
        shard: String,
    },
    /// In the load balancer, between these.
    Between,
}

/// A part of the time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Spent {
    /// What it went to.
    #[serde(flatten)]
    pub on: Where,
    /// How much, in microseconds.
    pub us: u64,
}

impl fmt::Display for Spent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let us = time(self.us);
        match &self.on {
            Where::Arriving => write!(f, "{us} until it was here whole"),
            Where::Waiting => write!(f, "{us} waiting for a server"),
            Where::Server { server } => write!(f, "{us} at server {server}"),
            Where::Lost { server } => write!(f, "{us} at server {server}, lost"),
            Where::Passing => write!(f, "{us} passing the answer on"),
            Where::Connected { server } => write!(f, "{us} connected with server {server}"),
            Where::Locked => write!(f, "{us} waiting for others with the same shards"),
            Where::Replicas { shard } => write!(f, "{us} until the servers of {shard} had the change"),
            Where::Between => write!(f, "{us} in the load balancer itself"),
        }
    }
}

/// Cuts the time of a request into its parts, as its steps are heard.
#[derive(Debug)]
pub(super) struct Clock {
    parts: Vec<Spent>,
    /// The last cut.
    mark_us: u64,
    /// Whether it waits for a server.
    waits: bool,
    /// The servers that have the request.
    running: Vec<String>,
    /// The one whose answer is coming.
    answering: Option<String>,
    /// Whether several got it in this attempt.
    copied: bool,
    /// Whether it is about shards: several servers may have a part of it, each another one.
    sharded: bool,
}

impl Clock {
    pub fn start(at_us: u64) -> Self {
        Self {
            parts: Vec::new(),
            mark_us: at_us,
            waits: false,
            running: Vec::new(),
            answering: None,
            copied: false,
            sharded: false,
        }
    }

    /// How many servers have the request.
    pub fn running(&self) -> usize {
        self.running.len()
    }

    /// Whose answer is coming, or has come.
    pub fn answering(&self) -> Option<&str> {
        self.answering.as_deref()
    }

    /// Whether it is about shards.
    pub fn is_sharded(&self) -> bool {
        self.sharded
    }

    /// Whether several servers got it in this attempt.
    pub fn copied(&self) -> bool {
        self.copied
    }

    /// Whether the client has begun to get an answer.
    pub fn is_answering(&self) -> bool {
        self.answering.is_some()
    }

    pub fn hear(&mut self, at_us: u64, event: &Event) {
        match event {
            Event::RequestWaits { .. } => self.waits = true,
            Event::ServerChosen { server, shard: Some(_), .. } => {
                self.cut(at_us, Where::Between);
                self.running.push(server.clone());
            }
            Event::ServerChosen { server, copy: false, waited_us, .. } => {
                let since = at_us.saturating_sub(self.mark_us);
                let waited = if self.waits { since } else { since.min(*waited_us) };
                self.cut(at_us - waited, Where::Between);
                self.cut(at_us, Where::Waiting);
                (self.waits, self.copied, self.answering) = (false, false, None);
                self.running = vec![server.clone()];
            }
            Event::ServerChosen { server, copy: true, .. } => {
                self.copied = true;
                self.running.push(server.clone());
            }
            Event::AnswerBegun { server, .. } | Event::FileResumed { server, .. } => {
                self.cut(at_us, Where::Server { server: server.clone() });
                self.answering = Some(server.clone());
            }
            Event::ShardsLocked { waited_us, .. } => {
                self.sharded = true;
                let waited = at_us.saturating_sub(self.mark_us).min(*waited_us);
                // A lock that was free takes a moment, too.
                if waited >= FREE {
                    self.cut(at_us - waited, Where::Between);
                    self.cut(at_us, Where::Locked);
                }
            }
            Event::ShardRead { server, .. } => {
                self.cut(at_us, Where::Server { server: server.clone() });
                self.give_up(server);
            }
            Event::ChangeOrdered { .. } | Event::TableChanged { .. } => self.cut(at_us, Where::Between),
            Event::ReplicaOutOfStep { shard, .. }
            | Event::ChangeDone { shard, .. }
            | Event::ChangeUnknown { shard, .. } => self.cut(at_us, Where::Replicas { shard: shard.clone() }),
            Event::AttemptFailed { server, .. } if self.sharded => {
                self.cut(at_us, Where::Lost { server: server.clone() });
                self.give_up(server);
            }
            // Whoever was chosen was named, and has nothing to do with it any more.
            Event::ServersNamed { .. } => {
                self.cut(at_us, Where::Between);
                self.running.clear();
            }
            Event::AttemptFailed { server, .. } | Event::CopyLost { server, .. } => self.lose(at_us, server),
            Event::ConnectionEnded { server, .. } => self.cut(at_us, Where::Connected { server: server.clone() }),
            end if end.ends_a_request() => self.end(at_us),
            _ => {}
        }
    }

    /// This server has nothing more of it.
    fn give_up(&mut self, server: &str) {
        if let Some(at) = self.running.iter().position(|running| running == server) {
            self.running.remove(at);
        }
    }

    fn lose(&mut self, at_us: u64, server: &str) {
        let has_it = |server: &str| self.running.iter().position(|running| running == server);
        let at = has_it(server).or_else(|| self.answering.as_deref().and_then(has_it));
        if let Some(server) = at.map(|at| self.running.remove(at))
            && (self.running.is_empty() || self.answering.as_ref() == Some(&server))
        {
            self.cut(at_us, Where::Lost { server });
            self.answering = None;
        }
    }

    fn end(&mut self, at_us: u64) {
        let on = match (&self.answering, self.running.first()) {
            (Some(_), _) => Where::Passing,
            (None, _) if self.waits => Where::Waiting,
            (None, Some(server)) => Where::Lost { server: server.clone() },
            (None, None) => Where::Between,
        };
        self.cut(at_us, on);
    }

    /// What lies between the last cut and this one went to this.
    fn cut(&mut self, at_us: u64, on: Where) {
        let us = at_us.saturating_sub(self.mark_us);
        self.mark_us = self.mark_us.max(at_us);
        match self.parts.last_mut() {
            _ if us == 0 => {}
            Some(last) if last.on == on => last.us += us,
            _ => self.parts.push(Spent { on, us }),
        }
    }

    /// The parts; when the request has no end, up to this moment. `before_us`: what it had taken before its first step.
    pub fn finish(mut self, at_us: u64, before_us: u64) -> Vec<Spent> {
        self.end(at_us);
        if before_us > 0 {
            self.parts.insert(0, Spent { on: Where::Arriving, us: before_us });
        }
        self.parts
    }
}

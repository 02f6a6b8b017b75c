//! The replicas of one shard, and the order of its changes.
//!
//! **The problem.** Three copies of a shard are one shard only if all have the same changes in the same order, and if nobody is
//! told "done" before it is certain that the change will not be forgotten.
//!
//! **The idea.** Whoever holds the shard's lock alone may change it: the change gets the next number and goes to all servers that are in
//! step, at once. Who has failed is out of step, and that is durable before anybody is told. When all that are left
//! have it, it is done. Readers hold the lock together: none of them sees a change on one server and not on another.
//!
//! ```text
//! change 42   Server0 ok   Server3 ok   Server5 –        Server5 is out of step (durable), then: done
//!             Server0 –    Server3 –    Server5 –        nobody knows whether it is done: told so, and settled first
//! ```
//!
//! **Unsettled.** After the load balancer was killed, or when all servers of a shard have failed in one change, some may have one
//! change more than others. It was not acknowledged, so either is right, but all must be alike: whoever has the highest number
//! is believed, and the others are filled from it.
//!
//! Sources: W. Lin et al., *PacificA: Replication in Log-Based Distributed Storage Systems*, 2008; B. M. Oki, B. Liskov,
//! *Viewstamped Replication*, 1988.

use super::{at_once::at_once, server::Server};
use protocol::{
    http::Method,
    id::RequestId,
    shard::{SEQ_FIELD, told::Told},
};
use serde_json::{Value, json};
use std::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
};

/// How much memory the latest changes of a shard may take, which are remembered for servers that are being filled, in bytes: 100,000 small ones. A server
/// that is slower than that begins again.
const REMEMBERED: usize = 32 * 1024 * 1024;

/// What a remembered change takes beside its body, in bytes: its place in a queue, of which half may be empty, and what an allocation costs.
const BESIDE: usize = 2 * size_of::<Numbered>() + 32;

/// A change as servers are told it.
#[derive(Clone, Debug)]
pub struct Change {
    /// POST, PUT or DELETE.
    pub method: Method,
    /// `/write`, `/update` or `/del`.
    pub path: &'static str,
    /// The body, without its number.
    pub body: Value,
    /// The call that it belongs to.
    pub call: RequestId,
}

impl Change {
    fn numbered(mut self, seq: u64) -> Numbered {
        self.body["seq"] = json!(seq);
        let body = self.body.to_string().into_bytes().into();
        Numbered { seq, call: self.call, method: self.method, path: self.path, body }
    }
}

/// A change that has its number.
#[derive(Clone, Debug)]
pub struct Numbered {
    seq: u64,
    call: RequestId,
    method: Method,
    path: &'static str,
    body: Arc<[u8]>,
}

impl Numbered {
    /// The memory that it takes, in bytes.
    fn size(&self) -> usize {
        self.body.len() + BESIDE
    }

    /// How long its body is, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.body.len()
    }

    /// What a server says to it, if it has it, and says so: a refusal is the same everywhere, too. Else why it does not have it.
    fn answer(&self, server: &Server) -> Result<Told, String> {
        let reply = server.change(self.call, self.method.clone(), self.path, &self.body);
        let reply = reply.map_err(|error| error.to_string())?;
        let said = Told { status: reply.status, body: reply.text() };
        if reply.headers.get(SEQ_FIELD) != Some(self.seq.to_string().as_str()) {
            return Err(said.says());
        }
        Ok(said)
    }
}

/// Brings a server further by these changes. False if it does not take one.
#[must_use]
pub fn catch_up(server: &Server, missing: &[Numbered]) -> bool {
    missing.iter().all(|change| change.answer(server).is_ok())
}

/// What a change has come to.
#[derive(Debug)]
pub struct Outcome {
    /// What the servers that have it say; none if nobody knows whether it is done.
    pub told: Option<Told>,
    /// The servers that have failed, and why. If others have not, they are out of step from now on.
    pub failed: Vec<(Arc<Server>, String)>,
}

/// A shard. Behind its lock.
#[derive(Debug, Default)]
pub struct Group {
    /// The number of its last change; none if it is unsettled.
    pub seq: Option<u64>,
    /// The names of the servers that have all changes.
    pub in_step: BTreeSet<String>,
    /// How often it was settled, or became unsettled. Numbers of different generations cannot be compared: one that was never acknowledged may be
    /// given again.
    generation: u64,
    /// The latest changes with their numbers.
    log: VecDeque<Numbered>,
    /// The memory that they take, in bytes.
    logged: usize,
}

impl Group {
    /// A shard that is unsettled, with these servers in step.
    #[must_use]
    pub fn new(in_step: BTreeSet<String>) -> Self {
        Self { in_step, ..Self::default() }
    }

    /// Lets these servers, which are all that are in step and live, carry out a change. `failed` must be durable before
    /// anybody is told.
    pub fn order(&mut self, change: Change, servers: &[Arc<Server>]) -> Outcome {
        let Some(at) = self.seq.filter(|_| !servers.is_empty()) else {
            return Outcome { told: None, failed: Vec::new() };
        };
        let change = change.numbered(at + 1);
        let answers = at_once(servers, |server| change.answer(server));
        let told = answers.iter().flatten().next().cloned();
        // Equal servers say the same. Whoever does not is none.
        let why_not = |answer: Result<Told, String>| match (answer, &told) {
            (Ok(said), Some(told)) if said == *told => None,
            (Ok(said), _) => Some(format!("it says something else than another one: {}", said.says())),
            (Err(why), _) => Some(why),
        };
        let answered = servers.iter().zip(answers);
        let failed: Vec<_> =
            answered.filter_map(|(server, answer)| Some((Arc::clone(server), why_not(answer)?))).collect();
        if told.is_some() {
            self.in_step.retain(|name| !failed.iter().any(|(server, _)| server.name == *name));
            self.seq = Some(change.seq);
            self.remember(change);
        } else {
            self.unsettle();
        }
        Outcome { told, failed }
    }

    /// Nobody knows any more how far it is; until it is settled nothing is read or changed.
    pub fn unsettle(&mut self) {
        self.seq = None;
        self.generation += 1;
    }

    /// See the field.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// From now on this is its number, and these servers have all changes up to it.
    pub fn settle(&mut self, seq: u64, in_step: BTreeSet<String>) {
        (self.seq, self.in_step) = (Some(seq), in_step);
        self.generation += 1;
        (self.log, self.logged) = (VecDeque::new(), 0);
    }

    fn remember(&mut self, change: Numbered) {
        self.logged += change.size();
        self.log.push_back(change);
        while self.logged > REMEMBERED {
            self.logged -= self.log.pop_front().map_or(self.logged, |oldest| oldest.size());
        }
        // A queue does not shrink by itself: after many small changes come few that are large. With some room, so that this is rare.
        if self.log.len() < self.log.capacity() / 2 {
            self.log.shrink_to(self.log.len() * 3 / 2);
        }
    }

    /// What a server lacks that is at this number; none if that is not remembered any more, or it has more than there is.
    #[must_use]
    pub fn missing(&self, at: u64) -> Option<Vec<Numbered>> {
        let count = self.seq?.checked_sub(at)?;
        let missing: Vec<Numbered> = self.log.iter().filter(|change| change.seq > at).cloned().collect();
        (missing.len() as u64 == count).then_some(missing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Small changes take more memory beside their bodies than in them.
    #[test]
    fn what_is_remembered_takes_no_more_memory_than_it_may() {
        let mut group = Group::new(BTreeSet::new());
        group.settle(0, BTreeSet::new());
        let mut seq = 0;
        for body in [json!({ "Stud_id": 1 }), json!({ "data": "x".repeat(100_000) })] {
            let change = Change { method: Method::Delete, path: "/del", body, call: RequestId::NONE };
            let first = seq + 1;
            // Until nothing else is remembered.
            while group.log.front().is_none_or(|oldest| oldest.seq <= first) {
                seq += 1;
                group.seq = Some(seq);
                group.remember(change.clone().numbered(seq));
                let queue = group.log.capacity() * size_of::<Numbered>();
                assert!(queue <= 2 * group.log.len().max(8) * size_of::<Numbered>(), "{queue} for {}", group.log.len());
            }
            // Two counts stand before the bytes of an `Arc`, and an allocator rounds up.
            let bodies: usize = group.log.iter().map(|change| change.body.len() + 2 * size_of::<usize>()).sum();
            let used = group.log.capacity() * size_of::<Numbered>() + bodies;
            assert!((REMEMBERED / 2..=REMEMBERED).contains(&used), "{used} for {} changes", group.log.len());
            let at = group.log.front().unwrap().seq - 1;
            assert!(group.missing(at).is_some() && group.missing(at - 1).is_none());
        }
    }
}

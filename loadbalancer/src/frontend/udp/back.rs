//! Tagged mode: what servers say, and what is done when one is lost.

use super::{
    relay::Relay,
    requests::{Finished, Heard, Place},
};
use crate::{
    dispatch::copies::reason::Reason,
    event::{Event, micros},
    policy::{Ended, ServerKey},
    pool::{Lease, Server, State},
};
use protocol::{
    datagrams::{Inbox, Outbox},
    id::RequestId,
};
use std::{net::SocketAddr, sync::Arc, time::Instant};

/// What a server says when it goes down, and when it is back: one byte, in which no tag would fit.
const DOWN: &[u8] = b"d";
const UP: &[u8] = b"u";

impl Relay {
    /// A server has sent these.
    pub(super) fn heard(self: &Arc<Self>, server: &Arc<Server>, inbox: &mut Inbox, outbox: &mut Outbox) {
        let (tag, now) = (usize::from(self.flags.tag_bytes), Instant::now());
        let (mut answers, mut foreign, mut announced) = (Vec::new(), Vec::new(), None);
        let others_wait = {
            let requests = &mut self.table.lock().requests;
            for (bytes, _) in inbox.iter_mut() {
                if matches!(&*bytes, DOWN | UP) {
                    announced = Some(&*bytes == UP);
                    continue;
                }
                match requests.heard(server.key, bytes, now) {
                    Heard::Foreign => foreign.push(name(bytes, tag)),
                    Heard::Answer(finished) => {
                        let payload = &bytes[..bytes.len() - tag];
                        outbox.push(payload, Some(finished.client));
                        answers.push((finished, payload.len()));
                    }
                }
            }
            self.pool.totals().in_hand.set(requests.len() as u64);
            requests.next_waiting().is_some()
        };
        let sent = outbox.send(&self.socket);
        self.pool.totals().client_errors.add(sent.failed.len() as u64);
        answers.into_iter().for_each(|(finished, bytes)| self.answered(server, finished, bytes, now));
        for id in foreign {
            self.foreign(server, id);
        }
        match announced {
            Some(true) => server.ask(),
            Some(false) => self.says_down(server),
            None => {}
        }
        if others_wait {
            self.serve_waiting();
        }
    }

    fn answered(&self, server: &Arc<Server>, finished: Finished<Lease>, bytes: usize, now: Instant) {
        let Finished { id: request, since, lease, others, .. } = finished;
        let (took, bytes) = (now.saturating_duration_since(since), bytes as u64);
        lease.into_iter().for_each(|lease| lease.finish(Ended::Answered));
        server.statistics.bytes.add(bytes);
        self.copies.answered(took);
        let totals = self.pool.totals();
        totals.answered.add_one();
        totals.bytes_out.add(bytes);
        totals.times.add(took);
        for Place { lease: loser, .. } in others {
            let server = loser.server().id.clone();
            let why = "another one was first".to_owned();
            self.events.step(|| Event::CopyLost { request, server, why });
            loser.finish(Ended::Cancelled);
        }
        if !self.events.steps_wanted() {
            return;
        }
        let (id, took_us) = (|| server.id.clone(), micros(took));
        self.events.step(|| Event::AnswerBegun { request, server: id(), after_us: took_us });
        self.events.step(|| Event::AnswerTaken { request, server: id(), bytes });
        self.events.step(|| Event::ResponseSent { request, server: id(), took_us, complete: true });
    }

    fn foreign(&self, server: &Server, id: RequestId) {
        self.pool.totals().foreign.add_one();
        self.events.emit(|| Event::ForeignAnswer { server: server.id.clone(), id, about: None });
    }

    /// Whether this is word of a server, at the clients' door, and not a request. Whatever is not one of these two bytes from
    /// the very address of a known server is a request.
    pub(super) fn announced(self: &Arc<Self>, bytes: &[u8], from: SocketAddr) -> bool {
        if !matches!(bytes, DOWN | UP) {
            return false;
        }
        let servers = self.pool.servers();
        let Some(server) = servers.iter().find(|server| server.address == from) else { return false };
        if bytes == UP {
            server.ask()
        } else {
            self.says_down(server)
        }
        true
    }

    /// A server says that it goes down: it gets nothing more, and what it has goes elsewhere. Whether it is true is asked at
    /// once, so a forged `d` costs it no longer than that takes.
    fn says_down(self: &Arc<Self>, server: &Arc<Server>) {
        if matches!(self.pool.state(server), Some(State::Up | State::Doubtful)) {
            self.pool.down(server, "it says that it goes down.");
            self.elsewhere(server, Ended::Cancelled, "it says that it goes down");
        }
        server.ask();
    }

    /// Nobody listens at this server's port: who has a request there tries another one.
    pub(super) fn lost(self: &Arc<Self>, server: &Arc<Server>) {
        self.elsewhere(server, Ended::Failed, "nobody listens there");
    }

    /// What this server has goes to others.
    pub(super) fn elsewhere(self: &Arc<Self>, server: &Arc<Server>, ended: Ended, why: &str) {
        let (leases, stuck) = self.table.lock().requests.lost(server.key);
        if !leases.is_empty() {
            server.ask();
        }
        leases.into_iter().for_each(|lease| lease.finish(ended));
        stuck.into_iter().for_each(|number| self.try_again(number, server, why));
    }

    /// The request has lost this server, or that is silent: another one, if it may.
    pub(super) fn try_again(self: &Arc<Self>, number: u64, server: &Server, why: &str) {
        let Some((_, request, _)) = self.look(number) else { return };
        let again = self.table.lock().requests.may_try_again(number);
        // One server that dies has hundreds of them: on a quiet terminal its own line is enough.
        self.events.step(|| Event::AttemptFailed {
            request,
            server: server.id.clone(),
            why: why.to_owned(),
            again,
            lost: None,
        });
        if again && !self.send_on(number, Reason::Needed) {
            self.wait(number);
        }
    }

    /// Whether the socket to this server is of any use.
    pub(super) fn still_asks(&self, server: &Arc<Server>) -> bool {
        self.pool.state(server).is_some() || self.table.lock().requests.any_at(server.key)
    }

    /// This server is not asked any more.
    pub(super) fn forget(&self, server: ServerKey) {
        self.upstreams.lock().remove(&server);
        self.table.lock().requests.forget(server);
    }
}

/// The name of a datagram that answers nothing: the number that its tag is.
fn name(bytes: &[u8], tag: usize) -> RequestId {
    let tag = &bytes[bytes.len().saturating_sub(tag)..];
    let sequence = tag.iter().fold(0, |number, byte| (number << 8) | u64::from(*byte));
    RequestId { client: 0, sequence }
}

//! What servers say, and what is done when one is lost.

use super::{Asker, Relay};
use crate::{
    dispatch::copies::reason::Reason,
    event::{Event, micros},
    frontend::dns::{
        flights::{Flight, Heard},
        mail::Mail,
    },
    policy::{Ended, ServerKey},
    pool::{Lease, Server},
};
use protocol::{
    dns::{Message, Question},
    id::RequestId,
    message::ErrorCode,
};
use std::{sync::Arc, time::Instant};

impl Relay {
    /// A server has sent this.
    pub fn heard(self: &Arc<Self>, server: &Arc<Server>, bytes: &[u8], mail: &mut Mail) {
        let foreign = |id: u16, why: &str, question: Option<&Question>| {
            let about = question.map_or_else(String::new, |question| format!("{question} under id {id}: "));
            let (id, about) = (RequestId { client: 0, sequence: u64::from(id) }, Some(format!("{about}{why}")));
            self.events.emit(|| Event::ForeignAnswer { server: server.id.clone(), id, about });
        };
        let answer = match Message::parse(bytes) {
            Ok(answer) => answer,
            Err(why) => {
                let id = Message::head(bytes).map_or(0, |(id, _)| id);
                return foreign(id, &format!("it cannot be read, because {why}"), None);
            }
        };
        let heard = self.table.lock().flights.heard(server.key, &answer);
        match heard {
            Heard::Foreign(why) => foreign(answer.id, why, answer.question.as_ref()),
            Heard::Won(flight, lease) => self.won(*flight, lease, &answer, mail),
            Heard::Useless(lease) => lease.finish(Ended::Failed),
            Heard::Stuck(number, lease) => {
                lease.finish(Ended::Failed);
                self.tell_failed(number, server, &format!("it answered {}", answer.rcode()));
                if !self.has_another(number) {
                    return self.end(number, ErrorCode::Unavailable, "No server has a useful answer.", mail);
                }
                // Or when it is free.
                self.send_on(number, Reason::Needed, mail);
            }
        }
    }

    fn won(&self, flight: Flight<Asker, Lease>, lease: Lease, answer: &Message<'_>, mail: &mut Mail) {
        let (request, now) = (flight.request, Instant::now());
        let took = now.saturating_duration_since(flight.since);
        let (server, bytes) = (Arc::clone(lease.server()), answer.bytes().len() as u64);
        let after_us = micros(lease.age_at(now));
        lease.finish_at(Ended::Answered, now);
        server.statistics.bytes.add(bytes);
        self.copies.answered(took);
        if let Some(cache) = &self.cache {
            cache.lock().put(&flight.inquiry.question, flight.inquiry.dnssec, answer, self.begun.elapsed());
        }
        self.reply(&flight.asker, &flight.inquiry.relayed(answer), mail);
        let totals = self.pool.totals();
        totals.answered.add_one();
        totals.bytes_out.add(bytes);
        totals.times.add(took);
        for loser in flight.into_leases() {
            let server = loser.server().id.clone();
            let why = "another one was first".to_owned();
            self.events.step(|| Event::CopyLost { request, server, why });
            self.not_first(loser);
        }
        let id = || server.id.clone();
        self.events.step(|| Event::AnswerBegun { request, server: id(), after_us });
        self.events.step(|| Event::AnswerTaken { request, server: id(), bytes });
        self.events.step(|| Event::ResponseSent { request, server: id(), took_us: micros(took), complete: true });
    }

    /// A copy is over because another one was first. One that has had its time and said nothing, while another knew the answer,
    /// may be of a server that is dead: one that has a control port is asked there; of any other there is no better
    /// evidence, and this counts as a failure, so that after some of them it is left out for a while.
    fn not_first(&self, loser: Lease) {
        if loser.age() < self.flags.dns_try {
            return loser.finish(Ended::Cancelled);
        }
        loser.server().ask();
        let ended = self.silence_of(loser.server());
        loser.finish(ended);
    }

    /// What it counts for a server that it has said nothing. One that does not know a name may do so: that is no failure of one
    /// that can be asked how it is.
    pub(super) fn silence_of(&self, server: &Server) -> Ended {
        let named = self.flags.dns_server.iter().any(|named| named.id == server.id);
        if named { Ended::Failed } else { Ended::Cancelled }
    }

    /// Nobody listens at this server's port: who has a query there tries another one.
    pub fn lost(self: &Arc<Self>, server: &Arc<Server>, mail: &mut Mail) {
        let (leases, stuck) = self.table.lock().flights.lost(server.key);
        if !leases.is_empty() {
            server.ask();
        }
        leases.into_iter().for_each(|lease| lease.finish(Ended::Failed));
        for number in stuck {
            self.tell_failed(number, server, "nobody listens there");
            if self.has_another(number) {
                self.send_on(number, Reason::Needed, mail);
            }
        }
    }

    fn tell_failed(&self, number: u64, server: &Arc<Server>, why: &str) {
        let Some((_, request, _)) = self.look(number) else { return };
        let again = self.has_another(number);
        let (server, why) = (server.id.clone(), why.to_owned());
        // One server that dies has hundreds of them: on a quiet terminal its own line is enough.
        self.events.step(|| Event::AttemptFailed { request, server, why, again, lost: None });
    }

    /// Whether the socket to this server is of any use.
    pub(in super::super) fn still_asks(&self, server: &Arc<Server>) -> bool {
        self.pool.state(server).is_some() || self.table.lock().flights.any_at(server.key)
    }

    /// This server is not asked any more.
    pub(in super::super) fn forget(&self, server: ServerKey) {
        self.upstreams.lock().remove(&server);
        self.table.lock().flights.forget(server);
    }
}

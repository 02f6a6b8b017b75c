//! What time brings: a further copy of what is late, another look for what found no server, the end of what nobody answers.

use super::{LOOK_AGAIN, Relay};
use crate::{
    dispatch::copies::reason::Reason,
    frontend::dns::{
        agenda::{Due, Next},
        mail::Mail,
    },
};
use protocol::message::ErrorCode;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

impl Relay {
    /// Does what time brings, until it is over.
    pub fn watch_the_clock(self: &Arc<Self>) {
        let (mut ended, mut tried, mut mail) = (0, 0, Mail::default());
        loop {
            let now = Instant::now();
            let (over, first) = self.older(&mut ended, self.flags.dns_timeout, now);
            let (late, second) = self.older(&mut tried, self.flags.dns_try, now);
            let timeout = "No server has answered in time.";
            over.into_iter().for_each(|number| self.end(number, ErrorCode::Timeout, timeout, &mut mail));
            late.into_iter().for_each(|number| self.again(number, &mut mail));
            self.post(&mut mail);
            match self.agenda.next(first.min(second)) {
                Next::Due(number, Due::Hedge) => self.hedge(number, &mut mail),
                Next::Due(number, Due::Again) => self.again(number, &mut mail),
                Next::Due(number, Due::Look) if self.takes_its_look(number) => self.again(number, &mut mail),
                Next::Due(_, Due::Look) => {}
                Next::Time => {}
                Next::Over => return,
            }
            self.post(&mut mail);
        }
    }

    /// The queries that are so old now, from this one on; and when that will be looked for again: what comes from now on is
    /// that old even later.
    fn older(&self, next: &mut u64, age: Duration, now: Instant) -> (Vec<u64>, Instant) {
        let (numbers, first) = match now.checked_sub(age) {
            Some(then) => self.table.lock().flights.older(next, then),
            // The machine is younger than that.
            None => (Vec::new(), None),
        };
        (numbers, first.unwrap_or(now) + age)
    }

    fn hedge(self: &Arc<Self>, number: u64, mail: &mut Mail) {
        if self.look(number).is_none() || !self.copies.may_hedge() {
            return;
        }
        if !self.send_on(number, Reason::Hedge, mail) {
            self.copies.not_sent();
        }
    }

    /// There is no answer yet: another server, and after a while yet another one.
    fn again(self: &Arc<Self>, number: u64, mail: &mut Mail) {
        let Some((_, _, attempt)) = self.look(number) else { return };
        if self.waits(number) || (attempt > 1 && !self.has_another(number)) {
            return;
        }
        if self.send_on(number, Reason::Needed, mail) {
            self.agenda.note(Instant::now() + self.flags.dns_try, number, Due::Again);
        }
    }

    /// Whether the query waits for a server to be free; from now on it does not.
    fn takes_its_look(&self, number: u64) -> bool {
        self.table.lock().flights.get(number).is_some_and(|flight| std::mem::take(&mut flight.waits))
    }

    fn waits(&self, number: u64) -> bool {
        self.table.lock().flights.get(number).is_some_and(|flight| flight.waits)
    }

    /// Waits until no query is under way: at most as long as the latest may take.
    pub fn finish(&self) {
        let until = Instant::now() + self.flags.dns_timeout;
        while !self.table.lock().flights.is_empty() && Instant::now() < until {
            std::thread::park_timeout(LOOK_AGAIN);
        }
    }

    /// Ends the clock, and gives up what is under way.
    pub fn stop(&self) {
        self.agenda.end();
        let numbers = self.table.lock().flights.numbers();
        let mut mail = Mail::default();
        let ends = "The load balancer ends.";
        numbers.into_iter().for_each(|number| self.end(number, ErrorCode::Draining, ends, &mut mail));
        let _lost = mail.answers().send(&self.socket);
        self.upstreams.lock().clear();
    }
}

//! Tagged mode: what time brings, and what is looked up now and then.

use super::{
    kernel::Kernel,
    relay::{Relay, Table},
    requests::{Due, Place},
};
use crate::{
    dispatch::copies::reason::Reason,
    event::Event,
    policy::Ended,
    pool::{Lease, State},
};
use protocol::message::ErrorCode;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// How soon a server is looked for again when none was free.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// How often what the kernel has dropped is looked up, and whether a server with requests was found down.
const LOOK_UP_EVERY: Duration = Duration::from_secs(1);

/// Gives back the place at a server that has not answered. Its failure it is only if it has answered nothing else meanwhile.
pub(super) fn unanswered(Place { lease, spoke }: Place<Lease>) {
    lease.finish(if spoke { Ended::Cancelled } else { Ended::Failed });
}

impl Relay {
    /// Does what is due, until it is over (thread `udp-clock`).
    pub(super) fn watch_the_clock(self: &Arc<Self>) {
        let (mut kernel, mut look_up_at) = (Kernel::default(), Instant::now() + LOOK_UP_EVERY);
        while let Some(due) = self.next_due(look_up_at) {
            self.when_due(due);
            if Instant::now() >= look_up_at {
                look_up_at = Instant::now() + LOOK_UP_EVERY;
                self.look_up(&mut kernel);
                self.look_after_the_lost();
            }
            self.serve_waiting();
        }
    }

    /// Waits until something is due; `None` when it is over.
    fn next_due(&self, look_up_at: Instant) -> Option<Due<Lease>> {
        let mut table = self.table.lock();
        loop {
            if table.over {
                return None;
            }
            let (now, waiting) = (Instant::now(), table.requests.next_waiting().is_some());
            let look = if waiting { (now + LOOK_AGAIN).min(look_up_at) } else { look_up_at };
            let next = table.requests.next_due().map_or(look, |due| due.min(look));
            if table.looks_at.is_some_and(|at| at <= now) || next <= now {
                table.looks_at = None;
                return Some(table.requests.due(now));
            }
            table.looks_at = Some(next);
            self.sooner.wait_until(&mut table, next);
        }
    }

    /// Wakes the clock if what was noted just now is due before it looks; a request that waits for a server is due soon.
    pub(super) fn wake_clock(&self, table: &mut Table) {
        let waits = table.requests.next_waiting().map(|_| Instant::now() + LOOK_AGAIN);
        let due = table.requests.next_due().into_iter().chain(waits).min();
        if let (Some(looks_at), Some(due)) = (table.looks_at, due)
            && due < looks_at
        {
            table.looks_at = Some(due);
            self.sooner.notify_one();
        }
    }

    fn when_due(self: &Arc<Self>, due: Due<Lease>) {
        let Due { silent, hedge, over, suspects } = due;
        for finished in over {
            let asked = finished.attempts > 0;
            let why = if asked { "No server has answered in time." } else { "No server was free for it in time." };
            self.give_up(finished, (ErrorCode::Timeout, why));
        }
        for (number, place) in silent {
            let server = Arc::clone(place.lease.server());
            unanswered(place);
            self.try_again(number, &server, "it is silent");
        }
        for number in hedge {
            if self.look(number).is_some() && self.copies.may_hedge() && !self.send_on(number, Reason::Hedge) {
                self.copies.not_sent();
            }
        }
        if !suspects.is_empty() {
            let servers = self.pool.servers();
            servers.iter().filter(|server| suspects.contains(&server.key)).for_each(|server| server.ask());
        }
    }

    fn look_up(&self, kernel: &mut Kernel) {
        let upstreams = self.upstreams.lock();
        let sockets = upstreams.values().map(|upstream| upstream.socket()).chain([&*self.socket]);
        let sockets: Vec<_> = sockets.filter_map(|socket| socket.local_addr().ok()).collect();
        drop(upstreams);
        let count = kernel.look(&sockets);
        if count > 0 {
            self.pool.totals().dropped.add(count);
            self.events.emit(|| Event::DatagramsDropped { frontend: "udp".to_owned(), count });
        }
    }

    /// What is at a server that was found down goes elsewhere: nobody there will answer it.
    fn look_after_the_lost(self: &Arc<Self>) {
        let servers: Vec<_> = self.upstreams.lock().values().map(|upstream| Arc::clone(upstream.server())).collect();
        for server in servers.into_iter().filter(|server| self.pool.state(server) == Some(State::Down)) {
            self.elsewhere(&server, Ended::Failed, "it is down");
        }
    }

    /// Waits until no request is under way: at most as long as the latest may take.
    pub(super) fn finish(&self) {
        let until = Instant::now() + self.flags.udp_timeout;
        while !self.table.lock().requests.is_empty() && Instant::now() < until {
            std::thread::park_timeout(LOOK_AGAIN);
        }
    }

    /// Ends the clock, and gives up what is under way.
    pub(super) fn stop(&self) {
        let left: Vec<_> = {
            let table = &mut *self.table.lock();
            table.over = true;
            table.requests.numbers().into_iter().filter_map(|number| table.requests.finish(number)).collect()
        };
        self.sooner.notify_all();
        left.into_iter().for_each(|finished| self.give_up(finished, (ErrorCode::Draining, "The load balancer ends.")));
        self.upstreams.lock().clear();
    }
}

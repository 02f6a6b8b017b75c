//! The conversation with each server: joining, probes, doubts that are settled; and what befalls it.
//!
//! The rules of the check ([`Probes`]) are the real ones. The thread that applies them (`membership::contact`) is bound to
//! its sockets and is told again here. Simplified: a server that is down is probed again in the hurry of the check,
//! where the thread makes a new connection first; an entry is removed only by [`Fault::Leave`].

use super::{
    agenda::{Alive, Event, Message, Said},
    fault::Fault,
    rules::Rules,
    world::World,
};
use crate::{
    health::{Probes, Verdict},
    membership::contact::ASK_AGAIN,
    policy::{ServerKey, number_of},
    pool::core::{Admin, Newcomer, State},
};
use std::time::Duration;

impl<R: Rules> World<'_, R> {
    /// The server of this machine joins: it has shown who it is, and said what it is doing.
    pub(super) fn join(&mut self, at: usize) {
        let machine = &self.machines[at];
        let (spec, serving, life) = (&machine.spec, machine.serving(), machine.life);
        let newcomer = Newcomer {
            number: number_of(&spec.id),
            processing_time: spec.processing_time,
            capacity: spec.capacity,
            database: Some(self.database.clone()),
            serving,
            ..Newcomer::default()
        };
        let (capacity, weight) = (spec.capacity, spec.weight);
        let (key, effects) = self.rules.core_mut().join(newcomer);
        self.of_key.insert(key, at);
        self.books.joined(key, capacity, serving);
        let machine = &mut self.machines[at];
        (machine.known, machine.probes) = (Some((key, life)), Probes::new(&self.scenario.check));
        self.apply(effects);
        if weight.is_some() {
            let effects = self.rules.core_mut().weigh(key, weight);
            self.apply(effects);
        }
        self.probe_after(at, self.scenario.check.inter);
    }

    fn leave(&mut self, at: usize) {
        if let Some((key, _)) = self.machines[at].known.take() {
            self.books.left(key);
            let effects = self.rules.core_mut().leave(key);
            self.apply(effects);
        }
    }

    /// The next probe comes after this time; one that was planned or is on its way is void.
    fn probe_after(&mut self, at: usize, time: Duration) {
        let number = self.next_id();
        let machine = &mut self.machines[at];
        (machine.probe, machine.asked) = (number, false);
        self.agenda.after(time, Event::Probe(at, number));
    }

    /// An answer of this server was lost: it is asked now, unless it is being asked.
    pub(super) fn ask_at_once(&mut self, at: usize, key: ServerKey) {
        let machine = &self.machines[at];
        if machine.registered && !machine.asked && machine.known.is_some_and(|known| known.0 == key) {
            self.probe_after(at, Duration::ZERO);
        }
    }

    /// A probe is sent.
    pub(super) fn probe(&mut self, at: usize, number: u64) {
        let machine = &mut self.machines[at];
        let Some((key, _)) = machine.known.filter(|_| machine.probe == number && machine.registered) else { return };
        if !machine.runs {
            // Nobody listens: no slip.
            let _down = machine.probes.gone();
            self.down(key);
            return self.probe_after(at, self.scenario.check.hurry());
        }
        machine.asked = true;
        let (life, doubts) = (machine.life, self.rules.core().doubts(key));
        self.agenda.after(self.scenario.link, Event::At(at, life, Message::Probe { number, doubts }));
        self.agenda.after(self.scenario.check.timeout, Event::Silent(at, number));
    }

    fn down(&mut self, key: ServerKey) {
        let effects = self.rules.core_mut().down(key);
        self.apply(effects);
    }

    /// A server answers a probe.
    pub(super) fn says_it_is_alive(&mut self, at: usize, number: u64, doubts: u64) {
        let machine = &self.machines[at];
        let alive =
            Alive { number, doubts, life: machine.life, serving: machine.serving(), draining: machine.draining };
        self.agenda.after(self.scenario.link, Event::Alive(at, alive));
    }

    /// The answer is there.
    pub(super) fn alive(&mut self, at: usize, alive: Alive) {
        let machine = &mut self.machines[at];
        let Some((key, life)) = machine.known.filter(|_| machine.probe == alive.number && machine.asked) else {
            return;
        };
        if life != alive.life {
            // Another process under the old id.
            self.leave(at);
            return self.join(at);
        }
        let _enough = machine.probes.good();
        let mut doubt = false;
        if alive.draining {
            let effects = self.rules.core_mut().drain(key);
            self.apply(effects);
        } else if machine.probes.is_up() {
            if self.rules.core().look(key).is_some_and(|standing| standing.state != State::Up) {
                self.books.settled(key, alive.serving, alive.doubts);
            }
            let (still, effects) = self.rules.settle(key, alive.serving, alive.doubts);
            doubt = still;
            self.apply(effects);
        }
        let next = self.machines[at].probes.next_in();
        self.probe_after(at, if doubt { ASK_AGAIN.min(next) } else { next });
    }

    /// No answer in time.
    pub(super) fn silent(&mut self, at: usize, number: u64) {
        let machine = &mut self.machines[at];
        let Some((key, _)) = machine.known.filter(|_| machine.probe == number && machine.asked) else { return };
        let doubt = self.rules.core().look(key).is_none_or(|standing| standing.state != State::Up);
        let verdict = if doubt { machine.probes.bad_in_doubt() } else { machine.probes.bad() };
        let next = machine.probes.next_in();
        if verdict == Some(Verdict::Down) {
            self.down(key);
        }
        self.probe_after(at, if doubt { ASK_AGAIN.min(next) } else { next });
    }

    // ------------------------------------------------------------------------------------------ what befalls it

    /// A fault, or an order.
    pub(super) fn befalls(&mut self, fault: Fault) {
        let key = |world: &Self, at: usize| world.machines[at].known.map(|known| known.0);
        match fault {
            Fault::Crash(at) => self.crash(at),
            Fault::Return(at) => {
                if self.machines[at].draining {
                    self.crash(at);
                }
                if !self.machines[at].runs {
                    self.machines[at].start();
                }
            }
            Fault::Hang(at) => self.machines[at].stopped = self.machines[at].runs,
            Fault::Resume(at) => self.resume(at),
            Fault::Slow(at, times) => self.machines[at].slow = times,
            Fault::Loses(at, part) => self.machines[at].loses = part,
            Fault::Leave(at) => {
                self.machines[at].registered = false;
                self.leave(at);
            }
            Fault::Join(at) => {
                let machine = &mut self.machines[at];
                machine.registered = true;
                if machine.runs && !machine.stopped && machine.known.is_none() {
                    self.join(at);
                }
            }
            Fault::Ends(at) => self.machines[at].draining = self.machines[at].runs,
            Fault::Admin(at, admin) => self.order(key(self, at), |core, key| core.decide_on(key, admin)),
            Fault::Weigh(at, weight) => self.order(key(self, at), |core, key| core.weigh(key, weight)),
            Fault::Resize(at, capacity) => {
                let capacity = capacity.clamp(1, self.machines[at].spec.capacity);
                if let Some(key) = key(self, at) {
                    self.books.resized(key, capacity);
                }
                self.order(key(self, at), |core, key| core.resize(key, capacity));
            }
            Fault::Policy(policy) => self.rules.core_mut().change_policy(policy, &self.scenario.options),
        }
    }

    fn order(
        &mut self,
        key: Option<ServerKey>,
        order: impl FnOnce(&mut crate::pool::core::Core, ServerKey) -> crate::pool::core::Effects,
    ) {
        if let Some(key) = key {
            let effects = order(self.rules.core_mut(), key);
            self.apply(effects);
        }
    }

    /// The process is gone; whoever waits for an answer of it hears that its connection is reset.
    fn crash(&mut self, at: usize) {
        if !self.machines[at].runs {
            return;
        }
        self.machines[at].crash(self.agenda.now());
        let mut here: Vec<u64> =
            self.attempts.iter().filter(|(_, attempt)| attempt.machine == at).map(|(id, _)| *id).collect();
        here.sort_unstable();
        for id in here {
            self.agenda.after(self.scenario.link, Event::Heard(id, Said::Broken));
        }
    }

    /// A process that stood still goes on. Each of its threads finds what has gathered for it; which one is first, is
    /// chance: the control port may answer before the requests are seen.
    fn resume(&mut self, at: usize) {
        let machine = &mut self.machines[at];
        machine.stopped = false;
        let (life, mut gathered) = (machine.life, std::mem::take(&mut machine.gathered));
        if self.random.bool() {
            gathered.sort_by_key(|message| !matches!(message, Message::Probe { .. }));
        }
        for message in gathered {
            self.agenda.after(Duration::ZERO, Event::At(at, life, message));
        }
    }

    /// All is well again with this machine.
    pub(super) fn mends(&mut self, at: usize) {
        for fault in [
            Fault::Return(at),
            Fault::Resume(at),
            Fault::Slow(at, 1.0),
            Fault::Loses(at, 0.0),
            Fault::Join(at),
            Fault::Admin(at, Admin::Ready),
        ] {
            self.befalls(fault);
        }
    }
}

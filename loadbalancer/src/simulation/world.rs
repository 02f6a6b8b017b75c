//! The load balancer, the servers and the clients, and one step after the other.

use super::{
    agenda::{Agenda, AttemptId, Event, Message, RequestId, Said},
    books::Books,
    fault::mishap,
    machine::Machine,
    outcome::{Latencies, Outcome, Violation},
    request::{Asked, Attempt},
    rules::Rules,
    scenario::{Arrival, Scenario, exponential},
};
use crate::{
    dispatch::{budget::Budget, copies::Copies},
    health::Probes,
    policy::ServerKey,
    pool::core::{Decision, Effects, News},
};
use std::{collections::HashMap, sync::Arc, time::Duration};

/// How long nothing may go wrong at the end, so that everybody can go home: longer than any timeout.
const EVENING: Duration = Duration::from_secs(120);

/// When a run ends.
#[derive(Clone, Copy, Debug)]
pub(super) enum Until {
    /// So many requests have come.
    Requests(u64),
    /// So many steps are done.
    Steps(u64),
}

/// Everything.
pub(super) struct World<'a, R> {
    pub(super) scenario: &'a Scenario,
    pub(super) rules: R,
    pub(super) budget: &'a Budget,
    pub(super) copies: Copies,
    pub(super) machines: Vec<Machine>,
    pub(super) of_key: HashMap<ServerKey, usize>,
    pub(super) requests: HashMap<RequestId, Asked<'a>>,
    pub(super) attempts: HashMap<AttemptId, Attempt>,
    pub(super) agenda: Agenda,
    pub(super) random: fastrand::Rng,
    pub(super) books: Books,
    pub(super) outcome: Outcome,
    pub(super) times: Vec<Duration>,
    pub(super) database: Arc<str>,
    pub(super) last: u64,
    /// No new requests, no mishaps.
    pub(super) evening: bool,
}

impl<'a, R: Rules> World<'a, R> {
    pub(super) fn new(scenario: &'a Scenario, budget: &'a Budget, rules: R) -> Self {
        let machine = |spec: &_| Machine::new(Clone::clone(spec), Probes::new(&scenario.check));
        let mut world = Self {
            scenario,
            rules,
            budget,
            copies: Copies::new(&scenario.copies),
            machines: scenario.servers.iter().map(machine).collect(),
            of_key: HashMap::new(),
            requests: HashMap::new(),
            attempts: HashMap::new(),
            agenda: Agenda::default(),
            random: fastrand::Rng::with_seed(scenario.seed),
            books: Books::default(),
            outcome: Outcome::default(),
            times: Vec::new(),
            database: "the database".into(),
            last: 0,
            evening: false,
        };
        world.rules.core_mut().collect_evidence(false);
        (0..world.machines.len()).for_each(|at| world.join(at));
        world.open();
        world
    }

    /// The morning: clients come, and what is to go wrong is written down.
    fn open(&mut self) {
        match self.scenario.arrival {
            Arrival::Clients(clients, _) => (1..=clients).for_each(|client| {
                // Not all in the same instant.
                let soon = Duration::from_micros(self.random.u64(..1_000));
                self.agenda.after(soon, Event::Ask(client));
            }),
            Arrival::Rate(..) => self.agenda.after(Duration::ZERO, Event::Arrive),
        }
        for (at, fault) in &self.scenario.faults {
            self.agenda.after(*at, Event::Fault(*fault));
        }
        if let Some(mean) = self.scenario.mishaps {
            self.agenda.after(exponential(mean, &mut self.random), Event::Mishap);
        }
    }

    /// Runs to the end, or until something is wrong.
    pub(super) fn run(mut self, until: Until) -> Outcome {
        let is_over = |outcome: &Outcome| match until {
            Until::Requests(requests) => outcome.requests >= requests,
            Until::Steps(steps) => outcome.steps >= steps,
        };
        while !is_over(&self.outcome) && self.step() {}
        self.outcome.lasted = self.agenda.now();
        self.close();
        self.settle_accounts()
    }

    /// The next thing happens. False if there is none, or something is wrong.
    fn step(&mut self) -> bool {
        let Some(event) = self.agenda.next() else { return false };
        self.outcome.steps += 1;
        let now = self.agenda.now();
        let effects = self.rules.core_mut().tick(now);
        self.apply(effects);
        self.happens(event);
        self.books.check(self.rules.core());
        self.is_well()
    }

    fn is_well(&mut self) -> bool {
        if let Some(what) = self.books.wrong.take() {
            let (step, at) = (self.outcome.steps, self.agenda.now());
            self.outcome.violation.get_or_insert(Violation { step, at, what });
        }
        self.outcome.violation.is_none()
    }

    fn happens(&mut self, event: Event) {
        match event {
            Event::Ask(client) => self.ask(client),
            Event::Arrive => self.arrive(),
            Event::At(machine, life, message) => self.at(machine, life, message),
            Event::Heard(attempt, said) => self.heard(attempt, said),
            Event::TooLate(attempt) => self.too_late(attempt),
            Event::NoLastWord(attempt) => self.no_last_word(attempt),
            Event::Hedge(request) => self.hedge(request),
            Event::Again(request) => self.take(request),
            Event::QueueEnd(request, ticket) => self.queue_end(request, ticket),
            Event::Look(request, ticket) => self.look(request, ticket),
            Event::GivesUp(request) => self.gives_up(request),
            Event::Probe(machine, number) => self.probe(machine, number),
            Event::Alive(machine, alive) => self.alive(machine, alive),
            Event::Silent(machine, number) => self.silent(machine, number),
            Event::Fault(fault) => self.befalls(fault),
            Event::Mishap => self.mishap(),
        }
    }

    fn mishap(&mut self) {
        let Some(mean) = self.scenario.mishaps.filter(|_| !self.evening) else { return };
        for (at, event) in mishap(self.machines.len(), self.scenario.policy, &mut self.random) {
            self.agenda.after(at, event);
        }
        self.agenda.after(exponential(mean, &mut self.random), Event::Mishap);
    }

    /// Does what follows from a call of the rules.
    pub(super) fn apply(&mut self, effects: Effects) {
        for news in effects.news {
            if let News::Ejected { server, .. } = news {
                self.books.ejected(server, &self.scenario.eject);
                if let Some(machine) = self.of_key.get(&server) {
                    self.machines[*machine].outcome.ejections += 1;
                }
            }
        }
        for grant in effects.grants {
            let server = grant.decision.server;
            let ejected = self.rules.core().look(server).is_some_and(|standing| standing.ejected);
            let waiter = self.books.granted(&grant, ejected);
            self.chosen(&grant.decision);
            match waiter {
                Some(waiter) => self.start(waiter.request, server, false),
                // It was given to nobody: that has been written down as wrong.
                None => self.books.given_back(server),
            }
        }
    }

    /// A server was chosen.
    pub(super) fn chosen(&mut self, decision: &Decision) {
        self.books.given(decision.server);
        self.outcome.choices += 1;
        self.outcome.choices_of_others += u64::from(decision.policy != self.scenario.policy);
    }

    // ------------------------------------------------------------------------------------ a machine, in truth

    /// A message arrives at a machine.
    fn at(&mut self, at: usize, life: u32, message: Message) {
        let (now, link) = (self.agenda.now(), self.scenario.link);
        let machine = &mut self.machines[at];
        if !machine.runs || machine.life != life {
            // The connection is reset, unless that was said already.
            if let Message::Request { attempt, .. } | Message::Stop { attempt, .. } = message {
                self.agenda.after(link, Event::Heard(attempt, Said::Broken));
            }
            return;
        }
        if machine.stopped {
            return machine.gathered.push(message);
        }
        match message {
            Message::Request { attempt, writes, may_write } => {
                let said = if writes && !may_write { Some(Said::MustNotWrite) } else { None };
                let said = said.or_else(|| (!machine.begins(attempt, now)).then_some(Said::NotNow));
                if let Some(said) = said {
                    return self.agenda.after(link, Event::Heard(attempt, said));
                }
                let needs = machine.spec.needs.draw(machine.spec.processing_time, &mut self.random);
                let done = Event::At(at, life, Message::Done { attempt });
                self.agenda.after(needs.mul_f64(machine.slow), done);
            }
            Message::Done { attempt } => {
                if machine.ends(attempt, now) {
                    let said = if self.random.f64() >= machine.loses {
                        Said::Answer
                    } else if self.random.bool() {
                        Said::Broken
                    } else {
                        // It vanishes without a word.
                        return;
                    };
                    self.agenda.after(link, Event::Heard(attempt, said));
                }
            }
            Message::Stop { attempt, confirm } => {
                // If it is done already, its answer is on the way.
                if machine.ends(attempt, now) && confirm {
                    self.agenda.after(link, Event::Heard(attempt, Said::Stopped));
                }
            }
            Message::Probe { number, doubts } => self.says_it_is_alive(at, number, doubts),
        }
    }

    /// The evening: all machines are well, the requests in hand come to their end, and nothing may be left.
    fn close(&mut self) {
        if self.outcome.violation.is_some() {
            return;
        }
        self.evening = true;
        (0..self.machines.len()).for_each(|at| self.mends(at));
        let end = self.agenda.now() + EVENING;
        while self.agenda.now() < end && self.step() {}
        if self.outcome.violation.is_none() {
            self.books.at_rest(self.rules.core());
            if !self.requests.is_empty() {
                self.books.wrong = Some(format!("{} requests have no answer at the end", self.requests.len()));
            }
            self.is_well();
        }
    }

    fn settle_accounts(mut self) -> Outcome {
        let counted: u64 = self.machines.iter().map(|machine| machine.outcome.answered).sum();
        let begun: u64 = self.machines.iter().map(|machine| machine.outcome.begun).sum();
        for machine in &mut self.machines {
            machine.outcome.share = machine.outcome.answered as f64 / counted.max(1) as f64;
        }
        self.outcome.extra_work =
            begun.saturating_sub(self.outcome.answered) as f64 / self.outcome.answered.max(1) as f64;
        self.outcome.servers = self.machines.into_iter().map(|machine| machine.outcome).collect();
        self.outcome.latencies = Latencies::of(self.times);
        self.outcome
    }

    pub(super) fn next_id(&mut self) -> u64 {
        self.last += 1;
        self.last
    }
}

//! A ring, its links and its bad luck.

use super::{
    DRILL, EVERY, Faults, Outcome,
    agenda::{Agenda, What},
    bound,
};
use crate::ring::{
    core::Action,
    member::{Member, Rules},
    message::Message,
    reach::{Side, Sides},
    story::Story,
    timing::Timing,
};
use fastrand::Rng;
use std::{collections::BTreeSet, net::SocketAddr, time::Duration};

/// How long after the faults somebody looks whether the ring goes on: so many bounds.
const CALM_BOUNDS: u32 = 2;

/// A server's rules, made anew at each start: who it is, who its neighbours are, and when it is, on its own clock.
pub(super) type Make<'a, R> = &'a dyn Fn(SocketAddr, Sides<SocketAddr>, Duration) -> R;

/// A process of a ring.
struct Process<R> {
    /// Nothing while it is dead.
    member: Option<Member<R>>,
    stopped: bool,
    /// What has come while it was stopped.
    waiting: Vec<(Side, Message)>,
    /// The number of its appointment that is valid.
    appointment: u64,
    /// How fast its clock goes, and what it showed at the beginning.
    rate: f64,
    offset: Duration,
    /// Down by election until then, in true time.
    down_until: Duration,
    /// Whether the drill that it began has not ended yet.
    in_drill: bool,
    /// Whether its link to the right is cut.
    cut: bool,
}

impl<R> Process<R> {
    fn clock(&self, true_time: Duration) -> Duration {
        self.offset + true_time.mul_f64(self.rate)
    }

    fn true_time(&self, clock: Duration) -> Duration {
        clock.saturating_sub(self.offset).div_f64(self.rate)
    }
}

/// A ring.
pub(super) struct World<'a, R> {
    make: Make<'a, R>,
    processes: Vec<Process<R>>,
    agenda: Agenda,
    faults: Faults,
    rng: Rng,
    now: Duration,
    calm_since: Option<Duration>,
    /// When an election was completed last, or the calm began.
    last_good: Duration,
    winners: BTreeSet<usize>,
    /// The elections that were begun: two that begin at once are in one.
    rounds: BTreeSet<u64>,
    outcome: Outcome,
}

impl<'a, R: Rules> World<'a, R> {
    pub(super) fn new(size: usize, faults: Faults, seed: u64, make: Make<'a, R>) -> Self {
        let mut rng = Rng::with_seed(seed);
        let process = |rng: &mut Rng| Process {
            member: None,
            stopped: false,
            waiting: Vec::new(),
            appointment: 0,
            rate: 0.99 + 0.02 * rng.f64(),
            offset: Duration::from_secs(rng.u64(..1_000)),
            down_until: Duration::ZERO,
            in_drill: false,
            cut: false,
        };
        let processes = (0..size).map(|_| process(&mut rng)).collect();
        let mut world = Self {
            make,
            processes,
            agenda: Agenda::default(),
            faults,
            rng,
            now: Duration::ZERO,
            calm_since: None,
            last_good: Duration::ZERO,
            winners: BTreeSet::new(),
            rounds: BTreeSet::new(),
            outcome: Outcome::default(),
        };
        world.plan();
        world
    }

    /// Writes the day's bad luck on the list.
    fn plan(&mut self) {
        let size = self.processes.len();
        for server in 0..size {
            self.agenda.add(Duration::ZERO, server, What::Starts);
        }
        for _ in 0..self.faults.blows {
            let server = self.rng.usize(..size);
            let at = self.faults.lasts.mul_f64(self.rng.f64());
            // Some are over at once, some last longer than a drill or a promise.
            let over = at + Duration::from_millis(if self.rng.bool() { 50 } else { 10_000 }).mul_f64(self.rng.f64());
            let (blow, end) = match self.rng.u8(..3) {
                0 => (What::Crashes, What::Starts),
                1 => (What::Stops, What::Continues),
                _ => (What::IsCut, What::IsMended),
            };
            self.agenda.add(at, server, blow);
            self.agenda.add(over, server, end);
        }
        self.agenda.add(self.faults.lasts, 0, What::CalmsDown);
        self.agenda.add(self.faults.lasts + bound() * CALM_BOUNDS, 0, What::Ends);
    }

    /// Lets everything happen.
    pub(super) fn run(mut self) -> Outcome {
        while self.outcome.stuck.is_none()
            && self.outcome.together.is_none()
            && let Some((at, server, what)) = self.agenda.take()
        {
            self.now = at;
            if what == What::Ends {
                break;
            }
            self.happens(server, what);
            self.look_for_a_stuck_ring();
        }
        self.outcome.different = self.winners.len();
        self.outcome.begun = self.rounds.len();
        self.outcome
    }

    fn happens(&mut self, server: usize, what: What) {
        let calm = self.calm_since.is_some();
        let process = &mut self.processes[server];
        match what {
            What::Comes(side, message) if process.stopped => process.waiting.push((side, message)),
            What::Comes(side, message) => self.step(server, Some((side, message))),
            What::Wakes(appointment) if appointment == process.appointment && !process.stopped => {
                self.step(server, None);
            }
            What::Crashes if !calm => {
                self.dies(server);
                self.outcome.crashes += 1;
            }
            What::Starts if !calm && process.member.is_none() => self.start(server),
            What::Stops if !calm => {
                process.stopped = true;
                self.outcome.stops += 1;
            }
            What::Continues => self.goes_on(server),
            What::IsCut if !calm => {
                process.cut = true;
                self.outcome.cuts += 1;
            }
            What::IsMended => process.cut = false,
            What::CalmsDown => self.calm_down(),
            _ => {}
        }
    }

    fn dies(&mut self, server: usize) {
        let process = &mut self.processes[server];
        (process.member, process.down_until) = (None, Duration::ZERO);
        (process.in_drill, process.stopped) = (false, false);
        process.waiting.clear();
    }

    fn start(&mut self, server: usize) {
        let address = |at: usize| SocketAddr::from(([10, 0, 0, u8::try_from(at + 1).unwrap()], 7000));
        let size = self.processes.len();
        let neighbours = Sides { left: address((server + size - 1) % size), right: address((server + 1) % size) };
        let seed = self.rng.u64(..);
        let clock = self.processes[server].clock(self.now);
        let rules = (self.make)(address(server), neighbours, clock);
        let quiet = Timing::of(DRILL).quiet;
        self.processes[server].member = Some(Member::with_rules(rules, quiet, EVERY, clock, Rng::with_seed(seed)));
        self.step(server, None);
    }

    fn goes_on(&mut self, server: usize) {
        let process = &mut self.processes[server];
        if std::mem::replace(&mut process.stopped, false) {
            for (side, message) in std::mem::take(&mut process.waiting) {
                self.step(server, Some((side, message)));
            }
            self.step(server, None);
        }
    }

    fn calm_down(&mut self) {
        self.faults = Faults { lost: 0, doubled: 0, late: false, ..self.faults };
        (self.calm_since, self.last_good) = (Some(self.now), self.now);
        let lost = self.faults.one_is_lost.then(|| self.rng.usize(..self.processes.len()));
        for server in 0..self.processes.len() {
            self.processes[server].cut = false;
            if lost == Some(server) {
                self.dies(server);
                continue;
            }
            self.goes_on(server);
            if self.processes[server].member.is_none() {
                self.start(server);
            }
        }
    }

    fn step(&mut self, server: usize, came: Option<(Side, Message)>) {
        let process = &mut self.processes[server];
        let clock = process.clock(self.now);
        let Some(member) = &mut process.member else { return };
        let todo = member.step(came, clock);
        process.appointment += 1;
        let wakes = member.wakes_at().max(clock + Duration::from_micros(1));
        let (appointment, at) = (process.appointment, process.true_time(wakes));
        self.agenda.add(at.max(self.now), server, What::Wakes(appointment));
        for action in todo {
            self.act(server, action);
        }
    }

    fn act(&mut self, server: usize, action: Action) {
        match action {
            Action::Send(side, message) => self.send(server, side, message),
            Action::Down { until } => self.goes_down(server, until),
            Action::Up => {
                let process = &mut self.processes[server];
                process.down_until = Duration::ZERO;
                if std::mem::take(&mut process.in_drill) {
                    self.outcome.completed += 1;
                    self.last_good = self.now;
                    self.winners.insert(server);
                }
            }
            Action::Tell(Story::Starts(me)) => {
                self.rounds.insert(me.round);
            }
            Action::Tell(_) => {}
        }
    }

    fn goes_down(&mut self, server: usize, until: Duration) {
        self.outcome.downs += 1;
        let process = &mut self.processes[server];
        (process.down_until, process.in_drill) = (process.true_time(until), true);
        let down: Vec<usize> =
            (0..self.processes.len()).filter(|at| self.processes[*at].down_until > self.now).collect();
        if down.len() > 1 {
            let what = || format!("servers {down:?} are down together at {:?}", self.now);
            self.outcome.together.get_or_insert_with(what);
        }
    }

    fn send(&mut self, server: usize, side: Side, message: Message) {
        let size = self.processes.len();
        let (to, link) = match side {
            Side::Right => ((server + 1) % size, server),
            Side::Left => ((server + size - 1) % size, (server + size - 1) % size),
        };
        self.outcome.messages += 1;
        if self.processes[link].cut || self.rng.u8(..100) < self.faults.lost {
            return;
        }
        let copies = 1 + u8::from(self.rng.u8(..100) < self.faults.doubled);
        for _ in 0..copies {
            let at = self.now + self.delay();
            self.agenda.add(at, to, What::Comes(side.other(), message));
        }
    }

    /// Mostly a millisecond, sometimes half a second; and where messages are late, now and then up to a minute.
    fn delay(&mut self) -> Duration {
        let most = match self.rng.u8(..200) {
            0 if self.faults.late => 60_000_000,
            1..=9 if self.faults.late => 500_000,
            _ => 2_000,
        };
        Duration::from_micros(self.rng.u64(100..most))
    }

    fn look_for_a_stuck_ring(&mut self) {
        if self.calm_since.is_some() && self.now - self.last_good > bound() {
            self.outcome.stuck = Some(format!("the ring is stuck since {:?}", self.last_good));
        }
    }
}

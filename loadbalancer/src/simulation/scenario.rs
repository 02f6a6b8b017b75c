//! What is simulated: servers, clients, rules, and what goes wrong.

use super::fault::Fault;
use crate::{
    dispatch::copies::CopyFlags,
    health::{Check, outlier::Rules},
    policy::{Name, Options},
    pool::Settings,
};
use std::time::Duration;

/// How long a server needs for a request in truth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Needs {
    /// What it says.
    AsItSays,
    /// So long, each time.
    Exactly(Duration),
    /// Evenly spread between these.
    Between(Duration, Duration),
    /// Mostly short, sometimes long: exponential with this mean.
    Exponential(Duration),
}

impl Needs {
    /// The time of one request of a server that says that it takes `said`.
    #[must_use]
    pub fn draw(self, said: Duration, random: &mut fastrand::Rng) -> Duration {
        match self {
            Self::AsItSays => said,
            Self::Exactly(time) => time,
            Self::Between(least, most) => least + most.saturating_sub(least).mul_f64(random.f64()),
            Self::Exponential(mean) => exponential(mean, random),
        }
    }
}

/// A time drawn from the exponential distribution with this mean.
pub(super) fn exponential(mean: Duration, random: &mut fastrand::Rng) -> Duration {
    mean.mul_f64(-(1.0 - random.f64()).ln())
}

/// A server.
#[derive(Clone, Debug, PartialEq)]
pub struct SimServer {
    /// Its name. Its number is made of it: see [`crate::policy::number_of`].
    pub id: String,
    /// What it says it takes for a request.
    pub processing_time: Duration,
    /// What it takes in truth.
    pub needs: Needs,
    /// How many requests it takes at once.
    pub capacity: u32,
    /// The weight that a person gave it.
    pub weight: Option<u32>,
}

impl SimServer {
    /// A server that takes what it says.
    #[must_use]
    pub fn new(id: &str, processing_time: Duration, capacity: u32) -> Self {
        Self { id: id.to_owned(), processing_time, needs: Needs::AsItSays, capacity, weight: None }
    }

    /// The same, but this is what it needs.
    #[must_use]
    pub fn really(self, needs: Needs) -> Self {
        Self { needs, ..self }
    }

    /// Servers 1, 2, 3 … that take these times.
    #[must_use]
    pub fn all(times_ms: &[u64], capacity: u32) -> Vec<Self> {
        let server = |(at, ms): (usize, &u64)| Self::new(&(at + 1).to_string(), Duration::from_millis(*ms), capacity);
        times_ms.iter().enumerate().map(server).collect()
    }
}

/// When requests come.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Arrival {
    /// So many clients, each of which asks, waits for its answer, and asks again after this pause on average (a closed loop:
    /// a slow system gets fewer requests).
    Clients(u64, Duration),
    /// So many requests a second on average, by chance (Poisson), from this many clients in turn by chance (an open
    /// loop: requests come whether or not the earlier ones are answered).
    Rate(f64, u64),
}

/// A laboratory on paper.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// The servers at the beginning.
    pub servers: Vec<SimServer>,
    /// The policy at the beginning, and its options.
    pub policy: Name,
    /// What can be chosen beside its name.
    pub options: Options,
    /// When requests come.
    pub arrival: Arrival,
    /// How many different keys the requests have, for policies that hash. 0: each has its own.
    pub keys: u64,
    /// How many requests may wait.
    pub max_queue: usize,
    /// How long a request may wait for a server.
    pub queue_timeout: Duration,
    /// How long a request may take.
    pub request_timeout: Duration,
    /// Copies of requests.
    pub copies: CopyFlags,
    /// When a server is ejected.
    pub eject: Rules,
    /// How long a server that returns gets a growing share.
    pub slow_start: Duration,
    /// How servers are probed.
    pub check: Check,
    /// How long a message is on its way.
    pub link: Duration,
    /// The part of the requests that write: they are never at two servers at once, and their repeats never leave their
    /// database.
    pub writes: f64,
    /// The part of the requests whose client gives up before the answer.
    pub impatient: f64,
    /// What goes wrong, and when.
    pub faults: Vec<(Duration, Fault)>,
    /// How long it is on average until something goes wrong by chance; `None`: nothing does.
    pub mishaps: Option<Duration>,
    /// How many of the first requests are not counted in shares and latencies: a system that has just begun is no
    /// picture of one that runs.
    pub warm_up: u64,
    /// Where all chance comes from.
    pub seed: u64,
}

impl Scenario {
    /// These servers under this policy, with the defaults of the program, 8 clients that ask without a pause, and nothing
    /// that goes wrong.
    #[must_use]
    pub fn new(servers: Vec<SimServer>, policy: Name) -> Self {
        Self {
            servers,
            policy,
            options: Options::default(),
            arrival: Arrival::Clients(8, Duration::ZERO),
            keys: 0,
            max_queue: 1_000,
            queue_timeout: Duration::from_secs(30),
            request_timeout: Duration::from_secs(60),
            copies: CopyFlags { duplicate: None, hedge_after: None, hedge_budget: 0.2 },
            eject: Rules::default(),
            slow_start: Duration::ZERO,
            check: Check::default(),
            link: Duration::from_micros(50),
            writes: 0.0,
            impatient: 0.0,
            faults: Vec::new(),
            mishaps: None,
            warm_up: 0,
            seed: 1,
        }
    }

    /// A rough day: five servers of different power and capacity, 24 clients of which some write and some give up, a short queue,
    /// and something that goes wrong twice a second. Everything else follows from the seed, also whether requests are
    /// duplicated or hedged.
    #[must_use]
    pub fn rough(policy: Name, seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let server = |at: usize| {
            let says = Duration::from_millis(random.u64(1..60));
            let needs = match random.u8(..3) {
                0 => Needs::AsItSays,
                1 => Needs::Exponential(says),
                _ => Needs::Between(says / 2, says * 3),
            };
            SimServer::new(&at.to_string(), says, random.u32(1..5)).really(needs)
        };
        let servers = (1..=5).map(server).collect();
        let duplicate = (seed % 3 == 1).then_some(2);
        let hedge_after = (seed % 3 == 2).then_some(crate::dispatch::copies::After::Quantile(0.9));
        Self {
            arrival: Arrival::Clients(24, Duration::from_millis(20)),
            keys: 50,
            max_queue: 16,
            queue_timeout: Duration::from_secs(2),
            request_timeout: Duration::from_secs(20),
            copies: CopyFlags { duplicate, hedge_after, hedge_budget: 0.2 },
            eject: Rules { consecutive_errors: 3, slow_factor: Some(5), ..Rules::default() },
            slow_start: if seed.is_multiple_of(2) { Duration::from_secs(2) } else { Duration::ZERO },
            writes: 0.2,
            impatient: 0.1,
            mishaps: Some(Duration::from_millis(500)),
            seed,
            ..Self::new(servers, policy)
        }
    }

    /// How the pool is set up.
    pub(super) fn settings(&self) -> Settings {
        Settings {
            policy: self.policy,
            options: self.options.clone(),
            max_queue: self.max_queue,
            seed: self.seed,
            eject: self.eject,
            slow_start: self.slow_start,
        }
    }
}

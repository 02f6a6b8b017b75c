//! A load balancer at work: its parts put together, and taken apart again.

mod doors;

use self::doors::Doors;
use crate::{
    admin::{Admin, Subject, fronts::Front},
    config::Config,
    dispatch::{Context, budget::Budget, copies::Copies, losers::Losers},
    event::{Event, Events, audience::Audience, why::Past},
    frontend::{
        lab::Lab,
        side::{Bound, Side},
    },
    membership::{
        Members, Membership, file,
        joining::{MAX_JOINED, Registration},
        pools::Pools,
    },
    pool::{Pool, Settings},
    replicas::{self, Replicas},
    shards::{self, Shards},
};
use anyhow::Context as _;
use crossbeam_channel::Receiver;
use protocol::{
    deadline::Deadline,
    descriptors,
    id::IdSource,
    limits::MAX_CONNECTIONS,
    listener::{Crew, CrewOptions},
    output::warn,
    places::Places,
    registry::{LAB, Registry},
    runs::{RUNS, name_of_this_run},
    stop::Stop,
};
use std::{
    convert::Infallible,
    iter,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::Duration,
};

/// How long requests in hand may take to finish after the first Ctrl-C, before they are given up.
const DRAIN_TIME: Duration = Duration::from_secs(30);
/// How long servers that have joined may take to hear that the load balancer ends.
const FAREWELL_TIME: Duration = Duration::from_millis(200);
/// How long the threads get to end after that.
const END_TIME: Duration = Duration::from_secs(2);

/// A load balancer that serves clients. It must be [ended](LoadBalancer::end); dropping it ends it at once.
pub struct LoadBalancer {
    crew: Crew,
    /// Further frontends.
    sides: Vec<Side>,
    /// Servers of its own.
    replicas: Option<Replicas>,
    /// A sharded table.
    shards: Option<Shards>,
    membership: Following,
    admin: Option<Admin>,
    pool: Arc<Pool>,
    events: Events,
    past: Past,
    /// Disconnects when the last listener of the events has ended.
    told: Receiver<Infallible>,
}

impl LoadBalancer {
    /// Listens, follows the registry, and serves, until it is ended. What happens is told on the terminal and in the
    /// journal.
    ///
    /// # Errors
    /// If the port cannot be listened to (a sentence says who holds it), or the system gives no threads.
    pub fn start(config: &Config) -> anyhow::Result<Self> {
        let doors = Doors::open(config, &registry(config, true)?)?;
        // Only now: whoever cannot begin has no run, and `latest` stays with who has the port.
        let audience = Audience::gather(config, &doors.registry);
        Self::assemble(config, doors, audience)
    }

    /// The same, but what happens is told to whoever holds the receiving ends of these events, and to nobody else.
    ///
    /// # Errors
    /// As [`LoadBalancer::start`].
    pub fn start_heard(config: &Config, events: Events) -> anyhow::Result<Self> {
        Self::assemble(config, Doors::open(config, &registry(config, false)?)?, Audience::elsewhere(events))
    }

    fn assemble(config: &Config, doors: Doors, audience: Audience) -> anyhow::Result<Self> {
        let Audience { events, told, journal, past } = audience;
        let Doors { listener, joining, further, shards, admin, replicas, gate, token, registry } = doors;
        let folder = run_folder(journal.as_deref(), &registry);
        let settings = pool_settings(config);
        let seed = settings.seed;
        let max_connections = room(config, 1 + further.len())?;
        let desk = replicas.as_ref().map(replicas::Opening::desk);
        let start = |bound: Bound| bound.start(config, max_connections, settings.clone(), &events, desk.clone());
        let sides = further.into_iter().map(start).collect::<anyhow::Result<Vec<_>>>()?;
        let for_shards = settings.clone();
        let pool = Pool::new(settings, events.clone());
        let copies = Copies::new(&config.copies);
        let losers = if copies.wanted() { Losers::start().context("No thread for copies")? } else { Losers::none() };
        let lab = Arc::new(Lab {
            context: Context {
                pool: Arc::clone(&pool),
                events: events.clone(),
                tags: IdSource::new(fastrand::u64(..)),
                connect_timeout: config.connect_timeout.connect_timeout,
                queue_timeout: config.queue_timeout.queue_timeout,
                budget: Budget::default(),
                copies,
                losers,
                hash_key: config.hash_key(),
            },
            request_timeout: config.request_timeout.request_timeout,
        });
        let options = CrewOptions { name: "client", max_connections };
        let crew = Crew::start(listener, options, lab).context("No thread for the first client")?;
        let policy = config.balance.to_string();
        events.emit(|| Event::Started { address: crew.address(), policy, seed });
        let registry = Registry::new(registry);
        let mut pools = Pools::default().with(&[LAB], &pool);
        for side in &sides {
            pools = pools.with(side.services(), side.pool()).naming(side.services(), side.named());
            events.emit(|| Event::FrontendListening { frontend: side.name().to_owned(), address: side.address() });
        }
        let homes = iter::once(((LAB, &["tcp"][..]), Arc::clone(&pool))).chain(sides.iter().flat_map(Side::homes));
        let homes: Vec<_> = homes.collect();
        sides.iter().for_each(|side| side.settle_zones(&homes));
        let check = config.health.check;
        let shared = Membership { pools, registry, check, events: events.clone(), gate, token };
        let membership = Following::begin(Members::new(shared), joining)?;
        let begin = |opening: shards::Opening| opening.begin(config, max_connections, for_shards, &events);
        let shards = shards.map(begin).transpose()?;
        if let Some(shards) = &shards {
            events.emit(|| Event::FrontendListening { frontend: "shards".to_owned(), address: shards.address() });
        }
        let begin = |opening: replicas::Opening| opening.begin(&membership.members, seed, &events);
        let replicas = replicas.map(begin).transpose()?;
        let front =
            |name, pool: &Arc<Pool>| Front { name, pool: Arc::clone(pool), max_clients: max_connections as u64 };
        let fronts = iter::once(front("lab", &pool)).chain(sides.iter().map(|side| front(side.name(), side.pool())));
        let fronts = fronts.chain(shards.iter().map(|shards| front("shards", shards.pool())));
        let members = Arc::clone(&membership.members);
        let subject = Subject { fronts: fronts.collect(), members, events: events.clone(), past: past.clone() };
        let start = |opened| Admin::start(opened, &folder, subject);
        let admin = admin.map(start).transpose()?;
        Ok(Self { crew, sides, replicas, shards, membership, admin, pool, events, past, told })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.crew.address()
    }

    /// The further frontend of this name (`tcp`, `http`), if there is one.
    #[must_use]
    pub fn side(&self, name: &str) -> Option<&Side> {
        self.sides.iter().find(|side| side.name() == name)
    }

    /// Where servers may join, if they may.
    #[must_use]
    pub fn join_address(&self) -> Option<SocketAddr> {
        self.membership.joining.as_ref().map(Crew::address)
    }

    /// Where it is administered, if it is.
    #[must_use]
    pub fn admin(&self) -> Option<&Admin> {
        self.admin.as_ref()
    }

    /// The servers that should be in its pool, to add some and to remove some.
    #[must_use]
    pub fn members(&self) -> &Arc<Members> {
        &self.membership.members
    }

    /// Its pool.
    #[must_use]
    pub fn pool(&self) -> &Arc<Pool> {
        &self.pool
    }

    /// What can be asked of the past: what happened to a request, and why.
    #[must_use]
    pub fn past(&self) -> &Past {
        &self.past
    }

    /// Takes nothing new, lets requests in hand finish, gives up those that take too long, and returns when
    /// everything that happened has been told.
    pub fn end(self) {
        let Self { crew, mut sides, replicas, shards, membership, admin, pool, events, told, .. } = self;
        events.emit(|| Event::Stopping);
        sides.iter_mut().for_each(Side::close_door);
        admin.iter().for_each(Admin::ending);
        let (of_sides, of_shards) = (sides.iter().filter_map(Side::crew), shards.iter().map(Shards::crew));
        let crews: Vec<&Crew> = iter::once(&crew).chain(of_sides).chain(of_shards).collect();
        crews.iter().for_each(|crew| crew.drain());
        let deadline = Deadline::after(DRAIN_TIME);
        for crew in crews {
            if !crew.join(deadline.remaining()) {
                crew.abort();
                let _ended = crew.join(END_TIME);
            }
        }
        // Only now: until here requests in hand may still need a server, or another one.
        drop((replicas, shards, membership));
        // Last, so that until here the end could be watched.
        drop(admin);
        // With their last owners the events end, and then their listeners.
        drop((crew, sides, pool, events));
        let _ended = told.recv_timeout(END_TIME);
    }
}

/// How the pool is set up.
fn pool_settings(config: &Config) -> Settings {
    let seed = config.seed.unwrap_or_else(|| fastrand::u64(1..1_000_000));
    let (options, health) = (config.options.clone(), config.health);
    let (eject, slow_start) = (health.eject, health.slow_start);
    Settings { options, seed, eject, slow_start, ..Settings::of(config.balance, config.max_queue) }
}

/// How many clients may be connected to each of so many frontends: as many as the command line says, or fewer if the
/// system's descriptors do not suffice.
fn room(config: &Config, frontends: usize) -> anyhow::Result<usize> {
    let wanted = usize::try_from(config.max_connections)?;
    let room = descriptors::room_for_clients().map_or(wanted, |room| (room / frontends).max(1));
    if room < wanted && config.max_connections != MAX_CONNECTIONS as u64 {
        warn!("This process may have so few descriptors (ulimit -n) that only {room} clients may be connected.");
    }
    Ok(wanted.min(room))
}

/// The file in which servers register. `tell`: whether it is said where no laboratory was found.
fn registry(config: &Config, tell: bool) -> anyhow::Result<PathBuf> {
    let places = Places::here().context("The current folder cannot be read")?;
    if let Some(said) = places.no_registry().filter(|_| tell && config.registry.registry.is_none()) {
        warn!("{said}");
    }
    Ok(config.registry.path(&places))
}

/// The folder of this run: that of its journal, or one beside the registry.
fn run_folder(journal: Option<&Path>, registry: &Path) -> PathBuf {
    let beside = || registry.parent().unwrap_or(Path::new(".")).join(RUNS).join(name_of_this_run("loadbalancer"));
    journal.and_then(Path::parent).map_or_else(beside, Path::to_path_buf)
}

/// The thread that follows the registry, and the registration port. Dropping this ends them, and the threads that speak to
/// servers with them.
struct Following {
    stop: Stop,
    joining: Option<Crew>,
    members: Arc<Members>,
}

impl Following {
    fn begin(members: Arc<Members>, joining: Option<TcpListener>) -> anyhow::Result<Self> {
        let mut following = Self { stop: Stop::new(), joining: None, members: Arc::clone(&members) };
        let stop = following.stop.clone();
        let spawned = thread::Builder::new().name("registry".into()).spawn(move || file::follow(&members, &stop));
        spawned.context("No thread for the registry")?;
        following.joining = joining.map(|listener| following.listen(listener)).transpose()?;
        Ok(following)
    }

    /// Lets servers join over the network.
    fn listen(&self, listener: TcpListener) -> anyhow::Result<Crew> {
        let shared = self.members.shared();
        let options = CrewOptions { name: "join", max_connections: MAX_JOINED };
        let crew = Crew::start(listener, options, Arc::new(Registration { members: Arc::clone(&self.members) }))
            .context("No thread for servers that join")?;
        let (address, token) = (crew.address(), shared.token.is_some());
        shared.events.emit(|| Event::JoinListening { address, token });
        Ok(crew)
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        self.stop.drain();
        // The servers that have joined are told, so that they look for the next load balancer at once.
        if let Some(crew) = &self.joining {
            crew.drain();
            if !crew.join(FAREWELL_TIME) {
                crew.abort();
                let _ended = crew.join(END_TIME);
            }
        }
        self.members.end();
    }
}

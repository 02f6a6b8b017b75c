//! A server that runs: both listeners, the database, the entry in the registry.

use crate::{
    Config,
    control::{Control, MAX_CONTROL_CONNECTIONS},
    joining::Joining,
    membership::{ClaimError, JoinError, Membership, claim},
    ring::{CutOff, Outage, Ring},
    service::{Ready, ShardStoreError, TableError, Terms, datagrams::Datagrams, open},
    slots::Slots,
    sql::OpenError,
};
use protocol::{
    frame::VERSION,
    holder::explain_bind_error,
    limits::MAX_CONNECTIONS,
    listener::{Crew, CrewOptions, Handler},
    message::Identity,
    output::{say, show, warn},
    registry::{Entry, Registry},
    stop::Stop,
};
use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// How often a drain looks whether it has become an abort.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// How long threads may take to end after their sockets were shut down.
const ABORT_TIME: Duration = Duration::from_secs(1);

/// Why a server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The database cannot be used.
    #[error(transparent)]
    Database(#[from] OpenError),
    /// The figures cannot be written.
    #[error("The statistics cannot be written to {}: {source}.", path.display())]
    Statistics {
        /// Where.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// The configuration names no database.
    #[error("A server that answers SQL needs a database.")]
    Engine,
    /// A name server has nothing to say.
    #[error("A name server needs a table of names: --table FILE.")]
    NoTable,
    /// The table of names cannot be used.
    #[error(transparent)]
    Table(#[from] TableError),
    /// What keeps its shards cannot be used.
    #[error(transparent)]
    ShardStore(#[from] ShardStoreError),
    /// A port cannot be had.
    #[error("{0}")]
    Bind(String),
    /// The id is taken.
    #[error(transparent)]
    Claim(#[from] ClaimError),
    /// The server cannot register.
    #[error(transparent)]
    Join(#[from] JoinError),
    /// A listener cannot be started.
    #[error("The threads that serve {address} cannot be started: {source}.")]
    Threads {
        /// Where.
        address: SocketAddr,
        /// The system's words.
        source: io::Error,
    },
}

/// A server that runs. Dropping it ends it at once; [`Running::end`] lets it finish what it has.
pub struct Running {
    // In the order in which they end.
    membership: Place,
    ring: Option<Ring>,
    service: Serving,
    control: Crew,
    address: SocketAddr,
    draining: Arc<AtomicBool>,
    slots: Arc<Slots>,
    stop: Stop,
}

/// What serves: a crew for connections, threads for datagrams, or both at the same port.
struct Serving {
    connections: Option<Crew>,
    datagrams: Option<Datagrams>,
}

impl Serving {
    fn drain(&self) {
        self.connections.iter().for_each(Crew::drain);
        self.datagrams.iter().for_each(Datagrams::drain);
    }

    fn join(&self, within: Duration) -> bool {
        let connections = self.connections.as_ref().is_none_or(|crew| crew.join(within));
        connections && self.datagrams.as_ref().is_none_or(|datagrams| datagrams.join(within))
    }

    fn abort(&self) {
        self.connections.iter().for_each(Crew::abort);
        self.datagrams.iter().for_each(Datagrams::abort);
    }
}

/// Where this server is a member: in `servers.json`, or at a load balancer.
enum Place {
    /// With the program that has started it, and ends it.
    Starter,
    File(Membership),
    Network(Joining),
}

impl Place {
    fn leave(&mut self) {
        match self {
            Self::Starter => {}
            Self::File(membership) => membership.leave(),
            Self::Network(joining) => joining.leave(),
        }
    }
}

impl Running {
    /// Starts a server. It runs until [`Running::end`]; `stop` is the wish that others may have of it: an abort cuts its
    /// end short, and it drains `stop` itself if it must give way to another server of its id.
    ///
    /// # Errors
    /// A sentence that says what to do.
    pub fn start(config: &Config, stop: Stop) -> Result<Self, StartError> {
        let registry = Registry::new(&config.registry);
        let slots = Slots::new(config.capacity);
        let terms = Terms::new(config, &slots);
        let outage = Outage::new();
        let service = open(config, &terms, &outage)?;
        say!("Server {} is starting...", config.id);
        if config.service.has_files() && !config.files.is_dir() {
            warn!("There is no folder {}: no file will be found until there is.", config.files.display());
        }
        if config.join.is_none() && !config.announce {
            claim(&registry, &config.id)?;
        }
        let database = service.database().map(str::to_owned);
        let (serving, address) = serve(config, &service, terms, &outage, &registry)?;
        let control = bind(config.control, &registry)?;
        let control_address = local(&control)?;
        let draining = Arc::new(AtomicBool::new(false));
        let identity = identity(config, reachable(config, address), database.as_deref());
        let incarnation = identity.incarnation;
        let answers = Control {
            identity,
            token: config.token.clone(),
            slots: Arc::clone(&slots),
            draining: Arc::clone(&draining),
        };
        let control = answers.listen(control, control_address, config.ring.as_ref().map(|_| &outage))?;
        let ring = take_place(config, &serving, &outage)?;
        let entry = Entry {
            id: config.id.clone(),
            address: reachable(config, address),
            service: config.service.to_string(),
            processing_time: config.processing_time,
            capacity: config.capacity,
            control: reachable(config, control_address),
            pid: Some(std::process::id()),
        };
        let membership = match config.join {
            None if config.announce => announce(&entry),
            None => Place::File(Membership::join(&registry, entry, stop.clone())?),
            Some(balancer) => Place::Network(Joining::join(balancer, entry, incarnation, config.token.clone())?),
        };
        say!("Server is listening on ({}, {}).", address.ip(), address.port());
        Ok(Self { membership, ring, service: serving, control, address, draining, slots, stop })
    }

    /// Where it serves.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it answers the handshake.
    #[must_use]
    pub fn control(&self) -> SocketAddr {
        self.control.address()
    }

    /// How many requests are in process.
    #[must_use]
    pub fn active(&self) -> u32 {
        self.slots.taken()
    }

    /// Leaves the registry and takes nothing new; returns at once.
    pub fn drain(&mut self) {
        self.membership.leave();
        self.ring = None;
        self.draining.store(true, Ordering::SeqCst);
        self.service.drain();
    }

    /// Drains, waits until the last request is answered or the wish to end has become one to abort, and ends.
    pub fn end(mut self) {
        self.drain();
        while !self.service.join(LOOK_EVERY) {
            if self.stop.is_aborting() {
                self.service.abort();
                // Whoever does not end now hangs in the system, and ends with the process.
                let _all = self.service.join(ABORT_TIME);
                break;
            }
        }
        self.control.abort();
        let _all = self.control.join(ABORT_TIME);
    }
}

/// Begins to serve.
fn serve(
    config: &Config,
    service: &Ready,
    terms: Terms,
    outage: &Arc<Outage>,
    registry: &Registry,
) -> Result<(Serving, SocketAddr), StartError> {
    let refused = |error: io::Error| not_bound(config.listen, &error, registry);
    let connections = service.connections();
    let listener = connections.is_some().then(|| bind(config.listen, registry)).transpose()?;
    let mut address = listener.as_ref().map_or(Ok(config.listen), local)?;
    let mut datagrams = None;
    if !matches!(service, Ready::Connections(_)) {
        let socket = UdpSocket::bind(address).map_err(refused)?;
        address = socket.local_addr().map_err(refused)?;
        if let Some(clerk) = service.datagrams(config, terms, outage, address) {
            let name = config.service.as_str();
            datagrams = Some(Datagrams::start(socket, clerk, name, config.capacity).map_err(refused)?);
        }
    }
    let options = CrewOptions { name: "service", max_connections: MAX_CONNECTIONS };
    let cut_off = config.ring.as_ref().map(|_| outage);
    let crew =
        connections.zip(listener).map(|(service, listener)| start_crew(listener, options, service, address, cut_off));
    Ok((Serving { connections: crew.transpose()?, datagrams }, address))
}

/// Starts a crew whose connections are cut off while the server is down, if it can ever be: only a ring tells a server so, and
/// each connection of another one would pay for it.
fn start_crew(
    listener: TcpListener,
    options: CrewOptions,
    handler: Arc<dyn Handler>,
    address: SocketAddr,
    outage: Option<&Arc<Outage>>,
) -> Result<Crew, StartError> {
    let crew = match outage {
        Some(outage) => Crew::start(listener, options, CutOff::new(handler, outage)),
        None => Crew::start(listener, options, handler),
    };
    crew.map_err(|source| StartError::Threads { address, source })
}

impl Control {
    fn listen(
        self,
        listener: TcpListener,
        address: SocketAddr,
        outage: Option<&Arc<Outage>>,
    ) -> Result<Crew, StartError> {
        let options = CrewOptions { name: "control", max_connections: MAX_CONTROL_CONNECTIONS };
        start_crew(listener, options, Arc::new(self), address, outage)
    }
}

/// Takes the server's place in its ring, if it has one.
fn take_place(config: &Config, serving: &Serving, outage: &Arc<Outage>) -> Result<Option<Ring>, StartError> {
    let Some(ring) = &config.ring else { return Ok(None) };
    let announcer = serving.datagrams.as_ref().map_or(Ok(None), Datagrams::announcer);
    let started = announcer.and_then(|announcer| Ring::start(ring, outage, announcer));
    started.map(Some).map_err(|error| StartError::Bind(explain_bind_error(ring.listen, &error, None)))
}

fn identity(config: &Config, address: SocketAddr, database: Option<&str>) -> Identity {
    Identity {
        nonce: String::new(),
        id: config.id.clone(),
        incarnation: fastrand::u64(..),
        service: config.service.to_string(),
        address,
        processing_time: config.processing_time,
        capacity: config.capacity,
        database: database.map(str::to_owned),
        min_version: VERSION,
        max_version: VERSION,
        pid: std::process::id(),
    }
}

/// Tells where it is to whoever has started it: nobody reads that but a program, so it is told also with `--quiet`.
fn announce(entry: &Entry) -> Place {
    if let Ok(line) = serde_json::to_string(entry) {
        let _nobody_reads = show!("{line}");
    }
    Place::Starter
}

fn bind(address: SocketAddr, registry: &Registry) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).map_err(|error| not_bound(address, &error, registry))
}

fn not_bound(address: SocketAddr, error: &io::Error, registry: &Registry) -> StartError {
    let reading = registry.read().unwrap_or_default();
    let there = reading.entries.iter().find(|entry| entry.address == address || entry.control == address);
    StartError::Bind(explain_bind_error(address, error, there.map(|entry| entry.id.as_str())))
}

fn local(listener: &TcpListener) -> Result<SocketAddr, StartError> {
    listener.local_addr().map_err(|e| StartError::Bind(format!("The port cannot be found out: {e}.")))
}

/// Where others reach this server: at the address that it was told, or, when it listens on all of this machine's, at the
/// one from which the load balancer would be reached.
fn reachable(config: &Config, mut address: SocketAddr) -> SocketAddr {
    if let Some(ip) = config.advertise {
        address.set_ip(ip);
    } else if address.ip().is_unspecified() {
        let towards = config.join.filter(|balancer| balancer.is_ipv4() == address.is_ipv4());
        address.set_ip(own_ip(towards.unwrap_or_else(|| somewhere(address.is_ipv4()))));
    }
    address
}

/// An address of the world (kept for documentation, so that nobody has it).
fn somewhere(v4: bool) -> SocketAddr {
    let ip: IpAddr =
        if v4 { Ipv4Addr::new(192, 0, 2, 1).into() } else { Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into() };
    SocketAddr::new(ip, 9)
}

/// The address from which packets to this one would leave; asking for it sends none.
fn own_ip(towards: SocketAddr) -> IpAddr {
    let (from, alone): (IpAddr, IpAddr) = if towards.is_ipv4() {
        (Ipv4Addr::UNSPECIFIED.into(), Ipv4Addr::LOCALHOST.into())
    } else {
        (Ipv6Addr::UNSPECIFIED.into(), Ipv6Addr::LOCALHOST.into())
    };
    let asked = UdpSocket::bind((from, 0)).and_then(|socket| {
        socket.connect(towards)?;
        socket.local_addr()
    });
    asked.map_or(alone, |address| address.ip())
}

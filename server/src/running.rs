//! A server that runs: both listeners, the database, the entry in the registry.

use crate::{
    Config,
    control::{Control, MAX_CONTROL_CONNECTIONS},
    joining::Joining,
    membership::{ClaimError, JoinError, Membership, claim},
    service::{Service, Terms, open},
    slots::Slots,
    sql::OpenError,
};
use protocol::{
    frame::VERSION,
    holder::explain_bind_error,
    limits::MAX_CONNECTIONS,
    listener::{Crew, CrewOptions},
    message::Identity,
    output::{say, warn},
    registry::{Entry, Registry},
    stop::Stop,
};
use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket},
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
    /// The configuration names no database, or an engine that is not here.
    #[error("The database's engine is not built into this program.")]
    Engine,
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
    service: Crew,
    control: Crew,
    address: SocketAddr,
    draining: Arc<AtomicBool>,
    slots: Arc<Slots>,
    stop: Stop,
}

/// Where this server is a member: in `servers.json`, or at a load balancer.
enum Place {
    File(Membership),
    Network(Joining),
}

impl Place {
    fn leave(&mut self) {
        match self {
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
        let service = open(config, Terms::new(config, &slots))?;
        say!("Server {} is starting...", config.id);
        if config.service.has_files() && !config.files.is_dir() {
            warn!("There is no folder {}: no file will be found until there is.", config.files.display());
        }
        if config.join.is_none() {
            claim(&registry, &config.id)?;
        }
        let listener = bind(config.listen, &registry)?;
        let control = bind(config.control, &registry)?;
        let (address, control_address) = (local(&listener)?, local(&control)?);
        let draining = Arc::new(AtomicBool::new(false));
        let identity = identity(config, reachable(config, address), service.database());
        let incarnation = identity.incarnation;
        let control = Control {
            identity,
            token: config.token.clone(),
            slots: Arc::clone(&slots),
            draining: Arc::clone(&draining),
        }
        .listen(control, control_address)?;
        let service = listen(service, listener, address)?;
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
            None => Place::File(Membership::join(&registry, entry, stop.clone())?),
            Some(balancer) => Place::Network(Joining::join(balancer, entry, incarnation, config.token.clone())?),
        };
        say!("Server is listening on ({}, {}).", address.ip(), address.port());
        Ok(Self { membership, service, control, address, draining, slots, stop })
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

fn listen(service: Arc<dyn Service>, listener: TcpListener, address: SocketAddr) -> Result<Crew, StartError> {
    let options = CrewOptions { name: "service", max_connections: MAX_CONNECTIONS };
    Crew::start(listener, options, service).map_err(|source| StartError::Threads { address, source })
}

impl Control {
    fn listen(self, listener: TcpListener, address: SocketAddr) -> Result<Crew, StartError> {
        let options = CrewOptions { name: "control", max_connections: MAX_CONTROL_CONNECTIONS };
        Crew::start(listener, options, Arc::new(self)).map_err(|source| StartError::Threads { address, source })
    }
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

fn bind(address: SocketAddr, registry: &Registry) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).map_err(|error| {
        let reading = registry.read().unwrap_or_default();
        let there = reading.entries.iter().find(|entry| entry.address == address || entry.control == address);
        StartError::Bind(explain_bind_error(address, &error, there.map(|entry| entry.id.as_str())))
    })
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

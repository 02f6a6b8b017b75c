//! A further frontend at work, beside that of the lab: its listener, its pool, and its servers.

use super::{
    dns::{self, Relay, zones::Home},
    http::Http,
    tcp::Tcp,
    udp,
};
use crate::{
    config::Config,
    dispatch::{budget::Budget, copies::Copies},
    event::Events,
    membership::{
        gate::Gate,
        plain::{Named, Plain},
        probe::Probe,
    },
    pool::{Pool, Settings},
    replicas::Desk,
};
use anyhow::Context as _;
use protocol::{
    dns::{Question, record_type},
    flags::Listen,
    holder::explain_bind_error,
    id::IdSource,
    listener::{Crew, CrewOptions, Handler},
};
use std::{
    io,
    net::{SocketAddr, TcpListener, UdpSocket},
    sync::Arc,
};

/// How often a port is looked for that is free for connections and datagrams.
const MOST_TRIES: u32 = 20;

/// A frontend that has its port, and does not serve yet.
#[derive(Debug)]
pub struct Bound {
    kind: Kind,
    address: SocketAddr,
    /// For those that take connections.
    listener: Option<TcpListener>,
    /// For those that take datagrams; at the same port, if they take both.
    socket: Option<UdpSocket>,
}

/// A frontend at work. Dropping it ends it at once.
pub struct Side {
    kind: Kind,
    address: SocketAddr,
    /// Where datagrams come in. Before the crew: what is under way must be answered for its threads to end.
    door: Option<Door>,
    crew: Option<Crew>,
    pool: Arc<Pool>,
    /// Those who probe the servers that are named on the command line.
    plain: Plain,
}

/// A door that is dropped takes nothing new, and finishes what is under way.
enum Door {
    Dns(dns::Door),
    Udp(#[expect(dead_code, reason = "it is dropped, and that is all")] udp::Door),
}

/// What carries datagrams, and connections.
type Carriers = (Option<Door>, Option<Arc<dyn Handler>>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Tcp,
    Http,
    Dns,
    Udp,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Http => "http",
            Self::Dns => "dns",
            Self::Udp => "udp",
        }
    }

    /// The services whose servers it asks.
    fn services(self) -> &'static [&'static str] {
        match self {
            Self::Tcp => &["tcp", "echo"],
            Self::Http => &["http"],
            Self::Dns => &["names"],
            Self::Udp => &["reverse"],
        }
    }

    /// The protocols by which those servers are spoken to.
    fn protocols(self) -> &'static [&'static str] {
        match self {
            Self::Tcp | Self::Http => &["tcp"],
            Self::Dns => &["udp", "tcp"],
            Self::Udp => &["udp"],
        }
    }
}

impl Bound {
    /// Listens for all further frontends that the command line wants.
    ///
    /// # Errors
    /// If a port cannot be listened to; a sentence says who holds it.
    pub fn all(config: &Config) -> anyhow::Result<Vec<Self>> {
        let wanted = [
            (Kind::Tcp, config.tcp.tcp),
            (Kind::Http, config.http.http),
            (Kind::Dns, config.dns.dns),
            (Kind::Udp, config.udp.udp),
        ];
        let wanted = wanted.into_iter().filter_map(|(kind, listen)| Some((kind, listen?)));
        wanted.map(|(kind, listen)| Self::new(kind, listen)).collect()
    }

    fn new(kind: Kind, listen: Listen) -> anyhow::Result<Self> {
        let port = listen.port.with_context(|| format!("--{} needs a port: write IP:PORT", kind.name()))?;
        let address = SocketAddr::new(listen.ip, port);
        let explained = |error| anyhow::anyhow!(explain_bind_error(address, &error, None));
        let (listener, socket) = match kind {
            Kind::Tcp | Kind::Http => TcpListener::bind(address).map(|listener| (Some(listener), None)),
            Kind::Dns => bind_both(address).map(|(listener, socket)| (Some(listener), Some(socket))),
            Kind::Udp => UdpSocket::bind(address).map(|socket| (None, Some(socket))),
        }
        .map_err(explained)?;
        let bound = listener.as_ref().map(TcpListener::local_addr).or_else(|| Some(socket.as_ref()?.local_addr()));
        let address = bound.transpose().ok().flatten().with_context(|| format!("--{} has no address", kind.name()))?;
        Ok(Self { kind, address, listener, socket })
    }

    /// Adds its address to those that are this load balancer's own.
    pub fn add_own(&self, gate: &Gate) {
        gate.add_own(self.address);
    }

    /// Looks whether one of its named servers is this load balancer itself, which would ask itself without end, and whether two of
    /// them have one name.
    ///
    /// # Errors
    /// If so; a sentence says which.
    pub fn check(&self, config: &Config, gate: &Gate) -> anyhow::Result<()> {
        Plain::check(named(self.kind, config))?;
        match named(self.kind, config).iter().find(|named| gate.is_own(named.address)) {
            Some(own) => anyhow::bail!(
                "Server {} at {} is this load balancer itself: it would pass on to itself without end.",
                own.id,
                own.address
            ),
            None => Ok(()),
        }
    }

    /// Serves so many connections at once, from a pool set up like this.
    ///
    /// # Errors
    /// If the system gives no threads.
    pub fn start(
        self,
        config: &Config,
        max_connections: usize,
        settings: Settings,
        events: &Events,
        desk: Option<Desk>,
    ) -> anyhow::Result<Side> {
        let pool = Pool::new(settings, events.clone());
        let Self { kind, address, listener, socket } = self;
        let plain = Plain::begin(&pool, config.health.check, &probe(kind, config), named(kind, config))?;
        let options = CrewOptions { name: kind.name(), max_connections };
        let (door, handler) = carriers((kind, socket), config, &pool, events, desk)?;
        let start = |(listener, handler)| Crew::start(listener, options, handler);
        let crew = listener.zip(handler).map(start).transpose().context("No thread for the first connection")?;
        Ok(Side { kind, address, door, crew, pool, plain })
    }
}

/// A listener and a socket at the same port. Where any port will do, the one that the system gives may be taken for
/// datagrams: then another one is tried.
fn bind_both(address: SocketAddr) -> io::Result<(TcpListener, UdpSocket)> {
    let once = || {
        let listener = TcpListener::bind(address)?;
        let socket = UdpSocket::bind(listener.local_addr()?)?;
        Ok((listener, socket))
    };
    let tries = if address.port() == 0 { MOST_TRIES } else { 1 };
    (1..tries).find_map(|_| once().ok()).map_or_else(once, Ok)
}

fn named(kind: Kind, config: &Config) -> &[Named] {
    match kind {
        Kind::Tcp => &config.tcp.server,
        Kind::Http => &config.http.http_server,
        Kind::Dns => &config.dns.dns_server,
        Kind::Udp => &config.udp.udp_server,
    }
}

/// How its named servers are found to be alive.
fn probe(kind: Kind, config: &Config) -> Probe {
    match (kind, &config.dns.dns_probe) {
        (Kind::Dns, Some(name)) => Probe::Ask(Question::new(name.clone(), record_type::A)),
        (Kind::Udp, _) => Probe::Datagram(config.udp.probe()),
        _ => Probe::Connect,
    }
}

/// What carries its datagrams, and its connections.
fn carriers(
    (kind, socket): (Kind, Option<UdpSocket>),
    config: &Config,
    pool: &Arc<Pool>,
    events: &Events,
    replicas: Option<Desk>,
) -> anyhow::Result<Carriers> {
    let (pool, events, ids) = (Arc::clone(pool), events.clone(), IdSource::new(fastrand::u64(..)));
    let budget = Budget::default();
    let connect_timeout = config.connect_timeout.connect_timeout;
    let queue_timeout = config.queue_timeout.queue_timeout;
    Ok(match kind {
        Kind::Tcp => {
            let tcp = Tcp {
                pool,
                events,
                ids,
                connect_timeout,
                queue_timeout,
                budget,
                idle: config.tcp.tcp_idle,
                send_proxy: config.tcp.send_proxy,
                trusted: config.tcp.accept_proxy.clone(),
            };
            (None, Some(Arc::new(tcp)))
        }
        Kind::Http => {
            let http = Http {
                pool,
                events,
                ids,
                connect_timeout,
                queue_timeout,
                request_timeout: config.request_timeout.request_timeout,
                budget,
                hash_key: config.hash_key(),
                flags: config.http.clone(),
                replicas,
            };
            (None, Some(Arc::new(http)))
        }
        Kind::Dns => {
            let socket = socket.context("--dns takes datagrams, and has no socket for them")?;
            let copies = Copies::new(&config.copies);
            let relay = Relay::new((pool, events), socket, config.dns.clone(), config.hash_key(), copies);
            let opened = dns::Door::open(&relay, config.dns.dns_timeout);
            let (door, streams) = opened.context("No thread for datagrams")?;
            (Some(Door::Dns(door)), Some(Arc::new(streams)))
        }
        Kind::Udp => {
            let socket = socket.context("--udp takes datagrams, and has no socket for them")?;
            let (copies, flags) = (Copies::new(&config.copies), &config.udp);
            let opened = udp::Door::open((pool, events), socket, flags, config.hash_key(), copies, config.max_queue);
            (Some(Door::Udp(opened.context("No thread for datagrams")?)), None)
        }
    })
}

impl Side {
    /// What it is called: `tcp`, `http`, `dns`, `udp`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.kind.name()
    }

    /// The services whose servers it asks.
    #[must_use]
    pub fn services(&self) -> &'static [&'static str] {
        self.kind.services()
    }

    /// Its services, and the pool of their servers.
    pub fn homes(&self) -> impl Iterator<Item = Home> {
        self.services().iter().map(|service| ((*service, self.kind.protocols()), Arc::clone(&self.pool)))
    }

    /// These are all services whose servers it may name, if it names any.
    pub fn settle_zones(&self, homes: &[Home]) {
        if let Some(Door::Dns(door)) = &self.door {
            door.zones().settle(homes.to_vec());
        }
    }

    /// The ids of its servers that are named on the command line.
    #[must_use]
    pub fn named(&self) -> &[String] {
        self.plain.ids()
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its servers.
    #[must_use]
    pub fn pool(&self) -> &Arc<Pool> {
        &self.pool
    }

    /// Takes no datagrams any more, and finishes what came in them.
    pub fn close_door(&mut self) {
        self.door = None;
    }

    /// The threads that carry its connections, if it takes any.
    #[must_use]
    pub fn crew(&self) -> Option<&Crew> {
        self.crew.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;

    #[test]
    fn a_named_server_is_not_the_load_balancer_itself() {
        let config = |flags: &[&str]| Config::try_parse_from([&["loadbalancer"], flags].concat()).unwrap();
        for listen in ["127.0.0.1:0", "0.0.0.0:0"] {
            let bound = Bound::all(&config(&["--tcp", listen])).unwrap().remove(0);
            let port = bound.address.port();
            let gate = Gate::new(Vec::new(), false).unwrap();
            bound.add_own(&gate);
            let check = |server: &str| bound.check(&config(&["--tcp", listen, "--server", server]), &gate);
            let error = check(&format!("loop=127.0.0.1:{port}")).unwrap_err().to_string();
            assert!(error.contains("Server loop at") && error.contains("itself"), "{error}");
            check("127.0.0.1:1").unwrap();
        }
    }
}

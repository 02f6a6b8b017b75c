//! A further frontend at work, beside that of the lab: its listener, its pool, and its servers.

use super::{http::Http, tcp::Tcp};
use crate::{
    config::Config,
    dispatch::budget::Budget,
    event::Events,
    membership::plain::{Named, Plain},
    pool::{Pool, Settings},
};
use anyhow::Context as _;
use protocol::{
    flags::Listen,
    holder::explain_bind_error,
    id::IdSource,
    listener::{Crew, CrewOptions, Handler},
};
use std::{
    net::{SocketAddr, TcpListener},
    sync::Arc,
};

/// A frontend that has its port, and does not serve yet.
#[derive(Debug)]
pub struct Bound {
    kind: Kind,
    listener: TcpListener,
}

/// A frontend at work. Dropping it ends it at once.
pub struct Side {
    kind: Kind,
    crew: Crew,
    pool: Arc<Pool>,
    /// Those who probe the servers that are named on the command line.
    _plain: Plain,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Tcp,
    Http,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Http => "http",
        }
    }

    /// The services whose servers it asks.
    fn services(self) -> &'static [&'static str] {
        match self {
            Self::Tcp => &["tcp", "echo"],
            Self::Http => &["http"],
        }
    }
}

impl Bound {
    /// Listens for all further frontends that the command line wants.
    ///
    /// # Errors
    /// If a port cannot be listened to; a sentence says who holds it.
    pub fn all(config: &Config) -> anyhow::Result<Vec<Self>> {
        let wanted = [(Kind::Tcp, config.tcp.tcp), (Kind::Http, config.http.http)];
        let wanted = wanted.into_iter().filter_map(|(kind, listen)| Some((kind, listen?)));
        wanted.map(|(kind, listen)| Ok(Self { kind, listener: bind(kind, listen)? })).collect()
    }

    /// Serves so many connections at once, from a pool set up like this.
    ///
    /// # Errors
    /// If the system gives no threads, or two servers have the same name.
    pub fn start(
        self,
        config: &Config,
        max_connections: usize,
        settings: Settings,
        events: &Events,
    ) -> anyhow::Result<Side> {
        let pool = Pool::new(settings, events.clone());
        let plain = Plain::begin(&pool, config.health.check, named(self.kind, config))?;
        let options = CrewOptions { name: self.kind.name(), max_connections };
        let handler = handler(self.kind, config, &pool, events);
        let crew = Crew::start(self.listener, options, handler).context("No thread for the first connection")?;
        Ok(Side { kind: self.kind, crew, pool, _plain: plain })
    }
}

fn bind(kind: Kind, listen: Listen) -> anyhow::Result<TcpListener> {
    let port = listen.port.with_context(|| format!("--{} needs a port: write IP:PORT", kind.name()))?;
    let address = SocketAddr::new(listen.ip, port);
    TcpListener::bind(address).map_err(|error| anyhow::anyhow!(explain_bind_error(address, &error, None)))
}

fn named(kind: Kind, config: &Config) -> &[Named] {
    match kind {
        Kind::Tcp => &config.tcp.server,
        Kind::Http => &config.http.http_server,
    }
}

fn handler(kind: Kind, config: &Config, pool: &Arc<Pool>, events: &Events) -> Arc<dyn Handler> {
    let (pool, events, ids) = (Arc::clone(pool), events.clone(), IdSource::new(fastrand::u64(..)));
    let connect_timeout = config.connect_timeout.connect_timeout;
    let queue_timeout = config.queue_timeout.queue_timeout;
    match kind {
        Kind::Tcp => Arc::new(Tcp {
            pool,
            events,
            ids,
            connect_timeout,
            queue_timeout,
            idle: config.tcp.tcp_idle,
            send_proxy: config.tcp.send_proxy,
            trusted: config.tcp.accept_proxy.clone(),
        }),
        Kind::Http => Arc::new(Http {
            pool,
            events,
            ids,
            connect_timeout,
            queue_timeout,
            request_timeout: config.request_timeout.request_timeout,
            budget: Budget::default(),
            hash_key: config.hash_key,
            flags: config.http.clone(),
        }),
    }
}

impl Side {
    /// What it is called: `tcp`, `http`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.kind.name()
    }

    /// The services whose servers it asks.
    #[must_use]
    pub fn services(&self) -> &'static [&'static str] {
        self.kind.services()
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.crew.address()
    }

    /// Its servers.
    #[must_use]
    pub fn pool(&self) -> &Arc<Pool> {
        &self.pool
    }

    /// The threads that carry its connections.
    #[must_use]
    pub fn crew(&self) -> &Crew {
        &self.crew
    }
}

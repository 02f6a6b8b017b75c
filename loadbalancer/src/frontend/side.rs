//! A further frontend at work, beside that of the lab: its listener, its pool, and its servers.

use super::{http::Http, tcp::Tcp};
use crate::{
    config::Config,
    dispatch::budget::Budget,
    event::Events,
    membership::{
        gate::Gate,
        plain::{Named, Plain},
    },
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
    plain: Plain,
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

    /// Adds its address to those that are this load balancer's own.
    ///
    /// # Errors
    /// If the system does not tell it.
    pub fn add_own(&self, gate: &Gate) -> anyhow::Result<()> {
        gate.add_own(self.listener.local_addr().with_context(|| format!("--{} has no address", self.kind.name()))?);
        Ok(())
    }

    /// Looks whether one of its named servers is this load balancer itself, which would ask itself without end.
    ///
    /// # Errors
    /// If so; a sentence says which.
    pub fn check(&self, config: &Config, gate: &Gate) -> anyhow::Result<()> {
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
        Ok(Side { kind: self.kind, crew, pool, plain })
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
    let budget = Budget::default();
    let connect_timeout = config.connect_timeout.connect_timeout;
    let queue_timeout = config.queue_timeout.queue_timeout;
    match kind {
        Kind::Tcp => Arc::new(Tcp {
            pool,
            events,
            ids,
            connect_timeout,
            queue_timeout,
            budget,
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
            budget,
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

    /// The ids of its servers that are named on the command line.
    #[must_use]
    pub fn named(&self) -> &[String] {
        self.plain.ids()
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

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;

    #[test]
    fn a_named_server_is_not_the_load_balancer_itself() {
        let config = |flags: &[&str]| Config::try_parse_from([&["loadbalancer"], flags].concat()).unwrap();
        for listen in ["127.0.0.1:0", "0.0.0.0:0"] {
            let bound = Bound::all(&config(&["--tcp", listen])).unwrap().remove(0);
            let port = bound.listener.local_addr().unwrap().port();
            let gate = Gate::new(Vec::new(), false).unwrap();
            bound.add_own(&gate).unwrap();
            let check = |server: &str| bound.check(&config(&["--tcp", listen, "--server", server]), &gate);
            let error = check(&format!("loop=127.0.0.1:{port}")).unwrap_err().to_string();
            assert!(error.contains("Server loop at") && error.contains("itself"), "{error}");
            check("127.0.0.1:1").unwrap();
        }
    }
}

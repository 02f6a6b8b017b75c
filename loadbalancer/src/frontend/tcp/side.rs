//! The TCP frontend at work: its pool, its servers, and the threads that carry connections.

use super::{Tcp, TcpFlags};
use crate::{
    config::Config,
    event::Events,
    membership::plain::Plain,
    pool::{Pool, Settings},
};
use anyhow::Context as _;
use protocol::{
    holder::explain_bind_error,
    id::IdSource,
    listener::{Crew, CrewOptions},
};
use std::{
    net::{SocketAddr, TcpListener},
    sync::Arc,
};

/// The services whose servers get passed connections.
pub const SERVICES: [&str; 2] = ["tcp", "echo"];

/// A TCP frontend at work. Dropping it ends it at once.
pub struct Side {
    crew: Crew,
    pool: Arc<Pool>,
    /// Those who probe the servers that are named on the command line.
    _plain: Plain,
}

impl TcpFlags {
    /// Listens, if that is wanted.
    ///
    /// # Errors
    /// If it cannot be listened to; a sentence says who holds the port.
    pub fn bind(&self) -> anyhow::Result<Option<TcpListener>> {
        let Some(listen) = self.tcp else { return Ok(None) };
        let port = listen.port.context("--tcp needs a port: write IP:PORT")?;
        let address = SocketAddr::new(listen.ip, port);
        let bound = TcpListener::bind(address);
        bound.map(Some).map_err(|error| anyhow::anyhow!(explain_bind_error(address, &error, None)))
    }
}

impl Side {
    /// Serves the connections of this listener, from a pool set up like this.
    ///
    /// # Errors
    /// If the system gives no threads, or two servers have the same name.
    pub fn start(listener: TcpListener, config: &Config, settings: Settings, events: &Events) -> anyhow::Result<Self> {
        let (pool, flags) = (Pool::new(settings, events.clone()), &config.tcp);
        let plain = Plain::begin(&pool, config.health.check, &flags.server)?;
        let tcp = Tcp {
            pool: Arc::clone(&pool),
            events: events.clone(),
            ids: IdSource::new(fastrand::u64(..)),
            connect_timeout: config.connect_timeout.connect_timeout,
            queue_timeout: config.queue_timeout.queue_timeout,
            idle: flags.tcp_idle,
            send_proxy: flags.send_proxy,
            trusted: flags.accept_proxy.clone(),
        };
        let options = CrewOptions { name: "tcp", max_connections: usize::try_from(config.max_connections)? };
        let crew = Crew::start(listener, options, Arc::new(tcp)).context("No thread for the first connection")?;
        Ok(Self { crew, pool, _plain: plain })
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

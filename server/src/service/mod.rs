//! What a server serves: one strategy of several.
//!
//! A server is a place to stand for a service: id and ports, an entry in the registry, a control port, a number of
//! places, a processing time, a drain. None of that depends on what is served. What does is behind the small trait
//! [`Service`]: carry one connection to its end ([`Handler`]), refuse one, and say which database stands behind it.
//!
//! | service | folder | unit of work, which takes a place and the processing time | needs |
//! |---|---|---|---|
//! | `lab` | [`lab`] | a request for a file or the result of a statement | files, database |
//! | `echo` | [`echo`] | a connection | nothing |
//! | `http` | [`http`] | a request | files, database |
//! | `shard` | [`shard`] | a request | a file of its own |
//! | `reverse` | [`reverse`] | a datagram | nothing |
//! | `names` | [`names`] | a query, in a datagram or on a connection | a table of names |
//!
//! What comes in datagrams is taken by a [`Clerk`] instead; `names` is both.
//!
//! **A new service** is a folder here, a name in [`ServiceName`], and a line in [`open`].

mod terms;
mod readiness;

pub(crate) mod lab;
mod echo;
mod http;
mod shard;
pub(crate) mod datagrams;
pub(crate) mod reverse;
pub(crate) mod names;

#[cfg(test)]
mod fixture;

pub use names::{TableError, Unknown};
pub use shard::ShardStoreError;
pub(crate) use terms::Terms;

use self::{datagrams::Clerk, echo::Echo, http::Http, lab::Lab, names::Names, reverse::Reverse, shard::Shards};
use crate::{
    Config, StartError,
    ring::Outage,
    sql::{self, Database},
};
use protocol::{flags::UNLIMITED, listener::Handler, output::say};
use std::{fmt, fs::File, net::SocketAddr, sync::Arc};

/// The services that there are, by the names that stand in registry, handshake and command line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum ServiceName {
    /// Files and SQL in the lab protocol.
    #[default]
    Lab,
    /// Exactly the bytes that come, over plain TCP.
    Echo,
    /// A greeting, files and SQL over HTTP/1.1.
    Http,
    /// Each datagram turned around, its tag left as it is, over UDP.
    Reverse,
    /// The addresses of names, over DNS.
    Names,
    /// Some shards of a table, over HTTP/1.1.
    Shard,
}

impl ServiceName {
    /// The name, as it stands in `servers.json`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Lab => protocol::registry::LAB,
            Self::Echo => "echo",
            Self::Http => "http",
            Self::Reverse => "reverse",
            Self::Names => "names",
            Self::Shard => "shard",
        }
    }

    /// How much it takes at once, unless it is told.
    ///
    /// A name server that does not know a name says nothing, so that nobody but the clock knows when it is done with a query:
    /// one at a time would be one in five seconds.
    #[must_use]
    pub fn usual_capacity(self) -> u32 {
        if self == Self::Names { UNLIMITED } else { 1 }
    }

    /// Whether it needs the database.
    #[must_use]
    pub fn has_database(self) -> bool {
        matches!(self, Self::Lab | Self::Http)
    }

    /// Whether it gives files away.
    #[must_use]
    pub fn has_files(self) -> bool {
        matches!(self, Self::Lab | Self::Http)
    }
}

impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What is done with the connections of a server.
pub(crate) trait Service: Handler {
    /// The UUID of the database that it works with, if it has one. A retry of a write must not leave it.
    fn database(&self) -> Option<&str>;
}

/// A service that is ready, by what it takes.
pub(crate) enum Ready {
    /// Connections.
    Connections(Arc<dyn Service>),
    /// Datagrams, turned around; and where the figures go.
    Datagrams(Option<Arc<File>>),
    /// Both.
    Both(Arc<Names>),
}

impl Ready {
    /// The UUID of the database that it works with, if it has one.
    pub(crate) fn database(&self) -> Option<&str> {
        if let Self::Connections(service) = self { service.database() } else { None }
    }

    /// What takes its connections.
    pub(crate) fn connections(&self) -> Option<Arc<dyn Service>> {
        match self {
            Self::Connections(service) => Some(Arc::clone(service)),
            Self::Datagrams(_) => None,
            Self::Both(names) => Some(Arc::clone(names) as Arc<dyn Service>),
        }
    }

    /// What takes the datagrams that come to this address.
    pub(crate) fn datagrams(
        &self,
        config: &Config,
        terms: Terms,
        outage: &Arc<Outage>,
        address: SocketAddr,
    ) -> Option<Arc<dyn Clerk>> {
        match self {
            Self::Connections(_) => None,
            Self::Datagrams(csv) => Some(Arc::new(Reverse::new(config, terms, outage, address, csv.clone()))),
            Self::Both(names) => Some(Arc::clone(names) as Arc<dyn Clerk>),
        }
    }
}

/// Makes the service that the configuration asks for ready.
pub(crate) fn open(config: &Config, terms: &Terms, outage: &Arc<Outage>) -> Result<Ready, StartError> {
    let terms = terms.clone();
    Ok(match config.service {
        ServiceName::Lab => Ready::Connections(Arc::new(Lab::open(config, terms)?)),
        ServiceName::Echo => Ready::Connections(Arc::new(Echo::new(terms))),
        ServiceName::Http => Ready::Connections(Arc::new(Http::open(config, terms)?)),
        ServiceName::Shard => Ready::Connections(Arc::new(Shards::open(config, terms)?)),
        ServiceName::Reverse => Ready::Datagrams(reverse::open_csv(config)?),
        ServiceName::Names => Ready::Both(Arc::new(Names::open(config, terms, outage)?)),
    })
}

fn open_database(config: &Config) -> Result<Box<dyn Database>, StartError> {
    let database = config.database.as_ref().ok_or(StartError::Engine)?;
    let database = sql::open(database)?;
    say!("Connected to database successfully");
    Ok(database)
}

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
//!
//! **A new service** is a folder here, a name in [`ServiceName`], and a line in [`open`].

mod terms;
mod readiness;

pub(crate) mod lab;
mod echo;
mod http;

#[cfg(test)]
mod fixture;

pub(crate) use terms::Terms;

use self::{echo::Echo, http::Http, lab::Lab};
use crate::{
    Config, StartError,
    sql::{Database, Sqlite},
};
use protocol::{database::DatabaseConfig, listener::Handler, output::say};
use std::{fmt, sync::Arc};

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
}

impl ServiceName {
    /// The name, as it stands in `servers.json`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Lab => protocol::registry::LAB,
            Self::Echo => "echo",
            Self::Http => "http",
        }
    }

    /// Whether it needs the database.
    #[must_use]
    pub fn has_database(self) -> bool {
        self != Self::Echo
    }

    /// Whether it gives files away.
    #[must_use]
    pub fn has_files(self) -> bool {
        self != Self::Echo
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

/// Makes the service that the configuration asks for ready.
pub(crate) fn open(config: &Config, terms: Terms) -> Result<Arc<dyn Service>, StartError> {
    Ok(match config.service {
        ServiceName::Lab => Arc::new(Lab::open(config, terms)?),
        ServiceName::Echo => Arc::new(Echo::new(terms)),
        ServiceName::Http => Arc::new(Http::open(config, terms)?),
    })
}

fn open_database(config: &Config) -> Result<Box<dyn Database>, StartError> {
    match &config.database {
        Some(DatabaseConfig::Sqlite { path }) => {
            let database = Sqlite::open(path)?;
            say!("Connected to database successfully");
            Ok(Box::new(database))
        }
        _ => Err(StartError::Engine),
    }
}

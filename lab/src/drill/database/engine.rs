//! What keeps the rows: a file, or a database server of the drill's own.

use super::super::{play::Setting, question::TABLE};
use crate::process::{Ending, Mariadb, Postgres, RunFolder, Site, run_statement};
use anyhow::anyhow;
use protocol::places::Places;
use std::net::SocketAddr;

/// An engine that the drill can set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Engine {
    /// A file of SQLite, which the servers share
    Sqlite,
    /// A PostgreSQL server, made and started by the drill
    Postgres,
    /// A MariaDB server, made and started by the drill
    #[value(alias = "mysql")]
    Mariadb,
}

impl Engine {
    /// Its name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "PostgreSQL",
            Self::Mariadb => "MariaDB",
        }
    }

    /// Whether it is a program of its own, which can be ended.
    pub(super) fn is_a_program(self) -> bool {
        self != Self::Sqlite
    }

    /// Whether its programs are on this machine.
    ///
    /// # Errors
    /// Which one is missing.
    pub fn is_here(self) -> Result<(), String> {
        match self {
            Self::Sqlite => Ok(()),
            Self::Postgres => Postgres::is_here(),
            Self::Mariadb => Mariadb::is_here(),
        }
    }
}

/// A database of the drill's own.
pub(super) enum Store {
    File,
    Postgres(Box<Program<Postgres>>),
    Mariadb(Box<Program<Mariadb>>),
}

/// A database server, and where it is started.
pub(super) struct Program<S> {
    server: S,
    site: Site,
}

impl Store {
    /// Makes one, starts it, and has `database.json` of the servers' site lead to it.
    pub(super) fn open(engine: Engine, servers: &Site, setting: &Setting) -> anyhow::Result<Self> {
        engine.is_here().map_err(|why| anyhow!("The drill cannot be played with this engine: {why}"))?;
        let site = || {
            let folder = RunFolder::make(&Places::here()?, "drill", Some(&setting.folder.join("database")))?;
            Site::new(setting.binary.clone(), folder)
        };
        let (binary, config) = (&setting.binary, servers.folder.database());
        Ok(match engine {
            Engine::Sqlite => Self::File,
            Engine::Postgres => {
                let site = site()?;
                let server = Postgres::open(&site)?;
                server.make_ready(binary, &config)?;
                Self::Postgres(Box::new(Program { server, site }))
            }
            Engine::Mariadb => {
                let site = site()?;
                let server = Mariadb::open(&site)?;
                server.make_ready(binary, &config)?;
                server.make_table(binary, &config, TABLE, "token")?;
                Self::Mariadb(Box::new(Program { server, site }))
            }
        })
    }

    /// Makes the table of the drill, where a client may do that.
    pub(super) fn make_table(&self, balancer: SocketAddr) -> anyhow::Result<()> {
        if !matches!(self, Self::Mariadb(_)) {
            run_statement(balancer, &format!("CREATE TABLE {TABLE} (token TEXT NOT NULL)"))?;
        }
        Ok(())
    }

    /// Ends it.
    pub(super) fn end(&mut self, ending: Ending) -> anyhow::Result<()> {
        match self {
            Self::File => Ok(()),
            Self::Postgres(program) => program.server.end(ending),
            Self::Mariadb(program) => program.server.end(ending),
        }
    }

    /// Starts it again, and waits until it takes connections.
    pub(super) fn start(&mut self) -> anyhow::Result<()> {
        match self {
            Self::File => Ok(()),
            Self::Postgres(program) => program.server.start(&program.site),
            Self::Mariadb(program) => program.server.start(&program.site),
        }
    }
}

//! What a load balancer needs before it is one: its ports, and all else that may be refused.
//!
//! Whoever cannot have them has not begun: he has no journal, tells nothing, and `runs/latest` still leads to the load balancer
//! that runs, which often is the one that has the port.

use crate::{admin::flags::Opened, config::Config, frontend::side::Bound, membership::gate::Gate, replicas, shards};
use anyhow::Context as _;
use protocol::{holder::explain_bind_error, token::Token};
use std::{
    net::TcpListener,
    path::{Path, PathBuf},
};

/// The doors of a load balancer, open and with nobody behind them yet.
pub(super) struct Doors {
    /// For clients.
    pub listener: TcpListener,
    /// For servers that join.
    pub joining: Option<TcpListener>,
    /// Further frontends.
    pub further: Vec<Bound>,
    /// For the calls of a sharded table.
    pub shards: Option<shards::Opening>,
    /// For administration.
    pub admin: Option<Opened>,
    /// Servers of its own.
    pub replicas: Option<replicas::Opening>,
    /// Which addresses servers may have.
    pub gate: Gate,
    /// What servers that join must know.
    pub token: Option<Token>,
    /// The file in which servers register.
    pub registry: PathBuf,
}

impl Doors {
    /// Opens all that the command line wants. `registry`: the file in which servers register.
    ///
    /// # Errors
    /// If a port cannot be listened to (a sentence says who holds it), or something named does not exist or does not fit.
    pub fn open(config: &Config, registry: &Path) -> anyhow::Result<Self> {
        let listener = bind(config)?;
        config.options.check()?;
        let ((gate, token), joining) = (config.join.check()?, config.join.bind()?);
        let further = Bound::all(config)?;
        let shards = shards::Opening::prepare(&config.shards, registry)?;
        let admin = config.admin.open()?;
        let own = [Some(&listener), joining.as_ref(), admin.as_ref().map(|opened| &opened.listener)];
        for listener in own.into_iter().flatten() {
            gate.add_own(listener.local_addr().context("A port that was opened has no address")?);
        }
        further.iter().for_each(|bound| bound.add_own(&gate));
        // Only now: each might name any of them.
        further.iter().try_for_each(|bound| bound.check(config, &gate))?;
        let replicas = replicas::Opening::prepare(&config.replicas, config.join.token.token_file.as_deref())?;
        let registry = registry.to_owned();
        Ok(Self { listener, joining, further, shards, admin, replicas, gate, token, registry })
    }
}

/// Listens where the command line says.
fn bind(config: &Config) -> anyhow::Result<TcpListener> {
    let address = config.address();
    TcpListener::bind(address).map_err(|error| anyhow::anyhow!(explain_bind_error(address, &error, None)))
}

#[cfg(test)]
mod tests {
    use super::super::LoadBalancer;
    use super::*;
    use clap::Parser;
    use protocol::runs::{RUNS, latest};

    const ANY: &str = "127.0.0.1:0";

    /// What becomes of a load balancer with a registry in this folder, ports that are free, and these flags.
    fn start(folder: &Path, flags: &[&str]) -> anyhow::Result<LoadBalancer> {
        let registry = folder.join("servers.json");
        let usual = ["loadbalancer", "--quiet", "--listen", ANY, "--registry", registry.to_str().unwrap()];
        LoadBalancer::start(&Config::parse_from(usual.iter().chain(flags)))
    }

    #[test]
    fn a_start_that_fails_takes_latest_from_nobody() {
        let (folder, taken) = (tempfile::tempdir().unwrap(), TcpListener::bind(ANY).unwrap());
        let datagrams = std::net::UdpSocket::bind(ANY).unwrap();
        let (port, udp) = (taken.local_addr().unwrap().to_string(), datagrams.local_addr().unwrap().to_string());
        let first = start(folder.path(), &["--admin", ANY]).unwrap();
        let runs = folder.path().join(RUNS);
        let folder_of_first = std::fs::canonicalize(latest(&runs)).unwrap();
        let refused: &[&[&str]] = &[
            &["--no-admin", "--http", &port],
            &["--no-admin", "--tcp", &port],
            &["--no-admin", "--dns", &port],
            &["--no-admin", "--udp", &udp],
            &["--no-admin", "--shards", &port],
            &["--no-admin", "--join-listen", &port],
            &["--admin", &port],
            &["--no-admin", "--tcp", ANY, "--server", "a=127.0.0.1:9", "--server", "a=127.0.0.1:8"],
            &["--no-admin", "--http", ANY, "--replicas", "1", "--replica-program", "/nowhere/at/all"],
        ];
        for flags in refused {
            assert!(start(folder.path(), flags).is_err(), "{flags:?} can be had");
            assert_eq!(std::fs::canonicalize(latest(&runs)).unwrap(), folder_of_first, "{flags:?}");
            let folders = std::fs::read_dir(&runs).unwrap().flatten().filter(|run| run.file_name() != "latest").count();
            assert_eq!(folders, 1, "{flags:?} left a folder behind");
        }
        first.end();
    }
}

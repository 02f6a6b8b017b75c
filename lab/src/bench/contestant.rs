//! Who is measured: ways from a client to the same servers.

use super::stand::Stand;
use crate::process::{Child, List, READY_TIME, free_port, start_tied};
use anyhow::{Context, bail};
use protocol::deadline::Deadline;
use serde::Serialize;
use std::{
    fs,
    net::{SocketAddr, TcpStream},
    thread,
    time::Duration,
};

/// How often we look whether HAProxy listens.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// A way to the servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// Straight to the first server.
    Direct,
    /// Through our load balancer.
    Ours,
    /// Through a second process of the same, with the same options: what differs between the two is noise.
    OursAgain,
    /// Through HAProxy in TCP mode.
    Haproxy,
    /// Through HAProxy in TCP mode, with `option splice-response`.
    HaproxySplice,
}

impl Way {
    /// Its name in tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Ours => "ours",
            Self::OursAgain => "ours again",
            Self::Haproxy => "HAProxy",
            Self::HaproxySplice => "HAProxy splice",
        }
    }
}

/// A way that is ready.
#[derive(Debug)]
pub struct Contestant {
    /// Which.
    pub way: Way,
    /// Where clients connect.
    pub address: SocketAddr,
    /// The process that is in the way, if one is.
    process: Option<Child>,
}

impl Contestant {
    /// Makes a way ready.
    ///
    /// # Errors
    /// If its process does not start.
    pub fn open(way: Way, stand: &Stand) -> anyhow::Result<Self> {
        match way {
            Way::Direct => Ok(Self { way, address: stand.servers[0].address, process: None }),
            Way::Ours | Way::OursAgain => ours(way, stand),
            Way::Haproxy => haproxy(way, stand, ""),
            Way::HaproxySplice => haproxy(way, stand, "    option splice-response\n"),
        }
    }

    /// The number of the process in the way.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Child::pid)
    }

    /// Waits for the end of a process whose lifeline is gone.
    pub fn end(&mut self, deadline: Deadline) {
        if let Some(process) = &mut self.process {
            process.end(deadline);
        }
    }
}

fn local_address() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], free_port()))
}

fn ours(way: Way, stand: &Stand) -> anyhow::Result<Contestant> {
    let address = local_address();
    let name = format!("{}-{}", stand.name, way.name().replace(' ', "-"));
    let more = ["--balance", "round-robin", "--quiet", "--no-journal"];
    let balancer = stand.site.balancer(&name, &address.to_string(), &stand.registry, &more)?;
    List::connect_soon(address, Deadline::after(READY_TIME))?.wait_for(stand.servers.len())?;
    Ok(Contestant { way, address, process: Some(balancer) })
}

fn haproxy(way: Way, stand: &Stand, options: &str) -> anyhow::Result<Contestant> {
    let address = local_address();
    let name = format!("{}-{}", stand.name, way.name().replace(' ', "-").to_lowercase());
    let config = stand.site.folder.path().join(format!("{name}.cfg"));
    fs::write(&config, configuration(address, stand, options)).context("The configuration cannot be written")?;
    let config = crate::process::argument(&config)?;
    let mut tied = start_tied(&stand.site, &name, &["haproxy", "-db", "-f", &config])?;
    let deadline = Deadline::after(READY_TIME);
    while TcpStream::connect_timeout(&address, READY_TIME).is_err() {
        tied.must_live()?;
        if deadline.has_passed() {
            bail!("HAProxy does not listen on {address}.");
        }
        thread::park_timeout(LOOK_EVERY);
    }
    Ok(Contestant { way, address, process: Some(tied) })
}

/// As plain as it can be: no logging, no checks, threads as many as HAProxy takes by itself.
fn configuration(address: SocketAddr, stand: &Stand, options: &str) -> String {
    let servers = stand.servers.iter().map(|server| format!("    server s{} {}\n", server.id, server.address));
    format!(
        "global\n    maxconn 4000\n\ndefaults\n    mode tcp\n    maxconn 4000\n    timeout connect 5s\n    \
         timeout client 60s\n    timeout server 60s\n{options}\nlisten lab\n    bind {address}\n    \
         balance roundrobin\n{}",
        servers.collect::<String>()
    )
}

//! Who is measured: ways from a client to the same servers.

use super::{
    dns,
    rival::{self, Also},
    stand::{Kind, Stand},
    udp,
};
use crate::process::{Child, List, READY_TIME, argument, free_port, start_tied};
use anyhow::{Context, bail};
use protocol::{
    deadline::Deadline,
    http::client::{Ask, ask},
};
use serde::Serialize;
use std::{
    net::{SocketAddr, TcpStream},
    thread,
    time::Duration,
};

/// How often we look whether somebody listens.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// A way to the servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// Straight to the first server, or to one that is there for it alone.
    Direct,
    /// Through our load balancer.
    Ours,
    /// Through a second process of the same, with the same options: what differs between the two is noise.
    OursAgain,
    /// Through HAProxy, in HTTP mode where clients speak HTTP to it, else in TCP mode.
    Haproxy,
    /// Through HAProxy, with `option splice-response`.
    HaproxySplice,
    /// Through nginx.
    Nginx,
    /// Through dnsdist.
    Dnsdist,
    /// The database server alone, asked by its own load generator.
    Engine,
    /// Through another program.
    Also(&'static str),
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
            Self::Nginx => "nginx",
            Self::Dnsdist => "dnsdist",
            Self::Engine => "pgbench",
            Self::Also(name) => name,
        }
    }

    /// Its name in names of files.
    fn file_name(self) -> String {
        self.name().replace(' ', "-").to_lowercase()
    }
}

/// A way that is ready.
#[derive(Debug)]
pub struct Contestant {
    /// Which.
    pub way: Way,
    /// Where clients connect.
    pub address: SocketAddr,
    /// The processes that are in the way, if any is.
    processes: Vec<Child>,
}

impl Contestant {
    /// Makes a way ready. `also`: the further programs there are.
    ///
    /// # Errors
    /// If its process does not start.
    pub fn open(way: Way, stand: &Stand, also: &[Also]) -> anyhow::Result<Self> {
        if way == Way::Direct {
            let address = stand.alone.unwrap_or(stand.servers[0]);
            return Ok(Self { way, address, processes: Vec::new() });
        }
        if way == Way::Engine {
            let address = stand.engine.as_ref().context("There is no engine on this stand")?.address();
            return Ok(Self { way, address, processes: Vec::new() });
        }
        let address = local_address();
        let processes = match way {
            Way::Direct | Way::Engine => Vec::new(),
            Way::Ours | Way::OursAgain => vec![ours(way, address, stand)?],
            Way::Haproxy => vec![haproxy(way, address, stand, "")?],
            Way::HaproxySplice => vec![haproxy(way, address, stand, "    option splice-response\n")?],
            Way::Nginx => nginx(address, stand)?,
            Way::Dnsdist => vec![dns::dnsdist(&stand.site, way.name(), address, &stand.servers)?],
            Way::Also(name) => {
                let found = also.iter().filter(|also| also.name == name);
                let start = |also: &Also| tied(way.name(), stand, &also.command(address, &stand.servers));
                found.map(start).collect::<anyhow::Result<_>>()?
            }
        };
        let mut contestant = Self { way, address, processes };
        contestant.wait(stand.kind)?;
        Ok(contestant)
    }

    /// The numbers of the processes in the way.
    pub fn pids(&self) -> impl Iterator<Item = u32> {
        self.processes.iter().map(Child::pid)
    }

    /// Waits until it answers.
    fn wait(&mut self, kind: Kind) -> anyhow::Result<()> {
        let deadline = Deadline::after(READY_TIME);
        let answers = |address| match kind {
            Kind::Lab | Kind::Sources | Kind::Database => TcpStream::connect_timeout(&address, READY_TIME).is_ok(),
            Kind::Http | Kind::Tcp => {
                ask(address, &Ask::get("/small"), READY_TIME).is_ok_and(|answer| answer.status.is_success())
            }
            Kind::Dns => dns::answers(address),
            Kind::Udp => udp::answers(address),
        };
        while !answers(self.address) {
            self.processes.iter_mut().try_for_each(Child::must_live)?;
            if deadline.has_passed() {
                bail!("{} does not answer on {}.", self.way.name(), self.address);
            }
            thread::park_timeout(LOOK_EVERY);
        }
        Ok(())
    }

    /// Waits for the end of processes whose lifeline is gone.
    pub fn end(&mut self, deadline: Deadline) {
        self.processes.iter_mut().for_each(|process| process.end(deadline));
    }
}

/// An address of this machine on which nobody listens.
#[must_use]
pub fn local_address() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], free_port()))
}

fn ours(way: Way, address: SocketAddr, stand: &Stand) -> anyhow::Result<Child> {
    let name = format!("{}-{}", stand.kind.name(), way.file_name());
    let mut more: Vec<String> = ["--balance", "round-robin", "--quiet", "--no-journal"].map(str::to_owned).to_vec();
    let (frontend, server) = match stand.kind {
        Kind::Lab | Kind::Sources | Kind::Database => ("--listen", ""),
        Kind::Http => ("--http", "--http-server"),
        Kind::Tcp => ("--tcp", "--server"),
        Kind::Dns => ("--dns", "--dns-server"),
        Kind::Udp => ("--udp", "--udp-server"),
    };
    let side = frontend != "--listen";
    if side {
        more.extend([frontend.to_owned(), address.to_string()]);
        more.extend(stand.servers.iter().flat_map(|address| [server.to_owned(), address.to_string()]));
    }
    if stand.kind == Kind::Dns {
        more.extend(["--dns-probe".to_owned(), dns::PROBE.to_owned()]);
    }
    let more: Vec<&str> = more.iter().map(String::as_str).collect();
    let listen = if side { local_address() } else { address };
    let balancer = stand.site.balancer(&name, &listen.to_string(), &stand.registry, &more)?;
    if !side {
        List::connect_soon(address, Deadline::after(READY_TIME))?.wait_for(stand.servers.len())?;
    }
    Ok(balancer)
}

fn haproxy(way: Way, address: SocketAddr, stand: &Stand, options: &str) -> anyhow::Result<Child> {
    let name = format!("{}-{}", stand.kind.name(), way.file_name());
    let mode = if stand.kind == Kind::Http { "http" } else { "tcp" };
    let config = rival::write(&stand.site.folder.path().join(&name), |_| {
        rival::haproxy(address, &stand.servers, mode, options)
    })?;
    tied(&name, stand, &["haproxy", "-db", "-f", &argument(&config)?])
}

/// As many processes as there are cores; they share the port.
fn nginx(address: SocketAddr, stand: &Stand) -> anyhow::Result<Vec<Child>> {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let one = |number: usize| {
        let name = format!("{}-nginx-{number}", stand.kind.name());
        let config = rival::write(&stand.site.folder.path().join(&name), |folder| {
            rival::nginx_proxy(folder, address, &stand.servers)
        })?;
        tied(&name, stand, &["nginx", "-c", &argument(&config)?])
    };
    (1..=cores).map(one).collect()
}

fn tied<S: AsRef<str>>(name: &str, stand: &Stand, command: &[S]) -> anyhow::Result<Child> {
    let command: Vec<&str> = command.iter().map(AsRef::as_ref).collect();
    start_tied(&stand.site, name, &command)
}

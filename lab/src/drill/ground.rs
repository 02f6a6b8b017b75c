//! Where a drill takes place: servers, load balancer, and the lines between them.

use super::{
    harm::{
        admin::Administration,
        line::Line,
        network::{Wire, start_there},
    },
    question::StockFile,
    scene::{Between, Scene},
    stock::prepare,
};
use crate::process::{Child, List, READY_TIME, ServerPlan, Site, argument, free_port, is_up};
use anyhow::Context;
use protocol::{
    deadline::Deadline,
    message::ServerStatus,
    registry::{Entry, Registry},
};
use std::{
    fs::OpenOptions,
    io::Write,
    net::SocketAddr,
    path::{Path, PathBuf},
};

/// The processes of a drill. Dropping it ends them.
#[derive(Debug)]
pub struct Ground {
    /// The servers, in the order of their ids.
    pub servers: Vec<Standing>,
    /// The load balancer.
    pub balancer: Child,
    /// Where it listens, also after it was started again.
    pub address: SocketAddr,
    /// The files that can be asked for.
    pub stock: Vec<StockFile>,
    /// Where it is administered.
    pub admin: Administration,
    site: Site,
    between: Between,
    /// Flags of the load balancer.
    flags: Vec<String>,
}

/// A server of a drill.
#[derive(Debug)]
pub struct Standing {
    /// What it was started with, and is started with again.
    pub plan: ServerPlan,
    /// Its process.
    pub child: Child,
    /// Its entry, as the load balancer sees it.
    pub entry: Entry,
    /// The line to it, in drills in which lines fail.
    pub line: Option<Line>,
    /// The cable to it, in drills in which packets vanish.
    pub wire: Option<Wire>,
    /// Where copies differ: the files with which it is started again.
    other_files: Option<PathBuf>,
}

impl Ground {
    /// Starts everything and waits until it is ready.
    ///
    /// # Errors
    /// If something does not start; the error shows the end of its log.
    pub fn open(site: Site, scene: &Scene) -> anyhow::Result<Self> {
        let (plans, stock) = prepare(site.folder.path(), scene)?;
        let start = |(plan, other)| start_server(&site, plan, other, scene.between);
        let servers: Vec<Standing> = plans.into_iter().map(start).collect::<Result<_, _>>()?;
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let (between, flags) = (scene.between, scene.flags.clone());
        let admin = administration(&site)?;
        let balancer = start_balancer(&site, address, between, &admin, &flags)?;
        let ground = Self { servers, balancer, address, stock, admin, site, between, flags };
        ground.wait_for_all()?;
        Ok(ground)
    }

    /// Waits until the load balancer knows this server as it is now, and can choose it. One that has just been started
    /// again stands in the registry, which the load balancer reads four times a second: until then it knows nobody of that
    /// id, or the process before.
    ///
    /// # Errors
    /// If that does not come about in time; the error shows the list.
    pub fn wait_for(&self, server: usize) -> anyhow::Result<()> {
        self.wait_until(|list| is_known(list, &self.servers[server]))
    }

    /// The same of all servers, and that it knows no others.
    ///
    /// # Errors
    /// If that does not come about in time; the error shows the list.
    pub fn wait_for_all(&self) -> anyhow::Result<()> {
        let all_known = |list: &[ServerStatus]| self.servers.iter().all(|server| is_known(list, server));
        self.wait_until(|list| list.len() == self.servers.len() && all_known(list))
    }

    fn wait_until(&self, so: impl Fn(&[ServerStatus]) -> bool) -> anyhow::Result<()> {
        let addresses = self.servers.iter().map(|server| format!("{} at {}", server.plan.id, server.entry.address));
        let wanted = || format!("Wanted are servers {}.", addresses.collect::<Vec<_>>().join(", "));
        self.list()?.wait_until(so).with_context(wanted)
    }

    /// Asks the load balancer for its list of servers.
    ///
    /// # Errors
    /// If it cannot be reached.
    pub fn list(&self) -> anyhow::Result<List> {
        List::connect_soon(self.address, Deadline::after(READY_TIME))
    }

    /// Starts a server again whose process is gone.
    ///
    /// # Errors
    /// If it does not start.
    pub fn start_again(&mut self, server: usize) -> anyhow::Result<()> {
        let old = &mut self.servers[server];
        let mut plan = old.plan.clone();
        let other_files = old.other_files.take().map(|other| std::mem::replace(&mut plan.files, other));
        self.servers[server] = start_server(&self.site, plan, other_files, self.between)?;
        Ok(())
    }

    /// Starts one more server, like the first but for its id.
    ///
    /// # Errors
    /// If it does not start.
    pub fn start_another(&mut self) -> anyhow::Result<()> {
        let first = self.servers.first().context("There is no server")?.plan.clone();
        let plan = ServerPlan { id: (self.servers.len() + 1).to_string(), ..first };
        self.servers.push(start_server(&self.site, plan, None, self.between)?);
        Ok(())
    }

    /// Starts the load balancer again, on the same port.
    ///
    /// # Errors
    /// If it does not start.
    pub fn start_balancer_again(&mut self) -> anyhow::Result<()> {
        self.balancer = start_balancer(&self.site, self.address, self.between, &self.admin, &self.flags)?;
        Ok(())
    }

    /// The load balancer's journal.
    #[must_use]
    pub fn journal(&self) -> PathBuf {
        self.site.folder.journal()
    }

    /// Where it takes place.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.site.folder.path()
    }
}

/// Whether the load balancer can choose this server, and this process of it.
fn is_known(list: &[ServerStatus], server: &Standing) -> bool {
    list.iter().any(|known| known.id == server.entry.id && known.address == server.entry.address && is_up(known))
}

/// The registry in which servers stand, where there are lines with the addresses of these.
fn registry(site: &Site, between: Between) -> PathBuf {
    match between {
        Between::Lines => site.folder.path().join("lines.json"),
        Between::Nothing | Between::Network => site.folder.registry(),
    }
}

fn start_server(
    site: &Site,
    plan: ServerPlan,
    other_files: Option<PathBuf>,
    between: Between,
) -> anyhow::Result<Standing> {
    let wire = match between {
        Between::Network => Some(Wire::lay(site, plan.id.parse()?)?),
        Between::Nothing | Between::Lines => None,
    };
    let mut child = match &wire {
        Some(wire) => {
            let (args, listen) = (site.server_arguments(&plan)?, wire.far().to_string());
            let args: Vec<&str> = args.iter().map(String::as_str).chain(["--listen", &listen]).collect();
            start_there(site, wire, &format!("server-{}", plan.id), &site.binary, &args)?
        }
        None => site.server(&plan, &[])?,
    };
    let entry = site.wait_for_entry(&plan.id, &mut child)?;
    if between != Between::Lines {
        return Ok(Standing { plan, child, entry, line: None, wire, other_files });
    }
    let line = Line::to(&entry)?;
    let entry = line.entry(&entry);
    Registry::new(registry(site, between)).register(&entry)?;
    Ok(Standing { plan, child, entry, line: Some(line), wire, other_files })
}

/// A port for the administration, and a token in a file that only we may read.
fn administration(site: &Site) -> anyhow::Result<Administration> {
    let draw = || fastrand::alphanumeric();
    let token: String = std::iter::repeat_with(draw).take(32).collect();
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.create(true).write(true).truncate(true).open(token_file(site))?;
    file.write_all(token.as_bytes())?;
    Ok(Administration { address: SocketAddr::from(([127, 0, 0, 1], free_port())), token })
}

fn token_file(site: &Site) -> PathBuf {
    site.folder.path().join("admin-token")
}

fn start_balancer(
    site: &Site,
    address: SocketAddr,
    between: Between,
    admin: &Administration,
    flags: &[String],
) -> anyhow::Result<Child> {
    let (journal, registry) = (argument(&site.folder.journal())?, registry(site, between));
    let (admin, token) = (admin.address.to_string(), argument(&token_file(site))?);
    let usual = ["--journal", &journal, "--admin", &admin, "--admin-token-file", &token];
    let flags: Vec<&str> = usual.into_iter().chain(flags.iter().map(String::as_str)).collect();
    site.balancer("loadbalancer", &address.to_string(), &registry, &flags)
}

//! Servers of one service, and a load balancer with the frontend for them.

use super::{Scene, Setting};
use crate::process::{Child, LOOK_EVERY, Pool, READY_TIME, RunFolder, ServerPlan, Site, argument, free_port};
use anyhow::{Context, bail};
use loadbalancer::policy::{Name, UNLIMITED};
use protocol::{deadline::Deadline, places::Places};
use std::{fs, net::SocketAddr, path::PathBuf, thread};

/// A frontend, and the service of its servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Frontend {
    /// `--tcp`, of echo servers.
    Tcp,
    /// `--http`, of HTTP servers.
    Http,
}

impl Frontend {
    fn name(self) -> &'static str {
        if self == Self::Tcp { "tcp" } else { "http" }
    }

    fn service(self) -> &'static str {
        if self == Self::Tcp { "echo" } else { "http" }
    }
}

/// What was started. Dropping it ends all of it.
pub(super) struct Stand {
    /// Where the frontend listens.
    pub(super) address: SocketAddr,
    pub(super) balancer: Child,
    /// The servers.
    pub(super) servers: Vec<Standing>,
    pub(super) site: Site,
    frontend: Frontend,
    admin: SocketAddr,
}

/// A server.
pub(super) struct Standing {
    pub(super) plan: ServerPlan,
    pub(super) child: Child,
}

impl Stand {
    /// Starts everything in a folder of this name, and waits until all servers can be chosen.
    pub(super) fn open(
        setting: &Setting,
        scene: &Scene,
        name: &str,
        frontend: Frontend,
        policy: Name,
    ) -> anyhow::Result<Self> {
        let folder = RunFolder::make(&Places::here()?, "drill", Some(&setting.folder.join(name)))?;
        let site = Site::new(setting.binary.clone(), folder)?;
        let files = files(&site);
        fs::create_dir_all(&files)?;
        let start = |number: usize| {
            let (id, processing_time) = (number.to_string(), scene.processing_time);
            let plan = ServerPlan { id, processing_time, capacity: UNLIMITED, files: files.clone() };
            start_server(&site, plan, frontend)
        };
        let servers = (1..=scene.servers).map(start).collect::<anyhow::Result<Vec<_>>>()?;
        let local = || SocketAddr::from(([127, 0, 0, 1], free_port()));
        let (address, admin) = (local(), local());
        let (listen, policy) = (format!("--{}", frontend.name()), policy.to_string());
        let (at, admin_at, journal) = (address.to_string(), admin.to_string(), argument(&site.folder.journal())?);
        let more = ["--quiet", "--journal", &journal, "--admin", &admin_at, "--balance", &policy, &listen, &at];
        let balancer = site.balancer("loadbalancer", "127.0.0.1:0", &site.folder.registry(), &more)?;
        let mut stand = Self { address, balancer, servers, site, frontend, admin };
        stand.wait_until_up()?;
        Ok(stand)
    }

    /// Waits until all servers can be chosen.
    pub(super) fn wait_until_up(&mut self) -> anyhow::Result<()> {
        let deadline = Deadline::after(READY_TIME);
        loop {
            let states = self.states();
            if states.as_ref().is_ok_and(|all| all.iter().filter(|state| *state == "up").count() == self.servers.len())
            {
                return Ok(());
            }
            self.balancer.must_live()?;
            if deadline.has_passed() {
                bail!("Not all servers are up: {:?}", states.context("The load balancer does not say")?);
            }
            thread::park_timeout(LOOK_EVERY);
        }
    }

    fn states(&self) -> anyhow::Result<Vec<String>> {
        let pool = Pool::ask(self.admin, Some(self.frontend.name()))?;
        Ok(pool.servers.into_iter().map(|server| server.state).collect())
    }

    /// Where the files are that HTTP servers give away.
    pub(super) fn files(&self) -> PathBuf {
        files(&self.site)
    }

    /// Starts a server again whose process is gone, and waits until it has registered.
    pub(super) fn start_again(&mut self, server: usize) -> anyhow::Result<()> {
        self.servers[server] = start_server(&self.site, self.servers[server].plan.clone(), self.frontend)?;
        Ok(())
    }

    /// How many events of this kind the journal has.
    pub(super) fn count_events(&self, kind: &str) -> anyhow::Result<usize> {
        let journal = fs::read_to_string(self.site.folder.journal()).context("The journal cannot be read")?;
        let of_kind =
            |line: &&str| serde_json::from_str::<serde_json::Value>(line).is_ok_and(|event| event["event"] == kind);
        Ok(journal.lines().filter(of_kind).count())
    }
}

fn files(site: &Site) -> PathBuf {
    site.folder.path().join("files")
}

fn start_server(site: &Site, plan: ServerPlan, frontend: Frontend) -> anyhow::Result<Standing> {
    let mut child = site.server(&plan, &["--quiet", "--service", frontend.service()])?;
    site.wait_for_entry(&plan.id, &mut child)?;
    Ok(Standing { plan, child })
}

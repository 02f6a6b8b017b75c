//! A load balancer with a table in shards, and what it says in its log.

use super::layout::Layout;
use crate::{
    experiment::Run,
    process::{Child, END_TIME, Site, argument},
};
use anyhow::{Context, ensure};
use protocol::{
    deadline::Deadline,
    http::client::{Ask, ask},
};
use serde_json::Value;
use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

/// How long `/init` may take.
const INIT_TIME: Duration = Duration::from_secs(120);
/// How long a server may be missed before the experiment is given up.
const MISSED: Duration = Duration::from_secs(60);
/// How often the log is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(1);
/// Its name, and that of its log.
const NAME: &str = "balancer";

/// A load balancer with a table. Dropping it ends all.
pub struct Stage {
    balancer: Child,
    /// Where the table is asked.
    pub at: SocketAddr,
    site: Site,
}

impl Stage {
    /// Starts it, in a folder of this name below that of the run, and makes the table. `more`: flags of the load balancer; one that is quiet
    /// does not say which server is in service.
    ///
    /// # Errors
    /// If something does not start.
    pub fn open(run: &Run, name: &str, layout: &Layout, more: &[&str]) -> anyhow::Result<Self> {
        let site = Site::new(run.binary.clone(), run.subfolder(name)?)?;
        let state = argument(&site.folder.path().join("shards").join("state.json"))?;
        let flags = ["--admin", "127.0.0.1:0", "--no-journal", "--shards", "127.0.0.1:0", "--state", &state];
        let flags = [&flags[..], more].concat();
        let mut balancer = site.balancer(NAME, "127.0.0.1:0", &site.folder.registry(), &flags)?;
        let line = balancer.wait_for_line("Frontend shards is listening on (")?;
        let (address, _) = line.split_once(')').with_context(|| format!("No address: {line}"))?;
        let at = address.replace(", ", ":").parse().with_context(|| format!("No address: {line}"))?;
        let reply = ask(at, &Ask::post("/init").json(&layout.body())?, INIT_TIME).context("/init is not answered")?;
        ensure!(reply.status.is_success(), "/init is refused: {}", reply.text());
        Ok(Self { balancer, at, site })
    }

    /// Where the files of this stage are.
    pub fn folder(&self) -> &Path {
        self.site.folder.path()
    }

    /// The process of this server, the latest one.
    ///
    /// # Errors
    /// If it was never started.
    pub fn pid(&self, server: &str) -> anyhow::Result<u32> {
        let begin = format!("Started replica {server} (process ");
        let said = self.said();
        let last = said.lines().filter_map(|line| line.strip_prefix(&begin)).next_back();
        last.and_then(|text| text.trim_end_matches(").").parse().ok()).with_context(|| format!("No process {server}"))
    }

    /// How often this server has come into service.
    pub fn services(&self, server: &str) -> usize {
        let begin = format!("Replica {server} is in service, ");
        self.said().lines().filter(|line| line.starts_with(&begin)).count()
    }

    /// Waits until it has come into service more often than that.
    ///
    /// # Errors
    /// If it does not.
    pub fn wait_for(&mut self, server: &str, services: usize) -> anyhow::Result<()> {
        let since = Instant::now();
        while self.services(server) <= services {
            self.balancer.must_live()?;
            ensure!(since.elapsed() < MISSED, "{server} has not come back within {} s", MISSED.as_secs());
            thread::park_timeout(LOOK_EVERY);
        }
        Ok(())
    }

    /// All whole lines so far.
    fn said(&self) -> String {
        let mut said = fs::read_to_string(self.site.folder.log(NAME)).unwrap_or_default();
        said.truncate(said.rfind('\n').unwrap_or(0));
        said
    }

    /// Ends all. Then nobody writes the servers' files any more; they are in this folder.
    pub fn end(self) -> PathBuf {
        self.folder().join("shards")
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // In order, where the system can ask for it; else it is killed, and its servers end with it.
        if self.balancer.ask_to_end().is_ok() {
            self.balancer.end(Deadline::after(END_TIME));
        }
    }
}

/// One key in a row of JSON.
pub fn key(row: &Value) -> Option<u64> {
    row["Stud_id"].as_u64()
}

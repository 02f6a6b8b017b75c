//! A load balancer with replicas of its own, and what it says in its log.

use crate::{
    experiment::Run,
    process::{Child, END_TIME, Site, argument},
};
use anyhow::Context;
use protocol::{
    deadline::Deadline,
    http::client::{Ask, Reply, ask},
};
use std::{fs, net::SocketAddr, time::Duration};

/// How long a call may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// A load balancer with replicas. Dropping it ends all.
pub struct Stage {
    balancer: Child,
    /// Where its HTTP frontend listens.
    pub http: SocketAddr,
    _site: Site,
}

impl Stage {
    /// Starts it, in a folder of this name below that of the run, and waits until all replicas answer.
    ///
    /// # Errors
    /// If something does not start.
    pub fn open(run: &Run, name: &str, replicas: u32, flags: &[&str]) -> anyhow::Result<Self> {
        let site = Site::new(run.binary.clone(), run.subfolder(name)?)?;
        let files = site.folder.path().join("files");
        fs::create_dir_all(&files)?;
        let (database, files) = (argument(&site.folder.database())?, argument(&files)?);
        let own = [format!("--replica-arg=--database={database}"), format!("--replica-arg=--files={files}")];
        let (replicas, seed) = (replicas.to_string(), run.seed.to_string());
        let fixed = ["--http", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--quiet", "--no-journal"];
        let more = ["--replicas", &replicas, "--seed", &seed, &own[0], &own[1]];
        let all = [&fixed[..], &more, flags].concat();
        let mut balancer = site.balancer("balancer", "127.0.0.1:0", &site.folder.registry(), &all)?;
        let line = balancer.wait_for_line("Frontend http is listening on (")?;
        let http =
            line.trim_end_matches(").").replace(", ", ":").parse().with_context(|| format!("No address: {line}"))?;
        // A call returns when those that were added are in service; the first ones have begun before.
        let stage = Self { balancer, http, _site: site };
        stage.call(&Ask::post("/add").body(r#"{"n":1,"hostnames":["last"]}"#))?;
        stage.call(&Ask::new(protocol::http::Method::Delete, "/rm").body(r#"{"n":1,"hostnames":["last"]}"#))?;
        stage.call(&Ask::get("/home"))?;
        Ok(stage)
    }

    /// Calls once.
    ///
    /// # Errors
    /// If there is no answer.
    pub fn call(&self, what: &Ask) -> anyhow::Result<Reply> {
        ask(self.http, what, PATIENCE).context("The load balancer does not answer")
    }

    /// Waits for the line that begins so; what follows in it.
    ///
    /// # Errors
    /// If it does not come.
    pub fn wait_for(&mut self, begin: &str) -> anyhow::Result<String> {
        self.balancer.wait_for_line(begin)
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // In order, where the system can ask for it; else it is killed, and its replicas end with it.
        if self.balancer.ask_to_end().is_ok() {
            self.balancer.end(Deadline::after(END_TIME));
        }
    }
}

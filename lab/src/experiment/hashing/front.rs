//! A load balancer for HTTP, as these experiments need it.

use super::variant::Variant;
use crate::{
    experiment::stand::{Stand, Started},
    process::{Child, END_TIME, Pool, READY_TIME, argument, free_port},
};
use anyhow::{bail, ensure};
use protocol::{
    deadline::Deadline,
    http::{
        Method,
        client::{Ask, ask},
    },
};
use std::{fs, net::SocketAddr, path::PathBuf, thread, time::Duration};

/// The journal, in the folder of the stand.
const JOURNAL: &str = "requests.jsonl";
/// How often we look.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// A load balancer in front of the servers of a stand.
#[derive(Debug)]
pub struct Front {
    /// Where it takes requests.
    pub http: SocketAddr,
    admin: SocketAddr,
    child: Child,
    journal: PathBuf,
}

impl Front {
    /// Starts it with this ring, in front of the servers of the stand, and lets it write a journal.
    ///
    /// # Errors
    /// If it does not start.
    pub fn watched(stand: &Stand, variant: &Variant, seed: u64) -> anyhow::Result<Self> {
        let journal = argument(&stand.path(JOURNAL))?;
        Self::start(stand, variant, seed, &["--journal", &journal])
    }

    /// Starts it with this ring and servers of its own: at first two, with the ids 1 and 2.
    ///
    /// # Errors
    /// If it does not start.
    pub fn with_replicas(stand: &Stand, variant: &Variant, seed: u64, time: Duration) -> anyhow::Result<Self> {
        let (seconds, files) = (time.as_secs_f64().to_string(), stand.path("files"));
        fs::create_dir_all(&files)?;
        let database = format!("--replica-arg=--database={}", argument(&stand.path("database.json"))?);
        let files = format!("--replica-arg=--files={}", argument(&files)?);
        Self::start(
            stand,
            variant,
            seed,
            &["--no-journal", "--replicas", "2", "--replica-time", &seconds, &database, &files],
        )
    }

    fn start(stand: &Stand, variant: &Variant, seed: u64, more: &[&str]) -> anyhow::Result<Self> {
        let http = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let (shown, seed) = (http.to_string(), seed.to_string());
        let flags = [&["--http", &shown, "--seed", &seed], more].concat();
        let Started { child, admin, .. } = stand.start("balancer", &variant.command(&flags))?;
        Ok(Self { http, admin, child, journal: stand.path(JOURNAL) })
    }

    /// `POST /add`: one more replica, with this id.
    ///
    /// # Errors
    /// If it is refused.
    pub fn add(&self, id: &str) -> anyhow::Result<()> {
        self.call(Method::Post, "/add", id)
    }

    /// `DELETE /rm`: without this replica.
    ///
    /// # Errors
    /// If it is refused.
    pub fn remove(&self, id: &str) -> anyhow::Result<()> {
        self.call(Method::Delete, "/rm", id)
    }

    fn call(&self, method: Method, path: &str, id: &str) -> anyhow::Result<()> {
        let question = Ask::new(method, path).json(&serde_json::json!({ "n": 1, "hostnames": [id] }))?;
        let reply = ask(self.http, &question, READY_TIME)?;
        ensure!(reply.status.is_success(), "{path} of {id} was refused: {}", reply.text());
        Ok(())
    }

    /// Waits until it has exactly these servers, and all of them are idle.
    ///
    /// # Errors
    /// If that does not come about in time.
    pub fn wait_for(&mut self, mut ids: Vec<String>) -> anyhow::Result<()> {
        let deadline = Deadline::after(READY_TIME);
        ids.sort();
        loop {
            // Until it listens nobody answers.
            let mut idle = self.idle().unwrap_or_default();
            idle.sort();
            if idle == ids {
                return Ok(());
            }
            self.child.must_live()?;
            if deadline.has_passed() {
                bail!("Wanted the servers {ids:?} idle; the load balancer has {idle:?}");
            }
            thread::park_timeout(LOOK_EVERY);
        }
    }

    /// The ids of all servers, if all of them are idle with nothing in their hands.
    fn idle(&self) -> anyhow::Result<Vec<String>> {
        let servers = Pool::ask(self.admin, Some("http"))?.servers;
        Ok(servers
            .into_iter()
            .map(|one| if one.status == "idle" && one.active == 0 { one.id } else { one.status })
            .collect())
    }

    /// Ends it in order; then its journal is whole. Returns where that is.
    pub fn end(mut self) -> PathBuf {
        // Whoever is gone already needs no asking; where the system has no signals, it is killed.
        if self.child.ask_to_end().is_ok() {
            self.child.end(Deadline::after(END_TIME));
        }
        self.journal
    }
}

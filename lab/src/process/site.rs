//! A laboratory in a folder: starts servers and load balancers there, as often as they are wanted.

use super::{Binary, Child, LOOK_EVERY, READY_TIME, RunFolder, argument};
use anyhow::bail;
use protocol::{
    deadline::Deadline,
    flags::capacity_in_words,
    lifeline::Lifeline,
    registry::{Entry, Registry},
};
use std::{
    path::{Path, PathBuf},
    thread,
};

/// What a server is started with.
#[derive(Clone, Debug)]
pub struct ServerPlan {
    /// Its id.
    pub id: String,
    /// What each request costs, in seconds.
    pub processing_time: f64,
    /// How many requests it takes at once.
    pub capacity: u32,
    /// The folder of its files.
    pub files: PathBuf,
}

/// Where processes are started, and what they hold on to.
#[derive(Debug)]
pub struct Site {
    /// The program.
    pub binary: Binary,
    /// Where everything is written.
    pub folder: RunFolder,
    lifeline: Lifeline,
}

impl Site {
    /// A site in this folder.
    ///
    /// # Errors
    /// If there is no port or thread for the lifeline.
    pub fn new(binary: Binary, folder: RunFolder) -> anyhow::Result<Self> {
        Ok(Self { binary, folder, lifeline: Lifeline::open()? })
    }

    /// Starts the `lab` program under this name, its output in `NAME.log`.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(&self, name: &str, args: &[&str]) -> anyhow::Result<Child> {
        let lifeline = self.lifeline_argument();
        let command = self.binary.command(&[args, &["--lifeline", &lifeline]].concat());
        Child::start(name, command, self.folder.log(name))
    }

    /// What a child is given to hold on to.
    #[must_use]
    pub fn lifeline_argument(&self) -> String {
        self.lifeline.address().to_string()
    }

    /// Starts a server on a free port.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn server(&self, plan: &ServerPlan, more: &[&str]) -> anyhow::Result<Child> {
        let args = self.server_arguments(plan)?;
        let args: Vec<&str> = args.iter().map(String::as_str).chain(more.iter().copied()).collect();
        self.start(&format!("server-{}", plan.id), &args)
    }

    /// What the `lab` program is given to be this server.
    ///
    /// # Errors
    /// If a path of this site is not Unicode.
    pub fn server_arguments(&self, plan: &ServerPlan) -> anyhow::Result<Vec<String>> {
        let (registry, database) = (argument(&self.folder.registry())?, argument(&self.folder.database())?);
        let (seconds, capacity, files) =
            (plan.processing_time.to_string(), capacity_in_words(plan.capacity), argument(&plan.files)?);
        let args = ["server", &plan.id, "0", &seconds, "--capacity", &capacity, "--files", &files];
        let places = ["--registry", &registry, "--database", &database];
        Ok(args.into_iter().chain(places).map(str::to_owned).collect())
    }

    /// Starts a load balancer that listens here and finds its servers in this registry.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn balancer(&self, name: &str, listen: &str, registry: &Path, more: &[&str]) -> anyhow::Result<Child> {
        let registry = argument(registry)?;
        let args = ["loadbalancer", "--listen", listen, "--registry", &registry];
        self.start(name, &[&args[..], more].concat())
    }

    /// Waits until this process has registered itself as this server.
    ///
    /// # Errors
    /// If the process ends, or does not register in time.
    pub fn wait_for_entry(&self, id: &str, server: &mut Child) -> anyhow::Result<Entry> {
        let registry = Registry::new(self.folder.registry());
        let deadline = Deadline::after(READY_TIME);
        loop {
            // A reading that fails is one that comes in the middle of somebody's change by hand: the next one tells.
            let reading = registry.read().unwrap_or_default();
            if let Some(entry) = reading.find(id).filter(|entry| entry.pid == Some(server.pid())) {
                return Ok(entry.clone());
            }
            server.must_live()?;
            if deadline.has_passed() {
                bail!("Server {id} did not register within {} s.", READY_TIME.as_secs());
            }
            thread::park_timeout(LOOK_EVERY / 4);
        }
    }
}

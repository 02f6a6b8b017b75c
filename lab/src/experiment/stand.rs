//! Servers and load balancers of an experiment, and the load on them.

use super::Run;
use crate::process::{Child, END_TIME, List, Pool, READY_TIME, ServerPlan, Site, Totals, free_port, settled};
use anyhow::{Context, bail};
use clap::Parser as _;
use client::load::{self, plan::Args, report::Report};
use protocol::{deadline::Deadline, message::ServerStatus, places::Places, stop::Stop};
use std::{fs, net::SocketAddr, path::PathBuf, thread, time::Duration};

/// How long a load balancer may take until nothing is going on in it any more, when all answers are there.
const SETTLE_TIME: Duration = Duration::from_secs(10);
/// How often we look.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// A server that is wanted. Their ids are 1, 2, 3 …
#[derive(Clone, Copy, Debug)]
pub struct Wish {
    /// What it says it takes for a request.
    pub time: Duration,
    /// What it takes in truth, if that is something else.
    pub really: Option<Duration>,
    /// How many requests it takes at once.
    pub capacity: u32,
}

/// Servers that are there as long as this is.
#[derive(Debug)]
pub struct Stand {
    site: Site,
    servers: Vec<(String, Child)>,
}

/// A load balancer that was just started.
#[derive(Debug)]
pub struct Started {
    /// Its process.
    pub child: Child,
    /// Where it listens for the lab's clients.
    pub address: SocketAddr,
    /// Where it is administered.
    pub admin: SocketAddr,
}

/// A load balancer in front of them.
#[derive(Debug)]
pub struct Balancer {
    /// Where it listens.
    pub address: SocketAddr,
    child: Child,
    list: List,
    admin: SocketAddr,
}

impl Stand {
    /// A stand without servers, in a folder of this name below that of the run.
    ///
    /// # Errors
    /// If the folder cannot be made.
    pub fn empty(run: &Run, name: &str) -> anyhow::Result<Self> {
        let site = Site::new(run.binary.clone(), run.subfolder(name)?)?;
        Ok(Self { site, servers: Vec::new() })
    }

    /// Starts these servers, in a folder of this name below that of the run.
    ///
    /// # Errors
    /// If one does not start; the error shows the end of its log.
    pub fn open(run: &Run, name: &str, wishes: &[Wish]) -> anyhow::Result<Self> {
        let mut stand = Self::empty(run, name)?;
        for (wish, number) in wishes.iter().zip(1..) {
            stand.add(&format!("{number}"), wish, &[])?;
        }
        Ok(stand)
    }

    /// Starts one more server, with this id and these further flags.
    ///
    /// # Errors
    /// If it does not start; the error shows the end of its log.
    pub fn add(&mut self, id: &str, wish: &Wish, more: &[&str]) -> anyhow::Result<()> {
        let files = self.site.folder.path().join("files");
        fs::create_dir_all(&files)?;
        let plan =
            ServerPlan { id: id.to_owned(), processing_time: wish.time.as_secs_f64(), capacity: wish.capacity, files };
        let really = wish.really.map(|really| really.as_secs_f64().to_string());
        let mut flags = [&["--quiet"], more].concat();
        flags.extend(really.iter().flat_map(|really| ["--really", really]));
        let mut child = self.site.server(&plan, &flags)?;
        self.site.wait_for_entry(id, &mut child)?;
        self.servers.push((id.to_owned(), child));
        Ok(())
    }

    /// Starts a load balancer with these flags, and does not wait for it.
    ///
    /// # Errors
    /// If it does not start.
    pub fn start(&self, name: &str, flags: &[&str]) -> anyhow::Result<Started> {
        let port = || SocketAddr::from(([127, 0, 0, 1], free_port()));
        let (address, admin) = (port(), port());
        let shown = admin.to_string();
        let more = [&["--quiet", "--admin", &shown], flags].concat();
        let registry = self.site.folder.registry();
        let child = self.site.balancer(name, &address.to_string(), &registry, &more)?;
        Ok(Started { child, address, admin })
    }

    /// Starts a load balancer with these flags and waits until all servers can be chosen.
    ///
    /// # Errors
    /// If it does not start.
    pub fn balancer(&self, name: &str, flags: &[&str]) -> anyhow::Result<Balancer> {
        let Started { child, address, admin } = self.start(name, &[&["--no-journal"], flags].concat())?;
        let mut list = List::connect_soon(address, Deadline::after(READY_TIME))?;
        list.wait_for(self.servers.len())?;
        Ok(Balancer { address, child, list, admin })
    }

    /// A file of this stand.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.site.folder.path().join(name)
    }

    /// The ids of the servers.
    #[must_use]
    pub fn ids(&self) -> Vec<String> {
        self.servers.iter().map(|(id, _)| id.clone()).collect()
    }

    /// Ends the servers in order.
    pub fn end(self) {
        let Self { site, mut servers } = self;
        drop(site);
        let deadline = Deadline::after(END_TIME);
        servers.iter_mut().for_each(|(_, server)| server.end(deadline));
    }
}

impl Balancer {
    /// Sends load to it: the flags of `client load`.
    ///
    /// # Errors
    /// If the flags make no sense, or nothing was answered.
    pub fn load(&self, flags: &[&str], stop: &Stop) -> anyhow::Result<Report> {
        let address = self.address.to_string();
        let line = [&["client load", "--balancer", &address][..], flags].concat();
        let plan = Args::try_parse_from(line)?.into_plan(&Places::here()?)?;
        let report = load::run(plan, stop, None).context("The load cannot be generated")?;
        match report.errors_by_code.first() {
            Some(error) if report.answers == 0 => bail!("Nothing was answered: {}", error.example),
            _ => Ok(report),
        }
    }

    /// What the load balancer itself has counted, when nothing is going on any more.
    ///
    /// # Errors
    /// If it does not answer, or does not come to rest.
    pub fn counted(&mut self) -> anyhow::Result<Vec<ServerStatus>> {
        let deadline = Deadline::after(SETTLE_TIME);
        loop {
            let list = self.list.ask()?;
            if settled(&list) {
                return Ok(list);
            }
            if deadline.has_passed() {
                bail!("The load balancer does not come to rest: {}", crate::process::shown(&list));
            }
            thread::park_timeout(LOOK_EVERY);
        }
    }

    /// What it has counted in all.
    ///
    /// # Errors
    /// If its administration does not answer.
    pub fn totals(&self) -> anyhow::Result<Totals> {
        // One pool for each frontend. Here there is one.
        Ok(Pool::ask(self.admin, None)?.totals)
    }

    /// Ends it in order.
    pub fn end(mut self) {
        drop(self.list);
        // Whoever is gone already needs no asking; where the system has no signals, it is killed.
        if self.child.ask_to_end().is_ok() {
            self.child.end(Deadline::after(END_TIME));
        }
    }
}

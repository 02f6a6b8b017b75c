//! Where a drill takes place: servers, load balancer, and the lines between them.

use super::{line::Line, question::StockFile, scene::Scene};
use crate::process::{Child, List, READY_TIME, ServerPlan, Site, argument, free_port};
use anyhow::Context;
use protocol::{
    deadline::Deadline,
    registry::{Entry, Registry},
    value::to_hex,
};
use sha2::{Digest, Sha256};
use std::{
    fs,
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
    site: Site,
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
        let start = |(plan, other)| start_server(&site, plan, other, scene.lines);
        let servers: Vec<Standing> = plans.into_iter().map(start).collect::<Result<_, _>>()?;
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let registry = if scene.lines { lined_registry(&site) } else { site.folder.registry() };
        let balancer = start_balancer(&site, address, &registry)?;
        let ground = Self { servers, balancer, address, stock, site };
        ground.list()?.wait_for(ground.servers.len())?;
        Ok(ground)
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
        let (mut plan, lined) = (old.plan.clone(), old.line.is_some());
        let other_files = old.other_files.take().map(|other| std::mem::replace(&mut plan.files, other));
        let new = start_server(&self.site, plan, other_files, lined)?;
        self.servers[server] = new;
        Ok(())
    }

    /// Starts the load balancer again, on the same port.
    ///
    /// # Errors
    /// If it does not start.
    pub fn start_balancer_again(&mut self) -> anyhow::Result<()> {
        let lined = self.servers.iter().any(|server| server.line.is_some());
        let registry = if lined { lined_registry(&self.site) } else { self.site.folder.registry() };
        self.balancer = start_balancer(&self.site, self.address, &registry)?;
        Ok(())
    }

    /// Where it takes place.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.site.folder.path()
    }
}

/// The registry in which servers stand with the addresses of their lines.
fn lined_registry(site: &Site) -> PathBuf {
    site.folder.path().join("lines.json")
}

fn start_server(site: &Site, plan: ServerPlan, other_files: Option<PathBuf>, lined: bool) -> anyhow::Result<Standing> {
    let mut child = site.server(&plan, &[])?;
    let entry = site.wait_for_entry(&plan.id, &mut child)?;
    if !lined {
        return Ok(Standing { plan, child, entry, line: None, other_files });
    }
    let line = Line::to(&entry)?;
    let entry = line.entry(&entry);
    Registry::new(lined_registry(site)).register(&entry)?;
    Ok(Standing { plan, child, entry, line: Some(line), other_files })
}

fn start_balancer(site: &Site, address: SocketAddr, registry: &Path) -> anyhow::Result<Child> {
    let journal = argument(&site.folder.journal())?;
    site.balancer("loadbalancer", &address.to_string(), registry, &["--journal", &journal])
}

/// What a server is started with, and the files with which it is started again if these are others.
type Prepared = (ServerPlan, Option<PathBuf>);

/// Makes the folders and files of the servers, and says what is in them.
fn prepare(folder: &Path, scene: &Scene) -> anyhow::Result<(Vec<Prepared>, Vec<StockFile>)> {
    let folders = folders(folder, scene);
    let prepared = |at: usize| {
        let (id, processing_time, capacity) = ((at + 1).to_string(), scene.processing_time, scene.capacity);
        let files = folders[at % folders.len()].clone();
        let other = scene.copies_differ.then(|| folders[scene.servers + at].clone());
        (ServerPlan { id, processing_time, capacity, files }, other)
    };
    let stock = |number: usize| -> anyhow::Result<StockFile> {
        let name = format!("drill-{number}.bin");
        let write = |(variant, folder): (usize, &PathBuf)| {
            fs::create_dir_all(folder)?;
            write_file(&folder.join(&name), scene.file_size, (number * 1_000 + variant) as u64)
        };
        let digests = folders.iter().enumerate().map(write).collect::<Result<_, _>>()?;
        Ok(StockFile { name, digests })
    };
    let stock = (0..scene.files).map(stock).collect::<Result<_, _>>().context("The drill's files cannot be written")?;
    fs::create_dir_all(&folders[0])?;
    Ok(((0..scene.servers).map(prepared).collect(), stock))
}

/// One folder for all, or, where copies differ, two for each server: first those with which they are started, then
/// those with which they are started again.
fn folders(folder: &Path, scene: &Scene) -> Vec<PathBuf> {
    let count = if scene.copies_differ { scene.servers * 2 } else { 1 };
    (1..=count).map(|number| folder.join(format!("files-{number}"))).collect()
}

/// Writes random bytes, the same for the same seed, and returns their digest.
fn write_file(path: &Path, size: usize, seed: u64) -> std::io::Result<String> {
    let mut bytes = vec![0; size];
    fastrand::Rng::with_seed(seed).fill(&mut bytes);
    fs::write(path, &bytes)?;
    Ok(to_hex(&Sha256::digest(&bytes)))
}

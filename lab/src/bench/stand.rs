//! Where contestants meet: servers, and a way of each kind to them.

use super::contestant::{Contestant, Way};
use crate::process::{Binary, Child, END_TIME, RunFolder, ServerPlan, Site, argument};
use protocol::{deadline::Deadline, registry::Entry};
use std::{fs, path::PathBuf};

/// Servers of a stand: one for each core of the machine that the targets speak of.
const SERVERS: usize = 2;
/// More requests at once than are ever sent.
const CAPACITY: u32 = 10_000;
/// What every file of a source begins with, in bytes: a chunk.
const BLOCK: usize = 1024 * 1024;

/// The servers of a stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Our servers, with a database and small files.
    Small,
    /// Sources, whose large files cost as little as they can.
    Large {
        /// The size of each file, in bytes.
        bytes: u64,
    },
}

/// Servers, and the ways to them. Dropping it ends all of them.
#[derive(Debug)]
pub struct Stand {
    /// Its name, for the files it writes.
    pub name: &'static str,
    /// Where it is.
    pub site: Site,
    /// The registry of its servers.
    pub registry: PathBuf,
    /// The servers.
    pub servers: Vec<Entry>,
    /// The ways to them.
    pub contestants: Vec<Contestant>,
    children: Vec<Child>,
}

impl Stand {
    /// Starts the servers, and then the ways.
    ///
    /// # Errors
    /// If something does not start.
    pub fn open(kind: Kind, binary: &Binary, folder: RunFolder, ways: &[Way]) -> anyhow::Result<Self> {
        let site = Site::new(binary.clone(), folder)?;
        let registry = site.folder.registry();
        let name = if kind == Kind::Small { "small" } else { "large" };
        let mut stand =
            Self { name, site, registry, servers: Vec::new(), contestants: Vec::new(), children: Vec::new() };
        for number in 1..=SERVERS {
            let id = number.to_string();
            let mut child = match kind {
                Kind::Small => stand.server(&id)?,
                Kind::Large { bytes } => stand.source(&id, bytes)?,
            };
            stand.servers.push(stand.site.wait_for_entry(&id, &mut child)?);
            stand.children.push(child);
        }
        for way in ways {
            let contestant = Contestant::open(*way, &stand)?;
            stand.contestants.push(contestant);
        }
        Ok(stand)
    }

    fn server(&self, id: &str) -> anyhow::Result<Child> {
        let files = self.site.folder.path().join("files");
        fs::create_dir_all(&files)?;
        fs::write(files.join("small.csv"), crate::process::COLORS_CSV)?;
        let plan = ServerPlan { id: id.to_owned(), processing_time: 0.0, capacity: CAPACITY, files };
        self.site.server(&plan, &["--quiet"])
    }

    fn source(&self, id: &str, bytes: u64) -> anyhow::Result<Child> {
        let block = self.site.folder.path().join("block");
        fs::write(&block, vec![b'x'; BLOCK])?;
        let (registry, block, bytes) = (argument(&self.registry)?, argument(&block)?, bytes.to_string());
        let args = ["source", id, &bytes, "--registry", &registry, "--block", &block];
        self.site.start(&format!("source-{id}"), &args)
    }

    /// Ends everything in order.
    pub fn end(self) {
        let Self { site, mut contestants, mut children, .. } = self;
        drop(site);
        let deadline = Deadline::after(END_TIME);
        contestants.iter_mut().for_each(|contestant| contestant.end(deadline));
        children.iter_mut().for_each(|child| child.end(deadline));
    }
}

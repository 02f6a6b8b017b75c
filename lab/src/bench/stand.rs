//! Where contestants meet: servers, and a way of each kind to them.

use super::{
    contestant::{Contestant, Way, local_address},
    dns::{self, Programs},
    rival::{self, Also},
    udp,
};
use crate::process::{
    Binary, Child, END_TIME, Postgres, READY_TIME, RunFolder, ServerPlan, Site, argument, start_tied,
};
use anyhow::bail;
use protocol::deadline::Deadline;
use std::{
    fs::{self, File},
    io,
    net::{SocketAddr, TcpStream},
    path::PathBuf,
    thread,
    time::Duration,
};

/// Servers of a stand: one for each core of the machine that the targets speak of.
const SERVERS: usize = 2;
/// Servers that answer datagrams behind a load balancer: as many as in the drills of the ring.
const UDP_SERVERS: usize = 3;
/// More requests at once than are ever sent.
const CAPACITY: u32 = 10_000;
/// What every file of a source begins with, in bytes: a chunk.
const BLOCK: usize = 1024 * 1024;
/// Size of a small answer of nginx, in bytes.
const SMALL: usize = 100;
/// How often we look whether a server listens.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// What a stand is for, and which servers it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The lab's protocol: our servers, with a database and small files.
    Lab,
    /// The lab's protocol: sources, whose large files cost as little as they can.
    Sources,
    /// HTTP: nginx, behind contestants that understand HTTP.
    Http,
    /// The same, behind contestants that pass bytes on and do not look at them.
    Tcp,
    /// DNS in datagrams: name servers.
    Dns,
    /// Datagrams with a tag: our servers, of service `reverse`.
    Udp,
    /// The lab's protocol: our servers, with a PostgreSQL of their own.
    Database,
}

impl Kind {
    /// All, in the order in which they are measured.
    pub const ALL: [Self; 7] = [Self::Sources, Self::Lab, Self::Http, Self::Tcp, Self::Dns, Self::Udp, Self::Database];

    /// Its name, for the files it writes and for those who wait.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Lab => "small",
            Self::Sources => "large",
            Self::Http => "http",
            Self::Tcp => "tcp",
            Self::Dns => "dns",
            Self::Udp => "udp",
            Self::Database => "database",
        }
    }

    /// The mark in `docs/results.md` under which its figures stand.
    #[must_use]
    pub fn mark(self) -> &'static str {
        match self {
            Self::Lab | Self::Sources | Self::Http | Self::Tcp => "bench",
            Self::Dns => "bench dns",
            Self::Udp => "bench udp",
            Self::Database => "bench database",
        }
    }

    /// Whether requests are datagrams, which can be lost; and what they are called.
    #[must_use]
    pub fn datagrams(self) -> Option<&'static str> {
        match self {
            Self::Lab | Self::Sources | Self::Http | Self::Tcp | Self::Database => None,
            Self::Dns => Some("queries"),
            Self::Udp => Some("requests"),
        }
    }

    fn servers(self) -> usize {
        if self == Self::Udp { UDP_SERVERS } else { SERVERS }
    }

    /// Whether clients and servers are not ours.
    #[must_use]
    pub fn is_web(self) -> bool {
        matches!(self, Self::Http | Self::Tcp)
    }

    /// Who speaks what there, as a title of tables.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Lab | Self::Sources => "The lab's protocol (HAProxy in TCP mode)",
            Self::Http => "HTTP (HAProxy in HTTP mode; servers: nginx)",
            Self::Tcp => "TCP (HAProxy in TCP mode; servers: nginx)",
            Self::Dns => "DNS (servers: NSD, or ours where it is not installed)",
            Self::Database => "Reads on PostgreSQL (pgbench: the engine alone)",
            Self::Udp => "UDP (tagged, 8 bytes; servers: ours, which turn three bytes around)",
        }
    }
}

/// Servers, and the ways to them. Dropping it ends all of them.
#[derive(Debug)]
pub struct Stand {
    /// What it is for.
    pub kind: Kind,
    /// Where it is.
    pub site: Site,
    /// The registry of its servers.
    pub registry: PathBuf,
    /// The servers that load balancers have.
    pub servers: Vec<SocketAddr>,
    /// The one that is asked directly, if it is none of these.
    pub alone: Option<SocketAddr>,
    /// The ways to them.
    pub contestants: Vec<Contestant>,
    /// The database server, where there is one.
    pub engine: Option<Postgres>,
    children: Vec<Child>,
}

impl Stand {
    /// Starts the servers, whose large files have so many bytes, and then the ways.
    ///
    /// # Errors
    /// If something does not start.
    pub fn open(
        kind: Kind,
        large: u64,
        binary: &Binary,
        folder: RunFolder,
        (ways, also): (&[Way], &[Also]),
    ) -> anyhow::Result<Self> {
        let site = Site::new(binary.clone(), folder)?;
        let registry = site.folder.registry();
        let nsd = kind == Kind::Dns && Programs::look().nsd.is_some();
        if kind == Kind::Dns {
            dns::write_queries(site.folder.path())?;
        }
        let mut stand = Self {
            kind,
            site,
            registry,
            servers: Vec::new(),
            alone: None,
            contestants: Vec::new(),
            engine: None,
            children: Vec::new(),
        };
        if kind == Kind::Database {
            let engine = Postgres::open(&stand.site)?;
            engine.make_ready(binary, &stand.site.folder.database())?;
            stand.engine = Some(engine);
        }
        for number in 1..=kind.servers() {
            let id = number.to_string();
            let (address, child) = match kind {
                Kind::Lab | Kind::Database => stand.registered(&id, stand.server(&id)?)?,
                Kind::Sources => stand.registered(&id, stand.source(&id, large)?)?,
                Kind::Http | Kind::Tcp => stand.nginx(&id, large)?,
                Kind::Dns => dns::server(&stand.site, &id, nsd)?,
                Kind::Udp => udp::server(&stand.site, &id, udp::TAG_BYTES)?,
            };
            stand.servers.push(address);
            stand.children.push(child);
        }
        if kind == Kind::Udp {
            let (address, child) = udp::server(&stand.site, "direct", "0")?;
            stand.alone = Some(address);
            stand.children.push(child);
        }
        for way in ways {
            let contestant = Contestant::open(*way, &stand, also)?;
            stand.contestants.push(contestant);
        }
        Ok(stand)
    }

    fn registered(&self, id: &str, mut child: Child) -> anyhow::Result<(SocketAddr, Child)> {
        Ok((self.site.wait_for_entry(id, &mut child)?.address, child))
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

    /// An nginx of one process. Its large file is one hole, which no disk needs to hold, and lies in the page cache.
    fn nginx(&self, id: &str, bytes: u64) -> anyhow::Result<(SocketAddr, Child)> {
        let (name, address) = (format!("nginx-{id}"), local_address());
        let files = self.site.folder.path().join("web");
        fs::create_dir_all(&files)?;
        let large = files.join("large.bin");
        File::create(&large)?.set_len(bytes)?;
        // Whoever is measured first would else pay for bringing it there.
        io::copy(&mut File::open(large)?, &mut io::sink())?;
        let config = rival::write(&self.site.folder.path().join(&name), |folder| {
            rival::nginx_origin(folder, address, &files, &"x".repeat(SMALL))
        })?;
        let mut nginx = start_tied(&self.site, &name, &["nginx", "-c", &argument(&config)?])?;
        let deadline = Deadline::after(READY_TIME);
        while TcpStream::connect_timeout(&address, READY_TIME).is_err() {
            nginx.must_live()?;
            if deadline.has_passed() {
                bail!("nginx does not listen on {address}.");
            }
            thread::park_timeout(LOOK_EVERY);
        }
        Ok((address, nginx))
    }

    /// Ends everything in order.
    pub fn end(self) {
        let Self { site, mut contestants, mut children, engine, .. } = self;
        drop(engine);
        drop(site);
        let deadline = Deadline::after(END_TIME);
        contestants.iter_mut().for_each(|contestant| contestant.end(deadline));
        children.iter_mut().for_each(|child| child.end(deadline));
    }
}

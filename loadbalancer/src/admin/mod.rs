//! Administration: looking at a load balancer, and changing it, while it runs. An HTTP API on a port of its own.
//!
//! **The problem.** A load balancer cannot be stopped to look inside, least of all when something is wrong. Whoever
//! administers it needs a way in that still works when the clients have taken everything, and that nobody else can use.
//!
//! **The idea.** A second port, for HTTP because everybody has a client for that: `curl`, a browser, Prometheus, and
//! `loadbalancer ctl`. It has a crew of threads of its own, so that it answers when all clients' threads are busy, and it
//! takes nothing from the path of requests: counters are raised where things happen, and one *snapshot* of the pool, taken
//! under its lock in one look, is what all formats show. So the numbers of `/servers`, `/stats.csv` and `/metrics` agree.
//!
//! Looking is free for whoever reaches the port. Changing needs a token; [`door`] says why that is not enough, and
//! what else is looked at.
//!
//! **Worked example.** Server 2 is to be replaced while clients are at work:
//!
//! ```text
//! loadbalancer ctl drain 2        nothing new goes there
//! loadbalancer ctl servers        until it holds 0 requests
//! loadbalancer ctl remove 2       it is gone; its entry in servers.json does not count any more
//! ```
//!
//! **When it is wrong.** A change made here lives as long as this process: a restart forgets weights, capacities, and who
//! was drained, because the flags and `servers.json` are what a load balancer begins with. Where there are several load
//! balancers each has to be told.
//!
//! **What production systems do.** HAProxy has a Unix socket with commands and an HTTP page; nginx a paid API; Envoy an HTTP
//! port which its manual asks to keep private, because nothing guards it. Who changes many at once uses a control plane
//! (Envoy's xDS).
//!
//! | file                 | what is in it                                                                    |
//! |----------------------|----------------------------------------------------------------------------------|
//! | [`door`]             | who may look, who may change (pure)                                              |
//! | [`fronts`]           | the frontends with their pools, and which of them is meant                       |
//! | [`route`]            | which paths and methods there are (pure)                                         |
//! | [`wish`]             | the bodies of changes, understood                                                |
//! | [`desk`]             | the answers                                                                      |
//! | [`csv`], [`metrics`] | the snapshot as HAProxy and as Prometheus write it (pure)                        |
//! | [`past`]             | what happened lately, and why                                                    |
//! | [`notice`]           | where the port and the token are, for `ctl` to find                              |
//! | [`flags`]            | the flags                                                                        |

pub mod flags;
pub mod door;
pub mod fronts;
pub mod route;
pub mod wish;
pub mod csv;
pub mod metrics;
pub mod past;
pub mod desk;
pub mod notice;

use self::{
    desk::Desk,
    door::Door,
    flags::Opened,
    fronts::{Front, Fronts},
    notice::Notice,
    past::Memory,
};
use crate::{
    event::{Event, Events, why::Past},
    membership::Members,
};
use anyhow::Context as _;
use protocol::{
    http::HttpService,
    listener::{Crew, CrewOptions},
    output::warn,
};
use std::{
    net::SocketAddr,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// Connections to the administration at once. A class with a browser window each, a Prometheus and some `ctl`; more are
/// told to come again.
pub const MAX_CONNECTIONS: usize = 64;
/// How long answers that are being sent may take at the end.
const END_TIME: Duration = Duration::from_secs(1);

/// The administration of a load balancer. Dropping it ends it.
pub struct Admin {
    crew: Crew,
    ending: Arc<AtomicBool>,
    notice: Option<Notice>,
}

/// What is administered.
pub struct Subject {
    /// What is shown, and changed.
    pub fronts: Vec<Front>,
    /// Where servers are added and removed.
    pub members: Arc<Members>,
    /// Where what happens is told.
    pub events: Events,
    /// Where what happened is kept.
    pub past: Past,
}

impl Admin {
    /// Answers on this port, and leaves a note about it in the folder of the run.
    ///
    /// # Errors
    /// If there is no thread for it.
    pub fn start(opened: Opened, folder: &Path, subject: Subject) -> anyhow::Result<Self> {
        let Opened { listener, token } = opened;
        let own = listener.local_addr().context("The port of the administration has no address")?;
        let (notice, token) = Notice::prepare(folder, token)
            .inspect_err(|error| {
                warn!(
                    "Nothing can be changed by administration: no token can be kept in {} ({error}).",
                    folder.display()
                );
            })
            .ok()
            .unzip();
        let Subject { fronts, members, events, past } = subject;
        let ending = Arc::new(AtomicBool::new(false));
        let (told, door) = (events.clone(), Door { own, token });
        let (fronts, memory) = (Fronts(fronts), Memory::new(past));
        let desk = Desk { door, fronts, members, events, memory, ending: Arc::clone(&ending) };
        let options = CrewOptions { name: "admin", max_connections: MAX_CONNECTIONS };
        let crew = Crew::start(listener, options, Arc::new(HttpService::new(desk)));
        let crew = crew.context("No thread for the administration")?;
        if let Some(notice) = &notice {
            notice.leave(own).unwrap_or_else(|error| warn!("`ctl` cannot find this load balancer: {error}."));
        }
        let token = notice.as_ref().and_then(|notice| notice.token_file.clone());
        told.emit(|| Event::AdminListening { address: own, token });
        Ok(Self { crew, ending, notice })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.crew.address()
    }

    /// The file with the token that changes need.
    #[must_use]
    pub fn token_file(&self) -> Option<&Path> {
        self.notice.as_ref()?.token_file.as_deref()
    }

    /// The load balancer is ending: that can be seen now, until this is dropped.
    pub fn ending(&self) {
        self.ending.store(true, Ordering::SeqCst);
    }
}

impl Drop for Admin {
    fn drop(&mut self) {
        self.crew.drain();
        if !self.crew.join(END_TIME) {
            self.crew.abort();
            let _ended = self.crew.join(END_TIME);
        }
    }
}

//! Servers that are any program: a database, a cache, a web server. They are named on the command line, have no control
//! port and do not know of us.
//!
//! **What is known of them.** Their address, and whether they accept a connection: that is their [probe](super::probe), with
//! the same rules as every check. (HAProxy's `check` without anything else does the same.) A process that was stopped still
//! accepts, in the kernel; that it hangs is seen only by whoever waits for its answer. A name server may be asked a question
//! instead.
//!
//! **What is not.** What they are doing. A request that ended in doubt is over here as soon as its connection is closed,
//! because nobody can be asked.

use super::probe::Probe;
use crate::{
    health::{Check, Probes, Verdict},
    pool::{Pool, Server},
};
use anyhow::Context as _;
use crossbeam_channel::{Receiver, Sender, bounded, select};
use protocol::{
    flags::{UNLIMITED, parse_capacity, parse_server_id},
    message::Identity,
};
use std::{
    convert::Infallible,
    net::{SocketAddr, ToSocketAddrs as _},
    str::FromStr,
    sync::Arc,
    thread,
    time::Duration,
};

/// A server as it is named: `127.0.0.1:5432`, `db=127.0.0.1:5432`, `db=localhost:5432,weight=5,capacity=20`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Its id: the address, unless another one is given.
    pub id: String,
    /// Where it serves.
    pub address: SocketAddr,
    /// Its weight, if one is given.
    pub weight: Option<u32>,
    /// How many connections or requests it gets at once.
    pub capacity: u32,
}

impl FromStr for Named {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut words = text.split(',');
        let first = words.next().unwrap_or_default();
        let (id, place) = match first.split_once('=') {
            Some((id, place)) => (Some(parse_server_id(id)?), place),
            None => (None, first),
        };
        let address = resolve(place)?;
        let id = id.unwrap_or_else(|| address.to_string());
        let mut named = Self { id, address, weight: None, capacity: UNLIMITED };
        for word in words {
            match word.split_once('=') {
                Some(("weight", weight)) => named.weight = Some(parse_weight(weight)?),
                Some(("capacity", capacity)) => named.capacity = parse_capacity(capacity)?,
                _ => return Err(format!("'{word}' is neither weight=N nor capacity=N.")),
            }
        }
        Ok(named)
    }
}

fn resolve(place: &str) -> Result<SocketAddr, String> {
    let nowhere = |why: String| format!("'{place}' is no address of a server, as 127.0.0.1:5432 is: {why}");
    let mut found = place.to_socket_addrs().map_err(|error| nowhere(error.to_string()))?;
    let address = found.next().ok_or_else(|| nowhere("the name has no address".to_owned()))?;
    if address.port() == 0 { Err(nowhere("port 0 is nobody's".to_owned())) } else { Ok(address) }
}

fn parse_weight(text: &str) -> Result<u32, String> {
    let weight = text.parse().ok().filter(|weight| crate::pool::WEIGHTS.contains(weight));
    weight.ok_or_else(|| format!("'{text}' is no weight: it is a number from 1 to 256."))
}

/// The threads that probe such servers. Dropping this ends them, and takes their servers out of the pool.
#[derive(Debug, Default)]
pub struct Plain {
    ends: Vec<Sender<Infallible>>,
    ids: Vec<String>,
}

impl Plain {
    /// Puts these servers into the pool, and watches each with a thread of its own (`probe-ID`), by this probe.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn begin(pool: &Arc<Pool>, check: Check, probe: &Probe, servers: &[Named]) -> anyhow::Result<Self> {
        let mut plain = Self::default();
        for named in servers {
            let (end, ended) = bounded(0);
            let (ask, asked) = bounded(1);
            let server = pool.join(&identity(named), 0, ask);
            if named.weight.is_some() {
                pool.weigh(&named.id, named.weight)?;
            }
            let prober = Prober { pool: Arc::clone(pool), server, check, probe: probe.clone(), asked, ended };
            let spawned = thread::Builder::new().name(format!("probe-{}", named.id)).spawn(move || prober.watch());
            spawned.with_context(|| format!("No thread to watch server {}", named.id))?;
            plain.ends.push(end);
            plain.ids.push(named.id.clone());
        }
        Ok(plain)
    }

    /// Looks whether each has an id of its own.
    ///
    /// # Errors
    /// If two have the same.
    pub fn check(servers: &[Named]) -> anyhow::Result<()> {
        let twice = |(at, named): &(usize, &Named)| servers[..*at].iter().any(|other| other.id == named.id);
        match servers.iter().enumerate().find(twice) {
            Some((_, named)) => anyhow::bail!("Two servers are named {}.", named.id),
            None => Ok(()),
        }
    }

    /// The ids of these servers. Nobody else may have them in this pool.
    #[must_use]
    pub fn ids(&self) -> &[String] {
        &self.ids
    }
}

/// What such a server would say of itself.
fn identity(named: &Named) -> Identity {
    Identity {
        nonce: String::new(),
        id: named.id.clone(),
        incarnation: fastrand::u64(1..),
        service: String::new(),
        address: named.address,
        processing_time: 0.0,
        capacity: named.capacity,
        database: None,
        min_version: protocol::frame::VERSION,
        max_version: protocol::frame::VERSION,
        pid: 0,
    }
}

struct Prober {
    pool: Arc<Pool>,
    server: Arc<Server>,
    check: Check,
    probe: Probe,
    asked: Receiver<()>,
    ended: Receiver<Infallible>,
}

impl Prober {
    /// Probes until it is told to end.
    fn watch(self) {
        let mut probes = Probes::new(&self.check);
        loop {
            let doubts = self.pool.doubts(&self.server);
            match self.probe.try_it(self.server.address, self.check.timeout) {
                Ok(()) => {
                    let _enough = probes.good();
                    if probes.is_up() {
                        let _nobody_can_be_asked = self.pool.settle(&self.server, 0, doubts);
                    }
                }
                Err(why) => {
                    self.server.statistics.probes_failed.add_one();
                    if probes.bad() == Some(Verdict::Down) {
                        self.pool.down(&self.server, &format!("its check failed: {why}."));
                    }
                }
            }
            if self.wait(probes.next_in()) {
                return self.pool.leave(&self.server);
            }
        }
    }

    /// Waits until it is time for the next probe, somebody wants one now, or it is over (true).
    fn wait(&self, period: Duration) -> bool {
        select! {
            recv(self.ended) -> _ => true,
            recv(self.asked) -> _ => false,
            default(period) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_named_by_their_address_and_perhaps_more() {
        let named: Named = "127.0.0.1:5432".parse().unwrap();
        assert_eq!((named.id.as_str(), named.weight, named.capacity), ("127.0.0.1:5432", None, UNLIMITED));
        let named: Named = "db=[::1]:5432,weight=5,capacity=20".parse().unwrap();
        assert_eq!((named.id.as_str(), named.weight, named.capacity), ("db", Some(5), 20));
        assert_eq!(named.address, "[::1]:5432".parse().unwrap());
        for wrong in
            ["", "5432", "127.0.0.1", "127.0.0.1:0", "a b=127.0.0.1:1", "127.0.0.1:1,weight=0", "127.0.0.1:1,x=2"]
        {
            assert!(wrong.parse::<Named>().is_err(), "{wrong}");
        }
    }
}

//! Three servers in a ring, and the agents in front of them.

use super::{Agents, EVERY, FOR, Part};
use crate::{
    experiment::{Run, flags::shown_time},
    process::{Child, END_TIME, Pool, READY_TIME, Site, argument, free_port},
};
use anyhow::{Context, bail};
use protocol::deadline::Deadline;
use std::{
    collections::BTreeSet,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

/// How many servers there are.
pub const SERVERS: usize = 3;
/// How often we look.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// The servers of a ring, with their agents.
#[derive(Debug)]
pub struct Ring {
    site: Site,
    servers: Vec<Server>,
    agents: Vec<Agent>,
}

/// A server, which may be killed and started again.
#[derive(Debug)]
struct Server {
    id: String,
    args: Vec<String>,
    child: Child,
}

/// A load balancer for datagrams.
#[derive(Debug)]
pub struct Agent {
    /// Where it takes requests.
    pub udp: SocketAddr,
    /// Where it is administered.
    pub admin: SocketAddr,
    child: Child,
}

impl Ring {
    /// Starts all, in a folder of this name below that of the run, and waits until the agents know the servers.
    ///
    /// # Errors
    /// If something does not start; the error shows the end of its log.
    pub fn open(run: &Run, agents: &Agents, part: Part, name: &str) -> anyhow::Result<Self> {
        let site = Site::new(run.binary.clone(), run.subfolder(name)?)?;
        let ring_ports: Vec<u16> = (0..SERVERS).map(|_| free_port()).collect();
        let mut ring = Self { site, servers: Vec::new(), agents: Vec::new() };
        for at in 0..SERVERS {
            let args = ring.arguments(agents, part, at, &ring_ports)?;
            let id = (at + 1).to_string();
            let child = ring.start_server(&id, &args)?;
            ring.servers.push(Server { id, args, child });
        }
        for n in 1..=agents.agents {
            let agent = ring.start_agent(&format!("agent-{n}"))?;
            ring.agents.push(agent);
        }
        ring.wait_until_all_were_idle()?;
        Ok(ring)
    }

    /// The agents.
    #[must_use]
    pub fn agents(&self) -> &[Agent] {
        &self.agents
    }

    /// What the servers print.
    #[must_use]
    pub fn logs(&self) -> Vec<PathBuf> {
        self.servers.iter().map(|server| self.site.folder.log(&format!("server-{}", server.id))).collect()
    }

    /// `kill -9` of one of them.
    pub fn kill(&mut self, at: usize) {
        self.servers[at].child.kill();
    }

    /// Starts one of them again, at the same port; returns when it runs.
    ///
    /// # Errors
    /// If it does not start.
    pub fn start_again(&mut self, at: usize) -> anyhow::Result<()> {
        let (id, args) = (self.servers[at].id.clone(), self.servers[at].args.clone());
        self.servers[at].child = self.start_server(&id, &args)?;
        Ok(())
    }

    /// Ends all in order. Returns how many requests each server has answered, by its own statistics.
    ///
    /// # Errors
    /// If their statistics cannot be read.
    pub fn end(mut self) -> anyhow::Result<Vec<u64>> {
        let files: Vec<PathBuf> = self.servers.iter().map(|server| csv(&self.site, &server.id)).collect();
        let children = self.agents.iter_mut().map(|agent| &mut agent.child);
        for child in children.chain(self.servers.iter_mut().map(|server| &mut server.child)) {
            // Whoever is gone already needs no asking; where the system has no signals, it is killed.
            if child.ask_to_end().is_ok() {
                child.end(Deadline::after(END_TIME));
            }
        }
        files.iter().map(|file| answered(file)).collect()
    }

    fn arguments(&self, agents: &Agents, part: Part, at: usize, ring_ports: &[u16]) -> anyhow::Result<Vec<String>> {
        let registry = argument(&self.site.folder.registry())?;
        let id = (at + 1).to_string();
        let (port, statistics) = (free_port().to_string(), argument(&csv(&self.site, &id))?);
        let mut args = vec!["server", &id, &port, "0", "--service", "reverse", "--capacity", "unlimited"];
        args.extend(["--tag-bytes", "8", "--registry", &registry, "--statistics", &statistics]);
        let sample = shown_time(agents.scaled(super::SAMPLE));
        args.extend(["--statistics-every", &sample]);
        let here = |at: usize| format!("127.0.0.1:{}", ring_ports[at % SERVERS]);
        let (me, neighbours) = (here(at), format!("{},{}", here(at + SERVERS - 1), here(at + 1)));
        let (every, long) = (shown_time(agents.scaled(EVERY)), shown_time(agents.scaled(FOR)));
        if part == Part::Drills {
            args.extend(["--ring-listen", &me, "--ring", &neighbours, "--drill-every", &every, "--drill-for", &long]);
        } else {
            args.push("--quiet");
        }
        Ok(args.into_iter().map(str::to_owned).collect())
    }

    fn start_server(&self, id: &str, args: &[String]) -> anyhow::Result<Child> {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let mut child = self.site.start(&format!("server-{id}"), &args)?;
        self.site.wait_for_entry(id, &mut child)?;
        Ok(child)
    }

    fn start_agent(&self, name: &str) -> anyhow::Result<Agent> {
        let port = || SocketAddr::from(([127, 0, 0, 1], free_port()));
        let (listen, udp, admin) = (port().to_string(), port(), port());
        let (at, shown) = (udp.to_string(), admin.to_string());
        let flags = ["--quiet", "--no-journal", "--admin", &shown, "--udp", &at, "--balance", "round-robin"];
        let child = self.site.balancer(name, &listen, &self.site.folder.registry(), &flags)?;
        Ok(Agent { udp, admin, child })
    }

    /// Waits until each agent has found each server idle. Not all of them at once: with drills three times as often as one
    /// server holds them, and a moment after each until it is believed again, that may not come about for a long time.
    fn wait_until_all_were_idle(&mut self) -> anyhow::Result<()> {
        let deadline = Deadline::after(READY_TIME);
        for agent in &mut self.agents {
            let mut met = Met::default();
            loop {
                // Until it listens nobody answers.
                let pool = Pool::ask(agent.admin, Some("udp"));
                if pool.as_ref().is_ok_and(|pool| met.all_of(pool)) {
                    break;
                }
                agent.child.must_live()?;
                if deadline.has_passed() {
                    bail!("An agent has found only the servers {:?} idle: {pool:?}", met.0);
                }
                thread::park_timeout(LOOK_EVERY);
            }
        }
        Ok(())
    }
}

/// The servers that an agent has found idle so far.
#[derive(Debug, Default)]
struct Met(BTreeSet<String>);

impl Met {
    /// Notes those that are idle now; whether all were by now.
    fn all_of(&mut self, pool: &Pool) -> bool {
        let idle = pool.servers.iter().filter(|server| server.status == "idle");
        self.0.extend(idle.map(|server| server.id.clone()));
        self.0.len() == SERVERS
    }
}

fn csv(site: &Site, id: &str) -> PathBuf {
    site.folder.path().join(format!("server-{id}.csv"))
}

/// The sum of the column `answered`.
fn answered(file: &Path) -> anyhow::Result<u64> {
    let text = fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?;
    Ok(text.lines().skip(1).filter_map(|line| line.split(',').nth(1)?.parse::<u64>().ok()).sum())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::{Member, Totals};

    /// By turns, one of the three is always down.
    #[test]
    fn servers_that_are_never_all_idle_at_once_are_met_all_the_same() {
        let pool = |down: usize| {
            let status = |at: usize| if at == down { "down" } else { "idle" }.to_owned();
            let (totals, named) = (Totals { requests: 0, copies_sent: 0, copies_won: 0 }, |at: usize| at.to_string());
            let member =
                |at| Member { id: named(at), status: status(at), state: status(at), active: 0, answered: 0, chosen: 0 };
            Pool { pool: "udp".to_owned(), totals, servers: (1..=SERVERS).map(member).collect() }
        };
        let mut met = Met::default();
        assert!(!met.all_of(&pool(2)));
        assert!(!met.all_of(&pool(2)), "the second one is not there at all");
        assert!(met.all_of(&pool(3)), "it is, and the third one was");
    }
}

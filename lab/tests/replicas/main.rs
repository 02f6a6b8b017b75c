//! Servers that the load balancer starts itself: what the coursework's calls answer, and that N holds whatever is killed. All are
//! real processes.

#![allow(clippy::unwrap_used, reason = "a test that unwraps in vain has failed")]
#![cfg(target_os = "linux")]

#[path = "../kit/mod.rs"]
mod kit;
mod caller;
mod calls;
mod losses;
mod load;
mod ring;

use caller::{Caller, Told, ask};
use kit::{Process, World, address_in, eventually};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    collections::HashMap,
    net::SocketAddr,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// A load balancer with replicas.
struct Stage {
    balancer: Process,
    http: SocketAddr,
    /// The process of each replica that was ever started, by its id.
    pids: HashMap<String, u32>,
    world: World,
}

impl Stage {
    /// With so many replicas, which are in service, and these flags.
    fn with(n: usize, flags: &[&str]) -> Self {
        let mut stage = Self::begun(n, flags);
        for _ in 0..n {
            stage.balancer.wait_for("is in service");
        }
        stage.look();
        stage
    }

    /// The same, but nobody is waited for.
    fn begun(n: usize, flags: &[&str]) -> Self {
        let (world, n) = (World::new(), n.to_string());
        let fixed = ["loadbalancer", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
        let own = ["--no-journal", "--replicas", &n, "--replica-arg=--files=files"];
        let mut balancer = world.spawn(&[&fixed[..], &own, flags].concat());
        let http = address_in(&balancer.wait_for("Frontend http is listening on"));
        Self { balancer, http, pids: HashMap::new(), world }
    }

    fn ask(&self, line: &str, body: &str) -> Told {
        ask(self.http, line, body)
    }

    /// Asks `/home` once, in a thread: which replica has the request, and who waits for the answer.
    fn begin_home(&mut self) -> (String, JoinHandle<Told>) {
        let http = self.http;
        let asking = thread::spawn(move || ask(http, "GET /home", ""));
        let line = self.balancer.wait_for("Chosen server: ");
        (line.trim_start_matches("Chosen server: ").to_owned(), asking)
    }

    /// The ids of the replicas, as they are listed.
    fn ids(&self) -> Vec<String> {
        let names = self.ask("GET /rep", "").names();
        names.iter().map(|name| name.trim_start_matches("Server ").to_owned()).collect()
    }

    /// Notes which process is which, from all that was said so far.
    fn look(&mut self) {
        for line in self.balancer.said().lines() {
            if let Some((id, pid)) =
                line.strip_prefix("Started replica ").and_then(|rest| rest.split_once(" (process "))
            {
                self.pids.insert(id.to_owned(), pid.trim_end_matches(").").parse().unwrap());
            }
        }
    }

    /// Sends a signal to the process of this replica.
    fn signal(&mut self, id: &str, signal: Signal) {
        self.look();
        let pid = Pid::from_raw(i32::try_from(self.pids[id]).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Waits until another one is in the place of this one. The milliseconds that were told.
    fn replaced(&mut self, id: &str) -> u64 {
        let line = self.balancer.wait_for(&format!("Replica {id} is replaced by"));
        let (_, rest) = line.split_once(", ").unwrap();
        rest.split_once(" ms").unwrap().0.parse().unwrap()
    }
}

impl Drop for Stage {
    /// The others end with the load balancer. A process that is stopped cannot notice that it has gone.
    fn drop(&mut self) {
        self.balancer.kill();
        for pid in self.pids.values().filter(|pid| state(**pid) == Some('T')) {
            let pid = Pid::from_raw(i32::try_from(*pid).unwrap_or_default());
            let _gone_already = pid.map(|pid| kill_process(pid, Signal::KILL));
        }
    }
}

/// The letter of the state that the process is in, if there is one.
fn state(pid: u32) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.trim_start().chars().next()
}

/// Whether the process lives. One that has ended and was not waited for by anybody does not.
fn lives(pid: u32) -> bool {
    state(pid).is_some_and(|state| !['Z', 'X'].contains(&state))
}

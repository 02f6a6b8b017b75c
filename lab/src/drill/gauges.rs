//! What the processes of a drill hold when nobody asks: threads, descriptors, requests. A drill must leave them as it
//! found them.

use super::ground::Ground;
use crate::process::{LOOK_EVERY, List, settled, shown};
use protocol::{deadline::Deadline, handshake::Control, limits::CONTROL_TIME, listener::RESTING};
use serde::{Deserialize, Serialize};
use std::{thread, time::Duration};

/// How long it may take until all is as it was, on a machine that may be busy with something else.
const CALM_TIME: Duration = Duration::from_secs(30);

/// Descriptors that a request may leave open for the next one, in the load balancer one for each of up to four servers,
/// in a server a connection and a database of three files.
const DESCRIPTORS_KEPT: usize = 4;

/// What the processes hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gauges {
    /// Whether every server is idle with nothing in its hands, as the load balancer sees it, and none has a request,
    /// as it says itself. Then nothing waits either.
    pub idle: bool,
    /// The load balancer's list in one line.
    pub servers: String,
    /// Threads and descriptors of the load balancer, then of each server. Not every system tells.
    pub processes: Vec<Process>,
}

/// What one process holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Its name.
    pub name: String,
    /// Its threads.
    pub threads: usize,
    /// Its open file descriptors.
    pub descriptors: usize,
    /// Its memory that is in use, in KiB.
    pub memory_kib: u64,
}

impl Gauges {
    /// Waits until nothing is going on, and reads them.
    ///
    /// # Errors
    /// If the load balancer cannot be asked.
    pub fn when_calm(ground: &Ground) -> anyhow::Result<Self> {
        Self::read_until(ground, |gauges| gauges.idle)
    }

    /// Waits until they are as they were, and reads them; when they do not get there, as they are.
    ///
    /// # Errors
    /// If the load balancer cannot be asked.
    pub fn when_back(ground: &Ground, before: &Self, room: usize) -> anyhow::Result<Self> {
        Self::read_until(ground, |gauges| gauges.is_back(before, room))
    }

    /// Whether they are as they were: idle, and no process holds more than before. A process that was started again may
    /// hold less. What is kept for the next request (connections, threads, an open database) differs by what happened to
    /// be in process at the same moment, so there is `room` for that many requests, never for as many as were asked.
    #[must_use]
    pub fn is_back(&self, before: &Self, room: usize) -> bool {
        let within = |now: &Process, before: &Process| {
            let descriptors = before.descriptors + room * DESCRIPTORS_KEPT;
            now.threads <= before.threads + room + RESTING && now.descriptors <= descriptors
        };
        // A server that joined meanwhile is held against one that was there.
        let one_of_them = before.processes.last();
        let mut pairs = self.processes.iter().map(|now| {
            let same = before.processes.iter().find(|process| process.name == now.name);
            (now, same.or(one_of_them))
        });
        let all_there = self.processes.len() >= before.processes.len();
        self.idle && all_there && pairs.all(|(now, before)| before.is_some_and(|before| within(now, before)))
    }

    fn read_until(ground: &Ground, reached: impl Fn(&Self) -> bool) -> anyhow::Result<Self> {
        let deadline = Deadline::after(CALM_TIME);
        let mut list = ground.list()?;
        loop {
            let gauges = Self::read(ground, &mut list)?;
            if reached(&gauges) || deadline.has_passed() {
                return Ok(gauges);
            }
            thread::park_timeout(LOOK_EVERY);
        }
    }

    fn read(ground: &Ground, list: &mut List) -> anyhow::Result<Self> {
        let servers = list.ask()?;
        let has_nothing = |control| {
            let alive = Control::connect(control, CONTROL_TIME).and_then(|mut it| it.heartbeat(CONTROL_TIME));
            alive.is_ok_and(|alive| alive.active == 0)
        };
        let idle = servers.len() == ground.servers.len()
            && settled(&servers)
            && ground.servers.iter().all(|server| has_nothing(server.entry.control));
        let balancer = Process::read("load balancer", ground.balancer.pid());
        let others = ground.servers.iter();
        let others = others.map(|server| Process::read(&format!("server {}", server.plan.id), server.child.pid()));
        let processes = std::iter::once(balancer).chain(others).flatten().collect();
        Ok(Self { idle, servers: shown(&servers), processes })
    }
}

impl Process {
    /// Looks into /proc, where there is one.
    fn read(name: &str, pid: u32) -> Option<Self> {
        let count = |what: &str| Some(std::fs::read_dir(format!("/proc/{pid}/{what}")).ok()?.count());
        let memory_kib = memory_kib(pid, "VmRSS:").unwrap_or_default();
        Some(Self { name: name.to_owned(), threads: count("task")?, descriptors: count("fd")?, memory_kib })
    }
}

/// What a process uses of memory by now (`VmRSS:`), or has used at the most (`VmHWM:`), in KiB.
pub(super) fn memory_kib(pid: u32, which: &str) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix(which))?.split_whitespace().next()?.parse().ok()
}

impl std::fmt::Display for Gauges {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.servers)?;
        for process in &self.processes {
            write!(f, "; {} {} threads {} descriptors", process.name, process.threads, process.descriptors)?;
        }
        Ok(())
    }
}

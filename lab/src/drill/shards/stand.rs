//! A load balancer with a sharded table, and its servers.

use super::Setting;
use crate::process::{Binary, Child, LOOK_EVERY, READY_TIME, RunFolder, Site, argument, free_port};
use anyhow::{Context, bail, ensure};
use protocol::{
    deadline::Deadline,
    http::{
        Method, Status,
        client::{self, Ask},
    },
    places::Places,
    registry::Entry,
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::PathBuf,
    process::Stdio,
    thread,
    time::Duration,
};

/// How long a copy may take; and whatever the load balancer waits for when servers are added, which is 90 s.
pub(super) const PATIENCE: Duration = Duration::from_secs(100);

/// What was started. Dropping it ends all of it.
pub(super) struct Stand {
    address: SocketAddr,
    balancer: Child,
    lives: usize,
    site: Site,
    binary: Binary,
}

impl Stand {
    /// Starts everything, with the coursework's default.
    pub(super) fn open(setting: &Setting) -> anyhow::Result<Self> {
        let folder = RunFolder::make(&Places::here()?, "drill", Some(&setting.folder))?;
        let site = Site::new(setting.binary.clone(), folder)?;
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let balancer = start(&site, address, 1)?;
        let mut stand = Self { address, balancer, lives: 1, site, binary: setting.binary.clone() };
        stand.wait_until_there()?;
        let reply = client::ask(address, &Ask::post("/init"), PATIENCE)?;
        ensure!(reply.status == Status::OK, "The table is not configured: {}", reply.text());
        Ok(stand)
    }

    /// Ends it, when something did not go on.
    pub(super) fn must_live(&mut self) -> anyhow::Result<()> {
        self.balancer.must_live()
    }

    /// What the load balancer has said in this life, in whole lines.
    pub(super) fn said(&self) -> String {
        let mut said = fs::read_to_string(self.site.folder.log(&name(self.lives))).unwrap_or_default();
        said.truncate(said.rfind('\n').unwrap_or(0));
        said
    }

    /// Where it is asked.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    fn wait_until_there(&mut self) -> anyhow::Result<()> {
        let deadline = Deadline::after(READY_TIME);
        while client::ask(self.address, &Ask::get("/heartbeat"), READY_TIME).is_err() {
            self.balancer.must_live()?;
            ensure!(!deadline.has_passed(), "The load balancer does not answer");
            thread::park_timeout(LOOK_EVERY);
        }
        Ok(())
    }

    /// Kills the load balancer, and starts another one.
    pub(super) fn start_again(&mut self) -> anyhow::Result<()> {
        self.balancer.kill();
        self.lives += 1;
        self.balancer = start(&self.site, self.address, self.lives)?;
        self.wait_until_there()
    }

    /// The numbers of its servers' processes.
    pub(super) fn server_pids(&self) -> anyhow::Result<Vec<Pid>> {
        let balancer = self.balancer.pid();
        let mut pids = Vec::new();
        for entry in fs::read_dir("/proc").context("There is no /proc to find the servers in")? {
            let Ok(pid) = entry?.file_name().to_string_lossy().parse::<i32>() else { continue };
            let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { continue };
            // Behind the name: the state, and the number of the parent.
            let mut fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace();
            let lives = fields.next().is_some_and(|state| state != "Z");
            if lives && fields.next() == Some(balancer.to_string().as_str()) {
                pids.extend(Pid::from_raw(pid));
            }
        }
        Ok(pids)
    }

    fn folder(&self) -> PathBuf {
        self.site.folder.path().join("shards")
    }

    /// Waits until each server has everything of its shards, as the state says.
    pub(super) fn wait_until_in_step(&mut self, keys: i64) -> anyhow::Result<()> {
        let deadline = Deadline::after(PATIENCE);
        loop {
            let state: Value = serde_json::from_slice(&fs::read(self.folder().join("state.json"))?)?;
            let asked = client::ask(self.address, &everything(keys), PATIENCE);
            if asked.is_ok_and(|reply| reply.status == Status::OK) && all_in_step(&state) {
                return Ok(());
            }
            self.balancer.must_live()?;
            if deadline.has_passed() {
                bail!("Not all servers have everything: {}", state["in_step"]);
            }
            thread::park_timeout(LOOK_EVERY);
        }
    }

    /// Ends the load balancer and its servers, and asks each file for its copies: by shard, what each of its servers has.
    pub(super) fn copies(&mut self) -> anyhow::Result<BTreeMap<String, Vec<String>>> {
        let state: Value = serde_json::from_slice(&fs::read(self.folder().join("state.json"))?)?;
        self.balancer.ask_to_end()?;
        ensure!(self.balancer.ends_by(Deadline::after(PATIENCE)), "The load balancer does not end");
        let mut copies: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (server, shards) in state["map"]["servers"].as_object().context("The state has no servers")? {
            for shard in shards.as_array().into_iter().flatten().filter_map(Value::as_str) {
                copies.entry(shard.to_owned()).or_default().push(self.copy(server, shard)?);
            }
        }
        Ok(copies)
    }

    fn copy(&self, server: &str, shard: &str) -> anyhow::Result<String> {
        let file = argument(&self.folder().join(format!("{server}.sqlite")))?;
        let args = ["server", "--service", "shard", "--announce", "--quiet", "--shard-file", &file, "0", "0", "0"];
        let mut child = self.binary.command(&args).stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let copied = child.stdout.take().context("It has no output").and_then(|pipe| {
            let mut line = String::new();
            BufReader::new(pipe).read_line(&mut line)?;
            let entry: Entry = serde_json::from_str(&line)?;
            let ask = Ask::new(Method::Get, "/copy").json(&json!({ "shards": [shard] }))?.limit(u64::MAX);
            let reply = client::ask(entry.address, &ask, PATIENCE)?;
            ensure!(reply.status == Status::OK, "{}", reply.text());
            Ok(reply.text())
        });
        child.kill().and_then(|()| child.wait())?;
        copied.with_context(|| format!("The file of {server} cannot be read"))
    }
}

fn start(site: &Site, address: SocketAddr, life: usize) -> anyhow::Result<Child> {
    let (at, journal) = (address.to_string(), argument(&site.folder.path().join(format!("journal-{life}.jsonl")))?);
    // Not quiet: what it says about its servers is measured.
    let more = ["--journal", &journal, "--admin", "127.0.0.1:0", "--shards", &at];
    site.balancer(&name(life), "127.0.0.1:0", &site.folder.registry(), &more)
}

fn everything(keys: i64) -> Ask {
    Ask::post("/read").body(json!({ "Stud_id": { "low": 0, "high": keys - 1 } }).to_string())
}

fn name(life: usize) -> String {
    format!("loadbalancer-{life}")
}

fn all_in_step(state: &Value) -> bool {
    let servers = state["map"]["servers"].as_object().into_iter().flatten();
    let mut pairs =
        servers.flat_map(|(server, shards)| shards.as_array().into_iter().flatten().map(move |id| (server, id)));
    let has = |(server, id): (&String, &Value)| {
        let in_step = state["in_step"][id.as_str().unwrap_or_default()].as_array();
        in_step.is_some_and(|all| all.iter().any(|name| name == server))
    };
    pairs.all(has)
}

/// Kills a process, if it lives.
pub(super) fn kill(pid: Pid) {
    let _gone_already = kill_process(pid, Signal::KILL);
}

/// Stops a process, if it lives. Its load balancer has to find out.
pub(super) fn freeze(pid: Pid) {
    let _gone_already = kill_process(pid, Signal::STOP);
}

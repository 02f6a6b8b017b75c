//! A real network on which packets vanish, made of namespaces of the kernel.
//!
//! **The problem.** A process that is gone is told by its kernel: connections are reset or refused. A machine that has
//! lost its power, or whose cable is pulled, tells nothing: packets go out, none comes back, and TCP sends again and
//! again. No [`Line`](super::line::Line) between sockets can play that, because the kernel under it still
//! acknowledges every byte.
//!
//! **The idea.** Linux can have several networks that know nothing of each other (*network namespaces*), and virtual
//! cables between them (*veth pairs*). So the drill plays in a network of its own, with each server behind a cable:
//!
//! ```text
//!   a namespace of the drill's own              one for each server
//!   lab, load balancer   lab-1 10.77.1.1 ────── 10.77.1.2 far   server 1
//!                        lab-2 10.77.2.1 ────── 10.77.2.2 far   server 2
//! ```
//!
//! To lose all packets of server 1, each side is told that the other one's network card has another address than it has
//! (`ip neigh replace … lladdr … nud permanent`). Frames then still leave on the cable, arrive, and are dropped there
//! because they are for nobody: no error, no reset, no carrier lost, in both directions. TCP cannot know.
//!
//! **Clean.** Nothing of the machine's own network is touched: the outermost namespace is new, too, and the whole drill is
//! started again inside of it (`unshare`; without root in a user namespace of its own). Namespaces and cables have no name
//! outside and end with the last process in them, whatever ends the drill.
//!
//! **Where it is not allowed** (no Linux, no `ip` or `unshare`, a container that forbids it) the drill says so and uses
//! lines instead.
//!
//! Sources: `ip-netns(8)`, `veth(4)`, `unshare(1)`; Mininet (B. Lantz et al., *A Network in a Laptop*, HotNets 2010), which
//! builds whole networks so. Others lose packets by `tc netem loss 100%` or a firewall's DROP; both need modules of the
//! kernel that are not everywhere.

use crate::{
    drill::{Report, Scene, Setting},
    process::{Binary, Child, LOOK_EVERY, READY_TIME, Site, argument, start_tied},
};
use anyhow::{Context, bail};
use protocol::deadline::Deadline;
use std::{
    fs,
    net::Ipv4Addr,
    process::{Command, Stdio},
    thread,
};

/// Ways into a network of our own: as root, and as anybody.
const WAYS: [&[&str]; 2] = [&["unshare", "-n"], &["unshare", "-Urn"]];
/// What every holder of a namespace does, for longer than any drill.
const HOLDER: [&str; 4] = ["unshare", "-n", "sleep", "3600"];
/// A card that nobody has.
const NOBODY: &str = "02:1a:b0:ff:ff:ff";

/// The way into a network of our own.
///
/// # Errors
/// A sentence, if there is none here.
pub fn way_in() -> Result<&'static [&'static str], String> {
    // The whole way at once: a new namespace, and a cable in it.
    let cable = ["ip", "link", "add", "lab-try", "type", "veth", "peer", "name", "lab-end"];
    let mut why = "network namespaces are not allowed".to_owned();
    for way in WAYS {
        match run(&[way, &cable].concat()) {
            Ok(()) => return Ok(way),
            Err(error) => why = format!("{error:#}"),
        }
    }
    Err(why)
}

/// Plays a drill again inside of a network of its own, and returns what it reports.
///
/// # Errors
/// If it cannot be played.
pub fn play_apart(way: &[&str], name: &str, setting: &Setting, scene: &Scene, site: &Site) -> anyhow::Result<Report> {
    let (binary, folder) = (argument(setting.binary.path())?, argument(site.folder.path())?);
    let numbers = [scene.load.clients.to_string(), scene.load.requests.to_string(), setting.seed.to_string()];
    let [clients, requests, seed] = numbers.each_ref().map(String::as_str);
    let drill = [&binary, "drill", name, "--clients", clients, "--requests", requests, "--seed", seed];
    let mut inside = start_tied(site, "inside", &[way, &drill, &["--json", "--apart", &folder]].concat())?;
    // It is over when its report is there, or it has ended without one.
    let report = site.folder.path().join("report.json");
    let mut told = false;
    let ended = loop {
        if let Err(ended) = inside.must_live() {
            break ended;
        }
        if setting.stop.wait_timeout(LOOK_EVERY) && !told {
            told = true;
            inside.ask_to_end()?;
        }
        if told {
            thread::park_timeout(LOOK_EVERY);
        }
    };
    let report = fs::read(&report).map_err(|_| ended.context("The drill in a network of its own was not played"))?;
    serde_json::from_slice(&report).context("The report of the drill cannot be read")
}

/// Makes a network of our own usable: only its loopback is there yet.
///
/// # Errors
/// If it cannot be set up.
pub fn begin() -> anyhow::Result<()> {
    run(&["ip", "link", "set", "lo", "up"])
}

/// A cable to a namespace in which a server can run. Dropping it ends both.
#[derive(Debug)]
pub struct Wire {
    number: u8,
    holder: Child,
}

impl Wire {
    /// Lays a cable to a new namespace.
    ///
    /// # Errors
    /// If the system does not allow it.
    pub fn lay(site: &Site, number: usize) -> anyhow::Result<Self> {
        let holder = start_tied(site, &format!("network-{number}"), &HOLDER)?;
        let wire = Self { number: u8::try_from(number)?, holder };
        wire.wait_until_it_is_there()?;
        let (pid, end) = (wire.holder.pid().to_string(), wire.near_end());
        let (near, far) = (wire.near_card(), wire.far_card());
        let cable = ["type", "veth", "peer", "name", "far", "address", &far, "netns", &pid];
        run(&[&["ip", "link", "add", &end, "address", &near][..], &cable].concat())?;
        run(&["ip", "addr", "add", &format!("{}/30", wire.near()), "dev", &end])?;
        run(&["ip", "link", "set", &end, "up"])?;
        wire.run_there(&["ip", "addr", "add", &format!("{}/30", wire.far()), "dev", "far"])?;
        wire.run_there(&["ip", "link", "set", "far", "up"])?;
        wire.run_there(&["ip", "link", "set", "lo", "up"])?;
        wire.heal()?;
        Ok(wire)
    }

    /// From now on every packet is lost, in both directions.
    ///
    /// # Errors
    /// If the system does not do it.
    pub fn lose_everything(&self) -> anyhow::Result<()> {
        self.cards(NOBODY, NOBODY)
    }

    /// From now on every packet arrives.
    ///
    /// # Errors
    /// If the system does not do it.
    pub fn heal(&self) -> anyhow::Result<()> {
        self.cards(&self.near_card(), &self.far_card())
    }

    /// Where the server listens.
    #[must_use]
    pub fn far(&self) -> Ipv4Addr {
        Ipv4Addr::new(10, 77, self.number, 2)
    }

    /// A program at the far end: what stands before its command.
    #[must_use]
    pub fn there(&self) -> Vec<String> {
        ["nsenter", "-t", &self.holder.pid().to_string(), "-n", "--"].map(str::to_owned).to_vec()
    }

    fn near(&self) -> Ipv4Addr {
        Ipv4Addr::new(10, 77, self.number, 1)
    }

    fn near_end(&self) -> String {
        format!("lab-{}", self.number)
    }

    fn near_card(&self) -> String {
        format!("02:1a:b0:00:{:02x}:01", self.number)
    }

    fn far_card(&self) -> String {
        format!("02:1a:b0:00:{:02x}:02", self.number)
    }

    /// Tells each end which card the other one has.
    fn cards(&self, near: &str, far: &str) -> anyhow::Result<()> {
        let (near_address, far_address, near_end) = (self.near().to_string(), self.far().to_string(), self.near_end());
        let card =
            |address, card, end| ["ip", "neigh", "replace", address, "lladdr", card, "nud", "permanent", "dev", end];
        run(&card(&far_address, far, &near_end))?;
        self.run_there(&card(&near_address, near, "far"))
    }

    fn run_there(&self, command: &[&str]) -> anyhow::Result<()> {
        let there = self.there();
        let there: Vec<&str> = there.iter().map(String::as_str).collect();
        run(&[&there, command].concat())
    }

    /// The holder is started before it has left our namespace.
    fn wait_until_it_is_there(&self) -> anyhow::Result<()> {
        let network = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/net"));
        let (own, pid, deadline) = (network("self")?, self.holder.pid().to_string(), Deadline::after(READY_TIME));
        while network(&pid)? == own {
            if deadline.has_passed() {
                bail!("No namespace was made within {} s.", READY_TIME.as_secs());
            }
            thread::park_timeout(LOOK_EVERY / 4);
        }
        Ok(())
    }
}

/// Starts a program of ours at the far end of a wire.
///
/// # Errors
/// If it cannot be started.
pub fn start_there(site: &Site, wire: &Wire, name: &str, binary: &Binary, args: &[&str]) -> anyhow::Result<Child> {
    let there = [wire.there(), vec![argument(binary.path())?]].concat();
    let there: Vec<&str> = there.iter().map(String::as_str).collect();
    start_tied(site, name, &[&there[..], args].concat())
}

/// Runs a tool of the system, silently.
fn run(command: &[&str]) -> anyhow::Result<()> {
    let (name, args) = command.split_first().context("No command")?;
    let output = Command::new(name).args(args).stdin(Stdio::null()).output();
    let output = output.with_context(|| format!("{name} cannot be run"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("`{}` failed: {}", command.join(" "), said.lines().next().unwrap_or_default().trim());
    }
    Ok(())
}

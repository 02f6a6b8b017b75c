//! What the end-to-end tests have in common: real processes in a folder of their own, on free ports, and a client
//! that counts on nothing but the protocol.

#![allow(dead_code, unused_imports, reason = "each test uses what it needs of the kit")]
#![allow(clippy::unwrap_used, reason = "a test that unwraps in vain has failed")]

pub mod asking;
pub mod process;

pub use asking::{Answer, Asking};
pub use process::Process;

use protocol::lifeline::Lifeline;
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// How long anything may take before a test fails. Far more than it needs, because machines are busy.
pub const LONG: Duration = Duration::from_secs(60);

/// A folder with a registry, a database, files and a place for what is received; and what servers and load balancers hold
/// on to, so that they end with the test also when it is killed.
pub struct World {
    folder: TempDir,
    lifeline: Lifeline,
}

impl World {
    pub fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let write = |name: &str, content: &str| std::fs::write(folder.path().join(name), content).unwrap();
        write("servers.json", "[]\n");
        write("database.json", r#"{"engine": "sqlite", "path": "database.sqlite"}"#);
        std::fs::create_dir(folder.path().join("files")).unwrap();
        std::fs::create_dir(folder.path().join("received")).unwrap();
        write("files/colors.csv", include_str!("../../../server/files/colors.csv"));
        Self { folder, lifeline: Lifeline::open().unwrap() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts a server and waits until it listens.
    pub fn server(&self, id: &str, processing_time: &str) -> Process {
        self.server_with(id, processing_time, &[])
    }

    pub fn server_with(&self, id: &str, processing_time: &str, more: &[&str]) -> Process {
        let mut server = self.spawn(&[&["server", id, "0", processing_time, "--files", "files"], more].concat());
        server.wait_for("Server is listening on");
        server
    }

    /// Starts a load balancer and waits until it listens.
    pub fn balancer(&self, more: &[&str]) -> (Process, SocketAddr) {
        let fixed = ["loadbalancer", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--no-journal"];
        let mut balancer = self.spawn(&[&fixed, more].concat());
        let line = balancer.wait_for("Load balancer is listening on");
        (balancer, address_in(&line))
    }

    /// Starts one of the programs in this folder.
    pub fn spawn(&self, args: &[&str]) -> Process {
        let mut command = self.command(args);
        if ["server", "loadbalancer"].contains(&args[0]) {
            command.args(["--lifeline", &self.lifeline.address().to_string()]);
        }
        Process::start(command, args[0])
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lab"));
        command.args(args).current_dir(self.folder.path());
        command
    }

    /// Runs a client to its end, with this on its standard input.
    pub fn client(&self, balancer: SocketAddr, args: &[&str], input: &str) -> Output {
        let balancer = balancer.to_string();
        let mut command = self.command(&[&["client", "2", "--balancer", &balancer], args].concat());
        run_with_input(&mut command, input)
    }

    /// Waits until the load balancer has this many servers up.
    pub fn wait_for_servers(&self, balancer: SocketAddr, count: usize) {
        let until = Instant::now() + LONG;
        loop {
            let servers = Asking::connect(balancer).servers();
            if servers.iter().filter(|server| server.state != "down").count() == count {
                return;
            }
            assert!(Instant::now() < until, "wanted {count} servers, have {servers:?}");
            std::thread::yield_now();
        }
    }
}

/// Three servers and a load balancer.
pub struct Lab {
    pub servers: Vec<Process>,
    pub balancer: Process,
    pub address: SocketAddr,
    pub world: World,
}

impl Lab {
    pub fn start(processing_times: &[&str], balancer: &[&str]) -> Self {
        Self::start_in(World::new(), processing_times, balancer)
    }

    pub fn start_in(world: World, processing_times: &[&str], balancer: &[&str]) -> Self {
        let server = |(at, time): (usize, &&str)| world.server(&(at + 1).to_string(), time);
        let servers: Vec<Process> = processing_times.iter().enumerate().map(server).collect();
        let (balancer, address) = world.balancer(balancer);
        world.wait_for_servers(address, servers.len());
        Self { servers, balancer, address, world }
    }
}

/// Waits until something is so.
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + LONG;
    while !holds() {
        assert!(Instant::now() < until, "waited in vain until {what}");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

pub fn run_with_input(command: &mut Command, input: &str) -> Output {
    use std::io::Write;
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    let writer = std::thread::spawn(move || {
        let _ = stdin.write_all(input.as_bytes());
    });
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    output
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The address in a line such as `… listening on (127.0.0.1, 5050) …`.
pub fn address_in(line: &str) -> SocketAddr {
    let (_, rest) = line.split_once('(').unwrap();
    let (address, _) = rest.split_once(')').unwrap();
    address.replace(", ", ":").parse().unwrap()
}

/// Bytes that repeat with a long period, so that a shift is noticed.
pub fn pattern(len: usize, seed: u64) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut bytes = vec![0; len];
    random.fill(&mut bytes);
    bytes
}

/// Resident memory of a process in bytes (Linux).
pub fn resident(pid: u32) -> u64 {
    status_kib(pid, "VmRSS:") * 1024
}

/// The most resident memory a process has ever had, in bytes (Linux).
pub fn peak_resident(pid: u32) -> u64 {
    status_kib(pid, "VmHWM:") * 1024
}

fn status_kib(pid: u32, key: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with(key)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Processor time a process has used so far, in clock ticks of 10 ms (Linux).
pub fn cpu_ticks(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

/// The tree of the laboratory that is being tested.
pub fn repository() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

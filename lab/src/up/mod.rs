//! `lab up`: the whole laboratory from one command.
//!
//! A folder is made for the run (registry, database, logs, journal), so that nothing the repository tracks is
//! touched and two laboratories can run side by side. Servers and load balancer are started as children, in process
//! groups of their own (so that Ctrl-C reaches only the prompt), and hold on to a lifeline: however `lab up` ends,
//! they end too.

mod child;
mod folder;
mod interrupt;

use self::{child::Child, folder::RunFolder, interrupt::Interrupt};
use anyhow::{Context, bail};
use clap::Args;
use protocol::{
    deadline::{Deadline, Phase},
    flags::{BALANCER_PORT, parse_processing_time},
    frame::{Kind, Prefix},
    id::RequestId,
    lifeline::Lifeline,
    limits::HEADER_TIME,
    message::ServerStatus,
    output::say,
    places::Places,
    wire::Connection,
};
use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::Path,
    process::ExitCode,
    time::Duration,
};

/// How long everything may take to be ready. A server that has to make its database needs tens of milliseconds;
/// this is for machines that are busy with something else.
const READY_TIME: Duration = Duration::from_secs(20);
/// How long the children may take to end by themselves when the prompt has ended.
const END_TIME: Duration = Duration::from_secs(4);
/// How often we look whether something is ready.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Options of `lab up`.
#[derive(Args, Debug)]
pub struct Up {
    /// One server for each of these processing times, in seconds
    #[arg(long, value_name = "SECONDS,…", value_delimiter = ',', default_values_t = [0.1, 0.2, 0.4], value_parser = parse_processing_time)]
    pub servers: Vec<f64>,
    /// How the load balancer chooses among idle servers (see `lab loadbalancer --help`)
    #[arg(long, value_name = "POLICY", default_value = "power")]
    pub balance: String,
    /// The port of the load balancer [default: 5050 if it is free, else any free one]
    #[arg(long, value_name = "PORT")]
    pub port: Option<u16>,
    /// How the client shows answers: table, blocks, json or csv
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<String>,
    /// Where the run keeps its registry, database, logs and journal [default: a new folder in runs/]
    #[arg(long, value_name = "DIR")]
    pub folder: Option<std::path::PathBuf>,
    /// A request; without one there is a prompt (or, on a pipe, each line is a request)
    #[arg(value_name = "REQUEST")]
    pub request: Vec<String>,
}

impl Default for Up {
    fn default() -> Self {
        let balance = loadbalancer::policy::Name::default().to_string();
        Self { servers: vec![0.1, 0.2, 0.4], balance, port: None, format: None, folder: None, request: Vec::new() }
    }
}

/// Starts everything, runs the client, ends everything. The status is the client's.
///
/// # Errors
/// If something does not start; the error says which program, and shows the end of its log.
pub fn run(up: &Up) -> anyhow::Result<ExitCode> {
    let interrupt = Interrupt::listen()?;
    let places = Places::here().context("The current folder cannot be read")?;
    let folder = RunFolder::make(&places, up.folder.as_deref())?;
    let lifeline = Lifeline::open().context("No lifeline for the children")?;
    let lifeline_address = lifeline.address().to_string();

    let mut children = start_servers(up, &folder, &places, &lifeline_address)?;
    let mut balancer = start_balancer(up, &folder, &lifeline_address)?;
    let address = wait_for_address(&folder, &mut balancer, &interrupt)?;
    children.push(balancer);
    wait_for_servers(address, &mut children, &interrupt)?;
    if up.format.as_deref().is_none_or(|format| ["table", "blocks"].contains(&format)) {
        introduce(up, &folder, address);
    }

    let mut client = start_client(up, &folder, &places, &lifeline_address, address)?;
    let status = client.wait()?;
    drop(lifeline);
    let deadline = Deadline::after(END_TIME);
    children.iter_mut().for_each(|child| child.end(deadline));
    Ok(status)
}

fn start_servers(up: &Up, folder: &RunFolder, places: &Places, lifeline: &str) -> anyhow::Result<Vec<Child>> {
    let files = folder.files(places)?;
    let start = |(at, seconds): (usize, &f64)| {
        let (id, seconds) = ((at + 1).to_string(), seconds.to_string());
        let mut args = vec!["server", &id, "0", &seconds, "--lifeline", lifeline];
        let (registry, database) = (path(&folder.registry())?, path(&folder.database())?);
        let files = path(&files)?;
        args.extend(["--registry", &registry, "--database", &database, "--files", &files]);
        Child::start(&format!("server-{id}"), &args, folder.log(&format!("server-{id}")))
    };
    up.servers.iter().enumerate().map(start).collect()
}

fn start_balancer(up: &Up, folder: &RunFolder, lifeline: &str) -> anyhow::Result<Child> {
    let port = up.port.unwrap_or_else(free_default_port);
    let listen = format!("127.0.0.1:{port}");
    let (registry, journal) = (path(&folder.registry())?, path(&folder.journal())?);
    let args = ["loadbalancer", "--listen", &listen, "--balance", &up.balance, "--lifeline", lifeline];
    let args = [&args[..], &["--registry", &registry, "--journal", &journal]].concat();
    Child::start("loadbalancer", &args, folder.log("loadbalancer"))
}

/// 5050, where other clients expect the load balancer, if nobody listens there; else 0 for any free port.
fn free_default_port() -> u16 {
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, BALANCER_PORT)).is_ok();
    if free { BALANCER_PORT } else { 0 }
}

fn start_client(
    up: &Up,
    folder: &RunFolder,
    places: &Places,
    lifeline: &str,
    address: SocketAddr,
) -> anyhow::Result<Child> {
    let (balancer, received) = (address.to_string(), path(&folder.received(places))?);
    let mut args = vec!["client", "1", "--balancer", &balancer, "--received", &received, "--lifeline", lifeline];
    args.extend(up.format.iter().flat_map(|format| ["--format", format]));
    args.push("--");
    args.extend(up.request.iter().map(String::as_str));
    if up.request.is_empty() {
        args.pop();
    }
    Child::start_in_front(&args)
}

/// Waits until the load balancer has written to its journal where it listens.
fn wait_for_address(folder: &RunFolder, balancer: &mut Child, interrupt: &Interrupt) -> anyhow::Result<SocketAddr> {
    let deadline = Deadline::after(READY_TIME);
    loop {
        if let Some(address) = folder.balancer_address() {
            return Ok(address);
        }
        look_again(std::slice::from_mut(balancer), deadline, interrupt)?;
    }
}

/// Waits until the load balancer believes all servers.
fn wait_for_servers(address: SocketAddr, children: &mut [Child], interrupt: &Interrupt) -> anyhow::Result<()> {
    let deadline = Deadline::after(READY_TIME);
    let servers = children.len() - 1;
    let mut balancer = Connection::connect(address, READY_TIME)?;
    while ask_for_servers(&mut balancer)?.len() < servers {
        look_again(children, deadline, interrupt)?;
    }
    Ok(())
}

fn ask_for_servers(balancer: &mut Connection) -> anyhow::Result<Vec<ServerStatus>> {
    let id = RequestId { client: 0, sequence: 1 };
    balancer.send(&Prefix::new(Kind::Servers, id, 0, 0), &[], &[])?;
    let (mut header, mut body) = (Vec::new(), Vec::new());
    let deadline = Some(Deadline::after(READY_TIME));
    let prefix = balancer.next(&mut header, Phase::Answer, deadline, HEADER_TIME)?;
    let prefix = prefix.context("The load balancer closed the connection")?;
    balancer.append_body(prefix.body_len as usize, &mut body)?;
    if prefix.kind != Kind::ServerList {
        bail!("The load balancer answered {}", String::from_utf8_lossy(&header));
    }
    Ok(serde_json::from_slice(&body)?)
}

/// Waits a moment, unless a child has ended, the time is over, or somebody pressed Ctrl-C.
fn look_again(children: &mut [Child], deadline: Deadline, interrupt: &Interrupt) -> anyhow::Result<()> {
    for child in children {
        child.must_live()?;
    }
    if deadline.has_passed() {
        bail!("The laboratory was not ready within {} s. The logs are beside the registry.", READY_TIME.as_secs());
    }
    if interrupt.wait(LOOK_EVERY) {
        bail!("Interrupted while starting.");
    }
    Ok(())
}

fn introduce(up: &Up, folder: &RunFolder, address: SocketAddr) {
    let times: Vec<String> = up.servers.iter().map(|seconds| format!("{seconds} s")).collect();
    say!("The laboratory is up: {} servers ({}), policy {}.", times.len(), times.join(", "), up.balance);
    say!("Load balancer on {address}; logs, journal and registry in {}.", folder.shown());
    say!("Try: SELECT * FROM COLORS LIMIT 3;   file colors.csv   \\servers   \\help");
}

/// A path as an argument; every path of ours is made from texts and the current folder.
fn path(path: &Path) -> anyhow::Result<String> {
    let text = path.to_str();
    text.map(str::to_owned).with_context(|| format!("The path {} is not valid Unicode.", path.display()))
}

//! `lab up`: the whole laboratory from one command.
//!
//! A folder is made for the run (registry, database, logs, journal), so that nothing the repository tracks is
//! touched and two laboratories can run side by side. Servers and load balancer are started as children, in process
//! groups of their own (so that Ctrl-C reaches only the prompt), and hold on to a lifeline: however `lab up` ends,
//! they end too.

mod interrupt;

use self::interrupt::Interrupt;
use crate::process::{Binary, Child, END_TIME, LOOK_EVERY, List, READY_TIME, RunFolder, ServerPlan, Site, argument};
use anyhow::{Context, bail};
use clap::Args;
use protocol::{
    deadline::Deadline,
    flags::{BALANCER_PORT, parse_processing_time},
    output::{count, say},
    places::Places,
};
use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    process::ExitCode,
};

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
    let folder = RunFolder::make(&places, "up", up.folder.as_deref())?;
    let site = Site::new(Binary::own()?, folder)?;

    let mut children = start_servers(up, &site, &places)?;
    let mut balancer = start_balancer(up, &site)?;
    let address = wait_for_address(&site.folder, &mut balancer, &interrupt)?;
    if up.folder.is_none() {
        site.folder.is_latest(&places);
    }
    children.push(balancer);
    wait_for_servers(address, &mut children, &interrupt)?;
    if up.format.as_deref().is_none_or(|format| ["table", "blocks"].contains(&format)) {
        introduce(up, &site.folder, address);
    }

    let mut client = start_client(up, &site, &places, address)?;
    let status = client.wait()?;
    drop(site);
    let deadline = Deadline::after(END_TIME);
    children.iter_mut().for_each(|child| child.end(deadline));
    Ok(status)
}

fn start_servers(up: &Up, site: &Site, places: &Places) -> anyhow::Result<Vec<Child>> {
    let files = site.folder.files(places)?;
    let start = |(at, seconds): (usize, &f64)| {
        let (id, files) = ((at + 1).to_string(), files.clone());
        site.server(&ServerPlan { id, processing_time: *seconds, capacity: 1, files }, &[])
    };
    up.servers.iter().enumerate().map(start).collect()
}

fn start_balancer(up: &Up, site: &Site) -> anyhow::Result<Child> {
    let port = up.port.unwrap_or_else(free_default_port);
    let listen = format!("127.0.0.1:{port}");
    let journal = argument(&site.folder.journal())?;
    let more = ["--balance", &up.balance, "--journal", &journal];
    site.balancer("loadbalancer", &listen, &site.folder.registry(), &more)
}

/// 5050, where other clients expect the load balancer, if nobody listens there; else 0 for any free port.
fn free_default_port() -> u16 {
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, BALANCER_PORT)).is_ok();
    if free { BALANCER_PORT } else { 0 }
}

fn start_client(up: &Up, site: &Site, places: &Places, address: SocketAddr) -> anyhow::Result<Child> {
    let (balancer, lifeline) = (address.to_string(), site.lifeline_argument());
    let received = argument(&site.folder.received(places))?;
    let mut args = vec!["client", "1", "--balancer", &balancer, "--received", &received, "--lifeline", &lifeline];
    args.extend(up.format.iter().flat_map(|format| ["--format", format]));
    args.push("--");
    args.extend(up.request.iter().map(String::as_str));
    if up.request.is_empty() {
        args.pop();
    }
    Child::start_in_front("client", site.binary.command(&args))
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
    let mut balancer = List::connect(address, READY_TIME)?;
    while balancer.ask()?.len() < servers {
        look_again(children, deadline, interrupt)?;
    }
    Ok(())
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
    let servers = count(times.len() as u64, "server");
    say!("The laboratory is up: {servers} ({}), policy {}.", times.join(", "), up.balance);
    say!("Load balancer on {address}; logs, journal and registry in {}.", folder.shown());
    say!("Try: SELECT * FROM COLORS LIMIT 3;   file colors.csv   \\servers   \\help");
}

//! Name servers for measuring, and dnsdist beside us.
//!
//! The servers are NSD where it is installed: a name server that does nothing else. In five rounds in turn it took 2.1 to 3.1 µs of
//! processor time for an answer, our own `--service names` 4.7 to 5.4; on a machine whose cores all share, that is time for the
//! ways that are measured. Without NSD ours has to do.
//!
//! **dnsdist** is set up like ours: the same two servers, in turn (`roundrobin`; its own default would be `leastOutstanding`), no
//! cache, no limits, no log, and one check a second for the same name. It has as many threads as it takes by itself: one that
//! receives all queries, and one for the answers of each server; that is how ours is built, too.

use super::contestant::local_address;
use crate::process::{Child, READY_TIME, Site, argument, start_tied};
use anyhow::{Context, bail};
use protocol::{
    deadline::Deadline,
    dns::{Message, Name, Question, query, record_type, socket_to},
};
use std::{
    fmt::Write as _,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Output},
    thread,
    time::Duration,
};

/// How many names there are.
const NAMES: usize = 1_000;
/// The zone that they are in.
const ZONE: &str = "bench.example";
/// A name that all servers know: for checks.
pub const PROBE: &str = "n1.bench.example";
/// How long an answer is waited for when it is seen whether anybody answers at all.
const TRY: Duration = Duration::from_millis(200);

/// What dnsperf, dnsdist and NSD say of their versions; `None` for what is not installed.
#[derive(Clone, Debug)]
pub struct Programs {
    /// The load generator.
    pub dnsperf: Option<String>,
    /// The other load balancer.
    pub dnsdist: Option<String>,
    /// The name server.
    pub nsd: Option<String>,
}

impl Programs {
    /// Looks which there are.
    #[must_use]
    pub fn look() -> Self {
        Self {
            dnsperf: line_of("dnsperf", "-H", "Version").map(|line| line.replace("Version", "dnsperf")),
            dnsdist: line_of("dnsdist", "--version", "dnsdist"),
            nsd: line_of("nsd", "-v", "NSD version").map(|line| line.replace("version ", "")),
        }
    }

    /// Their versions, in one line.
    #[must_use]
    pub fn shown(&self) -> String {
        let all = [&self.dnsperf, &self.dnsdist, &self.nsd].into_iter().flatten();
        all.map(|said| said.split(" (").next().unwrap_or_default()).collect::<Vec<_>>().join("; ")
    }
}

/// The line with which a program tells its version.
fn line_of(program: &str, argument: &str, begins: &str) -> Option<String> {
    let Output { stdout, stderr, .. } = Command::new(program).arg(argument).output().ok()?;
    let said = String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned();
    said.lines().map(str::trim).find(|line| line.starts_with(begins)).map(str::to_owned)
}

/// Names and addresses, as `name. address` of each.
fn records() -> impl Iterator<Item = (String, String)> {
    (1..=NAMES).map(|n| (format!("n{n}.{ZONE}"), format!("10.0.{}.{}", n / 256, n % 256)))
}

/// Writes what dnsperf is to ask. Returns the file.
///
/// # Errors
/// If it cannot be written.
pub fn write_queries(folder: &Path) -> anyhow::Result<PathBuf> {
    let path = folder.join("queries");
    let queries: String = records().map(|(name, _)| format!("{name} A\n")).collect();
    fs::write(&path, queries).with_context(|| format!("{} cannot be written", path.display()))?;
    Ok(path)
}

/// Starts a name server that knows the names.
///
/// # Errors
/// If it does not start.
pub fn server(site: &Site, id: &str, nsd: bool) -> anyhow::Result<(SocketAddr, Child)> {
    let (name, address) = (format!("names-{id}"), local_address());
    let folder = site.folder.path().join(&name);
    fs::create_dir_all(&folder)?;
    let mut child =
        if nsd { start_nsd(site, &name, &folder, address)? } else { start_own(site, &name, id, &folder, address)? };
    wait(&name, address, &mut child)?;
    Ok((address, child))
}

fn start_own(site: &Site, name: &str, id: &str, folder: &Path, address: SocketAddr) -> anyhow::Result<Child> {
    let (table, port) = (folder.join("table"), address.port().to_string());
    let registry = argument(&site.folder.registry())?;
    fs::write(&table, records().map(|(name, ip)| format!("{name} {ip} A\n")).collect::<String>())?;
    let table = argument(&table)?;
    let args = ["server", id, &port, "0", "--service", "names", "--table", &table, "--registry", &registry, "--quiet"];
    site.start(name, &args)
}

fn start_nsd(site: &Site, name: &str, folder: &Path, address: SocketAddr) -> anyhow::Result<Child> {
    let mut zone =
        format!("$TTL 60\n{ZONE}. IN SOA ns.{ZONE}. host.{ZONE}. 1 3600 600 86400 60\n{ZONE}. IN NS ns.{ZONE}.\n");
    for (name, ip) in records().chain([(format!("ns.{ZONE}"), "127.0.0.1".to_owned())]) {
        let _ = writeln!(zone, "{name}. IN A {ip}");
    }
    fs::write(folder.join("zone"), zone)?;
    let (ip, port, here) = (address.ip(), address.port(), folder.display());
    let config = format!(
        "server:\n  ip-address: {ip}@{port}\n  server-count: 1\n  zonesdir: \"{here}\"\n  database: \"\"\n  \
         pidfile: \"{here}/pid\"\n  xfrdfile: \"{here}/xfrd\"\n  xfrdir: \"{here}\"\n  zonelistfile: \"{here}/zones\"\n  \
         username: \"\"\n  chroot: \"\"\n  rrl-ratelimit: 0\n  minimal-responses: yes\nremote-control:\n  \
         control-enable: no\nzone:\n  name: {ZONE}\n  zonefile: zone\n"
    );
    fs::write(folder.join("configuration"), config)?;
    start_tied(site, name, &["nsd", "-d", "-c", &argument(&folder.join("configuration"))?])
}

/// Starts dnsdist between clients and these servers.
///
/// # Errors
/// If it does not start.
pub fn dnsdist(site: &Site, name: &str, address: SocketAddr, servers: &[SocketAddr]) -> anyhow::Result<Child> {
    let folder = site.folder.path().join(name);
    fs::create_dir_all(&folder)?;
    let mut config = format!("setLocal(\"{address}\")\nsetServerPolicy(roundrobin)\nsetSecurityPollSuffix(\"\")\n");
    for server in servers {
        let _ = writeln!(config, "newServer({{address=\"{server}\", checkName=\"{PROBE}.\", checkType=\"A\"}})");
    }
    let path = folder.join("configuration");
    fs::write(&path, config)?;
    start_tied(site, name, &["dnsdist", "--supervised", "--disable-syslog", "-C", &argument(&path)?])
}

/// Waits until somebody answers there.
///
/// # Errors
/// If the process ends, or nobody does.
pub fn wait(name: &str, address: SocketAddr, child: &mut Child) -> anyhow::Result<()> {
    let deadline = Deadline::after(READY_TIME);
    while !answers(address) {
        child.must_live()?;
        if deadline.has_passed() {
            bail!("{name} does not answer on {address}.");
        }
    }
    Ok(())
}

/// Whether a useful answer comes from there at once.
pub fn answers(address: SocketAddr) -> bool {
    let ask = || {
        let name: Name = PROBE.parse().map_err(std::io::Error::other)?;
        let question = Question::new(name, record_type::A);
        let socket = socket_to(address)?;
        socket.set_read_timeout(Some(TRY))?;
        socket.send(&query(1, &question, None))?;
        let mut bytes = [0; 512];
        let length = socket.recv(&mut bytes)?;
        Ok::<_, std::io::Error>(Message::parse(&bytes[..length]).is_ok_and(|answer| !answer.records.is_empty()))
    };
    ask().unwrap_or_else(|_refused_or_late| {
        thread::park_timeout(Duration::from_millis(10));
        false
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_says_nothing() {
        assert_eq!(line_of("no-program-is-called-so", "-v", ""), None);
    }

    #[test]
    fn versions_are_one_line() {
        let said = |text: &str| Some(text.to_owned());
        let programs =
            Programs { dnsperf: said("dnsperf 2.10.0"), dnsdist: said("dnsdist 1.7.3 (Lua 5.1.4)"), nsd: None };
        assert_eq!(programs.shown(), "dnsperf 2.10.0; dnsdist 1.7.3");
    }
}

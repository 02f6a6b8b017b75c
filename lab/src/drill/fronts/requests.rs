//! Small HTTP requests on connections that are kept, while servers are killed.

use super::{
    Scene, Setting, callers,
    kills::work_while_killing,
    report::{Report, times},
    stand::{Frontend, Stand},
};
use fastrand::Rng;
use loadbalancer::policy::Name;
use protocol::http::{
    Method, Status,
    client::{Ask, KeptClient},
};
use std::{
    fs,
    net::SocketAddr,
    time::{Duration, Instant},
};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// The size of the file that is asked for, in bytes.
const FILE: usize = 20_000;

/// What came of a request: how long the right answer took, or what was wrong.
pub(super) type Asked = Result<Duration, String>;

/// Plays it.
pub(super) fn play(setting: &Setting, scene: &Scene, most_kills: usize, report: &mut Report) -> anyhow::Result<()> {
    let mut stand = Stand::open(setting, scene, "requests", Frontend::Http, Name::RoundRobin)?;
    let site = Site::prepare(&stand, setting.seed)?;
    let begin = Instant::now();
    let (asked, kills) = work_while_killing(setting, scene, &mut stand, most_kills, || {
        callers::all(setting, scene, |dice, goes_on| {
            let mut caller = Caller::new(&site);
            (0..scene.requests).take_while(|_| goes_on()).map(|_| caller.ask(dice)).collect()
        })
    })?;
    let took = begin.elapsed().as_secs_f64();
    let right: Vec<Duration> = asked.iter().filter_map(|one| one.as_ref().ok().copied()).collect();
    asked.iter().filter_map(|one| one.as_ref().err()).for_each(|why| report.bad(why));
    let (wanted, answered) = (scene.clients as u64 * scene.requests, right.len());
    report.saw(format!("{answered} requests answered in {took:.1} s, {} at a time; {}", scene.clients, times(right)));
    let tries = stand.count_events("attempt-failed")?;
    report.saw(format!("{} kills cost {tries} attempts, each of which was made up for", kills.len()));
    report.check(
        "every request is answered, and rightly",
        format!("{answered} of {wanted}"),
        answered as u64 == wanted,
    );
    let found = format!("{} of {most_kills}", kills.len());
    report.check("servers were killed as often as intended", found, kills.len() == most_kills);
    Ok(())
}

/// Where small requests go, and what is there.
pub(super) struct Site {
    address: SocketAddr,
    file: Vec<u8>,
}

impl Site {
    /// Writes the file.
    pub(super) fn prepare(stand: &Stand, seed: u64) -> anyhow::Result<Self> {
        let mut file = vec![0; FILE];
        Rng::with_seed(seed).fill(&mut file);
        fs::write(stand.files().join("small.bin"), &file)?;
        Ok(Self { address: stand.address, file })
    }
}

/// A client that keeps its connection.
pub(super) struct Caller<'a> {
    site: &'a Site,
    client: KeptClient,
}

impl<'a> Caller<'a> {
    pub(super) fn new(site: &'a Site) -> Self {
        Self { site, client: KeptClient::new(site.address, PATIENCE) }
    }

    /// Asks for the greeting, its head, or the file.
    pub(super) fn ask(&mut self, dice: &mut Rng) -> Asked {
        let begin = Instant::now();
        let (method, path) = match dice.u8(..10) {
            0 => (Method::Head, "/home"),
            1..=5 => (Method::Get, "/home"),
            _ => (Method::Get, "/files/small.bin"),
        };
        let reply = self.client.ask(&Ask::new(method.clone(), path));
        let reply = reply.map_err(|error| format!("{method} {path}: {error}"))?;
        let right = match (&method, path) {
            (Method::Head, _) => reply.body.is_empty(),
            (_, "/home") => reply.body.starts_with(b"{\"message\":\"Hello from Server: "),
            _ => reply.body == self.site.file,
        };
        let good = reply.status == Status::OK && right;
        let told = || format!("{method} {path}: {} {:.200}", reply.status.code(), reply.text());
        good.then(|| begin.elapsed()).ok_or_else(told)
    }
}

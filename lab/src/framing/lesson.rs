//! `lab framing`: the same requests through every relay, and a table of what came back.

use super::{
    relay::{self, How},
    request::{Outcome, Request, grouped},
};
use crate::{
    process::{Binary, Child, READY_TIME, RunFolder, ServerPlan, Site, free_port},
    record::table,
};
use anyhow::{Context, bail};
use clap::Args;
use protocol::{
    deadline::Deadline,
    flags::{UNLIMITED, parse_timeout},
    listener::Crew,
    output::{set_quiet, show},
    places::Places,
};
use std::{
    net::{Ipv4Addr, SocketAddr},
    process::ExitCode,
    thread,
    time::Duration,
};

/// How often we look whether the load balancer serves.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// The most bytes of a piece, where a request is split anywhere.
const LARGEST_PIECE: usize = 2_000;
/// How long the client waits between those pieces.
const SHORT_PAUSE: Duration = Duration::from_millis(2);

/// Options of `lab framing`.
#[derive(Args, Debug)]
pub struct Framing {
    /// How much later the second packet comes
    #[arg(long, value_name = "TIME", default_value = "50ms", value_parser = parse_timeout)]
    pause: Duration,
    /// How long a client waits for a byte
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = parse_timeout)]
    patience: Duration,
    /// Repeats the places where a request was split [default: drawn, and told]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
}

/// A request, and what the naive relays must make of it; nothing where that is up to chance.
struct Case {
    shown: String,
    request: Request,
    /// Of until-short; until-nothing must never answer.
    naive: Option<Outcome>,
}

/// A relay that takes part: one of ours, or the load balancer (`None`).
struct Contestant {
    how: Option<How>,
    at: SocketAddr,
}

/// What is there while the lesson goes on.
struct Stage {
    site: Site,
    servers: Vec<Child>,
    _balancer: Child,
    _relays: Vec<Crew>,
    contestants: Vec<Contestant>,
}

/// Plays the lesson. The status is 1 if a relay did better or worse than it must.
///
/// # Errors
/// If something does not start.
pub fn run(framing: &Framing) -> anyhow::Result<ExitCode> {
    let seed = framing.seed.unwrap_or_else(|| fastrand::u64(1..1_000_000));
    // What the relays say of each connection would stand in the middle of the table.
    set_quiet(true);
    let mut stage = Stage::set()?;
    show!("Each request goes to an echo server, through five relays. What came back within {:?}:\n", framing.patience);
    let cases = cases(framing, seed);
    let mut seen: Vec<Vec<Outcome>> = play(&stage, &cases, framing.patience)?;

    let dead = Case { shown: "1, its server killed".into(), request: Request::of(1), naive: Some(Outcome::NoAnswer) };
    stage.servers.first_mut().context("There is no server")?.kill();
    seen.extend(play(&stage, std::slice::from_ref(&dead), framing.patience)?);

    let mut header = vec!["bytes".to_owned()];
    header.extend(stage.contestants.iter().map(Contestant::name));
    let cases: Vec<Case> = cases.into_iter().chain([dead]).collect();
    let row = |(case, seen): (&Case, &Vec<Outcome>)| {
        [case.shown.clone()].into_iter().chain(seen.iter().map(ToString::to_string)).collect()
    };
    show!("{}", table(&header, cases.iter().zip(&seen).map(row)));
    show!("(Split by seed {seed}.) The logs are in {}.", stage.site.folder.shown());
    let surprises = surprises(&stage.contestants, &cases, &seen);
    surprises.iter().for_each(|surprise| {
        let _nobody_reads = show!("NOT AS IT MUST BE: {surprise}");
    });
    Ok(if surprises.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn cases(framing: &Framing, seed: u64) -> Vec<Case> {
    let case = |shown: String, request, naive| Case { shown, request, naive };
    let ms = framing.pause.as_micros() as f64 / 1e3;
    let mut cases: Vec<Case> = [
        (1, Some(Outcome::Whole)),
        (1_023, Some(Outcome::Whole)),
        (1_024, Some(Outcome::NoAnswer)),
        (1_025, None),
        (2_048, Some(Outcome::NoAnswer)),
        (10_000_000, None),
    ]
    .into_iter()
    .map(|(length, naive)| case(grouped(length), Request::of(length), naive))
    .collect();
    for (pieces, naive) in [([100, 1_024], Outcome::Lost(1_024)), ([1_024, 1_024], Outcome::NoAnswer)] {
        let shown = format!("{}, {ms} ms later {}", grouped(pieces[0]), grouped(pieces[1]));
        cases.push(case(shown, Request::in_pieces(&pieces, framing.pause), Some(naive)));
    }
    let (pieces, length) = anywhere(seed);
    let shown = format!("{} in {} pieces", grouped(length), pieces.len());
    cases.push(case(shown, Request::in_pieces(&pieces, SHORT_PAUSE), None));
    let ends = Request { ends: true, ..Request::of(1_024) };
    cases.push(case("1,024 and the end".into(), ends, Some(Outcome::NoAnswer)));
    cases
}

/// A request of 20,000 bytes, split anywhere.
fn anywhere(seed: u64) -> (Vec<usize>, usize) {
    let (mut random, mut pieces, mut left) = (fastrand::Rng::with_seed(seed), Vec::new(), 20_000);
    while left > 0 {
        let piece = random.usize(1..=LARGEST_PIECE).min(left);
        pieces.push(piece);
        left -= piece;
    }
    (pieces, 20_000)
}

/// All cases through all relays at once: a list of what each saw, for each case.
fn play(stage: &Stage, cases: &[Case], patience: Duration) -> anyhow::Result<Vec<Vec<Outcome>>> {
    thread::scope(|clients| {
        let ask = |case: &Case, relay: &Contestant| {
            let (framed, at) = (relay.how == Some(How::Framed), relay.at);
            let request = Request { framed, ..case.request.clone() };
            let client = thread::Builder::new().name("client".into());
            client.spawn_scoped(clients, move || request.ask(at, patience))
        };
        let rows: Vec<Vec<_>> =
            cases.iter().map(|case| stage.contestants.iter().map(|relay| ask(case, relay)).collect()).collect();
        let seen = |client: std::io::Result<thread::ScopedJoinHandle<'_, std::io::Result<Outcome>>>| {
            let seen = client.context("No thread for a client")?.join();
            Ok(seen.map_err(|_| anyhow::anyhow!("A client has panicked"))??)
        };
        rows.into_iter().map(|row| row.into_iter().map(seen).collect()).collect()
    })
}

/// What is not as it must be.
fn surprises(contestants: &[Contestant], cases: &[Case], seen: &[Vec<Outcome>]) -> Vec<String> {
    let mut surprises = Vec::new();
    for (case, row) in cases.iter().zip(seen) {
        let server_is_gone = case.shown.contains("killed");
        for (relay, seen) in contestants.iter().zip(row) {
            let must = match relay.how {
                Some(How::UntilNothing) => Some(Outcome::NoAnswer),
                Some(How::UntilShort) => case.naive,
                Some(How::Streams | How::Framed) if server_is_gone => Some(Outcome::Ended),
                _ => Some(Outcome::Whole),
            };
            if let Some(must) = must.filter(|must| must != seen) {
                surprises.push(format!("{}, {}: {seen} instead of {must}", relay.name(), case.shown));
            }
        }
    }
    surprises
}

impl Contestant {
    fn name(&self) -> String {
        self.how.map_or("loadbalancer --tcp".to_owned(), |how| how.to_string())
    }
}

impl Stage {
    /// Two echo servers, the four relays in front of the first, the load balancer in front of both.
    fn set() -> anyhow::Result<Self> {
        let places = Places::here().context("The current folder cannot be read")?;
        let site = Site::new(Binary::own()?, RunFolder::make(&places, "framing", None)?)?;
        let files = site.folder.files(&places)?;
        let (mut servers, mut first) = (Vec::new(), None);
        for id in ["1", "2"] {
            let plan = ServerPlan { id: id.into(), processing_time: 0.0, capacity: UNLIMITED, files: files.clone() };
            let mut server = site.server(&plan, &["--service", "echo"])?;
            let entry = site.wait_for_entry(id, &mut server)?;
            first.get_or_insert(entry.address);
            servers.push(server);
        }
        let first = first.context("There is no server")?;
        let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let relays = How::ALL.into_iter().map(|how| relay::start(how, local(0), first));
        let relays: Vec<Crew> = relays.collect::<anyhow::Result<_>>()?;
        let (tcp, listen) = (local(free_port()), local(free_port()));
        let more = ["--tcp", &tcp.to_string(), "--admin", "127.0.0.1:0", "--no-journal"];
        let mut balancer = site.balancer("loadbalancer", &listen.to_string(), &site.folder.registry(), &more)?;
        wait_until_served(tcp, &mut balancer)?;
        let ours = How::ALL.into_iter().zip(&relays).map(|(how, crew)| (Some(how), crew.address()));
        let contestants = ours.chain([(None, tcp)]).map(|(how, at)| Contestant { how, at }).collect();
        Ok(Self { site, servers, _balancer: balancer, _relays: relays, contestants })
    }
}

/// Waits until a byte comes back.
fn wait_until_served(at: SocketAddr, balancer: &mut Child) -> anyhow::Result<()> {
    let deadline = Deadline::after(READY_TIME);
    while !matches!(Request::of(1).ask(at, Duration::from_secs(1)), Ok(Outcome::Whole)) {
        balancer.must_live()?;
        if deadline.has_passed() {
            bail!("The load balancer served nobody within {} s.", READY_TIME.as_secs());
        }
        thread::park_timeout(LOOK_EVERY);
    }
    Ok(())
}

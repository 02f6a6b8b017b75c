//! One part of the experiment: the clients ask, and something happens to the servers.

use super::{
    Agents, Part, SAMPLE,
    recovery::{Kill, Recovery, recovery},
    ring::{Ring, SERVERS},
    watch::{Outage, Seen, Watch, outages},
};
use crate::experiment::Run;
use anyhow::{Context, bail};
use client::load::{
    latency::Summary,
    udp::{self, payload::Payload, plan::Plan, report::Report},
};
use protocol::output::say;
use serde::Serialize;
use std::{
    net::SocketAddr,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// How long a client waits for an answer.
const TIMEOUT: Duration = Duration::from_secs(3);
/// How long a period is where it matters how soon something happens.
const FINE: Duration = Duration::from_millis(250);
/// How far a share may be from a third when nothing happens, in percentage points.
const SHARE: f64 = 0.5;
/// Answers a second that there must be, from so many clients on.
pub const THROUGHPUT: f64 = 40_000.0;
const ENOUGH_CLIENTS: u32 = 500;
/// Within how many seconds the throughput must be back.
const BACK_WITHIN: f64 = 2.0;
/// What part of it there must be after the return: on a machine that does other things, too, a difference of a fifth is none. And how far
/// the share of the server that came back may then be from a third, in percentage points.
const FULL: f64 = 0.8;
const SHARE_AFTER: f64 = 2.0;

/// What was measured in a part.
#[derive(Clone, Debug, Serialize)]
pub struct Sample {
    /// The part.
    pub part: Part,
    /// How many clients asked.
    pub threads: u32,
    /// How long, in seconds.
    pub seconds: f64,
    /// Requests that ended.
    pub requests: u64,
    /// Right answers.
    pub answers: u64,
    /// Requests without one in time.
    pub timeouts: u64,
    /// Requests with another one.
    pub wrong: u64,
    /// Answers that came when their request was given up.
    pub late: u64,
    /// Latencies in microseconds; of several agents the worst of each.
    pub latency: Summary,
    /// The periods.
    pub rows: Vec<Row>,
    /// Seconds, and what each server answered since the line before, as the agents count.
    pub shares: Vec<(f64, [u64; SERVERS])>,
    /// What each server answered in all by its own statistics. A killed one takes its last period with it.
    pub by_servers: Vec<u64>,
    /// Outages by election.
    pub outages: Vec<Outage>,
    /// How many were down together by election at most.
    pub most_down: usize,
    /// What kills did.
    pub recoveries: Vec<Recovery>,
}

/// A period.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Row {
    /// When it ended, in seconds.
    pub end: f64,
    /// Requests that ended in it.
    pub requests: u64,
    /// Right answers.
    pub answers: u64,
    /// Mean latency in milliseconds.
    pub mean_ms: f64,
    /// The 99th percentile.
    pub p99_ms: f64,
}

/// Conducts a part with so many clients.
///
/// # Errors
/// If something does not start, or the clients could not ask.
pub fn conduct(agents: &Agents, run: &Run, part: Part, threads: u32) -> anyhow::Result<Sample> {
    let name = format!("{}-{threads}", part.name());
    let mut ring = Ring::open(run, agents, part, &name)?;
    let every = agents.scaled(SAMPLE);
    let admins = ring.agents().iter().map(|agent| agent.admin).collect();
    let watch = Watch::begin(admins, ring.logs(), every.min(Duration::from_secs(1)))?;
    let time = match part {
        Part::Calm => agents.calm,
        Part::Drills => agents.drills,
        Part::Kill => agents.gone * (2 * agents.kills + 1),
    };
    let every = if part == Part::Kill { FINE } else { every };
    let targets: Vec<SocketAddr> = ring.agents().iter().map(|agent| agent.udp).collect();
    let begun = Instant::now();
    let loads = targets.iter().zip(0..).map(|(target, n)| {
        // The first ones take what is left over.
        let count = targets.len() as u32;
        load(run, *target, threads / count + u32::from(n < threads % count), time, every)
    });
    let loads: Vec<Load> = loads.collect::<anyhow::Result<_>>()?;
    let kills = if part == Part::Kill { kill(agents, run, &mut ring, begun)? } else { Vec::new() };
    let reports: Vec<Report> = loads.into_iter().map(ended).collect::<anyhow::Result<_>>()?;
    let seen = watch.end()?;
    let by_servers = ring.end()?;
    run.goes_on()?;
    let sample = sample(part, threads, &reports, &seen, by_servers, &kills)?;
    run.note("samples.jsonl", &sample)?;
    say!("{name}: {:.1} s, {} of {} answered.", sample.seconds, sample.answers, sample.requests);
    Ok(sample)
}

type Load = JoinHandle<std::io::Result<Report>>;

fn load(run: &Run, target: SocketAddr, threads: u32, time: Duration, every: Duration) -> anyhow::Result<Load> {
    let plan = Plan {
        target,
        threads: threads.max(1),
        payload: Payload::default(),
        numbered: true,
        timeout: TIMEOUT,
        requests: None,
        duration: Some(time),
        every,
        csv: None,
        json: false,
        lifeline: None,
    };
    let stop = run.stop.clone();
    let work = move || udp::run(&plan, &stop, &mut |_| {});
    thread::Builder::new().name("load".into()).spawn(work).context("No thread for the load")
}

fn ended(load: Load) -> anyhow::Result<Report> {
    let report =
        load.join().map_err(|_| anyhow::anyhow!("The load has panicked"))?.context("The load cannot be generated")?;
    if report.answers == 0 {
        bail!("Nothing was answered.");
    }
    Ok(report)
}

/// Kills one server after the other, and starts each again. The times are from the beginning.
fn kill(agents: &Agents, run: &Run, ring: &mut Ring, begun: Instant) -> anyhow::Result<Vec<(Instant, Instant, usize)>> {
    let mut kills = Vec::new();
    for n in 0..agents.kills {
        let wait =
            |steps: u32| run.stop.wait_timeout((begun + agents.gone * steps).saturating_duration_since(Instant::now()));
        let at = n as usize % SERVERS;
        if wait(2 * n + 1) {
            break;
        }
        let killed = Instant::now();
        ring.kill(at);
        if wait(2 * n + 2) {
            break;
        }
        ring.start_again(at)?;
        kills.push((killed, Instant::now(), at + 1));
    }
    Ok(kills)
}

fn sample(
    part: Part,
    threads: u32,
    reports: &[Report],
    seen: &Seen,
    by_servers: Vec<u64>,
    kills: &[(Instant, Instant, usize)],
) -> anyhow::Result<Sample> {
    let start = reports.iter().map(|report| report.started).min().context("No load")?;
    let sum = |count: fn(&Report) -> u64| reports.iter().map(count).sum();
    let rows = rows(reports);
    let seconds = reports.iter().map(|report| report.seconds).fold(0.0, f64::max);
    let (outages, most_down) = outages(&seen.turns, start, seconds);
    let at = |instant: &Instant| instant.saturating_duration_since(start).as_secs_f64();
    let kills: Vec<Kill> = kills
        .iter()
        .map(|(killed, back, server)| Kill { server: *server, at: at(killed), returned: at(back) })
        .collect();
    let periods: Vec<(f64, u64)> = rows.iter().map(|row| (row.end, row.answers)).collect();
    let shares = shares(seen, start);
    let recoveries = kills.iter().enumerate().map(|(n, kill)| {
        // From the middle of the time since the last return: by then all is as usual.
        let before = n.checked_sub(1).map_or(1.0, |last| (kills[last].returned + kill.at) / 2.0);
        let until = kills.get(n + 1).map_or(seconds, |next| next.at);
        let share = |(at, answers): &(f64, [u64; SERVERS])| {
            (*at, answers[kill.server - 1] as f64 / answers.iter().sum::<u64>().max(1) as f64)
        };
        recovery(&periods, *kill, (before, until), &shares.iter().map(share).collect::<Vec<_>>())
    });
    let recoveries = recoveries.collect();
    Ok(Sample {
        part,
        threads,
        seconds,
        requests: sum(|report| report.requests),
        answers: sum(|report| report.answers),
        timeouts: sum(|report| report.timeouts),
        wrong: sum(|report| report.wrong),
        late: sum(|report| report.late),
        latency: together(reports),
        recoveries,
        rows,
        shares,
        by_servers,
        outages,
        most_down,
    })
}

/// The latencies of all agents: the mean of all, and of each percentile the worst.
fn together(reports: &[Report]) -> Summary {
    let count: u64 = reports.iter().map(|report| report.latency_us.count).sum();
    let weighted: f64 = reports.iter().map(|report| report.latency_us.mean * report.latency_us.count as f64).sum();
    let worst = |part: fn(&Summary) -> f64| reports.iter().map(|report| part(&report.latency_us)).fold(0.0, f64::max);
    Summary {
        count,
        min: reports.iter().map(|report| report.latency_us.min).fold(f64::MAX, f64::min),
        mean: weighted / count.max(1) as f64,
        p50: worst(|told| told.p50),
        p90: worst(|told| told.p90),
        p99: worst(|told| told.p99),
        p99_9: worst(|told| told.p99_9),
        max: worst(|told| told.max),
    }
}

/// The periods of all agents together.
fn rows(reports: &[Report]) -> Vec<Row> {
    let longest = reports.iter().map(|report| report.rows.len()).max().unwrap_or(0);
    let row = |n: usize| {
        let mut row = Row { end: 0.0, requests: 0, answers: 0, mean_ms: 0.0, p99_ms: 0.0 };
        for one in reports.iter().filter_map(|report| report.rows.get(n)) {
            row.end = row.end.max(one.end.as_secs_f64());
            row.requests += one.counts.requests();
            row.answers += one.counts.answers;
            row.mean_ms += one.latency.mean / 1e3 * one.counts.answers as f64;
            row.p99_ms = row.p99_ms.max(one.latency.p99 / 1e3);
        }
        row.mean_ms /= row.answers.max(1) as f64;
        row
    };
    (0..longest).map(row).collect()
}

/// What each server answered between two looks. A server that came back may be counted from zero again.
fn shares(seen: &Seen, start: Instant) -> Vec<(f64, [u64; SERVERS])> {
    let more = |now: u64, before: u64| now.checked_sub(before).unwrap_or(now);
    let between = |pair: &[(Instant, [u64; SERVERS])]| {
        let seconds = pair[1].0.saturating_duration_since(start).as_secs_f64();
        (seconds, std::array::from_fn(|at| more(pair[1].1[at], pair[0].1[at])))
    };
    seen.answered.windows(2).map(between).filter(|(_, answers)| answers.iter().any(|answers| *answers > 0)).collect()
}

impl Sample {
    /// Which part of the requests was answered.
    #[must_use]
    pub fn success(&self) -> f64 {
        self.answers as f64 / self.requests.max(1) as f64
    }

    /// Answers a second.
    #[must_use]
    pub fn throughput(&self) -> f64 {
        self.answers as f64 / self.seconds.max(f64::MIN_POSITIVE)
    }

    /// The share of each server over all.
    #[must_use]
    pub fn share(&self) -> [f64; SERVERS] {
        let sums: [u64; SERVERS] = std::array::from_fn(|at| self.shares.iter().map(|(_, answers)| answers[at]).sum());
        let all = sums.iter().sum::<u64>().max(1) as f64;
        sums.map(|sum| sum as f64 / all)
    }

    /// The mean response time that there may be, in milliseconds: 12 at 500 clients, 25 at 1,000.
    #[must_use]
    pub fn most_mean_ms(&self) -> f64 {
        if self.threads <= ENOUGH_CLIENTS { 12.0 } else { 25.0 * f64::from(self.threads) / 1_000.0 }
    }

    /// What is to be shown, and whether it is. Times are judged in a release build only.
    #[must_use]
    pub fn musts(&self) -> Vec<(String, bool)> {
        let least = self.part.least_success();
        let mut musts = vec![
            (format!("success ≥ {} %", super::told::percent(least)), self.success() >= least),
            ("no wrong answer".to_owned(), self.wrong == 0),
        ];
        match self.part {
            Part::Calm => {
                let near = |share: &f64| (share - 1.0 / SERVERS as f64).abs() * 100.0 <= SHARE;
                musts.push((format!("shares within {SHARE} points of a third"), self.share().iter().all(near)));
                if self.threads >= ENOUGH_CLIENTS && !cfg!(debug_assertions) {
                    musts.push((
                        format!("mean ≤ {} ms", self.most_mean_ms()),
                        self.latency.mean / 1e3 <= self.most_mean_ms(),
                    ));
                    musts.push((format!("≥ {THROUGHPUT} answers/s"), self.throughput() >= THROUGHPUT));
                }
            }
            Part::Drills => {
                musts.push(("never two down by election".to_owned(), self.most_down <= 1));
            }
            Part::Kill if !cfg!(debug_assertions) => {
                // A run in which nobody was killed shows nothing.
                let all =
                    |good: &dyn Fn(&Recovery) -> bool| !self.recoveries.is_empty() && self.recoveries.iter().all(good);
                let back = |one: &Recovery| one.back_after.is_some_and(|after| after <= BACK_WITHIN);
                musts.push((format!("60 % within {BACK_WITHIN} s"), all(&back)));
                let full = |one: &Recovery| one.after_return >= FULL;
                musts.push((format!("≥ {:.0} % after the return", FULL * 100.0), all(&full)));
                let third = |one: &Recovery| (one.share_after - 1.0 / SERVERS as f64).abs() * 100.0 <= SHARE_AFTER;
                musts.push(("its share again".to_owned(), all(&third)));
            }
            Part::Kill => {}
        }
        musts
    }

    /// Whether all of that is so.
    #[must_use]
    pub fn good(&self) -> bool {
        self.musts().iter().all(|(_, holds)| *holds)
    }
}

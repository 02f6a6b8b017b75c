//! What is told at the end: a table for people, JSON for programs.

use super::{
    latency::{Latency, Summary},
    plan::Plan,
    schedule::Arrivals,
    tally::{ErrorCount, Settled, Tally, Unsettled, Wrong},
};
use crate::status::Status;
use protocol::output::Plain;
use serde::Serialize;
use std::{
    collections::BTreeMap,
    fmt::{self, Write},
    net::SocketAddr,
    time::Instant,
};

/// Whether clients wait for answers before they ask on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Loop {
    /// They do.
    Closed,
    /// Requests begin on time whatever has become of others.
    Open,
}

/// One request of the mix.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Part {
    /// As it was typed.
    pub request: String,
    /// Its weight.
    pub weight: u32,
}

/// The figures of a run; the names are those of the JSON.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Closed or open.
    #[serde(rename = "loop")]
    pub kind: Loop,
    /// How many clients asked at once.
    pub clients: u32,
    /// Open loop: requests a second that were to begin.
    pub rate: Option<f64>,
    /// Open loop: at what distances.
    pub arrivals: Option<Arrivals>,
    /// What was asked.
    pub mix: Vec<Part>,
    /// What decided order and random numbers.
    pub seed: u64,
    /// Whom they asked.
    pub target: SocketAddr,
    /// Whether each request had a connection of its own.
    pub new_connection: bool,
    /// How long the warm-up was, in seconds. Nothing of it is counted, except what asking again brought.
    pub warmup_s: f64,
    /// Whether it was stopped before its end.
    pub interrupted: bool,
    /// From the end of the warm-up to the last answer or error, in seconds.
    pub seconds: f64,
    /// Requests sent.
    pub requests: u64,
    /// Whole and right answers.
    pub answers: u64,
    /// Requests without such an answer.
    pub errors: u64,
    /// Requests given up at the end, about which nothing is known.
    pub abandoned: u64,
    /// Open loop: requests that should have begun and did not, because no client was free in time.
    pub unsent: u64,
    /// Throughput.
    pub answers_per_s: f64,
    /// Bytes received, frames and all.
    pub bytes: u64,
    /// Of these a second.
    pub bytes_per_s: f64,
    /// Rows received.
    pub rows: u64,
    /// Every latency of the answers, for those who want other percentiles than the summary has. Not in the JSON.
    #[serde(skip)]
    pub latencies: Latency,
    /// Latency of the answers in microseconds: closed loop from sending, open loop from when each should have begun.
    pub latency_us: Summary,
    /// Open loop: the same from sending, which hides what waited in the load generator.
    pub latency_uncorrected_us: Option<Summary>,
    /// Open loop: how late requests began although their client was free: the error of the instrument.
    pub start_delay_us: Option<Summary>,
    /// Errors by code, the most frequent first.
    pub errors_by_code: Vec<ErrorCount>,
    /// Answers by the server that said it gave them.
    pub answers_by_server: BTreeMap<String, u64>,
    /// Answers that name no server: pongs.
    pub answers_unnamed: u64,
    /// Answers that are wrong; all but `ids` are among the errors, too.
    pub wrong: Wrong,
    /// What asking again brought.
    pub settled: Settled,
    /// The first requests whose outcome stayed unknown.
    pub unsettled: Vec<Unsettled>,
}

impl Report {
    /// The report of a run that started at this time.
    #[must_use]
    pub fn new(plan: &Plan, mut tally: Tally, start: Instant, interrupted: bool) -> Self {
        let schedule = &plan.schedule;
        let counted_from = start + schedule.warmup;
        let seconds = tally.last.map_or(0.0, |last| last.saturating_duration_since(counted_from).as_secs_f64());
        let per_second = |count: u64| if seconds > 0.0 { (count as f64 / seconds * 10.0).round() / 10.0 } else { 0.0 };
        let due = schedule.due().filter(|_| !interrupted);
        let named = tally.servers.iter().map(|(_, count)| count).sum::<u64>();
        tally.errors.sort_by_key(|error| std::cmp::Reverse(error.count));
        let mix = plan.mix.items().iter();
        Self {
            kind: if schedule.rate.is_some() { Loop::Open } else { Loop::Closed },
            clients: plan.clients,
            rate: schedule.rate,
            arrivals: schedule.rate.map(|_| schedule.arrivals),
            mix: mix.map(|item| Part { request: item.text.clone(), weight: item.weight }).collect(),
            seed: plan.seed,
            target: plan.link.balancer,
            new_connection: plan.new_connection,
            warmup_s: schedule.warmup.as_secs_f64(),
            interrupted,
            seconds: (seconds * 1e6).round() / 1e6,
            requests: tally.requests,
            answers: tally.answers,
            errors: tally.error_count(),
            abandoned: tally.abandoned,
            unsent: due.map_or(0, |due| due.saturating_sub(tally.requests)),
            answers_per_s: per_second(tally.answers),
            bytes: tally.bytes,
            bytes_per_s: per_second(tally.bytes),
            rows: tally.rows,
            latency_us: tally.latency.summary(),
            latencies: tally.latency,
            latency_uncorrected_us: tally.uncorrected.as_ref().map(Latency::summary),
            start_delay_us: tally.start_delay.as_ref().map(Latency::summary),
            errors_by_code: tally.errors,
            answers_by_server: tally.servers.into_iter().collect(),
            answers_unnamed: tally.answers.saturating_sub(named),
            wrong: tally.wrong,
            settled: tally.settled,
            unsettled: tally.unsettled,
        }
    }

    /// How the run went: the worst of its requests. What was settled by asking again is no error any more.
    #[must_use]
    pub fn status(&self) -> Status {
        let settled = self.settled.done;
        match self {
            _ if self.settled.unsettled > 0 => Status::Unknown,
            _ if self.errors > settled || self.wrong.total() > 0 => Status::Failed,
            _ => Status::Done,
        }
    }

    /// The report as one line of JSON.
    ///
    /// # Errors
    /// None that happens: numbers and texts have a form in JSON.
    pub fn json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }

    fn latencies(&self) -> Vec<(&'static str, &Summary)> {
        match (&self.latency_uncorrected_us, &self.start_delay_us) {
            (Some(uncorrected), Some(delay)) => {
                vec![("corrected", &self.latency_us), ("from sending", uncorrected), ("start delay", delay)]
            }
            _ => vec![("from sending", &self.latency_us)],
        }
    }

    fn headline(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let clients = if self.clients == 1 { "client" } else { "clients" };
        match self.rate {
            Some(rate) => {
                let random = if self.arrivals == Some(Arrivals::Poisson) { " at random" } else { "" };
                write!(f, "Open loop, {rate} requests a second{random}, ")?;
            }
            None => f.write_str("Closed loop, ")?,
        }
        let anew = if self.new_connection { ", a new connection each" } else { "" };
        writeln!(f, "{} {clients}{anew}, at {}, seed {}", self.clients, self.target, self.seed)?;
        for part in &self.mix {
            writeln!(f, "  {} x {}", part.weight, Plain(&part.request))?;
        }
        let stopped = if self.interrupted { " (stopped before the end)" } else { "" };
        writeln!(
            f,
            "{:.3} s{stopped}: {} requests, {} answers, {} errors; {} answers/s, {:.3} MB/s\n",
            self.seconds,
            self.requests,
            self.answers,
            self.errors,
            self.answers_per_s,
            self.bytes_per_s / 1e6
        )
    }

    fn trouble(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for ErrorCount { code, definite, count, example } in &self.errors_by_code {
            let certain = if *definite { "definite" } else { "indefinite" };
            writeln!(f, "{count:>10} {code:<16} {certain:<11} {}", Plain(example))?;
        }
        let Wrong { ids, digests, frames, values } = self.wrong;
        if self.wrong.total() > 0 {
            writeln!(f, "Wrong answers: {ids} foreign ids, {digests} files, {frames} without sense, {values} values")?;
        }
        let Settled { asked_again, done, failed, unsettled } = self.settled;
        if asked_again + unsettled > 0 {
            writeln!(
                f,
                "Unknown outcomes, asked again {asked_again} times: {done} done, {failed} failed, {unsettled} unsettled"
            )?;
        }
        if self.unsent > 0 {
            writeln!(
                f,
                "{} requests were due and never sent: the rate is more than these clients and this system can carry, and the true latencies are longer.",
                self.unsent
            )?;
        }
        if self.abandoned > 0 {
            writeln!(f, "{} requests were given up at the end.", self.abandoned)?;
        }
        Ok(())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.headline(f)?;
        let titles = ["min", "mean", "p50", "p90", "p99", "p99.9", "max"];
        write!(f, "{:<14}", "latency in µs")?;
        titles.iter().try_for_each(|title| write!(f, "{title:>12}"))?;
        for (name, told) in self.latencies() {
            write!(f, "\n{name:<14}")?;
            let all = [told.min, told.mean, told.p50, told.p90, told.p99, told.p99_9, told.max];
            match told.count {
                0 => all.iter().try_for_each(|_| write!(f, "{:>12}", "-"))?,
                _ => all.iter().try_for_each(|us| write!(f, "{us:>12.1}"))?,
            }
        }
        f.write_str("\n\n")?;
        for (server, answers) in &self.answers_by_server {
            writeln!(f, "{answers:>10} answers by server {}", Plain(server))?;
        }
        if self.answers_unnamed > 0 {
            writeln!(f, "{:>10} answers that name no server (pongs)", self.answers_unnamed)?;
        }
        let mut trouble = String::new();
        write!(trouble, "{}", Trouble(self))?;
        f.write_str(trouble.trim_end())
    }
}

struct Trouble<'a>(&'a Report);

impl fmt::Display for Trouble<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.trouble(f)
    }
}

//! What is measured of one ring: who answered, beside what the ring says, and what was held.

use super::{
    evenness::Evenness,
    front::Front,
    held::Held,
    load::{self, Answers},
    variant::{BOUND, Variant},
};
use crate::experiment::{
    Run,
    flags::as_time,
    ring::Map,
    stand::{Stand, Wish},
};
use clap::Args;
use loadbalancer::policy::number_of;
use protocol::{
    flags::{UNLIMITED, parse_duration},
    output::say,
};
use serde::Serialize;
use std::{fs, time::Duration};

/// The most and the fewest servers of a journey.
pub const FEWEST: usize = 2;
pub const MOST: usize = 6;

/// What the experiments on hashing can be told alike.
#[derive(Args, Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Setting {
    /// How many requests each ring gets, for each number of servers
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(10..=1_000_000))]
    pub requests: u64,
    /// How many of them are under way at once
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=2_000))]
    pub clients: u32,
    /// What a server spends on each
    #[arg(long, value_name = "TIME", default_value = "5ms", value_parser = parse_duration)]
    #[serde(serialize_with = "as_time")]
    pub time: Duration,
}

/// Who is measured: a ring, and servers on it.
#[derive(Clone, Debug)]
pub struct Subject {
    /// What it is called.
    pub label: String,
    /// The ring.
    pub variant: Variant,
    /// The servers' ids.
    pub ids: Vec<String>,
}

/// What was measured.
#[derive(Clone, Debug, Serialize)]
pub struct Sample {
    /// Of what.
    pub ring: String,
    /// The servers.
    pub servers: Vec<String>,
    /// How many requests each of them answered.
    pub answers: Vec<u64>,
    /// The shares that the ring gives them; nothing where they depend on the load (bounded load).
    pub expected: Option<Vec<f64>>,
    /// Requests without the right answer.
    pub errors: u64,
    /// What the first of these saw.
    pub example: Option<String>,
    /// How long it took.
    pub seconds: f64,
    /// What was held at each choice, if that was looked at.
    pub held: Option<Held>,
}

impl Subject {
    /// The same with a name of its own.
    #[must_use]
    pub fn new(label: &str, variant: Variant, numbers: &[u64]) -> Self {
        Self { label: label.to_owned(), variant, ids: numbers.iter().map(ToString::to_string).collect() }
    }

    /// With so many servers, all there from the beginning.
    ///
    /// # Errors
    /// If something does not start.
    pub fn still(&self, run: &Run, setting: &Setting, stand: &Stand) -> anyhow::Result<Sample> {
        run.goes_on()?;
        let mut front = Front::watched(stand, &self.variant, run.seed)?;
        front.wait_for(stand.ids())?;
        let answers = load::load(front.http, setting.requests, setting.clients, &run.stop)?;
        let journal = front.end();
        let held = Held::of(&journal, stand.ids().len(), BOUND)?;
        // Some 30 MB that nobody reads again.
        let _already_gone = fs::remove_file(&journal);
        self.sample(run, &stand.ids(), answers, Some(held))
    }

    /// From 2 servers up to 6 and down again, one at a time (`/add`, `/rm`), while the load balancer runs, whose own the servers
    /// are.
    ///
    /// # Errors
    /// If something does not start.
    pub fn journey(&self, run: &Run, setting: &Setting, number: usize) -> anyhow::Result<Vec<Sample>> {
        let stand = Stand::empty(run, &format!("journey-{number}"))?;
        let mut front = Front::with_replicas(&stand, &self.variant, run.seed, setting.time)?;
        let mut there = vec!["1".to_owned(), "2".to_owned()];
        front.wait_for(there.clone())?;
        let mut samples = Vec::new();
        for n in steps() {
            run.goes_on()?;
            let wanted = &self.ids[..n.min(self.ids.len())];
            for id in wanted.iter().filter(|id| !there.contains(id)) {
                front.add(id)?;
            }
            for id in there.iter().filter(|id| !wanted.contains(id)) {
                front.remove(id)?;
            }
            there = wanted.to_vec();
            front.wait_for(there.clone())?;
            let answers = load::load(front.http, setting.requests, setting.clients, &run.stop)?;
            samples.push(self.sample(run, &there, answers, None)?);
        }
        front.end();
        stand.end();
        Ok(samples)
    }

    fn sample(&self, run: &Run, servers: &[String], answers: Answers, held: Option<Held>) -> anyhow::Result<Sample> {
        let options = self.variant.options()?;
        let numbers: Vec<u64> = servers.iter().map(|id| number_of(id)).collect();
        let by_server = |id: &String| answers.by_server.get(id).copied().unwrap_or_default();
        let sample = Sample {
            ring: self.label.clone(),
            answers: servers.iter().map(by_server).collect(),
            expected: options.bound().is_none().then(|| Map::new(&options).shares(&numbers)),
            servers: servers.to_vec(),
            errors: answers.errors,
            example: answers.example,
            seconds: answers.seconds,
            held,
        };
        run.note("samples.jsonl", &sample)?;
        say!("{}, {} servers: {:.1} s.", sample.ring, sample.servers.len(), sample.seconds);
        Ok(sample)
    }
}

/// The service that is asked.
pub const HTTP: [&str; 2] = ["--service", "http"];

/// 2, 3, 4, 5, 6, 5, 4, 3, 2.
pub fn steps() -> impl Iterator<Item = usize> {
    (FEWEST..=MOST).chain((FEWEST..MOST).rev())
}

impl Setting {
    /// A server as it is wanted here.
    #[must_use]
    pub fn wish(&self) -> Wish {
        Wish { time: self.time, really: None, capacity: UNLIMITED }
    }

    /// In a few words.
    #[must_use]
    pub fn shown(&self) -> String {
        let Self { requests, clients, time } = self;
        format!("{requests} requests over HTTP, {clients} at a time, {} ms each", time.as_secs_f64() * 1e3)
    }
}

impl Sample {
    /// How evenly the answers are spread.
    #[must_use]
    pub fn evenness(&self) -> Evenness {
        Evenness::of_counts(&self.answers)
    }

    /// How evenly they should be.
    #[must_use]
    pub fn expected_evenness(&self) -> Option<Evenness> {
        self.expected.as_ref().map(|shares| Evenness::of(shares))
    }

    /// Whether everything was answered, and each server answered what its share is, within five standard deviations: keys
    /// fall like dice.
    #[must_use]
    pub fn good(&self) -> bool {
        let all = self.answers.iter().sum::<u64>() as f64;
        let near = |(count, share): (&u64, &f64)| {
            let deviation = (all * share * (1.0 - share)).sqrt();
            (*count as f64 - share * all).abs() <= 5.0 * deviation + 1.0
        };
        let as_expected = self.expected.as_ref().is_none_or(|shares| self.answers.iter().zip(shares).all(near));
        self.errors == 0 && as_expected
    }
}

/// A sentence for each sample that is not as it should be.
#[must_use]
pub fn trouble(samples: &[Sample]) -> String {
    let one = |sample: &&Sample| {
        let Sample { ring, servers, answers, errors, example, .. } = sample;
        let seen = example.as_ref().map_or(String::new(), |example| format!(" ({example})"));
        format!(
            "`{ring}`, {} servers, is **not** as it should be: answers {answers:?}, {errors} errors{seen}.\n\n",
            servers.len()
        )
    };
    samples.iter().filter(|sample| !sample.good()).map(|sample| one(&sample)).collect()
}

//! `lab experiment hashing-a1`: three servers, a bar for each.

use super::{
    measure::{HTTP, Sample, Setting, Subject, trouble},
    placement::numbers,
    variant::{COURSEWORK, COURSEWORK_BOUNDED, XXH3, XXH3_BOUNDED},
};
use crate::{
    experiment::{Common, Experiment, Findings, Run, plot::Groups, stand::Stand},
    record::table,
};
use clap::Args;
use serde::Serialize;

/// Servers, as the coursework has them.
const SERVERS: usize = 3;

/// Options of `lab experiment hashing-a1`.
#[derive(Args, Clone, Debug, Serialize)]
pub struct A1 {
    #[command(flatten)]
    #[serde(flatten)]
    setting: Setting,
    #[command(flatten)]
    #[serde(flatten)]
    common: Common,
}

impl Experiment for A1 {
    fn name(&self) -> &'static str {
        "hashing-a1"
    }

    fn common(&self) -> &Common {
        &self.common
    }

    fn parameters(&self) -> serde_json::Value {
        serde_json::to_value(self).unwrap_or_default()
    }

    fn conduct(&self, run: &Run) -> anyhow::Result<Findings> {
        let random = numbers(SERVERS, &mut fastrand::Rng::with_seed(run.seed));
        let counted: Vec<u64> = (1..=SERVERS as u64).collect();
        let mut samples = Vec::new();
        for (name, numbers, subjects) in [
            ("counted", &counted, &[("H and Φ, ids 1 2 3", COURSEWORK)][..]),
            (
                "random",
                &random,
                &[
                    ("H and Φ", COURSEWORK),
                    ("H and Φ bound 1.25", COURSEWORK_BOUNDED),
                    ("xxh3 K=150", XXH3),
                    ("xxh3 K=150 bound 1.25", XXH3_BOUNDED),
                ],
            ),
        ] {
            let mut stand = Stand::empty(run, name)?;
            for number in numbers {
                stand.add(&number.to_string(), &self.setting.wish(), &HTTP)?;
            }
            for (label, variant) in subjects {
                samples.push(Subject::new(label, *variant, numbers).still(run, &self.setting, &stand)?);
            }
            stand.end();
        }
        plot(run, &samples, "hashing-a1.svg")?;
        let good = samples.iter().all(|sample| sample.good() && keeps_its_bound(sample));
        Ok(Findings { text: self.told(&samples, &random), good })
    }
}

/// Whether no server ever held more than its limit, where there is one.
fn keeps_its_bound(sample: &Sample) -> bool {
    sample.expected.is_some() || sample.held.is_some_and(|held| held.choices > 0 && held.over == 0)
}

impl A1 {
    fn told(&self, samples: &[Sample], random: &[u64]) -> String {
        let mut random: Vec<String> = random.iter().map(ToString::to_string).collect();
        let last = random.pop().unwrap_or_default();
        format!(
            "{}. Random ids: {} and {last}; *answers* are in this order. *By the ring*: what its arcs say. *Held*: of what the \
             servers held at the same moment, busiest ÷ mean, at each choice. *Over the limit*: choices after which the chosen \
             server held more than ⌈1.25 × its share⌉, of all in the journal (which leaves events out rather than hold \
             requests up); where there is no bound it is what a bound would have prevented.\n\n{}\n{}",
            self.setting.shown(),
            random.join(", "),
            figures(samples),
            trouble(samples)
        )
    }
}

/// The samples as a table.
pub fn figures(samples: &[Sample]) -> String {
    let header = [
        "ring",
        "answers",
        "busiest ÷ mean",
        "by the ring",
        "deviation ÷ mean",
        "by the ring",
        "held",
        "over the limit",
    ];
    let row = |sample: &Sample| {
        let (even, expected) = (sample.evenness(), sample.expected_evenness());
        let of_ring = |figure: Option<f64>| figure.map_or("–".to_owned(), |figure| format!("{figure:.2}"));
        let counts: Vec<String> = sample.answers.iter().map(ToString::to_string).collect();
        let held = sample.held.map(|held| (format!("{:.2}", held.busiest_by_mean), part(held.over, held.choices)));
        let (held, over) = held.unwrap_or_else(|| ("–".into(), "–".into()));
        vec![
            sample.ring.clone(),
            counts.join(" / "),
            format!("{:.2}", even.busiest_by_mean),
            of_ring(expected.map(|even| even.busiest_by_mean)),
            format!("{:.2}", even.deviation_by_mean),
            of_ring(expected.map(|even| even.deviation_by_mean)),
            held,
            over,
        ]
    };
    table(&header.map(str::to_owned), samples.iter().map(row))
}

fn part(some: u64, all: u64) -> String {
    format!("{some} of {all}")
}

/// A bar for each server.
pub fn plot(run: &Run, samples: &[Sample], file: &str) -> anyhow::Result<()> {
    let mut groups: Vec<(String, Vec<u64>)> = Vec::new();
    groups.extend(samples.iter().map(|sample| (sample.ring.clone(), sample.answers.clone())));
    let all = samples.first().map_or(0, |sample| sample.answers.iter().sum::<u64>());
    let servers = samples.first().map_or(1, |sample| sample.answers.len());
    let title = format!("{all} requests over {servers} servers: a bar for each server");
    let mark = (all as f64 / servers as f64, "equal shares".to_owned());
    Groups { title, axis: "requests answered".to_owned(), mark, groups }.draw(&run.path(file))
}

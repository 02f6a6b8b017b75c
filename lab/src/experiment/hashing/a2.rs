//! `lab experiment hashing-a2`: servers come and go, one at a time; how even is it at each step?
//!
//! The coursework draws the average load of a server over N. That line is 10,000 ÷ N for every ring there is, also for one
//! that gives everything to one server. What is drawn here is busiest ÷ mean and standard deviation ÷ mean.

use super::{
    evenness::Evenness,
    measure::{MOST, Sample, Setting, Subject, steps, trouble},
    placement::numbers,
    variant::{COURSEWORK, XXH3, XXH3_BOUNDED},
};
use crate::{
    experiment::{Common, Experiment, Findings, Run, plot::Lines},
    record::table,
};
use clap::Args;
use serde::Serialize;

/// Options of `lab experiment hashing-a2`.
#[derive(Args, Clone, Debug, Serialize)]
pub struct A2 {
    #[command(flatten)]
    #[serde(flatten)]
    setting: Setting,
    #[command(flatten)]
    #[serde(flatten)]
    common: Common,
}

impl Experiment for A2 {
    fn name(&self) -> &'static str {
        "hashing-a2"
    }

    fn common(&self) -> &Common {
        &self.common
    }

    fn parameters(&self) -> serde_json::Value {
        serde_json::to_value(self).unwrap_or_default()
    }

    fn conduct(&self, run: &Run) -> anyhow::Result<Findings> {
        let random = numbers(MOST, &mut fastrand::Rng::with_seed(run.seed));
        let counted: Vec<u64> = (1..=MOST as u64).collect();
        let subjects = [
            Subject::new("H and Φ, ids 1 to N", COURSEWORK, &counted),
            Subject::new("H and Φ, random ids", COURSEWORK, &random),
            Subject::new("xxh3 K=150", XXH3, &random),
            Subject::new("xxh3 K=150 bound 1.25", XXH3_BOUNDED, &random),
        ];
        let samples = journeys(run, &self.setting, &subjects)?;
        plots(run, &samples, "hashing-a2")?;
        let ids: Vec<String> = random.iter().map(ToString::to_string).collect();
        let text = format!(
            "{}, for each number of servers. They come (`POST /add`) and go (`DELETE /rm`) while the load balancer runs; the \
             random ids, in the order in which they come: {}. (The average load of a server would be the number of \
             requests ÷ N in every cell, whatever the ring.)\n\n{}",
            self.setting.shown(),
            ids.join(", "),
            told(&samples)
        );
        Ok(Findings { text, good: samples.iter().flatten().all(Sample::good) })
    }
}

/// All of these, one after the other.
pub fn journeys(run: &Run, setting: &Setting, subjects: &[Subject]) -> anyhow::Result<Vec<Vec<Sample>>> {
    subjects.iter().zip(1..).map(|(subject, number)| subject.journey(run, setting, number)).collect()
}

/// The journeys as tables: what was measured, and what the ring says.
pub fn told(journeys: &[Vec<Sample>]) -> String {
    let measured = |of: fn(Evenness) -> f64| move |sample: &Sample| Some(of(sample.evenness()));
    let expected = |of: fn(Evenness) -> f64| move |sample: &Sample| sample.expected_evenness().map(of);
    let all: Vec<Sample> = journeys.iter().flatten().cloned().collect();
    format!(
        "{}\n{}\n{}\n{}\n{}",
        over_steps("busiest ÷ mean, N =", journeys, measured(|even| even.busiest_by_mean)),
        over_steps("the same, by the ring", journeys, expected(|even| even.busiest_by_mean)),
        over_steps("deviation ÷ mean, N =", journeys, measured(|even| even.deviation_by_mean)),
        over_steps("the same, by the ring", journeys, expected(|even| even.deviation_by_mean)),
        trouble(&all)
    )
}

fn over_steps(what: &str, journeys: &[Vec<Sample>], of: impl Fn(&Sample) -> Option<f64>) -> String {
    let header: Vec<String> = [what.to_owned()].into_iter().chain(steps().map(|n| n.to_string())).collect();
    let row = |journey: &Vec<Sample>| {
        let name = journey.first().map_or(String::new(), |sample| sample.ring.clone());
        let cell = |sample: &Sample| of(sample).map_or("–".to_owned(), |figure| format!("{figure:.2}"));
        [name].into_iter().chain(journey.iter().map(cell)).collect()
    };
    table(&header, journeys.iter().map(row))
}

/// Both figures as lines.
pub fn plots(run: &Run, journeys: &[Vec<Sample>], name: &str) -> anyhow::Result<()> {
    let draw = |what: &str, file: &str, floor: f64, of: fn(Evenness) -> f64| {
        let line = |journey: &Vec<Sample>| {
            let ring = journey.first().map_or(String::new(), |sample| sample.ring.clone());
            (ring, journey.iter().map(|sample| of(sample.evenness())).collect())
        };
        Lines {
            title: format!("{what} as servers come and go"),
            axis: "number of servers".to_owned(),
            steps: steps().map(|n| n.to_string()).collect(),
            floor,
            lines: journeys.iter().map(line).collect(),
        }
        .draw(&run.path(&format!("{name}-{file}.svg")))
    };
    draw("Busiest ÷ mean", "busiest", 1.0, |even| even.busiest_by_mean)?;
    draw("Standard deviation ÷ mean", "deviation", 0.0, |even| even.deviation_by_mean)
}

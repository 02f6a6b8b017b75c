//! `lab experiment hashing-a4`: other functions, points, slots and ways of probing.
//!
//! First a thousand random placements for each ring, computed. Then one of them for each, over real processes: `hashing-a1` and
//! `hashing-a2` again.

use super::{
    a1, a2,
    evenness::Band,
    measure::{FEWEST, MOST, Sample, Setting, Subject},
    placement::{busiest, numbers},
    variant::{ALL, COURSEWORK, Variant},
};
use crate::{
    experiment::{
        Common, Experiment, Findings, Run,
        plot::{Bar, Panel, Panels},
        ring::Map,
    },
    record::table,
};
use anyhow::Context;
use clap::Args;
use protocol::output::say;
use serde::Serialize;

/// Fewer placements than this are too few to hold a median against its goal.
const ENOUGH: u32 = 500;
/// The goal: busiest ÷ mean of six servers, the median, with the load balancer's default ring.
const GOAL: f64 = 1.12;
/// Where the coursework's ring with three servers must be, or it is not the coursework's.
const SKEW: std::ops::RangeInclusive<f64> = 1.6..=1.8;

/// Options of `lab experiment hashing-a4`.
#[derive(Args, Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct A4 {
    /// How many placements each ring is computed for, for each number of servers
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    placements: u32,
    /// Only these rings are asked over real processes (their names as in the tables)
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    only: Vec<String>,
    #[command(flatten)]
    #[serde(flatten)]
    setting: Setting,
    #[command(flatten)]
    #[serde(flatten)]
    common: Common,
}

/// What a thousand placements of a ring come to.
#[derive(Debug, Serialize)]
struct Computed {
    ring: &'static str,
    /// Busiest ÷ mean of 2, 3, 4, 5 and 6 servers.
    bands: Vec<Band>,
}

impl Experiment for A4 {
    fn name(&self) -> &'static str {
        "hashing-a4"
    }

    fn common(&self) -> &Common {
        &self.common
    }

    fn parameters(&self) -> serde_json::Value {
        serde_json::to_value(self).unwrap_or_default()
    }

    fn conduct(&self, run: &Run) -> anyhow::Result<Findings> {
        let computed: Vec<Computed> =
            ALL.iter().map(|variant| self.compute(run, variant)).collect::<anyhow::Result<_>>()?;
        plot(run, &computed)?;
        let first = first_servers_shares()?;
        let ids = numbers(MOST, &mut fastrand::Rng::with_seed(run.seed));
        let wanted = |variant: &&Variant| self.only.is_empty() || self.only.iter().any(|only| only == variant.name);
        let subject = |variant: &Variant| Subject::new(variant.name, *variant, &ids);
        let subjects: Vec<Subject> = ALL.iter().filter(wanted).map(subject).collect();
        anyhow::ensure!(!subjects.is_empty(), "No ring is called so: {}", self.only.join("; "));
        let journeys = a2::journeys(run, &self.setting, &subjects)?;
        // The first time that there are three servers is the first experiment again.
        let three: Vec<Sample> = journeys.iter().filter_map(|journey| journey.get(3 - FEWEST).cloned()).collect();
        a1::plot(run, &three, "hashing-a4-three.svg")?;
        a2::plots(run, &journeys, "hashing-a4")?;
        let good = journeys.iter().flatten().all(Sample::good) && self.goals(&computed);
        Ok(Findings { text: self.told(&computed, &first, &ids, &three, &journeys), good })
    }
}

impl A4 {
    fn compute(&self, run: &Run, variant: &Variant) -> anyhow::Result<Computed> {
        run.goes_on()?;
        let (options, in_flight) = (variant.options()?, self.setting.clients as usize);
        let band = |n| busiest(&options, n, self.placements, in_flight, run.seed).context("No placements");
        let computed =
            Computed { ring: variant.name, bands: (FEWEST..=MOST).map(band).collect::<anyhow::Result<_>>()? };
        run.note("placements.jsonl", &computed)?;
        say!("{}: {} placements of {FEWEST} to {MOST} servers.", variant.name, self.placements);
        Ok(computed)
    }

    /// The skew is there, and it is gone.
    fn goals(&self, computed: &[Computed]) -> bool {
        let median = |name: &str, n: usize| {
            let ring = computed.iter().find(|one| one.ring == name);
            ring.and_then(|one| one.bands.get(n - FEWEST)).map_or(f64::NAN, |band| band.median)
        };
        self.placements < ENOUGH
            || (SKEW.contains(&median("H and Φ", 3))
                && ["xxh3 K=150", "xxh3 K=150 M=65537"].iter().all(|name| median(name, MOST) <= GOAL))
    }

    fn told(
        &self,
        computed: &[Computed],
        first: &[f64],
        ids: &[u64],
        three: &[Sample],
        journeys: &[Vec<Sample>],
    ) -> String {
        let percent: Vec<String> = first.iter().map(|share| format!("{:.0}", share * 100.0)).collect();
        let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
        format!(
            "**{} random placements** of each ring: busiest ÷ mean, the median, and in brackets where all but one in twenty at \
             each end are. Unless said otherwise H and Φ have K = 9 points for each server on M = 512 slots, xxh3 has 64 bits.\n\n\
             {}\nWith ids 1 to N instead, server 1 gets {} % for N = {FEWEST} to {MOST} with H and Φ.\n\n\
             **One placement of each** over real processes: {}; ids {}.\n\n{}\n{}",
            self.placements,
            placements(computed),
            percent.join(", "),
            self.setting.shown(),
            ids.join(", "),
            a1::figures(three),
            a2::told(journeys)
        )
    }
}

/// What server 1 gets of the coursework's ring when the servers are numbered 1 to N.
fn first_servers_shares() -> anyhow::Result<Vec<f64>> {
    let map = Map::new(&COURSEWORK.options()?);
    let share = |n: usize| map.shares(&(1..=n as u64).collect::<Vec<_>>())[0];
    Ok((FEWEST..=MOST).map(share).collect())
}

fn placements(computed: &[Computed]) -> String {
    let header: Vec<String> =
        ["ring".to_owned()].into_iter().chain((FEWEST..=MOST).map(|n| format!("N = {n}"))).collect();
    let cell = |band: &Band| format!("{:.2} ({:.2}–{:.2})", band.median, band.p5, band.p95);
    let row = |one: &Computed| [one.ring.to_owned()].into_iter().chain(one.bands.iter().map(cell)).collect();
    table(&header, computed.iter().map(row))
}

/// The medians of three and of six servers, with their bands.
fn plot(run: &Run, computed: &[Computed]) -> anyhow::Result<()> {
    let bar = |band: &Band| Bar { value: band.median, spread: Some((band.p5, band.p95)) };
    let panel = |n: usize| Panel {
        axis: format!("busiest ÷ mean, {n} servers"),
        bars: computed.iter().filter_map(|one| one.bands.get(n - FEWEST).map(bar)).collect(),
    };
    let rows = computed.iter().map(|one| one.ring.to_owned()).collect();
    let title = "How uneven rings are: medians of random placements, and all but one in twenty at each end".to_owned();
    Panels { title, rows, panels: vec![panel(3), panel(MOST)] }.draw(&run.path("hashing-a4-placements.svg"))
}

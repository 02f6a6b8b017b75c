//! The shares as tables, sentences and plots.

use super::{Load, Sample, Shares, TIMES, TOLERANCE, theory::By};
use crate::{
    experiment::{
        Run,
        overhead::Overhead,
        plot::{Row, Stacks},
    },
    record::table,
};
use std::fmt::Write;

/// What is told of them.
pub fn text(shares: &Shares, samples: &[Sample], overheads: &[(Load, Overhead)]) -> String {
    let mut text = String::new();
    for (load, overhead) in overheads {
        let of_load: Vec<&Sample> = samples.iter().filter(|sample| sample.load == *load).collect();
        let times: Vec<String> =
            shares.times(*load).iter().map(|time| format!("{}", time.as_secs_f64() * 1e3)).collect();
        let what = if *load == Load::Light { "Light load" } else { "Saturated" };
        let _ = writeln!(
            text,
            "**{what}.** {} requests for each policy from {} clients in a closed loop, servers of {} ms and capacity {}; \
             {}.\n",
            shares.requests,
            load.clients(),
            times.join(", "),
            super::CAPACITY,
            overhead.shown(),
        );
        text += &shares_table(&of_load);
        text.push('\n');
        for sample in of_load {
            trouble(&mut text, sample);
        }
    }
    text
}

fn shares_table(samples: &[&Sample]) -> String {
    let mut header = vec!["share of each server in %".to_owned()];
    header.extend((1..=TIMES.len()).flat_map(|id| [format!("server {id}"), "theory".to_owned()]));
    header.extend(["theory by", "largest distance", "within 1 point"].map(str::to_owned));
    let percent = |share: f64| format!("{:.2}", share * 100.0);
    let row = |sample: &&Sample| {
        let mut cells = vec![sample.policy.to_string()];
        for (share, theory) in sample.shares().into_iter().zip(&sample.theory.shares) {
            cells.extend([percent(share), percent(*theory)]);
        }
        cells.push(sample.theory.by.shown().to_owned());
        cells.push(format!("{:.2}", sample.distance()));
        cells.push(verdict(sample).to_owned());
        cells
    };
    table(&header, samples.iter().map(row))
}

fn verdict(sample: &Sample) -> &'static str {
    if sample.good() { "yes" } else { "**no**" }
}

/// What is not as it should be, and what is exactly so.
fn trouble(text: &mut String, sample: &Sample) {
    let Sample { policy, answers, counted, errors, rounds, .. } = sample;
    if !rounds.is_empty() {
        let shown: Vec<String> = rounds.iter().map(|distance| format!("{distance:.2}")).collect();
        let _ = writeln!(text, "`{policy}` in {} rounds, points from theory: {}.\n", rounds.len(), shown.join(", "));
    }
    if *errors > 0 {
        let _ = writeln!(text, "`{policy}`: {errors} requests had no answer.\n");
    }
    if answers != counted {
        let _ = writeln!(text, "`{policy}`: the clients counted {answers:?}, the load balancer {counted:?}.\n");
    }
    if sample.distance() > TOLERANCE {
        let _ = writeln!(text, "`{policy}` is further from theory than {TOLERANCE} percentage point.\n");
    }
    if sample.theory.by == By::Rule {
        let all = answers.iter().sum::<u64>() as f64;
        let off = |(count, share): (&u64, &f64)| (*count as f64 - share * all).abs();
        let most = answers.iter().zip(&sample.theory.shares).map(off).fold(0.0, f64::max);
        let exact = if most < 1.0 { "exactly, to the request" } else { "**not** to the request" };
        let _ = writeln!(text, "`{policy}` follows its rule {exact}: {answers:?}.\n");
    }
}

/// A plot for each load.
pub fn plots(run: &Run, samples: &[Sample]) -> anyhow::Result<()> {
    for (load, title, file) in [
        (Load::Light, "Shares of servers of power 4 : 2 : 1, no server ever full", "shares-light.svg"),
        (Load::Saturated, "Shares of servers of power 4 : 2 : 1, all servers always full", "shares-saturated.svg"),
    ] {
        let row = |sample: &Sample| Row {
            label: sample.policy.to_string(),
            measured: sample.shares(),
            expected: sample.theory.shares.clone(),
        };
        let rows: Vec<Row> = samples.iter().filter(|sample| sample.load == load).map(row).collect();
        let part = |(id, times): (usize, u32)| match times {
            1 => format!("server {id}, the strongest"),
            _ => format!("server {id}, {times} × its time"),
        };
        let parts = TIMES.into_iter().enumerate().map(|(at, times)| part((at + 1, times))).collect();
        if !rows.is_empty() {
            Stacks { title: title.to_owned(), parts, rows }.draw(&run.path(file))?;
        }
    }
    Ok(())
}

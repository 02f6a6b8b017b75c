//! The parts as tables, sentences and plots.

use super::{Agents, EVERY, FOR, Part, part::Sample, recovery::Recovery, ring::SERVERS};
use crate::{
    experiment::{
        Run,
        flags::shown_time,
        plot::{Chart, Series},
    },
    record::table,
};
use std::fmt::Write;

/// A part in percent, never rounded up to all.
#[must_use]
pub fn percent(part: f64) -> String {
    let floor = (part * 1e6).floor() / 1e4;
    format!("{floor:.4}").trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// What is told of all parts.
#[must_use]
pub fn text(agents: &Agents, samples: &[Sample]) -> String {
    let many = if agents.agents == 1 { "one agent".to_owned() } else { format!("{} agents", agents.agents) };
    let mut text = format!(
        "Clients in a closed loop, {many} (round robin, tags of 8 bytes), {SERVERS} servers; each answer is checked to be that of its \
         request.\n\n{}\n",
        figures(samples)
    );
    for sample in samples {
        let _ = writeln!(text, "{}\n", musts(sample));
        match sample.part {
            Part::Calm => {}
            Part::Drills => text += &drills(agents, sample),
            Part::Kill => text += &kills(sample),
        }
    }
    text
}

fn figures(samples: &[Sample]) -> String {
    let header = [
        "part",
        "clients",
        "answers/s",
        "success %",
        "time-outs",
        "mean ms",
        "p50",
        "p99",
        "max",
        "shares",
        "clients ÷ rate",
    ];
    let ms = |us: f64| format!("{:.2}", us / 1e3);
    let row = |sample: &Sample| {
        let told = &sample.latency;
        let shares: Vec<String> = sample.share().iter().map(|share| format!("{share:.3}")).collect();
        vec![
            sample.part.name().to_owned(),
            sample.threads.to_string(),
            format!("{:.0}", sample.throughput()),
            percent(sample.success()),
            sample.timeouts.to_string(),
            ms(told.mean),
            ms(told.p50),
            ms(told.p99),
            ms(told.max),
            shares.join(" / "),
            format!("{:.2}", f64::from(sample.threads) / sample.throughput() * 1e3),
        ]
    };
    let note = "*clients ÷ rate* is what Little's law says the mean is, in ms, if all clients wait all the time.\n";
    format!("{}\n{note}", table(&header.map(str::to_owned), samples.iter().map(row)))
}

/// What had to be shown, and what of it was not.
fn musts(sample: &Sample) -> String {
    let word = |(what, holds): &(String, bool)| format!("{what}: {}", if *holds { "yes" } else { "**no**" });
    let words: Vec<String> = sample.musts().iter().map(word).collect();
    format!("`{}`, {} clients: {}.", sample.part.name(), sample.threads, words.join("; "))
}

fn drills(agents: &Agents, sample: &Sample) -> String {
    let count = |server: usize| sample.outages.iter().filter(|outage| outage.server == server).count();
    let counts: Vec<String> = (1..=SERVERS).map(|server| count(server).to_string()).collect();
    let longest = sample.outages.iter().map(|outage| outage.to - outage.from).fold(0.0, f64::max);
    let long = agents.scaled(FOR).as_secs_f64();
    format!(
        "Drills wanted every {} by each server, of {}: {} were held in {:.0} s, {} by servers 1 to {SERVERS}, the longest took {longest:.2} s \
         (expected {long}); at most {} down at once. By their own statistics the servers answered {:?}.\n\n",
        shown_time(agents.scaled(EVERY)),
        shown_time(agents.scaled(FOR)),
        sample.outages.len(),
        sample.seconds,
        counts.join(", "),
        sample.most_down,
        sample.by_servers
    )
}

fn kills(sample: &Sample) -> String {
    let header =
        ["killed", "at s", "back at s", "before /s", "least %", "60 % after s", "after the return %", "its share"];
    let row = |one: &Recovery| {
        vec![
            format!("server {}", one.kill.server),
            format!("{:.2}", one.kill.at),
            format!("{:.2}", one.kill.returned),
            format!("{:.0}", one.before),
            format!("{:.0}", one.least * 100.0),
            one.back_after.map_or("never".to_owned(), |after| format!("{after:.2}")),
            format!("{:.0}", one.after_return * 100.0),
            format!("{:.3}", one.share_after),
        ]
    };
    let note = "*least* is the worst quarter of a second until the return; *60 % after* is when a second begins that has 60 % of the \
                answers of before; *its share* that of the server after its return.\n\n";
    format!("{}\n{note}", table(&header.map(str::to_owned), sample.recoveries.iter().map(row)))
}

/// A picture of a part: throughput, shares, times and success over time.
///
/// # Errors
/// If it cannot be drawn.
pub fn plot(run: &Run, sample: &Sample) -> anyhow::Result<()> {
    // What ended behind the last whole period would look like a collapse.
    let whole = sample.rows.len().saturating_sub(1).max(1);
    let rows = &sample.rows[..whole.min(sample.rows.len())];
    let mut before = 0.0;
    let rate = rows.iter().map(|row| {
        let seconds = row.end - std::mem::replace(&mut before, row.end);
        (row.end, row.answers as f64 / seconds.max(1e-3) / 1e3)
    });
    let rate: Vec<(f64, f64)> = rate.collect();
    let curve = |figure: fn(&super::part::Row) -> f64| {
        rows.iter().map(|row| (row.end, figure(row))).collect::<Vec<(f64, f64)>>()
    };
    let share = |server: usize| {
        let part = |answers: &[u64; SERVERS]| answers[server] as f64 / answers.iter().sum::<u64>().max(1) as f64;
        (server, sample.shares.iter().map(|(at, answers)| (*at, part(answers))).collect())
    };
    let success = curve(|row| if row.requests == 0 { 100.0 } else { row.answers as f64 / row.requests as f64 * 100.0 });
    let least = |points: &[(f64, f64)]| points.iter().map(|point| point.1).fold(100.0, f64::min);
    let floor = if least(&success) >= 99.0 { 99.0 } else { 0.0 };
    let panels = vec![
        Chart { axis: "thousand answers a second".into(), floor: 0.0, curves: vec![(SERVERS, rate)] },
        Chart { axis: "share of each server".into(), floor: 0.0, curves: (0..SERVERS).map(share).collect() },
        Chart {
            axis: "response in ms".into(),
            floor: 0.0,
            curves: vec![(SERVERS + 1, curve(|row| row.p99_ms)), (SERVERS, curve(|row| row.mean_ms))],
        },
        Chart { axis: "success in %".into(), floor, curves: vec![(SERVERS, success)] },
    ];
    let mut names: Vec<String> = (1..=SERVERS).map(|server| format!("server {server}")).collect();
    names.extend(["all (of times: the mean)", "99th percentile"].map(str::to_owned));
    let outages = sample.outages.iter().map(|outage| (outage.from, outage.to));
    let gone = sample.recoveries.iter().map(|one| (one.kill.at, one.kill.returned));
    let title = match sample.part {
        Part::Calm => format!("{} clients, three servers, one agent: nothing happens", sample.threads),
        Part::Drills => format!("{} clients: servers elect one of them to be down", sample.threads),
        Part::Kill => format!("{} clients: one server is killed, and comes back", sample.threads),
    };
    let spans_are = if sample.part == Part::Drills { "a server is down by election" } else { "a server is gone" };
    let path = run.path(&format!("agents-{}-{}.svg", sample.part.name(), sample.threads));
    Series { title, names, spans_are: spans_are.to_owned(), spans: outages.chain(gone).collect(), panels }.draw(&path)
}

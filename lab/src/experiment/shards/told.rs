//! Tables and plots.

use super::{
    Measured,
    commits::Commits,
    drive::Sample,
    dropped::{Drops, Loss},
    layout::Layout,
};
use crate::{
    experiment::{
        Run,
        plot::{Bar, Panel, Panels},
    },
    record::{Spread, table},
};

/// 10,000 calls of the coursework's authors: the fastest and the slowest figure, in seconds.
const ORIGINAL_WRITES: (f64, f64) = (167.0, 758.0);
const ORIGINAL_READS: (f64, f64) = (52.0, 110.0);
/// How many calls those were.
const ORIGINAL_CALLS: f64 = 10_000.0;
/// The goal: this part of the fastest one, with one client.
const PART: f64 = 0.1;
/// The goal: a killed server is in service again within this time.
const MISSED_MS: f64 = 2_000.0;

/// What an original took for a call of this kind, the fastest and the slowest, for so many.
fn original(sample: &Sample) -> (f64, f64) {
    let (fastest, slowest) = if sample.what == "writes" { ORIGINAL_WRITES } else { ORIGINAL_READS };
    let part = sample.calls as f64 / ORIGINAL_CALLS;
    (fastest * part, slowest * part)
}

/// What the first three experiments have found.
pub fn speed(layout: &Layout, rows: u64, all: &[Measured]) -> String {
    let samples: Vec<&Sample> = all.iter().flat_map(|one| [&one.writes, &one.reads]).collect();
    let wrong: u64 = samples.iter().map(|sample| sample.wrong).sum();
    let example = samples.iter().find_map(|sample| sample.example.as_ref());
    let example = example.map(|example| format!(" The first: {example}")).unwrap_or_default();
    let same = all.iter().all(|one| one.differ.is_empty() && one.rows == rows);
    format!(
        "{}. One row a call. *Original*: what the authors of the coursework report, the fastest and the slowest figure, on other \
         machines.\n\n{}\n{}\n{} {} {wrong} calls were answered wrongly.{example} All replicas of each shard have the same {rows} rows at the \
         end, in their files: {}.\n\n{}",
        layout.shown(),
        calls(&samples),
        limits(layout, all),
        LIMIT,
        held_back(layout, all),
        if same { "yes" } else { "NO" },
        samples.iter().filter(|sample| sample.clients == 1).map(|sample| goal(sample)).collect::<Vec<_>>().join(" "),
    )
}

/// What the second table shows.
const LIMIT: &str = "*Commits*: durable ones a second; *by the table*: its writes times the replicas; *one file* and *all files*: bare \
                     SQLite, before and after the writes. *Of the limit*: the table's, of what all files take at once (the mean of both).";

fn goal(sample: &Sample) -> String {
    let most = original(sample).0 * PART;
    let reached = if sample.seconds < most { "reached" } else { "missed" };
    format!(
        "Goal for {} {} with one client: less than {most:.1} s; {:.2} s: {reached}.",
        sample.calls, sample.what, sample.seconds
    )
}

fn calls(samples: &[&Sample]) -> String {
    let header =
        ["clients", "calls", "seconds", "a second", "median ms", "p99 ms", "original, seconds", "times faster"];
    let row = |sample: &&Sample| {
        let (fastest, slowest) = original(sample);
        vec![
            sample.clients.to_string(),
            format!("{} {}", sample.calls, sample.what),
            format!("{:.2}", sample.seconds),
            format!("{:.0}", sample.rate()),
            format!("{:.2}", sample.p50_ms),
            format!("{:.2}", sample.p99_ms),
            format!("{}–{}", short(fastest), short(slowest)),
            format!("{}–{}", short(fastest / sample.seconds), short(slowest / sample.seconds)),
        ]
    };
    table(&header.map(str::to_owned), samples.iter().map(row))
}

/// Two figures of small numbers say enough.
fn short(number: f64) -> String {
    if number < 10.0 { format!("{number:.1}") } else { format!("{number:.0}") }
}

/// What part of the durable commits that all files take at once is the table's.
fn of_limit(layout: &Layout, one: &Measured) -> f64 {
    let limit = (one.commits[0].all + one.commits[1].all) / 2.0;
    one.writes.rate() * layout.replicas as f64 / limit
}

/// What holds writes back, by the measurement with most clients.
fn held_back(layout: &Layout, all: &[Measured]) -> &'static str {
    match all.iter().max_by_key(|one| one.clients) {
        Some(one) if of_limit(layout, one) > 0.5 => "Durable commits of the files are what holds writes back here.",
        _ => {
            "The disk is not what holds writes back here: processor time is, and that each shard carries out one change at a time."
        }
    }
}

fn limits(layout: &Layout, all: &[Measured]) -> String {
    let files = format!("all {} files", layout.servers.len());
    let header = ["clients", "commits by the table", "one file", &files, "of the limit"];
    let both =
        |commits: &[Commits; 2], of: fn(&Commits) -> f64| format!("{:.0}, {:.0}", of(&commits[0]), of(&commits[1]));
    let row = |one: &Measured| {
        let commits = one.writes.rate() * layout.replicas as f64;
        vec![
            one.clients.to_string(),
            format!("{commits:.0}"),
            both(&one.commits, |commits| commits.one),
            both(&one.commits, |commits| commits.all),
            format!("{:.0} %", 100.0 * of_limit(layout, one)),
        ]
    };
    table(&header.map(str::to_owned), all.iter().map(row))
}

/// A kind of calls: its name, its sample, and the originals' seconds.
type Kind = (&'static str, fn(&Measured) -> &Sample, (f64, f64));

fn by(clients: u32) -> String {
    if clients == 1 { "1 client".to_owned() } else { format!("{clients} clients") }
}

/// Calls a second beside the originals', and how long calls take: writes and reads each in a panel of their own, because they are far apart.
pub fn plots(run: &Run, name: &str, layout: &Layout, all: &[Measured]) -> anyhow::Result<()> {
    let panel = |what: &str, values: Vec<f64>| Panel {
        axis: what.to_owned(),
        bars: values.into_iter().map(|value| Bar { value, spread: None }).collect(),
    };
    let kinds: [Kind; 2] = [("write", |one| &one.writes, ORIGINAL_WRITES), ("read", |one| &one.reads, ORIGINAL_READS)];
    let rates = kinds.map(|(what, of, (fastest, slowest))| {
        let ours = all.iter().map(|one| of(one).rate());
        panel(&format!("{what}s a second"), ours.chain([fastest, slowest].map(|s| ORIGINAL_CALLS / s)).collect())
    });
    let originals = ["fastest original", "slowest original"].map(str::to_owned);
    let title = format!("One row a call: {}", layout.shown());
    let rows = all.iter().map(|one| by(one.clients)).chain(originals).collect();
    Panels { title, rows, panels: rates.into() }.draw(&run.path(&format!("{name}.svg")))?;
    let times = kinds.map(|(what, of, _)| {
        let both = |one| [of(one).p50_ms, of(one).p99_ms];
        panel(&format!("a {what}, in ms"), all.iter().flat_map(both).collect())
    });
    let rows = all
        .iter()
        .flat_map(|one| ["median", "99 % within"].map(|what| format!("{}, {what}", by(one.clients))))
        .collect();
    let title = format!("How long a call takes: {}", layout.shown());
    Panels { title, rows, panels: times.into() }.draw(&run.path(&format!("{name}-times.svg")))
}

/// What A-4 has found.
pub fn losses(layout: &Layout, rows: u64, all: &[Drops]) -> String {
    let paragraphs: Vec<String> = all.iter().map(|drops| spread(drops, rows)).collect();
    let losses = all.iter().flat_map(|drops| &drops.losses);
    format!(
        "{}, {rows} rows. Half of the calls read a row, half change one. One server after the other is killed (`kill -9`); \
         *missed*: from the signal until it is back, has all rows and all changes, and is read from again, as seen from \
         outside.\n\n{}\n{}",
        layout.shown(),
        rows_of(losses),
        paragraphs.join("\n\n")
    )
}

fn spread(drops: &Drops, rows: u64) -> String {
    let Drops { losses, calls, differ, rows: there } = drops;
    let missed: Vec<f64> = losses.iter().map(|loss| loss.missed_ms).collect();
    let Spread { median, min, max } = Spread::of(&missed).unwrap_or(Spread { median: 0.0, min: 0.0, max: 0.0 });
    let goal = if max <= MISSED_MS { "all within" } else { "not all within" };
    let example = calls.example.as_ref().map(|example| format!(" The first: {example}")).unwrap_or_default();
    let same = if differ.is_empty() && *there == rows { "yes" } else { "NO" };
    format!(
        "With {} at once: missed for {median:.0} ms in the median, {min:.0} to {max:.0} ms, {goal} the goal of {MISSED_MS:.0} ms. {} calls in \
         {:.1} s ({:.0} a second, median {:.2} ms, p99 {:.1} ms), of which {} were answered wrongly.{example} All replicas have the same \
         {rows} rows at the end: {same}.",
        calls.clients,
        calls.calls,
        calls.seconds,
        calls.rate(),
        calls.p50_ms,
        calls.p99_ms,
        calls.wrong,
    )
}

fn rows_of<'a>(losses: impl Iterator<Item = &'a Loss>) -> String {
    let header = ["clients", "killed", "missed, ms", "calls begun meanwhile", "answered wrongly"];
    let row = |loss: &Loss| {
        vec![
            loss.clients.to_string(),
            loss.server.clone(),
            format!("{:.0}", loss.missed_ms),
            loss.begun.to_string(),
            loss.wrong.to_string(),
        ]
    };
    table(&header.map(str::to_owned), losses.map(row))
}

/// A bar for each kill.
pub fn plot_losses(run: &Run, all: &[Drops]) -> anyhow::Result<()> {
    let losses: Vec<&Loss> = all.iter().flat_map(|drops| &drops.losses).collect();
    let panel = |axis: &str, of: fn(&Loss) -> f64| Panel {
        axis: axis.to_owned(),
        bars: losses.iter().map(|loss| Bar { value: of(loss), spread: None }).collect(),
    };
    Panels {
        title: "From kill -9 until a server is back, full and in service".to_owned(),
        rows: losses.iter().map(|loss| format!("{}, {}", loss.server, by(loss.clients))).collect(),
        panels: vec![
            panel("missed for ms (goal: 2000)", |loss| loss.missed_ms),
            panel("calls begun meanwhile", |loss| loss.begun as f64),
        ],
    }
    .draw(&run.path("shards-a4.svg"))
}

//! What `lab race` prints: first the mistake and how it went wrong, then the pool of the program.

use super::{
    models::{self, Model, Version},
    play::{self, Failure, Searched},
    stage::Step,
};
use anyhow::Context;
use protocol::output::show;
use std::{sync::mpsc, thread};

/// Plays that are enough to find any planted mistake: the rarest shows itself in one play of some hundred.
pub(super) const ENOUGH: usize = 10_000;

/// Tells what models there are.
pub(super) fn list() {
    for model in models::all() {
        show!("{}\n    {}", model.name, model.shows);
        for version in model.planted {
            show!("    planted: {}. {}", version.name, version.about);
        }
    }
}

/// One model: its mistakes, each with the play that shows it, and the pool of the program. Whether all was as it should be.
pub(super) fn one(model: &Model, plays: usize, seed: u64) -> bool {
    show!("{}: {}", model.name, model.shows);
    let found = model.planted.iter().map(|version| shown(model, version, seed)).filter(|found| *found).count();
    show!("\nThe pool of the program, in the same scene, with the same threads:\n");
    let searched = play::search(&model.real, plays, seed);
    let clean = searched.failure.is_none();
    match &searched.failure {
        None => {
            show!("  {}\n  In none of them was anything wrong. (seed {seed})", counted(&searched));
        }
        Some(failure) => failed(model, &model.real, failure),
    }
    clean && found == model.planted.len()
}

/// A planted mistake: looks for it, and tells the play in which it shows. Whether it was found.
fn shown(model: &Model, version: &Version, seed: u64) -> bool {
    show!("\nA mistake, made on purpose ({}): {}\n", version.name, version.about);
    let searched = play::search(version, ENOUGH, seed);
    let Some(failure) = searched.failure else {
        show!("  NOT FOUND in {} schedules: the model is blind to it.", searched.plays);
        return false;
    };
    failed(model, version, &failure);
    true
}

/// A play in which something was wrong, told step by step, and how to repeat it.
fn failed(model: &Model, version: &Version, failure: &Failure) {
    show!("  It went wrong in schedule number {}:\n", failure.plays);
    let (steps, again) = play::repeat(version, &failure.schedule);
    tell(&steps, again.as_deref());
    let named = match model.planted.first() {
        Some(first) if first.name == version.name => String::new(),
        _ => format!(" --version {}", version.name),
    };
    show!("\n  The same again: lab race {} --replay {}{named}", model.name, failure.schedule);
}

/// The steps of a play, numbered, and what was wrong at the end.
pub(super) fn tell(steps: &[Step], broken: Option<&str>) {
    let width = steps.iter().map(|step| step.who.chars().count()).max().unwrap_or(0);
    for (at, step) in steps.iter().enumerate() {
        show!("  {:>3}  {:<width$}  {}", at + 1, step.who, step.what);
    }
    show!("\n  {}", broken.map_or("Nothing was wrong.".to_owned(), |broken| format!("WRONG: {broken}")));
}

/// All models, several at a time. Whether all was as it should be.
pub(super) fn all(plays: usize, seed: u64) -> anyhow::Result<bool> {
    let mut jobs = models::all()
        .flat_map(|model| [&model.real].into_iter().chain(model.planted).map(move |version| (model, version)));
    let (mut good, mut running) = (true, 0);
    let (done, results) = mpsc::channel();
    let at_once = thread::available_parallelism().map_or(1, usize::from);
    show!("{:<16} {:<22} {:>10} {:>10} {:>8}  result", "model", "version", "schedules", "different", "seconds");
    loop {
        while running < at_once
            && let Some((model, version)) = jobs.next()
        {
            let (done, planted) = (done.clone(), version.name != model.real.name);
            let work = move || {
                let searched = play::search(version, if planted { ENOUGH } else { plays }, seed);
                let _nobody_waits = done.send((model, version, searched));
            };
            thread::Builder::new().name(format!("race-{}", model.name)).spawn(work).context("No thread")?;
            running += 1;
        }
        if running == 0 {
            break;
        }
        let (model, version, searched) = results.recv().context("A model ended without a result")?;
        running -= 1;
        good &= line(model, version, &searched);
    }
    show!("\n(seed {seed})");
    Ok(good)
}

fn line(model: &Model, version: &Version, searched: &Searched) -> bool {
    let planted = version.name != model.real.name;
    let result = match (&searched.failure, planted) {
        (None, false) => "clean".to_owned(),
        (Some(failure), true) => format!("found: {}", failure.what),
        (None, true) => "NOT FOUND".to_owned(),
        (Some(failure), false) => {
            format!("WRONG: {} (lab race {} --version real --replay {})", failure.what, model.name, failure.schedule)
        }
    };
    let Searched { plays, different, took, .. } = searched;
    show!("{:<16} {:<22} {plays:>10} {different:>10} {:>8.2}  {result}", model.name, version.name, took.as_secs_f64());
    searched.failure.is_some() == planted
}

fn counted(searched: &Searched) -> String {
    let Searched { plays, different, took, .. } = searched;
    format!("{plays} schedules in {:.1} s, {different} of them different from each other.", took.as_secs_f64())
}

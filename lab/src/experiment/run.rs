//! One run of an experiment: its folder, and what belongs into it.

use super::{Experiment, manifest::Manifest};
use crate::{
    process::{Binary, RunFolder},
    record::{Machine, results},
};
use anyhow::{Context, bail};
use protocol::{
    output::{say, show},
    places::Places,
    stop::Stop,
};
use serde::Serialize;
use std::{
    fs::{self, OpenOptions},
    io::Write,
    path::PathBuf,
    process::ExitCode,
    time::SystemTime,
};

/// A run that is going on.
#[derive(Debug)]
pub struct Run {
    /// Where it writes.
    pub folder: RunFolder,
    /// The program whose processes are started.
    pub binary: Binary,
    /// Where all random choices come from.
    pub seed: u64,
    /// On what it runs.
    pub machine: Machine,
    /// Ctrl-C.
    pub stop: Stop,
    places: Places,
}

/// What an experiment found.
#[derive(Clone, Debug)]
pub struct Findings {
    /// Tables and sentences, as Markdown.
    pub text: String,
    /// Whether everything is as theory says, where theory says anything.
    pub good: bool,
}

impl Run {
    fn begin(name: &str, seed: Option<u64>) -> anyhow::Result<Self> {
        let places = Places::here()?;
        Ok(Self {
            folder: RunFolder::make(&places, &format!("experiment-{name}"), None)?,
            binary: Binary::own()?,
            seed: seed.unwrap_or_else(|| fastrand::u64(1..1_000_000)),
            machine: Machine::look(&places.root),
            stop: Stop::on_signals().context("Signals cannot be handled")?,
            places,
        })
    }

    /// A file of this run.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A folder below that of the run, for processes of their own.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn subfolder(&self, name: &str) -> anyhow::Result<RunFolder> {
        RunFolder::make(&self.places, "experiment", Some(&self.path(name)))
    }

    /// Appends a sample to a file of raw data, as a line of JSON.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn note(&self, file: &str, sample: &impl Serialize) -> anyhow::Result<()> {
        let path = self.path(file);
        let opened = OpenOptions::new().create(true).append(true).open(&path);
        let mut out = opened.with_context(|| format!("{} cannot be written", path.display()))?;
        let line = serde_json::to_string(sample)? + "\n";
        out.write_all(line.as_bytes()).with_context(|| format!("{} cannot be written", path.display()))
    }

    /// An error if somebody has pressed Ctrl-C.
    ///
    /// # Errors
    /// Then.
    pub fn goes_on(&self) -> anyhow::Result<()> {
        if self.stop.is_set() {
            bail!("Interrupted.");
        }
        Ok(())
    }

    fn write(&self, manifest: &Manifest) -> anyhow::Result<()> {
        let path = self.path("manifest.json");
        let text = serde_json::to_string_pretty(manifest)? + "\n";
        fs::write(&path, text).with_context(|| format!("{} cannot be written", path.display()))
    }
}

/// Conducts an experiment from the beginning to the end.
pub(super) fn conduct(experiment: &dyn Experiment) -> anyhow::Result<ExitCode> {
    let (name, common) = (experiment.name(), experiment.common());
    if common.write_results && cfg!(debug_assertions) {
        bail!("This is a debug build, whose figures mean little. Use: cargo run --release -- experiment {name}");
    }
    let run = Run::begin(name, common.seed)?;
    let mut manifest = Manifest::new(name, experiment.parameters(), run.seed, run.machine.clone());
    run.write(&manifest)?;
    let findings = experiment.conduct(&run)?;
    let text = format!("{}\n\n{}", headline(&run, &manifest), findings.text.trim());
    fs::write(run.path("results.md"), format!("# Experiment {name}\n\n{text}\n"))?;
    manifest.ended = Some(crate::record::machine::time(SystemTime::now()));
    run.write(&manifest)?;
    show!("{text}");
    say!("Raw data, plots and manifest are in {}.", run.folder.shown());
    if common.write_results {
        results::write(&run.places.root.join("docs/results.md"), &format!("experiment {name}"), &text)?;
    }
    Ok(if findings.good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What a figure depends on, in a few lines.
fn headline(run: &Run, manifest: &Manifest) -> String {
    let busy = if run.machine.was_busy() {
        " Others were busy on this machine: take times for no more than that."
    } else {
        ""
    };
    let debug = if cfg!(debug_assertions) { " A debug build." } else { "" };
    format!("{}.{busy}{debug}\n\n    {}", run.machine.shown(), manifest.command)
}

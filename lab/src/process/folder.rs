//! The folder of a run: everything that a run writes, and nothing that the repository tracks.

use anyhow::Context;
use protocol::{
    places::Places,
    runs::{name_of_this_run, point_latest_to},
};
use std::{
    fs,
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
};

/// Runs of a kind whose folders are kept; older ones are removed.
const KEPT: usize = 10;

/// The sample file, for a laboratory that was started outside of a checkout.
pub const COLORS_CSV: &str = include_str!("../../../server/files/colors.csv");

/// The folder of a run.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
}

impl RunFolder {
    /// Makes the folder: the one that was asked for, or a new one in `runs/`, named for what runs (`up`, `drill`).
    ///
    /// # Errors
    /// If it cannot be made or written.
    pub fn make(places: &Places, kind: &str, asked: Option<&Path>) -> anyhow::Result<Self> {
        let runs = places.runs();
        let path = asked.map_or_else(|| runs.join(name_of_this_run(kind)), Path::to_owned);
        fs::create_dir_all(&path).with_context(|| format!("The folder {} cannot be made", path.display()))?;
        let path = fs::canonicalize(&path)?;
        let folder = Self { path };
        // The journal of an earlier run in this folder would say where *its* load balancer listened.
        let _was_there = fs::remove_file(folder.journal());
        folder.write("servers.json", "[]\n")?;
        folder.write("database.json", "{\n  \"engine\": \"sqlite\",\n  \"path\": \"database.sqlite\"\n}\n")?;
        if asked.is_none() {
            remove_old_runs(&runs, kind);
        }
        Ok(folder)
    }

    /// Makes `runs/latest` lead here. `loadbalancer why` and `ctl` look there: it is for a run whose load balancer is at work and
    /// has its journal here, and for no other.
    pub fn is_latest(&self, places: &Places) {
        // A convenience: where it cannot be made there is none.
        let _ = point_latest_to(&places.runs(), &self.path);
    }

    fn write(&self, name: &str, content: &str) -> anyhow::Result<()> {
        let path = self.path.join(name);
        fs::write(&path, content).with_context(|| format!("{} cannot be written", path.display()))
    }

    /// The folder itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The registry of this run.
    #[must_use]
    pub fn registry(&self) -> PathBuf {
        self.path.join("servers.json")
    }

    /// What names the database of this run.
    #[must_use]
    pub fn database(&self) -> PathBuf {
        self.path.join("database.json")
    }

    /// The journal of this run.
    #[must_use]
    pub fn journal(&self) -> PathBuf {
        self.path.join("journal.jsonl")
    }

    /// What a program prints.
    #[must_use]
    pub fn log(&self, name: &str) -> PathBuf {
        self.path.join(format!("{name}.log"))
    }

    /// The files that the servers give away: the laboratory's, or, where there is no laboratory around, a folder
    /// of this run with the sample.
    ///
    /// # Errors
    /// If that cannot be made.
    pub fn files(&self, places: &Places) -> anyhow::Result<PathBuf> {
        let files = places.files();
        if files.is_dir() {
            return Ok(files);
        }
        let own = self.path.join("files");
        fs::create_dir_all(&own)?;
        fs::write(own.join("colors.csv"), COLORS_CSV)?;
        Ok(own)
    }

    /// Where the client's files arrive.
    #[must_use]
    pub fn received(&self, places: &Places) -> PathBuf {
        let received = places.received();
        if received.is_dir() { received } else { self.path.join("received") }
    }

    /// Where the load balancer listens, as it wrote into its journal when it began.
    #[must_use]
    pub fn balancer_address(&self) -> Option<SocketAddr> {
        let journal = fs::File::open(self.journal()).ok()?;
        let mut line = String::new();
        BufReader::new(journal).read_line(&mut line).ok()?;
        let started: serde_json::Value = serde_json::from_str(&line).ok()?;
        started.get("address")?.as_str()?.parse().ok()
    }

    /// The folder as a person would type it.
    #[must_use]
    pub fn shown(&self) -> String {
        let here = std::env::current_dir().and_then(fs::canonicalize).unwrap_or_default();
        self.path.strip_prefix(&here).unwrap_or(&self.path).display().to_string()
    }
}

fn remove_old_runs(runs: &Path, kind: &str) {
    let Ok(found) = fs::read_dir(runs) else { return };
    let begin = format!("{kind}-");
    let is_run = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&begin));
    let mut old: Vec<PathBuf> = found.flatten().map(|entry| entry.path()).filter(is_run).collect();
    old.sort();
    let surplus = old.len().saturating_sub(KEPT);
    for path in &old[..surplus] {
        let _ = fs::remove_dir_all(path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::runs::latest;

    /// Whoever asks `loadbalancer why --last` means the load balancer that is at work, and not an experiment beside it.
    #[test]
    fn only_a_run_that_says_so_is_the_latest() {
        let root = tempfile::tempdir().unwrap();
        let places = Places { root: root.path().to_owned(), found: true };
        let up = RunFolder::make(&places, "up", None).unwrap();
        assert!(!latest(&places.runs()).exists(), "its load balancer is not at work yet");
        up.is_latest(&places);
        let leads_to = || fs::canonicalize(latest(&places.runs())).unwrap();
        assert_eq!(leads_to(), up.path());
        RunFolder::make(&places, "framing", None).unwrap();
        assert_eq!(leads_to(), up.path());
    }
}

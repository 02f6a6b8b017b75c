//! On what it was measured: without that a figure means nothing.

use serde::Serialize;
use std::{fs, path::Path, process::Command, time::SystemTime};

/// What a figure depends on.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    /// The commit of the checkout, with `+` if files differ from it.
    pub commit: String,
    /// The day, in UTC.
    pub date: String,
    /// The processor's name.
    pub cpu: String,
    /// How many of its cores there are for us.
    pub cores: usize,
    /// The system and its version.
    pub system: String,
    /// How SQLite keeps what it writes: journal mode and `synchronous`.
    pub database: String,
    /// How many processes wanted a core on average in the minute before, where the system tells.
    pub load_before: Option<f64>,
    /// The version of HAProxy, if it is there.
    pub haproxy: Option<String>,
}

impl Machine {
    /// Looks around.
    #[must_use]
    pub fn look(root: &Path) -> Self {
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        Self {
            commit: commit(root),
            date: date(SystemTime::now()),
            cpu: cpu().unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            system: format!("{} {}", std::env::consts::OS, kernel.trim()).trim().to_owned(),
            database: String::new(),
            load_before: fs::read_to_string("/proc/loadavg").ok().and_then(|text| text.split(' ').next()?.parse().ok()),
            haproxy: said(Command::new("haproxy").arg("-v")).and_then(|text| version(&text)),
        }
    }

    /// Whether others were busy on it shortly before.
    #[must_use]
    pub fn was_busy(&self) -> bool {
        self.load_before.is_some_and(|load| load > self.cores as f64 / 2.0)
    }

    /// In one line.
    #[must_use]
    pub fn shown(&self) -> String {
        let Self { commit, date, cores, cpu, system, .. } = self;
        format!("Commit {commit}, {date}, {cores} cores of {cpu}, {system}")
    }

    /// In one line, with what matters to `lab bench` only.
    #[must_use]
    pub fn shown_with_rivals(&self) -> String {
        let haproxy = self.haproxy.as_ref();
        let haproxy = haproxy.map_or("HAProxy is not installed".to_owned(), |version| format!("HAProxy {version}"));
        let database = if self.database.is_empty() { String::new() } else { format!("SQLite: {}; ", self.database) };
        format!("{}; {database}{haproxy}", self.shown())
    }
}

fn commit(root: &Path) -> String {
    let git = |args: &[&str]| said(Command::new("git").arg("-C").arg(root).args(args));
    let Some(commit) = git(&["rev-parse", "--short=12", "HEAD"]) else { return "unknown".to_owned() };
    // The file that a measurement itself writes does not count.
    let changed = git(&["status", "--porcelain", "--untracked-files=no", "--", ".", ":!docs/results.md"])
        .is_some_and(|files| !files.is_empty());
    format!("{}{}", commit.trim(), if changed { "+" } else { "" })
}

fn cpu() -> Option<String> {
    let info = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = info.lines().find(|line| line.starts_with("model name"))?;
    line.split_once(": ").map(|(_, name)| name.trim().to_owned())
}

/// `HAProxy version 2.6.12-1 2023/…` → `2.6.12-1`.
fn version(text: &str) -> Option<String> {
    text.split_whitespace().skip_while(|word| *word != "version").nth(1).map(str::to_owned)
}

/// The version of a program as it says itself (`--version`), if it is there.
#[must_use]
pub fn version_of(program: &str) -> Option<String> {
    said(Command::new(program).arg("--version")).map(|text| text.trim().to_owned())
}

/// What a program says on its standard output, if it succeeds.
fn said(command: &mut Command) -> Option<String> {
    let output = command.output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A time in UTC, as `2026-02-03T04:05:06Z`.
#[must_use]
pub fn time(time: SystemTime) -> String {
    let of_day = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs() % 86_400;
    format!("{}T{:02}:{:02}:{:02}Z", date(time), of_day / 3_600, of_day / 60 % 60, of_day % 60)
}

/// The day of a time, as `2026-02-03`: Howard Hinnant's `civil_from_days`, which counts years from the first of March
/// so that the odd day comes last.
fn date(time: SystemTime) -> String {
    let days = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs() / 86_400 + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let day_of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year}-{month:02}-{day:02}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn days_have_their_dates() {
        for (day, shown) in [(0, "1970-01-01"), (59, "1970-03-01"), (11_016, "2000-02-29"), (20_088, "2024-12-31")] {
            assert_eq!(date(SystemTime::UNIX_EPOCH + Duration::from_secs(day * 86_400 + 86_399)), shown);
        }
    }

    #[test]
    fn times_are_those_of_the_day() {
        let (midnight, later) = (20_088 * 86_400, 20_088 * 86_400 + 86_399);
        let shown = [midnight, later].map(|seconds| time(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)));
        assert_eq!(shown, ["2024-12-31T00:00:00Z", "2024-12-31T23:59:59Z"]);
    }

    #[test]
    fn a_version_is_found_among_words() {
        assert_eq!(version("HAProxy version 2.6.12-1+deb12u4 2026/10/17 - https").as_deref(), Some("2.6.12-1+deb12u4"));
        assert_eq!(version("command not found"), None);
    }
}

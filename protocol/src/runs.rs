//! The folders of runs, and `runs/latest`, which leads to the newest of them.
//!
//! Whatever a run writes (its journal, logs, a registry of its own) has a folder below `runs/`, named for what runs, the
//! second in which it began, and the number of its process: in order of time, and never the same twice. Nobody wants to
//! type that, so `runs/latest` leads to the newest of those in which a load balancer serves and has its journal:
//! `tail -f runs/latest/journal.jsonl`. One that could not start, and an experiment, whose load balancers have folders below its own,
//! leave it where it is.
//!
//! It is a symbolic link. A new one is made under another name and renamed over the old one, so that at every moment
//! `latest` leads somewhere. Where the file system has no such links there is a small file `runs/latest.txt` instead, with
//! the folder's name in it; [`latest`] understands both.

use std::{
    fs, io,
    path::{Component, Path, PathBuf},
    time::SystemTime,
};

/// Name of the folder in which the runs have theirs.
pub const RUNS: &str = "runs";
/// Name of what leads to the newest run.
const LATEST: &str = "latest";
/// The same where there are no links: a file with the name of the run's folder.
const LATEST_FILE: &str = "latest.txt";

/// The name of the folder of a run that begins now: `up-1795248157-2644`.
#[must_use]
pub fn name_of_this_run(kind: &str) -> String {
    let seconds = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    format!("{kind}-{seconds}-{}", std::process::id())
}

/// Makes `latest` lead to this folder in `runs`. Whoever looks at the same time sees the old one or the new one.
///
/// # Errors
/// If neither a link nor a file can be made there, or `latest` is a folder of somebody's own.
pub fn point_latest_to(runs: &Path, run: &Path) -> io::Result<()> {
    let name = run.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let (link, file) = (runs.join(LATEST), runs.join(LATEST_FILE));
    if fs::symlink_metadata(&link).is_ok_and(|found| found.is_dir()) {
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, "there is a folder of that name"));
    }
    // Several processes, or several threads of one test, may do this at once.
    let new = runs.join(format!(".latest-{}-{}", std::process::id(), fastrand::u64(..)));
    match make_link(Path::new(name), &new) {
        Ok(()) => replace(&new, &link).map(|()| drop(fs::remove_file(&file))),
        Err(_) => fs::write(&new, name.as_encoded_bytes()).and_then(|()| replace(&new, &file)),
    }
}

/// Where the newest run has its folder, as far as `runs` says: `runs/latest`, also if there is no such thing.
#[must_use]
pub fn latest(runs: &Path) -> PathBuf {
    let link = runs.join(LATEST);
    if link.exists() {
        return link;
    }
    let named = fs::read_to_string(runs.join(LATEST_FILE)).map(|name| PathBuf::from(name.trim()));
    let plain = |name: &PathBuf| matches!(name.components().collect::<Vec<_>>()[..], [Component::Normal(_)]);
    named.ok().filter(plain).map_or(link, |name| runs.join(name))
}

fn replace(new: &Path, old: &Path) -> io::Result<()> {
    fs::rename(new, old).inspect_err(|_| drop(fs::remove_file(new)))
}

#[cfg(unix)]
fn make_link(to: &Path, at: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(to, at)
}

/// Links need a privilege on Windows that few have.
#[cfg(not(unix))]
fn make_link(_to: &Path, _at: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        sync::atomic::{AtomicBool, Ordering},
        thread,
    };

    fn runs_with(names: &[&str]) -> tempfile::TempDir {
        let runs = tempfile::tempdir().unwrap();
        for name in names {
            fs::create_dir(runs.path().join(name)).unwrap();
            fs::write(runs.path().join(name).join("journal.jsonl"), name).unwrap();
        }
        runs
    }

    fn read_latest(runs: &Path) -> io::Result<String> {
        fs::read_to_string(latest(runs).join("journal.jsonl"))
    }

    #[test]
    fn latest_leads_to_the_newest_run_at_every_moment() {
        let (dir, over) = (runs_with(&["a", "b"]), AtomicBool::new(false));
        let runs = dir.path();
        assert!(read_latest(runs).is_err());
        point_latest_to(runs, &runs.join("a")).unwrap();
        thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    let seen = read_latest(runs).unwrap();
                    assert!(["a", "b"].contains(&&*seen), "{seen:?}");
                }
            });
            (0..300).for_each(|n| point_latest_to(runs, &runs.join(["a", "b"][n % 2])).unwrap());
            over.store(true, Ordering::Relaxed);
        });
        assert_eq!(read_latest(runs).unwrap(), "b");
        let left = fs::read_dir(runs).unwrap().flatten().filter(|entry| entry.file_name() != "latest").count();
        assert_eq!(left, 2, "nothing else is left behind");
    }

    #[test]
    fn without_links_a_file_names_the_run() {
        let dir = runs_with(&["a"]);
        fs::write(dir.path().join(LATEST_FILE), "a\n").unwrap();
        assert_eq!(read_latest(dir.path()).unwrap(), "a");
        for elsewhere in ["../a", "/etc", "", "a/b"] {
            fs::write(dir.path().join(LATEST_FILE), elsewhere).unwrap();
            assert_eq!(latest(dir.path()), dir.path().join(LATEST), "{elsewhere:?}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_link_takes_the_place_of_the_file_and_a_folder_of_that_name_stays() {
        let dir = runs_with(&["a", "b"]);
        fs::write(dir.path().join(LATEST_FILE), "a").unwrap();
        point_latest_to(dir.path(), &dir.path().join("b")).unwrap();
        assert_eq!(read_latest(dir.path()).unwrap(), "b");
        assert!(!dir.path().join(LATEST_FILE).exists());
        let own = runs_with(&["latest", "b"]);
        assert!(point_latest_to(own.path(), &own.path().join("b")).is_err());
        assert_eq!(read_latest(own.path()).unwrap(), "latest");
    }
}

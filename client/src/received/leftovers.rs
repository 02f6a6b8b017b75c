//! Clearing away what a killed client left behind.
//!
//! A client that is killed in the middle of a transfer cannot remove its unfinished file. The next one does, but it
//! must not take away a file that another client is writing right now. Process numbers would be a guess (they are
//! used again, and mean nothing on another machine that shares the folder). So each client holds a *lock* on its
//! unfinished file, which the system releases when the process ends, however it ends: a file whose lock can be had
//! is nobody's.
//!
//! Between making a file and locking it there is a moment, hence files younger than [`YOUNG`] are left alone. Where
//! the file system knows no locks, nothing is surely dead, and nothing is removed.

use super::TEMPORARY;
use std::{fs, path::Path, time::Duration};

/// Unfinished files younger than this are left alone, locked or not.
const YOUNG: Duration = Duration::from_secs(60);

/// Removes the unfinished files in this folder that surely nobody is writing any more. Returns how many; what
/// cannot be read or removed is passed over, for nothing depends on it.
pub fn clear(folder: &Path) -> usize {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    let unfinished = entries.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with(TEMPORARY));
    unfinished.filter(|entry| is_dead(&entry.path()) && fs::remove_file(entry.path()).is_ok()).count()
}

fn is_dead(path: &Path) -> bool {
    let plain_and_old = fs::symlink_metadata(path).is_ok_and(|about| {
        let age = about.modified().ok().and_then(|at| at.elapsed().ok());
        about.is_file() && age.is_some_and(|age| age >= YOUNG)
    });
    plain_and_old && fs::OpenOptions::new().write(true).open(path).is_ok_and(|file| file.try_lock().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs::File, time::SystemTime};

    fn leave(folder: &Path, name: &str, age: Duration) -> File {
        let file = File::create(folder.join(name)).unwrap();
        file.set_modified(SystemTime::now() - age).unwrap();
        file
    }

    #[test]
    fn only_what_is_old_and_nobodys_goes() {
        let folder = tempfile::tempdir().unwrap();
        let name = |rest: &str| format!("{TEMPORARY}{rest}");
        drop(leave(folder.path(), &name("dead"), YOUNG * 2));
        drop(leave(folder.path(), &name("young"), Duration::ZERO));
        drop(leave(folder.path(), "colors.csv", YOUNG * 2));
        let alive = leave(folder.path(), &name("alive"), YOUNG * 2);
        alive.lock().unwrap();
        fs::create_dir(folder.path().join(name("folder"))).unwrap();

        assert_eq!(clear(folder.path()), 1);
        assert!(!folder.path().join(name("dead")).exists());
        for kept in [name("young"), name("alive"), name("folder"), "colors.csv".into()] {
            assert!(folder.path().join(&kept).exists(), "{kept}");
        }
        drop(alive);
        assert_eq!(clear(folder.path()), 1, "its writer has ended");
        assert_eq!(clear(&folder.path().join("nowhere")), 0);
    }
}

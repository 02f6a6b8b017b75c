//! Taking turns: the lock file beside the registry.

use super::RegistryError;
use std::{
    ffi::OsString,
    fs::{self, File, TryLockError},
    io::{self, Write},
    path::{Path, PathBuf},
    time::Duration,
};

/// Waits between two tries grow from the first to the second of these. A turn takes a few milliseconds, mostly for
/// the disk.
const PAUSES: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(16));

/// A turn to write. Ends when dropped, or when the process ends, in whatever way. The lock file stays: to remove it
/// would take the lock from under somebody who has just opened it.
#[derive(Debug)]
pub(super) struct Turn {
    _locked: File,
}

/// Waits for the turn to write this file.
pub(super) fn take(target: &Path, wait: Duration) -> Result<Turn, RegistryError> {
    let path = beside(target, ".lock");
    let failed = |source| RegistryError::LockFile { path: path.display().to_string(), source };
    let file = File::options().create(true).truncate(false).read(true).write(true).open(&path).map_err(failed)?;
    let deadline = crate::deadline::Deadline::after(wait);
    let mut step = PAUSES.0;
    loop {
        match file.try_lock() {
            Ok(()) => break,
            Err(TryLockError::Error(source)) => return Err(failed(source)),
            Err(TryLockError::WouldBlock) if deadline.has_passed() => {
                let holder = holder_of(&path);
                return Err(RegistryError::Locked { path: path.display().to_string(), holder, waited: wait });
            }
            Err(TryLockError::WouldBlock) => {}
        }
        // Somewhere between half a step and a whole one, lest the same writers meet again and again.
        pause(step.mul_f64(0.5 + fastrand::f64() / 2.0).min(deadline.remaining()));
        step = (step * 2).min(PAUSES.1);
    }
    // For the message above in another process; the lock does not depend on it.
    let _unsaid = sign(&file);
    Ok(Turn { _locked: file })
}

/// Waits. The system has no lock with a deadline, so this is one wait of a bounded number.
pub(super) fn pause(duration: Duration) {
    let _timeout = crossbeam_channel::never::<()>().recv_timeout(duration);
}

/// `servers.json` and `.lock` make `servers.json.lock`.
pub(super) fn beside(target: &Path, suffix: &str) -> PathBuf {
    let mut name: OsString = target.file_name().unwrap_or_default().to_owned();
    name.push(suffix);
    target.with_file_name(name)
}

fn sign(mut file: &File) -> io::Result<()> {
    file.set_len(0)?;
    file.write_all(format!("{}\n", std::process::id()).as_bytes())
}

fn holder_of(path: &Path) -> String {
    let pid = fs::read_to_string(path).ok().and_then(|text| text.trim().parse::<u32>().ok());
    pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"))
}

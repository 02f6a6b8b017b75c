//! Database servers refuse to run as root. Where we are root, they run as the users whom their packages have made, with `setpriv`, and
//! their data is in a folder that these can reach.

use super::{Child, argument};
use anyhow::{Context, ensure};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    env,
    fs::Permissions,
    os::unix::fs::{PermissionsExt, chown},
    path::{Path, PathBuf},
    process::{Command, Output},
};
use tempfile::TempDir;

/// Where Debian keeps programs that are not in everybody's path.
const FURTHER: [&str; 2] = ["/usr/sbin", "/usr/local/sbin"];

/// The file of a program.
pub(super) fn find(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&path).chain(FURTHER.map(PathBuf::from));
    folders.map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// A temporary folder into which other users may look.
pub(super) fn folder_for(prefix: &str) -> anyhow::Result<TempDir> {
    let folder = tempfile::Builder::new().prefix(prefix).permissions(Permissions::from_mode(0o755)).tempdir();
    folder.context("There is no temporary folder")
}

/// Makes this user their owner, where we are root.
pub(super) fn give_to(user: &str, paths: &[&Path]) -> anyhow::Result<()> {
    if !is_root()? {
        return Ok(());
    }
    let (owner, group) = (number(&["-u", user])?, number(&["-g", user])?);
    for path in paths {
        chown(path, Some(owner), Some(group)).with_context(|| format!("{} cannot be given away", path.display()))?;
    }
    Ok(())
}

/// A command, and its arguments, that runs a program as this user where we are root.
pub(super) fn as_user(user: &str, program: &Path, args: &[&str]) -> anyhow::Result<Vec<String>> {
    let file = argument(program)?;
    let other = ["setpriv", "--reuid", user, "--regid", user, "--clear-groups", "--", "env", "-C", "/"];
    let other: &[&str] = if is_root()? { &other } else { &[] };
    Ok(other.iter().copied().chain([file.as_str()]).chain(args.iter().copied()).map(str::to_owned).collect())
}

/// Sends a signal to a server.
pub(super) fn send(server: &Child, signal: Signal) -> anyhow::Result<()> {
    let pid = i32::try_from(server.pid()).ok().and_then(Pid::from_raw).context("The database has no number")?;
    kill_process(pid, signal).context("The database cannot be sent a signal")
}

fn is_root() -> anyhow::Result<bool> {
    Ok(number(&["-u"])? == 0)
}

fn number(args: &[&str]) -> anyhow::Result<u32> {
    let Output { status, stdout, .. } = Command::new("id").args(args).output().context("There is no id")?;
    ensure!(status.success(), "There is no such user: {}", args.join(" "));
    String::from_utf8_lossy(&stdout).trim().parse().context("id gives no number")
}

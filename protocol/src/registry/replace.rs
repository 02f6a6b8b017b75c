//! Replacing a file whole, so that nobody ever sees half of it.

use super::{RegistryError, lock::beside};
use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

/// Most links that are followed from one to the next; more are a circle.
const MAX_LINKS: usize = 40;

/// Most copies of content that was not understood. With more, a writer refuses instead of filling the folder.
const MAX_COPIES: usize = 100;

/// The file itself, where `path` is a link to it: a rename would otherwise replace the link. The file need not exist.
pub(super) fn target_of(path: &Path) -> PathBuf {
    let mut target = path.to_path_buf();
    for _ in 0..MAX_LINKS {
        match fs::read_link(&target) {
            Ok(link) => target = target.parent().unwrap_or(Path::new("")).join(link),
            Err(_) => break,
        }
    }
    target
}

/// Puts this content in the file's place: temporary file, fsync, rename, fsync of the folder.
///
/// # Errors
/// If the folder or the disk does not let it; then the old content is there.
pub fn replace(target: &Path, content: &[u8]) -> Result<(), RegistryError> {
    let failed = |step| move |source| RegistryError::Unwritable { path: target.display().to_string(), step, source };
    let mut file = temporary(target).map_err(failed("making a temporary file beside it"))?;
    file.write_all(content).map_err(failed("writing the temporary file"))?;
    like_the_old(target, file.as_file()).map_err(failed("taking over the permissions"))?;
    file.as_file().sync_all().map_err(failed("bringing the temporary file to the disk"))?;
    file.persist(target).map_err(|error| failed("renaming the temporary file")(error.error))?;
    sync_folder(target);
    Ok(())
}

/// Saves content that was not understood as `servers.json.bad-1`, or the next free number.
pub(super) fn save_aside(target: &Path, content: &[u8]) -> Result<PathBuf, RegistryError> {
    let failed = |source| {
        let step = "saving its present content, which cannot be understood, under another name";
        RegistryError::Unwritable { path: target.display().to_string(), step, source }
    };
    for number in 1..=MAX_COPIES {
        let path = beside(target, &format!(".bad-{number}"));
        match File::create_new(&path) {
            Ok(mut file) => {
                file.write_all(content).and_then(|()| file.sync_all()).map_err(failed)?;
                return Ok(path);
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(failed(error)),
        }
    }
    Err(failed(io::Error::other(format!("there are {MAX_COPIES} such copies already; remove them"))))
}

/// Removes temporary files of writers that died. Only whoever holds the lock makes any, so under the lock none is
/// in use.
pub(super) fn remove_leftovers(target: &Path) {
    let Ok(files) = fs::read_dir(folder_of(target)) else { return };
    let prefix = temporary_prefix(target);
    for file in files.flatten() {
        let name = file.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(&prefix) && name.ends_with(TEMPORARY) {
            // One that cannot be removed harms nobody.
            let _stays = fs::remove_file(file.path());
        }
    }
}

const TEMPORARY: &str = ".tmp";

fn temporary_prefix(target: &Path) -> String {
    format!(".{}.", target.file_name().unwrap_or_default().to_string_lossy())
}

fn temporary(target: &Path) -> io::Result<tempfile::NamedTempFile> {
    let prefix = temporary_prefix(target);
    let mut builder = tempfile::Builder::new();
    builder.prefix(&prefix).suffix(TEMPORARY);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // What any new file gets: everything that the umask does not forbid.
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    builder.tempfile_in(folder_of(target))
}

/// The new file gets the owner (where we may) and the permissions of the one it replaces.
fn like_the_old(target: &Path, file: &File) -> io::Result<()> {
    let old = match fs::metadata(target) {
        Ok(old) => old,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    #[cfg(unix)]
    {
        use std::os::unix::fs::{MetadataExt, fchown};
        let new = file.metadata()?;
        if (old.uid(), old.gid()) != (new.uid(), new.gid()) {
            // Only root may give files away; for others the file becomes their own.
            let _ours = fchown(file, Some(old.uid()), Some(old.gid()));
        }
    }
    file.set_permissions(old.permissions())
}

fn folder_of(target: &Path) -> &Path {
    target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Brings the rename itself to the disk. Some file systems refuse that for folders; the new content is in place and
/// seen by everybody all the same, so a refusal is not a failure.
fn sync_folder(target: &Path) {
    #[cfg(unix)]
    {
        let _refused = File::open(folder_of(target)).and_then(|folder| folder.sync_all());
    }
    #[cfg(not(unix))]
    let _ = target;
}

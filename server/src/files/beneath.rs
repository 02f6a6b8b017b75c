//! Opening a file below a directory and nowhere else.

use std::{fs::File, io, path::Path};

/// Opens `name`, which was checked to be relative and without dots, below `directory`, without waiting.
pub(super) fn open(directory: &Path, name: &str) -> io::Result<File> {
    #[cfg(target_os = "linux")]
    match kernel::open(directory, name) {
        // Old kernels do not know the call, and some containers forbid every call they do not know.
        Err(e) if matches!(e.raw_os_error(), Some(kernel::ENOSYS | kernel::EPERM)) => {}
        result => return result,
    }
    by_comparing_paths(directory, name)
}

/// Whether the opening failed because the name leads elsewhere.
pub(super) fn leaves_the_directory(error: &io::Error) -> bool {
    #[cfg(target_os = "linux")]
    if matches!(error.raw_os_error(), Some(kernel::EXDEV | kernel::ELOOP)) {
        return true;
    }
    error.get_ref().is_some_and(|inner| inner.is::<Outside>())
}

/// Whether the opening failed because what stands there can never be read like a file: a socket, or a device
/// without a driver.
pub(super) fn is_no_file(error: &io::Error) -> bool {
    #[cfg(unix)]
    if error.raw_os_error() == Some(rustix::io::Errno::NXIO.raw_os_error()) {
        return true;
    }
    error.kind() == io::ErrorKind::IsADirectory
}

#[cfg(target_os = "linux")]
mod kernel {
    use rustix::{
        fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2},
        io::Errno,
    };
    use std::{fs::File, io, path::Path};

    pub(super) const ENOSYS: i32 = Errno::NOSYS.raw_os_error();
    pub(super) const EPERM: i32 = Errno::PERM.raw_os_error();
    pub(super) const EXDEV: i32 = Errno::XDEV.raw_os_error();
    pub(super) const ELOOP: i32 = Errno::LOOP.raw_os_error();

    /// How often the kernel may say "try again" because something was renamed while it walked the path.
    const TRIES: usize = 8;

    pub(super) fn open(directory: &Path, name: &str) -> io::Result<File> {
        let room = openat(CWD, directory, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        let how = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        let mut last = Errno::AGAIN;
        for _ in 0..TRIES {
            match openat2(&room, name, how, Mode::empty(), resolve) {
                Ok(file) => return Ok(File::from(file)),
                Err(Errno::AGAIN) => last = Errno::AGAIN,
                Err(e) => return Err(e.into()),
            }
        }
        Err(last.into())
    }
}

/// Says that the path leads out of the directory, where the kernel has no error of its own for that.
#[derive(Debug, thiserror::Error)]
#[error("the path leads out of the directory")]
struct Outside;

/// The portable way: resolve every link, compare, then open what was resolved and follow no further link.
fn by_comparing_paths(directory: &Path, name: &str) -> io::Result<File> {
    let directory = directory.canonicalize()?;
    let resolved = directory.join(name).canonicalize()?;
    if !resolved.starts_with(&directory) {
        return Err(io::Error::other(Outside));
    }
    open_without_waiting(&resolved)
}

#[cfg(unix)]
fn open_without_waiting(path: &Path) -> io::Result<File> {
    use rustix::fs::{CWD, Mode, OFlags, openat};
    let how = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    Ok(File::from(openat(CWD, path, how, Mode::empty())?))
}

#[cfg(not(unix))]
fn open_without_waiting(path: &Path) -> io::Result<File> {
    File::open(path)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    /// Both ways must agree; this one is not reached on a new Linux.
    #[test]
    fn the_portable_way_also_stays_inside() {
        let outer = tempfile::tempdir().unwrap();
        let room = outer.path().join("room");
        std::fs::create_dir(&room).unwrap();
        std::fs::write(outer.path().join("secret"), "s").unwrap();
        std::fs::write(room.join("inside"), "i").unwrap();
        symlink("../secret", room.join("leak")).unwrap();
        symlink("inside", room.join("alias")).unwrap();
        symlink("circle", room.join("circle")).unwrap();
        assert!(by_comparing_paths(&room, "inside").is_ok());
        assert!(by_comparing_paths(&room, "alias").is_ok());
        assert!(leaves_the_directory(&by_comparing_paths(&room, "leak").unwrap_err()));
        assert!(leaves_the_directory(&by_comparing_paths(&room, "../secret").unwrap_err()));
        assert!(by_comparing_paths(&room, "circle").is_err());
    }
}

//! Whether the folder of a database can carry SQLite's write-ahead log.
//!
//! In WAL mode the processes that share a database also share memory: the index of the log is a file that each of
//! them maps. A network file system gives each machine its own copy of that memory, and its locks are often only
//! promises. SQLite's documentation is plain about it: "WAL does not work over a network filesystem."
//!
//! Source: <https://sqlite.org/wal.html>, <https://sqlite.org/lockingv3.html#how_to_corrupt>.

use std::path::Path;

/// The kind of network file system that `folder` lies on, if it is known to be one.
#[cfg(target_os = "linux")]
pub(super) fn network(folder: &Path) -> Option<&'static str> {
    let answer = rustix::fs::statfs(folder).ok()?;
    // The type's width differs between processors; the magic numbers have 32 bits.
    name_of(answer.f_type as u32)
}

/// Elsewhere only SQLite's own answer tells.
#[cfg(not(target_os = "linux"))]
pub(super) fn network(_folder: &Path) -> Option<&'static str> {
    None
}

/// Network file systems by the number that `statfs(2)` gives for them.
#[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "numbers of Linux"))]
fn name_of(magic: u32) -> Option<&'static str> {
    Some(match magic {
        0x0000_6969 => "NFS",
        0x0000_517B | 0xFF53_4D42 | 0xFE53_4D42 => "SMB",
        0x0102_1997 => "9P (a folder of another system, such as a Windows drive under WSL2)",
        0x5346_414F | 0x6B41_4653 => "AFS",
        0x7375_7245 => "Coda",
        0x00C3_6400 => "Ceph",
        0x0BD0_0BD0 => "Lustre",
        0x4750_4653 => "GPFS",
        0x786F_4256 => "a folder shared by VirtualBox",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_file_systems_are_known_and_local_ones_are_not() {
        assert_eq!(name_of(0x6969), Some("NFS"));
        for local in [0xEF53, 0x0102_1994, 0x9123_683E, 0x794C_7630, 0x5846_5342] {
            assert_eq!(name_of(local), None, "ext4, tmpfs, btrfs, overlay, xfs");
        }
        let here = tempfile::tempdir().unwrap();
        assert_eq!(network(here.path()), None, "tests need a local folder for temporary files");
    }
}

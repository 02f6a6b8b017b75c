//! Names that ask for more than they should.

use super::*;
use protocol::message::ErrorCode::{BadRequest, Damaged, Forbidden, NotFound};
use std::{fs, io::Write};

/// A room with files in it, and a secret beside it.
fn room() -> (tempfile::TempDir, FileRoom) {
    let outer = tempfile::tempdir().unwrap();
    let inside = outer.path().join("files");
    fs::create_dir_all(inside.join("sub")).unwrap();
    fs::write(outer.path().join("secret.txt"), "secret").unwrap();
    fs::write(inside.join("colors.csv"), "Name\n").unwrap();
    fs::write(inside.join("sub/deep.txt"), "deep").unwrap();
    fs::write(inside.join("Grüße aus Kopenhagen ✓.txt"), "hej").unwrap();
    fs::write(inside.join("...dots"), "").unwrap();
    (outer, FileRoom::new(inside))
}

fn code(room: &FileRoom, name: &str) -> ErrorCode {
    let failure = room.open(name).map(|_| ()).expect_err(name).failure();
    assert!(failure.definite && failure.message.ends_with(['.', '!', '…']), "{name:?}: {}", failure.message);
    assert!(!failure.message.contains("/tmp") && !failure.message.contains('\u{1b}'), "{failure:?}");
    failure.code
}

#[test]
fn ordinary_names_are_served_with_spaces_and_letters_of_any_language() {
    let (_outer, room) = room();
    for (name, size) in [("colors.csv", 5), ("sub/deep.txt", 4), ("Grüße aus Kopenhagen ✓.txt", 3), ("...dots", 0)]
    {
        assert_eq!(room.open(name).unwrap().size(), size, "{name}");
    }
}

#[test]
fn a_file_that_is_not_there_is_told_in_the_words_of_the_course() {
    let (_outer, room) = room();
    let failure = room.open("no such.txt").unwrap_err().failure();
    assert_eq!((failure.code, failure.message.as_str()), (NotFound, "File no such.txt not found in server!"));
    assert_eq!(code(&room, "colors.csv/x"), NotFound);
    assert_eq!(code(&FileRoom::new("/no/such/room".into()), "colors.csv"), NotFound);
}

#[test]
fn hostile_names_never_leave_the_room() {
    let (_outer, room) = room();
    let table = [
        ("../secret.txt", Forbidden),
        ("../../etc/passwd", Forbidden),
        ("sub/../../secret.txt", Forbidden),
        ("sub/../colors.csv", Forbidden),
        ("..", Forbidden),
        (".", Forbidden),
        ("./colors.csv", Forbidden),
        ("/etc/passwd", Forbidden),
        ("//etc/passwd", Forbidden),
        ("..\\secret.txt", Forbidden),
        ("C:\\secret.txt", Forbidden),
        ("colors.csv\0.txt", Forbidden),
        ("", BadRequest),
        ("sub//deep.txt", BadRequest),
        ("sub/", BadRequest),
        ("sub", Forbidden),
        ("\u{1b}]0;title\u{7}", NotFound),
    ];
    for (name, expected) in table {
        assert_eq!(code(&room, name), expected, "{name:?}");
    }
    assert_eq!(code(&room, &"x".repeat(300)), BadRequest);
    assert_eq!(code(&room, &"x/".repeat(MAX_FILE_NAME)), BadRequest);
}

#[cfg(unix)]
#[test]
fn links_are_followed_inside_and_refused_when_they_lead_out() {
    use std::os::unix::fs::symlink;
    let (_outer, room) = room();
    let link = |target: &str, name: &str| symlink(target, room.directory.join(name)).unwrap();
    link("sub/deep.txt", "inside");
    link("../secret.txt", "outside");
    link("/etc/passwd", "absolute");
    link("..", "parent");
    link("circle", "circle");
    link("nowhere", "dangling");
    assert_eq!(room.open("inside").unwrap().size(), 4);
    for name in ["outside", "absolute", "parent/secret.txt", "circle"] {
        assert_eq!(code(&room, name), Forbidden, "{name}");
    }
    assert_eq!(code(&room, "dangling"), NotFound);
}

#[cfg(target_os = "linux")]
#[test]
fn pipes_devices_and_sockets_are_refused_without_waiting() {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    let (_outer, room) = room();
    mknodat(CWD, room.directory.join("pipe"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let _listener = std::os::unix::net::UnixListener::bind(room.directory.join("socket")).unwrap();
    assert_eq!(code(&room, "pipe"), Forbidden);
    assert_eq!(code(&room, "socket"), Forbidden);
    assert_eq!(code(&FileRoom::new("/dev".into()), "zero"), Forbidden);
    assert_eq!(code(&FileRoom::new("/proc/self".into()), "fd/0"), Forbidden);
}

#[test]
fn a_file_that_shrinks_or_grows_or_is_rewritten_is_noticed() {
    let (_outer, room) = room();
    let path = room.directory.join("colors.csv");
    let mut open = room.open("colors.csv").unwrap();
    let mut block = [0; 5];
    open.read_exact(&mut block).unwrap();
    open.unchanged().unwrap();
    fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(b"more").unwrap();
    assert_eq!(open.unchanged().unwrap_err().failure().code, Damaged);

    let mut open = room.open("colors.csv").unwrap();
    fs::File::create(&path).unwrap();
    assert!(matches!(open.read_exact(&mut [0; 9]), Err(FileError::Changed(_))));
}

#[test]
fn a_file_that_is_replaced_as_a_whole_is_sent_as_it_was() {
    let (outer, room) = room();
    let mut open = room.open("colors.csv").unwrap();
    fs::write(outer.path().join("new"), "other").unwrap();
    fs::rename(outer.path().join("new"), room.directory.join("colors.csv")).unwrap();
    let mut block = [0; 5];
    open.read_exact(&mut block).unwrap();
    assert_eq!(&block, b"Name\n");
    open.unchanged().unwrap();
}

use super::*;

fn sha(bytes: &[u8]) -> String {
    to_hex(&Sha256::digest(bytes))
}

fn receive(inbox: &Inbox, requested: &str, content: &[u8]) -> Result<Arrived, ReceiveError> {
    let mut incoming = inbox.begin(requested, content.len() as u64)?;
    for part in content.chunks(3) {
        incoming.write(part)?;
    }
    incoming.finish(&sha(content))
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn inbox() -> (tempfile::TempDir, Inbox) {
    let folder = tempfile::tempdir().unwrap();
    let inbox = Inbox::new(folder.path().join("received"));
    (folder, inbox)
}

#[test]
fn a_file_arrives_bit_for_bit_and_the_folder_is_made_for_it() {
    let (_folder, inbox) = inbox();
    for content in [&b""[..], b"\0", b"Name,HEX\nWhite,#FFFFFF\n\xff\x00"] {
        let name = format!("f{}", content.len());
        let arrived = receive(&inbox, &name, content).unwrap();
        assert_eq!(fs::read(&arrived.path).unwrap(), content);
        assert_eq!((arrived.name, arrived.size, arrived.how), (name, content.len() as u64, Naming::New));
        assert_eq!(arrived.sha256, sha(content));
    }
}

#[test]
fn the_same_content_is_kept_once_and_another_gets_a_number() {
    let (_folder, inbox) = inbox();
    let how = |content: &[u8]| {
        let arrived = receive(&inbox, "colors.csv", content).unwrap();
        (arrived.name, arrived.how)
    };
    assert_eq!(how(b"one"), ("colors.csv".into(), Naming::New));
    assert_eq!(how(b"one"), ("colors.csv".into(), Naming::AlreadyThere));
    assert_eq!(how(b"two"), ("colors.2.csv".into(), Naming::Numbered));
    assert_eq!(how(b"three"), ("colors.3.csv".into(), Naming::Numbered));
    assert_eq!(how(b"two"), ("colors.2.csv".into(), Naming::AlreadyThere));
    assert_eq!(names(&inbox.folder), ["colors.2.csv", "colors.3.csv", "colors.csv"]);
    assert_eq!(fs::read(inbox.folder.join("colors.csv")).unwrap(), b"one");
}

#[test]
fn a_folder_or_a_link_of_that_name_is_left_alone() {
    let (folder, inbox) = inbox();
    fs::create_dir_all(inbox.folder.join("a")).unwrap();
    assert_eq!(receive(&inbox, "a", b"x").unwrap().name, "a.2");
    #[cfg(unix)]
    {
        let outside = folder.path().join("outside");
        fs::write(&outside, "x").unwrap();
        std::os::unix::fs::symlink(&outside, inbox.folder.join("b")).unwrap();
        std::os::unix::fs::symlink("nowhere", inbox.folder.join("c")).unwrap();
        assert_eq!(receive(&inbox, "b", b"y").unwrap().name, "b.2");
        assert_eq!(receive(&inbox, "c", b"y").unwrap().name, "c.2");
        assert_eq!(fs::read(&outside).unwrap(), b"x");
    }
    drop(folder);
}

#[test]
fn what_is_not_whole_leaves_nothing() {
    let (_folder, inbox) = inbox();
    let mut short = inbox.begin("a", 4).unwrap();
    short.write(b"abc").unwrap();
    assert_eq!(names(&inbox.folder).len(), 1, "the unfinished file");
    assert!(matches!(short.finish(&sha(b"abc")), Err(ReceiveError::Size { announced: 4, came: 3 })));

    let mut long = inbox.begin("a", 2).unwrap();
    assert!(matches!(long.write(b"abc"), Err(ReceiveError::Size { announced: 2, came: 3 })));
    drop(long);

    let mut damaged = inbox.begin("a", 3).unwrap();
    damaged.write(b"abc").unwrap();
    assert!(matches!(damaged.finish(&sha(b"abd")), Err(ReceiveError::Digest { .. })));

    drop(inbox.begin("a", 3).unwrap());
    assert_eq!(names(&inbox.folder), [""; 0]);
}

#[test]
fn a_name_from_elsewhere_stays_in_the_folder() {
    let (folder, inbox) = inbox();
    let arrived = receive(&inbox, "../../evil", b"x").unwrap();
    assert_eq!(arrived.path, inbox.folder.join("evil"));
    assert_eq!(names(folder.path()), ["received"]);
}

#[test]
fn a_folder_that_cannot_be_is_explained() {
    let (folder, inbox) = inbox();
    fs::write(folder.path().join("received"), "a file").unwrap();
    let error = inbox.begin("a", 1).unwrap_err();
    assert!(matches!(error, ReceiveError::Folder { .. }));
    assert!(error.to_string().contains("--received"), "{error}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_told_as_such() {
    let (_folder, inbox) = inbox();
    let mut incoming = inbox.begin("a", 9).unwrap();
    // A device that is always full stands in for the disk.
    let (_, path) = incoming.file.into_parts();
    incoming.file = NamedTempFile::from_parts(File::options().write(true).open("/dev/full").unwrap(), path);
    let error = incoming.write(b"abc").unwrap_err();
    assert!(matches!(error, ReceiveError::Full { written: 0, .. }), "{error}");
    drop(incoming);
    assert_eq!(names(&inbox.folder), [""; 0]);
}

#[cfg(unix)]
#[test]
fn others_may_read_what_arrived_as_the_user_decided() {
    use std::os::unix::fs::PermissionsExt;
    let (_folder, inbox) = inbox();
    let ordinary = inbox.folder.with_file_name("ordinary");
    fs::write(&ordinary, "").unwrap();
    let arrived = receive(&inbox, "a", b"x").unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode();
    assert_eq!(mode(&arrived.path), mode(&ordinary));
}

#[test]
fn eight_clients_at_once_lose_nothing() {
    let (_folder, inbox) = inbox();
    std::thread::scope(|scope| {
        for n in 0..8_u8 {
            let inbox = &inbox;
            scope.spawn(move || receive(inbox, "same.bin", &[n; 100]).unwrap());
        }
    });
    let mut contents: Vec<u8> =
        names(&inbox.folder).iter().map(|name| fs::read(inbox.folder.join(name)).unwrap()[0]).collect();
    contents.sort_unstable();
    assert_eq!(contents, [0, 1, 2, 3, 4, 5, 6, 7]);
}

//! Conditional requests over a socket; the rules themselves are tested where they stand, by a table.

use super::*;

/// The tag of the file, once it has been at rest for long enough to have one.
fn tag(server: &Fixture, path: &str) -> String {
    let until = Instant::now() + LONG;
    loop {
        let reply = server.ask(&Ask::new(Method::Head, path));
        if let Some(tag) = reply.headers.get("etag") {
            return tag.to_owned();
        }
        assert!(Instant::now() < until, "no tag: {reply:?}");
        thread::yield_now();
    }
}

#[cfg(unix)]
#[test]
fn a_client_that_has_the_file_gets_nothing_and_one_that_has_another_gets_it_whole() {
    let server = start(|_| ());
    server.file("a.txt", b"0123456789");
    let first = tag(&server, "/files/a.txt");
    assert!(first.starts_with('"') && first.ends_with('"'), "a strong one: {first}");
    let get = |fields: &[(&str, &str)]| {
        let ask = fields.iter().fold(Ask::get("/files/a.txt"), |ask, (name, value)| ask.header(name, value).unwrap());
        let reply = server.ask(&ask);
        (reply.status.code(), reply.text(), reply.headers.get("etag").map(str::to_owned))
    };
    let (part, whole) = (("Range", "bytes=2-4"), "0123456789".to_owned());
    assert_eq!(get(&[("If-None-Match", &first)]), (304, String::new(), Some(first.clone())));
    assert_eq!(get(&[("If-Match", &first), part]).1, "234");
    assert_eq!(get(&[("If-Range", &first), part]), (206, "234".into(), Some(first.clone())));
    assert_eq!(get(&[("If-Range", "\"other\""), part]), (200, whole.clone(), Some(first.clone())));
    assert_eq!(get(&[("If-Match", "\"other\"")]).0, 412);
    assert_eq!(get(&[("If-None-Match", "\"other\"")]).1, whole);

    // Replaced as a whole, by one of the same length.
    fs::write(server.folder.path().join("new"), "ABCDEFGHIJ").unwrap();
    fs::rename(server.folder.path().join("new"), server.folder.path().join("files/a.txt")).unwrap();
    let fresh = get(&[("If-None-Match", &first)]);
    assert_eq!((fresh.0, fresh.1.as_str()), (200, "ABCDEFGHIJ"));
    assert_eq!(get(&[("If-Range", &first), part]).1, "ABCDEFGHIJ", "never a mixture");
    assert_eq!(get(&[("If-Match", &first), part]).0, 412);
    let second = tag(&server, "/files/a.txt");
    assert_ne!(first, second);
    assert_eq!(get(&[("If-Range", &second), part]).1, "CDE");
    // The same bytes written again in place: another version, for nobody compares bytes.
    server.file("a.txt", b"ABCDEFGHIJ");
    assert_ne!(tag(&server, "/files/a.txt"), second);
}

#[cfg(unix)]
#[test]
fn servers_that_share_a_folder_agree_on_the_tag_so_that_one_can_go_on_for_another() {
    let first = start(|_| ());
    let second = start(|config| config.files = first.folder.path().join("files"));
    first.file("a", &[1; 1_000]);
    assert_eq!(tag(&first, "/files/a"), tag(&second, "/files/a"));
}

#[test]
fn dates_are_understood_and_said_when_they_are_certain() {
    let server = start(|_| ());
    server.file("a", b"x");
    let path = server.folder.path().join("files/a");
    let then = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
    fs::File::options().write(true).open(&path).unwrap().set_modified(then).unwrap();
    let date = "Sun, 06 Nov 1994 08:49:37 GMT";
    assert_eq!(server.get("/files/a").headers.get("last-modified"), Some(date));
    let status = |name: &str, value: &str| server.ask(&Ask::get("/files/a").header(name, value).unwrap()).status.code();
    for value in [date, "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:38 1994"] {
        assert_eq!(status("If-Modified-Since", value), 304, "{value}");
        assert_eq!(status("If-Unmodified-Since", value), 200, "{value}");
    }
    assert_eq!(status("If-Modified-Since", "Sun, 06 Nov 1994 08:49:36 GMT"), 200);
    assert_eq!(status("If-Unmodified-Since", "Sun, 06 Nov 1994 08:49:36 GMT"), 412);
    fs::write(&path, "y").unwrap();
    assert_eq!(server.get("/files/a").headers.get("last-modified"), None, "it may change again within the second");
}

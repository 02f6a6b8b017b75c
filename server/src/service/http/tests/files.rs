//! Files over HTTP: whole, in parts, and names that ask for more than they should.

use super::*;

fn noise(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    fastrand::Rng::with_seed(length as u64).fill(&mut bytes);
    bytes
}

#[test]
fn files_of_all_sizes_arrive_whole_on_one_connection() {
    let server = start(|_| ());
    let mut client = server.http();
    for size in [0, 1, 16_384, 16_385, 262_143, 262_144, 262_145, 3_000_000] {
        let bytes = noise(size);
        server.file("data.bin", &bytes);
        let reply = client.ask(&Ask::get("/files/data.bin"), LONG).unwrap();
        assert_eq!(reply.status, Status::OK);
        assert!(reply.body == bytes, "{size}");
        assert_eq!(reply.headers.get("content-type"), Some("application/octet-stream"));
        assert_eq!(reply.headers.get("accept-ranges"), Some("bytes"));
        let head = client.ask(&Ask::new(Method::Head, "/files/data.bin"), LONG).unwrap();
        assert_eq!((head.status, head.body.len()), (Status::OK, 0));
        assert_eq!(head.headers.get("content-length"), Some(size.to_string().as_str()));
    }
    assert_eq!(server.running.active(), 0);
}

#[test]
fn names_are_unescaped_once_and_have_a_type() {
    let server = start(|_| ());
    fs::create_dir(server.folder.path().join("files/sub")).unwrap();
    for (name, path, media) in [
        ("colors.csv", "colors.csv", "text/csv; charset=utf-8"),
        ("sub/page.html", "sub/page.html?x=../..", "text/html; charset=utf-8"),
        ("a b+c.txt", "a%20b+c.txt", "text/plain; charset=utf-8"),
        ("Grüße ✓.json", "Gr%C3%BC%C3%9Fe%20%E2%9C%93.json", "application/json"),
        ("100%25.png", "100%2525.png", "image/png"),
    ] {
        server.file(name, name.as_bytes());
        let reply = server.get(&format!("/files/{path}"));
        assert_eq!((reply.status, reply.text().as_str()), (Status::OK, name));
        assert_eq!(reply.headers.get("content-type"), Some(media));
        assert_eq!(reply.headers.get("x-content-type-options"), Some("nosniff"));
    }
}

#[test]
fn hostile_paths_never_leave_the_room() {
    let server = start(|_| ());
    fs::write(server.folder.path().join("secret.txt"), "secret").unwrap();
    fs::create_dir(server.folder.path().join("files/sub")).unwrap();
    server.file("inside.txt", b"inside");
    #[cfg(unix)]
    std::os::unix::fs::symlink("../secret.txt", server.folder.path().join("files/leak")).unwrap();
    for (path, status) in [
        ("/files/../secret.txt", 403),
        ("/files/%2e%2e/secret.txt", 403),
        ("/files/.%2E/secret.txt", 403),
        ("/files/sub/../../secret.txt", 403),
        ("/files/sub/../inside.txt", 403),
        ("/files/..%2fsecret.txt", 404),
        ("/files/%2e%2e%2fsecret.txt", 404),
        ("/files/..%5csecret.txt", 403),
        ("/files/%252e%252e/secret.txt", 404),
        ("/files/%2fetc%2fpasswd", 404),
        ("/files//etc/passwd", 403),
        ("/files/", 400),
        ("/files/sub/", 400),
        ("/files/sub", 403),
        ("/files/inside.txt%00.png", 404),
        ("/files/%ff", 404),
        ("/files/%zz", 404),
        ("/files/inside.txt/x", 404),
        ("/files/no.txt", 404),
        ("/../secret.txt", 404),
        ("/home/../files/inside.txt", 404),
        #[cfg(unix)]
        ("/files/leak", 403),
    ] {
        let answer = server.exchange(&format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{path}: {answer}");
        assert!(!answer.contains("\r\n\r\nsecret") && answer.contains("\"definite\":true"), "{path}: {answer}");
        assert!(!answer.contains(server.folder.path().to_str().unwrap()), "{path}: {answer}");
    }
    assert_eq!(server.running.active(), 0);
}

#[test]
fn parts_of_a_file_are_answered_with_what_they_are() {
    let server = start(|_| ());
    let bytes = noise(1_000_000);
    server.file("data", &bytes);
    let mut client = server.http();
    let mut part = |range: &str| client.ask(&Ask::get("/files/data").header("Range", range).unwrap(), LONG).unwrap();
    for (range, from, to) in [
        ("bytes=0-0", 0, 1),
        ("bytes=100-299999", 100, 300_000),
        ("bytes=999999-", 999_999, 1_000_000),
        ("bytes=-300000", 700_000, 1_000_000),
        ("bytes=500000-9999999", 500_000, 1_000_000),
    ] {
        let reply = part(range);
        assert_eq!(reply.status, Status::PARTIAL_CONTENT, "{range}");
        assert_eq!(reply.headers.get("content-range"), Some(format!("bytes {from}-{}/1000000", to - 1).as_str()));
        assert!(reply.body == bytes[from..to], "{range}");
    }
    for range in ["bytes=0-1,5-6", "bytes=2-1", "lines=1-2"] {
        let reply = part(range);
        assert_eq!((reply.status, reply.headers.get("content-range")), (Status::OK, None), "{range}");
        assert!(reply.body == bytes);
    }
    let reply = part("bytes=1000000-");
    assert_eq!((reply.status, code(&reply).as_str()), (Status::RANGE_NOT_SATISFIABLE, "bad-request"));
    assert_eq!(reply.headers.get("content-range"), Some("bytes */1000000"));
    let head = Ask::new(Method::Head, "/files/data").header("Range", "bytes=0-0").unwrap();
    let head = client.ask(&head, LONG).unwrap();
    assert_eq!((head.status, head.headers.get("content-length")), (Status::OK, Some("1000000")));
}

/// How many bytes of the body come, of a large file that something happens to when the first of them are there.
fn received(size: u64, happens: impl FnOnce(&fs::File)) -> u64 {
    let server = start(|_| ());
    let file = server.large_file("big", size);
    let mut stream = server.raw();
    stream.write_all(b"GET /files/big HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    assert!(String::from_utf8(head).unwrap().contains(&format!("Content-Length: {size}\r\n")));
    happens(&file);
    let received = std::io::copy(&mut stream, &mut std::io::sink()).unwrap_or_default();
    server.until_active(0);
    received
}

#[test]
fn a_file_that_changes_while_it_is_sent_is_cut_and_one_that_does_not_is_whole() {
    let size = 64 * 1024 * 1024;
    assert_eq!(received(size, |_| ()), size);
    // What fits into the sockets' buffers may have left; the last block has not.
    assert!(received(size, |file| file.set_len(1).unwrap()) < size);
    assert!(received(size, |file| file.set_len(size + 1).unwrap()) < size);
    assert!(received(size, |mut file| file.write_all(b"x").unwrap()) < size, "the same length");
}

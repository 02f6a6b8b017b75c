//! curl through the HTTP frontend: every method, uploads and downloads, ranges, old versions and expectations.

use crate::{
    front::Front,
    kit::{Process, World, eventually, pattern},
    nginx::Nginx,
    programs::{are_here, command, run, text},
};
use std::fs;

/// Larger than every buffer on the way.
const LARGE: usize = 20_000_000;

/// What curl prints when it succeeds.
fn curl(args: &[&str], input: &[u8]) -> String {
    run(command("curl", &[&["-sS", "--max-time", "50"], args].concat()), input).done()
}

/// The status with which a request was answered.
fn status(args: &[&str], input: &[u8]) -> String {
    curl(&[&["-o", "/dev/null", "-w", "%{http_code}"], args].concat(), input)
}

#[test]
fn every_method_reaches_the_server_as_it_is() {
    if !are_here(&["curl", "nginx"]) {
        return;
    }
    let nginx = Nginx::start();
    let front = Front::http(World::new(), &[nginx.address]);
    for method in ["GET", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "PROPFIND"] {
        assert_eq!(curl(&["-X", method, &front.url("/method")], b""), method);
        assert_eq!(curl(&["-X", method, "-d", "a body", &front.url("/method")], b""), method);
    }
    let head = curl(&["--head", &front.url("/method")], b"");
    assert!(head.starts_with("HTTP/1.1 200") && head.contains("Content-Length: 4\r\n"), "{head}");
    assert_eq!(status(&["-X", "TRACE", &front.url("/method")], b""), "405", "nginx never answers it");
}

#[test]
fn uploads_arrive_whole_with_a_length_and_without() {
    if !are_here(&["curl", "nginx"]) {
        return;
    }
    let nginx = Nginx::start();
    let front = Front::http(World::new(), &[nginx.address]);
    let (bytes, source) = (pattern(LARGE, 5), front.world.path("source"));
    fs::write(&source, &bytes).unwrap();
    let url = front.url("/files/uploaded");
    let stored = || fs::read(nginx.folder.path("files/uploaded")).unwrap();
    assert_eq!(status(&["-T", text(&source), &url], b""), "201", "with a length");
    assert!(stored() == bytes);
    assert_eq!(status(&["-X", "DELETE", &url], b""), "204");
    assert_eq!(status(&["-T", "-", &url], &bytes), "201", "in chunks");
    assert!(stored() == bytes);
    assert_eq!(status(&["--http1.0", "-T", text(&source), &url], b""), "204", "in an old version, over what was there");
    assert!(stored() == bytes);
}

#[test]
fn whoever_expects_to_be_asked_for_the_body_is_asked() {
    if !are_here(&["curl", "nginx"]) {
        return;
    }
    let nginx = Nginx::start();
    let front = Front::http(World::new(), &[nginx.address]);
    let url = front.url("/files/asked_for");
    // Whoever is not asked in this time has failed, and does not send it unasked.
    let expecting = ["-v", "-H", "Expect: 100-continue", "--expect100-timeout", "40", "-T", "-"];
    let told = run(command("curl", &[&expecting[..], &["--max-time", "30", &url]].concat()), "the body");
    let heard: Vec<&str> = told.errors.lines().filter_map(|line| line.strip_prefix("< HTTP/1.1 ")).collect();
    assert!(heard.len() == 2 && heard[0].starts_with("100") && heard[1].starts_with("201"), "{told:?}");
    assert_eq!(fs::read(nginx.folder.path("files/asked_for")).unwrap(), b"the body");
}

/// Two servers of ours, and the frontend before them.
fn before_our_servers() -> (Front, [Process; 2]) {
    let world = World::new();
    fs::write(world.path("files/large"), pattern(LARGE, 6)).unwrap();
    let servers = ["1", "2"].map(|id| world.server_with(id, "0", &["--service", "http"]));
    let front = Front::http(world, &[]);
    let hello = || run(command("curl", &["-s", &front.url("/home")]), "").said();
    for id in ["1", "2"] {
        eventually("a server is in its pool", || hello().contains(&format!("Hello from Server: {id}")));
    }
    (front, servers)
}

#[test]
fn downloads_are_whole_and_go_on_where_they_were_broken_off() {
    if !are_here(&["curl", "sha256sum"]) {
        return;
    }
    let (front, _servers) = before_our_servers();
    let (url, file, source) =
        (front.url("/files/large"), front.world.path("received/large"), front.world.path("files/large"));
    let digest = |file| run(command("sha256sum", &["-b", text(file)]), "").done().split(' ').next().unwrap().to_owned();
    for version in ["--http1.1", "--http1.0"] {
        assert_eq!(curl(&[version, "-o", text(&file), "-w", "%{http_code}", &url], b""), "200");
        assert_eq!(digest(&file), digest(&source), "{version}");
    }
    fs::remove_file(&file).unwrap();
    assert_eq!(curl(&["-r", "0-7777776", "-o", text(&file), "-w", "%{http_code}", &url], b""), "206");
    assert_eq!(fs::metadata(&file).unwrap().len(), 7_777_777);
    assert_eq!(curl(&["-C", "-", "-o", text(&file), "-w", "%{http_code}", &url], b""), "206");
    assert_eq!(digest(&file), digest(&source), "in two parts");
    let tail = run(command("curl", &["-sS", "-r", "-100", &url]), "").out;
    assert!(tail == pattern(LARGE, 6)[LARGE - 100..]);
}

#[test]
fn statements_are_answered() {
    if !are_here(&["curl"]) {
        return;
    }
    let (front, _servers) = before_our_servers();
    let args = ["-H", "Content-Type: application/json", "-d", r#"{"sql":"SELECT 6 * 7 AS answer"}"#];
    let rows = curl(&[&args[..], &[&front.url("/sql")]].concat(), b"");
    assert_eq!(rows.trim_end(), r#"{"columns":["answer"],"rows":[[42]]}"#);
    assert_eq!(status(&["-X", "OPTIONS", &front.url("/sql")], b""), "204");
    assert_eq!(status(&["-X", "TRACE", &front.url("/home")], b""), "405");
}

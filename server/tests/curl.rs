//! The HTTP service as real processes, asked by `curl`, which knows nothing of us. Skipped, with a word, where there is none.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

use protocol::{deadline::Deadline, lifeline::Lifeline, registry::Registry};
use std::{
    fs,
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

const LONG: Duration = Duration::from_secs(30);

/// A folder with files and a database, for servers that end with it.
struct Site {
    folder: tempfile::TempDir,
    lifeline: Lifeline,
}

/// A server, killed when it is dropped.
struct Server {
    child: Child,
    url: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _gone_already = self.child.kill();
        let _status = self.child.wait();
    }
}

impl Site {
    /// `None` where there is no curl.
    fn new() -> Option<Self> {
        if Command::new("curl").arg("--version").stdout(Stdio::null()).status().is_err() {
            protocol::show!("There is no curl here: nothing was tested.");
            return None;
        }
        let site = Self { folder: tempfile::tempdir().unwrap(), lifeline: Lifeline::open().unwrap() };
        fs::create_dir(site.path("files")).unwrap();
        fs::write(site.path("database.json"), r#"{"engine":"sqlite","path":"database.sqlite"}"#).unwrap();
        Some(site)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts a server and waits until it has registered.
    fn start(&self, id: &str) -> Server {
        let mut command = Command::new(env!("CARGO_BIN_EXE_server"));
        command.args([id, "0", "0", "--quiet", "--service", "http", "--lifeline"]);
        command.arg(self.lifeline.address().to_string());
        for (flag, name) in [("--registry", "servers.json"), ("--database", "database.json"), ("--files", "files")] {
            command.arg(flag).arg(self.path(name));
        }
        let mut server = Server { child: command.stdin(Stdio::null()).spawn().unwrap(), url: String::new() };
        let (registry, until) = (Registry::new(self.path("servers.json")), Deadline::after(LONG));
        while server.url.is_empty() {
            let reading = registry.read().unwrap();
            if let Some(entry) = reading.find(id).filter(|entry| entry.pid == Some(server.child.id())) {
                assert_eq!(entry.service, "http");
                server.url = format!("http://{}", entry.address);
            }
            assert!(!until.has_passed(), "server {id} does not start");
            thread::sleep(Duration::from_millis(5));
        }
        server
    }

    /// What curl prints, with `@` in its arguments for this folder.
    fn curl(&self, arguments: &[&str]) -> String {
        let folder = format!("{}/", self.folder.path().display());
        let mut command = Command::new("curl");
        command.args(["--silent", "--show-error", "--max-time", "30"]);
        command.args(arguments.iter().map(|argument| argument.replace('@', &folder)));
        let output = command.output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }
}

const JSON: &str = "Content-Type: application/json";

#[test]
fn curl_gets_greetings_files_and_rows() {
    let Some(site) = Site::new() else { return };
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    fs::write(site.path("files/data.bin"), &bytes).unwrap();
    let server = site.start("7");
    let at = |path: &str| format!("{}{path}", server.url);
    let greeting = r#"{"message":"Hello from Server: 7","status":"successful"}"#;
    assert_eq!(site.curl(&[&at("/home")]), greeting);
    assert_eq!(site.curl(&["--http1.0", &at("/home")]), greeting);
    assert_eq!(site.curl(&["--write-out", "%{http_code}", &at("/heartbeat")]), "200");
    let status = |arguments: &[&str]| {
        site.curl(&[&["--output", "/dev/null", "--write-out", "%{http_code} %{num_connects}"], arguments].concat())
    };
    for (method, path, expected) in
        [("PUT", "/home", "405 1"), ("DELETE", "/sql", "405 1"), ("OPTIONS", "/home", "204 1"), ("GET", "/x", "404 1")]
    {
        assert_eq!(status(&["--request", method, &at(path)]), expected, "{method} {path}");
    }
    assert_eq!(status(&["--path-as-is", &at("/files/../database.json")]), "403 1");
    let head = site.curl(&["--head", &at("/files/data.bin")]);
    assert!(head.starts_with("HTTP/1.1 200") && head.contains("Content-Length: 3000000\r\n"), "{head}");
    site.curl(&["--output", "@copy", &at("/files/data.bin")]);
    assert!(fs::read(site.path("copy")).unwrap() == bytes);
    let rows = r#"{"columns":["n"],"rows":[[139]]}"#;
    let body = r#"{"sql":"SELECT count(*) AS n FROM COLORS"}"#;
    assert_eq!(site.curl(&["--header", JSON, "--data", body, &at("/sql")]).trim_end(), rows);
}

#[test]
fn what_one_server_began_another_finishes_when_the_first_is_killed() {
    let Some(site) = Site::new() else { return };
    let bytes: Vec<u8> = (0..2_000_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    fs::write(site.path("files/data.bin"), &bytes).unwrap();
    let (mut first, second) = (site.start("1"), site.start("2"));
    site.curl(&["--range", "0-777776", "--output", "@part", &format!("{}/files/data.bin", first.url)]);
    let id: serde_json::Value = serde_json::from_str(&site.curl(&[&format!("{}/request-id", first.url)])).unwrap();
    let key = format!("Idempotency-Key: {}", id["request"].as_str().unwrap());
    let body = r#"{"sql":"INSERT INTO COLORS VALUES (random(), 'x', 'y') RETURNING *"}"#;
    let insert = |url: &str| site.curl(&["--header", JSON, "--header", &key, "--data", body, &format!("{url}/sql")]);
    let told = insert(&first.url);
    first.child.kill().unwrap();
    first.child.wait().unwrap();
    assert_eq!(insert(&second.url), told, "to the byte, random() and all");
    let body = r#"{"sql":"SELECT count(*) FROM COLORS WHERE HEX = 'x'"}"#;
    let count = site.curl(&["--header", JSON, "--data", body, &format!("{}/sql", second.url)]);
    assert!(count.contains("[[1]]"), "{count}");
    site.curl(&["--continue-at", "-", "--output", "@part", &format!("{}/files/data.bin", second.url)]);
    assert!(fs::read(site.path("part")).unwrap() == bytes);
}

//! redis-cli: single commands, ten thousand at once, and messages that come unasked.

use crate::{
    front::Front,
    kit::{Process, eventually},
    programs::{are_here, command, run, server, signal, text, wait},
};
use lab::process::free_port;
use rustix::process::Signal;
use std::{
    net::SocketAddr,
    process::{Child, Command, Stdio},
    time::Duration,
};
use tempfile::TempDir;

const PROGRAMS: [&str; 2] = ["redis-server", "redis-cli"];

/// A Redis of our own. Dropping it ends it.
struct Redis {
    address: SocketAddr,
    child: Child,
    _folder: TempDir,
}

impl Redis {
    fn start() -> Self {
        let (folder, port) = (TempDir::new().unwrap(), free_port());
        let number = port.to_string();
        let args = ["--port", &number, "--bind", "127.0.0.1", "--save", "", "--dir", text(folder.path())];
        let mut server = server("redis-server", &args, "KILL");
        let child = server.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let redis = Self { address, child, _folder: folder };
        eventually("Redis answers", || run(cli(address, &["ping"]), "").said() == "PONG\n");
        redis
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        signal(&self.child, Signal::KILL);
        let _ended = wait(&mut self.child, Duration::from_secs(10));
    }
}

fn cli(at: SocketAddr, args: &[&str]) -> Command {
    let (host, port) = (at.ip().to_string(), at.port().to_string());
    command("redis-cli", &[&["-h", &host, "-p", &port], args].concat())
}

#[test]
fn commands_are_answered_alone_and_ten_thousand_at_once() {
    if !are_here(&PROGRAMS) {
        return;
    }
    let redis = Redis::start();
    let front = Front::tcp(&[redis.address], "round-robin");
    let ask = |args: &[&str]| run(cli(front.address, args), "").done();
    assert_eq!(ask(&["set", "colour", "Mint"]), "OK\n");
    assert_eq!(ask(&["get", "colour"]), "Mint\n");
    let commands: String = (0..10_000).map(|number| format!("SET key:{number} {number}\r\n")).collect();
    let told = run(cli(front.address, &["--pipe"]), commands).done();
    assert!(told.contains("errors: 0, replies: 10000"), "{told}");
    assert_eq!(ask(&["get", "key:9999"]), "9999\n");
    assert_eq!(ask(&["dbsize"]), "10001\n");
}

#[test]
fn a_subscriber_hears_what_others_publish() {
    if !are_here(&PROGRAMS) {
        return;
    }
    let redis = Redis::start();
    let front = Front::tcp(&[redis.address], "round-robin");
    let mut listening = Process::start(cli(front.address, &["subscribe", "news"]), "redis-cli");
    // The confirmation: what happened, the channel, and to how many it listens.
    listening.wait_for("subscribe");
    for number in 0..3 {
        let told = run(cli(front.address, &["publish", "news", &format!("number {number}")]), "").done();
        assert_eq!(told, "1\n", "so many have heard it");
        listening.wait_for(&format!("number {number}"));
    }
}

//! System C: two name servers whose tables do not overlap, a load balancer that asks both, and a client that resolves a file.
//! Real processes, and the text of the course.

#![allow(clippy::unwrap_used, reason = "a test that unwraps in vain has failed")]

mod kit;

use kit::{LONG, Process, World, address_in, text};
use std::{fs, net::SocketAddr, time::Instant};

const TS1: &str = "www.princeton.edu 128.1.1.4 A\nrutgers.edu 172.34.4.6 A\n";
const TS2: &str = "GOOGLE.com 46.1.3.7 A\n";
const NAMES: &str = "www.princeton.edu\nrutgers.edu\nnothinghere.com\ngoogle.com\nwww.google.com\n";
const RESOLVED: &str = "www.princeton.edu 128.1.1.4 A IN
rutgers.edu 172.34.4.6 A IN
nothinghere.com - TIMED OUT
GOOGLE.com 46.1.3.7 A IN
www.google.com - TIMED OUT
";

fn name_server(world: &World, id: &str, table: &str) -> Process {
    let file = format!("{id}.txt");
    fs::write(world.path(&file), table).unwrap();
    world.server_with(id, "0", &["--service", "names", "--table", &file])
}

/// A load balancer that asks both, when it knows both.
fn balancer(world: &World, more: &[&str]) -> (Process, SocketAddr) {
    let args = ["--dns", "127.0.0.1:0", "--duplicate", "2"];
    let (mut balancer, _) = world.balancer(&[&args, more].concat());
    let line = balancer.wait_for("Frontend dns is listening on");
    (0..2).for_each(|_| drop(balancer.wait_for("Connected to server TS")));
    (balancer, address_in(&line))
}

fn resolve(world: &World, balancer: SocketAddr, args: &[&str]) -> (Option<i32>, String) {
    let balancer = balancer.to_string();
    let all = [&["client", "resolve", "--balancer", &balancer], args].concat();
    let output = world.command(&all).output().unwrap();
    (output.status.code(), text(&output.stdout) + &text(&output.stderr))
}

#[test]
fn a_file_of_names_is_resolved_as_in_the_course() {
    let world = World::new();
    let (_ts1, ts2) = (name_server(&world, "TS1", TS1), name_server(&world, "TS2", TS2));
    let (balancer, at) = balancer(&world, &["--dns-timeout", "3s"]);
    fs::write(world.path("names.txt"), NAMES).unwrap();
    let (status, said) = resolve(&world, at, &["names.txt"]);
    assert_eq!((status, said.as_str()), (Some(0), "3 of 5 names have an address: see RESOLVED.txt.\n"));
    assert_eq!(fs::read_to_string(world.path("RESOLVED.txt")).unwrap(), RESOLVED);
    assert_eq!(resolve(&world, at, &["GooGLE.com"]), (Some(0), "GOOGLE.com 46.1.3.7 A IN\n".to_owned()));
    // What one knows is answered whatever becomes of the other; what the other knew costs the time and no more.
    drop(ts2);
    assert_eq!(resolve(&world, at, &["rutgers.edu"]), (Some(0), "rutgers.edu 172.34.4.6 A IN\n".to_owned()));
    assert_eq!(resolve(&world, at, &["google.com"]).0, Some(1));
    let _back = name_server(&world, "TS2", TS2);
    let mut balancer = balancer;
    balancer.wait_for("Server TS2");
    let until = Instant::now() + LONG;
    while resolve(&world, at, &["google.com"]).0 != Some(0) {
        assert!(Instant::now() < until, "it is never asked again");
    }
}

#[test]
fn what_cannot_be_resolved_is_explained() {
    let world = World::new();
    fs::write(world.path("bad.txt"), "a.b\nwww..com\n").unwrap();
    let nobody: SocketAddr = "127.0.0.1:9".parse().unwrap();
    for (what, status, why) in [
        ("bad.txt", 1, "Line 2 of bad.txt: 'www..com' is no name of a host"),
        ("no such file", 1, "The server cannot be asked"),
        ("a..b", 2, "there is no such file"),
        ("namse.txt", 1, "There is no file namse.txt"),
    ] {
        let (code, said) = resolve(&world, nobody, &[what, "--timeout", "500ms"]);
        assert!(code == Some(status) && said.contains(why), "{what}: {code:?} {said}");
    }
    for (args, why) in [
        (&["server", "1", "0", "0", "--service", "names"][..], "--table FILE"),
        (&["server", "1", "0", "0", "--service", "names", "--table", "nowhere.txt"], "nowhere.txt cannot be read"),
        (
            &["server", "1", "0", "0", "--service", "names", "--table", "bad.txt"],
            "Line 1 of the table of names bad.txt",
        ),
    ] {
        let output = world.command(args).output().unwrap();
        let said = text(&output.stderr);
        assert!(!output.status.success() && said.contains(why), "{args:?}: {said}");
    }
}

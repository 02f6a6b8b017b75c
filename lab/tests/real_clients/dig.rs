//! dig and kdig: the name server, the load balancer in front of it, and the load balancer's own zone, as BIND's and Knot's
//! clients see them.

use crate::{
    kit::{Process, World, address_in},
    programs::{Ran, are_here, command, run},
};
use std::{fs, net::SocketAddr};

const TABLE: &str = "GOOGLE.com 46.1.3.7 A\ngoogle.com 2a00:1450::7 AAAA\n";

/// A name server, and a load balancer in front of it and of two echo servers.
struct Names {
    server: SocketAddr,
    front: SocketAddr,
    /// Where the echo servers are.
    echo: [SocketAddr; 2],
    _all: Vec<Process>,
    _world: World,
}

fn names() -> Names {
    let world = World::new();
    fs::write(world.path("table"), TABLE).unwrap();
    let start = |id: &str, more: &[&str]| {
        let mut server = world.spawn(&[&["server", id, "0", "0", "--files", "files"], more].concat());
        let at = address_in(&server.wait_for("Server is listening on"));
        (server, at)
    };
    let (names, server) = start("TS1", &["--service", "names", "--table", "table", "--unknown", "nxdomain"]);
    let (one, first) = start("1", &["--service", "echo"]);
    let (two, second) = start("2", &["--service", "echo"]);
    let zone = ["--tcp", "127.0.0.1:0", "--dns-zone", "lab.example", "--balance", "round-robin"];
    // A busy machine must not look like a dead server.
    let patience = ["--dns", "127.0.0.1:0", "--dns-timeout", "20s", "--dns-try", "20s", "--check", "timeout 20s"];
    let (mut balancer, _) = world.balancer(&[&patience[..], &zone].concat());
    let front = address_in(&balancer.wait_for("Frontend dns is listening on"));
    (0..3).for_each(|_| drop(balancer.wait_for("Connected to server")));
    Names { server, front, echo: [first, second], _all: vec![names, one, two, balancer], _world: world }
}

/// What dig, or another program that is called like it, says.
fn ask(program: &str, at: SocketAddr, args: &[&str]) -> String {
    asked(program, at, args).done()
}

/// The same, also if it ends with an error. It waits for a busy machine.
fn asked(program: &str, at: SocketAddr, args: &[&str]) -> Ran {
    let (host, port) = (format!("@{}", at.ip()), at.port().to_string());
    let patience: &[&str] = if program == "dig" { &["+time=20", "+tries=1"] } else { &["+time=20", "+retry=0"] };
    run(command(program, &[&[&host, "-p", &port], patience, args].concat()), "")
}

fn has(said: &str, all: &[&str]) {
    let words = said.split_whitespace().collect::<Vec<_>>().join(" ");
    all.iter().for_each(|one| assert!(words.contains(one), "no '{one}' in:\n{said}"));
}

#[test]
fn names_of_a_table_by_dig_in_every_way() {
    if !are_here(&["dig"]) {
        return;
    }
    let names = names();
    for at in [names.server, names.front] {
        let dig = |args: &[&str]| ask("dig", at, args);
        has(&dig(&["google.com"]), &["status: NOERROR", "GOOGLE.com. 60 IN A 46.1.3.7", "flags: qr aa rd;"]);
        has(&dig(&["google.com", "AAAA", "+tcp"]), &["NOERROR", "IN AAAA 2a00:1450::7", "(TCP)"]);
        has(&dig(&["google.com", "ANY", "+notcp"]), &["NOERROR", "46.1.3.7", "2a00:1450::7"]);
        has(&dig(&["google.com", "MX"]), &["status: NOERROR", "ANSWER: 0"]);
        has(&dig(&["google.com", "TYPE4711"]), &["status: NOERROR", "ANSWER: 0"]);
        has(&dig(&["nothinghere.com"]), &["status: NXDOMAIN"]);
        has(&dig(&["google.com", "+noedns"]), &["NOERROR", "46.1.3.7", "ADDITIONAL: 0"]);
        has(&dig(&["google.com", "+edns=1", "+noednsneg"]), &["status: BADVERS"]);
        has(&dig(&["google.com", "+bufsize=512", "+nocookie"]), &["NOERROR", "udp: 1232"]);
        has(&dig(&["google.com", "+dnssec"]), &["NOERROR", "46.1.3.7"]);
        has(&dig(&["google.com", "+cookie"]), &["NOERROR", "(good)"]);
        has(&dig(&["google.com", "+cookie=0102030405060708"]), &["COOKIE: 0102030405060708", "(good)"]);
        has(&dig(&["google.com", "+subnet=192.0.2.0/24"]), &["NOERROR", "46.1.3.7"]);
        has(&dig(&["google.com", "+opcode=STATUS"]), &["opcode: STATUS", "status: NOTIMP"]);
        has(&dig(&["google.com", "+opcode=NOTIFY"]), &["opcode: NOTIFY", "status: NOTIMP"]);
        has(&dig(&["google.com", "+opcode=UPDATE"]), &["opcode: UPDATE", "status: NOTIMP"]);
        has(&dig(&["google.com", "+opcode=11"]), &["status: NOTIMP"]);
        has(&dig(&["-c", "CH", "version.bind", "TXT"]), &["status: REFUSED"]);
        has(&dig(&["google.com", "AXFR"]), &["Transfer failed."]);
        has(&dig(&["google.com", "IXFR=1", "+tcp"]), &["Transfer failed."]);
        has(&dig(&["gOOgle.cOM", "+qr"]), &["GOOGLE.com. 60 IN A"]);
        has(&dig(&["."]), &["status: NXDOMAIN"]);
    }
}

#[test]
fn names_of_a_table_by_kdig_in_every_way() {
    if !are_here(&["kdig"]) {
        return;
    }
    let names = names();
    for at in [names.server, names.front] {
        let kdig = |args: &[&str]| ask("kdig", at, args);
        has(&kdig(&["google.com"]), &["status: NOERROR", "46.1.3.7"]);
        has(&kdig(&["google.com", "+tcp"]), &["status: NOERROR", "46.1.3.7", "(TCP)"]);
        has(&kdig(&["google.com", "+tcp", "+keepopen", "google.com", "AAAA"]), &["46.1.3.7", "2a00:1450::7"]);
        has(&kdig(&["google.com", "+edns=0"]), &["NOERROR", "EDNS PSEUDOSECTION"]);
        has(&kdig(&["google.com", "+edns=1"]), &["BADVERS"]);
        has(&kdig(&["google.com", "+bufsize=4096"]), &["NOERROR", "UDP size: 1232 B"]);
        has(&kdig(&["google.com", "+dnssec"]), &["NOERROR", "46.1.3.7"]);
        has(&kdig(&["google.com", "+cookie"]), &["NOERROR", "COOKIE"]);
        has(&kdig(&["google.com", "TYPE65280"]), &["NOERROR", "ANSWER: 0"]);
        has(&kdig(&["google.com", "NOTIFY"]), &["status: NOTIMP"]);
        has(&kdig(&["google.com", "+padding=128"]), &["NOERROR", "46.1.3.7"]);
        has(&kdig(&["-c", "CH", "version.bind", "TXT"]), &["status: REFUSED"]);
        let refused = asked("kdig", at, &["google.com", "AXFR"]);
        assert!(!refused.status.success() && (refused.said() + &refused.errors).contains("REFUSED"));
    }
}

#[test]
fn servers_are_found_by_name() {
    if !are_here(&["dig", "kdig"]) {
        return;
    }
    let names = names();
    let dig = |args: &[&str]| ask("dig", names.front, args);
    has(&dig(&["echo.lab.example"]), &["status: NOERROR", "flags: qr aa rd;", "echo.lab.example. 5 IN A 127.0.0.1"]);
    has(&dig(&["ECHO.Lab.example"]), &["ECHO.Lab.example. 5 IN A 127.0.0.1"]);
    has(&dig(&["2.echo.lab.example"]), &["2.echo.lab.example. 5 IN A 127.0.0.1"]);
    let [first, second] = names.echo.map(|at| at.port());
    let said = dig(&["_echo._tcp.lab.example", "SRV", "+tcp"]);
    has(&said, &[&format!("{first} 1.echo.lab.example."), &format!("{second} 2.echo.lab.example.")]);
    has(&said, &["IN SRV 0 256", "IN SRV 1 256", "1.echo.lab.example. 5 IN A 127.0.0.1"]);
    // Each time the other one is first.
    let first_port = || dig(&["_echo._tcp.lab.example", "SRV", "+short"]).split_whitespace().nth(2).map(str::to_owned);
    let firsts = [first_port(), first_port(), first_port()];
    assert!(firsts[0] != firsts[1] && firsts[0] == firsts[2], "{firsts:?}");
    has(&dig(&["lab.example", "SOA"]), &["lab.example. 5 IN SOA ns.lab.example. ."]);
    has(&dig(&["lab.example", "NS"]), &["lab.example. 5 IN NS ns.lab.example.", "ns.lab.example. 5 IN A 127.0.0.1"]);
    has(&dig(&["_tcp.lab.example"]), &["status: NOERROR", "ANSWER: 0", "IN SOA ns.lab.example."]);
    has(&dig(&["echo.lab.example", "AAAA"]), &["status: NOERROR", "ANSWER: 0", "IN SOA ns.lab.example."]);
    has(&dig(&["mail.lab.example"]), &["status: NXDOMAIN", "IN SOA ns.lab.example."]);
    has(&dig(&["lab.example", "AXFR"]), &["Transfer failed."]);
    has(&dig(&["echo.lab.example", "ANY"]), &["status: NOERROR", "127.0.0.1"]);
    has(&dig(&["lab.lab.example", "+dnssec"]), &["status: SERVFAIL", "EDE: 14 (Not Ready)"]);
    has(&dig(&["google.com"]), &["46.1.3.7"]);
    has(
        &ask("kdig", names.front, &["+tcp", "_echo._tcp.lab.example", "SRV"]),
        &["status: NOERROR", "1.echo.lab.example."],
    );
}

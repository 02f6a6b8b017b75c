//! Servers that join over the network, as processes.

#![allow(clippy::unwrap_used, reason = "a test that unwraps in vain has failed")]

mod kit;

use kit::{Answer, Asking, Process, World, address_in};
use rustix::process::Signal;
use std::{fs, net::SocketAddr, os::unix::fs::PermissionsExt, time::Instant};

const SECRET: &str = "0123456789abcdef of the class\n";

fn write_token(world: &World, name: &str, content: &str, mode: u32) {
    fs::write(world.path(name), content).unwrap();
    fs::set_permissions(world.path(name), fs::Permissions::from_mode(mode)).unwrap();
}

/// A folder in which two tokens are, and a load balancer that has the first and lets servers join.
struct Joined {
    world: World,
    balancer: Process,
    address: SocketAddr,
    joining: SocketAddr,
}

impl Joined {
    fn start(more: &[&str]) -> Self {
        let world = World::new();
        write_token(&world, "token", SECRET, 0o600);
        write_token(&world, "other", "fedcba9876543210 of another\n", 0o600);
        let (mut balancer, address) = world.balancer(&[&["--join-listen", "127.0.0.1:0"], more].concat());
        let joining = address_in(&balancer.wait_for("Servers may join at"));
        Self { world, balancer, address, joining }
    }

    /// The same load balancer again, on the same ports.
    fn restart(&mut self, more: &[&str]) {
        let (listen, joining) = (self.address.to_string(), self.joining.to_string());
        let args = ["loadbalancer", "--no-journal", "--listen", &listen, "--join-listen", &joining];
        self.balancer = self.world.spawn(&[&args, more].concat());
        self.balancer.wait_for("Servers may join at");
    }

    /// Starts a server that joins.
    fn server(&self, id: &str, time: &str, more: &[&str]) -> Process {
        let joining = self.joining.to_string();
        let args = ["server", id, "0", time, "--files", "files", "--join", &joining];
        self.world.spawn(&[&args, more].concat())
    }

    fn answered_by(&self) -> String {
        Asking::connect(self.address).query("SELECT 1").server().to_owned()
    }
}

const TOKEN: [&str; 2] = ["--token-file", "token"];

/// Two servers join with the token, and work; neither stands in the file. One is killed, and is out at once.
#[test]
fn servers_join_with_a_token_work_and_are_missed_when_they_die() {
    let mut lab = Joined::start(&TOKEN);
    let mut servers = ["1", "2"].map(|id| {
        let mut server = lab.server(id, if id == "1" { "0" } else { "0.01" }, &TOKEN);
        server.wait_for("Joined the load balancer");
        server
    });
    lab.world.wait_for_servers(lab.address, 2);
    assert_eq!(lab.answered_by(), "1");
    assert_eq!(fs::read_to_string(lab.world.path("servers.json")).unwrap(), "[]\n");
    servers[0].kill();
    lab.balancer.wait_for("Server 1 has left");
    assert_eq!(lab.answered_by(), "2");
    servers[1].signal(Signal::INT);
    assert!(servers[1].wait().success());
    lab.balancer.wait_for("Server 2 has left");
}

/// The load balancer is killed: its servers say so, and are back when it is. So is one that was started meanwhile.
#[test]
fn servers_come_back_to_a_load_balancer_that_was_killed() {
    let mut lab = Joined::start(&TOKEN);
    let mut early = lab.server("1", "0", &TOKEN);
    early.wait_for("Joined the load balancer");
    lab.balancer.kill();
    early.wait_for("This server is out of the pool");
    let mut late = lab.server("2", "0.01", &TOKEN);
    late.wait_for("cannot join the load balancer");
    lab.restart(&TOKEN);
    early.wait_for("Joined the load balancer");
    late.wait_for("Joined the load balancer");
    lab.world.wait_for_servers(lab.address, 2);
    assert_eq!(lab.answered_by(), "1");
    assert_eq!(early.said().matches("cannot join").count(), 0, "said once, when it was lost:\n{}", early.said());
    assert_eq!(late.said().matches("cannot join").count(), 1, "said once:\n{}", late.said());
}

/// A server that is stopped says nothing any more: its lease ends. When it goes on, it joins again.
#[test]
fn a_stopped_server_loses_its_lease_and_gets_another() {
    let mut lab = Joined::start(&[]);
    let mut server = lab.server("1", "0", &[]);
    server.wait_for("Joined the load balancer");
    let begin = Instant::now();
    server.signal(Signal::STOP);
    lab.balancer.wait_for("it has said nothing for 3 seconds");
    assert!(begin.elapsed().as_secs() < 10, "{:?}", begin.elapsed());
    server.signal(Signal::CONT);
    server.wait_for("This server is out of the pool");
    server.wait_for("Joined the load balancer");
    assert_eq!(lab.answered_by(), "1");
}

/// Who may not join is told why, ends with status 1, and has changed nothing.
#[test]
fn who_may_not_join_is_told_why() {
    let mut lab = Joined::start(&TOKEN);
    write_token(&lab.world, "open", SECRET, 0o644);
    write_token(&lab.world, "short", "0123456789\n", 0o600);
    let own = lab.address.port().to_string();
    for (args, words) in [
        (&[][..], "Give this server its token: --token-file FILE"),
        (&["--token-file", "other"], "not the one of this load balancer"),
        (&["--token-file", "open"], "chmod 600"),
        (&["--token-file", "short"], "could be guessed"),
        (&["--token-file", "missing"], "cannot be read from missing"),
        (&["--token-file", "token", "--advertise", "10.9.9.9"], "in no network that is allowed"),
    ] {
        let mut server = lab.server("9", "0", args);
        assert_eq!(server.wait().code(), Some(1), "{args:?}");
        server.must_say(words);
    }
    // A server that says it is where the load balancer is.
    let joining = lab.joining.to_string();
    let args = ["server", "9", &own, "0", "--files", "files", "--join", &joining, "--listen", "127.0.0.2"];
    let mut server = lab.world.spawn(&[&args[..], &["--advertise", "127.0.0.1"], &TOKEN].concat());
    assert_eq!(server.wait().code(), Some(1));
    server.must_say("is the load balancer's own");
    lab.world.wait_for_servers(lab.address, 0);
    lab.balancer.must_say("may not join");
    assert!(!lab.balancer.said().contains(SECRET.trim()));
}

/// An id that a living server has, and a network that is not allowed.
#[test]
fn an_id_that_is_taken_and_a_network_that_is_not_allowed() {
    let lab = Joined::start(&[]);
    let _of_the_file = lab.world.server("1", "0");
    lab.world.wait_for_servers(lab.address, 1);
    let mut second = lab.server("1", "0", &[]);
    assert_eq!(second.wait().code(), Some(1));
    second.must_say("lives. Choose another one");
    assert!(matches!(Asking::connect(lab.address).query("SELECT 1"), Answer::Rows { .. }));
    let strict = Joined::start(&["--allow", "127.0.0.2"]);
    let mut server = strict.server("1", "0", &[]);
    assert_eq!(server.wait().code(), Some(1));
    server.must_say("Servers at 127.0.0.1 are not allowed to join");
    let world = World::new();
    let mut open = world.spawn(&["loadbalancer", "--listen", ":0", "--join-listen", ":0", "--allow", "10.0.0.0/8"]);
    assert_eq!(open.wait().code(), Some(1));
    open.must_say("--token-file");
}

/// With a token, the load balancer believes servers of the file, too, only if they prove it.
#[test]
fn a_server_of_the_file_must_prove_the_token_too() {
    let mut lab = Joined::start(&TOKEN);
    let _stranger = lab.world.server("1", "0");
    lab.balancer.wait_for("does not prove that it knows the token");
    let _friend = lab.world.server_with("2", "0", &TOKEN);
    lab.balancer.wait_for("Connected to server 2");
    assert_eq!(lab.answered_by(), "2");
}

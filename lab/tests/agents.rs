//! System E end to end, with real processes: a request and its tag, a server that goes with a word and without one, and the experiment
//! in short. No time is judged here: the machine may be busy.

#![allow(clippy::unwrap_used, reason = "a test that unwraps in vain has failed")]
#![cfg(unix)]

mod kit;

use kit::{LONG, Process, World, address_in, text};
use serde_json::Value;
use std::{
    fs,
    net::{SocketAddr, UdpSocket},
    time::{Duration, Instant},
};

/// A request of an agent has so many bytes more than that of its client.
const TAG: usize = 8;

fn socket() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(LONG)).unwrap();
    socket
}

fn agent(world: &World, more: &[&str]) -> (Process, SocketAddr) {
    let (mut agent, _) = world.balancer(&[&["--udp", "127.0.0.1:0", "--balance", "round-robin"], more].concat());
    let line = agent.wait_for("Frontend udp is listening on");
    (agent, address_in(&line))
}

fn server(world: &World, id: &str) -> Process {
    world.server_with(id, "0", &["--service", "reverse", "--capacity", "unlimited", "--tag-bytes", "8"])
}

/// `client load --udp` with these flags; its status and report.
fn load(world: &World, agent: SocketAddr, flags: &str) -> (Option<i32>, Value) {
    let agent = agent.to_string();
    let flags = ["client", "load", "--udp", &agent, "--numbered", "--json"].into_iter().chain(flags.split_whitespace());
    let output = world.command(&flags.collect::<Vec<_>>()).output().unwrap();
    let report = serde_json::from_slice(&output.stdout);
    (output.status.code(), report.unwrap_or_else(|_| panic!("{}", text(&output.stderr))))
}

/// All that was asked is answered or counted, and no answer was another's.
fn adds_up(report: &Value) -> bool {
    let count = |name: &str| report[name].as_u64().unwrap();
    count("requests") == count("answers") + count("timeouts") + count("wrong") && count("wrong") == 0
}

#[test]
fn a_tag_is_appended_left_as_it_is_and_taken_off_again() {
    let world = World::new();
    let (server, client) = (socket(), socket());
    let named = format!("S={}", server.local_addr().unwrap());
    let (_agent, at) = agent(&world, &["--udp-server", &named]);
    client.send_to(&[1, 2, 3], at).unwrap();
    let mut bytes = [0; 64];
    // The agent also asks the server whether it lives, without a payload.
    let (len, from) = loop {
        let (len, from) = server.recv_from(&mut bytes).unwrap();
        if len > TAG {
            break (len, from);
        }
    };
    assert_eq!((len, &bytes[..3]), (3 + TAG, &[1, 2, 3][..]));
    bytes[..3].reverse();
    server.send_to(&bytes[..len], from).unwrap();
    let (len, from) = client.recv_from(&mut bytes).unwrap();
    assert_eq!((&bytes[..len], from), (&[3, 2, 1][..], at));
}

#[test]
fn three_servers_and_many_clients_everything_is_answered() {
    let world = World::new();
    let _servers = ["1", "2", "3"].map(|id| server(&world, id));
    let (mut agent, at) = agent(&world, &[]);
    (0..3).for_each(|_| drop(agent.wait_for("Connected to server")));
    let (status, report) = load(&world, at, "--threads 50 --requests 3000 --timeout 60s");
    assert_eq!((status, report["answers"].as_u64()), (Some(0), Some(3_000)), "{report}");
    assert!(adds_up(&report), "{report}");
}

/// The clients ask all the time while one server is killed, and while another one ends in order; of the three one is left.
#[test]
fn servers_that_go_with_a_word_and_without_one_leave_no_wrong_answer() {
    let world = World::new();
    let [killed, ended, _left] = ["1", "2", "3"].map(|id| server(&world, id));
    let (mut agent, at) = agent(&world, &["--udp-timeout", "50s"]);
    (0..3).for_each(|_| drop(agent.wait_for("Connected to server")));
    let (_, report) = std::thread::scope(|scope| {
        let asking = scope.spawn(|| load(&world, at, "--threads 20 --for 3s --timeout 60s"));
        // Whenever that is: before, in the middle or behind, the same must be true.
        std::thread::park_timeout(Duration::from_millis(800));
        drop(killed);
        std::thread::park_timeout(Duration::from_millis(800));
        ended.signal(rustix::process::Signal::INT);
        asking.join().unwrap()
    });
    assert!(adds_up(&report), "{report}");
    assert_eq!(report["timeouts"].as_u64(), Some(0), "what they had goes to the one that is left: {report}");
    let (_, report) = load(&world, at, "--threads 5 --requests 100 --timeout 60s");
    assert_eq!(report["answers"].as_u64(), Some(100), "{report}");
}

fn samples(world: &World) -> Vec<Value> {
    let runs = fs::read_dir(world.path("runs")).unwrap().flatten().map(|entry| entry.path());
    let run = runs.into_iter().find(|path| path.to_str().unwrap().contains("experiment-agents-")).unwrap();
    let pictures = fs::read_dir(&run).unwrap().flatten().map(|entry| entry.path());
    for picture in pictures.filter(|path| path.extension().is_some_and(|end| end == "svg")) {
        assert!(fs::read_to_string(picture).unwrap().trim_end().ends_with("</svg>"));
    }
    fs::read_to_string(run.join("samples.jsonl"))
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn experiment(args: &str) -> (Vec<Value>, String) {
    let world = World::new();
    let args = ["experiment", "agents", "--seed", "1"].into_iter().chain(args.split(' '));
    let output = world.command(&args.collect::<Vec<_>>()).output().unwrap();
    let said = format!("{}\n{}", text(&output.stdout), text(&output.stderr));
    assert!(output.status.code().is_some_and(|code| code <= 1) && said.contains("success"), "{said}");
    (samples(&world), said)
}

#[test]
fn the_experiment_in_short_calm_and_with_a_kill() {
    let begun = Instant::now();
    let (samples, said) = experiment("--threads 20 --calm 1s --part calm --agents 2");
    assert!(samples.len() == 1 && adds_up(&samples[0]), "{said}");
    let (samples, said) = experiment("--threads 20 --kills 1 --gone 2s --part kill");
    assert!(samples.len() == 1 && adds_up(&samples[0]), "{said}");
    assert_eq!(samples[0]["recoveries"].as_array().unwrap().len(), 1, "{said}");
    assert!(begun.elapsed() >= Duration::from_secs(7));
}

#[test]
fn the_experiment_in_short_with_drills_never_has_two_down() {
    let (samples, said) = experiment("--threads 20 --drills 15s --scale 20 --part drills");
    assert!(samples.len() == 1 && adds_up(&samples[0]), "{said}");
    assert!(samples[0]["most_down"].as_u64().unwrap() <= 1, "{said}");
}

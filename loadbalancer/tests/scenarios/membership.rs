//! Servers that come, go, fall silent, return as somebody else, and entries that are not true.

use crate::kit::{Ask, FakeServer, Lab, Plan, SOON, echo, eventually};
use crossbeam_channel::bounded;
use loadbalancer::{event::Event, pool::Admin};
use protocol::{
    message::ErrorCode,
    registry::{Entry, LAB},
};
use std::{
    net::{SocketAddr, TcpListener},
    sync::Arc,
};

fn entry(id: &str, control: SocketAddr) -> Entry {
    let address = SocketAddr::from(([127, 0, 0, 1], 9));
    Entry { id: id.into(), address, service: LAB.into(), processing_time: 0.0, capacity: 1, control, pid: None }
}

/// Three probes without an answer and a server is down; when it answers again it is up, and is the same server.
pub fn a_server_falls_silent_and_returns() {
    let lab = Lab::new(&[]);
    let server = lab.server("1", echo());
    let mut client = lab.client();
    client.assert_usable();
    server.fall_silent(true);
    lab.until_state("1", "down");
    assert_eq!(lab.registry.read().unwrap().entries.len(), 1, "a process that hangs is not surely gone");
    server.fall_silent(false);
    lab.until_event("its return", |event| matches!(event, Event::ServerUp { server } if server == "1"));
    client.assert_usable();
    assert_eq!(lab.status("1").unwrap().answered, 2, "it is the same server");
}

/// Who asks more often knows sooner; whoever returns has to answer as often in a row as was asked for.
#[test]
fn a_check_of_ones_own() {
    let lab = Lab::new(&["--check", "inter 200ms timeout 200ms fall 2 rise 6"]);
    let server = lab.server("1", echo());
    server.fall_silent(true);
    // Within 200 + 2 × 200 + 200 ms, on a machine that does nothing else.
    let down = lab.until_event("its fall", |event| matches!(event, Event::ServerDown { .. }));
    let Event::ServerDown { why, .. } = down else { unreachable!() };
    assert_eq!(why, "its check failed: 2 probes in a row were not answered within 200ms.");
    let before = server.said_alive();
    server.fall_silent(false);
    lab.until_event("its return", |event| matches!(event, Event::ServerUp { .. }));
    assert!(server.said_alive() - before >= 6, "{}", server.said_alive() - before);
    lab.client().assert_usable();
}

/// A killed process is noticed, and its entry is removed, so that nobody has to clean the file by hand.
#[test]
fn a_server_is_killed() {
    let lab = Lab::new(&[]);
    let mut server = lab.server("1", echo());
    let other = lab.weaker("2", echo());
    server.kill();
    eventually("it has left", || lab.status("1").is_none());
    let left: Vec<_> = lab.registry.read().unwrap().entries;
    assert_eq!(left, [other.entry().clone()]);
    lab.client().assert_usable();
}

/// The same id, another process, other ports: a new server. What the old one still owes does not matter any more.
#[test]
fn a_server_is_restarted_elsewhere() {
    let lab = Lab::new(&[]);
    let mut old = lab.server(
        "1",
        Arc::new(|ask: &mut Ask<'_>| {
            ask.until_told();
        }),
    );
    let mut client = lab.client();
    let id = client.file("file");
    old.expect_request("file");
    old.kill();
    let new = FakeServer::start(Plan::new("1"), echo());
    lab.registry.register(new.entry()).unwrap();
    assert!(client.answer(id).text().ends_with("from 1"));
    client.assert_usable();
    eventually("only the new one is listed", || {
        lab.status("1").is_some_and(|server| server.address == new.entry().address && server.state == "idle")
    });
}

/// Another process at the very same ports: a new server under the old id.
#[test]
fn a_server_is_restarted_at_the_same_place() {
    let lab = Lab::new(&[]);
    let server = lab.server("1", echo());
    let mut client = lab.client();
    client.assert_usable();
    server.reincarnate();
    lab.until_event("the new one", |event| matches!(event, Event::ServerLeft { .. }));
    lab.until_state("1", "idle");
    client.assert_usable();
    assert_eq!(lab.status("1").unwrap().answered, 1, "the new one counts from the beginning");
}

/// A server in maintenance is replaced and started again without getting a request, until a person says that it is ready.
#[test]
fn a_server_is_restarted_in_maintenance() {
    let lab = Lab::new(&[]);
    let server = lab.server("1", echo());
    lab.client().assert_usable();
    lab.pool().decide_on("1", Admin::Maintenance).unwrap();
    server.reincarnate();
    lab.until_event("the new one", |event| matches!(event, Event::ServerLeft { .. }));
    eventually("it is in the pool", || lab.status("1").is_some());
    let status = lab.status("1").unwrap();
    assert_eq!((status.state.as_str(), status.answered), ("maintenance", 0));
    assert_eq!(status.reason.as_deref(), Some("a person has decided so."));
    lab.pool().decide_on("1", Admin::Ready).unwrap();
    lab.client().assert_usable();
    // Who is removed is forgotten, and with it what was decided.
    lab.pool().decide_on("1", Admin::Drain).unwrap();
    lab.members().remove("1").unwrap();
    eventually("it has left", || lab.status("1").is_none());
    lab.members().add(server.entry().clone()).unwrap();
    assert_eq!(lab.status("1").unwrap().state, "idle");
}

/// An entry that is written anew for the same process never makes two servers of it.
#[test]
fn an_entry_is_rewritten() {
    let lab = Lab::new(&[]);
    let (go_on, waits) = bounded::<()>(1);
    let server = lab.server(
        "1",
        Arc::new(move |ask: &mut Ask<'_>| {
            let _ = waits.recv_timeout(SOON);
            ask.echo();
        }),
    );
    let mut first = lab.client();
    let id = first.file("first");
    server.expect_request("first");
    let rewritten = Entry { pid: None, ..server.entry().clone() };
    lab.registry.register(&rewritten).unwrap();
    lab.until_event("the old contact's end", |event| matches!(event, Event::ServerLeft { .. }));
    go_on.send(()).unwrap();
    assert!(first.answer(id).text().contains("first"));
    server.follow(echo());
    lab.until_state("1", "idle");
    first.assert_usable();
}

/// A server that says it is ending gets nothing new; when it goes on after all, it does.
#[test]
fn a_server_is_ending() {
    let lab = Lab::new(&[]);
    let server = lab.server("1", echo());
    let _server = lab.weaker("2", echo());
    server.say_draining(true);
    lab.until_state("1", "drain");
    let mut client = lab.client();
    assert!(client.ask("SELECT").text().ends_with("from 2"));
    server.say_draining(false);
    lab.until_state("1", "idle");
    assert!(client.ask("SELECT").text().ends_with("from 1"));
}

/// Who answers under another name, or does not speak the protocol, gets no work, and that is explained.
#[test]
fn a_stranger_at_the_control_port() {
    let lab = Lab::new(&[]);
    let stranger = FakeServer::start(Plan::new("9"), echo());
    let impostor = Entry { id: "1".into(), ..stranger.entry().clone() };
    lab.registry.register(&impostor).unwrap();
    let event = lab.until_event("the explanation", |event| matches!(event, Event::ServerNotBelieved { .. }));
    let Event::ServerNotBelieved { why, .. } = event else { unreachable!() };
    assert!(why.contains("answers as server 9"), "{why}");
    let elsewhere = Entry { address: SocketAddr::from(([127, 0, 0, 1], 9)), ..stranger.entry().clone() };
    lab.registry.register(&elsewhere).unwrap();
    lab.until_event("the other explanation", |event| {
        matches!(event, Event::ServerNotBelieved { server, why, .. } if server == "9" && why.contains("it says it is at"))
    });
    assert_eq!(lab.client().ask("SELECT").verdict(), (ErrorCode::Unavailable, true));
    assert_eq!(stranger.so_far(), []);
}

/// Nobody listens any more at one address, somebody hangs at another: the one entry is removed, the other stays.
#[test]
fn a_dead_entry_is_removed_and_a_hanging_one_is_not() {
    let lab = Lab::new(&[]);
    // A process that is stopped: the system still accepts connections for it.
    let hangs = TcpListener::bind("127.0.0.1:0").unwrap();
    lab.registry.register(&entry("hangs", hangs.local_addr().unwrap())).unwrap();
    lab.until_event("the doubt about it", |event| matches!(event, Event::ServerNotBelieved { .. }));
    let dead = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    lab.registry.register(&Entry { address: dead, ..entry("dead", dead) }).unwrap();
    lab.until_event("its removal", |event| matches!(event, Event::EntryRemoved { server, .. } if server == "dead"));
    let left: Vec<_> = lab.registry.read().unwrap().entries.into_iter().map(|entry| entry.id).collect();
    assert_eq!(left, ["hangs"]);
}

/// A registry that becomes unreadable costs nothing: the last good list stays.
#[test]
fn a_registry_that_cannot_be_read() {
    let lab = Lab::new(&[]);
    let _server = lab.server("1", echo());
    for content in ["", "[{\"id\":", "nonsense", "{}"] {
        std::fs::write(lab.registry.path(), content).unwrap();
        if !content.is_empty() {
            lab.until_event("the complaint", |event| matches!(event, Event::RegistryTrouble { .. }));
        }
        lab.client().assert_usable();
    }
    std::fs::write(lab.registry.path(), "[]").unwrap();
    lab.until_event("the all-clear", |event| matches!(event, Event::RegistryWell { servers: 0 }));
}

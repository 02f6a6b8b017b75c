//! Transparent mode: any protocol, a flow for each client.

use crate::kit::{Client, Lab, PROBED, Server, eventually};
use loadbalancer::event::Event;
use std::collections::HashSet;

const FLOWS: [&str; 2] = ["--udp-mode", "flows"];

/// A server that says its name before everything it hears.
fn named(name: &'static str) -> Server {
    Server::start(move |asked| vec![[name.as_bytes(), asked].concat()])
}

#[test]
fn a_client_keeps_its_server_and_gets_all_it_says_as_it_is() {
    let (one, two) = (named("1"), named("2"));
    let lab = Lab::new(&FLOWS, &[&one, &two]);
    let clients: Vec<Client> = (0..6).map(|_| lab.client()).collect();
    let first: Vec<u8> = clients.iter().map(|client| client.ask(b"x")[0]).collect();
    assert_eq!(first.iter().collect::<HashSet<_>>().len(), 2, "both have some");
    for (client, server) in clients.iter().zip(&first) {
        for said in [&b"d"[..], b"u", &[7; 1_400]] {
            assert_eq!(client.ask(said), [&[*server], said].concat());
        }
    }
    let ways: HashSet<_> = one.heard().into_iter().chain(two.heard()).map(|(_, from)| from).collect();
    assert_eq!(ways.len(), 6, "each has a socket of its own");
}

#[test]
fn a_server_may_say_something_unasked_and_more_than_once() {
    let server = Server::start(|asked| vec![asked.to_vec(), b"more".to_vec()]);
    let lab = Lab::new(&FLOWS, &[&server]);
    let client = lab.client();
    assert_eq!((client.ask(b"x"), client.hear()), (b"x".to_vec(), b"more".to_vec()));
    let (_, from) = server.heard().remove(0);
    server.say(b"", from);
    server.say(b"unasked", from);
    assert_eq!((client.hear(), client.hear()), (b"".to_vec(), b"unasked".to_vec()));
}

#[test]
fn flows_end_when_nothing_is_said_and_give_their_places_back() {
    let server = named("1");
    let lab = Lab::new(&[&FLOWS[..], &["--udp-idle", "100ms"]].concat(), &[&server]);
    let client = lab.client();
    assert_eq!(client.ask(b"x"), b"1x");
    let ended = lab.event("its end", |event| matches!(event, Event::ConnectionEnded { .. }));
    let Event::ConnectionEnded { up, down, how, .. } = ended else { unreachable!() };
    assert_eq!((up, down, how.as_str()), (1, 2, "nothing was said for too long"));
    eventually("its place is free", || {
        lab.pool.servers().iter().all(|server| lab.pool.look(server).is_some_and(|standing| standing.active == 0))
    });
    assert_eq!(client.ask(b"y"), b"1y", "the next one begins");
    let ways: HashSet<_> = server.heard().into_iter().map(|(_, from)| from).collect();
    assert_eq!(ways.len(), 2, "through another socket");
}

#[test]
fn there_are_only_so_many_flows_and_one_too_many_is_refused_visibly() {
    let server = named("1");
    let lab = Lab::new(&[&FLOWS[..], &["--udp-flows", "2"]].concat(), &[&server]);
    let (one, two, three) = (lab.client(), lab.client(), lab.client());
    assert_eq!((one.ask(b"x"), two.ask(b"x")), (b"1x".to_vec(), b"1x".to_vec()));
    three.say(b"x");
    let refused = lab.event("a refusal", |event| matches!(event, Event::ClientRefused { .. }));
    let Event::ClientRefused { peer, why } = refused else { unreachable!() };
    assert_eq!((peer, why.as_str()), (three.socket.local_addr().ok(), "as many flows as there may be (--udp-flows)"));
    assert_eq!((one.ask(b"y"), lab.pool.totals().refused.get()), (b"1y".to_vec(), 1));
}

/// Nobody listens at its server's port: the client's next datagrams go to another one.
#[test]
fn the_flow_of_a_killed_server_begins_again_elsewhere() {
    let (one, two) = (named("1"), named("2"));
    let lab = Lab::new(&FLOWS, &[&one, &two]);
    let clients: Vec<Client> = (0..4).map(|_| lab.client()).collect();
    let first: Vec<u8> = clients.iter().map(|client| client.ask(b"x")[0]).collect();
    one.close();
    for (client, before) in clients.iter().zip(first) {
        assert_eq!(client.ask_on(b"y"), b"2y", "it was at {}", char::from(before));
    }
}

#[test]
fn a_client_that_says_no_more_where_nobody_listens_is_forgotten() {
    let server = named("1");
    let lab = Lab::new(&[&FLOWS[..], &["--udp-idle", "1s"]].concat(), &[&server]);
    let client = lab.client();
    assert_eq!(client.ask(b"x"), b"1x");
    server.close();
    client.say(b"y");
    lab.event(
        "a refusal",
        |event| matches!(event, Event::ConnectionEnded { how, .. } if how == "nobody listens at its server's port"),
    );
    eventually("no flow is in hand", || lab.pool.totals().in_hand.now() == 0);
}

#[test]
fn a_flow_is_ended_when_its_server_is_found_down() {
    let (one, two) = (named("1"), named("2"));
    let lab = Lab::new(&[&FLOWS[..], &PROBED].concat(), &[&one, &two]);
    let clients: Vec<Client> = (0..4).map(|_| lab.client()).collect();
    clients.iter().for_each(|client| drop(client.ask(b"x")));
    one.close();
    let ended = |event: &Event| matches!(event, Event::ConnectionEnded { server, .. } if server == "S1");
    (0..2).for_each(|_| drop(lab.event("its flows end, though nothing is said in them", ended)));
}

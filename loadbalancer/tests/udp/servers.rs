//! Servers that are silent, gone, say that they go, or that are said to.

use crate::kit::{Lab, PATIENT, PROBED, Server, eventually, reversed};
use loadbalancer::{event::Event, pool::Skipped};
use std::net::UdpSocket;

#[test]
fn a_silent_server_costs_a_resend_and_its_late_answer_counts_for_nothing() {
    let (silent, other) = (Server::silent(), Server::reversing(8));
    let lab = Lab::new(&["--udp-timeout", "60s", "--udp-try", "50ms", "--eject", "off"], &[&silent, &other]);
    let client = lab.client();
    for number in 0..4_u8 {
        assert_eq!(client.ask(&[number, 9]), [9, number]);
    }
    for (asked, from) in silent.until_heard(1) {
        silent.say(&reversed(&asked, 8), from);
    }
    lab.event("late is foreign", |event| matches!(event, Event::ForeignAnswer { server, .. } if server == "S1"));
    assert_eq!(client.ask(&[7, 8]), [8, 7]);
    assert!(lab.pool.totals().redispatches.get() >= 1);
}

#[test]
fn a_silent_server_is_left_out_after_some_failures() {
    let (silent, other) = (Server::silent(), Server::reversing(8));
    let lab = Lab::new(&["--udp-timeout", "60s", "--udp-try", "1s", "--eject", "errors 3 for 60s"], &[&silent, &other]);
    let client = lab.client();
    while silent.heard().len() < 3 {
        assert_eq!(client.ask(&[1, 2]), [2, 1]);
    }
    lab.event("it is left out", |event| matches!(event, Event::ServerEjected { server, .. } if server == "S1"));
    client.say(&[1, 2]);
    let first = lab.event("a choice", |event| matches!(event, Event::ServerChosen { attempt: 1, .. }));
    let Event::ServerChosen { server, skipped, .. } = first else { unreachable!() };
    assert_eq!((server.as_str(), skipped[0].server.as_str(), skipped[0].why), ("S2", "S1", Skipped::Ejected));
}

/// Nobody listens at its port any more, which the system tells at once: no request waits for it.
#[test]
fn who_has_a_request_at_a_server_that_is_killed_gets_another_one() {
    let (killed, other) = (Server::silent(), Server::reversing(8));
    let lab = Lab::new(&[&PATIENT[..], &["--eject", "off"]].concat(), &[&killed, &other]);
    let clients: Vec<_> = (0..10_u8).map(|number| (number, lab.client())).collect();
    clients.iter().for_each(|(number, client)| {
        client.say(&[*number, 9]);
    });
    killed.until_heard(5);
    killed.close();
    // The next datagram finds nobody, and so do all that wait there.
    assert_eq!(lab.client().ask(&[1, 2]), [2, 1]);
    assert_eq!(lab.client().ask(&[1, 2]), [2, 1]);
    for (number, client) in clients {
        assert_eq!(client.hear(), [9, number]);
    }
    eventually("its check finds it down", || !lab.is_up(1));
}

/// A server that dies has hundreds of requests: a quiet terminal is told of the server, and not of each of these.
#[test]
fn a_request_that_goes_to_another_server_is_no_news() {
    let (silent, other) = (Server::silent(), Server::reversing(8));
    let lab = Lab::new(&["--udp-timeout", "60s", "--udp-try", "50ms", "--eject", "off"], &[&silent, &other]);
    let client = lab.client();
    (0..4_u8).for_each(|number| assert_eq!(client.ask(&[number, 9]), [9, number]));
    let failed = |event: &Event| matches!(event, Event::AttemptFailed { .. });
    lab.event("a request is tried again", failed);
    let news = lab.news();
    assert!(news.iter().any(|event| matches!(event, Event::ServerJoined { .. })), "{news:?}");
    assert!(!news.iter().any(failed), "{news:?}");
}

#[test]
fn a_server_that_comes_back_gets_requests_again() {
    let (one, two) = (Server::reversing(8), Server::reversing(8));
    let lab = Lab::new(&PROBED, &[&one, &two]);
    let address = one.close();
    eventually("it is down", || !lab.is_up(1));
    assert_eq!(lab.client().ask(&[1, 2]), [2, 1]);
    let back = Server::start_at(address, |asked| vec![reversed(asked, 8)]);
    eventually("it is back", || lab.is_up(1));
    let client = lab.client();
    while back.heard().is_empty() {
        assert_eq!(client.ask(&[1, 2]), [2, 1]);
    }
}

/// `d` from a server's own address takes it out at once, and what it has goes elsewhere. It comes back by its probe, which
/// this one answers, so that the `d` was not true.
#[test]
fn d_takes_a_server_out_and_its_probe_brings_it_back() {
    let (one, two) = (Server::silent(), Server::reversing(8));
    let lab = Lab::new(&[&PATIENT[..], &PROBED].concat(), &[&one, &two]);
    let (client, other) = (lab.client(), lab.client());
    client.say(&[1, 2]);
    other.say(&[3, 4]);
    let (_, from) = one.until_heard(1).remove(0);
    one.say(b"d", from);
    assert_eq!((client.hear(), other.hear()), (vec![2, 1], vec![4, 3]));
    let down = lab.event("it is down", |event| matches!(event, Event::ServerDown { server, .. } if server == "S1"));
    let Event::ServerDown { why, .. } = down else { unreachable!() };
    assert_eq!(why, "it says that it goes down.");
    lab.event("it is back", |event| matches!(event, Event::ServerUp { server } if server == "S1"));
    assert_eq!(lab.pool.totals().foreign.get(), 0, "it was not taken for an answer");
}

#[test]
fn a_u_alone_brings_no_server_back() {
    let (one, two) = (Server::reversing(8), Server::reversing(8));
    let lab = Lab::new(&PROBED, &[&one, &two]);
    let client = lab.client();
    while one.heard().is_empty() {
        client.ask(&[1, 2]);
    }
    let (_, from) = one.heard().remove(0);
    let address = one.close();
    eventually("it is down", || !lab.is_up(1));
    // At its address somebody who answers nothing, and says `u`.
    let forger = Server::start_at(address, |_| vec![]);
    (0..20).for_each(|_| forger.say(b"u", from));
    (0..50).for_each(|_| assert_eq!(client.ask(&[1, 2]), [2, 1]));
    assert!(!lab.is_up(1) && forger.heard().is_empty());
}

#[test]
fn strangers_may_say_d_as_often_as_they_like() {
    let server = Server::reversing(8);
    let lab = Lab::new(&PATIENT, &[&server]);
    let (client, stranger) = (lab.client(), lab.client());
    client.ask(&[1, 2]);
    let (_, from) = server.heard().remove(0);
    let outside = UdpSocket::bind("127.0.0.1:0").unwrap();
    for _ in 0..100 {
        // To the socket that leads to the server, where the system takes nothing of theirs; and to the clients' door.
        outside.send_to(b"d", from).unwrap();
        assert_eq!(stranger.ask(b"d"), b"d", "it is a request");
    }
    assert!(lab.is_up(1) && client.ask(&[1, 2]) == [2, 1]);
}

/// Servers of the original tell the agents' own port, from their own address.
#[test]
fn a_d_from_a_servers_address_counts_at_the_clients_door_too() {
    let (one, two) = (Server::reversing(8), Server::reversing(8));
    let lab = Lab::new(&[&PATIENT[..], &PROBED].concat(), &[&one, &two]);
    one.say(b"d", lab.address);
    lab.event("it is down", |event| matches!(event, Event::ServerDown { server, .. } if server == "S1"));
    lab.event("it is back", |event| matches!(event, Event::ServerUp { server } if server == "S1"));
    assert_eq!(lab.pool.totals().requests.get(), 0);
}

#[test]
fn all_are_asked_at_once_and_the_first_answer_counts() {
    let (silent, other) = (Server::silent(), Server::reversing(8));
    let lab = Lab::new(&[&PATIENT[..], &["--duplicate", "2"]].concat(), &[&silent, &other]);
    let client = lab.client();
    (0..10_u8).for_each(|number| assert_eq!(client.ask(&[number, 1]), [1, number]));
    silent.until_heard(10);
    other.until_heard(10);
    assert_eq!(lab.pool.totals().copies_sent.get(), 10);
    eventually("nobody has anything left", || {
        lab.pool.servers().iter().all(|server| lab.pool.look(server).is_some_and(|standing| standing.active == 0))
    });
}

#[test]
fn a_late_server_is_overtaken_by_a_hedge() {
    let (silent, other) = (Server::silent(), Server::reversing(8));
    let lab =
        Lab::new(&[&PATIENT[..], &["--hedge-after", "20ms", "--hedge-budget", "100%"]].concat(), &[&silent, &other]);
    let client = lab.client();
    (0..6_u8).for_each(|number| assert_eq!(client.ask(&[number, 1]), [1, number]));
    assert!(!silent.heard().is_empty());
}

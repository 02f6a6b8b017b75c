//! Datagrams through the load balancer: in tagged mode each answer to whom it belongs, whatever servers and strangers send.
#![allow(clippy::unwrap_used, reason = "a test that unwraps in vain has failed")]

#[path = "../kit/side.rs"]
mod side;

mod flows;
mod kit;
mod mutated;
mod servers;

use kit::{Client, Lab, PATIENT, Server, eventually, reversed};
use loadbalancer::event::Event;
use protocol::message::ErrorCode;
use std::{net::UdpSocket, thread};

#[test]
fn the_client_gets_its_payload_turned_around_and_no_tag() {
    for (flags, tag) in [(&[][..], 8), (&["--tag-bytes", "2"][..], 2), (&["--tag-bytes", "5"][..], 5)] {
        let server = Server::reversing(tag);
        let lab = Lab::new(flags, &[&server]);
        assert_eq!(lab.client().ask(&[1, 2, 3]), [3, 2, 1]);
        assert_eq!(lab.client().ask(b"d"), b"d", "a byte of a client is a request like any other");
        let (asked, _) = server.heard().remove(0);
        assert_eq!((asked.len(), &asked[..3]), (3 + tag, &[1, 2, 3][..]));
    }
}

#[test]
fn answers_in_any_order_go_each_to_its_asker() {
    let server = Server::silent();
    let lab = Lab::new(&PATIENT, &[&server]);
    let clients: Vec<Client> = (0..50).map(|_| lab.client()).collect();
    for (number, client) in clients.iter().enumerate() {
        client.say(&[number as u8, 7]);
    }
    for (asked, from) in server.until_heard(50).into_iter().rev() {
        server.say(&reversed(&asked, 8), from);
    }
    for (number, client) in clients.iter().enumerate() {
        assert_eq!(client.hear(), [7, number as u8]);
    }
}

#[test]
fn one_client_may_have_many_requests_at_once() {
    let server = Server::reversing(8);
    let lab = Lab::new(&PATIENT, &[&server]);
    let client = lab.client();
    (0..200_u8).for_each(|number| {
        client.say(&[number]);
    });
    let mut answers: Vec<u8> = (0..200).map(|_| client.hear()[0]).collect();
    answers.sort_unstable();
    assert_eq!(answers, (0..200).collect::<Vec<u8>>());
}

#[test]
fn what_is_late_doubled_or_foreign_is_counted_and_given_to_nobody() {
    let (server, stranger) = (Server::silent(), UdpSocket::bind("127.0.0.1:0").unwrap());
    let lab = Lab::new(&PATIENT, &[&server]);
    let (client, other) = (lab.client(), lab.client());
    client.say(&[1, 2, 3]);
    let (asked, from) = server.until_heard(1).remove(0);
    let answer = reversed(&asked, 8);
    stranger.send_to(&answer, from).unwrap();
    let mut wrong = answer.clone();
    *wrong.last_mut().unwrap() ^= 1;
    for said in [&wrong[..], &answer[..7], &[], &answer[3..], &answer] {
        server.say(said, from);
    }
    // The fourth is an empty answer with the right tag: so it is the answer, and all that comes later is not.
    assert_eq!(client.hear(), b"");
    let foreign = |event: &Event| matches!(event, Event::ForeignAnswer { server, .. } if server == "S1");
    (0..4).for_each(|_| drop(lab.event("a foreign answer", foreign)));
    other.say(&[4, 5]);
    server.say(&answer, from);
    let (asked, from) = server.until_heard(2).remove(1);
    server.say(&reversed(&asked, 8), from);
    assert_eq!(other.hear(), [5, 4], "and not the late answer to somebody else");
    let totals = lab.pool.totals();
    eventually("all are counted", || (totals.foreign.get(), totals.answered.get()) == (5, 2));
}

#[test]
fn the_largest_datagrams_go_through_and_larger_ones_are_refused() {
    let server = Server::reversing(8);
    let lab = Lab::new(&PATIENT, &[&server]);
    let client = lab.client();
    let largest: Vec<u8> = (0..65_499_u32).map(|at| (at % 251) as u8).collect();
    assert!(client.ask(&largest).into_iter().eq(largest.iter().rev().copied()));
    client.say(&vec![1; 65_500]);
    let refused = lab.event("a refusal", |event| matches!(event, Event::RequestFailed { .. }));
    let Event::RequestFailed { code, definite, message, .. } = refused else { unreachable!() };
    assert_eq!(
        (code, definite, message.as_str()),
        (ErrorCode::TooLarge, true, "A datagram has no room for the request and its tag.")
    );
    assert_eq!((lab.pool.totals().malformed.get(), client.ask(&[1, 2])), (1, vec![2, 1]));
}

/// What goes in may have no byte, and an answer more bytes than what was asked, or none.
#[test]
fn any_length_goes_in_and_another_comes_out() {
    let server = Server::start(|asked| {
        let (payload, tag) = asked.split_at(asked.len() - 8);
        vec![[&vec![5; 3 * payload.len() % 7], tag].concat()]
    });
    let lab = Lab::new(&PATIENT, &[&server]);
    let client = lab.client();
    for length in [0, 1, 2, 7, 1_000] {
        assert_eq!(client.ask(&vec![9; length]), vec![5; 3 * length % 7]);
    }
}

/// A tag that names nothing but a place rests until no answer to it is to be expected, also if it was answered.
#[test]
fn tags_of_two_bytes_run_out_visibly() {
    let server = Server::reversing(2);
    let lab = Lab::new(&[&PATIENT[..], &["--tag-bytes", "2"]].concat(), &[&server]);
    let client = lab.client();
    for _ in 0..1_024 {
        for _ in 0..64 {
            client.say(&[1, 2]);
        }
        (0..64).for_each(|_| assert_eq!(client.hear(), [2, 1]));
    }
    client.say(&[1, 2]);
    let refused = lab.event("a refusal", |event| matches!(event, Event::RequestFailed { .. }));
    let Event::RequestFailed { code, message, .. } = refused else { unreachable!() };
    assert_eq!((code, message.as_str()), (ErrorCode::Busy, "All tags of its server are in use."));
}

#[test]
fn with_no_server_at_all_requests_wait_and_fail_in_time() {
    let lab = Lab::new(&["--udp-timeout", "300ms", "--max-queue", "2"], &[]);
    let client = lab.client();
    (0..3).for_each(|_| {
        client.say(&[1]);
    });
    let mut codes: Vec<ErrorCode> = (0..3)
        .map(|_| match lab.event("a refusal", |event| matches!(event, Event::RequestFailed { .. })) {
            Event::RequestFailed { code, definite, .. } => {
                assert!(definite, "it was sent to nobody");
                code
            }
            _ => unreachable!(),
        })
        .collect();
    codes.sort_by_key(|code| *code != ErrorCode::Busy);
    assert_eq!(codes, [ErrorCode::Busy, ErrorCode::Timeout, ErrorCode::Timeout]);
}

#[test]
fn a_request_that_waits_gets_the_first_place_that_is_free() {
    let server = Server::silent();
    let named = format!("only={},capacity=1", server.address);
    let lab = Lab::new(&[&PATIENT[..], &["--udp-server", &named]].concat(), &[]);
    let (one, two) = (lab.client(), lab.client());
    one.say(&[1, 2]);
    let (asked, from) = server.until_heard(1).remove(0);
    two.say(&[3, 4]);
    eventually("it came", || lab.pool.totals().requests.get() == 2);
    assert_eq!(server.heard().len(), 1, "the server has one place");
    server.say(&reversed(&asked, 8), from);
    let (asked, from) = server.until_heard(2).remove(1);
    server.say(&reversed(&asked, 8), from);
    assert_eq!((one.hear(), two.hear()), (vec![2, 1], vec![4, 3]));
}

/// Several threads have a free server for it at the same time, and each request still goes out once.
#[test]
fn many_that_wait_for_few_places_each_go_out_once() {
    let servers: Vec<Server> = (0..3).map(|_| Server::reversing(8)).collect();
    let named: Vec<String> = servers.iter().map(|server| format!("{},capacity=1", server.address)).collect();
    let named: Vec<&str> = named.iter().flat_map(|server| ["--udp-server", server]).collect();
    let lab = Lab::new(&[&PATIENT[..], &named].concat(), &[]);
    thread::scope(|scope| {
        for number in 0..20_u8 {
            let client = lab.client();
            scope
                .spawn(move || (0..100_u8).for_each(|round| assert_eq!(client.ask(&[number, round]), [round, number])));
        }
    });
    let heard: usize = servers.iter().map(|server| server.heard().len()).sum();
    assert_eq!((heard, lab.pool.totals().foreign.get()), (2_000, 0));
}

#[test]
fn at_the_end_what_is_under_way_is_finished() {
    let server = Server::silent();
    let lab = Lab::new(&PATIENT, &[&server]);
    let client = lab.client();
    client.say(&[1, 2]);
    let (asked, from) = server.until_heard(1).remove(0);
    thread::scope(|scope| {
        let end = scope.spawn(|| lab.end());
        server.say(&reversed(&asked, 8), from);
        assert_eq!(client.hear(), [2, 1]);
        end.join().unwrap();
    });
}

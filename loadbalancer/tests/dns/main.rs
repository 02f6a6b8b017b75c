//! The DNS frontend with real sockets, in front of name servers that answer, are silent, late, wrong, or gone.
#![allow(clippy::unwrap_used, reason = "a test that unwraps in vain has failed")]

#[path = "../kit/side.rs"]
mod side;

mod kit;
mod strangers;
mod zone;

use kit::{Asker, Lab, NameServer, about, addresses, ask_over_tcp, eventually, question, rcode, transport};
use loadbalancer::event::Event;
use protocol::dns::{Flags, MAX_MESSAGE, Message, Rcode, Reply, query, record_type};
use std::{
    net::UdpSocket,
    sync::{Arc, Barrier},
    thread,
    time::{Duration, Instant},
};

const PRINCETON: (&str, [u8; 4]) = ("www.princeton.edu", [128, 1, 1, 4]);
const RUTGERS: (&str, [u8; 4]) = ("rutgers.edu", [172, 34, 4, 6]);
const GOOGLE: (&str, [u8; 4]) = ("GOOGLE.com", [46, 1, 3, 7]);

/// System C's two name servers, whose tables do not overlap.
fn two() -> (NameServer, NameServer) {
    (NameServer::knowing(&[PRINCETON, RUTGERS]), NameServer::knowing(&[GOOGLE]))
}

#[test]
fn one_of_two_knows_and_the_other_is_silent() {
    let (ts1, ts2) = two();
    let lab = Lab::new(&["--duplicate", "2"], &[&ts1, &ts2]);
    for (name, address) in [PRINCETON, RUTGERS, GOOGLE, ("google.com", GOOGLE.1), ("WWW.PRINCETON.EDU", PRINCETON.1)] {
        assert_eq!(addresses(&lab.ask(name)), [address.to_vec()], "{name}");
    }
    let said = lab.ask("google.com");
    let message = Message::parse(&said).unwrap();
    assert_eq!(message.name(&message.records[0]).unwrap().to_string(), "GOOGLE.com", "as the table spells it");
    // Who is asked second is spared a query that the first one has answered already.
    assert!((4..=6).contains(&ts1.heard().len()) && (2..=6).contains(&ts2.heard().len()));
}

#[test]
fn whom_nobody_knows_costs_its_asker_the_time_and_nobody_else_anything() {
    let (ts1, ts2) = two();
    let lab = Lab::new(&["--duplicate", "2", "--dns-timeout", "2s"], &[&ts1, &ts2]);
    let asker = Asker::new(lab.address);
    let since = Instant::now();
    asker.send(1, "nothinghere.com").send(2, "www.google.com");
    let other = Asker::new(lab.address);
    (0..50).for_each(|_| assert_eq!(addresses(&other.ask("rutgers.edu")), [RUTGERS.1]));
    let hits = since.elapsed();
    let misses = [asker.hear(), asker.hear()];
    assert!(since.elapsed() >= Duration::from_secs(2) && hits < since.elapsed(), "{hits:?}");
    for (id, said) in [1, 2].iter().zip(&misses) {
        let message = Message::parse(said).unwrap();
        assert_eq!((message.id, message.rcode(), message.records.len()), (*id, Rcode::SERVER_FAILURE, 0));
    }
    lab.event("it is told", |event| matches!(event, Event::RequestFailed { .. }));
}

#[test]
fn many_at_once_with_ids_alike_get_their_own_answers() {
    let names = |asked: &[u8]| {
        let message = Message::parse(transport(asked).1).unwrap();
        let number: u32 = message.question.as_ref().unwrap().name.to_string()[1..].parse().unwrap();
        let mut reply = Reply::to(&message);
        reply.answer(&message.question.as_ref().unwrap().name, record_type::A, 60, &number.to_be_bytes());
        vec![reply.finish(MAX_MESSAGE)]
    };
    let servers = [NameServer::start(names), NameServer::start(names), NameServer::start(names)];
    // On a busy machine nobody is asked a second time because the first is late.
    let lab =
        Lab::new(&["--balance", "least-connections", "--dns-try", "15s", "--dns-timeout", "15s"], &servers.each_ref());
    let begin = Barrier::new(20);
    thread::scope(|scope| {
        for client in 0..20_u32 {
            let (begin, address) = (&begin, lab.address);
            scope.spawn(move || {
                let asker = Asker::new(address);
                begin.wait();
                for n in 0..100 {
                    let number = client * 100 + n;
                    let said = asker.send(7, &format!("n{number}")).hear();
                    assert_eq!(addresses(&said), [number.to_be_bytes()]);
                }
            });
        }
    });
    assert_eq!(servers.iter().map(|server| server.heard().len()).sum::<usize>(), 2_000);
    assert!(servers.iter().all(|server| server.heard().len() > 100), "all of them were asked");
    let heard: Vec<Vec<u8>> = servers[0].heard();
    let ids: std::collections::HashSet<u16> = heard.iter().map(|query| Message::parse(query).unwrap().id).collect();
    assert!(ids.len() > heard.len() / 2, "ids are drawn anew");
}

#[test]
fn answers_that_are_none_are_never_believed_and_counted() {
    let outsider = UdpSocket::bind("127.0.0.1:0").unwrap();
    let liar = NameServer::start(|asked| {
        let (tcp, asked) = transport(asked);
        let right = about(asked, &[GOOGLE]).into_iter();
        let message = Message::parse(asked).unwrap();
        let wrong = |id: u16, name: &str| {
            let other = query(id, &question(name), None);
            let other = Message::parse(&other).unwrap();
            let mut reply = Reply::to(&other).flags(Flags::authoritative);
            reply.answer(&name.parse().unwrap(), record_type::A, 60, &[6, 6, 6, 6]);
            reply.finish(MAX_MESSAGE)
        };
        let name = message.question.as_ref().unwrap().name.to_string();
        let lies = [wrong(message.id ^ 1, &name), wrong(message.id, "evil.com"), asked.to_vec(), asked[..15].to_vec()];
        lies.into_iter().filter(|_| !tcp).chain(right).collect()
    });
    let lab = Lab::new(&[], &[&liar]);
    let said = lab.ask("google.com");
    assert_eq!(addresses(&said), [GOOGLE.1]);
    // To whoever asks from outside, the socket towards the servers is not there.
    let guessed = query(7, &question("google.com"), None);
    outsider.send_to(&guessed, lab.address).unwrap();
    for why in ["google.com A under id", "evil.com A under id", "it is a question", "it cannot be read"] {
        let told =
            |event: &Event| matches!(event, Event::ForeignAnswer { about: Some(about), .. } if about.contains(why));
        lab.event("each lie is told", told);
    }
}

#[test]
fn an_answer_from_another_address_is_not_even_heard() {
    let (release, held) = crossbeam_channel::bounded::<()>(0);
    let server = NameServer::start(move |asked| {
        let _released = held.recv_timeout(kit::LONG);
        about(asked, &[GOOGLE]).into_iter().collect()
    });
    let lab = Lab::new(&[], &[&server]);
    let asker = Asker::new(lab.address);
    asker.send(9, "google.com");
    eventually("the query has arrived", || server.heard().len() == 1);
    // Whoever knows everything, id, question and port, and has another address.
    let forged = about(&server.heard()[0], &[("google.com", [6, 6, 6, 6])]).unwrap();
    let forger = UdpSocket::bind("127.0.0.1:0").unwrap();
    (0..10).for_each(|_| assert_eq!(forger.send_to(&forged, server.asker()).unwrap(), forged.len()));
    release.send(()).unwrap();
    assert_eq!(addresses(&asker.hear()), [GOOGLE.1]);
}

#[test]
fn a_late_answer_is_for_nobody() {
    let (release, held) = crossbeam_channel::bounded::<()>(0);
    let late = NameServer::start(move |asked| {
        let (_, asked) = transport(asked);
        let first = Message::parse(asked).unwrap().question.unwrap().name == "slow.example".parse().unwrap();
        if first {
            let _released = held.recv_timeout(kit::LONG);
        }
        about(asked, &[("slow.example", [1, 1, 1, 1]), ("fast.example", [2, 2, 2, 2])]).into_iter().collect()
    });
    let lab = Lab::new(&["--dns-timeout", "2s"], &[&late]);
    let asker = Asker::new(lab.address);
    assert_eq!(rcode(&asker.ask("slow.example")), "SERVFAIL");
    asker.send(9, "fast.example");
    release.send(()).unwrap();
    assert_eq!(addresses(&asker.hear()), [[2, 2, 2, 2]]);
    lab.event("it is told", |event| matches!(event, Event::ForeignAnswer { .. }));
}

#[test]
fn who_is_silent_is_followed_by_another() {
    let silent = NameServer::start(|_| Vec::new());
    let knowing = NameServer::knowing(&[GOOGLE]);
    let lab = Lab::new(&["--balance", "round-robin", "--dns-try", "50ms"], &[&silent, &knowing]);
    for _ in 0..4 {
        assert_eq!(addresses(&lab.ask("google.com")), [GOOGLE.1]);
    }
    assert_eq!(knowing.heard().len(), 4);
    assert!((1..=4).contains(&silent.heard().len()), "no query goes twice to the same server");
}

/// Whenever the other one is free: it must not be forgotten because it was not when it was looked for.
#[test]
fn who_is_silent_is_followed_by_another_also_if_that_one_is_busy() {
    let (release, held) = crossbeam_channel::bounded::<()>(0);
    let silent = NameServer::start(|_| Vec::new());
    let busy = NameServer::start(move |asked| {
        if about(asked, &[RUTGERS]).is_some() {
            let _released = held.recv_timeout(kit::LONG);
        }
        about(asked, &[RUTGERS, GOOGLE]).into_iter().collect()
    });
    let named = [format!("TS1={}", silent.address), format!("TS2={},capacity=1", busy.address)];
    let lab = Lab::naming(&["--balance", "round-robin", "--dns-try", "50ms", "--dns-timeout", "15s"], &named);
    let asker = Asker::new(lab.address);
    asker.send(1, RUTGERS.0);
    eventually("the one has the first query", || busy.heard().len() == 1);
    asker.send(2, GOOGLE.0);
    let has_it = |asked: &Vec<u8>| about(asked, &[GOOGLE]).is_some();
    eventually("the other has the second", || silent.heard().iter().any(has_it));
    // So long that another server is looked for in vain; were it shorter, nothing else would have to be true.
    thread::park_timeout(Duration::from_millis(300));
    release.send(()).unwrap();
    let mut heard = [asker.hear(), asker.hear()].map(|said| addresses(&said));
    heard.sort();
    assert_eq!(heard, [[GOOGLE.1], [RUTGERS.1]]);
}

#[test]
fn who_is_silent_again_and_again_while_another_answers_is_no_longer_asked_first() {
    let silent = NameServer::start(|_| Vec::new());
    let knowing = NameServer::knowing(&[GOOGLE]);
    let lab = Lab::new(&["--balance", "round-robin", "--dns-try", "20ms"], &[&silent, &knowing]);
    let ejected = || lab.pool.find("TS1").unwrap().statistics.ejections.get() == 1;
    let until = Instant::now() + kit::LONG;
    while !ejected() {
        assert!(Instant::now() < until, "it is never left out");
        assert_eq!(addresses(&lab.ask("google.com")), [GOOGLE.1]);
    }
    let told = |event: &Event| matches!(event, Event::ServerEjected { server, .. } if server == "TS1");
    lab.event("it is told", told);
}

#[test]
fn a_hedge_goes_to_another_when_the_first_is_late() {
    let silent = NameServer::start(|_| Vec::new());
    let knowing = NameServer::knowing(&[GOOGLE]);
    let flags = ["--balance", "round-robin", "--hedge-after", "20ms", "--hedge-budget", "100%"];
    let lab = Lab::new(&flags, &[&silent, &knowing]);
    for _ in 0..4 {
        assert_eq!(addresses(&lab.ask("google.com")), [GOOGLE.1]);
    }
    let copy = |event: &Event| matches!(event, Event::ServerChosen { copy: true, .. });
    lab.event("a copy was sent", copy);
}

#[test]
fn an_error_of_one_server_is_not_yet_the_answer() {
    let refusing = NameServer::start(|asked| {
        let message = Message::parse(transport(asked).1).unwrap();
        vec![Reply::to(&message).rcode(Rcode::REFUSED).finish(MAX_MESSAGE)]
    });
    let knowing = NameServer::start(|asked| {
        let none = || Reply::to(&Message::parse(transport(asked).1).unwrap()).rcode(Rcode::NO_SUCH_NAME).finish(512);
        vec![about(asked, &[GOOGLE]).unwrap_or_else(none)]
    });
    let lab = Lab::new(&["--balance", "round-robin"], &[&refusing, &knowing]);
    for _ in 0..4 {
        assert_eq!(addresses(&lab.ask("google.com")), [GOOGLE.1]);
        assert_eq!(rcode(&lab.ask("nothinghere.com")), "NXDOMAIN");
    }
    let failed = |event: &Event| matches!(event, Event::AttemptFailed { .. });
    lab.event("a query is asked again elsewhere", failed);
    assert!(!lab.news().iter().any(failed), "of queries there are too many for a quiet terminal");
    drop(lab);
    let lab = Lab::new(&[], &[&refusing]);
    assert_eq!(rcode(&lab.ask("google.com")), "REFUSED", "if there is no better answer, it is one");
}

#[test]
fn a_server_that_is_gone_costs_nobody_anything_and_comes_back() {
    let (ts1, ts2) = two();
    let lab = Lab::new(&["--duplicate", "2", "--dns-timeout", "1500ms", "--check", "inter 50ms rise 1"], &[&ts1, &ts2]);
    ts2.close();
    for _ in 0..20 {
        assert_eq!(addresses(&lab.ask("rutgers.edu")), [RUTGERS.1]);
    }
    assert_eq!(rcode(&lab.ask("google.com")), "SERVFAIL");
    let address = ts2.address;
    ts1.close();
    assert_eq!(rcode(&lab.ask("rutgers.edu")), "SERVFAIL", "nobody is left");
    let _back = NameServer::start_at(address, |asked| about(asked, &[GOOGLE]).into_iter().collect());
    lab.until_up(1);
    assert_eq!(addresses(&lab.ask("google.com")), [GOOGLE.1]);
}

#[test]
fn over_tcp_and_when_an_answer_is_too_long() {
    let long = NameServer::start(|asked| {
        let (tcp, asked) = transport(asked);
        let message = Message::parse(asked).unwrap();
        let mut reply = Reply::to(&message);
        (0..200).for_each(|n| reply.answer(&"long.example".parse().unwrap(), record_type::A, 60, &[10, 0, 0, n]));
        vec![reply.finish(if tcp { MAX_MESSAGE } else { 512 })]
    });
    let lab = Lab::new(&[], &[&long]);
    let said = lab.ask("long.example");
    let message = Message::parse(&said).unwrap();
    assert!(message.flags.is_truncated() && message.records.is_empty() && said.len() <= 512);
    for _ in 0..3 {
        assert_eq!(addresses(&ask_over_tcp(lab.address, "long.example")).len(), 200);
    }
}

#[test]
fn what_is_under_way_at_the_end_is_finished() {
    let (release, held) = crossbeam_channel::bounded::<()>(0);
    let slow = NameServer::start(move |asked| {
        let _released = held.recv_timeout(kit::LONG);
        about(asked, &[GOOGLE]).into_iter().collect()
    });
    let lab = Lab::new(&[], &[&slow]);
    let asker = Asker::new(lab.address);
    asker.send(5, "google.com");
    eventually("the query has arrived", || slow.heard().len() == 1);
    let ending = thread::spawn(|| lab.end());
    release.send(()).unwrap();
    assert_eq!(addresses(&asker.hear()), [GOOGLE.1]);
    ending.join().unwrap();
}

#[test]
fn what_nobody_answers_does_not_hold_up_the_end_for_long() {
    let silent = NameServer::start(|_| Vec::new());
    let lab = Lab::new(&["--dns-timeout", "1s"], &[&silent]);
    let asker = Asker::new(lab.address);
    asker.send(5, "google.com");
    eventually("the query has arrived", || silent.heard().len() == 1);
    lab.end();
    assert_eq!(rcode(&asker.hear()), "SERVFAIL");
}

#[test]
fn a_query_that_nobody_can_have_waits_for_somebody_until_its_time_is_over() {
    let lab = Arc::new(Lab::new(&["--dns-timeout", "150ms"], &[]));
    assert_eq!(rcode(&lab.ask("google.com")), "SERVFAIL");
}

#[test]
fn a_server_that_accepts_and_does_not_answer_is_down_if_it_is_asked() {
    let (over, ended) = crossbeam_channel::bounded::<()>(0);
    let hangs = NameServer::start(move |asked| {
        // Silent from the moment on when the other end of the channel is gone.
        let alive = ended.try_recv() == Err(crossbeam_channel::TryRecvError::Empty);
        about(asked, &[GOOGLE]).filter(|_| alive).into_iter().collect()
    });
    let lab = Lab::new(&["--dns-probe", "google.com", "--check", "inter 20ms timeout 100ms fall 2 rise 1"], &[&hangs]);
    assert_eq!(addresses(&lab.ask("google.com")), [GOOGLE.1]);
    drop(over);
    let down =
        |event: &Event| matches!(event, Event::ServerDown { why, .. } if why.contains("question for google.com"));
    lab.event("it is down", down);
}

#[test]
fn an_answer_that_is_kept_is_given_again_with_the_askers_id() {
    let server = NameServer::knowing(&[GOOGLE]);
    let lab = Lab::new(&["--dns-cache", "100"], &[&server]);
    for name in ["google.com", "GOOGLE.COM", "gOOgle.com"] {
        assert_eq!(addresses(&lab.ask(name)), [GOOGLE.1]);
    }
    assert_eq!(server.heard().len(), 1);
}

#[test]
fn a_network_that_asks_too_much_is_sent_to_tcp() {
    let server = NameServer::knowing(&[GOOGLE]);
    let lab = Lab::new(&["--dns-rate", "1"], &[&server]);
    let asker = Asker::new(lab.address);
    for id in 0..20 {
        asker.send(id, "google.com");
    }
    let cut = |said: &[u8]| Message::parse(said).unwrap().flags.is_truncated();
    let until_cut = std::iter::repeat_with(|| asker.hear()).take_while(|said| !cut(said)).count();
    assert!(until_cut < 20, "most are told to come over TCP, or nothing");
    assert_eq!(addresses(&ask_over_tcp(lab.address, "google.com")), [GOOGLE.1]);
}

#[test]
fn a_query_that_is_sent_again_is_asked_once() {
    let (release, held) = crossbeam_channel::bounded::<()>(0);
    let slow = NameServer::start(move |asked| {
        let _released = held.recv_timeout(kit::LONG);
        about(asked, &[GOOGLE]).into_iter().collect()
    });
    let lab = Lab::new(&[], &[&slow]);
    let asker = Asker::new(lab.address);
    asker.send(5, "google.com").send(5, "google.com").send(5, "GOOGLE.com");
    lab.event("it has arrived", |event| matches!(event, Event::ServerChosen { .. }));
    release.send(()).unwrap();
    assert_eq!(addresses(&asker.hear()), [GOOGLE.1]);
    // Nothing may come before the answer to the next one.
    asker.send(6, "google.com");
    release.send(()).unwrap();
    assert_eq!(Message::parse(&asker.hear()).unwrap().id, 6);
    assert_eq!(slow.heard().len(), 2);
}

//! Names of a zone of the load balancer's own, answered with the addresses of servers.

use super::kit::{Asker, Lab, NameServer, eventually};
use loadbalancer::{event::Event, pool::Admin};
use protocol::dns::{Message, Question, RecordType, query, record_type};
use std::net::TcpListener;

/// An answer in short: how it went, and the last byte of each address, or the port of each location.
fn said(asker: &Asker, name: &str, record_type: RecordType) -> (String, Vec<u16>) {
    let question = Question::new(name.parse().unwrap(), record_type);
    let said = asker.say(&query(7, &question, None)).hear();
    let message = Message::parse(&said).unwrap();
    assert_eq!((message.id, message.question.as_ref()), (7, Some(&question)));
    let answers = message.records.iter().filter(|record| record.section == protocol::dns::Section::Answer);
    let short = |data: &[u8]| match record_type {
        record_type::SRV => u16::from_be_bytes([data[4], data[5]]),
        _ => u16::from(*data.last().unwrap()),
    };
    (message.rcode().to_string(), answers.map(|record| short(message.data(record))).collect())
}

/// Servers that accept connections, at addresses of their own; and how they are named.
fn servers() -> (Vec<TcpListener>, Vec<String>) {
    let listeners = (1..=3).map(|n| TcpListener::bind(format!("127.0.0.{n}:0")).unwrap());
    let listeners: Vec<TcpListener> = listeners.collect();
    let named = |(n, listener): (usize, &TcpListener)| format!("s{}={}", n + 1, listener.local_addr().unwrap());
    let named = listeners.iter().enumerate().map(named).collect();
    (listeners, named)
}

fn lab(named: &[String], more: &[&str], name_servers: &[&NameServer]) -> Lab {
    let mut flags = vec!["--tcp", "127.0.0.1:0", "--dns-zone", "lab.example", "--balance", "round-robin"];
    named.iter().for_each(|server| flags.extend(["--server", server]));
    flags.extend(["--check", "inter 50ms rise 1 timeout 20s"]);
    flags.extend(more);
    Lab::new(&flags, name_servers)
}

const A: RecordType = record_type::A;

#[test]
fn servers_are_named_in_turn_and_only_those_that_take_requests() {
    let (mut listeners, named) = servers();
    let lab = lab(&named, &["--dns-zone-answers", "1"], &[]);
    let (asker, pool) = (Asker::new(lab.address), lab.pool_of("tcp"));
    let turn = |count: usize| (0..count).map(|_| said(&asker, "TCP.lab.example", A).1[0]).collect::<Vec<_>>();
    assert_eq!(turn(6), [1, 2, 3, 1, 2, 3]);
    pool.decide_on("s2", Admin::Maintenance).unwrap();
    assert_eq!(turn(4), [1, 3, 1, 3]);
    pool.decide_on("s2", Admin::Ready).unwrap();
    pool.decide_on("s1", Admin::Drain).unwrap();
    drop(listeners.remove(2));
    lab.event("its end is seen", |event| matches!(event, Event::ServerDown { server, .. } if server == "s3"));
    assert_eq!(turn(3), [2, 2, 2]);
    // Whom somebody asks for by name is told whatever it is doing.
    assert_eq!(said(&asker, "s3.tcp.lab.example", A), ("NOERROR".into(), vec![3]));
    pool.decide_on("s2", Admin::Drain).unwrap();
    assert_eq!(said(&asker, "tcp.lab.example", A), ("SERVFAIL".into(), vec![]));
    // To name a server is not to use it.
    let used = |n: &str| pool.find(n).unwrap().statistics.chosen.get();
    assert_eq!(["s1", "s2", "s3"].map(used), [0; 3]);
    assert!(pool.standings().iter().all(|(_, standing)| (standing.active, standing.most_active) == (0, 0)));
}

#[test]
fn ports_are_told_and_what_is_not_there_is_told_too() {
    let (listeners, named) = servers();
    let lab = lab(&named, &[], &[]);
    let asker = Asker::new(lab.address);
    let ports: Vec<u16> = listeners.iter().map(|listener| listener.local_addr().unwrap().port()).collect();
    // A stranger gets as many as fit into twice its question.
    assert_eq!(said(&asker, "_tcp._tcp.lab.example", record_type::SRV), ("NOERROR".into(), vec![ports[0]]));
    assert_eq!(said(&asker, "_tcp.lab.example", record_type::SRV), ("NOERROR".into(), vec![]));
    assert_eq!(said(&asker, "mail.lab.example", A), ("NXDOMAIN".into(), vec![]));
    assert_eq!(said(&asker, "s9.tcp.lab.example", A), ("NXDOMAIN".into(), vec![]));
    assert_eq!(said(&asker, "www.elsewhere.org", A), ("REFUSED".into(), vec![]), "there is no name server to ask");
}

#[test]
fn other_names_are_passed_on_and_the_zones_own_never() {
    let (_listeners, named) = servers();
    let server = NameServer::start(|asked| super::about(asked, &[("google.com", [46, 1, 3, 7])]).into_iter().collect());
    let lab = lab(&named, &[], &[&server]);
    let asker = Asker::new(lab.address);
    for name in ["tcp.lab.example", "mail.lab.example", "lab.example", "a.b.c.lab.example"] {
        said(&asker, name, A);
    }
    assert_eq!(said(&asker, "google.com", A), ("NOERROR".into(), vec![7]));
    assert_eq!(server.heard().len(), 1);
}

#[test]
fn each_decision_is_told_with_its_evidence() {
    let (_listeners, named) = servers();
    let lab = lab(&named, &[], &[]);
    said(&Asker::new(lab.address), "tcp.lab.example", A);
    let chosen = lab.event("the choice", |event| matches!(event, Event::ServerChosen { .. }));
    let Event::ServerChosen { server, considered, .. } = chosen else { unreachable!() };
    assert_eq!((server.as_str(), considered.len()), ("s1", 3));
    let named = lab.event("the answer", |event| matches!(event, Event::ServersNamed { .. }));
    let Event::ServersNamed { servers, rcode, ttl_s, .. } = named else { unreachable!() };
    assert_eq!((servers[0].as_str(), rcode.as_str(), ttl_s), ("s1", "NOERROR", 5));
    lab.event("its end", |event| matches!(event, Event::ResponseSent { .. }));
}

#[test]
fn a_busy_pool_names_whoever_is_up() {
    let (listeners, named) = servers();
    let named: Vec<String> = named.iter().map(|server| format!("{server},capacity=1")).collect();
    let lab = lab(&named, &[], &[]);
    let held: Vec<_> = (0..3).map(|_| std::net::TcpStream::connect(lab.address_of("tcp")).unwrap()).collect();
    let pool = lab.pool_of("tcp");
    eventually("all are busy", || pool.standings().iter().all(|(_, standing)| standing.active == 1));
    let (rcode, addresses) = said(&Asker::new(lab.address), "tcp.lab.example", A);
    assert_eq!((rcode.as_str(), addresses.len()), ("NOERROR", 2), "as many as fit into twice the question");
    // Else their connections would go on until the end of the load balancer loses patience.
    drop((held, listeners));
}

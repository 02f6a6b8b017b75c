//! Answers that are crossed, late, foreign, or of no use.

use super::*;
use protocol::dns::{Flags, Question, Reply, query, record_type};

const TS1: ServerKey = ServerKey(1);
const TS2: ServerKey = ServerKey(2);

type Table = Flights<&'static str, u32>;

fn inquiry(name: &str) -> Inquiry {
    let question = Question::new(name.parse().unwrap(), record_type::A);
    Inquiry { id: 5, flags: Flags::QUERY, question, edns: false, dnssec: false, cookie: None, limit: 512 }
}

fn open(table: &mut Table, asker: &'static str, name: &str) -> u64 {
    let flight = Flight::new(inquiry(name), asker, RequestId::NONE, Wanted::default(), Instant::now());
    match table.open(flight) {
        Opened::New(number) => number,
        other => panic!("{other:?}"),
    }
}

/// What a server answers to this copy.
fn answered(copy: &[u8], rcode: Rcode) -> Vec<u8> {
    Reply::to(&Message::parse(copy).unwrap()).rcode(rcode).finish(512)
}

fn heard(table: &mut Table, server: ServerKey, answer: &[u8]) -> Heard<&'static str, u32> {
    table.heard(server, &Message::parse(answer).unwrap())
}

#[test]
fn each_answer_goes_to_its_own_asker_also_when_all_ids_are_alike() {
    let mut table = Table::default();
    let (one, two) = (open(&mut table, "one", "a.example"), open(&mut table, "two", "b.example"));
    let first = table.send(one, TS1, 11, || 7).unwrap();
    let second = table.send(two, TS2, 22, || 7).unwrap();
    let crossed = heard(&mut table, TS1, &answered(&second, Rcode::NO_ERROR));
    assert!(matches!(crossed, Heard::Foreign("it answers another question")), "{crossed:?}");
    let Heard::Won(flight, 22) = heard(&mut table, TS2, &answered(&second, Rcode::NO_ERROR)) else { panic!() };
    assert_eq!(flight.asker, "two");
    let Heard::Won(flight, 11) = heard(&mut table, TS1, &answered(&first, Rcode::NO_SUCH_NAME)) else { panic!() };
    assert_eq!((flight.asker, table.is_empty()), ("one", true));
}

#[test]
fn what_comes_late_twice_or_unasked_is_foreign() {
    let mut table = Table::default();
    let number = open(&mut table, "one", "a.example");
    let copy = table.send(number, TS1, 11, || 7).unwrap();
    let other = table.send(number, TS2, 22, || 8).unwrap();
    assert!(matches!(heard(&mut table, TS1, &copy), Heard::Foreign("it is a question")));
    assert!(matches!(heard(&mut table, TS1, &answered(&other, Rcode::NO_ERROR)), Heard::Foreign(_)), "another id");
    let unasked = answered(&query(7, &inquiry("b.example").question, None), Rcode::NO_ERROR);
    assert!(matches!(heard(&mut table, TS1, &unasked), Heard::Foreign(_)), "another question");
    let Heard::Won(flight, 11) = heard(&mut table, TS1, &answered(&copy, Rcode::NO_ERROR)) else { panic!() };
    assert_eq!(flight.into_leases().collect::<Vec<_>>(), [22]);
    for late in [&copy, &other] {
        let late = answered(late, Rcode::NO_ERROR);
        assert!([TS1, TS2].iter().all(|server| matches!(heard(&mut table, *server, &late), Heard::Foreign(_))));
    }
}

#[test]
fn an_answer_that_helps_nobody_waits_for_a_better_one() {
    let mut table = Table::default();
    let number = open(&mut table, "one", "a.example");
    let copies =
        [(TS1, 11), (TS2, 22)].map(|(server, lease)| (server, table.send(number, server, lease, || 7).unwrap()));
    let useless = heard(&mut table, TS1, &answered(&copies[0].1, Rcode::REFUSED));
    assert!(matches!(useless, Heard::Useless(11)), "{useless:?}");
    let stuck = heard(&mut table, TS2, &answered(&copies[1].1, Rcode::SERVER_FAILURE));
    assert!(matches!(stuck, Heard::Stuck(_, 22)), "{stuck:?}");
    let flight = table.close(number).unwrap();
    let fallback = flight.fallback.unwrap();
    let fallback = Message::parse(&fallback).unwrap();
    assert_eq!((fallback.id, fallback.rcode()), (5, Rcode::SERVER_FAILURE));
    assert_eq!((flight.attempts, flight.wanted.avoid), (2, vec![TS1, TS2]));
}

#[test]
fn a_server_that_is_gone_leaves_its_flights_to_others() {
    let mut table = Table::default();
    let (one, two) = (open(&mut table, "one", "a.example"), open(&mut table, "two", "b.example"));
    let copy = table.send(one, TS1, 11, || 7).unwrap();
    table.send(two, TS1, 12, || 8).unwrap();
    table.send(two, TS2, 22, || 8).unwrap();
    let (mut leases, stuck) = table.lost(TS1);
    leases.sort_unstable();
    assert_eq!((leases, stuck), (vec![11, 12], vec![one]));
    assert!(matches!(heard(&mut table, TS1, &answered(&copy, Rcode::NO_ERROR)), Heard::Foreign(_)));
    assert!(table.any_at(TS2) && !table.any_at(TS1));
}

#[test]
fn ids_are_never_used_twice_at_once() {
    let mut table = Table::default();
    let (one, two) = (open(&mut table, "one", "a.example"), open(&mut table, "two", "b.example"));
    table.send(one, TS1, 11, || 7).unwrap();
    assert_eq!(table.send(two, TS1, 12, || 7), Err(12), "no other id is drawn");
    let mut draw = [7, 7, 9].into_iter();
    let copy = table.send(two, TS1, 12, || draw.next().unwrap()).unwrap();
    assert_eq!(Message::parse(&copy).unwrap().id, 9);
    assert_eq!(table.close(one).unwrap().into_leases().collect::<Vec<_>>(), [11]);
    assert_eq!(table.send(one, TS1, 11, || 1), Err(11), "it is over");
    assert!(table.send(two, TS1, 13, || 7).is_ok(), "its id is free again");
}

#[test]
fn each_is_told_once_when_it_is_old_enough_and_those_that_are_over_are_not() {
    let (mut table, begun) = (Table::default(), Instant::now());
    let at = |ms: u64| begun + std::time::Duration::from_millis(ms);
    let mut open_at = |ms: u64| {
        let flight = Flight::new(inquiry("a.example"), "one", RequestId::NONE, Wanted::default(), at(ms));
        let Opened::New(number) = table.open(flight) else { panic!("it is new") };
        number
    };
    let numbers: Vec<u64> = [10, 20, 30, 40].map(&mut open_at).to_vec();
    let mut next = 0;
    assert_eq!(table.older(&mut next, at(5)), (vec![], Some(at(10))));
    assert_eq!(table.older(&mut next, at(20)), (numbers[..2].to_vec(), Some(at(30))));
    assert_eq!(table.older(&mut next, at(20)), (vec![], Some(at(30))), "once");
    table.close(numbers[2]).unwrap();
    assert_eq!(table.older(&mut next, at(40)), (vec![numbers[3]], None));
    assert_eq!(table.numbers(), [numbers[0], numbers[1], numbers[3]]);
    numbers.iter().for_each(|number| drop(table.close(*number)));
    assert!(table.is_empty() && table.row.is_empty(), "nothing is kept of what is over");
    assert_eq!((open(&mut table, "two", "b.example"), table.older(&mut 0, at(0)).0), (5, vec![]));
    assert!(table.close(1).is_none() && table.close(9).is_none());
}

#[test]
fn a_query_that_is_sent_again_is_the_same_until_it_is_answered() {
    let mut table = Table::default();
    let send = |table: &mut Table, port: u16, name: &str| {
        let flight = Flight::new(inquiry(name), "one", RequestId::NONE, Wanted::default(), Instant::now());
        match table.open(flight.from(Some(([192, 0, 2, 7], port).into()))) {
            Opened::New(number) => Some(number),
            _ => None,
        }
    };
    let first = send(&mut table, 5_000, "a.example").unwrap();
    assert_eq!(send(&mut table, 5_000, "A.example"), None);
    assert!(send(&mut table, 5_001, "a.example").is_some(), "another sender");
    let other = send(&mut table, 5_000, "b.example").unwrap();
    table.close(first);
    assert_eq!(send(&mut table, 5_000, "b.example"), None, "another question under the same id is still under way");
    table.close(other);
    assert!(send(&mut table, 5_000, "b.example").is_some(), "it was answered, and is asked anew");
    assert_eq!(table.len(), 2);
}

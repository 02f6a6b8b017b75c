//! Requests that wait for a server.

use crate::kit::{Ask, FakeServer, Lab, Plan, Script, Seen, echo, eventually};
use crossbeam_channel::{Sender, unbounded};
use loadbalancer::event::Event;
use protocol::message::ErrorCode;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// Answers when the test lets it, once for each word.
fn held() -> (Script, Sender<()>) {
    let (go_on, waits) = unbounded();
    let script = move |ask: &mut Ask<'_>| {
        ask.until_told_or(&waits);
        ask.echo();
    };
    (Arc::new(script), go_on)
}

/// First come, first served, by one server of capacity 1, which never has two requests.
#[test]
fn first_come_first_served() {
    let lab = Lab::new(&[]);
    let (script, go_on) = held();
    let server = lab.planned(Plan { time: 10.0, ..Plan::new("1") }, script);
    let mut clients: Vec<_> = (0..10).map(|_| lab.client()).collect();
    let mut ids = Vec::new();
    for (n, client) in clients.iter_mut().enumerate() {
        ids.push(client.sql(&n.to_string()));
        eventually("it waits", || lab.waiting() == n);
        if n == 0 {
            server.expect_request("0");
        }
    }
    for (n, (client, id)) in clients.iter_mut().zip(ids).enumerate() {
        assert_eq!((server.active(), server.so_far()), (1, vec![]));
        go_on.send(()).unwrap();
        assert!(client.answer(id).text().starts_with(&n.to_string()));
        if n < 9 {
            server.expect_request(&(n + 1).to_string());
        }
    }
    lab.until_state("1", "idle");
}

/// A full queue refuses at once, with the time after which asking again makes sense; then there is room again.
#[test]
fn a_full_queue_refuses_at_once() {
    let lab = Lab::new(&["--max-queue", "2"]);
    let (script, go_on) = held();
    let server = lab.server("1", script);
    let mut clients: Vec<_> = (0..3).map(|_| lab.client()).collect();
    let ids: Vec<_> = clients.iter_mut().map(|client| client.sql("waits")).collect();
    server.expect_request("waits");
    eventually("two wait", || lab.waiting() == 2);
    let mut refused = lab.client();
    let begin = Instant::now();
    let failure = refused.ask("one too many").failure();
    assert_eq!((failure.code, failure.definite, failure.attempts), (ErrorCode::Busy, true, 0));
    assert!(failure.retry_after_ms.is_some() && begin.elapsed() < Duration::from_secs(5));
    (0..3).for_each(|_| go_on.send(()).unwrap());
    for (client, id) in clients.iter_mut().zip(ids) {
        client.answer(id).text();
    }
    server.follow(echo());
    refused.assert_usable();
}

/// Whoever has waited as long as the flag says is told so.
#[test]
fn waiting_has_an_end() {
    let lab = Lab::new(&["--queue-timeout", "300ms"]);
    let (script, go_on) = held();
    let server = lab.server("1", script);
    let mut first = lab.client();
    let id = first.sql("first");
    server.expect_request("first");
    let mut second = lab.client();
    let begin = Instant::now();
    assert_eq!(second.ask("second").verdict(), (ErrorCode::Busy, true));
    assert!(begin.elapsed() >= Duration::from_millis(300) && begin.elapsed() < Duration::from_secs(5));
    go_on.send(()).unwrap();
    first.answer(id).text();
    assert_eq!(server.so_far(), []);
    assert_eq!(lab.waiting(), 0);
}

/// Without any server a request is told so soon, long before the queue's time is over.
pub fn no_server_at_all() {
    let lab = Lab::new(&[]);
    let mut client = lab.client();
    let begin = Instant::now();
    assert_eq!(client.ask("SELECT").verdict(), (ErrorCode::Unavailable, true));
    let took = begin.elapsed();
    assert!(took > Duration::from_secs(2) && took < Duration::from_secs(10), "{took:?}");
}

/// All servers go while a request waits for them: it is told so soon.
pub fn all_servers_go_while_a_request_waits() {
    let lab = Lab::new(&[]);
    let (script, _go_on) = held();
    let mut server = lab.planned(Plan { time: 60.0, ..Plan::new("1") }, script);
    let mut first = lab.client();
    let first_id = first.sql("first");
    server.expect_request("first");
    let mut second = lab.client();
    let id = second.sql("second");
    // Past the first looks whether there is any server.
    let begin = Instant::now();
    eventually("some time has passed", || begin.elapsed() > Duration::from_millis(1_200));
    assert_eq!(lab.waiting(), 1);
    let begin = Instant::now();
    server.kill();
    assert_eq!(first.answer(first_id).verdict(), (ErrorCode::UnknownOutcome, false));
    // It may have got the server in the moment between its two ends.
    let (code, _) = second.answer(id).verdict();
    assert!(matches!(code, ErrorCode::Unavailable | ErrorCode::UnknownOutcome), "{code}");
    assert!(begin.elapsed() < Duration::from_secs(9), "{:?}", begin.elapsed());
}

/// A server that starts while a request waits for one serves it.
#[test]
fn a_server_joins_while_a_request_waits() {
    let lab = Lab::new(&[]);
    let mut client = lab.client();
    let id = client.sql("early");
    lab.until_event("the wait", |event| matches!(event, Event::RequestWaits { .. }));
    let server = FakeServer::start(Plan::new("1"), echo());
    lab.registry.register(server.entry()).unwrap();
    assert!(client.answer(id).text().contains("early"));
}

/// A server of capacity 3 has three requests at once, and never a fourth.
#[test]
fn capacity_is_kept() {
    let lab = Lab::new(&[]);
    let (script, go_on) = held();
    let server = lab.planned(Plan { capacity: 3, ..Plan::new("1") }, script);
    let mut clients: Vec<_> = (0..5).map(|_| lab.client()).collect();
    let ids: Vec<_> = clients.iter_mut().map(|client| client.sql("x")).collect();
    (0..3).for_each(|_| server.expect_request("x"));
    eventually("two wait", || lab.waiting() == 2);
    assert_eq!((server.active(), server.so_far()), (3, vec![]));
    (0..5).for_each(|_| go_on.send(()).unwrap());
    for (client, id) in clients.iter_mut().zip(ids) {
        client.answer(id).text();
    }
    assert_eq!(server.so_far(), [Seen::Request("x".into()), Seen::Request("x".into())]);
}

/// One request at a time goes to the strongest; the others get what it has no room for.
#[test]
fn the_strongest_first() {
    let lab = Lab::new(&[]);
    let (script, go_on) = held();
    let strong = lab.server("strong", script);
    let weak = lab.weaker("weak", echo());
    let (mut first, mut second) = (lab.client(), lab.client());
    let id = first.sql("first");
    strong.expect_request("first");
    assert!(second.ask("second").text().ends_with("from weak"));
    go_on.send(()).unwrap();
    first.answer(id).text();
    lab.until_state("strong", "idle");
    go_on.send(()).unwrap();
    assert!(first.ask("third").text().ends_with("from strong"));
    assert_eq!(weak.so_far().len(), 1);
}

//! The end of the load balancer: first what was begun is finished.

use crate::kit::{Ask, Lab, echo};
use crossbeam_channel::bounded;
use protocol::{
    deadline::{Deadline, Phase},
    limits::HEADER_TIME,
    message::ErrorCode,
};
use std::{
    net::{TcpListener, TcpStream},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

/// A request in hand is finished, and one that waits behind it too; nobody new gets in; then the port is free.
#[test]
fn what_was_begun_is_finished() {
    let mut lab = Lab::new(&[]);
    let (go_on, waits) = bounded(2);
    let server = lab.server(
        "1",
        Arc::new(move |ask: &mut Ask<'_>| {
            ask.until_told_or(&waits);
            ask.echo();
        }),
    );
    let (mut busy, mut queued, mut idle) = (lab.client(), lab.client(), lab.client());
    let id = busy.sql("in hand");
    server.expect_request("in hand");
    let queued_id = queued.sql("in the queue");
    crate::kit::eventually("it waits", || lab.waiting() == 1);
    let ending = lab.take_balancer();
    let ended = thread::spawn(move || ending.end());
    // The client that waits for nothing is sent away.
    let end = idle.connection.next(&mut Vec::new(), Phase::Idle, Some(Deadline::after(crate::kit::SOON)), HEADER_TIME);
    assert!(!matches!(end, Ok(Some(prefix)) if prefix.kind != protocol::frame::Kind::Error), "{end:?}");
    crate::kit::eventually("nobody new gets in", || TcpStream::connect(lab.address).is_err());
    assert!(!ended.is_finished());
    go_on.send(()).unwrap();
    assert!(busy.answer(id).text().contains("in hand"));
    server.expect_request("in the queue");
    go_on.send(()).unwrap();
    assert!(queued.answer(queued_id).text().contains("in the queue"));
    let begin = Instant::now();
    ended.join().unwrap();
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    assert!(TcpListener::bind(lab.address).is_ok(), "the port is free");
}

/// A second request on a connection whose first is being finished is refused with a word, or not at all answered.
#[test]
fn a_request_sent_ahead_is_refused() {
    let mut lab = Lab::new(&[]);
    let (go_on, waits) = bounded(1);
    let server = lab.server(
        "1",
        Arc::new(move |ask: &mut Ask<'_>| {
            ask.until_told_or(&waits);
            ask.echo();
        }),
    );
    let mut client = lab.client();
    let id = client.sql("in hand");
    server.expect_request("in hand");
    let ahead = client.sql("sent ahead");
    let ending = lab.take_balancer();
    let ended = thread::spawn(move || ending.end());
    crate::kit::eventually("the end has begun", || TcpStream::connect(lab.address).is_err());
    go_on.send(()).unwrap();
    assert!(client.answer(id).text().contains("in hand"));
    assert_eq!(client.answer(ahead).verdict(), (ErrorCode::Draining, true));
    ended.join().unwrap();
    assert_eq!(server.so_far(), []);
}

/// With nothing to do the end comes at once.
#[test]
fn the_end_of_an_idle_load_balancer_is_quick() {
    let mut lab = Lab::new(&[]);
    let _server = lab.server("1", echo());
    let mut clients: Vec<_> = (0..50).map(|_| lab.client()).collect();
    clients.iter_mut().for_each(crate::kit::Client::assert_usable);
    let begin = Instant::now();
    lab.take_balancer().end();
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    assert!(TcpListener::bind(lab.address).is_ok(), "the port is free although clients have not closed");
}

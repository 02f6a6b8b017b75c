//! Clients that leave, and clients that read slowly: what they cost a server.

use super::kit::{Front, Origin, Talk, eventually, hello};
use loadbalancer::{event::Event, pool::State};
use std::net::Shutdown;

fn active(front: &Front) -> u32 {
    front.pool.status()[0].active
}

#[test]
fn a_server_that_notices_is_free_again_when_its_client_has_left() {
    let origin = Origin::start("1", |talk| {
        if talk.heard.line().contains("slow") {
            // It computes until nobody wants the answer any more.
            talk.until_gone();
            return false;
        }
        hello(talk)
    });
    let front = Front::new(&[]);
    let server = front.join_with(&origin, 1);
    let caller = &mut front.caller();
    caller.say("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
    eventually("it is at work", || origin.heard().len() == 1);
    caller.stream.shutdown(Shutdown::Both).unwrap();
    front.until_event("the request is abandoned", |event| matches!(event, Event::RequestAbandoned { .. }));
    assert_eq!(front.pool.state(&server), Some(State::Up));
    assert_eq!(front.caller().get("/").text(), "hello");
}

#[test]
fn a_server_that_does_not_notice_gets_nothing_until_it_was_asked() {
    let origin = Origin::start("1", |_talk| {
        // It looks at nothing, and is not done for long.
        std::thread::park_timeout(super::kit::SOON);
        false
    });
    let front = Front::new(&[]);
    let server = front.join_with(&origin, 1);
    let caller = &mut front.caller();
    caller.say("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
    eventually("it is at work", || origin.heard().len() == 1);
    caller.stream.shutdown(Shutdown::Both).unwrap();
    front.until_event("the request is abandoned", |event| matches!(event, Event::RequestAbandoned { .. }));
    assert_eq!(front.pool.state(&server), Some(State::Doubtful));
}

#[test]
fn a_client_that_leaves_in_the_middle_of_an_answer_ends_it_for_the_server() {
    let origin = Origin::start("1", |talk| {
        talk.say("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n");
        let block = vec![b'x'; 1 << 20];
        while talk.say(&block) {}
        false
    });
    let front = Front::new(&[]);
    let server = front.join_with(&origin, 1);
    let caller = &mut front.caller();
    caller.say("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut some = [0; 100_000];
    std::io::Read::read_exact(&mut &*caller.stream, &mut some).unwrap();
    caller.stream.shutdown(Shutdown::Both).unwrap();
    eventually("the place is free", || active(&front) == 0);
    assert_eq!(front.pool.state(&server), Some(State::Up));
}

#[test]
fn a_client_that_does_not_read_a_small_answer_holds_no_server() {
    let origin = Origin::start("1", |talk: &mut Talk| {
        talk.say("HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n") && talk.say(vec![b'x'; 200_000])
    });
    let front = Front::new(&[]);
    front.join_with(&origin, 1);
    let mut lazy: Vec<_> = (0..20).map(|_| front.caller()).collect();
    for caller in &mut lazy {
        socket2::SockRef::from(&*caller.stream).set_recv_buffer_size(4_096).unwrap();
        caller.say("GET /lazy HTTP/1.1\r\nHost: a\r\n\r\n");
    }
    assert_eq!(front.caller().get("/").body.len(), 200_000);
    eventually("all were answered", || origin.heard().len() == 21 && active(&front) == 0);
}

#[test]
fn a_client_that_sends_slowly_holds_no_server() {
    let origin = Origin::start("1", hello);
    let front = Front::new(&[]);
    front.join_with(&origin, 1);
    let mut slow: Vec<_> = (0..50).map(|_| front.caller()).collect();
    for (at, caller) in slow.iter_mut().enumerate() {
        let head = "POST /slow HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhel";
        caller.say(&head[..if at % 2 == 0 { 20 } else { head.len() }]);
    }
    for _ in 0..20 {
        assert_eq!(front.caller().get("/").text(), "hello");
    }
    assert_eq!(origin.heard().len(), 20);
    assert_eq!(slow[1].say("lo").hear().text(), "hello");
}

//! Servers that hang: they take a request and say nothing more, or stop in the middle, while their control port goes
//! on answering that they are busy.

use crate::kit::{Ask, Lab, Plan, SOON, Seen, echo};
use crossbeam_channel::bounded;
use loadbalancer::event::Event;
use protocol::{frame::Kind, message::ErrorCode};
use std::{sync::Arc, time::Instant};

/// A server that neither answers nor stops gets nothing more until it says that it is idle.
pub fn a_server_that_hangs_is_left_alone_until_it_is_idle() {
    let lab = Lab::new(&[]);
    let (go_on, waits) = bounded::<()>(1);
    let hanging = lab.server(
        "hanging",
        Arc::new(move |ask: &mut Ask<'_>| {
            let _ = waits.recv_timeout(SOON);
            ask.hang_up();
        }),
    );
    let mut client = lab.client();
    let begin = Instant::now();
    let id = client.sql("INSERT");
    hanging.expect_request("INSERT");
    assert_eq!(client.answer(id).verdict(), (ErrorCode::UnknownOutcome, false));
    assert!(begin.elapsed() < SOON, "{:?}", begin.elapsed());
    assert_eq!(lab.status("hanging").unwrap().state, "doubtful");
    // Now others come, and a server that answers them.
    let weak = lab.weaker("weak", echo());
    (0..20).for_each(|_| assert!(client.fetch("file").text().ends_with("from weak")));
    drop(weak);
    assert_eq!((hanging.so_far(), hanging.active()), (vec![], 1));
    hanging.follow(echo());
    go_on.send(()).unwrap();
    lab.until_state("hanging", "idle");
    assert!(client.fetch("file").text().ends_with("from hanging"));
}

/// A file that one server does not deliver in its time comes from another; a statement that is too slow is stopped,
/// and as the server confirms that, the failure is certain.
pub fn a_server_that_is_too_slow_and_stops_when_told() {
    let lab = Lab::new(&[]);
    let stops = || -> crate::kit::Script {
        Arc::new(|ask: &mut Ask<'_>| {
            ask.until_told();
            ask.confirm();
        })
    };
    let (slow, slow_too) = (lab.server("slow", stops()), lab.server("slower", stops()));
    let mut client = lab.client();
    assert_eq!(client.ask("SELECT").verdict(), (ErrorCode::Timeout, true), "too slow for all of them is too slow");
    assert!(slow.so_far().contains(&Seen::Cancel) && slow_too.so_far().contains(&Seen::Cancel));
    let _weak = lab.weaker("weak", echo());
    assert!(client.fetch("file").text().contains("file"), "a file may come from a third");
    lab.until_state("slow", "idle");
}

/// The client's own patience is shorter than the server's time: it holds.
#[test]
fn the_clients_own_patience_holds() {
    let lab = Lab::new(&[]);
    let plan = Plan { time: 60.0, ..Plan::new("1") };
    let _server = lab.planned(
        plan,
        Arc::new(|ask: &mut Ask<'_>| {
            ask.until_told();
            ask.confirm();
        }),
    );
    let mut client = lab.client();
    let begin = Instant::now();
    let id = client.file_within("file", 300);
    assert_eq!(client.answer(id).verdict(), (ErrorCode::Timeout, true));
    assert!(begin.elapsed() < SOON, "{:?}", begin.elapsed());
}

/// A server that stops in the middle of a piece: after the time for a block the client gets an error, and may go on.
pub fn a_server_that_hangs_in_the_middle_of_a_piece() {
    let lab = Lab::new(&[]);
    let (go_on, waits) = bounded::<()>(1);
    let hangs = move |ask: &mut Ask<'_>| {
        ask.begin(1_000_000);
        ask.raw(&protocol::frame::Prefix::new(Kind::Data, ask.prefix.id, 14, 1_000_000).encode());
        ask.raw(b"{\"sha256\":\"a\"}");
        ask.raw(&[b'x'; 400_000]);
        let _ = waits.recv_timeout(SOON);
        ask.hang_up();
    };
    let server = lab.server("1", Arc::new(hangs));
    let goes_on = |ask: &mut Ask<'_>| {
        ask.begin(1_000_000);
        ask.chunk("a", &[b'x'; 1_000_000]);
        ask.end();
    };
    let other = lab.weaker("2", Arc::new(goes_on));
    let mut client = lab.client();
    let begin = Instant::now();
    let answer = client.fetch("file");
    assert_eq!(answer.kinds(), "hde", "another server went on");
    assert!(answer.frames[1].2 == vec![b'x'; 1_000_000]);
    assert!(begin.elapsed() < SOON, "{:?}", begin.elapsed());
    server.follow(echo());
    other.follow(echo());
    go_on.send(()).unwrap();
    client.assert_usable();
}

/// A server that does not take what it is sent (its process is stopped) costs no more than its time.
pub fn a_server_that_does_not_read() {
    let lab = Lab::new(&[]);
    let stopped = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let server = crate::kit::FakeServer::start_at(Plan::new("1"), echo(), stopped.local_addr().unwrap());
    lab.registry.register(server.entry()).unwrap();
    lab.until_state("1", "idle");
    let mut client = lab.client();
    let begin = Instant::now();
    let failure = client.ask(&"x".repeat(1_000_000)).failure();
    assert!(begin.elapsed() < SOON, "{:?}", begin.elapsed());
    assert!(matches!(failure.code, ErrorCode::UnknownOutcome | ErrorCode::Unavailable), "{failure:?}");
}

/// Doubt is told, and so is its end.
#[test]
fn doubt_is_an_event() {
    let lab = Lab::new(&[]);
    let _server = lab.server("1", Arc::new(|ask: &mut Ask<'_>| ask.hang_up()));
    let mut client = lab.client();
    assert_eq!(client.ask("INSERT").verdict(), (ErrorCode::UnknownOutcome, false));
    lab.until_event("doubt", |event| matches!(event, Event::ServerDoubtful { server, .. } if server == "1"));
    lab.until_event("the end of doubt", |event| matches!(event, Event::ServerUp { server } if server == "1"));
}

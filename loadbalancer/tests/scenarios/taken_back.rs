//! Requests that their clients take back, at every stage.

use crate::kit::{Ask, Lab, Script, Seen, Told, echo, eventually};
use crossbeam_channel::bounded;
use protocol::{
    frame::{Kind, Prefix},
    limits::HEADER_TIME,
    message::ErrorCode,
};
use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

/// Computes until it is told to stop, and confirms it.
fn stops_when_told() -> Script {
    Arc::new(|ask: &mut Ask<'_>| {
        if ask.until_told() == Told::Cancel {
            ask.confirm();
        }
    })
}

/// In the queue: the request is surely not carried out, and no server is told.
#[test]
fn taken_back_while_it_waits() {
    let lab = Lab::new(&[]);
    let server = lab.server("1", stops_when_told());
    let (mut first, mut second) = (lab.client(), lab.client());
    let first_id = first.sql("first");
    server.expect_request("first");
    let id = second.sql("second");
    eventually("the second waits", || lab.waiting() == 1);
    second.cancel(id);
    assert_eq!(second.answer(id).verdict(), (ErrorCode::Cancelled, true));
    assert_eq!((lab.waiting(), server.so_far()), (0, vec![]));
    first.cancel(first_id);
    assert_eq!(first.answer(first_id).verdict(), (ErrorCode::Cancelled, true));
    server.follow(echo());
    second.assert_usable();
}

/// While the server computes: it is told, and the client hears that nothing happened when the server has said so.
#[test]
fn taken_back_while_a_server_computes() {
    let lab = Lab::new(&[]);
    let server = lab.server("1", stops_when_told());
    let mut client = lab.client();
    for text in ["one", "two"] {
        let id = client.sql(text);
        server.expect_request(text);
        client.cancel(id);
        assert_eq!(server.next(), Seen::Cancel);
        assert_eq!(client.answer(id).verdict(), (ErrorCode::Cancelled, true));
    }
    server.follow(echo());
    client.assert_usable();
}

/// A server that had carried the statement out before it heard: the client must not be told that nothing happened.
#[test]
fn taken_back_too_late_for_the_server() {
    let lab = Lab::new(&[]);
    let server = lab.server(
        "1",
        Arc::new(|ask: &mut Ask<'_>| {
            ask.until_told();
            ask.echo();
        }),
    );
    let mut client = lab.client();
    let id = client.sql("INSERT");
    server.expect_request("INSERT");
    client.cancel(id);
    assert_eq!(client.answer(id).verdict(), (ErrorCode::Cancelled, false));
    server.follow(echo());
    client.assert_usable();
}

/// A server that does not confirm: the client is not kept waiting for it, and is told no certainty.
#[test]
fn taken_back_from_a_server_that_does_not_confirm() {
    let lab = Lab::new(&[]);
    let (go_on, waits) = bounded::<()>(1);
    let server = lab.server(
        "1",
        Arc::new(move |ask: &mut Ask<'_>| {
            ask.until_told();
            let _ = waits.recv_timeout(crate::kit::SOON);
            ask.hang_up();
        }),
    );
    let mut client = lab.client();
    let id = client.sql("INSERT");
    server.expect_request("INSERT");
    client.cancel(id);
    assert_eq!(client.answer(id).verdict(), (ErrorCode::Cancelled, false));
    lab.until_state("1", "doubtful");
    go_on.send(()).unwrap();
    lab.until_state("1", "idle");
    server.follow(echo());
    client.assert_usable();
}

/// In the middle of a long answer, between two frames.
#[test]
fn taken_back_in_the_middle_of_a_file() {
    let lab = Lab::new(&[]);
    let server = lab.server(
        "1",
        Arc::new(|ask: &mut Ask<'_>| {
            ask.begin(0);
            while !ask.nobody_listens() {
                if ask.connection.pending() != protocol::wire::Pending::Nothing && ask.until_told() == Told::Cancel {
                    return ask.confirm();
                }
                ask.piece(&vec![b'x'; 600_000]);
            }
        }),
    );
    let mut client = lab.client();
    let id = client.file("endless");
    (0..5).for_each(|_| drop(client.frame(id)));
    client.cancel(id);
    assert_eq!(client.answer(id).verdict(), (ErrorCode::Cancelled, true));
    assert!(server.so_far().contains(&Seen::Cancel));
    server.follow(echo());
    client.assert_usable();
}

/// Between two rows that come slowly.
#[test]
fn taken_back_between_two_rows() {
    let lab = Lab::new(&[]);
    let server = lab.server(
        "1",
        Arc::new(|ask: &mut Ask<'_>| {
            ask.begin(0);
            ask.piece(b"[1]\n");
            if ask.until_told() == Told::Cancel {
                ask.confirm();
            }
        }),
    );
    let mut client = lab.client();
    let id = client.sql("slow rows");
    client.frame(id);
    client.frame(id);
    client.cancel(id);
    assert_eq!(client.answer(id).verdict(), (ErrorCode::Cancelled, true));
    server.follow(echo());
    client.assert_usable();
}

/// A server that goes on and on without hearing: the client is answered all the same.
#[test]
fn taken_back_from_a_server_that_never_stops_talking() {
    let lab = Lab::new(&[]);
    let server = lab.server(
        "1",
        Arc::new(|ask: &mut Ask<'_>| {
            ask.begin(0);
            while !ask.nobody_listens() {
                ask.piece(b"[1]\n");
            }
        }),
    );
    let mut client = lab.client();
    let id = client.sql("endless");
    (0..100).for_each(|_| drop(client.frame(id)));
    client.cancel(id);
    assert_eq!(client.answer(id).verdict(), (ErrorCode::Cancelled, false));
    server.follow(echo());
    client.assert_usable();
}

/// A withdrawal that comes after the answer, or names nothing, is no mistake.
#[test]
fn a_late_withdrawal_is_passed_over() {
    let lab = Lab::new(&[]);
    let _server = lab.server("1", echo());
    let mut client = lab.client();
    for _ in 0..3 {
        let id = client.sql("quick");
        assert!(client.answer(id).text().contains("quick"));
        client.cancel(id);
    }
    client.assert_usable();
}

/// A withdrawal of another request leaves the one alone that runs.
#[test]
fn a_withdrawal_of_another_request() {
    let lab = Lab::new(&[]);
    let (go_on, waits) = bounded(1);
    let server = lab.server(
        "1",
        Arc::new(move |ask: &mut Ask<'_>| {
            assert_eq!(ask.until_told_or(&waits), Told::GoOn);
            ask.echo();
        }),
    );
    let mut client = lab.client();
    let other = client.next_id();
    let id = client.sql("mine");
    server.expect_request("mine");
    client.cancel(other);
    go_on.send(()).unwrap();
    assert!(client.answer(id).text().contains("mine"));
    server.follow(echo());
    client.assert_usable();
}

/// A client that sends several requests without waiting gets their answers in their order.
#[test]
fn requests_sent_ahead_are_answered_one_after_the_other() {
    let lab = Lab::new(&[]);
    let (go_on, waits) = bounded(1);
    let server = lab.server(
        "1",
        Arc::new(move |ask: &mut Ask<'_>| {
            ask.until_told_or(&waits);
            ask.echo();
        }),
    );
    let mut client = lab.client();
    let first = client.sql("first");
    server.expect_request("first");
    let rest: Vec<_> = (2..20).map(|n| client.sql(&format!("request {n}."))).collect();
    server.follow(echo());
    go_on.send(()).unwrap();
    assert!(client.answer(first).text().contains("first"));
    for (n, id) in (2..20).zip(rest) {
        assert!(client.answer(id).text().contains(&format!("request {n}.")));
    }
}

/// The beginning of a next frame, which never goes on, does not hold the answer up, nor the server.
#[test]
fn half_a_frame_does_not_hold_up_the_answer_before_it() {
    let lab = Lab::new(&[]);
    let (go_on, waits) = bounded(1);
    let server = lab.server(
        "1",
        Arc::new(move |ask: &mut Ask<'_>| {
            ask.until_told_or(&waits);
            ask.echo();
        }),
    );
    let mut client = lab.client();
    let id = client.sql("mine");
    server.expect_request("mine");
    let half = Prefix::new(Kind::Cancel, id, 2, 0).encode();
    client.connection.send_raw(&half[..10]).unwrap();
    // Long enough for the load balancer to look at the client.
    let begin = Instant::now();
    thread::spawn(move || {
        thread::sleep(Duration::from_millis(100));
        go_on.send(()).unwrap();
    });
    assert!(client.answer(id).text().contains("mine"));
    assert!(begin.elapsed() < HEADER_TIME * 4 / 5, "{:?}", begin.elapsed());
}

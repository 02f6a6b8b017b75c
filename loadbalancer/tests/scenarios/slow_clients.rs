//! Clients that take their time.

use crate::kit::{Ask, Lab, Plan, Script, Told, echo, eventually, farewell};
use loadbalancer::event::Event;
use protocol::{frame::Kind, id::RequestId, message::ErrorCode, wire::push_frame};
use std::{
    io::Write,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

/// A file of this many pieces of a mebibyte; how the requester left is noticed.
fn long_file(pieces: usize) -> Script {
    Arc::new(move |ask: &mut Ask<'_>| {
        ask.begin(0);
        let piece = vec![b'x'; 1024 * 1024];
        for _ in 0..pieces {
            if ask.connection.pending() != protocol::wire::Pending::Nothing && ask.until_told() == Told::Cancel {
                return ask.confirm();
            }
            ask.piece(&piece);
            if ask.nobody_listens() {
                return;
            }
        }
        ask.end();
    })
}

/// A byte now and then is no progress: the whole of a prefix and header has its time, not the gap between two bytes.
pub fn a_client_that_drips() {
    let lab = Lab::new(&[]);
    let _server = lab.server("1", echo());
    let mut stream = lab.raw();
    let mut bytes = Vec::new();
    push_frame(&mut bytes, Kind::Query, RequestId::NONE, &[b' '; 400], b"");
    let begin = Instant::now();
    let mut drip = stream.try_clone().unwrap();
    thread::spawn(move || {
        for byte in bytes {
            if drip.write_all(&[byte]).is_err() {
                return;
            }
            // The drip itself: this is what the client does, not what the test waits for.
            thread::sleep(Duration::from_millis(100));
        }
    });
    let failure = farewell(stream.try_clone().unwrap()).expect("a word");
    assert_eq!(failure.code, ErrorCode::Timeout, "{}", failure.message);
    assert!(begin.elapsed() < Duration::from_secs(8), "{:?}", begin.elapsed());
    let _ = stream.flush();
    lab.client().assert_usable();
}

/// A client that does not read a long answer is cut off, and its server is told to stop and becomes free.
pub fn a_client_that_never_reads() {
    let lab = Lab::new(&[]);
    let server = lab.server("1", long_file(64));
    let mut client = lab.client();
    client.file("long");
    server.expect_request("long");
    lab.until_event("the end of the client", |event| matches!(event, Event::ClientFailed { .. }));
    // It was told, or has itself given up somebody who took nothing from it for so long.
    eventually("the server has stopped", || server.active() == 0);
    lab.until_state("1", "idle");
    server.follow(echo());
    lab.client().assert_usable();
}

/// A short answer frees its server although its client does not read at all.
#[test]
fn a_short_answer_frees_its_server_at_once() {
    let lab = Lab::new(&[]);
    let _server = lab.planned(Plan::new("1"), Arc::new(|ask: &mut Ask<'_>| ask.answer(&[b'x'; 200 * 1024])));
    let mut clients: Vec<_> = (0..20).map(|_| lab.client()).collect();
    let ids: Vec<_> = clients.iter_mut().map(|client| client.sql("short")).collect();
    for _ in 0..20 {
        lab.until_event("the server's last word", |event| matches!(event, Event::AnswerTaken { .. }));
    }
    lab.until_state("1", "idle");
    for (client, id) in clients.iter_mut().zip(ids) {
        assert_eq!(client.answer(id).text().len(), 200 * 1024);
    }
}

/// A client that reads slowly, but fast enough, gets all of a long answer.
#[test]
fn a_client_that_reads_slowly_gets_all() {
    let lab = Lab::new(&[]);
    let _server = lab.server("1", long_file(8));
    let mut client = lab.client();
    let id = client.file("long");
    assert_eq!(client.frame(id).0, Kind::Head);
    let mut bytes = 0;
    loop {
        // What this client does between two frames.
        thread::sleep(Duration::from_millis(50));
        match client.frame(id) {
            (Kind::Data, _, body) => bytes += body.len(),
            (kind, ..) => break assert_eq!(kind, Kind::End),
        }
    }
    assert_eq!(bytes, 8 * 1024 * 1024);
}

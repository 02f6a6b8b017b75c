//! Servers that do not keep to the protocol: the load balancer reads them as suspiciously as it reads clients.

use crate::kit::{Ask, FakeServer, Lab, Plan, SOON, Script, echo};
use loadbalancer::event::Event;
use protocol::{
    frame::{Kind, PREFIX_LEN, Prefix},
    id::RequestId,
    message::ErrorCode,
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// Says these bytes instead of an answer; the first sixteen behind the eighth are the tag of the request.
fn says(make: impl Fn(RequestId) -> Vec<u8> + Send + Sync + 'static) -> Script {
    Arc::new(move |ask: &mut Ask<'_>| {
        let bytes = make(ask.prefix.id);
        ask.raw(&bytes);
        // It stays on the line: what it said must be enough.
        ask.until_told();
    })
}

fn strong_and_weak(script: Script) -> (Lab, FakeServer, FakeServer) {
    // Who lies again and again would be left out: here it is to be asked each time.
    let lab = Lab::new(&["--eject", "off"]);
    let strong = lab.server("strong", script);
    let weak = lab.weaker("weak", echo());
    (lab, strong, weak)
}

/// Whatever is said: a file comes from another server, of a statement nobody knows, at once; the connection stays.
fn are_losses(sayings: Vec<(String, Script)>) {
    let (lab, strong, _weak) = strong_and_weak(echo());
    let mut client = lab.client();
    let (begin, count) = (Instant::now(), sayings.len() as u32);
    for (what, script) in sayings {
        strong.follow(script);
        assert!(client.fetch("file").text().ends_with("from weak"), "{what}");
        lab.until_state("strong", "idle");
        assert_eq!(client.ask("INSERT").verdict(), (ErrorCode::UnknownOutcome, false), "{what}");
        lab.until_state("strong", "idle");
    }
    // In all: one of them may have met a busy machine.
    let most = Duration::from_secs(4) * count;
    assert!(begin.elapsed() < most, "{:?} for {count} sayings, as if nothing was said", begin.elapsed());
    lab.assert_no_panic();
}

fn prefix(kind: Kind, id: RequestId) -> [u8; PREFIX_LEN] {
    Prefix::new(kind, id, 2, 0).encode()
}

/// Says the prefix of a good frame with one byte changed.
fn says_changed(at: usize, byte: u8) -> Script {
    says(move |id| {
        let mut bytes = prefix(Kind::Head, id);
        bytes[at] = byte;
        bytes.to_vec()
    })
}

/// Another protocol, another version, lengths above the limits.
#[test]
fn bytes_that_are_no_frame() {
    are_losses(vec![
        ("HTTP".into(), says(|_| b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec())),
        ("version 9".into(), says_changed(4, 9)),
        ("an unknown kind".into(), says_changed(5, b'?')),
        ("a header of 2 GiB".into(), says_changed(24, 0x7f)),
        ("a body of 2 GiB".into(), says_changed(28, 0x7f)),
    ]);
}

/// Questions, answers to other questions, a beginning that is an end, an error that cannot be read.
#[test]
fn frames_that_cannot_begin_an_answer() {
    let say = |kind: Kind, header: &'static [u8; 2]| says(move |id| [&prefix(kind, id)[..], header].concat());
    let kinds = [Kind::Query, Kind::Cancel, Kind::Identity, Kind::ServerList, Kind::Data, Kind::End, Kind::Pong];
    let mut sayings: Vec<_> = kinds.into_iter().map(|kind| (format!("{kind:?}"), say(kind, b"{}"))).collect();
    sayings.push(("an error without words".into(), say(Kind::Error, b"[]")));
    are_losses(sayings);
}

/// A second beginning in the middle of an answer.
#[test]
fn an_answer_that_begins_twice() {
    let (lab, _strong, _weak) = strong_and_weak(Arc::new(|ask: &mut Ask<'_>| {
        ask.begin(0);
        ask.begin(0);
        ask.until_told();
    }));
    assert!(lab.client().fetch("file").text().ends_with("from weak"));
}

/// Frames under other names are dropped and reported, and the right answer is delivered.
#[test]
fn answers_to_something_else_are_never_delivered() {
    let lab = Lab::new(&[]);
    let _server = lab.server(
        "1",
        Arc::new(|ask: &mut Ask<'_>| {
            let stranger = RequestId { client: 1, sequence: 2 };
            let other = RequestId { sequence: ask.prefix.id.sequence.wrapping_add(1), ..ask.prefix.id };
            let head = serde_json::json!({"type": "rows", "columns": ["wrong"]});
            for id in [stranger, other, RequestId::NONE] {
                ask.frame_to(id, Kind::Head, &head, &[]);
                ask.frame_to(id, Kind::Data, &serde_json::json!({"rows": 1}), b"wrong");
            }
            ask.begin(0);
            ask.frame_to(stranger, Kind::Data, &serde_json::json!({"rows": 1}), &[b'w'; 300_000]);
            ask.piece(b"right");
            ask.frame_to(stranger, Kind::End, &serde_json::json!({"server": "wrong"}), &[]);
            ask.frame_to(stranger, Kind::Error, &serde_json::json!({}), &[]);
            ask.end();
        }),
    );
    let mut client = lab.client();
    for _ in 0..3 {
        let answer = client.ask("SELECT");
        assert_eq!((answer.kinds().as_str(), answer.text().as_str()), ("hde", "right"));
        for _ in 0..9 {
            lab.until_event("the report", |event| matches!(event, Event::ForeignAnswer { .. }));
        }
    }
}

/// An answer that comes after the request was given up waits on a connection that is kept: it is not taken for the
/// answer to the next request.
#[test]
fn a_late_answer_is_not_taken_for_the_next() {
    let lab = Lab::new(&[]);
    let server = lab.server(
        "1",
        Arc::new(|ask: &mut Ask<'_>| {
            ask.until_told();
            ask.confirm();
            // What it had begun to say before it heard.
            ask.answer(b"late");
        }),
    );
    let mut client = lab.client();
    for _ in 0..3 {
        let id = client.sql("given up");
        server.expect_request("given up");
        client.cancel(id);
        assert_eq!(client.answer(id).verdict(), (ErrorCode::Cancelled, true));
        server.so_far();
    }
    server.follow(echo());
    client.assert_usable();
}

/// A server that sends nothing but frames of other requests has not answered: its time runs out.
pub fn an_endless_stream_of_other_answers() {
    let (lab, _strong, _weak) = strong_and_weak(Arc::new(|ask: &mut Ask<'_>| {
        let mut many = Vec::new();
        for sequence in 0..200 {
            let id = RequestId { client: 1, sequence };
            protocol::wire::push_frame(&mut many, Kind::Data, id, b"{}", b"x");
        }
        while !ask.nobody_listens() {
            ask.raw(&many);
        }
    }));
    let begin = Instant::now();
    assert!(lab.client().fetch("file").text().ends_with("from weak"));
    assert!(begin.elapsed() < SOON, "{:?}", begin.elapsed());
}

/// Someone else answers at the service's port: nothing is believed of what the handshake says of its strength.
#[test]
fn a_strength_beyond_all_measure_is_not_believed() {
    let lab = Lab::new(&[]);
    for (id, time) in [("a", 1e300), ("b", -1.0), ("c", 1e18)] {
        let server = FakeServer::start(Plan { time, ..Plan::new(id) }, echo());
        lab.registry.register(server.entry()).unwrap();
        lab.until_event(
            "the refusal",
            |event| matches!(event, Event::ServerNotBelieved { server, .. } if server == id),
        );
        assert_eq!(lab.status(id), None);
    }
}

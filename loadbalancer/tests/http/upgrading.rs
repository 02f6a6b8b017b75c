//! A WebSocket passes as a tunnel, once the server has agreed; nothing else does.

use super::kit::{Front, Origin, eventually};
use loadbalancer::event::Event;
use std::io::{Read, Write};

const ASK: &str = "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\
                   Sec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13\r\n\r\n";

/// Agrees, says something at once, and says everything again that is said to it.
fn chat() -> Origin {
    Origin::start("1", |talk| {
        assert_eq!((talk.heard.all("upgrade"), talk.heard.all("connection")), (vec!["websocket"], vec!["Upgrade"]));
        talk.say("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nwelcome");
        let mut said = [0; 1_024];
        let mut stream = talk.stream.try_clone().unwrap();
        while let Ok(n @ 1..) = stream.read(&mut said) {
            stream.write_all(&said[..n]).unwrap();
        }
        false
    })
}

fn hear(stream: &mut impl Read, text: &str) {
    let mut heard = vec![0; text.len()];
    stream.read_exact(&mut heard).unwrap();
    assert_eq!(String::from_utf8_lossy(&heard), text);
}

#[test]
fn bytes_pass_both_ways_after_101() {
    let origin = chat();
    let front = Front::before(&origin, &[]);
    let caller = &mut front.caller();
    caller.say(ASK);
    let (mut head, stream) = (Vec::new(), &mut &*caller.stream);
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    assert!(head.starts_with("HTTP/1.1 101 Switching Protocols\r\n") && head.contains("Upgrade: websocket"), "{head}");
    hear(stream, "welcome");
    for text in ["\x01hello", "GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n", "bye"] {
        stream.write_all(text.as_bytes()).unwrap();
        hear(stream, text);
    }
    caller.end().assert_closed();
    front.until_event("the end of the tunnel", |event| matches!(event, Event::ConnectionEnded { .. }));
    eventually("the place is free", || front.pool.status()[0].active == 0);
    assert_eq!(origin.heard().len(), 1);
}

#[test]
fn a_server_that_does_not_agree_answers_and_all_stays_http() {
    let origin = Origin::start("1", super::kit::hello);
    let front = Front::before(&origin, &[]);
    let mut caller = front.caller();
    assert_eq!(caller.say(ASK).hear().text(), "hello");
    assert_eq!(caller.get("/next").text(), "hello");
    assert_eq!(origin.heard().len(), 2);
}

#[test]
fn no_other_protocol_is_switched_to() {
    let origin = Origin::start("1", super::kit::hello);
    let front = Front::before(&origin, &[]);
    for upgrade in ["h2c", "TLS/1.3", "foo"] {
        let fields =
            format!("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: {upgrade}\r\nHTTP2-Settings: AAMAAABk\r\n");
        let said = front.caller().say(format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n")).hear();
        assert_eq!(said.text(), "hello");
    }
    for heard in origin.heard() {
        assert!(heard.all("upgrade").is_empty() && heard.all("http2-settings").is_empty(), "{}", heard.head);
    }
}

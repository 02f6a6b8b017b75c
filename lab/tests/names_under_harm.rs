//! What strangers send to whoever speaks DNS, over real sockets: the name server, and the load balancer in front of it. Whatever
//! it is, a sound question right behind it is answered, nothing is said that must not be said, no datagram gets an answer more
//! than twice its length, and memory does not grow.

#![allow(clippy::unwrap_used, reason = "a test that unwraps in vain has failed")]

mod kit;
#[allow(dead_code, reason = "each of its users takes what it needs")]
#[path = "../../protocol/src/dns/tests/classes.rs"]
mod classes;

use classes::{Class, Due, classes};
use kit::{LONG, Process, World, address_in};
use protocol::{
    dns::{Message, Question, query, record_type},
    show,
};
use std::{
    collections::HashMap,
    fs,
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpStream, UdpSocket},
};

/// The id of the sound question behind each odd one.
const SOUND: u16 = 0xfffe;
/// How many changed datagrams each of them gets, beside as many as a tenth of that to warm up.
const CHANGED: u16 = 20_000;
/// How much a process may grow under them, in bytes: each of 64 threads touches its buffers when its first datagrams come, which
/// may be after the first look. A kilobyte lost for each datagram would be more.
const MOST_GROWTH: u64 = 16 * 1024 * 1024;

/// A name server, a load balancer in front of it, and where each of them listens.
struct Two {
    named: [(&'static str, SocketAddr, Process); 2],
    _world: World,
}

fn two() -> Two {
    let world = World::new();
    fs::write(world.path("table"), "sound.example 192.0.2.1 A\n").unwrap();
    let args = ["server", "TS1", "0", "0", "--files", "files", "--service", "names", "--table", "table"];
    let mut server = world.spawn(&[&args[..], &["--unknown", "nxdomain"]].concat());
    let at = address_in(&server.wait_for("Server is listening on"));
    // A busy machine must not look like a dead server.
    let patience = ["--dns-timeout", "50s", "--dns-try", "50s", "--check", "timeout 20s"];
    let (mut balancer, _) = world.balancer(&[&["--quiet", "--dns", "127.0.0.1:0"][..], &patience].concat());
    let front = address_in(&balancer.wait_for("Frontend dns is listening on"));
    // Until it knows the server there is no answer.
    let asker = asker(front);
    kit::eventually("the load balancer has the server", || {
        asker.send(&sound()).unwrap();
        Message::parse(&hear(&asker)).unwrap().rcode().to_string() == "NOERROR"
    });
    Two { named: [("the name server", at, server), ("the load balancer", front, balancer)], _world: world }
}

fn sound() -> Vec<u8> {
    query(SOUND, &Question::new("sound.example".parse().unwrap(), record_type::A), None)
}

fn asker(at: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(at).unwrap();
    socket.set_read_timeout(Some(LONG)).unwrap();
    socket
}

fn hear(asker: &UdpSocket) -> Vec<u8> {
    let mut buffer = [0; 65_535];
    let length = asker.recv(&mut buffer).expect("an answer");
    buffer[..length].to_vec()
}

/// What was said before the answer to the sound question; nothing comes after it, where answers keep their order or are
/// waited for one by one.
fn until_sound(asker: &UdpSocket) -> Vec<Vec<u8>> {
    asker.send(&sound()).unwrap();
    let said: Vec<Vec<u8>> =
        std::iter::repeat_with(|| hear(asker)).take_while(|said| said[..2] != SOUND.to_be_bytes()).collect();
    said.iter().for_each(|said| assert!(said[2] & 0x80 != 0, "{said:x?}"));
    said
}

fn check(class: &Class, said: &[u8], who: &str) {
    let read = Message::parse(said).unwrap();
    let name = class.name;
    assert_eq!((&said[..2], read.flags.is_response()), (&class.bytes[..2], true), "{who}: {name}");
    match class.due {
        Due::Error(code) => assert_eq!(read.rcode().0, code, "{who}: {name}"),
        Due::Answer => assert!([0, 3].contains(&read.rcode().0), "{who}: {name}: {}", read.rcode()),
        Due::Nothing => panic!("{who}: {name} was answered: {said:x?}"),
    }
}

#[test]
fn each_class_of_odd_datagrams_gets_what_is_due_and_the_next_question_its_answer() {
    let two = two();
    for (who, at, _) in &two.named {
        for class in classes() {
            let asker = asker(*at);
            asker.send(&class.bytes).unwrap();
            if class.due != Due::Nothing {
                let said = hear(&asker);
                assert!(said.len() <= 2 * class.bytes.len(), "{who}: {}: {} bytes", class.name, said.len());
                check(&class, &said, who);
            }
            assert!(until_sound(&asker).is_empty(), "{who}: {}: something more was said", class.name);
        }
    }
}

fn connect(at: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(at).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    stream
}

fn framed(message: &[u8]) -> Vec<u8> {
    [&u16::try_from(message.len()).unwrap().to_be_bytes(), message].concat()
}

/// The next message on a connection; `None` if it has ended.
fn next(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut length = [0; 2];
    stream.read_exact(&mut length).ok()?;
    let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut message).ok()?;
    Some(message)
}

#[test]
fn each_class_of_odd_messages_over_tcp_gets_what_is_due() {
    let two = two();
    for (who, at, _) in &two.named {
        for class in classes() {
            let mut stream = connect(*at);
            stream.write_all(&framed(&class.bytes)).unwrap();
            // What is no query may end the connection: then there is nobody to take the next one.
            let _ended = stream.write_all(&framed(&sound()));
            let mut odd = Vec::new();
            let sound = loop {
                match next(&mut stream) {
                    Some(said) if said[..2] == SOUND.to_be_bytes() => break true,
                    Some(said) => odd.push(said),
                    None => break false,
                }
            };
            assert_eq!(odd.len(), usize::from(class.due != Due::Nothing), "{who}: {}", class.name);
            odd.iter().for_each(|said| check(&class, said, who));
            assert!(sound || class.due == Due::Nothing, "{who}: {}: the next one", class.name);
            assert_eq!(until_sound(&asker(*at)).len(), 0, "{who}: {}", class.name);
        }
    }
}

#[test]
fn lengths_that_lie_halves_and_drops_end_their_own_connection_alone() {
    let two = two();
    for (who, at, _) in &two.named {
        let whole = framed(&sound());
        let ways: [(&str, Vec<u8>); 7] = [
            ("a length of zero", vec![0, 0]),
            ("half a length", vec![0]),
            ("a length longer than what comes", [&[0xff, 0xff], &whole[2..]].concat()),
            ("a length shorter than the message", [&[0, 12], &whole[2..]].concat()),
            ("half a message", whole[..whole.len() / 2].to_vec()),
            ("text", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec()),
            ("the longest message, all zeros", framed(&vec![0; 65_535])),
        ];
        let open: Vec<TcpStream> = ways
            .iter()
            .map(|(_, bytes)| {
                let mut stream = connect(*at);
                stream.write_all(bytes).unwrap();
                stream
            })
            .collect();
        // While they are open, and after they have ended.
        let asked = |what: &str| {
            let mut stream = connect(*at);
            stream.write_all(&whole).unwrap();
            assert_eq!(
                next(&mut stream).map(|said| said[..2].to_vec()),
                Some(SOUND.to_be_bytes().to_vec()),
                "{who}: {what}"
            );
        };
        asked("while others are odd");
        for (mut stream, (way, _)) in open.into_iter().zip(ways) {
            let _ended = stream.shutdown(Shutdown::Write);
            while next(&mut stream).is_some() {}
            asked(way);
        }
    }
}

#[test]
fn byte_by_byte_and_many_at_once_are_answered_in_full() {
    let two = two();
    for (who, at, _) in &two.named {
        let mut stream = connect(*at);
        stream.set_nodelay(true).unwrap();
        for byte in framed(&sound()) {
            stream.write_all(&[byte]).unwrap();
        }
        assert!(next(&mut stream).is_some(), "{who}");
        stream.write_all(&framed(&sound()).repeat(100)).unwrap();
        for n in 0..100 {
            assert!(next(&mut stream).is_some(), "{who}: answer {n}");
        }
    }
}

/// Sends so many changed messages, a hundred at a time, each under an id of its own; what is said to each is held to its length.
fn send_changed(at: SocketAddr, count: u16, draw: &mut fastrand::Rng) -> usize {
    let beginnings: Vec<Vec<u8>> = classes().into_iter().map(|class| class.bytes).filter(|b| b.len() < 512).collect();
    let (asker, mut sent, mut answered) = (asker(at), HashMap::new(), 0);
    for id in 0..count {
        let mut bytes = beginnings[draw.usize(..beginnings.len())].clone();
        for _ in 0..draw.usize(1..4) {
            match draw.usize(..bytes.len().max(1)) {
                at if at < bytes.len() && draw.bool() => bytes[at] = draw.u8(..),
                at if draw.bool() => bytes.truncate(at.max(2)),
                at => bytes.insert(at.min(bytes.len()), draw.u8(..)),
            }
        }
        if bytes.len() >= 2 {
            bytes[..2].copy_from_slice(&id.to_be_bytes());
            sent.insert(id, bytes.clone());
        }
        asker.send(&bytes).unwrap();
        if id % 100 == 99 {
            for said in until_sound(&asker) {
                let question = &sent[&u16::from_be_bytes([said[0], said[1]])];
                assert!(question[2] & 0x80 == 0, "an answer was answered: {question:x?}");
                assert!(said.len() <= 2 * question.len(), "{said:x?} to {question:x?}");
                answered += 1;
            }
        }
    }
    answered
}

#[test]
#[cfg(target_os = "linux")]
fn twenty_thousand_changed_datagrams_leave_memory_as_it_was() {
    let seed = fastrand::u64(..);
    show!("seed {seed}");
    let mut draw = fastrand::Rng::with_seed(seed);
    let two = two();
    for (who, at, process) in &two.named {
        send_changed(*at, CHANGED / 10, &mut draw);
        let before = kit::resident(process.pid());
        let answered = send_changed(*at, CHANGED, &mut draw);
        let after = kit::resident(process.pid());
        show!(
            "{who}: {answered} of {CHANGED} answered; resident {} KiB before, {} KiB after",
            before / 1_024,
            after / 1_024
        );
        assert!(answered > usize::from(CHANGED) / 10, "{who}: {answered}");
        assert!(after < before + MOST_GROWTH, "{who} grew from {before} to {after} bytes");
    }
}

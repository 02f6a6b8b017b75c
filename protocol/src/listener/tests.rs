//! A crew under real connections.

use super::*;
use crossbeam_channel::{Receiver, Sender, unbounded};
use std::{
    io::{Read, Write},
    time::Instant,
};

const LONG: Duration = Duration::from_secs(20);

/// Echoes lines of one byte; `!` panics, `h` holds on until the test lets go.
struct Echo {
    told: Sender<String>,
    hold: Receiver<()>,
}

impl Handler for Echo {
    fn serve(&self, visit: &Visit) {
        let mut byte = [0];
        while visit.wait_for_request(|| (&**visit.stream()).read(&mut byte)).is_ok_and(|n| n == 1) {
            match byte[0] {
                b'!' => panic!("asked to"),
                b'h' => {
                    let _ = self.told.send("holding".into());
                    let _ = self.hold.recv_timeout(LONG);
                }
                _ => {}
            }
            let _ = (&**visit.stream()).write_all(&byte);
            if visit.draining() {
                break;
            }
        }
    }

    fn refuse(&self, mut stream: &TcpStream, why: Refusal) {
        let _ = stream.write_all(format!("{why:?}").as_bytes());
    }

    fn panicked(&self, message: &str) {
        let _ = self.told.send(format!("panic: {message}"));
    }
}

fn crew(max_connections: usize) -> (Crew, Receiver<String>, Sender<()>) {
    let (told, tells) = unbounded();
    let (release, hold) = unbounded();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let options = CrewOptions { name: "echo", max_connections };
    (Crew::start(listener, options, Arc::new(Echo { told, hold })).unwrap(), tells, release)
}

fn connect(crew: &Crew) -> TcpStream {
    let stream = TcpStream::connect(crew.address()).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    stream
}

fn echo(stream: &mut TcpStream, byte: u8) -> Vec<u8> {
    stream.write_all(&[byte]).unwrap();
    let mut got = [0];
    let n = stream.read(&mut got).unwrap();
    got[..n].to_vec()
}

#[test]
fn connections_are_served_side_by_side() {
    let (crew, _tells, _release) = crew(100);
    let mut streams: Vec<_> = (0..50).map(|_| connect(&crew)).collect();
    for (n, stream) in streams.iter_mut().enumerate() {
        let byte = b'A' + (n % 26) as u8;
        assert_eq!(echo(stream, byte), [byte]);
    }
    assert_eq!(crew.connections(), 50);
}

#[test]
fn a_panic_ends_its_own_connection_alone() {
    let (crew, tells, _release) = crew(10);
    let mut other = connect(&crew);
    assert_eq!(echo(&mut other, b'a'), b"a");
    let mut unlucky = connect(&crew);
    assert_eq!(echo(&mut unlucky, b'!'), b"");
    assert_eq!(tells.recv_timeout(LONG).unwrap(), "panic: asked to");
    assert_eq!(echo(&mut other, b'b'), b"b");
    assert_eq!(echo(&mut connect(&crew), b'c'), b"c");
}

#[test]
fn one_too_many_is_told_so_at_once_and_room_is_found_again() {
    let (crew, _tells, _release) = crew(2);
    let mut first = connect(&crew);
    let mut second = connect(&crew);
    assert_eq!((echo(&mut first, b'1'), echo(&mut second, b'2')), (vec![b'1'], vec![b'2']));
    let mut words = String::new();
    connect(&crew).read_to_string(&mut words).unwrap();
    assert_eq!(words, "TooManyConnections");
    drop(first);
    // The crew notices the end a moment later: ask until it has, with a deadline.
    let until = Instant::now() + LONG;
    while Instant::now() < until && crew.connections() > 1 {
        thread::yield_now();
    }
    assert_eq!(echo(&mut connect(&crew), b'3'), b"3");
}

#[test]
fn a_drain_ends_the_waiting_and_lets_the_busy_finish() {
    let (crew, tells, release) = crew(10);
    let mut waiting = connect(&crew);
    assert_eq!(echo(&mut waiting, b'w'), b"w");
    let mut busy = connect(&crew);
    busy.write_all(b"h").unwrap();
    assert_eq!(tells.recv_timeout(LONG).unwrap(), "holding");
    crew.drain();
    let mut byte = [0];
    assert_eq!(waiting.read(&mut byte).unwrap(), 0, "ended");
    assert!(!crew.join(Duration::from_millis(20)), "one still has a request in hand");
    let until = Instant::now() + LONG;
    while Instant::now() < until && TcpStream::connect(crew.address()).is_ok() {
        thread::yield_now();
    }
    assert!(TcpStream::connect(crew.address()).is_err(), "whoever comes now is refused, not kept waiting");
    release.send(()).unwrap();
    assert_eq!((busy.read(&mut byte).unwrap(), byte), (1, *b"h"));
    assert!(crew.join(LONG));
    assert_eq!(crew.threads(), 0);
}

#[test]
fn an_abort_ends_all_and_frees_the_port() {
    let (crew, _tells, _release) = crew(10);
    let mut stream = connect(&crew);
    assert_eq!(echo(&mut stream, b'x'), b"x");
    crew.abort();
    assert!(crew.join(LONG));
    let address = crew.address();
    drop(crew);
    drop(stream);
    assert!(TcpListener::bind(address).is_ok());
}

#[test]
fn threads_end_when_there_is_nothing_to_do() {
    let (crew, _tells, _release) = crew(200);
    let mut streams: Vec<_> = (0..2 * RESTING).map(|_| connect(&crew)).collect();
    streams.iter_mut().for_each(|stream| assert_eq!(echo(stream, b'x'), b"x"));
    assert!(crew.threads() > 2 * RESTING, "one a connection and one in accept");
    drop(streams);
    let until = Instant::now() + LONG;
    while Instant::now() < until && crew.threads() > RESTING {
        thread::yield_now();
    }
    assert!(crew.threads() <= RESTING, "{} threads", crew.threads());
}

//! The pump between two real sockets.

use super::pump::{Flow, Over, pump};
use std::{
    io::{ErrorKind, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    thread::{self, JoinHandle},
    time::Duration,
};

const LONG: Duration = Duration::from_secs(20);

fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let far = listener.accept().unwrap().0;
    [&near, &far].into_iter().for_each(|stream| stream.set_read_timeout(Some(LONG)).unwrap());
    (near, far)
}

/// A client and a server with a pump between them.
fn pumped(idle: Duration) -> (TcpStream, TcpStream, JoinHandle<(Flow, Over)>) {
    let (client, inner_client) = pair();
    let (server, inner_server) = pair();
    let pump = thread::spawn(move || pump(&inner_client, &inner_server, idle, &|| false));
    (client, server, pump)
}

fn read_all(mut stream: &TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    stream.read_to_end(&mut all).unwrap();
    all
}

#[test]
fn two_in_a_row_and_answers_in_between() {
    let (mut client, mut server, pump) = pumped(LONG);
    let mut byte = [0; 3];
    client.write_all(b"one").unwrap();
    client.write_all(b"two").unwrap();
    for said in [b"one", b"two"] {
        server.read_exact(&mut byte).unwrap();
        assert_eq!(&byte, said);
    }
    server.write_all(b"six").unwrap();
    client.read_exact(&mut byte).unwrap();
    assert_eq!(&byte, b"six");
    drop((client, server));
    let (flow, over) = pump.join().unwrap();
    assert_eq!(flow, Flow { up: 6, down: 3 });
    assert!(matches!(over, Over::Done), "{over:?}");
}

#[test]
fn a_client_that_has_ended_its_half_still_gets_its_answer() {
    let (mut client, mut server, pump) = pumped(LONG);
    client.write_all(b"question").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_all(&server), b"question");
    server.write_all(b"answer").unwrap();
    drop(server);
    assert_eq!(read_all(&client), b"answer");
    assert!(matches!(pump.join().unwrap().1, Over::Done));
}

#[test]
fn large_flows_cross_in_both_directions_whole() {
    let bytes = |seed: u64| -> Vec<u8> {
        let mut random = fastrand::Rng::with_seed(seed);
        (0..20_000_000_u32 / 8).flat_map(|_| random.u64(..).to_le_bytes()).collect()
    };
    // Before the pump begins to wait: on a busy machine they take as long as it does.
    let (up, down) = (bytes(1), bytes(2));
    let (client, server, pump) = pumped(LONG);
    let ends = [(client, up.clone(), down.clone()), (server, down, up)].map(|(stream, says, hears)| {
        thread::spawn(move || {
            thread::scope(|scope| {
                scope.spawn(|| {
                    (&stream).write_all(&says).unwrap();
                    stream.shutdown(Shutdown::Write).unwrap();
                });
                assert!(read_all(&stream) == hears, "other bytes came than were sent");
            });
        })
    });
    ends.into_iter().for_each(|end| end.join().unwrap());
    let (flow, over) = pump.join().unwrap();
    assert_eq!(flow, Flow { up: 20_000_000, down: 20_000_000 });
    assert!(matches!(over, Over::Done), "{over:?}");
}

#[test]
fn a_reset_is_passed_on_as_a_reset() {
    let (client, mut server, pump) = pumped(LONG);
    server.write_all(b"half an ans").unwrap();
    (&client).read_exact(&mut [0; 11]).unwrap();
    socket2::SockRef::from(&server).set_linger(Some(Duration::ZERO)).unwrap();
    drop(server);
    let error = (&client).read(&mut [0; 10]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert!(matches!(pump.join().unwrap().1, Over::Server(_)));
}

#[test]
fn an_end_that_we_made_ourselves_is_no_end_of_the_server() {
    let ((client, inner_client), (_server, inner_server)) = (pair(), pair());
    inner_server.shutdown(Shutdown::Both).unwrap();
    let (_, over) = pump(&inner_client, &inner_server, LONG, &|| true);
    assert!(matches!(over, Over::Server(_)), "{over:?}");
    drop(inner_client);
    assert_eq!((&client).read(&mut [0; 10]).unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[test]
fn an_early_answer_reaches_a_client_that_is_still_asking() {
    let ((mut client, inner_client), (mut server, inner_server)) = (pair(), pair());
    // Both have said more than is moved at once before anybody listens, and the server is gone.
    let (question, answer) = (vec![1; 40_000], vec![2; 40_000]);
    client.write_all(&question).unwrap();
    server.write_all(&answer).unwrap();
    drop(server);
    let pump = thread::spawn(move || pump(&inner_client, &inner_server, LONG, &|| false));
    let mut heard = vec![0; answer.len()];
    client.read_exact(&mut heard).unwrap();
    assert!(heard == answer, "another answer came than was given");
    let (flow, over) = pump.join().unwrap();
    assert_eq!(flow.down, 40_000);
    assert!(matches!(over, Over::Done), "{over:?}");
}

#[test]
fn silence_ends_both() {
    let (client, server, pump) = pumped(Duration::from_millis(30));
    assert!(matches!(pump.join().unwrap().1, Over::Idle));
    assert_eq!((read_all(&client), read_all(&server)), (Vec::new(), Vec::new()));
}

#[test]
fn a_reader_that_does_not_read_slows_its_writer_down() {
    let (client, server, pump) = pumped(Duration::from_millis(300));
    client.set_nonblocking(true).unwrap();
    let block = vec![7; 1024 * 1024];
    let mut sent = 0;
    // Buffers of the kernel and the pipe take some megabytes; then nothing moves, and the idle time ends it.
    while !pump.is_finished() {
        match (&client).write(&block) {
            Ok(count) => sent += count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => thread::park_timeout(Duration::from_millis(5)),
            Err(_) => break,
        }
    }
    assert!(matches!(pump.join().unwrap().1, Over::Idle));
    assert!(sent < 64 * 1024 * 1024, "{sent} bytes were swallowed");
    drop(server);
}

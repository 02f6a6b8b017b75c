//! Any program behind the TCP frontend: what goes in comes out, whole, in both directions, whoever breaks.
#![allow(clippy::unwrap_used, reason = "a test that unwraps in vain has failed")]

mod kit;

use clap::ValueEnum as _;
use kit::{Echo, LONG, Lab, Silent, read_all, send_split};
use loadbalancer::{event::Event, policy::Name};
use std::{
    io::{ErrorKind, Read, Write},
    net::{Shutdown, TcpStream},
    thread,
    time::{Duration, Instant},
};

#[test]
fn requests_of_every_length_come_back_whole() {
    let echo = Echo::start();
    let lab = Lab::new(&[], &[echo.address]);
    for len in [1, 1_023, 1_024, 1_025, 2_048, 10_000_000] {
        let bytes: Vec<u8> = (0..len).map(|at: u32| (at % 251) as u8).collect();
        let client = lab.connect();
        let reader = client.try_clone().unwrap();
        thread::scope(|scope| {
            scope.spawn(|| {
                (&client).write_all(&bytes).unwrap();
                client.shutdown(Shutdown::Write).unwrap();
            });
            assert!(read_all(&reader) == bytes, "{len} bytes");
        });
    }
}

#[test]
fn it_does_not_matter_where_a_request_is_split() {
    let echo = Echo::start();
    let lab = Lab::new(&[], &[echo.address]);
    let mut client = lab.connect();
    for cut in [0, 1, 511, 1_023, 1_024] {
        let bytes = vec![cut as u8; 1_024];
        send_split(&client, &bytes, cut);
        let mut back = vec![0; 1_024];
        client.read_exact(&mut back).unwrap();
        assert!(back == bytes, "split at {cut}");
    }
}

#[test]
fn a_server_that_refuses_costs_the_client_nothing() {
    let echo = Echo::start();
    let dead = Echo::start().address;
    let lab = Lab::new(&["--check", "inter 1h"], &[dead, echo.address]);
    for _ in 0..6 {
        assert_eq!(lab.asks(b"hello"), b"hello");
    }
    lab.until_event(
        "the refusal",
        |event| matches!(event, Event::AttemptFailed { again: true, server, .. } if *server == dead.to_string()),
    );
}

#[test]
fn a_server_that_is_down_is_noticed_and_its_return_too() {
    let steady = Echo::start();
    let mut other = Echo::start();
    let lab = Lab::new(&["--check", "inter 50ms fall 2 rise 2"], &[steady.address, other.address]);
    let id = other.address.to_string();
    other.close();
    lab.until_event("down", |event| matches!(event, Event::ServerDown { server, .. } if *server == id));
    assert_eq!(lab.asks(b"hello"), b"hello");
    let _again = Echo::start_at(other.address);
    lab.until_event("up", |event| matches!(event, Event::ServerUp { server } if *server == id));
}

#[test]
fn nobody_to_pass_to_closes_the_connection_within_seconds() {
    let dead = Echo::start().address;
    let lab = Lab::new(&["--check", "inter 20ms fall 1"], &[dead]);
    lab.until_event("down", |event| matches!(event, Event::ServerDown { .. }));
    let begin = Instant::now();
    assert_eq!(read_all(&lab.connect()), b"");
    assert!(begin.elapsed() < Duration::from_secs(6), "{:?}", begin.elapsed());
}

#[test]
fn a_server_that_hangs_is_cut_off_when_nothing_was_said_for_too_long() {
    let silent = Silent::start();
    let lab = Lab::new(&["--tcp-idle", "100ms"], &[silent.address]);
    let mut client = lab.connect();
    client.write_all(b"is anybody there?").unwrap();
    assert_eq!(read_all(&client), b"");
}

#[test]
fn a_server_that_breaks_in_the_middle_is_a_reset_for_its_client() {
    let silent = Silent::start();
    let lab = Lab::new(&[], &[silent.address]);
    let mut client = lab.connect();
    client.write_all(b"ask").unwrap();
    silent.breaks();
    let error = client.read(&mut [0; 10]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

#[test]
fn a_server_that_is_declared_down_is_a_reset_for_its_clients() {
    let mut echo = Echo::start();
    let lab = Lab::new(&["--check", "inter 50ms fall 2"], &[echo.address]);
    let mut client = lab.connect();
    client.write_all(b"1").unwrap();
    client.read_exact(&mut [0]).unwrap();
    // Who has a connection could still use it; but nobody is accepted any more, so the server counts as lost.
    echo.close();
    assert_eq!(client.read(&mut [0; 10]).unwrap_err().kind(), ErrorKind::ConnectionReset);
    lab.until("the connection is counted as failed", |pool| {
        let server = &pool.snapshot().servers[0];
        (server.answered, server.failed) == (0, 1)
    });
}

#[test]
fn a_server_that_refuses_is_looked_at_at_once() {
    let mut echo = Echo::start();
    let lab = Lab::new(&["--check", "inter 1h fall 1"], &[echo.address]);
    assert_eq!(lab.asks(b"hello"), b"hello");
    echo.close();
    let begin = Instant::now();
    assert_eq!(lab.asks(b"hello"), b"");
    assert!(begin.elapsed() < Duration::from_secs(8), "{:?}", begin.elapsed());
    lab.until_event("down", |event| matches!(event, Event::ServerDown { .. }));
}

#[test]
fn a_full_server_has_its_clients_wait_for_their_turn() {
    let echo = Echo::start();
    let lab = Lab::with_server(&[], &format!("only={},capacity=1", echo.address));
    let mut first = lab.connect();
    first.write_all(b"1").unwrap();
    first.read_exact(&mut [0]).unwrap();
    let mut second = lab.connect();
    second.write_all(b"2").unwrap();
    lab.until_event("a wait", |event| matches!(event, Event::RequestWaits { ahead: 0, .. }));
    drop(first);
    let mut byte = [0];
    second.read_exact(&mut byte).unwrap();
    assert_eq!(&byte, b"2");
}

#[test]
fn servers_learn_who_is_calling() {
    for (version, begin) in [("v1", &b"PROXY TCP4 127.0.0.1 127.0.0.1 "[..]), ("v2", b"\r\n\r\n\0\r\nQUIT\n\x21\x11")] {
        let echo = Echo::start();
        let lab = Lab::new(&["--send-proxy", version], &[echo.address]);
        let back = lab.asks(b"hello");
        assert!(back.starts_with(begin) && back.ends_with(b"hello"), "{back:?}");
    }
}

#[test]
fn a_relay_that_is_trusted_names_its_client_and_others_must_not() {
    let echo = Echo::start();
    let trusting = Lab::new(&["--accept-proxy", "127.0.0.0/8", "--send-proxy", "v1"], &[echo.address]);
    let named = b"PROXY TCP4 192.0.2.7 192.0.2.1 56324 443\r\nhello";
    assert_eq!(trusting.asks(named), named, "the header is read, and sent anew with the same names");
    assert_eq!(trusting.asks(b"GET / HTTP/1.1\r\n\r\n"), b"", "a connection without a header is not passed on");
    let plain = Lab::new(&[], &[echo.address]);
    assert_eq!(plain.asks(named), named, "to whom nobody is trusted these are bytes like others");
}

#[test]
fn hundreds_of_connections_under_every_policy() {
    let servers = [Echo::start(), Echo::start(), Echo::start()];
    let addresses = servers.each_ref().map(|server| server.address);
    for policy in Name::value_variants() {
        let lab = Lab::new(&["--balance", &policy.to_string()], &addresses);
        thread::scope(|scope| {
            for number in 0..8_u8 {
                let lab = &lab;
                scope.spawn(move || (0..25).for_each(|_| assert_eq!(lab.asks(&[number; 100]), [number; 100])));
            }
        });
        // A client has its answer a moment before the lease of its connection ends.
        lab.until(&format!("all leases are back under {policy}"), |pool| {
            let servers = pool.snapshot().servers;
            let answered: u64 = servers.iter().map(|server| server.answered).sum();
            answered == 200 && servers.iter().all(|server| server.active == 0)
        });
    }
}

#[test]
fn a_drain_lets_a_connection_finish() {
    let echo = Echo::start();
    let mut lab = Lab::new(&[], &[echo.address]);
    let mut client = lab.connect();
    client.write_all(b"before").unwrap();
    client.read_exact(&mut [0; 6]).unwrap();
    let balancer = lab.take();
    let ending = thread::spawn(move || balancer.end());
    lab.until_event("the end", |event| matches!(event, Event::Stopping));
    client.write_all(b"after").unwrap();
    client.read_exact(&mut [0; 5]).unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_all(&client), b"");
    ending.join().unwrap();
    assert!(TcpStream::connect_timeout(&lab.address, LONG).is_err());
}

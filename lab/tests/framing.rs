//! Where one message ends: relays that guess fail where they must, and those that do not guess return everything whole.

#![allow(clippy::unwrap_used, reason = "a test that unwraps in vain has failed")]

mod kit;

use kit::{LONG, Process, World, address_in, text};
use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
};

fn connect(at: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(at).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    stream
}

/// An echo server, and a relay of this kind before it.
fn relayed(world: &World, how: &str) -> (Process, Process, SocketAddr) {
    let mut server = world.spawn(&["server", "1", "0", "0", "--service", "echo"]);
    let server_at = address_in(&server.wait_for("Server is listening on")).to_string();
    let mut relay = world.spawn(&["relay", how, "--listen", "127.0.0.1:0", "--server", &server_at]);
    let at = address_in(&relay.wait_for("is listening on"));
    (server, relay, at)
}

/// The whole lesson, and its own judgement of it: the naive relays must fail on 1,024 and 2,048 bytes, on what comes late and on a
/// server that is gone, and the others must not. Whether what comes late is lost depends on when the machine lets the relay read:
/// this one row of the naive relay may come out in any way.
#[test]
fn the_lesson_comes_out_as_it_must() {
    let world = World::new();
    let output = world.command(&["framing", "--pause", "700ms", "--patience", "4s", "--seed", "4"]).output().unwrap();
    let said = format!("{}\n{}", text(&output.stdout), text(&output.stderr));
    let late = "until-short, 100, 700 ms later 1,024:";
    let surprises: Vec<&str> = said.lines().filter(|line| line.starts_with("NOT AS IT MUST BE: ")).collect();
    assert!(surprises.iter().all(|line| line.contains(late)), "{said}");
    assert_eq!(output.status.code(), Some(i32::from(!surprises.is_empty())), "{said}");
    let row = |begin: &str| -> Vec<String> {
        let line =
            said.lines().find(|line| line.starts_with(&format!("| {begin} "))).unwrap_or_else(|| panic!("{said}"));
        line.split('|').skip(2).map(|cell| cell.trim().to_owned()).filter(|cell| !cell.is_empty()).collect()
    };
    for bytes in ["1,024", "2,048"] {
        assert_eq!(row(bytes), ["NO ANSWER", "NO ANSWER", "whole", "whole", "whole"], "{said}");
    }
    let late = row("100, 700 ms later 1,024");
    assert_eq!(
        (late[0].as_str(), &late[2..]),
        ("NO ANSWER", &["whole", "whole", "whole"].map(str::to_owned)[..]),
        "{said}"
    );
    assert_eq!(row("10,000,000")[2..], ["whole", "whole", "whole"], "{said}");
    assert_eq!(row("1, its server killed"), ["NO ANSWER", "NO ANSWER", "ended", "ended", "whole"], "{said}");
}

/// Nothing here is a matter of time: the rest is sent when the answer to the first part is there.
#[test]
fn a_relay_that_stops_at_a_short_chunk_loses_the_rest() {
    let world = World::new();
    let (_server, _relay, at) = relayed(&world, "until-short");
    let mut client = connect(at);
    client.write_all(&[b'h'; 100]).unwrap();
    let mut answer = [0; 100];
    client.read_exact(&mut answer).unwrap();
    assert_eq!(answer, [b'h'; 100]);
    let _nobody_listens = client.write_all(&[b'b'; 1_024]);
    let rest = client.read(&mut answer);
    assert!(!matches!(rest, Ok(1..)), "the end, or a reset: {rest:?}");
}

/// The same through a relay of streams, which passes the end on, too.
#[test]
fn a_relay_of_streams_passes_on_what_comes_and_its_end() {
    let world = World::new();
    let (_server, relay, at) = relayed(&world, "streams");
    let mut client = connect(at);
    let mut answer = Vec::new();
    for length in [100, 1_024, 2_048] {
        client.write_all(&vec![b'x'; length]).unwrap();
        answer.resize(length, 0);
        client.read_exact(&mut answer).unwrap();
    }
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(client.read_to_end(&mut answer).unwrap(), 0);

    #[cfg(unix)]
    {
        let mut relay = relay;
        relay.signal(rustix::process::Signal::INT);
        assert!(relay.wait().success());
    }
}

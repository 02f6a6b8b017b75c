//! Datagrams that nobody would think of, from clients and from a server, in great number: nobody falls over, nobody gets what is not
//! his, and memory stays as it is.

use crate::kit::{Client, Lab, Server, reversed};
use std::{net::SocketAddr, thread};

/// How many come at a time before it is waited for all of them to be taken.
const AT_ONCE: usize = 50;

#[test]
fn a_hundred_thousand_mutated_datagrams_do_no_harm() {
    mutate(100_000);
}

#[test]
#[ignore = "takes minutes; run by .ci/long"]
fn a_million_mutated_datagrams_do_no_harm() {
    mutate(1_000_000);
}

fn mutate(count: usize) {
    let seed = fastrand::u64(..);
    let mut random = fastrand::Rng::with_seed(seed);
    let server = Server::reversing(8);
    let lab = Lab::new(&["--udp-timeout", "60s", "--udp-try", "60s", "--eject", "off"], &[&server]);
    let (client, sane) = (lab.client(), lab.client());
    assert_eq!(sane.ask(&[1, 2, 3]), [3, 2, 1]);
    let (asked, way) = server.heard().remove(0);
    let mut memory = None;
    for round in 0..count / AT_ONCE {
        (0..AT_ONCE / 2).for_each(|_| {
            client.say(&mutated(&mut random, &[1, 2, 3]));
        });
        (0..AT_ONCE / 2).for_each(|_| say(&server, &mutated(&mut random, &reversed(&asked, 8)), way));
        // Through the same doors, behind them: so all were taken.
        let own = (round as u32).to_be_bytes();
        // An answer to an earlier one that was asked for twice may still come.
        while sane.ask_on(&own) != reversed(&own, 0) {}
        drain(&client);
        if round == count / AT_ONCE / 4 {
            memory = resident();
        }
    }
    let totals = lab.pool.totals();
    assert!(totals.foreign.get() > 0 && totals.answered.get() > (count / AT_ONCE) as u64, "seed {seed}");
    if let (Some(before), Some(after)) = (memory, resident()) {
        // What the kit itself has noted counts too: some bytes for each.
        assert!(after < before + 100_000 + count as u64 / 2, "from {before} to {after} KiB");
    }
}

fn say(server: &Server, bytes: &[u8], to: SocketAddr) {
    // `d` is word of the server, and would take it out.
    if bytes != b"d" {
        server.say(bytes, to);
    }
}

/// Bytes cut off, put in, doubled, changed; or any.
fn mutated(random: &mut fastrand::Rng, bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..random.u32(1..4) {
        match random.u32(..6) {
            0 => bytes.truncate(random.usize(..=bytes.len())),
            1 => bytes.insert(random.usize(..=bytes.len()), random.u8(..)),
            2 => bytes.extend_from_within(..),
            3 => bytes.extend((0..random.usize(..40)).map(|_| random.u8(..))),
            4 if !bytes.is_empty() => {
                let at = random.usize(..bytes.len());
                bytes[at] = random.u8(..);
            }
            _ => bytes.reverse(),
        }
    }
    bytes
}

/// Takes what has come, so that it does not fill up.
fn drain(client: &Client) {
    client.socket.set_nonblocking(true).unwrap();
    let mut buffer = [0; 2_048];
    while client.socket.recv(&mut buffer).is_ok() {}
    client.socket.set_nonblocking(false).unwrap();
    thread::yield_now();
}

/// What this process has in memory, in KiB, where the system tells.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

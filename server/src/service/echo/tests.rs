//! An echo server over real sockets: bytes split and delayed anywhere, clients that write first, and those who do not read.
#![cfg(unix)]

use super::*;
use crate::{
    ServiceName,
    service::fixture::{self, Fixture, LONG},
    slots::Slots,
};
use protocol::{
    handshake::Control,
    listener::{Crew, CrewOptions},
    registry::Registry,
};
use rustix::net::sockopt::{set_socket_linger, set_socket_recv_buffer_size, set_socket_send_buffer_size};
use std::{
    io::{Read, Write},
    net::TcpListener,
    sync::LazyLock,
    thread,
    time::Instant,
};

/// Size of the system's buffers where they would hide what is tested, in bytes.
const SMALL: usize = 64 * 1024;

fn start(adjust: impl FnOnce(&mut crate::Config)) -> Fixture {
    fixture::start(ServiceName::Echo, adjust)
}

/// What is sent repeats itself after so many bytes: a prime, so that no buffer's size hides a piece that was moved.
const PERIOD: usize = 1_000_003;

/// Longest piece that is taken from it at once.
const LONGEST: usize = 1_000_000;

/// `n` bytes of what is sent, from this place on. Nobody holds all of it: another test measures the memory of this process.
fn piece(at: usize, n: usize) -> &'static [u8] {
    static NOISE: LazyLock<Vec<u8>> = LazyLock::new(|| {
        let mut noise = vec![0; PERIOD];
        fastrand::Rng::with_seed(1).fill(&mut noise);
        noise.extend_from_within(..LONGEST);
        noise
    });
    &NOISE[at % PERIOD..][..n]
}

/// Reads to the end, comparing. Returns how many bytes came.
fn compared(mut stream: TcpStream) -> usize {
    let (mut block, mut at) = (vec![0; BLOCK], 0);
    loop {
        let n = stream.read(&mut block).unwrap();
        if n == 0 {
            return at;
        }
        assert!(block[..n] == *piece(at, n), "other bytes between {at} and {}", at + n);
        at += n;
    }
}

/// Writes in pieces of any length, compares what comes back meanwhile, and ends its half behind the last.
fn echoed(stream: TcpStream, length: usize, mut random: fastrand::Rng, longest: usize) -> usize {
    let mut writer = stream.try_clone().unwrap();
    thread::scope(|scope| {
        scope.spawn(move || {
            let mut at = 0;
            while at < length {
                let n = random.usize(1..=longest).min(length - at);
                writer.write_all(piece(at, n)).unwrap();
                at += n;
            }
            writer.shutdown(Shutdown::Write).unwrap();
        });
        compared(stream)
    })
}

#[test]
fn every_length_comes_back_whole_however_it_was_split() {
    let seed = fastrand::u64(..);
    let mut random = fastrand::Rng::with_seed(seed);
    let server = start(|config| config.capacity = 10);
    for length in [0, 1, 1_023, 1_024, 1_025, 2_048, 10_000_000] {
        for longest in [if length < 10_000 { 1 } else { 1_000 }, 1_024, LONGEST] {
            assert_eq!(echoed(server.raw(), length, random.fork(), longest), length, "seed {seed}");
        }
    }
    server.until_active(0);
}

#[test]
fn what_comes_is_answered_without_an_end_and_the_rest_whenever_it_comes() {
    let server = start(|_| ());
    let mut stream = server.raw();
    for length in [1_024, 1, 1_023, 2_048, 1_025, 1] {
        let sent = vec![7; length];
        // The next piece leaves only after this one has come back: no pause can be longer.
        stream.write_all(&sent).unwrap();
        let mut back = vec![0; length];
        stream.read_exact(&mut back).unwrap();
        assert!(back == sent, "{length}");
    }
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(stream.read(&mut [0]).unwrap(), 0, "our half ends behind the client's");
}

/// An echo of its own with small limits, and its pot.
fn limited(limits: Limits, blocks: usize) -> (Crew, Arc<Pot>) {
    protocol::output::set_quiet(true);
    let folder = tempfile::tempdir().unwrap();
    let terms = Terms::new(&fixture::config(folder.path(), ServiceName::Echo), &Slots::new(100));
    let pot = Pot::new(blocks);
    let echo = Echo { terms, limits, pot: Arc::clone(&pot) };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    // What it accepts inherits these: else the system may keep 30 MB for a connection, and nothing is tested.
    set_socket_recv_buffer_size(&listener, SMALL).unwrap();
    set_socket_send_buffer_size(&listener, SMALL).unwrap();
    let options = CrewOptions { name: "service", max_connections: 100 };
    (Crew::start(listener, options, Arc::new(echo)).unwrap(), pot)
}

#[test]
fn a_client_that_writes_ten_megabytes_before_it_reads_is_no_deadlock() {
    let Limits { most_blocks, .. } = Echo::limits();
    let (crew, _pot) = limited(Limits { most_blocks, idle: LONG, stuck: LONG }, most_blocks);
    let mut stream = TcpStream::connect(crew.address()).unwrap();
    set_socket_recv_buffer_size(&stream, SMALL).unwrap();
    stream.set_write_timeout(Some(LONG)).unwrap();
    (0..10).for_each(|million| stream.write_all(piece(million * 1_000_000, 1_000_000)).unwrap());
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(compared(stream), 10_000_000);
}

#[test]
fn a_client_that_does_not_read_is_slowed_down_and_loses_nothing() {
    let (crew, pot) = limited(Limits { most_blocks: 8, idle: LONG, stuck: LONG }, 100);
    let mut stream = TcpStream::connect(crew.address()).unwrap();
    stream.set_nonblocking(true).unwrap();
    // Writes until nothing more is taken, though the server has had time: its queue and all buffers are full.
    let (mut sent, mut full_since) = (0, None);
    while full_since.is_none_or(|since: Instant| since.elapsed() < Duration::from_millis(300)) {
        match stream.write(piece(sent, 50_000)) {
            Ok(n) => (sent, full_since) = (sent + n, None),
            Err(_) => {
                full_since.get_or_insert_with(Instant::now);
                thread::yield_now();
            }
        }
        assert!(sent < 100_000_000, "somebody keeps everything");
    }
    assert_eq!(pot.left(), 100 - 7, "the server holds the eight blocks it may");
    stream.set_nonblocking(false).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    let mut writer = stream.try_clone().unwrap();
    let ending = thread::spawn(move || {
        writer.write_all(piece(sent, 3)).unwrap();
        writer.shutdown(Shutdown::Write).unwrap();
    });
    assert_eq!(compared(stream), sent + 3);
    ending.join().unwrap();
    crew.drain();
    assert!(crew.join(LONG));
    assert_eq!(pot.left(), 100);
}

#[test]
fn an_empty_pot_slows_down_and_stops_nobody() {
    let (crew, _pot) = limited(Limits { most_blocks: 100, idle: LONG, stuck: LONG }, 0);
    thread::scope(|scope| {
        for seed in 0..4 {
            let stream = TcpStream::connect(crew.address()).unwrap();
            scope.spawn(move || {
                let random = fastrand::Rng::with_seed(seed);
                assert_eq!(echoed(stream, 2_000_000, random, 300_000), 2_000_000, "seed {seed}");
            });
        }
    });
}

#[test]
fn who_is_silent_or_stuck_for_too_long_is_ended() {
    let short = Duration::from_millis(400);
    for (idle, stuck, pieces) in [(short, LONG, 1), (LONG, short, 100_000)] {
        let (crew, _pot) = limited(Limits { most_blocks: 1, idle, stuck }, 0);
        let mut stream = TcpStream::connect(crew.address()).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        let begin = Instant::now();
        // Nothing is read before all is written, and more is written than anybody keeps.
        if (0..pieces).all(|_| stream.write_all(piece(0, 1_000)).is_ok()) {
            assert_eq!(stream.read_to_end(&mut Vec::new()).unwrap(), 1_000 * pieces);
        }
        assert!(begin.elapsed() >= short && begin.elapsed() < LONG / 2, "{:?}", begin.elapsed());
    }
}

#[test]
fn more_connections_than_places_are_closed_at_once() {
    let server = start(|config| config.capacity = 2);
    let (mut first, second) = (server.raw(), server.raw());
    server.until_active(2);
    assert_eq!(server.raw().read(&mut [0]).unwrap(), 0, "closed without a byte");
    first.shutdown(Shutdown::Write).unwrap();
    assert_eq!(first.read(&mut [0]).unwrap(), 0);
    // Whoever has seen the end of his connection finds its place free.
    let mut third = server.raw();
    third.write_all(b"x").unwrap();
    third.read_exact(&mut [0]).unwrap();
    assert_eq!(server.running.active(), 2);
    drop(second);
}

#[test]
fn the_processing_time_is_spent_once_a_connection_before_the_first_byte_goes_back() {
    let time = Duration::from_millis(400);
    let server = start(|config| config.processing_time = time.as_secs_f64());
    let mut stream = server.raw();
    let begin = Instant::now();
    for byte in 0..5 {
        stream.write_all(&[byte]).unwrap();
        let mut back = [9];
        stream.read_exact(&mut back).unwrap();
        assert_eq!(back, [byte]);
        assert!(begin.elapsed() >= time);
    }
    assert!(begin.elapsed() < 3 * time, "{:?}", begin.elapsed());
}

#[test]
fn a_reset_ends_the_processing_and_an_abort_everything() {
    let server = start(|config| (config.processing_time, config.capacity) = (60.0, 2));
    let mut stream = server.raw();
    stream.write_all(b"x").unwrap();
    server.until_active(1);
    set_socket_linger(&stream, Some(Duration::ZERO)).unwrap();
    drop(stream);
    server.until_active(0);
    let mut waiting = server.raw();
    waiting.write_all(b"x").unwrap();
    server.until_active(1);
    let begin = Instant::now();
    drop(server);
    assert!(!matches!(waiting.read(&mut [0]), Ok(1..)) && begin.elapsed() < LONG / 2);
}

#[test]
fn a_drain_ends_the_quiet_and_waits_for_what_is_owed() {
    let server = start(|config| (config.processing_time, config.capacity) = (0.7, 3));
    let (mut quiet, mut silent, mut busy) = (server.raw(), server.raw(), server.raw());
    quiet.write_all(b"q").unwrap();
    quiet.read_exact(&mut [0]).unwrap();
    busy.write_all(b"busy").unwrap();
    server.until_active(3);
    let mut control = Control::connect(server.running.control(), LONG).unwrap();
    let Fixture { mut running, folder } = server;
    running.drain();
    let alive = control.heartbeat(LONG).unwrap();
    assert!(alive.draining && alive.active > 0);
    let ending = thread::spawn(move || running.end());
    assert_eq!((quiet.read(&mut [0]).unwrap(), silent.read(&mut [0]).unwrap()), (0, 0));
    let mut back = Vec::new();
    busy.read_to_end(&mut back).unwrap();
    assert_eq!(back, b"busy");
    ending.join().unwrap();
    drop(folder);
}

#[test]
fn an_echo_server_says_so_and_opens_no_database() {
    let server = start(|config| config.capacity = 7);
    let identity = Control::connect(server.running.control(), LONG).unwrap().identify(LONG).unwrap();
    assert_eq!((identity.service.as_str(), identity.database, identity.capacity), ("echo", None, 7));
    let folder = server.folder.path();
    let reading = Registry::new(folder.join("servers.json")).read().unwrap();
    assert_eq!((reading.entries.len(), reading.entries[0].service.as_str()), (1, "echo"));
    assert!(!folder.join("database.sqlite").exists());
    let _one = server.raw();
    server.until_active(1);
    let alive = Control::connect(server.running.control(), LONG).unwrap().heartbeat(LONG).unwrap();
    assert_eq!((alive.active, alive.incarnation), (1, identity.incarnation));
}

//! Two servers on one database are killed and stopped while they write. Whoever asks again until he has an answer finds
//! each of his rows there exactly once, as it was told.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

use protocol::{
    deadline::{Deadline, Phase},
    frame::{Kind, Prefix},
    id::{RequestId, draw_client_number},
    lifeline::Lifeline,
    limits::HEADER_TIME,
    message::{ErrorCode, Failure, Head, QueryRequest, read_rows},
    registry::Registry,
    value::Value,
    wire::{Connection, to_header},
};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::{Receiver, RecvTimeoutError, channel},
    },
    thread,
    time::{Duration, SystemTime},
};

const CLIENTS: u64 = 4;
/// Kills and stops; between them pass up to `CALM`.
const BLOWS: u32 = 40;
const CALM: Duration = Duration::from_millis(60);
/// How long a server stays stopped at most. Longer than an attempt may take, so that some are given up and asked elsewhere.
const STOPPED: Duration = Duration::from_millis(600);
const ATTEMPT: Duration = Duration::from_millis(300);
const LONG: Duration = Duration::from_secs(60);

/// A place for servers to run in.
struct Site {
    folder: tempfile::TempDir,
    lifeline: Lifeline,
    /// Where each server is; changes when it is started anew.
    addresses: [Mutex<SocketAddr>; 2],
}

struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _gone_already = self.0.kill();
        let _status = self.0.wait();
    }
}

impl Site {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("files")).unwrap();
        fs::write(folder.path().join("database.json"), r#"{"engine":"sqlite","path":"database.sqlite"}"#).unwrap();
        let nowhere = || Mutex::new(SocketAddr::from(([127, 0, 0, 1], 1)));
        Self { folder, lifeline: Lifeline::open().unwrap(), addresses: [nowhere(), nowhere()] }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts a server and waits until it has registered.
    fn start(&self, which: usize) -> Server {
        let mut command = Command::new(env!("CARGO_BIN_EXE_server"));
        command.args([&which.to_string(), "0", "0", "--quiet", "--capacity", "64", "--lifeline"]);
        command.arg(self.lifeline.address().to_string());
        for (flag, name) in [("--registry", "servers.json"), ("--database", "database.json"), ("--files", "files")] {
            command.arg(flag).arg(self.path(name));
        }
        let server = Server(command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap());
        let (registry, until) = (Registry::new(self.path("servers.json")), Deadline::after(LONG));
        loop {
            let reading = registry.read().unwrap();
            let entry = reading.find(&which.to_string()).filter(|entry| entry.pid == Some(server.0.id()));
            if let Some(entry) = entry {
                *self.addresses[which].lock().unwrap() = entry.address;
                return server;
            }
            assert!(!until.has_passed(), "server {which} does not start");
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Kills and stops servers at random, then says that it is enough and waits for the clients, who hold the other
    /// end of the channel.
    fn strike(&self, random: &mut fastrand::Rng, enough: &AtomicBool, clients: &Receiver<()>) {
        let mut servers = [self.start(0), self.start(1)];
        let pass = |random: &mut fastrand::Rng, most: Duration| {
            let time = Duration::from_micros(random.u64(..most.as_micros() as u64));
            assert_eq!(clients.recv_timeout(time), Err(RecvTimeoutError::Timeout), "all clients have given up");
        };
        for _ in 0..BLOWS {
            pass(random, CALM);
            let which = random.usize(..2);
            if random.u8(..4) > 0 {
                servers[which].0.kill().unwrap();
                servers[which].0.wait().unwrap();
                servers[which] = self.start(which);
            } else {
                let pid = Pid::from_child(&servers[which].0);
                kill_process(pid, Signal::STOP).unwrap();
                pass(random, STOPPED);
                kill_process(pid, Signal::CONT).unwrap();
            }
        }
        enough.store(true, Ordering::Relaxed);
        assert_eq!(clients.recv_timeout(LONG), Err(RecvTimeoutError::Disconnected), "those who wait get their answers");
    }
}

/// What an attempt has come to.
enum Attempt {
    Answered(i64),
    NotSent,
    /// It was sent, and nobody knows.
    Open,
}

/// One attempt at a server.
fn attempt(server: SocketAddr, request: RequestId, low_water: u64, repeated: bool) -> Attempt {
    let Ok(mut connection) = Connection::connect(server, ATTEMPT) else { return Attempt::NotSent };
    let sql = format!("INSERT INTO t (client, n) VALUES ({}, {}) RETURNING place", client(request), request.sequence);
    let header = to_header(&QueryRequest { request, client: "1".into(), timeout_ms: None, low_water });
    let prefix = Prefix::new(Kind::Query, request, header.len(), sql.len());
    let prefix = if repeated { prefix.as_repeated() } else { prefix };
    if connection.send(&prefix, &header, sql.as_bytes()).is_err() {
        return Attempt::Open;
    }
    let (mut header, mut body) = (Vec::new(), Vec::new());
    loop {
        let soon = Some(Deadline::after(ATTEMPT));
        let Ok(Some(prefix)) = connection.next(&mut header, Phase::Answer, soon, HEADER_TIME) else {
            return Attempt::Open;
        };
        if connection.append_body(prefix.body_len as usize, &mut body).is_err() {
            return Attempt::Open;
        }
        match prefix.kind {
            Kind::Head => {
                let head: Head = serde_json::from_slice(&header).unwrap();
                assert!(matches!(head, Head::Rows { recorded: true, .. }), "{head:?}");
            }
            Kind::Data => {}
            Kind::End => match read_rows(&body).next() {
                Some(Ok(row)) => match row[..] {
                    [Value::Integer(place)] => return Attempt::Answered(place),
                    ref other => panic!("{other:?}"),
                },
                other => panic!("{other:?}"),
            },
            _ => {
                let failure: Failure = serde_json::from_slice(&header).unwrap();
                let of_the_moment = [ErrorCode::Timeout, ErrorCode::Unavailable, ErrorCode::Cancelled, ErrorCode::Busy];
                assert!(of_the_moment.contains(&failure.code), "{failure:?}");
                assert!(!(failure.definite && repeated), "{failure:?}");
                return Attempt::Open;
            }
        }
    }
}

/// A client number as SQL can write it.
fn client(request: RequestId) -> i64 {
    request.client.cast_signed()
}

/// Rows as they should be: client, number, place.
type Rows = Vec<(i64, i64, i64)>;

/// Inserts rows until it shall end, each asked for until it is answered. Counts the attempts that were left open.
fn insert(site: &Site, enough: &AtomicBool, repeats: &AtomicU64, seed: u64) -> Rows {
    let mut random = fastrand::Rng::with_seed(seed);
    let client_number = draw_client_number(SystemTime::now());
    let mut told = Vec::new();
    for sequence in 1.. {
        if enough.load(Ordering::Relaxed) {
            break;
        }
        let (request, until) = (RequestId { client: client_number, sequence }, Deadline::after(LONG));
        let mut repeated = false;
        loop {
            assert!(!until.has_passed(), "seed {seed}: no answer to {request}");
            let server = *site.addresses[random.usize(..2)].lock().unwrap();
            match attempt(server, request, sequence, repeated) {
                Attempt::Answered(place) => {
                    told.push((client(request), sequence.cast_signed(), place));
                    break;
                }
                Attempt::NotSent => thread::yield_now(),
                Attempt::Open => {
                    repeats.fetch_add(1, Ordering::Relaxed);
                    repeated = true;
                }
            }
        }
    }
    told
}

fn database(folder: &Path) -> rusqlite::Connection {
    rusqlite::Connection::open(folder.join("database.sqlite")).unwrap()
}

#[test]
fn every_row_is_there_once_though_servers_are_killed_and_stopped_all_the_time() {
    let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(|| fastrand::u64(..));
    let _printed_when_it_fails = PrintSeed(seed);
    let site = Site::new();
    drop(site.start(0));
    let db = database(site.folder.path());
    db.execute_batch("CREATE TABLE t (client, n, place INTEGER PRIMARY KEY)").unwrap();
    let (enough, repeats) = (AtomicBool::new(false), AtomicU64::new(0));
    let (client_lives, clients) = channel();
    let mut told: Rows = thread::scope(|scope| {
        let threads: Vec<_> = (0..CLIENTS)
            .map(|n| {
                let (site, enough, repeats, lives) = (&site, &enough, &repeats, client_lives.clone());
                scope.spawn(move || {
                    let _lives = lives;
                    insert(site, enough, repeats, seed ^ n)
                })
            })
            .collect();
        drop(client_lives);
        site.strike(&mut fastrand::Rng::with_seed(seed), &enough, &clients);
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    let mut select = db.prepare("SELECT client, n, place FROM t ORDER BY client, n, place").unwrap();
    let there: Rows = select
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    told.sort_unstable();
    assert_eq!(there, told, "{} rows, {} repeats", told.len(), repeats.load(Ordering::Relaxed));
    let repeats = repeats.into_inner();
    assert!(repeats > u64::from(BLOWS) / 4, "{repeats} of {BLOWS} blows have hit something");
}

/// Prints the seed when the test fails.
struct PrintSeed(u64);

impl Drop for PrintSeed {
    fn drop(&mut self) {
        if thread::panicking() {
            protocol::warn!("SEED={}", self.0);
        }
    }
}

//! Three real servers in a ring, asked from outside all the time: never are two of them silent because of an election; and who
//! hears of it.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

use protocol::{
    deadline::Deadline,
    dns::{Message, Question, query, record_type},
    lifeline::Lifeline,
};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    io::{BufRead, BufReader},
    net::{SocketAddr, TcpListener, UdpSocket},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

const LONG: Duration = Duration::from_secs(60);

/// What a server has said, with the time at which it was read.
type Lines = Arc<Mutex<Vec<String>>>;

struct Server {
    which: usize,
    child: Child,
    lines: Lines,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _gone_already = self.child.kill();
        let _status = self.child.wait();
    }
}

impl Server {
    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap(), signal).unwrap();
    }

    fn count(&self, words: &str) -> usize {
        self.lines.lock().unwrap().iter().filter(|line| line.contains(words)).count()
    }

    fn drills(&self) -> usize {
        self.count("This server is down for")
    }

    /// Whether it says that it is down, by the lines that were read so far.
    fn claims_to_be_down(&self) -> bool {
        self.drills() > self.count("this server is up again")
    }

    fn said(&self) -> String {
        self.lines.lock().unwrap().join("\n")
    }
}

/// A ring of three.
struct Ring {
    folder: tempfile::TempDir,
    lifeline: Lifeline,
    /// Of the services, and of the ring.
    services: [SocketAddr; 3],
    seats: [SocketAddr; 3],
}

impl Ring {
    /// The ports must be known before the servers start, so they are taken, noted and given back. A name server wants its port for
    /// connections, too, so both are tried; below 32,768 no system draws a port that nobody has named.
    fn new() -> Self {
        let take = || {
            let address = SocketAddr::from(([127, 0, 0, 1], fastrand::u16(12_000..32_000)));
            Some((UdpSocket::bind(address).ok()?, TcpListener::bind(address).ok()?))
        };
        let sockets: Vec<_> = std::iter::repeat_with(take).flatten().take(6).collect();
        let at = |n: usize| sockets[n].0.local_addr().unwrap();
        Self {
            folder: tempfile::tempdir().unwrap(),
            lifeline: Lifeline::open().unwrap(),
            services: [at(0), at(1), at(2)],
            seats: [at(3), at(4), at(5)],
        }
    }

    fn start(&self, which: usize) -> Server {
        self.start_as(which, &["--service", "reverse"])
    }

    fn start_as(&self, which: usize, service: &[&str]) -> Server {
        let (left, right) = (self.seats[(which + 2) % 3], self.seats[(which + 1) % 3]);
        let mut command = Command::new(env!("CARGO_BIN_EXE_server"));
        command.args([&(which + 1).to_string(), &self.services[which].port().to_string(), "0"]).args(service);
        command.arg("--registry").arg(self.folder.path().join("servers.json"));
        command.args(["--ring", &format!("{left},{right}"), "--ring-listen", &self.seats[which].to_string()]);
        command.args(["--drill-every", "0.5", "--drill-for", "400ms", "--lifeline"]);
        command.arg(self.lifeline.address().to_string());
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
        let (out, lines) = (child.stdout.take().unwrap(), Lines::default());
        let write = Arc::clone(&lines);
        thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                write.lock().unwrap().push(line);
            }
        });
        Server { which, child, lines }
    }
}

/// Asks each server in turn, all the time, and remembers who answered when.
struct Watch {
    socket: UdpSocket,
    services: [SocketAddr; 3],
    /// When each began to be silent, and the number of the first question that it did not answer.
    silent: [Option<(Instant, u32)>; 3],
    number: u32,
}

/// How long an answer is waited for. A server that has answered nothing for more than twice that is silent.
const ANSWER: Duration = Duration::from_millis(40);
/// How long an answer may be late. One that is down takes a question and never answers it; a busy machine delays answers.
const LATE: Duration = Duration::from_secs(5);

impl Watch {
    fn new(ring: &Ring) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(ANSWER)).unwrap();
        Self { socket, services: ring.services, silent: [None; 3], number: 0 }
    }

    /// Whether this server answers one question, numbered so that no late answer passes for another.
    fn answers(&mut self, which: usize) -> bool {
        self.number += 1;
        let question = [&self.number.to_be_bytes()[..], b"tt"].concat();
        let expected: Vec<u8> = question[..4].iter().rev().chain(b"tt").copied().collect();
        // A closed port may be told by an error: the same as silence.
        if self.socket.send_to(&question, self.services[which]).is_err() {
            return false;
        }
        let until = Instant::now() + ANSWER;
        let mut bytes = [0; 64];
        while Instant::now() < until {
            match self.socket.recv_from(&mut bytes) {
                Ok((len, from)) if from == self.services[which] && bytes[..len] == expected => return true,
                Ok(_) => {}
                Err(_) => return false,
            }
        }
        false
    }

    /// Looks at all of them once. Those of `dead` are not counted.
    fn look(&mut self, dead: &[usize], servers: &[&Server]) {
        for which in (0..3).filter(|which| !dead.contains(which)) {
            let silent = !self.answers(which);
            let since = (Instant::now(), self.number);
            self.silent[which] = if silent { self.silent[which].or(Some(since)) } else { None };
        }
        let now = Instant::now();
        let long = |which: &usize| self.silent[*which].is_some_and(|(since, _)| now - since > ANSWER * 2);
        let claims = |which: usize| servers.iter().any(|server| server.which == which && server.claims_to_be_down());
        let down: Vec<usize> = (0..3).filter(|which| !dead.contains(which) && long(which) && claims(*which)).collect();
        // Both were silent when they were asked last, one right after the other, and say that they are down.
        assert!(down.len() < 2 || self.is_answered_late(&down), "servers {down:?} are silent together");
    }

    /// Whether one of these answers a question after all that was asked when all of them were silent already.
    fn is_answered_late(&mut self, down: &[usize]) -> bool {
        let together = down.iter().filter_map(|which| self.silent[*which].map(|(_, number)| number)).max();
        let (deadline, mut bytes) = (Instant::now() + LATE, [0; 64]);
        while Instant::now() < deadline {
            let Ok((len, from)) = self.socket.recv_from(&mut bytes) else { continue };
            let number = bytes[..len].first_chunk().map(|number: &[u8; 4]| u32::from_le_bytes(*number));
            if number >= together && down.iter().any(|which| self.services[*which] == from) {
                return true;
            }
        }
        false
    }

    /// Looks until this holds.
    fn until(&mut self, dead: &[usize], what: &str, servers: &[&Server], holds: impl Fn() -> bool) {
        let late = Deadline::after(LONG);
        while !holds() {
            let said = || servers.iter().map(|server| server.said()).collect::<Vec<_>>().join("\n\n");
            assert!(!late.has_passed(), "{what} did not come true. They said:\n{}", said());
            self.look(dead, servers);
        }
    }
}

fn drills(servers: &[&Server]) -> usize {
    servers.iter().map(|server| server.drills()).sum()
}

#[test]
fn at_most_one_is_down_and_drills_go_on_through_kills_stops_and_restarts() {
    let ring = Ring::new();
    let [one, mut two, three] = [0, 1, 2].map(|which| ring.start(which));
    let mut watch = Watch::new(&ring);
    for which in 0..3 {
        let late = Deadline::after(LONG);
        while !watch.answers(which) {
            assert!(!late.has_passed(), "server {} does not answer", which + 1);
        }
    }
    let all = [&one, &two, &three];
    watch.until(&[], "six drills", &all, || drills(&all) >= 6);

    // A stranger says that an election is won, and that everybody is down.
    let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
    for seat in ring.seats {
        let forged = format!("r,{},0.999999999,900000,400", ring.seats[0]);
        for datagram in [forged.as_bytes(), b"d", b"u", &[0xff; 300], b""] {
            stranger.send_to(datagram, seat).unwrap();
        }
    }
    let before = drills(&all);
    watch.until(&[], "three drills after a stranger's words", &all, || drills(&all) >= before + 3);
    assert_eq!(one.count("Election 900000") + two.count("Election 900000"), 0);

    two.signal(Signal::KILL);
    two.child.wait().unwrap();
    let rest = [&one, &three];
    let before = drills(&rest);
    watch.until(&[1], "three drills of the two that are left", &rest, || drills(&rest) >= before + 3);

    let two = ring.start(1);
    let all = [&one, &two, &three];
    watch.until(&[1], "the server that was killed answers again", &all, || two.count("Takes part") > 0);
    watch.until(&[], "a drill of the server that is back", &all, || two.drills() > 0);

    three.signal(Signal::STOP);
    let rest = [&one, &two];
    let before = drills(&rest);
    watch.until(&[2], "three drills while one is stopped", &rest, || drills(&rest) >= before + 3);
    three.signal(Signal::CONT);
    let before = three.drills();
    watch.until(&[2], "a drill of the server that was stopped", &all, || three.drills() > before);
}

/// Name servers have clients and no agents: these would take one byte for an answer that is broken.
#[test]
fn clients_of_a_name_server_hear_nothing_of_its_drills() {
    let ring = Ring::new();
    let table = ring.folder.path().join("names.txt");
    std::fs::write(&table, "a.example 192.0.2.1 A\n").unwrap();
    let service = ["--service", "names", "--table", table.to_str().unwrap()];
    let servers = [0, 1, 2].map(|which| ring.start_as(which, &service));
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.set_read_timeout(Some(ANSWER)).unwrap();
    let query = query(1, &Question::new("a.example".parse().unwrap(), record_type::A), None);
    let late = Deadline::after(LONG);
    let mut heard = Vec::new();
    // Asked all the time, so that it knows of this client; two drills, so that the first one has its end.
    while servers[0].drills() < 2 || heard.is_empty() {
        let said = || servers.each_ref().map(Server::said).join("\n\n");
        assert!(!late.has_passed(), "no two drills, or no answer. They said:\n{}", said());
        let _nobody_listens_yet = client.send_to(&query, ring.services[0]);
        let mut bytes = [0; 512];
        heard.extend(client.recv(&mut bytes).map(|len| bytes[..len].to_vec()));
    }
    let strange: Vec<_> = heard.iter().filter(|bytes| Message::parse(bytes).is_err()).collect();
    assert!(strange.is_empty(), "{strange:?}");
}

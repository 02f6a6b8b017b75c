//! Load in datagrams against a server that does whatever a test wants.
#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

use clap::Parser;
use client::{
    load::udp::{self, plan::Args, report::Report},
    status::Status,
};
use protocol::stop::Stop;
use std::{
    net::{SocketAddr, UdpSocket},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

/// A server that is asked and does this. Dropping it ends it.
struct Server {
    address: SocketAddr,
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    fn start(mut act: impl FnMut(&UdpSocket, &mut [u8], SocketAddr) + Send + 'static) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        let (address, ends) = (socket.local_addr().unwrap(), Arc::new(AtomicBool::new(false)));
        let seen = Arc::clone(&ends);
        let serve = move || {
            let mut bytes = [0; 2_000];
            while !seen.load(Ordering::SeqCst) {
                if let Ok((len, from)) = socket.recv_from(&mut bytes) {
                    act(&socket, &mut bytes[..len], from);
                }
            }
        };
        Self { address, ends, thread: Some(thread::spawn(serve)) }
    }

    /// One that turns everything around, as it should.
    fn honest() -> Self {
        Self::start(|socket, bytes, from| {
            bytes.reverse();
            socket.send_to(bytes, from).unwrap();
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::SeqCst);
        let _panicked = self.thread.take().unwrap().join();
    }
}

fn run(server: &Server, line: &str) -> Report {
    let address = server.address.to_string();
    let line = ["client load", "--udp", &address].into_iter().chain(line.split_whitespace());
    udp::run(&Args::try_parse_from(line).unwrap().into_plan(), &Stop::new(), &mut |_| {}).unwrap()
}

#[test]
fn each_of_many_threads_asks_and_is_answered_until_there_were_enough() {
    let report = run(&Server::honest(), "--threads 50 --requests 5000 --timeout 60s --every 50ms");
    assert_eq!((report.requests, report.answers, report.timeouts, report.wrong), (5_000, 5_000, 0, 0));
    assert_eq!((report.late, report.lost_clients, report.status()), (0, 0, Status::Done));
    let told: u64 = report.rows.iter().map(|row| row.counts.answers).sum();
    assert_eq!((told, report.latency_us.count), (5_000, 5_000), "the periods are the whole");
    assert!(report.to_string().contains("success 100 %"), "{report}");
}

#[test]
fn it_ends_when_its_time_is_over() {
    let report = run(&Server::honest(), "--threads 3 --for 100ms --timeout 60s --numbered");
    assert!(report.answers > 0 && report.seconds >= 0.1 && report.timeouts + report.wrong == 0, "{report}");
}

/// Of each client's requests every fourth is answered only when the next one has come, that is, after its time-out: just before the
/// answer to that.
#[test]
fn a_late_answer_is_never_taken_for_another_ones() {
    let (mut count, mut kept) = (0, None);
    let server = Server::start(move |socket, bytes, from| {
        bytes.reverse();
        if let Some((late, to)) = kept.take() {
            let late: Vec<u8> = late;
            socket.send_to(&late, to).unwrap();
        }
        count += 1;
        if count % 4 == 0 {
            kept = Some((bytes.to_vec(), from));
        } else {
            socket.send_to(bytes, from).unwrap();
        }
    });
    // The last one is answered. On a machine that stands still for a second others may be late, too.
    let report = run(&server, "--threads 1 --requests 15 --timeout 1s --numbered");
    assert_eq!((report.requests, report.wrong), (15, 0));
    assert!(report.timeouts >= 3 && report.late >= 3 && report.late <= report.timeouts, "{report}");
    assert_eq!(report.status(), Status::Failed);
}

#[test]
fn answers_of_another_request_are_wrong_and_seen_with_numbers() {
    let mut first: Option<Vec<u8>> = None;
    let server = Server::start(move |socket, bytes, from| {
        bytes.reverse();
        socket.send_to(first.get_or_insert_with(|| bytes.to_vec()), from).unwrap();
    });
    let report = run(&server, "--threads 1 --requests 5 --timeout 60s --numbered");
    assert_eq!((report.answers, report.wrong), (1, 4));
}

#[test]
fn the_program_writes_a_line_for_each_period_and_says_with_its_status_what_came() {
    let server = Server::honest();
    let folder = tempfile::tempdir().unwrap();
    let csv = folder.path().join("run.csv");
    let program = |more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_client"));
        command.args(["load", "--udp", &server.address.to_string(), "--threads", "2"]).args(more);
        command.output().unwrap()
    };
    let shown = csv.to_str().unwrap();
    let output = program(&["--for", "100ms", "--timeout", "60s", "--every", "20ms", "--csv", shown, "--json"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = std::fs::read_to_string(&csv).unwrap();
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("time_s,requests,answers,timeouts,wrong,mean_ms,p50_ms,p90_ms,p99_ms,max_ms"));
    let answers: u64 = lines.map(|line| line.split(',').nth(2).unwrap().parse::<u64>().unwrap()).sum();
    assert_eq!(report["answers"], answers);
    let unwritable = program(&["--csv", "/nowhere/at/all.csv"]);
    assert_eq!(unwritable.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&unwritable.stderr).contains("cannot be written"), "{unwritable:?}");
    assert_eq!(program(&["--mix", "ping=1"]).status.code(), Some(2));
}

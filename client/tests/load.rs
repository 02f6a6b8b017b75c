//! Load tests against a load balancer that does whatever a test wants: what is sent, what is counted, what is told.
#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

mod fake;

use clap::Parser;
use client::{
    load::{self, plan::Args, report::Report},
    status::Status,
};
use fake::{After, Asked, Balancer, LONG, error, file, frame, honest};
use protocol::{frame::Kind, id::RequestId, places::Places, stop::Stop, wire::Connection};
use std::{
    collections::BTreeSet,
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    time::Duration,
};

/// Runs `client load` in this process.
fn run_until(stop: &Stop, balancer: &Balancer, line: &[&str]) -> Report {
    let address = balancer.address.to_string();
    let args = Args::try_parse_from(["client load", "--balancer", &address].iter().chain(line)).unwrap();
    let places = Places { root: std::env::temp_dir(), found: false };
    load::run(args.into_plan(&places).unwrap(), stop, None).unwrap()
}

fn run(balancer: &Balancer, line: &[&str]) -> Report {
    run_until(&Stop::new(), balancer, line)
}

fn counts(report: &Report) -> (u64, u64, u64) {
    (report.requests, report.answers, report.errors)
}

fn changed(connection: &mut Connection, id: RequestId) -> After {
    let head = frame(Kind::Head, id, r#"{"type":"changed","rows":1}"#, b"");
    let end = frame(Kind::End, id, r#"{"server":"3"}"#, b"");
    if connection.send_raw(&[head, end].concat()).is_ok() { After::GoOn } else { After::Close }
}

#[test]
fn a_closed_loop_sends_the_mix_exactly_over_kept_connections() {
    let kinds: Arc<Mutex<Vec<Kind>>> = Arc::default();
    let heard = Arc::clone(&kinds);
    let balancer = Balancer::start(move |connection, asked| {
        heard.lock().unwrap().push(asked.kind);
        honest(connection, asked)
    });
    let mix = "ping=8,file colors.csv=1,sql SELECT 1=1";
    let report = run(&balancer, &["--clients", "4", "--requests", "1000", "--mix", mix, "--seed", "1"]);
    assert_eq!((counts(&report), report.wrong.total()), ((1_000, 1_000, 0), 0));
    let kinds = kinds.lock().unwrap();
    let count = |kind| kinds.iter().filter(|heard| **heard == kind).count();
    assert_eq!([count(Kind::Ping), count(Kind::File), count(Kind::Query)], [800, 100, 100]);
    assert_eq!(balancer.connections(), 4);
    assert_eq!((report.answers_by_server["1"], report.answers_by_server["2"], report.answers_unnamed), (100, 100, 800));
    let latency = report.latency_us;
    assert_eq!((latency.count, report.latency_uncorrected_us, report.status()), (1_000, None, Status::Done));
    assert!(0.0 < latency.min && latency.min <= latency.p50 && latency.p50 <= latency.p99_9);
    assert!(latency.p99_9 <= latency.max && report.answers_per_s > 0.0 && report.rows == 200);
}

#[test]
fn each_request_can_have_a_connection_of_its_own() {
    let balancer = Balancer::start(honest);
    let report = run(&balancer, &["--clients", "2", "--requests", "20", "--new-connection"]);
    assert_eq!((counts(&report), balancer.connections()), ((20, 20, 0), 20));
    assert_eq!(report.bytes, 20 * 100, "a pong is 32 and 68 bytes");
}

#[test]
fn statements_can_be_told_apart() {
    let texts: Arc<Mutex<Vec<String>>> = Arc::default();
    let heard = Arc::clone(&texts);
    let balancer = Balancer::start(move |connection, asked| {
        heard.lock().unwrap().push(format!("{} {}", asked.header["client"].as_str().unwrap(), asked.body));
        changed(connection, asked.id)
    });
    let line = ["--clients", "3", "--requests", "30", "--request", "sql INSERT {n} {client} {random}", "--seed", "5"];
    assert_eq!(counts(&run(&balancer, &line)), (30, 30, 0));
    let texts = texts.lock().unwrap();
    let mut seen = BTreeSet::new();
    for text in &*texts {
        let words: Vec<&str> = text.split(' ').collect();
        assert_eq!((words[0], words[1]), (&*format!("load-{}", words[3]), "INSERT"), "{text}");
        assert!(seen.insert(words[2].parse::<u64>().unwrap()), "{text}");
    }
    assert!(seen.into_iter().eq(1..=30));
}

/// The first answer takes a second; the others come at once. An open loop of 100 requests a second goes on meanwhile.
#[test]
fn a_stall_shows_in_the_corrected_percentiles_only() {
    const STALL: Duration = Duration::from_secs(1);
    let (first, (_hold, held)) = (AtomicUsize::new(0), mpsc::channel::<()>());
    let held = Mutex::new(held);
    let balancer = Balancer::start(move |connection, asked| {
        if first.fetch_add(1, Ordering::SeqCst) == 0 {
            let _slow = held.lock().unwrap().recv_timeout(STALL);
        }
        honest(connection, asked)
    });
    let report = run(&balancer, &["--rate", "100", "--requests", "100"]);
    assert_eq!((counts(&report), report.unsent), ((100, 100, 0), 0));
    let (corrected, uncorrected) = (report.latency_us, report.latency_uncorrected_us.unwrap());
    // Request n was due at 10 n ms and answered after 1,000 ms at the earliest, so half of them took 500 ms and more.
    assert!(corrected.p50 >= 490_000.0 && corrected.mean >= 490_000.0, "{corrected:?}");
    assert!(uncorrected.p50 < corrected.p50 / 4.0, "{uncorrected:?} {corrected:?}");
    assert!(uncorrected.max >= 1e6 && corrected.max >= 1e6, "the stall itself is in both");
}

#[test]
fn what_was_due_and_never_sent_is_told() {
    let (_hold, held) = mpsc::channel::<()>();
    let held = Mutex::new(held);
    let balancer = Balancer::start(move |connection, asked| {
        let _slow = held.lock().unwrap().recv_timeout(Duration::from_millis(700));
        honest(connection, asked)
    });
    let report = run(&balancer, &["--rate", "100", "--duration", "500ms"]);
    assert_eq!((report.requests, report.unsent), (1, 49));
    assert!(report.to_string().contains("49 requests were due and never sent"), "{report}");
}

#[test]
fn the_warm_up_is_not_counted() {
    let balancer = Balancer::start(honest);
    let report = run(&balancer, &["--warmup", "50ms", "--requests", "7"]);
    assert_eq!(counts(&report), (7, 7, 0));
    assert!(balancer.requests() > 7, "{}", balancer.requests());
}

#[test]
fn errors_are_counted_by_their_codes() {
    let n = AtomicUsize::new(0);
    let balancer = Balancer::start(move |connection, asked| {
        let answer = match n.fetch_add(1, Ordering::SeqCst) % 4 {
            0 => error(asked.id, "busy", "Full.", true),
            1 => error(asked.id, "unknown-outcome", "Lost.", false),
            2 => return After::Close,
            _ => return changed(connection, asked.id),
        };
        let _ = connection.send_raw(&answer);
        After::GoOn
    });
    let report = run(&balancer, &["--requests", "40", "--request", "sql INSERT"]);
    assert_eq!(counts(&report), (40, 10, 30));
    let errors: Vec<(&str, bool, u64)> =
        report.errors_by_code.iter().map(|error| (error.code.as_str(), error.definite, error.count)).collect();
    assert_eq!(errors, [("unknown-outcome", false, 20), ("busy", true, 10)]);
    assert_eq!((report.settled.unsettled, report.unsettled.len(), report.status()), (20, 20, Status::Unknown));
    assert_eq!(report.latency_us.count, 10, "errors are in no percentile");
}

/// Ids as they arrived, and whether each was said to be repeated.
type Heard = Arc<Mutex<Vec<(RequestId, bool)>>>;

/// Loses the answer of each new statement, and says when asked again.
fn loses_first(again: &'static str) -> (Balancer, Heard) {
    let heard = Heard::default();
    let hears = Arc::clone(&heard);
    let balancer = Balancer::start(move |connection, asked| {
        hears.lock().unwrap().push((asked.id, asked.repeated));
        match again {
            _ if !asked.repeated => connection.send_raw(&error(asked.id, "unknown-outcome", "Lost.", false)).unwrap(),
            "done" => return changed(connection, asked.id),
            code => connection.send_raw(&error(asked.id, code, "No.", code != "expired")).unwrap(),
        }
        After::GoOn
    });
    (balancer, heard)
}

#[test]
fn unknown_outcomes_are_settled_under_the_same_id() {
    let (balancer, heard) = loses_first("done");
    let line = ["--clients", "2", "--requests", "10", "--settle", "--request", "sql INSERT {n}"];
    let report = run(&balancer, &line);
    assert_eq!((counts(&report), report.status()), ((10, 0, 10), Status::Done));
    let settled = report.settled;
    assert_eq!((settled.asked_again, settled.done, settled.failed, settled.unsettled), (10, 10, 0, 0));
    let heard = heard.lock().unwrap();
    let ids = |repeated| heard.iter().filter(|(_, was)| *was == repeated).map(|(id, _)| *id).collect::<BTreeSet<_>>();
    assert_eq!((ids(false).len(), ids(false)), (10, ids(true)));
}

#[test]
fn asking_again_ends_with_a_recorded_failure_with_a_lost_record_or_with_the_time() {
    let settled = |again| {
        let (balancer, heard) = loses_first(again);
        let report = run(&balancer, &["--requests", "1", "--settle=100ms", "--request", "sql INSERT"]);
        let asked = heard.lock().unwrap().len() as u64 - 1;
        assert_eq!(report.settled.asked_again, asked);
        (report.settled.failed, report.settled.unsettled, asked, report.status())
    };
    assert_eq!(settled("sql-error"), (1, 0, 1, Status::Failed));
    assert_eq!(settled("expired"), (0, 1, 1, Status::Unknown));
    let (failed, unsettled, asked, status) = settled("busy");
    assert_eq!((failed, unsettled, status), (0, 1, Status::Unknown));
    assert!((1..=10).contains(&asked), "{asked}");
}

#[test]
fn wrong_answers_are_no_answers() {
    let wrong = |line: &[&str], answer: fn(&mut Connection, &Asked) -> After| {
        let balancer = Balancer::start(answer);
        let report = run(&balancer, &[&["--requests", "3"], line].concat());
        assert_eq!(report.requests, 3);
        assert_eq!(report.status(), if report.settled.unsettled > 0 { Status::Unknown } else { Status::Failed });
        (report.answers, report.wrong)
    };
    let (answers, found) = wrong(&["--request", "file x"], |connection, asked| {
        let mut bytes = file(asked.id, b"abcdef", 3);
        let at = bytes.len() - bytes.iter().rev().position(|byte| *byte == b'f').unwrap() - 1;
        bytes[at] ^= 1;
        let _ = connection.send_raw(&bytes);
        After::GoOn
    });
    assert!(answers == 0 && found.digests + found.frames == 3, "{found:?}");
    let (answers, found) = wrong(&["--request", "sql SELECT", "--expect", "Black"], honest);
    assert_eq!((answers, found.values), (0, 3));
    let (answers, found) = wrong(&["--request", "sql SELECT"], |connection, asked| {
        let _ = connection.send_raw(&frame(Kind::Pong, asked.id, "", &[0; 68]));
        After::GoOn
    });
    assert_eq!((answers, found.frames), (0, 3));
    let (answers, found) = wrong(&[], |connection, asked| {
        let foreign = RequestId { client: 9, sequence: 9 };
        let _ = connection.send_raw(&frame(Kind::Pong, foreign, "", &[0; 68]));
        honest(connection, asked)
    });
    assert_eq!((answers, found.ids), (3, 3), "a foreign frame is dropped, and the right answer still taken");
}

#[test]
fn files_may_be_counted_only() {
    let balancer = Balancer::start(|connection, asked| {
        let _ = connection.send_raw(&frame(Kind::Head, asked.id, r#"{"type":"file","name":"x","size":600000}"#, b""));
        let _ = connection.send_raw(&frame(Kind::Data, asked.id, r#"{"sha256":""}"#, &vec![7; 600_000]));
        let _ = connection.send_raw(&frame(Kind::End, asked.id, r#"{"server":"1","sha256":""}"#, b""));
        After::GoOn
    });
    let line = ["--requests", "2", "--request", "file x"];
    assert_eq!(counts(&run(&balancer, &[&line[..], &["--no-verify"]].concat())), (2, 2, 0));
    assert_eq!(counts(&run(&balancer, &line)), (2, 0, 2));
}

#[test]
fn a_stop_ends_it_with_the_figures_so_far_although_nobody_answers() {
    let ((told, tells), (hold, held)) = (mpsc::channel(), mpsc::channel::<()>());
    let (told, held) = (Mutex::new(told), Mutex::new(held));
    let n = AtomicUsize::new(0);
    let balancer = Balancer::start(move |connection, asked| {
        if n.fetch_add(1, Ordering::SeqCst) < 5 {
            return honest(connection, asked);
        }
        told.lock().unwrap().send(()).unwrap();
        let _ = held.lock().unwrap().recv_timeout(LONG);
        After::Close
    });
    let stop = Stop::new();
    let stopper = stop.clone();
    let thread = std::thread::spawn(move || {
        tells.recv_timeout(LONG).unwrap();
        stopper.drain();
    });
    let report = run_until(&stop, &balancer, &["--duration", "1h", "--request", "sql INSERT {n}"]);
    thread.join().unwrap();
    assert_eq!((counts(&report), report.abandoned, report.interrupted), ((6, 5, 0), 1, true));
    assert_eq!(
        (&*report.unsettled[0].request, report.status()),
        ("INSERT 6", Status::Unknown),
        "it may be carried out"
    );
    drop(hold);
}

#[test]
fn nobody_there_is_an_error_a_request_and_not_a_storm() {
    let balancer = Balancer::start(honest);
    let address = balancer.address.to_string();
    drop(balancer);
    let args = Args::try_parse_from(["client load", "--balancer", &address, "--duration", "200ms"]).unwrap();
    let places = Places { root: std::env::temp_dir(), found: false };
    let report = load::run(args.into_plan(&places).unwrap(), &Stop::new(), None).unwrap();
    assert!((1..=10).contains(&report.errors), "{}", report.errors);
    assert_eq!((report.errors_by_code[0].code.as_str(), report.status()), ("unavailable", Status::Failed));
}

#[test]
fn the_program_prints_a_table_or_json_and_writes_a_timeline() {
    let (balancer, folder) = (Balancer::start(honest), tempfile::tempdir().unwrap());
    let program = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_client"));
        command.args(args).args(["--balancer", &balancer.address.to_string()]).current_dir(folder.path());
        let output = command.output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let (status, table, _) = program(&["load", "--requests", "5", "--request", "2:ping", "--timeline", "t.csv"]);
    assert_eq!(status, Some(0));
    assert!(table.contains("5 requests, 5 answers, 0 errors") && table.contains("p99.9"), "{table}");
    let timeline = std::fs::read_to_string(folder.path().join("t.csv")).unwrap();
    let mut lines = timeline.lines();
    assert_eq!(lines.next(), Some("second,requests,answers,errors,mean_us,p50_us,p99_us"));
    assert!(lines.next().unwrap().starts_with("0,"), "{timeline}");
    let (status, json, _) = program(&["load", "--requests", "5", "--rate", "1000", "--json", "--seed", "7"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        (status, &json["loop"], &json["answers"], &json["seed"]),
        (Some(0), &"open".into(), &5.into(), &7.into())
    );
    assert!(json["latency_us"]["p99_9"].is_number() && json["latency_uncorrected_us"]["count"] == 5, "{json}");
    assert_eq!(program(&["load", "--requests", "2", "--request", "SELEC"]).0, Some(1));
    let (status, _, why) = program(&["load", "--mix", "ping=80,files=1"]);
    assert!(status == Some(2) && why.contains("--mix"), "{why}");
    let (status, out, _) = program(&["--format", "csv", "load", "SELECT 1"]);
    assert!(status == Some(0) && out.starts_with("Name,HEX"), "a client may be called so, but not first: {out}");
}

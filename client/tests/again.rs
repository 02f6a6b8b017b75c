//! An answer is lost: the user is told how to ask again under the same id, and what comes of that.
#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

mod fake;

use client::status::Status;
use fake::{After, Asked, Balancer, client, error, frame, honest};
use protocol::{frame::Kind, id::RequestId, wire::Connection};
use std::{
    process::{Command, Output},
    sync::{Arc, Mutex},
};

const ID: &str = "5f1d3a9c00b7e214-0000000000000003";

/// Runs the program with these arguments.
fn run(balancer: &Balancer, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_client"));
    command.args(["--balancer", &balancer.address.to_string()]).args(args);
    command.current_dir(std::env::temp_dir()).output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// The arguments of the command that the error names, as a shell would split them.
fn copied(error: &str) -> Vec<String> {
    let line = error.lines().find_map(|line| line.trim().strip_prefix("cargo run -q -p client -- ")).unwrap();
    let shell = Command::new("sh").args(["-c", &format!("printf '%s\\n' {line}")]).output().unwrap();
    text(&shell.stdout).lines().map(str::to_owned).collect()
}

#[cfg(unix)]
#[test]
fn the_printed_command_asks_again_with_the_same_id_and_statement() {
    let heard: Arc<Mutex<Vec<(bool, RequestId, String)>>> = Arc::default();
    let hears = Arc::clone(&heard);
    let balancer = Balancer::start(move |connection, asked| {
        hears.lock().unwrap().push((asked.repeated, asked.id, asked.body.clone()));
        if asked.repeated { honest(connection, asked) } else { After::Close }
    });
    let first = run(&balancer, &["2", "INSERT INTO T VALUES ('it''s')"]);
    assert_eq!(first.status.code(), Some(3));
    let told = text(&first.stderr);
    assert!(told.contains("Its outcome is unknown"), "{told}");
    let mut again = Command::new(env!("CARGO_BIN_EXE_client"));
    let again = again.args(copied(told)).current_dir(std::env::temp_dir()).output().unwrap();
    assert_eq!(again.status.code(), Some(0), "{}", text(&again.stderr));
    assert!(text(&again.stdout).contains("No output (1 row changed)"));
    let heard = heard.lock().unwrap();
    assert_eq!((heard[0].0, heard[1].0), (false, true));
    assert_eq!((heard[0].1, &heard[0].2), (heard[1].1, &heard[1].2));
}

#[test]
fn only_the_recorded_outcome_settles_a_repeat() {
    let said = |code: &'static str, definite: bool| {
        let balancer = Balancer::start(move |connection, asked| {
            let _ = connection.send_raw(&error(asked.id, code, "No.", definite));
            After::GoOn
        });
        let output = run(&balancer, &["2", "--request-id", ID, "INSERT"]);
        (output.status.code(), text(&output.stderr).to_owned())
    };
    let (status, told) = said("busy", true);
    assert_eq!(status, Some(3), "busy says nothing about the first time: {told}");
    assert!(told.contains(&format!("client -- --request-id {ID} ")), "{told}");
    assert_eq!(said("sql-error", true).0, Some(1));
    let (status, told) = said("expired", false);
    assert!(status == Some(3) && told.contains("only the data can tell") && !told.contains("--request-id"), "{told}");
    let (status, told) = said("id-reused", true);
    assert!(status == Some(1) && told.contains("Repeat the statement as it was"), "{told}");
}

#[test]
fn when_to_ask_again_is_told_only_where_asking_again_cannot_do_it_twice() {
    let told = |definite: bool, request: &str| {
        let balancer = Balancer::start(move |connection, asked| {
            let header = format!(
                r#"{{"code":"unavailable","message":"No server takes requests.","definite":{definite},"retry_after_ms":1000}}"#
            );
            let _ = connection.send_raw(&frame(Kind::Error, asked.id, &header, b""));
            After::GoOn
        });
        text(&run(&balancer, &["2", request]).stderr).to_owned()
    };
    assert_eq!(told(true, "INSERT"), "No server takes requests.\nAsk again in 1 s.\n");
    assert_eq!(told(false, "file a"), "No server takes requests.\nAsk again in 1 s.\n", "a file changes nothing");
    let unknown = told(false, "INSERT");
    assert!(!unknown.contains("Ask again in"), "{unknown}");
    assert!(unknown.contains("Its outcome is unknown") && unknown.contains("--request-id"), "{unknown}");
}

#[test]
fn nobody_there_settles_nothing_either() {
    let balancer = Balancer::start(honest);
    let address = balancer.address.to_string();
    drop(balancer);
    let mut command = Command::new(env!("CARGO_BIN_EXE_client"));
    let command = command.args(["2", "INSERT", "--balancer", &address]).current_dir(std::env::temp_dir());
    assert_eq!(command.output().unwrap().status.code(), Some(1), "a new request surely did nothing");
    assert_eq!(command.args(["--request-id", ID]).output().unwrap().status.code(), Some(3));
}

#[test]
fn wrong_usage() {
    let balancer = Balancer::start(honest);
    for args in [&["2", "--request-id", ID][..], &["2", "--request-id", ID, "A", "B"], &["2", "--request-id", "7", "A"]]
    {
        assert_eq!(run(&balancer, args).status.code(), Some(2), "{args:?}");
    }
    assert_eq!(balancer.requests(), 0);
}

/// Says which low-water mark came with the statement, as the number of changed rows.
fn marks(connection: &mut Connection, asked: &Asked) -> After {
    if asked.body == "LOSE" {
        return After::Close;
    }
    let mark = asked.header["low_water"].as_u64().unwrap_or(0);
    let head = format!(r#"{{"type":"changed","rows":{mark}}}"#);
    let answer =
        [frame(Kind::Head, asked.id, &head, b""), frame(Kind::End, asked.id, r#"{"server":"3"}"#, b"")].concat();
    if connection.send_raw(&answer).is_ok() { After::GoOn } else { After::Close }
}

#[test]
fn the_low_water_mark_follows_what_is_settled_and_stops_at_what_is_not() {
    let balancer = Balancer::start(marks);
    let folder = tempfile::tempdir().unwrap();
    let mut client = client(balancer.address, folder.path());
    for statement in ["INSERT", "INSERT", "LOSE", "INSERT", "INSERT"] {
        client.session.handle(statement);
    }
    let told = client.out.text();
    let marks: Vec<&str> = told.lines().filter(|line| line.starts_with("No output")).collect();
    let changed = |n| format!("No output ({n} rows changed)");
    assert_eq!(marks, ["No output (1 row changed)", &changed(2), &changed(3), &changed(3)], "{told}");
    assert_eq!(client.session.status(), Status::Unknown);
}

#[test]
fn a_ping_tells_its_time() {
    let balancer = Balancer::start(honest);
    let output = run(&balancer, &["2", "\\ping"]);
    let told = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(told.starts_with("Pong after ") && told.ends_with(" µs\n") && told.lines().count() == 1, "{told}");
    let output = run(&balancer, &["2", "--format", "json", "\\ping"]);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(json["rows"][0][0].as_f64().unwrap() > 0.0 && json["columns"][0] == "microseconds", "{json}");
}

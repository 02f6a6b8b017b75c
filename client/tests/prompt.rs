//! The prompt on a pseudo-terminal: history, statements of several lines, completion, Ctrl-C and Ctrl-D.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

mod fake;

use fake::{After, Balancer, LONG, honest};
use protocol::frame::Kind;
use rexpect::session::{PtySession, spawn_command};
use std::{io::Write, path::Path, process::Command, sync::mpsc};

const PROMPT: &str = "Enter query: ";
const CONTINUATION: &str = "        ...> ";

/// A client at a terminal, in a laboratory of its own.
fn terminal(balancer: &Balancer, lab: &Path, args: &[&str]) -> PtySession {
    std::fs::write(lab.join("servers.json"), "[]").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_client"));
    command.current_dir(lab).arg("2").args(args).args(["--format", "blocks"]);
    command.arg("--balancer").arg(balancer.address.to_string());
    command.env("TERM", "xterm").env_remove("NO_COLOR");
    let session = spawn_command(command, Some(LONG.as_millis() as u64)).unwrap();
    let mut session = session;
    session.exp_string(PROMPT).unwrap();
    session
}

/// Types a line, and waits for what must be printed and for the next prompt.
fn ask(terminal: &mut PtySession, line: &str, expected: &[&str]) {
    terminal.send_line(line).unwrap();
    for words in expected {
        terminal.exp_string(words).unwrap_or_else(|error| panic!("{line:?} did not print {words:?}: {error}"));
    }
    terminal.exp_string(PROMPT).unwrap();
}

/// Presses keys, without Enter; or lets any bytes arrive, all of them.
fn press(terminal: &mut PtySession, keys: impl AsRef<[u8]>) {
    terminal.process().get_file_handle().unwrap().write_all(keys.as_ref()).unwrap();
}

/// Ctrl-D, and the status of the program.
fn end(mut terminal: PtySession) -> i32 {
    terminal.send_control('d').unwrap();
    ended(terminal)
}

fn ended(mut terminal: PtySession) -> i32 {
    let _ = terminal.exp_eof();
    // `Exited(Pid(123), 0)`: the type itself cannot be named from here.
    let status = format!("{:?}", terminal.process().wait().unwrap());
    let code = status.strip_prefix("Exited(").and_then(|rest| rest.split(", ").nth(1)?.strip_suffix(')')?.parse().ok());
    code.unwrap_or_else(|| panic!("{status}"))
}

#[test]
fn a_walk_through_the_prompt() {
    let (balancer, lab) = (Balancer::start(honest), tempfile::tempdir().unwrap());
    let mut terminal = terminal(&balancer, lab.path(), &[]);
    let file = [
        "Sending request from client 2",
        "Preparing to receive the file: colors.csv",
        "received successfully!",
        "Time taken: 0.",
    ];
    ask(&mut terminal, "file colors.csv", &file);
    ask(
        &mut terminal,
        "SELECT * FROM COLORS;",
        &["Name: White", "HEX: #FFFFFF", "Answered by server 2", "Time taken: 0."],
    );
    ask(&mut terminal, "INSERT INTO COLORS VALUES (1);", &["No output (1 row changed)"]);
    ask(&mut terminal, "file", &["Which file?"]);
    ask(&mut terminal, "\\help", &["\\servers", "\\quit"]);
    ask(&mut terminal, "\\timing", &["Timing is off."]);
    ask(&mut terminal, "\\servers", &["state: idle"]);
    ask(&mut terminal, "", &[]);
    terminal.send_line("\\quit").unwrap();
    assert_eq!(ended(terminal), 0);
    assert_eq!((balancer.requests(), balancer.connections()), (4, 1));
    assert_eq!(fake::names(&lab.path().join("received")), ["colors.csv"]);
}

#[test]
fn sql_goes_on_over_several_lines() {
    let (balancer, lab) = (Balancer::start(honest), tempfile::tempdir().unwrap());
    let mut terminal = terminal(&balancer, lab.path(), &[]);
    terminal.send_line("SELECT ';'").unwrap();
    terminal.exp_string(CONTINUATION).unwrap();
    terminal.send_line("-- not yet;").unwrap();
    terminal.exp_string(CONTINUATION).unwrap();
    ask(&mut terminal, "FROM COLORS;", &["Name: White"]);
    terminal.send_line("SELECT 1").unwrap();
    terminal.exp_string(CONTINUATION).unwrap();
    ask(&mut terminal, "", &["Name: White"]);
    assert_eq!(end(terminal), 0);
    assert_eq!(balancer.requests(), 2);
}

#[test]
fn commands_between_the_lines_of_a_statement_are_carried_out() {
    let ((balancer, asked), lab) = (attentive(|| {}), tempfile::tempdir().unwrap());
    let mut terminal = terminal(&balancer, lab.path(), &[]);
    let mut goes_on = |line: &str, expected: &str| {
        terminal.send_line(line).unwrap();
        terminal.exp_string(expected).unwrap();
        terminal.exp_string(CONTINUATION).unwrap();
    };
    goes_on("SELECT Name", "");
    goes_on("\\help", "with commands between them");
    goes_on("\\servers", "state: idle");
    goes_on("FROM COLORS WHERE Name <> '", "");
    goes_on("\\quit", "Inside quotes or a comment that is a part of the statement.");
    ask(&mut terminal, "';", &["Name: White"]);
    let asked: Vec<String> = asked.try_iter().collect();
    assert_eq!(asked, ["", "SELECT Name\nFROM COLORS WHERE Name <> '\n\\quit\n';"]);
    terminal.send_line("DELETE FROM COLORS").unwrap();
    terminal.exp_string(CONTINUATION).unwrap();
    terminal.send_line("\\quit").unwrap();
    assert_eq!(ended(terminal), 0);
    assert_eq!(balancer.requests(), 2, "what was not finished was not sent");
}

#[test]
fn ctrl_c_gives_up_what_was_typed_and_ctrl_d_ends() {
    let (balancer, lab) = (Balancer::start(honest), tempfile::tempdir().unwrap());
    let mut terminal = terminal(&balancer, lab.path(), &[]);
    press(&mut terminal, "INSERT something");
    terminal.exp_string("INSERT something").unwrap();
    terminal.send_control('c').unwrap();
    terminal.exp_string(PROMPT).unwrap();
    terminal.send_line("INSERT").unwrap();
    terminal.exp_string(CONTINUATION).unwrap();
    terminal.send_control('c').unwrap();
    terminal.exp_string(PROMPT).unwrap();
    terminal.send_control('c').unwrap();
    terminal.exp_string("To end, type \\quit or press Ctrl-D.").unwrap();
    terminal.exp_string(PROMPT).unwrap();
    ask(&mut terminal, "SELECT 1;", &["Name: White"]);
    assert_eq!(end(terminal), 0);
    assert_eq!(balancer.requests(), 1, "nothing of what was given up was sent");
}

#[test]
fn history_reaches_back_to_the_last_time() {
    let (balancer, lab) = (Balancer::start(honest), tempfile::tempdir().unwrap());
    let mut first = terminal(&balancer, lab.path(), &[]);
    first.send_line("SELECT 'two").unwrap();
    first.exp_string(CONTINUATION).unwrap();
    ask(&mut first, "lines';", &["Name: White"]);
    ask(&mut first, "file nothing", &["File nothing not found in server!"]);
    assert_eq!(end(first), 0);
    assert!(lab.path().join("runs/client-history").is_file());

    let mut second = terminal(&balancer, lab.path(), &[]);
    press(&mut second, "\x1b[A");
    second.exp_string("file nothing").unwrap();
    press(&mut second, "\x1b[A");
    second.exp_string("lines';").unwrap();
    ask(&mut second, "", &["Name: White"]);
    assert_eq!(end(second), 0);
    assert_eq!(balancer.requests(), 3);
}

#[test]
fn history_in_a_file_of_its_own() {
    let (balancer, lab) = (Balancer::start(honest), tempfile::tempdir().unwrap());
    let mut terminal = terminal(&balancer, lab.path(), &["--history", "mine"]);
    ask(&mut terminal, "SELECT 1;", &["Name: White"]);
    assert_eq!(end(terminal), 0);
    assert!(std::fs::read_to_string(lab.path().join("mine")).unwrap().contains("SELECT 1;"));
    assert!(!lab.path().join("runs").exists());
}

#[test]
fn tab_completes_what_is_known() {
    let (balancer, lab) = (Balancer::start(honest), tempfile::tempdir().unwrap());
    let mut terminal = terminal(&balancer, lab.path(), &[]);
    press(&mut terminal, "\\se\t");
    terminal.exp_string("\\servers").unwrap();
    ask(&mut terminal, "", &["state: idle"]);
    ask(&mut terminal, "file colors.csv", &["received successfully!"]);
    press(&mut terminal, "file c\t");
    terminal.exp_string("file colors.csv").unwrap();
    ask(&mut terminal, "", &["same content already"]);
    assert_eq!(end(terminal), 0);
}

#[test]
fn pasted_lines_are_taken_one_by_one() {
    let (balancer, lab) = (Balancer::start(honest), tempfile::tempdir().unwrap());
    let mut terminal = terminal(&balancer, lab.path(), &[]);
    press(&mut terminal, "\x1b[200~SELECT 1;\nSELECT\n2;\x1b[201~");
    ask(&mut terminal, "", &["Name: White", "Name: White"]);
    assert_eq!(end(terminal), 0);
    assert_eq!(balancer.requests(), 2);
}

/// A load balancer that says what it was asked, and is honest once it may be.
fn attentive(may_answer: impl Fn() + Send + Sync + 'static) -> (Balancer, mpsc::Receiver<String>) {
    let (asks, asked) = mpsc::channel();
    let asks = std::sync::Mutex::new(asks);
    let balancer = Balancer::start(move |connection, request| {
        asks.lock().unwrap().send(request.body.clone()).unwrap();
        may_answer();
        honest(connection, request)
    });
    (balancer, asked)
}

#[test]
fn lines_that_arrive_together_are_taken_one_by_one() {
    let ((balancer, asked), lab) = (attentive(|| {}), tempfile::tempdir().unwrap());
    let mut terminal = terminal(&balancer, lab.path(), &[]);
    // More than the editor and the terminal hold at once: 1 and 4 KiB.
    let statements: Vec<String> = (0..200).map(|n| format!("SELECT {n} FROM COLORS WHERE Name = 'White';")).collect();
    press(&mut terminal, statements.join("\r") + "\r");
    for statement in &statements {
        assert_eq!(asked.recv_timeout(LONG).as_ref(), Ok(statement));
    }
    press(&mut terminal, "DELETE FROM COLORS\rWHERE Name = 'White';\r");
    assert_eq!(asked.recv_timeout(LONG).unwrap(), "DELETE FROM COLORS\nWHERE Name = 'White';");
    terminal.exp_string("syntax error").unwrap();
    terminal.exp_string(PROMPT).unwrap();
    assert_eq!(end(terminal), 0);
}

#[cfg(target_os = "linux")]
#[test]
fn lines_that_arrive_while_a_request_runs_are_kept() {
    use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
    let (lets, let_go) = mpsc::channel();
    let let_go = std::sync::Mutex::new(let_go);
    let (balancer, asked) = attentive(move || let_go.lock().unwrap().recv_timeout(LONG).unwrap());
    let lab = tempfile::tempdir().unwrap();
    let mut terminal = terminal(&balancer, lab.path(), &[]);
    terminal.send_line("SELECT 1;").unwrap();
    assert_eq!(asked.recv_timeout(LONG).unwrap(), "SELECT 1;");
    // The terminal itself shows what is typed now, so that it is known to have it.
    let master = terminal.process().get_file_handle().unwrap();
    let mut modes = tcgetattr(&master).unwrap();
    modes.local_modes |= LocalModes::ECHO;
    tcsetattr(&master, OptionalActions::Now, &modes).unwrap();
    press(&mut terminal, "SELECT 2;\nSELECT 3;\nSELECT");
    terminal.exp_string("SELECT 2;\r\nSELECT 3;\r\nSELECT").unwrap();
    for statement in ["SELECT 2;", "SELECT 3;"] {
        lets.send(()).unwrap();
        assert_eq!(asked.recv_timeout(LONG).unwrap(), statement);
    }
    lets.send(()).unwrap();
    terminal.exp_string("Name: White").unwrap();
    press(&mut terminal, " 4;\r");
    assert_eq!(asked.recv_timeout(LONG).unwrap(), "SELECT 4;");
    lets.send(()).unwrap();
    terminal.exp_string("SELECT 4;").unwrap();
    terminal.exp_string("Name: White").unwrap();
    terminal.exp_string(PROMPT).unwrap();
    assert_eq!(end(terminal), 0);
}

#[test]
fn bytes_that_are_no_text_are_refused_and_the_prompt_returns() {
    let ((balancer, asked), lab) = (attentive(|| {}), tempfile::tempdir().unwrap());
    let mut terminal = terminal(&balancer, lab.path(), &[]);
    // ISO 8859-1: alone, within a line, cut off by Enter, and in the second line of a statement.
    for bytes in [&b"\xFC"[..], b"SELECT 'gr\xFCn';\r", b"SELECT 'Schn\xE4\r"] {
        press(&mut terminal, bytes);
        terminal.exp_string("The line is not UTF-8 text.").unwrap();
        terminal.exp_string(PROMPT).unwrap();
    }
    terminal.send_line("DELETE FROM COLORS").unwrap();
    terminal.exp_string(CONTINUATION).unwrap();
    press(&mut terminal, b"WHERE Name = 'Gr\xFCn'\r\r;\r");
    terminal.exp_string("The line is not UTF-8 text.").unwrap();
    terminal.exp_string("is dropped, and was not sent").unwrap();
    terminal.exp_string(PROMPT).unwrap();
    ask(&mut terminal, "SELECT 'grün';", &["Name: White"]);
    assert_eq!(asked.recv_timeout(LONG).unwrap(), "SELECT 'grün';", "nothing else was sent");
    assert_eq!(end(terminal), 0);
}

#[test]
fn bytes_that_are_no_text_are_a_failed_request_for_once() {
    let (balancer, lab) = (Balancer::start(honest), tempfile::tempdir().unwrap());
    let mut terminal = terminal(&balancer, lab.path(), &["--once"]);
    press(&mut terminal, b"\xE4\r");
    terminal.exp_string("The line is not UTF-8 text.").unwrap();
    assert_eq!(ended(terminal), 1);
}

#[test]
fn once_ends_after_one_request_with_its_status() {
    let (balancer, lab) = (Balancer::start(honest), tempfile::tempdir().unwrap());
    let mut terminal = terminal(&balancer, lab.path(), &["--once"]);
    ask(&mut terminal, "", &[]);
    terminal.send_line("file nothing").unwrap();
    assert_eq!(ended(terminal), 1);
}

#[test]
fn ctrl_c_takes_back_a_running_request_and_the_prompt_returns() {
    let (told, tells) = std::sync::mpsc::channel();
    let told = std::sync::Mutex::new(told);
    let balancer = Balancer::start(move |connection, asked| {
        if asked.body.starts_with("SELECT") {
            return honest(connection, asked);
        }
        told.lock().unwrap().send(()).unwrap();
        match fake::next_request(connection) {
            Some(cancel) if cancel.kind == Kind::Cancel && cancel.id == asked.id => {
                let _ = connection.send_raw(&fake::error(asked.id, "cancelled", "Taken back.", true));
                After::GoOn
            }
            _ => After::Close,
        }
    });
    let lab = tempfile::tempdir().unwrap();
    let mut terminal = terminal(&balancer, lab.path(), &[]);
    // Twice, because what ends the program the second time would go unseen the first.
    for _ in 0..2 {
        terminal.send_line("UPDATE COLORS SET HEX = 1;").unwrap();
        tells.recv_timeout(LONG).unwrap();
        terminal.send_control('c').unwrap();
        terminal.exp_string("Taken back.").unwrap();
        terminal.exp_string(PROMPT).unwrap();
        ask(&mut terminal, "SELECT 1;", &["Name: White"]);
    }
    assert_eq!(end(terminal), 0);
    assert_eq!(balancer.connections(), 1);
}

#[test]
fn ctrl_c_during_a_request_drops_the_lines_behind_it() {
    let (asks, asked) = mpsc::channel();
    let asks = std::sync::Mutex::new(asks);
    let balancer = Balancer::start(move |connection, request| {
        asks.lock().unwrap().send(request.body.clone()).unwrap();
        if request.body.starts_with("SELECT") {
            return honest(connection, request);
        }
        let taken_back = fake::next_request(connection).is_some_and(|next| next.kind == Kind::Cancel);
        let _ = connection.send_raw(&fake::error(request.id, "cancelled", "Taken back.", true));
        if taken_back { After::GoOn } else { After::Close }
    });
    let lab = tempfile::tempdir().unwrap();
    let mut terminal = terminal(&balancer, lab.path(), &[]);
    ask(&mut terminal, "SELECT 1;", &["Name: White"]);
    press(&mut terminal, "UPDATE COLORS SET HEX = 1;\rSELECT 2;\rSELECT\r");
    assert_eq!(
        (asked.recv_timeout(LONG).unwrap(), asked.recv_timeout(LONG).unwrap().as_str()),
        ("SELECT 1;".into(), "UPDATE COLORS SET HEX = 1;")
    );
    terminal.send_control('c').unwrap();
    terminal.exp_string("Taken back.").unwrap();
    terminal.exp_string(PROMPT).unwrap();
    press(&mut terminal, "\x1b[A\x1b[A");
    terminal.exp_string("SELECT 1;").unwrap();
    press(&mut terminal, "\r");
    assert_eq!(asked.recv_timeout(LONG).unwrap(), "SELECT 1;", "and the history is as it was");
    terminal.exp_string("Name: White").unwrap();
    terminal.exp_string(PROMPT).unwrap();
    assert_eq!(end(terminal), 0);
}

#[cfg(target_os = "linux")]
#[test]
fn a_client_that_is_ended_at_its_prompt_gives_the_terminal_back() {
    use rustix::{
        process::{Signal, kill_process_group},
        termios::{LocalModes, tcgetattr, tcgetpgrp},
    };
    let (balancer, lab) = (Balancer::start(honest), tempfile::tempdir().unwrap());
    let terminal = terminal(&balancer, lab.path(), &[]);
    let master = terminal.process().get_file_handle().unwrap();
    let by_lines = || tcgetattr(&master).unwrap().local_modes.contains(LocalModes::ICANON | LocalModes::ISIG);
    assert!(!by_lines(), "the prompt reads key by key");
    kill_process_group(tcgetpgrp(&master).unwrap(), Signal::TERM).unwrap();
    assert_eq!(ended(terminal), 143);
    assert!(by_lines());
}

//! `client students load` on a pseudo-terminal, at a table that answers when the test says so: the bar, and Ctrl-C in the middle.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

use protocol::stop::SAME_PRESS;
use rexpect::session::{PtySession, spawn_command};
use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    sync::mpsc::{Sender, channel},
    thread,
};

/// How long anything may take before a test fails, in milliseconds.
const LONG: u64 = 60_000;

/// A table that adds what it is told, each call when the test allows it.
fn table() -> (SocketAddr, Sender<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, (allow, allowed)) = (listener.local_addr().unwrap(), channel());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            read(&mut stream);
            if allowed.recv().is_err() {
                return;
            }
            let body = r#"{"message":"2 Data entries added","status":"success"}"#;
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            stream.write_all((head + body).as_bytes()).unwrap();
        }
    });
    (address, allow)
}

/// Reads a request to its end.
fn read(stream: &mut TcpStream) {
    let mut reader = BufReader::new(stream);
    let (mut length, mut line) = (0, String::new());
    while reader.read_line(&mut line).unwrap() > 2 {
        let value =
            line.to_ascii_lowercase().strip_prefix("content-length:").map(|value| value.trim().parse().unwrap());
        length = value.unwrap_or(length);
        line.clear();
    }
    reader.read_exact(&mut vec![0; length]).unwrap();
}

fn six(folder: &Path) -> PathBuf {
    let path = folder.join("six.csv");
    fs::write(&path, "Stud_id,Stud_name,Stud_marks\n1,A,1\n2,B,1\n3,C,1\n4,D,1\n5,E,1\n6,F,1\n").unwrap();
    path
}

fn load(table: SocketAddr, file: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_client"));
    command.args(["students", "load"]).arg(file).args(["--batch", "2", "--balancer", &table.to_string()]);
    command.env("TERM", "xterm").env_remove("NO_COLOR");
    command
}

fn sees(terminal: &mut PtySession, words: &str) {
    terminal.exp_string(words).unwrap_or_else(|error| panic!("no {words:?}: {error}"));
}

fn status(mut terminal: PtySession) -> String {
    let _ = terminal.exp_eof();
    // `Exited(Pid(123), 0)`: the type itself cannot be named from here.
    let status = format!("{:?}", terminal.process().wait().unwrap());
    status.rsplit_once(", ").map_or(status.clone(), |(_, code)| code.trim_end_matches(')').to_owned())
}

#[test]
fn a_bar_shows_on_a_terminal_how_far_it_is() {
    let (folder, (table, allow)) = (tempfile::tempdir().unwrap(), table());
    let mut terminal = spawn_command(load(table, &six(folder.path())), Some(LONG)).unwrap();
    sees(&mut terminal, "0 of 6 rows");
    for done in ["2 of 6 rows", "4 of 6 rows"] {
        allow.send(()).unwrap();
        sees(&mut terminal, done);
    }
    allow.send(()).unwrap();
    sees(&mut terminal, "6 rows written");
    assert_eq!(status(terminal), "0");
}

#[test]
fn there_is_no_bar_in_a_pipe() {
    let (folder, (table, allow)) = (tempfile::tempdir().unwrap(), table());
    (0..3).for_each(|_| allow.send(()).unwrap());
    let output = load(table, &six(folder.path())).output().unwrap();
    assert_eq!((output.stdout.as_slice(), output.stderr.as_slice()), (&b"6 rows written\n"[..], &b""[..]));
}

#[test]
fn ctrl_c_ends_after_the_batch_that_is_under_way_and_tells_how_to_go_on() {
    let (folder, (table, allow)) = (tempfile::tempdir().unwrap(), table());
    let file = six(folder.path());
    let mut terminal = spawn_command(load(table, &file), Some(LONG)).unwrap();
    allow.send(()).unwrap();
    sees(&mut terminal, "2 of 6 rows");
    terminal.send_control('c').unwrap();
    sees(&mut terminal, "Interrupted: the batch that is under way is finished first. Once more ends at once.");
    allow.send(()).unwrap();
    sees(&mut terminal, "Written: 4 of 6 rows, those before line 6. Lines 6 to 7: not written.");
    sees(&mut terminal, "To go on: the same with --from 6.");
    assert_eq!(status(terminal), "1");
    allow.send(()).unwrap();
    let output = load(table, &file).args(["--from", "6"]).output().unwrap();
    assert_eq!(output.stdout, b"2 rows written\n");
}

#[test]
fn ctrl_c_twice_ends_at_once() {
    let (folder, (table, _nobody_answers)) = (tempfile::tempdir().unwrap(), table());
    let mut terminal = spawn_command(load(table, &six(folder.path())), Some(LONG)).unwrap();
    sees(&mut terminal, "0 of 6 rows");
    terminal.send_control('c').unwrap();
    sees(&mut terminal, "Once more ends at once.");
    // What comes sooner is the same press.
    thread::sleep(SAME_PRESS);
    terminal.send_control('c').unwrap();
    assert_eq!(status(terminal), "130");
}

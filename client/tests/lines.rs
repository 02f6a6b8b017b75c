//! The program itself, driven over pipes and from the command line: what it prints where, and its exit status.
#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

mod fake;

use fake::{After, Balancer, LONG, honest};
use std::{
    io::{Read, Write},
    path::Path,
    process::{Command, Output, Stdio},
};

/// Starts `client 2` with these arguments and this input, in a folder of its own.
fn run(balancer: &Balancer, folder: &Path, args: &[&str], input: &[u8]) -> Output {
    let mut child = command(balancer, folder, args).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writer = std::thread::spawn(move || {
        let _ = stdin.write_all(&input);
    });
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    output
}

fn command(balancer: &Balancer, folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_client"));
    command.current_dir(folder).arg("2").args(args).arg("--balancer").arg(balancer.address.to_string());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn each_line_of_a_pipe_is_a_request() {
    let (balancer, folder) = (Balancer::start(honest), tempfile::tempdir().unwrap());
    let input = b"SELECT 1\n\n  \nINSERT INTO x\nfile colors.csv\nFILE \"zo\xc3\xab's file.bin\"";
    let output = run(&balancer, folder.path(), &["--format", "blocks"], input);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let told = text(&output.stdout);
    assert!(
        told.contains("Name: White\nHEX: #FFFFFF\n\nName: Silver\nHEX: #C0C0C0\nAnswered by server 2\nTime taken: 0.")
    );
    assert!(told.contains("No output (1 row changed)\n") && told.contains("File colors.csv received successfully!\n"));
    assert!(!told.contains("Enter query"), "no prompt on a pipe");
    assert_eq!(fake::names(&folder.path().join("received")), ["colors.csv", "zoë's file.bin"]);
    assert_eq!((balancer.connections(), balancer.requests()), (1, 4));
    assert_eq!(text(&output.stderr), "");
}

#[test]
fn the_status_is_that_of_the_worst_request() {
    let (balancer, folder) = (Balancer::start(honest), tempfile::tempdir().unwrap());
    let status = |input: &str| run(&balancer, folder.path(), &[], input.as_bytes()).status.code();
    assert_eq!(status(""), Some(0));
    assert_eq!(status("SELECT 1\nfile nothing\nSELECT 1\n"), Some(1));
    assert_eq!(status("SELEC\n"), Some(1));
    assert_eq!(status("file\n"), Some(1));
    assert_eq!(status("\\nonsense\n"), Some(1));
    assert_eq!(status("LOSE\nfile nothing\nSELECT 1\n"), Some(3));
    assert_eq!(status("\\quit\nfile nothing\n"), Some(0));
    let not_found = run(&balancer, folder.path(), &["file nothing.txt"], b"");
    assert!(text(&not_found.stderr).contains("File nothing.txt not found in server!"));
}

#[test]
fn a_file_that_is_not_there_is_not_looked_for_with_the_semicolon_of_sql() {
    let (balancer, folder) = (Balancer::start(honest), tempfile::tempdir().unwrap());
    let told = |input: &str| text(&run(&balancer, folder.path(), &[], input.as_bytes()).stderr).to_owned();
    assert_eq!(
        told("file colors.csv ;\n"),
        "File colors.csv ; not found in server!\nDo you mean file colors.csv, without the semicolon?\n"
    );
    assert_eq!(told("file a;b\n"), "File a;b not found in server!\n");
    assert_eq!(told("SELEC;\n"), "near SELEC: syntax error\n");
}

#[test]
fn wrong_usage_is_2_and_help_is_0() {
    let (balancer, folder) = (Balancer::start(honest), tempfile::tempdir().unwrap());
    let code = |args: &[&str]| run(&balancer, folder.path(), args, b"SELECT 1\n").status.code();
    assert_eq!(code(&["--format", "xml"]), Some(2));
    assert_eq!(code(&["--request-timeout", "soon"]), Some(2));
    assert_eq!(code(&["--help"]), Some(0));
    let weird = |id: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_client"));
        command.args(["--balancer", &balancer.address.to_string(), "--", id, "SELECT 1"]).current_dir(folder.path());
        command.output().unwrap()
    };
    assert_eq!(weird("").status.code(), Some(2));
    assert_eq!(weird("\u{1b}[2J").status.code(), Some(2));
    assert_eq!(weird(&"x".repeat(65)).status.code(), Some(2));
    let zoe = weird("Zoë 7");
    assert_eq!(zoe.status.code(), Some(0));
    assert!(text(&zoe.stdout).starts_with("Sending request from client Zoë 7\n"));
}

#[test]
fn json_is_one_object_a_line_and_nothing_else() {
    let (balancer, folder) = (Balancer::start(honest), tempfile::tempdir().unwrap());
    let input = b"SELECT 1\nINSERT\nfile colors.csv\nSELEC\nfile\n\\servers\nLOSE\n\xff\xff\n";
    let output = run(&balancer, folder.path(), &["--format", "json"], input);
    assert_eq!(output.status.code(), Some(3));
    assert_eq!(text(&output.stderr), "");
    let lines: Vec<serde_json::Value> =
        text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 8);
    assert_eq!(lines[0]["columns"], serde_json::json!(["Name", "HEX"]));
    assert_eq!(lines[0]["rows"][1], serde_json::json!(["Silver", "#C0C0C0"]));
    assert_eq!((lines[0]["server"].as_str(), lines[0]["request"].as_str()), (Some("2"), Some("SELECT 1")));
    assert!(lines[0]["seconds"].as_f64().is_some_and(|seconds| seconds > 0.0));
    assert_eq!(lines[1]["changed"], 1);
    assert_eq!((&lines[2]["file"], &lines[2]["size"]), (&"colors.csv".into(), &23.into()));
    assert_eq!(lines[2]["sha256"].as_str().map(str::len), Some(64));
    assert_eq!((&lines[3]["error"]["code"], &lines[3]["error"]["definite"]), (&"sql-error".into(), &true.into()));
    assert_eq!(lines[4]["error"]["code"], "bad-request");
    assert_eq!((&lines[5]["rows"][0][2], &lines[5]["columns"][8]), (&"idle".into(), &"reason".into()));
    assert_eq!(
        (&lines[6]["error"]["code"], &lines[6]["error"]["definite"]),
        (&"unknown-outcome".into(), &false.into())
    );
    assert_eq!(lines[7]["error"]["code"], "bad-request");
}

#[test]
fn csv_on_stdout_is_data_alone() {
    let (balancer, folder) = (Balancer::start(honest), tempfile::tempdir().unwrap());
    let output = run(&balancer, folder.path(), &["--format", "csv", "SELECT 1", "file colors.csv"], b"");
    assert_eq!(text(&output.stdout), "Name,HEX\r\nWhite,#FFFFFF\r\nSilver,#C0C0C0\r\n");
    assert!(text(&output.stderr).contains("File colors.csv received successfully!"));
    let quiet = run(&balancer, folder.path(), &["--format", "csv", "--quiet", "SELECT 1"], b"");
    assert_eq!(text(&quiet.stderr), "");
}

#[test]
fn once_ends_after_one_request() {
    let (balancer, folder) = (Balancer::start(honest), tempfile::tempdir().unwrap());
    let output = run(&balancer, folder.path(), &["--once"], b"\nSELECT 1\nfile nothing\n");
    assert_eq!((output.status.code(), balancer.requests()), (Some(0), 1));
    run(&balancer, folder.path(), &["--once", "SELECT 1", "SELECT 2"], b"");
    assert_eq!(balancer.requests(), 2);
}

#[test]
fn a_table_of_servers() {
    let (balancer, folder) = (Balancer::start(honest), tempfile::tempdir().unwrap());
    let output = run(&balancer, folder.path(), &["\\servers"], b"");
    let told = text(&output.stdout);
    assert!(told.contains("| 1      | 127.0.0.1:6001 | idle  |"), "{told}");
    assert!(!told.contains("Sending request") && !told.contains("reason"), "{told}");
}

#[test]
fn no_load_balancer_says_what_to_do() {
    let (balancer, folder) = (Balancer::start(honest), tempfile::tempdir().unwrap());
    let address = balancer.address;
    let mut command = command(&balancer, folder.path(), &["SELECT 1"]);
    drop(balancer);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let err = text(&output.stderr);
    assert!(err.contains(&format!("No load balancer can be reached at {address} (nobody listens there)")), "{err}");
}

#[cfg(unix)]
#[test]
fn a_reader_that_goes_away_is_no_reason_to_panic() {
    let (balancer, folder) = (Balancer::start(honest), tempfile::tempdir().unwrap());
    // Shut down, not closed: a child that another test begins just now may hold a copy of whatever is open here.
    let (reader, stdout) = std::os::unix::net::UnixStream::pair().unwrap();
    reader.shutdown(std::net::Shutdown::Both).unwrap();
    let stdout = std::os::fd::OwnedFd::from(stdout);
    let mut child = command(&balancer, folder.path(), &["--quiet"]).stdout(stdout).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let _ = stdin.write_all(&b"SELECT 1\n".repeat(100));
    let mut err = String::new();
    child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    drop(stdin);
    assert!(child.wait().unwrap().code().is_some_and(|code| code == 1 || code == 3), "{err}");
    assert!(!err.contains("panicked"), "{err}");
    assert_eq!(balancer.requests(), 1, "nobody reads, so nothing more is asked");
}

#[test]
fn an_endless_line_is_refused_without_being_held() {
    let (balancer, folder) = (Balancer::start(honest), tempfile::tempdir().unwrap());
    let mut input = vec![b'x'; 8 * 1024 * 1024];
    input.extend(b"\nSELECT 1\n");
    let output = run(&balancer, folder.path(), &["--quiet", "--format", "csv"], &input);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("A line has at most"), "{}", text(&output.stderr));
    assert!(text(&output.stdout).starts_with("Name,HEX\r\n"));
}

#[cfg(unix)]
mod signals {
    use super::*;
    use protocol::frame::Kind;
    use rustix::process::{Pid, Signal, kill_process};
    use std::{
        process::Child,
        sync::{Mutex, mpsc},
        time::Instant,
    };

    fn signal(child: &Child, signal: Signal) {
        kill_process(Pid::from_child(child), signal).unwrap();
    }

    /// Says when a request has come, and confirms that it is taken back.
    fn slow(told: mpsc::Sender<()>) -> Balancer {
        let told = Mutex::new(told);
        Balancer::start(move |connection, asked| {
            told.lock().unwrap().send(()).unwrap();
            match fake::next_request(connection) {
                Some(cancel) if cancel.kind == Kind::Cancel => {
                    let _ = connection.send_raw(&fake::error(asked.id, "cancelled", "Taken back.", true));
                    After::GoOn
                }
                _ => After::Close,
            }
        })
    }

    #[test]
    fn ctrl_c_takes_back_the_request_and_sends_no_other() {
        let (told, tells) = mpsc::channel();
        let (balancer, folder) = (slow(told), tempfile::tempdir().unwrap());
        let mut child = command(&balancer, folder.path(), &["SELECT 1", "SELECT 2"]).spawn().unwrap();
        tells.recv_timeout(LONG).unwrap();
        signal(&child, Signal::INT);
        let mut err = String::new();
        child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
        assert_eq!((child.wait().unwrap().code(), balancer.requests()), (Some(1), 1));
        assert!(err.contains("Taken back."), "{err}");
    }

    #[test]
    fn ctrl_c_ends_a_client_that_waits_for_its_pipe() {
        let (balancer, folder) = (Balancer::start(honest), tempfile::tempdir().unwrap());
        let mut child = command(&balancer, folder.path(), &[]).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(b"SELECT 1\n").unwrap();
        // The answer shows that the client has come as far as to wait for the next line.
        let mut out = child.stdout.take().unwrap();
        let mut told = Vec::new();
        while !told.windows(11).any(|window| window == b"Time taken:") {
            let mut block = [0; 256];
            let n = out.read(&mut block).unwrap();
            assert!(n > 0, "{}", text(&told));
            told.extend_from_slice(&block[..n]);
        }
        signal(&child, Signal::INT);
        assert_eq!(child.wait().unwrap().code(), Some(130));
    }

    #[test]
    fn sigterm_ends_it_at_once() {
        let (told, tells) = mpsc::channel();
        let (balancer, folder) = (slow(told), tempfile::tempdir().unwrap());
        let mut child = command(&balancer, folder.path(), &["SELECT 1"]).spawn().unwrap();
        tells.recv_timeout(LONG).unwrap();
        signal(&child, Signal::TERM);
        assert_eq!(child.wait().unwrap().code(), Some(143));
    }

    #[test]
    fn it_ends_with_the_process_that_started_it() {
        let (balancer, folder) = (Balancer::start(honest), tempfile::tempdir().unwrap());
        let lifeline = protocol::lifeline::Lifeline::open().unwrap();
        let address = lifeline.address().to_string();
        let mut child = command(&balancer, folder.path(), &["--lifeline", &address]).spawn().unwrap();
        let until = Instant::now() + LONG;
        while lifeline.children() == 0 {
            assert!(Instant::now() < until, "the client never took hold of its lifeline");
            std::thread::yield_now();
        }
        // Held, because `wait` would close it, and the end of its pipe ends a client as well.
        let _stdin = child.stdin.take();
        drop(lifeline);
        assert_eq!(child.wait().unwrap().code(), Some(1));
    }
}

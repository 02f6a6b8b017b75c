//! `lab up`: everything from one command, and everything ends with it.

#![allow(clippy::unwrap_used, reason = "a test that unwraps in vain has failed")]

mod kit;

use kit::{LONG, Process, run_with_input};
use std::{process::Command, time::Instant};
use tempfile::TempDir;

/// `lab up` in a folder of its own.
fn up(folder: &TempDir, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lab"));
    let run = folder.path().join("run");
    command.arg("up").args(["--port", "0", "--servers", "0,0.01,0.02", "--folder"]).arg(run).args(args);
    command.current_dir(folder.path());
    command
}

/// The numbers of the processes that run in this folder's run.
#[cfg(target_os = "linux")]
fn processes_of(folder: &TempDir) -> Vec<u32> {
    let mark = folder.path().join("run").display().to_string();
    let mine = |pid: &u32| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line);
        line.contains(&mark) && !line.contains("\0up\0")
    };
    let all = std::fs::read_dir("/proc").unwrap().flatten();
    all.filter_map(|entry| entry.file_name().to_string_lossy().parse().ok()).filter(mine).collect()
}

/// With input from a pipe each line is answered, and the status tells whether all succeeded.
#[test]
fn each_line_of_a_pipe_is_answered_and_the_status_tells() {
    let folder = TempDir::new().unwrap();
    let lines = "SELECT 1 AS one\nfile colors.csv\nINSERT INTO COLORS VALUES ('a', 'b', 'c')\n";
    let output = run_with_input(&mut up(&folder, &["--format", "json"]), lines);
    let said = kit::text(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", kit::text(&output.stderr));
    let answers: Vec<serde_json::Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(answers.len(), 3, "{said}");
    assert_eq!((&answers[0]["columns"], &answers[0]["rows"]), (&serde_json::json!(["one"]), &serde_json::json!([[1]])));

    let output = run_with_input(&mut up(&folder, &["--format", "json"]), "SELECT 1\nSELECT nonsense\nSELECT 2\n");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(kit::text(&output.stdout).lines().count(), 3, "the others are answered all the same");
}

/// When the prompt ends, everything ends.
#[test]
#[cfg(target_os = "linux")]
fn nothing_is_left_when_the_prompt_has_ended() {
    let folder = TempDir::new().unwrap();
    assert!(run_with_input(&mut up(&folder, &[]), "SELECT 1\n").status.success());
    assert_eq!(processes_of(&folder), Vec::<u32>::new());
}

/// When `lab up` itself is killed, its children end too.
#[test]
#[cfg(target_os = "linux")]
fn nothing_is_left_when_lab_up_is_killed() {
    let folder = TempDir::new().unwrap();
    let mut lab = Process::start(up(&folder, &[]), "lab up");
    lab.wait_for("Load balancer on");
    let until = Instant::now() + LONG;
    // Three servers, the load balancer, the client (whose command line names the folder for received files only if
    // the laboratory has none).
    while processes_of(&folder).len() < 4 {
        assert!(Instant::now() < until);
        std::thread::yield_now();
    }
    lab.kill();
    while !processes_of(&folder).is_empty() {
        assert!(Instant::now() < until, "still running: {:?}", processes_of(&folder));
        std::thread::yield_now();
    }
}

/// A program that cannot start ends the laboratory with its reason.
#[test]
fn a_program_that_cannot_start_is_named_with_its_last_words() {
    let folder = TempDir::new().unwrap();
    let output = run_with_input(&mut up(&folder, &["--balance", "by-the-moon"]), "SELECT 1\n");
    assert_eq!(output.status.code(), Some(1));
    let said = kit::text(&output.stderr);
    assert!(said.contains("loadbalancer") && said.contains("by-the-moon"), "{said}");
    #[cfg(target_os = "linux")]
    assert_eq!(processes_of(&folder), Vec::<u32>::new());
}

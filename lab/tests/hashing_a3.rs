//! `lab experiment hashing-a3`, small: it calls everything, kills, and leaves its table and its plot. No time is judged.

#![allow(clippy::unwrap_used, reason = "a test that unwraps in vain has failed")]
#![cfg(unix)]

mod kit;

use kit::{World, text};
use std::fs;

#[test]
fn every_call_is_shown_and_every_kill_has_a_row() {
    let world = World::new();
    let args = ["experiment", "hashing-a3", "--requests", "300", "--clients", "8", "--kills", "3", "--seed", "3"];
    let output = world.command(&args).output().unwrap();
    let said = text(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", text(&output.stderr));
    for words in [
        "GET /rep\n    → 200 {\"message\":{\"N\":3,\"replicas\":[\"Server 1\",\"Server 2\",\"Server 3\"]},\"status\":\"successful\"}",
        "→ 400 {\"message\":\"<Error> '/other' endpoint does not exist in server replicas\",\"status\":\"failure\"}",
        "3 times one of 3 replicas was killed",
        "Answered: 100.00 % of all requests (0 were not)",
    ] {
        assert!(said.contains(words), "no {words:?} in\n{said}");
    }
    let run = fs::read_dir(world.path("runs")).unwrap().flatten().map(|entry| entry.path());
    let run = run.into_iter().find(|path| path.to_str().unwrap().contains("experiment-hashing-a3-")).unwrap();
    let losses = fs::read_to_string(run.join("losses.jsonl")).unwrap();
    assert_eq!(losses.lines().count(), 3, "{losses}");
    assert!(fs::read_to_string(run.join("hashing-a3.svg")).unwrap().trim_end().ends_with("</svg>"));
}

//! `lab experiment shards-a1` … `shards-a4`, small: everything that is written is read, all replicas are alike, a killed server comes back. No
//! time is judged: the machine may be busy.

#![allow(clippy::unwrap_used, reason = "a test that unwraps in vain has failed")]
#![cfg(unix)]

mod kit;

use kit::{World, text};
use serde_json::Value;
use std::{fs, path::PathBuf};

/// What it said, its samples, and its folder.
fn experiment(args: &[&str]) -> (String, Vec<Value>, PathBuf, World) {
    let world = World::new();
    let output = world.command(&[&["experiment"], args].concat()).output().unwrap();
    let said = text(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", text(&output.stderr));
    let mut runs = fs::read_dir(world.path("runs")).unwrap().flatten().map(|entry| entry.path());
    let run = runs.find(|path| path.to_str().unwrap().contains(args[0])).unwrap();
    let samples = fs::read_to_string(run.join("samples.jsonl")).unwrap();
    (said, samples.lines().map(|line| serde_json::from_str(line).unwrap()).collect(), run, world)
}

/// Rows, replicas and servers of each of the first three.
#[test]
fn every_row_is_written_once_and_read_and_all_replicas_have_it() {
    for (name, layout) in [
        ("shards-a1", "6 servers, 4 shards, 3 replicas of each"),
        ("shards-a2", "7 servers, 4 shards, 7 replicas of each"),
        ("shards-a3", "10 servers, 6 shards, 8 replicas of each"),
    ] {
        let (said, samples, run, _world) = experiment(&[name, "--rows", "40", "--clients", "4", "--seed", "3"]);
        let clients: Vec<u64> = samples.iter().map(|sample| sample["clients"].as_u64().unwrap()).collect();
        assert_eq!(clients, [1, 4], "{said}");
        for sample in &samples {
            for calls in ["writes", "reads"] {
                assert_eq!((&sample[calls]["calls"], &sample[calls]["wrong"]), (&40.into(), &0.into()), "{sample:#}");
            }
            assert_eq!((&sample["rows"], &sample["differ"]), (&40.into(), &Value::Array(Vec::new())), "{sample:#}");
            let commits = |at: usize, what: &str| sample["commits"][at][what].as_f64().unwrap();
            assert!([0, 1].iter().all(|at| commits(*at, "one") > 0.0 && commits(*at, "all") > 0.0), "{sample:#}");
        }
        assert!(
            said.contains(layout) && said.contains("| 40 writes |") && said.contains("in their files: yes"),
            "{said}"
        );
        for plot in [format!("{name}.svg"), format!("{name}-times.svg")] {
            assert!(fs::read_to_string(run.join(&plot)).unwrap().trim_end().ends_with("</svg>"), "{plot}");
        }
    }
}

#[test]
fn every_killed_server_comes_back_and_has_everything() {
    let args = ["shards-a4", "--rows", "60", "--clients", "4", "--kills", "2", "--seed", "3"];
    let (said, samples, run, _world) = experiment(&args);
    assert_eq!(samples.len(), 2, "{said}");
    for sample in &samples {
        let killed: Vec<&Value> = sample["losses"].as_array().unwrap().iter().map(|loss| &loss["server"]).collect();
        assert_eq!(killed, ["Server0", "Server1"], "{sample:#}");
        assert_eq!((&sample["rows"], &sample["calls"]["wrong"]), (&60.into(), &0.into()), "{sample:#}");
        assert_eq!(sample["differ"], Value::Array(Vec::new()), "{sample:#}");
    }
    assert!(said.contains("60 rows at the end: yes"), "{said}");
    assert!(fs::read_to_string(run.join("shards-a4.svg")).unwrap().trim_end().ends_with("</svg>"));
}

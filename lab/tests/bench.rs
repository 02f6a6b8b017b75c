//! `lab bench`: it refuses what would mislead, and leaves nothing behind.

#![allow(clippy::unwrap_used, reason = "a test that unwraps in vain has failed")]

mod kit;

use kit::World;

/// Figures of a debug build mean nothing, so there are none.
#[test]
#[cfg(debug_assertions)]
fn a_debug_build_is_refused() {
    let output = World::new().command(&["bench"]).output().unwrap();
    let said = kit::text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("debug build") && said.contains("--release"), "{said}");
}

/// All measurements once, as short as can be: each has a figure, no request fails, and every process has ended.
#[test]
#[ignore = "needs a release build and some ten seconds"]
#[cfg(all(target_os = "linux", not(debug_assertions)))]
fn every_measurement_has_figures_and_nothing_is_left() {
    let world = World::new();
    let output = world.command(&["bench", "--rounds", "1", "--seconds", "0.1", "--large", "16"]).output().unwrap();
    let said = kit::text(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", kit::text(&output.stderr));
    for name in ["large-file", "ping-1 ", "ping-256", "connect-64", "sql-16", "file-16", "ours / ours again"] {
        assert!(said.contains(name), "{name} is missing in\n{said}");
    }
    assert!(!said.contains("no right answer"), "{said}");
    let mark = world.path("runs").display().to_string();
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let lines = processes.filter_map(|process| std::fs::read(process.path().join("cmdline")).ok());
    let left: Vec<String> = lines.map(|line| kit::text(&line)).filter(|line| line.contains(&mark)).collect();
    assert!(left.is_empty(), "{left:?}");
}

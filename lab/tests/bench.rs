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

/// A program that would be a further contestant must be told where to listen and whom to ask.
#[test]
fn a_rival_without_addresses_is_refused() {
    let output = World::new().command(&["bench", "--also", "other=/bin/true"]).output().unwrap();
    let said = kit::text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("{listen}") && said.contains("{servers}"), "{said}");
}

/// All measurements once, as short as can be: each has a figure, no request fails, and every process has ended.
#[test]
#[ignore = "needs a release build and some ten seconds"]
#[cfg(all(target_os = "linux", not(debug_assertions)))]
fn every_measurement_has_figures_and_nothing_is_left() {
    let world = World::new();
    let said = figures(&world, &["--large", "16"]);
    let own = ["large-file", "ping-1 ", "ping-256", "connect-64", "sql-16", "file-16", "ours / ours again"];
    let web = ["http-1 ", "http-256", "http-connect-64", "http-large", "tcp-64", "tcp-connect-64", "tcp-large"];
    let names = ["dns-1 ", "dns-64", "dns-1000", "queries lost in all rounds"];
    let without_names = said.contains("so DNS is not measured");
    for name in names.into_iter().filter(|_| !without_names) {
        assert!(said.contains(name), "{name} is missing in\n{said}");
    }
    // What is not installed is left out, and a line says so.
    let left_out = said.contains("so HTTP and TCP are not measured");
    for name in own.into_iter().chain(web.into_iter().filter(|_| !left_out)) {
        assert!(said.contains(name), "{name} is missing in\n{said}");
    }
    let datagrams = ["udp-1 ", "udp-500", "udp-1000", "requests lost in all rounds"];
    for name in datagrams {
        assert!(said.contains(name), "{name} is missing in\n{said}");
    }
    assert!(!said.contains("no right answer"), "{said}");
    nothing_is_left(&world);
}

/// The datagrams alone: what clients lost, what a tag and the way cost, and nothing of the rest.
#[test]
#[ignore = "needs a release build"]
#[cfg(all(target_os = "linux", not(debug_assertions)))]
fn datagrams_are_measured_by_themselves() {
    let world = World::new();
    let said = figures(&world, &["--only", "udp"]);
    let titles = [
        "requests lost in all rounds",
        "mean latency in µs",
        "99th percentile",
        "processor time of what is in the way",
    ];
    for name in ["udp-1 ", "udp-500", "udp-1000", "ours / direct", "ours / ours again"].into_iter().chain(titles) {
        assert!(said.contains(name), "{name} is missing in\n{said}");
    }
    assert!(!said.contains("ping-1") && !said.contains("dns-1"), "{said}");
    assert!(!said.contains("no right answer"), "{said}");
    nothing_is_left(&world);
}

/// What is printed when it is measured once, as shortly as can be.
#[cfg(all(target_os = "linux", not(debug_assertions)))]
fn figures(world: &World, more: &[&str]) -> String {
    let output = world.command(&[&["bench", "--rounds", "1", "--seconds", "0.1"], more].concat()).output().unwrap();
    let said = kit::text(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", kit::text(&output.stderr));
    said
}

/// Every process that worked in the folder has ended.
#[cfg(all(target_os = "linux", not(debug_assertions)))]
fn nothing_is_left(world: &World) {
    let mark = world.path("runs").display().to_string();
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let lines = processes.filter_map(|process| std::fs::read(process.path().join("cmdline")).ok());
    let left: Vec<String> = lines.map(|line| kit::text(&line)).filter(|line| line.contains(&mark)).collect();
    assert!(left.is_empty(), "{left:?}");
}

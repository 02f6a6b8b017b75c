//! Several processes and one registry. The other processes are this test started once more, with a variable set.

use super::*;
use std::{
    io::{BufRead, BufReader, Read},
    process::{Child, Command, Stdio},
    thread,
};

const ROLE: &str = "PROTOCOL_TEST_REGISTRY";
const EACH: u16 = 20;

fn start(test: &str, role: &str) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture", &format!("registry::tests::processes::{test}")])
        .env(ROLE, role)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Registers servers, and unregisters every other of them again.
fn write(registry: &Registry, writer: u16) {
    for number in writer * EACH..(writer + 1) * EACH {
        registry.register(&server(number)).unwrap();
        if number % 2 == 1 {
            assert_eq!(registry.remove_if_same(&server(number)).unwrap().removed, [server(number)]);
        }
    }
}

#[test]
fn writers_in_threads_and_in_processes_lose_nothing() {
    let patient = |path: &str| Registry::new(path).with_lock_time(Duration::from_secs(60));
    if let Ok(role) = std::env::var(ROLE) {
        let (writer, path) = role.split_once(' ').unwrap();
        return write(&patient(path), writer.parse().unwrap());
    }
    let (_folder, registry) = folder();
    let path = registry.path().to_str().unwrap();
    let mut children: Vec<Child> = (8..12)
        .map(|writer| start("writers_in_threads_and_in_processes_lose_nothing", &format!("{writer} {path}")))
        .collect();
    thread::scope(|scope| {
        for writer in 0..8 {
            scope.spawn(move || write(&patient(path), writer));
        }
        // A reader never sees anything but a whole list.
        scope.spawn(|| {
            for _ in 0..200 {
                assert_eq!(registry.read().unwrap().rejected, []);
            }
        });
    });
    for child in &mut children {
        assert!(child.wait().unwrap().success());
    }
    let mut ids: Vec<u16> = registry.read().unwrap().entries.iter().map(|entry| entry.id.parse().unwrap()).collect();
    ids.sort_unstable();
    assert_eq!(ids, (0..12 * EACH).step_by(2).collect::<Vec<_>>());
}

#[test]
fn a_process_that_dies_with_the_lock_gives_it_back() {
    if let Ok(path) = std::env::var(ROLE) {
        let held = Registry::new(path).update(|_| {
            crate::show!("\nlocked");
            // Until the parent closes its end; it kills us before.
            std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
        });
        return assert!(held.is_ok());
    }
    let (_folder, registry) = folder();
    let hasty = registry.clone().with_lock_time(Duration::from_millis(50));
    let mut child = start("a_process_that_dies_with_the_lock_gives_it_back", registry.path().to_str().unwrap());
    let output = BufReader::new(child.stdout.take().unwrap());
    assert!(output.lines().map_while(Result::ok).any(|line| line == "locked"), "the child never had the lock");
    let error = hasty.register(&server(1)).unwrap_err();
    let sentence = error.to_string();
    assert!(
        matches!(error, RegistryError::Locked { .. }) && sentence.contains(&format!("process {}", child.id())),
        "{error}"
    );
    // Readers are not concerned.
    assert!(hasty.read().unwrap().entries.is_empty());
    child.kill().unwrap();
    child.wait().unwrap();
    registry.register(&server(1)).unwrap();
    assert_eq!(registry.read().unwrap().entries, [server(1)]);
}

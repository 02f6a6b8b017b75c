//! What can only be measured in a process where nothing else runs: threads and processor time.
#![allow(clippy::unwrap_used, reason = "a test that unwraps in vain has failed")]
#![cfg(target_os = "linux")]

#[path = "../kit/mod.rs"]
mod kit;

use crossbeam_channel::unbounded;
use kit::{Ask, Lab, Plan, echo, eventually};
use protocol::listener::RESTING;
use std::{
    collections::BTreeMap,
    fs,
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

/// The tests of this program take turns.
static TURN: Mutex<()> = Mutex::new(());

/// The load balancer's threads that live, by name.
fn threads() -> BTreeMap<String, usize> {
    let mut count = BTreeMap::new();
    for task in fs::read_dir("/proc/self/task").unwrap().flatten() {
        let name = fs::read_to_string(task.path().join("comm")).unwrap_or_default();
        let role = name.trim().split('-').next().unwrap_or_default().to_owned();
        if ["client", "registry", "contact", "console", "journal", "admin"].contains(&role.as_str()) {
            *count.entry(role).or_default() += 1;
        }
    }
    count
}

/// Processor time of this process so far, in hundredths of a second.
fn processor_time() -> u64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

/// After the end no thread is left, however many there were.
#[test]
fn no_thread_survives_the_end() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let mut lab = Lab::new(&[]);
    let _servers: Vec<_> = (1..=3).map(|n| lab.server(&n.to_string(), echo())).collect();
    let mut clients: Vec<_> = (0..30).map(|_| lab.client()).collect();
    clients.iter_mut().for_each(kit::Client::assert_usable);
    let living = threads();
    assert_eq!((living["registry"], living["contact"]), (1, 3), "{living:?}");
    assert!(living["client"] >= 30, "{living:?}");
    lab.take_balancer().end();
    eventually("no thread is left", || threads().is_empty());
}

/// After dropping it without a word, too.
#[test]
fn no_thread_survives_the_drop() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let mut lab = Lab::new(&[]);
    let server = lab.server(
        "1",
        Arc::new(|ask: &mut Ask<'_>| {
            ask.until_told();
        }),
    );
    let (mut busy, mut waiting) = (lab.client(), lab.client());
    busy.sql("busy");
    server.expect_request("busy");
    waiting.sql("waiting");
    eventually("one waits", || lab.waiting() == 1);
    drop(lab.take_balancer());
    eventually("no thread is left", || threads().is_empty());
}

/// After a storm of clients only those threads stay that rest for the next one.
#[test]
fn few_threads_stay_after_a_storm() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let lab = Lab::new(&[]);
    let storm = 3 * RESTING;
    let _server = lab.planned(Plan { capacity: storm as u32, ..Plan::new("1") }, echo());
    thread::scope(|scope| {
        for _ in 0..storm {
            scope.spawn(|| lab.client().assert_usable());
        }
    });
    eventually("a few are left", || threads().get("client").is_some_and(|left| *left <= RESTING + 1));
}

/// Two hundred requests that wait cost next to nothing.
#[test]
fn waiting_costs_no_processor_time() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let lab = Lab::new(&[]);
    let (go_on, waits) = unbounded::<()>();
    let server = lab.planned(
        Plan { time: 60.0, ..Plan::new("1") },
        Arc::new(move |ask: &mut Ask<'_>| {
            let _ = waits.recv_timeout(kit::SOON);
            ask.echo();
        }),
    );
    let mut clients: Vec<_> = (0..200).map(|_| lab.client()).collect();
    let ids: Vec<_> = clients.iter_mut().map(|client| client.sql("x")).collect();
    server.expect_request("x");
    eventually("the others wait", || lab.waiting() == 199);
    let (begin, before) = (Instant::now(), processor_time());
    thread::sleep(Duration::from_secs(2));
    let used = processor_time() - before;
    let share = used as f64 / 100.0 / begin.elapsed().as_secs_f64();
    (0..200).for_each(|_| go_on.send(()).unwrap());
    for (client, id) in clients.iter_mut().zip(ids) {
        client.answer(id).text();
    }
    assert!(share < 0.2, "{:.0} % of a processor", share * 100.0);
}

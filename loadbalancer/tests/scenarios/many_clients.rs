//! Many at once.

use crate::kit::{Ask, FakeServer, Lab, Plan, Script, eventually};
use std::{sync::Arc, thread};

const CLIENTS: usize = 200;
const REQUESTS: usize = 50;

fn three_servers(lab: &Lab, script: &Script) -> Vec<FakeServer> {
    let times = [0.001, 0.002, 0.004];
    let plan = |(n, time)| Plan { time, capacity: 4, ..Plan::new(&format!("{n}")) };
    times.into_iter().enumerate().map(|server| lab.planned(plan(server), Arc::clone(script))).collect()
}

/// 200 clients, all under the same ids, ask 50 times each for something that nobody else asks for: each gets its own
/// answer, once; then everything is as it was before.
#[test]
fn everybody_gets_his_own_answer() {
    let lab = Lab::new(&[]);
    let servers = three_servers(&lab, &crate::kit::echo());
    thread::scope(|scope| {
        for number in 0..CLIENTS {
            let lab = &lab;
            scope.spawn(move || {
                let mut client = lab.client();
                for round in 0..REQUESTS {
                    let words = format!("client {number}, request {round};");
                    let answer = if round % 2 == 0 { client.ask(&words) } else { client.fetch(&words) };
                    assert!(answer.text().starts_with(&words), "{} for {words}", answer.text());
                    assert_eq!(answer.kinds(), "hde");
                }
            });
        }
    });
    let count = |id: &str| lab.status(id).unwrap().answered;
    assert_eq!(["0", "1", "2"].map(count).iter().sum::<u64>(), (CLIENTS * REQUESTS) as u64);
    assert_eq!(servers.iter().map(|server| server.so_far().len()).sum::<usize>(), CLIENTS * REQUESTS);
    at_rest(&lab, &servers);
}

/// The same while servers hang up, refuse and answer others' questions, for files, which may be asked again: nobody
/// gets another's answer, and nobody waits for ever.
#[test]
fn nobody_gets_a_wrong_answer_when_servers_fail_at_random() {
    let seed = fastrand::u64(..);
    let random = std::sync::Mutex::new(fastrand::Rng::with_seed(seed));
    let lab = Lab::new(&[]);
    let script = move |ask: &mut Ask<'_>| {
        let dice = random.lock().unwrap().u8(..100);
        match dice {
            0 => ask.hang_up(),
            1 => {
                ask.begin(0);
                ask.piece(b"half of an answer");
                ask.hang_up();
            }
            2 => ask.raw(b"nonsense nonsense nonsense nonsense"),
            3..=10 => {
                let id = protocol::id::RequestId { sequence: ask.prefix.id.sequence - 1, ..ask.prefix.id };
                ask.frame_to(id, protocol::frame::Kind::Data, &serde_json::json!({}), b"not yours");
                ask.echo();
            }
            _ => ask.echo(),
        }
    };
    let servers = three_servers(&lab, &(Arc::new(script) as Script));
    thread::scope(|scope| {
        for number in 0..20 {
            let lab = &lab;
            scope.spawn(move || {
                let mut client = lab.client();
                for round in 0..REQUESTS {
                    let words = format!("client {number}, request {round};");
                    let answer = client.fetch(&words);
                    match answer.failed() {
                        None => {
                            assert!(answer.text().starts_with(&words), "seed {seed}: {} for {words}", answer.text())
                        }
                        Some(failure) => assert!(failure.attempts > 1, "seed {seed}: {failure:?}"),
                    }
                }
            });
        }
    });
    at_rest(&lab, &servers);
}

/// Nobody waits, no server has anything, and the connections kept to servers are few.
fn at_rest(lab: &Lab, servers: &[FakeServer]) {
    assert_eq!(lab.waiting(), 0);
    for server in servers {
        let id = &server.entry().id;
        eventually("the server is idle", || lab.status(id).is_some_and(|one| one.active == 0 && one.state == "idle"));
        eventually("it has nothing", || server.active() == 0);
        // One for each place, one of the control port, and some slack for those that are just being closed.
        eventually("its connections are few", || server.connections() <= 4 + 1);
    }
    lab.assert_no_panic();
}

//! The thread's steps, taken by hand, with a program that ends at once.

use super::*;
use crate::{
    health::Check,
    membership::{Membership, gate::Gate, pools::Pools},
    replicas::{flags::ReplicaFlags, names::Ids},
};
use crossbeam_channel::bounded;
use protocol::registry::Registry;

/// No system starts a program with such an argument.
const IMPOSSIBLE: &str = "\0";

/// A shell without replicas.
fn shell(pools: Pools) -> Shell {
    let events = Events::default();
    let (check, gate) = (Check::default(), Gate::new(Vec::new(), false).unwrap());
    let registry = Registry::new("nowhere/servers.json");
    let members = Members::new(Membership { pools, registry, check, events: events.clone(), gate, token: None });
    let flags = ReplicaFlags { replica_program: std::env::current_exe().ok(), ..ReplicaFlags::default() };
    let (words, heard) = bounded(16);
    Shell {
        roster: Roster::begin(0, Ids::Sequence, fastrand::Rng::with_seed(7), Duration::ZERO).0,
        program: Program::find(&flags, None).unwrap(),
        processing_time: 0.0,
        lifeline: Lifeline::open().unwrap(),
        members,
        events,
        heard,
        words,
        processes: HashMap::new(),
        waiting: HashMap::new(),
        begun: Instant::now(),
    }
}

fn add(shell: &mut Shell, ids: &[&str]) -> Result<Vec<String>, Refusal> {
    let (reply, answer) = bounded(1);
    let ids: Vec<String> = ids.iter().map(|id| (*id).to_owned()).collect();
    shell.hear(Word::Add(Order { n: ids.len(), ids }, reply));
    answer.try_recv().unwrap()
}

#[test]
fn where_one_cannot_be_started_none_of_the_others_is() {
    let mut shell = shell(Pools::default());
    let refusal = add(&mut shell, &[IMPOSSIBLE, "S5", "S4"]).unwrap_err();
    assert!(refusal.status.code() == 503 && refusal.why.contains("cannot be started"), "{refusal:?}");
    assert!(shell.processes.is_empty(), "who would end these? {:?}", shell.processes.keys());
    assert_eq!(shell.roster.next_due(), None);
    // Their ids are free.
    let order = Order { n: 2, ids: vec!["S5".to_owned(), "S4".to_owned()] };
    assert!(shell.roster.add(&order, &|_| false, Duration::ZERO).is_ok());
}

#[test]
fn the_id_of_a_server_of_the_command_line_is_taken() {
    let mut shell = shell(Pools::default().naming(&["http"], &["web".to_owned()]));
    assert_eq!(add(&mut shell, &["web"]), Err(Refusal::bad("Hostname 'web' is there already")));
    assert!(shell.processes.is_empty());
}

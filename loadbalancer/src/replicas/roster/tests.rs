//! The roster's steps, one after the other, without a process.

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn roster(n: usize) -> Roster {
    let (mut roster, acts) = Roster::begin(n, Ids::Sequence, fastrand::Rng::with_seed(7), Duration::ZERO);
    for act in acts {
        let Act::Start(key, _) = act else { panic!("{act:?}") };
        roster.serving(key, Duration::ZERO);
    }
    roster
}

fn nobody(_: &str) -> bool {
    false
}

fn order(n: usize, ids: &[&str]) -> Order {
    Order { n, ids: ids.iter().map(|id| (*id).to_owned()).collect() }
}

/// The processes that are to be started.
fn started(acts: &[Act]) -> Vec<(Key, String)> {
    let start = |act: &Act| match act {
        Act::Start(key, id) => Some((*key, id.clone())),
        _ => None,
    };
    acts.iter().filter_map(start).collect()
}

fn killed(acts: &[Act]) -> Vec<Key> {
    acts.iter().filter_map(|act| if let Act::Kill(key) = act { Some(*key) } else { None }).collect()
}

fn retired(acts: &[Act]) -> usize {
    acts.iter().filter(|act| matches!(act, Act::Retire(_))).count()
}

fn events(acts: Vec<Act>) -> Vec<Event> {
    acts.into_iter().filter_map(|act| if let Act::Tell(event) = act { Some(event) } else { None }).collect()
}

fn answered(acts: &[Act]) -> Vec<Result<Vec<String>, Refusal>> {
    acts.iter().filter_map(|act| if let Act::Answer(_, told) = act { Some(told.clone()) } else { None }).collect()
}

#[test]
fn a_lost_one_gets_a_successor_with_another_id_in_the_same_step() {
    let mut roster = roster(3);
    let now = 5 * SECOND;
    let acts = roster.lost(2, "killed", &nobody, now);
    let [(key, id)] = &started(&acts)[..] else { panic!("{acts:?}") };
    assert!(id.len() == 6 && killed(&acts) == [2]);
    let names = ["Server 1".to_owned(), format!("Server {id}"), "Server 3".to_owned()];
    assert_eq!(roster.names(), names, "N and the list agree while it is starting");
    let told = events(roster.serving(*key, now + Duration::from_millis(40)));
    let (server, by) = ("2".to_owned(), id.clone());
    assert_eq!(told[0], Event::ReplicaInService { server: by.clone(), after_ms: 40 });
    assert_eq!(told[1], Event::ReplicaReplaced { server, by, after_ms: 40 });
    assert_eq!(roster.lost(2, "again", &nobody, now), [], "it is no replica any more");
    assert_eq!(roster.serving(*key, now), []);
}

#[test]
fn a_program_that_dies_at_once_is_started_ever_more_seldom() {
    let (mut roster, acts) = Roster::begin(1, Ids::Random, fastrand::Rng::with_seed(7), Duration::ZERO);
    let (mut now, mut starts) = (Duration::ZERO, 1);
    let mut key = started(&acts)[0].0;
    while now < 60 * SECOND {
        let mut acts = roster.lost(key, "dead", &nobody, now);
        if started(&acts).is_empty() {
            now = roster.next_due().unwrap();
            assert_eq!(roster.tick(&nobody, now - Duration::from_nanos(1)), []);
            acts = roster.tick(&nobody, now);
        }
        let [(next, _)] = started(&acts)[..] else { panic!("{acts:?}") };
        (key, starts) = (next, starts + 1);
        roster.gone(key);
    }
    assert!((12..=20).contains(&starts), "{starts} in a minute");
    // It has been in service for long: no false start.
    roster.serving(key, now);
    assert_eq!(started(&roster.lost(key, "killed", &nobody, now + pace::STEADY)).len(), 1);
}

#[test]
fn all_that_are_added_come_or_none() {
    let mut roster = roster(1);
    let (_, acts) = roster.add(&order(3, &["S5", "S4"]), &nobody, SECOND).unwrap();
    let new = started(&acts);
    assert_eq!((new.len(), &*new[0].1, &*new[1].1), (3, "S5", "S4"));
    assert_eq!(roster.names(), ["Server 1"], "not before all are there");
    assert_eq!(answered(&roster.serving(new[0].0, SECOND)), []);
    let acts = roster.lost(new[1].0, "no", &nobody, SECOND);
    assert_eq!(
        (killed(&acts), retired(&acts)),
        (vec![new[1].0, new[2].0], 1),
        "the one in service finishes what it has"
    );
    let refusal = answered(&acts).remove(0).unwrap_err();
    assert_eq!((refusal.status.code(), &*refusal.why), (503, "S4 did not come into service: no"));
    assert_eq!((roster.names().len(), roster.next_due()), (1, None));
    // Their ids are not free before their processes have ended.
    assert!(roster.add(&order(1, &["S5"]), &nobody, SECOND).is_err());
    new.iter().for_each(|(key, _)| roster.gone(*key));
    let (_, acts) = roster.add(&order(2, &["S5"]), &nobody, SECOND).unwrap();
    let told: Vec<_> = started(&acts).iter().flat_map(|(key, _)| answered(&roster.serving(*key, SECOND))).collect();
    assert_eq!(told, [Ok(roster.names())]);
    assert_eq!((roster.names().len(), &*roster.names()[1]), (3, "S5"));
}

#[test]
fn those_named_go_and_others_by_chance() {
    let mut roster = roster(5);
    let (names, acts) = roster.remove(&order(3, &["4"])).unwrap();
    assert!(names.len() == 2 && !names.contains(&"Server 4".to_owned()) && retired(&acts) == 3);
    assert_eq!(roster.names(), names);
    let acts = roster.lost(1, "killed", &nobody, SECOND);
    assert_eq!(
        started(&acts).len(),
        usize::from(names.contains(&"Server 1".to_owned())),
        "who was removed has no successor"
    );
    assert_eq!(roster.remove(&order(2, &[])).unwrap().0, [""; 0]);
    assert_eq!(roster.next_due(), None);
}

#[test]
fn a_refusal_changes_nothing() {
    let mut roster = roster(3);
    let before = format!("{:?}", roster.places);
    let taken = |id: &str| id == "S1";
    for (order, why) in [
        (order(1, &["2"]), "Hostname 'Server 2' is there already"),
        (order(2, &["S9", "S1"]), "Hostname 'S1' is there already"),
        (order(MAX_REPLICAS - 2, &[]), "There are 3 replicas, and there may be 64"),
    ] {
        assert_eq!(roster.add(&order, &taken, SECOND), Err(Refusal::bad(why)));
    }
    for (order, why) in
        [(order(4, &[]), "n is 4, and there are 3 replicas"), (order(2, &["2", "S5"]), "Hostname 'S5' is no replica")]
    {
        assert_eq!(roster.remove(&order), Err(Refusal::bad(why)));
    }
    assert_eq!(format!("{:?}", roster.places), before);
    assert_eq!(roster.next_due(), None);
}

/// A process that is ending is a process.
#[test]
fn those_that_are_ending_count_until_they_have_ended() {
    let mut roster = roster(MAX_REPLICAS);
    let (_, acts) = roster.remove(&order(2, &["1", "2"])).unwrap();
    assert_eq!(retired(&acts), 2);
    let refused = Err(Refusal::bad("There are 64 replicas, and there may be 64"));
    assert_eq!(roster.add(&order(1, &[]), &nobody, SECOND), refused);
    roster.gone(1);
    assert_eq!(started(&roster.add(&order(1, &[]), &nobody, SECOND).unwrap().1).len(), 1);
}

#[test]
fn who_does_not_come_in_time_is_given_up() {
    let (mut roster, _) = Roster::begin(1, Ids::Sequence, fastrand::Rng::with_seed(7), Duration::ZERO);
    assert_eq!(roster.next_due(), Some(START_TIME));
    let acts = roster.tick(&nobody, START_TIME);
    assert_eq!((killed(&acts), started(&acts).len()), (vec![1], 1));
}

/// Whatever happens in whatever order: N is what was asked for, and no id is there twice.
#[test]
fn n_holds_through_thousands_of_steps() {
    let seed = fastrand::u64(..);
    let mut dice = fastrand::Rng::with_seed(seed);
    let mut roster = roster(3);
    let (mut wanted, mut living, mut ending, mut now) = (3, vec![1, 2, 3], Vec::new(), Duration::ZERO);
    for step in 0..5_000 {
        now += Duration::from_millis(dice.u64(0..2_000));
        let n = dice.usize(1..4);
        let acts = match dice.u32(0..6) {
            0 => roster.add(&order(n, &[]), &nobody, now).map_or_else(|_| Vec::new(), |(_, acts)| acts),
            1 => match roster.remove(&order(n, &[])) {
                Ok((_, acts)) => {
                    wanted -= n;
                    acts
                }
                Err(_) => Vec::new(),
            },
            2 if !living.is_empty() => roster.lost(living[dice.usize(..living.len())], "dice", &nobody, now),
            3 if !ending.is_empty() => {
                roster.gone(ending.swap_remove(dice.usize(..ending.len())));
                Vec::new()
            }
            4 => roster.tick(&nobody, now),
            _ if living.is_empty() => Vec::new(),
            _ => roster.serving(living[dice.usize(..living.len())], now),
        };
        for act in acts {
            match act {
                Act::Start(key, _) => living.push(key),
                Act::Kill(key) | Act::Retire(key) => {
                    living.retain(|living| *living != key);
                    ending.push(key);
                }
                Act::Answer(_, Ok(names)) => wanted = names.len(),
                Act::Answer(_, Err(_)) | Act::Tell(_) => {}
            }
        }
        assert_eq!(roster.names().len(), wanted, "seed {seed}, step {step}");
        let mut ids: Vec<&String> = roster.places.iter().map(|place| &place.id).collect();
        ids.extend(roster.leaving.iter().map(|(_, id)| id));
        let all = ids.len();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), all, "seed {seed}, step {step}: an id is there twice");
        assert!(roster.places.len() <= MAX_REPLICAS, "seed {seed}, step {step}");
    }
}

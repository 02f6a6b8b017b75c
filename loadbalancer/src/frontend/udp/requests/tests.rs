//! Requests, their copies, and answers that are late, doubled, foreign or made up.

use super::*;
use crate::frontend::udp::{draw::Draw, tags};

const A: ServerKey = ServerKey(1);
const B: ServerKey = ServerKey(2);
const RULES: Rules =
    Rules { tag_bytes: 8, try_for: Duration::from_secs(1), deadline: Duration::from_secs(3), most_waiting: 2 };

/// A table, its dice and its clock.
struct Lab {
    table: Requests<u32>,
    draw: Draw,
    begun: Instant,
    lease: u32,
}

impl Lab {
    fn new(rules: Rules) -> Self {
        Self { table: Requests::new(rules), draw: Draw::default(), begun: Instant::now(), lease: 0 }
    }

    fn at(&self, ms: u64) -> Instant {
        self.begun + Duration::from_millis(ms)
    }

    fn open(&mut self, port: u16, ms: u64) -> u64 {
        let now = self.at(ms);
        self.table.open(client(port), &[1, 2, 3], RequestId::NONE, Wanted::default(), now).unwrap()
    }

    /// Sends a copy, and returns what goes to the server.
    fn send(&mut self, number: u64, server: ServerKey, ms: u64) -> Option<Vec<u8>> {
        let (now, drawn) = (self.at(ms), self.draw.next());
        self.lease += 1;
        let sent = self.table.send(number, (server, Duration::ZERO), self.lease, drawn, now).ok();
        sent.map(|(tag, payload)| [payload, tag.bytes()].concat())
    }

    fn heard(&mut self, server: ServerKey, datagram: &[u8]) -> Option<Finished<u32>> {
        match self.table.heard(server, datagram, self.begun) {
            Heard::Answer(finished) => Some(finished),
            Heard::Foreign => None,
        }
    }
}

fn client(port: u16) -> SocketAddr {
    ([127, 0, 0, 1], port).into()
}

fn leases(places: Vec<Place<u32>>) -> Vec<u32> {
    places.into_iter().map(|place| place.lease).collect()
}

/// What a server makes of it.
fn answered(datagram: &[u8], tag: usize) -> Vec<u8> {
    let (payload, tag) = datagram.split_at(datagram.len() - tag);
    payload.iter().rev().chain(tag).copied().collect()
}

#[test]
fn answers_in_any_order_go_to_whom_they_belong() {
    let mut lab = Lab::new(RULES);
    let asked: Vec<(u16, Vec<u8>)> = (1..=100)
        .map(|port| {
            let number = lab.open(port, 0);
            (port, lab.send(number, A, 0).unwrap())
        })
        .collect();
    for (port, datagram) in asked.iter().rev() {
        assert_eq!(&datagram[..3], &[1, 2, 3]);
        assert_eq!(lab.heard(A, &answered(datagram, 8)).unwrap().client, client(*port));
    }
    assert!(lab.table.is_empty() && !lab.table.any_at(A));
}

#[test]
fn what_is_late_doubled_foreign_or_made_up_is_believed_by_nobody() {
    let mut lab = Lab::new(RULES);
    let number = lab.open(7, 0);
    let copy = lab.send(number, A, 0).unwrap();
    let answer = answered(&copy, 8);
    assert!(lab.heard(B, &answer).is_none(), "from a server that was not asked");
    for at in 3..answer.len() {
        let mut wrong = answer.clone();
        wrong[at] ^= 0x10;
        assert!(lab.heard(A, &wrong).is_none(), "another tag");
    }
    for short in [&answer[4..], &answer[..10], &[], b"d"] {
        assert!(lab.heard(A, short).is_none(), "no tag");
    }
    assert_eq!(lab.heard(A, &answer).unwrap().lease, Some(1));
    assert!(lab.heard(A, &answer).is_none(), "said again");
    let next = lab.open(8, 1);
    let other = lab.send(next, A, 1).unwrap();
    assert!(lab.heard(A, &answer).is_none(), "said again, when another one has its place");
    assert_eq!(lab.heard(A, &answered(&other, 8)).unwrap().client, client(8));
}

#[test]
fn an_answer_may_have_any_length() {
    let mut lab = Lab::new(RULES);
    for length in [0, 1, 60_000] {
        let number = lab.open(7, 0);
        let copy = lab.send(number, A, 0).unwrap();
        let answer = [&vec![9; length], &copy[3..]].concat();
        assert_eq!(lab.heard(A, &answer).unwrap().client, client(7));
    }
}

#[test]
fn of_two_servers_the_first_answer_counts_and_the_other_gives_its_place_back() {
    let mut lab = Lab::new(RULES);
    let number = lab.open(7, 0);
    let (one, two) = (lab.send(number, A, 0).unwrap(), lab.send(number, B, 10).unwrap());
    assert_eq!(lab.table.get(number).unwrap().wanted.avoid, [A, B]);
    let finished = lab.heard(B, &answered(&two, 8)).unwrap();
    assert_eq!((finished.lease, leases(finished.others), finished.attempts), (Some(2), vec![1], 2));
    assert!(lab.heard(A, &answered(&one, 8)).is_none(), "late");
    assert!(lab.send(number, A, 11).is_none(), "it is over");
}

#[test]
fn a_silent_server_is_left_but_its_late_answer_counts() {
    let mut lab = Lab::new(RULES);
    let number = lab.open(7, 0);
    let copy = lab.send(number, A, 0).unwrap();
    assert_eq!(lab.table.next_due(), Some(lab.at(1_000)));
    assert!(lab.table.due(lab.at(999)).silent.is_empty());
    assert_eq!(lab.table.due(lab.at(1_000)).silent, [(number, Place { lease: 1, spoke: false })]);
    assert!(lab.table.may_try_again(number));
    lab.send(number, B, 1_000).unwrap();
    let finished = lab.heard(A, &answered(&copy, 8)).unwrap();
    assert_eq!((finished.lease, leases(finished.others)), (None, vec![2]));
    assert_eq!(lab.table.next_due(), None, "nothing is left");
}

#[test]
fn who_waits_beside_a_silent_server_is_not_forgotten_and_waits_once() {
    let mut lab = Lab::new(RULES);
    let number = lab.open(7, 0);
    lab.send(number, A, 0).unwrap();
    assert!(lab.table.wait(number) && lab.table.take_waiting().is_none(), "its server is still waited for");
    assert_eq!(lab.table.due(lab.at(1_000)).silent.len(), 1);
    assert!(lab.table.wait(number));
    assert_eq!(lab.table.next_waiting(), Some(number), "no other server was free");
    assert_eq!(lab.table.lost(A), (vec![], vec![number]));
    assert!(lab.table.wait(number), "now nobody is there who might answer");
    assert_eq!(lab.table.take_waiting(), Some(number));
    lab.table.wait_on(number);
    lab.table.wait_on(number);
    assert_eq!((lab.table.take_waiting(), lab.table.take_waiting()), (Some(number), None), "it stands in line once");
    lab.send(number, B, 1_001).unwrap();
    assert!(lab.table.wait(number) && lab.table.take_waiting().is_none(), "it has another one");
}

/// A datagram that was lost on its way is no failure of a server that answers others.
#[test]
fn who_has_answered_something_else_since_was_not_silent() {
    let mut lab = Lab::new(RULES);
    let (lost, answered_later) = (lab.open(7, 0), lab.open(8, 0));
    lab.send(lost, A, 0).unwrap();
    let copy = lab.send(answered_later, A, 1).unwrap();
    let now = lab.at(2);
    assert!(matches!(lab.table.heard(A, &answered(&copy, 8), now), Heard::Answer(_)));
    assert_eq!(lab.table.due(lab.at(1_000)).silent, [(lost, Place { lease: 1, spoke: true })]);
    lab.send(lost, A, 1_500).unwrap();
    let over = lab.table.due(lab.at(3_000)).over.remove(0);
    assert_eq!(over.others, [Place { lease: 3, spoke: false }], "and nothing since then");
}

#[test]
fn at_the_deadline_it_is_over() {
    let mut lab = Lab::new(RULES);
    let (sent, waits) = (lab.open(7, 0), lab.open(8, 1));
    let copy = lab.send(sent, A, 500).unwrap();
    assert!(lab.table.wait(waits));
    let due = lab.table.due(lab.at(3_000));
    let over = &due.over[0];
    assert_eq!((due.over.len(), over.client, over.others.len(), over.attempts), (1, client(7), 1, 1));
    assert!(lab.heard(A, &answered(&copy, 8)).is_none());
    assert_eq!((lab.table.next_waiting(), lab.table.next_due()), (Some(waits), Some(lab.at(3_001))));
    assert_eq!(lab.table.due(lab.at(3_001)).over[0].attempts, 0);
    assert_eq!((lab.table.next_waiting(), lab.table.is_empty()), (None, true));
}

#[test]
fn a_server_that_is_lost_leaves_its_requests_to_others() {
    let mut lab = Lab::new(RULES);
    let (alone, both, other) = (lab.open(1, 0), lab.open(2, 0), lab.open(3, 0));
    let copy = lab.send(alone, A, 0).unwrap();
    lab.send(both, A, 0).unwrap();
    let kept = lab.send(both, B, 0).unwrap();
    lab.send(other, B, 0).unwrap();
    let (mut leases, stuck) = lab.table.lost(A);
    leases.sort_unstable();
    assert_eq!((leases, stuck), (vec![1, 2], vec![alone]));
    assert!(lab.heard(A, &answered(&copy, 8)).is_none());
    assert_eq!(lab.heard(B, &answered(&kept, 8)).unwrap().client, client(2));
    assert_eq!(lab.table.lost(A), (vec![], vec![]));
}

#[test]
fn the_first_retry_is_free_and_the_others_are_a_fifth() {
    let mut lab = Lab::new(RULES);
    let numbers: Vec<u64> = (1..=50).map(|port| lab.open(port, 0)).collect();
    for server in [A, B] {
        for number in &numbers {
            lab.send(*number, server, 0).unwrap();
        }
        lab.table.lost(server);
        let may = numbers.iter().filter(|number| lab.table.may_try_again(**number)).count();
        assert_eq!(may, if server == A { 50 } else { 10 });
    }
    // Those that retry go on.
    let again = numbers.iter().filter(|number| lab.table.may_try_again(**number)).count();
    assert_eq!(again, 10);
    for number in numbers {
        lab.table.finish(number).unwrap();
    }
    assert_eq!((lab.table.retrying, lab.table.bytes), (0, 0));
}

#[test]
fn who_is_silent_while_others_answer_is_suspicious() {
    let mut lab = Lab::new(RULES);
    let silent = |lab: &mut Lab, ms| {
        for port in 1..=10 {
            let number = lab.open(port, ms);
            lab.send(number, A, ms).unwrap();
        }
        lab.table.due(lab.at(ms + 1_000)).suspects
    };
    assert_eq!(silent(&mut lab, 0), [], "nobody answers: it may be the network");
    let number = lab.open(99, 5_000);
    let copy = lab.send(number, B, 5_000).unwrap();
    let now = lab.at(5_500);
    assert!(matches!(lab.table.heard(B, &answered(&copy, 8), now), Heard::Answer(_)));
    assert_eq!(silent(&mut lab, 5_400), [A]);
}

#[test]
fn short_tags_run_out_and_rest_until_the_deadline() {
    let mut lab = Lab::new(Rules { tag_bytes: 2, ..RULES });
    let mut first = None;
    for port in 0..=u16::MAX {
        let number = lab.open(port, 0);
        let copy = lab.send(number, A, 0).unwrap();
        assert_eq!(copy.len(), 5);
        lab.heard(A, &answered(&copy, 2)).unwrap();
        first.get_or_insert(copy);
    }
    let one_more = lab.open(1, 2_999);
    assert!(lab.send(one_more, A, 2_999).is_none(), "all rest");
    assert!(lab.heard(A, &answered(&first.unwrap(), 2)).is_none(), "a late answer finds nobody");
    assert!(lab.send(one_more, B, 2_999).is_some(), "another server has tags of its own");
    let number = lab.open(2, 3_000);
    assert_eq!(lab.send(number, A, 3_000).unwrap()[3..], [0, 0], "the first one is used again");
}

#[test]
fn memory_is_bounded() {
    let mut lab = Lab::new(RULES);
    let open = |lab: &mut Lab, length: usize| {
        lab.table.open(client(1), &vec![0; length], RequestId::NONE, Wanted::default(), lab.begun)
    };
    assert_eq!(open(&mut lab, LONGEST - 8 + 1), Err(Refusal::TooLong));
    let many: Vec<u64> = (0..MAX_BYTES / (LONGEST - 8)).map(|_| open(&mut lab, LONGEST - 8).unwrap()).collect();
    assert_eq!(open(&mut lab, LONGEST - 8), Err(Refusal::TooMuch));
    many.into_iter().for_each(|number| drop(lab.table.finish(number).unwrap()));
    assert!(lab.table.places.iter().all(|place| place.payload.capacity() <= KEPT));
    for _ in 0..MAX_REQUESTS {
        open(&mut lab, 0).unwrap();
    }
    assert_eq!(open(&mut lab, 0), Err(Refusal::TooMany));
    let waiting = lab.table.numbers();
    assert!(lab.table.wait(waiting[0]) && lab.table.wait(waiting[1]) && !lab.table.wait(waiting[2]));
    assert_eq!((lab.table.take_waiting(), lab.table.take_waiting()), (Some(waiting[0]), Some(waiting[1])), "each once");
    lab.table.wait_on(waiting[1]);
    assert_eq!((lab.table.take_waiting(), lab.table.take_waiting()), (Some(waiting[1]), None));
}

#[test]
fn a_number_is_never_that_of_two_requests() {
    let mut lab = Lab::new(RULES);
    let one = lab.open(1, 0);
    lab.table.finish(one).unwrap();
    let two = lab.open(2, 0);
    assert!(one != two && lab.table.get(one).is_none() && lab.table.finish(one).is_none());
    assert_eq!(lab.table.numbers(), [two]);
}

/// Random requests, copies, losses and answers, of which each is delivered late, doubled, to the wrong server or damaged now and
/// then: whatever is delivered belongs to its asker, and once.
#[test]
fn whatever_happens_each_answer_belongs_to_its_asker_and_comes_once() {
    let seed = fastrand::u64(..);
    let mut random = fastrand::Rng::with_seed(seed);
    for tag_bytes in [tags::SHORTEST, tags::LONGEST] {
        let mut lab = Lab::new(Rules { tag_bytes, ..RULES });
        let (mut wire, mut answers, mut asked) = (Vec::<(ServerKey, Vec<u8>)>::new(), HashMap::new(), 0_u32);
        for ms in 0..20_000 {
            for _ in 0..random.u32(0..4) {
                asked += 1;
                let now = lab.at(ms);
                let id = RequestId { client: 1, sequence: asked.into() };
                let payload = asked.to_be_bytes();
                let number = lab.table.open(client(1), &payload, id, Wanted::default(), now).unwrap();
                for server in [A, B] {
                    if random.bool() {
                        wire.extend(lab.send(number, server, ms).map(|copy| (server, copy)));
                    }
                }
            }
            let now = lab.at(ms);
            let due = lab.table.due(now);
            for (number, _) in due.silent {
                wire.extend(lab.send(number, A, ms).map(|copy| (A, copy)));
            }
            if random.u32(..1_000) == 0 {
                lab.table.lost(B);
            }
            for _ in 0..random.u32(0..6) {
                if wire.is_empty() {
                    break;
                }
                let (server, copy) = wire[random.usize(..wire.len())].clone();
                // Those of long ago are taken off the wire, as nothing lives longer in a network.
                if wire.len() > 500 {
                    wire.drain(..250);
                }
                let server = if random.u32(..20) == 0 { ServerKey(3 - server.0) } else { server };
                let mut answer = answered(&copy, tag_bytes);
                let damaged = random.u32(..20) == 0 && tag_bytes == tags::LONGEST;
                if damaged {
                    let at = answer.len() - 1 - random.usize(..6);
                    answer[at] ^= random.u8(1..);
                }
                // With short tags the place alone says whose it is: then another server's answer is not told apart.
                if tag_bytes == tags::SHORTEST && !wire.iter().any(|(to, sent)| (*to, sent) == (server, &copy)) {
                    continue;
                }
                if let Heard::Answer(finished) = lab.table.heard(server, &answer, now) {
                    assert!(!damaged, "seed {seed}");
                    let payload: Vec<u8> = answer[..4].iter().rev().copied().collect();
                    let asked = u64::from(u32::from_be_bytes(payload.try_into().unwrap()));
                    assert_eq!(finished.id.sequence, asked, "seed {seed}");
                    assert_eq!(answers.insert(finished.id.sequence, ()), None, "seed {seed}: answered twice");
                }
            }
        }
        assert!(answers.len() > 1_000, "{} answers", answers.len());
    }
}

//! Journals made by hand, and what is said of them.

mod policies;
mod questions;

use super::*;
use crate::{
    dispatch::retry::Lost,
    event::{Considered, SkippedServer},
    policy::{How, Name},
    pool::Skipped,
};

const ID: RequestId = RequestId { client: 0x5f1d_3a9c_00b7_e214, sequence: 1 };
const OTHER: RequestId = RequestId { sequence: 2, ..ID };

/// A journal in the making. Times are in milliseconds after the first event.
#[derive(Default)]
struct Journal(Vec<Record>);

impl Journal {
    fn started() -> Self {
        let address = "127.0.0.1:5050".parse().unwrap();
        Self::default().at(0, Event::Started { address, policy: "power".into(), seed: 1 })
    }

    fn at(mut self, ms: u64, event: Event) -> Self {
        self.0.push(Record { at_us: 1_795_257_912_000_000 + ms * 1_000, event });
        self
    }

    fn asked(self, ms: u64, text: &str) -> Self {
        self.at(ms, Event::RequestReceived { request: ID, client: "2".into(), text: text.into() })
    }

    fn sent(self, ms: u64, server: &str, took_ms: u64) -> Self {
        let (server, took_us) = (server.into(), took_ms * 1_000);
        self.at(ms, Event::ResponseSent { request: ID, server, took_us, complete: true })
    }

    fn explain(&self) -> Explanation {
        explain(&self.0, ID)
    }

    fn says(&self) -> String {
        self.explain().to_string()
    }
}

/// A candidate: id, processing time, requests held, score, when it was chosen last.
fn server(id: &str, time: f64, active: u32, score: Option<f64>, last_chosen: u64) -> Considered {
    Considered { server: id.into(), score, processing_time: time, active, capacity: 4, weight: None, last_chosen }
}

fn chosen(server: &str, considered: Vec<Considered>, skipped: &[(&str, Skipped)]) -> Event {
    let skipped = skipped.iter().map(|(id, why)| SkippedServer { server: (*id).to_owned(), why: *why }).collect();
    Event::ServerChosen {
        request: ID,
        attempt: 1,
        server: server.into(),
        policy: Name::Power,
        how: How::Plain,
        considered,
        skipped,
        waited_us: 3,
        lock_wait_us: 0,
        copy: false,
        shard: None,
    }
}

fn alone(id: &str) -> Event {
    chosen(id, vec![server(id, 0.1, 0, None, 0)], &[])
}

fn with(event: Event, change: impl FnOnce(&mut u32, &mut bool, &mut u64, &mut u64)) -> Event {
    let mut event = event;
    if let Event::ServerChosen { attempt, copy, waited_us, lock_wait_us, .. } = &mut event {
        change(attempt, copy, waited_us, lock_wait_us);
    }
    event
}

fn begun(id: &str, after_ms: u64) -> Event {
    Event::AnswerBegun { request: ID, server: id.into(), after_us: after_ms * 1_000 }
}

fn failed(id: &str, why: &str, again: bool, lost: Option<Lost>) -> Event {
    Event::AttemptFailed { request: ID, server: id.into(), why: why.into(), again, lost }
}

#[track_caller]
fn assert_has(said: &str, parts: &[&str]) {
    for part in parts {
        assert!(said.contains(part), "'{part}' is not said:\n{said}");
    }
}

/// Its first step is that it was here whole; the time that it is said to have taken begins with its first bytes.
#[test]
fn the_parts_of_the_time_add_up_to_the_whole() {
    let journal = Journal::started().asked(308, "q.lab. A").sent(365, "(zone)", 265);
    assert_has(
        &journal.says(),
        &[
            "12.100 GMT). The load balancer answered it itself (zone) after 265 ms.",
            "+208.0 ms  It arrived whole.",
            "+265.0 ms  The client had its answer.",
            "Where the 265 ms went: 208 ms until it was here whole; 57 ms in the load balancer itself.",
        ],
    );
}

/// The example of the module's documentation, word for word.
#[test]
fn a_server_is_lost_and_another_one_answers() {
    let first = chosen("2", vec![server("2", 0.2, 0, Some(0.2), 0)], &[("1", Skipped::Busy)]);
    let second =
        with(chosen("1", vec![server("1", 0.1, 0, Some(0.1), 4)], &[("2", Skipped::AlreadyTried)]), |n, _, _, _| {
            *n = 2
        });
    let journal = Journal::started()
        .asked(100, "file colors.csv")
        .at(100, first)
        .at(151, failed("2", "127.0.0.1:4001 closed the connection.", true, Some(Lost::Unanswered)))
        .at(151, Event::ServerDown { server: "2".into(), why: "nobody listens there any more".into() })
        .at(151, Event::ServerDown { server: "9".into(), why: "it is none of this request's".into() })
        .at(151, second)
        .at(252, begun("1", 101))
        .at(253, Event::AnswerTaken { request: ID, server: "1".into(), bytes: 77 })
        .at(253, Event::FileSent { request: ID, server: "1".into(), bytes: 49 })
        .sent(253, "1", 153);
    let expected = "\
Request 5f1d3a9c00b7e214-0000000000000001
Client 2 asked for the file colors.csv (21 Nov 2026 10:45:12.100 GMT). Server 1 answered it, at the 2nd attempt, after 153 ms.

      +0.0 ms  It arrived whole.
      +0.0 ms  Server 2 was chosen.
               Rule (power): the strongest server that can take it; equals in turn.
               Why server 2: It was the only one that could take it.
               Could take it: server 2 (0.2 s, holds 0 of 4, score 0.2)  <- chosen
               Could not: server 1 (holds as many requests as it may)
     +51.0 ms  Server 2 failed it: 127.0.0.1:4001 closed the connection.
               The client had nothing of the answer, and reading twice does no harm: another server may have it.
     +51.0 ms  Meanwhile server 2 was down: nobody listens there any more.
     +51.0 ms  Server 1 was chosen for attempt 2.
               Rule (power): the strongest server that can take it; equals in turn.
               Why server 1: It was the only one that could take it.
               Could take it: server 1 (0.1 s, holds 0 of 4, score 0.1)  <- chosen
               Could not: server 2 (had this request already)
    +152.0 ms  Server 1 began to answer, 101 ms after it had been chosen.
    +153.0 ms  Server 1 had said its last word (77 bytes, frames included) and was free again.
    +153.0 ms  The file had been passed on whole: 49 bytes.
    +153.0 ms  The client had its answer.

Where the 153 ms went: 51 ms at server 2, lost; 101 ms at server 1; 1.0 ms passing the answer on.
";
    assert_eq!(journal.says(), expected);
}

#[test]
fn a_wait_is_told_with_who_was_before_and_how_long_it_took() {
    let late = with(alone("1"), |_, _, waited, lock| (*waited, *lock) = (52_000, 800));
    let journal = Journal::started()
        .asked(0, "SELECT 1")
        .at(1, Event::RequestWaits { request: ID, ahead: 3 })
        .at(53, late)
        .at(60, begun("1", 7))
        .sent(60, "1", 60);
    assert_has(
        &journal.says(),
        &[
            "Client 2 asked: SELECT 1",
            "it waited, with 3 requests before it.",
            "Server 1 was chosen, after a wait of 52 ms.",
            "Of that, 800 µs went to the pool's lock",
            "Where the 60 ms went: 53 ms waiting for a server; 7.0 ms at server 1.",
        ],
    );
}

#[test]
fn copies_the_one_that_is_first_and_the_one_that_is_not() {
    let copy = with(alone("2"), |attempt, copy, _, _| (*attempt, *copy) = (2, true));
    let journal = Journal::started()
        .asked(0, "file f")
        .at(0, alone("1"))
        .at(20, copy)
        .at(20, Event::CopySent { request: ID, server: "2".into(), after_us: 20_000 })
        .at(25, Event::CopyLost { request: ID, server: "1".into(), why: "another one was first".into() })
        .at(25, begun("2", 5))
        // As the dispatcher tells it: the server that was chosen first.
        .sent(26, "1", 26);
    let explanation = journal.explain();
    assert_has(
        &explanation.to_string(),
        &[
            "Server 2 answered it after 26 ms.",
            "Server 2 was chosen for a copy.",
            "Server 2 got a copy, 20 ms after the first one",
            "What server 1 has is not needed any more: another one was first.",
            "Server 2 began to answer, 5.0 ms after it had been chosen, as the first of those that had it.",
        ],
    );
    let account = &explanation.accounts[0];
    assert_eq!(account.spent[0], Spent { on: Where::Server { server: "2".into() }, us: 25_000 });
}

#[test]
fn a_copy_that_is_lost_leaves_it_to_the_others() {
    let copy = with(alone("2"), |_, copy, _, _| *copy = true);
    let journal = Journal::started()
        .asked(0, "file f")
        .at(0, alone("1"))
        .at(0, copy)
        .at(5, failed("1", "It is full", true, None))
        .at(9, begun("2", 9))
        .sent(10, "2", 10);
    assert_has(&journal.says(), &["Server 1 failed it: It is full.", "It went on at the other server that had it."]);
    assert_eq!(journal.explain().accounts[0].spent.iter().map(|part| part.us).sum::<u64>(), 10_000);
}

#[test]
fn why_it_may_be_tried_again_or_not() {
    for (asked, again, lost, expected) in [
        ("SELECT 1", true, Some(Lost::BeforeSent), "cannot have acted on it"),
        ("SELECT 1", true, Some(Lost::Unanswered), "what was done is found there, and not done twice"),
        ("SELECT 1", false, Some(Lost::Unanswered), "is not asked again: its outcome is not recorded"),
        ("SELECT 1", false, Some(Lost::Partly), "two results are never joined"),
        ("file f", true, Some(Lost::Unanswered), "reading twice does no harm"),
        ("file f", true, Some(Lost::Partly), "may go on at that byte"),
        ("GET /f", true, Some(Lost::Unanswered), "may be made twice"),
        ("POST /f", false, Some(Lost::Unanswered), "may not be made twice"),
        ("file f", true, None, "said so itself"),
        ("file f", false, Some(Lost::BeforeSent), "were used up"),
        ("file f", false, None, "What the server said is final"),
    ] {
        let journal = Journal::started().asked(0, asked).at(0, alone("1")).at(1, failed("1", "gone", again, lost));
        assert_has(&journal.says(), &[expected]);
    }
}

#[test]
fn a_file_goes_on_at_a_byte() {
    let journal = Journal::started()
        .asked(0, "file f")
        .at(0, alone("1"))
        .at(1, begun("1", 1))
        .at(10, failed("1", "gone", true, Some(Lost::Partly)))
        .at(10, alone("2"))
        .at(12, Event::FileResumed { request: ID, server: "2".into(), offset: 4_000_000 })
        .sent(20, "2", 20);
    assert_has(
        &journal.says(),
        &[
            "Server 2 went on with the file at byte 4000000, where the one before had broken off.",
            "9.0 ms at server 1, lost",
        ],
    );
}

#[test]
fn every_end() {
    let base = || Journal::started().asked(0, "SELECT 1");
    let unsure = Event::RequestFailed {
        request: ID,
        code: ErrorCode::UnknownOutcome,
        definite: false,
        message: "The server was lost.".into(),
    };
    let sure = Event::RequestFailed { request: ID, code: ErrorCode::Busy, definite: true, message: "Too many.".into() };
    let error = Event::ResponseSent { request: ID, server: "1".into(), took_us: 9, complete: false };
    for (event, parts) in [
        (unsure, ["It failed after 5.0 ms (unknown-outcome): The server was lost.", "it may have been carried out"]),
        (sure, ["(busy): Too many.", "it surely was not carried out"]),
        (error, ["with an error of the request's own.", "No other server is asked then"]),
        (
            Event::RequestCancelled { request: ID, server: Some("1".into()) },
            ["The client took it back", "server 1 was told"],
        ),
        (Event::RequestCancelled { request: ID, server: None }, ["The client took it back", "before it had a server"]),
        (Event::RequestAbandoned { request: ID, why: "it is gone".into() }, ["could not be told", "it is gone."]),
    ] {
        let said = base().at(5, event).says();
        assert_has(&said, &parts);
        assert!(!said.contains("Not complete"), "{said}");
    }
}

#[test]
fn a_connection_that_was_passed_on() {
    let how = "both have ended it".to_owned();
    let over = Event::ConnectionEnded { request: ID, server: "1".into(), up: 1, down: 2_000, took_us: 5_000, how };
    let journal = Journal::started().asked(0, "a connection").at(0, alone("1")).at(5, over);
    assert_has(
        &journal.says(),
        &[
            "asked for a connection",
            "Server 1 had it for 5.0 ms: both have ended it.",
            "after 1 byte from the client and 2000 bytes from the server.",
            "Where the 5.0 ms went: 5.0 ms connected with server 1.",
        ],
    );
}

/// Round robin of one pool does not go on after a server of another one.
#[test]
fn the_one_before_is_one_of_the_same_pool() {
    let turn = |server, of: &[&str]| {
        let all = of.iter().map(|id| self::server(id, 0.1, 0, None, 0)).collect();
        let mut event = chosen(server, all, &[]);
        if let Event::ServerChosen { policy, .. } = &mut event {
            *policy = Name::RoundRobin;
        }
        event
    };
    let journal = Journal::started()
        .asked(0, "ping")
        .at(0, turn("1", &["1", "2"]))
        .at(1, turn("tcp", &["tcp", "tcp2"]))
        .at(2, turn("2", &["1", "2"]));
    assert_has(
        &journal.says(),
        &["Why server 2: It is the next one in the circle after server 1, which was chosen before."],
    );
}

#[test]
fn a_skipped_server_is_told_with_its_reason_and_since_when() {
    let all = [
        ("busy", Skipped::Busy),
        ("doubtful", Skipped::Doubtful),
        ("down", Skipped::Down),
        ("ejected", Skipped::Ejected),
        ("warm", Skipped::WarmingUp),
        ("person", Skipped::Maintenance),
    ];
    let journal = Journal::started()
        .at(100, Event::ServerDown { server: "down".into(), why: "it does not answer.".into() })
        .at(200, Event::ServerEjected { server: "ejected".into(), why: "5 failures".into(), lasting_ms: 30_000 })
        .asked(2_300, "ping")
        .at(2_300, chosen("1", vec![server("1", 0.1, 0, None, 0)], &all))
        .sent(2_301, "1", 1);
    assert_has(
        &journal.says(),
        &[
            "Could not: server busy (holds as many requests as it may)",
            "Could not: server down (does not answer; since 2.20 s: it does not answer)",
            "Could not: server ejected (left out for a while because of how it did; since 2.10 s: 5 failures)",
            "Could not: server warm (has just come back",
            "Could not: server person (a person has it in maintenance)",
        ],
    );
}

#[test]
fn the_same_id_twice_is_told_twice() {
    let failed =
        Event::RequestFailed { request: ID, code: ErrorCode::UnknownOutcome, definite: false, message: "?".into() };
    let journal = Journal::started()
        .asked(0, "INSERT")
        .at(5, failed)
        .asked(1_000, "INSERT")
        .at(1_000, alone("1"))
        .sent(1_009, "1", 9);
    let said = journal.says();
    assert_has(
        &said,
        &["This id came 2 times", "Time 1 of 2", "Time 2 of 2", "It failed after 5.0 ms", "after 9.0 ms"],
    );
    assert!(!said.contains("Not complete"), "{said}");
}

#[test]
fn the_same_id_twice_at_once_cannot_be_told_apart() {
    let journal = Journal::started().asked(0, "a").asked(1, "b").at(1, alone("1")).sent(9, "1", 9);
    assert_has(&journal.says(), &["the same id came again before", "some of these steps may be of that one"]);
}

#[test]
fn what_is_missing_is_told() {
    let sent = |journal: Journal| journal.sent(9, "1", 9);
    let gaps = |journal: Journal| journal.explain().accounts[0].gaps.clone();
    assert_eq!(gaps(sent(Journal::started().asked(0, "a"))), []);
    assert_eq!(gaps(sent(Journal::default().at(1, alone("1")))), [Gap::NoBeginning]);
    let lost = sent(Journal::started().asked(0, "a").at(4, Event::EventsLost { count: 12 }));
    assert_eq!(gaps(lost), [Gap::EventsLost { count: 12, after_us: 4_000 }]);
    let open = Journal::started().asked(0, "a").at(30, Event::Stopping);
    assert_eq!(gaps(open), [Gap::RecordsEnd { after_us: 30_000 }]);
    let address = "127.0.0.1:5050".parse().unwrap();
    let killed = Journal::started().asked(0, "a").at(30, Event::Started { address, policy: "power".into(), seed: 1 });
    assert_eq!(gaps(killed), [Gap::StartedAgain]);
    let rotated = sent(Journal::default().at(0, Event::Stopping).asked(0, "a")).says();
    assert_has(&rotated, &["About the journal: It begins at 21 Nov 2026 10:45:12.000 GMT, after the start"]);
}

#[test]
fn what_happens_to_its_servers_is_told_up_to_a_limit() {
    let mut journal = Journal::started().asked(0, "a").at(0, alone("1"));
    for ms in 1..=150 {
        journal = journal.at(ms, Event::ServerUp { server: "1".into() });
    }
    let account = journal.sent(200, "1", 200).explain().accounts.remove(0);
    assert_eq!((account.steps.len(), &account.gaps[..]), (3 + 100, &[Gap::More { count: 50 }][..]));
}

#[test]
fn an_unknown_id_is_said_to_be_unknown_and_how_far_that_can_be_known() {
    let whole = Journal::started().at(5, Event::Stopping);
    assert_has(
        &whole.says(),
        &["The journal says nothing of this request.", "complete from the start", "had not arrived"],
    );
    let lossy = Journal::started().at(5, Event::EventsLost { count: 1 });
    assert_has(&lossy.says(), &["It lacks 1 event", "So it may have been here all the same."]);
    let rotated = Journal::default().at(5, Event::Stopping);
    assert_has(&rotated.says(), &["has been replaced", "all the same"]);
    assert_eq!(whole.explain().accounts, []);
}

#[test]
fn others_with_the_same_client_are_not_mixed_in() {
    let other = Event::RequestReceived { request: OTHER, client: "2".into(), text: "other".into() };
    let said = Journal::started().asked(0, "mine").at(1, other).at(2, alone("1")).sent(3, "1", 3).says();
    assert!(said.contains("mine") && !said.contains("other"), "{said}");
}

#[test]
fn text_of_others_cannot_drive_the_terminal_nor_break_a_line() {
    let said = Journal::started().asked(0, "SELECT\n\u{1b}]0;x\u{7} 1").says();
    assert_has(&said, &["asked: SELECT \\u{1b}]0;x\\u{7} 1"]);
}

//! One request at several servers: the first answer wins, once; a statement that writes is carried out by one alone.

use crate::kit::{Ask, FakeServer, Lab, Script, Seen, Told, echo, eventually};
use loadbalancer::event::Event;
use protocol::message::{ErrorCode, Failure};
use std::sync::Arc;

/// Works until it is told to stop, and confirms that.
fn slow() -> Script {
    Arc::new(|ask: &mut Ask<'_>| match ask.until_told() {
        Told::Cancel => ask.confirm(),
        _ => ask.hang_up(),
    })
}

/// What the real server does under the mark: a statement that writes is refused.
fn careful() -> Script {
    Arc::new(|ask: &mut Ask<'_>| {
        if ask.prefix.read_only() && ask.text.starts_with("INSERT") {
            return ask.fail(&Failure::definite(ErrorCode::Forbidden, "It would write."));
        }
        ask.echo();
    })
}

fn requests(server: &FakeServer) -> usize {
    server.so_far().into_iter().filter(|seen| matches!(seen, Seen::Request(_))).count()
}

#[test]
fn a_hedge_goes_to_another_server_and_the_loser_is_told_to_stop() {
    let lab = Lab::new(&["--hedge-after", "20ms"]);
    let strong = lab.server("strong", slow());
    let _weak = lab.weaker("weak", echo());
    let mut client = lab.client();
    for sequence in 0..3 {
        assert!(client.fetch("file").text().ends_with("from weak"), "request {sequence}");
        lab.until_event("the loser", |event| matches!(event, Event::CopyLost { server, .. } if server == "strong"));
        lab.until_event("the end", |event| match event {
            Event::ResponseSent { server, .. } => {
                assert_eq!(server, "weak", "who answered is named, not who was asked first");
                true
            }
            _ => false,
        });
        lab.until_state("strong", "idle");
    }
    let seen = strong.so_far();
    let each = [Seen::Request("file".into()), Seen::Cancel];
    assert_eq!(seen, [each.clone(), each.clone(), each].concat());
    let weak = lab.status("weak").unwrap();
    assert_eq!((weak.answered, weak.active), (3, 0));
    lab.assert_no_panic();
}

#[test]
fn an_answer_in_time_needs_no_hedge() {
    let lab = Lab::new(&["--hedge-after", "10s"]);
    let _strong = lab.server("strong", echo());
    let weak = lab.weaker("weak", echo());
    let mut client = lab.client();
    (0..5).for_each(|_| assert!(client.fetch("file").text().ends_with("from strong")));
    assert_eq!(requests(&weak), 0);
}

#[test]
fn a_statement_that_writes_is_carried_out_by_its_first_server_alone() {
    let lab = Lab::new(&["--hedge-after", "20ms"]);
    let (go_on, waits) = crossbeam_channel::bounded(1);
    let _strong = lab.server(
        "strong",
        Arc::new(move |ask: &mut Ask<'_>| {
            assert!(!ask.prefix.read_only(), "the first server may write");
            assert_eq!(ask.until_told_or(&waits), Told::GoOn);
            ask.echo();
        }),
    );
    let weak = lab.weaker("weak", careful());
    let mut client = lab.client();
    let id = client.sql("INSERT");
    lab.until_event("the refusal", |event| matches!(event, Event::CopyLost { server, .. } if server == "weak"));
    go_on.send(()).unwrap();
    assert!(client.answer(id).text().ends_with("from strong"));
    assert_eq!(requests(&weak), 1);
    lab.until_state("weak", "idle");
    lab.assert_no_panic();
}

#[test]
fn of_duplicates_the_first_answer_counts() {
    let lab = Lab::new(&["--duplicate", "3"]);
    let slow_ones: Vec<_> = ["a", "b"].map(|id| lab.server(id, slow())).into();
    let _fast = lab.weaker("fast", echo());
    let mut client = lab.client();
    for _ in 0..3 {
        assert!(client.fetch("file").text().ends_with("from fast"));
        ["a", "b", "fast"].iter().for_each(|id| lab.until_state(id, "idle"));
    }
    assert!(slow_ones.iter().all(|server| requests(server) == 3));
    assert_eq!(["a", "b", "fast"].map(|id| lab.status(id).unwrap().answered), [0, 0, 3]);
    lab.assert_no_panic();
}

#[test]
fn duplicates_of_a_statement_that_writes_are_refused_and_the_original_goes_alone() {
    let lab = Lab::new(&["--duplicate", "2"]);
    let servers = [lab.server("a", careful()), lab.server("b", careful())];
    let mut client = lab.client();
    assert!(client.ask("INSERT").text().contains("INSERT"));
    ["a", "b"].iter().for_each(|id| lab.until_state(id, "idle"));
    let asked: usize = servers.iter().map(requests).sum();
    assert!((2..=3).contains(&asked), "two marked ones at the most, and one that may write: {asked}");
    assert!(client.ask("SELECT").text().contains("SELECT"));
    lab.assert_no_panic();
}

#[test]
fn a_first_server_that_is_lost_leaves_the_request_to_the_copy() {
    let lab = Lab::new(&["--hedge-after", "20ms"]);
    let (vanish, vanishes) = crossbeam_channel::bounded(1);
    let _strong = lab.server(
        "strong",
        Arc::new(move |ask: &mut Ask<'_>| {
            assert_eq!(ask.until_told_or(&vanishes), Told::GoOn);
            ask.hang_up();
        }),
    );
    let (go_on, waits) = crossbeam_channel::bounded(1);
    let _weak = lab.weaker(
        "weak",
        Arc::new(move |ask: &mut Ask<'_>| {
            assert_eq!(ask.until_told_or(&waits), Told::GoOn);
            ask.echo();
        }),
    );
    let mut client = lab.client();
    let id = client.file("file");
    lab.until_event("the copy", |event| matches!(event, Event::CopySent { server, .. } if server == "weak"));
    vanish.send(()).unwrap();
    lab.until_event("the loss", |event| matches!(event, Event::AttemptFailed { server, .. } if server == "strong"));
    go_on.send(()).unwrap();
    assert!(client.answer(id).text().ends_with("from weak"));
    lab.assert_no_panic();
}

#[test]
fn a_request_that_is_taken_back_is_taken_back_everywhere() {
    let lab = Lab::new(&["--duplicate", "2"]);
    let servers = [lab.server("a", slow()), lab.server("b", slow())];
    let mut client = lab.client();
    let id = client.file("file");
    eventually("both have it", || ["a", "b"].iter().all(|id| lab.status(id).unwrap().active == 1));
    client.cancel(id);
    assert_eq!(client.answer(id).verdict(), (ErrorCode::Cancelled, true));
    ["a", "b"].iter().for_each(|id| lab.until_state(id, "idle"));
    for server in servers {
        assert!(server.so_far().into_iter().any(|seen| seen == Seen::Cancel));
    }
    lab.assert_no_panic();
}

#[test]
fn the_budget_keeps_hedges_from_becoming_a_storm() {
    let lab = Lab::new(&["--hedge-after", "1ms", "--hedge-budget", "0%"]);
    let (go_on, waits) = crossbeam_channel::unbounded();
    let _strong = lab.server(
        "strong",
        Arc::new(move |ask: &mut Ask<'_>| {
            assert_eq!(ask.until_told_or(&waits), Told::GoOn);
            ask.echo();
        }),
    );
    let weak = lab.weaker("weak", echo());
    let mut client = lab.client();
    let id = client.file("file");
    lab.until_event("the refusal", |event| matches!(event, Event::CopyNotSent { why, .. } if why.contains("budget")));
    go_on.send(()).unwrap();
    assert!(client.answer(id).text().ends_with("from strong"));
    assert_eq!(requests(&weak), 0);
}

#[test]
fn a_copy_that_was_first_and_is_lost_in_the_middle_is_the_one_that_is_avoided() {
    let lab = Lab::new(&["--hedge-after", "20ms"]);
    let _strong = lab.server("strong", slow());
    let weak = lab.weaker(
        "weak",
        Arc::new(|ask: &mut Ask<'_>| {
            ask.begin(8);
            ask.hang_up();
        }),
    );
    let mut client = lab.client();
    let id = client.file("file");
    let lost = lab.until_event("the loss", |event| matches!(event, Event::AttemptFailed { .. }));
    assert!(matches!(&lost, Event::AttemptFailed { server, .. } if server == "weak"), "{lost:?}");
    weak.follow(echo());
    client.cancel(id);
    client.answer(id);
    lab.assert_no_panic();
}

/// Works until it is let go or told to stop; then it hangs up, or confirms.
fn until(go_on: crossbeam_channel::Receiver<()>) -> Script {
    Arc::new(move |ask: &mut Ask<'_>| match ask.until_told_or(&go_on) {
        Told::Cancel => ask.confirm(),
        _ => ask.hang_up(),
    })
}

#[test]
fn what_a_copy_fails_with_is_not_believed_while_the_first_server_may_have_written() {
    let lab = Lab::new(&["--hedge-after", "20ms"]);
    let (go_on, waits) = crossbeam_channel::bounded(1);
    let _strong = lab.server(
        "strong",
        Arc::new(move |ask: &mut Ask<'_>| {
            assert_eq!(ask.until_told_or(&waits), Told::GoOn);
            ask.echo();
        }),
    );
    let _weak = lab.weaker(
        "weak",
        Arc::new(|ask: &mut Ask<'_>| ask.fail(&Failure::definite(ErrorCode::SqlError, "table t already exists"))),
    );
    let mut client = lab.client();
    let id = client.sql("CREATE TABLE t (x)");
    lab.until_event("the copy's failure", |event| matches!(event, Event::CopyLost { server, .. } if server == "weak"));
    go_on.send(()).unwrap();
    assert!(client.answer(id).text().ends_with("from strong"));
    lab.assert_no_panic();
}

#[test]
fn a_write_that_is_not_recorded_and_may_have_happened_is_not_done_again_because_a_copy_refused_it() {
    // Without a database that records outcomes nobody can find out what a lost server did.
    let lab = Lab::new(&["--hedge-after", "20ms"]);
    let (vanish, vanishes) = crossbeam_channel::bounded(1);
    let strong = lab.server("strong", until(vanishes));
    let (refuse, waits) = crossbeam_channel::bounded(1);
    let weak = lab.weaker(
        "weak",
        Arc::new(move |ask: &mut Ask<'_>| {
            assert_eq!(ask.until_told_or(&waits), Told::GoOn);
            ask.fail(&Failure::definite(ErrorCode::Forbidden, "It would write."));
        }),
    );
    let mut client = lab.client();
    let id = client.sql("INSERT");
    lab.until_event("the copy", |event| matches!(event, Event::CopySent { server, .. } if server == "weak"));
    vanish.send(()).unwrap();
    lab.until_event("the loss", |event| matches!(event, Event::AttemptFailed { server, .. } if server == "strong"));
    refuse.send(()).unwrap();
    assert_eq!(client.answer(id).verdict(), (ErrorCode::UnknownOutcome, false));
    assert_eq!((requests(&strong), requests(&weak)), (1, 1));
    lab.assert_no_panic();
}

#[test]
fn a_first_server_that_talks_nonsense_leaves_the_request_to_the_copy_and_its_connection_is_closed() {
    let lab = Lab::new(&["--hedge-after", "20ms"]);
    let (go_on, waits) = crossbeam_channel::bounded(1);
    let strong = lab.server(
        "strong",
        Arc::new(move |ask: &mut Ask<'_>| {
            assert_eq!(ask.until_told_or(&waits), Told::GoOn);
            ask.frame(protocol::frame::Kind::Alive, &serde_json::json!({}), &[]);
            assert_eq!(ask.until_told(), Told::Gone);
        }),
    );
    let (answer, answers) = crossbeam_channel::bounded(1);
    let _weak = lab.weaker(
        "weak",
        Arc::new(move |ask: &mut Ask<'_>| {
            assert_eq!(ask.until_told_or(&answers), Told::GoOn);
            ask.echo();
        }),
    );
    let mut client = lab.client();
    let id = client.file("file");
    lab.until_event("the copy", |event| matches!(event, Event::CopySent { server, .. } if server == "weak"));
    go_on.send(()).unwrap();
    lab.until_event("the loss", |event| matches!(event, Event::AttemptFailed { server, .. } if server == "strong"));
    answer.send(()).unwrap();
    assert!(client.answer(id).text().ends_with("from weak"));
    eventually("the connection is closed", || strong.so_far().contains(&Seen::Gone));
    lab.assert_no_panic();
}

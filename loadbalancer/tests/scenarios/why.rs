//! What a real load balancer writes into its journal, and what `loadbalancer why` makes of it.

use crate::kit::{Ask, Lab, Script, Told, echo, eventually};
use loadbalancer::event::{
    reader::JournalReader,
    why::{Answer, End, Explanation, Past, Question, Where},
};
use protocol::{
    id::RequestId,
    message::{ErrorCode, Failure},
};
use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::Arc,
};

/// A load balancer with a journal, and where that is.
fn journaling(flags: &[&str]) -> (Lab, PathBuf) {
    let lab = Lab::journaling(flags);
    let path = lab.journal();
    (lab, path)
}

/// What the journal says of a request, once that has an end.
fn explained(journal: &Path, id: RequestId) -> Explanation {
    let past = Past::Journal(journal.to_owned());
    let mut found = None;
    eventually("the journal has the end of the request", || {
        let answer = past.answer(&Question::Request(id.to_string())).unwrap();
        let Answer::Explanation(explanation) = answer else { panic!("{answer}") };
        let over = explanation.accounts.last().is_some_and(|account| account.end != End::Unknown);
        found = Some(*explanation);
        over
    });
    found.unwrap()
}

fn why(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_loadbalancer")).arg("why").args(args).output().unwrap()
}

#[track_caller]
fn assert_has(said: &str, parts: &[&str]) {
    for part in parts {
        assert!(said.contains(part), "'{part}' is not said:\n{said}");
    }
}

/// A server is killed while it has the request: who it was, why another one may have it, and where the time went.
#[test]
fn a_server_is_killed_in_the_middle_of_a_request() {
    let (lab, journal) = journaling(&[]);
    let works: Script = Arc::new(|ask: &mut Ask<'_>| {
        ask.until_told();
    });
    let mut strong = lab.server("strong", works);
    let _weak = lab.weaker("weak", echo());
    let mut client = lab.client();
    let id = client.file("colors.csv");
    strong.expect_request("colors.csv");
    strong.kill();
    assert!(client.answer(id).text().ends_with("from weak"));

    let explanation = explained(&journal, id);
    assert!(explanation.scope.is_complete(), "{explanation}");
    let [account] = &explanation.accounts[..] else { panic!("{explanation}") };
    assert_eq!(account.end, End::Answered { server: "weak".into(), complete: true });
    assert_eq!((account.attempts, &account.gaps[..]), (2, &[][..]), "{explanation}");
    let lost = account.spent.iter().find(|part| part.on == Where::Lost { server: "strong".into() });
    let parts: u64 = account.spent.iter().map(|part| part.us).sum();
    assert!(lost.is_some_and(|lost| lost.us > 0) && parts <= account.took_us, "{explanation}");

    // The same by the command.
    let path = journal.to_str().unwrap();
    let told = why(&[&id.to_string(), "--journal", path]);
    let said = String::from_utf8(told.stdout).unwrap();
    assert_eq!((said.trim_end(), told.status.code()), (explanation.to_string().trim_end(), Some(0)));
    assert_has(
        &said,
        &[
            "Client 2 asked for the file colors.csv",
            "Server weak answered it, at the 2nd attempt,",
            "Why server strong: It is the strongest of those: 0 s for a request; the next is server weak, 0.01 s",
            "Server strong failed it:",
            "reading twice does no harm: another server may have it.",
            "Server weak was chosen for attempt 2",
            "Could not: server strong (",
        ],
    );
    let json = why(&["--last", "--json", "--journal", path]).stdout;
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(json["explanation"]["request"], id.to_string());
}

/// Waiting, failing, taking back, asking again under the same id: each has its account.
#[test]
fn waits_failures_and_repeats() {
    let (lab, journal) = journaling(&["--max-queue", "1"]);
    let (go_on, waits) = crossbeam_channel::unbounded();
    let server = lab.server(
        "1",
        Arc::new(move |ask: &mut Ask<'_>| match ask.until_told_or(&waits) {
            Told::GoOn => ask.fail(&Failure::definite(ErrorCode::NotFound, "There is no such file.")),
            Told::Cancel => ask.confirm(),
            Told::Gone => {}
        }),
    );
    let mut clients: Vec<_> = (1..=3).map(|_| lab.client()).collect();
    clients.iter_mut().zip(1..).for_each(|(client, number)| client.number = number);
    let first = clients[0].file("first");
    server.expect_request("first");
    let waiting = clients[1].file("waiting");
    eventually("one waits", || lab.waiting() == 1);
    let refused = clients[2].file("refused");
    assert_eq!(clients[2].answer(refused).verdict(), (ErrorCode::Busy, true));
    go_on.send(()).unwrap();
    assert_eq!(clients[0].answer(first).verdict(), (ErrorCode::NotFound, true));
    server.expect_request("waiting");
    clients[1].cancel(waiting);
    assert_eq!(clients[1].answer(waiting).verdict(), (ErrorCode::Cancelled, true));

    let said = explained(&journal, first).to_string();
    assert_has(&said, &["Server 1 answered after", "an error of the request's own"]);
    let said = explained(&journal, refused).to_string();
    assert_has(&said, &["It failed after", "(busy): Too many requests are waiting"]);
    let said = explained(&journal, waiting).to_string();
    assert_has(
        &said,
        &["it waited, as the next in line", "after a wait of", "The client took it back", "waiting for a server"],
    );
    let path = journal.to_str().unwrap();
    let failed = String::from_utf8(why(&["--failed", "--journal", path]).stdout).unwrap();
    assert_eq!(failed.lines().count(), 2, "{failed}");
    assert_has(&failed, &[&first.to_string(), &refused.to_string()]);
    let unknown = why(&["00000000000000ff-0000000000000001", "--journal", path]);
    assert_eq!(unknown.status.code(), Some(1));
    assert_has(&String::from_utf8(unknown.stdout).unwrap(), &["says nothing of this request", "had not arrived here"]);
    let ambiguous = why(&["0000", "--journal", path]);
    assert_eq!((ambiguous.status.code(), ambiguous.stdout.len()), (Some(2), 0));
    assert_has(&String::from_utf8(ambiguous.stderr).unwrap(), &["3 requests begin with 0000", &waiting.to_string()]);
}

/// A hedge: the copy is first, and it is the copy that is said to have answered.
#[test]
fn a_copy_that_was_first() {
    let (lab, journal) = journaling(&["--hedge-after", "20ms"]);
    let _strong = lab.server(
        "strong",
        Arc::new(|ask: &mut Ask<'_>| match ask.until_told() {
            Told::Cancel => ask.confirm(),
            _ => ask.hang_up(),
        }),
    );
    let _weak = lab.weaker("weak", echo());
    let mut client = lab.client();
    let id = client.file("file");
    client.answer(id).text();
    let explanation = explained(&journal, id);
    assert_eq!(explanation.accounts[0].end, End::Answered { server: "weak".into(), complete: true });
    assert_has(
        &explanation.to_string(),
        &[
            "Server weak was chosen for a copy",
            "as the first of those that had it",
            "What server strong has is not needed",
        ],
    );
}

/// What is explained from memory is what is explained from the journal.
#[test]
fn the_memory_says_what_the_journal_says() {
    let lab = Lab::remembering();
    let _server = lab.server("1", echo());
    let mut client = lab.client();
    let id = client.sql("SELECT 1");
    client.answer(id).text();
    eventually("the memory has its end", || {
        let answer = lab.past().answer(&Question::Last);
        answer.is_ok_and(|answer| answer.to_string().contains("Server 1 answered it after"))
    });
    let asked = lab.past().answer(&Question::Request(id.to_string())).unwrap().to_string();
    assert_has(&asked, &["Client 2 asked: SELECT 1", "It was the only one that could take it."]);
    assert!(JournalReader::open(&lab.journal()).is_err(), "there is no journal");
}

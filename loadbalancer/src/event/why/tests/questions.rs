//! What can be asked: an id, its beginning, a client's number, the last one, those that failed.

use super::*;

#[test]
fn questions() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.jsonl");
    let busy = Event::RequestFailed { request: OTHER, code: ErrorCode::Busy, definite: true, message: "Full.".into() };
    let third = RequestId { client: 0x60, sequence: 1 };
    let open = Event::RequestReceived { request: third, client: "3".into(), text: "file open".into() };
    let other = Event::RequestReceived { request: OTHER, client: "2".into(), text: "file other".into() };
    let journal =
        Journal::started().asked(0, "file mine").at(1, other).at(2, busy).at(3, alone("1")).sent(4, "1", 4).at(5, open);
    let lines: Vec<String> = journal.0.iter().map(|record| serde_json::to_string(record).unwrap()).collect();
    std::fs::write(&path, lines.join("\n") + "\n{\"at_us\":7,\"event\":\"moon-rises\"}\n{\"at").unwrap();
    let past = Past::Journal(path);
    let ask = |asked: &str| past.answer(&Question::Request(asked.into())).map(|answer| answer.to_string());
    assert_has(&ask(&ID.to_string()).unwrap(), &["file mine", "1 event of another version"]);
    assert_has(&ask("00000000").unwrap(), &["file open"]);
    let listed = ask("5F1D3A9C00B7E214").unwrap();
    assert_eq!(listed.lines().count(), 2, "{listed}");
    assert_has(&listed, &["file mine: answered by server 1 [4.0 ms]", "file other: failed (busy): Full. [1.0 ms]"]);
    let ambiguous = ask("5f1d").unwrap_err();
    assert!(ambiguous.is_wrong_usage());
    assert_has(&ambiguous.to_string(), &["2 requests begin with 5f1d", &ID.to_string(), &OTHER.to_string()]);
    for wrong in ["", "x", "5f1d3a9c00b7e2140", "5f1d3a9c00b7e214-00000000000000010"] {
        assert!(matches!(ask(wrong), Err(Unanswerable::NotAnId(_))), "{wrong:?}");
    }
    assert!(matches!(ask("77"), Err(Unanswerable::NoneBegins(_))));
    assert_has(&past.answer(&Question::Last).unwrap().to_string(), &["file mine"]);
    let failed = past.answer(&Question::Failed).unwrap().to_string();
    assert!(failed.contains("file other") && failed.lines().count() == 1, "{failed}");
    let json = serde_json::to_value(past.answer(&Question::Last).unwrap()).unwrap();
    assert_eq!(json["explanation"]["accounts"][0]["steps"][1]["event"]["event"], "server-chosen");
    let nowhere = Past::Journal(folder.path().join("none"));
    assert!(matches!(nowhere.answer(&Question::Last), Err(Unanswerable::NoJournal { .. })));
}

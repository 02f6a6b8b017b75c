use super::*;

/// Writes down what it is given.
#[derive(Default)]
struct Notes(Vec<String>);

impl Sink for Notes {
    fn take(&mut self, part: Part<'_>) -> Result<(), SinkError> {
        self.0.push(format!("{part:?}"));
        Ok(())
    }

    fn foreign(&mut self, request: RequestId) {
        self.0.push(format!("foreign {request}"));
    }

    fn end(&mut self, end: &End) -> Result<(), SinkError> {
        self.0.push(format!("end of {}", end.server));
        Ok(())
    }
}

type Frame = (Kind, &'static str, &'static str);

const ROWS: Frame = (Kind::Head, r#"{"type":"rows","columns":["a","b"]}"#, "");
const FILE: Frame = (Kind::Head, r#"{"type":"file","name":"x","size":3}"#, "");
const CHANGED: Frame = (Kind::Head, r#"{"type":"changed","rows":2}"#, "");
const BATCH: Frame = (Kind::Data, r#"{"rows":2}"#, "[1,null]\n[\"x\",2.5]\n");
const CHUNK: Frame = (Kind::Data, r#"{"sha256":"00"}"#, "abc");
const END: Frame = (Kind::End, r#"{"server":"2"}"#, "");
const END_OF_FILE: Frame = (Kind::End, r#"{"server":"2","sha256":"00","size":3}"#, "");
const ERROR: Frame = (Kind::Error, r#"{"code":"sql-error","message":"No.","definite":true}"#, "");

fn play(request: &Request, frames: &[Frame]) -> (Vec<String>, Result<Step, StepError>) {
    let mut answer = Answer::to(request);
    let mut notes = Notes::default();
    let mut last = Ok(Step::GoesOn);
    for (kind, header, body) in frames {
        last = answer.step(*kind, header.as_bytes(), body.as_bytes(), &mut notes);
        if last.is_err() {
            break;
        }
    }
    (notes.0, last)
}

fn query() -> Request {
    Request::Query("SELECT".into())
}

fn file() -> Request {
    Request::File("x".into())
}

fn refusal(request: &Request, frames: &[Frame]) -> String {
    match play(request, frames) {
        (_, Err(error)) => error.to_string(),
        (notes, Ok(step)) => panic!("{frames:?} gave {notes:?} and {step:?}"),
    }
}

#[test]
fn rows_are_passed_on_one_by_one() {
    let (notes, last) = play(&query(), &[ROWS, BATCH, BATCH, END]);
    assert!(matches!(last, Ok(Step::Complete(End { server, .. })) if server == "2"));
    assert_eq!(notes.len(), 6);
    assert_eq!(notes[1], "Row([Integer(1), Null])");
    let (notes, _) = play(&query(), &[CHANGED, END]);
    assert_eq!(notes, ["Changed(2)", "end of 2"]);
}

#[test]
fn a_file_is_passed_on_chunk_by_chunk() {
    let (notes, last) = play(&file(), &[FILE, CHUNK, END_OF_FILE]);
    assert!(matches!(last, Ok(Step::Complete(_))));
    assert_eq!(notes, ["File(3)", "Chunk([97, 98, 99], \"00\")", "end of 2"]);
    assert!(refusal(&file(), &[FILE, CHUNK, END]).contains("without the SHA-256"));
    assert!(refusal(&file(), &[FILE, (Kind::Data, "{}", "abc")]).contains("cannot be read"));
}

#[test]
fn an_error_may_come_at_any_time_and_ends_it() {
    for frames in [&[ERROR][..], &[ROWS, ERROR], &[ROWS, BATCH, ERROR]] {
        assert!(matches!(play(&query(), frames).1, Ok(Step::Failed(_))), "{frames:?}");
    }
    assert!(refusal(&query(), &[ROWS, ERROR, END]).contains("End where none may be"));
}

#[test]
fn frames_out_of_order_are_refused() {
    for frames in [&[BATCH][..], &[END], &[ROWS, ROWS], &[CHANGED, BATCH], &[ROWS, END, BATCH], &[FILE]] {
        assert!(refusal(&query(), frames).contains("where none may be"), "{frames:?}");
    }
    for frames in [&[ROWS][..], &[CHANGED], &[CHUNK], &[FILE, FILE]] {
        assert!(refusal(&file(), frames).contains("where none may be"), "{frames:?}");
    }
    for kind in [Kind::Query, Kind::Pong, Kind::ServerList, Kind::Identity, Kind::Cancel] {
        assert!(refusal(&query(), &[(kind, "{}", "[]")]).contains("where none may be"), "{kind:?}");
    }
}

#[test]
fn rows_that_do_not_fit_are_refused() {
    let batch = |header, body| refusal(&query(), &[ROWS, (Kind::Data, header, body)]);
    assert!(batch(r#"{"rows":1}"#, "[1]\n").contains("2 columns, but a row of 1 values"));
    assert!(batch(r#"{"rows":2}"#, "[1,2]\n").contains("2 rows were announced, but 1 came"));
    assert!(batch(r#"{"rows":1}"#, "[1,true]\n").contains("cannot be read"));
    assert!(batch("", "[1,2]\n").contains("cannot be read"));
    let end = (Kind::End, r#"{"server":"2","rows":7}"#, "");
    assert!(refusal(&query(), &[ROWS, BATCH, end]).contains("7 rows were announced, but 2 came"));
}

#[test]
fn two_thousand_columns_are_enough() {
    let head = |n: usize| serde_json::to_vec(&Head::Rows { columns: vec![String::new(); n], recorded: false }).unwrap();
    let step = |n| Answer::to(&query()).step(Kind::Head, &head(n), b"", &mut Notes::default());
    assert!(step(MAX_COLUMNS).is_ok());
    assert!(matches!(step(MAX_COLUMNS + 1), Err(StepError::Bad(BadAnswer::Columns(2001)))));
}

#[test]
fn a_pong_answers_a_ping_and_nothing_else() {
    let pong = (Kind::Pong, "", "68 bytes");
    assert_eq!(play(&Request::Ping, &[pong]).0, ["Pong", "end of "]);
    assert!(refusal(&query(), &[pong]).contains("where none may be"));
    assert!(refusal(&Request::Ping, &[END]).contains("where none may be"));
}

#[test]
fn the_list_of_servers_is_one_frame() {
    let (notes, last) = play(&Request::Servers, &[(Kind::ServerList, "", "[]")]);
    assert_eq!((notes[0].as_str(), matches!(last, Ok(Step::Complete(_)))), ("Servers([])", true));
    assert!(refusal(&Request::Servers, &[(Kind::ServerList, "", "{")]).contains("cannot be read"));
}

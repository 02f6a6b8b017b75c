//! A replica over real sockets, on each engine.

mod engines;
#[cfg(feature = "postgres")]
mod postgres;

use self::engines::On;
use crate::service::fixture::{Fixture, LONG};
use protocol::http::{
    Method, Status,
    client::{Ask, Client},
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::TcpStream,
};

fn schema() -> Value {
    json!({ "columns": ["Stud_id", "Stud_name", "Stud_marks"], "dtypes": ["Number", "String", "String"] })
}

fn ask(server: &Fixture, method: Method, path: &str, body: &Value) -> (Status, String) {
    let mut client = Client::connect(server.running.address(), LONG).unwrap();
    let reply = client.ask(&Ask::new(method, path).json(body).unwrap(), LONG).unwrap();
    (reply.status, reply.text())
}

fn student(id: i64) -> Value {
    json!({ "Stud_id": id, "Stud_name": format!("N{id}"), "Stud_marks": id % 100 })
}

fn write(server: &Fixture, shard: &str, seq: Option<u64>, ids: impl IntoIterator<Item = i64>) -> (Status, String) {
    let data: Vec<Value> = ids.into_iter().map(student).collect();
    ask(server, Method::Post, "/write", &json!({ "shard": shard, "seq": seq, "data": data }))
}

fn ids(server: &Fixture, shard: &str, low: i64, high: i64) -> Vec<i64> {
    let range = json!({ "shard": shard, "Stud_id": { "low": low, "high": high } });
    let (status, text) = ask(server, Method::Post, "/read", &range);
    assert_eq!(status, Status::OK, "{text}");
    let answer: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(answer["status"], "success");
    answer["data"].as_array().unwrap().iter().map(|row| row["Stud_id"].as_i64().unwrap()).collect()
}

/// Number and rows of each shard.
fn state(server: &Fixture) -> BTreeMap<String, (u64, u64)> {
    let (_, text) = ask(server, Method::Get, "/state", &json!({}));
    let answer: Value = serde_json::from_str(&text).unwrap();
    let shards = answer["shards"].as_object().unwrap().iter();
    shards.map(|(name, at)| (name.clone(), (at["seq"].as_u64().unwrap(), at["rows"].as_u64().unwrap()))).collect()
}

engines::on_each_engine!(
    a_replica_answers_as_the_coursework_has_it,
    a_change_that_comes_again_is_answered_again_and_not_applied,
    a_change_that_is_too_early_is_told_where_the_shard_is,
    answers_say_of_which_change_they_are,
    a_refused_change_uses_up_its_number_and_changes_nothing,
    what_was_written_is_there_after_a_restart,
    a_copy_fills_another_replica_and_says_up_to_which_change,
    a_copy_that_is_cut_off_changes_nothing,
    while_a_shard_is_filled_changes_of_others_are_answered,
    a_shard_that_is_changed_while_it_is_filled_keeps_what_it_has,
    a_fill_that_is_cut_off_leaves_nothing_behind,
    a_copy_is_of_one_moment,
    wrong_calls_are_told_and_the_next_one_is_answered,
);

/// The coursework's calls, one after the other, with its texts.
fn a_replica_answers_as_the_coursework_has_it(on: &On) {
    let server = on.start("0", |_| {});
    let told = |method, path: &str, body: Value| {
        let (status, text) = ask(&server, method, path, &body);
        assert_eq!(status, Status::OK, "{text}");
        text
    };
    assert_eq!(told(Method::Get, "/heartbeat", json!({})), "");
    assert_eq!(
        told(Method::Post, "/config", json!({ "schema": schema(), "shards": ["sh1", "sh2"] })),
        r#"{"message":"Server0:sh1, Server0:sh2 configured","status":"success"}"#
    );
    let data = json!([
        { "Stud_id": 2255, "Stud_name": "GHI", "Stud_marks": 27 },
        { "Stud_id": 1000, "Stud_name": "ABC", "Stud_marks": "56" },
    ]);
    assert_eq!(
        told(Method::Post, "/write", json!({ "shard": "sh2", "curr_idx": 507, "data": data })),
        r#"{"message":"Data entries added","current_idx":509,"status":"success"}"#
    );
    let read = json!({ "shard": "sh2", "Stud_id": { "low": 1000, "high": 2255 } });
    let rows =
        r#"[{"Stud_id":1000,"Stud_name":"ABC","Stud_marks":"56"},{"Stud_id":2255,"Stud_name":"GHI","Stud_marks":27}]"#;
    assert_eq!(told(Method::Post, "/read", read.clone()), format!(r#"{{"data":{rows},"status":"success"}}"#));
    let change = json!({ "Stud_id": 2255, "Stud_name": "GHI", "Stud_marks": 28 });
    assert_eq!(
        told(Method::Put, "/update", json!({ "shard": "sh2", "Stud_id": 2255, "data": change })),
        r#"{"message":"Data entry for Stud_id:2255 updated","status":"success"}"#
    );
    assert_eq!(
        told(Method::Delete, "/del", json!({ "shard": "sh2", "Stud_id": 1000 })),
        r#"{"message":"Data entry with Stud_id:1000 removed","status":"success"}"#
    );
    assert_eq!(
        told(Method::Get, "/copy", json!({ "shards": ["sh1", "sh2"] })),
        r#"{"sh1":[],"sh2":[{"Stud_id":2255,"Stud_name":"GHI","Stud_marks":28}],"seq":{"sh1":0,"sh2":3},"status":"success"}"#
    );
    server.running.end();
}

fn a_change_that_comes_again_is_answered_again_and_not_applied(on: &On) {
    let server = on.replica("0", &["sh1"]);
    let first = write(&server, "sh1", Some(1), [1, 2]);
    assert_eq!(first.1, r#"{"message":"Data entries added","current_idx":2,"seq":1,"status":"success"}"#);
    let second = write(&server, "sh1", Some(2), [3]);
    assert_eq!((write(&server, "sh1", Some(1), [1, 2]), write(&server, "sh1", Some(2), [3])), (first, second));
    assert_eq!(state(&server)["sh1"], (2, 3));
    let (status, text) = write(&server, "sh1", Some(2), [4]);
    assert!(status == Status::CONFLICT && text.contains("was another one"), "{text}");
    assert_eq!(ids(&server, "sh1", 0, 100), [1, 2, 3]);
}

fn a_change_that_is_too_early_is_told_where_the_shard_is(on: &On) {
    let server = on.replica("0", &["sh1", "sh2"]);
    write(&server, "sh1", Some(1), [1]);
    let (status, text) = write(&server, "sh1", Some(3), [2]);
    let answer: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((status, &answer["seq"]), (Status::CONFLICT, &json!(1)), "{text}");
    assert_eq!(write(&server, "sh2", Some(1), [5000]).0, Status::OK, "each shard has its own order");
    assert_eq!(state(&server), BTreeMap::from([("sh1".into(), (1, 1)), ("sh2".into(), (1, 1))]));
}

/// Only what says so is the outcome of a number; and who is elsewhere than a reader wants says that instead of its rows.
fn answers_say_of_which_change_they_are(on: &On) {
    let server = on.replica("0", &["sh1"]);
    let mut client = Client::connect(server.running.address(), LONG).unwrap();
    let mut told = |path: &str, body: Value| {
        let reply = client.ask(&Ask::post(path).json(&body).unwrap(), LONG).unwrap();
        (reply.status, reply.headers.get("shard-seq").map(str::to_owned))
    };
    let write = |seq: Value, id: i64| json!({ "shard": "sh1", "seq": seq, "data": [student(id)] });
    assert_eq!(told("/write", write(json!(1), 1)), (Status::OK, Some("1".into())));
    assert_eq!(told("/write", write(json!(1), 1)), (Status::OK, Some("1".into())), "again");
    assert_eq!(
        told("/write", write(json!(2), 1)),
        (Status::CONFLICT, Some("2".into())),
        "refused, and that is its outcome"
    );
    assert_eq!(told("/write", write(json!(4), 2)), (Status::CONFLICT, None), "too early");
    assert_eq!(told("/write", write(json!(1), 7)), (Status::CONFLICT, None), "another one of this number");
    assert_eq!(told("/write", write(Value::Null, 1)), (Status::CONFLICT, None), "without a number");
    assert_eq!(told("/write", json!({ "shard": "sh9", "seq": 1, "data": [] })), (Status::NOT_FOUND, None));
    let read = |seq: u64| json!({ "shard": "sh1", "Stud_id": { "low": 1, "high": 1 }, "seq": seq });
    assert_eq!((told("/read", read(2)).0, told("/read", read(3)).0), (Status::OK, Status::CONFLICT));
}

/// What is refused has its number too, so that all replicas come to the same; nothing of it is in the table.
fn a_refused_change_uses_up_its_number_and_changes_nothing(on: &On) {
    let server = on.replica("0", &["sh1"]);
    write(&server, "sh1", Some(1), [1, 2]);
    let (status, text) = write(&server, "sh1", Some(2), [3, 2, 4]);
    assert_eq!(
        (status, text.as_str()),
        (Status::CONFLICT, r#"{"message":"<Error> Stud_id 2 is there already","status":"failure"}"#)
    );
    assert_eq!(write(&server, "sh1", Some(2), [3, 2, 4]), (status, text), "told again");
    let twice = write(&server, "sh1", Some(3), [7, 7]);
    assert!(twice.0 == Status::CONFLICT && twice.1.contains("Stud_id 7"), "{twice:?}");
    let nobody = json!({ "shard": "sh1", "seq": 4, "Stud_id": 9 });
    assert_eq!(ask(&server, Method::Delete, "/del", &nobody).0, Status::NOT_FOUND);
    let wrong = json!({ "shard": "sh1", "seq": 5, "Stud_id": 1, "data": { "Marks": 9 } });
    assert_eq!(ask(&server, Method::Put, "/update", &wrong).0, Status::BAD_REQUEST);
    assert_eq!((state(&server)["sh1"], ids(&server, "sh1", i64::MIN, i64::MAX)), ((5, 2), vec![1, 2]));
    // Without a number it has not happened at all.
    assert_eq!(write(&server, "sh1", None, [1]).0, Status::CONFLICT);
    assert_eq!(state(&server)["sh1"], (5, 2));
}

fn what_was_written_is_there_after_a_restart(on: &On) {
    let server = on.replica("0", &["sh1"]);
    let answer = write(&server, "sh1", Some(1), [1, 2, 3]);
    let file = server.folder.path().join("shards.sqlite");
    server.running.end();
    let again = on.start("0", |config| config.shard_file = file);
    assert_eq!(ids(&again, "sh1", 2, 9), [2, 3]);
    assert_eq!(write(&again, "sh1", Some(1), [1, 2, 3]), answer, "and what was answered is remembered");
    drop(server.folder);
}

/// A new replica gets what another one has, while that goes on.
fn a_copy_fills_another_replica_and_says_up_to_which_change(on: &On) {
    let (one, other) = (on.replica("0", &["sh1", "sh2"]), on.replica("1", &["sh1", "sh2"]));
    write(&one, "sh1", Some(1), 1..=500);
    write(&one, "sh2", Some(1), 5_000..=5_001);
    write(&other, "sh1", Some(1), 900..=905);
    let (_, copy) = ask(&one, Method::Get, "/copy", &json!({ "shards": ["sh1", "sh2"] }));
    write(&one, "sh1", Some(2), [501]);
    let mut client = Client::connect(other.running.address(), LONG).unwrap();
    let filled = client.ask(&Ask::post("/fill").body(copy.clone()), LONG).unwrap();
    assert_eq!(
        filled.text(),
        r#"{"message":"sh1, sh2 filled","shards":{"sh1":{"rows":500,"seq":1},"sh2":{"rows":2,"seq":1}},"status":"success"}"#
    );
    assert_eq!(ids(&other, "sh1", 0, 1_000), (1..=500).collect::<Vec<i64>>(), "instead of what was there");
    assert_eq!(write(&other, "sh1", Some(2), [501]).0, Status::OK);
    let dump = |server: &Fixture| ask(server, Method::Get, "/copy", &json!({ "shards": ["sh1", "sh2"] }));
    assert_eq!(dump(&one), dump(&other));
}

fn a_copy_that_is_cut_off_changes_nothing(on: &On) {
    let (one, other) = (on.replica("0", &["sh1"]), on.replica("1", &["sh1"]));
    write(&one, "sh1", Some(1), 1..=100);
    write(&other, "sh1", Some(1), [7]);
    let (_, copy) = ask(&one, Method::Get, "/copy", &json!({ "shards": ["sh1"] }));
    let mut client = Client::connect(other.running.address(), LONG).unwrap();
    for wrong in [&copy[..copy.len() / 2], &copy[..copy.len() - 1], "", "{}", &copy.replace("sh1", "sh9")] {
        let reply = client.ask(&Ask::post("/fill").body(wrong), LONG).unwrap();
        assert_eq!(reply.status, Status::BAD_REQUEST, "{}", reply.text());
    }
    assert_eq!((state(&other)["sh1"], ids(&other, "sh1", 0, 100)), ((1, 1), vec![7]));
}

/// A fill whose body comes in pieces, as slowly as a test wants it.
struct SlowFill(TcpStream);

impl SlowFill {
    fn begin(server: &Fixture, piece: &str) -> Self {
        let mut fill = Self(server.raw());
        let head = "POST /fill HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
        fill.0.write_all(head.as_bytes()).unwrap();
        fill.piece(piece);
        fill
    }

    fn piece(&mut self, text: &str) {
        write!(self.0, "{:x}\r\n{text}\r\n", text.len()).unwrap();
    }

    fn end(mut self, piece: &str) -> String {
        self.piece(piece);
        self.0.write_all(b"0\r\n\r\n").unwrap();
        let mut answer = String::new();
        self.0.read_to_string(&mut answer).unwrap();
        answer
    }
}

/// These rows of a copy of a shard, without their end.
fn begun_copy(shard: &str, ids: std::ops::Range<i64>) -> String {
    let rows: Vec<String> = ids.map(|id| student(id).to_string()).collect();
    format!("{{\"{shard}\":[{}", rows.join(","))
}

/// Whoever fills a shard may take as long as it likes: nobody else waits for that.
fn while_a_shard_is_filled_changes_of_others_are_answered(on: &On) {
    let server = on.replica("0", &["sh1", "sh2"]);
    let mut fill = SlowFill::begin(&server, &begun_copy("sh1", 0..3_000));
    server.until_active(1);
    assert_eq!(write(&server, "sh2", Some(1), [5_000]).0, Status::OK);
    fill.piece(&format!(",{}", student(3_000)));
    assert_eq!(write(&server, "sh2", Some(2), [5_001]).0, Status::OK);
    assert_eq!((state(&server)["sh1"], ids(&server, "sh1", 0, 100)), ((0, 0), vec![]), "nothing of it is seen yet");
    let answer = fill.end(r#"],"seq":{"sh1":7},"status":"success"}"#);
    assert!(answer.contains(r#""shards":{"sh1":{"rows":3001,"seq":7}}"#), "{answer}");
    assert_eq!(state(&server), BTreeMap::from([("sh1".into(), (7, 3_001)), ("sh2".into(), (2, 2))]));
    assert_eq!(ids(&server, "sh1", 2_999, 9_999), [2_999, 3_000]);
    assert_eq!(write(&server, "sh1", Some(8), [3_001]).0, Status::OK);
    let again = SlowFill::begin(&server, &begun_copy("sh1", 0..10)).end(r#"],"seq":{"sh1":9},"status":"success"}"#);
    assert!(again.contains(r#""rows":10,"seq":9"#), "{again}");
    assert_eq!((on.scratch(&server), ids(&server, "sh1", 5, 9_999)), (0, vec![5, 6, 7, 8, 9]));
}

/// Nobody who orders changes does that; whoever does loses nothing that was answered.
fn a_shard_that_is_changed_while_it_is_filled_keeps_what_it_has(on: &On) {
    let server = on.replica("0", &["sh1", "sh2"]);
    let fill = SlowFill::begin(&server, &begun_copy("sh1", 0..1_500));
    until_scratch(on, &server, 1);
    let quick = format!("{}{}", begun_copy("sh1", 0..10), r#"],"seq":{"sh1":3},"status":"success"}"#);
    assert_eq!(write(&server, "sh1", Some(1), [7]).0, Status::OK);
    let answer = fill.end(r#"],"seq":{"sh1":9},"status":"success"}"#);
    assert!(answer.starts_with("HTTP/1.1 409") && answer.contains("was changed while it was filled"), "{answer}");
    assert_eq!((state(&server)["sh1"], ids(&server, "sh1", 0, 9_999)), ((1, 1), vec![7]));
    let slow = SlowFill::begin(&server, &begun_copy("sh1", 0..1_500));
    until_scratch(on, &server, 1);
    assert!(SlowFill::begin(&server, &quick).end(" ").contains(r#""sh1":{"rows":10,"seq":3}"#));
    let answer = slow.end(r#"],"seq":{"sh1":9},"status":"success"}"#);
    assert!(answer.starts_with("HTTP/1.1 409"), "{answer}");
    assert_eq!(state(&server)["sh1"], (3, 10));
    assert_eq!(on.scratch(&server), 0);
}

fn until_scratch(on: &On, server: &Fixture, wanted: usize) {
    let until = std::time::Instant::now() + LONG;
    while on.scratch(server) != wanted {
        assert!(std::time::Instant::now() < until, "{} scratch tables, not {wanted}", on.scratch(server));
        std::thread::yield_now();
    }
}

fn a_fill_that_is_cut_off_leaves_nothing_behind(on: &On) {
    let server = on.replica("0", &["sh1"]);
    write(&server, "sh1", Some(1), [1]);
    let fill = SlowFill::begin(&server, &begun_copy("sh1", 0..1_500));
    until_scratch(on, &server, 1);
    drop(fill);
    until_scratch(on, &server, 0);
    assert_eq!(state(&server)["sh1"], (1, 1));
}

/// A reader sees one moment, although others write meanwhile.
fn a_copy_is_of_one_moment(on: &On) {
    let server = on.replica("0", &["sh1"]);
    for seq in 1..=20 {
        let first = i64::try_from(seq).unwrap() * 10_000;
        assert_eq!(write(&server, "sh1", Some(seq), first..first + 1_000).0, Status::OK);
    }
    std::thread::scope(|scope| {
        let copy = scope.spawn(|| {
            let mut client = Client::connect(server.running.address(), LONG).unwrap();
            let ask = Ask::new(Method::Get, "/copy").json(&json!({ "shards": ["sh1"] })).unwrap().limit(1 << 30);
            client.ask(&ask, LONG).unwrap().json::<Value>().unwrap()
        });
        let mut seq = 20;
        while !copy.is_finished() {
            seq += 1;
            let id = i64::try_from(seq).unwrap();
            assert_eq!(write(&server, "sh1", Some(seq), [id]).0, Status::OK);
        }
        let copy = copy.join().unwrap();
        let (at, rows) = (copy["seq"]["sh1"].as_u64().unwrap(), copy["sh1"].as_array().unwrap().len() as u64);
        assert_eq!(rows, 20_000 + at - 20, "as many as there were after change {at}");
    });
}

fn wrong_calls_are_told_and_the_next_one_is_answered(on: &On) {
    let server = on.replica("0", &["sh1"]);
    for (method, path, body, status, why) in [
        (Method::Get, "/write", json!({}), Status::METHOD_NOT_ALLOWED, "only POST"),
        (Method::Post, "/nothing", json!({}), Status::NOT_FOUND, "nothing at this path"),
        (
            Method::Post,
            "/read",
            json!({ "shard": "sh9", "Stud_id": { "low": 1, "high": 2 } }),
            Status::NOT_FOUND,
            "sh9",
        ),
        (Method::Get, "/copy", json!({ "shards": ["sh1", "sh9"] }), Status::NOT_FOUND, "sh9"),
        (Method::Post, "/write", json!({ "shard": "sh9", "data": [] }), Status::NOT_FOUND, "sh9"),
        (Method::Post, "/write", json!({ "shard": "sh1", "data": [{ "Stud_id": 1 }] }), Status::BAD_REQUEST, "missing"),
        (
            Method::Post,
            "/config",
            json!({ "schema": { "columns": ["Stud_id"], "dtypes": ["Number"] }, "shards": ["sh1"] }),
            Status::CONFLICT,
            "another schema",
        ),
        (
            Method::Post,
            "/write",
            json!({ "shard": "sh1", "data": [{ "Stud_id": 1, "Stud_name": "x'); DROP TABLE shard_1;--", "Stud_marks": 1 }] }),
            Status::OK,
            "added",
        ),
    ] {
        let (told, text) = ask(&server, method, path, &body);
        assert!(told == status && text.contains(why), "{path} {body}: {told:?} {text}");
    }
    assert_eq!(ids(&server, "sh1", 0, 9), [1]);
}

//! The sharded table and one of its replicas, asked by a client that knows the coursework's text and nothing else: bytes on a socket, and the
//! bytes that must come back. What the text has no words for must be a clear error that changes nothing.

#![allow(clippy::unwrap_used, reason = "a test that unwraps in vain has failed")]
#![cfg(unix)]

mod kit;

use kit::{LONG, Process, World, address_in};
use serde_json::{Value, json};
use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
};

/// Status and body of the answer.
fn exchange(at: SocketAddr, line: &str, body: &[u8]) -> (u16, String) {
    let mut stream = TcpStream::connect(at).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    let head = format!("{line} HTTP/1.1\r\nHost: {at}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).unwrap();
    // Who finds a body too long may answer before it was sent.
    let _answered_before = stream.write_all(body);
    let mut answer = Vec::new();
    let _answered_before = stream.read_to_end(&mut answer);
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{line}: {answer}"));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let is_chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
    (status, if is_chunked { whole(body) } else { body.to_owned() })
}

/// The chunks of a body in one piece.
fn whole(mut chunks: &str) -> String {
    let mut body = String::new();
    loop {
        let (size, rest) = chunks.split_once("\r\n").unwrap();
        let size = usize::from_str_radix(size, 16).unwrap();
        if size == 0 {
            return body;
        }
        body.push_str(&rest[..size]);
        chunks = &rest[size + 2..];
    }
}

/// Somebody who is asked.
struct Asked {
    at: SocketAddr,
    _process: Process,
    _world: World,
}

impl Asked {
    fn table() -> Self {
        let world = World::new();
        let (mut balancer, _) = world.balancer(&["--shards", "127.0.0.1:0"]);
        let at = address_in(&balancer.wait_for("Frontend shards is listening on"));
        Self { at, _process: balancer, _world: world }
    }

    fn replica() -> Self {
        let world = World::new();
        let mut server = world.spawn(&["server", "0", "0", "0", "--service", "shard"]);
        let at = address_in(&server.wait_for("Server is listening on"));
        Self { at, _process: server, _world: world }
    }

    /// This body, if any, is answered with 200 and these bytes.
    fn must(&self, line: &str, body: &str, answer: &str) {
        assert_eq!(exchange(self.at, line, body.as_bytes()), (200, answer.to_owned()), "{line} {body}");
    }

    /// This body is answered with this status and these bytes.
    fn refuses(&self, line: &str, body: &str, status: u16, message: &str) {
        let told = format!(r#"{{"message":"<Error> {message}","status":"failure"}}"#);
        assert_eq!(exchange(self.at, line, body.as_bytes()), (status, told), "{line} {body}");
    }

    fn json(&self, line: &str, body: &str) -> Value {
        let (status, told) = exchange(self.at, line, body.as_bytes());
        assert_eq!(status, 200, "{line} {body}: {told}");
        serde_json::from_str(&told).unwrap()
    }
}

const SCHEMA: &str = r#"{"columns":["Stud_id","Stud_name","Stud_marks"],"dtypes":["Number","String","String"]}"#;

/// Three shards on three servers, two replicas of each.
fn three() -> String {
    let shards = r#"[{"Stud_id_low":0,"Shard_id":"sh1","Shard_size":4096},{"Stud_id_low":4096,"Shard_id":"sh2","Shard_size":4096},{"Stud_id_low":8192,"Shard_id":"sh3","Shard_size":4096}]"#;
    let servers = r#"{"Server0":["sh1","sh2"],"Server1":["sh2","sh3"],"Server2":["sh1","sh3"]}"#;
    format!(r#"{{"N":3,"schema":{SCHEMA},"shards":{shards},"servers":{servers}}}"#)
}

#[test]
fn the_table_answers_each_call_with_the_bytes_of_the_text() {
    let table = Asked::table();
    table.must("POST /init", &three(), r#"{"message":"Configured Database","status":"success"}"#);
    table.must("GET /status", "", &three());
    let row = |id: i64| format!(r#"{{"Stud_id":{id},"Stud_name":"GHI","Stud_marks":27}}"#);
    let rows = (4_046..4_146).map(row).collect::<Vec<_>>().join(",");
    table.must(
        "POST /write",
        &format!(r#"{{"data":[{rows}]}}"#),
        r#"{"message":"100 Data entries added","status":"success"}"#,
    );
    table.must(
        "POST /write",
        &format!(r#"{{"data":[{}]}}"#, row(2255)),
        r#"{"message":"1 Data entries added","status":"success"}"#,
    );
    let read = r#"{"Stud_id":{"low":4094,"high":4097}}"#;
    let rows = (4_094..=4_097).map(row).collect::<Vec<_>>().join(",");
    let told = format!(r#"{{"shards_queried":["sh1","sh2"],"data":[{rows}],"status":"success"}}"#);
    table.must("POST /read", read, &told);
    table.must(
        "PUT /update",
        r#"{"Stud_id":2255,"data":{"Stud_id":2255,"Stud_name":"GHI","Stud_marks":30}}"#,
        r#"{"message":"Data entry for Stud_id: 2255 updated","status":"success"}"#,
    );
    let read = r#"{"Stud_id":{"low":2255,"high":2255}}"#;
    let told =
        r#"{"shards_queried":["sh1"],"data":[{"Stud_id":2255,"Stud_name":"GHI","Stud_marks":30}],"status":"success"}"#;
    table.must("POST /read", read, told);
    table.must(
        "DELETE /del",
        r#"{"Stud_id":2255}"#,
        r#"{"message":"Data entry with Stud_id:2255 removed from all replicas","status":"success"}"#,
    );
    table.must("POST /read", read, r#"{"shards_queried":["sh1"],"data":[],"status":"success"}"#);
}

#[test]
fn servers_and_shards_come_and_go_with_the_bytes_of_the_text() {
    let table = Asked::table();
    table.must("POST /init", &three(), r#"{"message":"Configured Database","status":"success"}"#);
    let add = r#"{"n":2,"new_shards":[{"Stud_id_low":12288,"Shard_id":"sh5","Shard_size":4096}],"servers":{"Server4":["sh3","sh5"],"Server[5]":["sh2","sh5"]}}"#;
    let added = table.json("POST /add", add);
    assert_eq!((&added["N"], &added["status"]), (&json!(5), &json!("successful")));
    let drawn: u32 =
        added["message"].as_str().unwrap().strip_prefix("Add Server:4 and Server:").unwrap().parse().unwrap();
    let status = table.json("GET /status", "");
    assert_eq!(status["servers"][format!("Server{drawn}")], json!(["sh2", "sh5"]), "{status}");
    assert_eq!((&status["N"], &status["shards"][3]["Shard_id"]), (&json!(5), &json!("sh5")));
    let refused = "Number of new servers (n) is greater than newly added instances";
    table.refuses("POST /add", r#"{"n":3,"new_shards":[],"servers":{"Server7":["sh1"]}}"#, 400, refused);
    let refused = "Length of server list is more than removable instances";
    table.refuses("DELETE /rm", r#"{"n":1,"servers":["Server4","Server0"]}"#, 400, refused);
    table.must(
        "DELETE /rm",
        r#"{"n":1,"servers":["Server4"]}"#,
        r#"{"message":{"N":4,"servers":["Server4"]},"status":"successful"}"#,
    );
    let gone = table.json("DELETE /rm", r#"{"n":2,"servers":["Server0"]}"#);
    let names: Vec<&str> = gone["message"]["servers"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert_eq!(
        (&gone["message"]["N"], names[0], names.len()),
        (&json!(2), "Server0", 2),
        "one that is named, one by chance"
    );
    assert_eq!(table.json("GET /status", "")["servers"].as_object().unwrap().len(), 2);
}

/// The default: which shards there are, and who has them.
#[test]
fn the_default_placement_is_that_of_the_text() {
    let table = Asked::table();
    table.must("POST /init", "", r#"{"message":"Configured Database","status":"success"}"#);
    let status = table.json("GET /status", "");
    let shard = |n: i64| json!({ "Stud_id_low": (n - 1) * 4096, "Shard_id": format!("sh{n}"), "Shard_size": 4096 });
    assert_eq!(status["shards"], (1..=4).map(shard).collect::<Value>());
    let servers = json!({ "Server0": ["sh1", "sh2"], "Server1": ["sh3", "sh4"], "Server3": ["sh1", "sh3"],
                          "Server4": ["sh4", "sh2"], "Server5": ["sh1", "sh4"], "Server6": ["sh3", "sh2"] });
    assert_eq!((&status["servers"], &status["N"]), (&servers, &json!(6)));
    assert_eq!(status["schema"], serde_json::from_str::<Value>(SCHEMA).unwrap());
}

#[test]
fn a_replica_answers_each_call_with_the_bytes_of_the_text() {
    let replica = Asked::replica();
    replica.must("GET /home", "", r#"{"message":"Hello from Server: 0","status":"successful"}"#);
    replica.must("GET /heartbeat", "", "");
    let config = format!(r#"{{"schema":{SCHEMA},"shards":["sh1","sh2"]}}"#);
    replica.must("POST /config", &config, r#"{"message":"Server0:sh1, Server0:sh2 configured","status":"success"}"#);
    let row = |id: i64, marks: i64| format!(r#"{{"Stud_id":{id},"Stud_name":"GHI","Stud_marks":{marks}}}"#);
    let rows = (2_251..=2_255).map(|id| row(id, 27)).collect::<Vec<_>>().join(",");
    replica.must(
        "POST /write",
        &format!(r#"{{"shard":"sh2","curr_idx":507,"data":[{rows}]}}"#),
        r#"{"message":"Data entries added","current_idx":512,"status":"success"}"#,
    );
    let read = r#"{"shard":"sh2","Stud_id":{"low":2254,"high":2300}}"#;
    let told = format!(r#"{{"data":[{},{}],"status":"success"}}"#, row(2254, 27), row(2255, 27));
    replica.must("POST /read", read, &told);
    let update = format!(r#"{{"shard":"sh2","Stud_id":2255,"data":{}}}"#, row(2255, 28));
    replica.must("PUT /update", &update, r#"{"message":"Data entry for Stud_id:2255 updated","status":"success"}"#);
    replica.must(
        "DELETE /del",
        r#"{"shard":"sh2","Stud_id":2254}"#,
        r#"{"message":"Data entry with Stud_id:2254 removed","status":"success"}"#,
    );
    let copy = replica.json("GET /copy", r#"{"shards":["sh1","sh2"]}"#);
    let rows = [(2251, 27), (2252, 27), (2253, 27), (2255, 28)].map(|(id, marks)| row(id, marks)).join(",");
    assert_eq!((&copy["sh1"], copy["sh2"].to_string()), (&json!([]), sorted(&rows)));
}

/// Rows as this test's own reader of JSON writes them.
fn sorted(rows: &str) -> String {
    serde_json::from_str::<Value>(&format!("[{rows}]")).unwrap().to_string()
}

/// What goes wrong before there is a table, and what an `/init` must not have.
#[test]
fn a_table_that_cannot_be_is_refused_and_there_is_none_then() {
    let table = Asked::table();
    let none = "The database is not configured: POST /init comes first";
    for (line, body) in [
        ("GET /status", ""),
        ("POST /read", r#"{"Stud_id":{"low":1,"high":2}}"#),
        ("POST /write", r#"{"data":[{"Stud_id":1,"Stud_name":"A","Stud_marks":1}]}"#),
        ("PUT /update", r#"{"Stud_id":1,"data":{"Stud_marks":1}}"#),
        ("DELETE /del", r#"{"Stud_id":1}"#),
        ("POST /add", r#"{"n":1,"new_shards":[],"servers":{"Server7":["sh1"]}}"#),
        ("DELETE /rm", r#"{"n":1,"servers":["Server0"]}"#),
    ] {
        table.refuses(line, body, 400, none);
    }
    let three = three();
    let wrong = [
        (three.replace(r#""N":3"#, r#""N":4"#), "N is 4, and there are 3 servers"),
        (three.replace(r#""Stud_id_low":4096"#, r#""Stud_id_low":4095"#), "Shards 'sh1' and 'sh2' have keys in common"),
        (
            three.replace(r#""Server2":["sh1","sh3"]"#, r#""Server2":["sh1","sh9"]"#),
            "Server 'Server2' has shard 'sh9', which there is not",
        ),
        (three.replace(r#"["sh2","sh3"]"#, "[]").replace(r#"["sh1","sh3"]"#, "[]"), "Shard 'sh3' has no server"),
        (three.replace(r#""sh3","Shard_size""#, r#""sh2","Shard_size""#), "Shard 'sh2' is there twice"),
        (three.replace(r#""Stud_id","#, ""), "The schema has 2 columns and 3 dtypes"),
    ];
    for (body, why) in wrong {
        table.refuses("POST /init", &body, 400, why);
    }
    for cut in (0..three.len()).step_by(17).skip(1) {
        let (status, told) = exchange(table.at, "POST /init", &three.as_bytes()[..cut]);
        assert!(
            status == 400 && told.starts_with(r#"{"message":"<Error> The payload cannot be read: "#),
            "{cut}: {told}"
        );
    }
    table.refuses("GET /status", "", 400, none);
    table.must("POST /init", &three, r#"{"message":"Configured Database","status":"success"}"#);
    table.refuses("POST /init", &three, 400, "The database is configured already");
}

#[test]
fn calls_that_make_no_sense_are_explained_and_change_nothing() {
    let table = Asked::table();
    table.must("POST /init", &three(), r#"{"message":"Configured Database","status":"success"}"#);
    let one = r#"{"data":[{"Stud_id":5,"Stud_name":"A","Stud_marks":1}]}"#;
    table.must("POST /write", one, r#"{"message":"1 Data entries added","status":"success"}"#);
    let before = [table.json("GET /status", ""), table.json("POST /read", r#"{"Stud_id":{"low":0,"high":12287}}"#)];
    for (line, body, status, why) in [
        ("POST /write", one, 409, "Stud_id 5 is there already"),
        (
            "POST /write",
            r#"{"data":[{"Stud_id":6,"Stud_name":"A","Stud_marks":1},{"Stud_id":6,"Stud_name":"B","Stud_marks":1}]}"#,
            409,
            "Stud_id 6 is there already",
        ),
        (
            "POST /write",
            r#"{"data":[{"Stud_id":6,"Stud_name":"A","Stud_marks":1},{"Stud_id":12288,"Stud_name":"A","Stud_marks":1}]}"#,
            400,
            "No shard has Stud_id 12288",
        ),
        ("POST /write", r#"{"data":[{"Stud_id":6,"Stud_name":"A"}]}"#, 400, "Column 'Stud_marks' is missing"),
        (
            "POST /write",
            r#"{"data":[{"Stud_id":6,"Stud_name":"A","Stud_marks":1,"Age":7}]}"#,
            400,
            "There is no column 'Age'",
        ),
        (
            "POST /write",
            r#"{"data":[{"Stud_id":"6","Stud_name":"A","Stud_marks":1}]}"#,
            400,
            "Column 'Stud_id' takes numbers",
        ),
        ("POST /write", r#"{"data":[]}"#, 400, "A call writes 1 to 100000 rows"),
        ("POST /read", r#"{"Stud_id":{"low":9,"high":8}}"#, 400, "Stud_id from 9 to 8 is no range"),
        (
            "POST /read",
            r#"{"Stud_id":{"low":12000,"high":12288}}"#,
            400,
            "No shard has Stud_id 12288, which is in the range from 12000 to 12288",
        ),
        (
            "POST /read",
            r#"{"Stud_id":{"low":-1,"high":4}}"#,
            400,
            "No shard has Stud_id -1, which is in the range from -1 to 4",
        ),
        ("GET /nothing", "", 404, "There is nothing at this path"),
        ("POST /status", "", 405, "This path takes only GET"),
        ("PUT /update", r#"{"Stud_id":7,"data":{"Stud_marks":1}}"#, 404, "There is no Stud_id 7 in shard 'sh1'"),
        (
            "PUT /update",
            r#"{"Stud_id":5,"data":{"Stud_id":6}}"#,
            400,
            "Stud_id 5 cannot become 6: remove it, and write another",
        ),
        ("PUT /update", r#"{"Stud_id":5,"data":{"Age":6}}"#, 400, "There is no column 'Age'"),
        ("DELETE /del", r#"{"Stud_id":7}"#, 404, "There is no Stud_id 7 in shard 'sh1'"),
        (
            "POST /add",
            r#"{"n":1,"new_shards":[],"servers":{"Server0":["sh1"]}}"#,
            400,
            "Server 'Server0' is there already",
        ),
        (
            "POST /add",
            r#"{"n":1,"new_shards":[],"servers":{"Server7":["sh9"]}}"#,
            400,
            "Server 'Server7' has shard 'sh9', which there is not",
        ),
        (
            "POST /add",
            r#"{"n":1,"new_shards":[{"Stud_id_low":12000,"Shard_id":"sh4","Shard_size":9}],"servers":{"Server7":["sh4"]}}"#,
            400,
            "Shards 'sh3' and 'sh4' have keys in common",
        ),
        (
            "POST /add",
            r#"{"n":1,"new_shards":[{"Stud_id_low":12288,"Shard_id":"sh4","Shard_size":9}],"servers":{"Server7":["sh1"]}}"#,
            400,
            "Shard 'sh4' has no server",
        ),
        ("DELETE /rm", r#"{"n":1,"servers":["Server9"]}"#, 400, "There is no server 'Server9'"),
        ("DELETE /rm", r#"{"n":9,"servers":[]}"#, 400, "n is 9, and there are 3 servers"),
        ("DELETE /rm", r#"{"n":3,"servers":[]}"#, 400, "So many servers cannot be spared: each shard keeps one"),
        (
            "DELETE /rm",
            r#"{"n":2,"servers":["Server0","Server1"]}"#,
            400,
            "Shard 'sh2' would have no server any more: its last copy cannot be removed",
        ),
    ] {
        table.refuses(line, body, status, why);
    }
    let whole = r#"{"data":[{"Stud_id":6,"Stud_name":"A","Stud_marks":1}]}"#;
    let types = [
        r#"{"data":{}}"#,
        "[]",
        "null",
        r#"{"Stud_id":"x"}"#,
        r#"{"Stud_id":1.5}"#,
        r#"{"Stud_id":{"low":"a","high":1}}"#,
        "\u{0}",
    ];
    let bodies = (0..whole.len()).map(|cut| &whole[..cut]).chain(types);
    for body in bodies {
        for line in ["POST /write", "PUT /update", "DELETE /del", "POST /read", "POST /add", "DELETE /rm", "POST /init"]
        {
            if (line, body) == ("POST /init", "") {
                continue;
            }
            let (status, told) = exchange(table.at, line, body.as_bytes());
            assert!(
                status == 400 && told.starts_with(r#"{"message":"<Error> The payload cannot be read: "#),
                "{line} {body}: {told}"
            );
        }
    }
    assert_eq!(
        [table.json("GET /status", ""), table.json("POST /read", r#"{"Stud_id":{"low":0,"high":12287}}"#)],
        before
    );
}

#[test]
fn ten_million_bytes_are_a_call_like_any_other_and_more_are_too_many() {
    const MANY: usize = 10_000_000;
    let table = Asked::table();
    table.must("POST /init", &three(), r#"{"message":"Configured Database","status":"success"}"#);
    let (deep, junk, spaces) = ("[".repeat(MANY), "x".repeat(MANY), " ".repeat(MANY));
    for body in [&deep, &junk, &spaces] {
        let (status, told) = exchange(table.at, "POST /write", body.as_bytes());
        assert!(status == 400 && told.contains("<Error> The payload cannot be read"), "{told}");
    }
    let name = "n".repeat(MANY / 10);
    let row = |id: i64| format!(r#"{{"Stud_id":{id},"Stud_name":"{name}","Stud_marks":1}}"#);
    let rows = (0..10).map(row).collect::<Vec<_>>().join(",");
    table.must(
        "POST /write",
        &format!(r#"{{"data":[{rows}]}}"#),
        r#"{"message":"10 Data entries added","status":"success"}"#,
    );
    let read = table.json("POST /read", r#"{"Stud_id":{"low":0,"high":4095}}"#);
    let rows = read["data"].as_array().unwrap();
    assert!(rows.len() == 10 && rows.iter().all(|row| row["Stud_name"].as_str() == Some(&name)));
    let (status, told) = exchange(table.at, "POST /write", " ".repeat(2 * MANY).as_bytes());
    assert_eq!(status, 413, "{told}");
    assert!(told.starts_with(r#"{"message":"<Error> "#) && told.ends_with(r#","status":"failure"}"#), "{told}");
}

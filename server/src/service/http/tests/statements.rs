//! SQL over HTTP.

use super::*;
use protocol::database::DatabaseConfig;

fn question(sql: &str) -> Ask {
    Ask::post("/sql").json(&json!({ "sql": sql })).unwrap()
}

impl Fixture {
    fn sql(&self, sql: &str) -> Reply {
        self.ask(&question(sql))
    }

    fn request_id(&self) -> String {
        self.get("/request-id").json::<Value>().unwrap()["request"].as_str().unwrap().to_owned()
    }
}

/// Another server on the database of the first.
fn beside(first: &Fixture) -> Fixture {
    start(|config| {
        config.id = "2".into();
        config.database = Some(DatabaseConfig::Sqlite { path: first.folder.path().join("database.sqlite") });
    })
}

#[test]
fn rows_and_changes_come_as_json() {
    let server = start(|_| ());
    for (sql, expected) in [
        ("SELECT Name FROM COLORS LIMIT 2", r#"{"columns":["Name"],"rows":[["White"],["Silver"]]}"#),
        (
            "SELECT 1 AS a, 0.5, NULL, 'ä', x'00ff'",
            r#"{"columns":["a","0.5","NULL","'ä'","x'00ff'"],"rows":[[1,0.5,null,"ä",{"hex":"00ff"}]]}"#,
        ),
        ("SELECT 1 AS none WHERE 0", r#"{"columns":["none"],"rows":[]}"#),
        ("CREATE TABLE t (a)", r#"{"changed":0}"#),
        ("INSERT INTO t VALUES (1), ('two\nlines')", r#"{"changed":2}"#),
        ("DELETE FROM t RETURNING a", r#"{"columns":["a"],"rows":[[1],["two\nlines"]]}"#),
        ("DELETE FROM t RETURNING a", r#"{"columns":["a"],"rows":[]}"#),
    ] {
        let reply = server.sql(sql);
        assert_eq!((reply.status, reply.text().trim_end()), (Status::OK, expected), "{sql}");
        assert_eq!(reply.headers.get("content-type"), Some("application/json"));
    }
}

#[test]
fn failures_have_their_status_and_a_code() {
    let server = start(|config| config.statement_time = Duration::from_millis(300));
    let endless = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c)";
    for (sql, status, expected) in [
        ("SELEC 1".to_owned(), 400, "sql-error"),
        ("SELECT * FROM NOPE".to_owned(), 400, "sql-error"),
        ("SELECT 1; SELECT 2".to_owned(), 400, "bad-request"),
        (String::new(), 400, "bad-request"),
        ("ATTACH 'x' AS y".to_owned(), 403, "forbidden"),
        (format!("{endless} SELECT count(*) FROM c"), 504, "timeout"),
        (format!("{endless} SELECT hex(zeroblob(100000)) FROM c"), 422, "too-large"),
    ] {
        let reply = server.sql(&sql);
        assert_eq!((reply.status.code(), code(&reply).as_str()), (status, expected), "{sql}");
        assert_eq!(reply.json::<Value>().unwrap()["definite"], true, "{sql}");
    }
    assert_eq!(server.running.active(), 0);
}

#[test]
fn what_is_no_question_is_refused_before_it_takes_a_place() {
    let server = slow();
    let post = |body: &str| Ask::post("/sql").body(body).header("Content-Type", "application/json").unwrap();
    for (ask, status) in [
        (Ask::post("/sql").body(r#"{"sql":"SELECT 1"}"#), 415),
        (Ask::post("/sql").body("sql=1").header("Content-Type", "application/x-www-form-urlencoded").unwrap(), 415),
        (post("SELECT 1"), 400),
        (post(r#"{"statement":"SELECT 1"}"#), 400),
        (post(r#"{"sql":1}"#), 400),
        (post(r#"{"sql":"SELECT 1","request":"8e03978e-40d5-43e8-bc93-6894a57f9324"}"#), 400),
        (post(r#"{"sql":"SELECT 1","request":"0000000000000000-0000000000000001"}"#), 400),
        (question("SELECT 1").header("Idempotency-Key", "1").unwrap(), 400),
        (question("SELECT 1").header("Lab-Read-Only", "perhaps").unwrap(), 400),
        (post(&format!(r#"{{"sql":"{}"}}"#, " ".repeat(3_000_000))), 413),
    ] {
        let reply = server.ask(&ask);
        assert_eq!(reply.status.code(), status, "{}", reply.text());
        code(&reply);
    }
    assert_eq!(server.running.active(), 0);
}

#[test]
fn a_request_with_an_id_is_carried_out_once_at_either_server_and_answered_alike() {
    let first = start(|_| ());
    let second = beside(&first);
    first.sql("CREATE TABLE t (a UNIQUE, b)");
    for (sql, status) in [
        ("INSERT INTO t VALUES (random(), 'x')", 200),
        ("INSERT INTO t VALUES (random(), 'y') RETURNING *", 200),
        ("INSERT INTO t SELECT a, 'again' FROM t", 400),
        ("CREATE TABLE u (a)", 200),
        ("DROP TABLE u", 200),
    ] {
        let id = first.request_id();
        let in_body = Ask::post("/sql").json(&json!({ "sql": sql, "request": id })).unwrap();
        let in_quotes = question(sql).header("Idempotency-Key", format!("\"{id}\"")).unwrap();
        let plain = question(sql).header("Idempotency-Key", &id).unwrap();
        let answer = first.ask(&in_body);
        assert_eq!(answer.status.code(), status, "{}", answer.text());
        for (server, ask) in [(&first, &in_body), (&second, &in_quotes), (&first, &plain), (&second, &in_body)] {
            let again = server.ask(ask);
            assert_eq!((again.status, again.text()), (answer.status, answer.text()), "{sql}");
        }
        let reused = question("DELETE FROM t").header("Idempotency-Key", &id).unwrap();
        let reused = second.ask(&reused);
        assert_eq!((reused.status, code(&reused).as_str()), (Status::CONFLICT, "id-reused"));
        let two = Ask::post("/sql").json(&json!({ "sql": sql, "request": first.request_id() })).unwrap();
        assert_eq!(first.ask(&two.header("Idempotency-Key", &id).unwrap()).status, Status::BAD_REQUEST);
    }
    assert_eq!(second.sql("SELECT count(*) AS n FROM t").text().trim_end(), r#"{"columns":["n"],"rows":[[2]]}"#);
}

#[test]
fn an_id_that_is_too_old_is_refused() {
    let server = start(|_| ());
    let ask = question("DELETE FROM COLORS").header("Idempotency-Key", "0000000000000001-0000000000000001").unwrap();
    let reply = server.ask(&ask);
    assert_eq!((reply.status, code(&reply).as_str()), (Status::CONFLICT, "expired"));
    assert_eq!(reply.json::<Value>().unwrap()["definite"], false);
    assert!(server.sql("SELECT count(*) FROM COLORS").text().contains("[139]"));
}

#[test]
fn under_the_mark_nothing_is_written() {
    let server = start(|_| ());
    let marked = |sql: &str, mark: &str| server.ask(&question(sql).header("Lab-Read-Only", mark).unwrap());
    let reply = marked("DELETE FROM COLORS", "true");
    assert_eq!((reply.status, code(&reply).as_str()), (Status::FORBIDDEN, "forbidden"));
    assert!(marked("SELECT count(*) FROM COLORS", "true").text().contains("[139]"));
    assert_eq!(marked("DELETE FROM COLORS", "false").text().trim_end(), r#"{"changed":139}"#);
}

#[test]
fn a_statement_ends_when_its_client_is_gone() {
    let server = start(|_| ());
    let sql = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c) SELECT count(*) FROM c";
    let body = json!({ "sql": sql }).to_string();
    let head = "POST /sql HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length";
    let mut stream = server.raw();
    stream.write_all(format!("{head}: {}\r\n\r\n{body}", body.len()).as_bytes()).unwrap();
    server.until_active(1);
    drop(stream);
    server.until_active(0);
}

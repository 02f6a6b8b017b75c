//! What the administration refuses: clearly, and with nothing changed.

use crate::kit::{FakeServer, Lab, Plan, SOON, echo, error_of};
use loadbalancer::event::Event;
use protocol::http::{
    Method, Status,
    client::{Ask, ask},
};
use serde_json::Value;
use std::net::{SocketAddr, TcpListener};

/// All that can be changed, in one value.
fn settings(lab: &Lab) -> Value {
    let shown = lab.admin().json("/servers");
    let server = |server: &Value| {
        ["id", "admin", "weight", "capacity"].map(|name| server[name].clone()).into_iter().collect::<Value>()
    };
    let servers: Vec<Value> = shown["pools"][0]["servers"].as_array().unwrap().iter().map(server).collect();
    serde_json::json!([shown["pools"][0]["policy"], shown["pools"][0]["options"], servers, shown["outside"]])
}

/// A load balancer with a server of capacity 4, and what it is set to.
fn lab() -> (Lab, FakeServer, Value) {
    let lab = Lab::new(&[]);
    let server = lab.planned(Plan { capacity: 4, ..Plan::new("1") }, echo());
    let before = settings(&lab);
    (lab, server, before)
}

#[test]
fn without_the_token_nothing_is_changed() {
    let (lab, _server, before) = lab();
    let drain = |fields: &[(&str, &str)]| {
        let fields =
            fields.iter().fold(Ask::post("/servers/1/drain"), |ask, (name, value)| ask.header(name, value).unwrap());
        lab.admin().ask(&fields)
    };
    let reply = drain(&[]);
    assert!(error_of(&reply, Status::UNAUTHORIZED).contains("Authorization: Bearer"));
    assert_eq!(reply.headers.get("WWW-Authenticate"), Some("Bearer"));
    let near = format!("Bearer {}x", lab.admin().token);
    let basic = format!("Basic {}", lab.admin().token);
    for wrong in ["Bearer wrong-wrong-wrong", &near, &basic, "Bearer", &lab.admin().token] {
        error_of(&drain(&[("Authorization", wrong)]), Status::UNAUTHORIZED);
    }
    // In the query or a cookie it would end up in logs and histories.
    let elsewhere = format!("/servers/1/drain?token={}", lab.admin().token);
    error_of(&lab.admin().ask(&Ask::post(elsewhere)), Status::UNAUTHORIZED);
    error_of(&drain(&[("Cookie", &format!("token={}", lab.admin().token))]), Status::UNAUTHORIZED);
    error_of(&lab.admin().ask(&Ask::new(Method::Delete, "/servers/1")), Status::UNAUTHORIZED);
    assert_eq!(settings(&lab), before);
    let refused = lab.until_event("the refusal", |event| matches!(event, Event::AdminRefused { .. }));
    let Event::AdminRefused { peer, asked, why } = refused else { unreachable!() };
    assert!(peer.is_some() && asked == "POST /servers/1/drain" && !why.contains(&lab.admin().token), "{asked} {why}");
}

#[test]
fn foreign_hosts_and_pages_are_turned_away() {
    let (lab, _server, before) = lab();
    let port = lab.admin().address.port();
    for path in ["/servers", "/stats.csv", "/metrics", "/", "/nowhere"] {
        for host in ["evil.example", &format!("evil.example:{port}"), "localhost", &format!("10.1.2.3:{port}")] {
            let question = Ask::get(path).header("Host", host).unwrap();
            let sentence = error_of(&lab.admin().ask(&question), Status::FORBIDDEN);
            assert!(sentence.contains("not the host"), "{sentence}");
        }
    }
    let own = format!("localhost:{port}");
    assert_eq!(lab.admin().ask(&Ask::get("/").header("Host", &own).unwrap()).status, Status::OK);
    for (origin, status) in [
        ("http://evil.example", Status::FORBIDDEN),
        ("null", Status::FORBIDDEN),
        ("https://localhost", Status::FORBIDDEN),
        (&format!("http://127.0.0.1:{}", port ^ 1), Status::FORBIDDEN),
        (&format!("http://127.0.0.1:{port}"), Status::OK),
    ] {
        let question = lab.admin().may(Method::Post, "/servers/1/ready").header("Origin", origin).unwrap();
        let reply = lab.admin().ask(&question);
        assert_eq!(reply.status, status, "{origin}");
        assert!(!reply.headers.contains("Access-Control-Allow-Origin"));
    }
    // What a browser asks before it sends a field like Authorization for another site's page.
    let preflight = Ask::new(Method::Options, "/policy").header("Access-Control-Request-Method", "POST").unwrap();
    error_of(&lab.admin().ask(&preflight), Status::METHOD_NOT_ALLOWED);
    assert_eq!(settings(&lab), before);
}

#[test]
fn a_body_must_say_that_it_is_json() {
    let (lab, _server, before) = lab();
    let change = |kind: Option<&str>| {
        let question = lab.admin().may(Method::Post, "/policy").body(r#"{"policy": "round-robin"}"#);
        lab.admin().ask(&match kind {
            Some(kind) => question.header("Content-Type", kind).unwrap(),
            None => question,
        })
    };
    for kind in
        [None, Some("text/plain"), Some("application/x-www-form-urlencoded"), Some("application/jsonp"), Some("")]
    {
        error_of(&change(kind), Status::UNSUPPORTED_MEDIA_TYPE);
    }
    assert_eq!(settings(&lab), before);
    assert_eq!(change(Some("Application/JSON; charset=utf-8")).status, Status::OK);
}

/// Every body that cannot be meant so, with its status and a word of the sentence.
#[test]
fn what_cannot_be_meant_so_is_refused() {
    let (lab, server, before) = lab();
    let long = format!(r#"{{"policy": "{}"}}"#, "x".repeat(20_000));
    let deep = format!("{}1{}", r#"{"policy":"#.repeat(200), "}".repeat(200));
    let unicode = "{\"policy\": \"\u{fffd}\"}";
    for (path, body, status, word) in [
        ("/servers/1/weight", r#"{"weight": 0}"#, 422, "1 to 256, not 0"),
        ("/servers/1/weight", r#"{"weight": 300}"#, 422, "1 to 256, not 300"),
        ("/servers/1/weight", r#"{"weight": -1}"#, 422, "not -1"),
        ("/servers/1/weight", r#"{"weight": 1.5}"#, 422, "not 1.5"),
        ("/servers/1/weight", r#"{"weight": 4294967297}"#, 422, "not 4294967297"),
        ("/servers/1/weight", r#"{"weight": "x"}"#, 422, "not \"x\""),
        ("/servers/1/weight", r#"{"weight": true}"#, 422, "not true"),
        ("/servers/1/weight", r#"{"weight": NaN}"#, 400, "JSON"),
        ("/servers/1/weight", r#"{"weight": 1e400}"#, 400, "JSON"),
        ("/servers/1/weight", r#"{"weight": 5, "wait": 6}"#, 400, "unknown field"),
        ("/servers/1/weight", r#"{"weight": 5, "weight": 6}"#, 400, "duplicate field"),
        ("/servers/1/weight", r#"{"weight": 5} {"weight": 6}"#, 400, "trailing"),
        ("/servers/1/weight", "{}", 400, "missing field"),
        ("/servers/1/weight", "[5]", 400, "JSON object"),
        ("/servers/1/weight", "", 400, "JSON"),
        ("/servers/1/capacity", r#"{"capacity": 0}"#, 422, "from 1"),
        ("/servers/1/capacity", r#"{"capacity": 5}"#, 422, "itself takes 4"),
        ("/servers/1/capacity", r#"{"capacity": 4294967295}"#, 422, "whole number from 1"),
        ("/servers/1/capacity", r#"{"capacity": "Unlimited"}"#, 422, "not \"Unlimited\""),
        ("/servers/1/capacity", r#"{"capacity": null}"#, 422, "not null"),
        ("/servers/1/drain", r#"{"now": true}"#, 400, "unknown field"),
        ("/servers/1/drain", "[]", 400, "JSON object"),
        ("/servers/2/weight", r#"{"weight": 5}"#, 404, "no server 2"),
        ("/servers/2/drain", "", 404, "no server 2"),
        ("/policy", r#"{"policy": "strongest"}"#, 422, "there are power, "),
        ("/policy", r#"{"policy": "POWER"}"#, 422, "no policy \"POWER\""),
        ("/policy", r#"{"policy": ""}"#, 422, "no policy"),
        ("/policy", unicode, 422, "no policy"),
        ("/policy", r#"{"policy": "consistent-hash", "options": {"ring_bound": 0.5}}"#, 422, "1 or more"),
        ("/policy", r#"{"policy": "consistent-hash", "options": {"ring_points": 0}}"#, 422, "points"),
        ("/policy", r#"{"policy": "consistent-hash", "options": {"bound": 2}}"#, 400, "unknown field"),
        ("/policy", r#"{"policy": "power", "seed": 5}"#, 400, "unknown field"),
        ("/policy", r#"{"policy": null}"#, 400, "null"),
        ("/policy", "null", 400, "JSON object"),
        ("/policy", &deep, 400, "JSON"),
        ("/policy", &long, 413, "16384"),
        ("/servers", r#"{"control": "nowhere"}"#, 400, "JSON"),
        ("/servers", r#"{"control": "127.0.0.1:99999"}"#, 400, "JSON"),
        ("/servers", r#"{"control": "127.0.0.1:9", "id": "5"}"#, 400, "unknown field"),
    ] {
        let reply = lab.admin().post(path, body);
        let shown = &body[..body.len().min(80)];
        assert_eq!(reply.status.code(), status, "{path} {shown}: {}", reply.text());
        let sentence = error_of(&reply, Status::new(status).unwrap());
        assert!(sentence.contains(word), "{path} {shown}: {sentence}");
        assert_eq!(settings(&lab), before, "{path} {shown}");
    }
    let invalid = lab.admin().may(Method::Post, "/policy").header("Content-Type", "application/json").unwrap();
    let reply = lab.admin().ask(&invalid.body(b"{\"policy\": \"\xff\"}".to_vec()));
    error_of(&reply, Status::BAD_REQUEST);
    assert_eq!(settings(&lab), before);
    assert_eq!(server.so_far(), []);
    lab.assert_no_panic();
}

/// A server can be added only if it may be, and is one: the load balancer's own ports, other networks, dead ports and
/// strangers are refused, and nobody is left behind.
#[test]
fn who_is_no_server_is_not_added() {
    let (lab, server, before) = lab();
    let dead = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let hangs = TcpListener::bind("127.0.0.1:0").unwrap();
    let add = |control: SocketAddr| lab.admin().post("/servers", &format!(r#"{{"control": "{control}"}}"#));
    for (control, status, word) in [
        (lab.address, 403, "own"),
        (lab.admin().address, 403, "own"),
        ("10.1.2.3:7001".parse().unwrap(), 403, "--allow"),
        ("0.0.0.0:7001".parse().unwrap(), 403, "nobody's"),
        (dead, 422, "No server answers"),
        (hangs.local_addr().unwrap(), 422, "No server answers"),
        // The port of a service is no control port.
        (server.entry().address, 422, "No server answers"),
        (server.entry().control, 409, "1"),
    ] {
        let reply = add(control);
        let sentence = error_of(&reply, Status::new(status).unwrap());
        assert!(sentence.contains(word), "{control}: {sentence}");
        assert_eq!(settings(&lab), before, "{control}");
    }
    lab.client().assert_usable();
}

#[test]
fn what_is_nowhere_and_what_has_no_meaning_there() {
    let (lab, _server, before) = lab();
    for (method, path, allow) in [
        (Method::Get, "/servers/1/drain", "POST"),
        (Method::Post, "/servers/1", "GET, HEAD, DELETE"),
        (Method::Delete, "/servers", "GET, HEAD, POST"),
        (Method::Put, "/policy", "GET, HEAD, POST"),
        (Method::Post, "/metrics", "GET, HEAD"),
        (Method::Other("BREW".into()), "/", "GET, HEAD"),
    ] {
        let reply = lab.admin().ask(&lab.admin().may(method.clone(), path));
        error_of(&reply, Status::METHOD_NOT_ALLOWED);
        assert_eq!(reply.headers.get("Allow"), Some(allow), "{method} {path}");
    }
    for path in
        ["/nowhere", "/servers/1/fly", "/servers/1/drain/now", "/servers//drain", "/../policy", "/servers/../policy"]
    {
        let status = lab.admin().post(path, "").status;
        assert!(status == Status::NOT_FOUND || status == Status::BAD_REQUEST, "{path}: {status}");
    }
    for path in
        ["/servers/..%2f..%2fetc%2fpasswd/drain", "/servers/%00/drain", "/servers/%ff/drain", "/servers/a%20b/drain"]
    {
        error_of(&lab.admin().post(path, ""), Status::BAD_REQUEST);
    }
    error_of(&lab.admin().get("/servers?state=up"), Status::BAD_REQUEST);
    error_of(&lab.admin().post("/servers/1/drain?x", ""), Status::BAD_REQUEST);
    assert_eq!(settings(&lab), before);
}

/// Malformed HTTP, smuggled requests among it: an error or silence, never a change.
#[test]
fn malformed_http_changes_nothing() {
    let (lab, _server, before) = lab();
    let admin = lab.admin();
    let head = format!("Host: {}\r\nAuthorization: Bearer {}\r\n", admin.address, admin.token);
    let inner = format!("POST /servers/1/drain HTTP/1.1\r\n{head}\r\n");
    let long = "x".repeat(100_000);
    let cases = [
        format!("POST /servers/1/drain HTTP/1.1\n{}\n", head.replace('\r', "")),
        format!("POST /servers/1/drain HTTP/2.0\r\n{head}\r\n"),
        format!("POST /servers/1/drain\r\n{head}\r\n"),
        format!("POST  /servers/1/drain HTTP/1.1\r\n{head}\r\n"),
        format!("POST /servers/1/drain HTTP/1.1\r\n{head}Host: localhost\r\n\r\n"),
        format!("POST /servers/1/drain HTTP/1.1\r\n{head}Content-Length: +0\r\n\r\n"),
        format!("POST /servers/1/drain HTTP/1.1\r\n{head}Content-Length: 0\r\nContent-Length: 2\r\n\r\n{{}}"),
        format!("POST /servers/1/drain HTTP/1.1\r\n{head}Content-Length: 99999999999999999999\r\n\r\n"),
        format!("POST /servers/1/drain HTTP/1.1\r\n{head}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
        format!(
            "POST /servers/1/drain HTTP/1.1\r\n{head}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
        ),
        format!("POST /servers/1/drain HTTP/1.1\r\n{head} folded: x\r\n\r\n"),
        format!("POST /servers/1/drain HTTP/1.1\r\n{head}Bad Name: x\r\n\r\n"),
        format!("POST /servers/1/drain HTTP/1.1\r\n{head}X: {long}\r\n\r\n"),
        format!("POST /{long} HTTP/1.1\r\n{head}\r\n"),
        format!("POST /servers/1/drain HTTP/1.1\r\n{head}Expect: 200-maybe\r\n\r\n"),
        format!("POST /servers/1/drain HTTP/1.1\r\n{head}"),
        // The body is refused for its type; what follows it is not a request of its own.
        format!(
            "POST /policy HTTP/1.1\r\n{head}Content-Length: {}\r\nTransfer-Encoding: identity\r\n\r\n{inner}",
            inner.len()
        ),
        format!("GET /health HTTP/1.1\r\n{head}Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc{inner}"),
        format!("CONNECT 127.0.0.1:1 HTTP/1.1\r\n{head}\r\n{inner}"),
        "\0\0\0\0".to_owned(),
        "LABP\u{1}S".to_owned(),
        "\r\n\r\n\r\n\r\n".to_owned(),
        "GET".to_owned(),
    ];
    for case in cases {
        let said = admin.say(case.as_bytes());
        let shown: String = case.chars().take(120).collect();
        assert!(said.is_empty() || said.starts_with("HTTP/1.1 4") || said.starts_with("HTTP/1.1 5"), "{shown}: {said}");
        assert_eq!(settings(&lab), before, "{shown}");
    }
    lab.assert_no_panic();
    assert_eq!(admin.change("/servers/1/drain", "")["status"], "drain", "what is right is still done");
}

/// A port that was asked for and is taken is an error that says who has it; a token that is none, too.
#[test]
fn wrong_flags_are_told_at_the_start() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, "a token with spaces in it").unwrap();
    #[cfg(unix)]
    std::fs::set_permissions(&token, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let registry = folder.path().join("servers.json");
    let start = |flags: &[&str]| {
        let fixed =
            ["loadbalancer", "--listen", "127.0.0.1:0", "--no-journal", "--registry", registry.to_str().unwrap()];
        let config = <loadbalancer::config::Config as clap::Parser>::try_parse_from(fixed.iter().chain(flags)).unwrap();
        loadbalancer::LoadBalancer::start_heard(&config, loadbalancer::event::Events::default())
    };
    let why = |flags: &[&str]| start(flags).err().map(|why| format!("{why:#}")).unwrap_or_default();
    let port = taken.local_addr().unwrap().to_string();
    assert!(why(&["--admin", &port]).contains(&taken.local_addr().unwrap().port().to_string()));
    let free = "127.0.0.1:0";
    assert!(why(&["--admin", free, "--admin-token-file", token.to_str().unwrap()]).contains("cannot be sent"));
    assert!(why(&["--admin", free, "--admin-token-file", "/nowhere/token"]).contains("/nowhere/token"));
    std::fs::write(&token, "0123456789abcdef0123").unwrap();
    let given = start(&["--admin", free, "--admin-token-file", token.to_str().unwrap()]).unwrap();
    let question = Ask::post("/policy").header("Authorization", "Bearer 0123456789abcdef0123").unwrap();
    let question = question.json(&serde_json::json!({ "policy": "round-robin" })).unwrap();
    assert_eq!(ask(given.admin().unwrap().address(), &question, SOON).unwrap().status, Status::OK);
    given.end();
    assert!(token.exists(), "a token that was given is not ours to remove");
}

//! Places, the processing time, clients that go away, and the end.

use super::*;

#[test]
fn a_full_server_says_when_to_come_again_and_still_has_a_heartbeat() {
    let server = start(|config| (config.processing_time, config.capacity) = (60.0, 2));
    let mut waiting: Vec<TcpStream> = (0..2).map(|_| server.raw()).collect();
    for stream in &mut waiting {
        stream.write_all(b"GET /home HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    }
    server.until_active(2);
    let mut client = server.http();
    let question = Ask::post("/sql").json(&json!({ "sql": "SELECT 1" })).unwrap();
    for ask in [Ask::get("/home"), Ask::get("/files/a"), question] {
        let reply = client.ask(&ask, LONG).unwrap();
        assert_eq!((reply.status, code(&reply).as_str()), (Status::SERVICE_UNAVAILABLE, "busy"));
        assert_eq!(reply.headers.get("retry-after"), Some("60"));
        assert_eq!(reply.json::<Value>().unwrap()["definite"], true);
    }
    for path in ["/heartbeat", "/request-id"] {
        assert_eq!(client.ask(&Ask::get(path), LONG).unwrap().status, Status::OK);
    }
    let alive = Control::connect(server.running.control(), LONG).unwrap().heartbeat(LONG).unwrap();
    assert_eq!(alive.active, 2);
}

#[test]
fn each_request_costs_its_processing_time_and_the_next_finds_the_place_free() {
    let server = start(|config| config.processing_time = 0.1);
    server.file("large.bin", &[7; 700_000]);
    let question = Ask::post("/sql").json(&json!({ "sql": "SELECT 1" })).unwrap();
    let (mut client, begin) = (server.http(), Instant::now());
    for ask in [Ask::get("/home"), Ask::get("/files/large.bin"), question, Ask::get("/files/no"), Ask::get("/home")] {
        assert_ne!(client.ask(&ask, LONG).unwrap().status, Status::SERVICE_UNAVAILABLE);
    }
    assert!(begin.elapsed() >= Duration::from_millis(500), "{:?}", begin.elapsed());
}

#[test]
fn a_client_that_goes_away_while_its_request_is_processed_frees_its_place() {
    let server = slow();
    let get = "GET /home HTTP/1.1\r\nHost: x\r\n\r\n";
    let post = "POST /sql HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 18\r\n\r\n";
    let post = format!("{post}{}", r#"{"sql":"SELECT 1"}"#);
    for request in [get, &post] {
        for side in [Shutdown::Write, Shutdown::Both] {
            let mut stream = server.raw();
            stream.write_all(request.as_bytes()).unwrap();
            server.until_active(1);
            stream.shutdown(side).unwrap();
            server.until_active(0);
        }
    }
    assert_eq!(server.get("/heartbeat").status, Status::OK);
}

#[cfg(unix)]
#[test]
fn a_reset_is_noticed_behind_a_request_that_came_too_early() {
    let server = slow();
    let mut stream = server.raw();
    stream.write_all(b"GET /home HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    server.until_active(1);
    stream.write_all(b"GET /heartbeat HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).unwrap();
    drop(stream);
    server.until_active(0);
}

#[test]
fn requests_sent_in_advance_are_answered_in_order_each_after_its_time() {
    let server = start(|config| config.processing_time = 0.1);
    let get = |path: &str, close: &str| format!("GET {path} HTTP/1.1\r\nHost: x\r\n{close}\r\n");
    let begin = Instant::now();
    let last = get("/home", "Connection: close\r\n");
    let answers = server.exchange(&format!("{}{}{last}", get("/home", ""), get("/heartbeat", "")));
    let lengths: Vec<&str> = answers.lines().filter(|line| line.starts_with("Content-Length: ")).collect();
    assert_eq!(lengths, ["Content-Length: 56", "Content-Length: 0", "Content-Length: 56"]);
    assert!(begin.elapsed() >= Duration::from_millis(200));
}

#[test]
fn a_drain_answers_what_is_begun_and_says_that_the_connection_ends() {
    let server = start(|config| config.processing_time = 0.7);
    let (mut busy, mut idle) = (server.raw(), server.raw());
    idle.write_all(b"GET /heartbeat HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    assert!(idle.read(&mut [0; 1_000]).unwrap() > 0);
    busy.write_all(b"GET /home HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    server.until_active(1);
    let Fixture { mut running, folder } = server;
    running.drain();
    let ending = thread::spawn(move || running.end());
    let mut answer = String::new();
    busy.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains("Connection: close\r\n"), "{answer}");
    assert!(answer.ends_with("\"successful\"}"), "{answer}");
    assert_eq!(idle.read(&mut [0]).unwrap(), 0);
    ending.join().unwrap();
    drop(folder);
}

#[test]
fn an_abort_ends_the_processing_at_once() {
    let server = slow();
    let mut waiting = server.raw();
    waiting.write_all(b"GET /home HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    server.until_active(1);
    let begin = Instant::now();
    drop(server);
    assert!(!matches!(waiting.read(&mut [0]), Ok(1..)) && begin.elapsed() < LONG / 2);
}

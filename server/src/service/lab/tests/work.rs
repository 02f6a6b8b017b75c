//! Servers that compute, are slower than they say, or take as many requests as come.

use super::*;
use protocol::flags::UNLIMITED;

/// A server that would compute for a minute.
fn computing() -> Fixture {
    start(|config| (config.processing_time, config.work, config.capacity) = (60.0, Work::Cpu, 2))
}

#[test]
fn a_computation_ends_when_its_request_is_taken_back() {
    let server = computing();
    let mut client = server.client();
    let id = client.query("SELECT 1");
    server.until_active(1);
    let begin = Instant::now();
    client.cancel(id);
    assert_eq!(client.answer(id).code(), ErrorCode::Cancelled);
    // It looks every 5 ms; the rest is for a machine on which everything else is being tested.
    assert!(begin.elapsed() < Duration::from_secs(1), "{:?}", begin.elapsed());
    assert_eq!(server.running.active(), 0);
}

#[test]
fn a_computation_ends_when_its_client_is_gone() {
    let server = computing();
    let mut client = server.client();
    client.query("SELECT 1");
    server.until_active(1);
    drop(client);
    server.until_active(0);
}

#[test]
fn a_computation_ends_with_the_time_of_its_request() {
    let server = computing();
    let mut client = server.client();
    let request = FileRequest { timeout_ms: Some(50), ..file_request("a") };
    let begin = Instant::now();
    assert_eq!(client.file(&request).code(), ErrorCode::Timeout);
    assert!(begin.elapsed() >= Duration::from_millis(50) && begin.elapsed() < LONG, "{:?}", begin.elapsed());
}

#[test]
fn what_is_computed_is_answered() {
    let server = start(|config| (config.processing_time, config.work) = (0.05, Work::Cpu));
    let begin = Instant::now();
    assert_eq!(server.client().sql("SELECT 1").end.unwrap().rows, Some(1));
    assert!(begin.elapsed() >= Duration::from_millis(50), "{:?}", begin.elapsed());
}

#[test]
fn a_server_that_is_slower_than_it_says_does_not_say_so() {
    let server = start(|config| config.really = Some(0.3));
    let identity = Control::connect(server.running.control(), LONG).unwrap().identify(LONG).unwrap();
    assert_eq!(identity.processing_time, 0.0);
    let entry = Registry::new(server.folder.path().join("servers.json")).read().unwrap().find("1").cloned().unwrap();
    assert_eq!(entry.processing_time, 0.0);
    let begin = Instant::now();
    assert!(server.client().sql("SELECT 1").end.is_ok());
    assert!(begin.elapsed() >= Duration::from_millis(300), "{:?}", begin.elapsed());
}

#[test]
fn a_server_without_a_limit_takes_as_many_as_come() {
    let server = start(|config| (config.processing_time, config.capacity) = (60.0, UNLIMITED));
    let mut clients: Vec<Client> = (0..50).map(|_| server.client()).collect();
    let ids: Vec<RequestId> = clients.iter_mut().map(|client| client.query("SELECT 1")).collect();
    server.until_active(50);
    let identity = Control::connect(server.running.control(), LONG).unwrap().identify(LONG).unwrap();
    assert_eq!(identity.capacity, UNLIMITED);
    let text = fs::read_to_string(server.folder.path().join("servers.json")).unwrap();
    assert!(text.contains("\"capacity\": \"unlimited\""), "{text}");
    for (client, id) in clients.iter_mut().zip(ids) {
        client.cancel(id);
        assert_eq!(client.answer(id).code(), ErrorCode::Cancelled);
    }
}

//! Starting and ending: ids, ports, entries, drains.

use super::*;

#[test]
fn a_drain_finishes_what_is_begun_and_takes_nothing_new() {
    let server = start(|config| config.processing_time = 1.0);
    let registry = Registry::new(server.folder.path().join("servers.json"));
    assert_eq!(registry.read().unwrap().find("1").unwrap().address, server.running.address());
    let (mut busy, mut idle, address) = (server.client(), server.client(), server.running.address());
    let mut control = Control::connect(server.running.control(), LONG).unwrap();
    assert!(idle.sql("SELECT 1").end.is_ok());
    let id = busy.query("SELECT 2");
    server.until_active(1);
    let Fixture { mut running, folder } = server;
    running.drain();
    assert!(registry.read().unwrap().entries.is_empty());
    assert!(control.heartbeat(LONG).unwrap().draining);
    let ending = thread::spawn(move || running.end());
    assert_eq!(busy.answer(id).rows(), [[Value::Integer(2)]]);
    assert!(idle.frame().is_none() && busy.frame().is_none(), "closed");
    ending.join().unwrap();
    assert!(TcpStream::connect(address).is_err());
    drop(folder);
}

#[test]
fn a_request_that_arrives_during_a_drain_is_told_so() {
    let Fixture { mut running, folder } = start(|config| {
        config.processing_time = 1.0;
        config.capacity = 1;
    });
    let mut client = Client::connect(running.address());
    let first = client.query("SELECT 1");
    let until = Deadline::after(LONG);
    while running.active() == 0 {
        assert!(!until.has_passed());
        thread::yield_now();
    }
    let second = client.query("SELECT 2");
    running.drain();
    assert!(client.answer(first).end.is_ok());
    let failure = client.answer(second).end.unwrap_err();
    assert_eq!((failure.code, failure.definite), (ErrorCode::Draining, true));
    running.end();
    drop(folder);
}

#[test]
fn an_id_and_a_port_that_are_taken_are_explained() {
    let server = start(|_| ());
    let same_id = config(server.folder.path());
    let error = Running::start(&same_id, Stop::new()).map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("Server 1 runs already") && error.contains("Choose another id"), "{error}");
    let same_port = Config { id: "2".into(), listen: server.running.address(), ..same_id };
    let error = Running::start(&same_port, Stop::new()).map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("The registry names server 1 there"), "{error}");
    assert_eq!(Registry::new(&same_port.registry).read().unwrap().entries.len(), 1);
}

#[test]
fn a_server_that_was_killed_leaves_an_entry_that_the_next_one_replaces() {
    let server = start(|_| ());
    let registry = Registry::new(server.folder.path().join("servers.json"));
    let entry = registry.read().unwrap().entries[0].clone();
    let Fixture { running, folder } = server;
    running.end();
    registry.register(&entry).unwrap();
    let again = Running::start(&config(folder.path()), Stop::new()).unwrap();
    let reading = registry.read().unwrap();
    assert_eq!((reading.entries.len(), reading.entries[0].address), (1, again.address()));
}

#[test]
fn of_two_servers_that_took_one_id_in_the_same_moment_the_replaced_one_ends() {
    let other = start(|_| ());
    let others = Registry::new(other.folder.path().join("servers.json")).read().unwrap().entries[0].clone();
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    let stop = Stop::new();
    let replaced = Running::start(&config, stop.clone()).unwrap();
    let registry = Registry::new(&config.registry);
    registry.register(&others).unwrap();
    assert!(stop.wait_timeout(LONG), "it noticed");
    replaced.end();
    assert_eq!(registry.read().unwrap().entries, [others], "and left the other's entry alone");
}

//! An HTTP server over real sockets.

mod conditional;
mod files;
mod places;
mod statements;

use crate::{
    Config, ServiceName,
    service::fixture::{self, Fixture, LONG},
};
use protocol::{
    handshake::Control,
    http::{
        Method, Status,
        client::{Ask, Client, Reply},
    },
    registry::Registry,
};
use serde_json::{Value, json};
use std::{
    fs,
    io::{Read, Write},
    net::{Shutdown, TcpStream},
    thread,
    time::{Duration, Instant},
};

fn start(adjust: impl FnOnce(&mut Config)) -> Fixture {
    fixture::start(ServiceName::Http, adjust)
}

/// A server whose processing time nobody wants to wait for.
fn slow() -> Fixture {
    start(|config| config.processing_time = 60.0)
}

impl Fixture {
    fn http(&self) -> Client {
        Client::connect(self.running.address(), LONG).unwrap()
    }

    /// Asks on a connection of its own.
    fn ask(&self, ask: &Ask) -> Reply {
        self.http().ask(ask, LONG).unwrap()
    }

    fn get(&self, path: &str) -> Reply {
        self.ask(&Ask::get(path))
    }

    /// Sends these bytes, ends this half only if told so, and reads all that comes.
    fn exchange(&self, request: &str) -> String {
        let mut stream = self.raw();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        String::from_utf8(answer).unwrap()
    }
}

/// The code in the JSON of a failure, whose status must be repeated in it.
fn code(reply: &Reply) -> String {
    let told: Value = reply.json().unwrap_or_else(|error| panic!("{error}: {}", reply.text()));
    assert_eq!(told["status"], reply.status.code(), "{told}");
    assert!(told["message"].as_str().unwrap().ends_with(['.', '!']), "{told}");
    told["code"].as_str().unwrap().to_owned()
}

#[test]
fn the_greeting_and_the_heartbeat_are_those_of_the_course_to_the_byte() {
    let server = start(|config| config.id = "S5".into());
    let answer = server.exchange("GET /home HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.contains("Content-Type: application/json"), "{head}");
    assert_eq!(body, r#"{"message":"Hello from Server: S5","status":"successful"}"#);
    let alive = server.get("/heartbeat");
    assert_eq!((alive.status, alive.body.len()), (Status::OK, 0));
    let head = server.ask(&Ask::new(Method::Head, "/home"));
    assert_eq!((head.status, head.body.len()), (Status::OK, 0));
    assert_eq!(head.headers.get("content-length"), Some(body.len().to_string().as_str()));
}

#[test]
fn other_paths_and_methods_are_told_what_there_is() {
    let server = start(|_| ());
    let mut client = server.http();
    for path in ["/", "/other", "/home/", "/Home", "/files", "/sql/x", "/home%2f", "/%68ome/x"] {
        let reply = client.ask(&Ask::get(path), LONG).unwrap();
        assert_eq!((reply.status, code(&reply).as_str()), (Status::NOT_FOUND, "not-found"), "{path}");
    }
    assert_eq!(client.ask(&Ask::get("/%68ome?x=1"), LONG).unwrap().status, Status::OK, "the same path, escaped");
    for (method, path, allow) in [
        (Method::Post, "/home", "GET, HEAD, OPTIONS"),
        (Method::Delete, "/files/a", "GET, HEAD, OPTIONS"),
        (Method::Get, "/sql", "POST, OPTIONS"),
        (Method::Other("home".into()), "/home", "GET, HEAD, OPTIONS"),
    ] {
        let reply = client.ask(&Ask::new(method, path), LONG).unwrap();
        assert_eq!((reply.status, reply.headers.get("allow")), (Status::METHOD_NOT_ALLOWED, Some(allow)), "{path}");
    }
    for (path, allow) in [("*", "GET, HEAD, OPTIONS"), ("/sql", "POST, OPTIONS")] {
        let reply = client.ask(&Ask::new(Method::Options, path), LONG).unwrap();
        assert_eq!((reply.status, reply.headers.get("allow")), (Status::NO_CONTENT, Some(allow)), "{path}");
    }
}

#[test]
fn an_http_server_says_so_and_has_a_database() {
    let server = start(|_| ());
    let identity = Control::connect(server.running.control(), LONG).unwrap().identify(LONG).unwrap();
    assert_eq!((identity.service.as_str(), identity.database.map(|id| id.len())), ("http", Some(36)));
    let reading = Registry::new(server.folder.path().join("servers.json")).read().unwrap();
    assert_eq!(reading.entries[0].service, "http");
}

//! Whoever administers a load balancer.

use super::SOON;
use protocol::http::{
    Method, Status,
    client::{Ask, Reply, ask},
};
use serde_json::Value;
use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    path::PathBuf,
};

/// The administration of a load balancer, seen by somebody who may.
pub struct Admin {
    pub address: SocketAddr,
    pub token_file: PathBuf,
    pub token: String,
}

impl Admin {
    pub fn of(admin: &loadbalancer::admin::Admin) -> Self {
        let token_file = admin.token_file().unwrap().to_owned();
        let token = std::fs::read_to_string(&token_file).unwrap().trim().to_owned();
        Self { address: admin.address(), token_file, token }
    }

    pub fn ask(&self, question: &Ask) -> Reply {
        ask(self.address, question, SOON).unwrap()
    }

    pub fn get(&self, path: &str) -> Reply {
        self.ask(&Ask::get(path))
    }

    /// What is shown there.
    pub fn json(&self, path: &str) -> Value {
        let reply = self.get(path);
        assert_eq!(reply.status, Status::OK, "{path}: {}", reply.text());
        reply.json().unwrap()
    }

    /// The text that is shown there.
    pub fn text(&self, path: &str) -> String {
        let reply = self.get(path);
        assert_eq!(reply.status, Status::OK, "{path}: {}", reply.text());
        reply.text()
    }

    /// A question with the token.
    pub fn may(&self, method: Method, path: &str) -> Ask {
        Ask::new(method, path).header("Authorization", format!("Bearer {}", self.token)).unwrap()
    }

    /// Asks for a change.
    pub fn post(&self, path: &str, body: &str) -> Reply {
        let question = self.may(Method::Post, path);
        if body.is_empty() {
            return self.ask(&question);
        }
        self.ask(&question.header("Content-Type", "application/json").unwrap().body(body))
    }

    /// Asks for a change that is made.
    pub fn change(&self, path: &str, body: &str) -> Value {
        let reply = self.post(path, body);
        assert!(reply.status.is_success(), "{path} {body}: {} {}", reply.status, reply.text());
        reply.json().unwrap()
    }

    /// Says anything, and returns all that comes back until the end of the connection, or of patience.
    pub fn say(&self, bytes: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        // It may be refused, and the connection be closed, before all of it is sent.
        let _refused_before = stream.write_all(bytes);
        let _ended = stream.shutdown(std::net::Shutdown::Write);
        let mut said = Vec::new();
        let _reset_after_the_answer = stream.read_to_end(&mut said);
        String::from_utf8_lossy(&said).into_owned()
    }
}

/// The sentence of an error, which must have this status, in the head and in the body.
pub fn error_of(reply: &Reply, status: Status) -> String {
    assert_eq!(reply.status, status, "{}", reply.text());
    let body: Value = reply.json().unwrap();
    assert_eq!(body["status"], status.code(), "{body}");
    body["message"].as_str().unwrap().to_owned()
}

//! A client that knows nothing but the text of the coursework and how HTTP looks: bytes out, bytes in.

use crate::kit::LONG;
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
};

/// What was answered.
#[derive(Debug, PartialEq, Eq)]
pub struct Told {
    pub status: u16,
    pub content_type: String,
    pub body: String,
}

impl Told {
    /// The names in a list, taken apart by hand.
    pub fn names(&self) -> Vec<String> {
        let (_, rest) = self.body.split_once("\"replicas\":[").unwrap_or_else(|| panic!("{self:?}"));
        let (list, _) = rest.split_once(']').unwrap();
        list.split(',').filter(|name| !name.is_empty()).map(|name| name.trim_matches('"').to_owned()).collect()
    }
}

/// A kept connection.
pub struct Caller {
    stream: BufReader<TcpStream>,
}

impl Caller {
    pub fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        Self { stream: BufReader::new(stream) }
    }

    /// Asks, and reads the answer.
    pub fn ask(&mut self, line: &str, body: &str) -> Told {
        self.ask_by_id(line, body).1
    }

    /// The same, and the id that the load balancer gave the request.
    pub fn ask_by_id(&mut self, line: &str, body: &str) -> (String, Told) {
        let length = body.len();
        let head = format!("{line} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n{body}");
        self.stream.get_mut().write_all(head.as_bytes()).unwrap();
        let status = self.line();
        let status = status.strip_prefix("HTTP/1.1 ").unwrap_or_else(|| panic!("{status:?}"))[..3].parse().unwrap();
        let (mut length, mut content_type, mut id) = (0, String::new(), String::new());
        loop {
            let field = self.line();
            match field.split_once(": ").map(|(name, value)| (name.to_ascii_lowercase(), value)) {
                Some((name, value)) if name == "content-length" => length = value.parse().unwrap(),
                Some((name, value)) if name == "content-type" => content_type = value.to_owned(),
                Some((name, value)) if name == "x-request-id" => id = value.to_owned(),
                None => break,
                Some(_) => {}
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).unwrap();
        (id, Told { status, content_type, body: String::from_utf8(body).unwrap() })
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }
}

/// Asks once.
pub fn ask(address: SocketAddr, line: &str, body: &str) -> Told {
    Caller::connect(address).ask(line, body)
}

/// Sends these bytes. The head of the answer.
pub fn head(address: SocketAddr, bytes: &str) -> String {
    let mut caller = Caller::connect(address);
    caller.stream.get_mut().write_all(bytes.as_bytes()).unwrap();
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert_ne!(caller.stream.read_line(&mut head).unwrap(), 0, "{head:?}");
    }
    head
}

//! A name server with real sockets.

use super::super::fixture::{LONG, start};
use crate::ServiceName;
use protocol::{
    deadline::Deadline,
    dns::{self, Message, Question, query, record_type},
    handshake::who_is_there,
    wire::Connection,
};
use std::{fs, net::UdpSocket};

const TABLE: &str = "www.princeton.edu 128.1.1.4 A\nGOOGLE.com 46.1.3.7 A\n";

fn asked(id: u16, name: &str) -> Vec<u8> {
    query(id, &Question::new(name.parse().unwrap(), record_type::A), None)
}

#[test]
fn it_answers_over_both_and_is_silent_about_what_it_does_not_know() {
    let mut files = None;
    let server = start(ServiceName::Names, |config| {
        let path = config.files.join("table.txt");
        fs::write(&path, TABLE).unwrap();
        files = Some(path.clone());
        config.table = Some(path);
    });
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(LONG)).unwrap();
    socket.connect(server.running.address()).unwrap();
    socket.send(&asked(1, "nothinghere.com")).unwrap();
    socket.send(&asked(2, "google.com")).unwrap();
    let mut buffer = [0; 512];
    let length = socket.recv(&mut buffer).unwrap();
    let said = Message::parse(&buffer[..length]).unwrap();
    assert_eq!((said.id, said.name(&said.records[0]).unwrap().to_string().as_str()), (2, "GOOGLE.com"));
    let mut connection = Connection::connect(server.running.address(), LONG).unwrap();
    for id in [3, 4] {
        dns::send(&mut connection, &asked(id, "www.princeton.edu")).unwrap();
        let said = dns::receive(&mut connection, Some(Deadline::after(LONG)), LONG).unwrap().unwrap();
        let said = Message::parse(&said).unwrap();
        assert_eq!((said.id, said.data(&said.records[0])), (id, &[128, 1, 1, 4][..]));
    }
    assert_eq!(who_is_there(server.running.control(), LONG).unwrap().service, "names");
    server.running.end();
}

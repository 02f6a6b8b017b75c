//! A client that says whatever a test wants, and reads answers.

use super::SOON;
use protocol::{
    deadline::Deadline,
    http::{Answer, HttpConnection, HttpError, Method},
};
use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    sync::Arc,
};

/// A client's connection.
pub struct Caller {
    pub stream: Arc<TcpStream>,
    connection: HttpConnection,
}

/// An answer.
#[derive(Debug)]
pub struct Said {
    pub answer: Answer,
    pub body: Vec<u8>,
    pub trailer: Vec<(String, String)>,
}

impl Said {
    pub fn code(&self) -> u16 {
        self.answer.status.code()
    }

    pub fn field(&self, name: &str) -> Option<&str> {
        self.answer.headers.get(name)
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Caller {
    pub fn connect(address: SocketAddr) -> Self {
        let stream = Arc::new(TcpStream::connect(address).unwrap());
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        let connection = HttpConnection::new(Arc::clone(&stream)).unwrap();
        Self { stream, connection }
    }

    /// Says these bytes.
    pub fn say(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        (&*self.stream).write_all(bytes.as_ref()).unwrap();
        self
    }

    /// The answer to a request with this method, as far as it comes.
    pub fn try_hear(&mut self, method: &Method) -> Result<Said, HttpError> {
        let answer = self.connection.read_final_answer(method, Deadline::after(SOON))?;
        let mut reader = self.connection.body().until(Deadline::after(SOON));
        let body = reader.whole(u64::MAX)?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let trailer = reader.trailer().iter().map(|(name, value)| (name.to_owned(), text(value))).collect();
        Ok(Said { answer, body, trailer })
    }

    /// The answer to a GET, or anything else whose answer has a body.
    pub fn hear(&mut self) -> Said {
        self.try_hear(&Method::Get).unwrap()
    }

    /// Asks for a path.
    pub fn get(&mut self, path: &str) -> Said {
        self.say(format!("GET {path} HTTP/1.1\r\nHost: shop\r\n\r\n")).hear()
    }

    /// Waits until the connection is ended, and that nothing was said before.
    pub fn assert_closed(&mut self) {
        let mut rest = Vec::new();
        let _reset = (&*self.stream).read_to_end(&mut rest);
        assert!(rest.is_empty(), "{:?}", String::from_utf8_lossy(&rest));
    }

    /// All that is said until the end.
    pub fn rest(&mut self) -> Vec<u8> {
        let mut rest = self.connection.take_unread();
        let _reset = (&*self.stream).read_to_end(&mut rest);
        rest
    }

    /// Ends its sending half.
    pub fn end(&mut self) -> &mut Self {
        self.stream.shutdown(Shutdown::Write).unwrap();
        self
    }
}

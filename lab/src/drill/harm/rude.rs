//! Rude clients: they ask for more than a connection holds, and read nothing of it, or a byte a second.
//!
//! **What must happen.** Each is cut off by the rule for slow readers
//! ([`BLOCK_TIME`](protocol::limits::BLOCK_TIME)), which frees the server it holds; nobody else notices, and nothing
//! grows meanwhile. A rude client cannot tell that it was cut off without reading. The load balancer's journal can: it
//! names the address of the client's end.

use super::strike::{Blow, Field};
use crate::drill::journal::Journal;
use anyhow::Context;
use protocol::{
    deadline::Deadline,
    frame::{Kind, Prefix},
    id::ClientIds,
    message::{FileRequest, QueryRequest},
    wire::to_header,
};
use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    thread,
    time::{Duration, SystemTime},
};

/// How long the load balancer may take to accept.
const CONNECT_TIME: Duration = Duration::from_secs(5);
/// How often a slow reader reads a byte.
const BYTE_EVERY: Duration = Duration::from_secs(1);
/// The large file that they ask for.
pub const LARGE: &str = "drill-large.bin";
/// Its size, in bytes: more than all the buffers on the way hold.
pub const LARGE_SIZE: usize = 48_000_000;
/// A result that is as long.
const LONG_RESULT: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 400000) \
                           SELECT i, hex(randomblob(60)) FROM n";

/// So many clients ask at once, and hold on for this time, in milliseconds.
pub(super) fn never_read(field: &Field<'_>, clients: usize, ms: u64) -> anyhow::Result<Blow> {
    let start = |number| Rude::start(field.ground.address, number).context("A rude client cannot ask");
    let mut rude: Vec<Rude> = (0..clients).map(start).collect::<anyhow::Result<_>>()?;
    let until = Deadline::after(Duration::from_millis(ms));
    // Also when the others have done: whether these are cut off is what is to be seen.
    while !until.has_passed() && !all_cut_off(field, &rude)? {
        thread::park_timeout(BYTE_EVERY.min(until.remaining()));
        rude.iter_mut().filter(|client| client.reads).for_each(Rude::read_a_byte);
    }
    let ends = rude.iter().map(|client| (client.end, client.manner.clone())).collect();
    let what = format!("{clients} clients asked, and did not read");
    Ok(Blow { rude: ends, times: clients as u64, ..Blow::to(what, Vec::new()) })
}

/// Whether the load balancer has let go of all of them, by its journal.
fn all_cut_off(field: &Field<'_>, rude: &[Rude]) -> anyhow::Result<bool> {
    let journal = Journal::read(&field.ground.journal())?;
    Ok(rude.iter().all(|client| journal.cut_off_us(client.end, 0..u64::MAX).is_some()))
}

struct Rude {
    stream: TcpStream,
    end: SocketAddr,
    reads: bool,
    manner: String,
}

impl Rude {
    /// In turn: a file or a long result, read not at all or by the byte.
    fn start(balancer: SocketAddr, number: usize) -> anyhow::Result<Self> {
        let mut stream = TcpStream::connect_timeout(&balancer, CONNECT_TIME)?;
        let (sql, reads) = (number % 2 == 1, number % 4 >= 2);
        stream.write_all(&request(sql))?;
        // A byte that does not come must not hold up the others.
        stream.set_nonblocking(true)?;
        let asks = if sql { "a long result" } else { "a large file" };
        let manner = format!("{asks}, {}", if reads { "a byte a second" } else { "nothing read" });
        Ok(Self { end: stream.local_addr()?, stream, reads, manner })
    }

    fn read_a_byte(&mut self) {
        let _cut_off_or_empty = self.stream.read(&mut [0]);
    }
}

fn request(sql: bool) -> Vec<u8> {
    let (request, low_water) = ClientIds::new(SystemTime::now()).next(SystemTime::now());
    let client = "rude".to_owned();
    let (kind, header, body) = if sql {
        (Kind::Query, to_header(&QueryRequest { request, client, timeout_ms: None, low_water }), LONG_RESULT)
    } else {
        let name = LARGE.to_owned();
        let file = FileRequest { request, client, name, timeout_ms: None, offset: 0, sha256: None };
        (Kind::File, to_header(&file), "")
    };
    let prefix = Prefix::new(kind, request, header.len(), body.len()).encode();
    [&prefix[..], &header, body.as_bytes()].concat()
}

//! A statement of the laboratory's own: to prepare, or to look at what has become of others.

use anyhow::{Context, bail};
use protocol::{
    deadline::{Deadline, Phase},
    frame::{Kind, Prefix},
    id::{ClientIds, RequestId},
    limits::{CLIENT_PATIENCE, HEADER_TIME},
    message::{QueryRequest, read_rows},
    value::Value,
    wire::{Connection, to_header},
};
use std::{
    net::SocketAddr,
    time::{Duration, SystemTime},
};

/// How long it may take.
const TIME: Duration = Duration::from_secs(30);

/// Runs one statement, at a load balancer or a server, and returns its rows.
///
/// # Errors
/// If it fails.
pub fn run_statement(at: SocketAddr, sql: &str) -> anyhow::Result<Vec<Vec<Value>>> {
    let mut connection = Connection::connect(at, TIME)?.with_patience(CLIENT_PATIENCE);
    let (request, low_water) = ClientIds::new(SystemTime::now()).next(SystemTime::now());
    let header = to_header(&QueryRequest { request, client: "lab".into(), timeout_ms: None, low_water });
    connection.send(&Prefix::new(Kind::Query, request, header.len(), sql.len()), &header, sql.as_bytes())?;
    let rows = receive(&mut connection, request);
    rows.with_context(|| format!("The statement {sql} failed"))
}

fn receive(connection: &mut Connection, request: RequestId) -> anyhow::Result<Vec<Vec<Value>>> {
    let (mut header, mut body, mut rows) = (Vec::new(), Vec::new(), Vec::new());
    loop {
        let deadline = Some(Deadline::after(TIME));
        let prefix = connection.next(&mut header, Phase::Answer, deadline, HEADER_TIME)?;
        let prefix = prefix.context("The load balancer closed the connection")?;
        body.clear();
        connection.append_body(prefix.body_len as usize, &mut body)?;
        match prefix.kind {
            _ if prefix.id != request => bail!("The load balancer answered another request"),
            Kind::Error => bail!("{}", String::from_utf8_lossy(&header)),
            Kind::Data => rows.extend(read_rows(&body).collect::<Result<Vec<_>, _>>()?),
            Kind::End => return Ok(rows),
            _ => {}
        }
    }
}

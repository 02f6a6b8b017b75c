//! What is in the database after a drill.

use super::question::TABLE;
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
    collections::HashMap,
    net::SocketAddr,
    time::{Duration, SystemTime},
};

/// How long a statement of the drill itself may take.
const TIME: Duration = Duration::from_secs(30);

/// How often each text was written.
#[derive(Debug)]
pub struct Rows(HashMap<String, u64>);

impl Rows {
    /// Reads all of them.
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn read(balancer: SocketAddr) -> anyhow::Result<Self> {
        let rows = run_statement(balancer, &format!("SELECT token, count(*) FROM {TABLE} GROUP BY token"))?;
        let understand = |row: Vec<Value>| match &row[..] {
            [Value::Text(token), Value::Integer(count)] => Ok((token.clone(), count.unsigned_abs())),
            _ => bail!("The table of the drill holds {row:?}"),
        };
        rows.into_iter().map(understand).collect::<Result<_, _>>().map(Self)
    }

    /// How often this text is there.
    #[must_use]
    pub fn count(&self, token: &str) -> u64 {
        self.0.get(token).copied().unwrap_or_default()
    }

    /// The texts that are there, and how often.
    pub fn iter(&self) -> impl Iterator<Item = (&String, u64)> {
        self.0.iter().map(|(token, count)| (token, *count))
    }
}

/// Runs one statement and returns its rows.
///
/// # Errors
/// If it fails.
pub fn run_statement(balancer: SocketAddr, sql: &str) -> anyhow::Result<Vec<Vec<Value>>> {
    let mut connection = Connection::connect(balancer, TIME)?.with_patience(CLIENT_PATIENCE);
    let (request, low_water) = ClientIds::new(SystemTime::now()).next(SystemTime::now());
    let header = to_header(&QueryRequest { request, client: "drill".into(), timeout_ms: None, low_water });
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

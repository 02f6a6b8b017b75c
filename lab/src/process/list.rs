//! The load balancer's list of servers, asked for over a connection that is kept.

use super::{LOOK_EVERY, READY_TIME};
use anyhow::{Context, bail};
use protocol::{
    deadline::{Deadline, Phase},
    frame::{Kind, Prefix},
    id::RequestId,
    limits::HEADER_TIME,
    message::ServerStatus,
    wire::Connection,
};
use std::{net::SocketAddr, thread, time::Duration};

/// How long the load balancer may take to answer; it does so from memory.
const ANSWER_TIME: Duration = Duration::from_secs(5);

/// A connection on which the load balancer is asked who its servers are.
#[derive(Debug)]
pub struct List {
    balancer: Connection,
    asked: u64,
}

impl List {
    /// Connects.
    ///
    /// # Errors
    /// If nobody accepts.
    pub fn connect(balancer: SocketAddr, within: Duration) -> anyhow::Result<Self> {
        Ok(Self { balancer: Connection::connect(balancer, within)?, asked: 0 })
    }

    /// Connects as soon as somebody listens.
    ///
    /// # Errors
    /// If nobody does in time.
    pub fn connect_soon(balancer: SocketAddr, deadline: Deadline) -> anyhow::Result<Self> {
        loop {
            match Self::connect(balancer, deadline.remaining().min(ANSWER_TIME)) {
                Ok(list) => return Ok(list),
                Err(error) if deadline.has_passed() => return Err(error),
                Err(_) => thread::park_timeout(LOOK_EVERY),
            }
        }
    }

    /// The servers, as the load balancer sees them now.
    ///
    /// # Errors
    /// If it does not answer.
    pub fn ask(&mut self) -> anyhow::Result<Vec<ServerStatus>> {
        self.asked += 1;
        let id = RequestId { client: 0, sequence: self.asked };
        self.balancer.send(&Prefix::new(Kind::Servers, id, 0, 0), &[], &[])?;
        let (mut header, mut body) = (Vec::new(), Vec::new());
        let deadline = Some(Deadline::after(ANSWER_TIME));
        let prefix = self.balancer.next(&mut header, Phase::Answer, deadline, HEADER_TIME)?;
        let prefix = prefix.context("The load balancer closed the connection")?;
        self.balancer.append_body(prefix.body_len as usize, &mut body)?;
        if prefix.kind != Kind::ServerList {
            bail!("The load balancer answered {}", String::from_utf8_lossy(&header));
        }
        Ok(serde_json::from_slice(&body)?)
    }

    /// Waits until exactly these many servers can be chosen and none is otherwise.
    ///
    /// # Errors
    /// If that does not come about in time; the error shows the list.
    pub fn wait_for(&mut self, servers: usize) -> anyhow::Result<()> {
        let all_up = |list: &[ServerStatus]| list.len() == servers && list.iter().all(is_up);
        self.wait_until(all_up).with_context(|| format!("Wanted are {servers} servers that are up"))
    }

    /// Waits until the list is so.
    ///
    /// # Errors
    /// If that does not come about in time; the error shows the list.
    pub fn wait_until(&mut self, so: impl Fn(&[ServerStatus]) -> bool) -> anyhow::Result<()> {
        let deadline = Deadline::after(READY_TIME);
        loop {
            let list = self.ask()?;
            if so(&list) {
                return Ok(());
            }
            if deadline.has_passed() {
                bail!("The load balancer has {}", shown(&list));
            }
            thread::park_timeout(LOOK_EVERY);
        }
    }
}

/// Whether the server can be chosen: now, or when it has done what it has.
#[must_use]
pub fn is_up(server: &ServerStatus) -> bool {
    server.state == "idle" || server.state.starts_with("busy")
}

/// Whether nothing is going on: every server idle with nothing in its hands. Then no request waits either, for it
/// would have been given to one of them.
#[must_use]
pub fn settled(list: &[ServerStatus]) -> bool {
    list.iter().all(|server| server.state == "idle" && server.active == 0)
}

/// The list in one line.
#[must_use]
pub fn shown(list: &[ServerStatus]) -> String {
    let one = |server: &ServerStatus| format!("{}: {} ({} active)", server.id, server.state, server.active);
    let all: Vec<String> = list.iter().map(one).collect();
    if all.is_empty() { "none".to_owned() } else { all.join(", ") }
}

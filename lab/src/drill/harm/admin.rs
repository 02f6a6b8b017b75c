//! What a person does to a load balancer at work, through its administration (HTTP): drain servers, change the policy.

use super::strike::{Blow, Field, now_us};
use crate::process::LOOK_EVERY;
use anyhow::{Context, bail};
use loadbalancer::policy::Name;
use protocol::{
    deadline::Deadline,
    http::client::{Ask, ask},
};
use serde::Serialize;
use std::{
    net::SocketAddr,
    thread,
    time::{Duration, Instant},
};

/// How long the administration may take to answer.
const ANSWER_TIME: Duration = Duration::from_secs(5);
/// How long a server may take to be empty.
const EMPTY_TIME: Duration = Duration::from_secs(20);

/// Where a load balancer is administered, and the token that changes need.
#[derive(Clone, Debug)]
pub struct Administration {
    /// Its port.
    pub address: SocketAddr,
    /// The token.
    pub token: String,
}

impl Administration {
    /// A change.
    ///
    /// # Errors
    /// If it is not made.
    pub fn change(&self, path: &str, wish: &impl Serialize) -> anyhow::Result<()> {
        let change = Ask::post(path).header("Authorization", format!("Bearer {}", self.token))?.json(wish)?;
        let reply = ask(self.address, &change, ANSWER_TIME).with_context(|| format!("{path} was not answered"))?;
        if !reply.status.is_success() {
            bail!("{path} was answered: {}", reply.text());
        }
        Ok(())
    }
}

#[derive(Serialize)]
struct Nothing {}

#[derive(Serialize)]
struct Policy {
    policy: String,
}

/// Drains a server that the load balancer knows, waits until it holds nothing, leaves it so for a time, in milliseconds,
/// and has it back. Now and then it is Ctrl-C of the server instead.
pub(super) fn drain(field: &mut Field<'_>, victim: usize, ms: u64) -> anyhow::Result<Blow> {
    if field.dice.u8(..4) == 0 {
        return super::process::interrupt(field, victim);
    }
    field.ground.wait_for(victim)?;
    let (id, from_us, begin) = (field.id(victim).to_owned(), now_us(), Instant::now());
    let admin = field.ground.admin.clone();
    admin.change(&format!("/servers/{id}/drain"), &Nothing {})?;
    let (mut list, deadline) = (field.ground.list()?, Deadline::after(EMPTY_TIME));
    while !list.ask()?.iter().any(|server| server.id == id && server.active == 0) {
        if deadline.has_passed() {
            bail!("Server {id} is not empty {} s after it was drained.", EMPTY_TIME.as_secs());
        }
        thread::park_timeout(LOOK_EVERY / 4);
    }
    let empty_ms = u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX);
    let ms = field.wait(ms);
    admin.change(&format!("/servers/{id}/ready"), &Nothing {})?;
    let what = format!("drained server {id}, which was empty after {empty_ms} ms, and had it back {ms} ms later");
    Ok(Blow { from_us, empty_ms: Some(empty_ms), ..Blow::away(what, field.ids(victim)) })
}

/// Another policy.
pub(super) fn change_policy(field: &mut Field<'_>) -> anyhow::Result<Blow> {
    let policy = Name::ALL[field.dice.usize(..Name::ALL.len())].to_string();
    field.ground.admin.change("/policy", &Policy { policy: policy.clone() })?;
    Ok(Blow::to(format!("policy {policy}"), Vec::new()))
}

//! The load balancer's pools, as its administration shows them.

use anyhow::Context;
use protocol::http::client::{Ask, ask};
use serde::Deserialize;
use std::{net::SocketAddr, time::Duration};

/// How long the administration may take to answer.
const ADMIN_TIME: Duration = Duration::from_secs(5);

/// `/servers` of the administration, as far as it matters to the laboratory.
#[derive(Deserialize)]
struct Shown {
    pools: Vec<Pool>,
}

/// The pool of a frontend.
#[derive(Clone, Debug, Deserialize)]
pub struct Pool {
    /// Its name: `lab`, `tcp`, `http` …
    pub pool: String,
    /// What it has counted in all.
    pub totals: Totals,
    /// Its servers.
    pub servers: Vec<Member>,
}

/// What a pool has counted.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Totals {
    /// Requests that were received whole.
    pub requests: u64,
    /// Copies that were sent beside the original.
    pub copies_sent: u64,
    /// Copies that were answered before the original.
    pub copies_won: u64,
}

/// A server in a pool.
#[derive(Clone, Debug, Deserialize)]
pub struct Member {
    /// Its id.
    pub id: String,
    /// In one word: `idle`, `busy`, `down` …
    pub status: String,
    /// Whether it is able to take requests: `up` or not.
    pub state: String,
    /// Requests in its hands.
    pub active: u32,
    /// Requests it has answered.
    pub answered: u64,
    /// How often it was chosen.
    pub chosen: u64,
}

impl Pool {
    /// The pool of this name, or the first one, as it is now.
    ///
    /// # Errors
    /// If the administration does not answer, or shows no such pool.
    pub fn ask(admin: SocketAddr, name: Option<&str>) -> anyhow::Result<Self> {
        let shown: Shown = ask(admin, &Ask::get("/servers"), ADMIN_TIME)?.json()?;
        let mut pools = shown.pools.into_iter();
        pools.find(|pool| name.is_none_or(|name| pool.pool == name)).context("The administration shows no such pool")
    }
}

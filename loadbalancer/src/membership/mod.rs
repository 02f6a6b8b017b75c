//! Where the servers of the pool come from, and whether they live.
//!
//! | file          | what is in it                                                                           |
//! |---------------|-----------------------------------------------------------------------------------------|
//! | [`roll`]      | who should be in the pool, according to whom (pure)                                     |
//! | [`members`]   | the roll, and a thread for each server on it; [`Members::add`] and [`Members::remove`]  |
//! | [`file`](mod@file) | the first source: `servers.json`                                                        |
//! | [`joining`]   | the second: servers that join over the network, and their leases                        |
//! | [`gate`], [`network`] | who may join, and from where (pure)                                             |
//! | [`plain`]     | servers that are named on the command line and have no control port                     |
//! | [`pools`]     | which pool is for which service                                                         |
//! | [`contact`]   | the thread that speaks to one server                                                    |
//! | [`standing`]  | what it has found out, for others to wait for                                           |
//! | [`flags`]     | the flags of joining                                                                    |
//!
//! Whoever names a server, the same happens: a thread of its own ([`contact`]) speaks to that server's control port, so that
//! a server that hangs holds up nobody else, and the server gets work when it has said there who it is.

pub mod pools;
pub mod network;
pub mod gate;
pub mod roll;
pub mod standing;
pub mod contact;
pub mod members;
pub mod file;
pub mod joining;
pub mod plain;
pub mod probe;
pub mod flags;

pub use self::{
    members::{Members, NotAdded},
    roll::Source,
    standing::{Found, Teller},
};

use self::{gate::Gate, pools::Pools};
use crate::{event::Events, health::Check};
use protocol::{registry::Registry, token::Token};

/// What the threads of the membership share.
#[derive(Debug)]
pub struct Membership {
    /// Where servers join and leave.
    pub pools: Pools,
    /// Where they register.
    pub registry: Registry,
    /// How servers are asked whether they live.
    pub check: Check,
    /// Where what happens is told.
    pub events: Events,
    /// Who may join.
    pub gate: Gate,
    /// What servers must prove, if anything.
    pub token: Option<Token>,
}

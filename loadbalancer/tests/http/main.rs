//! The HTTP frontend among fakes: origins that record exactly what they got and follow a script, clients that say whatever a
//! test wants, all over real sockets of this machine.
#![allow(clippy::unwrap_used, reason = "a test that unwraps in vain has failed")]
#![cfg(unix)]

mod kit;

mod passing;
mod smuggling;
mod drawn;
mod statuses;
mod retries;
mod resuming;
mod leaving;
mod upgrading;
mod sticking;

//! Ending a statement from outside.
//!
//! Whoever asked may lose interest, and every statement has a time limit. While a statement runs, its engine asks the
//! [`Watch`] of the request whether to go on, every [`LOOK_EVERY`], and ends the statement in its own way when it says no.

use std::time::Duration;

/// How often the watch is asked at most. A system call every 20 ms costs nothing, and nobody notices that a
/// statement ends 20 ms late.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Why a statement was ended from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Interrupt {
    /// Its time was over.
    #[error("The statement was ended: its time was over.")]
    TimeLimit,
    /// It waited for the database's write lock until its time was over.
    #[error("Another server holds the database's write lock; the statement waited for it until its time was over.")]
    Locked,
    /// Its client took it back.
    #[error("The request was taken back by its client.")]
    Cancelled,
    /// Nobody waits for the answer any more.
    #[error("The request was given up: its connection was closed.")]
    Gone,
}

/// Says whether a statement shall go on.
pub trait Watch: Send + Sync {
    /// Why it shall end, if it shall. Asked about every 20 ms from within the database; must neither wait nor panic.
    fn interrupted(&self) -> Option<Interrupt>;
}

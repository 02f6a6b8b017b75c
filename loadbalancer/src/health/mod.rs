//! Health: which servers are worth a request.
//!
//! **The problem.** A server that does not answer costs everybody who is sent there. It has to be found out soon, but
//! not on the strength of one lost packet, and its return has to be noticed too.
//!
//! **The idea.** Two observers, and a rule for the return:
//!
//! | file           | who looks                                              | finds                                     | after                      |
//! |----------------|--------------------------------------------------------|-------------------------------------------|----------------------------|
//! | [`check`]      | we ask the server whether it lives (*active*)          | a process that is dead, hangs, is cut off | `fall` bad probes in a row |
//! | [`outlier`]    | we look how real requests end (*passive*)              | one that lives and answers its requests badly or slowly | so many errors in a row |
//! | [`slow_start`] | –                                                      | –                                         | a server that returns gets a growing share |
//!
//! Neither observer is enough. A probe is answered by another port, in no time: it says nothing about requests that
//! fail. Requests say nothing about a server that gets none. Production systems run both (HAProxy `check` and
//! `observe`, Envoy health checking and outlier detection; nginx has only the passive one, `max_fails`, outside of its
//! commercial version).
//!
//! **Pure.** These files know no clock, socket, lock or thread. Time comes in as the time since the pool began. The
//! thread that asks is in [`membership`](crate::membership), the lock around what was observed is the pool's.

pub mod check;
pub mod outlier;
pub mod slow_start;
pub mod flags;
mod words;

pub use check::{Check, Probes, Verdict};

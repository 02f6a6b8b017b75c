//! Why did this request go where it went, and why did it take so long?
//!
//! **The problem.** "My request took three seconds, and server 2 was idle all the time" can be right and wrong in many ways.
//! The answer is in the journal, spread over twenty lines among those of a thousand other requests, and half of it is what
//! is *not* there: who was passed over, and by which rule.
//!
//! **The idea.** Whatever decides something writes down what it decided *from*. Then an explanation is nothing but a reading
//! of the journal: the steps of one request in their order, each as a sentence, each choice with its candidates, those who
//! were none and why, the policy's rule, and how the rule leads from those candidates to that winner. Nothing is asked of
//! the running load balancer, so it also works an hour later, on another machine, after a crash.
//!
//! **Worked example.** Policy `power`, servers 1 (0.1 s) and 2 (0.2 s), both of capacity 1. Server 1 is busy when the request
//! comes, so it goes to server 2; that one is killed after 50 ms; by then server 1 is idle again. The explanation shows two
//! choices: at the first, server 1 "holds as many requests as it may" and server 2 "was the only one"; between them, the loss,
//! and why another server may have the request; at the second, server 2 "had this request already". And where the 153 ms
//! went: 51 ms at server 2, lost; 101 ms at server 1; 1 ms to pass the answer on.
//!
//! **A rule is checked, not recited.** [`rule`] compares the winner with the candidates. If another one should have won by the
//! rule, the explanation says so, instead of inventing a reason.
//!
//! **When it is wrong.** A journal has holes: its oldest part is replaced when it grows, a listener that is too slow loses
//! events, a process may be killed. Each hole that concerns a request is told ([`Gap`]), and one that may have swallowed it
//! whole, too ([`Scope`]). Times are those of the machine's clock; if that is set meanwhile, they are wrong. The same id may
//! come twice: a client repeats a request under its id when it does not know what became of it. Each time is an account of
//! its own. Two clients that draw the same number by chance (5 · 10⁻⁷ in a class) and ask at the same moment cannot be told
//! apart here, though each gets its own answer; that is told, too.
//!
//! **Elsewhere.** HAProxy writes one line per request with its five times and four letters for how it ended, and the reader
//! knows the letters by heart; Envoy has response flags (`UO`, `UF`, `URX`). Distributed tracing (Dapper, OpenTelemetry) joins
//! the steps of many programs by an id that travels along; here one program's journal is enough.
//!
//! Sources: HAProxy, *Configuration Manual*, "Session state at disconnection"; B. Sigelman et al., *Dapper*, 2010.

pub mod rule;
pub mod spent;
pub mod scope;
pub mod question;
pub mod summary;
mod step;
mod shards;
mod again;
mod teller;
mod print;
mod words;

pub use self::{
    question::{Answer, Past, Question, Unanswerable},
    scope::{Gap, Scope},
    spent::{Spent, Where},
    summary::Summary,
};

use self::teller::Teller;
use super::{Event, Record};
use protocol::{id::RequestId, message::ErrorCode};
use serde::Serialize;
use std::borrow::Borrow;

/// What happened to one request, as far as the records say.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Explanation {
    /// The request.
    pub request: RequestId,
    /// An account of each time it was asked; none if the records say nothing of it.
    pub accounts: Vec<Account>,
    /// What the records cover.
    pub scope: Scope,
}

/// What happened to a request one of the times it was asked.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Account {
    /// Its first step, in microseconds since 1970.
    pub since_us: u64,
    /// The client's id, as it was typed; `None` if the beginning is missing.
    pub client: Option<String>,
    /// What was asked.
    pub text: Option<String>,
    /// At how many servers it was tried, copies among them.
    pub attempts: u32,
    /// What became of it.
    pub end: End,
    /// How long it took, in microseconds.
    pub took_us: u64,
    /// What happened, in order.
    pub steps: Vec<Step>,
    /// Where the time went, in order.
    pub spent: Vec<Spent>,
    /// What is missing.
    pub gaps: Vec<Gap>,
}

/// Something that happened to a request, or meanwhile to a server it had to do with.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Step {
    /// How long after the request's first step, in microseconds.
    pub after_us: u64,
    /// What happened, as a sentence; then what is to be said about it, line by line.
    pub says: Vec<String>,
    /// The event itself.
    pub event: Event,
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "end", rename_all = "kebab-case")]
pub enum End {
    /// The client has a server's answer.
    Answered {
        /// Whose.
        server: String,
        /// Whether it is what was asked for, and not an error of the request's own.
        complete: bool,
    },
    /// A connection that was passed on is over.
    Closed {
        /// To which server it went.
        server: String,
        /// How it ended.
        how: String,
    },
    /// The client was told that it failed.
    Failed {
        /// What went wrong.
        code: ErrorCode,
        /// Whether it surely was not carried out.
        definite: bool,
        /// What the client was told.
        message: String,
    },
    /// The client took it back, or was gone.
    TakenBack,
    /// The client could not be told.
    Abandoned {
        /// Why.
        why: String,
    },
    /// The records do not say.
    Unknown,
}

/// Explains a request from these records, which are in the order in which they were written.
pub fn explain<R: Borrow<Record>>(records: impl IntoIterator<Item = R>, request: RequestId) -> Explanation {
    let mut teller = Teller::new(request);
    records.into_iter().for_each(|record| teller.hear(record.borrow()));
    teller.finish()
}

#[cfg(test)]
mod tests;

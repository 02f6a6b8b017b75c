//! One line for each request: which there were, and what became of them.

use super::{
    End,
    words::{ending, moment, text, time},
};
use crate::{
    event::{Event, Record},
    shards::TABLE,
};
use protocol::id::RequestId;
use serde::Serialize;
use std::{borrow::Borrow, collections::HashMap, fmt};

/// A request in short.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// The request.
    pub request: RequestId,
    /// Its first step, in microseconds since 1970.
    pub since_us: u64,
    /// What was asked, if its beginning is there.
    pub text: Option<String>,
    /// What became of it.
    pub end: End,
    /// How long it took, in microseconds; `None` if that is not known.
    pub took_us: Option<u64>,
}

impl Summary {
    /// Whether the client did not get what it had asked for.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        match &self.end {
            End::Answered { complete, .. } => !complete,
            End::Failed { .. } | End::Abandoned { .. } => true,
            End::Closed { .. } | End::TakenBack | End::Unknown => false,
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let asked = self.text.as_deref().map_or_else(|| "?".to_owned(), text);
        write!(f, "{}  {}  {asked}: ", self.request, moment(self.since_us))?;
        match &self.end {
            End::Answered { server, .. } if server == TABLE => write!(f, "answered by the sharded table")?,
            End::Answered { server, .. } if server.starts_with('(') => write!(f, "answered here {server}")?,
            End::Answered { server, complete: true } => write!(f, "answered by server {server}")?,
            End::Answered { server, .. } => write!(f, "server {server} answered with an error")?,
            End::Closed { server, how } => write!(f, "connected with server {server}: {}", ending(how))?,
            End::Failed { code, message, .. } => write!(f, "failed ({code}): {}", ending(message))?,
            End::TakenBack => f.write_str("taken back")?,
            End::Abandoned { .. } => f.write_str("the client could not be told")?,
            End::Unknown => f.write_str("no end so far")?,
        }
        self.took_us.map_or(Ok(()), |took| write!(f, " [{}]", time(took)))
    }
}

/// The requests among these records that are wanted, in the order of their ends; those without one come last.
pub fn summaries<R: Borrow<Record>>(
    records: impl IntoIterator<Item = R>,
    mut wanted: impl FnMut(&Summary) -> bool,
) -> Vec<Summary> {
    let (mut open, mut over) = (HashMap::<RequestId, Summary>::new(), Vec::new());
    for record in records {
        let Record { at_us, event } = record.borrow();
        let Some(request) = event.request() else { continue };
        let new = || Summary { request, since_us: *at_us, text: None, end: End::Unknown, took_us: None };
        let summary = open.entry(request).or_insert_with(new);
        summary.hear(*at_us, event);
        if event.ends_a_request()
            && let Some(summary) = open.remove(&request).filter(&mut wanted)
        {
            over.push(summary);
        }
    }
    let unknown = |summary| Summary { end: End::Unknown, ..summary };
    let mut open: Vec<Summary> = open.into_values().map(unknown).filter(wanted).collect();
    open.sort_by_key(|summary| summary.since_us);
    over.extend(open);
    over
}

impl Summary {
    fn hear(&mut self, at_us: u64, event: &Event) {
        match event {
            Event::RequestReceived { text, .. } => (self.text, self.since_us) = (Some(text.clone()), at_us),
            // Who answers is who began to: after a race it need not be the one that was chosen first.
            Event::AnswerBegun { server, .. } | Event::FileResumed { server, .. } => {
                self.end = End::Answered { server: server.clone(), complete: true };
            }
            Event::ResponseSent { server, complete, .. } => {
                let first = if let End::Answered { server, .. } = &self.end { server } else { server };
                self.end = End::Answered { server: first.clone(), complete: *complete };
            }
            Event::ConnectionEnded { server, how, .. } => {
                self.end = End::Closed { server: server.clone(), how: how.clone() };
            }
            Event::RequestFailed { code, definite, message, .. } => {
                self.end = End::Failed { code: *code, definite: *definite, message: message.clone() };
            }
            Event::RequestCancelled { .. } => self.end = End::TakenBack,
            Event::RequestAbandoned { why, .. } => self.end = End::Abandoned { why: why.clone() },
            _ => {}
        }
        if event.ends_a_request() {
            self.took_us = Some(at_us.saturating_sub(self.since_us));
        }
    }
}

//! What happened lately, and why, as the administration tells it.
//!
//! The journal is read from its beginning for each question: some hundred thousand lines, half a second. That is no matter
//! for one person who asks, and would be one for fifty at once; so only one question is answered at a time.

use crate::event::{
    Record,
    reader::JournalReader,
    why::{Answer, Past, Question, Unanswerable},
};
use parking_lot::{Mutex, MutexGuard};
use protocol::http::{HttpError, Request, Response, Status};
use serde_json::{json, value::RawValue};
use std::{borrow::Borrow, collections::VecDeque, time::Duration};

/// How long a question about the past waits for the one before.
const PATIENCE: Duration = Duration::from_secs(5);
/// Most events of one answer; who wants more asks again, from where this one ends.
const MOST: usize = 1_000;
/// How many events are told when it is not said since when.
const LATEST: usize = 100;
/// Most bytes of events of one answer: decisions among a thousand servers are long.
const MOST_BYTES: usize = 4 * 1024 * 1024;

/// The past, asked by one at a time.
#[derive(Debug)]
pub struct Memory {
    past: Past,
    /// Held while a question is answered; nothing else is locked meanwhile but the memory of events, for a copy.
    asking: Mutex<()>,
}

impl Memory {
    /// What is kept there.
    #[must_use]
    pub fn new(past: Past) -> Self {
        Self { past, asking: Mutex::default() }
    }

    /// `GET /why/{request}`; also `last`, and `failed`. JSON, or sentences for who accepts `text/plain`.
    ///
    /// # Errors
    /// 400 for what is no id, 404 for one that is not known, 409 for the beginning of several, 503 in a crowd.
    pub fn why(&self, asked: &str, request: &Request) -> Result<Response, HttpError> {
        let question = match asked {
            "last" => Question::Last,
            "failed" => Question::Failed,
            id => Question::Request(id.to_owned()),
        };
        let _alone = self.alone()?;
        let answer = self.past.answer(&question).map_err(|why| HttpError::answer(status_of(&why), why.to_string()))?;
        if matches!(answer, Answer::Explanation(_)) && !answer.is_known() {
            return Err(HttpError::answer(Status::NOT_FOUND, answer.to_string().trim_end()));
        }
        if request.headers.lists("accept", "text/plain") {
            return Ok(Response::text(Status::OK, answer.to_string()));
        }
        Ok(Response::json(Status::OK, &answer))
    }

    /// `GET /events?since=MICROSECONDS`: what happened after that, oldest first.
    ///
    /// # Errors
    /// 400 for what is no time, 404 where nothing is kept, 503 in a crowd.
    pub fn events(&self, request: &Request) -> Result<Response, HttpError> {
        let since = since(request)?;
        let _alone = self.alone()?;
        let told = match &self.past {
            Past::Journal(path) => {
                let unreadable = |error| HttpError::answer(Status::NOT_FOUND, format!("There is no journal: {error}."));
                gather(JournalReader::open(path).map_err(unreadable)?, since)
            }
            Past::Recent(recent) => gather(recent.records(), since),
            Past::Nothing => {
                return Err(HttpError::answer(Status::NOT_FOUND, Unanswerable::NothingKept.to_string()));
            }
        };
        let next = told.next.or(since).unwrap_or_default();
        Ok(Response::json(Status::OK, &json!({ "events": told.events, "next": next, "more": told.more })))
    }

    fn alone(&self) -> Result<MutexGuard<'_, ()>, HttpError> {
        let busy = || HttpError::answer(Status::SERVICE_UNAVAILABLE, "Others are asking about the past just now.");
        self.asking.try_lock_for(PATIENCE).ok_or_else(busy)
    }
}

fn status_of(why: &Unanswerable) -> Status {
    match why {
        Unanswerable::NotAnId(_) => Status::BAD_REQUEST,
        Unanswerable::Ambiguous { .. } => Status::CONFLICT,
        _ => Status::NOT_FOUND,
    }
}

/// Since when; nothing if that is not said.
fn since(request: &Request) -> Result<Option<u64>, HttpError> {
    let wrong = || HttpError::answer(Status::BAD_REQUEST, "It is ?since=N, N in microseconds since 1970.");
    let pairs = request.target.pairs().ok_or_else(wrong)?;
    match &pairs[..] {
        [] => Ok(None),
        [(key, text)] if key == "since" => text.parse().map(Some).map_err(|_| wrong()),
        _ => Err(wrong()),
    }
}

/// Events of one answer.
struct Told {
    events: VecDeque<Box<RawValue>>,
    /// The time of the last one.
    next: Option<u64>,
    /// Whether there are more, later.
    more: bool,
}

/// The first events after this time; or, without one, the last there are.
fn gather<R: Borrow<Record>>(records: impl IntoIterator<Item = R>, since: Option<u64>) -> Told {
    let mut told = Told { events: VecDeque::new(), next: None, more: false };
    let mut bytes = 0;
    for record in records {
        let record: &Record = record.borrow();
        if since.is_some_and(|since| record.at_us <= since) {
            continue;
        }
        // Several events may have the same time: who goes on behind it must not miss any.
        let full = told.events.len() >= MOST || bytes > MOST_BYTES;
        if since.is_some() && full && told.next.is_some_and(|last| record.at_us > last) {
            told.more = true;
            break;
        }
        let Ok(text) = serde_json::value::to_raw_value(record) else { continue };
        bytes += text.get().len();
        told.events.push_back(text);
        told.next = told.next.max(Some(record.at_us));
        while since.is_none() && (told.events.len() > LATEST || bytes > MOST_BYTES) {
            bytes -= told.events.pop_front().map_or(bytes, |first| first.get().len());
        }
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Event;

    fn records(times: impl IntoIterator<Item = u64>) -> Vec<Record> {
        times.into_iter().map(|at_us| Record { at_us, event: Event::Stopping }).collect()
    }

    fn told(times: impl IntoIterator<Item = u64>, since: Option<u64>) -> (usize, Option<u64>, bool) {
        let told = gather(records(times), since);
        (told.events.len(), told.next, told.more)
    }

    #[test]
    fn an_answer_goes_on_where_the_one_before_ended() {
        assert_eq!(told(1..=2_500, Some(0)), (MOST, Some(1_000), true));
        assert_eq!(told(1..=2_500, Some(1_000)), (MOST, Some(2_000), true));
        assert_eq!(told(1..=2_500, Some(2_000)), (500, Some(2_500), false));
        assert_eq!(told(1..=2_500, Some(2_500)), (0, None, false));
    }

    #[test]
    fn events_of_the_same_time_are_not_torn_apart() {
        let times = (1..=999).chain([1_000; 5]).chain([1_001]);
        assert_eq!(told(times, Some(0)), (1_004, Some(1_000), true));
    }

    #[test]
    fn without_a_time_the_latest_are_told() {
        assert_eq!(told(1..=2_500, None), (LATEST, Some(2_500), false));
        assert_eq!(told([], None), (0, None, false));
    }
}

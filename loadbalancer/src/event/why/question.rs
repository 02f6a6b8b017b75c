//! What can be asked of the past, and where the past is kept.
//!
//! An id of 33 characters is tedious to type. So its beginning is enough where only one request has it; where several have,
//! they are listed instead of one being guessed. The first half of an id, the client's number, lists that client's requests.

use super::{End, Explanation, Summary, explain, scope::Scope, summary::summaries, words::count};
use crate::event::{Record, reader::JournalReader, recent::Recent};
use protocol::id::RequestId;
use serde::Serialize;
use std::{collections::BTreeSet, fmt, io, path::PathBuf, sync::Arc};

/// Digits of a client's number.
const CLIENT_DIGITS: usize = 16;
/// Characters of a whole id.
const ID_LEN: usize = 33;
/// Requests that are listed when a beginning fits several.
const LISTED: usize = 20;

/// Where events are kept that have happened.
#[derive(Clone, Debug)]
pub enum Past {
    /// In this journal, and the part before it.
    Journal(PathBuf),
    /// In memory.
    Recent(Arc<Recent>),
    /// Nowhere.
    Nothing,
}

/// What is asked of the past.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// What happened to the request of this id, or beginning of an id; or which requests this client's number had.
    Request(String),
    /// What happened to the request that ended last.
    Last,
    /// Which requests failed.
    Failed,
}

/// What the past answers.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// One request, explained.
    Explanation(Box<Explanation>),
    /// Several, a line each.
    Requests(Vec<Summary>),
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Unanswerable {
    /// That is no id, nor the beginning of one.
    #[error("'{0}' is not the id of a request, nor its beginning: it is written as 5f1d3a9c00b7e214-0000000000000001.")]
    NotAnId(String),
    /// Several requests begin like that.
    #[error("{} begin with {prefix}: give more of the id.\n{}", count(*of as u64, "request"), lines(candidates))]
    Ambiguous {
        /// What was asked.
        prefix: String,
        /// The first of those that fit.
        candidates: Vec<RequestId>,
        /// How many fit.
        of: usize,
    },
    /// No request begins like that.
    #[error("The journal has no request whose id begins with {0}.")]
    NoneBegins(String),
    /// No request has ended yet.
    #[error("The journal has no request that has ended.")]
    NoneEnded,
    /// The journal cannot be read.
    #[error("The journal {} cannot be read: {source}.", path.display())]
    NoJournal {
        /// Where it should be.
        path: PathBuf,
        /// What is wrong.
        source: io::Error,
    },
    /// Neither a journal is written nor are events remembered.
    #[error("This load balancer writes no journal and does not remember events (--no-journal without --remember).")]
    NothingKept,
}

impl Unanswerable {
    /// Whether the question is to blame, and not what is kept.
    #[must_use]
    pub fn is_wrong_usage(&self) -> bool {
        matches!(self, Self::NotAnId(_) | Self::Ambiguous { .. })
    }
}

fn lines(ids: &[RequestId]) -> String {
    ids.iter().map(|id| format!("  {id}")).collect::<Vec<_>>().join("\n")
}

impl Answer {
    /// Whether it tells anything.
    #[must_use]
    pub fn is_known(&self) -> bool {
        !matches!(self, Self::Explanation(explanation) if explanation.accounts.is_empty())
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Explanation(explanation) => write!(f, "{explanation}"),
            Self::Requests(requests) if requests.is_empty() => f.write_str("The journal has none.\n"),
            Self::Requests(requests) => requests.iter().try_for_each(|request| writeln!(f, "{request}")),
        }
    }
}

impl Past {
    /// Answers a question.
    ///
    /// # Errors
    /// If the question is none, or fits several requests, or nothing is kept that could answer it.
    pub fn answer(&self, question: &Question) -> Result<Answer, Unanswerable> {
        match question {
            Question::Request(asked) => self.request(&asked.to_ascii_lowercase()),
            Question::Last => {
                let last = self.summaries(|summary| summary.end != End::Unknown)?.pop();
                let last = last.ok_or(Unanswerable::NoneEnded)?;
                self.explain(last.request)
            }
            Question::Failed => Ok(Answer::Requests(self.summaries(Summary::has_failed)?)),
        }
    }

    fn request(&self, asked: &str) -> Result<Answer, Unanswerable> {
        if let Ok(id) = asked.parse() {
            return self.explain(id);
        }
        let fits =
            |byte: (usize, u8)| if byte.0 == CLIENT_DIGITS { byte.1 == b'-' } else { byte.1.is_ascii_hexdigit() };
        if asked.is_empty() || asked.len() >= ID_LEN || !asked.bytes().enumerate().all(fits) {
            return Err(Unanswerable::NotAnId(asked.chars().take(2 * ID_LEN).collect()));
        }
        let found = self.summaries(|summary| summary.request.to_string().starts_with(asked))?;
        if asked.trim_end_matches('-').len() == CLIENT_DIGITS {
            return Ok(Answer::Requests(found));
        }
        let ids: BTreeSet<RequestId> = found.iter().map(|summary| summary.request).collect();
        match ids.len() {
            0 => Err(Unanswerable::NoneBegins(asked.to_owned())),
            1 => self.explain(found[0].request),
            of => {
                let candidates = ids.into_iter().take(LISTED).collect();
                Err(Unanswerable::Ambiguous { prefix: asked.to_owned(), candidates, of })
            }
        }
    }

    /// Explains a request; also one of which nothing is known, which is then what is said.
    ///
    /// # Errors
    /// If nothing is kept, or it cannot be read.
    pub fn explain(&self, request: RequestId) -> Result<Answer, Unanswerable> {
        let explanation = match self.open()? {
            Records::Kept(records) => explain(records, request),
            Records::Written(mut reader) => {
                let explanation = explain(reader.by_ref(), request);
                let scope = Scope { unread: reader.unread().clone(), ..explanation.scope };
                Explanation { scope, ..explanation }
            }
        };
        Ok(Answer::Explanation(Box::new(explanation)))
    }

    fn summaries(&self, wanted: impl FnMut(&Summary) -> bool) -> Result<Vec<Summary>, Unanswerable> {
        Ok(match self.open()? {
            Records::Kept(records) => summaries(records, wanted),
            Records::Written(reader) => summaries(reader, wanted),
        })
    }

    fn open(&self) -> Result<Records, Unanswerable> {
        match self {
            Self::Journal(path) => match JournalReader::open(path) {
                Ok(reader) => Ok(Records::Written(reader)),
                Err(source) => Err(Unanswerable::NoJournal { path: path.clone(), source }),
            },
            Self::Recent(recent) => Ok(Records::Kept(recent.records())),
            Self::Nothing => Err(Unanswerable::NothingKept),
        }
    }
}

/// The records of the past.
enum Records {
    Kept(Vec<Arc<Record>>),
    Written(JournalReader),
}

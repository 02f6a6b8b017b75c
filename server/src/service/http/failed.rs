//! What is told when a request is not answered as it wished.

use super::super::Terms;
use crate::{files::FileError, sql::SqlError};
use protocol::{
    http::{HttpError, InvalidField, Response, Status},
    message::{ErrorCode, Failure},
};
use serde_json::json;
use std::time::Duration;

/// Why a request does not get the answer that it wished for.
pub(in super::super) enum Unanswered {
    /// This is told instead.
    Told(Response),
    /// The HTTP layer knows what to do: it tells, or there is nobody left to be told.
    Left(HttpError),
}

impl Unanswered {
    /// What is told after all; or the error, if that is for the HTTP layer.
    pub(in super::super) fn or_told(self) -> Result<Response, HttpError> {
        match self {
            Self::Told(response) => Ok(response),
            Self::Left(error) => Err(error),
        }
    }
}

impl From<Response> for Unanswered {
    fn from(response: Response) -> Self {
        Self::Told(response)
    }
}

impl From<HttpError> for Unanswered {
    fn from(error: HttpError) -> Self {
        Self::Left(error)
    }
}

impl From<InvalidField> for Unanswered {
    fn from(error: InvalidField) -> Self {
        Self::Left(error.into())
    }
}

impl From<FileError> for Unanswered {
    fn from(error: FileError) -> Self {
        let failure = error.failure();
        Self::Told(tell(status(failure.code), &failure))
    }
}

impl From<SqlError> for Unanswered {
    fn from(error: SqlError) -> Self {
        let failure = error.failure();
        Self::Told(tell(status(failure.code), &failure))
    }
}

/// The status that goes with a code of the lab protocol.
fn status(code: ErrorCode) -> Status {
    match code {
        ErrorCode::BadRequest | ErrorCode::SqlError => Status::BAD_REQUEST,
        ErrorCode::Forbidden => Status::FORBIDDEN,
        ErrorCode::NotFound => Status::NOT_FOUND,
        ErrorCode::IdReused | ErrorCode::Expired => Status::CONFLICT,
        ErrorCode::TooLarge => Status::UNPROCESSABLE_CONTENT,
        ErrorCode::Busy | ErrorCode::Draining | ErrorCode::Unavailable => Status::SERVICE_UNAVAILABLE,
        ErrorCode::Timeout => Status::GATEWAY_TIMEOUT,
        _ => Status::INTERNAL_SERVER_ERROR,
    }
}

/// The answer that tells a failure.
fn tell(status: Status, failure: &Failure) -> Response {
    let Failure { code, message, definite, .. } = failure;
    let told = json!({ "status": status.code(), "code": code.as_str(), "message": message, "definite": definite });
    let response = Response::json(status, &told);
    if status == Status::SERVICE_UNAVAILABLE { response.retry_after(seconds(failure)) } else { response }
}

/// After how many seconds to ask again: whole ones, at least one.
fn seconds(failure: &Failure) -> u32 {
    let time = Duration::from_millis(failure.retry_after_ms.unwrap_or_default());
    u32::try_from(time.as_millis().div_ceil(1000)).unwrap_or(u32::MAX).max(1)
}

/// A refusal with this status, of a request that has had no effect.
pub(super) fn refuse(status: Status, code: ErrorCode, message: &str) -> Response {
    tell(status, &Failure::definite(code, message))
}

/// All places are taken.
pub(super) fn full(terms: &Terms) -> Response {
    let message = format!("This server takes {} requests at once, and has as many.", terms.slots.capacity());
    let again = u64::try_from(terms.processing_time.as_millis()).unwrap_or(u64::MAX);
    tell(Status::SERVICE_UNAVAILABLE, &Failure::definite(ErrorCode::Busy, message).retry_after_ms(again))
}

/// There is nothing at the path.
pub(super) fn nothing_there() -> Response {
    let words = "There is nothing at this path. There are /home, /heartbeat, /files/NAME, /sql and /request-id.";
    refuse(Status::NOT_FOUND, ErrorCode::NotFound, words)
}

/// There is something at the path that takes other methods.
pub(super) fn wrong_method(methods: &str) -> Result<Response, InvalidField> {
    let words = format!("This path takes only {methods}.");
    refuse(Status::METHOD_NOT_ALLOWED, ErrorCode::BadRequest, &words).header("Allow", methods)
}

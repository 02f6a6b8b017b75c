//! How a request ends: what the client is told, what becomes of its connection, and what is counted.

use super::{
    Then,
    exchange::{Exchange, Outcome},
    page::Refusal,
    trouble::How,
};
use crate::{
    dispatch::retry::Lost,
    event::{Event, micros},
    pool::Refused,
};
use protocol::{
    http::{
        Framing, Headers, HttpConnection, HttpError, Method, Request, Status, Version, encode::push_answer,
        limits::MAX_UNWANTED,
    },
    id::RequestId,
    message::ErrorCode,
    wire::Pending,
};
use socket2::SockRef;
use std::time::Duration;

impl Exchange<'_> {
    /// The request itself is at fault.
    pub(super) fn unbelieved(&self, error: HttpError) -> Outcome {
        if self.download.has_begun() {
            return Outcome::Cut(error.sentence());
        }
        match error.status() {
            Some(_) => Outcome::Unbelieved(error),
            None => Outcome::ClientGone(error.sentence()),
        }
    }

    /// No server is to be had.
    pub(super) fn no_server(&self, refused: Refused) -> Outcome {
        let failure = refused.failure();
        if self.download.has_begun() {
            return Outcome::Cut(failure.message);
        }
        let refusal = Refusal::definite(Status::SERVICE_UNAVAILABLE, failure.message).come_again();
        let refusal = Refusal { code: failure.code, ..refusal };
        Outcome::Refused(if self.doubt { refusal.in_doubt() } else { refusal })
    }

    /// A server was lost, and no other one is tried.
    pub(super) fn given_up(&self, lost: Lost, why: &str, how: How) -> Outcome {
        if lost == Lost::Partly {
            return Outcome::Cut(why.to_owned());
        }
        let status = if how == How::Late { Status::GATEWAY_TIMEOUT } else { Status::BAD_GATEWAY };
        if !self.doubt {
            return Outcome::Refused(Refusal::definite(status, "No server could answer."));
        }
        let message = "The server was lost before it answered; the request may have been carried out.";
        Outcome::Refused(Refusal::definite(status, message).in_doubt())
    }

    /// Whether the client's connection could be kept behind an answer that is given now.
    pub(super) fn may_keep(&mut self) -> bool {
        self.request.keep_alive && !self.visit.draining() && !self.upload.is_stuck(self.client, MAX_UNWANTED)
    }

    /// Counts and tells how it ended, and tells the client what it does not know yet.
    pub(super) fn end(mut self, outcome: Outcome) -> Then {
        let (totals, events, request) = (self.http.pool.totals(), &self.http.events, self.arrival.id);
        match outcome {
            Outcome::Answered => {
                totals.answered.add_one();
                totals.bytes_out.add(self.download.passed);
                let complete = self.download.status.is_some_and(|status| status.code() < 400);
                let took = self.since.elapsed();
                totals.times.add(took);
                events.step(|| Event::ResponseSent {
                    request,
                    server: self.server_id(),
                    took_us: micros(took),
                    complete,
                });
                next(self.client, self.request, self.download.keep)
            }
            Outcome::Tunnelled => {
                totals.answered.add_one();
                Then::Drop
            }
            Outcome::Refused(refusal) => {
                self.tell(&refusal);
                let keep = self.may_keep();
                self.refuse(&refusal, keep)
            }
            Outcome::Unbelieved(error) => {
                totals.malformed.add_one();
                let status = error.status().unwrap_or(Status::BAD_REQUEST);
                let refusal = Refusal::definite(status, error.sentence());
                self.tell(&refusal);
                self.refuse(&refusal, false)
            }
            Outcome::ClientGone(why) => {
                totals.cancelled.add_one();
                events.step(|| Event::RequestAbandoned { request, why });
                Then::Drop
            }
            Outcome::Cut(why) => {
                let message = format!("The server was lost in the middle of its answer, which is cut: {why}");
                let code = ErrorCode::Unavailable;
                totals.failed.add_one();
                events.emit(|| Event::RequestFailed { request, code, definite: false, message });
                self.cut()
            }
        }
    }

    fn tell(&self, refusal: &Refusal) {
        let totals = self.http.pool.totals();
        if refusal.definite { &totals.failed } else { &totals.in_doubt }.add_one();
        let Refusal { code, definite, message, .. } = refusal.clone();
        let request = self.arrival.id;
        self.http.events.emit(|| Event::RequestFailed { request, code, definite, message });
    }

    fn refuse(self, refusal: &Refusal, keep: bool) -> Then {
        let sent = send_refusal(self.client, refusal, Some((self.request, self.arrival.id)), keep);
        if sent { next(self.client, self.request, keep) } else { Then::Drop }
    }

    /// Ends the connection so that nobody takes what came for the whole. Where the end of the connection would be the end of
    /// the answer, it is reset.
    fn cut(self) -> Then {
        if self.download.framing() == Framing::UntilClose {
            let _gone_already = SockRef::from(&**self.client.wire().stream()).set_linger(Some(Duration::ZERO));
        }
        Then::Drop
    }
}

/// What becomes of a connection behind an answer: what is left of the request's body is read and dropped, if it is little. A
/// client that asked for the end, and has sent nothing since, will not be sending when the connection is closed: it need not
/// be waited for. If it does, and its bytes arrive after this look, the system answers them with a reset, which may throw away what
/// the client has not read of its answer: so ends whoever breaks its own word.
pub(super) fn next(client: &mut HttpConnection, request: &Request, keep: bool) -> Then {
    if keep && client.skip_body(MAX_UNWANTED) {
        Then::Keep
    } else if !request.keep_alive && client.is_settled() && client.wire().pending() != Pending::Bytes {
        Then::Drop
    } else {
        Then::Close
    }
}

/// Tells the client that its request failed, if it is there. Says whether it was told.
pub(super) fn send_refusal(
    client: &mut HttpConnection,
    refusal: &Refusal,
    request: Option<(&Request, RequestId)>,
    keep: bool,
) -> bool {
    let (content_type, body) = refusal.page(request.map(|(request, _)| request), request.map(|(_, id)| id));
    let mut headers = Headers::new();
    let mut add = |name: &str, value: &str| drop(headers.push(name, value));
    add("Content-Type", content_type);
    add("Cache-Control", "no-store");
    if let Some((_, id)) = request {
        add("X-Request-Id", &id.to_string());
    }
    if let Some(seconds) = refusal.retry_after {
        add("Retry-After", &seconds.to_string());
    }
    let old = request.is_some_and(|(request, _)| request.version == Version::Http10);
    let connection = if !keep { Some("close") } else { old.then_some("keep-alive") };
    let mut head = Vec::new();
    push_answer(&mut head, refusal.status, &headers, Framing::Length(body.len() as u64), connection);
    let silent = request.is_some_and(|(request, _)| request.method == Method::Head);
    client.send(&[&head, if silent { &[] } else { &body }]).is_ok()
}

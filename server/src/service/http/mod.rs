//! The service `http`: a greeting, files and SQL over HTTP/1.1.
//!
//! | path | methods | what | place and processing time |
//! |---|---|---|---|
//! | `/home` | GET | who answers, as JSON: what a class asks a thousand times to see where requests go | yes |
//! | `/heartbeat` | GET | 200 and nothing: alive | no, and answered by a full server, too |
//! | `/files/NAME` | GET | a file below the files directory; see [`mod@file`] | yes |
//! | `/sql` | POST | the outcome of one statement; see [`sql`] | yes |
//! | `/request-id` | GET | an id for a statement that shall be carried out once | no |
//!
//! HEAD is answered wherever GET is. How HTTP is read and written is in [`protocol::http`]; how long a connection is kept,
//! how slow a peer may be, and what ends at a drain (the last answer says `Connection: close`) is decided there, too.
//!
//! **The unit of work is a request**, not a connection: browsers keep connections open for nothing. So a place is taken when
//! the whole request has come, and given back when the answer is made (of a file: when it has left). When none is free the
//! answer is 503 with `Retry-After`, at once. The processing time is a wait on the connection: when the peer ends it,
//! the work ends.
//!
//! **Failures** are JSON: `{"status":400,"code":"sql-error","message":"…","definite":true}`, with the codes of the lab
//! protocol, and `definite` as there: true if the request surely had no effect and will have none.
//!
//! **When it is wrong.** A peer that ends its own half and still waits for the answer is taken for gone (`nc -N` does so);
//! HTTP allows it, and nothing distinguishes the two. A next request that is sent before the answer (pipelining) hides
//! an end that follows it until this one is answered.
//!
//! Sources: RFC 9110 (semantics), RFC 9112 (the wire).

pub(super) mod admission;
mod failed;
mod media;
mod range;
mod validators;
mod file;
mod sql;

use self::{failed::Unanswered, sql::Sql};
use super::{Service, Terms, open_database};
use crate::{Config, StartError, files::FileRoom, sql::Database};
use protocol::{
    http::{BodyReader, HttpError, HttpService, Method, Request, Respond, Response, Status},
    id::{IdSource, draw_client_number},
    listener::{Handler, Refusal, Visit},
    output::{Plain, say, warn},
};
use serde_json::json;
use std::{
    net::{SocketAddr, TcpStream},
    sync::Arc,
    time::SystemTime,
};

/// Serves HTTP.
pub(super) struct Http {
    service: HttpService<Site>,
    /// The UUID of the database.
    identity: String,
}

/// What there is to be asked for.
struct Site {
    terms: Terms,
    room: FileRoom,
    sql: Sql,
}

impl Http {
    /// Opens what the configuration names.
    pub(super) fn open(config: &Config, terms: Terms) -> Result<Self, StartError> {
        let database: Arc<dyn Database> = open_database(config)?.into();
        let identity = database.identity().to_owned();
        let sql = Sql { database, time: config.statement_time };
        let room = FileRoom::new(config.files.clone());
        Ok(Self { service: HttpService::new(Site { terms, room, sql }), identity })
    }
}

impl Service for Http {
    fn database(&self) -> Option<&str> {
        Some(&self.identity)
    }
}

impl Handler for Http {
    fn serve(&self, visit: &Visit) {
        self.service.serve(visit);
    }

    fn refuse(&self, stream: &TcpStream, why: Refusal) {
        self.service.refuse(stream, why);
    }

    fn panicked(&self, message: &str) {
        self.service.panicked(message);
    }
}

impl Respond for Site {
    fn respond(&self, request: &Request, body: &mut BodyReader<'_>) -> Result<Response, HttpError> {
        self.answer(request, body).or_else(Unanswered::or_told)
    }

    fn failed(&self, peer: SocketAddr, error: &HttpError) {
        say!("({}, {}): {}", peer.ip(), peer.port(), Plain(&error.sentence()));
    }

    fn panicked(&self, message: &str) {
        warn!("A defect of the server ended a request: {}", Plain(message));
    }
}

/// Methods of paths that only read.
const READING: &str = "GET, HEAD, OPTIONS";

impl Site {
    fn answer(&self, request: &Request, body: &mut BodyReader<'_>) -> Result<Response, Unanswered> {
        let segments = request.target.segments().unwrap_or_default();
        let path: Vec<&str> = segments.iter().map(AsRef::as_ref).collect();
        let methods = match path[..] {
            ["home" | "heartbeat" | "request-id"] | ["files", _, ..] => READING,
            ["sql"] => "POST, OPTIONS",
            _ if request.method == Method::Options => READING,
            _ => return Err(failed::nothing_there().into()),
        };
        if request.method == Method::Options {
            return Ok(Response::new(Status::NO_CONTENT).header("Allow", methods)?);
        }
        if !methods.split(", ").any(|method| method == request.method.as_str()) {
            return Err(failed::wrong_method(methods)?.into());
        }
        match path[..] {
            ["heartbeat"] => Ok(Response::new(Status::OK)),
            ["request-id"] => request_id(),
            ["home"] => self.home(body),
            ["sql"] => self.sql.answer(&self.terms, request, body),
            _ => file::answer(self, &path[1..], request, body),
        }
    }

    /// To the byte as the course has it.
    fn home(&self, body: &BodyReader<'_>) -> Result<Response, Unanswered> {
        let _place = admission::admit(&self.terms, "/home", body)?;
        let id = &self.terms.id;
        let words = format!("{{\"message\":\"Hello from Server: {id}\",\"status\":\"successful\"}}");
        Ok(Response::whole(Status::OK, "application/json", words.into_bytes())?)
    }
}

/// An id that nobody else has. An answer that gets lost costs nothing: the next one is as good.
fn request_id() -> Result<Response, Unanswered> {
    let id = IdSource::new(draw_client_number(SystemTime::now())).next();
    Ok(Response::json(Status::OK, &json!({ "request": id })).header("Cache-Control", "no-store")?)
}

#[cfg(test)]
mod tests;

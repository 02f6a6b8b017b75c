//! HTTP/1.1 with blocking calls: one layer for the admin port, the HTTP frontend, the servers' HTTP service and the
//! dashboard.
//!
//! # The problem: where does a message end?
//!
//! A TCP connection is a stream of bytes, and HTTP puts one message behind the other on it. Nothing marks the end of a
//! message; it follows from what its head says, and there are several ways to say it: `Content-Length` counts bytes,
//! `Transfer-Encoding: chunked` brings the body in pieces and ends with an empty one, and an answer without either ends
//! with the connection. If two programs in a row (a load balancer and a server) find different ends, then what is the
//! rest of a body for one is the beginning of the next request for the other. That is *request smuggling*.
//!
//! # A worked example
//!
//! A client sends these 122 bytes (line ends are CR LF; the body begins behind the empty line):
//!
//! ```text
//! POST /search HTTP/1.1
//! Host: shop
//! Content-Length: 37
//! Transfer-Encoding: chunked
//!
//! 0
//!
//! GET /admin HTTP/1.1
//! X-Ignore: x
//! ```
//!
//! A balancer that believes `Content-Length` sees one request with a body of 37 bytes: the `0`, the empty line and all
//! that follows up to the `x`. It passes the request on. A server that believes `Transfer-Encoding` reads the chunk of
//! size 0 and is done after 5 bytes. For it the other 32 begin a second request, `GET /admin`, which the balancer never
//! saw: no rule of the balancer was asked about it. It is not complete, and so the next thing on this shared connection,
//! *another user's* request, is read as the rest of `X-Ignore`, with his cookies. The answers are off by one from here on.
//!
//! # The idea: refuse what can be read in two ways
//!
//! RFC 9112 §6.3 says which of the two wins, but a rule does not help where the neighbour breaks it. So whatever is known
//! to be read differently by different programs is refused with 400, and the connection closed, because nobody can tell
//! where the next request would begin. These are the classes behind most advisories of twenty years:
//!
//! | class | bytes | what others make of it |
//! |---|---|---|
//! | two lengths | `Content-Length` and `Transfer-Encoding` | one believes the first, one the second |
//! | a doubled length | `Content-Length: 5` twice, `5, 5`, `5, 6` | the first, the last, the sum of doubts |
//! | an odd number | `+5`, `5 6`, `0x5`, `05`, 2⁶⁴ + 5 | 5, 56, octal, or what is left after an overflow |
//! | a hidden coding | `chunked, identity`, `xchunked`, `chunked` twice, `Transfer-Encoding : chunked` | chunked, or not |
//! | an old version | `Transfer-Encoding` in HTTP/1.0 | there is no such field in 1.0 |
//! | line ends | LF alone, CR alone, NUL | an end of line, or a part of it |
//! | folded lines | a line that begins with white space | a part of the line before, or a field |
//! | two hosts | `Host` twice, or another one in an absolute target | which site is asked, who may see it |
//! | chunk sizes | `0x5`, `5 `, 17 digits, LF alone behind an extension | other sizes, other ends |
//! | trailers | `Content-Length` or `Host` behind the body | a change of what was already decided |
//!
//! Nothing that was received is passed on as it came: who forwards a message writes its framing anew ([`encode`]) from
//! the length that was really found, so even an ambiguity that was overlooked here would end here.
//!
//! # The parts
//!
//! Pure: [`Request::parse`] and [`Answer::parse`] (lines, first line, fields, host, framing), [`Decoder`] (bodies),
//! [`encode`] (heads). Shells: [`HttpConnection`] with [`BodyReader`] and [`BodyWriter`], [`HttpService`] for a
//! [`Crew`](crate::listener::Crew), [`client`]. A slow peer costs a thread and has a deadline for the whole head, a least
//! rate for the body and an idle time between requests ([`limits`]).
//!
//! # When it is wrong
//!
//! Strictness turns away what a lenient program would serve: a device that ends lines with LF, a script that pads
//! `Content-Length` with zeros, a server that sends two equal ones. For a laboratory, and for a security boundary, that is
//! the better mistake. And a thread per connection is right for thousands of connections, not for a million.
//!
//! # Simplified here
//!
//! No compression, no HTTP/2, no quoted lists, one transfer coding. Production proxies have options that relax single
//! rules (HAProxy's `option accept-unsafe-violations-in-http-request`), because somewhere there is always such a device.
//!
//! Sources: RFC 9110 (semantics), RFC 9112 (HTTP/1.1: §2.2 line ends, §3.2 targets and Host, §5 fields, §6.3 length,
//! §7.1 chunks, §11.2 smuggling); Linhart, Klein, Heled, Orrin, *HTTP Request Smuggling* (2005); Kettle, *HTTP Desync
//! Attacks* (2019); Jabiyev et al., *T-Reqs: HTTP Request Smuggling with Differential Fuzzing* (2021).

pub mod limits;
mod status;
mod method;
mod refused;
mod headers;
mod authority;
mod target;
mod lines;
mod framing;
mod request;
mod answer;
mod decoder;
mod date;
pub mod encode;

mod error;
mod connection;
mod reader;
mod writer;
mod response;
mod server;
pub mod client;

pub use answer::Answer;
pub use authority::Authority;
pub use connection::HttpConnection;
pub use date::{http_date, read_http_date};
pub use decoder::Decoder;
pub use error::HttpError;
pub use framing::{Framing, Version};
pub use headers::{Headers, InvalidField};
pub use method::Method;
pub use reader::BodyReader;
pub use refused::Refused;
pub use request::Request;
pub use response::Response;
pub use server::{HttpService, Respond, Times};
pub use status::Status;
pub use target::{Form, Target, decode, encode as escape};
pub use writer::BodyWriter;

#[cfg(test)]
mod tests;

//! The calls of the coursework: listing, adding and removing [replicas](crate::replicas), and saying which paths there are.
//!
//! They are there with `--replicas` only, on the port of the frontend. What is asked and answered stands in
//! [`order`], to the byte; here it is read from a client and sent to it.

use super::{Http, Then, ending::next};
use crate::{
    event::Event,
    replicas::{
        Desk,
        order::{self, Refusal},
    },
};
use protocol::{
    deadline::Deadline,
    http::{
        Authority, Framing, Headers, HttpConnection, HttpError, Method, Request, Status, Version, encode::push_answer,
        limits::MAX_UNWANTED,
    },
    limits::BLOCK_TIME,
    listener::Visit,
};

/// The longest body of a call: [`MAX_REPLICAS`](crate::replicas::MAX_REPLICAS) names of 64 characters, and room to spare.
const MAX_BODY: u64 = 16 * 1024;

/// How much of a body is told.
const SHOWN: usize = 200;

/// A call that the load balancer answers itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    /// `GET /rep`
    List,
    /// `POST /add`
    Add,
    /// `DELETE /rm`
    Remove,
    /// One of these with another method than this one.
    Wrong(&'static str),
    /// A path that neither the load balancer nor a replica has.
    Nothing,
}

/// Which call this is; none if it is for a replica. The paths are those of the server's HTTP service.
pub(super) fn call(request: &Request) -> Option<Call> {
    let segments = request.target.segments()?;
    let path: Vec<&str> = segments.iter().map(AsRef::as_ref).collect();
    let (call, method) = match path[..] {
        ["home" | "heartbeat" | "request-id" | "sql"] | ["files", _, ..] => return None,
        ["rep"] => (Call::List, "GET"),
        ["add"] => (Call::Add, "POST"),
        ["rm"] => (Call::Remove, "DELETE"),
        _ => return Some(Call::Nothing),
    };
    let asked = if request.method == Method::Head { "GET" } else { request.method.as_str() };
    Some(if asked == method { call } else { Call::Wrong(method) })
}

/// Answers a call, which the desk may have to carry out.
pub(super) fn answer(
    http: &Http,
    visit: &Visit,
    (desk, call): (&Desk, Call),
    request: &Request,
    client: &mut HttpConnection,
) -> Then {
    let told = match carry_out(http, desk, request, call, client) {
        Ok(told) => told,
        Err(error) => return http.unreadable(client, &error),
    };
    let (totals, (status, body)) = (http.pool.totals(), written(told));
    totals.requests.add_one();
    if status == Status::OK { &totals.answered } else { &totals.failed }.add_one();
    let mut headers = Headers::new();
    let mut add = |name: &str, value: &str| drop(headers.push(name, value));
    add("Content-Type", "application/json");
    add("Cache-Control", "no-store");
    if let Call::Wrong(method) = call {
        add("Allow", method);
    }
    if status == Status::SERVICE_UNAVAILABLE {
        add("Retry-After", "1");
    }
    let old = request.version == Version::Http10;
    let keep = request.keep_alive && !visit.draining() && client.may_skip_body(MAX_UNWANTED);
    let connection = if keep { old.then_some("keep-alive") } else { Some("close") };
    let mut head = Vec::new();
    push_answer(&mut head, status, &headers, Framing::Length(body.len() as u64), connection);
    let silent = request.method == Method::Head;
    match client.send(&[&head, if silent { &[] } else { body.as_bytes() }]) {
        Ok(()) => next(client, request, keep),
        Err(_) => Then::Drop,
    }
}

fn written(told: Result<Vec<String>, Refusal>) -> (Status, String) {
    match told {
        Ok(names) => (Status::OK, order::list(&names)),
        Err(refusal) => (refusal.status, refusal.body()),
    }
}

fn carry_out(
    http: &Http,
    desk: &Desk,
    request: &Request,
    call: Call,
    client: &mut HttpConnection,
) -> Result<Result<Vec<String>, Refusal>, HttpError> {
    Ok(match call {
        Call::List => desk.list(),
        Call::Nothing => Err(order::no_endpoint(request.target.path())),
        Call::Wrong(method) => {
            let why = format!("'{}' endpoint takes only {method}", request.target.path());
            Err(Refusal { status: Status::METHOD_NOT_ALLOWED, why })
        }
        Call::Add | Call::Remove => {
            if let Err(refusal) = check(&http.flags.http_host, request) {
                return Ok(Err(refusal));
            }
            let body = client.body().until(Deadline::after(BLOCK_TIME)).whole(MAX_BODY)?;
            let (peer, asked) = (client.peer(), in_a_line(request, &body));
            http.events.emit(|| Event::AdminAsked { peer, asked });
            if call == Call::Add {
                order::read_add(&body).and_then(|order| desk.add(order))
            } else {
                order::read_remove(&body).and_then(|order| desk.remove(order))
            }
        }
    })
}

/// The call as people read it.
fn in_a_line(request: &Request, body: &[u8]) -> String {
    let body: String =
        String::from_utf8_lossy(body).chars().filter(|letter| !letter.is_control()).take(SHOWN).collect();
    format!("{} {} {body}", request.method, request.target.path())
}

/// Whether no page of another site asks. Browsers say in `Origin` which page does, programs say nothing. A page can let its own name
/// point here; so a name must be one that `named` has (the hosts that are served, and others do not come this far). Why that is so
/// stands in [`door`](crate::admin::door).
fn check(named: &[Authority], request: &Request) -> Result<(), Refusal> {
    let refused = |why: &str| Err(Refusal { status: Status::FORBIDDEN, why: why.to_owned() });
    let is_sure = |host: &Authority| !named.is_empty() || host.ip().is_some() || host.host == "localhost";
    if !request.host.as_ref().is_some_and(is_sure) {
        return refused("Ask by an address, as localhost, or by a name of --http-host");
    }
    let own = |origin: &[u8]| Authority::of_origin(origin).is_some_and(|page| request.host.as_ref() == Some(&page));
    if request.headers.all("origin").all(own) { Ok(()) } else { refused("Pages of other sites may not ask here") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(head: &str) -> Request {
        Request::parse(format!("{head}\r\n\r\n").as_bytes()).unwrap().unwrap().0
    }

    #[test]
    fn what_replicas_have_is_routed_and_everything_else_is_a_call() {
        for path in ["/home", "/home?x=1", "/heartbeat", "/files/colors.csv", "/files/a/b", "/sql", "/request-id"] {
            assert_eq!(call(&read(&format!("GET {path} HTTP/1.1\r\nHost: a"))), None, "{path}");
        }
        for (line, wanted) in [
            ("GET /rep", Call::List),
            ("HEAD /rep", Call::List),
            ("GET /rep?x", Call::List),
            ("POST /add", Call::Add),
            ("DELETE /rm", Call::Remove),
            ("POST /rep", Call::Wrong("GET")),
            ("GET /add", Call::Wrong("POST")),
            ("POST /rm", Call::Wrong("DELETE")),
            ("GET /", Call::Nothing),
            ("GET /other", Call::Nothing),
            ("GET /home/", Call::Nothing),
            ("GET /files", Call::Nothing),
            ("PUT /rep/x", Call::Nothing),
        ] {
            assert_eq!(call(&read(&format!("{line} HTTP/1.1\r\nHost: a"))), Some(wanted), "{line}");
        }
    }

    #[test]
    fn pages_of_other_sites_change_nothing() {
        let ask = |fields: &str| check(&[], &read(&format!("POST /add HTTP/1.1\r\nHost: 127.0.0.1:5000{fields}")));
        assert_eq!((ask(""), ask("\r\nOrigin: http://127.0.0.1:5000")), (Ok(()), Ok(())));
        for origin in ["http://evil.example", "null", "http://127.0.0.1:5001", "https://127.0.0.1:5000"] {
            assert_eq!(ask(&format!("\r\nOrigin: {origin}")).unwrap_err().status, Status::FORBIDDEN, "{origin}");
        }
    }

    /// A page of `evil.example` that lets this name point here is, for the browser, a page of this site.
    #[test]
    fn a_name_that_anybody_can_let_point_here_changes_nothing() {
        let ask = |named: &[&str], host: &str| {
            let named: Vec<_> = named.iter().map(|name| Authority::parse(name.as_bytes()).unwrap()).collect();
            check(&named, &read(&format!("POST /add HTTP/1.1\r\nHost: {host}\r\nOrigin: http://{host}")))
        };
        for host in ["127.0.0.1:5000", "[::1]:5000", "192.168.0.7", "localhost:5000", "LOCALHOST"] {
            assert_eq!(ask(&[], host), Ok(()), "{host}");
        }
        for host in ["evil.example:5000", "localhost.evil.example", "127.0.0.1.nip.io", "127.1"] {
            assert_eq!(ask(&[], host).unwrap_err().status, Status::FORBIDDEN, "{host}");
        }
        assert_eq!(ask(&["shop.example"], "shop.example"), Ok(()), "with --http-host no other host comes this far");
        assert!(check(&[], &read("POST /add HTTP/1.0")).is_err());
    }
}

//! Which paths there are, and what may be done with them. No I/O.

use crate::pool::Admin;
use protocol::{
    http::{HttpError, Method, Request, Response, Status},
    limits::MAX_ID,
};

/// What a path stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// `/`: what there is.
    Index,
    /// `/health`
    Health,
    /// `/servers`: all of them; POST adds one.
    Servers,
    /// `/servers/{id}`; DELETE removes it.
    Server(String),
    /// `/servers/{id}/…`: what can be done with it.
    Act(String, Act),
    /// `/policy`; POST changes it.
    Policy,
    /// `/stats.csv`
    Stats,
    /// `/metrics`
    Metrics,
    /// `/why/{request}`
    Why(String),
    /// `/events`
    Events,
}

/// What can be done with a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// `drain`, `maintenance`, `ready`
    Decide(Admin),
    /// `weight`
    Weigh,
    /// `capacity`
    Resize,
    /// `remove`
    Remove,
}

impl Place {
    /// The place of a path.
    ///
    /// # Errors
    /// 400 for a path that cannot be read, 404 for one that is nowhere.
    pub fn of(request: &Request) -> Result<Self, HttpError> {
        let unreadable = || HttpError::answer(Status::BAD_REQUEST, "The path has a broken escape.");
        let segments = request.target.segments().ok_or_else(unreadable)?;
        let segments: Vec<&str> = segments.iter().map(AsRef::as_ref).collect();
        Ok(match &segments[..] {
            [""] => Self::Index,
            ["health"] => Self::Health,
            ["servers"] => Self::Servers,
            ["servers", id] => Self::Server(server(id)?),
            ["servers", id, act] => Self::Act(server(id)?, act_of(act)?),
            ["policy"] => Self::Policy,
            // What comes after the semicolon is how HAProxy's own page is asked for its statistics.
            ["stats.csv" | "stats;csv" | ";csv"] => Self::Stats,
            ["metrics"] => Self::Metrics,
            ["why", request] => Self::Why((*request).to_owned()),
            ["events"] => Self::Events,
            _ => return Err(nowhere()),
        })
    }

    /// The methods that have a meaning there, as `Allow` lists them.
    #[must_use]
    pub fn allowed(&self) -> &'static str {
        match self {
            Self::Servers | Self::Policy => "GET, HEAD, POST",
            Self::Server(_) => "GET, HEAD, DELETE",
            Self::Act(..) => "POST",
            _ => "GET, HEAD",
        }
    }

    /// Whether this method has a meaning there.
    #[must_use]
    pub fn allows(&self, method: &Method) -> bool {
        self.allowed().split(", ").any(|allowed| allowed == method.as_str())
    }

    /// The answer to any other method.
    ///
    /// # Errors
    /// None: the methods are ours.
    pub fn not_allowed(&self, method: &Method) -> Result<Response, HttpError> {
        let allowed = self.allowed();
        let sentence = format!("{method} has no meaning here; {allowed} would have.");
        Ok(Response::error(Status::METHOD_NOT_ALLOWED, &sentence).header("Allow", allowed)?)
    }
}

fn nowhere() -> HttpError {
    HttpError::answer(Status::NOT_FOUND, "There is nothing at this path. GET / lists what there is.")
}

/// The id of a server in a path. One that was named on the command line may have its address for an id.
fn server(id: &str) -> Result<String, HttpError> {
    let understood = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-:[]".contains(&byte);
    if id.is_empty() || id.len() > MAX_ID || !id.bytes().all(understood) {
        return Err(HttpError::answer(Status::BAD_REQUEST, "That is not the id of a server."));
    }
    Ok(id.to_owned())
}

fn act_of(act: &str) -> Result<Act, HttpError> {
    Ok(match act {
        "drain" => Act::Decide(Admin::Drain),
        "maintenance" => Act::Decide(Admin::Maintenance),
        "ready" => Act::Decide(Admin::Ready),
        "weight" => Act::Weigh,
        "capacity" => Act::Resize,
        "remove" => Act::Remove,
        _ => return Err(nowhere()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(path: &str) -> Result<Place, Status> {
        let head = format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
        let (request, _) = Request::parse(head.as_bytes()).unwrap().unwrap();
        Place::of(&request).map_err(|error| error.status().unwrap())
    }

    #[test]
    fn paths_have_places() {
        assert_eq!(place("/"), Ok(Place::Index));
        assert_eq!(place("/servers"), Ok(Place::Servers));
        assert_eq!(place("/servers/S%35"), Ok(Place::Server("S5".into())));
        assert_eq!(place("/servers/S5/drain"), Ok(Place::Act("S5".into(), Act::Decide(Admin::Drain))));
        assert_eq!(place("/servers/%5B::1%5D:5432"), Ok(Place::Server("[::1]:5432".into())));
        assert_eq!(place("/stats;csv"), Ok(Place::Stats));
        assert_eq!(place("/why/a-1?x=1"), Ok(Place::Why("a-1".into())));
    }

    #[test]
    fn whatever_else_is_nowhere_or_unreadable() {
        for path in ["/server", "/servers/", "/servers//drain", "//", "/servers/1/drain/", "/servers/1/fly", "/Servers"]
        {
            let refused = place(path).unwrap_err();
            assert!(refused == Status::NOT_FOUND || refused == Status::BAD_REQUEST, "{path}: {refused}");
        }
        for path in ["/servers/..%2Fpolicy", "/servers/%00", "/servers/%c3%28", "/servers/a%20b", "/servers/%2e%2e%2f"]
        {
            assert_eq!(place(path), Err(Status::BAD_REQUEST), "{path}");
        }
        assert_eq!(place(&format!("/servers/{}", "x".repeat(65))), Err(Status::BAD_REQUEST));
        assert_eq!(place("/servers/../policy"), Err(Status::NOT_FOUND), "dots are not resolved");
    }

    #[test]
    fn only_what_has_a_meaning_is_allowed() {
        let methods = [Method::Get, Method::Head, Method::Post, Method::Delete, Method::Put, Method::Options];
        let allowed = |place: Place| methods.iter().map(|method| u8::from(place.allows(method))).collect::<Vec<_>>();
        assert_eq!(allowed(Place::Servers), [1, 1, 1, 0, 0, 0]);
        assert_eq!(allowed(Place::Server("1".into())), [1, 1, 0, 1, 0, 0]);
        assert_eq!(allowed(Place::Act("1".into(), Act::Weigh)), [0, 0, 1, 0, 0, 0]);
        assert_eq!(allowed(Place::Metrics), [1, 1, 0, 0, 0, 0]);
    }
}

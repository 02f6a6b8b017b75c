//! The frontends, each with the pool that it takes its servers from: which of them is meant?

use crate::pool::{Pool, PoolSnapshot, Unacceptable};
use protocol::http::{HttpError, Request, Status};
use serde::Serialize;
use std::sync::Arc;

/// A frontend and its pool.
#[derive(Clone, Debug)]
pub struct Front {
    /// The frontend's name; its pool has the same.
    pub name: &'static str,
    /// Where it takes its servers.
    pub pool: Arc<Pool>,
    /// How many clients may be connected to it.
    pub max_clients: u64,
}

/// A frontend and its pool at one moment.
#[derive(Clone, Debug, Serialize)]
pub struct FrontSnapshot {
    /// Their name.
    #[serde(rename = "pool")]
    pub name: &'static str,
    /// How many clients may be connected.
    pub max_clients: u64,
    /// The pool.
    #[serde(flatten)]
    pub pool: PoolSnapshot,
}

impl Front {
    /// As it is now.
    #[must_use]
    pub fn snapshot(&self) -> FrontSnapshot {
        FrontSnapshot { name: self.name, max_clients: self.max_clients, pool: self.pool.snapshot() }
    }
}

/// All frontends.
#[derive(Clone, Debug)]
pub struct Fronts(pub Vec<Front>);

impl Fronts {
    /// As they are now.
    #[must_use]
    pub fn snapshots(&self) -> Vec<FrontSnapshot> {
        self.0.iter().map(Front::snapshot).collect()
    }

    /// Whether one of the pools has a server of this id.
    #[must_use]
    pub fn have(&self, id: &str) -> bool {
        self.0.iter().any(|front| front.pool.find(id).is_ok())
    }

    /// Those that a request is about: the one that it names with `?pool=NAME`, or all.
    ///
    /// # Errors
    /// 400 if it names anything else, or something twice; 404 if there is no such pool.
    pub fn meant(&self, request: &Request) -> Result<Vec<&Front>, HttpError> {
        let misunderstood = || HttpError::answer(Status::BAD_REQUEST, "All that can be chosen here is ?pool=NAME.");
        let pairs = request.target.pairs().ok_or_else(misunderstood)?;
        match &pairs[..] {
            [] if request.target.query().is_none_or(str::is_empty) => Ok(self.0.iter().collect()),
            [(key, name)] if key == "pool" => {
                let named: Vec<_> = self.0.iter().filter(|front| front.name == name).collect();
                if named.is_empty() { Err(self.no_such_pool()) } else { Ok(named) }
            }
            _ => Err(misunderstood()),
        }
    }

    /// The one that has this server, among those that a request is about.
    ///
    /// # Errors
    /// As [`Fronts::meant`]; 404 if there is no such server, 409 if there are two.
    pub fn of_server(&self, id: &str, request: &Request) -> Result<&Front, HttpError> {
        let meant = self.meant(request)?;
        let having: Vec<_> = meant.into_iter().filter(|front| front.pool.find(id).is_ok()).collect();
        match having[..] {
            [front] => Ok(front),
            [] => Err(HttpError::answer(Status::NOT_FOUND, Unacceptable::NoSuchServer(id.to_owned()).to_string())),
            _ => {
                let names: Vec<_> = having.iter().map(|front| front.name).collect();
                let names = names.join(" and ");
                let sentence = format!("There is a server {id} in the pools {names}: say which one, ?pool=NAME.");
                Err(HttpError::answer(Status::CONFLICT, sentence))
            }
        }
    }

    fn no_such_pool(&self) -> HttpError {
        let names: Vec<_> = self.0.iter().map(|front| front.name).collect();
        HttpError::answer(Status::NOT_FOUND, format!("There is no such pool; there is {}.", names.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{event::Events, policy::Name, pool::Settings};

    fn meant(query: &str) -> Result<Vec<&'static str>, u16> {
        let front = |name| {
            let pool = Pool::new(Settings::of(Name::Power, 1), Events::default());
            Front { name, pool, max_clients: 1 }
        };
        let fronts = Fronts(vec![front("lab"), front("tcp")]);
        let head = format!("GET /servers{query} HTTP/1.1\r\nHost: x\r\n\r\n");
        let (request, _) = Request::parse(head.as_bytes()).unwrap().unwrap();
        let found = fronts.meant(&request).map(|meant| meant.iter().map(|front| front.name).collect());
        found.map_err(|error| error.status().unwrap().code())
    }

    #[test]
    fn one_is_named_or_all_are_meant() {
        assert_eq!(meant(""), Ok(vec!["lab", "tcp"]));
        assert_eq!(meant("?"), Ok(vec!["lab", "tcp"]));
        assert_eq!(meant("?pool=tcp"), Ok(vec!["tcp"]));
        assert_eq!(meant("?pool=udp"), Err(404));
        assert_eq!(meant("?pool="), Err(404));
        for wrong in ["?pool=lab&pool=tcp", "?x", "?&", "?pool=%zz", "?Pool=lab", "?pool=lab&x=1"] {
            assert_eq!(meant(wrong), Err(400), "{wrong}");
        }
    }
}

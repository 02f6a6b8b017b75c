//! The pools, by the service of their servers: each frontend asks servers of its own kind.

use crate::pool::Pool;
use std::sync::Arc;

/// The pools of a load balancer.
#[derive(Clone, Debug, Default)]
pub struct Pools {
    by_service: Vec<(&'static str, Arc<Pool>)>,
    /// Ids that are taken by servers of the command line, each with the service whose pool they are in.
    named: Vec<(&'static str, String)>,
}

impl Pools {
    /// The same pools, and this one for servers of these services.
    #[must_use]
    pub fn with(mut self, services: &[&'static str], pool: &Arc<Pool>) -> Self {
        self.by_service.extend(services.iter().map(|service| (*service, Arc::clone(pool))));
        self
    }

    /// The same pools; in that of these services these ids belong to servers that are named on the command line.
    #[must_use]
    pub fn naming(mut self, services: &[&'static str], ids: &[String]) -> Self {
        let both = |service: &&'static str| ids.iter().map(|id| (*service, id.clone())).collect::<Vec<_>>();
        self.named.extend(services.iter().flat_map(both));
        self
    }

    /// Whether the id belongs to a server of the command line, in the pool for this service.
    #[must_use]
    pub fn is_named(&self, service: &str, id: &str) -> bool {
        self.named.iter().any(|(served, named)| *served == service && named == id)
    }

    /// The pool for servers of this service, if anybody asks for it here.
    #[must_use]
    pub fn of(&self, service: &str) -> Option<&Arc<Pool>> {
        self.by_service.iter().find(|(served, _)| *served == service).map(|(_, pool)| pool)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_named_id_is_taken_for_all_services_of_its_pool_and_for_no_other() {
        let pools = Pools::default().naming(&["tcp", "echo"], &["db".to_owned()]);
        assert!(pools.is_named("tcp", "db") && pools.is_named("echo", "db"));
        assert!(!pools.is_named("tcp", "db2") && !pools.is_named("http", "db"));
    }
}

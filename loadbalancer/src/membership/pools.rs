//! The pools, by the service of their servers: each frontend asks servers of its own kind.

use crate::pool::Pool;
use std::sync::Arc;

/// The pools of a load balancer.
#[derive(Clone, Debug, Default)]
pub struct Pools {
    by_service: Vec<(&'static str, Arc<Pool>)>,
}

impl Pools {
    /// The same pools, and this one for servers of these services.
    #[must_use]
    pub fn with(mut self, services: &[&'static str], pool: &Arc<Pool>) -> Self {
        self.by_service.extend(services.iter().map(|service| (*service, Arc::clone(pool))));
        self
    }

    /// The pool for servers of this service, if anybody asks for it here.
    #[must_use]
    pub fn of(&self, service: &str) -> Option<&Arc<Pool>> {
        self.by_service.iter().find(|(served, _)| *served == service).map(|(_, pool)| pool)
    }
}

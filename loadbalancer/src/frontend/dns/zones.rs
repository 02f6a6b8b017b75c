//! The zones of the load balancer's own, with the pools of its frontends: who may be named just now, and whom the policy names.

use super::zone::{Member, Node, Said, Service, Zone};
use crate::{
    dispatch::chosen,
    event::{Event, Events, micros},
    policy::{Candidate, weight::given_or_by_power},
    pool::{Admin, Decision, Pool, Server, Standing, State, Wanted},
};
use protocol::{
    dns::{Inquiry, Rcode},
    id::RequestId,
    message::ErrorCode,
};
use std::{
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

/// Who has answered, in events, when the load balancer has done so itself. No server may be called so.
const ZONE: &str = "(zone)";

/// A service with the pool that its servers are in.
pub type Home = (Service, Arc<Pool>);

/// All zones of the load balancer.
#[derive(Debug)]
pub struct Zones {
    /// The more labels the name has, the sooner: one zone may be within another.
    zones: Vec<Zone>,
    /// Known when all frontends are there. Until then nobody takes requests.
    homes: OnceLock<Vec<Home>>,
}

/// An answer, and whom the policy chose for it.
#[derive(Debug)]
pub struct Told {
    /// What is said.
    pub said: Said,
    /// How long it may be kept, in seconds.
    pub ttl: u32,
    /// The service that was asked for.
    pub service: Option<&'static str>,
    /// Whom the policy chose, and from which pool; `None` if nobody had to be chosen, or nobody had room.
    pub choice: Option<(Arc<Pool>, Arc<Server>, Decision)>,
}

impl Told {
    /// Whether nobody could be named.
    #[must_use]
    pub fn is_failure(&self) -> bool {
        self.said.rcode == Rcode::SERVER_FAILURE
    }
}

impl Zones {
    /// These zones.
    #[must_use]
    pub fn new(mut zones: Vec<Zone>) -> Self {
        zones.sort_by_key(|zone| std::cmp::Reverse(zone.origin.labels().count()));
        Self { zones, homes: OnceLock::new() }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.zones.is_empty()
    }

    /// These are all services and their pools.
    pub fn settle(&self, homes: Vec<Home>) {
        let _told_already = self.homes.set(homes);
    }

    /// Whether the name in question is in one of the zones.
    pub fn have(&self, inquiry: &Inquiry) -> bool {
        self.find(inquiry).is_some()
    }

    fn find(&self, inquiry: &Inquiry) -> Option<(&Zone, Node)> {
        let services: Vec<Service> = self.homes().iter().map(|(service, _)| *service).collect();
        let name = &inquiry.question.name;
        self.zones.iter().find_map(|zone| Some((zone, zone.find(name, &services)?)))
    }

    fn homes(&self) -> &[Home] {
        self.homes.get().map_or(&[][..], Vec::as_slice)
    }

    /// Answers a question about a name of one of the zones; `None` if it is in none of them.
    pub fn answer(&self, inquiry: &Inquiry, wanted: &Wanted) -> Option<Told> {
        let (zone, node) = self.find(inquiry)?;
        let homes = self.homes();
        let home = node.service().and_then(|service| homes.iter().find(|((name, _), _)| *name == service));
        let (members, choice) = home.map_or_else(Default::default, |(_, pool)| those_of(&node, pool, wanted));
        let choice = choice.zip(home).map(|((server, decision), (_, pool))| (Arc::clone(pool), server, decision));
        Some(Told { said: zone.answer(inquiry, &node, &members), ttl: zone.ttl, service: node.service(), choice })
    }
}

/// Counts and tells what became of a question that was answered here. `told`: what was said; `None` if it was refused, because it
/// is in no zone and there is nobody to ask.
pub fn tell(told: Option<&Told>, (pool, events): (&Pool, &Events), (request, since): (RequestId, Instant)) {
    let totals = pool.totals();
    let Some(told) = told.filter(|told| !told.is_failure()) else {
        totals.failed.add_one();
        let nobody = |told: &Told| {
            let service = told.service.unwrap_or("it");
            format!("No server of {service} takes requests, so none was named.")
        };
        let message = told.map_or_else(|| "It is in no zone of ours, and there is no server.".to_owned(), nobody);
        let code = ErrorCode::Unavailable;
        return events.emit(|| Event::RequestFailed { request, code, definite: true, message });
    };
    totals.answered.add_one();
    totals.bytes_out.add(told.said.bytes.len() as u64);
    totals.times.add(since.elapsed());
    if let Some((pool, server, decision)) = &told.choice {
        events.step(|| chosen(pool, request, (1, false), (server, decision), Duration::ZERO));
    }
    let (servers, rcode, ttl_s) = (&told.said.named, told.said.rcode, told.ttl);
    events.step(|| Event::ServersNamed { request, servers: servers.clone(), rcode: rcode.to_string(), ttl_s });
    let took_us = micros(since.elapsed());
    events.step(|| Event::ResponseSent { request, server: ZONE.to_owned(), took_us, complete: true });
}

/// Who may be named at this place of the zone, the policy's choice first.
fn those_of(node: &Node, pool: &Pool, wanted: &Wanted) -> (Vec<Member>, Option<(Arc<Server>, Decision)>) {
    let all = pool.standings();
    let strongest = all.iter().map(|(server, _)| server.processing_time).min().unwrap_or_default();
    let member = |(server, standing): &(Arc<Server>, Standing)| member(server, standing, strongest);
    if let Node::Server(_, id) = node {
        let found = all.iter().find(|(server, _)| server.id.as_bytes().eq_ignore_ascii_case(id));
        return (found.into_iter().map(member).collect(), None);
    }
    let choice = pool.choose_only(wanted);
    let mut able = able(all);
    // Everybody's turn comes behind whoever was chosen; if nobody has room, those come first who hold the least.
    match choice.as_ref().and_then(|(chosen, _)| able.iter().position(|(server, _)| server.key == chosen.key)) {
        Some(at) => able.rotate_left(at),
        None => able.sort_by_key(|(_, standing)| standing.active),
    }
    (able.iter().map(member).collect(), choice)
}

/// Those who take requests; of them those who are not left out for a while, if there are any.
fn able(all: Vec<(Arc<Server>, Standing)>) -> Vec<(Arc<Server>, Standing)> {
    let takes = |standing: &Standing| standing.state == State::Up && standing.admin == Admin::Ready;
    let mut able: Vec<_> = all.into_iter().filter(|(_, standing)| takes(standing)).collect();
    if able.iter().any(|(_, standing)| !standing.ejected) {
        able.retain(|(_, standing)| !standing.ejected);
    }
    able
}

fn member(server: &Server, standing: &Standing, strongest: Duration) -> Member {
    let Standing { weight, active, capacity, .. } = *standing;
    let (key, processing_time) = (server.key, server.processing_time);
    let seen = Candidate { key, place: 0, number: 0, processing_time, capacity, active, weight, last_chosen: 0 };
    Member { id: server.id.clone(), address: server.address, weight: given_or_by_power(&seen, strongest) }
}

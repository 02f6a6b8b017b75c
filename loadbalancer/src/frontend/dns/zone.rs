//! A zone of the load balancer's own: names that it answers itself, with the addresses of servers. Pure.
//!
//! **The problem.** Whoever speaks to servers directly cannot be balanced in between: there is no in between. But it asks
//! for their address first.
//!
//! **The idea.** The answer to that question is the choice of a server. Each service has a name below the zone's, and what is
//! said about it is who takes requests at that moment, the policy's choice first.
//!
//! ```text
//! lab.example               SOA, NS ns.lab.example
//! ns.lab.example            the load balancer
//! http.lab.example          A, AAAA: addresses of servers that take requests, the chosen one first
//! _http._tcp.lab.example    SRV: their ports, too, and their names
//! 3.http.lab.example        A, AAAA: the server 3, whatever it is doing
//! _tcp.lab.example          nothing, but it is there, because something is below it
//! anything.lab.example      there is no such name
//! ```
//!
//! **Ports.** An address has none. Where several servers share one address, as in a laboratory, only SRV tells them apart:
//! of priority 0 the chosen one, of priority 1 all others, with their weights.
//!
//! **Nobody takes requests:** SERVFAIL, which nobody keeps for longer than a moment. Others name all of them then (Route 53,
//! gdnsd), because their probes are far away and more likely to be wrong than all servers at once; here they are not.
//!
//! **When it is wrong.** Almost always a little. An answer is kept for its TTL by whoever has asked, and by everybody who asks
//! there: one choice may be a thousand clients', a server that dies is named on until the time is over, and programs that
//! look up a name once at their start stay for ever. And the load that a choice brings is never seen: policies that go by
//! what servers hold see only what goes through the load balancer otherwise. So the TTL is short, and policies that look at
//! nothing (`round-robin`, `weighted-round-robin`, `random`) are the ones that do here what they do elsewhere.
//!
//! **Simplified.** Nobody can transfer the zone, it is not signed, and it has one name server. An answer has as many servers as
//! fit: none is cut off for one more.
//!
//! Sources: RFC 1794 (DNS support for load balancing), RFC 2308 (that there is no such name), RFC 2782 (SRV), RFC 8020 (what is
//! below a name that is not there), RFC 9156 (who asks label by label).

use protocol::dns::{Flags, Inquiry, Name, Rcode, RecordType, Reply, Section, record_type};
use std::net::{IpAddr, SocketAddr};

/// The code of "Extended DNS Errors" (RFC 8914), and its "not ready".
const EXTENDED_ERROR: u16 = 15;
const NOT_READY: u16 = 14;

/// How soon a copy of the zone would look for a newer one, look again, and give up, in seconds. There are no copies.
const TIMERS: [u32; 3] = [3_600, 600, 86_400];

/// A service: what its servers are called, and by which protocols they are spoken to.
pub type Service = (&'static str, &'static [&'static str]);

/// A zone.
#[derive(Clone, Debug)]
pub struct Zone {
    /// Its name.
    pub origin: Name,
    /// How long what it says may be kept, in seconds: what there is and what there is not.
    pub ttl: u32,
    /// How many servers an answer names at the most.
    pub most: usize,
    /// Where the load balancer itself is, if that can be told.
    pub own: Option<IpAddr>,
    /// The number of this version: nobody but people looks at it.
    pub serial: u32,
}

/// What a name of the zone stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    /// The zone.
    Apex,
    /// The load balancer.
    Own,
    /// Servers of this service, to be chosen from.
    Service(&'static str),
    /// The same, with their ports.
    Locations(&'static str),
    /// This server of this service.
    Server(&'static str, Vec<u8>),
    /// Nothing, but there are names below it.
    Between,
    /// Nothing.
    Nothing,
}

/// A server that may be named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its id.
    pub id: String,
    /// Where it serves.
    pub address: SocketAddr,
    /// How much it counts beside others, 1 to 256.
    pub weight: u32,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// The message.
    pub bytes: Vec<u8>,
    /// How it went.
    pub rcode: Rcode,
    /// The ids of the servers that it names, in its order.
    pub named: Vec<String>,
}

impl Node {
    /// The service whose servers must be known to answer.
    #[must_use]
    pub fn service(&self) -> Option<&'static str> {
        match self {
            Self::Service(service) | Self::Locations(service) | Self::Server(service, _) => Some(service),
            _ => None,
        }
    }
}

impl Zone {
    /// What this name stands for, where there are these services; `None` if it is not in the zone.
    #[must_use]
    pub fn find(&self, name: &Name, services: &[Service]) -> Option<Node> {
        let is = |label: &[u8], text: &str| label.eq_ignore_ascii_case(text.as_bytes());
        let service =
            |label: &[u8]| services.iter().find(|(service, _)| is(label, service)).map(|(service, _)| *service);
        let plain = |label: &[u8]| label.strip_prefix(b"_").map(<[u8]>::to_vec);
        let speaks = |(_, protocols): &Service, label: &[u8]| protocols.iter().any(|protocol| is(label, protocol));
        let labels = name.below(&self.origin)?;
        Some(match labels[..] {
            [] => Node::Apex,
            [label] if is(label, "ns") => Node::Own,
            [label] => match (service(label), plain(label)) {
                (Some(service), _) => Node::Service(service),
                (None, Some(protocol)) if services.iter().any(|service| speaks(service, &protocol)) => Node::Between,
                _ => Node::Nothing,
            },
            [left, right] => match (service(right), plain(left), plain(right)) {
                (Some(service), ..) => Node::Server(service, left.to_vec()),
                (None, Some(name), Some(protocol)) => {
                    let found = services.iter().find(|service| is(&name, service.0) && speaks(service, &protocol));
                    found.map_or(Node::Nothing, |(service, _)| Node::Locations(service))
                }
                _ => Node::Nothing,
            },
            _ => Node::Nothing,
        })
    }

    /// What is said about it. `members`: of a [`Node::Service`] and of [`Node::Locations`] those that take requests, the
    /// chosen one first; of a [`Node::Server`] that one, if it is there.
    #[must_use]
    pub fn answer(&self, inquiry: &Inquiry, node: &Node, members: &[Member]) -> Said {
        let labels = inquiry.question.name.below(&self.origin).map_or(0, |below| below.len());
        // As the asker spells it: whoever draws its case looks for it in the answer.
        let origin = inquiry.question.name.above(labels);
        let reply = inquiry.reply().flags(Flags::authoritative);
        let mut draft = Draft { zone: self, origin, inquiry, reply, named: Vec::new() };
        let (wants_address, wants_srv) = (draft.wants_address(), draft.wants(record_type::SRV));
        match node {
            Node::Service(_) if members.is_empty() && wants_address => return draft.nobody(),
            Node::Locations(_) if members.is_empty() && wants_srv => return draft.nobody(),
            Node::Server(..) if members.is_empty() => return draft.nothing(Rcode::NO_SUCH_NAME),
            Node::Nothing => return draft.nothing(Rcode::NO_SUCH_NAME),
            Node::Between => {}
            Node::Apex => draft.apex(),
            Node::Own => draft.own(Section::Answer, &inquiry.question.name),
            Node::Service(_) | Node::Server(..) => draft.addresses(members),
            Node::Locations(service) if wants_srv => draft.locations(service, members),
            Node::Locations(_) => {}
        }
        if draft.reply.is_empty() { draft.nothing(Rcode::NO_ERROR) } else { draft.finish(Rcode::NO_ERROR) }
    }
}

/// An answer in the making.
struct Draft<'a> {
    zone: &'a Zone,
    /// The zone's name.
    origin: Name,
    inquiry: &'a Inquiry,
    reply: Reply<'a>,
    named: Vec<String>,
}

impl Draft<'_> {
    fn wants(&self, kind: RecordType) -> bool {
        [kind, record_type::ANY].contains(&self.inquiry.question.record_type)
    }

    fn wants_address(&self) -> bool {
        self.wants(record_type::A) || self.wants(record_type::AAAA)
    }

    /// The name of this label directly below the zone's.
    fn child(&self, label: &str) -> Name {
        self.origin.child(label.as_bytes()).unwrap_or_else(|| self.origin.clone())
    }

    fn apex(&mut self) {
        let (ttl, origin, ns) = (self.zone.ttl, self.origin.clone(), self.child("ns"));
        if self.wants(record_type::SOA) {
            let soa = self.soa();
            self.reply.answer(&origin, record_type::SOA, ttl, &soa);
        }
        if self.wants(record_type::NS) {
            let target = self.reply.compressed(&ns);
            self.reply.answer(&origin, record_type::NS, ttl, &target);
            self.own(Section::Additional, &ns);
        }
    }

    /// The data of the record with which the zone begins: its name server, nobody's mailbox, and numbers.
    fn soa(&self) -> Vec<u8> {
        let zone = self.zone;
        let numbers = [zone.serial, TIMERS[0], TIMERS[1], TIMERS[2], zone.ttl].map(u32::to_be_bytes).concat();
        [&self.reply.compressed(&self.child("ns"))[..], &[0], &numbers].concat()
    }

    /// The load balancer's own address.
    fn own(&mut self, section: Section, name: &Name) {
        let Some((kind, data)) = self.zone.own.map(address) else { return };
        if section == Section::Additional || self.wants(kind) {
            let _room = self.reply.record_if_it_fits(self.inquiry.limit, section, name, (kind, self.zone.ttl, &data));
        }
    }

    /// The addresses of these: the first one whatever its size is, of the others as many as fit. Each address once.
    fn addresses(&mut self, members: &[Member]) {
        let (inquiry, ttl, mut said) = (self.inquiry, self.zone.ttl, Vec::new());
        for member in members.iter().take(self.zone.most) {
            let (kind, data) = address(member.address.ip());
            if !self.wants(kind) {
                continue;
            }
            let new = !said.contains(&data);
            if said.is_empty() {
                self.reply.answer(&inquiry.question.name, kind, ttl, &data);
            } else if new {
                let record = (kind, ttl, &data[..]);
                if !self.reply.record_if_it_fits(inquiry.limit, Section::Answer, &inquiry.question.name, record) {
                    break;
                }
            }
            said.push(data);
            self.named.push(member.id.clone());
        }
    }

    /// Where these are, and if there is room their addresses.
    fn locations(&mut self, service: &str, members: &[Member]) {
        let (inquiry, zone, mut said) = (self.inquiry, self.zone, Vec::new());
        let above = self.child(service);
        // One that has no name cannot be named.
        let targets = members.iter().filter_map(|member| Some((member, above.child(member.id.as_bytes())?)));
        for (member, target) in targets.take(zone.most) {
            let [priority, weight, port] =
                [u16::from(!said.is_empty()), u16::try_from(member.weight).unwrap_or(u16::MAX), member.address.port()];
            let data = [&[priority, weight, port].map(u16::to_be_bytes).concat(), target.wire()].concat();
            let name = &inquiry.question.name;
            if said.is_empty() {
                self.reply.answer(name, record_type::SRV, zone.ttl, &data);
            } else if !self.reply.record_if_it_fits(
                inquiry.limit,
                Section::Answer,
                name,
                (record_type::SRV, zone.ttl, &data),
            ) {
                break;
            }
            self.named.push(member.id.clone());
            said.push((target, member.address.ip()));
        }
        for (target, ip) in said {
            let (kind, data) = address(ip);
            let record = (kind, zone.ttl, &data[..]);
            if !self.reply.record_if_it_fits(inquiry.limit, Section::Additional, &target, record) {
                break;
            }
        }
    }

    /// Nobody takes requests.
    fn nobody(mut self) -> Said {
        self.reply = self.reply.option(EXTENDED_ERROR, &NOT_READY.to_be_bytes());
        self.finish(Rcode::SERVER_FAILURE)
    }

    /// There is nothing of this kind, or no such name; and how long that may be kept.
    fn nothing(mut self, rcode: Rcode) -> Said {
        let soa = self.soa();
        let record = (record_type::SOA, self.zone.ttl, &soa[..]);
        let _room = self.reply.record_if_it_fits(self.inquiry.limit, Section::Authority, &self.origin, record);
        self.finish(rcode)
    }

    fn finish(self, rcode: Rcode) -> Said {
        Said { bytes: self.reply.rcode(rcode).finish(self.inquiry.limit), rcode, named: self.named }
    }
}

fn address(ip: IpAddr) -> (RecordType, Vec<u8>) {
    match ip {
        IpAddr::V4(ip) => (record_type::A, ip.octets().to_vec()),
        IpAddr::V6(ip) => (record_type::AAAA, ip.octets().to_vec()),
    }
}

#[cfg(test)]
mod tests;

//! The service `names`: a name server, over UDP and TCP.
//!
//! It knows the names of one table ([`table`]) and nothing else. Of a name that is not there it says nothing at all, as the
//! coursework's does: whoever asks cannot tell it from a server that is slow, or dead. That is what the load balancer in
//! front of several has to live with; `--unknown nxdomain` is the polite way.
//!
//! **Being alive.** Silence is normal here, so it is no sign of death. Whether the server lives is asked at its control port.
//!
//! **The unit of work is a query**, whatever it comes in: it takes a place and the processing time, before it is answered.
//!
//! Sources: RFC 1035; what is answered at all, and how long an answer to a stranger may be: [`protocol::dns`].

mod answer;
mod table;

pub use self::{answer::Unknown, table::TableError};

use self::{
    answer::{NameServer, What},
    table::Table,
};
use super::{
    Service, Terms,
    datagrams::{Clerk, Ending, TELL_EVERY},
};
use crate::{Config, StartError, ring::Outage, sql::Interrupt, work::Interest};
use protocol::{
    datagrams::{Outbox, Sent},
    deadline::Deadline,
    dns::{Cookies, Transport, receive, send},
    limits::HEADER_TIME,
    listener::{Handler, Refusal, Visit},
    output::{Plain, count, say, warn},
    wire::{Connection, Pending},
};
use std::{
    net::{SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

/// How long a connection may be silent between two queries.
const IDLE_TIME: Duration = Duration::from_secs(10);

/// A name server with its sockets.
pub(crate) struct Names {
    server: NameServer,
    terms: Terms,
    outage: Arc<Outage>,
    /// Queries for names of the table, for others, and what was no query.
    counts: [AtomicU64; 3],
    told: AtomicU64,
}

impl Names {
    /// Reads its table.
    pub(crate) fn open(config: &Config, terms: Terms, outage: &Arc<Outage>) -> Result<Self, StartError> {
        let path = config.table.as_ref().ok_or(StartError::NoTable)?;
        let table = Table::read(path)?;
        let are = if table.len() == 1 { "is" } else { "are" };
        say!("{} {are} known.", count(table.len() as u64, "name"));
        let cookies = Cookies::draw().map_err(|error| StartError::Bind(format!("No secret can be drawn: {error}.")))?;
        let server = NameServer { table, unknown: config.unknown, cookies };
        Ok(Self { server, terms, outage: Arc::clone(outage), counts: Default::default(), told: AtomicU64::new(0) })
    }

    /// What is said to a query, after its processing time; `None` for nothing.
    fn answer(
        &self,
        query: &[u8],
        peer: SocketAddr,
        transport: Transport,
        interest: &impl Interest,
    ) -> Option<Vec<u8>> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs() as u32;
        let (what, said) = self.server.answer(query, peer, transport, now);
        self.counts[what as usize].fetch_add(1, Ordering::Relaxed);
        if what == What::Refused {
            return said;
        }
        let slot = self.terms.slots.take();
        let spent = self.terms.spend(interest, None);
        drop(slot);
        said.filter(|_| spent.is_ok() && !self.outage.is_down())
    }
}

impl Clerk for Names {
    fn take(&self, datagram: &mut [u8], from: SocketAddr, outbox: &mut Outbox, ending: &Ending) {
        if self.outage.is_down() {
            return;
        }
        if let Some(said) = self.answer(datagram, from, Transport::Datagram, ending) {
            outbox.push(&said, Some(from));
        }
    }

    fn sent(&self, _lost: &Sent) {}

    fn is_quick(&self) -> bool {
        self.terms.is_quick()
    }

    /// Whoever asks for names knows nothing of agents and their bytes.
    fn has_agents(&self) -> bool {
        false
    }

    fn tells_every(&self) -> Duration {
        TELL_EVERY
    }

    fn tell(&self) {
        let [known, unknown, refused] = self.counts.each_ref().map(|count| count.load(Ordering::Relaxed));
        if self.told.swap(known + unknown + refused, Ordering::Relaxed) != known + unknown + refused {
            say!("Asked for {known} names of the table and {unknown} others so far; {refused} were no queries.");
        }
    }
}

impl Service for Names {
    fn database(&self) -> Option<&str> {
        None
    }
}

impl Handler for Names {
    fn serve(&self, visit: &Visit) {
        let Ok(mut client) = Connection::new(Arc::clone(visit.stream())) else { return };
        let peer = client.peer();
        let next = |client: &mut Connection| {
            visit.wait_for_request(|| receive(client, Some(Deadline::after(IDLE_TIME)), HEADER_TIME))
        };
        while let Ok(Some(query)) = next(&mut client) {
            let said = self.answer(&query, peer, Transport::Stream, &Line(&client));
            if said.is_some_and(|said| send(&mut client, &said).is_err()) {
                return;
            }
        }
    }

    /// Nothing was asked yet that could be answered: the connection is closed.
    fn refuse(&self, _stream: &TcpStream, _why: Refusal) {}

    fn panicked(&self, message: &str) {
        warn!("A defect of the server ended a connection: {}", Plain(message));
    }
}

/// A connection whose query is being answered: who has closed it does not want the answer.
struct Line<'a>(&'a Connection);

impl Interest for Line<'_> {
    fn lost(&self) -> Option<Interrupt> {
        (self.0.pending() == Pending::Gone).then_some(Interrupt::Gone)
    }

    fn wait(&self, until: Deadline) -> Result<(), Interrupt> {
        match self.0.wait_readable(until) {
            // Its next query, or its end.
            Ok(true) => {
                std::thread::park_timeout(until.remaining());
                self.lost().map_or(Ok(()), Err)
            }
            Ok(false) => Ok(()),
            Err(_) => Err(Interrupt::Gone),
        }
    }
}

#[cfg(test)]
mod tests;

//! A place for a request, and the processing time.

use super::{
    super::{
        Terms,
        readiness::{Ready, wait},
    },
    failed::{Unanswered, full},
};
use crate::{
    slots::Slot,
    sql::Interrupt,
    work::{Interest, Unfinished},
};
use protocol::{
    deadline::{Deadline, Phase},
    http::BodyReader,
    output::{Plain, say},
    wire::{Pending, WireError, pending},
};
use std::net::{SocketAddr, TcpStream};

/// Takes a place and spends the processing time. The place is the request's as long as what is returned lives.
pub(in super::super) fn admit(terms: &Terms, what: &str, body: &BodyReader<'_>) -> Result<Slot, Unanswered> {
    say!("{}", Plain(what));
    let slot = terms.slots.take().ok_or_else(|| full(terms))?;
    say!("Received request. Processing...");
    match terms.spend(&Asker(body.stream()), None) {
        Ok(()) => Ok(slot),
        Err(Unfinished::TimeOver | Unfinished::Unwanted(_)) => Err(gone(body.peer())),
    }
}

/// There is nobody left to be answered.
pub(super) fn gone(peer: SocketAddr) -> Unanswered {
    Unanswered::Left(WireError::Closed { peer, phase: Phase::Answer }.into())
}

/// The other end of the connection, while its answer is being made.
pub(super) struct Asker<'a>(pub(super) &'a TcpStream);

impl Interest for Asker<'_> {
    fn lost(&self) -> Option<Interrupt> {
        (pending(self.0) == Pending::Gone).then_some(Interrupt::Gone)
    }

    fn wait(&self, until: Deadline) -> Result<(), Interrupt> {
        loop {
            let wanted = match pending(self.0) {
                Pending::Gone => return Err(Interrupt::Gone),
                Pending::Nothing => Ready { read: true, ..Ready::NOTHING },
                // The next request is here, so there is always something to be read; only a broken connection tells.
                Pending::Bytes => Ready::NOTHING,
            };
            let ready = wait(self.0, wanted, until).map_err(|_| Interrupt::Gone)?;
            if ready.broken {
                return Err(Interrupt::Gone);
            }
            if ready == Ready::NOTHING {
                return Ok(());
            }
        }
    }
}

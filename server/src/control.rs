//! The control port: who are you, and do you live?
//!
//! It has a listener and threads of its own, so that it answers while every connection of the service is busy.

use crate::{service::lab::refuse, slots::Slots};
use protocol::{
    deadline::Phase,
    frame::{Kind, Prefix},
    limits::{HEADER_TIME, MAX_ID},
    listener::{Handler, Refusal, Visit},
    message::{Alive, ErrorCode, Failure, Identified, Identify, Identity},
    output::{Plain, warn},
    token::Token,
    wire::{Connection, WireError, from_header},
};
use std::{
    net::TcpStream,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

/// Connections to the control port at once: a few load balancers, and whoever looks after the class.
pub(crate) const MAX_CONTROL_CONNECTIONS: usize = 64;

/// Answers on the control port.
pub(crate) struct Control {
    /// Who this is; the nonce is filled in for each question.
    pub(crate) identity: Identity,
    /// What the answer is proved with, for those who want a proof.
    pub(crate) token: Option<Token>,
    pub(crate) slots: Arc<Slots>,
    /// Whether the service is ending.
    pub(crate) draining: Arc<AtomicBool>,
}

impl Handler for Control {
    fn serve(&self, visit: &Visit) {
        let Ok(mut connection) = Connection::new(Arc::clone(visit.stream())) else { return };
        let mut header = Vec::new();
        loop {
            let next = visit.wait_for_request(|| connection.next(&mut header, Phase::Idle, None, HEADER_TIME));
            let answered = match next {
                Ok(Some(prefix)) => self.answer(&mut connection, &prefix, &header).map_err(|error| (prefix.id, error)),
                Ok(None) => return,
                Err(error) => Err((protocol::id::RequestId::NONE, error)),
            };
            if let Err((id, error)) = answered {
                if let Some(failure) = error.farewell() {
                    connection.close_with(id, &failure.from_server(&self.identity.id));
                }
                return;
            }
        }
    }

    fn refuse(&self, stream: &TcpStream, _why: Refusal) {
        let failure = Failure::definite(ErrorCode::Busy, "The control port has no room for another connection.");
        refuse(stream, &failure.from_server(&self.identity.id));
    }

    fn panicked(&self, message: &str) {
        warn!("A defect of the server ended a control connection: {}", Plain(message));
    }
}

impl Control {
    fn answer(&self, connection: &mut Connection, prefix: &Prefix, header: &[u8]) -> Result<(), WireError> {
        connection.skip_body(prefix.body_len as usize)?;
        match prefix.kind {
            Kind::Identify => {
                let question: Identify = from_header(connection.peer(), prefix, header)?;
                // The answer repeats the nonce and must itself fit into a header.
                if question.nonce.len() > MAX_ID {
                    let failure = Failure::definite(ErrorCode::BadRequest, "The nonce is longer than 64 characters.");
                    return connection.send_message(Kind::Error, prefix.id, &failure.from_server(&self.identity.id));
                }
                let identity = Identity { nonce: question.nonce, ..self.identity.clone() };
                let proof = self.token.as_ref().map(|token| identity.prove(token));
                connection.send_message(Kind::Identity, prefix.id, &Identified { identity, proof })
            }
            Kind::Heartbeat => {
                let alive = Alive {
                    incarnation: self.identity.incarnation,
                    active: self.slots.taken(),
                    draining: self.draining.load(Ordering::SeqCst),
                };
                connection.send_message(Kind::Alive, prefix.id, &alive)
            }
            kind => Err(WireError::Unexpected { peer: connection.peer(), kind }),
        }
    }
}

//! A tunnel: after `101 Switching Protocols` the connection speaks something else, and nobody here understands it.
//!
//! Only what asked for WebSocket, and got 101, becomes one. Before the 101 everything is HTTP: a client that writes behind
//! its request cannot have its bytes taken for anything but the next request.

use super::{
    attempt::{Attempt, Runner},
    exchange::Exchange,
    fields,
    trouble::Trouble,
};
use crate::{
    event::{Event, micros},
    frontend::tcp::{Over, pump},
    policy::Ended,
};
use protocol::http::{Answer, Framing, encode::push_answer};

/// Tells the client that the protocol was switched, and passes bytes on in both directions until one side ends.
pub(super) fn open(exchange: &mut Exchange<'_>, mut runner: Runner, answer: &Answer) -> Attempt {
    if let Err(trouble) = switch(exchange, &mut runner, answer) {
        return runner.failed(trouble);
    }
    let idle = exchange.http.flags.http_idle;
    let link = runner.link.wire();
    let was_cut = || runner.lease.server().has_cut(link);
    let (flow, over) = pump(exchange.client.wire().stream(), link.stream(), idle, &was_cut);
    let (ended, how) = match &over {
        Over::Done => (Ended::Answered, "both have ended it".to_owned()),
        Over::Idle => (Ended::Answered, "nothing was said for too long".to_owned()),
        Over::Client(error) => (Ended::Cancelled, format!("the client broke it: {error}")),
        Over::Server(error) => (Ended::Failed, format!("the server broke it: {error}")),
    };
    let (request, server) = (exchange.arrival.id, runner.lease.server().id.clone());
    runner.lease.finish(ended);
    let took_us = micros(exchange.since.elapsed());
    exchange.http.events.step(|| Event::ConnectionEnded {
        request,
        server,
        up: flow.up,
        down: flow.down,
        took_us,
        how,
    });
    Attempt::Tunnelled
}

/// What each side has said too early is passed on first.
fn switch(exchange: &mut Exchange<'_>, runner: &mut Runner, answer: &Answer) -> Result<(), Trouble> {
    let mut headers = fields::to_client(answer, exchange.arrival.id);
    let _valid = headers.push("Upgrade", "websocket");
    let mut head = Vec::new();
    push_answer(&mut head, answer.status, &headers, Framing::Empty, Some("Upgrade"));
    let (up, down) = (exchange.client.take_unread(), runner.link.take_unread());
    exchange.client.send(&[&head, &down]).map_err(|error| Trouble::client(&error))?;
    if !up.is_empty() {
        runner.link.send(&[&up]).map_err(|error| Trouble::partly(error.sentence()))?;
    }
    Ok(())
}

//! Events as lines on the terminal: what a class follows along.
//!
//! The words of the walkthrough ("Chosen server: 1") are those of the coursework; everything that went wrong is
//! said too, in a sentence. Faults go to stderr, so that `--quiet` leaves them visible.

use super::{Event, Record};
use crate::{policy::UNLIMITED, pool::Admin};
use crossbeam_channel::Receiver;
use protocol::output::{Plain, count, say, show, warn};
use std::{net::SocketAddr, path::Path, sync::Arc};

/// Prints events until the stream ends (thread `console`).
pub fn print(events: &Receiver<Arc<Record>>) {
    for record in events {
        print_one(&record.event);
    }
}

fn print_one(event: &Event) {
    match event {
        Event::Started { address, policy, .. } => {
            // Not part of the walkthrough: whoever asked for a free port must learn which, also with --quiet.
            let _nobody_reads = show!("Load balancer is listening on {} (policy {policy}).", tuple(*address));
        }
        Event::FrontendListening { frontend, address } => {
            let _nobody_reads = show!("Frontend {frontend} is listening on {}.", tuple(*address));
        }
        Event::DatagramRoom { frontend, asked, given } if given < asked => warn!(
            "Frontend {frontend} has room for {given} bytes of datagrams that wait, and wanted {asked}: with many clients at once \
             some will be lost (sysctl net.core.rmem_max)."
        ),
        Event::DatagramRoom { frontend, given, .. } => {
            say!("Frontend {frontend} has room for {given} bytes of datagrams that wait.");
        }
        Event::DatagramsDropped { frontend, count } => {
            warn!(
                "The kernel has dropped {count} datagrams of frontend {frontend}: they come faster than they are taken."
            );
        }
        Event::Stopping => say!("Stopping: finishing the requests in hand. Ctrl-C again ends at once."),
        Event::ClientConnected { peer } => say!("Connected with {}", tuple(*peer)),
        Event::ClientLeft { peer } => say!("Disconnected from {}", tuple(*peer)),
        Event::RequestReceived { text, .. } => say!("{}", Plain(text)),
        Event::RequestWaits { ahead, .. } => say!("No idle server: the request waits ({ahead} ahead of it)."),
        Event::ServerChosen { server, .. } => say!("Chosen server: {server}"),
        Event::AnswerBegun { .. } => say!("Got response from server!"),
        Event::FileResumed { server, offset, .. } => {
            say!("Going on with the file at byte {offset}, from server {server}.");
        }
        Event::FileSent { server, .. } => say!("Sent requested file from server {server}!"),
        Event::ResponseSent { .. } => say!("Sent response to client!"),
        Event::RequestCancelled { server: Some(server), .. } => {
            say!("The client took its request back; server {server} was told.");
        }
        Event::RequestCancelled { server: None, .. } => {
            say!("The client took its request back before it had a server.")
        }
        Event::ServerJoined { server, address, processing_time, .. } => {
            say!("Connected to server {server} at {} (processing time {processing_time} s)", tuple(*address));
        }
        Event::ServerUp { server } => say!("Server {server} answers again."),
        Event::ServerDraining { server } => say!("Server {server} is ending: it gets no new requests."),
        Event::ServerReadmitted { server } => say!("Server {server} gets requests again."),
        Event::ServerAdministered { server, admin: Admin::Ready } => say!("Server {server} is back, as told."),
        Event::ServerAdministered { server, admin: Admin::Drain } => {
            say!("Server {server} is drained, as told: it finishes what it has.")
        }
        Event::ServerAdministered { server, admin: Admin::Maintenance } => {
            say!("Server {server} is in maintenance, as told.")
        }
        Event::ServerWeighed { server, weight: Some(weight) } => say!("Server {server} has weight {weight} now."),
        Event::ServerWeighed { server, weight: None } => say!("Server {server} has no weight of its own any more."),
        Event::ServerResized { server, capacity: UNLIMITED } => {
            say!("Server {server} holds as many requests as come.");
        }
        Event::ServerResized { server, capacity } => {
            say!("Server {server} holds {} at once now.", count(u64::from(*capacity), "request"));
        }
        Event::PolicyChanged { policy } => say!("The policy is {policy} now."),
        Event::ServersNamed { servers, rcode, .. } if servers.is_empty() => say!("Answered it here: {rcode}."),
        Event::ServersNamed { servers, ttl_s, .. } => say!("Named servers: {} (for {ttl_s} s)", servers.join(", ")),
        Event::CopySent { server, .. } => say!("Sent a copy to server {server}."),
        Event::CopyLost { server, .. } => say!("Another server was first: server {server} is told to stop."),
        Event::CopyNotSent { .. } => {}
        Event::ServerLeft { server } => say!("Server {server} has left."),
        Event::JoinListening { address, token } => {
            let who = if *token { "who know the token" } else { "of this machine only, there is no token" };
            let _nobody_reads = show!("Servers may join at {} ({who}).", tuple(*address));
        }
        Event::ServerAsksToJoin { server, address, .. } => {
            say!("Server {server} at {} asks to join over the network.", tuple(*address));
        }
        Event::LeaseEnded { server, why } => say!("The lease of server {server} has ended: {}", Plain(why)),
        Event::AdminListening { address, token: Some(file) } => {
            say!("Administration at http://{address}/ (token in {}).", from_here(file).display());
        }
        Event::AdminListening { address, token: None } => {
            say!("Administration at http://{address}/ (nothing can be changed).");
        }
        Event::AdminAsked { .. } => {}
        // Also with --quiet: whoever wants to kill one must know which process it is.
        Event::ReplicaStarted { server, pid } => {
            let _nobody_reads = show!("Started replica {server} (process {pid}).");
        }
        Event::ReplicaInService { server, after_ms } => {
            say!("Replica {server} is in service, {after_ms} ms after its start.");
        }
        Event::ReplicaReplaced { server, by, after_ms } => {
            let _nobody_reads = show!("Replica {server} is replaced by {by}, {after_ms} ms after it was lost.");
        }
        Event::ReplicaRemoved { server } => say!("Replica {server} is removed: it finishes what it has, and ends."),
        Event::RegistryWell { servers } => {
            say!("The registry can be read again, with {} in it.", count(*servers as u64, "server"));
        }
        Event::ServerRemoved { server } => say!("Server {server} was removed by hand."),
        Event::EntryRemoved { server, why, .. } => say!("Removed server {server} from the registry: {why}"),
        Event::ConnectionEnded { server, up, down, how, .. } => {
            say!("A connection with server {server} is over after {up} bytes up and {down} down: {}", Plain(how));
        }
        Event::ShardsLocked { .. } | Event::AnswerTaken { .. } => {}
        Event::ShardRead { shard, server, seq, .. } => {
            say!("Read {shard} from server {server}, as after change {seq}.")
        }
        Event::ChangeOrdered { shard, seq, servers, .. } => {
            say!("Change {seq} of {shard} goes to {}.", servers.join(", "));
        }
        Event::ChangeDone { shard, seq, refused: None, .. } => say!("Change {seq} of {shard} is done."),
        Event::ChangeDone { shard, seq, refused: Some(why), .. } => {
            say!("Change {seq} of {shard} is refused by all: {}", Plain(why));
        }
        Event::TableChanged { shards, servers, .. } => {
            say!("The table has shards {} on servers {} now.", shards.join(", "), servers.join(", "));
        }
        Event::ShardSettled { shard, seq, believed, .. } => {
            let have = if believed.len() == 1 { "has" } else { "have" };
            say!("Shard {shard} is settled at change {seq}, as {} {have} it.", believed.join(", "));
        }
        Event::ReplicaFilled { server, shard, from, seq, .. } => {
            say!("Replica {server} is filled with {shard} from {from}, up to change {seq}.");
        }
        trouble => print_trouble(trouble),
    }
}

fn print_trouble(event: &Event) {
    match event {
        Event::ClientRefused { peer: Some(peer), why } => warn!("Refused {}: {why}", tuple(*peer)),
        Event::ClientRefused { peer: None, why } => warn!("Refused a client: {why}"),
        Event::ClientFailed { peer, why } => warn!("Ended the connection with {}: {}", tuple(*peer), Plain(why)),
        Event::MessageRefused { peer, why } => warn!("A message from {}: {}.", tuple(*peer), Plain(why)),
        Event::RequestFailed { code, message, .. } => warn!("Sent error to client: {} ({code})", Plain(message)),
        Event::AttemptFailed { server, why, again, .. } => {
            let stop = if why.ends_with(['.', ')', '!']) { "" } else { "." };
            let next = if *again { " Trying another server." } else { "" };
            warn!("Server {server} did not answer: {}{stop}{next}", Plain(why));
        }
        Event::ForeignAnswer { server, about: Some(about), .. } => {
            warn!("Server {server} sent an answer that is not believed: {}: dropped.", Plain(about));
        }
        Event::ForeignAnswer { server, id, about: None } => {
            warn!("Server {server} sent an answer to {id}, which it was not asked: dropped.");
        }
        Event::ServerDoubtful { server, why } => {
            warn!("Server {server} gets no requests until it has been asked: {why}")
        }
        Event::ServerEjected { server, why, lasting_ms } => {
            warn!("Server {server} gets no requests for {} s: {why}", *lasting_ms as f64 / 1e3);
        }
        Event::ServerDown { server, why } => warn!("Server {server} is down: {why}"),
        Event::ServerNotBelieved { server, address, why } => {
            warn!("Server {server} at {} is registered but gets no requests: {why}", tuple(*address));
        }
        Event::JoinRefused { peer, server: Some(server), why } => {
            warn!("Server {server} at {} may not join: {}", tuple(*peer), Plain(why));
        }
        Event::JoinRefused { peer, server: None, why } => {
            warn!("Somebody at {} may not join: {}", tuple(*peer), Plain(why));
        }
        Event::AdminRefused { peer: Some(peer), asked, why } => {
            warn!("The administration refused {} ({}): {}", tuple(*peer), Plain(asked), Plain(why));
        }
        Event::AdminRefused { peer: None, asked, why } => {
            warn!("The administration refused somebody ({}): {}", Plain(asked), Plain(why));
        }
        Event::ReplicaLost { server, why, again_ms } => {
            let next = match again_ms {
                None => "It was just being added, and is given up.".to_owned(),
                Some(0) => "Starting another one.".to_owned(),
                Some(ms) => format!("It is not the first: the next one is started in {} s.", *ms as f64 / 1e3),
            };
            warn!("Replica {server} is lost: {}. {next}", Plain(why.trim_end_matches('.')));
        }
        Event::ReplicaOutOfStep { server, shard, seq, why, .. } => {
            warn!("Replica {server} has missed change {seq} of {shard} ({}): it must be filled.", Plain(why));
        }
        Event::ChangeUnknown { shard, seq, why, .. } => {
            warn!("Nobody knows whether change {seq} of {shard} is done: {}.", Plain(why));
        }
        Event::ReplicaNotFilled { server, shard, why } => {
            warn!("Replica {server} is not filled with {shard}, which is tried again: {}.", Plain(why));
        }
        Event::ReplicaEmpty { server, shard } => {
            warn!(
                "Replica {server} has come back without its rows of {shard}: it is out of step, and gets them from another one."
            );
        }
        Event::RegistryTrouble { why } => warn!("{why}"),
        Event::Panicked { message } => warn!("A defect ended one connection: {message}"),
        Event::EventsLost { count } => warn!("({count} lines were not printed: the terminal was too slow.)"),
        _ => {}
    }
}

/// A path as it can be typed here.
fn from_here(path: &Path) -> &Path {
    std::env::current_dir().ok().and_then(|here| path.strip_prefix(here).ok()).unwrap_or(path)
}

/// An address as the coursework prints it: `(127.0.0.1, 5050)`.
fn tuple(address: SocketAddr) -> String {
    format!("({}, {})", address.ip(), address.port())
}

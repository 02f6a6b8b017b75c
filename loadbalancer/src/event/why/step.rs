//! The steps of a request, and what happens to servers, as sentences.

use super::{
    again::{Asked, what_next},
    rule::{Chosen, because, rule},
    shards,
    spent::Clock,
    words::{count, ending, list, number, seconds, text, time},
};
use crate::{
    event::{Considered, Event, SkippedServer},
    policy::UNLIMITED,
    pool::{Admin, Skipped},
};
use std::collections::HashMap;

/// A wait for the pool's lock that is worth a word, in microseconds: it is held for a few.
const NOTICEABLE: u64 = 500;
/// A wait for a server that is worth a word, in microseconds.
const WORTH_SAYING: u64 = 1_000;
/// Servers that are listed one by one; of a thousand nobody reads more.
const LISTED: usize = 12;

/// What must be known beside a step to tell it.
#[derive(Debug)]
pub(super) struct Scene<'a> {
    /// When it happened, in microseconds since 1970.
    pub at_us: u64,
    /// What the request is, as far as is known.
    pub asked: Option<&'a str>,
    /// How its attempts stand.
    pub clock: &'a Clock,
    /// Who was chosen lately, by anybody, the last one at the end.
    pub chosen: &'a [String],
    /// What happened to each server last, and when.
    pub servers: &'a HashMap<String, (u64, Event)>,
}

/// A step of the request, as a sentence; then what is to be said about it.
pub(super) fn step(event: &Event, scene: &Scene<'_>) -> Vec<String> {
    vec![match event {
        Event::RequestReceived { .. } => "It arrived whole.".to_owned(),
        Event::RequestWaits { ahead: 0, .. } => "No server could take it: it waited, as the next in line.".to_owned(),
        Event::RequestWaits { ahead, .. } => {
            format!("No server could take it: it waited, with {} before it.", count(*ahead as u64, "request"))
        }
        Event::ServerChosen { .. } => return choice(event, scene),
        Event::ServersNamed { servers, rcode, .. } if servers.is_empty() => {
            format!("The load balancer answered it itself ({rcode}): no server had to be named.")
        }
        Event::ServersNamed { servers, ttl_s, .. } => {
            let names: Vec<String> = servers.iter().map(|server| format!("server {server}")).collect();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            return vec![
                format!("The load balancer answered it itself, and named {}.", list(&names)),
                format!(
                    "That may be kept for {ttl_s} s. Whoever keeps it asks no more, and what the servers get is not seen here."
                ),
            ];
        }
        // Copies that are sent at once take a moment each.
        Event::CopySent { server, after_us: 0..1_000, .. } => format!("Server {server} got a copy at the same time."),
        Event::CopySent { server, after_us, .. } => {
            format!("Server {server} got a copy, {} after the first one: that was late.", time(*after_us))
        }
        Event::CopyNotSent { why, .. } => format!("No further copy was sent: {}", ending(why)),
        Event::CopyLost { server, why, .. } => {
            format!("What server {server} has is not needed any more: {}", ending(why))
        }
        Event::AnswerBegun { server, after_us, .. } => {
            let first = if scene.clock.copied() { ", as the first of those that had it" } else { "" };
            format!("Server {server} began to answer, {} after it had been chosen{first}.", time(*after_us))
        }
        Event::FileResumed { server, offset, .. } => {
            format!("Server {server} went on with the file at byte {offset}, where the one before had broken off.")
        }
        Event::AnswerTaken { server, bytes, .. } => {
            format!(
                "Server {server} had said its last word ({}, frames included) and was free again.",
                count(*bytes, "byte")
            )
        }
        Event::FileSent { bytes, .. } => format!("The file had been passed on whole: {}.", count(*bytes, "byte")),
        Event::ResponseSent { complete: true, .. } => "The client had its answer.".to_owned(),
        Event::ResponseSent { .. } => {
            "The client had its answer: an error of the request's own, as the server told it. No \
             other server is asked then; it would say the same."
                .to_owned()
        }
        Event::ConnectionEnded { server, up, down, how, .. } => format!(
            "Its connection with server {server} was over ({how}), after {} from the client and {} from the server.",
            count(*up, "byte"),
            count(*down, "byte")
        ),
        Event::RequestFailed { code, definite, message, .. } => {
            let sure = if *definite { "it surely was not carried out" } else { "it may have been carried out" };
            format!("The client was told that it failed ({code}; {sure}): {}", ending(message))
        }
        Event::RequestCancelled { server: Some(server), .. } => {
            format!("The client took it back, or was gone: server {server} was told to stop.")
        }
        Event::RequestCancelled { server: None, .. } => {
            "The client took it back, or was gone, before it had a server.".to_owned()
        }
        Event::RequestAbandoned { why, .. } => format!("The client could not be told any more: {}", ending(why)),
        Event::AttemptFailed { server, why, again, lost, .. } => {
            let said = format!("Server {server} failed it: {}", ending(why));
            return vec![said, what_next(Asked::of(scene.asked), *again, *lost, scene.clock)];
        }
        of_shards => return shards::step(of_shards),
    }]
}

fn choice(event: &Event, scene: &Scene<'_>) -> Vec<String> {
    let Event::ServerChosen {
        server,
        policy,
        how,
        considered,
        skipped,
        waited_us,
        lock_wait_us,
        copy,
        attempt,
        shard,
        ..
    } = event
    else {
        return Vec::new();
    };
    let what = match (copy, attempt) {
        (true, _) => " for a copy".to_owned(),
        (false, 1) => String::new(),
        (false, n) => format!(" for attempt {n}"),
    };
    let of_shard = shard.as_ref().map_or_else(String::new, |shard| format!(" for the rows of {shard}"));
    let what = of_shard + &what;
    let waited =
        if *waited_us < WORTH_SAYING { String::new() } else { format!(", after a wait of {}", time(*waited_us)) };
    let mut says = vec![format!("Server {server} was chosen{what}{waited}.")];
    if *lock_wait_us >= NOTICEABLE {
        says.push(format!("Of that, {} went to the pool's lock: many wanted it at once.", time(*lock_wait_us)));
    }
    let policy = policy.to_string();
    says.push(match rule(&policy) {
        Some(rule) => format!("Rule ({policy}): {rule}."),
        None => format!("Rule: {policy}."),
    });
    // There may be several pools, with servers of their own.
    let here =
        |id: &&String| considered.iter().any(|one| one.server == **id) || skipped.iter().any(|one| one.server == **id);
    let before = scene.chosen.iter().rfind(here).map(String::as_str);
    let chosen = Chosen { policy: &policy, server, how: *how, considered, before };
    says.push(format!("Why server {server}: {}", because(chosen)));
    says.extend(candidates(considered, server));
    says.extend(passed_over(skipped, scene));
    says
}

fn candidates(considered: &[Considered], winner: &str) -> Vec<String> {
    let one = |server: &Considered| {
        let capacity = if server.capacity == UNLIMITED { "any number".to_owned() } else { server.capacity.to_string() };
        let weight = server.weight.map_or_else(String::new, |weight| format!(", weight {weight}"));
        let score = server.score.map_or_else(String::new, |score| format!(", score {}", number(score)));
        let mark = if server.server == winner { "  <- chosen" } else { "" };
        let (id, time) = (&server.server, seconds(server.processing_time));
        format!("Could take it: server {id} ({time}, holds {} of {capacity}{weight}{score}){mark}", server.active)
    };
    let mut lines: Vec<String> = considered.iter().take(LISTED).map(one).collect();
    if considered.len() > LISTED {
        lines.push(format!("Could take it: {} more", considered.len() - LISTED));
    }
    lines
}

/// Who could not take it, and why; of the same reason in one line.
fn passed_over(skipped: &[SkippedServer], scene: &Scene<'_>) -> Vec<String> {
    let mut lines = Vec::new();
    for skipped in skipped.iter().take(LISTED) {
        let (id, why) = (&skipped.server, why_not(skipped.why));
        lines.push(format!("Could not: server {id} ({why}{})", since(skipped, scene)));
    }
    if skipped.len() > LISTED {
        let rest: Vec<&str> = skipped[LISTED..].iter().take(LISTED).map(|skipped| &*skipped.server).collect();
        lines.push(format!("Could not: {} more, among them {}", skipped.len() - LISTED, list(&rest)));
    }
    lines
}

fn why_not(why: Skipped) -> &'static str {
    match why {
        Skipped::Busy => "holds as many requests as it may",
        Skipped::Doubtful => "an answer of it was lost, and it has not said yet what it is doing",
        Skipped::Down => "does not answer",
        Skipped::Draining => "is ending",
        Skipped::Drain => "a person has drained it",
        Skipped::Maintenance => "a person has it in maintenance",
        Skipped::Ejected => "left out for a while because of how it did",
        Skipped::WarmingUp => "has just come back and gets a growing share; this request was not in it",
        Skipped::AlreadyTried => "had this request already",
        Skipped::OutOfStep => "has missed a change of this shard, and is not filled yet",
        Skipped::OtherDatabase => "has another database than the one in which it may have been carried out",
    }
}

/// Since when a server is as it is, and why, if that is known.
fn since(skipped: &SkippedServer, scene: &Scene<'_>) -> String {
    let Some((at_us, event)) = scene.servers.get(&skipped.server) else { return String::new() };
    let ago = time(scene.at_us.saturating_sub(*at_us));
    match (skipped.why, event) {
        (Skipped::Down, Event::ServerDown { why, .. })
        | (Skipped::Doubtful, Event::ServerDoubtful { why, .. })
        | (Skipped::Ejected, Event::ServerEjected { why, .. }) => {
            format!("; since {ago}: {}", text(why).trim_end_matches('.'))
        }
        (Skipped::Draining, Event::ServerDraining { .. })
        | (Skipped::Drain | Skipped::Maintenance, Event::ServerAdministered { .. }) => format!("; since {ago}"),
        _ => String::new(),
    }
}

/// What happened to a server meanwhile.
pub(super) fn meanwhile(event: &Event) -> Option<String> {
    let said = match event {
        Event::ForeignAnswer { server, about: Some(about), .. } => {
            format!("server {server} sent an answer that was not believed: {}", ending(about))
        }
        Event::ForeignAnswer { server, .. } => format!("server {server} sent an answer that nobody had asked for."),
        Event::ServerJoined { server, .. } => format!("server {server} joined."),
        Event::ServerDoubtful { server, why } => {
            format!("server {server} got nothing new until it had been asked: {}", ending(why))
        }
        Event::ServerUp { server } => format!("server {server} answered again."),
        Event::ServerDown { server, why } => format!("server {server} was down: {}", ending(why)),
        Event::ServerDraining { server } => format!("server {server} was ending."),
        Event::ServerEjected { server, why, lasting_ms } => {
            format!("server {server} was left out for {}: {}", time(lasting_ms.saturating_mul(1_000)), ending(why))
        }
        Event::ServerReadmitted { server } => format!("server {server} got requests again."),
        Event::ServerAdministered { server, admin: Admin::Ready } => format!("a person had server {server} back."),
        Event::ServerAdministered { server, admin: Admin::Drain } => format!("a person drained server {server}."),
        Event::ServerAdministered { server, admin: Admin::Maintenance } => {
            format!("a person took server {server} into maintenance.")
        }
        Event::ServerWeighed { server, .. } => format!("a person changed the weight of server {server}."),
        Event::ServerResized { server, capacity } => format!("server {server} could hold {capacity} from then on."),
        Event::ServerLeft { server } | Event::ServerRemoved { server } => format!("server {server} left."),
        Event::LeaseEnded { server, why } => format!("server {server} was out: {}", ending(why)),
        Event::ReplicaOutOfStep { server, shard, seq, .. } => {
            format!("server {server} missed change {seq} of {shard}, by another call.")
        }
        Event::ReplicaFilled { server, shard, from, seq, .. } => {
            format!(
                "server {server} was filled with {shard} from server {from}, up to change {seq}, and in step again."
            )
        }
        Event::PolicyChanged { policy } => format!("a person changed the policy to {policy}."),
        Event::Stopping => "the load balancer was told to end, and finished what it had.".to_owned(),
        Event::Panicked { message } => format!("a defect ended one connection, perhaps this one: {}", ending(message)),
        _ => return None,
    };
    Some(format!("Meanwhile {said}"))
}

//! The steps of a call to the sharded table, as sentences.

use super::words::{count, ending, list, time};
use crate::event::Event;

/// A wait that is worth a word, in microseconds.
const WORTH_SAYING: u64 = 1_000;

pub(super) fn step(event: &Event) -> Vec<String> {
    vec![match event {
        Event::ShardsLocked { shards, alone, waited_us, .. } => {
            let what =
                format!("It had {} of {}", if shards.len() == 1 { "the lock" } else { "the locks" }, names(shards));
            let how = if *alone { "alone" } else { "together with other reads" };
            let waited = match (waited_us, alone) {
                (0..WORTH_SAYING, _) => return vec![format!("{what}, {how}.")],
                (_, true) => "whoever read or changed something there came first",
                (_, false) => "a change that was under way there came first",
            };
            return vec![format!("{what}, {how}, after a wait of {}: {waited}.", time(*waited_us))];
        }
        Event::ShardRead { shard, server, seq, bytes, .. } => {
            format!(
                "Server {server} gave the rows of {shard} ({}), as they are after change {seq}.",
                count(*bytes, "byte")
            )
        }
        Event::ChangeOrdered { shard, seq, servers, absent, .. } => {
            let mut says =
                vec![format!("It became change {seq} of {shard}, and went to {} at once.", servers_of(servers))];
            if !absent.is_empty() {
                let verb = if absent.len() == 1 { "was" } else { "were" };
                says.push(format!("{} {verb} not there, and missed it.", capital(&servers_of(absent))));
            }
            return says;
        }
        Event::ReplicaOutOfStep { shard, server, seq, why, .. } => {
            return vec![
                format!("Server {server} missed change {seq} of {shard}: {}", ending(why)),
                "That it is out of step was written down before anybody was told, so that it is never asked before it was filled."
                    .to_owned(),
            ];
        }
        Event::ChangeDone { shard, seq, servers, refused: None, .. } => {
            format!("Change {seq} of {shard} was done: {} had it durably.", servers_of(servers))
        }
        Event::ChangeDone { shard, seq, servers, refused: Some(why), .. } => {
            return vec![
                format!("Change {seq} of {shard} was refused by {}: {}", servers_of(servers), ending(why)),
                "All of them came to that, and the number is used up.".to_owned(),
            ];
        }
        Event::ChangeUnknown { shard, seq, why, .. } => {
            return vec![
                format!("Nobody knows whether change {seq} of {shard} was done: {}", ending(why)),
                "Nothing is read or changed there before its servers have agreed: who has most is believed.".to_owned(),
            ];
        }
        Event::TableChanged { shards, servers, .. } => {
            format!("From then on the table had {} on {}, durably.", names(shards), servers_of(servers))
        }
        other => format!("{other:?}"),
    }]
}

fn names(names: &[String]) -> String {
    list(&names.iter().map(String::as_str).collect::<Vec<_>>())
}

fn servers_of(servers: &[String]) -> String {
    format!("{} {}", if servers.len() == 1 { "server" } else { "servers" }, names(servers))
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

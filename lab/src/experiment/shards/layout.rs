//! Which shards there are, and which servers have them. Pure.

use serde_json::{Map, Value, json};

/// Keys of a shard, as the coursework has it.
const SIZE: u64 = 4_096;
/// The servers of the coursework's default, which has no Server2, and their shards.
const DEFAULT: [(&str, [usize; 2]); 6] = [
    ("Server0", [1, 2]),
    ("Server1", [3, 4]),
    ("Server3", [1, 3]),
    ("Server4", [4, 2]),
    ("Server5", [1, 4]),
    ("Server6", [3, 2]),
];

/// A map of a table.
#[derive(Clone, Debug, PartialEq)]
pub struct Layout {
    /// How many shards: sh1, sh2 …
    pub shards: usize,
    /// How many servers have each of them.
    pub replicas: usize,
    /// Names of servers, and the numbers of their shards.
    pub servers: Vec<(String, Vec<usize>)>,
}

impl Layout {
    /// The coursework's default: six servers, four shards, three replicas.
    pub fn usual() -> Self {
        let servers = DEFAULT.iter().map(|(name, shards)| ((*name).to_owned(), shards.to_vec())).collect();
        Self { shards: 4, replicas: 3, servers }
    }

    /// So many servers, which have the replicas of all shards by turns.
    pub fn by_turns(servers: usize, shards: usize, replicas: usize) -> Self {
        let mut all: Vec<(String, Vec<usize>)> = (0..servers).map(|n| (format!("Server{n}"), Vec::new())).collect();
        for turn in 0..shards * replicas {
            all[turn % servers].1.push(turn / replicas + 1);
        }
        Self { shards, replicas, servers: all }
    }

    /// How many keys there are, from 0 on.
    pub fn keys(&self) -> u64 {
        self.shards as u64 * SIZE
    }

    /// The body of `/init`.
    pub fn body(&self) -> Value {
        let shards: Vec<Value> = (1..=self.shards)
            .map(|n| json!({ "Stud_id_low": (n as u64 - 1) * SIZE, "Shard_id": format!("sh{n}"), "Shard_size": SIZE }))
            .collect();
        let names = |shards: &[usize]| -> Value { shards.iter().map(|n| format!("sh{n}")).collect() };
        let servers: Map<String, Value> =
            self.servers.iter().map(|(name, shards)| (name.clone(), names(shards))).collect();
        let schema =
            json!({ "columns": ["Stud_id", "Stud_name", "Stud_marks"], "dtypes": ["Number", "String", "String"] });
        json!({ "N": servers.len(), "schema": schema, "shards": shards, "servers": servers })
    }

    /// In words.
    pub fn shown(&self) -> String {
        format!("{} servers, {} shards, {} replicas of each", self.servers.len(), self.shards, self.replicas)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_shard_has_its_replicas_on_different_servers() {
        for layout in [Layout::usual(), Layout::by_turns(7, 4, 7), Layout::by_turns(10, 6, 8)] {
            for shard in 1..=layout.shards {
                let has = |(_, shards): &&(String, Vec<usize>)| shards.iter().filter(|n| **n == shard).count() == 1;
                assert_eq!(layout.servers.iter().filter(has).count(), layout.replicas, "{layout:?}");
            }
            let placed: usize = layout.servers.iter().map(|(_, shards)| shards.len()).sum();
            assert_eq!(placed, layout.shards * layout.replicas, "no shard twice on a server: {layout:?}");
        }
    }
}

//! Which shards there are, which keys each has, and which servers have it. Pure.
//!
//! The coursework keeps two tables, ShardT (where a shard's keys begin, and how many there are) and MapT (which server has which
//! shard). Both are here, with the rules that they must keep:
//!
//! * no two shards have a key in common; between them there may be gaps;
//! * no two servers are started with the same id (`4` and `Server4` would be): in a database they would have one schema;
//! * each shard has a server, always: the last copy of a shard cannot be removed;
//! * a change of the map that breaks a rule changes nothing.

use super::answers::id_of;
use protocol::shard::{Schema, check_name};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Servers that there may be: more processes than that on one machine are a slip of the finger.
pub const MAX_SERVERS: usize = 64;
/// Shards that there may be.
const MAX_SHARDS: usize = 1_000;

/// A shard: its name, and its keys from `low` on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shard {
    /// The first key.
    #[serde(rename = "Stud_id_low")]
    pub low: i64,
    /// The name.
    #[serde(rename = "Shard_id")]
    pub id: String,
    /// How many keys.
    #[serde(rename = "Shard_size")]
    pub size: u64,
}

impl Shard {
    /// The last key; `None` if that is no number of 64 bits.
    fn high(&self) -> Option<i64> {
        self.low.checked_add_unsigned(self.size.checked_sub(1)?)
    }
}

/// By name, which shards a server has.
pub type Servers = BTreeMap<String, Vec<String>>;

/// The whole map.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Map {
    /// The columns of the table.
    pub schema: Schema,
    /// The shards, in the order of their keys.
    pub shards: Vec<Shard>,
    /// The servers.
    pub servers: Servers,
}

/// A shard, and the keys of it that are meant: the first and the last.
pub type Part = (String, i64, i64);

impl Map {
    /// A map with these shards and servers.
    ///
    /// # Errors
    /// Which rule it breaks.
    pub fn new(schema: Schema, shards: Vec<Shard>, servers: Servers) -> Result<Self, String> {
        schema.check()?;
        let mut map = Self { schema, shards, servers };
        map.check()?;
        Ok(map)
    }

    /// The same with more shards and servers.
    ///
    /// # Errors
    /// Which rule it would break.
    pub fn with(&self, shards: Vec<Shard>, servers: Servers) -> Result<Self, String> {
        if let Some(name) = servers.keys().find(|name| self.servers.contains_key(*name)) {
            return Err(format!("Server '{name}' is there already"));
        }
        let mut map = self.clone();
        map.shards.extend(shards);
        map.servers.extend(servers);
        map.check()?;
        Ok(map)
    }

    /// The same without these servers.
    ///
    /// # Errors
    /// Which rule it would break.
    pub fn without(&self, names: &[String]) -> Result<Self, String> {
        let mut map = self.clone();
        for name in names {
            if map.servers.remove(name).is_none() {
                return Err(format!("There is no server '{name}'"));
            }
        }
        match map.orphan() {
            Some(shard) => {
                Err(format!("Shard '{shard}' would have no server any more: its last copy cannot be removed"))
            }
            None => Ok(map),
        }
    }

    fn check(&mut self) -> Result<(), String> {
        if self.shards.is_empty() || self.shards.len() > MAX_SHARDS {
            return Err(format!("There may be 1 to {MAX_SHARDS} shards, and there are {}", self.shards.len()));
        }
        if self.servers.is_empty() || self.servers.len() > MAX_SERVERS {
            return Err(format!("There may be 1 to {MAX_SERVERS} servers, and there are {}", self.servers.len()));
        }
        let mut by_id = BTreeMap::new();
        for name in self.servers.keys() {
            if let Some(other) = by_id.insert(id_of(name), name) {
                return Err(format!("Servers '{other}' and '{name}' would both be server {}", id_of(name)));
            }
        }
        self.shards.sort_by_key(|shard| shard.low);
        for (at, shard) in self.shards.iter().enumerate() {
            check_name("shard", &shard.id)?;
            if self.shards[..at].iter().any(|before| before.id == shard.id) {
                return Err(format!("Shard '{}' is there twice", shard.id));
            }
            let Some(high) = shard.high() else {
                return Err(format!("Shard '{}' of size {} has no keys, or too many", shard.id, shard.size));
            };
            if let Some(next) = self.shards.get(at + 1).filter(|next| next.low <= high) {
                return Err(format!("Shards '{}' and '{}' have keys in common", shard.id, next.id));
            }
        }
        for (server, shards) in &self.servers {
            for (at, shard) in shards.iter().enumerate() {
                if !self.shards.iter().any(|known| known.id == *shard) {
                    return Err(format!("Server '{server}' has shard '{shard}', which there is not"));
                }
                if shards[..at].contains(shard) {
                    return Err(format!("Server '{server}' has shard '{shard}' twice"));
                }
            }
        }
        match self.orphan() {
            Some(shard) => Err(format!("Shard '{shard}' has no server")),
            None => Ok(()),
        }
    }

    /// A shard that nobody has.
    fn orphan(&self) -> Option<&str> {
        let owned = |shard: &&Shard| !self.servers.values().any(|shards| shards.contains(&shard.id));
        self.shards.iter().find(owned).map(|shard| shard.id.as_str())
    }

    /// The shard of this key.
    ///
    /// # Errors
    /// If none has it.
    pub fn of(&self, key: i64) -> Result<&Shard, String> {
        let has = |shard: &&Shard| shard.low <= key && shard.high().is_some_and(|high| key <= high);
        self.shards.iter().find(has).ok_or_else(|| format!("No shard has Stud_id {key}"))
    }

    /// The shards that have these keys, both ends included, in order, each with its part of them.
    ///
    /// # Errors
    /// If no shard has some of the keys.
    pub fn cover(&self, low: i64, high: i64) -> Result<Vec<Part>, String> {
        if low > high {
            return Err(format!("Stud_id from {low} to {high} is no range"));
        }
        let (mut parts, mut from) = (Vec::new(), low);
        loop {
            let shard = self.of(from).map_err(|why| format!("{why}, which is in the range from {low} to {high}"))?;
            let last = shard.high().unwrap_or(i64::MAX).min(high);
            parts.push((shard.id.clone(), from, last));
            if last == high {
                return Ok(parts);
            }
            from = last + 1;
        }
    }

    /// The servers of a shard, by name.
    pub fn servers_of(&self, shard: &str) -> impl Iterator<Item = &str> {
        self.servers.iter().filter(move |(_, has)| has.iter().any(|id| id == shard)).map(|(name, _)| name.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn schema() -> Schema {
        serde_json::from_value(json!({ "columns": ["Stud_id"], "dtypes": ["Number"] })).unwrap()
    }

    fn shard(id: &str, low: i64, size: u64) -> Shard {
        Shard { low, id: id.to_owned(), size }
    }

    fn servers(all: &[(&str, &[&str])]) -> Servers {
        all.iter().map(|(name, has)| ((*name).to_owned(), has.iter().map(|id| (*id).to_owned()).collect())).collect()
    }

    /// The coursework's default.
    fn usual() -> Map {
        let shards =
            vec![shard("sh1", 0, 4096), shard("sh2", 4096, 4096), shard("sh3", 8192, 4096), shard("sh4", 12288, 4096)];
        let servers = servers(&[
            ("Server0", &["sh1", "sh2"]),
            ("Server1", &["sh3", "sh4"]),
            ("Server3", &["sh1", "sh3"]),
            ("Server4", &["sh4", "sh2"]),
            ("Server5", &["sh1", "sh4"]),
            ("Server6", &["sh3", "sh2"]),
        ]);
        Map::new(schema(), shards, servers).unwrap()
    }

    #[test]
    fn each_shard_of_the_default_has_three_servers() {
        let map = usual();
        assert!(map.shards.iter().all(|shard| map.servers_of(&shard.id).count() == 3));
        assert_eq!(map.servers_of("sh2").collect::<Vec<_>>(), ["Server0", "Server4", "Server6"]);
    }

    #[test]
    fn keys_belong_to_one_shard_and_ranges_to_several() {
        let map = usual();
        assert_eq!([0, 4095, 4096, 16383].map(|key| map.of(key).unwrap().id.clone()), ["sh1", "sh1", "sh2", "sh4"]);
        assert!(map.of(16384).is_err() && map.of(-1).is_err());
        let part = |id: &str, low, high| (id.to_owned(), low, high);
        assert_eq!(
            map.cover(4000, 9000),
            Ok(vec![part("sh1", 4000, 4095), part("sh2", 4096, 8191), part("sh3", 8192, 9000)])
        );
        assert_eq!(map.cover(7, 7), Ok(vec![part("sh1", 7, 7)]));
        assert!(map.cover(16000, 17000).unwrap_err().contains("No shard has Stud_id 16384"));
        assert!(map.cover(9, 8).unwrap_err().contains("no range"));
    }

    #[test]
    fn a_range_over_a_gap_is_an_error() {
        let both = servers(&[("A", &["a", "b"])]);
        let map = Map::new(schema(), vec![shard("b", 100, 10), shard("a", 0, 10)], both).unwrap();
        assert!(map.cover(5, 105).unwrap_err().contains("No shard has Stud_id 10,"));
        assert_eq!(map.shards[0].id, "a", "in the order of keys");
    }

    #[test]
    fn maps_that_break_a_rule_are_explained() {
        let check = |shards: &[(&str, i64, u64)], of: &[(&str, &[&str])]| {
            let shards = shards.iter().map(|(id, low, size)| shard(id, *low, *size)).collect();
            Map::new(schema(), shards, servers(of)).unwrap_err()
        };
        for (said, why) in [
            (check(&[], &[("A", &[])]), "1 to 1000 shards"),
            (check(&[("a", 0, 1)], &[]), "1 to 64 servers"),
            (check(&[("a", 0, 1)], &[("A", &[])]), "'a' has no server"),
            (check(&[("a", 0, 10), ("b", 9, 1)], &[("A", &["a", "b"])]), "keys in common"),
            (check(&[("a", 0, 1), ("a", 5, 1)], &[("A", &["a"])]), "'a' is there twice"),
            (check(&[("a", 0, 0)], &[("A", &["a"])]), "no keys"),
            (check(&[("a", i64::MAX, 2)], &[("A", &["a"])]), "too many"),
            (check(&[("a", 0, 1)], &[("A", &["a", "x"])]), "'x', which there is not"),
            (check(&[("a", 0, 1)], &[("A", &["a", "a"])]), "'a' twice"),
            (check(&[("a b", 0, 1)], &[("A", &["a b"])]), "no name of a shard"),
            (check(&[("a", 0, 1)], &[("4", &["a"]), ("Server4", &["a"])]), "'4' and 'Server4' would both be server 4"),
        ] {
            assert!(said.contains(why), "{why}: {said}");
        }
    }

    #[test]
    fn servers_come_and_go_but_never_the_last_copy() {
        let map = usual();
        let more = map.with(vec![shard("sh5", 16384, 4096)], servers(&[("Server9", &["sh5", "sh1"])])).unwrap();
        assert_eq!((more.servers.len(), more.of(16384).unwrap().id.as_str()), (7, "sh5"));
        assert!(map.with(vec![], servers(&[("Server0", &["sh1"])])).unwrap_err().contains("there already"));
        assert!(map.with(vec![], servers(&[("0", &["sh1"])])).unwrap_err().contains("'0' and 'Server0'"));
        assert!(map.with(vec![shard("sh5", 16384, 1)], servers(&[("Z", &[])])).unwrap_err().contains("no server"));
        assert!(more.without(&["Server9".into()]).unwrap_err().contains("last copy"));
        let fewer = map.without(&["Server0".into(), "Server3".into()]).unwrap();
        assert_eq!(fewer.servers_of("sh1").collect::<Vec<_>>(), ["Server5"]);
        assert!(fewer.without(&["Server5".into()]).unwrap_err().contains("Shard 'sh1'"));
        assert!(map.without(&["Server2".into()]).unwrap_err().contains("no server 'Server2'"));
    }
}

//! Whether all replicas of each shard have the same, row by row: looked up in their files when nobody writes them any more.

use super::layout::Layout;
use anyhow::Context;
use rusqlite::Connection;
use std::{
    collections::{BTreeMap, hash_map::DefaultHasher},
    hash::{Hash, Hasher},
    path::Path,
};

/// What a replica has of a shard: the number of its last change, how many rows, and a digest of them in the order of their keys.
pub type Content = (i64, u64, u64);

/// Shards whose replicas differ, and how many rows all shards have.
///
/// # Errors
/// If a file cannot be read.
pub fn compare(folder: &Path, layout: &Layout) -> anyhow::Result<(Vec<String>, u64)> {
    let mut shards: BTreeMap<String, Vec<Content>> = BTreeMap::new();
    for (server, has) in &layout.servers {
        let path = folder.join(format!("{server}.sqlite"));
        let there = contents(&path).with_context(|| format!("{} cannot be read", path.display()))?;
        for shard in has.iter().map(|n| format!("sh{n}")) {
            let content = there.get(&shard).with_context(|| format!("{server} has no {shard}"))?;
            shards.entry(shard).or_default().push(*content);
        }
    }
    let rows = shards.values().filter_map(|all| all.first()).map(|(_, rows, _)| rows).sum();
    shards.retain(|_, all| all.iter().any(|one| *one != all[0]));
    Ok((shards.into_keys().collect(), rows))
}

fn contents(path: &Path) -> rusqlite::Result<BTreeMap<String, Content>> {
    let db = Connection::open(path)?;
    let mut shards = db.prepare("SELECT number, name, seq FROM replica_shards")?;
    let shards = shards.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    shards.map(|shard| shard.and_then(|(number, name, seq)| Ok((name, content(&db, number, seq)?)))).collect()
}

fn content(db: &Connection, number: i64, seq: i64) -> rusqlite::Result<Content> {
    let mut rows =
        db.prepare(&format!("SELECT Stud_id, Stud_name, Stud_marks FROM shard_{number} ORDER BY Stud_id"))?;
    let (mut rows, mut count, mut digest) = (rows.query([])?, 0, DefaultHasher::new());
    while let Some(row) = rows.next()? {
        let (id, name, marks): (i64, String, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        (id, name, marks).hash(&mut digest);
        count += 1;
    }
    Ok((seq, count, digest.finish()))
}

//! What a change does to the rows of a shard.

use super::{
    book::{self, Shard},
    engine::{Dialect, Done, Session},
    table::{Table, keys},
};
use crate::service::shard::calls::{self, Change, Deed, Told, refused, unknown_shard};
use protocol::{
    http::Status,
    shard::{KEY, Row},
};

/// Does what a change says: the answer, and how many rows there are then; or why it cannot be, and nothing has changed.
pub(super) fn deed(
    session: &mut dyn Session,
    dialect: &Dialect,
    shard: &Shard,
    change: &Change,
) -> Done<Result<(Told, u64), Told>> {
    let Some(schema) = book::schema(session)? else { return Ok(Err(unknown_shard(&change.shard))) };
    let table = Table { dialect, schema: &schema, number: shard.number };
    let bad = |why: String| Ok(Err(refused(Status::BAD_REQUEST, &why)));
    let missing =
        |id| Ok(Err(refused(Status::NOT_FOUND, &format!("There is no {KEY} {id} in shard '{}'", change.shard))));
    match &change.deed {
        Deed::Write { curr_idx, data } => {
            let rows = match data.iter().map(|object| schema.row(object)).collect::<Result<Vec<Row>, String>>() {
                Ok(rows) => rows,
                Err(why) => return bad(why),
            };
            if let Some(id) = table.first_taken(session, &keys(&schema, &rows))? {
                let why = format!("{KEY} {id} is there already");
                return Ok(Err(refused(Status::CONFLICT, &why)));
            }
            table.insert(session, &rows)?;
            let (added, there) = (rows.len() as u64, shard.at.rows);
            Ok(Ok((calls::added(curr_idx.unwrap_or(there) + added, change.seq), there + added)))
        }
        Deed::Update { id, data } => {
            let changes = match schema.changes(*id, data) {
                Ok(changes) => changes,
                Err(why) => return bad(why),
            };
            match table.update(session, *id, &changes)? {
                0 => missing(*id),
                _ => Ok(Ok((calls::updated(*id, change.seq), shard.at.rows))),
            }
        }
        Deed::Delete { id } => match table.delete(session, *id)? {
            0 => missing(*id),
            _ => Ok(Ok((calls::removed(*id, change.seq), shard.at.rows - 1))),
        },
    }
}

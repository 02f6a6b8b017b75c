//! What was answered to the latest changes: who asks again is told the same.

use super::{
    book::{Shard, count, text},
    engine::{Done, Session},
};
use crate::service::shard::calls::{Deed, Told, refused};
use protocol::{http::Status, value::Value};
use sha2::{Digest, Sha256};

/// How many answers are remembered for each shard: whoever asks again does so within seconds.
const REMEMBERED: u64 = 1_000;

/// Keeps the answer to this number.
pub(super) fn remember(session: &mut dyn Session, shard: &Shard, seq: u64, fingerprint: i64, told: &Told) -> Done<()> {
    let (of, status) = (Value::Integer(shard.number), Value::Integer(told.status.code().into()));
    let values = [of.clone(), count(seq), Value::Integer(fingerprint), status, text(&told.body)];
    session.note("INSERT INTO replica_answers VALUES ($1, $2, $3, $4, $5)", &values)?;
    let forget = "DELETE FROM replica_answers WHERE shard = $1 AND seq <= $2";
    session.note(forget, &[of, count(seq.saturating_sub(REMEMBERED))])
}

/// What was answered to this number; `None` if that is forgotten.
pub(super) fn answered(
    session: &mut dyn Session,
    shard: &Shard,
    seq: u64,
    fingerprint: i64,
) -> Done<Option<Result<Told, Told>>> {
    let sql = "SELECT fingerprint, status, body FROM replica_answers WHERE shard = $1 AND seq = $2";
    let found = session.first(sql, &[Value::Integer(shard.number), count(seq)])?;
    let Some([Value::Integer(of), Value::Integer(status), Value::Text(body)]) = found.as_deref() else {
        return Ok(None);
    };
    if *of != fingerprint {
        return Ok(Some(Err(refused(Status::CONFLICT, &format!("Change {seq} was another one")))));
    }
    let status = u16::try_from(*status).ok().and_then(Status::new).unwrap_or(Status::INTERNAL_SERVER_ERROR);
    Ok(Some(Ok(Told { status, body: body.clone() })))
}

/// Tells two changes apart that have the same number.
pub(super) fn fingerprint(deed: &Deed) -> i64 {
    let text = match deed {
        Deed::Write { data, .. } => serde_json::json!(["write", data]),
        Deed::Update { id, data } => serde_json::json!(["update", id, data]),
        Deed::Delete { id } => serde_json::json!(["delete", id]),
    };
    let digest = Sha256::digest(text.to_string());
    i64::from_be_bytes(std::array::from_fn(|at| digest[at]))
}

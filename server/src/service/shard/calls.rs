//! What is asked of a replica, and the words of its answers, as the coursework has them.
//!
//! What is more than there: `seq`, the number of a change; `/state` and `/fill`; and what goes wrong, which is told as
//! `{"message":"<Error> …","status":"failure"}`.

pub use protocol::shard::told::{MOST_ROWS, Told, refused};

use protocol::{
    http::Status,
    shard::{
        KEY, Schema, check_name,
        told::{bad, done, parse},
    },
};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::{collections::BTreeMap, sync::Arc};

/// Shards that one call may name.
const MOST_SHARDS: usize = 1_000;

/// What is asked.
#[derive(Debug, PartialEq)]
pub enum Call {
    /// Have these shards of a table with these columns.
    Config { schema: Schema, shards: Vec<String> },
    /// All rows of these shards.
    Copy { shards: Vec<String> },
    /// The rows with keys from `low` to `high`, both included; at change `seq`, if that is told, or not at all.
    Read { shard: String, low: i64, high: i64, seq: Option<u64> },
    /// A change of one shard.
    Change(Change),
}

/// A change of a shard.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// Which shard.
    pub shard: String,
    /// Its number in the order of that shard's changes.
    pub seq: Option<u64>,
    /// What is changed.
    pub deed: Deed,
}

/// What a change does. Rows are checked against the columns when it is applied.
#[derive(Clone, Debug, PartialEq)]
pub enum Deed {
    /// New rows: all of them, or none. `curr_idx`: how many rows the asker believes there were.
    Write { curr_idx: Option<u64>, data: Vec<Map<String, Value>> },
    /// New values in the row of this key.
    Update { id: i64, data: Map<String, Value> },
    /// The row of this key goes.
    Delete { id: i64 },
}

impl Call {
    /// Reads the body of a call to `/name`.
    ///
    /// # Errors
    /// The answer that says what is wrong with it.
    pub fn read(name: &str, body: &[u8]) -> Result<Self, Told> {
        let call = match name {
            "config" => {
                let Config { schema, shards } = parse(body)?;
                schema.check().map_err(|why| bad(&why))?;
                Self::Config { schema, shards: check_shards(shards)? }
            }
            "copy" => Self::Copy { shards: check_shards(parse::<Copy>(body)?.shards)? },
            "read" => {
                let Read { shard, seq, stud_id: Range { low, high } } = parse(body)?;
                if low > high {
                    return Err(bad(&format!("{KEY} from {low} to {high} is no range")));
                }
                Self::Read { shard, low, high, seq }
            }
            "write" => {
                let Write { shard, seq, curr_idx, data } = parse(body)?;
                if data.len() > MOST_ROWS {
                    return Err(bad(&format!("A call may write {MOST_ROWS} rows")));
                }
                Self::Change(Change { shard, seq, deed: Deed::Write { curr_idx, data } })
            }
            "update" => {
                let Update { shard, seq, stud_id: id, data } = parse(body)?;
                Self::Change(Change { shard, seq, deed: Deed::Update { id, data } })
            }
            _ => {
                let Delete { shard, seq, stud_id: id } = parse(body)?;
                Self::Change(Change { shard, seq, deed: Deed::Delete { id } })
            }
        };
        match &call {
            Self::Change(Change { seq: Some(0), .. }) => Err(bad("The first change of a shard has the seq 1")),
            _ => Ok(call),
        }
    }
}

fn check_shards(shards: Vec<String>) -> Result<Vec<String>, Told> {
    if shards.is_empty() || shards.len() > MOST_SHARDS {
        return Err(bad(&format!("A call names from 1 to {MOST_SHARDS} shards")));
    }
    for (at, name) in shards.iter().enumerate() {
        check_name("shard", name).map_err(|why| bad(&why))?;
        if shards[..at].contains(name) {
            return Err(bad(&format!("Shard '{name}' is named twice")));
        }
    }
    Ok(shards)
}

#[derive(Deserialize)]
struct Config {
    schema: Schema,
    shards: Vec<String>,
}

#[derive(Deserialize)]
struct Copy {
    shards: Vec<String>,
}

#[derive(Deserialize)]
struct Range {
    low: i64,
    high: i64,
}

#[derive(Deserialize)]
struct Read {
    shard: String,
    seq: Option<u64>,
    #[serde(rename = "Stud_id")]
    stud_id: Range,
}

#[derive(Deserialize)]
struct Write {
    shard: String,
    seq: Option<u64>,
    curr_idx: Option<u64>,
    data: Vec<Map<String, Value>>,
}

#[derive(Deserialize)]
struct Update {
    shard: String,
    seq: Option<u64>,
    #[serde(rename = "Stud_id")]
    stud_id: i64,
    data: Map<String, Value>,
}

#[derive(Deserialize)]
struct Delete {
    shard: String,
    seq: Option<u64>,
    #[serde(rename = "Stud_id")]
    stud_id: i64,
}

/// Where a shard is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// The number of its last change.
    pub seq: u64,
    /// Its rows.
    pub rows: u64,
}

/// What a replica has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// The columns, if it was told.
    pub schema: Option<Arc<Schema>>,
    /// Where its shards are, by name.
    pub shards: BTreeMap<String, Position>,
}

/// `/home`, to the byte as the course has it.
#[must_use]
pub fn home(id: &str) -> Told {
    Told { status: Status::OK, body: format!("{{\"message\":\"Hello from Server: {id}\",\"status\":\"successful\"}}") }
}

/// `Server0:sh1, Server0:sh2 configured`. The id of a server is its number; in the coursework its name is that with
/// `Server` in front, unless it has a name of letters.
#[must_use]
pub fn configured(id: &str, shards: &[String]) -> Told {
    let name = if id.bytes().all(|byte| byte.is_ascii_digit()) { format!("Server{id}") } else { id.to_owned() };
    let all: Vec<String> = shards.iter().map(|shard| format!("{name}:{shard}")).collect();
    done(&format!("{} configured", all.join(", ")), "")
}

/// Rows were added, and there are so many now.
#[must_use]
pub fn added(current_idx: u64, seq: Option<u64>) -> Told {
    done("Data entries added", &format!("\"current_idx\":{current_idx},{}", seq_member(seq)))
}

/// A row has other values.
#[must_use]
pub fn updated(id: i64, seq: Option<u64>) -> Told {
    done(&format!("Data entry for {KEY}:{id} updated"), &seq_member(seq))
}

/// A row is gone.
#[must_use]
pub fn removed(id: i64, seq: Option<u64>) -> Told {
    done(&format!("Data entry with {KEY}:{id} removed"), &seq_member(seq))
}

/// Shards were filled: where they are now.
#[must_use]
pub fn filled(state: &State) -> Told {
    let names: Vec<&str> = state.shards.keys().map(String::as_str).collect();
    done(&format!("{} filled", names.join(", ")), &format!("\"shards\":{},", positions(state)))
}

/// Columns and shards.
#[must_use]
pub fn state(state: &State) -> Told {
    let schema = state.schema.as_deref().map_or(Value::Null, |schema| json!(schema));
    let body = format!("{{\"schema\":{schema},\"shards\":{},\"status\":\"success\"}}", positions(state));
    Told { status: Status::OK, body }
}

fn positions(state: &State) -> Value {
    let position = |(name, at): (&String, &Position)| (name.clone(), json!({ "seq": at.seq, "rows": at.rows }));
    state.shards.iter().map(position).collect::<Map<String, Value>>().into()
}

fn seq_member(seq: Option<u64>) -> String {
    seq.map_or(String::new(), |seq| format!("\"seq\":{seq},"))
}

/// There is no such shard here.
#[must_use]
pub fn unknown_shard(shard: &str) -> Told {
    let shown: String = shard.chars().take(64).collect();
    refused(Status::NOT_FOUND, &format!("Shard '{shown}' is not configured here"))
}

/// The number of a change does not follow on the last one: where the shard is.
#[must_use]
pub fn out_of_order(shard: &str, at: u64, seq: u64) -> Told {
    let why = format!("Shard '{shard}' is at change {at} here, and change {seq} does not fit to that");
    let body = json!({ "message": format!("<Error> {why}"), "seq": at, "status": "failure" }).to_string();
    Told { status: Status::CONFLICT, body }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str, body: &Value) -> Result<Call, String> {
        Call::read(name, body.to_string().as_bytes()).map_err(|told| {
            assert_eq!(told.status, Status::BAD_REQUEST);
            assert!(told.body.starts_with("{\"message\":\"<Error> ") && told.body.ends_with("\"status\":\"failure\"}"));
            told.body
        })
    }

    #[test]
    fn the_calls_of_the_coursework_are_read() {
        let schema = json!({ "columns": ["Stud_id"], "dtypes": ["Number"] });
        let config = read("config", &json!({ "schema": schema, "shards": ["sh1", "sh2"] })).unwrap();
        assert!(matches!(config, Call::Config { shards, .. } if shards == ["sh1", "sh2"]));
        let range = read("read", &json!({ "shard": "sh2", "Stud_id": { "low": 2235, "high": 2555 } }));
        assert_eq!(range, Ok(Call::Read { shard: "sh2".into(), low: 2235, high: 2555, seq: None }));
        let write = read("write", &json!({ "shard": "sh2", "curr_idx": 507, "data": [{ "Stud_id": 1 }] })).unwrap();
        let Call::Change(Change { seq: None, deed: Deed::Write { curr_idx: Some(507), data }, .. }) = write else {
            panic!("{write:?}")
        };
        assert_eq!(data.len(), 1);
        let removed = read("del", &json!({ "shard": "sh1", "Stud_id": 2255, "seq": 9 }));
        let wanted = Change { shard: "sh1".into(), seq: Some(9), deed: Deed::Delete { id: 2255 } };
        assert_eq!(removed, Ok(Call::Change(wanted)));
        let updated = read("update", &json!({ "shard": "sh1", "Stud_id": 2255, "data": { "Stud_marks": 27 } }));
        assert!(matches!(updated, Ok(Call::Change(Change { deed: Deed::Update { id: 2255, .. }, .. }))));
        assert_eq!(read("copy", &json!({ "shards": ["sh1"] })), Ok(Call::Copy { shards: vec!["sh1".into()] }));
    }

    #[test]
    fn wrong_calls_are_explained() {
        for (name, body, why) in [
            ("config", json!({ "shards": ["sh1"] }), "missing field `schema`"),
            ("copy", json!({ "shards": [] }), "from 1 to"),
            ("copy", json!({ "shards": ["a", "a"] }), "'a' is named twice"),
            ("copy", json!({ "shards": ["a b"] }), "no name of a shard"),
            ("read", json!({ "shard": "a", "Stud_id": { "low": 2, "high": 1 } }), "no range"),
            ("read", json!({ "shard": "a", "Stud_id": 2 }), "cannot be read"),
            ("write", json!({ "shard": "a", "data": [1] }), "cannot be read"),
            ("write", json!({ "shard": "a", "seq": 0, "data": [] }), "the seq 1"),
            ("update", json!({ "shard": "a", "Stud_id": 1 }), "missing field `data`"),
            ("del", json!({ "shard": "a", "Stud_id": "1" }), "cannot be read"),
            ("del", json!([]), "cannot be read"),
        ] {
            let said = read(name, &body).unwrap_err();
            assert!(said.contains(why), "{name} {body}: {said}");
        }
        assert!(Call::read("del", b"{").is_err());
    }

    #[test]
    fn the_answers_are_those_of_the_coursework_to_the_byte() {
        for (told, words) in [
            (
                configured("0", &["sh1".into(), "sh2".into()]),
                r#"{"message":"Server0:sh1, Server0:sh2 configured","status":"success"}"#,
            ),
            (added(512, None), r#"{"message":"Data entries added","current_idx":512,"status":"success"}"#),
            (added(512, Some(7)), r#"{"message":"Data entries added","current_idx":512,"seq":7,"status":"success"}"#),
            (updated(2255, None), r#"{"message":"Data entry for Stud_id:2255 updated","status":"success"}"#),
            (removed(2255, None), r#"{"message":"Data entry with Stud_id:2255 removed","status":"success"}"#),
            (home("0"), r#"{"message":"Hello from Server: 0","status":"successful"}"#),
        ] {
            assert_eq!((told.status, told.body.as_str()), (Status::OK, words));
        }
    }
}

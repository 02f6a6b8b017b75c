//! The words of the answers, as the coursework has them. Pure.

use super::map::Map;
use protocol::{
    http::Status,
    shard::{
        KEY,
        told::{Told, done},
    },
};
use serde::Serialize;
use serde_json::json;

/// What stands before the digits in the name of a server.
pub const PREFIX: &str = "Server";

/// A number of a server, for those who are asked under it: `Server4` is server 4, any other name stays.
#[must_use]
pub fn id_of(name: &str) -> &str {
    name.strip_prefix(PREFIX)
        .filter(|id| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit()))
        .unwrap_or(name)
}

/// The table is there.
#[must_use]
pub fn configured() -> Told {
    done("Configured Database", "")
}

/// A map and its number of servers, in the coursework's order.
#[derive(Serialize)]
struct Whole<'a> {
    #[serde(rename = "N")]
    n: usize,
    #[serde(flatten)]
    map: &'a Map,
}

/// The map.
#[must_use]
pub fn status(map: &Map) -> Told {
    let body = serde_json::to_string(&Whole { n: map.servers.len(), map }).unwrap_or_default();
    Told { status: Status::OK, body }
}

/// These servers are there, too; `n` in all.
#[must_use]
pub fn added(n: usize, names: &[String]) -> Told {
    let shown = |name: &String| {
        let id = id_of(name);
        if id == name { name.clone() } else { format!("{PREFIX}:{id}") }
    };
    let all: Vec<String> = names.iter().map(shown).collect();
    let words = match all.split_last() {
        Some((last, before)) if !before.is_empty() => format!("{} and {last}", before.join(", ")),
        _ => all.concat(),
    };
    let body = format!("{{\"N\":{n},\"message\":{},\"status\":\"successful\"}}", json!(format!("Add {words}")));
    Told { status: Status::OK, body }
}

/// These servers are gone; `n` are left.
#[must_use]
pub fn removed_servers(n: usize, names: &[String]) -> Told {
    let body = format!("{{\"message\":{{\"N\":{n},\"servers\":{}}},\"status\":\"successful\"}}", json!(names));
    Told { status: Status::OK, body }
}

/// Rows of these shards: `rows` are JSON objects with commas between them.
#[must_use]
pub fn rows(shards: &[String], rows: &str) -> Told {
    let body = format!("{{\"shards_queried\":{},\"data\":[{rows}],\"status\":\"success\"}}", json!(shards));
    Told { status: Status::OK, body }
}

/// So many rows were added.
#[must_use]
pub fn written(count: usize) -> Told {
    done(&format!("{count} Data entries added"), "")
}

/// A row has other values.
#[must_use]
pub fn updated(id: i64) -> Told {
    done(&format!("Data entry for {KEY}: {id} updated"), "")
}

/// A row is gone.
#[must_use]
pub fn removed(id: i64) -> Told {
    done(&format!("Data entry with {KEY}:{id} removed from all replicas"), "")
}

/// The map is kept, but these servers have not come into service yet: that goes on.
#[must_use]
pub fn coming(names: &[String]) -> Told {
    let who = if names.is_empty() { String::new() } else { format!(", and {} not in service yet", who_is(names)) };
    let words = format!("The map is kept{who}. It goes on with that; GET /status shows the map");
    Told { status: Status::ACCEPTED, ..done(&words, "") }
}

fn who_is(names: &[String]) -> String {
    format!("{} {}", names.join(", "), if names.len() == 1 { "is" } else { "are" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answers_are_those_of_the_coursework_to_the_byte() {
        for (told, words) in [
            (configured(), r#"{"message":"Configured Database","status":"success"}"#),
            (
                removed_servers(3, &["Server4".into()]),
                r#"{"message":{"N":3,"servers":["Server4"]},"status":"successful"}"#,
            ),
            (
                rows(&["sh2".into(), "sh3".into()], r#"{"Stud_id":1}"#),
                r#"{"shards_queried":["sh2","sh3"],"data":[{"Stud_id":1}],"status":"success"}"#,
            ),
            (written(100), r#"{"message":"100 Data entries added","status":"success"}"#),
            (updated(2255), r#"{"message":"Data entry for Stud_id: 2255 updated","status":"success"}"#),
            (
                removed(2255),
                r#"{"message":"Data entry with Stud_id:2255 removed from all replicas","status":"success"}"#,
            ),
        ] {
            assert_eq!((told.status, told.body.as_str()), (Status::OK, words));
        }
    }

    #[test]
    fn what_is_kept_but_not_done_says_both() {
        let told = coming(&["Server4".into(), "Server5".into()]);
        assert_eq!(told.status, Status::ACCEPTED);
        assert!(told.says().starts_with("The map is kept, and Server4, Server5 are not in service yet."), "{told:?}");
        assert!(coming(&[]).says().starts_with("The map is kept. It goes on"));
    }
}

//! What is asked of the sharded table, as the coursework has it. Pure.

use super::{
    answers::PREFIX,
    map::{Map, Servers, Shard},
};
use protocol::{
    flags::parse_server_id,
    output::count,
    shard::{
        KEY, Schema,
        told::{MOST_ROWS, Told, bad, parse},
    },
};
use serde::Deserialize;
use serde_json::{Map as Object, Value, json};
use std::fmt;

/// The name of a server whose number shall be drawn.
const DRAWN: &str = "Server[";

/// What is asked.
#[derive(Debug, PartialEq)]
pub enum Call {
    /// Begin with this map.
    Init(Map),
    /// Which map there is.
    Status,
    /// More shards and servers.
    Add {
        /// The shards.
        shards: Vec<Shard>,
        /// The servers.
        servers: Servers,
    },
    /// So many servers less: these, and others by chance.
    Remove {
        /// How many.
        n: usize,
        /// Which surely.
        names: Vec<String>,
    },
    /// The rows with keys from `low` to `high`, both included.
    Read {
        /// The first.
        low: i64,
        /// The last.
        high: i64,
    },
    /// New rows.
    Write(Vec<Object<String, Value>>),
    /// Other values in the row of this key.
    Update {
        /// The key.
        id: i64,
        /// The values.
        data: Object<String, Value>,
    },
    /// The row of this key goes.
    Delete {
        /// The key.
        id: i64,
    },
}

impl Call {
    /// The method that a path takes; none if there is no such path.
    #[must_use]
    pub fn method(path: &str) -> Option<&'static str> {
        Some(match path {
            "init" | "add" | "read" | "write" => "POST",
            "status" => "GET",
            "rm" | "del" => "DELETE",
            "update" => "PUT",
            _ => return None,
        })
    }

    /// Reads the body of a call to one of those paths. `draw` gives random numbers, for names like `Server[5]`.
    ///
    /// # Errors
    /// The answer that says what is wrong with it.
    pub fn read(path: &str, body: &[u8], draw: &mut dyn FnMut() -> u32) -> Result<Self, Told> {
        Ok(match path {
            "init" if body.is_empty() => Self::Init(usual()),
            "init" => {
                let Init { n, schema, shards, servers } = parse(body)?;
                let (there, servers) = (servers.len(), named(servers, draw)?);
                if n != there {
                    return Err(bad(&format!("N is {n}, and there are {there} servers")));
                }
                Self::Init(Map::new(schema, shards, servers).map_err(|why| bad(&why))?)
            }
            "status" => Self::Status,
            "add" => {
                let Add { n, new_shards: shards, servers } = parse(body)?;
                if n > servers.len() {
                    return Err(bad("Number of new servers (n) is greater than newly added instances"));
                }
                if n < servers.len() {
                    return Err(bad("Number of new servers (n) is less than newly added instances"));
                }
                Self::Add { shards, servers: named(servers, draw)? }
            }
            "rm" => {
                let Remove { n, servers: names } = parse(body)?;
                if names.len() > n {
                    return Err(bad("Length of server list is more than removable instances"));
                }
                Self::Remove { n, names }
            }
            "read" => {
                let Read { stud_id: Range { low, high } } = parse(body)?;
                Self::Read { low, high }
            }
            "write" => {
                let Write { data } = parse(body)?;
                if data.is_empty() || data.len() > MOST_ROWS {
                    return Err(bad(&format!("A call writes 1 to {MOST_ROWS} rows")));
                }
                Self::Write(data)
            }
            "update" => {
                let Update { stud_id: id, data } = parse(body)?;
                Self::Update { id, data }
            }
            _ => Self::Delete { id: parse::<Delete>(body)?.stud_id },
        })
    }
}

fn some(n: usize, what: &str) -> String {
    count(n as u64, what)
}

/// As the journal has it: the method and the path, and what it is about.
impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Init(map) => {
                let (shards, servers) = (some(map.shards.len(), "shard"), some(map.servers.len(), "server"));
                write!(f, "POST /init, {shards} on {servers}")
            }
            Self::Status => f.write_str("GET /status"),
            Self::Add { shards, servers } => {
                write!(f, "POST /add, {} and {}", some(shards.len(), "shard"), some(servers.len(), "server"))
            }
            Self::Remove { n, names } => {
                write!(f, "DELETE /rm, {} ({} named)", some(*n, "server"), names.len())
            }
            Self::Read { low, high } => write!(f, "POST /read, {KEY} {low} to {high}"),
            Self::Write(rows) => write!(f, "POST /write, {}", some(rows.len(), "row")),
            Self::Update { id, .. } => write!(f, "PUT /update, {KEY} {id}"),
            Self::Delete { id } => write!(f, "DELETE /del, {KEY} {id}"),
        }
    }
}

/// Servers by their names, drawn where that is asked for.
fn named(servers: Object<String, Value>, draw: &mut dyn FnMut() -> u32) -> Result<Servers, Told> {
    let mut all = Servers::new();
    for (name, shards) in servers {
        let shards = serde_json::from_value(shards)
            .map_err(|_| bad(&format!("The shards of server '{name}' are no list of names")))?;
        let name = if name.starts_with(DRAWN) { format!("{PREFIX}{}", draw() % 90_000 + 10_000) } else { name };
        let name = parse_server_id(&name).map_err(|why| bad(&why.to_string()))?;
        if all.insert(name.clone(), shards).is_some() {
            return Err(bad(&format!("Server '{name}' is there twice")));
        }
    }
    Ok(all)
}

#[derive(Deserialize)]
struct Init {
    #[serde(rename = "N")]
    n: usize,
    schema: Schema,
    shards: Vec<Shard>,
    servers: Object<String, Value>,
}

#[derive(Deserialize)]
struct Add {
    n: usize,
    #[serde(default)]
    new_shards: Vec<Shard>,
    servers: Object<String, Value>,
}

#[derive(Deserialize)]
struct Remove {
    n: usize,
    #[serde(default)]
    servers: Vec<String>,
}

#[derive(Deserialize)]
struct Range {
    low: i64,
    high: i64,
}

#[derive(Deserialize)]
struct Read {
    #[serde(rename = "Stud_id")]
    stud_id: Range,
}

#[derive(Deserialize)]
struct Write {
    data: Vec<Object<String, Value>>,
}

#[derive(Deserialize)]
struct Update {
    #[serde(rename = "Stud_id")]
    stud_id: i64,
    data: Object<String, Value>,
}

#[derive(Deserialize)]
struct Delete {
    #[serde(rename = "Stud_id")]
    stud_id: i64,
}

/// The coursework's default: six servers, four shards of 4,096 keys, three replicas of each.
fn usual() -> Map {
    let schema = json!({ "columns": [KEY, "Stud_name", "Stud_marks"], "dtypes": ["Number", "String", "String"] });
    let shard = |number: i64| json!({ "Stud_id_low": (number - 1) * 4096, "Shard_id": format!("sh{number}"), "Shard_size": 4096 });
    let shards: Vec<Value> = (1..=4).map(shard).collect();
    let servers = json!({
        "Server0": ["sh1", "sh2"], "Server1": ["sh3", "sh4"], "Server3": ["sh1", "sh3"],
        "Server4": ["sh4", "sh2"], "Server5": ["sh1", "sh4"], "Server6": ["sh3", "sh2"],
    });
    let map = json!({ "schema": schema, "shards": shards, "servers": servers });
    serde_json::from_value(map).unwrap_or_else(|_| unreachable!("a test reads it"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shards::answers::{added, id_of, status};

    fn read(path: &str, body: &Value) -> Result<Call, String> {
        Call::read(path, body.to_string().as_bytes(), &mut || 48_127).map_err(|told| told.body)
    }

    #[test]
    fn the_default_is_that_of_the_coursework() {
        let Ok(Call::Init(map)) = Call::read("init", b"", &mut || 0) else { panic!() };
        assert_eq!(Map::new(map.schema.clone(), map.shards.clone(), map.servers.clone()), Ok(map.clone()));
        assert_eq!((map.servers.len(), map.shards.len(), map.of(16_383).unwrap().id.as_str()), (6, 4, "sh4"));
        let told = status(&map).body;
        assert!(
            told.starts_with(r#"{"N":6,"schema":{"columns":["Stud_id","Stud_name","Stud_marks"],"dtypes":["Number","#)
        );
        assert!(told.contains(r#"{"Stud_id_low":4096,"Shard_id":"sh2","Shard_size":4096}"#), "{told}");
        assert!(told.ends_with(r#""Server6":["sh3","sh2"]}}"#), "{told}");
    }

    #[test]
    fn names_are_drawn_where_that_is_asked_for() {
        let body = json!({ "n": 2, "servers": { "Server4": ["sh1"], "Server[5]": ["sh2"] } });
        let Ok(Call::Add { servers, shards }) = read("add", &body) else { panic!() };
        let names: Vec<String> = servers.keys().cloned().collect();
        assert_eq!((names.as_slice(), shards.len()), (&["Server4".to_owned(), "Server58127".to_owned()][..], 0));
        assert_eq!(added(5, &names).body, r#"{"N":5,"message":"Add Server:4 and Server:58127","status":"successful"}"#);
        assert_eq!(
            [id_of("Server4"), id_of("Server"), id_of("S7"), id_of("Server4x")],
            ["4", "Server", "S7", "Server4x"]
        );
    }

    #[test]
    fn the_errors_are_those_of_the_coursework() {
        let add = read("add", &json!({ "n": 3, "servers": { "Server4": [] } })).unwrap_err();
        let words = "<Error> Number of new servers (n) is greater than newly added instances";
        assert_eq!(add, format!(r#"{{"message":"{words}","status":"failure"}}"#));
        let remove = read("rm", &json!({ "n": 1, "servers": ["Server4", "Server5"] })).unwrap_err();
        let words = "<Error> Length of server list is more than removable instances";
        assert_eq!(remove, format!(r#"{{"message":"{words}","status":"failure"}}"#));
    }

    #[test]
    fn wrong_calls_are_explained() {
        let shards = json!([{ "Stud_id_low": 0, "Shard_id": "a", "Shard_size": 9 }]);
        let schema = json!({ "columns": ["Stud_id"], "dtypes": ["Number"] });
        let init = |n: usize, servers: Value| json!({ "N": n, "schema": schema, "shards": shards, "servers": servers });
        for (path, body, why) in [
            ("init", json!({}), "missing field `N`"),
            ("init", init(2, json!({ "A": ["a"] })), "N is 2, and there are 1"),
            ("init", init(1, json!({ "A": [] })), "has no server"),
            ("init", init(1, json!({ "A B": ["a"] })), "A B"),
            ("init", init(1, json!({ "A": "a" })), "no list of names"),
            ("init", init(2, json!({ "Server[1]": ["a"], "Server[2]": ["a"] })), "twice"),
            ("add", json!({ "n": 0, "servers": { "A": [] } }), "is less than"),
            ("read", json!({ "Stud_id": 1 }), "cannot be read"),
            ("write", json!({ "data": [] }), "1 to 100000 rows"),
            ("write", json!({ "data": {} }), "cannot be read"),
            ("update", json!({ "Stud_id": 1 }), "missing field `data`"),
            ("del", json!({}), "missing field `Stud_id`"),
        ] {
            let said = read(path, &body).unwrap_err();
            assert!(said.contains(why), "{path} {body}: {said}");
        }
    }
}

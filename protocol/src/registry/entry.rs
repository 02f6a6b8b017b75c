//! One server's entry, to and from JSON.

use crate::{
    database::kind_of,
    flags::{MAX_CAPACITY, MAX_PROCESSING_TIME, UNLIMITED, parse_server_id},
};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value};
use std::net::SocketAddr;

/// The service of a server that answers the lab protocol.
pub const LAB: &str = "lab";

/// The keys we know, in the order in which a person wants to read them.
const KEYS: [&str; 7] = ["id", "address", "service", "processing_time", "capacity", "control", "pid"];

/// A server, as it registered itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Value")]
pub struct Entry {
    /// Its name: 1 to 64 letters, digits, '_', '.' or '-'.
    pub id: String,
    /// Where it serves.
    pub address: SocketAddr,
    /// What it serves; `lab` for the lab protocol, else the name of another service, such as `echo` or `http`.
    pub service: String,
    /// How long it takes for a request, in seconds, 0 to 3600; less is stronger.
    pub processing_time: f64,
    /// How many requests it takes at once; [`UNLIMITED`] is written as the word.
    #[serde(serialize_with = "write_capacity")]
    pub capacity: u32,
    /// Where it answers the handshake and heartbeats.
    pub control: SocketAddr,
    /// Its process, if known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
}

impl TryFrom<Value> for Entry {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, String> {
        Self::from_value(&value)
    }
}

impl Entry {
    /// Understands an element of `servers.json`. An id may be a number; capacity (1) and pid may be missing; keys
    /// not known here are ignored.
    ///
    /// # Errors
    /// What is wrong, as a sentence.
    pub fn from_value(value: &Value) -> Result<Self, String> {
        let Value::Object(object) = value else {
            return Err(format!("It is {} where an object belongs.", kind_of(value)));
        };
        let service = text(object, "service")?;
        if service.is_empty() || service.len() > crate::limits::MAX_ID || service.chars().any(char::is_control) {
            return Err("The key \"service\" is not a short name.".to_owned());
        }
        Ok(Self {
            id: id(object)?,
            address: address(object, "address")?,
            service: service.to_owned(),
            processing_time: processing_time(object)?,
            capacity: capacity(object)?,
            control: address(object, "control")?,
            pid: pid(object)?,
        })
    }

    /// Whether both are of the same process: same id, addresses and process number.
    #[must_use]
    pub fn is_same_process(&self, other: &Self) -> bool {
        (&self.id, self.address, self.control, self.pid) == (&other.id, other.address, other.control, other.pid)
    }

    fn to_object(&self) -> Map<String, Value> {
        match serde_json::to_value(self) {
            Ok(Value::Object(object)) => object,
            // Texts, numbers and addresses always have a JSON form, and a struct is an object.
            _ => Map::new(),
        }
    }
}

/// Puts an entry into the list, in the place of those of the same id or address, which it returns.
pub(super) fn put(entries: &mut Vec<Value>, entry: &Entry) -> Vec<Entry> {
    let mut new = entry.to_object();
    let mut place = None;
    let mut replaced = Vec::new();
    let mut kept = Vec::with_capacity(entries.len() + 1);
    for value in entries.drain(..) {
        let same_id = id_of(&value).as_deref() == Some(&entry.id);
        if !same_id && address_of(&value) != Some(entry.address) {
            kept.push(value);
            continue;
        }
        place.get_or_insert(kept.len());
        replaced.extend(Entry::from_value(&value).ok().filter(|old| old != entry));
        if let (true, Value::Object(old)) = (same_id, value) {
            let foreign = old.into_iter().filter(|(key, _)| !KEYS.contains(&key.as_str()));
            new.extend(foreign);
        }
    }
    kept.insert(place.unwrap_or(kept.len()), Value::Object(new));
    *entries = kept;
    replaced
}

/// The list as it stands in the file: one entry a line, the keys we know first.
pub(super) fn format(entries: &[Value]) -> String {
    if entries.is_empty() {
        return "[]\n".to_owned();
    }
    let lines: Vec<String> = entries.iter().map(|entry| format!("  {}", format_one(entry))).collect();
    format!("[\n{}\n]\n", lines.join(",\n"))
}

fn format_one(entry: &Value) -> String {
    let Value::Object(object) = entry else { return entry.to_string() };
    let known = KEYS.iter().filter_map(|key| object.get_key_value(*key));
    let foreign = object.iter().filter(|(key, _)| !KEYS.contains(&key.as_str()));
    let pairs: Vec<String> =
        known.chain(foreign).map(|(key, value)| format!("{}: {value}", Value::from(key.as_str()))).collect();
    format!("{{{}}}", pairs.join(", "))
}

/// The id of an element that may be wrong otherwise.
pub(super) fn id_of(value: &Value) -> Option<String> {
    value.as_object().and_then(|object| id(object).ok())
}

fn address_of(value: &Value) -> Option<SocketAddr> {
    value.as_object().and_then(|object| address(object, "address").ok())
}

fn id(object: &Map<String, Value>) -> Result<String, String> {
    match object.get("id") {
        Some(Value::Number(number)) if number.is_u64() => Ok(number.to_string()),
        _ => parse_server_id(text(object, "id")?).map_err(|why| format!("The key \"id\" is wrong. {why}")),
    }
}

fn address(object: &Map<String, Value>, key: &str) -> Result<SocketAddr, String> {
    match text(object, key)?.parse::<SocketAddr>() {
        Ok(address) if address.port() != 0 => Ok(address),
        Ok(_) => Err(format!("The key \"{key}\" has port 0, where nobody can be reached.")),
        Err(_) => Err(format!("The key \"{key}\" is not an address as in \"127.0.0.1:6001\".")),
    }
}

fn processing_time(object: &Map<String, Value>) -> Result<f64, String> {
    let value = needed(object, "processing_time")?;
    let seconds = value.as_f64().filter(|seconds| (0.0..=MAX_PROCESSING_TIME).contains(seconds));
    seconds.ok_or_else(|| {
        format!("The key \"processing_time\" is not a number of seconds from 0 to {MAX_PROCESSING_TIME}.")
    })
}

fn capacity(object: &Map<String, Value>) -> Result<u32, String> {
    let Some(value) = object.get("capacity").filter(|value| !value.is_null()) else { return Ok(1) };
    if value == "unlimited" {
        return Ok(UNLIMITED);
    }
    let number = value.as_u64().and_then(|number| u32::try_from(number).ok());
    let number = number.filter(|number| (1..=MAX_CAPACITY).contains(number));
    number.ok_or_else(|| {
        format!("The key \"capacity\" is neither a whole number from 1 to {MAX_CAPACITY} nor \"unlimited\".")
    })
}

fn write_capacity<S: Serializer>(capacity: &u32, serializer: S) -> Result<S::Ok, S::Error> {
    if *capacity == UNLIMITED { serializer.serialize_str("unlimited") } else { serializer.serialize_u32(*capacity) }
}

fn pid(object: &Map<String, Value>) -> Result<Option<u32>, String> {
    let Some(value) = object.get("pid").filter(|value| !value.is_null()) else { return Ok(None) };
    let number = value.as_u64().and_then(|number| u32::try_from(number).ok());
    number.map(Some).ok_or_else(|| "The key \"pid\" is not the number of a process.".to_owned())
}

fn text<'a>(object: &'a Map<String, Value>, key: &str) -> Result<&'a str, String> {
    match needed(object, key)? {
        Value::String(text) => Ok(text),
        other => Err(format!("The key \"{key}\" is {} where a text belongs.", kind_of(other))),
    }
}

fn needed<'a>(object: &'a Map<String, Value>, key: &str) -> Result<&'a Value, String> {
    object.get(key).ok_or_else(|| format!("The key \"{key}\" is missing."))
}

//! Rows as JSON, written and read one by one: a copy of a hundred thousand rows takes no more memory than one of ten.
//!
//! ```text
//! {"sh1":[{"Stud_id":1,"Stud_name":"A","Stud_marks":27},…],"sh2":[],"seq":{"sh1":512,"sh2":0},"status":"success"}
//! ```
//!
//! The numbers stand behind the rows: a copy that was cut off has none, and is no copy.

use protocol::shard::Row;
use serde::{
    Deserializer,
    de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor},
    ser::{SerializeMap, Serializer},
};
use serde_json::{Map, Value};
use std::{
    collections::BTreeMap,
    fmt,
    io::{self, Read, Write},
};

/// Writes a row as an object with these names.
pub fn write_row(columns: &[String], row: &Row, out: &mut dyn Write) -> io::Result<()> {
    let mut writer = serde_json::Serializer::new(out);
    let mut object = writer.serialize_map(Some(columns.len()))?;
    columns.iter().zip(row).try_for_each(|(name, value)| object.serialize_entry(name, value))?;
    SerializeMap::end(object)?;
    Ok(())
}

/// What takes in the rows of a copy: the shard, and the row.
pub type Take<'a> = dyn FnMut(&str, Map<String, Value>) -> Result<(), String> + 'a;

/// Reads a copy, and returns the number of each shard that it has.
///
/// # Errors
/// A sentence, if it is none, is cut off, or `take` has refused a row.
pub fn read_copy(from: impl Read, take: &mut Take<'_>) -> Result<BTreeMap<String, u64>, String> {
    let mut reader = serde_json::Deserializer::from_reader(from);
    let found = reader.deserialize_map(Copy { take }).and_then(|found| reader.end().map(|()| found));
    let (shards, seq) = found.map_err(|error| format!("The copy cannot be taken: {error}"))?;
    match shards.iter().find(|shard| !seq.contains_key(*shard)) {
        Some(shard) => Err(format!("The copy does not say at which number shard '{shard}' is")),
        None if shards.len() != seq.len() => Err("The copy has numbers of shards that it does not have".to_owned()),
        None => Ok(seq),
    }
}

struct Copy<'a, 'b> {
    take: &'a mut Take<'b>,
}

impl<'de> Visitor<'de> for Copy<'_, '_> {
    type Value = (Vec<String>, BTreeMap<String, u64>);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the answer to /copy")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let (mut shards, mut seq, mut status) = (Vec::new(), None, None);
        while let Some(name) = map.next_key::<String>()? {
            match name.as_str() {
                "seq" => seq = Some(map.next_value()?),
                "status" => status = Some(map.next_value::<String>()?),
                _ if shards.contains(&name) => return Err(de::Error::custom("a shard is there twice")),
                _ => {
                    map.next_value_seed(Rows { shard: &name, take: self.take })?;
                    shards.push(name);
                }
            }
        }
        if status.as_deref() != Some("success") {
            return Err(de::Error::custom("it does not end with the status success"));
        }
        Ok((shards, seq.ok_or_else(|| de::Error::missing_field("seq"))?))
    }
}

struct Rows<'a, 'b> {
    shard: &'a str,
    take: &'a mut Take<'b>,
}

impl<'de> DeserializeSeed<'de> for Rows<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Rows<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the rows of a shard")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut rows: A) -> Result<(), A::Error> {
        while let Some(row) = rows.next_element()? {
            (self.take)(self.shard, row).map_err(de::Error::custom)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<(Vec<String>, BTreeMap<String, u64>), String> {
        let mut rows = Vec::new();
        let seq = read_copy(text.as_bytes(), &mut |shard, row| {
            rows.push(format!("{shard} {}", Value::Object(row)));
            if rows.len() > 9 { Err("too many".to_owned()) } else { Ok(()) }
        })?;
        Ok((rows, seq))
    }

    #[test]
    fn a_copy_is_read_row_by_row() {
        let (rows, seq) =
            read(r#"{"sh1":[{"Stud_id":1},{"Stud_id":2}],"sh2":[],"seq":{"sh1":5,"sh2":0},"status":"success"}"#)
                .unwrap();
        assert_eq!(rows, [r#"sh1 {"Stud_id":1}"#, r#"sh1 {"Stud_id":2}"#]);
        assert_eq!(seq, BTreeMap::from([("sh1".into(), 5), ("sh2".into(), 0)]));
    }

    #[test]
    fn what_is_cut_off_or_something_else_is_no_copy() {
        let whole = r#"{"sh1":[{"Stud_id":1}],"seq":{"sh1":5},"status":"success"}"#;
        assert!((0..whole.len()).all(|end| read(&whole[..end]).is_err()));
        for (text, why) in [
            (r#"{"sh1":[],"status":"success"}"#, "missing field `seq`"),
            (r#"{"sh1":[],"seq":{},"status":"success"}"#, "at which number shard 'sh1' is"),
            (r#"{"seq":{"sh1":5},"status":"success"}"#, "that it does not have"),
            (r#"{"sh1":[],"seq":{"sh1":5}}"#, "status success"),
            (r#"{"sh1":[],"sh1":[],"seq":{"sh1":5},"status":"success"}"#, "twice"),
            (r#"{"message":"<Error> no","status":"failure"}"#, "the rows of a shard"),
            (r#"{"sh1":[1],"seq":{"sh1":5},"status":"success"}"#, "cannot be taken"),
            (&format!("{whole} x"), "trailing"),
        ] {
            let said = read(text).unwrap_err();
            assert!(said.contains(why), "{text}: {said}");
        }
    }
}

//! What is printed: tables and sentences for people, JSON (the load balancer's own answer, on one line) or CSV for programs.

use super::call::Call;
use crate::{
    look,
    render::{Format, Style, Told},
};
use protocol::{
    output::{Plain, show},
    value::Value,
    warn,
};
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::{Value as Json, json};
use std::{
    fmt,
    io::{self, BufWriter, Write},
};

/// How answers are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Form {
    /// Tables and sentences, for people
    Table,
    /// The answer as it came, on one line; what goes wrong too
    Json,
    /// The rows that were read, as `load` takes them
    Csv,
}

/// Prints what a call has come to.
pub fn answer(form: Form, call: &Call, body: &str) {
    if form == Form::Json {
        let _nobody_reads = show!("{}", body.trim_end());
        return;
    }
    let read = || serde_json::from_str::<Json>(body).unwrap_or_default();
    let _nobody_reads = match call {
        Call::Status => status(&read()),
        Call::Read(..) => rows(form, body),
        _ => {
            let _nobody_reads = show!("{}", Plain(read()["message"].as_str().unwrap_or("Done")));
            Ok(())
        }
    };
}

/// Prints why a call is not done, or may be.
pub fn trouble(form: Form, why: &str) {
    if form == Form::Json {
        let _nobody_reads = show!("{}", json!({ "message": why, "status": "failure" }));
    } else {
        warn!("{}", Plain(why));
    }
}

/// Shards and who has them.
fn status(body: &Json) -> io::Result<()> {
    let none = serde_json::Map::new();
    let (servers, shards) = (body["servers"].as_object().unwrap_or(&none), body["shards"].as_array());
    let of = |shard: &Json| {
        let has = |all: &Json| all.as_array().is_some_and(|all| all.contains(shard));
        let names: Vec<&str> = servers.iter().filter(|(_, all)| has(all)).map(|(name, _)| name.as_str()).collect();
        names.join(" ")
    };
    let row = |shard: &Json| {
        let (low, size) = (shard["Stud_id_low"].as_i64(), shard["Shard_size"].as_u64());
        let high = low.zip(size).and_then(|(low, size)| low.checked_add_unsigned(size.checked_sub(1)?));
        let number = |number: Option<i64>| number.map_or(Value::Null, Value::Integer);
        vec![value(&shard["Shard_id"]), number(low), number(high), Value::Text(of(&shard["Shard_id"]))]
    };
    let rows: Vec<Vec<Value>> = shards.into_iter().flatten().map(row).collect();
    let count = rows.len();
    print(Form::Table, &["shard", "first Stud_id", "last Stud_id", "servers"], rows)?;
    let _nobody_reads = show!("{} servers, {count} shards", servers.len());
    Ok(())
}

/// The answer to `/read`.
#[derive(Deserialize)]
struct Read {
    data: Vec<Row>,
}

/// A row whose columns stay in the order in which they came.
struct Row(Vec<(String, Json)>);

impl<'de> Deserialize<'de> for Row {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Columns;
        impl<'de> Visitor<'de> for Columns {
            type Value = Row;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a row")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Row, A::Error> {
                let mut columns = Vec::new();
                while let Some(column) = map.next_entry()? {
                    columns.push(column);
                }
                Ok(Row(columns))
            }
        }
        deserializer.deserialize_map(Columns)
    }
}

/// Rows that were read.
fn rows(form: Form, body: &str) -> io::Result<()> {
    let data = match serde_json::from_str::<Read>(body) {
        Ok(read) => read.data,
        Err(error) => {
            warn!("The answer cannot be read: {error}");
            return Ok(());
        }
    };
    let Some(Row(first)) = data.first() else {
        // CSV has its titles always.
        let _nobody_reads =
            if form == Form::Csv { show!("{}", super::csv::HEADER.join(",")) } else { show!("No student") };
        return Ok(());
    };
    let titles: Vec<String> = first.iter().map(|(title, _)| title.clone()).collect();
    let titles: Vec<&str> = titles.iter().map(String::as_str).collect();
    print(form, &titles, data.iter().map(|Row(columns)| columns.iter().map(|(_, json)| value(json)).collect()))
}

fn print(form: Form, titles: &[&str], rows: impl IntoIterator<Item = Vec<Value>>) -> io::Result<()> {
    let format = if form == Form::Csv { Format::Csv } else { Format::Table };
    let mut render = Style { format, look: look() }.begin("", None);
    let mut out = BufWriter::new(io::stdout().lock());
    render.columns(&mut out, titles.iter().map(|title| (*title).to_owned()).collect())?;
    rows.into_iter().try_for_each(|row| render.row(&mut out, row))?;
    render.end(&mut out, Told { server: "", seconds: 0.0 })?;
    out.flush()
}

fn value(json: &Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Number(number) => {
            let real = || Value::Real(number.as_f64().unwrap_or(f64::NAN));
            number.as_i64().map_or_else(real, Value::Integer)
        }
        Json::String(text) => Value::Text(text.clone()),
        other => Value::Text(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stay_in_the_order_in_which_they_came() {
        let body =
            r#"{"shards_queried":["sh1"],"data":[{"Stud_id":1,"Stud_name":"A","Stud_marks":27}],"status":"success"}"#;
        let read: Read = serde_json::from_str(body).unwrap();
        let titles: Vec<&str> = read.data[0].0.iter().map(|(title, _)| title.as_str()).collect();
        assert_eq!(titles, super::super::csv::HEADER);
    }
}

//! `docs/reference/events.md` says what the code says.
//!
//! The page is made from the comments in the sources. What was read there is not trusted: from the fields an event of each
//! kind is made as JSON, which must be one to the program, and which must have just these keys when the program writes it
//! again; and serde itself is asked for the names that there are. With `UPDATE_DOCS=1` the page is written.

#![allow(clippy::unwrap_used, reason = "a test that unwraps in vain has failed")]

use loadbalancer::{
    dispatch::retry::Lost,
    event::{Event, Record},
    policy::{How, Name},
    pool::{Admin, Skipped},
};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use std::{fmt::Write as _, fs, mem, path::Path};

const BEGIN: &str = "<!-- events -->\n";
const END: &str = "<!-- end of events -->";

/// A variant of an enum, or a struct.
#[derive(Debug, Default)]
struct Item {
    name: String,
    says: String,
    fields: Vec<Field>,
}

#[derive(Debug)]
struct Field {
    name: String,
    of: String,
    says: String,
}

#[test]
fn the_page_of_the_events_says_what_the_code_says() {
    let mut shown = String::from("\n## The events\n");
    let events = read("loadbalancer/src/event/mod.rs", "pub enum Event {");
    assert_eq!(names(&events), known::<Event>("event"), "the names of the events");
    let mut chosen = Value::Null;
    for event in &events {
        let example = example(event);
        show(&mut shown, event, &example);
        if event.name == "ServerChosen" {
            chosen = example;
        }
    }
    shown.push_str("\n## What is in them\n");
    for (title, list, begin) in [
        ("A server that could have been chosen", "considered", "pub struct Considered {"),
        ("A server that could not", "skipped", "pub struct SkippedServer {"),
    ] {
        let fields = read("loadbalancer/src/event/mod.rs", begin);
        let fields = fields.into_iter().map(|item| Field { of: String::new(), says: item.says, name: item.name });
        let fields: Vec<Field> = fields.collect();
        let mut names: Vec<&String> = fields.iter().map(|field| &field.name).collect();
        names.sort();
        assert!(chosen[list][0].as_object().unwrap().keys().eq(names), "the keys of {list}");
        write!(shown, "\n### {title} (`{list}`)\n\n{}", table(&fields, false)).unwrap();
    }
    words::<Name>(&mut shown, "Policies (`policy`)", "loadbalancer/src/policy/mod.rs", "pub enum Name {", None);
    words::<How>(
        &mut shown,
        "What led to a choice (`how.by`)",
        "loadbalancer/src/policy/mod.rs",
        "pub enum How {",
        Some("by"),
    );
    words::<Skipped>(
        &mut shown,
        "Why not (`skipped.why`)",
        "loadbalancer/src/pool/core/slot.rs",
        "pub enum Skipped {",
        None,
    );
    words::<Lost>(
        &mut shown,
        "When it was lost (`lost`)",
        "loadbalancer/src/dispatch/retry.rs",
        "pub enum Lost {",
        None,
    );
    words::<Admin>(
        &mut shown,
        "What a person decided (`admin`)",
        "loadbalancer/src/pool/core/slot.rs",
        "pub enum Admin {",
        None,
    );
    shown.push_str("\nThe codes of failures (`code`) are those of the protocol: see `protocol.md`.\n");
    compare(&shown);
}

fn compare(shown: &str) {
    let path = repository().join("docs/reference/events.md");
    let page = fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once(BEGIN).unwrap();
    let (between, after) = rest.split_once(END).unwrap();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(path, format!("{before}{BEGIN}{shown}{END}{after}")).unwrap();
    } else {
        assert!(between == shown, "docs/reference/events.md is not what the code says; UPDATE_DOCS=1 writes it anew");
    }
}

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

// --------------------------------------------------------------------------------------------- reading the sources

/// The variants of an enum, or the fields of a struct, as rustfmt writes them.
fn read(path: &str, begin: &str) -> Vec<Item> {
    let source = fs::read_to_string(repository().join(path)).unwrap();
    let (_, rest) = source.split_once(&format!("{begin}\n")).unwrap_or_else(|| panic!("no '{begin}' in {path}"));
    let (body, _) = rest.split_once("\n}\n").unwrap();
    let (mut items, mut says, mut open) = (Vec::new(), Vec::new(), None::<Item>);
    for line in body.lines().map(str::trim) {
        if let Some(comment) = line.strip_prefix("///") {
            says.push(comment.trim().to_owned());
        } else if line.starts_with("#[") || line.is_empty() {
        } else if let Some(mut item) = open.take() {
            if line == "}," {
                items.push(item);
            } else {
                item.fields.push(field(line, mem::take(&mut says).join(" ")));
                open = Some(item);
            }
        } else {
            let mut item = Item { says: mem::take(&mut says).join(" "), ..Item::default() };
            if let Some(name) = line.strip_suffix(" {") {
                item.name = name.to_owned();
                open = Some(item);
            } else if let Some((name, fields)) = line.split_once(" { ") {
                item.name = name.to_owned();
                let fields = fields.strip_suffix(" },").unwrap();
                item.fields = fields.split(", ").map(|text| field(text, String::new())).collect();
                items.push(item);
            } else {
                let name = line.trim_start_matches("pub ").split([':', ',']).next().unwrap();
                item.name = name.to_owned();
                items.push(item);
            }
        }
    }
    items
}

fn field(text: &str, says: String) -> Field {
    let (name, of) = text.trim_end_matches(',').split_once(": ").unwrap_or_else(|| panic!("no field: '{text}'"));
    Field { name: name.to_owned(), of: of.to_owned(), says }
}

fn kebab(name: &str) -> String {
    let mut kebab = String::new();
    for (at, character) in name.char_indices() {
        if at > 0 && character.is_ascii_uppercase() {
            kebab.push('-');
        }
        kebab.push(character.to_ascii_lowercase());
    }
    kebab
}

fn names(items: &[Item]) -> Vec<String> {
    items.iter().map(|item| kebab(&item.name)).collect()
}

// ---------------------------------------------------------------------------------------------- asking the program

/// The names that there are, as serde lists them to whoever uses another one.
fn known<T: DeserializeOwned>(tag: &str) -> Vec<String> {
    let wrong = if tag.is_empty() { json!("no such name") } else { json!({ tag: "no such name" }) };
    let Err(error) = serde_json::from_value::<T>(wrong) else { panic!("a name that does not exist is accepted") };
    let error = error.to_string();
    error.split('`').skip(3).step_by(2).map(str::to_owned).collect()
}

/// An event of this kind: made from what was read, understood by the program, and written by it.
fn example(item: &Item) -> Value {
    let mut made = Map::new();
    made.insert("at_us".into(), json!(1_795_257_912_123_456_u64));
    made.insert("event".into(), json!(kebab(&item.name)));
    for field in &item.fields {
        made.insert(field.name.clone(), value(field));
    }
    let record: Record = serde_json::from_value(Value::Object(made.clone()))
        .unwrap_or_else(|error| panic!("what was read of {} is no such event: {error}", item.name));
    let written = serde_json::to_value(&record).unwrap();
    assert_eq!(written, Value::Object(made), "the keys of {}", item.name);
    written
}

/// A likely value.
fn value(field: &Field) -> Value {
    let of = field.of.strip_prefix("Option<").map_or(&*field.of, |of| of.trim_end_matches('>'));
    match (of, &*field.name) {
        ("RequestId", _) => json!("5f1d3a9c00b7e214-0000000000000001"),
        ("SocketAddr", _) => json!("127.0.0.1:5050"),
        ("PathBuf", _) => json!("runs/latest/token"),
        ("Name", _) => json!("power"),
        ("How", _) => json!({ "by": "plain" }),
        ("Admin", _) => json!("drain"),
        ("Lost", _) => json!("unanswered"),
        ("ErrorCode", _) => json!("busy"),
        ("bool", _) => json!(true),
        ("f64", _) => json!(0.1),
        ("u32" | "u64" | "usize", _) => json!(1),
        ("Vec<Considered>", _) => {
            json!([{ "server": "1", "score": 0.1, "processing_time": 0.1, "active": 0, "capacity": 1,
            "weight": null, "last_chosen": 7 }])
        }
        ("Vec<String>", "shards") => json!(["sh1", "sh2"]),
        ("Vec<String>", _) => json!(["1", "2"]),
        ("Vec<SkippedServer>", _) => json!([{ "server": "2", "why": "busy" }]),
        ("String", "server" | "from") => json!("1"),
        ("String", "shard") => json!("sh1"),
        ("String", "client") => json!("2"),
        ("String", "text") => json!("file colors.csv"),
        ("String", "policy") => json!("power"),
        ("String", "frontend") => json!("tcp"),
        ("String", _) => json!("…"),
        (other, name) => panic!("give this test a value for {name}, which is a {other}"),
    }
}

// ------------------------------------------------------------------------------------------------ writing the page

fn show(shown: &mut String, event: &Item, example: &Value) {
    write!(shown, "\n### `{}`\n\n{}\n\n", kebab(&event.name), event.says).unwrap();
    if !event.fields.is_empty() {
        writeln!(shown, "{}", table(&event.fields, true)).unwrap();
    }
    // As the program writes it: in the order of the fields.
    let record: Record = serde_json::from_value(example.clone()).unwrap();
    writeln!(shown, "```json\n{}\n```", serde_json::to_string(&record).unwrap()).unwrap();
}

fn table(fields: &[Field], types: bool) -> String {
    let mut table = String::from(if types { "| key | is | |\n|---|---|---|\n" } else { "| key | |\n|---|---|\n" });
    for field in fields {
        let of = if types { format!(" {} |", in_words(&field.of)) } else { String::new() };
        writeln!(table, "| `{}` |{of} {} |", field.name, field.says).unwrap();
    }
    table
}

fn words<T: DeserializeOwned>(shown: &mut String, title: &str, path: &str, begin: &str, tag: Option<&str>) {
    let items = read(path, begin);
    assert_eq!(names(&items), known::<T>(tag.unwrap_or_default()), "the names of {title}");
    write!(shown, "\n### {title}\n\n| word | |\n|---|---|\n").unwrap();
    for item in items {
        let more: Vec<String> = item.fields.iter().map(|field| format!(" `{}`: {}", field.name, field.says)).collect();
        writeln!(shown, "| `{}` | {}{} |", kebab(&item.name), item.says, more.concat()).unwrap();
    }
}

/// A type, for somebody who knows JSON and no Rust.
fn in_words(of: &str) -> String {
    if let Some(of) = of.strip_prefix("Option<") {
        return format!("{}, or null", in_words(of.trim_end_matches('>')));
    }
    match of {
        "RequestId" => "id of a request",
        "SocketAddr" => "address",
        "PathBuf" => "path",
        "Name" => "policy",
        "bool" => "true or false",
        "f64" | "u32" | "u64" | "usize" => "number",
        "String" => "text",
        "Vec<Considered>" | "Vec<SkippedServer>" => "list, see below",
        "How" | "Admin" | "Lost" => "see below",
        "ErrorCode" => "code of a failure",
        other => other,
    }
    .to_owned()
}

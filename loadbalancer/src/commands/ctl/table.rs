//! Answers for people: tables.

use super::Action;
use protocol::{
    flags::UNLIMITED,
    http::client::Reply,
    output::{Plain, count},
};
use serde_json::Value;
use std::fmt::Write as _;

/// The titles of the list of servers.
const SERVERS: [&str; 11] =
    ["ID", "ADDRESS", "STATUS", "ACTIVE", "CAPACITY", "WEIGHT", "TIME", "ANSWERED", "FAILED", "MEAN", "WHY"];

/// The answer to this action, for a person.
pub fn shown(action: &Action, reply: &Reply) -> String {
    let json = || reply.json::<Value>().unwrap_or_default();
    let text = match action {
        Action::Servers => servers(&json()),
        Action::Stats { csv: false } => stats(&json()),
        Action::Policy { .. } => policy(&json()),
        Action::Remove { id } => format!("Server {id} is removed; requests that it has go on."),
        Action::Add { .. } => {
            let server = json();
            format!("Server {} at {} is added.", text(&server["id"]), text(&server["address"]))
        }
        Action::Drain { .. } | Action::Maintenance { .. } | Action::Ready { .. } | Action::Weight { .. } => {
            table(&SERVERS, &[server(&json())])
        }
        Action::Capacity { capacity, .. } => {
            let shown = json();
            table(&SERVERS, &[server(&shown)]) + &own_limit(*capacity, &shown)
        }
        Action::Stats { csv: true } | Action::Metrics | Action::Why { .. } => return reply.text(),
    };
    Plain(&text).to_string()
}

/// Whoever asks for no limit, and gets one, is told whose it is.
fn own_limit(asked: u32, server: &Value) -> String {
    match server["capacity"].as_u64() {
        Some(most) if asked == UNLIMITED => format!(
            "No limit is set here any more; server {} itself takes {} at once (server --capacity), and gets no more.\n",
            text(&server["id"]),
            count(most, "request")
        ),
        _ => String::new(),
    }
}

fn servers(shown: &Value) -> String {
    let mut all = String::new();
    for pool in list(&shown["pools"]) {
        let (name, waiting) = (text(&pool["pool"]), text(&pool["waiting"]));
        let _written = writeln!(all, "Pool {name}, policy {}, {waiting} waiting", text(&pool["policy"]));
        let rows: Vec<_> = list(&pool["servers"]).iter().map(server).collect();
        all.push_str(&if rows.is_empty() { "no servers\n".to_owned() } else { table(&SERVERS, &rows) });
    }
    for server in list(&shown["outside"]) {
        let why = text(&server["why"]);
        let _written =
            writeln!(all, "Not in a pool: server {} at {}: {why}", text(&server["id"]), text(&server["address"]));
    }
    all
}

fn server(server: &Value) -> Vec<String> {
    let ms = |value: &Value| value.as_f64().map_or_else(|| "-".to_owned(), |ms| format!("{ms:.1} ms"));
    let capacity = server["capacity"].as_u64().map_or_else(|| "unlimited".to_owned(), |n| n.to_string());
    vec![
        text(&server["id"]),
        text(&server["address"]),
        text(&server["status"]),
        text(&server["active"]),
        capacity,
        text(&server["weight"]),
        format!("{} s", text(&server["processing_time"])),
        text(&server["answered"]),
        text(&server["failed"]),
        ms(&server["mean_ms"]),
        text(&server["reason"]),
    ]
}

fn stats(shown: &Value) -> String {
    let mut all = String::new();
    for pool in list(&shown["pools"]) {
        let up = pool["up_s"].as_f64().unwrap_or_default();
        let _written = writeln!(all, "Pool {}, up {up:.0} s", text(&pool["pool"]));
        let number =
            |(name, value): (&String, &Value)| value.is_number().then(|| vec![name.replace('_', " "), text(value)]);
        let totals = pool["totals"].as_object();
        let rows: Vec<_> = totals.into_iter().flatten().filter_map(number).collect();
        all.push_str(&table(&["WHAT", "COUNT"], &rows));
    }
    all
}

fn policy(shown: &Value) -> String {
    let mut all = String::new();
    for pool in list(&shown["pools"]) {
        let policy = text(&pool["policy"]);
        let _written = write!(all, "Pool {}: policy {policy}", text(&pool["pool"]));
        // The options are those of the ring; other policies have none.
        let options = pool["options"].as_object().filter(|_| policy == "consistent-hash");
        for (name, value) in options.into_iter().flatten().filter(|(_, value)| !value.is_null()) {
            let _written = write!(all, ", {} {}", name.replace('_', " "), text(value));
        }
        all.push('\n');
    }
    let names: Vec<_> = list(&shown["policies"]).iter().map(text).collect();
    let _written = writeln!(all, "There are {}.", names.join(", "));
    all
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// A value as a person writes it; `-` for none.
fn text(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Columns, each as wide as its widest value, two spaces apart.
fn table(titles: &[&str], rows: &[Vec<String>]) -> String {
    let titles: Vec<String> = titles.iter().map(|title| (*title).to_owned()).collect();
    let wide =
        |at: usize| rows.iter().chain([&titles]).filter_map(|row| row.get(at)).map(|it| it.chars().count()).max();
    let widths: Vec<usize> = (0..titles.len()).map(|at| wide(at).unwrap_or_default()).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    std::iter::once(&titles).chain(rows).map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn columns_stand_under_their_titles() {
        let rows = [vec!["1".to_owned(), "idle".to_owned()], vec!["server-22".to_owned(), "ü".to_owned()]];
        assert_eq!(table(&["ID", "STATUS"], &rows), "ID         STATUS\n1          idle\nserver-22  ü\n");
    }

    #[test]
    fn what_is_not_there_is_a_dash_and_nothing_panics() {
        let one = json!({ "id": "1", "capacity": 1 });
        assert!(own_limit(UNLIMITED, &one).contains("server 1 itself takes 1 request at once"));
        assert_eq!(
            (own_limit(1, &one), own_limit(UNLIMITED, &json!({ "id": "1", "capacity": null }))),
            Default::default()
        );
        let row = server(&json!({ "id": "1", "mean_ms": 1.26, "capacity": 4 }));
        assert_eq!((&row[0][..], &row[1][..], &row[4][..], &row[9][..]), ("1", "-", "4", "1.3 ms"));
        for odd in [json!(null), json!([]), json!({ "pools": 5 }), json!({ "pools": [{}], "outside": [7] })] {
            let _text = (servers(&odd), stats(&odd), policy(&odd));
        }
    }
}

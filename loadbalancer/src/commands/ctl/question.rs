//! The request that a command stands for. No I/O.

use super::{Action, Failed, Weight};
use crate::policy::UNLIMITED;
use protocol::http::{HttpError, Method, client::Ask, escape};
use serde_json::{Value, json};

/// A request that has not been sent.
#[derive(Debug)]
pub struct Question {
    method: Method,
    path: String,
    body: Option<Value>,
    /// Whether sentences are wanted instead of JSON, where there are any.
    sentences: bool,
}

impl Question {
    /// What this action asks, of one pool or of all.
    ///
    /// # Errors
    /// If there are options, and no policy that they are for.
    pub fn of(action: &Action, pool: Option<&str>, json: bool) -> Result<Self, Failed> {
        let server = |id: &str, what: &str| format!("/servers/{}{what}", escape(id));
        let get = |path: &str| (Method::Get, path.to_owned(), None);
        let post = |path: String, body: Option<Value>| (Method::Post, path, body);
        let (method, path, body) = match action {
            Action::Servers | Action::Stats { csv: false } => get("/servers"),
            Action::Stats { csv: true } => get("/stats.csv"),
            Action::Metrics => get("/metrics"),
            Action::Drain { id } => post(server(id, "/drain"), None),
            Action::Maintenance { id } => post(server(id, "/maintenance"), None),
            Action::Ready { id } => post(server(id, "/ready"), None),
            Action::Weight { id, weight: Weight(weight) } => {
                post(server(id, "/weight"), Some(json!({ "weight": weight })))
            }
            Action::Capacity { id, capacity } => {
                let capacity = if *capacity == UNLIMITED { "unlimited".into() } else { Value::from(*capacity) };
                post(server(id, "/capacity"), Some(json!({ "capacity": capacity })))
            }
            Action::Policy { name: None, options } if *options != Default::default() => {
                return Err(Failed::Usage("Options need the policy that they are for: ctl policy NAME …".to_owned()));
            }
            Action::Policy { name: None, .. } => get("/policy"),
            Action::Policy { name: Some(name), options } => {
                post("/policy".to_owned(), Some(json!({ "policy": name, "options": options })))
            }
            Action::Add { control } => post("/servers".to_owned(), Some(json!({ "control": control }))),
            Action::Remove { id } => (Method::Delete, server(id, ""), None),
            Action::Why { id } => get(&format!("/why/{}", escape(id))),
        };
        let past = matches!(action, Action::Why { .. });
        let path = match pool.filter(|_| !past) {
            Some(pool) => format!("{path}?pool={}", escape(pool)),
            None => path,
        };
        Ok(Self { method, path, body, sentences: past && !json })
    }

    /// Whether something is different afterwards.
    #[must_use]
    pub fn changes(&self) -> bool {
        !self.method.is_safe()
    }

    /// As it is sent.
    ///
    /// # Errors
    /// If it cannot be.
    pub fn ask(&self, token: Option<&str>) -> Result<Ask, HttpError> {
        let mut ask = Ask::new(self.method.clone(), self.path.clone());
        if self.sentences {
            ask = ask.header("Accept", "text/plain")?;
        }
        if let Some(token) = token.filter(|_| self.changes()) {
            ask = ask.header("Authorization", format!("Bearer {token}"))?;
        }
        self.body.as_ref().map_or(Ok(ask.clone()), |body| ask.json(body))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::{Command, Program};
    use clap::Parser;

    fn question(line: &str) -> Result<(String, String), u8> {
        let args = ["loadbalancer", "ctl"].into_iter().chain(line.split_whitespace());
        let program = Program::try_parse_from(args).map_err(|_| 2)?;
        let Some(Command::Ctl(flags)) = program.command else { panic!("{line}") };
        let question = Question::of(&flags.action, flags.pool.as_deref(), flags.json).map_err(|_| 2)?;
        let body = question.body.map(|body| body.to_string()).unwrap_or_default();
        Ok((format!("{} {}", question.method, question.path), body))
    }

    fn asks(line: &str, head: &str, body: &str) {
        assert_eq!(question(line), Ok((head.to_owned(), body.to_owned())), "{line}");
    }

    #[test]
    fn each_command_is_a_request() {
        asks("servers", "GET /servers", "");
        asks("stats --json", "GET /servers", "");
        asks("stats --csv", "GET /stats.csv", "");
        asks("metrics", "GET /metrics", "");
        asks("drain S5 --pool tcp", "POST /servers/S5/drain?pool=tcp", "");
        asks("maintenance a/../b", "POST /servers/a%2F..%2Fb/maintenance", "");
        asks("weight 1 256", "POST /servers/1/weight", r#"{"weight":256}"#);
        asks("weight 1 none", "POST /servers/1/weight", r#"{"weight":null}"#);
        asks("capacity 1 4", "POST /servers/1/capacity", r#"{"capacity":4}"#);
        asks("capacity 1 unlimited", "POST /servers/1/capacity", r#"{"capacity":"unlimited"}"#);
        asks("policy", "GET /policy", "");
        asks("add 127.0.0.1:7001", "POST /servers", r#"{"control":"127.0.0.1:7001"}"#);
        asks("remove 1", "DELETE /servers/1", "");
        asks("why 5f1d --pool lab", "GET /why/5f1d", "");
    }

    #[test]
    fn a_policy_takes_its_options_along() {
        let (head, body) = question("policy consistent-hash --ring-bound 1.25").unwrap();
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!((&head[..], &body["policy"]), ("POST /policy", &"consistent-hash".into()));
        assert_eq!(body["options"]["ring_bound"], 1.25);
    }

    #[test]
    fn what_makes_no_sense_is_wrong_usage() {
        for line in [
            "",
            "fly",
            "drain",
            "weight 1",
            "weight 1 0",
            "weight 1 257",
            "weight 1 x",
            "weight 1 -1",
            "capacity 1 0",
            "capacity 1 NaN",
            "policy strongest",
            "policy --ring-bound 2",
            "policy consistent-hash --ring-bound 0.5",
            "add nowhere",
            "add 127.0.0.1",
            "servers 1",
            "drain 1 2",
            "stats --csv --json",
            "servers --admin :0",
            "--balance power servers",
        ] {
            assert_eq!(question(line), Err(2), "{line}");
        }
    }
}

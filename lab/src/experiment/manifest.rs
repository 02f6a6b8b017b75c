//! What a run depended on, so that it can be repeated and believed.

use crate::record::{Machine, machine};
use serde::Serialize;
use serde_json::{Map, Value};
use std::time::SystemTime;

/// The file `manifest.json` of a run.
#[derive(Clone, Debug, Serialize)]
pub struct Manifest {
    /// The experiment.
    pub experiment: &'static str,
    /// The command that repeats it, with the same seed.
    pub command: String,
    /// The commit of the checkout.
    pub commit: String,
    /// Whether files differed from it.
    pub dirty: bool,
    /// Where all random choices come from.
    pub seed: u64,
    /// The flags of the experiment with the values they had.
    pub parameters: Value,
    /// On what it ran.
    pub machine: Machine,
    /// Of what was run.
    pub versions: Versions,
    /// When it began, in UTC.
    pub started: String,
    /// When it ended; nothing if it did not, or in the middle.
    pub ended: Option<String>,
}

/// Of what was run.
#[derive(Clone, Debug, Serialize)]
pub struct Versions {
    /// The version of the laboratory.
    pub lab: &'static str,
    /// The compiler that is installed here.
    pub rustc: Option<String>,
    /// `release`, or `debug`, whose figures mean little.
    pub build: &'static str,
}

/// Which build this is.
pub const BUILD: &str = if cfg!(debug_assertions) { "debug" } else { "release" };

impl Manifest {
    /// The manifest of a run that begins now.
    #[must_use]
    pub fn new(experiment: &'static str, parameters: Value, seed: u64, machine: Machine) -> Self {
        let (commit, dirty) = match machine.commit.strip_suffix('+') {
            Some(commit) => (commit.to_owned(), true),
            None => (machine.commit.clone(), false),
        };
        Self {
            experiment,
            command: command(experiment, &parameters, seed),
            commit,
            dirty,
            seed,
            parameters,
            machine,
            versions: Versions { lab: env!("CARGO_PKG_VERSION"), rustc: machine::version_of("rustc"), build: BUILD },
            started: machine::time(SystemTime::now()),
            ended: None,
        }
    }
}

/// The command that repeats a run: every flag as it was, whether somebody gave it or it is the default now.
fn command(experiment: &str, parameters: &Value, seed: u64) -> String {
    let build = if BUILD == "release" { " --release" } else { "" };
    let none = Map::new();
    let flags = parameters.as_object().unwrap_or(&none).iter().filter(|(name, _)| *name != "seed");
    let flags: String = flags.filter_map(|(name, value)| Some(format!(" --{name} {}", shown(value)?))).collect();
    format!("cargo run{build} -- experiment {experiment}{flags} --seed {seed}")
}

/// A value as it is typed after its flag; nothing if the flag was not given.
fn shown(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        Value::Array(all) if all.is_empty() => None,
        Value::Array(all) => {
            let list = all.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(",");
            Some(if list.contains(' ') { format!("'{list}'") } else { list })
        }
        other => Some(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_names_every_flag_that_has_a_value() {
        let parameters = serde_json::json!({ "requests": 20, "time": "2ms", "only": ["random", "power"], "seed": null,
                                             "none": [], "absent": null, "names": ["a b", "c"] });
        let said = command("shares", &parameters, 7);
        let build = if BUILD == "release" { " --release" } else { "" };
        assert!(said.starts_with(&format!("cargo run{build} -- experiment shares ")), "{said}");
        for flag in [" --requests 20", " --time 2ms", " --only random,power", " --names 'a b,c'", " --seed 7"] {
            assert!(said.contains(flag), "{said}");
        }
        assert!(!said.contains("none") && !said.contains("absent") && said.matches("--seed").count() == 1, "{said}");
    }
}

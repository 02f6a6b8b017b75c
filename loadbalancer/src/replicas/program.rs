//! Which program a replica is, and what it is told.

use super::flags::ReplicaFlags;
use anyhow::{Context as _, ensure};
use protocol::{flags::capacity_in_words, lifeline::LifelineAddress};
use std::{
    env,
    ffi::OsStr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// The program that is server, load balancer and client in one; which of them, its first argument says.
const ALL_IN_ONE: &str = "lab";

/// How replicas are started.
#[derive(Clone, Debug)]
pub struct Program {
    path: PathBuf,
    arguments: Vec<String>,
}

impl Program {
    /// As the flags say; with the token's file, if there is one.
    ///
    /// # Errors
    /// If there is no such program.
    pub fn find(flags: &ReplicaFlags, token: Option<&Path>) -> anyhow::Result<Self> {
        let mut program = Self::of(flags.replica_program.clone(), super::SERVICE, flags.replica_capacity)?;
        if let Some(token) = token {
            let token = token.to_str().context("The path of the token is not valid Unicode")?;
            program.arguments.extend(["--token-file", token].map(str::to_owned));
        }
        program.arguments.extend(flags.replica_arg.iter().cloned());
        Ok(program)
    }

    /// Servers of this service that take so much at once; by this program, if one is named.
    ///
    /// # Errors
    /// If there is no such program.
    pub fn of(path: Option<PathBuf>, service: &str, capacity: u32) -> anyhow::Result<Self> {
        let path = path.map_or_else(beside, Ok)?;
        let shown = path.display();
        ensure!(path.is_file(), "There is no program {shown} to start servers with. Name one: --replica-program PATH");
        let mut arguments = Vec::new();
        if is_all_in_one(&path) {
            arguments.push("server".to_owned());
        }
        arguments.extend(["--service", service, "--announce", "--quiet", "--capacity"].map(str::to_owned));
        arguments.push(capacity_in_words(capacity));
        Ok(Self { path, arguments })
    }

    /// The same, told more: each replica that is started with it.
    #[must_use]
    pub fn with(mut self, arguments: impl IntoIterator<Item = String>) -> Self {
        self.arguments.extend(arguments);
        self
    }

    /// The command of one replica, which holds on to this lifeline, with more arguments of its own. An id is never taken for a flag.
    #[must_use]
    pub fn command(&self, id: &str, processing_time: f64, lifeline: &LifelineAddress, more: &[&OsStr]) -> Command {
        let mut command = Command::new(&self.path);
        command.args(&self.arguments).args(more).arg("--lifeline").arg(lifeline.to_string());
        command.args(["--", id, "0", &processing_time.to_string()]);
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        // Ctrl-C in a terminal is for the load balancer, which needs its servers until the last request has its answer.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        command
    }
}

/// The program beside the one that runs, or the one that runs.
fn beside() -> anyhow::Result<PathBuf> {
    let own = env::current_exe().context("The path of this program cannot be found")?;
    Ok(if is_all_in_one(&own) { own } else { own.with_file_name(format!("server{}", env::consts::EXE_SUFFIX)) })
}

fn is_all_in_one(path: &Path) -> bool {
    path.file_stem().is_some_and(|name| name == ALL_IN_ONE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn an_id_is_no_flag_and_the_all_in_one_program_is_told_what_to_be() {
        let folder = tempfile::tempdir().unwrap();
        let lifeline: LifelineAddress = format!("127.0.0.1:1/{}", "0".repeat(32)).parse().unwrap();
        for (name, first) in [("lab", "server"), ("server", "--service")] {
            let path = folder.path().join(name);
            fs::write(&path, "").unwrap();
            let flags = ReplicaFlags { replica_program: Some(path), ..ReplicaFlags::default() };
            let command = Program::find(&flags, None).unwrap().command("--help", 0.25, &lifeline, &[]);
            let arguments: Vec<&str> = command.get_args().filter_map(|argument| argument.to_str()).collect();
            assert_eq!(arguments.first(), Some(&first));
            assert!(arguments.ends_with(&["--", "--help", "0", "0.25"]), "{arguments:?}");
        }
    }

    #[test]
    fn a_program_that_is_not_there_is_refused() {
        let flags = ReplicaFlags { replica_program: Some("nowhere/server".into()), ..ReplicaFlags::default() };
        let error = Program::find(&flags, None).unwrap_err().to_string();
        assert!(error.contains("nowhere/server") && error.contains("--replica-program"), "{error}");
    }
}

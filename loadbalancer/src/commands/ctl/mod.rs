//! `loadbalancer ctl`: the administration as commands.
//!
//! Each command is one request to the HTTP API ([`crate::admin`]); nothing can be done here that `curl` could not do. What
//! it adds: it finds the load balancer of this folder and its token by itself, shows tables, and has an exit status that a
//! script understands: 0 done · 1 refused, or nobody answers · 2 wrong usage · 3 sent, but no answer came: look at
//! what is, before asking again.

mod there;
mod question;
mod table;

use self::{question::Question, there::There};
use crate::{
    admin::flags::ADMIN_PORT,
    policy::{Name, Options},
    pool::WEIGHTS,
};
use clap::{Args, Subcommand};
use protocol::{
    flags::{RegistryFlag, parse_capacity, parse_host},
    output::{show, warn},
};
use std::{net::SocketAddr, path::PathBuf, process::ExitCode};

/// What to do with which load balancer. (The flags that every command takes have names of their own for clap: those of
/// serving are read from the same line.)
#[derive(Args, Clone, Debug)]
pub struct CtlFlags {
    /// Where its administration listens [default: as the load balancer of the newest run beside the registry has noted]
    #[arg(id = "ctl-admin", long = "admin", global = true, value_name = "HOST[:PORT]", value_parser = parse_admin)]
    pub admin: Option<SocketAddr>,
    /// The file with its token [default: as it has noted]
    #[arg(id = "ctl-token-file", long = "token-file", global = true, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// The registry beside which its note is looked for, in runs/ [default: servers.json of the laboratory]
    #[arg(id = "ctl-registry", long = "registry", global = true, value_name = "FILE")]
    pub registry: Option<PathBuf>,
    /// Only this pool: lab, tcp …; needed where servers of two pools have the same id
    #[arg(id = "ctl-pool", long = "pool", global = true, value_name = "NAME")]
    pub pool: Option<String>,
    /// Print what it answers as it is (JSON)
    #[arg(id = "ctl-json", long = "json", global = true)]
    pub json: bool,
    /// What to do.
    #[command(subcommand)]
    pub action: Action,
}

/// What can be done.
#[derive(Clone, Debug, Subcommand)]
pub enum Action {
    /// The servers: what they are doing, and how they did
    Servers,
    /// What happened in all
    Stats {
        /// In the columns of HAProxy's `show stat`
        #[arg(long, conflicts_with = "ctl-json")]
        csv: bool,
    },
    /// The statistics for Prometheus
    #[command(name = "metrics")]
    Metrics,
    /// A server finishes what it has, and gets nothing new
    Drain {
        /// The server
        id: String,
    },
    /// The same, and whether it lives is nobody's concern
    Maintenance {
        /// The server
        id: String,
    },
    /// A server gets requests again
    Ready {
        /// The server
        id: String,
    },
    /// Give a server a weight
    Weight {
        /// The server
        id: String,
        /// 1 to 256, or `none` for no weight of its own
        #[arg(value_name = "N", value_parser = parse_weight)]
        weight: Weight,
    },
    /// Let a server hold so many requests at once
    Capacity {
        /// The server
        id: String,
        /// 1 or more, or `unlimited` for as many as it takes
        #[arg(value_name = "N", value_parser = parse_capacity)]
        capacity: u32,
    },
    /// The policy, or another one from now on
    Policy {
        /// The policy that shall choose
        #[arg(value_enum)]
        name: Option<Name>,
        /// Its options.
        #[command(flatten)]
        options: Options,
    },
    /// Add a server
    Add {
        /// Its control address; it says itself who it is
        #[arg(value_name = "IP:PORT")]
        control: SocketAddr,
    },
    /// Remove a server; requests that it has go on
    Remove {
        /// The server
        id: String,
    },
    /// What happened to a request, and why
    Why {
        /// Its id, or the beginning; `last`, or `failed`
        id: String,
    },
}

/// A weight, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weight(pub Option<u32>);

fn parse_admin(text: &str) -> Result<SocketAddr, String> {
    parse_host(text, ADMIN_PORT)
}

fn parse_weight(text: &str) -> Result<Weight, String> {
    let weight = text.parse().ok().filter(|weight| WEIGHTS.contains(weight));
    match (text, weight) {
        ("none", _) => Ok(Weight(None)),
        (_, Some(weight)) => Ok(Weight(Some(weight))),
        _ => Err(format!("a weight is a whole number from {} to {}, or none", WEIGHTS.start(), WEIGHTS.end())),
    }
}

/// How it went wrong.
#[derive(Debug)]
pub(crate) enum Failed {
    /// Surely nothing was done.
    Surely(String),
    /// A change was sent, and nobody knows what became of it.
    Unknown(String),
    /// The command makes no sense.
    Usage(String),
}

/// Asks, and shows the answer.
#[must_use]
pub fn run(flags: &CtlFlags) -> ExitCode {
    match ask(flags) {
        Ok(text) => {
            let _nobody_reads = show!("{}", text.trim_end_matches('\n'));
            ExitCode::SUCCESS
        }
        Err(Failed::Surely(why)) => {
            warn!("{why}");
            ExitCode::FAILURE
        }
        Err(Failed::Usage(why)) => {
            warn!("{why}");
            ExitCode::from(2)
        }
        Err(Failed::Unknown(why)) => {
            warn!("{why} The change was sent and may have been made: look (ctl servers) before you ask again.");
            ExitCode::from(3)
        }
    }
}

fn ask(flags: &CtlFlags) -> Result<String, Failed> {
    let question = Question::of(&flags.action, flags.pool.as_deref(), flags.json)?;
    let registry = RegistryFlag { registry: flags.registry.clone() };
    let there = There::find(flags.admin, flags.token_file.as_deref(), &registry, question.changes())?;
    let reply = there.ask(&question)?;
    Ok(if flags.json { reply.text() } else { table::shown(&flags.action, &reply) })
}

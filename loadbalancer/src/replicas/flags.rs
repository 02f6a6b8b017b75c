//! The flags of replicas.

use super::{MAX_REPLICAS, names::Ids};
use clap::Args;
use protocol::flags::{UNLIMITED, parse_capacity, parse_processing_time};
use std::path::PathBuf;

/// Servers that the load balancer starts itself.
#[derive(Args, Clone, Debug)]
pub struct ReplicaFlags {
    /// Start so many servers of service http, replace those that are lost, and let clients of --http list, add and remove
    /// them (GET /rep, POST /add, DELETE /rm)
    #[arg(long, value_name = "N", requires = "http", value_parser = clap::value_parser!(u32).range(1..=MAX_REPLICAS as i64))]
    pub replicas: Option<u32>,
    /// The program that replicas are: `server`, or `lab` [default: `server` beside this program, or this program itself if
    /// it is `lab`]
    #[arg(long, value_name = "PATH", requires = "replicas")]
    pub replica_program: Option<PathBuf>,
    /// The ids of replicas that nobody has named
    #[arg(long, value_enum, default_value_t, value_name = "WHICH", requires = "replicas")]
    pub replica_ids: Ids,
    /// The processing time of each replica, in seconds
    #[arg(long, value_name = "TIME", default_value = "0", requires = "replicas", value_parser = parse_processing_time, allow_hyphen_values = true)]
    pub replica_time: f64,
    /// How many requests each replica takes at once, or 'unlimited'
    #[arg(long, value_name = "N", default_value = "unlimited", requires = "replicas", value_parser = parse_capacity)]
    pub replica_capacity: u32,
    /// A further argument for each replica, as --replica-arg=--database=FILE; may be given several times
    #[arg(long, value_name = "ARGUMENT", requires = "replicas", allow_hyphen_values = true)]
    pub replica_arg: Vec<String>,
}

impl Default for ReplicaFlags {
    fn default() -> Self {
        Self {
            replicas: None,
            replica_program: None,
            replica_ids: Ids::default(),
            replica_time: 0.0,
            replica_capacity: UNLIMITED,
            replica_arg: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frontend::http::HttpFlags;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        _http: HttpFlags,
        #[command(flatten)]
        _replicas: ReplicaFlags,
    }

    #[test]
    fn without_replicas_nothing_is_said_of_them() {
        let http = ["loadbalancer", "--http=127.0.0.1:0"];
        assert!(Line::try_parse_from(http).is_ok(), "what is not given needs nothing");
        for flag in ["ids=random", "time=1", "capacity=1", "arg=-v", "program=server"] {
            let flag = format!("--replica-{flag}");
            let error = Line::try_parse_from([&http[..], &[&flag]].concat()).unwrap_err().to_string();
            assert!(error.contains("--replicas"), "{flag}: {error}");
            assert!(Line::try_parse_from([&http[..], &[&flag, "--replicas=1"]].concat()).is_ok(), "{flag}");
        }
    }
}

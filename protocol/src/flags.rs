//! The flags that the programs share, so that they are alike in all of them.
//!
//! Each group is a clap `Args` struct; a program flattens those it understands into its own. Values are checked here,
//! while the command line is read, so that a wrong one is told with its flag and ends the program with status 2
//! before anything has begun.

mod parse;

pub use parse::{
    Listen, MAX_PROCESSING_TIME, capacity_in_words, parse_balancer, parse_capacity, parse_client_id, parse_duration,
    parse_host, parse_join, parse_listen, parse_processing_time, parse_server_id, parse_timeout,
};

use crate::{
    database::{DatabaseConfig, DatabaseError},
    lifeline::LifelineAddress,
    output,
    places::Places,
    token::{Token, TokenError},
};
use clap::Args;
use std::{ffi::OsString, net::SocketAddr, path::PathBuf, process::ExitCode, time::Duration};

/// The port on which the load balancer serves clients when no other is asked for.
pub const BALANCER_PORT: u16 = 5050;

/// Most requests at once that a server can be told to take, if it is told a number.
pub const MAX_CAPACITY: u32 = 100_000;

/// The capacity of a server that takes as many requests as come. In frames it is this number; people write and read
/// [`unlimited`](capacity_in_words).
pub const UNLIMITED: u32 = u32::MAX;

/// Where the registry of servers is.
#[derive(Args, Clone, Debug, Default)]
pub struct RegistryFlag {
    /// The file in which servers register themselves [default: servers.json of the laboratory, looked for upward
    /// from the current folder]
    #[arg(long, value_name = "FILE")]
    pub registry: Option<PathBuf>,
}

impl RegistryFlag {
    /// The file: as given, or at its default place.
    #[must_use]
    pub fn path(&self, places: &Places) -> PathBuf {
        self.registry.clone().unwrap_or_else(|| places.registry())
    }
}

/// Which database the servers share.
#[derive(Args, Clone, Debug, Default)]
pub struct DatabaseFlag {
    /// The file that says which database the servers share [default: database.json of the laboratory, looked for
    /// upward from the current folder]
    #[arg(long, value_name = "FILE")]
    pub database: Option<PathBuf>,
}

impl DatabaseFlag {
    /// The file: as given, or at its default place.
    #[must_use]
    pub fn path(&self, places: &Places) -> PathBuf {
        self.database.clone().unwrap_or_else(|| places.database())
    }

    /// Reads it.
    ///
    /// # Errors
    /// A sentence that names the file, the key, and what belongs there; or that there is no laboratory here.
    pub fn read(&self, places: &Places) -> Result<DatabaseConfig, DatabaseError> {
        let path = self.path(places);
        DatabaseConfig::read(&path).map_err(|error| match error {
            DatabaseError::Missing { path } if self.database.is_none() && !places.found => {
                DatabaseError::NoPlace { path }
            }
            other => other,
        })
    }
}

/// Which files a server gives away.
#[derive(Args, Clone, Debug, Default)]
pub struct FilesFlag {
    /// The folder of the files that clients may ask for [default: server/files of the laboratory]
    #[arg(long, value_name = "DIR")]
    pub files: Option<PathBuf>,
}

impl FilesFlag {
    /// The folder: as given, or at its default place.
    #[must_use]
    pub fn path(&self, places: &Places) -> PathBuf {
        self.files.clone().unwrap_or_else(|| places.files())
    }
}

/// Where a client's files arrive.
#[derive(Args, Clone, Debug, Default)]
pub struct ReceivedFlag {
    /// The folder in which files arrive [default: received of the laboratory]
    #[arg(long, value_name = "DIR")]
    pub received: Option<PathBuf>,
}

impl ReceivedFlag {
    /// The folder: as given, or at its default place.
    #[must_use]
    pub fn path(&self, places: &Places) -> PathBuf {
        self.received.clone().unwrap_or_else(|| places.received())
    }
}

/// Where a program listens.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct ListenFlag {
    /// The address to listen on; port 0 takes any free one. Nobody outside this machine can connect unless you
    /// name another address
    #[arg(long, value_name = "IP[:PORT]", default_value = "127.0.0.1", value_parser = parse_listen)]
    pub listen: Listen,
}

/// Where the load balancer is.
#[derive(Args, Clone, Copy, Debug)]
pub struct BalancerFlag {
    /// The load balancer to send requests to
    #[arg(long, value_name = "HOST[:PORT]", default_value = "127.0.0.1:5050", value_parser = parse_balancer)]
    pub balancer: SocketAddr,
}

/// The secret that servers and load balancer share.
#[derive(Args, Clone, Debug, Default)]
pub struct TokenFlag {
    /// The file with the token that servers and load balancer share: at least 16 bytes that nobody can guess, readable
    /// by you alone. It is proved, never sent
    #[arg(long, value_name = "FILE", env = "LAB_TOKEN_FILE")]
    pub token_file: Option<PathBuf>,
}

impl TokenFlag {
    /// The token, if there is a file of it.
    ///
    /// # Errors
    /// If the file cannot be read, everybody may read it, or it is no secret.
    pub fn token(&self) -> Result<Option<Token>, TokenError> {
        self.token_file.as_deref().map(Token::read).transpose()
    }
}

/// How much a server takes at once.
#[derive(Args, Clone, Copy, Debug)]
pub struct CapacityFlag {
    /// How many requests the server takes at once, or 'unlimited' for as many as come (each has a connection, of which it
    /// serves 5000) [default: 1; of a name server, which may never answer, unlimited]
    #[arg(long, value_name = "N", value_parser = parse_capacity, allow_hyphen_values = true)]
    pub capacity: Option<u32>,
}

/// How long a request waits for a server.
#[derive(Args, Clone, Copy, Debug)]
pub struct QueueTimeoutFlag {
    /// How long a request waits for an idle server before it is refused (2s, 500ms, 1m; a plain number is seconds)
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = parse_duration, allow_hyphen_values = true)]
    pub queue_timeout: Duration,
}

/// How long a request may take.
#[derive(Args, Clone, Copy, Debug)]
pub struct RequestTimeoutFlag {
    /// How long a request may take, from its sending to the beginning of its answer (2s, 500ms, 1m; a plain number
    /// is seconds)
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = parse_timeout, allow_hyphen_values = true)]
    pub request_timeout: Duration,
}

/// How long a connection may take.
#[derive(Args, Clone, Copy, Debug)]
pub struct ConnectTimeoutFlag {
    /// How long it may take to connect (2s, 500ms, 1m; a plain number is seconds)
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = parse_timeout, allow_hyphen_values = true)]
    pub connect_timeout: Duration,
}

/// Whether the program tells what it does.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct QuietFlag {
    /// Do not tell each step; errors are still told
    #[arg(long)]
    pub quiet: bool,
}

impl QuietFlag {
    /// Silences the walkthrough of this process when the flag is given.
    pub fn apply(self) {
        if self.quiet {
            output::set_quiet(true);
        }
    }
}

/// What ties a program to the one that started it.
#[derive(Args, Clone, Debug, Default)]
pub struct LifelineFlag {
    /// End when the process that listens there ends (given by a process that starts this one)
    #[arg(long, value_name = "IP:PORT/TOKEN", hide = true)]
    pub lifeline: Option<LifelineAddress>,
}

/// Reads the command line (the first argument is the program's name) and runs the program with it.
///
/// A wrong command line is explained on stderr and gives status 2; `--help` and `--version` go to stdout and give 0.
/// Neither panics when nobody reads.
pub fn run_parsed<P: clap::Parser>(
    args: impl IntoIterator<Item = OsString>,
    run: impl FnOnce(P) -> ExitCode,
) -> ExitCode {
    match P::try_parse_from(args) {
        Ok(parsed) => run(parsed),
        Err(refusal) => {
            let _nobody_reads = refusal.print();
            if refusal.use_stderr() { ExitCode::from(2) } else { ExitCode::SUCCESS }
        }
    }
}

#[cfg(test)]
mod tests;

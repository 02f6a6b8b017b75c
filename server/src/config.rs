//! From the command line to a configuration that was checked.

use crate::{service::ServiceName, work::Work};
use clap::Parser;
use protocol::{
    database::{DatabaseConfig, DatabaseError},
    flags::{
        CapacityFlag, DatabaseFlag, FilesFlag, LifelineFlag, ListenFlag, QuietFlag, RegistryFlag, TokenFlag,
        parse_join, parse_processing_time, parse_server_id, parse_timeout,
    },
    lifeline::LifelineAddress,
    places::Places,
    token::{Token, TokenError},
};
use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

/// A server: serves one of several services, registers itself in servers.json, and leaves it when it ends.
#[derive(Parser, Debug)]
#[command(name = "server", version)]
pub(crate) struct Arguments {
    /// The server's id: letters, digits, '_', '.' and '-', in any order and without gaps to fill
    #[arg(value_parser = parse_server_id)]
    server_id: String,
    /// The port to serve on; 0 takes any free one
    server_port: u16,
    /// What each request costs, in seconds, fractions allowed: less is stronger
    #[arg(value_parser = parse_processing_time, allow_negative_numbers = true)]
    processing_time: f64,
    /// What it serves. The echo needs neither files nor a database
    #[arg(long, value_enum, value_name = "SERVICE", default_value_t)]
    service: ServiceName,
    #[command(flatten)]
    registry: RegistryFlag,
    /// Join the load balancer that takes registrations there (loadbalancer --join-listen), instead of registering in
    /// servers.json; the port is 5051 unless named
    #[arg(long, value_name = "HOST[:PORT]", value_parser = parse_join, conflicts_with = "registry")]
    join: Option<SocketAddr>,
    /// The address at which the load balancer reaches this server, if it is not the one that the server listens on
    #[arg(long, value_name = "IP", requires = "join")]
    advertise: Option<IpAddr>,
    #[command(flatten)]
    token: TokenFlag,
    #[command(flatten)]
    database: DatabaseFlag,
    #[command(flatten)]
    files: FilesFlag,
    #[command(flatten)]
    listen: ListenFlag,
    #[command(flatten)]
    capacity: CapacityFlag,
    /// How the processing time is spent: waiting, or computing, so that requests at once slow each other down
    #[arg(long, value_enum, value_name = "HOW", default_value_t)]
    work: Work,
    /// Takes this long instead of the processing time that it announces: a server that is slower than it says, for
    /// experiments. Of one that takes over 2 s more than it says, the load balancer gives requests to others
    #[arg(long, value_name = "TIME", value_parser = parse_processing_time, allow_hyphen_values = true)]
    really: Option<f64>,
    /// How long a statement may run before it is ended (2s, 500ms, 1m; a plain number is seconds). The time that
    /// its rows take to be read does not count
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = parse_timeout, allow_hyphen_values = true)]
    request_timeout: Duration,
    /// The port on which the server answers who it is and whether it lives; 0 takes any free one
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    control_port: u16,
    #[command(flatten)]
    pub(crate) quiet: QuietFlag,
    #[command(flatten)]
    lifeline: LifelineFlag,
}

/// Everything a server needs to know.
#[derive(Clone, Debug)]
pub struct Config {
    /// Its id.
    pub id: String,
    /// What it serves.
    pub service: ServiceName,
    /// Where it serves; port 0 is any free one.
    pub listen: SocketAddr,
    /// Where it answers the handshake; port 0 is any free one.
    pub control: SocketAddr,
    /// What each request costs, in seconds, as the server says.
    pub processing_time: f64,
    /// What each request costs in truth, in seconds, if that is something else.
    pub really: Option<f64>,
    /// How that time is spent.
    pub work: Work,
    /// How many requests it takes at once.
    pub capacity: u32,
    /// How long a statement may run.
    pub statement_time: Duration,
    /// `servers.json`.
    pub registry: PathBuf,
    /// The load balancer to join instead of registering there.
    pub join: Option<SocketAddr>,
    /// Where others reach this server, if not where it listens.
    pub advertise: Option<IpAddr>,
    /// The secret that is proved to a load balancer.
    pub token: Option<Token>,
    /// The database that all servers share; only needed by services that have one.
    pub database: Option<DatabaseConfig>,
    /// The directory of the files that clients may ask for.
    pub files: PathBuf,
}

/// Why a command line is no configuration.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    #[error("The port is given twice: {positional} and, in --listen, {listen}. Leave it out of --listen.")]
    TwoPorts { positional: u16, listen: u16 },
    #[error("{0}")]
    Places(std::io::Error),
    #[error(transparent)]
    Token(#[from] TokenError),
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

impl ConfigError {
    /// Whether the command line was wrong, as opposed to what it names.
    pub(crate) fn is_usage(&self) -> bool {
        matches!(self, Self::TwoPorts { .. })
    }
}

impl Arguments {
    /// The process that this one ends with.
    pub(crate) fn lifeline(&self) -> Option<&LifelineAddress> {
        self.lifeline.lifeline.as_ref()
    }

    /// Checks what clap cannot, and looks for what was not given.
    pub(crate) fn config(&self) -> Result<Config, ConfigError> {
        let listen = self.listen.listen;
        if let Some(port) = listen.port.filter(|port| *port != self.server_port) {
            return Err(ConfigError::TwoPorts { positional: self.server_port, listen: port });
        }
        let places = Places::here().map_err(ConfigError::Places)?;
        let database = || DatabaseConfig::read(&self.database.path(&places));
        Ok(Config {
            id: self.server_id.clone(),
            service: self.service,
            listen: SocketAddr::new(listen.ip, self.server_port),
            control: SocketAddr::new(listen.ip, self.control_port),
            processing_time: self.processing_time,
            really: self.really,
            work: self.work,
            capacity: self.capacity.capacity,
            statement_time: self.request_timeout,
            registry: self.registry.path(&places),
            join: self.join,
            advertise: self.advertise,
            token: self.token.token()?,
            database: self.service.has_database().then(database).transpose()?,
            files: self.files.path(&places),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::flags::UNLIMITED;

    fn parse(line: &str) -> Result<Arguments, String> {
        Arguments::try_parse_from(line.split_whitespace()).map_err(|e| e.to_string())
    }

    #[test]
    fn the_words_of_the_course_are_enough() {
        let arguments = parse("server 2 6002 0.25").unwrap();
        assert_eq!((arguments.server_id.as_str(), arguments.server_port), ("2", 6002));
        assert_eq!((arguments.processing_time, arguments.capacity.capacity), (0.25, 1));
        assert_eq!((arguments.request_timeout, arguments.control_port), (Duration::from_secs(30), 0));
    }

    #[test]
    fn a_server_may_take_everything_compute_and_be_slower_than_it_says() {
        let arguments = parse("server 2 6002 0.25 --capacity unlimited --work cpu --really 2500ms").unwrap();
        assert_eq!((arguments.capacity.capacity, arguments.work), (UNLIMITED, Work::Cpu));
        assert_eq!((arguments.processing_time, arguments.really), (0.25, Some(2.5)));
    }

    #[test]
    fn an_echo_needs_no_database_and_the_lab_protocol_is_what_is_served_otherwise() {
        let config = |line: &str| parse(line).unwrap().config();
        let echo = config("server 2 6002 0 --service echo --database nowhere.json").unwrap();
        assert_eq!((echo.service, echo.database), (ServiceName::Echo, None));
        assert_eq!(parse("server 2 6002 0").unwrap().service, ServiceName::Lab);
        let error = config("server 2 6002 0 --database nowhere.json").unwrap_err().to_string();
        assert!(error.contains("nowhere.json"), "{error}");
    }

    #[test]
    fn wrong_words_are_explained() {
        for (line, words) in [
            ("server", "SERVER_ID"),
            ("server 1", "SERVER_PORT"),
            ("server 1 99999 1", "99999"),
            ("server 1 6001 -1", "negative"),
            ("server 1 6001 fast", "'fast' is not a time"),
            ("server a/b 6001 1", "is not an id"),
            ("server 1 6001 1 --capacity 0", "--capacity"),
            ("server 1 6001 1 --capacity many", "or 'unlimited'"),
            ("server 1 6001 1 --work hard", "--work"),
            ("server 1 6001 1 --service smtp", "echo"),
            ("server 1 6001 1 --really -1s", "negative"),
            ("server 1 6001 1 --join 127.0.0.1:0", "Port 0"),
            ("server 1 6001 1 --join :5051 --registry servers.json", "cannot be used with"),
            ("server 1 6001 1 --advertise 10.0.0.5", "--join"),
            ("server 1 6001 1 --join :5051 --advertise example", "--advertise"),
            ("server 1 6001 1 --request-timeout 0", "A limit of no time"),
        ] {
            let error = parse(line).unwrap_err();
            assert!(error.contains(words), "{line}: {error}");
        }
    }

    #[test]
    fn a_port_in_listen_must_not_contradict() {
        let error = parse("server 1 6001 1 --listen 127.0.0.1:6002").unwrap().config().unwrap_err();
        assert!(error.is_usage(), "{error}");
    }
}

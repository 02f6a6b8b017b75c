//! From the command line to a configuration that was checked.

use crate::{
    ring::{RingConfig, RingFlags},
    service::{ServiceName, Unknown},
    work::Work,
};
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

/// How many bytes the agents of the original append to a datagram: a port.
const ORIGINAL_TAG: u8 = 2;

/// A server: serves one of several services, registers itself in servers.json, and leaves it when it ends.
#[derive(Parser, Debug)]
#[command(name = "server", version)]
#[command(
    after_help = "`server init-database` makes a shared database ready, and `server load-csv` loads a file into it; --help tells more."
)]
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
    /// Register nowhere: write the entry of this server as a line of JSON to stdout, for the program that has started it
    #[arg(long, conflicts_with = "join")]
    announce: bool,
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
    /// How many bytes at the end of a datagram belong to the agent in between and stay as they are (service reverse): 2, as
    /// the agents of the original append [default: 2]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(..=64))]
    tag_bytes: Option<u8>,
    /// Append what was answered and dropped in each period to this file, as CSV (service reverse)
    #[arg(long, value_name = "FILE")]
    statistics: Option<PathBuf>,
    /// How long a period of the statistics is
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse_timeout)]
    statistics_every: Duration,
    /// The names that a name server knows (service names): 'www.example.com 192.0.2.1 A', one a line
    #[arg(long, value_name = "FILE")]
    table: Option<PathBuf>,
    /// What a name server says of a name that is not in its table (service names) [default: silence]
    #[arg(long, value_enum, value_name = "WHAT")]
    unknown: Option<Unknown>,
    /// The file in which a server keeps its shards (service shard) [default: shards/ID.sqlite beside servers.json]
    #[arg(long, value_name = "FILE")]
    shard_file: Option<PathBuf>,
    /// Keep the shards in the database that this file names, as database.json does: in PostgreSQL, in a schema of this server's own
    /// (service shard). --shard-file then only says that they are there
    #[arg(long, value_name = "FILE")]
    shard_database: Option<PathBuf>,
    #[command(flatten)]
    ring: RingFlags,
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
    /// Whether this server tells its entry on stdout instead of registering.
    pub announce: bool,
    /// The secret that is proved to a load balancer.
    pub token: Option<Token>,
    /// The database that all servers share; only needed by services that have one.
    pub database: Option<DatabaseConfig>,
    /// The directory of the files that clients may ask for.
    pub files: PathBuf,
    /// How many bytes at the end of a datagram stay as they are.
    pub tag_bytes: usize,
    /// Where the figures of each period are written.
    pub statistics: Option<PathBuf>,
    /// How long a period of the statistics is.
    pub statistics_every: Duration,
    /// The names that a name server knows.
    pub table: Option<PathBuf>,
    /// What it says of others.
    pub unknown: Unknown,
    /// The file of its shards; or, with a database for them, the file that says so.
    pub shard_file: PathBuf,
    /// The database of its shards, if they are not in a file.
    pub shard_database: Option<DatabaseConfig>,
    /// Its place in a ring of servers that hold outage drills, if it has one.
    pub ring: Option<RingConfig>,
}

/// Why a command line is no configuration.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    #[error("The port is given twice: {positional} and, in --listen, {listen}. Leave it out of --listen.")]
    TwoPorts { positional: u16, listen: u16 },
    #[error("--{flag} is for --service {of}, and this server is of service {is}, where it would do nothing.")]
    OtherService { flag: &'static str, of: ServiceName, is: ServiceName },
    #[error("{0}")]
    Ring(String),
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
        matches!(self, Self::TwoPorts { .. } | Self::OtherService { .. } | Self::Ring(_))
    }
}

impl Arguments {
    /// The process that this one ends with.
    pub(crate) fn lifeline(&self) -> Option<&LifelineAddress> {
        self.lifeline.lifeline.as_ref()
    }

    /// What only one service heeds is not given to another: whoever gives it expects something.
    fn check_service(&self) -> Result<(), ConfigError> {
        let is = self.service;
        let given = [
            ("table", ServiceName::Names, self.table.is_some()),
            ("unknown", ServiceName::Names, self.unknown.is_some()),
            ("tag-bytes", ServiceName::Reverse, self.tag_bytes.is_some()),
            ("statistics", ServiceName::Reverse, self.statistics.is_some()),
            ("shard-file", ServiceName::Shard, self.shard_file.is_some()),
            ("shard-database", ServiceName::Shard, self.shard_database.is_some()),
        ];
        let stray = given.into_iter().find(|(_, of, given)| *given && *of != is);
        stray.map_or(Ok(()), |(flag, of, _)| Err(ConfigError::OtherService { flag, of, is }))
    }

    /// Checks what clap cannot, and looks for what was not given.
    pub(crate) fn config(&self) -> Result<Config, ConfigError> {
        let listen = self.listen.listen;
        if let Some(port) = listen.port.filter(|port| *port != self.server_port) {
            return Err(ConfigError::TwoPorts { positional: self.server_port, listen: port });
        }
        self.check_service()?;
        let places = Places::here().map_err(ConfigError::Places)?;
        let database = || self.database.read(&places);
        let address = SocketAddr::new(listen.ip, self.server_port);
        let registry = self.registry.path(&places);
        let shard_file = || registry.with_file_name("shards").join(format!("{}.sqlite", self.server_id));
        Ok(Config {
            shard_file: self.shard_file.clone().unwrap_or_else(shard_file),
            shard_database: self.shard_database.as_deref().map(DatabaseConfig::read).transpose()?,
            id: self.server_id.clone(),
            service: self.service,
            listen: address,
            control: SocketAddr::new(listen.ip, self.control_port),
            processing_time: self.processing_time,
            really: self.really,
            work: self.work,
            capacity: self.capacity.capacity.unwrap_or(self.service.usual_capacity()),
            statement_time: self.request_timeout,
            registry,
            join: self.join,
            advertise: self.advertise,
            announce: self.announce,
            token: self.token.token()?,
            database: self.service.has_database().then(database).transpose()?,
            files: self.files.path(&places),
            tag_bytes: usize::from(self.tag_bytes.unwrap_or(ORIGINAL_TAG)),
            statistics: self.statistics.clone(),
            statistics_every: self.statistics_every,
            table: self.table.clone(),
            unknown: self.unknown.unwrap_or_default(),
            ring: self.ring.config(address).map_err(ConfigError::Ring)?,
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
        assert_eq!((arguments.processing_time, arguments.capacity.capacity), (0.25, None));
        assert_eq!((arguments.request_timeout, arguments.control_port), (Duration::from_secs(30), 0));
    }

    #[test]
    fn a_server_may_take_everything_compute_and_be_slower_than_it_says() {
        let arguments = parse("server 2 6002 0.25 --capacity unlimited --work cpu --really 2500ms").unwrap();
        assert_eq!((arguments.capacity.capacity, arguments.work), (Some(UNLIMITED), Work::Cpu));
        assert_eq!((arguments.processing_time, arguments.really), (0.25, Some(2.5)));
    }

    #[test]
    fn an_echo_needs_no_database_and_the_lab_protocol_is_what_is_served_otherwise() {
        let config = |line: &str| parse(line).unwrap().config();
        let echo = config("server 2 6002 0 --service echo --database nowhere.json").unwrap();
        assert_eq!((echo.service, echo.database, echo.capacity), (ServiceName::Echo, None, 1));
        assert_eq!(config("server 2 6002 0 --service names").unwrap().capacity, UNLIMITED);
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
            ("server 1 6001 1 --announce --join :5051", "cannot be used with"),
            ("server 1 6001 1 --join :5051 --advertise example", "--advertise"),
            ("server 1 6001 1 --ring 127.0.0.1:7002", "two neighbours"),
            ("server 1 6001 1 --ring :7002,:7002", "three servers"),
            ("server 1 6001 1 --ring :7002,7003", "is not an address"),
            ("server 1 6001 1 --drill-for 5", "--ring"),
            ("server 1 6001 1 --ring :7002,:7003 --drill-for 2000m", "longer than a day"),
            ("server 1 6001 1 --service reverse --tag-bytes 65", "65"),
            ("server 1 6001 1 --service reverse --statistics-every 0", "A limit of no time"),
            ("server 1 6001 1 --service names --unknown maybe", "nxdomain"),
            ("server 1 6001 1 --request-timeout 0", "A limit of no time"),
        ] {
            let error = parse(line).unwrap_err();
            assert!(error.contains(words), "{line}: {error}");
        }
    }

    #[test]
    fn a_place_in_a_ring_is_next_to_the_service_unless_it_is_named() {
        let ring = |line: &str| parse(line).unwrap().config().map(|config| config.ring.unwrap());
        let plain = ring("server 1 6001 0 --service reverse --ring :7003,:7002").unwrap();
        let here = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
        assert_eq!((plain.listen, plain.left, plain.right), (here(7001), here(7003), here(7002)));
        assert_eq!((plain.drill_every, plain.drill_for), (Duration::from_secs(60), Duration::from_secs(15)));
        for (flags, words) in [
            ("0 0 --ring :7003,:7002", "--ring-listen"),
            ("6001 0 --ring :7001,:7002", "its own neighbour"),
            ("6001 0 --ring :7003,:7002 --ring-listen 0.0.0.0:7001", "name one address"),
        ] {
            let error = ring(&format!("server 1 {flags} --service reverse")).unwrap_err();
            assert!(error.is_usage() && error.to_string().contains(words), "{flags}: {error}");
        }
    }

    #[test]
    fn what_only_another_service_heeds_is_refused() {
        for (flags, words) in [
            ("--table names.txt", "--table is for --service names, and this server is of service lab"),
            ("--service echo --unknown silence", "--unknown is for --service names"),
            ("--service names --table names.txt --tag-bytes 2", "--tag-bytes is for --service reverse"),
        ] {
            let error = parse(&format!("server 1 6001 0 {flags}")).unwrap().config().unwrap_err();
            assert!(error.is_usage() && error.to_string().contains(words), "{flags}: {error}");
        }
    }

    #[test]
    fn a_port_in_listen_must_not_contradict() {
        let error = parse("server 1 6001 1 --listen 127.0.0.1:6002").unwrap().config().unwrap_err();
        assert!(error.is_usage(), "{error}");
    }
}

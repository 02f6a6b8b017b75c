//! `lab relay`: one client's connection, one server's connection, and one of four ideas of what passes between them.

use super::{
    naive::{self, Guess},
    right,
};
use anyhow::Context;
use clap::{Args, ValueEnum};
use protocol::{
    flags::{LifelineFlag, Listen, parse_balancer, parse_listen},
    lifeline,
    listener::{Crew, CrewOptions, Handler, Refusal, Visit},
    output::{say, warn},
    stop::Stop,
};
use std::{
    io,
    net::{SocketAddr, TcpListener, TcpStream},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

/// Connections at once; more are closed. It is for a classroom.
const MOST: usize = 100;
/// How long a server may take to accept.
const CONNECT_TIME: Duration = Duration::from_secs(5);
/// The port where it listens unless told otherwise.
const PORT: u16 = 5070;

/// Options of `lab relay`.
#[derive(Args, Debug)]
pub struct RelayArgs {
    /// How it finds out that a message is over
    #[arg(value_enum)]
    how: How,
    /// The server to which it passes everything on
    #[arg(long, value_name = "HOST:PORT", value_parser = parse_balancer)]
    server: SocketAddr,
    /// Where to listen [default: 127.0.0.1:5070]
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1", hide_default_value = true, value_parser = parse_listen)]
    listen: Listen,
    #[command(flatten)]
    lifeline: LifelineFlag,
}

/// How a relay finds out that a message is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum How {
    /// Wrong: it reads until nothing comes
    UntilNothing,
    /// Wrong: it reads until a chunk is shorter than 1,024 bytes
    UntilShort,
    /// Right: it does not; bytes go in both directions until both have ended
    Streams,
    /// Right: each message begins with its length, in four bytes
    Framed,
}

impl How {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::UntilNothing, Self::UntilShort, Self::Streams, Self::Framed];
}

/// Relays until Ctrl-C.
///
/// # Errors
/// If it cannot listen.
pub fn run(args: &RelayArgs) -> anyhow::Result<ExitCode> {
    let stop = Stop::on_signals().context("Signals cannot be handled")?;
    if let Some(lifeline) = &args.lifeline.lifeline {
        let ending = stop.clone();
        lifeline::hold(lifeline, move || ending.drain())?;
    }
    let crew = start(args.how, args.listen.or_port(PORT), args.server)?;
    let at = crew.address();
    say!("Relay is listening on ({}, {}): {}, for the server at {}.", at.ip(), at.port(), args.how, args.server);
    stop.wait();
    Ok(ExitCode::SUCCESS)
}

impl std::fmt::Display for How {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::UntilNothing => "until-nothing",
            Self::UntilShort => "until-short",
            Self::Streams => "streams",
            Self::Framed => "framed",
        })
    }
}

/// Starts a relay, which ends when the crew is dropped.
///
/// # Errors
/// If it cannot listen.
pub fn start(how: How, listen: SocketAddr, server: SocketAddr) -> anyhow::Result<Crew> {
    let listener = TcpListener::bind(listen).with_context(|| format!("The relay cannot listen on {listen}"))?;
    let options = CrewOptions { name: "relay", max_connections: MOST };
    Crew::start(listener, options, Arc::new(Relay { how, server })).context("No thread for the relay")
}

/// Connects to the server.
pub(super) fn connect(server: SocketAddr) -> io::Result<TcpStream> {
    let server = TcpStream::connect_timeout(&server, CONNECT_TIME)?;
    server.set_nodelay(true)?;
    Ok(server)
}

struct Relay {
    how: How,
    server: SocketAddr,
}

impl Handler for Relay {
    fn serve(&self, visit: &Visit) {
        let client = &**visit.stream();
        let _slower_without = client.set_nodelay(true);
        let (served, is_naive) = match self.how {
            How::UntilNothing => (naive::relay(client, self.server, Guess::UntilNothing), true),
            How::UntilShort => (naive::relay(client, self.server, Guess::UntilShort), true),
            How::Streams => (right::streams(client, self.server), false),
            How::Framed => (right::framed(client, self.server), false),
        };
        if let Err(error) = served {
            say!("{}: {error}", self.how);
            if is_naive {
                naive::forget(client);
            }
        }
    }

    fn refuse(&self, _stream: &TcpStream, _why: Refusal) {}

    fn panicked(&self, message: &str) {
        warn!("A defect of the relay ended a connection: {message}");
    }
}

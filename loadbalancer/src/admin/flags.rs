//! The flags of the administration.

use super::door::text_of;
use anyhow::Context as _;
use clap::Args;
use protocol::{
    flags::{Listen, parse_listen},
    holder::explain_bind_error,
    output::warn,
    token::Token,
};
use std::{
    io,
    net::{SocketAddr, TcpListener},
    path::PathBuf,
};

/// The port of the administration when no other is asked for.
pub const ADMIN_PORT: u16 = 5052;

/// Where a load balancer is administered.
#[derive(Args, Clone, Debug, Default)]
pub struct AdminFlags {
    /// Where the administration listens (HTTP); port 0 takes any free one [default: 127.0.0.1:5052, or any free port if
    /// that one is taken]
    #[arg(long, value_name = "IP[:PORT]", value_parser = parse_listen, conflicts_with = "no_admin")]
    pub admin: Option<Listen>,
    /// No administration: nothing can be looked at or changed while it runs
    #[arg(long)]
    pub no_admin: bool,
    /// The file with the token that changes need: at least 16 letters and digits that nobody can guess, readable by you
    /// alone [default: one is drawn, and written beside the journal]
    #[arg(long, value_name = "FILE", conflicts_with = "no_admin")]
    pub admin_token_file: Option<PathBuf>,
}

/// What the administration begins with.
#[derive(Debug)]
pub struct Opened {
    /// Its port.
    pub listener: TcpListener,
    /// The token that was given, and the file it came from.
    pub token: Option<(Token, PathBuf)>,
}

impl AdminFlags {
    /// Opens the port, if there is to be one, and reads the token, if one was given.
    ///
    /// # Errors
    /// If the port that was asked for cannot be listened to (a sentence says who holds it), or the token is none.
    pub fn open(&self) -> anyhow::Result<Option<Opened>> {
        let token = self.token()?;
        Ok(self.bind()?.map(|listener| Opened { listener, token }))
    }

    /// Opens the port, if there is to be one. A port that was asked for must be free; the usual one may belong to another
    /// load balancer of the class, and then any other will do.
    fn bind(&self) -> anyhow::Result<Option<TcpListener>> {
        if self.no_admin {
            return Ok(None);
        }
        let address = self.admin.unwrap_or_default().or_port(ADMIN_PORT);
        match TcpListener::bind(address) {
            Ok(listener) => Ok(Some(listener)),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && self.admin.is_none() => {
                warn!("Port {ADMIN_PORT} is taken, so the administration takes another one.");
                let free = SocketAddr::new(address.ip(), 0);
                TcpListener::bind(free).map(Some).context("No port for the administration")
            }
            Err(error) => Err(anyhow::anyhow!(explain_bind_error(address, &error, None))),
        }
    }

    /// The token that was given, if one was.
    fn token(&self) -> anyhow::Result<Option<(Token, PathBuf)>> {
        let Some(file) = &self.admin_token_file else { return Ok(None) };
        let token = Token::read(file)?;
        text_of(&token).map(drop).map_err(|why| anyhow::anyhow!("{}: {why}", file.display()))?;
        Ok(Some((token, file.clone())))
    }
}

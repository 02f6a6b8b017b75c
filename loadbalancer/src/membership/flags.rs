//! The flags of joining over the network.

use super::{gate::Gate, network::Network};
use clap::Args;
use protocol::{
    flags::{Listen, TokenFlag, parse_listen},
    holder::explain_bind_error,
    join::JOIN_PORT,
    token::Token,
};
use std::net::TcpListener;

/// How servers on other machines may join.
#[derive(Args, Clone, Debug)]
pub struct JoinFlags {
    /// Let servers join over the network (server --join), at this address; the port is 5051 unless named, and 0 takes any
    /// free one
    #[arg(long, value_name = "IP[:PORT]", value_parser = parse_listen)]
    pub join_listen: Option<Listen>,
    /// A network in which servers may be that join over it, or are added; may be given several times. Networks of other
    /// machines need --token-file
    #[arg(long, value_name = "NETWORK", default_values = ["127.0.0.0/8", "::1/128"])]
    pub allow: Vec<Network>,
    /// The secret that servers must know.
    #[command(flatten)]
    pub token: TokenFlag,
}

impl JoinFlags {
    /// Checks what clap cannot: the token, and what is allowed with or without it.
    ///
    /// # Errors
    /// If the token is none, or other machines could join without one.
    pub fn check(&self) -> anyhow::Result<(Gate, Option<Token>)> {
        let token = self.token.token()?;
        let gate = Gate::new(self.allow.clone(), token.is_some()).map_err(anyhow::Error::msg)?;
        Ok((gate, token))
    }

    /// Opens the registration port, if there is to be one.
    ///
    /// # Errors
    /// If the port cannot be listened to; a sentence says who holds it.
    pub fn bind(&self) -> anyhow::Result<Option<TcpListener>> {
        let Some(listen) = self.join_listen else { return Ok(None) };
        let address = listen.or_port(JOIN_PORT);
        let listener = TcpListener::bind(address);
        listener.map(Some).map_err(|error| anyhow::anyhow!(explain_bind_error(address, &error, None)))
    }
}

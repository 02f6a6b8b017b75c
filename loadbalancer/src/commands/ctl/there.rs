//! Which load balancer is meant, where its token is, and asking it.

use super::{Failed, question::Question};
use crate::admin::notice::{self, Note};
use protocol::{
    flags::RegistryFlag,
    http::client::{Client, Reply},
    output::{Plain, warn},
    places::Places,
    runs::RUNS,
};
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

/// How long it may take to connect.
const CONNECT_TIME: Duration = Duration::from_secs(2);
/// How long an answer may take: a server that is added first has to say who it is.
const ANSWER_TIME: Duration = Duration::from_secs(15);

/// A load balancer, and what is needed to ask it.
#[derive(Debug)]
pub struct There {
    address: SocketAddr,
    token: Option<String>,
}

impl There {
    /// The one at this address, or the one that has left a note; with its token, if something is to be changed.
    ///
    /// # Errors
    /// If nobody is found, or no token.
    pub fn find(
        admin: Option<SocketAddr>,
        token_file: Option<&Path>,
        registry: &RegistryFlag,
        changes: bool,
    ) -> Result<Self, Failed> {
        let needs_no_note = admin.is_some() && (!changes || token_file.is_some());
        let notes = if needs_no_note { Vec::new() } else { notes(registry)? };
        let note = notes.iter().find(|note| admin.is_none_or(|address| note.address == address));
        let address = match (admin, note) {
            (Some(address), _) => address,
            (None, Some(note)) => note.address,
            (None, None) => return Err(Failed::Surely(nobody(registry))),
        };
        if admin.is_none() && notes.len() > 1 {
            warn!(
                "{} load balancers run here; this is about the one at {address} (--admin names another).",
                notes.len()
            );
        }
        let file = token_file.map(Path::to_path_buf).or_else(|| note.and_then(|note| note.token_file.clone()));
        let token = if changes { Some(token(address, file)?) } else { None };
        Ok(Self { address, token })
    }

    /// Sends the question, and waits for the answer.
    ///
    /// # Errors
    /// What went wrong, and whether it is certain that nothing was changed.
    pub fn ask(&self, question: &Question) -> Result<Reply, Failed> {
        let Self { address, token } = self;
        let unreachable = |error| Failed::Surely(format!("The load balancer at {address} does not answer: {error}"));
        let ask = question.ask(token.as_deref()).map_err(|error| Failed::Usage(error.to_string()))?;
        let mut client = Client::connect(*address, CONNECT_TIME).map_err(unreachable)?;
        let reply = client.ask(&ask, ANSWER_TIME).map_err(|error| {
            let why = format!("The load balancer at {address} gave no answer: {error}");
            if question.changes() { Failed::Unknown(why) } else { Failed::Surely(why) }
        })?;
        if reply.status.is_success() { Ok(reply) } else { Err(Failed::Surely(sentence(&reply))) }
    }
}

/// The notes of those who run.
fn notes(registry: &RegistryFlag) -> Result<Vec<Note>, Failed> {
    runs(registry).map(|runs| notice::find(&runs)).map_err(|error| Failed::Surely(error.to_string()))
}

/// Where notes are left: in the runs beside the registry.
fn runs(registry: &RegistryFlag) -> std::io::Result<PathBuf> {
    let registry = registry.path(&Places::here()?);
    Ok(registry.parent().unwrap_or(Path::new(".")).join(RUNS))
}

fn nobody(registry: &RegistryFlag) -> String {
    let place = runs(registry).map_or_else(|_| RUNS.to_owned(), |runs| runs.display().to_string());
    format!(
        "No load balancer with administration runs here: none has left a note in {place} and answers. \
         Start one, go to its folder, or name its address: --admin HOST:PORT"
    )
}

/// The token for this address.
fn token(address: SocketAddr, file: Option<PathBuf>) -> Result<String, Failed> {
    if !address.ip().to_canonical().is_loopback() {
        let why = "Changes are made on the load balancer's own machine only, because the token would travel in clear: \
                   use a tunnel (ssh -L).";
        return Err(Failed::Surely(why.to_owned()));
    }
    let unknown = || format!("The token of the load balancer at {address} is not known: --token-file FILE");
    let file = file.ok_or_else(|| Failed::Surely(unknown()))?;
    notice::token_in(&file).map_err(Failed::Surely)
}

/// The sentence of an answer that is an error.
fn sentence(reply: &Reply) -> String {
    let said = reply.json::<serde_json::Value>().ok().and_then(|body| body["message"].as_str().map(str::to_owned));
    let said = said.unwrap_or_else(|| format!("It answered {}.", reply.status));
    Plain(&said).to_string()
}

//! What requests have in common: the key by which a ring of hashes sends them to the same server, and the client whose
//! turn it is in the queue.

use super::request::Request;
use xxhash_rust::xxh3::xxh3_64;

/// What a request is hashed by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum HashKey {
    /// Who asks: a client keeps its server
    Client,
    /// What is asked: the same file or statement goes to the same server, which may have it at hand
    #[default]
    Text,
    /// The request's own id: requests are spread evenly
    Request,
}

impl HashKey {
    /// The key of this request.
    #[must_use]
    pub fn of(self, request: &Request) -> u64 {
        match (self, &request.file) {
            (Self::Client, _) => client(request),
            (Self::Text, Some(file)) => xxh3_64(file.name.as_bytes()),
            (Self::Text, None) => xxh3_64(&request.body),
            (Self::Request, _) => {
                let id = request.prefix.id;
                let mut bytes = [0; 16];
                bytes[..8].copy_from_slice(&id.client.to_be_bytes());
                bytes[8..].copy_from_slice(&id.sequence.to_be_bytes());
                xxh3_64(&bytes)
            }
        }
    }
}

/// Whose request this is: clients of the same name are one.
#[must_use]
pub fn client(request: &Request) -> u64 {
    xxh3_64(request.client.as_bytes())
}

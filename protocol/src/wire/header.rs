//! Headers: JSON to and from the messages of [`message`](crate::message).

use super::WireError;
use crate::{
    frame::{Kind, Prefix},
    id::RequestId,
};
use serde::{Serialize, de::DeserializeOwned};
use std::net::SocketAddr;

/// The JSON of a header.
#[must_use]
pub fn to_header<M: Serialize>(message: &M) -> Vec<u8> {
    // Our messages are structs of texts and numbers; serializing them into memory has no way to fail.
    serde_json::to_vec(message).unwrap_or_default()
}

/// Reads the JSON of a header.
///
/// # Errors
/// [`WireError::Header`], which says what is wrong with it.
pub fn from_header<M: DeserializeOwned>(peer: SocketAddr, prefix: &Prefix, header: &[u8]) -> Result<M, WireError> {
    serde_json::from_slice(header).map_err(|source| WireError::Header { peer, kind: prefix.kind, source })
}

/// Appends a whole frame to bytes that will be sent together with [`Connection::send_raw`](super::Connection::send_raw).
pub fn push_frame(out: &mut Vec<u8>, kind: Kind, id: RequestId, header: &[u8], body: &[u8]) {
    out.extend_from_slice(&Prefix::new(kind, id, header.len(), body.len()).encode());
    out.extend_from_slice(header);
    out.extend_from_slice(body);
}

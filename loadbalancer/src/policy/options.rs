//! What can be chosen beside a policy's name.

/// Options of the policies that have any.
#[derive(Clone, Debug, Default, PartialEq, clap::Args, serde::Serialize)]
pub struct Options {}

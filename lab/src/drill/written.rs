//! What is in the database after a drill.

use super::question::TABLE;
use crate::process::run_statement;
use anyhow::bail;
use protocol::value::Value;
use std::{collections::HashMap, net::SocketAddr};

/// How often each text was written.
#[derive(Debug)]
pub struct Rows(HashMap<String, u64>);

impl Rows {
    /// Reads all of them.
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn read(balancer: SocketAddr) -> anyhow::Result<Self> {
        let rows = run_statement(balancer, &format!("SELECT token, count(*) FROM {TABLE} GROUP BY token"))?;
        let understand = |row: Vec<Value>| match &row[..] {
            [Value::Text(token), Value::Integer(count)] => Ok((token.clone(), count.unsigned_abs())),
            _ => bail!("The table of the drill holds {row:?}"),
        };
        rows.into_iter().map(understand).collect()
    }

    /// How often this text is there.
    #[must_use]
    pub fn count(&self, token: &str) -> u64 {
        self.0.get(token).copied().unwrap_or_default()
    }

    /// The texts that are there, and how often.
    pub fn iter(&self) -> impl Iterator<Item = (&String, u64)> {
        self.0.iter().map(|(token, count)| (token, *count))
    }
}

impl FromIterator<(String, u64)> for Rows {
    fn from_iter<I: IntoIterator<Item = (String, u64)>>(rows: I) -> Self {
        Self(rows.into_iter().collect())
    }
}

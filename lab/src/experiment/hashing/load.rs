//! Requests over HTTP, so many at once, and who answered them.

use anyhow::{Context, ensure};
use protocol::{
    http::{
        Status,
        client::{Ask, KeptClient},
    },
    stop::Stop,
};
use serde::Deserialize;
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

/// How long a request may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Answers {
    /// How many requests each server has answered, by its id.
    pub by_server: BTreeMap<String, u64>,
    /// Requests without the right answer.
    pub errors: u64,
    /// What the first of these saw.
    pub example: Option<String>,
    /// How long all of it took.
    pub seconds: f64,
}

/// `GET /home` so many times from so many clients in a closed loop, each with a connection that is kept.
///
/// # Errors
/// If there are no threads for them.
pub fn load(at: SocketAddr, requests: u64, clients: u32, stop: &Stop) -> anyhow::Result<Answers> {
    let (begun, left) = (Instant::now(), AtomicU64::new(requests));
    let mut all = Answers::default();
    thread::scope(|scope| {
        let client = |number: u32| {
            let thread = thread::Builder::new().name(format!("load-{number}")).stack_size(256 * 1024);
            thread.spawn_scoped(scope, || client(at, &left, stop))
        };
        let clients: Vec<_> = (1..=clients).map(client).collect();
        for one in clients {
            let one = one.context("No thread for a client")?.join();
            all.add(one.map_err(|_| anyhow::anyhow!("A client has panicked"))?);
        }
        anyhow::Ok(())
    })?;
    all.seconds = begun.elapsed().as_secs_f64();
    Ok(all)
}

fn client(at: SocketAddr, left: &AtomicU64, stop: &Stop) -> Answers {
    let (mut seen, mut kept) = (Answers::default(), KeptClient::new(at, PATIENCE));
    let one_less = |left: u64| left.checked_sub(1);
    while !stop.is_set() && left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less).is_ok() {
        match home(&mut kept) {
            Ok(server) => *seen.by_server.entry(server).or_default() += 1,
            Err(error) => {
                seen.errors += 1;
                seen.example.get_or_insert(format!("{error:#}"));
            }
        }
    }
    seen
}

/// One request. Returns whose answer it is.
///
/// # Errors
/// If there is no answer, or another one.
pub fn home(kept: &mut KeptClient) -> anyhow::Result<String> {
    #[derive(Deserialize)]
    struct Home {
        message: String,
    }
    let reply = kept.ask(&Ask::get("/home"))?;
    let said = || format!("{}: {}", reply.status, reply.text());
    ensure!(reply.status == Status::OK, said());
    let home: Home = reply.json().with_context(said)?;
    let id = home.message.strip_prefix("Hello from Server: ").with_context(said)?;
    Ok(id.to_owned())
}

impl Answers {
    fn add(&mut self, other: Self) {
        for (server, count) in other.by_server {
            *self.by_server.entry(server).or_default() += count;
        }
        self.errors += other.errors;
        self.example = self.example.take().or(other.example);
    }
}

//! How many requests the servers hold, looked at again and again.
//!
//! By Little's law (L = λW) the mean number of requests in hand, divided by the requests a second, is for how long a request
//! keeps servers busy, copies and all: the price of hedging that latencies do not show.

use crate::process::List;
use anyhow::Context;
use std::{
    net::SocketAddr,
    sync::mpsc::{RecvTimeoutError, Sender, channel},
    thread::{self, JoinHandle},
    time::Duration,
};

/// How often it looks. A look costs the load balancer about as much as a request.
const EVERY: Duration = Duration::from_millis(20);
/// How long the load balancer may take to accept.
const CONNECT_TIME: Duration = Duration::from_secs(5);

/// A thread that looks until it is asked what it saw.
#[derive(Debug)]
pub struct Gauge {
    stop: Sender<()>,
    thread: JoinHandle<anyhow::Result<f64>>,
}

impl Gauge {
    /// Begins to look, after this time.
    ///
    /// # Errors
    /// If there is no thread, or the load balancer does not accept.
    pub fn begin(balancer: SocketAddr, after: Duration) -> anyhow::Result<Self> {
        let mut list = List::connect(balancer, CONNECT_TIME)?;
        let (stop, stopped) = channel::<()>();
        let look = move || {
            let (mut sum, mut looks, mut pause) = (0_u64, 0_u32, after);
            while stopped.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
                sum += list.ask()?.iter().map(|server| u64::from(server.active)).sum::<u64>();
                looks += 1;
                pause = EVERY;
            }
            Ok(sum as f64 / f64::from(looks.max(1)))
        };
        let thread = thread::Builder::new().name("gauge".into()).spawn(look).context("No thread for the gauge")?;
        Ok(Self { stop, thread })
    }

    /// The mean number of requests that all servers held together.
    ///
    /// # Errors
    /// If the load balancer did not answer.
    pub fn end(self) -> anyhow::Result<f64> {
        drop(self.stop);
        self.thread.join().map_err(|_| anyhow::anyhow!("The gauge has panicked"))?
    }
}

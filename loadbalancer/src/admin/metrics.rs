//! The statistics as Prometheus reads them (OpenMetrics text).
//!
//! Nothing is counted for this: a [`Collector`] hands out the same snapshot that the other formats show. Prometheus comes
//! every few seconds, keeps what it saw, and computes rates and percentiles itself:
//!
//! ```text
//! rate(lab_requests_total[1m])                                                          requests a second
//! histogram_quantile(0.99, sum by (le) (rate(lab_server_answer_seconds_bucket[1m])))    p99 over all servers
//! ```

use super::fronts::FrontSnapshot;
use crate::pool::{Admin, PoolSnapshot, ServerSnapshot, State, TimesSnapshot, statistics::BOUNDS_MS};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder, NoLabelSet, text},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
    registry::{Registry, Unit},
};
use std::fmt;

/// What the text is.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The first part of every name.
const PREFIX: &str = "lab";

/// Name, help, and where the number is found.
type Of<T> = (&'static str, &'static str, fn(&T) -> u64);

const COUNTERS: [Of<PoolSnapshot>; 21] = [
    ("connections", "Connections of clients.", |pool| pool.totals.connections),
    ("connections_refused", "Clients turned away at the door.", |pool| pool.totals.refused),
    ("client_errors", "Connections whose client broke the rules or vanished.", |pool| pool.totals.client_errors),
    ("requests", "Requests received whole.", |pool| pool.totals.requests),
    ("requests_malformed", "Requests that were none.", |pool| pool.totals.malformed),
    ("requests_answered", "Requests answered.", |pool| pool.totals.answered),
    ("requests_failed", "Requests that failed for certain.", |pool| pool.totals.failed),
    ("requests_in_doubt", "Requests whose outcome is unknown.", |pool| pool.totals.in_doubt),
    ("requests_cancelled", "Requests taken back.", |pool| pool.totals.cancelled),
    ("requests_queued", "Requests that had to wait for a server.", |pool| pool.totals.queued),
    ("queue_full", "Requests refused because too many waited.", |pool| pool.totals.queue_full),
    ("queue_timeouts", "Requests that waited in vain.", |pool| pool.totals.queue_timeouts),
    ("no_server", "Requests refused because no server was alive.", |pool| pool.totals.no_server),
    ("retries", "Attempts made again at the same server.", |pool| pool.totals.retries),
    ("redispatches", "Attempts made again at another server.", |pool| pool.totals.redispatches),
    ("copies_sent", "Copies sent beside the original.", |pool| pool.totals.copies_sent),
    ("copies_won", "Copies answered before the original.", |pool| pool.totals.copies_won),
    ("foreign_answers", "Datagrams of servers that answered nothing.", |pool| pool.totals.foreign),
    ("datagrams_dropped", "Datagrams the kernel dropped.", |pool| pool.totals.dropped),
    ("received_bytes", "Bytes of requests.", |pool| pool.totals.bytes_in),
    ("sent_bytes", "Bytes of answers.", |pool| pool.totals.bytes_out),
];

const GAUGES: [Of<PoolSnapshot>; 6] = [
    ("clients", "Clients connected.", |pool| pool.totals.clients),
    ("requests_in_hand", "Requests being served or waiting.", |pool| pool.totals.in_hand),
    ("queue", "Requests that wait for a server.", |pool| pool.waiting as u64),
    ("queue_limit", "Requests that may wait.", |pool| pool.max_queue as u64),
    ("servers", "Servers in the pool.", |pool| pool.servers.len() as u64),
    ("servers_up", "Servers that take requests.", |pool| {
        pool.servers.iter().filter(|server| super::csv::is_up(server)).count() as u64
    }),
];

const SERVER_COUNTERS: [Of<ServerSnapshot>; 12] = [
    ("server_chosen", "Requests given to it.", |server| server.chosen),
    ("server_answered", "Requests it answered.", |server| server.answered),
    ("server_failed", "Requests it lost, refused, or was too slow with.", |server| server.failed),
    ("server_cancelled", "Requests taken back from it.", |server| server.cancelled),
    ("server_copies", "Copies it was given beside the original.", |server| server.copies),
    ("server_redispatches", "Attempts made again elsewhere after it.", |server| server.redispatches),
    ("server_connect_errors", "Connections it did not accept.", |server| server.connect_errors),
    ("server_received_bytes", "Bytes of requests sent to it.", |server| server.bytes_in),
    ("server_sent_bytes", "Bytes of answers taken from it.", |server| server.bytes),
    ("server_probes_failed", "Probes it did not answer.", |server| server.probes_failed),
    ("server_downs", "How often it was found down.", |server| server.downs),
    ("server_ejections", "How often it was left out because of how it did.", |server| server.ejections),
];

const SERVER_GAUGES: [Of<ServerSnapshot>; 6] = [
    ("server_up", "Whether it takes requests.", |server| u64::from(super::csv::is_up(server))),
    ("server_ready", "Whether nobody has it drained or in maintenance.", |server| {
        u64::from(server.admin == Admin::Ready && server.state != State::Draining)
    }),
    ("server_active", "Requests it holds.", |server| server.active.into()),
    ("server_most_active", "The most requests it held at once.", |server| server.most_active.into()),
    ("server_capacity", "Requests it may hold; 0: as many as come.", |server| server.capacity.unwrap_or(0).into()),
    ("server_weight", "The weight a person gave it; 0: none.", |server| server.weight.unwrap_or(0).into()),
];

/// The text for these snapshots.
#[must_use]
pub fn openmetrics(fronts: Vec<FrontSnapshot>) -> String {
    let mut registry = Registry::with_prefix(PREFIX);
    registry.register_collector(Box::new(Snapshots(fronts)));
    let mut text = String::new();
    // Writing into memory cannot fail.
    let _written = text::encode(&mut text, &registry);
    text
}

#[derive(Debug)]
struct Snapshots(Vec<FrontSnapshot>);

impl Collector for Snapshots {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        for (name, help, count) in COUNTERS {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            for front in &self.0 {
                ConstCounter::new(count(&front.pool)).encode(family.encode_family(&[("pool", front.name)])?)?;
            }
        }
        for (name, help, count) in GAUGES {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for front in &self.0 {
                ConstGauge::new(count(&front.pool)).encode(family.encode_family(&[("pool", front.name)])?)?;
            }
        }
        let help = "What requests took that were answered, waiting included.";
        let mut family = encoder.encode_descriptor("answer", help, Some(&Unit::Seconds), MetricType::Histogram)?;
        for front in &self.0 {
            encode_times(&front.pool.totals.times, family.encode_family(&[("pool", front.name)])?)?;
        }
        self.encode_servers(encoder)
    }
}

impl Snapshots {
    /// All servers, each with its labels.
    fn servers(&self) -> impl Iterator<Item = ([(&str, &str); 2], &ServerSnapshot)> {
        self.0.iter().flat_map(|front| front.pool.servers.iter().map(|server| (labels(front.name, server), server)))
    }

    fn encode_servers(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        if self.servers().next().is_none() {
            return Ok(());
        }
        for (name, help, count) in SERVER_COUNTERS {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            for (labels, server) in self.servers() {
                ConstCounter::new(count(server)).encode(family.encode_family(&labels)?)?;
            }
        }
        for (name, help, count) in SERVER_GAUGES {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for (labels, server) in self.servers() {
                ConstGauge::new(count(server)).encode(family.encode_family(&labels)?)?;
            }
        }
        let help = "What the requests took that a server answered.";
        let unit = Some(&Unit::Seconds);
        let mut family = encoder.encode_descriptor("server_answer", help, unit, MetricType::Histogram)?;
        for (labels, server) in self.servers() {
            encode_times(&server.times, family.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

fn labels<'a>(pool: &'a str, server: &'a ServerSnapshot) -> [(&'a str, &'a str); 2] {
    [("pool", pool), ("server", &server.id)]
}

fn encode_times(times: &TimesSnapshot, mut encoder: MetricEncoder<'_>) -> fmt::Result {
    let bounds = BOUNDS_MS.iter().map(|ms| ms / 1e3).chain([f64::INFINITY]);
    let buckets: Vec<(f64, u64)> = bounds.zip(times.classes.iter().copied()).collect();
    encoder.encode_histogram::<NoLabelSet>(times.sum_s, times.count(), &buckets, None)
}

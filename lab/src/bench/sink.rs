//! A client of large bodies that costs little: it reads in large pieces, and looks at nothing.
//!
//! `wrk` reads 8 KiB at a time, and would itself be the limit. Here one connection asks for the file again and again, and what
//! comes is counted until the time is over, whole or not.

use super::{contestant::Contestant, measure::Load};
use anyhow::{Context, bail};
use protocol::{
    deadline::Deadline,
    http::{Framing, Headers, HttpConnection, Method, Version, encode::push_request},
    limits::HEADER_TIME,
};
use std::{
    io::Read as _,
    time::{Duration, Instant},
};

/// How much is read at once, in bytes.
const PIECE: usize = 256 * 1024;

/// Reads a file of this path for so many seconds.
///
/// # Errors
/// If the contestant does not answer as it should.
pub fn load(path: &str, contestant: &Contestant, seconds: f64) -> anyhow::Result<Load> {
    let until = Duration::from_secs_f64(seconds);
    let mut connection = HttpConnection::connect(contestant.address, HEADER_TIME)?;
    let (mut piece, mut bytes, mut took) = (vec![0; PIECE], 0, Vec::new());
    let begun = Instant::now();
    while begun.elapsed() < until {
        let asked = Instant::now();
        ask(&mut connection, path, contestant)?;
        let mut body = connection.body();
        while begun.elapsed() < until && !body.is_done() {
            let read =
                body.read(&mut piece).with_context(|| format!("{} sent no whole body", contestant.way.name()))?;
            bytes += read;
        }
        if body.is_done() {
            took.push(asked.elapsed().as_secs_f64() * 1e6);
        }
    }
    let seconds = begun.elapsed().as_secs_f64();
    took.sort_by(f64::total_cmp);
    let at = |share: f64| took.get((took.len() as f64 * share) as usize).copied().unwrap_or(f64::NAN);
    Ok(Load {
        answers_per_s: took.len() as f64 / seconds,
        bytes_per_s: bytes as f64 / seconds,
        latency_us_p50: at(0.5),
        latency_us_p99: at(0.99),
        latency_us_mean: None,
        errors: 0,
        lost: 0,
        seconds,
    })
}

fn ask(connection: &mut HttpConnection, path: &str, contestant: &Contestant) -> anyhow::Result<()> {
    let (mut head, mut headers) = (Vec::new(), Headers::new());
    headers.push("Host", contestant.address.to_string())?;
    push_request(&mut head, (&Method::Get, path, Version::Http11), &headers, Framing::Empty, None);
    connection.send(&[&head])?;
    let answer = connection.read_answer(&Method::Get, Deadline::after(HEADER_TIME))?;
    if !answer.status.is_success() {
        bail!("{} answered {}", contestant.way.name(), answer.status.code());
    }
    Ok(())
}

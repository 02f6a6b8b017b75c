//! What has become of the datagrams.

use super::{Config, StartError, say, warn};
use parking_lot::Mutex;
use protocol::datagrams::dropped;
use std::{
    fs::{File, OpenOptions},
    io::Write,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::SystemTime,
};

/// The titles of the CSV: the end of a period, in seconds since 1970, and what happened in it.
const TITLES: &str = "unix_s,answered,malformed,while_down,not_sent,kernel_dropped";

/// A count.
#[derive(Debug, Default)]
pub(super) struct Count(AtomicU64);

impl Count {
    pub(super) fn add(&self, more: u64) {
        if more > 0 {
            self.0.fetch_add(more, Ordering::Relaxed);
        }
    }

    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The figures of a server.
#[derive(Debug)]
pub(super) struct Statistics {
    address: SocketAddr,
    csv: Option<Arc<File>>,
    pub(super) answered: Count,
    /// Without a payload.
    pub(super) malformed: Count,
    /// Dropped because the server was down, or ended.
    pub(super) while_down: Count,
    /// Answers that the system did not take.
    pub(super) not_sent: Count,
    /// What was told last. Held to compare.
    told: Mutex<[u64; 5]>,
}

/// Opens the file that the configuration names. A server that was started again goes on where it has stopped.
pub(in crate::service) fn open_csv(config: &Config) -> Result<Option<Arc<File>>, StartError> {
    let Some(path) = &config.statistics else { return Ok(None) };
    let open = || {
        let mut file = OpenOptions::new().create(true).append(true).open(path)?;
        if file.metadata()?.len() == 0 {
            writeln!(file, "{TITLES}")?;
        }
        Ok(Some(Arc::new(file)))
    };
    open().map_err(|source| StartError::Statistics { path: path.clone(), source })
}

impl Statistics {
    pub(super) fn new(address: SocketAddr, csv: Option<Arc<File>>) -> Self {
        Self {
            address,
            csv,
            answered: Count::default(),
            malformed: Count::default(),
            while_down: Count::default(),
            not_sent: Count::default(),
            told: Mutex::default(),
        }
    }

    /// Tells the figures: each time in the file, and in words if they have changed.
    pub(super) fn tell(&self) {
        let in_kernel = dropped(self.address).unwrap_or(0);
        let counts = [&self.answered, &self.malformed, &self.while_down, &self.not_sent].map(Count::get);
        let now = [counts[0], counts[1], counts[2], counts[3], in_kernel];
        let before = std::mem::replace(&mut *self.told.lock(), now);
        if let Some(csv) = &self.csv {
            // A full disk must not stop a server.
            let _not_written = csv.as_ref().write_all(line(now, before).as_bytes());
        }
        if now == before {
            return;
        }
        let [answered, malformed, while_down, not_sent, in_kernel] = now;
        say!(
            "Answered {answered} datagrams so far; dropped {malformed} without a payload, {while_down} while down, \
             {in_kernel} in the kernel; {not_sent} answers were not sent."
        );
        if in_kernel > before[4] {
            warn!("The kernel has dropped {} datagrams: they come faster than they are taken.", in_kernel - before[4]);
        }
    }
}

/// A line of the CSV.
fn line(now: [u64; 5], before: [u64; 5]) -> String {
    let time = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let more: Vec<String> =
        now.iter().zip(before).map(|(now, before)| now.saturating_sub(before).to_string()).collect();
    format!("{:.3},{}\n", time.as_secs_f64(), more.join(","))
}

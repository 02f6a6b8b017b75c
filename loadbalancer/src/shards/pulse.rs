//! Whether servers live: all are asked at once, again and again, and who does not answer is ended. A process that is stopped says nothing, and that is
//! how it is found out; the end of a process is noticed anyway.

use super::{at_once::at_once, server::Server, table::Table};
use crossbeam_channel::{RecvTimeoutError, Sender, bounded};
use protocol::{http::Method, output::warn};
use std::{convert::Infallible, sync::Arc, thread, time::Duration};

/// How often servers are asked whether they live.
const EVERY: Duration = Duration::from_millis(500);

/// Asks (thread `shards-pulse`) until what is returned is dropped.
pub fn begin(table: &Arc<Table>) -> Sender<Infallible> {
    let (stop, stopped) = bounded(0);
    // Not as long as the thread lives: it may be at its last question when all else is over.
    let table = Arc::downgrade(table);
    let act = move || {
        while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(EVERY) {
            let Some(table) = table.upgrade() else { return };
            let living: Vec<Arc<Server>> = table.servers.lock().values().map(Arc::clone).collect();
            at_once(&living, |server| ask(&table, server));
        }
    };
    if let Err(error) = thread::Builder::new().name("shards-pulse".into()).spawn(act) {
        warn!("The system gives no thread that asks the shards' servers whether they live: {error}.");
    }
    stop
}

fn ask(table: &Table, server: &Server) {
    let doubts = server.place().map(|place| (place, table.pool.doubts(place)));
    match (server.ask(Method::Get, "/heartbeat", b""), doubts) {
        (Err(_), _) => server.kill(),
        // A read that ended without a word (a defect) leaves a doubt behind; who answers has none.
        (Ok(_), Some((place, doubts))) => drop(table.pool.settle(place, 0, doubts)),
        (Ok(_), None) => {}
    }
}

//! Who listens to the events of a load balancer: the terminal, and the journal if there is one, or the memory.

use super::{
    Events, Record, Wants, console,
    journal::{self, Journal},
    recent::Recent,
    why::Past,
};
use crate::config::Config;
use crossbeam_channel::{Receiver, Sender, bounded};
use protocol::{
    output::warn,
    runs::{RUNS, name_of_this_run, point_latest_to},
};
use std::{
    convert::Infallible,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
};

/// Bytes of a mebibyte.
const MIB: usize = 1_024 * 1_024;

/// The stream of events, and the threads that listen to it.
#[derive(Debug)]
pub struct Audience {
    /// Where what happens is told.
    pub events: Events,
    /// Disconnects when the last listener has ended, which is after the last [`Events`] is gone.
    pub told: Receiver<Infallible>,
    /// Where the journal is, if there is one.
    pub journal: Option<PathBuf>,
    /// Where what happened can be asked for.
    pub past: Past,
}

/// What a listener does until the stream ends.
type Work = Box<dyn FnOnce(Receiver<Arc<Record>>) + Send>;

impl Audience {
    /// The listeners that the command line wants. `registry`: the journal lies beside it unless another place is wanted.
    #[must_use]
    pub fn gather(config: &Config, registry: &Path) -> Self {
        let console = if config.quiet.quiet { Wants::News } else { Wants::Everything };
        let mut listeners: Vec<(&str, Wants, Work)> =
            vec![("console", console, Box::new(|queue| console::print(&queue)))];
        let journal = open_journal(config, registry);
        let path = journal.as_ref().map(|journal| journal.path().to_owned());
        let mut past = path.clone().map_or(Past::Nothing, Past::Journal);
        if let Some(mib) = config.remember {
            let recent = Recent::new(usize::from(mib) * MIB);
            past = Past::Recent(Arc::clone(&recent));
            listeners.push(("recent", Wants::Everything, Box::new(move |queue| recent.listen(&queue))));
        }
        if let Some(journal) = journal {
            listeners.push(("journal", Wants::Everything, Box::new(|queue| journal.write_all(&queue))));
        }
        let wishes: Vec<Wants> = listeners.iter().map(|(_, wants, _)| *wants).collect();
        let (events, queues) = Events::for_listeners(&wishes);
        let (telling, told) = bounded(0);
        for ((name, _, work), queue) in listeners.into_iter().zip(queues) {
            listen(name, &telling, move || work(queue));
        }
        Self { events, told, journal: path, past }
    }

    /// These events go to others, of whom nothing is known: nobody is waited for.
    #[must_use]
    pub fn elsewhere(events: Events) -> Self {
        Self { events, told: bounded(0).1, journal: None, past: Past::Nothing }
    }
}

fn listen(name: &str, telling: &Sender<Infallible>, work: impl FnOnce() + Send + 'static) {
    let telling = telling.clone();
    let spawned = thread::Builder::new().name(name.to_owned()).spawn(move || {
        work();
        drop(telling);
    });
    if let Err(error) = spawned {
        warn!("The system gives no thread for the {name}: {error}.");
    }
}

/// The journal, if there is to be one; one that cannot be made is said, and done without.
fn open_journal(config: &Config, registry: &Path) -> Option<Journal> {
    if config.no_journal {
        return None;
    }
    let runs = registry.parent().unwrap_or(Path::new(".")).join(RUNS);
    let (run, asked) = (runs.join(name_of_this_run("loadbalancer")), config.journal.as_ref());
    let path = asked.cloned().unwrap_or_else(|| run.join(journal::FILE));
    let journal = Journal::create(&path, journal::MAX_BYTES);
    let journal =
        journal.inspect_err(|error| warn!("No journal: {} cannot be written ({error}).", path.display())).ok()?;
    // Whoever names the place of the journal (the laboratory, for one) says himself what is the latest run.
    if asked.is_none()
        && let Err(error) = point_latest_to(&runs, &run)
    {
        warn!(
            "{} does not lead to this run ({error}); its journal is {}.",
            runs.join("latest").display(),
            path.display()
        );
    }
    Some(journal)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Event, reader::JournalReader};
    use clap::Parser;
    use protocol::runs::latest;

    #[test]
    fn the_journal_of_the_newest_run_is_found_under_latest() {
        let folder = tempfile::tempdir().unwrap();
        let (registry, runs) = (folder.path().join("servers.json"), folder.path().join(RUNS));
        let config = Config::parse_from(["loadbalancer", "--quiet"]);
        let Audience { events, told, .. } = Audience::gather(&config, &registry);
        events.emit(|| Event::EventsLost { count: 7 });
        drop(events);
        assert!(told.recv().is_err(), "the listeners have ended");
        let mut read = JournalReader::open(&latest(&runs).join(journal::FILE)).unwrap();
        assert_eq!(read.next().unwrap().event, Event::EventsLost { count: 7 });
    }

    #[test]
    fn a_journal_with_a_place_of_its_own_is_not_the_latest() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mine.jsonl");
        let config = Config::parse_from(["loadbalancer", "--quiet", "--journal", path.to_str().unwrap()]);
        drop(Audience::gather(&config, &folder.path().join("servers.json")));
        assert!(path.exists() && !folder.path().join(RUNS).exists());
    }
}

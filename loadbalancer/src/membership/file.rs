//! The first source: `servers.json`.

use super::Members;
use crate::event::Event;
use protocol::{
    registry::{POLL_EVERY, Watcher},
    stop::Stop,
};

/// Follows the registry until the program ends (thread "registry"): looks at it four times a second.
pub fn follow(members: &Members, stop: &Stop) {
    let (mut watcher, mut trouble) = (Watcher::new(members.shared().registry.clone()), false);
    let events = &members.shared().events;
    loop {
        match watcher.changed() {
            Some(Ok(reading)) => {
                if std::mem::take(&mut trouble) {
                    events.emit(|| Event::RegistryWell { servers: reading.entries.len() });
                }
                members.file_says(&reading);
            }
            Some(Err(error)) => {
                trouble = true;
                events.emit(|| Event::RegistryTrouble { why: error.to_string() });
            }
            None => {}
        }
        if stop.wait_timeout(POLL_EVERY) {
            return;
        }
    }
}

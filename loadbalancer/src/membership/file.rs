//! The first source: `servers.json`.

use super::Members;
use crate::event::Event;
use protocol::{
    registry::{POLL_EVERY, Watcher},
    stop::Stop,
};

/// Follows the registry until the program ends (thread "registry"): looks at it four times a second.
pub fn follow(members: &Members, stop: &Stop) {
    let mut watcher = Watcher::new(members.shared().registry.clone());
    loop {
        match watcher.changed() {
            Some(Ok(reading)) => members.file_says(&reading),
            Some(Err(error)) => members.shared().events.emit(|| Event::RegistryTrouble { why: error.to_string() }),
            None => {}
        }
        if stop.wait_timeout(POLL_EVERY) {
            return;
        }
    }
}

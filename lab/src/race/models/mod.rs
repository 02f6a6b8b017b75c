//! The models: small scenes in which threads meet at the pool, and what must be so however they meet.
//!
//! A model has as few threads as the race needs, because the number of orders grows with the faculty. The first version of
//! each plays with the pool of the program; the others with a mistake that the model must find.

mod clients;
mod servers;
mod people;

pub use self::{clients::CLIENTS, people::PEOPLE, servers::SERVERS};

#[cfg(test)]
pub use self::clients::textbook;

use super::stage::Stage;
use std::sync::Arc;

/// A scene.
#[derive(Debug)]
pub struct Model {
    /// What it is called.
    pub name: &'static str,
    /// What must be so, as a sentence.
    pub shows: &'static str,
    /// With the pool of the program.
    pub real: Version,
    /// With mistakes.
    pub planted: &'static [Version],
}

/// A scene with one pool.
#[derive(Debug)]
pub struct Version {
    /// What it is called.
    pub name: &'static str,
    /// What is special about it, as a sentence.
    pub about: &'static str,
    /// Plays it once.
    pub play: fn(&Arc<Stage>),
}

impl Version {
    /// With the pool of the program.
    const fn real(play: fn(&Arc<Stage>)) -> Self {
        Self { name: "real", about: "The pool of the program.", play }
    }
}

/// All models.
pub fn all() -> impl Iterator<Item = &'static Model> {
    CLIENTS.iter().chain(SERVERS).chain(PEOPLE)
}

/// The model of this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Model> {
    all().find(|model| model.name == name)
}

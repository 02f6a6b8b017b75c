//! What the processes of the laboratory agree on.

pub mod limits;
pub mod id;
pub mod frame;
pub mod value;
pub mod message;
pub mod deadline;
pub mod wire;
pub mod listener;
pub mod handshake;

pub mod registry;
pub mod database;
pub mod places;
pub mod flags;
pub mod stop;
pub mod lifeline;
pub mod holder;
pub mod output;

//! What is written down of a measurement, whichever it was: on what machine, the figures as a table, and where in
//! `docs/results.md` they belong.
//!
//! `lab bench` and `lab experiment` both measure; what they have in common is here.

pub mod machine;
pub mod results;
pub mod table;
mod median;

pub use machine::Machine;
pub use median::{Spread, median};
pub use table::table;

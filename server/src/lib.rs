//! server
mod files;
pub mod sql;

use std::{ffi::OsString, process::ExitCode};

/// Runs the program with these arguments (the first is its name).
pub fn run(_args: impl IntoIterator<Item = OsString>) -> ExitCode {
    ExitCode::SUCCESS
}

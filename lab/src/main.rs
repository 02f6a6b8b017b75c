//! The `lab` program; everything is in its library.

fn main() -> std::process::ExitCode {
    lab::run(std::env::args_os())
}

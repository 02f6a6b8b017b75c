//! The `server` program; everything is in its library.

fn main() -> std::process::ExitCode {
    server::run(std::env::args_os())
}

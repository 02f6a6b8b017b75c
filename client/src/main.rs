//! The `client` program; everything is in its library.

fn main() -> std::process::ExitCode {
    client::run(std::env::args_os())
}

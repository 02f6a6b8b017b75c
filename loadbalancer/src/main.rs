//! The `loadbalancer` program; everything is in its library.

fn main() -> std::process::ExitCode {
    loadbalancer::run(std::env::args_os())
}

//! The user of the laboratory: asks a load balancer for files and SQL results, at a prompt, over a pipe, or from the
//! command line.
//!
//! ```text
//! $ client 2
//! Enter query: file colors.csv
//! Sending request from client 2
//! Preparing to receive the file: colors.csv
//! File colors.csv received successfully!
//! ```
//!
//! A line comes in ([`prompt`], [`lines`], the command line), is understood ([`request`]), sent ([`exchange`]), and
//! its answer is read frame by frame ([`answer`]) and shown as it comes ([`render`]) or kept ([`received`]). The
//! client believes nothing that it is told: not a file's name, not its size or digest, not the order of frames.
//!
//! `client load …` is another program over the same parts: many clients at once, which measure ([`load`]);
//! `client resolve …` asks for the addresses of names ([`resolve`]); and `client students …` asks a table in shards ([`students`]).
//!
//! # Threads (those of the other programs stand in their modules)
//!
//! | name | does | blocks on | locks | ends |
//! |---|---|---|---|---|
//! | main | everything | the keyboard or pipe; the connection and the bell, with a deadline; printing | none | with the program |
//! | signals | rings the bell on Ctrl-C, ends the program on other signals | waiting for signals | none | with the program |
//! | lifeline | ends the program when the one that started it ends (`--lifeline`) | a read from it | none | with either |

pub mod request;
pub mod answer;
pub mod received;
pub mod render;
pub mod error;
pub mod status;
pub mod interrupt;
pub mod link;
pub mod exchange;
pub mod again;
pub mod voice;
mod display;
pub mod session;
pub mod lines;
pub mod prompt;
pub mod config;
pub mod load;
pub mod resolve;
pub mod students;

use config::{Args, Config};
use exchange::Exchange;
use lines::Lines;
use protocol::{flags::run_parsed, lifeline, warn};
use received::Inbox;
use render::{Look, Style};
use session::{Flow, Session};
use status::Status;
use std::{
    ffi::OsString,
    io::{self, IsTerminal},
    process::ExitCode,
};
use voice::Voice;

/// Status of a command line that makes no sense.
const WRONG_USAGE: u8 = 2;

/// Runs the program with these arguments (the first is its name), and says with which status it ends.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let mut args: Vec<OsString> = args.into_iter().collect();
    let first = args.get(1).and_then(|word| word.to_str());
    let command: Option<fn(Vec<OsString>) -> ExitCode> = match first {
        Some(load::COMMAND) => Some(load::main),
        Some(resolve::COMMAND) => Some(resolve::main),
        Some(students::COMMAND) => Some(students::main),
        _ => None,
    };
    if let Some(command) = command {
        args.remove(1);
        return command(args);
    }
    run_parsed(args, |args: Args| {
        if let Err(misuse) = args.check() {
            let _nobody_reads = misuse.print();
            return ExitCode::from(WRONG_USAGE);
        }
        match args.into_config().and_then(|config| start(&config)) {
            Ok(status) => status.into(),
            Err(error) => {
                warn!("{error}");
                Status::Failed.into()
            }
        }
    })
}

fn start(config: &Config) -> io::Result<Status> {
    if let Some(parent) = &config.lifeline {
        let settings = interrupt::Settings::now();
        let end = move || {
            settings.restore();
            std::process::exit(Status::Failed.code().into());
        };
        lifeline::hold(parent, end).map_err(io::Error::other)?;
    }
    let (bell, rope) = interrupt::bell()?;
    interrupt::ring_on_signals(rope)?;
    let exchange = Exchange::new(config.link.clone(), Some(bell));
    let inbox = Inbox::new(config.received.clone());
    let style = Style { format: config.format, look: look() };
    let voice = Voice::standard(config.format, config.quiet);
    let bar_wanted = !config.quiet && io::stderr().is_terminal();
    let mut session = Session::new(config.link.client.clone(), exchange, inbox, style, voice)
        .with_bar(bar_wanted)
        .asking_again(config.again);
    if !config.requests.is_empty() {
        return Ok(answer_all(&mut session, &config.requests, config.once));
    }
    if io::stdin().is_terminal() && io::stdout().is_terminal() {
        return prompt::run(&mut session, config.history.clone(), config.once);
    }
    answer_lines(&mut session, config.once)
}

/// The requests of the command line.
fn answer_all(session: &mut Session, requests: &[String], once: bool) -> Status {
    for request in requests {
        let flow = session.handle(request);
        if is_over(flow, once) {
            break;
        }
    }
    session.status()
}

/// The lines of a pipe.
fn answer_lines(session: &mut Session, once: bool) -> io::Result<Status> {
    let mut lines = Lines::new(io::stdin().lock());
    while let Some(line) = lines.next_line()? {
        let flow = match line {
            Ok(line) => session.handle(&line),
            Err(bad) => session.refuse("", &bad.to_string(), bad.code()),
        };
        if is_over(flow, once) {
            break;
        }
    }
    Ok(session.status())
}

/// Whether no further request is wanted. Without a prompt, Ctrl-C means all of them.
fn is_over(flow: Flow, once: bool) -> bool {
    match flow {
        Flow::End | Flow::Interrupted => true,
        Flow::Asked => once,
        Flow::Nothing => false,
    }
}

/// What stdout is: tables are drawn for it.
fn look() -> Look {
    if !io::stdout().is_terminal() {
        return Look::default();
    }
    let width = terminal_size::terminal_size_of(io::stdout()).map(|(width, _)| usize::from(width.0));
    Look { width: width.filter(|width| *width > 0), utf8: speaks_utf8(|name| std::env::var(name).ok()) }
}

/// Whether the locale says that the terminal shows UTF-8. The first of the three that is set decides.
fn speaks_utf8(variable: impl Fn(&str) -> Option<String>) -> bool {
    let set = |name: &&str| variable(name).filter(|value| !value.is_empty());
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].iter().find_map(set).unwrap_or_default();
    let locale = locale.to_ascii_uppercase();
    locale.contains("UTF-8") || locale.contains("UTF8")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_locale_decides_how_a_table_is_drawn() {
        let utf8 = |set: &[(&str, &str)]| {
            speaks_utf8(|name| set.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
        };
        assert!(utf8(&[("LANG", "de_DE.UTF-8")]) && utf8(&[("LC_ALL", ""), ("LC_CTYPE", "C.utf8")]));
        assert!(!utf8(&[("LC_ALL", "C"), ("LANG", "de_DE.UTF-8")]) && !utf8(&[]));
    }
}

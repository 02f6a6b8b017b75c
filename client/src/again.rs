//! Asking again: the command with which a user settles a request whose outcome is unknown.
//!
//! Losing an answer leaves a user with a question that must not be answered by trying once more: an `INSERT` that is
//! typed again is another one. Under the *same id* it is the same one, so the id and the whole command are printed,
//! to be copied.

use crate::link::Link;
use protocol::{flags::BALANCER_PORT, id::RequestId};
use std::net::{Ipv4Addr, SocketAddr};

/// Longest statement that is repeated in the command, in bytes: what is longer came from a file, not from a keyboard.
const LONGEST: usize = 4 * 1024;

/// Stands where a statement is too long, or holds what cannot be copied from a terminal.
const SAME: &str = "THE SAME STATEMENT";

/// What to type in a POSIX shell to ask again for the outcome of this request.
#[must_use]
pub fn command(link: &Link, id: RequestId, statement: &str) -> String {
    // Where cargo has built the program it is not in the shell's path.
    let built_here =
        std::env::current_exe().is_ok_and(|path| path.components().any(|part| part.as_os_str() == "target"));
    let program = if built_here { "cargo run -q -p client --" } else { "client" };
    format!("{program} {}", arguments(link, id, statement))
}

fn arguments(link: &Link, id: RequestId, statement: &str) -> String {
    let copied = |c: char| c == '\n' || c == '\t' || !c.is_control();
    let fits = statement.len() <= LONGEST && statement.chars().all(copied);
    let statement = if fits { statement } else { SAME };
    let usual = SocketAddr::from((Ipv4Addr::LOCALHOST, BALANCER_PORT));
    let balancer = if link.balancer == usual { String::new() } else { format!("--balancer {} ", link.balancer) };
    // What begins with a dash, such as a comment of SQL, would be taken for an option.
    let dashes = if link.client.starts_with('-') || statement.starts_with('-') { "-- " } else { "" };
    format!("--request-id {id} {balancer}{dashes}{} {}", quoted(&link.client), quoted(statement))
}

/// The text as one word of a POSIX shell.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn link(client: &str, port: u16) -> Link {
        let second = Duration::from_secs(1);
        let balancer = ([127, 0, 0, 1], port).into();
        Link { client: client.into(), balancer, connect_timeout: second, request_timeout: second }
    }

    #[test]
    fn the_command_can_be_copied() {
        let id = RequestId { client: 1, sequence: 2 };
        assert_eq!(
            arguments(&link("2", 5050), id, "INSERT INTO T VALUES ('it''s')"),
            r"--request-id 0000000000000001-0000000000000002 2 'INSERT INTO T VALUES ('\''it'\'''\''s'\'')'"
        );
        let elsewhere = arguments(&link("zoë's", 7000), id, "x");
        assert!(elsewhere.ends_with(r"0002 --balancer 127.0.0.1:7000 'zoë'\''s' x"), "{elsewhere}");
    }

    #[test]
    fn what_cannot_be_copied_is_left_to_the_user() {
        let id = RequestId::NONE;
        for statement in ["SELECT '\u{1b}[2J'", &"x".repeat(LONGEST + 1)] {
            assert!(arguments(&link("2", 5050), id, statement).ends_with(" 2 'THE SAME STATEMENT'"));
        }
        assert!(arguments(&link("2", 5050), id, "SELECT\n1").ends_with("'SELECT\n1'"));
        assert!(arguments(&link("2", 5050), id, "-- why\nSELECT 1").ends_with(" -- 2 '-- why\nSELECT 1'"));
    }
}

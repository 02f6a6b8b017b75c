//! Small words: times, lists, texts of others.

pub(super) use protocol::output::count;

use protocol::{http::http_date, output::Plain};
use std::time::{Duration, UNIX_EPOCH};

/// Longest text of others in one sentence, in characters.
const LONGEST: usize = 300;

/// A length of time, with three digits or so: `85 µs`, `3.2 ms`, `215 ms`, `1.35 s`.
pub(super) fn time(us: u64) -> String {
    let ms = us as f64 / 1e3;
    match us {
        0..1_000 => format!("{us} µs"),
        1_000..10_000 => format!("{ms:.1} ms"),
        10_000..1_000_000 => format!("{ms:.0} ms"),
        _ => format!("{:.2} s", ms / 1e3),
    }
}

/// A processing time, or another number of seconds, as short as it is exact to the microsecond.
pub(super) fn seconds(seconds: f64) -> String {
    format!("{} s", (seconds * 1e6).round() / 1e6)
}

/// A number that is compared, with up to four digits after its point.
pub(super) fn number(number: f64) -> String {
    // Adding zero makes of -0 a plain one.
    format!("{}", (number * 1e4).round() / 1e4 + 0.0)
}

/// A moment: `21 Nov 2026 10:45:12.123 GMT`.
pub(super) fn moment(us: u64) -> String {
    let date = http_date(UNIX_EPOCH + Duration::from_micros(us));
    let date = date.split_once(", ").map_or(&*date, |(_weekday, rest)| rest);
    let ms = us / 1_000 % 1_000;
    date.strip_suffix(" GMT").map_or_else(|| date.to_owned(), |date| format!("{date}.{ms:03} GMT"))
}

/// `1`, `1 and 2`, `1, 2 and 3`.
pub(super) fn list(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// A text of others on one line, harmless for a terminal, and not endless.
pub(super) fn text(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let line = match line.char_indices().nth(LONGEST) {
        None => line,
        Some((cut, _)) => format!("{}…", &line[..cut]),
    };
    Plain(&line).to_string()
}

/// The same as the end of a sentence: with one full stop.
pub(super) fn ending(words: &str) -> String {
    let words = text(words);
    if words.ends_with(['.', '!', '?', ')']) { words } else { words + "." }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_three_digits_or_so() {
        let all = [0, 999, 1_000, 9_949, 10_000, 215_300, 999_499, 1_350_000, 61_000_000].map(time);
        assert_eq!(all, ["0 µs", "999 µs", "1.0 ms", "9.9 ms", "10 ms", "215 ms", "999 ms", "1.35 s", "61.00 s"]);
        assert_eq!([0.1, 0.0, 1e-4, 2.0].map(seconds), ["0.1 s", "0 s", "0.0001 s", "2 s"]);
        assert_eq!([-0.0, -5.0, 0.12345].map(number), ["0", "-5", "0.1235"]);
        assert_eq!(moment(784_111_777_012_345), "06 Nov 1994 08:49:37.012 GMT");
    }

    #[test]
    fn texts_of_others_stay_on_their_line() {
        assert_eq!(text("SELECT\n  1;\u{1b}[2J"), "SELECT 1;\\u{1b}[2J");
        assert_eq!(text(&"x".repeat(400)).chars().count(), LONGEST + 1);
        assert_eq!(["gone", "gone.", "gone (why)"].map(ending), ["gone.", "gone.", "gone (why)"]);
        assert_eq!([&["1"][..], &["1", "2"], &["1", "2", "3"]].map(list), ["1", "1 and 2", "1, 2 and 3"]);
        assert_eq!([count(1, "request"), count(2, "request")], ["1 request", "2 requests"]);
    }
}

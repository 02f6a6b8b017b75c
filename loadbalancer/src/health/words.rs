//! Rules written as words, each followed by its value: `inter 1s rise 2`, in any order, none of them twice.

use protocol::flags::parse_timeout;
use std::time::Duration;

/// Words and their values.
pub(super) struct Words<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Words<'a> {
    /// Takes a text apart. `known` are the words that are understood.
    pub fn read(text: &'a str, known: &[&str]) -> Result<Self, String> {
        let mut words = text.split_whitespace();
        let mut found: Vec<(&str, &str)> = Vec::new();
        while let Some(word) = words.next() {
            if !known.contains(&word) {
                return Err(format!("'{}' is not understood here: write {}.", shown(word), known.join(", ")));
            }
            if found.iter().any(|(earlier, _)| *earlier == word) {
                return Err(format!("'{word}' is said twice."));
            }
            // The next word in the place of a value is a value that was forgotten.
            match words.next() {
                Some(value) if !known.contains(&value) => found.push((word, value)),
                _ => return Err(format!("'{word}' has no value.")),
            }
        }
        if found.is_empty() {
            return Err(format!("It is empty: write some of {}.", known.join(", ")));
        }
        Ok(Self(found))
    }

    fn value(&self, word: &str) -> Option<&'a str> {
        self.0.iter().find(|(known, _)| *known == word).map(|(_, value)| *value)
    }

    /// A time above zero, or this one if the word is not there.
    pub fn time(&self, word: &str, default: Duration) -> Result<Duration, String> {
        let read = |value| parse_timeout(value).map_err(|why| format!("The value of '{word}' is wrong. {why}"));
        self.value(word).map_or(Ok(default), read)
    }

    /// A whole number within these bounds and followed by this unit, or `None` if the word is not there.
    pub fn number(&self, word: &str, least: u32, most: u32, unit: &str) -> Result<Option<u32>, String> {
        let Some(value) = self.value(word) else { return Ok(None) };
        let number = value.strip_suffix(unit).unwrap_or(value).parse().ok();
        let number = number.filter(|number| (least..=most).contains(number));
        let value = shown(value);
        let wrong =
            || format!("The value of '{word}' is a whole number from {least}{unit} to {most}{unit}, not '{value}'.");
        number.map(Some).ok_or_else(wrong)
    }
}

/// The beginning of what somebody wrote, fit for a terminal.
fn shown(text: &str) -> String {
    text.chars().take(40).flat_map(char::escape_debug).collect()
}

/// A time as these rules are written, so that it can be read again: `2s`, `250ms`, `0.5ms`.
pub(super) fn written(time: Duration) -> String {
    match time.subsec_micros() {
        0 => format!("{}s", time.as_secs()),
        micros => format!("{}ms", time.as_secs() as f64 * 1000.0 + f64::from(micros) / 1000.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_said() {
        for (text, words) in [
            ("", "It is empty"),
            ("a", "'a' has no value"),
            ("a b", "'a' has no value"),
            ("a 1 a 2", "'a' is said twice"),
            ("a 1 c 2", "'c' is not understood here: write a, b."),
            ("a 1 \u{1b}[2J 2", "\\u{1b}[2J"),
        ] {
            let refused = Words::read(text, &["a", "b"]).err().unwrap_or_default();
            assert!(refused.contains(words), "{text}: {refused}");
        }
    }

    #[test]
    fn numbers_keep_their_bounds() {
        let read = |text: &'static str| Words::read(text, &["a"]).unwrap().number("a", 1, 50, "%");
        assert_eq!(read("a 50%"), Ok(Some(50)));
        assert_eq!(read("a 50"), Ok(Some(50)));
        for wrong in ["a 0%", "a 51%", "a -1", "a half", "a %", "a 4294967297"] {
            assert!(read(wrong).unwrap_err().contains("from 1% to 50%"), "{wrong}");
        }
        assert_eq!(Words::read("b 1", &["a", "b"]).unwrap().number("a", 1, 50, "%"), Ok(None));
    }

    #[test]
    fn a_time_can_be_read_again() {
        for (millis, text) in
            [(1_000.0, "1s"), (60_000.0, "60s"), (250.0, "250ms"), (1_500.0, "1500ms"), (0.5, "0.5ms")]
        {
            let time = Duration::from_secs_f64(millis / 1000.0);
            assert_eq!(written(time), text);
            assert_eq!(parse_timeout(text), Ok(time));
        }
    }
}

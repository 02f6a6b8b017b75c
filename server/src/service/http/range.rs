//! A part of a file: `Range: bytes=500-999` (RFC 9110 §14).
//!
//! Three forms: `0-499` (from, to, both included), `500-` (from there to the end), `-500` (the last 500). What is no such
//! thing is passed over, as is a list of several: the answer is then the whole file with 200, which the RFC allows
//! and every client must understand. A part that begins behind the end is refused with 416. A part may reach
//! beyond the end, because a client may ask before it knows the size.

use protocol::http::Headers;
use std::ops::Range;

/// What part of a file is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// All of it.
    Whole,
    /// These bytes of it; never none.
    Bytes(Range<u64>),
    /// Something that a file of this size does not have.
    None,
}

/// The part that these fields ask for, of a file of this size.
pub(super) fn part(headers: &Headers, size: u64) -> Part {
    let mut fields = headers.all("range");
    match (fields.next().and_then(|value| str::from_utf8(value).ok()), fields.next()) {
        (Some(value), None) => parse(value, size).unwrap_or(Part::Whole),
        _ => Part::Whole,
    }
}

/// `None` if it is nothing that is understood here.
fn parse(value: &str, size: u64) -> Option<Part> {
    let (unit, spec) = value.split_once('=')?;
    if !unit.eq_ignore_ascii_case("bytes") {
        return None;
    }
    let (first, last) = spec.trim_matches([' ', '\t']).split_once('-')?;
    let range = match (first, last) {
        ("", last) => size.saturating_sub(number(last)?)..size,
        (first, "") => number(first)?..size,
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            if last < first {
                return None;
            }
            first..last.saturating_add(1).min(size)
        }
    };
    Some(if range.start < range.end { Part::Bytes(range) } else { Part::None })
}

/// A number of digits and nothing else. One that is too large for a computer is larger than any file.
fn number(digits: &str) -> Option<u64> {
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| digits.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(value: &str, size: u64) -> Part {
        let mut headers = Headers::new();
        headers.push("Range", value).unwrap();
        part(&headers, size)
    }

    #[test]
    fn parts_are_understood_as_the_rfc_says() {
        let huge = "9".repeat(40);
        for (value, size, expected) in [
            ("bytes=0-499", 10_000, Part::Bytes(0..500)),
            ("bytes=500-999", 10_000, Part::Bytes(500..1_000)),
            ("bytes=-500", 10_000, Part::Bytes(9_500..10_000)),
            ("bytes=9500-", 10_000, Part::Bytes(9_500..10_000)),
            ("BYTES= 0-0", 10_000, Part::Bytes(0..1)),
            ("bytes=-1", 10_000, Part::Bytes(9_999..10_000)),
            ("bytes=0-99999", 10_000, Part::Bytes(0..10_000)),
            ("bytes=-99999", 10_000, Part::Bytes(0..10_000)),
            (&format!("bytes=0-{huge}"), 10_000, Part::Bytes(0..10_000)),
            ("bytes=10000-", 10_000, Part::None),
            ("bytes=10000-10001", 10_000, Part::None),
            (&format!("bytes={huge}-"), 10_000, Part::None),
            ("bytes=-0", 10_000, Part::None),
            ("bytes=0-", 0, Part::None),
            ("bytes=-1", 0, Part::None),
            ("bytes=0-1,5-6", 10_000, Part::Whole),
            ("bytes=5-4", 10_000, Part::Whole),
            ("bytes=-", 10_000, Part::Whole),
            ("bytes=a-b", 10_000, Part::Whole),
            ("bytes=+1-2", 10_000, Part::Whole),
            ("bytes 0-1", 10_000, Part::Whole),
            ("lines=0-1", 10_000, Part::Whole),
        ] {
            assert_eq!(of(value, size), expected, "{value} of {size}");
        }
        let mut twice = Headers::new();
        twice.push("Range", "bytes=0-1").unwrap();
        twice.push("Range", "bytes=2-3").unwrap();
        assert_eq!(part(&twice, 10), Part::Whole);
        assert_eq!(part(&Headers::new(), 10), Part::Whole);
    }
}

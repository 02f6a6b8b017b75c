//! A download that goes on from another server, inside of the same answer. Pure.
//!
//! **The problem.** A server is lost in the middle of a long answer. The client has its beginning; a second answer behind it
//! would be garbage, and all over again is what the client wanted to be spared.
//!
//! **The idea.** If the first server said which *version* it was sending (a strong `ETag`: equal tags mean equal bytes), the
//! rest of exactly that version can be asked for: `Range: bytes=1048576-4194303` with `If-Range: "v7"`. The next server
//! answers 206 with that range if it has the same version, and with anything else if not. Only a 206 whose range and
//! tag are exactly those is passed on; the client sees one answer, with the length that was promised.
//!
//! | first answer                          | goes on?                                                  |
//! |---------------------------------------|-----------------------------------------------------------|
//! | 200, strong ETag, Content-Length      | yes                                                       |
//! | 206 of one range, strong ETag, length | yes, inside of that range                                 |
//! | weak ETag (`W/"v7"`), none            | no: equal tags may be different bytes, or nobody can tell |
//! | chunked, or until the end             | no: how much is missing is not known                      |
//! | not GET                               | no                                                        |
//!
//! Where it does not, the connection to the client is ended in the middle, and the client sees that bytes are missing.
//!
//! **When it is wrong.** Two servers that give the same strong tag to different bytes break the promise of the tag; then the
//! mixture is theirs. That is why the lab protocol hashes what was sent; HTTP has nothing of that kind.
//!
//! Sources: RFC 9110 §8.8.1 (strong and weak), §13.1.5 (If-Range), §14 (Range), §15.3.7 (206).

use protocol::http::{Answer, Framing, Method, Status};

/// A part of a representation: its first and last byte, and its whole length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContentRange {
    /// The first byte.
    pub first: u64,
    /// The last byte.
    pub last: u64,
    /// How many there are in all; `None`: the server did not say.
    pub whole: Option<u64>,
}

/// A download that can go on elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resume {
    etag: String,
    /// What the whole answer is a part of.
    range: ContentRange,
    /// How many bytes of the answer the client has.
    given: u64,
}

impl Resume {
    /// Whether what this answer to a request with this method begins can go on elsewhere.
    #[must_use]
    pub fn of(method: &Method, answer: &Answer) -> Option<Self> {
        let Framing::Length(length @ 1..) = answer.framing else { return None };
        let etag = strong(answer)?;
        let range = match answer.status {
            Status::OK => ContentRange { first: 0, last: length - 1, whole: Some(length) },
            Status::PARTIAL_CONTENT => content_range(answer.headers.get("content-range")?)?,
            _ => return None,
        };
        let fits = *method == Method::Get && range.last - range.first == length - 1;
        fits.then(|| Self { etag: etag.to_owned(), range, given: 0 })
    }

    /// The client has got so many more bytes.
    pub fn passed(&mut self, bytes: u64) {
        self.given += bytes;
    }

    /// Where in the representation it goes on.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.range.first + self.given
    }

    /// The version, for `If-Range`.
    #[must_use]
    pub fn etag(&self) -> &str {
        &self.etag
    }

    /// The rest, for `Range`.
    #[must_use]
    pub fn range(&self) -> String {
        format!("bytes={}-{}", self.position(), self.range.last)
    }

    /// Whether this answer is exactly the rest.
    ///
    /// # Errors
    /// Why not, as a sentence.
    pub fn check(&self, answer: &Answer) -> Result<(), String> {
        if answer.status != Status::PARTIAL_CONTENT {
            return Err(format!("it was asked for the rest and answered {}", answer.status.code()));
        }
        if strong(answer) != Some(&self.etag) {
            return Err("it has another version".to_owned());
        }
        let wanted = ContentRange { first: self.position(), ..self.range };
        let range = answer.headers.get("content-range").and_then(content_range);
        let fits = range.is_some_and(|range| {
            let whole_differs = range.whole.is_some() && wanted.whole.is_some() && range.whole != wanted.whole;
            (range.first, range.last) == (wanted.first, wanted.last) && !whole_differs
        });
        let length = wanted.last + 1 - wanted.first;
        let framed = matches!(answer.framing, Framing::Chunked) || answer.framing == Framing::Length(length);
        if fits && framed { Ok(()) } else { Err("it sent another part than it was asked for".to_owned()) }
    }
}

/// The strong tag of an answer, if it has one and only one.
fn strong(answer: &Answer) -> Option<&str> {
    let mut tags = answer.headers.all("etag");
    let (Some(tag), None) = (tags.next(), tags.next()) else { return None };
    let inner = tag.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    let fine = inner.iter().all(|&byte| byte == 0x21 || (0x23..=0x7e).contains(&byte));
    if fine { str::from_utf8(tag).ok() } else { None }
}

/// Reads `bytes 0-99/200` or `bytes 0-99/*`.
fn content_range(text: &str) -> Option<ContentRange> {
    let (range, whole) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let number =
        |digits: &str| if digits.bytes().all(|b| b.is_ascii_digit()) { digits.parse::<u64>().ok() } else { None };
    let whole = if whole == "*" { None } else { Some(number(whole)?) };
    let (first, last) = (number(first)?, number(last)?);
    let fits = first <= last && last < u64::MAX && whole.is_none_or(|whole| last < whole);
    fits.then_some(ContentRange { first, last, whole })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(text: &str) -> Answer {
        let text = text.replace('\n', "\r\n") + "\r\n\r\n";
        Answer::parse(&Method::Get, text.as_bytes()).unwrap().unwrap().0
    }

    fn begun() -> Resume {
        let mut resume =
            Resume::of(&Method::Get, &answer("HTTP/1.1 200 OK\nContent-Length: 1000\nETag: \"v7\"")).unwrap();
        resume.passed(400);
        resume
    }

    #[test]
    fn the_rest_of_the_same_version_is_asked_for() {
        assert_eq!((begun().range().as_str(), begun().etag()), ("bytes=400-999", "\"v7\""));
        let part = "HTTP/1.1 206 \nContent-Range: bytes 100-299/1000\nContent-Length: 200\nETag: \"v7\"";
        let mut part = Resume::of(&Method::Get, &answer(part)).unwrap();
        part.passed(50);
        assert_eq!(part.range(), "bytes=150-299");
    }

    #[test]
    fn what_cannot_go_on() {
        for head in [
            "HTTP/1.1 200 OK\nContent-Length: 1000",
            "HTTP/1.1 200 OK\nContent-Length: 1000\nETag: W/\"v7\"",
            "HTTP/1.1 200 OK\nContent-Length: 1000\nETag: \"v7\"\nETag: \"v8\"",
            "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\nETag: \"v7\"",
            "HTTP/1.1 404 No\nContent-Length: 1000\nETag: \"v7\"",
            "HTTP/1.1 206 P\nContent-Length: 200\nETag: \"v7\"\nContent-Type: multipart/byteranges; boundary=x",
            "HTTP/1.1 206 P\nContent-Length: 200\nETag: \"v7\"\nContent-Range: bytes 0-100/1000",
        ] {
            assert_eq!(Resume::of(&Method::Get, &answer(head)), None, "{head}");
        }
        let head = answer("HTTP/1.1 200 OK\nContent-Length: 1000\nETag: \"v7\"");
        assert_eq!(Resume::of(&Method::Post, &head), None);
    }

    #[test]
    fn only_exactly_the_rest_is_taken() {
        let fits = "HTTP/1.1 206 P\nContent-Length: 600\nETag: \"v7\"\nContent-Range: bytes 400-999/1000";
        assert_eq!(begun().check(&answer(fits)), Ok(()));
        for (from, to) in [
            ("206 P", "200 OK"),
            ("\"v7\"", "\"v8\""),
            ("\"v7\"", "W/\"v7\""),
            ("400-999", "399-999"),
            ("400-999", "400-998"),
            ("/1000", "/1001"),
            ("Length: 600", "Length: 599"),
            ("bytes 400", "lines 400"),
            ("400-999", "999-400"),
            ("400-999", "+400-999"),
        ] {
            let other = fits.replace(from, to);
            assert_ne!(other, fits);
            assert!(begun().check(&answer(&other)).is_err(), "{other}");
        }
    }
}

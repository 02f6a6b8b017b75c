//! Has the client's copy of a file become another one? Validators and preconditions (RFC 9110 §8.8, §13).
//!
//! **The problem.** A client has a file, or half of it, and asks for the rest or for what is new. Two versions must never
//! be mixed, and a version that has changed must never be taken for the one that the client has. The *strong* tag of
//! a file promises just that: equal tags, equal bytes.
//!
//! **Two ways to a tag.** The SHA-256 of the bytes is the promise itself, and the same on every machine. But the whole
//! file must be read before the first byte of it can leave: half a second for 500 MB. Or the tag says what the *system*
//! knows about the file: the number of its inode, its size, the times of its last change of content and of its last
//! change of any kind (mtime and ctime, in nanoseconds). That costs nothing, and is what we do:
//!
//! * a file that is *replaced* (written beside it, then renamed) has another inode, or at least another ctime, which nobody
//!   can set: not `touch -d`, not `cp -p`;
//! * a file that is *changed in place* has another ctime, if time has passed since it was looked at.
//!
//! **A worked example.** System time moves in ticks of up to 10 ms. A file is written at 12:00:00.000, looked at and tagged
//! at .003, written again with the same length at .006: the same tick, the same times, the same tag, other bytes. So a file
//! gets no validators before it has been at rest for [`TICKS`]. Whoever sees the tag at .060 knows that any later
//! change shows another time. Where times are kept in seconds, it takes [`COARSE`]. (Apache makes the tag a weak one
//! for the first second; but a weak tag still says "not changed" to `If-None-Match`, so here is none.)
//!
//! **When it is wrong.** A clock that is set back to the nanosecond. A file system that lies about ctime (some network file
//! systems, FAT). Memory maps, whose writes are dated when the system gets to it. And two servers with *copies* of a folder
//! have other tags for the same bytes: the client then gets the whole file again, never a mixture. Servers that share a
//! folder, also over a network, agree.
//!
//! Sources: RFC 9110 §8.8.1 (weak against strong), §13.2.2 (the order of preconditions); git's "racy" index.

use protocol::http::{Headers, http_date, read_http_date};
use sha2::{Digest, Sha256};
use std::{
    fs::Metadata,
    time::{Duration, SystemTime},
};

/// How long a file must have been at rest where times are finer than seconds: several ticks of the coarsest clock (10 ms).
const TICKS: Duration = Duration::from_millis(50);

/// How long where times are whole seconds, or steps of two as on FAT.
const COARSE: Duration = Duration::from_secs(2);

/// What tells one version of a file from another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Validators {
    /// The strong tag with its quotes, if the file has been at rest for long enough.
    pub(super) tag: Option<String>,
    /// When the content was changed last, if that is certain to the second.
    pub(super) modified: Option<SystemTime>,
}

/// What comes of a request's preconditions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is answered as if there were none.
    Go,
    /// The client has the newest version: 304.
    NotModified,
    /// The version is not the one that the client demands: 412.
    Failed,
}

impl Validators {
    /// The validators of a file with this metadata, looked at now.
    pub(super) fn of(metadata: &Metadata, now: SystemTime) -> Self {
        let modified = metadata.modified().ok().filter(|&modified| at_rest(modified, COARSE, now));
        Self { tag: tag(metadata, now), modified }
    }

    /// Weighs the preconditions in the order of RFC 9110 §13.2.2, for a GET or HEAD.
    pub(super) fn weigh(&self, headers: &Headers) -> Verdict {
        if headers.contains("if-match") {
            if !self.is_among(headers, "if-match", false) {
                return Verdict::Failed;
            }
        } else if let Some(date) = date(headers, "if-unmodified-since")
            && self.modified.is_none_or(|modified| seconds(modified) > seconds(date))
        {
            return Verdict::Failed;
        }
        if headers.contains("if-none-match") {
            if self.is_among(headers, "if-none-match", true) {
                return Verdict::NotModified;
            }
        } else if let Some(date) = date(headers, "if-modified-since")
            && self.modified.is_some_and(|modified| seconds(modified) <= seconds(date))
        {
            return Verdict::NotModified;
        }
        Verdict::Go
    }

    /// Whether a part may be sent: only if what the client has is of this very version (RFC 9110 §13.1.5).
    pub(super) fn allow_part(&self, headers: &Headers) -> bool {
        match headers.get("if-range") {
            None => !headers.contains("if-range"),
            Some(value) if value.ends_with('"') => self.tag.as_deref() == Some(value),
            Some(value) => self.modified.is_some_and(|modified| http_date(modified) == value),
        }
    }

    /// Whether our tag is among those of the field. Weak ones (`W/"…"`) count only where `weak` is enough.
    fn is_among(&self, headers: &Headers, name: &str, weak: bool) -> bool {
        let mut values = headers.all(name);
        values.any(|value| value == b"*" || self.tag.as_deref().is_some_and(|own| lists(value, own, weak)))
    }
}

/// Whether a list of tags has this one. A tag may have a comma in it, so the quotes are what counts.
fn lists(mut list: &[u8], own: &str, weak: bool) -> bool {
    loop {
        list = list.trim_ascii_start();
        let is_weak = list.starts_with(b"W/");
        let quoted = if is_weak { &list[2..] } else { list };
        let Some(end) = quoted.iter().skip(1).position(|&byte| byte == b'"').filter(|_| quoted[0] == b'"') else {
            return false;
        };
        let (tag, rest) = quoted.split_at(end + 2);
        if tag == own.as_bytes() && (weak || !is_weak) {
            return true;
        }
        let Some(more) = rest.trim_ascii_start().strip_prefix(b",") else { return false };
        list = more;
    }
}

/// The date of a field; one that cannot be read is no date, as the RFC demands.
fn date(headers: &Headers, name: &str) -> Option<SystemTime> {
    headers.get(name).and_then(read_http_date)
}

/// Whole seconds, as HTTP knows them.
fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Whether this much has passed since then.
fn at_rest(since: SystemTime, rest: Duration, now: SystemTime) -> bool {
    now.duration_since(since).is_ok_and(|passed| passed >= rest)
}

#[cfg(unix)]
fn tag(metadata: &Metadata, now: SystemTime) -> Option<String> {
    use protocol::value::to_hex;
    use std::os::unix::fs::MetadataExt;
    let (changed, nanos) = (metadata.ctime(), metadata.ctime_nsec());
    let since = Duration::new(u64::try_from(changed).ok()?, u32::try_from(nanos).ok()?);
    let rest = if nanos == 0 { COARSE } else { TICKS };
    if !at_rest(SystemTime::UNIX_EPOCH + since, rest, now) {
        return None;
    }
    let mut digest = Sha256::new();
    digest.update(metadata.ino().to_be_bytes());
    digest.update(metadata.size().to_be_bytes());
    for time in [metadata.mtime(), metadata.mtime_nsec(), changed, nanos] {
        digest.update(time.to_be_bytes());
    }
    // A digest, because numbers of inodes are nobody's business; half of it is more than enough.
    Some(format!("\"{}\"", to_hex(&digest.finalize()[..16])))
}

/// Where there is no ctime, nothing tells two versions apart for certain.
#[cfg(not(unix))]
fn tag(_metadata: &Metadata, _now: SystemTime) -> Option<String> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const TAG: &str = "\"a,b\"";
    const THEN: u64 = 784_111_777;

    fn weigh(fields: &[(&str, &str)]) -> Verdict {
        validators().weigh(&headers(fields))
    }

    fn validators() -> Validators {
        let modified = SystemTime::UNIX_EPOCH + Duration::from_millis(THEN * 1_000 + 600);
        Validators { tag: Some(TAG.into()), modified: Some(modified) }
    }

    fn headers(fields: &[(&str, &str)]) -> Headers {
        let mut headers = Headers::new();
        fields.iter().for_each(|(name, value)| headers.push(name, value).unwrap());
        headers
    }

    /// RFC 9110 §13.2.2, as a table. The file was changed at THEN and a little, and its tag has a comma in it.
    #[test]
    fn preconditions_are_weighed_in_their_order() {
        let at = |seconds| http_date(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
        let (before, then, after) = (at(THEN - 1), at(THEN), at(THEN + 1));
        let (matches, none, since, unless) = ("If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since");
        for (fields, expected) in [
            (vec![], Verdict::Go),
            (vec![(matches, TAG)], Verdict::Go),
            (vec![(matches, "*")], Verdict::Go),
            (vec![(matches, "\"x\", \"a,b\"")], Verdict::Go),
            (vec![(matches, "\"x\""), (matches, TAG)], Verdict::Go),
            (vec![(matches, "\"a\"")], Verdict::Failed),
            (vec![(matches, "W/\"a,b\"")], Verdict::Failed),
            (vec![(matches, "a,b")], Verdict::Failed),
            (vec![(matches, "")], Verdict::Failed),
            (vec![(matches, "\"a,b")], Verdict::Failed),
            (vec![(matches, TAG), (unless, &before)], Verdict::Go),
            (vec![(unless, &before)], Verdict::Failed),
            (vec![(unless, &then)], Verdict::Go),
            (vec![(unless, &after)], Verdict::Go),
            (vec![(unless, "sometime")], Verdict::Go),
            (vec![(none, TAG)], Verdict::NotModified),
            (vec![(none, "W/\"a,b\"")], Verdict::NotModified),
            (vec![(none, "*")], Verdict::NotModified),
            (vec![(none, "\"x\" , W/\"y\",\"a,b\"")], Verdict::NotModified),
            (vec![(none, "\"a\", \"b\"")], Verdict::Go),
            (vec![(none, "\"x\""), (since, &after)], Verdict::Go),
            (vec![(since, &before)], Verdict::Go),
            (vec![(since, &then)], Verdict::NotModified),
            (vec![(since, &after)], Verdict::NotModified),
            (vec![(since, "sometime")], Verdict::Go),
            (vec![(matches, "\"x\""), (none, TAG)], Verdict::Failed),
            (vec![(matches, TAG), (none, TAG)], Verdict::NotModified),
        ] {
            assert_eq!(weigh(&fields), expected, "{fields:?}");
        }
    }

    #[test]
    fn a_part_is_sent_only_of_the_version_that_the_client_has() {
        let then = http_date(SystemTime::UNIX_EPOCH + Duration::from_secs(THEN));
        let other = http_date(SystemTime::UNIX_EPOCH + Duration::from_secs(THEN + 1));
        for (value, expected) in
            [(TAG, true), ("W/\"a,b\"", false), ("\"x\"", false), (&then, true), (&other, false), ("sometime", false)]
        {
            assert_eq!(validators().allow_part(&headers(&[("If-Range", value)])), expected, "{value}");
        }
        let nothing = Validators { tag: None, modified: None };
        assert!(nothing.allow_part(&Headers::new()));
        for value in [TAG, "\"\"", &then] {
            assert!(!nothing.allow_part(&headers(&[("If-Range", value)])), "{value}");
        }
        assert_eq!(nothing.weigh(&headers(&[("If-None-Match", TAG)])), Verdict::Go);
        assert_eq!(nothing.weigh(&headers(&[("If-Match", TAG)])), Verdict::Failed);
    }

    #[cfg(unix)]
    #[test]
    fn every_change_makes_another_tag_and_a_fresh_file_has_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let later = SystemTime::now() + Duration::from_secs(60);
        let tag = |now| Validators::of(&std::fs::metadata(&path).unwrap(), now).tag;
        let changed = |change: &dyn Fn()| {
            let before = tag(later).unwrap();
            // Not sooner than the clock of the file system moves.
            let until = std::time::Instant::now() + TICKS;
            while std::time::Instant::now() < until {
                std::thread::yield_now();
            }
            change();
            before != tag(later).unwrap()
        };
        std::fs::write(&path, "one").unwrap();
        let seen = std::fs::metadata(&path).unwrap().modified().unwrap();
        assert_eq!(tag(seen), None);
        assert_eq!(tag(later), tag(later));
        assert!(changed(&|| std::fs::write(&path, "two").unwrap()), "in place, of the same length");
        assert!(
            changed(&|| {
                let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
                let before = file.metadata().unwrap().modified().unwrap();
                std::io::Write::write_all(&mut &file, b"six").unwrap();
                file.set_modified(before).unwrap();
            }),
            "in place, with the old time set"
        );
        assert!(
            changed(&|| {
                std::fs::write(folder.path().join("new"), "ten").unwrap();
                std::fs::rename(folder.path().join("new"), &path).unwrap();
            }),
            "replaced"
        );
    }
}

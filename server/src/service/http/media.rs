//! What kind of content a file has, by the end of its name.
//!
//! A browser that is told nothing guesses from the content, and what was meant as text becomes a page that runs scripts.
//! So every file has a type, and `nosniff` stands beside it.

/// The types of the endings that a class meets. Texts are taken for UTF-8.
const TYPES: [(&str, &str); 29] = [
    ("css", "text/css; charset=utf-8"),
    ("csv", "text/csv; charset=utf-8"),
    ("gif", "image/gif"),
    ("gz", "application/gzip"),
    ("htm", "text/html; charset=utf-8"),
    ("html", "text/html; charset=utf-8"),
    ("ico", "image/vnd.microsoft.icon"),
    ("jpeg", "image/jpeg"),
    ("jpg", "image/jpeg"),
    ("js", "text/javascript; charset=utf-8"),
    ("json", "application/json"),
    ("jsonl", "application/jsonl"),
    ("log", "text/plain; charset=utf-8"),
    ("md", "text/markdown; charset=utf-8"),
    ("mp3", "audio/mpeg"),
    ("mp4", "video/mp4"),
    ("pdf", "application/pdf"),
    ("png", "image/png"),
    ("rs", "text/plain; charset=utf-8"),
    ("sql", "application/sql"),
    ("svg", "image/svg+xml"),
    ("tar", "application/x-tar"),
    ("toml", "application/toml"),
    ("txt", "text/plain; charset=utf-8"),
    ("wasm", "application/wasm"),
    ("webp", "image/webp"),
    ("woff2", "font/woff2"),
    ("xml", "application/xml"),
    ("zip", "application/zip"),
];

/// The type of a file of this name; bytes without a meaning if its ending is not known.
pub(super) fn type_of(name: &str) -> &'static str {
    let ending = name.rsplit('/').next().and_then(|file| file.rsplit_once('.')).map_or("", |(_, ending)| ending);
    let known = TYPES.iter().find(|(known, _)| known.eq_ignore_ascii_case(ending));
    known.map_or("application/octet-stream", |(_, media)| media)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_end_of_the_last_part_counts() {
        for (name, media) in [
            ("colors.csv", "text/csv; charset=utf-8"),
            ("a/b.d/INDEX.HTML", "text/html; charset=utf-8"),
            ("site.html/file", "application/octet-stream"),
            ("archive.tar.gz", "application/gzip"),
            ("html", "application/octet-stream"),
            ("what.", "application/octet-stream"),
            ("x.unknown", "application/octet-stream"),
        ] {
            assert_eq!(type_of(name), media, "{name}");
        }
    }
}

//! Under which name a file arrives.
//!
//! **The problem.** The name that was asked for was typed here, but it may hold anything: `../../.bashrc`, a
//! line break, 900 letters, `CON`. It must become the name of one file in one folder, on any file system.
//!
//! **The idea.** Take what is behind the last separator (of either kind), replace what no file system likes, keep
//! the ending, and never leave it empty. What was replaced is seen at once, for the final name is told.
//!
//! ```text
//! colors.csv            colors.csv
//! reports/2026/a b.txt  a b.txt
//! ../../etc/passwd      passwd
//! what?.txt             what_.txt
//! nul.txt               _nul.txt
//! ..                    file
//! ```
//!
//! A different file of that name is kept: the new one becomes `colors.2.csv`, then `colors.3.csv`.
//!
//! **Simplified.** Names that differ only in case, or in how an `é` is composed, are left to the file system.

use super::TEMPORARY;

/// Longest name given here, in bytes: most file systems stop at 255, and a number and the mark of an unfinished
/// file have to fit as well. A longer name loses the end of its stem.
const MAX_NAME: usize = 200;

/// Longest ending that is kept when a name is cut or numbered, in bytes with its point. What is longer is no type of file.
const MAX_ENDING: usize = 24;

/// The name under which a file of this requested name arrives.
#[must_use]
pub fn safe_name(requested: &str) -> String {
    let last = requested.rsplit(['/', '\\']).find(|part| !part.trim().is_empty()).unwrap_or("");
    let name: String = last.chars().map(|c| if is_unwelcome(c) { '_' } else { c }).collect();
    let name = name.trim().trim_end_matches(['.', ' ']);
    if name.is_empty() {
        return "file".to_owned();
    }
    let reserved = is_device(name) || name.starts_with(TEMPORARY);
    shortened(&if reserved { format!("_{name}") } else { name.to_owned() })
}

/// Control characters, what turns the direction of writing around, and what Windows keeps for itself (also where
/// Linux would take it: folders are copied and shared).
fn is_unwelcome(character: char) -> bool {
    let turns = matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    turns || character.is_control() || "<>:\"|?*".contains(character)
}

/// Names that Windows takes for devices, whatever their ending.
fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or("").trim_end().to_ascii_uppercase();
    let numbered = stem.strip_prefix("COM").or(stem.strip_prefix("LPT"));
    matches!(stem.as_str(), "CON" | "PRN" | "AUX" | "NUL") || numbered.is_some_and(|n| n.len() == 1 && n != "0")
}

fn shortened(name: &str) -> String {
    if name.len() <= MAX_NAME {
        return name.to_owned();
    }
    let (stem, ending) = stem_and_ending(name);
    let room = MAX_NAME - ending.len();
    let keep = stem.char_indices().map(|(at, c)| at + c.len_utf8()).take_while(|end| *end <= room).last();
    format!("{}{ending}", &stem[..keep.unwrap_or(0)])
}

/// `colors.csv` as `colors` and `.csv`. A leading point begins no ending.
fn stem_and_ending(name: &str) -> (&str, &str) {
    match name.rfind('.') {
        Some(at) if at > 0 && name.len() - at <= MAX_ENDING => name.split_at(at),
        _ => (name, ""),
    }
}

/// The name of the `n`th different file of one name: `colors.csv`, `colors.2.csv`, `colors.3.csv` …
#[must_use]
pub fn numbered(name: &str, n: u32) -> String {
    if n <= 1 {
        return name.to_owned();
    }
    let (stem, ending) = stem_and_ending(name);
    format!("{stem}.{n}{ending}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ordinary_names_stay() {
        for name in ["colors.csv", "a b.txt", "Großmutter 日本.txt", "README", ".profile", "a.tar.gz", "it's; $(x).md"]
        {
            assert_eq!(safe_name(name), name);
        }
    }

    #[test]
    fn a_path_loses_its_folders() {
        for (requested, name) in [
            ("reports/2026/a b.txt", "a b.txt"),
            ("../../etc/passwd", "passwd"),
            ("/etc/passwd", "passwd"),
            ("C:\\Windows\\system.ini", "system.ini"),
            ("folder/", "folder"),
            ("..", "file"),
            ("../..", "file"),
            (".", "file"),
            ("/", "file"),
            ("", "file"),
            (" ", "file"),
        ] {
            assert_eq!(safe_name(requested), name, "{requested:?}");
        }
    }

    #[test]
    fn what_no_file_system_likes_is_replaced() {
        for (requested, name) in [
            ("a\nb\u{1b}[2J.txt", "a_b_[2J.txt"),
            ("nul\0", "nul_"),
            ("what?*.txt", "what__.txt"),
            ("gnp\u{202e}exe.txt", "gnp_exe.txt"),
            ("trailing. . ", "trailing"),
            ("nul.txt", "_nul.txt"),
            ("Com1", "_Com1"),
            ("com10", "com10"),
            ("console", "console"),
        ] {
            assert_eq!(safe_name(requested), name, "{requested:?}");
        }
        assert!(!safe_name(&format!("{TEMPORARY}x")).starts_with(TEMPORARY));
    }

    #[test]
    fn a_long_name_keeps_its_ending() {
        let name = safe_name(&format!("{}.tar.gz", "ä".repeat(400)));
        assert!(name.len() <= MAX_NAME && name.ends_with("ä.gz"), "{name}");
        let name = safe_name(&format!("a.{}", "x".repeat(400)));
        assert_eq!(name.len(), MAX_NAME);
    }

    #[test]
    fn numbers_stand_before_the_ending() {
        assert_eq!(numbered("colors.csv", 1), "colors.csv");
        assert_eq!(numbered("colors.csv", 2), "colors.2.csv");
        assert_eq!(numbered("README", 3), "README.3");
        assert_eq!(numbered(".profile", 2), ".profile.2");
    }

    proptest! {
        #[test]
        fn any_name_becomes_one_component(requested: String, n in 1..20_000_u32) {
            let name = numbered(&safe_name(&requested), n);
            prop_assert!(!name.is_empty() && name.len() <= 220 && name != "." && name != "..");
            prop_assert!(!name.contains(['/', '\\', '\0']) && !name.chars().any(char::is_control));
            let path = std::path::Path::new(&name);
            prop_assert_eq!(path.components().count(), 1);
            prop_assert_eq!(path.file_name().and_then(|n| n.to_str()), Some(name.as_str()));
        }
    }
}

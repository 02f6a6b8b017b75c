//! `docs/results.md`: the figures stand between two marks and are replaced whole; the words around them stay.

use anyhow::{Context, bail};
use std::{fs, path::Path};

/// Puts new figures between the marks of this file that have this name: `bench`, `experiment shares` …
///
/// # Errors
/// If the file cannot be read or written, or has no such marks.
pub fn write(path: &Path, name: &str, figures: &str) -> anyhow::Result<()> {
    let text = fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
    let Some(text) = replaced(&text, name, figures) else {
        let (begin, end) = marks(name);
        bail!("{} has no lines {begin} and {end} between which the figures belong.", path.display());
    };
    fs::write(path, text).with_context(|| format!("{} cannot be written", path.display()))
}

/// What begins and ends the part that is replaced.
fn marks(name: &str) -> (String, String) {
    (format!("<!-- lab {name}: begin -->"), format!("<!-- lab {name}: end -->"))
}

fn replaced(text: &str, name: &str, figures: &str) -> Option<String> {
    let (begin, end) = marks(name);
    let (before, rest) = text.split_once(&begin)?;
    let (_, after) = rest.split_once(&end)?;
    Some(format!("{before}{begin}\n\n{}\n\n{end}{after}", figures.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_between_the_marks_of_that_name_is_replaced() {
        let (begin, end) = marks("bench");
        let text = format!("# Results\n\n{begin}\nold\n{end}\n\nWords.\n");
        let new = replaced(&text, "bench", "\nnew\n").unwrap();
        assert_eq!(new, format!("# Results\n\n{begin}\n\nnew\n\n{end}\n\nWords.\n"));
        assert_eq!(replaced(&new, "bench", "new").unwrap(), new);
        assert_eq!(replaced("# Results\n", "bench", "new"), None);
        assert_eq!(replaced(&text, "experiment shares", "new"), None);
    }
}

//! `docs/results.md`: the figures stand between two marks and are replaced whole; the words around them stay.

use anyhow::{Context, bail};
use std::{fs, path::Path};

/// Begins what is replaced.
const BEGIN: &str = "<!-- lab bench: begin -->";
/// Ends it.
const END: &str = "<!-- lab bench: end -->";

/// Puts new figures between the marks of this file.
///
/// # Errors
/// If the file cannot be read or written, or has no marks.
pub fn write(path: &Path, figures: &str) -> anyhow::Result<()> {
    let text = fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
    let Some(text) = replaced(&text, figures) else {
        bail!("{} has no lines {BEGIN} and {END} between which the figures belong.", path.display());
    };
    fs::write(path, text).with_context(|| format!("{} cannot be written", path.display()))
}

fn replaced(text: &str, figures: &str) -> Option<String> {
    let (before, rest) = text.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n\n{}\n\n{END}{after}", figures.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_between_the_marks_is_replaced() {
        let text = format!("# Results\n\n{BEGIN}\nold\n{END}\n\nWords.\n");
        let new = replaced(&text, "\nnew\n").unwrap();
        assert_eq!(new, format!("# Results\n\n{BEGIN}\n\nnew\n\n{END}\n\nWords.\n"));
        assert_eq!(replaced(&new, "new").unwrap(), new);
        assert_eq!(replaced("# Results\n", "new"), None);
    }
}

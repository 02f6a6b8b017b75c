//! Titles of columns, short enough for the head of an answer.
//!
//! SQLite's title of an expression is the expression's whole text, and the titles of an answer travel in one header. They
//! are made to fit here, within the database, because a statement that writes must not be found too large to
//! be answered after it was committed.

use super::SqlError;
use protocol::{limits::MAX_HEADER, message::Head, wire::to_header};

/// Titles longer than this many characters are cut when the head would not fit into a frame's header otherwise.
const LONG: usize = 60;

/// The titles as they are sent.
pub(super) fn fitting(titles: Vec<String>) -> Result<Vec<String>, SqlError> {
    let number = titles.len();
    let fits = |columns: Vec<String>| {
        let head = Head::Rows { columns, recorded: true };
        let length = to_header(&head).len();
        let Head::Rows { columns, .. } = head else { return Err(Vec::new()) };
        if length <= MAX_HEADER { Ok(columns) } else { Err(columns) }
    };
    fits(titles).or_else(|titles| fits(titles.iter().map(|title| shortened(title)).collect())).map_err(|_| {
        SqlError::TooLarge(format!("The titles of the {number} columns take more than {MAX_HEADER} bytes."))
    })
}

fn shortened(title: &str) -> String {
    match title.char_indices().nth(LONG) {
        Some((at, _)) => format!("{}…", &title[..at]),
        None => title.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_titles_are_cut_only_when_they_must_and_too_many_are_refused() {
        let long = "ä".repeat(100);
        assert_eq!(fitting(vec![long.clone(); 2]).unwrap(), [long.clone(), long.clone()]);
        let cut = format!("{}…", "ä".repeat(LONG));
        assert!(fitting(vec![long; 100]).unwrap() == vec![cut; 100]);
        assert_eq!(fitting(vec!["c".into(); 2_000]).unwrap().len(), 2_000);
        assert!(matches!(fitting(vec!["a title".into(); 2_000]), Err(SqlError::TooLarge(_))));
    }
}

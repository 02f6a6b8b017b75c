//! Tables of Markdown, which read as well on a terminal.

/// A table of Markdown, its columns as wide as their widest cell: the first one of words, the others of figures.
#[must_use]
pub fn table(header: &[String], rows: impl Iterator<Item = Vec<String>>) -> String {
    let rows: Vec<Vec<String>> = std::iter::once(header.to_vec()).chain(rows).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: Vec<usize> = (0..header.len()).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).enumerate();
        let cell = |(at, (cell, width)): (usize, (&String, &usize))| {
            if at == 0 { format!(" {cell:<width$} |") } else { format!(" {cell:>width$} |") }
        };
        format!("|{}\n", cells.map(cell).collect::<String>())
    };
    let rule = |(at, width): (usize, &usize)| {
        if at == 0 { format!("{}|", "-".repeat(width + 2)) } else { format!("{}:|", "-".repeat(width + 1)) }
    };
    let rule = format!("|{}\n", widths.iter().enumerate().map(rule).collect::<String>());
    let body: String = rows[1..].iter().map(line).collect();
    format!("{}{rule}{body}", line(&rows[0]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_aligned() {
        let header = ["a".to_owned(), "µs".to_owned()];
        let rows = [vec!["long".to_owned(), "1".to_owned()], vec!["x".to_owned(), "12345".to_owned()]];
        let text = table(&header, rows.into_iter());
        assert_eq!(text, "| a    |    µs |\n|------|------:|\n| long |     1 |\n| x    | 12345 |\n");
    }
}

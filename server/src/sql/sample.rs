//! The table COLORS, from the same data as the file `colors.csv`.

use rusqlite::{Connection, Result};

const CSV: &str = include_str!("../../files/colors.csv");

/// Creates COLORS and fills it, unless a table of that name is there. Its columns have no constraints: whatever a
/// class inserts twice shall be seen twice.
pub(super) fn create_colors(connection: &Connection) -> Result<()> {
    let there =
        connection.query_row("SELECT count(*) FROM sqlite_schema WHERE name = 'COLORS' COLLATE NOCASE", [], |row| {
            row.get::<_, i64>(0)
        })?;
    if there > 0 {
        return Ok(());
    }
    connection.execute_batch("CREATE TABLE COLORS (Name TEXT, HEX TEXT, RGB TEXT)")?;
    let mut insert = connection.prepare("INSERT INTO COLORS (Name, HEX, RGB) VALUES (?1, ?2, ?3)")?;
    colors().try_for_each(|color| insert.execute(color).map(|_| ()))
}

/// The rows of the file: name, hexadecimal, percentages. Only the third is quoted, because it has commas in it.
fn colors() -> impl Iterator<Item = [&'static str; 3]> {
    CSV.lines().skip(1).filter_map(|line| {
        let (name, rest) = line.split_once(',')?;
        let (hex, rgb) = rest.split_once(',')?;
        Some([name, hex, rgb.trim_matches('"')])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rows_are_those_of_the_file_and_begin_as_in_the_course() {
        let rows: Vec<_> = colors().collect();
        assert_eq!(rows.len(), CSV.lines().count() - 1, "no line is left out");
        assert_eq!(rows[0], ["White", "#FFFFFF", "rgb(100,100,100)"]);
        assert_eq!(rows[1], ["Silver", "#C0C0C0", "rgb(75,75,75)"]);
        assert_eq!(rows[2], ["Gray", "#808080", "rgb(50,50,50)"]);
    }
}

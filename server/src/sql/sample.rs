//! The sample tables: COLORS, from the same data as the file `colors.csv`, and MEASUREMENTS, 100,000 rows made from a seed.

const CSV: &str = include_str!("../../files/colors.csv");

/// Creates COLORS. Its columns have no constraints: whatever a class inserts twice shall be seen twice.
pub(super) const CREATE_COLORS: &str = "CREATE TABLE COLORS (Name TEXT, HEX TEXT, RGB TEXT)";

/// How many rows MEASUREMENTS has.
const MEASUREMENTS: u64 = 100_000;

/// Of what the numbers of MEASUREMENTS are made, so that they are the same on every engine.
const SEED: u64 = 2026;

/// SQL that makes both tables; `literal` writes a text as the engine reads it.
pub(super) fn script(literal: impl Fn(&str) -> String) -> Vec<String> {
    let rows: Vec<String> = colors().map(|color| format!("({})", color.map(&literal).join(", "))).collect();
    let mut script = vec![
        CREATE_COLORS.to_owned(),
        format!("INSERT INTO COLORS VALUES {}", rows.join(", ")),
        "CREATE TABLE MEASUREMENTS (id INTEGER PRIMARY KEY, station INTEGER NOT NULL, reading INTEGER NOT NULL)".into(),
    ];
    let mut random = fastrand::Rng::with_seed(SEED);
    let mut id = 0;
    while id < MEASUREMENTS {
        let mut row = |id: u64| format!("({id}, {}, {})", random.u32(1..=100), random.u32(0..1_000_000));
        let rows: Vec<String> = (id + 1..=id + 5_000).map(&mut row).collect();
        script.push(format!("INSERT INTO MEASUREMENTS VALUES {}", rows.join(", ")));
        id += 5_000;
    }
    script
}

/// The rows of the file: name, hexadecimal, percentages. Only the third is quoted, because it has commas in it.
pub(super) fn colors() -> impl Iterator<Item = [&'static str; 3]> {
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

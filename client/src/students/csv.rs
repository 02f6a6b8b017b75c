//! Rows from the lines of a file: CSV as in RFC 4180, but for line breaks in fields, which a student's name does not have. Pure.
//!
//! Marks that are a number in JSON's way of writing (`27`, `1.5`) become one; all else is text, and so is what stands in quotes, and a whole
//! number of more than 64 bits, which would lose its last digits.

use super::call::Row;
use serde_json::{Number, Value, json};
use std::collections::HashMap;

/// The first line.
pub const HEADER: [&str; 3] = ["Stud_id", "Stud_name", "Stud_marks"];

/// A row, and the line on which it stands (from 1 on).
pub type Lined = (usize, Row);

/// What is wrong, and on which line.
pub type Wrong = (usize, String);

/// The row of a student.
pub fn row(id: i64, name: String, marks: Value) -> Row {
    HEADER.into_iter().map(str::to_owned).zip([json!(id), Value::String(name), marks]).collect()
}

/// Marks as they are typed: a number, if they are one.
pub fn marks(text: &str) -> Value {
    let is_whole = text.strip_prefix('-').unwrap_or(text).bytes().all(|byte| byte.is_ascii_digit());
    let number = serde_json::from_str::<Number>(text).ok().filter(|number| !is_whole || number.is_i64());
    number.map_or_else(|| Value::String(text.to_owned()), Value::Number)
}

/// The text of a file.
///
/// # Errors
/// The first line that is no UTF-8.
pub fn text(bytes: &[u8]) -> Result<&str, Wrong> {
    std::str::from_utf8(bytes).map_err(|error| {
        let line = bytes[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count() + 1;
        (line, "This is no text in UTF-8.".to_owned())
    })
}

/// All rows of a file. Empty lines are passed over.
///
/// # Errors
/// The first line that is wrong; a number of a student that is there twice is wrong, too.
pub fn rows(text: &str) -> Result<Vec<Lined>, Wrong> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut lines = text.lines().enumerate().map(|(n, line)| (n + 1, line)).filter(|(_, line)| !line.trim().is_empty());
    let wanted = HEADER.join(",");
    let Some((n, header)) = lines.next() else {
        return Err((1, format!("The file is empty; it begins with {wanted}.")));
    };
    if header.contains('\r') {
        return Err((n, "Lines end with CR alone; they must end with LF, or CR and LF.".to_owned()));
    }
    let titles = fields(header).map_err(|why| (n, why))?;
    if !titles.iter().map(|field| field.text.trim()).eq(HEADER) {
        return Err((n, format!("The first line is '{}', and not {wanted}.", cut(header))));
    }
    let (mut rows, mut seen) = (Vec::new(), HashMap::new());
    for (n, line) in lines {
        let (id, row) = student(line).map_err(|why| (n, why))?;
        if let Some(before) = seen.insert(id, n) {
            return Err((n, format!("Stud_id {id} is on line {before} already.")));
        }
        rows.push((n, row));
    }
    Ok(rows)
}

fn student(line: &str) -> Result<(i64, Row), String> {
    let fields = fields(line)?;
    let count = fields.len();
    let Ok([id, name, mark]) = <[Field; 3]>::try_from(fields) else {
        return Err(format!("There are {count} fields, and not {}.", HEADER.len()));
    };
    let number = id.text.trim().parse();
    let number = number.map_err(|_| format!("Stud_id '{}' is no whole number of 64 bits.", cut(&id.text)))?;
    let mark = if mark.quoted { Value::String(mark.text) } else { marks(mark.text.trim()) };
    Ok((number, row(number, name.text, mark)))
}

/// As much of it as a sentence can bear.
fn cut(text: &str) -> String {
    const MOST: usize = 60;
    let end = text.char_indices().nth(MOST).map(|(at, _)| at);
    end.map_or_else(|| text.to_owned(), |end| format!("{}…", &text[..end]))
}

/// A field, and whether it stood in quotes.
struct Field {
    text: String,
    quoted: bool,
}

/// The fields of a line.
fn fields(line: &str) -> Result<Vec<Field>, String> {
    let (mut fields, mut rest) = (Vec::new(), line);
    loop {
        let (field, more) = if let Some(inside) = rest.strip_prefix('"') {
            quoted(inside)?
        } else {
            let end = rest.find(',').unwrap_or(rest.len());
            (Field { text: rest[..end].to_owned(), quoted: false }, &rest[end..])
        };
        fields.push(field);
        match more.strip_prefix(',') {
            Some(next) => rest = next,
            None if more.is_empty() => return Ok(fields),
            None => return Err(format!("After a closing quote stands '{}', and no comma.", cut(more))),
        }
    }
}

/// A field behind its opening quote, and what is left of the line behind its closing one.
fn quoted(inside: &str) -> Result<(Field, &str), String> {
    let (mut text, mut rest) = (String::new(), inside);
    loop {
        let end = rest.find('"').ok_or("A quote is opened, and not closed on the same line.")?;
        text.push_str(&rest[..end]);
        rest = &rest[end + 1..];
        match rest.strip_prefix('"') {
            Some(next) => {
                text.push('"');
                rest = next;
            }
            None => return Ok((Field { text, quoted: true }, rest)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &str) -> Result<Vec<Value>, Wrong> {
        let rows = rows(&format!("Stud_id,Stud_name,Stud_marks\n{lines}"))?;
        Ok(rows
            .into_iter()
            .map(|(line, row)| json!([line, row["Stud_id"], row["Stud_name"], row["Stud_marks"]]))
            .collect())
    }

    #[test]
    fn rows_are_read_with_their_lines() {
        let lines = "1,Ada,27\r\n\n-2,\"O'Hara, \"\"Jo\"\"\",1.5\n3,Zoë,A+\n4,,\"27\"\n5, B , 7 \n";
        let rows = [
            json!([2, 1, "Ada", 27]),
            json!([4, -2, "O'Hara, \"Jo\"", 1.5]),
            json!([5, 3, "Zoë", "A+"]),
            json!([6, 4, "", "27"]),
            json!([7, 5, " B ", 7]),
        ];
        assert_eq!(read(lines).unwrap(), rows);
        assert_eq!(rows_of("\u{feff}Stud_id,Stud_name,Stud_marks"), Ok(0));
    }

    fn rows_of(text: &str) -> Result<usize, Wrong> {
        rows(text).map(|rows| rows.len())
    }

    #[test]
    fn marks_are_numbers_as_long_as_nothing_is_lost() {
        let kept = [("27", json!(27)), ("-3", json!(-3)), ("1.5", json!(1.5)), ("A+", json!("A+")), ("", json!(""))];
        kept.into_iter().for_each(|(text, wanted)| assert_eq!(marks(text), wanted, "{text}"));
        for text in ["9223372036854775808", "99999999999999999999", "-", "007"] {
            assert_eq!(marks(text), json!(text));
        }
    }

    #[test]
    fn the_line_that_is_no_text_is_told() {
        assert_eq!(text(b"Stud_id\n1,\xc3\xab,2\n").unwrap().lines().count(), 2);
        assert_eq!(text(b"Stud_id\n1,A,2\n2,\xff,3\n").unwrap_err().0, 3);
        assert_eq!(text(b"\xff\xfeS\0").unwrap_err().0, 1);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        for (lines, line, why) in [
            ("1,Ada,27\n2,Bea", 3, "2 fields"),
            ("1,Ada,27,9", 2, "4 fields"),
            ("x,Ada,27", 2, "'x' is no whole number"),
            ("9223372036854775808,Ada,27", 2, "no whole number"),
            ("1,A,1\n\n2,B,1\n1,C,1", 5, "Stud_id 1 is on line 2"),
            ("1,\"Ada,27", 2, "not closed"),
            ("1,\"Ada\"x,27", 2, "'x,27'"),
        ] {
            let (at, told) = read(lines).unwrap_err();
            assert!(at == line && told.contains(why), "{lines:?}: line {at}: {told}");
        }
        assert!(rows("").unwrap_err().1.contains("empty"));
        assert!(rows("Stud_id,Stud_name,Stud_marks\r1,A,2\r").unwrap_err().1.contains("CR alone"));
        let told = rows(&"x".repeat(1_000_000)).unwrap_err().1;
        assert!(told.len() < 200 && told.contains("x…', and not Stud_id"), "{told}");
        assert!(
            rows("\n\nid,name\n").unwrap_err()
                == (3, "The first line is 'id,name', and not Stud_id,Stud_name,Stud_marks.".into())
        );
    }
}

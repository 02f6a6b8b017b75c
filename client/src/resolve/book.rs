//! The file of names, and the file of answers.

use super::asking::Found;
use protocol::dns::{Name, Question};
use std::{fs, io, path::Path};

/// Reads the names of a file, one a line; empty lines and what follows a `#` are left out.
///
/// # Errors
/// If it cannot be read, or a line is no name; the line is told.
pub fn read(path: &Path) -> io::Result<Vec<Name>> {
    let shown = path.display();
    let text =
        fs::read_to_string(path).map_err(|e| io::Error::new(e.kind(), format!("{shown} cannot be read: {e}.")))?;
    names(&text).map_err(|(line, why)| io::Error::other(format!("Line {line} of {shown}: {why}")))
}

fn names(text: &str) -> Result<Vec<Name>, (usize, String)> {
    let lines = text.lines().enumerate().map(|(n, line)| (n + 1, line.split('#').next().unwrap_or_default().trim()));
    let named = lines.filter(|(_, line)| !line.is_empty());
    let name = |(n, line): (usize, &str)| match line.split_once(char::is_whitespace) {
        Some(_) => Err((n, format!("'{line}' is more than a name."))),
        None => line.parse::<Name>().map_err(|error| (n, error.to_string())),
    };
    named.map(name).collect()
}

/// What stands in the file of answers for this question: a line for each address, or one that says why there is none.
#[must_use]
pub fn lines(question: &Question, found: &Found) -> Vec<String> {
    let none = |why: &str| vec![format!("{} - {why}", question.name)];
    match found {
        Found::Addresses(all) => {
            all.iter().map(|(name, address)| format!("{name} {address} {} IN", question.record_type)).collect()
        }
        Found::Nothing(why) => none(why),
        Found::TimedOut => none("TIMED OUT"),
        Found::Trouble(_) => none("UNREACHABLE"),
    }
}

/// Writes the file of answers.
///
/// # Errors
/// If it cannot be written.
pub fn write(path: &Path, questions: &[Question], found: &[Found]) -> io::Result<()> {
    let text: String =
        questions.iter().zip(found).map(|(question, found)| lines(question, found).join("\n") + "\n").collect();
    let explained = |e: io::Error| io::Error::new(e.kind(), format!("{} cannot be written: {e}.", path.display()));
    fs::write(path, text).map_err(explained)
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::dns::{Rcode, record_type};

    #[test]
    fn names_stand_one_a_line() {
        let read = names("www.princeton.edu\r\n\n  google.com  # the one with capitals\n# nothing\n").unwrap();
        assert_eq!(read.iter().map(ToString::to_string).collect::<Vec<_>>(), ["www.princeton.edu", "google.com"]);
        assert_eq!(names("a\nb..c\n").unwrap_err().0, 2);
        assert!(names("a.b 1.2.3.4 A").unwrap_err().1.contains("more than a name"));
    }

    #[test]
    fn answers_are_written_as_in_the_course() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("RESOLVED.txt");
        let question = |name: &str| Question::new(name.parse().unwrap(), record_type::A);
        let questions = ["google.com", "nothinghere.com", "other.com"].map(question);
        let google = |address: &str| ("GOOGLE.com".parse().unwrap(), address.parse().unwrap());
        let address = Found::Addresses(vec![google("46.1.3.7"), google("46.1.3.8")]);
        let found = [address, Found::TimedOut, Found::Nothing(Rcode::NO_SUCH_NAME.to_string())];
        write(&path, &questions, &found).unwrap();
        let text =
            "GOOGLE.com 46.1.3.7 A IN\nGOOGLE.com 46.1.3.8 A IN\nnothinghere.com - TIMED OUT\nother.com - NXDOMAIN\n";
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
        let nowhere = write(&folder.path().join("no/RESOLVED.txt"), &questions, &found).unwrap_err().to_string();
        assert!(nowhere.contains("cannot be written"), "{nowhere}");
    }
}

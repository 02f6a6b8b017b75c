//! Lines of a CSV file, as RFC 4180 has them.
//!
//! Fields are separated by commas; one that has a comma, a quotation mark or a line's end in it stands in quotation marks, and a mark in
//! it is doubled. Lines end with LF or CR LF.
//!
//! Source: <https://www.rfc-editor.org/rfc/rfc4180>.

/// The lines of a text, field by field.
pub(super) struct Lines<'a> {
    rest: &'a str,
    /// For complaints.
    number: usize,
}

impl<'a> Lines<'a> {
    /// Of this text; a mark of byte order at its beginning is left out.
    pub(super) fn of(text: &'a str) -> Self {
        Self { rest: text.trim_start_matches('\u{feff}'), number: 0 }
    }

    /// The next field, and whether the line goes on behind it.
    fn field(&mut self) -> Result<(String, bool), String> {
        let field = match self.rest.strip_prefix('"') {
            Some(quoted) => self.quoted(quoted)?,
            None => {
                let end = self.rest.find([',', '\n', '\r', '"']).unwrap_or(self.rest.len());
                let (field, rest) = self.rest.split_at(end);
                self.rest = rest;
                field.to_owned()
            }
        };
        for (end, more) in [(",", true), ("\r\n", false), ("\n", false)] {
            if let Some(rest) = self.rest.strip_prefix(end) {
                self.rest = rest;
                return Ok((field, more));
            }
        }
        if self.rest.is_empty() {
            Ok((field, false))
        } else {
            Err(self.complaint("a quotation mark in the middle of a field"))
        }
    }

    fn quoted(&mut self, mut rest: &'a str) -> Result<String, String> {
        let mut field = String::new();
        loop {
            let end = rest.find('"').ok_or_else(|| self.complaint("a quotation mark that is not closed"))?;
            field += &rest[..end];
            rest = &rest[end + 1..];
            match rest.strip_prefix('"') {
                Some(behind) => {
                    field.push('"');
                    rest = behind;
                }
                None => {
                    self.rest = rest;
                    return Ok(field);
                }
            }
        }
    }

    fn complaint(&self, what: &str) -> String {
        format!("Line {} has {what}.", self.number)
    }
}

impl Iterator for Lines<'_> {
    type Item = Result<Vec<String>, String>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        self.number += 1;
        let mut fields = Vec::new();
        loop {
            match self.field() {
                Ok((field, more)) => {
                    fields.push(field);
                    if !more {
                        return Some(Ok(fields));
                    }
                }
                Err(why) => {
                    self.rest = "";
                    return Some(Err(why));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_may_have_anything_in_them() {
        let text = "\u{feff}a,b\r\n1,\"x, \"\"y\"\"\nz\"\n,\n\"\",last";
        let lines: Vec<Vec<String>> = Lines::of(text).collect::<Result<_, _>>().unwrap();
        assert_eq!(lines, [["a", "b"], ["1", "x, \"y\"\nz"], ["", ""], ["", "last"]]);
    }

    #[test]
    fn what_is_no_csv_is_refused_with_its_line() {
        for (text, expected) in
            [("a\nb\"c\n", "Line 2 has a quotation mark in"), ("\"a", "Line 1 has a quotation mark that")]
        {
            let error = Lines::of(text).collect::<Result<Vec<_>, _>>().unwrap_err();
            assert!(error.starts_with(expected), "{error}");
        }
    }
}

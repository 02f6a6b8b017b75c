//! The columns of a sharded table, and which values they take: the load balancer refuses what its servers would. How either is asked and
//! answers is in [`told`].

pub mod told;

use crate::value::Value;
use serde::{Deserialize, Serialize};
use serde_json::Map;
use std::time::Duration;

/// The column that says to which shard a row belongs, and that no two rows share.
pub const KEY: &str = "Stud_id";

/// The field in which a replica says of which change its answer is the outcome: of a change that was not applied, and will not be,
/// it says nothing.
pub const SEQ_FIELD: &str = "Shard-Seq";

/// How long a copy of a shard may stand still at the load balancer, which decides. Who gives or takes one waits twice as long.
pub const COPY_PAUSE: Duration = Duration::from_secs(10);

/// Columns that a table may have.
const MOST_COLUMNS: usize = 64;

/// Longest name of a column or a shard, in bytes.
const LONGEST_NAME: usize = 64;

/// What a column takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// Numbers.
    Number,
    /// Text; and numbers, which stay numbers, because the coursework's own example has marks of this kind.
    String,
}

/// The columns, in order; as `{"columns":["Stud_id",…],"dtypes":["Number",…]}` in JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schema {
    columns: Vec<String>,
    dtypes: Vec<Kind>,
}

/// A row: a value for each column, in their order.
pub type Row = Vec<Value>;

impl Schema {
    /// Whether it can be the schema of a table.
    ///
    /// # Errors
    /// A sentence that says why not.
    pub fn check(&self) -> Result<(), String> {
        let (columns, kinds) = (self.columns.len(), self.dtypes.len());
        if columns != kinds {
            return Err(format!("The schema has {columns} columns and {kinds} dtypes"));
        }
        if columns > MOST_COLUMNS {
            return Err(format!("A table may have {MOST_COLUMNS} columns"));
        }
        for (at, name) in self.columns.iter().enumerate() {
            check_name("column", name)?;
            // SQLite does not tell them apart.
            if self.columns[..at].iter().any(|before| before.eq_ignore_ascii_case(name)) {
                return Err(format!("Column '{name}' is there twice"));
            }
        }
        match self.columns.iter().position(|name| name == KEY) {
            Some(at) if self.dtypes[at] == Kind::Number => Ok(()),
            Some(_) => Err(format!("Column '{KEY}' must have the dtype Number")),
            None => Err(format!("The schema has no column '{KEY}'")),
        }
    }

    /// The names of the columns.
    #[must_use]
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// The row that this object is: a value for each column, and nothing else.
    ///
    /// # Errors
    /// A sentence that says what is wrong with it.
    pub fn row(&self, object: &Map<String, serde_json::Value>) -> Result<Row, String> {
        let row = self.columns.iter().map(|name| {
            let value = object.get(name).ok_or_else(|| format!("Column '{name}' is missing"))?;
            self.value(name, value)
        });
        let row = row.collect::<Result<Row, String>>()?;
        self.check_known(object)?;
        Ok(row)
    }

    /// The columns that this object changes, with their new values. The key stays what it is.
    ///
    /// # Errors
    /// A sentence that says what is wrong with it.
    pub fn changes(&self, id: i64, object: &Map<String, serde_json::Value>) -> Result<Vec<(String, Value)>, String> {
        self.check_known(object)?;
        let mut changes = Vec::new();
        for (name, value) in object {
            let value = self.value(name, value)?;
            if name != KEY {
                changes.push((name.clone(), value));
            } else if value != Value::Integer(id) {
                return Err(format!("{KEY} {id} cannot become {value}: remove it, and write another"));
            }
        }
        if changes.is_empty() { Err("The data change nothing".to_owned()) } else { Ok(changes) }
    }

    fn check_known(&self, object: &Map<String, serde_json::Value>) -> Result<(), String> {
        match object.keys().find(|name| !self.columns.contains(name)) {
            Some(name) => Err(format!("There is no column '{}'", shown(name))),
            None => Ok(()),
        }
    }

    fn value(&self, name: &str, value: &serde_json::Value) -> Result<Value, String> {
        use serde_json::Value as Json;
        let kind = self.columns.iter().position(|column| column == name).map(|at| self.dtypes[at]);
        match value {
            Json::Number(number) => match (number.as_i64(), number.as_f64()) {
                (Some(whole), _) => Ok(Value::Integer(whole)),
                _ if name == KEY => Err(format!("{KEY} is a whole number of 64 bits, and {number} is none")),
                // 2⁶³ and more would lose its last digits.
                _ if number.is_u64() => Err(format!("{number} in column '{name}' has more than 64 bits")),
                (_, Some(real)) => Ok(Value::Real(real)),
                _ => Err(format!("{number} in column '{name}' cannot be kept")),
            },
            Json::String(text) if kind == Some(Kind::String) => Ok(Value::Text(text.clone())),
            _ if kind == Some(Kind::String) => Err(format!("Column '{name}' takes text or numbers")),
            _ => Err(format!("Column '{name}' takes numbers")),
        }
    }
}

/// Whether this can be the name of something.
///
/// # Errors
/// A sentence that says why not.
pub fn check_name(what: &str, name: &str) -> Result<(), String> {
    let good = |letter: char| letter.is_ascii_alphanumeric() || "_.-".contains(letter);
    if !name.is_empty() && name.len() <= LONGEST_NAME && name.chars().all(good) {
        return Ok(());
    }
    let name = shown(name);
    Err(format!("'{name}' is no name of a {what}: up to {LONGEST_NAME} letters, digits, '_', '.' and '-'"))
}

/// As much of it as a sentence can bear.
fn shown(name: &str) -> String {
    name.chars().filter(|letter| !letter.is_control()).take(LONGEST_NAME).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn schema() -> Schema {
        let (columns, dtypes) = (["Stud_id", "Stud_name", "Stud_marks"], ["Number", "String", "String"]);
        serde_json::from_value(json!({ "columns": columns, "dtypes": dtypes })).unwrap()
    }

    fn row(object: serde_json::Value) -> Result<Row, String> {
        schema().row(object.as_object().unwrap())
    }

    #[test]
    fn a_row_has_its_values_in_the_order_of_the_columns() {
        let wanted = vec![Value::Integer(2255), Value::Text("GHI".into()), Value::Integer(27)];
        assert_eq!(row(json!({ "Stud_marks": 27, "Stud_name": "GHI", "Stud_id": 2255 })), Ok(wanted));
        let wanted = vec![Value::Integer(-1), Value::Text(String::new()), Value::Text("27.5".into())];
        assert_eq!(row(json!({ "Stud_id": -1, "Stud_name": "", "Stud_marks": "27.5" })), Ok(wanted));
    }

    #[test]
    fn wrong_rows_are_explained() {
        for (object, why) in [
            (json!({ "Stud_id": 1, "Stud_name": "A" }), "Column 'Stud_marks' is missing"),
            (json!({ "Stud_id": 1, "Stud_name": "A", "Stud_marks": 1, "x": 1 }), "no column 'x'"),
            (json!({ "Stud_id": "1", "Stud_name": "A", "Stud_marks": 1 }), "'Stud_id' takes numbers"),
            (json!({ "Stud_id": 1.5, "Stud_name": "A", "Stud_marks": 1 }), "whole number"),
            (json!({ "Stud_id": 9_223_372_036_854_775_808_u64, "Stud_name": "A", "Stud_marks": 1 }), "whole number"),
            (json!({ "Stud_id": 1, "Stud_name": "A", "Stud_marks": 18_446_744_073_709_551_615_u64 }), "64 bits"),
            (json!({ "Stud_id": 1, "Stud_name": null, "Stud_marks": 1 }), "takes text or numbers"),
            (json!({ "Stud_id": 1, "Stud_name": ["A"], "Stud_marks": 1 }), "takes text or numbers"),
        ] {
            let said = row(object.clone()).unwrap_err();
            assert!(said.contains(why), "{object}: {said}");
        }
    }

    #[test]
    fn a_change_keeps_the_key() {
        let changes = |object: serde_json::Value| schema().changes(7, object.as_object().unwrap());
        assert_eq!(changes(json!({ "Stud_name": "B" })), Ok(vec![("Stud_name".into(), Value::Text("B".into()))]));
        assert_eq!(changes(json!({ "Stud_id": 7, "Stud_marks": 1 })).unwrap().len(), 1);
        assert!(changes(json!({ "Stud_id": 8, "Stud_marks": 1 })).unwrap_err().contains("cannot become 8"));
        assert!(changes(json!({ "Stud_id": 7 })).unwrap_err().contains("change nothing"));
        assert!(changes(json!({ "Marks": 7 })).unwrap_err().contains("no column 'Marks'"));
    }

    #[test]
    fn wrong_schemas_are_explained() {
        let check = |columns: &[&str], kinds: &[&str]| {
            let schema: Schema = serde_json::from_value(json!({ "columns": columns, "dtypes": kinds })).unwrap();
            schema.check()
        };
        assert_eq!(schema().check(), Ok(()));
        assert!(check(&["Stud_id"], &[]).unwrap_err().contains("1 columns and 0 dtypes"));
        assert!(check(&["id"], &["Number"]).unwrap_err().contains("no column 'Stud_id'"));
        assert!(check(&["Stud_id"], &["String"]).unwrap_err().contains("dtype Number"));
        assert!(check(&["Stud_id", "a", "A"], &["Number"; 3]).unwrap_err().contains("'A' is there twice"));
        assert!(check(&["Stud_id", "a\"b"], &["Number"; 2]).unwrap_err().contains("no name of a column"));
        assert!(serde_json::from_value::<Schema>(json!({ "columns": [KEY], "dtypes": ["Integer"] })).is_err());
    }
}

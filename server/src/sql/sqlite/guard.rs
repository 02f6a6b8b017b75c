//! What SQL may not do.
//!
//! While SQLite compiles a statement it asks permission for each thing the statement would do: read this column,
//! insert into that table, call this function. The answer is given here. That is safer than searching the text for
//! forbidden words: comments, quotes and odd spelling hide a word from a search and nothing from the compiler, and a
//! view or a trigger that was created before is asked about again each time it takes part.
//!
//! Source: <https://sqlite.org/c3ref/set_authorizer.html> and the advice in <https://sqlite.org/security.html>.

use parking_lot::Mutex;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};

/// Our own tables begin like this. Clients see them in the catalogue and reach none of them.
pub(super) const OURS: &str = "lab_";

/// What a statement wanted and may not have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Denial {
    #[error("ATTACH and DETACH are not allowed here: a statement works in the servers' shared database alone.")]
    OtherDatabase,
    #[error("BEGIN, COMMIT, ROLLBACK and SAVEPOINT are not allowed here: each request is a transaction by itself.")]
    Transaction,
    #[error("VACUUM is not allowed here: it rewrites the whole database or copies it to another file.")]
    Vacuum,
    #[error(
        "Temporary tables, views and triggers are not allowed here: the next request may go to another server, which would not have them."
    )]
    Temporary,
    #[error("Virtual tables are not allowed here: they keep their data in tables behind the table.")]
    VirtualTable,
    #[error("PRAGMA {0} is not allowed here: only pragmas that show the schema are, and none that sets anything.")]
    Pragma(String),
    #[error("The function {0} is not allowed here: it reaches outside the database.")]
    Function(String),
    #[error("Names that begin with lab_ are the laboratory's own; {0} cannot be read, changed or made by a client.")]
    Ours(String),
    #[error("A foreign key to {0} is not allowed here: names that begin with lab_ are the laboratory's own.")]
    ReferenceToOurs(String),
    #[error("The statement wants something that this server does not know and therefore does not allow.")]
    Unknown,
}

/// Pragmas that only show, and take no argument.
const SHOWING: &[&str] = &[
    "application_id",
    "collation_list",
    "compile_options",
    "data_version",
    "encoding",
    "foreign_keys",
    "freelist_count",
    "function_list",
    "journal_mode",
    "module_list",
    "page_count",
    "page_size",
    "pragma_list",
    "schema_version",
    "synchronous",
    "user_version",
];

/// Pragmas that only show, and take the name of a table or index.
const SHOWING_A_TABLE: &[&str] = &[
    "foreign_key_check",
    "foreign_key_list",
    "index_info",
    "index_list",
    "index_xinfo",
    "integrity_check",
    "quick_check",
    "table_info",
    "table_list",
    "table_xinfo",
];

/// Functions that reach outside the database, should a build of SQLite have them.
const OUTSIDE: &[&str] = &["edit", "fts3_tokenizer", "load_extension", "readfile", "writefile"];

/// The guard of one connection.
#[derive(Debug, Default)]
pub(super) struct Guard {
    /// Locked for the time of one question; only the thread that prepares a statement takes it.
    notes: Mutex<Notes>,
}

#[derive(Debug, Default)]
struct Notes {
    /// Our own statements may do what a client's may not.
    trusted: bool,
    /// Why the last statement was refused.
    denial: Option<Denial>,
    /// Whether the last statement changes the schema.
    changes_schema: bool,
}

impl Guard {
    /// Runs `work` with the guard looking away: for our own statements.
    pub(super) fn trusting<T>(&self, work: impl FnOnce() -> T) -> T {
        /// Looks again at the end, also when `work` panics.
        struct LookAgain<'a>(&'a Guard);
        impl Drop for LookAgain<'_> {
            fn drop(&mut self) {
                self.0.notes.lock().trusted = false;
            }
        }
        self.notes.lock().trusted = true;
        let _again = LookAgain(self);
        work()
    }

    /// Forgets what was noted about the statement before.
    pub(super) fn forget(&self) {
        *self.notes.lock() = Notes::default();
    }

    /// Why the last statement was refused.
    pub(super) fn denial(&self) -> Option<Denial> {
        self.notes.lock().denial.clone()
    }

    /// Whether the last statement that was prepared changes the schema.
    pub(super) fn changes_schema(&self) -> bool {
        self.notes.lock().changes_schema
    }

    /// SQLite's question.
    pub(super) fn ask(&self, context: &AuthContext<'_>) -> Authorization {
        let mut notes = self.notes.lock();
        if notes.trusted {
            return Authorization::Allow;
        }
        notes.changes_schema |= changes_schema(&context.action);
        match judge(&context.action).and_then(|()| not_temporary(context)) {
            Ok(()) => Authorization::Allow,
            Err(denial) => {
                notes.denial = Some(denial);
                Authorization::Deny
            }
        }
    }
}

fn changes_schema(action: &AuthAction<'_>) -> bool {
    use AuthAction as A;
    matches!(action, A::CreateTable { .. } | A::CreateView { .. } | A::CreateTrigger { .. } | A::AlterTable { .. })
}

/// Whether a statement may do this.
fn judge(action: &AuthAction<'_>) -> Result<(), Denial> {
    use AuthAction as A;
    match *action {
        A::Select | A::Recursive => Ok(()),
        A::Read { table_name, .. }
        | A::Insert { table_name }
        | A::Update { table_name, .. }
        | A::Delete { table_name }
        | A::CreateTable { table_name }
        | A::DropTable { table_name }
        | A::AlterTable { table_name, .. }
        | A::Analyze { table_name } => not_ours(table_name),
        A::CreateView { view_name } | A::DropView { view_name } => not_ours(view_name),
        A::CreateIndex { index_name: name, table_name }
        | A::DropIndex { index_name: name, table_name }
        | A::CreateTrigger { trigger_name: name, table_name }
        | A::DropTrigger { trigger_name: name, table_name } => not_ours(name).and_then(|()| not_ours(table_name)),
        A::Reindex { index_name } => not_ours(index_name.trim_start_matches("sqlite_autoindex_")),
        A::Function { function_name } => function(function_name),
        A::Pragma { pragma_name, pragma_value } => pragma(pragma_name, pragma_value),
        A::Attach { .. } | A::Detach { .. } => Err(Denial::OtherDatabase),
        A::Transaction { .. } | A::Savepoint { .. } => Err(Denial::Transaction),
        A::CreateVtable { .. } | A::DropVtable { .. } => Err(Denial::VirtualTable),
        A::CreateTempIndex { .. }
        | A::CreateTempTable { .. }
        | A::CreateTempTrigger { .. }
        | A::CreateTempView { .. }
        | A::DropTempIndex { .. }
        | A::DropTempTable { .. }
        | A::DropTempTrigger { .. }
        | A::DropTempView { .. } => Err(Denial::Temporary),
        // `AuthAction` may grow; what is not known is not allowed.
        _ => Err(Denial::Unknown),
    }
}

/// `CREATE TABLE temp.t` asks like any other CREATE TABLE, only for another database. What ALTER TABLE … RENAME asks for is
/// to put right the temporary views of the table, should there be any; a client cannot write to that catalogue itself.
fn not_temporary(context: &AuthContext<'_>) -> Result<(), Denial> {
    let harmless = match context.action {
        AuthAction::Read { .. } | AuthAction::Pragma { .. } => true,
        AuthAction::Update { table_name, .. } => matches!(table_name, "sqlite_temp_master" | "sqlite_temp_schema"),
        _ => false,
    };
    if context.database_name == Some("temp") && !harmless { Err(Denial::Temporary) } else { Ok(()) }
}

/// Whether a name is not one of ours.
pub(super) fn not_ours(name: &str) -> Result<(), Denial> {
    let begins = name.as_bytes().get(..OURS.len()).is_some_and(|head| head.eq_ignore_ascii_case(OURS.as_bytes()));
    if begins { Err(Denial::Ours(name.to_owned())) } else { Ok(()) }
}

fn function(name: &str) -> Result<(), Denial> {
    let outside = OUTSIDE.iter().any(|known| known.eq_ignore_ascii_case(name));
    if outside { Err(Denial::Function(name.to_owned())) } else { Ok(()) }
}

fn pragma(name: &str, value: Option<&str>) -> Result<(), Denial> {
    let listed = |list: &[&str]| list.iter().any(|known| known.eq_ignore_ascii_case(name));
    let allowed = listed(SHOWING_A_TABLE) || (value.is_none() && listed(SHOWING));
    if allowed { Ok(()) } else { Err(Denial::Pragma(name.to_owned())) }
}

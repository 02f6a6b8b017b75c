//! `server init-database` and `server load-csv`: what is done with a database before servers share it.

mod csv;
mod load;

use self::load::LoadCsv;
use crate::sql::{self, Admin};
use clap::{Args, Parser};
use protocol::{
    database::{DatabaseConfig, Password},
    flags::{DatabaseFlag, QuietFlag, run_parsed},
    output::{say, show, warn},
    places::Places,
};
use std::{env, ffi::OsString, process::ExitCode};

/// Makes the database of database.json ready: the servers' account, our own tables, the sample tables COLORS and MEASUREMENTS.
/// May be run again; sample tables that a class has changed or dropped stay as they are.
#[derive(Parser, Debug)]
#[command(name = "init-database")]
pub(crate) struct InitDatabase {
    #[command(flatten)]
    database: DatabaseFlag,
    #[command(flatten)]
    admin: AdminFlags,
    /// Print the SQL instead of running it, for whoever wants to read it first or to type it by hand
    #[arg(long)]
    print: bool,
    #[command(flatten)]
    pub(crate) quiet: QuietFlag,
}

impl InitDatabase {
    /// Makes it ready, or prints how.
    pub(crate) fn run(&self) -> Result<(), String> {
        let config = config(&self.database)?;
        if self.print {
            show!("{}", sql::script(&config).map_err(|error| error.to_string())?);
            return Ok(());
        }
        sql::init(&config, &self.admin.account()).map_err(|error| error.to_string())?;
        say!("The database is ready.");
        Ok(())
    }
}

/// Who has the rights that servers must not have.
#[derive(Args, Debug)]
struct AdminFlags {
    /// The administrator's account on a database server [default: postgres; root]
    #[arg(long = "as", value_name = "USER")]
    user: Option<String>,
    /// The environment variable that holds the administrator's password
    #[arg(long, value_name = "NAME", default_value = "LAB_ADMIN_PASSWORD")]
    password_env: String,
}

impl AdminFlags {
    fn account(&self) -> Admin {
        Admin { user: self.user.clone(), password: Password::new(env::var(&self.password_env).unwrap_or_default()) }
    }
}

/// The commands of this module, if the arguments (the first is the program's name) ask for one.
pub(crate) fn command(args: &[OsString]) -> Option<ExitCode> {
    let rest = args.iter().skip(1).cloned();
    match args.get(1)?.to_str()? {
        "init-database" => Some(run_parsed(rest, |init: InitDatabase| {
            init.quiet.apply();
            ended(init.run())
        })),
        "load-csv" => Some(run_parsed(rest, |load: LoadCsv| {
            load.quiet.apply();
            ended(load.run())
        })),
        _ => None,
    }
}

fn ended(done: Result<(), String>) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(sentence) => {
            warn!("{sentence}");
            ExitCode::FAILURE
        }
    }
}

fn config(flag: &DatabaseFlag) -> Result<DatabaseConfig, String> {
    let places = Places::here().map_err(|error| error.to_string())?;
    flag.read(&places).map_err(|error| error.to_string())
}

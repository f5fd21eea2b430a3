//! The data folder that a command reads.
use crate::cli::exit::{Exit, Failure};
use crate::config::{Config, Environment, Overlay};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The flag of commands that read a data folder.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct DataDirArgs {
    /// The data folder [default: `DBFORGE_DATA_DIR`, or ./db-data]
    #[arg(long, value_name = "FOLDER")]
    data_dir: Option<String>,
}

impl DataDirArgs {
    /// The environment, with the flag in front of it.
    pub(super) fn over<'a>(&self, environment: &'a dyn Environment) -> Overlay<'a> {
        let flag = self.data_dir.clone();
        let flags = flag.map(|it| ("DBFORGE_DATA_DIR".to_owned(), it));
        Overlay {
            flags: BTreeMap::from_iter(flags),
            below: environment,
        }
    }

    /// The data folder itself.
    pub(super) fn data_dir(&self, environment: &dyn Environment) -> Result<PathBuf, Failure> {
        Config::read(&self.over(environment))
            .map(|it| it.data_dir)
            .map_err(|error| Failure::new(Exit::Usage, error))
    }
}

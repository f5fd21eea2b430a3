//! The file `.env`: settings for every command in its folder, below the environment.
//!
//! It is read as `compose/env.sh` reads it for `make run` and `make up`: not run, so that a value may
//! hold `$`, spaces or quotes.
use super::environment::Environment;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

/// Names another file.
const FILE_VARIABLE: &str = "DBFORGE_ENV_FILE";

/// The settings of a file, below those of the environment.
#[derive(Debug, Clone)]
pub struct WithEnvFile<E> {
    environment: E,
    settings: BTreeMap<String, String>,
}

/// The file exists and cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the settings in {}", file.display())]
pub struct EnvFileError {
    /// The file.
    pub file: PathBuf,
    /// Why.
    pub source: io::Error,
}

impl<E: Environment> WithEnvFile<E> {
    /// Reads `.env` in `folder`, or the file that `DBFORGE_ENV_FILE` names; it need not exist.
    ///
    /// # Errors
    /// When it exists and cannot be read.
    pub fn read(environment: E, folder: &Path) -> Result<Self, EnvFileError> {
        let named = environment.get(FILE_VARIABLE);
        let file = folder.join(named.as_deref().unwrap_or(".env"));
        let text = match std::fs::read_to_string(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(source) => return Err(EnvFileError { file, source }),
        };
        Ok(Self {
            environment,
            settings: text.lines().filter_map(setting).collect(),
        })
    }
}

impl<E: Environment> Environment for WithEnvFile<E> {
    fn get(&self, variable: &str) -> Option<String> {
        // What is set and empty in the environment counts as set.
        if self.environment.names().iter().any(|it| it == variable) {
            return self.environment.get(variable);
        }
        Environment::get(&self.settings, variable)
    }

    fn names(&self) -> Vec<String> {
        let mut names = self.environment.names();
        names.extend(self.settings.keys().cloned());
        names
    }
}

/// The setting that a line makes, if it makes one.
fn setting(line: &str) -> Option<(String, String)> {
    let line = line.trim_start();
    let line = match line.strip_prefix("export") {
        Some(rest) if rest.starts_with([' ', '\t']) => rest.trim_start(),
        _ => line,
    };
    let (name, value) = line.split_once('=')?;
    let is_name = name.starts_with(|it: char| it.is_ascii_uppercase())
        && (name.chars()).all(|it| it.is_ascii_uppercase() || it.is_ascii_digit() || it == '_');
    is_name.then(|| (name.to_owned(), value_of(value)))
}

/// A value in quotes is taken as it is; else a comment and blanks behind it are dropped.
fn value_of(text: &str) -> String {
    for quote in ['"', '\''] {
        let quoted = text.strip_prefix(quote).and_then(|it| it.split_once(quote));
        if let Some((value, behind)) = quoted {
            let behind = behind.trim_start();
            if behind.is_empty() || behind.starts_with('#') {
                return value.to_owned();
            }
        }
    }
    let comment = text.find(" #").into_iter().chain(text.find("\t#")).min();
    text[..comment.unwrap_or(text.len())].trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_as_the_stack_reads_it_and_the_environment_comes_first() {
        let folder = tempfile::TempDir::new().unwrap();
        let text = "\
# DBFORGE_TOKEN=comment
DBFORGE_URL=http://from.file   # where
export DBFORGE_DATA_DIR=\"a b#c\" # quoted
DBFORGE_DOMAIN='x$y'
DBFORGE_LOG=a#b
dbforge_lower=1
DBFORGE_RUNTIME=docker
 DBFORGE_LISTEN=127.0.0.1:1
no setting
";
        std::fs::write(folder.path().join(".env"), text).unwrap();
        let above = BTreeMap::from([
            ("DBFORGE_URL".to_owned(), "http://above".to_owned()),
            ("DBFORGE_RUNTIME".to_owned(), String::new()),
        ]);
        let read = WithEnvFile::read(above, folder.path()).unwrap();
        for (variable, value) in [
            ("DBFORGE_URL", Some("http://above")),
            ("DBFORGE_DATA_DIR", Some("a b#c")),
            ("DBFORGE_DOMAIN", Some("x$y")),
            ("DBFORGE_LOG", Some("a#b")),
            ("DBFORGE_LISTEN", Some("127.0.0.1:1")),
            ("DBFORGE_TOKEN", None),
            ("DBFORGE_RUNTIME", None),
        ] {
            assert_eq!(read.get(variable).as_deref(), value, "{variable}");
        }
    }

    #[test]
    fn no_file_is_no_setting_and_one_that_cannot_be_read_is_an_error() {
        let folder = tempfile::TempDir::new().unwrap();
        let nothing: BTreeMap<String, String> = BTreeMap::new();
        let read = WithEnvFile::read(nothing.clone(), folder.path()).unwrap();
        assert_eq!(read.names(), Vec::<String>::new());
        std::fs::create_dir(folder.path().join(".env")).unwrap();
        WithEnvFile::read(nothing, folder.path()).unwrap_err();
    }
}

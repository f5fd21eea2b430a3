//! PostgreSQL's programs: which version they are, and where this host has them.
use super::bounded_run;
use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// The oldest major version that is served: earlier ones have no ICU collation for a whole
/// database, and give every role the right to create in `public`.
pub const OLDEST_MAJOR: u32 = 15;

/// A program that is asked for its version answers in milliseconds.
const VERSION_TIME: Duration = Duration::from_secs(10);

/// Where systems put each version's programs: a folder, and what stands in each folder in it.
const VERSIONED: &[(&str, &str)] = &[
    ("/usr/lib/postgresql", "bin"), // Debian
    ("/usr", "bin"),                // Red Hat: /usr/pgsql-16/bin
    ("/usr/libexec", ""),           // Alpine: /usr/libexec/postgresql16
];
/// Where they are otherwise.
const PLAIN: &[&str] = &["/usr/local/pgsql/bin", "/usr/local/bin", "/usr/bin"];

/// A version of PostgreSQL: `15.18`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PgVersion {
    /// `15`: files of one major version are no other's.
    pub major: u32,
    minor: u32,
}

impl PgVersion {
    /// Reads `15.18`, `16beta1`, or `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text
            .rsplit_once("(PostgreSQL) ")
            .map_or(text, |(_, text)| text);
        let number = |text: &str| {
            let digits = text.bytes().take_while(u8::is_ascii_digit).count();
            (text[..digits].parse::<u32>().ok(), digits)
        };
        let (major, digits) = number(text.trim_start());
        let rest = &text.trim_start()[digits..];
        let minor = rest.strip_prefix('.').and_then(|rest| number(rest).0);
        Some(Self {
            major: major?,
            minor: minor.unwrap_or(0),
        })
    }

    /// Why it is not served, if it is not.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        (self.major < OLDEST_MAJOR)
            .then(|| format!("PostgreSQL {self} is too old: {OLDEST_MAJOR} or newer is required"))
    }
}

impl fmt::Display for PgVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// The host's programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPrograms {
    /// The folder with `postgres` and `initdb`.
    pub bin: PathBuf,
    /// Their version.
    pub version: PgVersion,
}

impl HostPrograms {
    /// Those in `chosen`, else the newest of the host. Blocks for as long as a program takes to
    /// tell its version.
    ///
    /// # Errors
    /// Why there are none, in words for whom it concerns.
    pub fn find(chosen: Option<&Path>) -> Result<Self, String> {
        if let Some(bin) = chosen {
            let found = Self::in_folder(bin)
                .map_err(|error| format!("DBFORGE_POSTGRES_BIN is {}: {error}", bin.display()))?;
            return found.served();
        }
        let candidates = folders();
        let found = candidates
            .iter()
            .filter_map(|bin| Self::in_folder(bin).ok());
        match found.max_by(|one, other| one.version.cmp(&other.version)) {
            Some(newest) => newest.served(),
            None => Err(
                "no PostgreSQL was found on this host: install it (`make deps`, or the package \
                 `postgresql`), or set DBFORGE_POSTGRES_BIN to the folder of its programs"
                    .to_owned(),
            ),
        }
    }

    fn in_folder(bin: &Path) -> io::Result<Self> {
        for program in ["postgres", "initdb"] {
            let mode = bin.join(program).metadata().map_err(|error| {
                io::Error::new(
                    error.kind(),
                    format!("it has no program `{program}`: {error}"),
                )
            })?;
            if mode.permissions().mode() & 0o111 == 0 {
                return Err(io::Error::other(format!("`{program}` is no program")));
            }
        }
        let mut postgres = Command::new(bin.join("postgres"));
        let postgres = postgres.arg("--version").env_clear();
        let ended = bounded_run::run(postgres, b"", VERSION_TIME)?;
        let version = PgVersion::parse(ended.said.trim()).filter(|_| ended.status.success());
        let version = version.ok_or_else(|| {
            io::Error::other(format!(
                "`postgres --version` answers `{}`",
                ended.said.trim()
            ))
        })?;
        Ok(Self {
            bin: bin.to_owned(),
            version,
        })
    }

    fn served(self) -> Result<Self, String> {
        match self.version.trouble() {
            None => Ok(self),
            Some(trouble) => Err(format!("{trouble} (found in {})", self.bin.display())),
        }
    }
}

/// Folders that have a program `postgres`, each once.
fn folders() -> Vec<PathBuf> {
    let versioned = VERSIONED.iter().flat_map(|(folder, below)| {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        entries.map(move |entry| entry.path().join(below))
    });
    let plain = PLAIN.iter().map(PathBuf::from);
    let mut folders: Vec<PathBuf> = versioned
        .chain(plain)
        .filter(|bin| bin.join("postgres").is_file())
        .filter_map(|bin| bin.canonicalize().ok())
        .collect();
    folders.sort_unstable();
    folders.dedup();
    folders
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_read_as_programs_and_files_write_it() {
        for (text, major, shown) in [
            (
                "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)",
                15,
                "15.18",
            ),
            ("postgres (PostgreSQL) 17beta2", 17, "17.0"),
            ("16\n", 16, "16.0"),
            ("9.6.24", 9, "9.6"),
        ] {
            let version = PgVersion::parse(text).unwrap();
            assert_eq!(
                (version.major, version.to_string().as_str()),
                (major, shown)
            );
        }
        assert_eq!(PgVersion::parse("none"), None);
        assert_eq!(PgVersion::parse(""), None);
    }

    #[test]
    fn the_host_has_programs_and_older_ones_are_refused_by_name() {
        let found = HostPrograms::find(None).unwrap();
        assert!(found.version.major >= OLDEST_MAJOR);
        assert_eq!(HostPrograms::find(Some(&found.bin)).unwrap(), found);

        let folder = tempfile::tempdir().unwrap();
        let missing = HostPrograms::find(Some(folder.path())).unwrap_err();
        assert!(missing.contains("DBFORGE_POSTGRES_BIN"), "{missing}");
        for program in ["postgres", "initdb"] {
            let file = folder.path().join(program);
            fs::write(&file, "#!/bin/sh\necho 'postgres (PostgreSQL) 14.9'\n").unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let old = HostPrograms::find(Some(folder.path())).unwrap_err();
        assert!(
            old.contains("PostgreSQL 14.9 is too old: 15 or newer"),
            "{old}"
        );
    }
}

//! What runs in a worker, as its database's engine says.
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where a worker in a container finds its database's folder. Fixed, so that a worker needs no
/// setting and its check no argument.
pub const WORKER_FOLDER: &str = "/data/database";

/// The file in a database's folder that the program of its worker locks.
pub(super) const LOCK: &str = "lock";

/// The longest time that a program may take to end before it is killed: a step that removes a
/// worker has twice that.
pub const LONGEST_STOP_GRACE: Duration = Duration::from_secs(30);

/// What runs in a worker.
///
/// A program that [sleeps](Program::sleeping) holds nothing. Any other one is started by
/// `dbforge worker exec`, which locks the database's folder first: there is never a second one
/// on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// The image of its container; `None`: the forge's own, with `/dbforge` and nothing else.
    pub image: Option<String>,
    /// The program, looked for in its `PATH`, and its arguments.
    pub command: Vec<String>,
    /// All of its environment as a child; added to the image's in a container.
    pub environment: Vec<(String, String)>,
    /// The check of its health and its arguments: exit code 0 or 1. Run in the container, or
    /// beside the child with the same user, folder and environment.
    pub health: Vec<String>,
    /// What asks it to end.
    pub stop_signal: StopSignal,
    /// How long it may take to end when it is asked to; killed then. At most
    /// [`LONGEST_STOP_GRACE`].
    pub stop_grace: Duration,
    /// Most processes and threads. Children of the gateway are not bounded by it: the system
    /// counts those of a user, not of a program.
    pub processes: u32,
    /// Most bytes of data of each of its processes (`RLIMIT_DATA`), so that one that wants more
    /// gets an error instead of being ended with all others.
    pub data_bytes: Option<u64>,
    /// Files that a program that was killed leaves, and that keep the next one from starting.
    /// Relative to the database's folder; removed when it is locked, before the start.
    pub leftovers: Vec<PathBuf>,
}

/// The signal that asks a program to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopSignal {
    /// `SIGTERM`
    Terminate,
    /// `SIGINT`; PostgreSQL ends its sessions for it instead of waiting for them.
    Interrupt,
    /// `SIGQUIT`
    Quit,
}

impl StopSignal {
    /// Its name: `SIGTERM`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Terminate => "SIGTERM",
            Self::Interrupt => "SIGINT",
            Self::Quit => "SIGQUIT",
        }
    }
}

impl Program {
    /// Waits to be used: for a database that the gateway serves itself. Under the process runtime
    /// it needs no process.
    #[must_use]
    pub fn sleeping() -> Self {
        let own = |word: &str| ["/dbforge", "worker", word].map(str::to_owned).to_vec();
        Self {
            image: None,
            command: own("run"),
            environment: Vec::new(),
            health: own("health"),
            stop_signal: StopSignal::Terminate,
            stop_grace: Duration::ZERO, // it holds nothing
            // The first one, a check, and an operation with a few threads are about ten.
            processes: 64,
            data_bytes: None,
            leftovers: Vec::new(),
        }
    }

    /// Whether it only waits to be used.
    #[must_use]
    pub fn sleeps(&self) -> bool {
        *self == Self::sleeping()
    }

    /// What `dbforge worker exec` is told of it, where the database's folder is `folder`.
    pub(super) fn exec_options(&self, folder: &Path) -> Vec<String> {
        let mut options = Vec::new();
        if let Some(bytes) = self.data_bytes {
            options.extend(["--data-bytes".to_owned(), bytes.to_string()]);
        }
        for leftover in &self.leftovers {
            let file = folder.join(leftover).display().to_string();
            options.extend(["--remove".to_owned(), file]);
        }
        options
    }

    /// Everything in one text, for the hash of a worker's spec. Nothing for the sleeping one: the
    /// workers that older versions made are of the same spec.
    pub(super) fn text(&self) -> String {
        let Self {
            image,
            command,
            environment,
            health,
            stop_signal,
            stop_grace,
            processes,
            data_bytes,
            leftovers,
        } = self;
        let mut text = String::new();
        if !self.sleeps() {
            let stop = (stop_signal.as_str(), stop_grace);
            let parts = (image, command, environment, health);
            let _ = write!(
                text,
                " {parts:?} {stop:?} {processes} {data_bytes:?} {leftovers:?}"
            );
        }
        text
    }
}

/// Where a worker's program runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WorkerPlace {
    /// In a container, of an image that brings the programs.
    Container,
    /// As a child of the gateway, of the programs of its host.
    Child {
        /// The database's folder.
        folder: PathBuf,
        /// The file of this very program.
        dbforge: String,
    },
}

impl WorkerPlace {
    /// The database's folder as the program sees it.
    #[must_use]
    pub fn folder(&self) -> &Path {
        match self {
            Self::Container => Path::new(WORKER_FOLDER),
            Self::Child { folder, .. } => folder,
        }
    }

    /// How this very program is called there, for a command or a check of its own
    /// (`… worker serve`).
    #[must_use]
    pub fn dbforge(&self) -> &str {
        match self {
            Self::Container => "/dbforge",
            Self::Child { dbforge, .. } => dbforge,
        }
    }

    /// A check by what the engine of that name says (`Engine::check_in_worker`).
    #[must_use]
    pub fn own_check(&self, engine: &str) -> Vec<String> {
        let folder = self.folder().display().to_string();
        let check = [self.dbforge(), "worker", "health", "--engine", engine];
        let check = check.into_iter().map(str::to_owned);
        check.chain(["--folder".to_owned(), folder]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_of_a_program_is_a_part_of_its_text() {
        let sleeping = Program::sleeping;
        assert_eq!(sleeping().text(), "");
        let one = || vec!["one".to_owned()];
        let others = [
            Program {
                image: Some("other".to_owned()),
                ..sleeping()
            },
            Program {
                command: one(),
                ..sleeping()
            },
            Program {
                environment: vec![("PGDATA".to_owned(), "x".to_owned())],
                ..sleeping()
            },
            Program {
                health: one(),
                ..sleeping()
            },
            Program {
                stop_signal: StopSignal::Interrupt,
                ..sleeping()
            },
            Program {
                stop_grace: Duration::from_secs(1),
                ..sleeping()
            },
            Program {
                processes: 1,
                ..sleeping()
            },
            Program {
                data_bytes: Some(1),
                ..sleeping()
            },
            Program {
                leftovers: vec!["one".into()],
                ..sleeping()
            },
        ];
        let mut texts: Vec<_> = others.iter().map(Program::text).collect();
        texts.sort();
        texts.dedup();
        assert_eq!(texts.len(), others.len());
        assert!(texts.iter().all(|text| !text.is_empty()));
    }
}

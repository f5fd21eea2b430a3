//! What a program did to the files of a folder, as strace saw it, and what a power loss leaves.
//!
//! The disk that is modelled keeps no more than it promised: the content of a file as of its last
//! sync, and a name as of the last sync of the folder that it is in.
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// One thing that happened, in the order of the trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Act {
    MakeFolder(PathBuf),
    /// Opened for writing, made if it was missing.
    MakeFile(PathBuf),
    Write(PathBuf, u64, Vec<u8>),
    SetLength(PathBuf, u64),
    Rename(PathBuf, PathBuf),
    Remove(PathBuf),
    SyncBegun(PathBuf, u32),
    SyncEnded(PathBuf, u32),
    /// A line on the standard output.
    Said(String),
}

/// The calls that a trace must hold; every other call that changes files is told by `strace` to
/// the parser, which does not know it and panics.
pub(crate) const CALLS: &str = "open,openat,creat,mkdir,mkdirat,write,pwrite64,writev,pwritev,\
    pwritev2,ftruncate,truncate,fallocate,rename,renameat,renameat2,link,linkat,symlink,symlinkat,\
    unlink,unlinkat,rmdir,fsync,fdatasync,syncfs,sync";

/// Reads a trace made with `-f -y -xx`, as far as it is about `folder`, by paths from there.
pub(crate) fn read(trace: &str, folder: &Path) -> Vec<Act> {
    let mut begun: BTreeMap<&str, String> = BTreeMap::new();
    let mut positions = BTreeMap::new();
    let mut acts = Vec::new();
    for line in trace.lines() {
        let Some((thread, call)) = line.split_once(' ') else {
            continue;
        };
        let call = call.trim_start();
        let whole = if let Some(start) = call.strip_suffix(" <unfinished ...>") {
            let is_sync = start.starts_with("fsync(") || start.starts_with("fdatasync(");
            if let (true, Some(path)) = (is_sync, descriptor(start, folder)) {
                acts.push(Act::SyncBegun(path, thread.parse().unwrap()));
            }
            begun.insert(thread, start.to_owned());
            continue;
        } else if let Some(resumed) = call.strip_prefix("<... ") {
            let (_, end) = resumed.split_once(" resumed>").unwrap();
            let start = begun.remove(thread).unwrap();
            let thread: u32 = thread.parse().unwrap();
            if let Some(Act::SyncBegun(path, _)) = parse(&start, folder, thread, &mut positions) {
                if end.trim_end().ends_with("= 0") {
                    acts.push(Act::SyncEnded(path, thread));
                }
                continue;
            }
            format!("{start}{end}")
        } else {
            call.to_owned()
        };
        // What failed changed nothing; what does not return ends the program.
        let Some((before, result)) = whole.rsplit_once(" = ") else {
            continue;
        };
        if result.starts_with('-') || result.starts_with('?') {
            continue;
        }
        let thread = thread.parse().unwrap();
        let act = parse(before.trim_end(), folder, thread, &mut positions);
        if let Some(Act::SyncBegun(path, thread)) = act {
            acts.push(Act::SyncBegun(path.clone(), thread));
            acts.push(Act::SyncEnded(path, thread));
        } else {
            acts.extend(act);
        }
    }
    acts
}

/// `positions`: where plain writes to a file, which is made anew for them here, have come to.
fn parse(
    call: &str,
    folder: &Path,
    thread: u32,
    positions: &mut BTreeMap<PathBuf, u64>,
) -> Option<Act> {
    let (name, arguments) = call.split_once('(')?;
    let named = |n: usize| below(strings(arguments).get(n)?, folder);
    let on = || descriptor(call, folder);
    let number = |from_end: usize| -> u64 {
        let all: Vec<&str> = arguments.trim_end_matches(')').split(", ").collect();
        all[all.len() - 1 - from_end].parse().unwrap()
    };
    match name {
        "open" | "openat" => {
            let path = named(0)?;
            if arguments.contains("O_TRUNC") {
                positions.insert(path.clone(), 0);
                return Some(Act::SetLength(path, 0));
            }
            arguments.contains("O_CREAT").then_some(Act::MakeFile(path))
        }
        "mkdir" | "mkdirat" => Some(Act::MakeFolder(named(0)?)),
        "pwrite64" => Some(Act::Write(on()?, number(0), strings(arguments).remove(0))),
        "write" => {
            let content = strings(arguments).remove(0);
            if arguments.starts_with("1<") {
                let line = String::from_utf8(content).unwrap();
                return Some(Act::Said(line.trim().to_owned()));
            }
            let path = on()?;
            let position = positions.entry(path.clone()).or_default();
            let at = *position;
            *position += content.len() as u64;
            Some(Act::Write(path, at, content))
        }
        "ftruncate" => Some(Act::SetLength(on()?, number(0))),
        "rename" => Some(Act::Rename(named(0)?, named(1)?)),
        "unlink" | "rmdir" => Some(Act::Remove(named(0)?)),
        // Room behind the end of a file is no content, and no length.
        "fallocate" if arguments.contains("FALLOC_FL_KEEP_SIZE") => None,
        "fsync" | "fdatasync" => Some(Act::SyncBegun(on()?, thread)),
        _ if on().is_none() && named(0).is_none() => None,
        other => panic!("a call that the model does not know: {other}({arguments:.100}"),
    }
}

/// The path of the descriptor that is the first argument.
fn descriptor(call: &str, folder: &Path) -> Option<PathBuf> {
    let (_, arguments) = call.split_once('(')?;
    let first = arguments.split([',', ')']).next()?;
    let path = first.split_once('<')?.1.strip_suffix('>')?;
    below(&unescape(path), folder)
}

fn below(path: &[u8], folder: &Path) -> Option<PathBuf> {
    let path = Path::new(std::str::from_utf8(path).ok()?);
    path.strip_prefix(folder).ok().map(Path::to_owned)
}

/// Every quoted string among the arguments. None holds a quote: `-xx` writes all bytes as hex.
fn strings(arguments: &str) -> Vec<Vec<u8>> {
    assert!(!arguments.contains("\"..."), "strace cut a string short");
    arguments
        .split('"')
        .skip(1)
        .step_by(2)
        .map(unescape)
        .collect()
}

fn unescape(hex: &str) -> Vec<u8> {
    let byte = |it: &str| u8::from_str_radix(it, 16).unwrap();
    hex.split("\\x").skip(1).map(byte).collect()
}

/// How a disk treats what it had not promised to keep when the power went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unsynced {
    /// All of it is gone.
    Dropped,
    /// All of it is there.
    Kept,
    /// All of it is there, but the last write only by half.
    LastTorn,
    /// Names and lengths are there, contents are zeros.
    Zeros,
    /// Of the journal nothing, of everything else all.
    KeptButTheJournal,
    /// Of the journal all, of everything else nothing.
    KeptOfTheJournal,
}

/// Every file of a folder with its content, and every folder below it, which has none.
pub(crate) type Files = BTreeMap<PathBuf, Option<Vec<u8>>>;

/// A folder on a disk that may lose its power.
#[derive(Debug, Default)]
pub(crate) struct Disk {
    files: Vec<Content>,
    /// The entries as programs see them; folders have no content.
    names: BTreeMap<PathBuf, Option<usize>>,
    kept_names: BTreeMap<PathBuf, Option<usize>>,
    /// What was there when a thread began a sync.
    syncing: BTreeMap<u32, Syncing>,
    last_write: Option<(usize, u64, usize)>,
}

#[derive(Debug, Default, Clone)]
struct Content {
    now: Vec<u8>,
    kept: Vec<u8>,
}

#[derive(Debug)]
enum Syncing {
    File(usize, Vec<u8>),
    Folder(BTreeMap<PathBuf, Option<usize>>),
}

impl Disk {
    pub(crate) fn follow(&mut self, act: &Act) {
        match act {
            Act::MakeFolder(path) => drop(self.names.insert(path.clone(), None)),
            Act::MakeFile(path) => drop(self.file(path)),
            Act::Write(path, at, bytes) => {
                let file = self.file(path);
                let at_byte = usize::try_from(*at).unwrap();
                let now = &mut self.files[file].now;
                now.resize(now.len().max(at_byte + bytes.len()), 0);
                now[at_byte..at_byte + bytes.len()].copy_from_slice(bytes);
                self.last_write = Some((file, *at, bytes.len()));
            }
            Act::SetLength(path, length) => {
                let file = self.file(path);
                let length = usize::try_from(*length).unwrap();
                self.files[file].now.resize(length, 0);
            }
            Act::Rename(from, to) => {
                let file = self.names.remove(from).unwrap();
                assert!(file.is_some(), "the model does not move folders");
                self.names.insert(to.clone(), file);
            }
            Act::Remove(path) => drop(self.names.remove(path).unwrap()),
            Act::SyncBegun(path, thread) => {
                let syncing = match self.names.get(path).copied().flatten() {
                    Some(file) => Syncing::File(file, self.files[file].now.clone()),
                    None => Syncing::Folder(self.entries(path)),
                };
                self.syncing.insert(*thread, syncing);
            }
            Act::SyncEnded(path, thread) => match self.syncing.remove(thread).unwrap() {
                Syncing::File(file, content) => self.files[file].kept = content,
                Syncing::Folder(entries) => {
                    self.kept_names.retain(|it, _| it.parent() != Some(path));
                    self.kept_names.extend(entries);
                }
            },
            Act::Said(_) => {}
        }
    }

    /// What is there after the power went.
    pub(crate) fn after_power_loss(&self, how: Unsynced) -> Files {
        let keeps = |path: &Path| {
            let in_journal = path.starts_with("journal");
            match how {
                Unsynced::Dropped => false,
                Unsynced::Kept | Unsynced::LastTorn | Unsynced::Zeros => true,
                Unsynced::KeptButTheJournal => !in_journal,
                Unsynced::KeptOfTheJournal => in_journal,
            }
        };
        let lost = self.kept_names.iter().filter(|(path, _)| !keeps(path));
        let seen = self.names.iter().filter(|(path, _)| keeps(path));
        let left: BTreeMap<&PathBuf, Option<usize>> =
            lost.chain(seen).map(|(path, file)| (path, *file)).collect();
        let is_reachable = |path: &Path| {
            let above = path.ancestors().skip(1);
            above
                .filter(|it| !it.as_os_str().is_empty())
                .all(|it| left.contains_key(&it.to_owned()))
        };
        left.iter()
            .filter(|(path, _)| is_reachable(path))
            .map(|(path, file)| {
                let content = file.map(|file| self.content(file, how, keeps(path)));
                ((*path).clone(), content)
            })
            .collect()
    }

    fn content(&self, file: usize, how: Unsynced, keeps: bool) -> Vec<u8> {
        let Content { now, kept } = &self.files[file];
        if !keeps {
            return kept.clone();
        }
        let mut content = now.clone();
        match (how, self.last_write) {
            (Unsynced::Zeros, _) => {
                content = kept.clone();
                content.resize(now.len(), 0);
            }
            (Unsynced::LastTorn, Some((written, at, length))) if written == file => {
                let from = usize::try_from(at).unwrap() + length / 2;
                let to = (from + length.div_ceil(2)).min(content.len());
                // What a sync has promised is not taken back.
                for (n, byte) in content.iter_mut().enumerate().take(to).skip(from) {
                    *byte = kept.get(n).copied().unwrap_or(0);
                }
            }
            _ => {}
        }
        content
    }

    fn entries(&self, folder: &Path) -> BTreeMap<PathBuf, Option<usize>> {
        let of_it = self
            .names
            .iter()
            .filter(|(it, _)| it.parent() == Some(folder));
        of_it.map(|(path, file)| (path.clone(), *file)).collect()
    }

    fn file(&mut self, path: &Path) -> usize {
        if let Some(file) = self.names.get(path).copied().flatten() {
            return file;
        }
        self.files.push(Content::default());
        let file = self.files.len() - 1;
        self.names.insert(path.to_owned(), Some(file));
        file
    }
}

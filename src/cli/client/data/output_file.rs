//! Where an export goes: the standard output, or a file that appears once it is whole.
use crate::cli::exit::{Exit, Failure, OrExit};
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};

/// Where an export goes.
pub(super) enum Output {
    Standard(BufWriter<io::Stdout>),
    /// A device or a pipe, which nothing may replace.
    Device(BufWriter<File>),
    File(PartialFile),
}

/// A file under another name until it is whole. Dropped before, it is removed.
pub(super) struct PartialFile {
    file: BufWriter<File>,
    partial: PathBuf,
    whole: PathBuf,
    is_kept: bool,
}

impl Output {
    /// `-` and none are the standard output. An existing file is replaced once the new one is whole,
    /// behind any links; what is no file, such as a pipe, is written to.
    pub(super) fn open(path: Option<&Path>) -> Result<Self, Failure> {
        let Some(path) = path.filter(|path| *path != Path::new("-")) else {
            return Ok(Self::Standard(BufWriter::new(io::stdout())));
        };
        let doing = || format!("cannot write {}", path.display());
        let about = fs::metadata(path);
        if about.as_ref().is_ok_and(|it| !it.is_file() && !it.is_dir()) {
            let device = OpenOptions::new().write(true).open(path);
            let device = device.or_exit(Exit::Usage, doing())?;
            return Ok(Self::Device(BufWriter::with_capacity(256 << 10, device)));
        }
        let path = match about {
            Ok(_) => fs::canonicalize(path).or_exit(Exit::Usage, doing())?,
            Err(_) => path.to_owned(),
        };
        let mut partial = path.as_os_str().to_owned();
        partial.push(".part");
        let partial = PathBuf::from(partial);
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .open(&partial)
            .or_exit(
                Exit::Usage,
                format_args!("cannot write {}", partial.display()),
            )?;
        Ok(Self::File(PartialFile {
            file: BufWriter::with_capacity(256 << 10, file),
            partial,
            whole: path,
            is_kept: false,
        }))
    }

    pub(super) fn is_file(&self) -> bool {
        matches!(self, Self::File(_))
    }

    /// Where the file is that is not whole yet.
    pub(super) fn partial(&self) -> Option<&Path> {
        match self {
            Self::Standard(_) | Self::Device(_) => None,
            Self::File(file) => Some(&file.partial),
        }
    }

    /// Everything was written.
    pub(super) fn end(self) -> Result<(), Failure> {
        match self {
            Self::Standard(mut out) => out.flush().map_err(|error| unwritable(&error)),
            Self::Device(mut out) => out.flush().map_err(|error| unwritable(&error)),
            Self::File(mut file) => {
                file.file.flush().map_err(|error| unwritable(&error))?;
                fs::rename(&file.partial, &file.whole).or_exit(
                    Exit::Unavailable,
                    format_args!("cannot write {}", file.whole.display()),
                )?;
                file.is_kept = true;
                Ok(())
            }
        }
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Standard(out) => out.write(bytes),
            Self::Device(out) => out.write(bytes),
            Self::File(file) => file.file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Standard(out) => out.flush(),
            Self::Device(out) => out.flush(),
            Self::File(file) => file.file.flush(),
        }
    }
}

impl Drop for PartialFile {
    fn drop(&mut self) {
        if !self.is_kept {
            let _ = fs::remove_file(&self.partial);
        }
    }
}

/// A reader such as `head` may close the pipe early; the command then ends silently.
pub(super) fn unwritable(error: &io::Error) -> Failure {
    match error.kind() {
        ErrorKind::BrokenPipe => Failure::told(Exit::OutputClosed),
        _ => Failure::new(
            Exit::Unavailable,
            format_args!("cannot write the output: {error}"),
        ),
    }
}

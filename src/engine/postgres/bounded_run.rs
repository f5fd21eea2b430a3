//! Runs a program of the host to its end, for a bounded time.
use crate::clock::Deadline;
use std::io::{self, Read, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

/// Bytes of what a program says that are kept; the rest is read and dropped.
const KEPT_OUTPUT: u64 = 16 << 10;
/// How often its end is looked for.
const LOOK_INTERVAL: Duration = Duration::from_millis(5);

/// How a program ended, and what it said.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) status: ExitStatus,
    /// Its standard output and standard error, one after the other.
    pub(super) said: String,
}

/// Runs `command` with `input`; after `longest` it is killed.
///
/// # Errors
/// When it cannot be started, or does not end in time.
pub(super) fn run(command: &mut Command, input: &[u8], longest: Duration) -> io::Result<Ended> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()?;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    thread::scope(|scope| {
        scope.spawn(move || {
            // One that ended early says why itself.
            let _ = stdin.map(|mut stdin| stdin.write_all(input));
        });
        let out = scope.spawn(move || stdout.map(read_bounded).unwrap_or_default());
        let err = scope.spawn(move || stderr.map(read_bounded).unwrap_or_default());
        let deadline = Deadline::after(longest);
        let ended = loop {
            match child.try_wait() {
                Ok(Some(status)) => break Ok(status),
                Ok(None) if deadline.has_passed() => {
                    let _ = child.kill();
                    let _ = child.wait();
                    break Err(io::Error::new(
                        io::ErrorKind::TimedOut,
                        format!("it did not end within {} s", longest.as_secs()),
                    ));
                }
                Ok(None) => thread::sleep(LOOK_INTERVAL),
                Err(error) => break Err(error),
            }
        };
        let said = [out, err].map(|reader| reader.join().unwrap_or_default());
        Ok(Ended {
            status: ended?,
            said: said.concat(),
        })
    })
}

fn read_bounded(mut from: impl Read) -> String {
    let mut text = Vec::new();
    let _ = (&mut from).take(KEPT_OUTPUT).read_to_end(&mut text);
    let _ = io::copy(&mut from, &mut io::sink());
    String::from_utf8_lossy(&text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_gets_its_input_and_is_ended_after_its_time() {
        let ended = run(&mut Command::new("cat"), b"tea", Duration::from_secs(10)).unwrap();
        assert!(ended.status.success());
        assert_eq!(ended.said, "tea");
        let mut sleeping = Command::new("sleep");
        let error = run(sleeping.arg("60"), b"", Duration::from_millis(50)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        let error = run(&mut Command::new("/nowhere/at/all"), b"", Duration::ZERO).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}

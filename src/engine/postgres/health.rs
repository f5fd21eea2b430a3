//! Whether a server answers: what a worker's health check asks.
use super::files;
use crate::engine::DataFileError;
use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// A server that takes longer to answer does not serve.
const ANSWER_TIME: Duration = Duration::from_secs(3);

/// Version 3.0 of the protocol, and the name of a role, which need not exist.
const STARTUP: &[u8] = b"\0\x03\0\0user\0health\0\0";

/// The start of an SQLSTATE of a server that starts, recovers or stops.
const NOT_NOW: &str = "57P0";

/// Connects, and looks whether the server would let a role sign in. No session is made.
pub(super) fn check(folder: &Path) -> Result<(), DataFileError> {
    files::probe(folder, None)?;
    let asked = ask(folder).map_err(|error| DataFileError::Io {
        action: "ask the server",
        reason: error.to_string(),
    })?;
    match asked {
        Answered::Serves => Ok(()),
        Answered::NotNow(reason) => Err(DataFileError::Io {
            action: "ask the server",
            reason,
        }),
    }
}

enum Answered {
    Serves,
    NotNow(String),
}

fn ask(folder: &Path) -> io::Result<Answered> {
    let (_run, socket) = files::socket(folder)?;
    let mut server = UnixStream::connect(socket)?;
    server.set_read_timeout(Some(ANSWER_TIME))?;
    server.set_write_timeout(Some(ANSWER_TIME))?;
    let length = u32::try_from(STARTUP.len() + 4).unwrap_or(u32::MAX);
    server.write_all(&length.to_be_bytes())?;
    server.write_all(STARTUP)?;
    let mut head = [0; 5];
    server.read_exact(&mut head)?;
    match head[0] {
        // It asks for a password, which is all that was to be known.
        b'R' => Ok(Answered::Serves),
        b'E' => {
            let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]);
            let mut fields = Vec::new();
            let body = u64::from(length.saturating_sub(4).min(4096));
            server.take(body).read_to_end(&mut fields)?;
            Ok(what_it_means(&String::from_utf8_lossy(&fields)))
        }
        _ => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "it does not speak PostgreSQL's protocol",
        )),
    }
}

/// A server that is full, or refuses the role, serves others.
fn what_it_means(fields: &str) -> Answered {
    let field = |kind: char| {
        let mut fields = fields.split('\0');
        fields.find_map(|field| field.strip_prefix(kind))
    };
    match field('C') {
        Some(code) if code.starts_with(NOT_NOW) => {
            Answered::NotNow(field('M').unwrap_or("it does not serve now").to_owned())
        }
        _ => Answered::Serves,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_starts_does_not_serve_and_a_full_one_does() {
        let starts = "SFATAL\0VFATAL\0C57P03\0Mthe database system is starting up\0\0";
        assert!(matches!(
            what_it_means(starts),
            Answered::NotNow(reason) if reason.contains("starting up")
        ));
        let full = "SFATAL\0VFATAL\0C53300\0Msorry, too many clients already\0\0";
        assert!(matches!(what_it_means(full), Answered::Serves));
    }
}

//! The data folder itself: is it there, ours, and closed to others?
use super::Finding;
use crate::data::check_layout;
use rustix::fs::{Access, access};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Rights of the group and of everybody else.
const OTHERS: u32 = 0o077;

pub(super) fn look(data_dir: &Path, forge_dir: &Path) -> Vec<Finding> {
    let shown = data_dir.display();
    match fs::metadata(data_dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let seen = format!("{shown} is not there yet");
            return vec![Finding::ok(
                "folder",
                format!("{seen}; the first start makes it"),
            )];
        }
        Err(error) => {
            let next = "start the gateway as a user who may read it";
            return vec![Finding::fail("folder", format!("{shown}: {error}"), next)];
        }
        Ok(found) if !found.is_dir() => {
            let next = "move it away, or set DBFORGE_DATA_DIR";
            return vec![Finding::fail(
                "folder",
                format!("{shown} is no folder"),
                next,
            )];
        }
        Ok(_) => {}
    }
    if let Err(error) = access(
        data_dir,
        Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK,
    ) {
        let seen = format!("{shown}: {error}");
        let next = "this user cannot run the gateway on it; ask as the user who does";
        return vec![Finding::warn("folder", seen, next)];
    }
    if let Err(error) = check_layout(data_dir) {
        let next = "the gateway does not start before";
        return vec![Finding::fail("folder", error.to_string(), next)];
    }
    if !forge_dir.is_dir() {
        let seen = format!("{shown} holds no forge yet; the first start makes one");
        return vec![Finding::ok("folder", seen)];
    }
    vec![
        Finding::ok("folder", shown.to_string()),
        closed(forge_dir, "closed to others", "chmod 700"),
        root_token(&forge_dir.join("root-token")),
    ]
}

fn root_token(file: &Path) -> Finding {
    if !file.exists() {
        let seen = "none is kept; the next start makes one unless DBFORGE_ROOT_TOKEN is set";
        return Finding::ok("root token", seen);
    }
    Finding {
        what: "root token",
        ..closed(file, "kept, and closed to others", "chmod 600")
    }
}

fn closed(path: &Path, seen: &str, remedy: &str) -> Finding {
    let shown = path.display();
    match fs::metadata(path) {
        Ok(found) if found.permissions().mode() & OTHERS == 0 => Finding::ok("secrets", seen),
        Ok(found) => {
            let mode = found.permissions().mode() & 0o777;
            let seen = format!("{shown} is open to others (mode {mode:o})");
            Finding::fail("secrets", seen, format!("`{remedy} {shown}`"))
        }
        Err(error) => {
            let next = "ask as the user who runs the gateway";
            Finding::warn("secrets", format!("{shown}: {error}"), next)
        }
    }
}

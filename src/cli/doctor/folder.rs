//! The data folder: present, accessible, closed to other users?
use super::finding::Finding;
use crate::data::check_layout;
use rustix::fs::{Access, access};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Permissions of the group and of others.
const OTHERS: u32 = 0o077;

pub(super) fn look(data_dir: &Path, forge_dir: &Path) -> Vec<Finding> {
    let shown = data_dir.display();
    match fs::metadata(data_dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let seen = format!("{shown} does not exist yet");
            return vec![Finding::ok(
                "folder",
                format!("{seen}; the first start creates it"),
            )];
        }
        Err(error) => {
            let next = "run as a user who can read it";
            return vec![Finding::fail("folder", format!("{shown}: {error}"), next)];
        }
        Ok(found) if !found.is_dir() => {
            let next = "move it, or set DBFORGE_DATA_DIR";
            return vec![Finding::fail(
                "folder",
                format!("{shown} is not a folder"),
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
        let next = "run as the user of the gateway";
        return vec![Finding::warn("folder", seen, next)];
    }
    if let Err(error) = check_layout(data_dir) {
        let next = "the gateway does not start until this is fixed";
        return vec![Finding::fail("folder", error.to_string(), next)];
    }
    if !forge_dir.is_dir() {
        let seen = format!("{shown} has no forge yet; the first start creates one");
        return vec![Finding::ok("folder", seen)];
    }
    vec![
        Finding::ok("folder", shown.to_string()),
        closed(forge_dir, "not accessible to others", "chmod 700"),
        root_token(&forge_dir.join("root-token")),
    ]
}

fn root_token(file: &Path) -> Finding {
    if !file.exists() {
        let seen = "none stored; the next start creates one unless DBFORGE_ROOT_TOKEN is set";
        return Finding::ok("root token", seen);
    }
    Finding {
        what: "root token",
        ..closed(file, "stored, not accessible to others", "chmod 600")
    }
}

fn closed(path: &Path, seen: &str, remedy: &str) -> Finding {
    let shown = path.display();
    match fs::metadata(path) {
        Ok(found) if found.permissions().mode() & OTHERS == 0 => Finding::ok("secrets", seen),
        Ok(found) => {
            let mode = found.permissions().mode() & 0o777;
            let seen = format!("{shown} is accessible to others (mode {mode:o})");
            Finding::fail("secrets", seen, format!("run `{remedy} {shown}`"))
        }
        Err(error) => {
            let next = "run as the user of the gateway";
            Finding::warn("secrets", format!("{shown}: {error}"), next)
        }
    }
}

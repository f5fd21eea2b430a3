//! A gateway that is root lets its workers' user pass, or says which folder does not.
use crate::support::cli::Dbforge;
use crate::support::gateway_process::GatewayProcess;
use rustix::process::geteuid;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use tempfile::TempDir;

fn set_mode(folder: &Path, mode: u32) {
    fs::set_permissions(folder, Permissions::from_mode(mode)).unwrap();
}

fn mode(folder: &Path) -> u32 {
    fs::metadata(folder).unwrap().permissions().mode() & 0o777
}

#[test]
fn folders_of_its_own_are_made_passable_and_no_more() {
    let data_dir = TempDir::new().unwrap();
    let databases = data_dir.path().join("databases");
    fs::create_dir(&databases).unwrap();
    for folder in [data_dir.path(), &databases] {
        set_mode(folder, 0o700);
    }
    let gateway = GatewayProcess::start(data_dir.path());
    let expected = if geteuid().is_root() { 0o711 } else { 0o700 };
    for folder in [data_dir.path(), &databases] {
        assert_eq!(mode(folder), expected, "{}", folder.display());
    }
    assert_eq!(mode(&data_dir.path().join(".forge")), 0o700);
    assert!(gateway.stop());
}

#[test]
fn a_folder_above_that_is_closed_is_named_and_left_as_it_is() {
    let home = TempDir::new().unwrap();
    let (closed, open) = (home.path().join("closed"), home.path().join("closed/open"));
    let data_dir = open.join("data");
    fs::create_dir_all(&data_dir).unwrap();
    set_mode(home.path(), 0o755);
    set_mode(&closed, 0o700);
    if !geteuid().is_root() {
        // Its workers are its own user's.
        assert!(GatewayProcess::start(&data_dir).stop());
        return;
    }
    let said = Dbforge::with(&["serve", "--listen", "127.0.0.1:0", "--runtime", "process"])
        .data_dir(&data_dir)
        .run()
        .badly(3);
    let closed_path = closed.canonicalize().unwrap().display().to_string();
    assert!(
        said.contains(&format!("cannot pass the folder {closed_path}:")),
        "{said}"
    );
    assert!(said.contains("DBFORGE_WORKER_USER"), "{said}");
    assert_eq!(mode(&closed), 0o700);
    set_mode(&closed, 0o711);
    assert!(GatewayProcess::start(&data_dir).stop());
}

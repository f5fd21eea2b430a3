//! The machine: free disk space, and a runtime for workers.
use super::finding::Finding;
use crate::config::{Config, RuntimeChoice};
use crate::event_log::disk::room_for_commands;
use crate::runtime::docker::{DockerAvailability, DockerEngine};
use rustix::fs::statvfs;
use std::path::Path;

/// Below this, writes are soon refused.
const LITTLE_ROOM: u64 = 1 << 30;

/// Free space on the disk of the data folder, or of the folder it will be created in.
pub(super) fn look_at_disk(data_dir: &Path) -> Finding {
    let there = data_dir.ancestors().find(|it| it.exists());
    let folder = there.unwrap_or(Path::new("."));
    let free = match statvfs(folder) {
        Ok(disk) => disk.f_bavail.saturating_mul(disk.f_frsize),
        Err(error) => {
            let seen = format!("{}: {error}", folder.display());
            return Finding::warn("disk", seen, "the free space is unknown");
        }
    };
    let seen = format!("{} MiB free", free >> 20);
    // The bound of `/readyz`.
    if free < room_for_commands(&data_dir.join(".forge")) {
        let next = "only deletes, purges and cancels are accepted; purge databases, or free disk \
             space";
        return Finding::fail("disk", seen, next);
    }
    if free < LITTLE_ROOM {
        return Finding::warn("disk", seen, "free disk space soon");
    }
    Finding::ok("disk", seen)
}

/// Whether workers can run under the runtime of the settings, or the one the data folder uses.
pub(super) fn look_at_runtime(config: &Config, remembered: Option<&str>) -> Finding {
    match (config.runtime, remembered) {
        (RuntimeChoice::Process, _) => {
            Finding::ok("runtime", "process: workers are entries in memory")
        }
        (RuntimeChoice::Docker, _) => docker(config, "DBFORGE_RUNTIME says docker"),
        (RuntimeChoice::Auto, Some("docker")) => {
            docker(config, "the data folder's workers are containers")
        }
        (RuntimeChoice::Auto, Some(_)) => Finding::ok(
            "runtime",
            "process: the data folder's workers are not containers",
        ),
        (RuntimeChoice::Auto, None) => {
            let seen = match availability(config) {
                Ok(availability @ DockerAvailability::Available { .. }) => {
                    format!("the first start will choose docker: {availability}")
                }
                Ok(availability) => format!("the first start will choose process: {availability}"),
                Err(error) => format!("the first start will choose process: {error}"),
            };
            Finding::ok("runtime", seen)
        }
    }
}

fn docker(config: &Config, why: &str) -> Finding {
    match availability(config) {
        Ok(availability @ DockerAvailability::Available { .. }) => {
            Finding::ok("runtime", format!("{why}: {availability}"))
        }
        Ok(availability @ DockerAvailability::NoImage { .. }) => {
            let next = "build the image, or set DBFORGE_WORKER_IMAGE";
            Finding::fail("runtime", format!("{why}: {availability}"), next)
        }
        Ok(availability @ DockerAvailability::NoEngine { .. }) => {
            let next = "start Docker, and check that this user may use it; SQL on ready \
                 databases still works";
            Finding::fail("runtime", format!("{why}: {availability}"), next)
        }
        Err(error) => {
            let next = "try again";
            Finding::warn("runtime", format!("{why}: {error}"), next)
        }
    }
}

/// Docker's client is asynchronous; nothing else here is. Its calls are bounded in time.
fn availability(config: &Config) -> std::io::Result<DockerAvailability> {
    let tokio = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    Ok(tokio.block_on(DockerEngine::local().availability(&config.worker_image)))
}

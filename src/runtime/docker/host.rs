//! Where the data folder is for Docker, when the gateway itself is in a container.
use super::answer::{Answer, refused};
use super::engine::{DockerEngine, QUICK};
use crate::runtime::RuntimeError;
use bollard::models::MountPoint;
use std::path::{Path, PathBuf};

impl DockerEngine {
    /// The path under which Docker finds `data_dir`, an absolute path of this process.
    ///
    /// Docker mounts its host's paths. A gateway in a container asks Docker about itself:
    /// its data folder lies on one of its own mounts. A gateway that is in no container, or in one
    /// that this Docker does not know (Docker is inside with it), sees what Docker sees.
    ///
    /// # Errors
    /// When Docker does not answer, or the data folder is on none of the container's mounts.
    pub async fn host_data_dir(&self, data_dir: &Path) -> Result<PathBuf, RuntimeError> {
        // Where there is no /proc there are no containers either.
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let Some(id) = own_container(&mounts) else {
            return Ok(data_dir.to_owned());
        };
        let inspected = self
            .bounded(QUICK, |docker| docker.inspect_container(id, None))
            .await;
        match inspected {
            Ok(container) => on_host(&container.mounts.unwrap_or_default(), data_dir).ok_or_else(|| {
                refused(
                    "find the data folder on the host",
                    format!(
                        "{} is on no mount of this container; mount it, or set DBFORGE_HOST_DATA_DIR",
                        data_dir.display()
                    ),
                )
            }),
            Err(Answer::Said { status: 404, .. }) => Ok(data_dir.to_owned()),
            Err(answer) => Err(answer.into_error("look at the gateway's own container")),
        }
    }
}

/// The id of the container that this process is in, from its mounts: Docker lays a file of its
/// own over `/etc/hostname`, in a folder named after the container, under every cgroup version.
///
/// Only at that place: on a host, Docker's folders are mount points as well.
fn own_container(mountinfo: &str) -> Option<&str> {
    mountinfo
        .lines()
        .filter_map(|line| {
            // id, parent, device, root of the mount, mount point: proc_pid_mountinfo(5).
            let mut fields = line.split(' ').skip(3);
            Some((fields.next()?, fields.next()?))
        })
        .find(|(_, mount_point)| *mount_point == "/etc/hostname")?
        .0
        .split('/')
        .find(|part| part.len() == 64 && part.bytes().all(|it| it.is_ascii_hexdigit()))
}

/// `path` as the host sees it: through the mount that is nearest to it.
fn on_host(mounts: &[MountPoint], path: &Path) -> Option<PathBuf> {
    mounts
        .iter()
        .filter_map(|mount| {
            let destination = Path::new(mount.destination.as_ref()?);
            let inside = path.strip_prefix(destination).ok()?;
            let depth = destination.components().count();
            Some((depth, Path::new(mount.source.as_ref()?).join(inside)))
        })
        .max_by_key(|(depth, _)| *depth)
        .map(|(_, source)| source)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "86e8b8177775ec72397ba172d3105c191e48ca9ce1fcbf02b74164c58061f3d8";

    fn mount(source: &str, destination: &str) -> MountPoint {
        MountPoint {
            source: Some(source.to_owned()),
            destination: Some(destination.to_owned()),
            ..Default::default()
        }
    }

    #[test]
    fn a_container_knows_itself_by_the_file_over_its_hostname() {
        let mounts = format!(
            "525 500 0:49 / / rw,relatime - overlay overlay rw\n\
             540 525 254:0 /var/lib/docker/containers/{ID}/hostname /etc/hostname rw - ext4 /dev/vda rw\n"
        );
        assert_eq!(own_container(&mounts), Some(ID));
    }

    #[test]
    fn a_host_that_runs_containers_is_not_taken_for_one() {
        let mounts = format!(
            "25 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n\
             90 25 0:50 / /var/lib/docker/containers/{ID}/mounts/shm rw - tmpfs shm rw\n"
        );
        assert_eq!(own_container(&mounts), None);
    }

    #[test]
    fn the_data_folder_is_found_through_the_nearest_mount() {
        let mounts = [
            mount("/srv", "/"),
            mount("/srv/forge", "/data"),
            mount("/var/run/docker.sock", "/var/run/docker.sock"),
        ];
        assert_eq!(
            on_host(&mounts, Path::new("/data/databases")),
            Some(PathBuf::from("/srv/forge/databases"))
        );
        assert_eq!(on_host(&mounts[1..], Path::new("/elsewhere")), None);
    }
}

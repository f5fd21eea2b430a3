//! Real servers of PostgreSQL for tests: one template a machine, a copy of it for each database.
use dbforge::data::DataFile;
use dbforge::domain::database::{Durability, Isolation, Limits};
use dbforge::engine::postgres::roles::{
    DATABASE, OWNER, RoleSecrets, statements_for_database, statements_for_server,
};
use dbforge::engine::postgres::sql::{PostgresExecutor, SOCKET_FOLDER, SecretsSource};
use dbforge::engine::sql::SqlExecutor;
use dbforge::engine::{
    Availability, Capabilities, DataFileError, DatabasesFolder, Engine, ReadyWhen, ServedEngine,
};
use std::fs::{self, File, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

const PROGRAMS: &str = "/usr/lib/postgresql/15/bin";

const KEY: &[u8] = b"a key of tests";

const CONFIGURATION: &str = "
listen_addresses = ''
unix_socket_directories = '../run'
unix_socket_permissions = 0700
max_connections = 24
shared_buffers = 16MB
huge_pages = off
dynamic_shared_memory_type = mmap
work_mem = 2MB
max_parallel_workers = 0
jit = off
min_wal_size = 8MB
max_wal_size = 64MB
fsync = off
temp_file_limit = 64MB
timezone = UTC
lc_messages = 'C.UTF-8'
password_encryption = scram-sha-256
logging_collector = off
log_min_error_statement = panic
";

/// The engine as far as tests of its SQL need it: a database's server starts with its files.
#[derive(Debug, Default)]
pub(crate) struct TestPostgres {
    servers: Mutex<Vec<Server>>,
}

/// A server, which ends with its test.
#[derive(Debug)]
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let process = rustix::process::Pid::from_child(&self.0);
        let _ = rustix::process::kill_process(process, rustix::process::Signal::QUIT);
        let _ = self.0.wait();
    }
}

/// The user that servers run as: they refuse root.
fn user() -> Option<(u32, u32)> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").unwrap();
    let of = |name: &str| {
        let line = users
            .lines()
            .find(|line| line.starts_with(&format!("{name}:")))?;
        let mut fields = line.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    };
    Some(of("postgres").or_else(|| of("nobody")).unwrap())
}

fn program(name: &str) -> Command {
    let mut command = Command::new(format!("{PROGRAMS}/{name}"));
    if let Some((user, group)) = user() {
        command.uid(user).gid(group);
    }
    command.env_clear().current_dir("/").stdin(Stdio::null());
    command
}

fn give_away(path: &Path) {
    if let Some((user, group)) = user() {
        chown(path, Some(user), Some(group)).unwrap();
    }
}

/// The files of a new server, made once.
fn template() -> &'static Path {
    static TEMPLATE: OnceLock<PathBuf> = OnceLock::new();
    TEMPLATE.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("postgres-template");
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        give_away(&folder);
        pass_through(&folder);
        let pgdata = folder.join("pgdata");
        let made = program("initdb")
            .args(["-U", OWNER, "--auth=trust", "--locale=C.UTF-8"])
            .args([
                "--locale-provider=icu",
                "--icu-locale=und",
                "--encoding=UTF8",
            ])
            .args(["--wal-segsize=4", "--no-instructions", "--no-sync"])
            .arg("-D")
            .arg(&pgdata)
            .output()
            .unwrap();
        assert!(
            made.status.success(),
            "{}",
            String::from_utf8_lossy(&made.stderr)
        );
        fs::write(pgdata.join("postgresql.conf"), CONFIGURATION).unwrap();
        fs::write(pgdata.join("pg_hba.conf"), "local all all scram-sha-256\n").unwrap();
        let secrets = RoleSecrets::of_key(KEY);
        alone(&pgdata, "template1", &statements_for_server(&secrets));
        alone(&pgdata, DATABASE, &statements_for_database());
        folder
    })
}

/// Lets others go through every folder above, which a server's user has to.
fn pass_through(folder: &Path) {
    for above in folder.ancestors().skip(1) {
        let Ok(found) = above.metadata() else {
            continue;
        };
        let mode = found.permissions().mode();
        if mode & 0o001 == 0 && found.uid() == rustix::process::geteuid().as_raw() {
            fs::set_permissions(above, Permissions::from_mode(mode | 0o011)).unwrap();
        }
    }
}

/// Runs statements on files that no server has, each on a line of its own.
fn alone(pgdata: &Path, database: &str, statements: &[String]) {
    let mut single = program("postgres")
        .args(["--single", "-D"])
        .arg(pgdata)
        .arg(database)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = single.stdin.take().unwrap();
    for statement in statements {
        writeln!(input, "{statement};").unwrap();
    }
    drop(input);
    let ended = single.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success() && !said.contains("ERROR"), "{said}");
}

/// Copies a folder as the user of servers.
fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    fs::set_permissions(to, Permissions::from_mode(0o700)).unwrap();
    give_away(to);
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), &to).unwrap();
            give_away(&to);
        }
    }
}

impl TestPostgres {
    fn start(&self, folder: &Path) {
        let log = File::create(folder.join("log")).unwrap();
        let server = program("postgres")
            .arg("-D")
            .arg(folder.join("pgdata"))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.servers.lock().unwrap().push(Server(server));
        let ready = || {
            let told = fs::read_to_string(folder.join("pgdata/postmaster.pid"));
            told.is_ok_and(|it| it.lines().nth(7).is_some_and(|it| it.trim() == "ready"))
        };
        for _ in 0..600 {
            if ready() {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!(
            "no server: {}",
            fs::read_to_string(folder.join("log")).unwrap()
        );
    }

    /// Kills every server, as a machine that fails does.
    pub(crate) fn kill_all(&self) {
        for mut server in std::mem::take(&mut *self.servers.lock().unwrap()) {
            server.0.kill().unwrap();
            server.0.wait().unwrap();
        }
    }

    /// Starts the server of a database again.
    pub(crate) fn start_again(&self, folder: &Path) {
        let _ = fs::remove_file(folder.join("pgdata/postmaster.pid"));
        self.start(folder);
    }
}

impl Engine for TestPostgres {
    fn name(&self) -> &'static str {
        "postgres"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            ready_when: ReadyWhen::Provisioned,
            default_limits: Limits::default(),
            legacy_api: false,
            file_exports: false,
            loads: false,
            protocols: &["http"],
            least_limits: Limits::LEAST,
            isolations: &[Isolation::Worker],
        }
    }

    fn availability(&self) -> Availability {
        Availability::of_version("15".to_owned())
    }

    fn create_file(&self, folder: &Path, _: Durability) -> Result<(), DataFileError> {
        if folder.join("pgdata").exists() {
            return Ok(());
        }
        pass_through(&folder.join("run"));
        give_away(folder);
        let run = folder.join(SOCKET_FOLDER);
        fs::create_dir(&run).unwrap();
        give_away(&run);
        copy(&template().join("pgdata"), &folder.join("pgdata"));
        self.start(folder);
        Ok(())
    }

    fn probe(&self, _: &Path) -> Result<(), DataFileError> {
        Ok(())
    }

    fn check_in_worker(&self, _: &Path) -> Result<(), DataFileError> {
        Ok(())
    }

    fn is_empty(&self, _: &Path) -> Result<bool, DataFileError> {
        Ok(false)
    }

    fn checkpoint_and_close(&self, _: &Path) -> Result<(), DataFileError> {
        Ok(())
    }

    fn data_file(&self, folder: &Path) -> io::Result<DataFile> {
        Ok(match folder.join("pgdata").exists() {
            true => DataFile::InPlace,
            false => DataFile::Missing,
        })
    }

    fn size_bytes(&self, _: &Path) -> u64 {
        0
    }
}

impl ServedEngine for TestPostgres {
    fn sql(&self, databases: &DatabasesFolder) -> Option<Box<dyn SqlExecutor>> {
        let secrets = SecretsSource::new(|| Ok(RoleSecrets::of_key(KEY)));
        Some(Box::new(PostgresExecutor::new(databases.clone(), secrets)))
    }
}

//! Kills before, inside and after every step of every kind of job that somebody can ask for.
//!
//! The gateway dies at every write and every sync of the journal while the job runs, and at calls
//! on the database's own folders. Where that was, the log itself says before the next start: so
//! each test knows that it has met every moment of every step of its kind. A repair, which nobody
//! asks for, is a restart's steps; what happens inside a container is the Docker tests' business.
use super::sound::{assert_sound, await_jobs, fast_folder, history};
use crate::support::gateway_process::GatewayProcess;
use dbforge::domain::job::JobKind;
use dbforge::jobs::kinds;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

/// More commits than any of these jobs makes: a job that has ended by then is not killed.
const COMMITS: usize = 20;
/// Calls of one kind and thread on a database's folders in one step.
const FILE_CALLS: usize = 4;

/// When a step was cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Moment {
    /// Its job was in the log, its own start was not.
    Before,
    /// Its start was written, nothing of it was done.
    AtItsBeginning,
    /// In the middle of its work on files.
    Inside,
    /// All of it was done, its end was not written.
    AtItsEnd,
    /// Its end was written.
    After,
}

/// Each kind's test: what comes before, and which of its steps are work on files.
macro_rules! kills_in {
    ($($name:ident $what:literal $kind:ident after $before:tt inside $inside:tt)*) => {
        $(
            #[test]
            fn $name() {
                kill_everywhere($what, &JobKind::$kind, &$before, &$inside);
            }
        )*
    };
}

kills_in! {
    a_create_survives_a_kill_anywhere "create" CreateDatabase after [] inside ["reserve_folder", "create_file"]
    a_stop_survives_a_kill_anywhere "stop" StopDatabase after ["create"] inside []
    a_start_survives_a_kill_anywhere "start" StartDatabase after ["create", "stop"] inside []
    a_restart_survives_a_kill_anywhere "restart" RestartWorker after ["create"] inside []
    a_delete_survives_a_kill_anywhere "delete" DeleteDatabase after ["create"] inside ["move_to_trash"]
    an_undelete_survives_a_kill_anywhere "undelete" UndeleteDatabase after ["create", "delete"] inside ["restore_from_trash"]
    a_purge_of_a_living_database_survives_a_kill_anywhere "purge" PurgeDatabase after ["create"] inside ["purge"]
    a_purge_from_the_trash_survives_a_kill_anywhere "purge" PurgeDatabase after ["create", "delete"] inside ["purge"]
}

fn kill_everywhere(what: &str, kind: &JobKind, before: &[&str], inside: &[&str]) {
    let (template, id) = told(before);
    let mut met = BTreeSet::new();
    let mut kills = 0;
    let mut points = vec![
        ("pwrite64", Some(JOURNAL.to_owned()), COMMITS),
        ("fdatasync", Some(JOURNAL.to_owned()), COMMITS),
        ("fsync", Some("databases".to_owned()), FILE_CALLS),
        ("fsync", Some("trash".to_owned()), FILE_CALLS),
        ("unlink", None, FILE_CALLS),
        ("unlinkat", None, FILE_CALLS),
    ];
    for room in ["databases", "trash"] {
        let of_database = id.iter().map(|id| format!("{room}/{id}"));
        points.extend(of_database.map(|it| ("rename", Some(it), FILE_CALLS)));
    }
    for (call, file, most) in points {
        for n in 1..=most {
            let folder = fast_folder();
            copy(template.path(), folder.path());
            if !killed(folder.path(), call, file.as_deref(), n, what) {
                break;
            }
            kills += 1;
            met.extend(moments(&history(folder.path()), kind, call));
            let gateway = GatewayProcess::start(folder.path());
            await_jobs(&gateway);
            let when =
                format!("`{what}` after {before:?}, killed at {call} number {n} on {file:?}");
            assert_all_succeeded(&gateway, &when);
            assert_sound(gateway, folder.path(), &when);
        }
    }
    let expected = expected(kind, inside);
    let missed: Vec<_> = expected.difference(&met).collect();
    assert!(
        missed.is_empty(),
        "`{what}` was killed {kills} times and never {missed:?}"
    );
}

const JOURNAL: &str = ".forge/journal/00000001.journal";

/// A forge that was told this and stopped, and its database.
fn told(before: &[&str]) -> (TempDir, Option<String>) {
    let folder = fast_folder();
    let gateway = GatewayProcess::start(folder.path());
    for what in before {
        ask(&gateway, what).unwrap();
        await_jobs(&gateway);
    }
    assert_all_succeeded(&gateway, "undisturbed");
    let (_, database) = gateway.get("/v1/databases/shop").unwrap();
    let id = database["id"].as_str().map(str::to_owned);
    assert!(gateway.stop());
    (folder, id)
}

/// `None` when the gateway did not answer.
fn ask(gateway: &GatewayProcess, what: &str) -> Option<Value> {
    let shop = "/v1/databases/shop";
    let (status, job) = match what {
        "create" => gateway.post("/v1/databases", &json!({"name": "shop"})),
        "delete" => gateway.delete(shop),
        "purge" => gateway.delete(&format!("{shop}?purge=true")),
        _ => gateway.post(&format!("{shop}/{what}"), &json!({})),
    }?;
    assert_eq!(status, 202, "{what}: {job}");
    Some(job)
}

/// Asks a gateway that dies at the n-th such call of one of its threads; whether it did.
fn killed(folder: &Path, call: &str, file: Option<&str>, n: usize, what: &str) -> bool {
    let mut strace = Command::new("strace");
    strace
        .args(["-D", "-f", "-qqq", "-o", "/dev/null"])
        .arg("--signal=none")
        .arg(format!("--trace={call}"))
        .arg(format!("--inject={call}:signal=SIGKILL:when={n}"));
    if let Some(file) = file {
        strace.arg("-P").arg(folder.join(file));
    }
    strace.arg(env!("CARGO_BIN_EXE_dbforge"));
    let settings = [("DBFORGE_RUNTIME", "process")];
    let Some(gateway) = GatewayProcess::try_start(strace, folder, &settings) else {
        return true;
    };
    let ended = || {
        let job = ask(&gateway, what)?;
        let id = job["id"].as_str().expect("a job");
        gateway.get(&format!("/v1/jobs/{id}?wait=30"))
    };
    let came_to_its_end = ended().is_some() && gateway.stop();
    !came_to_its_end
}

/// What a log says about where its last job was cut off by a kill at this call.
fn moments(history: &[Value], kind: &JobKind, call: &str) -> BTreeSet<(&'static str, Moment)> {
    let enqueued = history
        .iter()
        .rposition(|it| it["kind"] == "job_enqueued" && it["data"]["kind"] == kind.as_str());
    let Some(enqueued) = enqueued else {
        return BTreeSet::new();
    };
    let story = &history[enqueued..];
    let has = |event: &str, step: &str| {
        let is_it = |it: &Value| it["kind"] == event && it["data"]["step"] == step;
        story.iter().any(is_it)
    };
    let moment = |step: &str| match (has("step_started", step), has("step_finished", step)) {
        (false, _) => Moment::Before,
        (true, true) => Moment::After,
        (true, false) if call == "pwrite64" => Moment::AtItsEnd,
        (true, false) if call == "fdatasync" => Moment::AtItsBeginning,
        (true, false) => Moment::Inside,
    };
    let steps = kinds::steps(kind).iter().map(|it| it.name);
    steps.map(|it| (it, moment(it))).collect()
}

fn expected(kind: &JobKind, inside: &[&str]) -> BTreeSet<(&'static str, Moment)> {
    let mut expected = BTreeSet::new();
    for step in kinds::steps(kind) {
        let always = [
            Moment::Before,
            Moment::AtItsBeginning,
            Moment::AtItsEnd,
            Moment::After,
        ];
        expected.extend(always.map(|it| (step.name, it)));
        if inside.contains(&step.name) {
            expected.insert((step.name, Moment::Inside));
        }
    }
    expected
}

fn assert_all_succeeded(gateway: &GatewayProcess, when: &str) {
    let (_, jobs) = gateway.get("/v1/jobs").unwrap();
    for job in jobs["data"].as_array().unwrap() {
        assert_eq!(job["state"], "succeeded", "{when}: {job}");
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

//! One commit for many requests.
//!
//! Each request has a savepoint of its own, so that its failure does not affect the others.
//! Three things end the whole transaction all the same: a write that is interrupted, `OR ROLLBACK`,
//! and a disk or memory that is full. Then the failed request is answered, and the others, none of
//! which has been answered, run again without it.
//!
//! A savepoint costs as much as a small insert inside of it, so a statement that ended well the
//! last time has none. Should it fail, the whole transaction is undone, and all run again in
//! savepoints.
use super::queue::{Sharing, WriteRequest};
use crate::clock::Stopwatch;
use crate::engine::sql::QueryError;
use crate::engine::sqlite::readers::latency_class::{LatencyClass, StatementClassifier};
use crate::engine::sqlite::statement::savepoint::{
    ForeignKeys, roll_back, run_held, run_in_savepoint,
};
use crate::engine::sqlite::{Answer, ExecutionLimits, Slice, SqlError, SqliteConnection};
use crate::shares;
use crate::shares::Pass;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::runtime::Handle;

/// What came of one transaction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct GroupEnd {
    /// The disk failed during the commit, so it is unknown what was kept.
    pub(crate) outcome_is_unknown: bool,
}

type Kept = Vec<(WriteRequest, Vec<Answer>)>;

/// Runs requests from the front of `waiting` in one transaction and answers those that it kept or
/// refused. Requests that have to run again are in front of `waiting` afterwards.
///
/// Every call answers, drops or marks as long or not proven at least one request: calling it until
/// `waiting` is empty ends.
pub(super) fn run_group(
    sqlite: &mut SqliteConnection,
    waiting: &mut VecDeque<WriteRequest>,
    group_time: Duration,
    classifier: &StatementClassifier,
    commits: &AtomicU64,
) -> GroupEnd {
    let Some((first, _)) = next_wanted(waiting) else {
        return GroupEnd::default();
    };
    sqlite.set_limits(limits_for(&first, None));
    let begun = sqlite.command("BEGIN IMMEDIATE;");
    sqlite.clear_limits();
    if let Err(error) = begun {
        first.fail(0, error);
        return GroupEnd::default();
    }
    waiting.push_front(first);

    let stopwatch = Stopwatch::start();
    let mut kept: Kept = Vec::new();
    while let Some((request, waited)) = next_wanted(waiting) {
        let has_neighbours = !kept.is_empty();
        let is_exclusive = request.sharing == Sharing::Exclusive;
        if has_neighbours && (is_exclusive || stopwatch.elapsed() > group_time) {
            waiting.push_front(request);
            break;
        }
        sqlite.count_wait(waited);
        let slice = has_neighbours.then(|| Slice::of(group_time));
        match run_request(sqlite, &request, slice) {
            Ok(answers) => {
                learn_how_it_was(&request, &answers, group_time, classifier);
                kept.push((request, answers));
                if is_exclusive {
                    break;
                }
            }
            Err(failure) => {
                let has_savepoint = request.sharing != Sharing::Proven;
                let is_undone = has_savepoint && !sqlite.is_autocommit() && !sqlite.is_spoiled();
                answer_failure(request, failure, has_neighbours, waiting, classifier);
                if !is_undone {
                    roll_back(sqlite);
                    run_again(kept, waiting);
                    return GroupEnd::default();
                }
            }
        }
    }
    commit(sqlite, kept, waiting, classifier, commits)
}

/// Answers a request that failed, or puts it in front where it is to run once more: alone when it
/// ran out of its slice, in a savepoint when others were before it.
fn answer_failure(
    mut request: WriteRequest,
    (statement, error): (usize, SqlError),
    has_neighbours: bool,
    waiting: &mut VecDeque<WriteRequest>,
    classifier: &StatementClassifier,
) {
    let key = &request.key;
    match request.sharing {
        _ if error == SqlError::SliceOver => {
            classifier.learn(classifier.epoch(), key, Some(LatencyClass::Slow));
            request.sharing = Sharing::Exclusive;
            waiting.push_front(request);
        }
        Sharing::Proven => {
            classifier.learn(classifier.epoch(), key, None);
            if has_neighbours {
                waiting.push_front(request);
            } else {
                request.fail(statement, error);
            }
        }
        Sharing::InSavepoint | Sharing::Exclusive => request.fail(statement, error),
    }
}

/// The next request that was not cancelled and has time left, and how much of its time is over.
fn next_wanted(waiting: &mut VecDeque<WriteRequest>) -> Option<(WriteRequest, Duration)> {
    while let Some(request) = waiting.pop_front() {
        if request.cancellation.is_cancelled() {
            continue;
        }
        let left = request.deadline.remaining();
        if left.is_zero() {
            request.fail(0, SqlError::Timeout);
            continue;
        }
        if request.pass.as_ref().is_some_and(Pass::has_ended) {
            request.turn_away(QueryError::TokenEnded);
            continue;
        }
        let waited = request.timeout.saturating_sub(left);
        return Some((request, waited));
    }
    None
}

fn limits_for(request: &WriteRequest, slice: Option<Slice>) -> ExecutionLimits {
    ExecutionLimits {
        deadline: request.deadline,
        cancellation: Some(Arc::clone(&request.cancellation)),
        slice,
        may_wait: true,
    }
}

fn run_request(
    sqlite: &mut SqliteConnection,
    request: &WriteRequest,
    slice: Option<Slice>,
) -> Result<Vec<Answer>, (usize, SqlError)> {
    let limits = limits_for(request, slice);
    let (statements, form) = (&request.statements, &request.form);
    sqlite.begin_session(statements[0].counters);
    shares::on_thread(request.pass.clone(), || {
        let now = ForeignKeys::Now;
        match request.sharing {
            Sharing::Proven => run_held(sqlite, statements, form, limits, now),
            Sharing::InSavepoint | Sharing::Exclusive => {
                run_in_savepoint(sqlite, statements, form, limits, now, request.keep)
            }
        }
    })
}

/// Makes everything lasting and answers, or nothing of it.
fn commit(
    sqlite: &mut SqliteConnection,
    kept: Kept,
    waiting: &mut VecDeque<WriteRequest>,
    classifier: &StatementClassifier,
    commits: &AtomicU64,
) -> GroupEnd {
    if kept.is_empty() {
        roll_back(sqlite);
        return GroupEnd::default();
    }
    let claimed: Vec<bool> = kept
        .iter()
        .map(|(it, _)| it.cancellation.begin_commit())
        .collect();
    if claimed.contains(&false) {
        // A caller was told that nothing of its request is kept.
        roll_back(sqlite);
        for ((request, _), _) in kept.iter().zip(claimed).filter(|(_, claimed)| *claimed) {
            request.cancellation.undo_commit();
        }
        run_again(kept, waiting);
        return GroupEnd::default();
    }
    let changes_schema = (kept.iter().flat_map(|(_, answers)| answers)).any(|it| it.changes_schema);
    if changes_schema {
        // Before as well: nothing runs by what was learned of the schema that is going.
        classifier.forget_all();
    }
    let committed = sqlite.command("COMMIT;");
    if changes_schema {
        classifier.forget_all();
    }
    match committed {
        Ok(()) => {
            // Before any answer: a client that has its answer may rely on the commit.
            commits.fetch_add(1, Ordering::Release);
            answer_all(kept);
            GroupEnd::default()
        }
        Err(error) => {
            roll_back(sqlite);
            for (request, _) in kept {
                request.fail(0, error.clone());
            }
            GroupEnd {
                outcome_is_unknown: error == SqlError::OutcomeUnknown,
            }
        }
    }
}

/// Answers all requests, grouped by the tokio runtime in which they wait: a wake from outside is a
/// system call, and one is enough for each runtime.
fn answer_all(kept: Kept) {
    let mut homes: Vec<(Handle, Kept)> = Vec::new();
    for answered in kept {
        let home = &answered.0.home;
        match homes.iter_mut().find(|(it, _)| it.id() == home.id()) {
            Some((_, theirs)) => theirs.push(answered),
            None => homes.push((home.clone(), vec![answered])),
        }
    }
    for (home, theirs) in homes {
        let is_one = theirs.len() == 1;
        let answer_them = move || {
            for (request, answers) in theirs {
                let _ = request.answer.send(Ok(answers));
            }
        };
        if is_one {
            answer_them();
        } else {
            home.spawn(async move { answer_them() });
        }
    }
}

/// In front again, in the order they came, each in a savepoint: the next failure leaves the others
/// alone.
fn run_again(kept: Kept, waiting: &mut VecDeque<WriteRequest>) {
    for (request, _) in kept.into_iter().rev() {
        waiting.push_front(request);
    }
    for request in waiting {
        if request.sharing == Sharing::Proven {
            request.sharing = Sharing::InSavepoint;
        }
    }
}

/// A write is long when it takes more than this many times the time of a group: a wait for a
/// processor on a busy machine alone does not make it so.
const LONG: u32 = 5;

fn learn_how_it_was(
    request: &WriteRequest,
    answers: &[Answer],
    group_time: Duration,
    classifier: &StatementClassifier,
) {
    let took: Duration = answers.iter().map(|it| it.elapsed).sum();
    let key = &request.key;
    if took > group_time * LONG {
        classifier.learn(classifier.epoch(), key, Some(LatencyClass::Slow));
    } else if took < group_time {
        let is_one = request.statements.len() == 1;
        if is_one && request.sharing != Sharing::Proven {
            classifier.learn(classifier.epoch(), key, Some(LatencyClass::Proven));
        } else if request.sharing == Sharing::Exclusive {
            classifier.learn(classifier.epoch(), key, None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Deadline;
    use crate::domain::database::Durability;
    use crate::domain::ids::DatabaseId;
    use crate::engine::Engine as _;
    use crate::engine::access_lock::AccessLocks;
    use crate::engine::sql::{Cancellation, Form, Format, Int64Form, Keep, Shape, Statement};
    use crate::engine::sqlite::writer::queue::WriteResult;
    use crate::engine::sqlite::{Profile, Role, Sqlite};
    use tempfile::TempDir;
    use tokio::sync::oneshot;
    use uuid::Uuid;

    fn database() -> (TempDir, SqliteConnection) {
        let folder = tempfile::tempdir().unwrap();
        Sqlite::default()
            .create_file(folder.path(), Durability::Full)
            .unwrap();
        let profile = Profile {
            role: Role::Writer,
            durability: Durability::Full,
            size_bytes: 1 << 20,
            cached_statements: 8,
        };
        let sqlite = SqliteConnection::open(folder.path(), profile).unwrap();
        (folder, sqlite)
    }

    fn request(sql: &str) -> (WriteRequest, oneshot::Receiver<WriteResult>) {
        let (answer, answered) = oneshot::channel();
        let timeout = Duration::from_secs(20);
        let request = WriteRequest {
            statements: vec![Statement {
                sql: sql.into(),
                ..Statement::default()
            }],
            key: sql.into(),
            form: Form {
                format: Format::Json,
                shape: Shape::Rows,
                int64: Int64Form::Number,
                max_rows: 10,
                may_truncate: true,
                max_bytes: 10_000,
                escapes_formulas: false,
            },
            deadline: Deadline::after(timeout),
            timeout,
            cancellation: Arc::new(Cancellation::default()),
            sharing: Sharing::InSavepoint,
            keep: Keep::default(),
            answer,
            pass: None,
            home: Handle::current(),
            _guard: AccessLocks::default()
                .try_enter(DatabaseId(Uuid::nil()))
                .expect("a new access lock is not held exclusively"),
        };
        (request, answered)
    }

    fn run(sqlite: &mut SqliteConnection, sql: &str) -> Vec<Answer> {
        let (request, mut answered) = request(sql);
        let mut waiting = VecDeque::from([request]);
        let classifier = StatementClassifier::new(8);
        let commits = AtomicU64::new(0);
        run_group(
            sqlite,
            &mut waiting,
            Duration::from_secs(1),
            &classifier,
            &commits,
        );
        answered.try_recv().unwrap().unwrap()
    }

    #[tokio::test]
    async fn a_request_given_up_before_the_commit_is_not_in_it_and_its_neighbour_is() {
        let (_folder, mut sqlite) = database();
        run(&mut sqlite, "CREATE TABLE t (a)");
        let classifier = StatementClassifier::new(8);
        let (given_up, mut never) = request("INSERT INTO t VALUES ('given up')");
        let (neighbour, mut answered) = request("INSERT INTO t VALUES ('kept')");

        sqlite.command("BEGIN IMMEDIATE;").unwrap();
        let kept = vec![given_up, neighbour]
            .into_iter()
            .map(|it| {
                let answers = run_request(&mut sqlite, &it, None).unwrap();
                (it, answers)
            })
            .collect::<Kept>();
        assert!(kept[0].0.cancellation.cancel());
        let mut waiting = VecDeque::new();
        let commits = AtomicU64::new(0);
        commit(&mut sqlite, kept, &mut waiting, &classifier, &commits);
        assert!(answered.try_recv().is_err(), "nobody is answered yet");

        while !waiting.is_empty() {
            let second = Duration::from_secs(1);
            run_group(&mut sqlite, &mut waiting, second, &classifier, &commits);
        }
        answered.try_recv().unwrap().unwrap();
        assert!(never.try_recv().is_err());
        let rows = run(&mut sqlite, "SELECT a FROM t");
        let body = String::from_utf8(rows[0].body.clone()).unwrap();
        assert!(body.contains(r#""rows":[["kept"]]"#), "{body}");
    }

    #[tokio::test]
    async fn a_proven_write_that_fails_leaves_nothing_and_takes_no_neighbour_along() {
        for failing in [
            "INSERT INTO t VALUES (1)",
            "INSERT OR ROLLBACK INTO t VALUES (1)",
            "INSERT OR FAIL INTO t VALUES (20), (1), (21)",
            "INSERT INTO child VALUES (7)",
            "INSERT INTO t SELECT 30 UNION ALL SELECT abs(-9223372036854775808)",
        ] {
            let (_folder, mut sqlite) = database();
            for schema in [
                "CREATE TABLE t (a INTEGER PRIMARY KEY)",
                "CREATE TABLE child (a REFERENCES t (a) DEFERRABLE INITIALLY DEFERRED)",
                "INSERT INTO t VALUES (1)",
            ] {
                run(&mut sqlite, schema);
            }
            let classifier = StatementClassifier::new(8);
            let commits = AtomicU64::new(0);
            classifier.learn(0, &failing.into(), Some(LatencyClass::Proven));
            let (mut waiting, mut answers) = (VecDeque::new(), Vec::new());
            for sql in [
                "INSERT INTO t VALUES (2)",
                failing,
                "INSERT INTO t VALUES (3)",
            ] {
                let (mut request, answered) = request(sql);
                request.sharing = Sharing::Proven;
                waiting.push_back(request);
                answers.push(answered);
            }
            while !waiting.is_empty() {
                let second = Duration::from_secs(1);
                run_group(&mut sqlite, &mut waiting, second, &classifier, &commits);
            }
            let mut is_kept = Vec::new();
            for answered in answers {
                is_kept.push(answered.await.unwrap().is_ok());
            }
            assert_eq!(is_kept, [true, false, true], "{failing}");
            assert_eq!(classifier.of(failing), None, "{failing}");
            let rows = run(&mut sqlite, "SELECT a FROM t UNION ALL SELECT a FROM child");
            let body = String::from_utf8(rows[0].body.clone()).unwrap();
            assert!(
                body.contains(r#""rows":[[1],[2],[3]]"#),
                "{failing}: {body}"
            );
        }
    }

    #[tokio::test]
    async fn a_write_that_ended_well_is_proven_until_it_fails() {
        let (_folder, mut sqlite) = database();
        run(&mut sqlite, "CREATE TABLE t (a UNIQUE)");
        let (classifier, commits) = (StatementClassifier::new(8), AtomicU64::new(0));
        let sql = "INSERT INTO t VALUES (1)";
        for (is_kept, class) in [(true, Some(LatencyClass::Proven)), (false, None)] {
            let (mut request, mut answered) = request(sql);
            if classifier.of(sql) == Some(LatencyClass::Proven) {
                request.sharing = Sharing::Proven;
            }
            let mut waiting = VecDeque::from([request]);
            let second = Duration::from_secs(1);
            run_group(&mut sqlite, &mut waiting, second, &classifier, &commits);
            assert_eq!(answered.try_recv().unwrap().is_ok(), is_kept);
            assert_eq!(classifier.of(sql), class);
        }
    }

    #[tokio::test]
    async fn a_write_is_known_as_long_from_when_it_was_until_it_is_short() {
        let (_folder, mut sqlite) = database();
        run(&mut sqlite, "CREATE TABLE t (a)");
        let commits = AtomicU64::new(0);
        let sql = "INSERT INTO t VALUES (1)";
        for statements in [1, 2] {
            let classifier = StatementClassifier::new(8);
            for (group_time, is_long) in [
                (Duration::ZERO, true), // beside nothing, everything is long
                (Duration::from_secs(1), false),
            ] {
                let (mut request, mut answered) = request(sql);
                if classifier.of(sql) == Some(LatencyClass::Slow) {
                    request.sharing = Sharing::Exclusive;
                }
                let one = request.statements[0].clone();
                request.statements.resize(statements, one);
                let mut waiting = VecDeque::from([request]);
                run_group(&mut sqlite, &mut waiting, group_time, &classifier, &commits);
                answered.try_recv().unwrap().unwrap();
                assert_eq!(
                    (classifier.of(sql) == Some(LatencyClass::Slow)),
                    is_long,
                    "{statements}, {group_time:?}"
                );
            }
        }
    }
}

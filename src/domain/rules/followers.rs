//! Rules for databases that wait until another one of their name is gone.
//!
//! A create, or an undelete, of a name whose holder is on its way to the trash is accepted, and
//! takes the name from then on; its job begins once the holder is gone. Where the holder stays
//! after all, the name goes back to it, and who waited fails.
use super::steps::end_queue_behind;
use crate::domain::database::{Database, QueuedJob};
use crate::domain::event::{DatabaseAbandoned, Event, JobFailed};
use crate::domain::job::{JobError, JobErrorCode};
use crate::domain::state::State;

/// Ends what waited for a database to be gone that stays, and keeps its name.
pub(super) fn end_followers(state: &State, database: &Database) -> Vec<Event> {
    let mut events = Vec::new();
    let mut follower = state.follower(database.id);
    while let Some(it) = follower {
        let first = it.queue.first();
        let error = JobError {
            code: JobErrorCode::NameTaken,
            detail: format!(
                "database {} was not deleted and still has the name `{}`",
                database.id, database.name
            ),
        };
        if let Some(QueuedJob { id: job, kind, .. }) = first {
            let (job, database) = (*job, it.id);
            events.push(
                JobFailed {
                    job,
                    database,
                    error,
                }
                .into(),
            );
            if kind.creates() {
                events.extend(end_queue_behind(state, job, database));
                events.push(DatabaseAbandoned { database }.into());
            }
        }
        follower = state.follower(it.id);
    }
    events
}

#[cfg(test)]
mod tests {
    use super::super::scenario::{Scenario, create, step, trouble};
    use crate::domain::command::refusal::Refusal;
    use crate::domain::command::{Command, DatabaseChange};
    use crate::domain::database::DatabaseState;
    use crate::domain::event::EventKind;
    use crate::domain::ids::{DatabaseId, JobId};
    use crate::domain::job::{JobErrorCode, StepOutcome};
    use crate::domain::verb::Verb;
    use std::time::Duration;

    /// A database on its way to the trash, and one of its name that waits.
    fn one_behind_another() -> (Scenario, DatabaseId, DatabaseId) {
        let mut forge = Scenario::new();
        let old = forge.ready("shop");
        forge.when(Verb::Delete.on(old)).unwrap();
        forge.when(create("Shop")).unwrap();
        let new = forge.find("shop").id;
        assert_ne!(old, new, "the name means the new one at once");
        (forge, old, new)
    }

    fn may_begin(forge: &Scenario, database: DatabaseId) -> bool {
        let job = forge.first_job(database);
        forge.state.own_first_jobs().any(|it| it.id == job)
    }

    fn fail(forge: &mut Scenario, job: JobId) -> Vec<EventKind> {
        let error = trouble(JobErrorCode::Internal);
        let transient = false;
        let failed = Command::FailStep {
            job,
            error,
            transient,
        };
        forge.when(failed).unwrap()
    }

    #[test]
    fn a_create_of_a_name_that_is_being_deleted_waits_for_that() {
        let (mut forge, old, new) = one_behind_another();
        let job = forge.state.job(forge.first_job(new)).unwrap().clone();
        assert_eq!(forge.state.queue_position(&job), Some(1));
        assert!(!may_begin(&forge, new));
        assert_eq!(
            forge.find("shop").dns_label,
            "shop",
            "the label of the name"
        );
        forge.run(old, &[("move_to_trash", StepOutcome::Trashed)]);
        assert!(may_begin(&forge, new));
        forge.run(new, &[("create_file", StepOutcome::FilesCreated)]);
        assert_eq!(forge.find("shop").state(), DatabaseState::Ready);
        assert_eq!(forge.find(&old.to_string()).state(), DatabaseState::Trashed);
    }

    #[test]
    fn a_create_waits_for_a_purge_until_the_files_are_set_aside() {
        let mut forge = Scenario::new();
        let old = forge.ready("shop");
        forge.when(Verb::Purge.on(old)).unwrap();
        forge.when(create("shop")).unwrap();
        let new = forge.find("shop").id;
        let job = forge.begin(old, "set_aside");
        assert!(!may_begin(&forge, new));
        forge
            .when(Command::FinishStep {
                job,
                step: step("set_aside"),
                outcome: StepOutcome::SetAside,
                next: Some(step("purge")),
            })
            .unwrap();
        assert!(may_begin(&forge, new));
        assert_eq!(forge.find("shop").id, new);
    }

    #[test]
    fn a_database_that_stays_has_its_name_again_and_who_waited_fails() {
        for cancelled in [true, false] {
            let (mut forge, old, new) = one_behind_another();
            // One more behind the one that waits.
            forge.when(Verb::Delete.on(new)).unwrap();
            forge.when(create("shop")).unwrap();
            let last = forge.find("shop").id;
            let waiting = forge.state.job(forge.first_job(last)).unwrap().clone();
            assert_eq!(forge.state.queue_position(&waiting), Some(3));
            if cancelled {
                let job = forge.first_job(old);
                forge.when(Command::CancelJob { job }).unwrap();
            } else {
                let job = forge.begin(old, "move_to_trash");
                fail(&mut forge, job);
                let undone = Command::FinishUndo {
                    job,
                    step: step("move_to_trash"),
                    outcome: StepOutcome::Nothing,
                };
                forge.when(undone).unwrap();
            }
            assert_eq!(forge.find("shop").id, old, "cancelled: {cancelled}");
            assert_eq!(forge.find("shop").state(), DatabaseState::Ready);
            assert!(forge.state.database(new).is_none());
            assert!(forge.state.database(last).is_none());
            assert_eq!(forge.state.jobs().count(), 0);
            forge.ready("sh-op");
            assert!(forge.when(create("shop")).is_err(), "it is there");
        }
    }

    #[test]
    fn who_waits_does_not_wait_for_a_person() {
        let (mut forge, old, new) = one_behind_another();
        let job = forge.begin(old, "move_to_trash");
        fail(&mut forge, job);
        let happened = fail(&mut forge, job);
        assert_eq!(
            happened,
            [
                EventKind::JobStuck,
                EventKind::JobFailed,
                EventKind::DatabaseAbandoned
            ]
        );
        assert!(forge.state.database(new).is_none());
        assert_eq!(forge.find("shop").id, old);
        let refused = forge.when(create("shop"));
        assert!(matches!(refused, Err(Refusal::DatabaseExists(_))));
    }

    #[test]
    fn who_waits_and_is_cancelled_leaves_the_name_to_the_one_in_front() {
        let (mut forge, old, new) = one_behind_another();
        let job = forge.first_job(new);
        forge.when(Command::CancelJob { job }).unwrap();
        assert_eq!(forge.find("shop").id, old);
        let undelete = Verb::Undelete.on(old);
        forge.when(undelete).expect("the name is its own");
        assert!(forge.when(create("shop")).is_err(), "it will be there");
    }

    #[test]
    fn what_left_its_name_to_another_does_not_come_back_to_it() {
        let (mut forge, old, _) = one_behind_another();
        let refused = forge.when(Verb::Undelete.on(old));
        assert!(matches!(refused, Err(Refusal::DatabaseExists(_))));
        forge.run(old, &[("move_to_trash", StepOutcome::Trashed)]);
        let refused = forge.when(Verb::Undelete.on(old));
        assert!(matches!(refused, Err(Refusal::DatabaseExists(_))));
    }

    #[test]
    fn an_undelete_waits_for_a_name_as_a_create_does() {
        for stays in [false, true] {
            let mut forge = Scenario::new();
            let trashed = forge.trashed("shop");
            let living = forge.ready("shop");
            forge.when(Verb::Delete.on(living)).unwrap();
            let undelete = Verb::Undelete.on(trashed);
            forge.when(undelete).unwrap();
            assert!(!may_begin(&forge, trashed));
            assert!(forge.when(create("shop")).is_err(), "the name is promised");
            if stays {
                let job = forge.first_job(living);
                let happened = forge.when(Command::CancelJob { job }).unwrap();
                assert_eq!(happened, [EventKind::JobCancelled, EventKind::JobFailed]);
                assert_eq!(forge.find("shop").id, living);
                assert!(forge.state.database(trashed).unwrap().behind.is_none());
                continue;
            }
            forge.run(living, &[("move_to_trash", StepOutcome::Trashed)]);
            assert!(may_begin(&forge, trashed));
            forge.run(trashed, &[("restore", StepOutcome::Undeleted)]);
            assert_eq!(forge.find("shop").id, trashed);
        }
    }

    #[test]
    fn a_deletion_that_another_one_follows_is_still_waited_for() {
        let (mut forge, old, new) = one_behind_another();
        let job = forge.first_job(old);
        forge.when(Verb::Purge.on(old)).unwrap();
        forge.when(Command::CancelJob { job }).unwrap();
        assert!(forge.state.database(new).is_some());
        forge.run(old, &[("purge", StepOutcome::Purged)]);
        assert!(may_begin(&forge, new));
    }

    #[test]
    fn the_name_of_one_whose_time_is_over_is_free_and_who_takes_it_does_not_wait() {
        let mut forge = Scenario::new();
        let old = forge.ready("shop");
        let ttl = |ttl| DatabaseChange {
            ttl: Some(ttl),
            ..DatabaseChange::default()
        };
        let change = |change| Command::ChangeDatabase {
            database: old,
            change,
        };
        let minute = Duration::from_secs(60);
        forge.when(change(ttl(Some(minute)))).unwrap();
        assert!(forge.when(create("shop")).is_err(), "its time is not over");
        forge.now = forge.now.after(minute);
        let expired = forge.find("shop");
        assert_eq!(expired.state_at(forge.now), DatabaseState::Expired);
        forge.when(create("shop")).unwrap();
        let new = forge.find("shop").id;
        assert_ne!(old, new);
        assert!(may_begin(&forge, new));
        assert_eq!(forge.find("shop").dns_label, "shop");

        let refused = forge.when(change(ttl(None)));
        assert!(matches!(refused, Err(Refusal::DatabaseExists(_))));
        let job = forge.first_job(new);
        forge.when(Command::CancelJob { job }).unwrap();
        assert_eq!(forge.find("shop").id, old, "found while nobody else is");
        forge.when(change(ttl(None))).unwrap();
        assert!(forge.when(create("shop")).is_err(), "it has its name again");
        forge.when(Verb::Delete.on(old)).unwrap();
        forge.run(old, &[("move_to_trash", StepOutcome::Trashed)]);
        forge.ready("shop");
    }
}

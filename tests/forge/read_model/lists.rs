//! Lists answer what the events say, page by page.
use crate::support::history::History;
use crate::support::read_model::{Folder, export_line, first, follow, next, soon, whole};
use dbforge::clock::timestamp::Timestamp;
use dbforge::domain::event::EventKind;
use dbforge::domain::event::recorded::RecordedEvent;
use dbforge::domain::ids::{Actor, DatabaseId, JobId, Sequence};
use dbforge::domain::job::{Job, JobState};
use dbforge::event_log::EventLog;
use dbforge::projections::control_db::{
    ControlDb, DatabaseFilter, EventFilter, JobFilter, ListError, MAX_PAGE, Order,
};
use std::collections::BTreeMap;

async fn sequences(control_db: &ControlDb, filter: &EventFilter, limit: usize) -> Vec<u64> {
    let events = whole!(control_db, list_events, filter, limit);
    events.iter().map(|it| it.sequence.0).collect()
}

/// Every job that ever was, by a plain fold.
fn jobs_of(events: &[RecordedEvent]) -> Vec<Job> {
    let mut jobs: BTreeMap<JobId, Job> = BTreeMap::new();
    for recorded in events {
        if let Some(job) = Job::begun_by(recorded) {
            jobs.insert(job.id, job);
        } else if let Some(id) = recorded.event.job() {
            jobs.get_mut(&id).unwrap().evolve(recorded);
        }
    }
    let mut jobs: Vec<_> = jobs.into_values().collect();
    jobs.sort_by_key(|it| it.enqueued);
    jobs
}

/// `None` and each of some values: what one part of a filter may be.
fn or_none<T: Clone>(values: &[T]) -> Vec<Option<T>> {
    let some = values.iter().cloned().map(Some);
    std::iter::once(None).chain(some).collect()
}

#[tokio::test]
async fn events_are_listed_as_any_combination_of_filters_says() {
    let history = History::eventful();
    let events = history.log.all();
    let folder = Folder::new();
    let (control_db, _) = follow(&folder, &history.log).await;
    let middle = events[events.len() / 2].clone();
    let databases: Vec<DatabaseId> = history.state.databases().take(2).map(|it| it.id).collect();
    let mut combinations = 0;
    for database in or_none(&databases) {
        for job in or_none(&[middle.event.job().unwrap()]) {
            for kind in or_none(&[EventKind::StepFinished, EventKind::JobStuck]) {
                for actor in or_none(&[Actor::named("runner"), Actor::named("nobody")]) {
                    for since in or_none(&[middle.commit.time]) {
                        let filter = EventFilter {
                            after: (combinations % 3 == 0).then_some(Sequence(9)),
                            database,
                            kind,
                            actor: actor.clone(),
                            job,
                            since,
                            until: (combinations % 2 == 0)
                                .then_some(events[events.len() - 9].commit.time),
                            order: Order::Ascending,
                        };
                        let expected = expected_events(&events, &filter);
                        assert_eq!(
                            sequences(&control_db, &filter, 7).await,
                            expected,
                            "{filter:?}"
                        );
                        combinations += 1;
                    }
                }
            }
        }
    }
    assert!(combinations > 100);
}

fn expected_events(events: &[RecordedEvent], filter: &EventFilter) -> Vec<u64> {
    let fits = |it: &&RecordedEvent| {
        filter.after.is_none_or(|after| it.sequence > after)
            && filter
                .database
                .is_none_or(|id| it.event.database() == Some(id))
            && filter.kind.is_none_or(|kind| it.event.kind() == kind)
            && filter
                .actor
                .as_ref()
                .is_none_or(|who| it.commit.actor == *who)
            && filter.job.is_none_or(|id| it.event.job() == Some(id))
            && filter.since.is_none_or(|since| it.commit.time >= since)
            && filter.until.is_none_or(|until| it.commit.time < until)
    };
    events.iter().filter(fits).map(|it| it.sequence.0).collect()
}

#[tokio::test]
async fn a_span_of_time_in_which_nothing_happened_has_no_events() {
    let history = History::eventful();
    let folder = Folder::new();
    let (control_db, _) = follow(&folder, &history.log).await;
    let end_of_time = Timestamp::from_millis(i64::MAX);
    for (since, until) in [
        (Some(end_of_time), None),
        (None, Some(Timestamp::default())),
    ] {
        let filter = EventFilter {
            since,
            until,
            ..EventFilter::default()
        };
        assert_eq!(sequences(&control_db, &filter, 10).await, [0; 0]);
    }
}

#[tokio::test]
async fn pages_of_any_size_together_are_the_whole_list_in_both_orders() {
    let history = History::eventful();
    let folder = Folder::new();
    let (control_db, _) = follow(&folder, &history.log).await;
    let events = history.log.all();
    let jobs = jobs_of(&events);
    let databases: Vec<_> = history.state.databases().map(|it| (**it).clone()).collect();
    for limit in [1, 2, 7, MAX_PAGE] {
        for order in [Order::Ascending, Order::Descending] {
            let turn = |it: &mut dyn FnMut()| {
                if order == Order::Descending {
                    it();
                }
            };
            let mut expected: Vec<u64> = events.iter().map(|it| it.sequence.0).collect();
            turn(&mut || expected.reverse());
            let filter = EventFilter {
                order,
                ..EventFilter::default()
            };
            assert_eq!(sequences(&control_db, &filter, limit).await, expected);

            let mut expected = jobs.clone();
            turn(&mut || expected.reverse());
            let filter = JobFilter {
                order,
                ..JobFilter::default()
            };
            assert_eq!(whole!(control_db, list_jobs, filter, limit), expected);

            let mut expected = databases.clone();
            turn(&mut || expected.reverse());
            let filter = DatabaseFilter {
                order,
                ..DatabaseFilter::default()
            };
            assert_eq!(whole!(control_db, list_databases, filter, limit), expected);
        }
    }
}

#[tokio::test]
async fn what_begins_between_two_pages_is_not_on_the_second() {
    let mut history = History::eventful();
    let folder = Folder::new();
    let (control_db, _) = follow(&folder, &history.log).await;
    let end = history.log.head().sequence;
    let filter = JobFilter::default();
    let one = control_db
        .list_jobs(filter.clone(), first(3))
        .await
        .unwrap();
    assert_eq!(one.as_of, end);

    let late = history.create("late", &[]);
    control_db.publish(history.log.read_after(end, 10).unwrap().into());
    let now = history.log.head().sequence;
    control_db.wait_for(now, soon()).await.unwrap();

    let two = control_db
        .list_jobs(filter.clone(), next(&one, 1000).unwrap())
        .await
        .unwrap();
    assert_eq!(two.as_of, end);
    assert_eq!(two.next_cursor, None);
    assert!(two.items.iter().all(|it| it.database != late));
    assert_eq!(
        one.items.len() + two.items.len(),
        jobs_of(&history.log.all()).len() - 1
    );

    let anew = control_db.list_jobs(filter, first(1000)).await.unwrap();
    assert_eq!(anew.as_of, now);
    assert_eq!(anew.items.last().unwrap().database, late);
}

#[tokio::test]
async fn jobs_are_listed_as_any_combination_of_filters_says() {
    let history = History::eventful();
    let jobs = jobs_of(&history.log.all());
    let folder = Folder::new();
    let (control_db, _) = follow(&folder, &history.log).await;
    let states: [&[JobState]; 4] = [
        &[],
        &[JobState::Succeeded],
        &[
            JobState::Stuck,
            JobState::Failed,
            JobState::Queued,
            JobState::Stuck,
        ],
        &[JobState::Running],
    ];
    let kinds: [&[&str]; 4] = [
        &[],
        &["create_database"],
        &["purge_database", "restart_worker", "stop_database"],
        &["make_coffee"],
    ];
    let middle = jobs[jobs.len() / 2].clone();
    for state in states {
        for kind in kinds {
            for database in or_none(&[middle.database]) {
                for actor in or_none(&[Actor::named("token/ci"), Actor::named("root")]) {
                    for created_after in or_none(&[middle.created_at]) {
                        for order in [Order::Ascending, Order::Descending] {
                            let filter = JobFilter {
                                states: state.to_vec(),
                                kinds: kind.iter().map(|it| (*it).to_owned()).collect(),
                                database,
                                actor: actor.clone(),
                                created_after,
                                order,
                            };
                            let expected = expected_jobs(&jobs, &filter);
                            let found = whole!(control_db, list_jobs, filter, 2);
                            assert_eq!(found, expected, "{filter:?}");
                        }
                    }
                }
            }
        }
    }
}

fn expected_jobs(jobs: &[Job], filter: &JobFilter) -> Vec<Job> {
    let fits = |it: &&Job| {
        let kind = it.kind.as_str();
        (filter.states.is_empty() || filter.states.contains(&it.state))
            && (filter.kinds.is_empty() || filter.kinds.iter().any(|it| it == kind))
            && filter.database.is_none_or(|id| it.database == id)
            && filter.actor.as_ref().is_none_or(|who| it.actor == *who)
            && filter
                .created_after
                .is_none_or(|after| it.created_at > after)
    };
    let mut found: Vec<_> = jobs.iter().filter(fits).cloned().collect();
    if filter.order == Order::Descending {
        found.reverse();
    }
    found
}

#[tokio::test]
async fn one_event_and_one_job_are_found_by_what_names_them() {
    let history = History::eventful();
    let folder = Folder::new();
    let (control_db, _) = follow(&folder, &history.log).await;
    for recorded in history.log.all() {
        let shown = control_db.event(recorded.sequence).await.unwrap().unwrap();
        assert_eq!(shown.json, export_line(&recorded));
    }
    let behind = history.log.head().sequence.next();
    assert!(control_db.event(behind).await.unwrap().is_none());
    for job in jobs_of(&history.log.all()) {
        assert_eq!(control_db.job(job.id).await.unwrap(), Some(job));
    }
    let unknown: JobId = "00000000-0000-0000-0000-000000000000".parse().unwrap();
    assert_eq!(control_db.job(unknown).await.unwrap(), None);
}

#[tokio::test]
async fn a_cursor_of_another_list_is_refused() {
    let folder = Folder::new();
    let (control_db, _) = follow(&folder, &History::eventful().log).await;
    let page = control_db
        .list_events(EventFilter::default(), first(2))
        .await
        .unwrap();
    let asked = next(&page, 2).unwrap();
    let refused = control_db.list_jobs(JobFilter::default(), asked).await;
    assert_eq!(refused.unwrap_err(), ListError::InvalidCursor);
}

#[tokio::test]
async fn an_answer_after_a_write_has_seen_that_write() {
    let mut history = History::begin();
    let folder = Folder::new();
    let (control_db, _) = follow(&folder, &history.log).await;
    for number in 0..50 {
        let before = history.log.head().sequence;
        let name = format!("db-{number}");
        history.create(&name, &[]);
        control_db.publish(history.log.read_after(before, 10).unwrap().into());
        let now = history.log.head().sequence;
        control_db.wait_for(now, soon()).await.unwrap();
        let filter = DatabaseFilter {
            order: Order::Descending,
            ..DatabaseFilter::default()
        };
        let page = control_db.list_databases(filter, first(1)).await.unwrap();
        assert!(page.as_of >= now);
        assert_eq!(page.items[0].name.as_str(), name);
    }
}

//! Rules for what people ask of databases.
use crate::clock::timestamp::Timestamp;
use crate::domain::command::refusal::Refusal;
use crate::domain::command::settings::settings_of;
use crate::domain::command::{CreateDatabase, DatabaseChange, DecisionContext, IfExists};
use crate::domain::database::{Database, Prospect};
use crate::domain::event::{DatabaseDegraded, Event, JobEnqueued};
use crate::domain::ids::{DatabaseId, JobId};
use crate::domain::job::JobKind;
use crate::domain::name::DatabaseName;
use crate::domain::state::State;
use crate::domain::verb::Verb;
use std::sync::Arc;

pub(super) fn create(
    state: &State,
    wanted: &CreateDatabase,
    context: &DecisionContext,
) -> Result<Vec<Event>, Refusal> {
    wanted.check()?;
    let database = DatabaseId(context.fresh[0]);
    let name = match &wanted.name {
        Some(name) => name.clone(),
        None => DatabaseName::parse(&format!("db-{}", database.short()))
            .expect("`db-` and twelve hex digits are a name"),
    };
    if let Some(owner) = owner_of_name(state, &name, context.now) {
        return match wanted.if_exists {
            IfExists::Return if owner.engine == wanted.engine => Ok(Vec::new()),
            IfExists::Return => Err(Refusal::OtherEngine {
                name: owner.name.clone(),
                engine: owner.engine.clone(),
            }),
            IfExists::Refuse => Err(Refusal::DatabaseExists(owner.name.clone())),
        };
    }
    check_queue(state, context)?;
    let dns_label = state.free_dns_label(&name);
    let requested = wanted.requested(database, name.clone(), dns_label, context.now);
    let enqueued = JobEnqueued {
        job: JobId(context.fresh[1]),
        database,
        database_name: name,
        kind: match wanted.from {
            Some(upload) => JobKind::CreateFromUpload { upload },
            None => JobKind::CreateDatabase,
        },
    };
    Ok(vec![requested.into(), enqueued.into()])
}

pub(super) fn change(
    state: &State,
    id: DatabaseId,
    change: &DatabaseChange,
    context: &DecisionContext,
) -> Result<Vec<Event>, Refusal> {
    let database = not_leaving(state, id)?;
    change.check()?;
    let changed = change.over(database, context.now);
    if database.has_expired(context.now)
        && changed.expires_at.is_none_or(|at| at > context.now)
        && let Some(other) = state.other_holder(database)
    {
        return Err(Refusal::DatabaseExists(other.name.clone()));
    }
    if changed == settings_of(database) {
        return Ok(Vec::new());
    }
    // Which process answers SQL is a matter of what the worker runs.
    let moves = changed.isolation != database.isolation;
    let mut events = vec![changed.into()];
    if moves && database.prospect() == Prospect::Ready {
        check_queue(state, context)?;
        events.extend(enqueue(database, JobKind::RestartWorker, context));
    }
    Ok(events)
}

/// Decides a verb. One that makes room is admitted even when the queue is full.
pub(super) fn act(
    state: &State,
    verb: Verb,
    id: DatabaseId,
    context: &DecisionContext,
) -> Result<Vec<Event>, Refusal> {
    if !verb.row().makes_room {
        check_queue(state, context)?;
    }
    let database = match verb {
        Verb::Stop | Verb::Start => living(state, id, context.now),
        Verb::Restart => may_restart(state, id, context.now),
        Verb::Delete => may_delete(state, id),
        Verb::Undelete => may_undelete(state, id, context.now),
        Verb::Purge => may_purge(state, id),
    }?;
    Ok(enqueue(database, verb.row().job.clone(), context))
}

fn may_restart(state: &State, id: DatabaseId, now: Timestamp) -> Result<&Arc<Database>, Refusal> {
    let database = living(state, id, now)?;
    if database.prospect() == Prospect::Stopped {
        return Err(Refusal::WrongState {
            name: database.name.clone(),
            state: database.state(),
            wanted: "restarted; use start",
        });
    }
    Ok(database)
}

fn may_delete(state: &State, id: DatabaseId) -> Result<&Arc<Database>, Refusal> {
    let database = not_leaving(state, id)?;
    if database.protected {
        return Err(Refusal::DatabaseProtected(database.name.clone()));
    }
    Ok(database)
}

fn may_purge(state: &State, id: DatabaseId) -> Result<&Arc<Database>, Refusal> {
    let database = known(state, id)?;
    match database.prospect() {
        Prospect::Purged(_) => Err(Refusal::DatabasePurging(database.name.clone())),
        Prospect::Ready | Prospect::Stopped if database.protected => {
            Err(Refusal::DatabaseProtected(database.name.clone()))
        }
        Prospect::Ready | Prospect::Stopped | Prospect::Trashed(_) => Ok(database),
    }
}

fn may_undelete(state: &State, id: DatabaseId, now: Timestamp) -> Result<&Arc<Database>, Refusal> {
    let database = known(state, id)?;
    match database.prospect() {
        Prospect::Purged(_) => Err(Refusal::DatabasePurging(database.name.clone())),
        Prospect::Ready | Prospect::Stopped => Err(Refusal::NotInTrash {
            name: database.name.clone(),
            state: database.state(),
        }),
        Prospect::Trashed(_) => {
            let owner = owner_of_name(state, &database.name, now);
            // One that is still on its way to the trash may have left its name to another.
            let other = owner.or_else(|| {
                state
                    .other_holder(database)
                    .filter(|_| database.is_living())
            });
            if let Some(other) = other.filter(|it| it.id != id) {
                return Err(Refusal::DatabaseExists(other.name.clone()));
            }
            Ok(database)
        }
    }
}

/// Only for a ready database that nothing else is being done to: what the reconciler saw may be
/// old by the time it asks.
pub(super) fn repair_worker(
    state: &State,
    id: DatabaseId,
    finding: &str,
    context: &DecisionContext,
) -> Result<Vec<Event>, Refusal> {
    check_queue(state, context)?;
    let database = idle_and_ready(state, id, "repaired")?;
    let finding = finding.to_owned();
    Ok(enqueue(
        database,
        JobKind::RepairWorker { finding },
        context,
    ))
}

pub(super) fn degrade(state: &State, id: DatabaseId, reason: &str) -> Result<Vec<Event>, Refusal> {
    let database = idle_and_ready(state, id, "marked as degraded")?;
    if database.degraded.is_some() {
        return Ok(Vec::new());
    }
    let reason = reason.to_owned();
    Ok(vec![
        DatabaseDegraded {
            database: id,
            reason,
        }
        .into(),
    ])
}

/// The living database that has the name, or one that is on its way back from the trash. Not one
/// on its way to the trash, which others wait for, and not one whose time is over.
fn owner_of_name<'a>(
    state: &'a State,
    name: &DatabaseName,
    now: Timestamp,
) -> Option<&'a Arc<Database>> {
    let key = name.key();
    let returns = |it: &&Arc<Database>| {
        let mut jobs = it.queue.iter();
        jobs.any(|job| job.kind == JobKind::UndeleteDatabase)
    };
    let holder = state.names.get(&key).and_then(|id| state.database(*id));
    let living = holder.filter(|holder| !holder.is_leaving() && !holder.has_expired(now));
    living.or_else(|| {
        let trashed = state.trash.get(&key)?;
        let mut trashed = trashed.iter().filter_map(|id| state.database(*id));
        trashed.find(returns)
    })
}

fn known(state: &State, id: DatabaseId) -> Result<&Arc<Database>, Refusal> {
    let database = state.database(id).ok_or_else(|| Refusal::no_database(id))?;
    if database.stuck {
        return Err(Refusal::DatabaseStuck {
            name: database.name.clone(),
            job: database.queue.first().map(|it| it.id),
        });
    }
    Ok(database)
}

/// A database that is not on its way to the trash, and whose time is not over.
pub(super) fn living(
    state: &State,
    id: DatabaseId,
    now: Timestamp,
) -> Result<&Arc<Database>, Refusal> {
    let database = not_leaving(state, id)?;
    Refusal::if_expired(database, || now)?;
    Ok(database)
}

/// A database that is not in the trash and not on its way there.
fn not_leaving(state: &State, id: DatabaseId) -> Result<&Arc<Database>, Refusal> {
    let database = known(state, id)?;
    match database.prospect() {
        Prospect::Ready | Prospect::Stopped => Ok(database),
        Prospect::Trashed(_) => Err(Refusal::DatabaseDeleted(database.name.clone())),
        Prospect::Purged(_) => Err(Refusal::DatabasePurging(database.name.clone())),
    }
}

fn idle_and_ready<'a>(
    state: &'a State,
    id: DatabaseId,
    wanted: &'static str,
) -> Result<&'a Arc<Database>, Refusal> {
    let database = not_leaving(state, id)?;
    if !database.queue.is_empty() || database.prospect() != Prospect::Ready {
        return Err(Refusal::WrongState {
            name: database.name.clone(),
            state: database.state(),
            wanted,
        });
    }
    Ok(database)
}

pub(super) fn enqueue(database: &Database, kind: JobKind, context: &DecisionContext) -> Vec<Event> {
    vec![
        JobEnqueued {
            job: JobId(context.fresh[1]),
            database: database.id,
            database_name: database.name.clone(),
            kind,
        }
        .into(),
    ]
}

pub(super) fn check_queue(state: &State, context: &DecisionContext) -> Result<(), Refusal> {
    let unfinished = state.jobs.len();
    if unfinished >= context.queue_bound {
        return Err(Refusal::QueueFull { unfinished });
    }
    Ok(())
}

#[cfg(test)]
mod tests;

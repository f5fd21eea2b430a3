//! Rules for loads: what comes from a file takes the place of what is there, which stays in the
//! trash as a database of its own.
use super::databases::{check_queue, enqueue, living};
use crate::domain::command::DecisionContext;
use crate::domain::command::refusal::Refusal;
use crate::domain::database::{Condition, Database, Prospect};
use crate::domain::event::{ContentsExchanged, DatabaseKept, DatabaseLoaded, DatabaseReady, Event};
use crate::domain::ids::{DatabaseId, UploadId};
use crate::domain::import::TableImport;
use crate::domain::job::{Job, JobKind};
use crate::domain::load::{LoadForm, LoadMode};
use crate::domain::name::DatabaseName;
use crate::domain::state::State;
use std::sync::Arc;

/// Most characters that the name of what is kept takes from the name that it had.
const KEPT_OF_NAME: usize = 43;

pub(super) fn load(
    state: &State,
    id: DatabaseId,
    (upload, form, mode): (UploadId, Option<LoadForm>, LoadMode),
    context: &DecisionContext,
) -> Result<Vec<Event>, Refusal> {
    check_queue(state, context)?;
    let database = answering(state, id, context)?;
    if mode == LoadMode::Replace && database.protected {
        return Err(Refusal::DatabaseProtected(database.name.clone()));
    }
    let kind = JobKind::LoadDatabase {
        upload,
        form,
        mode,
        kept: DatabaseId(context.fresh[0]),
    };
    Ok(enqueue(database, kind, context))
}

pub(super) fn import(
    state: &State,
    id: DatabaseId,
    (upload, import): (UploadId, &TableImport),
    context: &DecisionContext,
) -> Result<Vec<Event>, Refusal> {
    check_queue(state, context)?;
    let database = answering(state, id, context)?;
    let kind = JobKind::ImportTable {
        upload,
        import: Box::new(import.clone()),
    };
    Ok(enqueue(database, kind, context))
}

pub(super) fn exchange(
    state: &State,
    id: DatabaseId,
    with: DatabaseId,
    context: &DecisionContext,
) -> Result<Vec<Event>, Refusal> {
    check_queue(state, context)?;
    let database = answering(state, id, context)?;
    let kept = state
        .database(with)
        .ok_or_else(|| Refusal::no_database(with))?;
    if !matches!(kept.condition, Condition::Trashed { .. }) || !kept.queue.is_empty() {
        return Err(Refusal::NotInTrash {
            name: kept.name.clone(),
            state: kept.state(),
        });
    }
    let kind = JobKind::ExchangeContents { with };
    Ok(enqueue(database, kind, context))
}

/// A database that answers SQL, or will when its queue is done.
fn answering<'a>(
    state: &'a State,
    id: DatabaseId,
    context: &DecisionContext,
) -> Result<&'a Arc<Database>, Refusal> {
    let database = living(state, id, context.now)?;
    if database.prospect() != Prospect::Ready {
        return Err(Refusal::WrongState {
            name: database.name.clone(),
            state: database.state(),
            wanted: "loaded; start it first",
        });
    }
    Ok(database)
}

/// What it means that a database holds what was loaded.
pub(super) fn loaded(state: &State, job: &Job, context: &DecisionContext) -> Vec<Event> {
    let (Some(database), Some(upload)) = (state.database(job.database), job.kind.upload()) else {
        return Vec::new();
    };
    let kept = job.kind.exchanges_with();
    let mut events = Vec::new();
    if database.condition == Condition::Creating {
        let ready = DatabaseReady {
            database: database.id,
        };
        events.push(ready.into());
    }
    events.extend(kept.map(|kept| {
        DatabaseKept {
            database: kept,
            of: database.id,
            name: name_of_kept(&database.name, kept),
            engine: database.engine.clone(),
            durability: database.durability,
            labels: database.labels.clone(),
            limits: database.limits,
            purge_at: context.now.after(context.trash_retention),
            isolation: database.isolation,
            engine_version: database.engine_version.clone(),
        }
        .into()
    }));
    let loaded = DatabaseLoaded {
        database: database.id,
        upload,
        kept,
    };
    events.push(loaded.into());
    events
}

/// What it means that a database holds what was in the trash.
pub(super) fn exchanged(job: &Job) -> Vec<Event> {
    let exchanged = job.kind.exchanges_with().map(|with| ContentsExchanged {
        database: job.database,
        with,
    });
    exchanged.into_iter().map(Event::from).collect()
}

/// `shop-before-0a1b2c3d4e5f`: under it what was kept can be restored beside what was loaded.
fn name_of_kept(name: &DatabaseName, kept: DatabaseId) -> DatabaseName {
    let begin: String = name.as_str().chars().take(KEPT_OF_NAME).collect();
    DatabaseName::parse(&format!("{begin}-before-{}", kept.short()))
        .expect("the beginning of a name, a word and twelve hex digits are a name")
}

//! Pages of what there is, as far as the caller may see it.
use super::Service;
use super::caller::{AccessDenied, Caller};
use super::freshness::{FreshnessError, GATHER, NotReached};
use super::resolver::ResolveError;
use crate::clock::Deadline;
use crate::control::CurrentState;
use crate::domain::database::Database;
use crate::domain::ids::{DatabaseId, Sequence};
use crate::domain::job::Job;
use crate::domain::state::State;
use crate::projections::control_db::{
    Behind, Cause, DatabaseFilter, EventFilter, JobFilter, ListError, Page, PageRequest,
    ShownEvent, ShownToken, TokenFilter,
};
use crate::shares::waiting;
use std::sync::Arc;
use std::time::Duration;

/// Pages that are read for one answer when the caller's token leaves rows out. Past it the answer
/// is shorter than asked for, with a cursor.
const PAGES_READ: usize = 20;

/// Why something is not shown.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LookupError {
    /// The caller may not see it.
    #[error(transparent)]
    Denied(#[from] AccessDenied),
    /// No database of that name that the caller may see.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// The log or the lists are not there yet.
    #[error(transparent)]
    Fresh(#[from] FreshnessError),
    /// The lists cannot be read.
    #[error(transparent)]
    Query(#[from] ListError),
    /// There never was such a job.
    #[error("there is no job `{0}`")]
    NoJob(String),
}

impl From<NotReached> for LookupError {
    fn from(error: NotReached) -> Self {
        Self::Fresh(error.into())
    }
}

impl From<Behind> for LookupError {
    fn from(error: Behind) -> Self {
        Self::Fresh(error.into())
    }
}

impl Service {
    /// One page of the databases that the caller may see.
    ///
    /// # Errors
    /// When the cursor is not of this list, or the lists cannot be read.
    pub async fn list_databases(
        &self,
        caller: &Caller,
        filter: DatabaseFilter,
        min_sequence: Option<Sequence>,
        page: PageRequest,
    ) -> Result<Page<Database>, LookupError> {
        caller.require_sight()?;
        self.listed_at(min_sequence).await?;
        let is_visible = |it: &Database| caller.covers(it.name.as_str());
        let read = |page| self.control_db.list_databases(filter.clone(), page);
        Ok(visible_page(page, is_visible, read).await?)
    }

    /// One page of the jobs that the caller may see, of one database where that is named.
    ///
    /// # Errors
    /// When there is no such database, the cursor is not of this list, or the lists cannot be read.
    pub async fn list_jobs(
        &self,
        caller: &Caller,
        mut filter: JobFilter,
        database: Option<&str>,
        min_sequence: Option<Sequence>,
        page: PageRequest,
    ) -> Result<Page<Job>, LookupError> {
        caller.require_sight()?;
        let current = self.listed_at(min_sequence).await?;
        if let Some(reference) = database {
            filter.database = Some(past_database(caller, &current.state, reference)?);
        }
        let is_visible = |it: &Job| caller.covers(it.database_name.as_str());
        let read = |page| self.control_db.list_jobs(filter.clone(), page);
        Ok(visible_page(page, is_visible, read).await?)
    }

    /// One page of tokens, without their secrets.
    ///
    /// # Errors
    /// When the caller may not, the cursor is not of this list, or the lists cannot be read.
    pub async fn list_tokens(
        &self,
        caller: &Caller,
        filter: TokenFilter,
        min_sequence: Option<Sequence>,
        page: PageRequest,
    ) -> Result<Page<ShownToken>, LookupError> {
        caller.require_admin()?;
        self.listed_at(min_sequence).await?;
        Ok(self.control_db.list_tokens(filter, page).await?)
    }

    /// The filter with the database that is named; the caller may see events of that one.
    ///
    /// # Errors
    /// When the caller may not, there is no such database, or the lists are not there in time.
    pub async fn event_filter(
        &self,
        caller: &Caller,
        filter: EventFilter,
        database: Option<&str>,
        min_sequence: Option<Sequence>,
    ) -> Result<EventFilter, LookupError> {
        let current = self.listed_at(min_sequence).await?;
        let Some(reference) = database else {
            return Ok(filter);
        };
        // A database that is gone has no name by which it could be covered.
        let found = caller.find_database(&current.state, reference);
        if let Err(unknown) = found.as_ref()
            && !caller.covers_all()
        {
            return Err(unknown.clone().into());
        }
        Ok(EventFilter {
            database: Some(past_database(caller, &current.state, reference)?),
            ..filter
        })
    }

    /// One page of events. Where there are none, and a wait is given, the first ones that come
    /// within it.
    ///
    /// # Errors
    /// When the cursor is not of this list, or the lists cannot be read.
    pub async fn list_events(
        &self,
        mut filter: EventFilter,
        page: PageRequest,
        wait: Option<Duration>,
    ) -> Result<Page<ShownEvent>, LookupError> {
        let deadline = Deadline::after(wait.unwrap_or_default());
        let mut changes = self.control.changes();
        loop {
            changes.borrow_and_update();
            self.listed_at(None).await?;
            let listed = self.control_db.list_events(filter.clone(), page.clone());
            let events = listed.await?;
            let is_awaited = wait.is_some() && events.items.is_empty();
            if !is_awaited || !self.sees_change(&mut changes, deadline).await {
                return Ok(events);
            }
            // Many that wait beside many writes look a bounded number of times.
            waiting(tokio::time::sleep(GATHER)).await;
            filter.after = filter.after.max(Some(events.as_of));
        }
    }

    /// One event with the chain of events that caused it; none where there is no such event.
    ///
    /// # Errors
    /// When the lists are not there in time, or cannot be read.
    pub async fn find_event(
        &self,
        sequence: Sequence,
        min_sequence: Option<Sequence>,
    ) -> Result<(Arc<CurrentState>, Option<(ShownEvent, Vec<Cause>)>), LookupError> {
        let current = self.listed_at(min_sequence).await?;
        let Some(event) = self.control_db.event(sequence).await? else {
            return Ok((current, None));
        };
        let causes = self.control_db.causes(sequence).await?;
        Ok((current, Some((event, causes))))
    }
}

/// The database that a filter means. By its id it may be one that is gone; then only what the
/// list itself shows can tell whether the caller may see it.
///
/// # Errors
/// When the caller may not see it, or there is none.
fn past_database(
    caller: &Caller,
    state: &State,
    reference: &str,
) -> Result<DatabaseId, ResolveError> {
    match (caller.find_database(state, reference), reference.parse()) {
        (Ok(found), _) => Ok(found.id),
        (Err(_), Ok(id)) => Ok(id),
        (Err(unknown), Err(_)) => Err(unknown),
    }
}

/// Reads pages until there are as many rows as asked for that the caller may see.
async fn visible_page<T, F>(
    asked: PageRequest,
    is_visible: impl Fn(&T) -> bool,
    mut read: impl FnMut(PageRequest) -> F,
) -> Result<Page<T>, ListError>
where
    F: Future<Output = Result<Page<T>, ListError>>,
{
    let limit = asked.limit;
    let mut page = read(asked).await?;
    page.items.retain(&is_visible);
    for _ in 1..PAGES_READ {
        if page.items.len() >= limit || page.next_cursor.is_none() {
            break;
        }
        let rest = PageRequest {
            limit: limit - page.items.len(),
            cursor: page.next_cursor.take(),
        };
        let next = read(rest).await?;
        page.next_cursor = next.next_cursor;
        page.items
            .extend(next.items.into_iter().filter(&is_visible));
    }
    Ok(page)
}

//! Why the rules said no.
use crate::clock::timestamp::Timestamp;
use crate::domain::database::{Database, DatabaseState, EngineName};
use crate::domain::ids::{DatabaseId, JobId, PlanId};
use crate::domain::job::JobState;
use crate::domain::name::DatabaseName;

/// Why a command was refused; nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// An active database has the name.
    #[error("a database named `{0}` already exists")]
    DatabaseExists(DatabaseName),
    /// An active database of another engine has the name.
    #[error("a database named `{name}` already exists, of the engine `{engine}`")]
    OtherEngine {
        name: DatabaseName,
        engine: EngineName,
    },
    /// Its time to live has ended.
    #[error("database `{name}` expired at {at}")]
    DatabaseExpired {
        name: DatabaseName,
        /// When.
        at: Timestamp,
    },
    /// Its purge has already begun to remove files.
    #[error("job {0} has already removed files and can no longer be cancelled")]
    NoWayBack(JobId),
    /// Never created, or permanently deleted.
    #[error("there is no database `{0}`")]
    DatabaseNotFound(String),
    /// It is in the trash, or on its way there.
    #[error("database `{0}` was deleted; undelete it while it is in the trash")]
    DatabaseDeleted(DatabaseName),
    /// It is being permanently deleted.
    #[error("database `{0}` is being purged")]
    DatabasePurging(DatabaseName),
    /// It was not deleted.
    #[error("database `{name}` is not in the trash, it is {state}")]
    NotInTrash {
        name: DatabaseName,
        /// Its state.
        state: DatabaseState,
    },
    /// Its owner protected it.
    #[error("database `{0}` is protected")]
    DatabaseProtected(DatabaseName),
    /// Its state does not allow the command.
    #[error("database `{name}` is {state}, so it cannot be {wanted}")]
    WrongState {
        name: DatabaseName,
        /// Its state.
        state: DatabaseState,
        /// What was asked, as in "cannot be …".
        wanted: &'static str,
    },
    /// A stuck job blocks it.
    #[error("database `{name}` is blocked by a stuck job")]
    DatabaseStuck {
        name: DatabaseName,
        job: Option<JobId>,
    },
    /// No unfinished job of that id.
    #[error("there is no unfinished job {0}")]
    JobNotFound(JobId),
    /// The job's state does not allow the command.
    #[error("job {job} is {}, so it cannot be {wanted}", state.as_str())]
    JobState {
        job: JobId,
        /// Its state.
        state: JobState,
        /// What was asked, as in "cannot be …".
        wanted: &'static str,
    },
    /// The queue has no room.
    #[error("job queue is full: {unfinished} jobs are unfinished")]
    QueueFull {
        /// How many there are.
        unfinished: usize,
    },
    /// A token of that name is still accepted.
    #[error("a token named `{0}` already exists")]
    TokenExists(String),
    /// No token of that id.
    #[error("there is no token `{0}`")]
    TokenNotFound(String),
    /// A schedule of that name exists.
    #[error("a schedule named `{0}` already exists")]
    ScheduleExists(String),
    /// No schedule of that name or id.
    #[error("there is no schedule `{0}`")]
    ScheduleNotFound(String),
    /// No webhook of that id.
    #[error("there is no webhook `{0}`")]
    WebhookNotFound(String),
    /// The token of a schedule no longer allows its command.
    #[error(
        "the token of schedule `{0}` is revoked, has expired, or no longer allows this command"
    )]
    ScheduleWithoutRight(String),
    /// The job of the previous run has not ended.
    #[error("the previous run's job {0} has not ended")]
    ScheduleOverlaps(JobId),
    /// No plan of that id, or an expired one.
    #[error("there is no plan `{0}`")]
    PlanNotFound(String),
    /// The preconditions of a plan no longer hold.
    #[error("plan {plan} cannot be applied: {changed}")]
    PlanStale {
        plan: PlanId,
        /// What has changed.
        changed: String,
    },
    /// The limit of stored plans is reached.
    #[error("plan limit reached ({most}); plans expire after a day")]
    TooManyPlans {
        /// How many wait.
        most: usize,
    },
    /// The data folder already has an identity.
    #[error("the forge is already initialized")]
    AlreadyInitialized,
    /// An invalid value.
    #[error("{0}")]
    Invalid(String),
}

impl Refusal {
    /// The refusal for an id that no database has.
    #[must_use]
    pub fn no_database(id: DatabaseId) -> Self {
        Self::DatabaseNotFound(id.to_string())
    }

    /// Refuses a database whose time to live is over. The clock is asked only where it has one.
    ///
    /// # Errors
    /// [`Self::DatabaseExpired`].
    pub fn if_expired(database: &Database, now: impl FnOnce() -> Timestamp) -> Result<(), Self> {
        match database.expires_at {
            Some(at) if at <= now() => Err(Self::DatabaseExpired {
                name: database.name.clone(),
                at,
            }),
            _ => Ok(()),
        }
    }
}

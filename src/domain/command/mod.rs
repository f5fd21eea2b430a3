//! The commands, and what a decision needs from outside.
pub mod lifecycle;
pub mod refusal;
pub mod settings;

pub use self::settings::{CreateDatabase, DatabaseChange, IfExists};

use self::lifecycle::LifecycleCommand;
use super::ids::{DatabaseId, InstanceId, JobId, PlanId, ScheduleId, TokenId, UploadId, WebhookId};
use super::import::TableImport;
use super::job::{JobError, StepName, StepOutcome};
use super::load::{LoadForm, LoadMode};
use super::schedule::SchedulePlan;
use super::token::Scope;
use super::verb::Verb;
use super::webhook::WebhookPlan;
use crate::clock::timestamp::Timestamp;
use std::time::Duration;
use uuid::Uuid;

/// A request to change something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Give the data folder an identity.
    InitializeForge {
        /// The configured identity; none for a new one.
        instance: Option<InstanceId>,
    },
    /// Run workers on this runtime from now on.
    ChooseRuntime {
        /// `docker`, `process` or `simulated`.
        runtime: String,
        /// Why this one.
        reason: String,
    },
    /// Create a database.
    CreateDatabase(CreateDatabase),
    /// Change a database's settings.
    ChangeDatabase {
        database: DatabaseId,
        /// What becomes different.
        change: DatabaseChange,
    },
    /// Do one thing to a database, by a job.
    ActOnDatabase { verb: Verb, database: DatabaseId },
    /// Build a database of an uploaded file, and put it in the place of what is there.
    LoadDatabase {
        database: DatabaseId,
        /// The file.
        upload: UploadId,
        /// What it is, where that was said.
        form: Option<LoadForm>,
        /// What becomes of what is there.
        mode: LoadMode,
    },
    /// Bring the rows of an uploaded file into a table of a database.
    ImportTable {
        database: DatabaseId,
        /// The file.
        upload: UploadId,
        /// Which table, and how.
        import: Box<TableImport>,
    },
    /// Exchange what a database holds for what is in the trash.
    ExchangeContents {
        database: DatabaseId,
        /// What is in the trash.
        with: DatabaseId,
    },
    /// Bring back a worker that is missing or exited.
    RepairWorker {
        database: DatabaseId,
        /// What was found.
        finding: String,
    },
    /// Leave a worker alone that cannot be kept running.
    DegradeDatabase {
        database: DatabaseId,
        /// What was tried and what was found.
        reason: String,
    },
    /// End a job.
    CancelJob { job: JobId },
    /// Let a job that is stuck, or waits for its next try, try again now.
    ReleaseJob { job: JobId },
    /// The runner takes a waiting job up.
    StartJob {
        job: JobId,
        /// Its kind's first step that has no end yet; none while the job is being undone.
        step: Option<StepName>,
        /// How long the whole job may take, counted from its first attempt.
        time_limit: Duration,
    },
    /// The runner goes on with a job that an earlier boot was in.
    ResumeJob {
        job: JobId,
        /// The step to go on with.
        step: StepName,
    },
    /// A step ended well.
    FinishStep {
        job: JobId,
        step: StepName,
        /// What it brought about.
        outcome: StepOutcome,
        /// The step behind it; none behind the last.
        next: Option<StepName>,
    },
    /// A step ended badly.
    FailStep {
        job: JobId,
        /// What went wrong.
        error: JobError,
        /// Whether it may pass.
        transient: bool,
    },
    /// What a step did was undone.
    FinishUndo {
        job: JobId,
        step: StepName,
        /// What undoing it brought about.
        outcome: StepOutcome,
    },
    /// Make a token.
    IssueToken {
        /// What its commands are signed with.
        name: String,
        /// SHA-256 of its secret, lower-case hex.
        hash: String,
        /// What it may do.
        scopes: Vec<Scope>,
        /// Names or patterns of the databases it may touch.
        databases: Vec<String>,
        /// When it ends by itself, from now.
        expires_in: Option<Duration>,
    },
    /// Accept a token no longer.
    RevokeToken { token: TokenId },
    /// Set a worker aside that belongs to no database.
    QuarantineWorker {
        /// Its id under the runtime.
        worker: String,
        name: String,
        /// The database that its label names.
        labelled: DatabaseId,
    },
    /// Say that a worker in quarantine is gone.
    EndQuarantine {
        /// Its id under the runtime.
        worker: String,
    },
    /// Say that a folder which no database is known by went to the trash.
    RecordTrashedFolder {
        /// Its name among the living.
        folder: String,
        /// Its name in the trash.
        trashed_as: String,
    },
    /// Let the reconciler do in one pass what it holds back.
    AllowPass {
        /// How many workers it holds back.
        held_back: u32,
    },
    /// Do something again and again.
    CreateSchedule {
        /// Its name, unique among schedules.
        name: String,
        /// When and what.
        plan: Box<SchedulePlan>,
        /// The token whose rights it has; none for root's.
        token: Option<TokenId>,
    },
    /// Let a schedule be this from now on.
    ChangeSchedule {
        schedule: ScheduleId,
        /// When and what.
        plan: Box<SchedulePlan>,
        /// The token whose rights it has from now on; none for root's.
        token: Option<TokenId>,
    },
    /// Do it no more.
    DeleteSchedule { schedule: ScheduleId },
    /// Let a schedule go on from now that has carried out times ahead of the clock.
    RewindSchedule { schedule: ScheduleId },
    /// Carry out a time that has come.
    FireSchedule {
        schedule: ScheduleId,
        /// The time it was due; none for a manual run.
        nominal: Option<Timestamp>,
    },
    /// Store a command for approval.
    MakePlan {
        /// What it would do.
        command: Box<LifecycleCommand>,
    },
    /// Carry out a plan, where nothing that it rests on has changed.
    ApplyPlan { plan: PlanId },
    /// Create a webhook.
    CreateWebhook {
        /// Its id: its secret is kept under it before the webhook is there.
        webhook: WebhookId,
        /// Where events go, and which.
        plan: WebhookPlan,
    },
    /// Let a webhook be this from now on.
    ChangeWebhook {
        webhook: WebhookId,
        /// Where events go, and which.
        plan: WebhookPlan,
    },
    /// Tell it no more.
    DeleteWebhook { webhook: WebhookId },
    /// Tell it nothing for now.
    DisableWebhook {
        webhook: WebhookId,
        /// Why.
        reason: String,
    },
    /// Tell it again, of what came in between, too.
    EnableWebhook { webhook: WebhookId },
    /// Say that a damaged copy of the log was healed.
    RecordHealing {
        /// What was found and done.
        detail: String,
    },
}

/// What a decision needs from outside, gathered before it starts.
#[derive(Debug, Clone, Copy)]
pub struct DecisionContext {
    /// The moment of the decision, by the clock on the wall: what is promised is counted from it
    /// and judged by it. It may lie before the last event's, where the clock was ahead once.
    pub now: Timestamp,
    /// Two unused ids: a decision creates at most a database or token and a job.
    pub fresh: [Uuid; 2],
    /// A number from 0 to 999 that spreads retries.
    pub jitter_permille: u16,
    /// How long the trash keeps a database.
    pub trash_retention: Duration,
    /// Most jobs that may be unfinished at once.
    pub queue_bound: usize,
}

impl Command {
    /// Whether it makes room, or ends what was admitted before: a full disk takes it from a
    /// reserve, as a full queue does.
    #[must_use]
    pub fn makes_room(&self) -> bool {
        match self {
            Self::ActOnDatabase { verb, .. } => verb.row().makes_room,
            Self::CancelJob { .. }
            | Self::ReleaseJob { .. }
            | Self::StartJob { .. }
            | Self::ResumeJob { .. }
            | Self::FinishStep { .. }
            | Self::FailStep { .. }
            | Self::FinishUndo { .. } => true,
            Self::InitializeForge { .. }
            | Self::ChooseRuntime { .. }
            | Self::CreateDatabase(_)
            | Self::ChangeDatabase { .. }
            | Self::LoadDatabase { .. }
            | Self::ImportTable { .. }
            | Self::ExchangeContents { .. }
            | Self::RepairWorker { .. }
            | Self::DegradeDatabase { .. }
            | Self::IssueToken { .. }
            | Self::RevokeToken { .. }
            | Self::QuarantineWorker { .. }
            | Self::EndQuarantine { .. }
            | Self::RecordTrashedFolder { .. }
            | Self::AllowPass { .. }
            | Self::CreateSchedule { .. }
            | Self::ChangeSchedule { .. }
            | Self::DeleteSchedule { .. }
            | Self::RewindSchedule { .. }
            | Self::FireSchedule { .. }
            | Self::MakePlan { .. }
            | Self::ApplyPlan { .. }
            | Self::CreateWebhook { .. }
            | Self::ChangeWebhook { .. }
            | Self::DeleteWebhook { .. }
            | Self::DisableWebhook { .. }
            | Self::EnableWebhook { .. }
            | Self::RecordHealing { .. } => false,
        }
    }

    /// The database it is about, where it names one.
    #[must_use]
    pub fn database(&self) -> Option<DatabaseId> {
        match self {
            Self::ChangeDatabase { database, .. }
            | Self::ActOnDatabase { database, .. }
            | Self::LoadDatabase { database, .. }
            | Self::ImportTable { database, .. }
            | Self::ExchangeContents { database, .. }
            | Self::RepairWorker { database, .. }
            | Self::DegradeDatabase { database, .. } => Some(*database),
            Self::InitializeForge { .. }
            | Self::ChooseRuntime { .. }
            | Self::CreateDatabase(_)
            | Self::CancelJob { .. }
            | Self::ReleaseJob { .. }
            | Self::StartJob { .. }
            | Self::ResumeJob { .. }
            | Self::FinishStep { .. }
            | Self::FailStep { .. }
            | Self::FinishUndo { .. }
            | Self::IssueToken { .. }
            | Self::RevokeToken { .. }
            | Self::QuarantineWorker { .. }
            | Self::EndQuarantine { .. }
            | Self::RecordTrashedFolder { .. }
            | Self::AllowPass { .. }
            | Self::CreateSchedule { .. }
            | Self::ChangeSchedule { .. }
            | Self::DeleteSchedule { .. }
            | Self::RewindSchedule { .. }
            | Self::FireSchedule { .. }
            | Self::MakePlan { .. }
            | Self::ApplyPlan { .. }
            | Self::CreateWebhook { .. }
            | Self::ChangeWebhook { .. }
            | Self::DeleteWebhook { .. }
            | Self::DisableWebhook { .. }
            | Self::EnableWebhook { .. }
            | Self::RecordHealing { .. } => None,
        }
    }
}

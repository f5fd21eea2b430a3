//! The rules of each kind of command: state and command in, events or a refusal out.
mod databases;
mod followers;
mod forge;
mod jobs;
mod loads;
mod orphans;
mod plans;
#[cfg(test)]
mod scenario;
mod schedules;
mod steps;
mod webhooks;

use super::command::refusal::Refusal;
use super::command::{Command, DecisionContext};
use super::event::Event;
use super::state::State;

/// Hands a command to the rule that decides it.
pub(super) fn decide(
    state: &State,
    command: &Command,
    context: &DecisionContext,
) -> Result<Vec<Event>, Refusal> {
    match command {
        Command::InitializeForge { instance } => forge::initialize(state, *instance, context),
        Command::ChooseRuntime { runtime, reason } => {
            Ok(forge::choose_runtime(state, runtime, reason))
        }
        Command::IssueToken {
            name,
            hash,
            scopes,
            databases,
            expires_in,
        } => forge::issue_token(state, name, hash, scopes, databases, *expires_in, context),
        Command::RevokeToken { token } => forge::revoke_token(state, *token),
        Command::RecordHealing { detail } => Ok(forge::record_healing(detail)),

        Command::CreateDatabase(wanted) => databases::create(state, wanted, context),
        Command::ChangeDatabase { database, change } => {
            databases::change(state, *database, change, context)
        }
        Command::ActOnDatabase { verb, database } => {
            databases::act(state, *verb, *database, context)
        }
        Command::LoadDatabase {
            database,
            upload,
            form,
            mode,
        } => loads::load(state, *database, (*upload, *form, *mode), context),
        Command::ImportTable {
            database,
            upload,
            import,
        } => loads::import(state, *database, (*upload, import), context),
        Command::ExchangeContents { database, with } => {
            loads::exchange(state, *database, *with, context)
        }
        Command::RepairWorker { database, finding } => {
            databases::repair_worker(state, *database, finding, context)
        }
        Command::DegradeDatabase { database, reason } => {
            databases::degrade(state, *database, reason)
        }

        Command::QuarantineWorker {
            worker,
            name,
            labelled,
        } => orphans::quarantine(state, worker, name, *labelled),
        Command::EndQuarantine { worker } => Ok(orphans::end_quarantine(state, worker)),
        Command::RecordTrashedFolder { folder, trashed_as } => {
            Ok(orphans::record_trashed_folder(folder, trashed_as))
        }
        Command::AllowPass { held_back } => Ok(orphans::allow_pass(*held_back)),

        Command::CreateSchedule { name, plan, token } => {
            schedules::create(state, name, plan, *token, context)
        }
        Command::ChangeSchedule {
            schedule,
            plan,
            token,
        } => schedules::change(state, *schedule, plan, *token, context),
        Command::DeleteSchedule { schedule } => schedules::delete(state, *schedule),
        Command::RewindSchedule { schedule } => schedules::rewind(state, *schedule, context),
        Command::FireSchedule { schedule, nominal } => {
            schedules::fire(state, *schedule, *nominal, context)
        }

        Command::MakePlan { command } => plans::make(state, command, context),
        Command::ApplyPlan { plan } => plans::apply(state, *plan, context),
        Command::CreateWebhook { webhook, plan } => webhooks::create(state, *webhook, plan),
        Command::ChangeWebhook { webhook, plan } => webhooks::change(state, *webhook, plan),
        Command::DeleteWebhook { webhook } => webhooks::delete(state, *webhook),
        Command::DisableWebhook { webhook, reason } => webhooks::disable(state, *webhook, reason),
        Command::EnableWebhook { webhook } => webhooks::enable(state, *webhook),

        Command::CancelJob { job } => jobs::cancel(state, *job),
        Command::ReleaseJob { job } => jobs::release(state, *job),
        Command::StartJob {
            job,
            step,
            time_limit,
        } => jobs::start(state, *job, step.as_ref(), *time_limit, context),
        Command::ResumeJob { job, step } => jobs::resume(state, *job, step),
        Command::FinishStep {
            job,
            step,
            outcome,
            next,
        } => steps::finish(state, *job, step, outcome, next.as_ref(), context),
        Command::FailStep {
            job,
            error,
            transient,
        } => steps::fail(state, *job, error, *transient, context),
        Command::FinishUndo { job, step, outcome } => {
            steps::finish_undo(state, *job, step, outcome, context)
        }
    }
}

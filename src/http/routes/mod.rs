//! Every route, and whom it answers.

mod audit;
mod databases;
mod drift;
mod engines;
mod events;
mod health;
mod jobs;
mod plans;
mod schedules;
mod sql;
mod state;
mod tokens;
mod webhooks;

use self::audit::checkpoints;
use self::events::undo;
use self::sql::{batch, transactions};
use self::state::diff;
use super::middleware::admission::usage;
use super::openapi::documents;
use super::response::reply::note_sequence;
use super::{Gateway, legacy, openapi};
use axum::Router;
use axum::middleware::from_fn_with_state;
use matchit::Router as Matcher;
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

type Group = OpenApiRouter<Arc<Gateway>>;

/// What a request needs to be let through to its route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Admission {
    /// Nothing: whoever watches the forge is answered when it is full, too.
    Always,
    /// Room among the requests that are worked on.
    WithRoom,
    /// Room, and a token.
    WithToken,
    /// A token: who looks how full the forge is has to be answered when it is.
    AlwaysWithToken,
}

/// Where a route's work is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Workplace {
    /// On the thread that serves the connection, and others with it: it is short, or gives what is
    /// long to another thread itself.
    Here,
    /// In the forge's main runtime: a list or a whole state is written in one go.
    Elsewhere,
}

/// What is known of a route before its router is asked.
#[derive(Debug)]
pub(super) struct Place {
    /// Its path, with its variable parts by name.
    pub(super) path: String,
    pub(super) admission: Admission,
    pub(super) workplace: Workplace,
}

/// Every route. What is not in `known` is never asked of `router`, so that no route is open because
/// somebody forgot it.
pub(super) struct Routes {
    pub(super) router: Router,
    known: Matcher<Place>,
}

impl Routes {
    pub(super) fn new(gateway: &Arc<Gateway>) -> Self {
        let sequenced = from_fn_with_state(gateway.clone(), note_sequence);
        let control = control_routes().route_layer(sequenced);
        let sql = sql_routes().merge(legacy::data_routes());
        let mut known = Matcher::new();
        let mut know = |path: &str, admission, workplace| {
            let path = path.to_owned();
            let place = Place {
                path: path.clone(),
                admission,
                workplace,
            };
            known
                .insert(path, place)
                .expect("axum has found no two routes in conflict");
        };
        let mut all = Group::with_openapi(documents::base());
        for (group, admission, workplace) in [
            (probe_routes(), Admission::Always, Workplace::Here),
            (open_routes(), Admission::WithRoom, Workplace::Here),
            (
                number_routes(),
                Admission::AlwaysWithToken,
                Workplace::Elsewhere,
            ),
            (control, Admission::WithToken, Workplace::Elsewhere),
            (sql, Admission::WithToken, Workplace::Here),
        ] {
            for path in group.get_openapi().paths.paths.keys() {
                know(path, admission, workplace);
            }
            all = all.merge(group);
        }
        for path in documents::PATHS {
            know(path, Admission::Always, Workplace::Here);
        }
        let (router, mut openapi) = all.split_for_parts();
        openapi::describe(&mut openapi);
        let router = router
            .with_state(gateway.clone())
            .merge(documents::documents(&openapi))
            .method_not_allowed_fallback(documents::no_method);
        Self { router, known }
    }

    /// What is known of the route of a path.
    pub(super) fn find(&self, path: &str) -> Option<&Place> {
        Some(self.known.at(path).ok()?.value)
    }
}

/// Whether the forge is well.
fn probe_routes() -> Group {
    Group::new()
        .routes(routes!(health::check_health))
        .routes(routes!(health::check_readiness))
}

/// For whoever has no token yet.
fn open_routes() -> Group {
    Group::new()
        .routes(routes!(documents::greet))
        .routes(routes!(documents::show_problem))
}

/// The forge's own numbers.
fn number_routes() -> Group {
    Group::new()
        .routes(routes!(health::show_metrics))
        .routes(routes!(usage::show_usage))
}

/// SQL on one database.
fn sql_routes() -> Group {
    Group::new()
        .routes(routes!(sql::query_database))
        .routes(routes!(batch::run_batch))
        .routes(routes!(batch::run_script))
        .routes(routes!(transactions::begin_transaction))
        .routes(routes!(transactions::query_in_transaction))
        .routes(routes!(transactions::run_batch_in_transaction))
        .routes(routes!(transactions::run_script_in_transaction))
        .routes(routes!(transactions::commit_transaction))
        .routes(routes!(transactions::roll_back_transaction))
}

/// Commands, and questions about what came of them: every answer carries a sequence.
fn control_routes() -> Group {
    Group::new()
        .routes(routes!(
            databases::list_databases,
            databases::create_database
        ))
        .routes(routes!(
            databases::get_database,
            databases::change_database,
            databases::delete_database
        ))
        .routes(routes!(databases::stop_database))
        .routes(routes!(databases::start_database))
        .routes(routes!(databases::restart_database))
        .routes(routes!(databases::undelete_database))
        .routes(routes!(engines::list_engines))
        .routes(routes!(jobs::list_jobs))
        .routes(routes!(jobs::get_job))
        .routes(routes!(jobs::watch_job))
        .routes(routes!(jobs::cancel_job))
        .routes(routes!(jobs::retry_job))
        .routes(routes!(tokens::list_tokens, tokens::create_token))
        .routes(routes!(tokens::revoke_token))
        .routes(routes!(events::list_events))
        .routes(routes!(events::get_event))
        .routes(routes!(audit::get_head))
        .routes(routes!(audit::export_events))
        .routes(routes!(audit::sql::query_history))
        .routes(routes!(
            checkpoints::list_checkpoints,
            checkpoints::create_checkpoint
        ))
        .routes(routes!(checkpoints::get_audit_key))
        .routes(routes!(state::get_state))
        .routes(routes!(diff::get_state_diff))
        .routes(routes!(
            schedules::list_schedules,
            schedules::create_schedule
        ))
        .routes(routes!(
            schedules::get_schedule,
            schedules::change_schedule,
            schedules::delete_schedule
        ))
        .routes(routes!(schedules::run_schedule))
        .routes(routes!(plans::list_plans, plans::create_plan))
        .routes(routes!(plans::get_plan))
        .routes(routes!(plans::apply_plan))
        .routes(routes!(undo::undo_event))
        .routes(routes!(webhooks::list_webhooks, webhooks::create_webhook))
        .routes(routes!(
            webhooks::get_webhook,
            webhooks::change_webhook,
            webhooks::delete_webhook
        ))
        .routes(routes!(webhooks::list_deliveries))
        .routes(routes!(webhooks::enable_webhook))
        .routes(routes!(webhooks::test_webhook))
        .routes(routes!(drift::get_drift))
        .routes(routes!(drift::allow_drift))
        .routes(routes!(drift::remove_quarantined_worker))
        .routes(routes!(drift::trash_unknown_folder))
        .merge(legacy::control_routes())
}

//! Every route, and what lies around them.
use super::auth::admit;
use super::limits::bounded;
use super::observe::observe;
use super::reply::note_sequence;
use super::{
    Gateway, audit_sql, checkpoints, databases, described, documents, drift, engines, events,
    health, jobs, original, schedules, sql, sql_batch, sql_transactions, state, state_diff,
    stored_plans, tokens, undo, webhooks,
};
use axum::Router;
use axum::middleware::from_fn_with_state;
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

type Routes = OpenApiRouter<Arc<Gateway>>;

/// The service that answers every request.
pub fn router(gateway: &Arc<Gateway>) -> Router {
    let sequenced = from_fn_with_state(gateway.clone(), note_sequence);
    let admitted = from_fn_with_state(gateway.clone(), admit);
    let bounded = from_fn_with_state(gateway.clone(), bounded);
    let observed = from_fn_with_state(gateway.clone(), observe);

    let guarded = control_routes()
        .route_layer(sequenced)
        .merge(number_routes())
        .merge(sql_routes())
        .merge(original::data_routes())
        .route_layer(admitted);
    let work = open_routes().route_layer(bounded).merge(guarded);
    // Whoever watches the forge is answered when it is full, too.
    let all = Routes::with_openapi(documents::base())
        .merge(work)
        .merge(probe_routes());
    let (router, mut openapi) = all.split_for_parts();
    described::describe(&mut openapi);
    router
        .with_state(gateway.clone())
        .merge(documents::documents(&openapi))
        .fallback(documents::no_route)
        .method_not_allowed_fallback(documents::no_method)
        .layer(observed)
}

/// Answered without a token; the bound on requests does not hold them back.
fn probe_routes() -> Routes {
    Routes::new()
        .routes(routes!(health::check_health))
        .routes(routes!(health::check_readiness))
}

/// Answered without a token.
fn open_routes() -> Routes {
    Routes::new()
        .routes(routes!(documents::greet))
        .routes(routes!(documents::show_problem))
}

/// The forge's own numbers.
fn number_routes() -> Routes {
    Routes::new().routes(routes!(health::show_metrics))
}

/// SQL on one database.
fn sql_routes() -> Routes {
    Routes::new()
        .routes(routes!(sql::query_database))
        .routes(routes!(sql_batch::run_batch))
        .routes(routes!(sql_batch::run_script))
        .routes(routes!(sql_transactions::begin_transaction))
        .routes(routes!(sql_transactions::query_in_transaction))
        .routes(routes!(sql_transactions::commit_transaction))
        .routes(routes!(sql_transactions::roll_back_transaction))
}

/// Commands, and questions about what came of them: every answer carries a sequence.
fn control_routes() -> Routes {
    Routes::new()
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
        .routes(routes!(events::get_head))
        .routes(routes!(events::export_events))
        .routes(routes!(audit_sql::query_history))
        .routes(routes!(
            checkpoints::list_checkpoints,
            checkpoints::create_checkpoint
        ))
        .routes(routes!(checkpoints::get_audit_key))
        .routes(routes!(state::get_state))
        .routes(routes!(state_diff::get_state_diff))
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
        .routes(routes!(stored_plans::list_plans, stored_plans::create_plan))
        .routes(routes!(stored_plans::get_plan))
        .routes(routes!(stored_plans::apply_plan))
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
        .merge(original::control_routes())
}

//! Every route, and what a request needs to be let through to it.

mod audit;
mod databases;
mod drift;
mod engines;
mod events;
mod exports;
mod health;
mod jobs;
mod plans;
mod rows;
mod schedules;
mod schema;
mod sql;
mod state;
mod tokens;
mod uploads;
mod webhooks;

use self::audit::checkpoints;
use self::databases::{import, import_table};
use self::events::undo;
use self::rows::{many, one, postgrest, value};
use self::schema::{explain, indexes, migrations, tables};
use self::sql::{batch, transactions};
use self::state::diff;
use super::legacy;
use super::middleware::admission::{BodyUse, usage};
use super::openapi::documents;
use super::openapi::limits::DescribedLimits;
use super::routing::{Admission, Group, RouteTable, Traits, Workplace, group};

/// The table of all routes. What is in no group here cannot be reached. Their description shows
/// `limits`.
pub(super) fn table(limits: &DescribedLimits) -> RouteTable {
    let control = Traits {
        is_sequenced: true,
        ..Traits::new(Admission::WithToken, Workplace::Elsewhere)
    };
    let sql = Traits::new(Admission::WithToken, Workplace::Here);
    let exports = Traits {
        body: BodyUse::ReadForLong,
        ..Traits::new(Admission::WithToken, Workplace::Elsewhere)
    };
    let legacy = |traits| Traits {
        is_legacy: true,
        ..traits
    };
    let legacy_control = Traits {
        body: BodyUse::Ignored,
        ..legacy(control)
    };
    let files = Traits {
        body: BodyUse::Streamed,
        ..control
    };
    let values = Traits {
        body: BodyUse::Streamed,
        ..sql
    };
    let groups = vec![
        (Traits::new(Admission::Always, Workplace::Here), probes()),
        (Traits::new(Admission::WithRoom, Workplace::Here), open()),
        (
            Traits::new(Admission::AlwaysWithToken, Workplace::Elsewhere),
            numbers(),
        ),
        (control, control_plane()),
        (files, file_routes()),
        (exports, export_routes()),
        (legacy_control, legacy::control_routes()),
        (sql, sql_routes()),
        (values, value_routes()),
        (legacy(sql), legacy::data_routes()),
    ];
    RouteTable::new(groups, limits)
}

/// Whether the gateway is healthy.
fn probes() -> Group {
    group![health::check_health, health::check_readiness]
}

/// For clients that have no token yet.
fn open() -> Group {
    group![documents::greet, documents::show_problem]
}

/// The gateway's own numbers.
fn numbers() -> Group {
    group![health::show_metrics, usage::show_usage]
}

/// SQL on one database.
fn sql_routes() -> Group {
    group![
        sql::query_database,
        batch::run_batch,
        batch::run_script,
        schema::show_schema,
        migrations::apply_migration,
        migrations::list_migrations,
        explain::explain_statement,
        tables::list_tables,
        tables::create_table,
        tables::show_table,
        tables::alter_table,
        tables::drop_table,
        indexes::create_index,
        indexes::drop_index,
        transactions::begin_transaction,
        transactions::query_in_transaction,
        transactions::run_batch_in_transaction,
        transactions::run_script_in_transaction,
        transactions::commit_transaction,
        transactions::roll_back_transaction,
        many::list_rows,
        many::insert_rows,
        many::change_rows,
        many::delete_rows,
        one::get_row,
        one::change_row,
        one::delete_row,
        postgrest::list_rows_for_postgrest,
        postgrest::insert_rows_for_postgrest,
        postgrest::change_rows_for_postgrest,
        postgrest::delete_rows_for_postgrest,
    ]
}

/// Files that come in: their bodies are read as they arrive.
fn file_routes() -> Group {
    group![
        uploads::create_upload,
        uploads::list_uploads,
        uploads::get_upload,
        uploads::delete_upload,
        import::import_database,
        import_table::import_table,
    ]
}

/// Files that leave a database.
fn export_routes() -> Group {
    group![
        exports::export_query,
        exports::export_table,
        exports::whole::export_database,
    ]
}

/// Values of rows as raw bytes.
fn value_routes() -> Group {
    group![value::get_value, value::put_value]
}

/// Commands, and questions about what came of them: every answer carries a sequence.
fn control_plane() -> Group {
    group![
        databases::list_databases,
        databases::create_database,
        databases::get_database,
        databases::change_database,
        engines::list_engines,
        jobs::list_jobs,
        jobs::get_job,
        jobs::watch_job,
        jobs::cancel_job,
        jobs::retry_job,
        tokens::list_tokens,
        tokens::create_token,
        tokens::revoke_token,
        events::list_events,
        events::get_event,
        audit::get_head,
        audit::export_events,
        audit::sql::query_history,
        checkpoints::list_checkpoints,
        checkpoints::create_checkpoint,
        checkpoints::get_audit_key,
        state::get_state,
        diff::get_state_diff,
        schedules::list_schedules,
        schedules::create_schedule,
        schedules::get_schedule,
        schedules::change_schedule,
        schedules::delete_schedule,
        schedules::run_schedule,
        plans::list_plans,
        plans::create_plan,
        plans::get_plan,
        plans::apply_plan,
        undo::undo_event,
        webhooks::list_webhooks,
        webhooks::create_webhook,
        webhooks::get_webhook,
        webhooks::change_webhook,
        webhooks::delete_webhook,
        webhooks::list_deliveries,
        webhooks::enable_webhook,
        webhooks::pause_webhook,
        webhooks::skip_events,
        webhooks::replay_event,
        webhooks::replace_secret,
        webhooks::test_webhook,
        drift::get_drift,
        drift::allow_drift,
        drift::remove_quarantined_worker,
        drift::trash_unknown_folder,
    ]
    .merge(databases::verbs::routes())
}

//! SQL: statements, transactions, queues, connections, the WAL; and the busiest databases.
use super::exposition::Exposition;
use crate::data::{StatementKind, StatementOutcome, TransactionEnd};
use crate::http::Gateway;
use crate::service::caller::Caller;

/// Databases that have metrics of their own: those whose statements have run for longest.
const BUSIEST: usize = 20;

pub(super) fn show(gateway: &Gateway, caller: &Caller, shown: &mut Exposition) {
    show_statements(gateway, shown);
    show_limits(gateway, shown);
    show_busiest(gateway, caller, shown);
}

fn show_statements(gateway: &Gateway, shown: &mut Exposition) {
    let data = &gateway.service.data;
    let counts = data.statistics().statements();
    let kinds = StatementKind::ALL;
    let ended_so = |kind, outcome| counts.ended(kind, outcome);
    let ended = kinds.into_iter().flat_map(|(kind, word)| {
        StatementOutcome::ALL
            .into_iter()
            .map(move |(outcome, end)| {
                let labels = vec![("kind", word.to_owned()), ("outcome", end.to_owned())];
                (labels, ended_so(kind, outcome))
            })
    });
    shown.counters(
        "dbforge_sql_statements",
        "SQL statements by kind and outcome.",
        ended,
    );
    let durations = kinds.into_iter();
    let durations =
        durations.map(|(kind, word)| (vec![("kind", word.to_owned())], counts.durations(kind)));
    shown.histograms(
        "dbforge_sql_statement_duration_seconds",
        "Time that statements ran, without waiting for their turn.",
        durations,
    );
    shown.histograms(
        "dbforge_sql_write_wait_seconds",
        "Time that writes waited for their turn.",
        [(vec![], counts.write_waits())],
    );
    shown.histograms(
        "dbforge_sql_thread_wait_seconds",
        "Time that requests waited for a thread, of those that got none at once.",
        [(vec![], data.health().thread_waits)],
    );
    let [returned, changed] = counts.rows();
    shown.counter(
        "dbforge_sql_rows_returned",
        "Rows that statements returned.",
        returned,
    );
    shown.counter(
        "dbforge_sql_rows_changed",
        "Rows that statements changed.",
        changed,
    );
    let ends = TransactionEnd::ALL.iter();
    let ends = ends.map(|(end, word)| {
        (
            vec![("end", (*word).to_owned())],
            data.ended_transactions(*end),
        )
    });
    shown.counters(
        "dbforge_sql_transactions",
        "Interactive transactions by outcome.",
        ends,
    );
    let [done, put_off] = data.statistics().checkpoints();
    let checkpoints = [("done", done), ("put_off", put_off)];
    let checkpoints = checkpoints.map(|(word, count)| (vec![("outcome", word.to_owned())], count));
    shown.counters(
        "dbforge_sql_wal_checkpoints",
        "Checkpoints of WALs that had grown too large; readers put some off.",
        checkpoints,
    );
}

fn show_limits(gateway: &Gateway, shown: &mut Exposition) {
    let data = &gateway.service.data;
    let (health, config) = (data.health(), data.config());
    for (name, help, value) in [
        (
            "dbforge_sql_connections",
            "Open connections to databases.",
            health.connections,
        ),
        (
            "dbforge_sql_connections_limit",
            "Most open connections to databases.",
            config.sqlite.max_connections,
        ),
        (
            "dbforge_sql_threads",
            "Threads running SQL.",
            health.threads,
        ),
        (
            "dbforge_sql_threads_limit",
            "Most threads running SQL.",
            config.sqlite.threads,
        ),
        (
            "dbforge_sql_streams",
            "SQL results being streamed.",
            health.streams,
        ),
        (
            "dbforge_sql_streams_limit",
            "Most SQL results being streamed.",
            config.sqlite.streams,
        ),
        (
            "dbforge_sql_open_transactions",
            "Interactive transactions, open or waiting.",
            data.open_transactions(),
        ),
        (
            "dbforge_sql_open_transactions_limit",
            "Most interactive transactions.",
            config.max_transactions,
        ),
        (
            "dbforge_sql_queued_writes",
            "Writes waiting, of all databases.",
            health.queued_writes,
        ),
        (
            "dbforge_sql_longest_write_queue",
            "Writes waiting for the database with the longest queue.",
            health.longest_write_queue,
        ),
        (
            "dbforge_sql_write_queue_limit",
            "Most writes waiting for one database.",
            config.sqlite.waiting_writes,
        ),
        (
            "dbforge_sql_stuck_threads",
            "Threads stuck in a statement that cannot be interrupted; their databases are \
             unavailable.",
            health.stuck_threads,
        ),
    ] {
        shown.gauge(name, help, value);
    }
    for (name, help, value) in [
        (
            "dbforge_sql_temp_bytes",
            "Bytes of temporary files of SQL statements.",
            health.temp_bytes,
        ),
        (
            "dbforge_sql_temp_bytes_limit",
            "Most bytes of temporary files of SQL statements.",
            config.sqlite.temp_bytes,
        ),
        (
            "dbforge_sql_wal_bytes",
            "Bytes of the WALs of open databases.",
            health.wal_bytes,
        ),
        (
            "dbforge_sql_largest_wal_bytes",
            "Bytes of the largest WAL.",
            health.largest_wal_bytes,
        ),
    ] {
        shown.gauge(name, help, value);
    }
}

/// Names are shown to callers whose token covers them.
fn show_busiest(gateway: &Gateway, caller: &Caller, shown: &mut Exposition) {
    let current = gateway.service.control.current();
    let busiest = gateway.service.data.statistics().busiest(BUSIEST);
    let named = busiest.into_iter().filter_map(|it| {
        let name = current.state.database(it.database)?.name.to_string();
        caller.covers(&name).then_some((name, it))
    });
    let named: Vec<_> = named.collect();
    let statements = named.iter().flat_map(|(name, it)| {
        let by_kind = StatementKind::ALL.into_iter().zip(it.statements);
        by_kind.map(|((_, kind), count)| {
            (
                vec![("database", name.clone()), ("kind", kind.to_owned())],
                count,
            )
        })
    });
    shown.counters(
        "dbforge_database_statements",
        "SQL statements of the 20 busiest databases.",
        statements,
    );
    let busy = named.iter();
    let busy = busy.map(|(name, it)| (vec![("database", name.clone())], it.busy.as_secs_f64()));
    shown.counters(
        "dbforge_database_busy_seconds",
        "Time that statements of the 20 busiest databases ran.",
        busy,
    );
}

//! Bodies of requests that run SQL; their options are declared here once.
use super::fields;

use super::words::BatchWord;
use crate::data::{BatchStatement, Params, ParamsList, QueryOptions, QueryRequest};
use crate::http::openapi::schemas;
use crate::http::response::error::Problem;
use crate::service::sql::{Batch, default_options};
use serde::Deserialize;
use std::time::Duration;
use utoipa::{IntoParams, ToSchema};

/// Declares a body: its own fields, and the options of SQL that it takes: those of reads, or all.
/// Flattened, every field of a body would be copied first.
macro_rules! sql_body {
    ($(#[$meta:meta])* $name:ident { $($own:tt)* } with all options) => {
        sql_body! {
            $(#[$meta])*
            $name {
                $($own)*
                /// Reject statements that would change data.
                #[serde(default)]
                readonly: bool,
                /// Maximum size of the response in bytes. Larger results are rejected.
                #[serde(default, deserialize_with = "fields::whole")]
                #[schema(minimum = 1)]
                max_bytes: Option<u64>,
            }
            with options of reads
        }

        impl $name {
            fn options(&self) -> QueryOptions {
                let max_bytes = self.max_bytes;
                QueryOptions {
                    readonly: self.readonly,
                    max_bytes: max_bytes.map(|it| usize::try_from(it).unwrap_or(usize::MAX)),
                    ..self.read_options()
                }
            }
        }
    };
    ($(#[$meta:meta])* $name:ident { $($own:tt)* } with options of reads) => {
        $(#[$meta])*
        #[derive(Deserialize, ToSchema)]
        #[serde(deny_unknown_fields)]
        pub(crate) struct $name {
            $($own)*
            /// Time limit in milliseconds, for all statements together.
            #[serde(default, deserialize_with = "fields::whole")]
            #[schema(minimum = 1)]
            timeout_ms: Option<u64>,
            /// Truncate each result after this many rows and set `truncated`.
            #[serde(default, deserialize_with = "fields::whole")]
            #[schema(minimum = 1)]
            max_rows: Option<u64>,
            /// How integers beyond ±(2^53 − 1) are encoded.
            #[serde(default)]
            int64: crate::http::extract::words::Int64Word,
            /// Encode rows as arrays or as objects.
            #[serde(default)]
            shape: crate::http::extract::words::ShapeWord,
        }

        impl $name {
            fn read_options(&self) -> QueryOptions {
                QueryOptions {
                    timeout: self.timeout_ms.map(Duration::from_millis),
                    max_rows: self.max_rows,
                    int64: self.int64.into(),
                    shape: self.shape.into(),
                    ..default_options()
                }
            }
        }
    };
}

sql_body! {
    /// One SQL statement with its options.
    QueryBody {
        /// One SQL statement.
        #[schema(example = "SELECT name FROM customers WHERE id = ?1")]
        sql: String,
        /// Parameter values: an array, or an object by name.
        #[serde(default)]
        #[schema(schema_with = schemas::parameters, required = false, example = json!([7]))]
        params: Option<Params>,
        /// Rows of parameter values instead of `params`: the statement runs once for each row, and
        /// is kept for all of them or for none.
        #[serde(default)]
        #[schema(schema_with = schemas::parameter_rows, required = false)]
        params_list: Option<ParamsList>,
    }
    with all options
}

sql_body! {
    /// SQL statements that run in order, with their options.
    BatchBody {
        /// At most 1,000 statements.
        #[schema(max_items = 1000)]
        statements: Vec<StatementBody>,
        /// How the statements are grouped into transactions.
        #[serde(default)]
        transaction: BatchWord,
    }
    with all options
}

sql_body! {
    /// A SQL query on the event history.
    AuditQuery {
        /// One read-only SQL statement.
        #[schema(example = "SELECT actor, count(*) FROM events GROUP BY actor")]
        sql: String,
        /// Parameter values: an array, or an object by name.
        #[serde(default)]
        #[schema(schema_with = schemas::parameters, example = json!([]))]
        params: Params,
    }
    with options of reads
}

/// One SQL statement whose rows are exported.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ExportQuery)]
pub(crate) struct ExportBody {
    /// One read-only SQL statement.
    #[schema(example = "SELECT id, name FROM customers")]
    pub(crate) sql: String,
    /// Parameter values: an array, or an object by name.
    #[serde(default)]
    #[schema(schema_with = schemas::parameters, example = json!([]))]
    pub(crate) params: Params,
}

/// One statement of a batch.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct StatementBody {
    /// One SQL statement.
    #[schema(example = "INSERT INTO customers (name) VALUES (?1)")]
    sql: String,
    /// Parameter values: an array, or an object by name.
    #[serde(default)]
    #[schema(schema_with = schemas::parameters, required = false, example = json!(["Ann"]))]
    params: Option<Params>,
    /// Rows of parameter values instead of `params`: the statement runs once for each row, and
    /// is kept for all of them or for none.
    #[serde(default)]
    #[schema(schema_with = schemas::parameter_rows, required = false)]
    params_list: Option<ParamsList>,
}

/// How a script runs.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ScriptParameters {
    /// Time limit in milliseconds for the whole script.
    #[param(minimum = 1)]
    timeout_ms: Option<u64>,
}

/// The parameters of a statement, which come as one row or as several.
fn one_of(params: Option<Params>, list: Option<ParamsList>) -> Result<Params, Problem> {
    match (params, list) {
        (params, None) => Ok(params.unwrap_or_default()),
        (None, Some(list)) => Ok(Params::List(list)),
        (Some(_), Some(_)) => Err(Problem::invalid(
            "A statement has `params` or `params_list`, not both.",
        )
        .hint("send one row of values in `params`, several in `params_list`")),
    }
}

impl TryFrom<QueryBody> for QueryRequest {
    type Error = Problem;

    fn try_from(body: QueryBody) -> Result<Self, Problem> {
        Ok(Self {
            options: body.options(),
            sql: body.sql,
            params: one_of(body.params, body.params_list)?,
        })
    }
}

impl From<AuditQuery> for QueryRequest {
    fn from(body: AuditQuery) -> Self {
        Self {
            options: body.read_options(),
            sql: body.sql,
            params: body.params,
        }
    }
}

impl TryFrom<BatchBody> for Batch {
    type Error = Problem;

    fn try_from(body: BatchBody) -> Result<Self, Problem> {
        let options = body.options();
        let statements = (0..).zip(body.statements).map(|(index, statement)| {
            let params = one_of(statement.params, statement.params_list);
            Ok(BatchStatement {
                sql: statement.sql.into(),
                params: params.map_err(|problem| problem.at_statement(index, 0, None))?,
            })
        });
        Ok(Self {
            statements: statements.collect::<Result<_, Problem>>()?,
            mode: body.transaction.into(),
            options,
        })
    }
}

impl From<ScriptParameters> for QueryOptions {
    fn from(parameters: ScriptParameters) -> Self {
        Self {
            timeout: parameters.timeout_ms.map(Duration::from_millis),
            ..default_options()
        }
    }
}

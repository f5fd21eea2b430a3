//! The schema of a database, in the legacy API's shape.
use crate::data::legacy_rows::{ColumnFacts, IndexFacts, TableDescription};
use crate::http::Gateway;
use crate::http::extract::{PathParts, StrictQuery};
use crate::http::response::error::Problem;
use crate::http::response::reply;
use crate::service::caller::Caller;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

/// Which tables are described. Other parameters are ignored.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct SchemaParameters {
    /// This table alone.
    table: Option<String>,
}

/// The tables of a database, by name.
#[derive(Serialize, ToSchema)]
struct OriginalSchema {
    /// The database's name or id, as in the request.
    database: String,
    tables: Vec<OriginalTable>,
}

#[derive(Serialize, ToSchema)]
struct OriginalTable {
    name: String,
    columns: Vec<OriginalColumn>,
    /// Those that CREATE INDEX made.
    indexes: Vec<OriginalIndex>,
    row_count: u64,
}

#[derive(Serialize, ToSchema)]
struct OriginalColumn {
    name: String,
    /// Its declared type; empty where it has none.
    r#type: String,
    nullable: bool,
    primary_key: bool,
    /// Whether a row that is inserted without it gets the next number.
    auto_increment: bool,
    unique: bool,
    /// In SQL; null where there is none.
    #[schema(required = true, example = "CURRENT_TIMESTAMP")]
    default: Option<String>,
}

#[derive(Serialize, ToSchema)]
struct OriginalIndex {
    name: String,
    /// Null for an expression.
    columns: Vec<Option<String>>,
    unique: bool,
}

/// Show the schema
#[utoipa::path(get, path = "/api/db/{db}/schema", tag = "original",
    params(("db" = String, Path, description = "Name or id"), SchemaParameters),
    responses((status = 200, body = OriginalSchema)))]
pub(in crate::http) async fn show_original_schema(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    PathParts(reference): PathParts<String>,
    StrictQuery(parameters): StrictQuery<SchemaParameters>,
) -> Result<Response, Problem> {
    let only = parameters.table.as_deref();
    let described = gateway.service.describe_tables(&caller, &reference, only);
    let tables = described
        .await
        .map_err(|error| gateway.in_legacy_words(&reference, error))?;
    let schema = OriginalSchema {
        tables: tables.into_iter().map(OriginalTable::from).collect(),
        database: reference,
    };
    Ok(reply::json(StatusCode::OK, &schema))
}

impl From<TableDescription> for OriginalTable {
    fn from(table: TableDescription) -> Self {
        Self {
            name: table.name,
            columns: table.columns.into_iter().map(Into::into).collect(),
            indexes: table.indexes.into_iter().map(Into::into).collect(),
            row_count: table.row_count,
        }
    }
}

impl From<ColumnFacts> for OriginalColumn {
    fn from(column: ColumnFacts) -> Self {
        Self {
            name: column.name,
            r#type: column.kind,
            nullable: column.nullable,
            primary_key: column.primary_key,
            auto_increment: column.auto_increment,
            unique: column.unique,
            default: column.default,
        }
    }
}

impl From<IndexFacts> for OriginalIndex {
    fn from(index: IndexFacts) -> Self {
        Self {
            name: index.name,
            columns: index.columns,
            unique: index.unique,
        }
    }
}

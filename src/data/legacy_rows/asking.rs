//! Asks as any client does.
use crate::data::{
    Access, DataPlane, Params, QueryError, QueryOptions, QueryRequest, Shape, SharedGuard, Target,
};
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// A statement whose answer goes to the client.
pub(super) fn original(sql: String, params: Params, access: Access) -> QueryRequest {
    QueryRequest {
        sql,
        params,
        options: original_options(access),
    }
}

pub(super) fn original_options(access: Access) -> QueryOptions {
    QueryOptions {
        shape: Shape::Original,
        ..QueryOptions::for_access(access)
    }
}

/// Asks, and reads the answer as a client would.
pub(super) async fn ask<Row: DeserializeOwned>(
    plane: &DataPlane,
    guard: &SharedGuard,
    target: &Target,
    sql: &str,
    params: Params,
) -> Result<Vec<Row>, QueryError> {
    #[derive(Deserialize)]
    struct Body<Row> {
        rows: Vec<Row>,
    }
    let request = QueryRequest {
        sql: sql.to_owned(),
        params,
        options: QueryOptions::for_access(Access::ReadOnly),
    };
    let answer = plane.query(guard, target, request).await?;
    let body: Body<Row> =
        serde_json::from_slice(&answer.body).map_err(|error| QueryError::Broken {
            reason: format!("the schema answered what it cannot: {error}"),
        })?;
    Ok(body.rows)
}

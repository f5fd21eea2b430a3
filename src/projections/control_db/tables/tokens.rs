//! The table `tokens`: issued tokens, without secrets.
use crate::clock::timestamp::Timestamp;
use crate::domain::event::Event;
use crate::domain::event::recorded::RecordedEvent;
use crate::domain::ids::TokenId;
use crate::domain::token::{Scope, Token};
use crate::projections::control_db::listing::page::{Order, Page, Window};
use crate::projections::control_db::listing::{Listing, stored};
use crate::projections::control_db::storage::StorageError;
use rusqlite::types::FromSql;
use rusqlite::{Connection, Row, named_params};
use serde::de::DeserializeOwned;
use std::str::FromStr;

/// Which tokens are wanted.
#[derive(Debug, Clone, Default)]
pub struct TokenFilter {
    /// Those that were revoked as well.
    pub include_revoked: bool,
    /// Which way.
    pub order: Order,
}

/// A token as it is shown: neither its secret nor the hash of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownToken {
    /// Its permanent id.
    pub id: TokenId,
    /// What its commands are signed with: `token/<name>`.
    pub name: String,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// Names or patterns of the databases it may touch.
    pub databases: Vec<String>,
    pub created_at: Timestamp,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

/// Follows what happens to tokens.
pub(crate) fn follow(
    connection: &Connection,
    recorded: &RecordedEvent,
) -> Result<(), StorageError> {
    if let Some(token) = Token::begun_by(recorded) {
        insert(connection, &token)?;
    } else if let Event::TokenRevoked(it) = &recorded.event {
        connection
            .prepare_cached("UPDATE tokens SET revoked_at = ?2, sequence = ?3 WHERE id = ?1")?
            .execute((
                it.token.to_string(),
                recorded.commit.time.to_string(),
                stored(recorded.sequence.0),
            ))?;
    }
    Ok(())
}

/// One page of the tokens that a filter lets through.
pub(crate) fn list(
    connection: &Connection,
    filter: &TokenFilter,
    window: &Window,
) -> Result<Page<ShownToken>, StorageError> {
    let listing = Listing {
        columns: "issued, id, name, scopes, databases, created_at, expires_at, revoked_at",
        from: "tokens NOT INDEXED",
        key: "issued",
        lead: if filter.include_revoked {
            "TRUE"
        } else {
            "revoked_at IS NULL"
        },
        walks: vec![vec![]],
        rest: vec![],
        within: 0..=u64::MAX,
    };
    listing.read(connection, window, token_in)
}

fn insert(connection: &Connection, token: &Token) -> Result<(), StorageError> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO tokens (issued, id, name, scopes, databases, created_at, expires_at, sequence)
         VALUES (:issued, :id, :name, :scopes, :databases, :created_at, :expires_at, :issued)",
    )?;
    statement.execute(named_params! {
        ":issued": stored(token.sequence.0),
        ":id": token.id.to_string(),
        ":name": token.name,
        ":scopes": serde_json::to_string(&token.scopes)?,
        ":databases": serde_json::to_string(&token.databases)?,
        ":created_at": token.created_at.to_string(),
        ":expires_at": token.expires_at.map(|it| it.to_string()),
    })?;
    Ok(())
}

fn token_in(row: &Row<'_>) -> Result<ShownToken, StorageError> {
    Ok(ShownToken {
        id: parsed(&row.get::<_, String>(1)?)?,
        name: row.get(2)?,
        scopes: json_in(row, 3)?,
        databases: json_in(row, 4)?,
        created_at: parsed(&row.get::<_, String>(5)?)?,
        expires_at: row
            .get::<_, Option<String>>(6)?
            .as_deref()
            .map(parsed)
            .transpose()?,
        revoked_at: row
            .get::<_, Option<String>>(7)?
            .as_deref()
            .map(parsed)
            .transpose()?,
    })
}

fn json_in<T: DeserializeOwned>(row: &Row<'_>, column: usize) -> Result<T, StorageError> {
    let text = String::column_result(row.get_ref(column)?).map_err(rusqlite::Error::from)?;
    Ok(serde_json::from_str(&text)?)
}

fn parsed<T: FromStr>(text: &str) -> Result<T, StorageError>
where
    T::Err: std::fmt::Display,
{
    text.parse()
        .map_err(|error: T::Err| StorageError::Untrue(error.to_string()))
}

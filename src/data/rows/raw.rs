//! One value as raw bytes, whatever its size.
//!
//! A long value is read by SQLite's incremental input, and written by another process, in one
//! transaction: readers see the old value or the new one.
use super::build::{NewValue, ValueOf};
use super::error::RowsError;
use super::reading::positional;
use crate::clock::Deadline;
use crate::data::{
    Access, BareColumns, DataPlane, Param, QueryAnswer, QueryError, QueryOptions, QueryRequest,
    RowStream, Shape, SharedGuard, Streamed, Target,
};
use crate::engine::registry::{LARGEST_VALUE_BYTES, LentWriter};
use crate::engine::sql::schema::Schema;
use crate::engine::sql::{ValueOrder, ValuePart, ValuePlace, ValueWay, ValueWritten};
use crate::shares::Held;
use bytes::Bytes;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Larger values have no mark of what is in them: it would take as long to make as to read them.
const MOST_HASHED_BYTES: u64 = 4 << 20;

/// Values up to this size are written here, like any statement.
pub const WRITTEN_HERE_BYTES: u64 = 4 << 20;

/// How long a client may take to read a value.
const READ_TIME: Duration = Duration::from_secs(3600);

/// How long a value that is written here may wait for the writer, and take.
const TURN_TIME: Duration = Duration::from_secs(60);

/// How long a longer one may wait for the writer.
const WRITER_PATIENCE: Duration = Duration::from_secs(20);

/// What is known of a value before it is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValueFacts {
    /// What it is.
    pub kind: ValueKind,
    /// Its bytes.
    pub size: u64,
    /// The mark of what is in it; a very long one has none.
    pub etag: Option<String>,
    /// The row's own number, where it has one.
    row: Option<i64>,
}

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueKind {
    /// NULL.
    Null,
    /// A number, which is read as text.
    Number,
    /// Text.
    Text,
    /// Bytes.
    Blob,
}

/// Bytes of a value.
pub enum ValueBytes {
    /// They are there.
    Whole(Bytes),
    /// They come in pieces.
    Pieces(RowStream),
}

/// Whose value it is, as a request names it.
#[derive(Debug, Clone, Copy)]
pub struct ValueName<'v> {
    /// The table.
    pub table: &'v str,
    /// The row's key, as it stands in a path.
    pub key: &'v str,
    /// The column.
    pub column: &'v str,
}

impl<'v> ValueName<'v> {
    fn of(self) -> ValueOf<'v> {
        ValueOf {
            table: self.table,
            key: self.key,
            column: self.column,
        }
    }

    fn no_row(self) -> RowsError {
        RowsError::NoRow {
            table: self.table.to_owned(),
            key: self.key.to_owned(),
        }
    }
}

/// What is known of a value.
///
/// # Errors
/// When there is no such table, column or row; else as for any statement.
pub async fn value_facts(
    plane: &DataPlane,
    guard: &SharedGuard,
    target: &Target,
    name: ValueName<'_>,
) -> Result<ValueFacts, RowsError> {
    let schema = plane
        .schema(guard, target, &options(Access::ReadOnly, 0))
        .await?;
    let sql = name.of().facts(&schema, MOST_HASHED_BYTES)?;
    let answer = ask(
        plane,
        guard,
        target,
        (sql.text, sql.values),
        options(Access::ReadOnly, 4),
    );
    let answer = answer.await?;
    let [Param::Text(kind), size, row, hash] = answer.hidden.as_slice() else {
        return Err(name.no_row());
    };
    let number = |value: &Param| match value {
        Param::Integer(number) => Some(*number),
        _ => None,
    };
    Ok(ValueFacts {
        kind: match kind.as_str() {
            "null" => ValueKind::Null,
            "text" => ValueKind::Text,
            "blob" => ValueKind::Blob,
            _ => ValueKind::Number,
        },
        size: number(size)
            .and_then(|size| u64::try_from(size).ok())
            .unwrap_or(0),
        etag: number(hash).map(|hash| format!("\"v{hash:016x}\"")),
        row: number(row),
    })
}

/// Reads `count` bytes of a value from `first` on.
///
/// # Errors
/// As [`value_facts`]; when the value has changed since.
pub async fn read_value(
    plane: &DataPlane,
    guard: &SharedGuard,
    target: &Target,
    name: ValueName<'_>,
    facts: &ValueFacts,
    (first, count): (u64, u64),
) -> Result<ValueBytes, RowsError> {
    let schema = plane
        .schema(guard, target, &options(Access::ReadOnly, 0))
        .await?;
    let is_bytes = matches!(facts.kind, ValueKind::Text | ValueKind::Blob);
    let table = schema.find(name.table);
    let column = table.and_then(|table| table.column(name.column));
    if let (true, Some(row), Some(table), Some(column)) = (is_bytes, facts.row, table, column)
        && table.kind == crate::data::TableKind::Table
        // SQLite's incremental input takes no table with one.
        && table.columns.iter().all(|column| column.generated.is_none())
    {
        let part = ValuePart {
            place: ValuePlace {
                table: table.name.clone(),
                column: column.name.clone(),
                row,
                size: facts.size,
            },
            first,
            count,
        };
        let read = plane.read_value(guard, target, part, READ_TIME).await?;
        return Ok(match read {
            Streamed::Whole(answer) => ValueBytes::Whole(answer.body),
            Streamed::Rows(pieces) => ValueBytes::Pieces(pieces),
        });
    }
    let sql = name.of().bytes(&schema, first, count)?;
    let answer = ask(
        plane,
        guard,
        target,
        (sql.text, sql.values),
        options(Access::ReadOnly, 1),
    );
    let mut answer = answer.await?;
    match answer.hidden.pop() {
        Some(Param::Blob(bytes)) => {
            let mut held = Held::default();
            held.grow(bytes.len()).map_err(|_| QueryError::NoRoom)?;
            Ok(ValueBytes::Whole(held.keep(bytes)))
        }
        Some(_) => Ok(ValueBytes::Whole(Bytes::new())),
        None => Err(name.no_row()),
    }
}

/// What a value becomes: the bytes of a file.
#[derive(Debug)]
pub struct NewBytes<'f> {
    /// Where they are.
    pub file: &'f Path,
    /// How many.
    pub size: u64,
    /// Whether they are text.
    pub is_text: bool,
    /// Marks of which the value must have one.
    pub if_match: Vec<String>,
}

/// Writes a value, in one transaction. One of more than 4 MiB is written by another process, which
/// `perform` starts; meanwhile other writes to this database wait.
///
/// # Errors
/// As [`value_facts`]; [`RowsError::Changed`] when it has none of the marks.
pub async fn write_value<F>(
    plane: &DataPlane,
    guard: &SharedGuard,
    target: &Target,
    name: ValueName<'_>,
    new: NewBytes<'_>,
    perform: impl FnOnce(ValueOrder) -> F,
) -> Result<(), RowsError>
where
    F: Future<Output = Result<ValueWritten, QueryError>>,
{
    let schema = plane
        .schema(guard, target, &options(Access::ReadOnly, 0))
        .await?;
    let marks = marks(&new.if_match);
    if new.size <= WRITTEN_HERE_BYTES {
        let file = open(new.file).await?;
        return write_whole(plane, guard, target, (&schema, name), (&file, &new), &marks).await;
    }
    if new.size > LARGEST_VALUE_BYTES as u64 {
        return Err(QueryError::PayloadTooLarge {
            what: "the value",
            limit: format!("the {LARGEST_VALUE_BYTES} bytes that SQLite stores"),
        }
        .into());
    }
    let room = match new.is_text {
        // Room is for bytes alone.
        true => None,
        false => name.of().column_with_room(&schema)?,
    };
    let value = match room {
        Some(_) => NewValue::Room,
        None => NewValue::Whole(Param::Null),
    };
    let mut sql = name.of().set(&schema, value, &marks)?;
    // The file takes its place.
    sql.values.remove(0);
    let table = schema
        .find(name.table)
        .map_or(name.table, |table| table.name.as_str());
    let order = ValueOrder {
        folder: plane.folders().living(target.database),
        durability: target.durability,
        size_bytes: target.size_bytes,
        sql: sql.text,
        params: sql.values,
        file: new.file.to_owned(),
        size: new.size,
        way: match room {
            Some(column) => ValueWay::Room {
                table: table.to_owned(),
                column: column.to_owned(),
            },
            None if new.is_text => ValueWay::Text,
            None => ValueWay::Blob,
        },
    };
    let lent = plane.lend_writer(guard, target).await?;
    let written = perform(order).await;
    let taken = tokio::task::spawn_blocking(move || lent.take_back());
    taken.await.map_err(|error| QueryError::Broken {
        reason: error.to_string(),
    })?;
    Err(match written? {
        ValueWritten::Written => return Ok(()),
        ValueWritten::NoRow => return Err(missed(plane, guard, target, name).await),
        ValueWritten::Constraint(message) => QueryError::Constraint { message },
        ValueWritten::Sql(message) => QueryError::Sql {
            message,
            hint: None,
        },
        ValueWritten::Locked => QueryError::Locked,
        ValueWritten::QuotaExceeded => QueryError::QuotaExceeded,
        ValueWritten::DiskFull => QueryError::DiskFull,
        ValueWritten::OutOfMemory => QueryError::Overloaded {
            what: "memory for a value of this size",
        },
        ValueWritten::OutcomeUnknown => QueryError::OutcomeUnknown,
    }
    .into())
}

async fn write_whole(
    plane: &DataPlane,
    guard: &SharedGuard,
    target: &Target,
    (schema, name): (&Schema, ValueName<'_>),
    (file, new): (&Arc<File>, &NewBytes<'_>),
    marks: &[i64],
) -> Result<(), RowsError> {
    let bytes = read(file, 0, new.size).await?;
    let value = match (new.is_text, std::str::from_utf8(&bytes)) {
        (false, _) => Param::Blob(bytes.into()),
        (true, Ok(text)) => Param::Text(text.to_owned()),
        (true, Err(_)) => Param::TextBytes(bytes.into()),
    };
    let sql = name.of().set(schema, NewValue::Whole(value), marks)?;
    let mut options = options(Access::ReadWrite, 0);
    options.timeout = Some(TURN_TIME);
    let written = ask(plane, guard, target, (sql.text, sql.values), options).await?;
    if written.rows_affected == 0 {
        return Err(missed(plane, guard, target, name).await);
    }
    Ok(())
}

/// Why no value was written: there is no such row, or it is not what it was.
async fn missed(
    plane: &DataPlane,
    guard: &SharedGuard,
    target: &Target,
    name: ValueName<'_>,
) -> RowsError {
    match value_facts(plane, guard, target, name).await {
        Ok(_) => RowsError::Changed {
            table: name.table.to_owned(),
            key: name.key.to_owned(),
        },
        Err(error) => error,
    }
}

fn marks(if_match: &[String]) -> Vec<i64> {
    if if_match.iter().any(|mark| mark == "*") {
        return Vec::new();
    }
    let read = |mark: &String| {
        let hash = mark.strip_prefix("\"v")?.strip_suffix('"')?;
        u64::from_str_radix(hash, 16).ok().map(u64::cast_signed)
    };
    // A mark that is of no value fits none.
    if_match
        .iter()
        .map(|mark| read(mark).unwrap_or(0))
        .collect()
}

fn options(access: Access, hidden: u16) -> QueryOptions {
    QueryOptions {
        shape: Shape::Bare(BareColumns {
            hidden,
            ..BareColumns::default()
        }),
        ..QueryOptions::for_access(access)
    }
}

async fn ask(
    plane: &DataPlane,
    guard: &SharedGuard,
    target: &Target,
    (sql, values): (String, Vec<Param>),
    options: QueryOptions,
) -> Result<QueryAnswer, QueryError> {
    let request = QueryRequest {
        sql,
        params: positional(values),
        options,
    };
    plane.query(guard, target, request).await
}

async fn open(path: &Path) -> Result<Arc<File>, RowsError> {
    let path = path.to_owned();
    let opened = tokio::task::spawn_blocking(move || File::open(path)).await;
    let file = opened.map_err(std::io::Error::other).and_then(|file| file);
    file.map(Arc::new).map_err(|error| unreadable(&error))
}

async fn read(file: &Arc<File>, first: u64, count: u64) -> Result<Bytes, RowsError> {
    let file = Arc::clone(file);
    let read = tokio::task::spawn_blocking(move || {
        let count = usize::try_from(count).map_err(std::io::Error::other)?;
        let mut held = Held::default();
        if held.grow(count).is_err() {
            return Ok(None);
        }
        let mut bytes = vec![0; count];
        file.read_exact_at(&mut bytes, first)?;
        Ok(Some(held.keep(bytes)))
    });
    let read = read
        .await
        .map_err(std::io::Error::other)
        .and_then(|read| read);
    let bytes = read.map_err(|error| unreadable(&error))?;
    bytes.ok_or_else(|| QueryError::NoRoom.into())
}

fn unreadable(error: &std::io::Error) -> RowsError {
    let reason = format!("what was sent could not be read again: {error}");
    QueryError::Broken { reason }.into()
}

impl DataPlane {
    async fn read_value(
        &self,
        guard: &SharedGuard,
        target: &Target,
        part: ValuePart,
        time: Duration,
    ) -> Result<Streamed, QueryError> {
        let call = self.turn(Access::ReadOnly, time);
        let call = crate::engine::sql::Call {
            yields_to_writes: true,
            ..call
        };
        let executor = self.executor_of(target)?;
        executor.read_value(guard, target, &call, part).await
    }

    async fn lend_writer(
        &self,
        guard: &SharedGuard,
        target: &Target,
    ) -> Result<LentWriter, QueryError> {
        let call = self.turn(Access::ReadWrite, WRITER_PATIENCE);
        let executor = self.executor_of(target)?;
        executor.lend_writer(guard, target, &call).await
    }

    fn turn(&self, access: Access, time: Duration) -> crate::engine::sql::Call {
        crate::engine::sql::Call {
            deadline: Deadline::after(time),
            timeout: time,
            ..self.call(&options(access, 0))
        }
    }
}

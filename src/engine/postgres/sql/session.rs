//! One connection with what it knows: the statements that are prepared on it.
use super::answer::{ResultColumn, RowWriter};
use super::error::Failure;
use super::text::{Nature, Remains};
use super::values::OwnType;
use super::values::{Types, write_parameter};
use crate::clock::Stopwatch;
use crate::engine::postgres::client::{
    ClientError, Connection, Description, Frame, ServerError, fields, tag,
};
use crate::engine::sql::{Form, ParamRef, Params, QueryAnswer, QueryError, Statement};
use crate::shares::Held;
use bytes::BytesMut;
use postgres_protocol::IsNull;
use postgres_protocol::message::frontend;
use std::collections::HashMap;
use std::sync::Arc;

/// Prepared statements that one connection keeps.
const MOST_PREPARED: usize = 64;

/// The text of a statement that is kept has no more bytes.
const LONGEST_KEPT: usize = 8 << 10;

/// So many bytes of rows of parameters wait to be sent at most.
const OUT_BYTES: usize = 64 << 10;

/// The longest row that is taken, whatever the answer may have.
const LARGEST_ROW: usize = 256 << 20;

/// Brings a session back to what it was, but for its prepared statements.
const RESET: &str = "RESET ALL; RESET SESSION AUTHORIZATION; \
     SELECT pg_catalog.pg_advisory_unlock_all(); UNLISTEN *; CLOSE ALL; DISCARD TEMP; \
     DISCARD SEQUENCES";

/// A connection, and the statements that are prepared on it.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) connection: Connection,
    prepared: HashMap<Arc<str>, Kept>,
    /// Names of statements that are closed with the next message.
    to_close: Vec<String>,
    names: u64,
    uses: u64,
    /// Commands that were sent ahead, whose answers come first.
    ahead: usize,
}

#[derive(Debug)]
struct Kept {
    statement: Arc<Prepared>,
    used: u64,
}

/// A statement that a server has prepared.
#[derive(Debug)]
pub(super) struct Prepared {
    name: String,
    parameters: Vec<OwnType>,
    /// None for one that returns no rows.
    columns: Option<Vec<ResultColumn>>,
}

/// Takes what was written of an answer.
pub(super) trait Outlet {
    /// Called after each row, of whose answer `out` is what was not taken yet.
    fn after_row(
        &mut self,
        out: &mut Vec<u8>,
    ) -> impl Future<Output = Result<(), QueryError>> + Send;

    /// The room that what is left of the answer has.
    fn held(&mut self) -> Held;
}

/// Keeps an answer whole, up to a bound.
#[derive(Debug)]
pub(super) struct WholeAnswer<'f> {
    form: &'f Form,
    held: Held,
}

impl<'f> WholeAnswer<'f> {
    pub(super) fn new(form: &'f Form) -> Self {
        Self {
            form,
            held: Held::default(),
        }
    }
}

impl Outlet for WholeAnswer<'_> {
    async fn after_row(&mut self, out: &mut Vec<u8>) -> Result<(), QueryError> {
        if out.len() > self.form.max_bytes {
            return Err(super::answer::too_many_bytes(self.form));
        }
        self.held.grow(out.len()).map_err(|_| QueryError::NoRoom)
    }

    fn held(&mut self) -> Held {
        std::mem::take(&mut self.held)
    }
}

impl Session {
    pub(super) fn new(connection: Connection) -> Self {
        Self {
            connection,
            prepared: HashMap::new(),
            to_close: Vec::new(),
            names: 0,
            uses: 0,
            ahead: 0,
        }
    }

    /// Forgets what is prepared: the server has forgotten it.
    fn forget_prepared(&mut self) {
        self.prepared.clear();
        self.to_close.clear();
    }

    /// Runs a statement, and writes its answer.
    ///
    /// # Errors
    /// What the server or the bounds say. The connection may be in the middle of it then.
    pub(super) async fn run(
        &mut self,
        statement: &Statement,
        nature: &Nature,
        form: &Form,
        types: &Types,
        outlet: &mut (impl Outlet + Send),
    ) -> Result<QueryAnswer, Failure> {
        let since = Stopwatch::start();
        let prepared = self.prepare(&statement.sql, nature, types).await?;
        let ran = self.execute(&prepared, statement, nature, form, outlet, since);
        match ran.await {
            // Outside of a transaction nothing has happened yet, and it may run again.
            Err(failure) if failure.is_of_an_old_plan() && self.connection.status() == b'I' => {
                self.forget(&statement.sql);
                let prepared = self.prepare(&statement.sql, nature, types).await?;
                self.execute(&prepared, statement, nature, form, outlet, since)
                    .await
            }
            Err(failure) => {
                if failure.is_of_an_old_plan() {
                    self.forget(&statement.sql);
                }
                Err(failure)
            }
            ran => ran,
        }
    }

    fn forget(&mut self, sql: &str) {
        if let Some(kept) = self.prepared.remove(sql) {
            self.to_close.push(kept.statement.name.clone());
        }
    }

    /// A statement as the server has prepared it.
    async fn prepare(
        &mut self,
        sql: &Arc<str>,
        nature: &Nature,
        types: &Types,
    ) -> Result<Arc<Prepared>, Failure> {
        self.uses += 1;
        if let Some(kept) = self.prepared.get_mut(sql) {
            kept.used = self.uses;
            return Ok(Arc::clone(&kept.statement));
        }
        self.names += 1;
        let name = format!("dbforge_{}", self.names);
        let description = self.describe(&name, sql).await?;
        let columns = description.columns.unwrap_or_default();
        let named = columns.iter().map(|column| column.type_oid);
        let wanted: Vec<u32> = named
            .chain(description.parameters.iter().copied())
            .collect();
        self.learn_types(&wanted, types).await?;
        let known = |oid| types.find(oid).unwrap_or_else(OwnType::unknown);
        let statement = Arc::new(Prepared {
            name,
            parameters: description.parameters.into_iter().map(known).collect(),
            columns: (!columns.is_empty()).then(|| {
                let column = columns.into_iter().map(|column| ResultColumn {
                    of: known(column.type_oid),
                    name: column.name,
                });
                column.collect()
            }),
        });
        if sql.len() > LONGEST_KEPT || nature.remains == Remains::Anything {
            self.to_close.push(statement.name.clone());
            return Ok(statement);
        }
        if self.prepared.len() >= MOST_PREPARED {
            let oldest = self.prepared.iter().min_by_key(|(_, kept)| kept.used);
            if let Some(oldest) = oldest.map(|(sql, _)| Arc::clone(sql)) {
                self.forget(&oldest);
            }
        }
        let kept = Kept {
            statement: Arc::clone(&statement),
            used: self.uses,
        };
        self.prepared.insert(Arc::clone(sql), kept);
        Ok(statement)
    }

    async fn describe(&mut self, name: &str, sql: &str) -> Result<Description, Failure> {
        let out = self.connection.out();
        for closed in self.to_close.drain(..) {
            frontend::close(b'S', &closed, out).map_err(ClientError::from)?;
        }
        frontend::parse(name, sql, [], out).map_err(ClientError::from)?;
        frontend::describe(b'S', name, out).map_err(ClientError::from)?;
        self.connection.sync();
        let settled = self.settle().await;
        let mut description = Description::default();
        let mut error = None;
        loop {
            let frame = self.connection.next().await?;
            match frame.tag {
                tag::PARAMETERS => description.parameters = Connection::parameters_of(&frame)?,
                tag::ROW_DESCRIPTION => {
                    description.columns = Some(Connection::columns_of(&frame)?);
                }
                tag::ERROR => error = Some(Connection::error_of(&frame)),
                tag::READY => break,
                _ => {}
            }
        }
        settled?;
        error.map_or(Ok(description), |error| Err(Failure::from(error)))
    }

    /// Asks the server for types that are not known yet.
    async fn learn_types(&mut self, oids: &[u32], types: &Types) -> Result<(), Failure> {
        let unknown: Vec<String> = (oids.iter())
            .filter(|oid| types.find(**oid).is_none())
            .map(u32::to_string)
            .collect();
        if unknown.is_empty() {
            return Ok(());
        }
        // An array is what has elements, and no length.
        let sql = format!(
            "SELECT t.oid, t.typname, CASE WHEN t.typlen OPERATOR(pg_catalog.<) 0 THEN t.typelem \
             ELSE 0 END, t.typdelim FROM pg_catalog.pg_type t \
             WHERE t.oid OPERATOR(pg_catalog.=) ANY ('{{{}}}'::pg_catalog.oid[])",
            unknown.join(",")
        );
        let mut learned = Vec::new();
        self.simple_rows(&sql, |row| {
            let text = |field: Option<&[u8]>| {
                String::from_utf8_lossy(field.unwrap_or_default()).into_owned()
            };
            learned.push(fields(row).map(text).collect::<Vec<_>>());
        })
        .await?;
        for row in learned {
            if let [oid, name, element, between] = row.as_slice()
                && let (Ok(oid), Ok(element)) = (oid.parse(), element.parse())
            {
                let between = between.bytes().next().unwrap_or(b',');
                types.remember(oid, name, (element > 0).then_some((element, between)));
            }
        }
        for oid in oids.iter().filter(|oid| types.find(**oid).is_none()) {
            types.remember_unknown(*oid);
        }
        Ok(())
    }

    async fn execute(
        &mut self,
        prepared: &Prepared,
        statement: &Statement,
        nature: &Nature,
        form: &Form,
        outlet: &mut (impl Outlet + Send),
        since: Stopwatch,
    ) -> Result<QueryAnswer, Failure> {
        let runs = Runs::of(&statement.params, &prepared.parameters)?;
        let columns = prepared.columns.as_deref().unwrap_or_default();
        let mut writer = RowWriter::begin(form, columns, statement.inserts.as_deref())?;
        // What is longer on the way than the answer may be needs not be read: bytes are two digits
        // each there, and one and a third here.
        let largest_row = form.max_bytes.saturating_mul(2).saturating_add(64 << 10);
        self.connection
            .set_largest_row(largest_row.min(LARGEST_ROW));
        // One row more than is wanted tells that there are more.
        let wanted = match nature.only_reads {
            true => i32::try_from(form.max_rows.saturating_add(1)).unwrap_or(0),
            false => 0,
        };
        let (mut sent, mut done, mut is_synced) = (0, 0, false);
        // What was sent ahead goes out with the first of them.
        let mut is_settled = self.ahead == 0;
        let (mut rows_affected, mut error) = (0, None);
        loop {
            while sent < runs.count && error.is_none() && self.connection.out().len() < OUT_BYTES {
                runs.bind(sent, &prepared.name, self.connection.out())?;
                let executed = frontend::execute("", wanted, self.connection.out());
                executed.map_err(ClientError::from)?;
                sent += 1;
            }
            if !is_synced && (sent == runs.count || error.is_some()) {
                self.connection.sync();
                is_synced = true;
            }
            if !std::mem::replace(&mut is_settled, true) {
                self.settle().await?;
            }
            let room = if is_synced { 0 } else { OUT_BYTES / 2 };
            let Some(frame) = self.connection.next_or_room(room).await? else {
                continue;
            };
            match frame.tag {
                tag::DATA_ROW if frame.is_too_large => {
                    return Err(super::answer::too_many_bytes(form).into());
                }
                tag::DATA_ROW if writer.row(frame.body)? => {
                    outlet.after_row(&mut writer.out).await?;
                }
                tag::COMMAND_COMPLETE => {
                    done += 1;
                    rows_affected += affected(&frame);
                }
                tag::SUSPENDED | tag::EMPTY_QUERY => done += 1,
                tag::ERROR => {
                    let said = Connection::error_of(&frame);
                    let is_fatal = said.is_fatal;
                    error.get_or_insert((done, said));
                    if is_fatal {
                        break;
                    }
                }
                tag::COPY_IN | tag::COPY_OUT => return Err(no_copy().into()),
                tag::READY => break,
                _ => {}
            }
        }
        match error {
            Some((_, error)) if error.is_fatal => {
                Err(Failure::Connection(ClientError::Refused(Box::new(error))))
            }
            Some((row, error)) if runs.is_list() => Err(Failure::Row(row, Box::new(error))),
            Some((_, error)) => Err(Failure::from(error)),
            None => Ok(writer.finish(outlet.held(), rows_affected, since.elapsed())),
        }
    }

    /// Sends a command with the next statement, which waits for its answer.
    ///
    /// # Errors
    /// When its text cannot be sent.
    pub(super) fn ahead(&mut self, sql: &str) -> Result<(), Failure> {
        self.connection.simple(sql)?;
        self.ahead += 1;
        Ok(())
    }

    /// Waits for the answers to what was sent ahead.
    async fn settle(&mut self) -> Result<(), Failure> {
        let mut error = None;
        while self.ahead > 0 {
            let frame = self.connection.next().await?;
            match frame.tag {
                tag::ERROR => error = Some(Connection::error_of(&frame)),
                tag::READY => self.ahead -= 1,
                _ => {}
            }
        }
        error.map_or(Ok(()), |error| Err(Failure::from(error)))
    }

    /// Runs a command that returns nothing.
    ///
    /// # Errors
    /// What the server says.
    pub(super) async fn command(&mut self, sql: &str) -> Result<(), Failure> {
        self.simple_rows(sql, |_| {}).await
    }

    /// Runs a statement of the gateway's own, and gives each row to `row`.
    ///
    /// # Errors
    /// What the server says.
    pub(super) async fn simple_rows(
        &mut self,
        sql: &str,
        mut row: impl FnMut(&[u8]) + Send,
    ) -> Result<(), Failure> {
        self.connection.simple(sql)?;
        self.connection.set_largest_row(LARGEST_ROW);
        self.settle().await?;
        let mut error: Option<ServerError> = None;
        loop {
            let frame = self.connection.next().await?;
            match frame.tag {
                tag::DATA_ROW if !frame.is_too_large => row(frame.body),
                tag::ERROR => {
                    let said = Connection::error_of(&frame);
                    if said.is_fatal {
                        return Err(Failure::Connection(ClientError::Refused(Box::new(said))));
                    }
                    error = Some(said);
                }
                tag::READY => break,
                _ => {}
            }
        }
        error.map_or(Ok(()), |error| Err(Failure::from(error)))
    }

    /// Passes over what is left of the answers to what was sent.
    ///
    /// # Errors
    /// When the connection ends.
    pub(super) async fn drain(&mut self) -> Result<(), ClientError> {
        self.connection.set_largest_row(0);
        self.ahead = 0;
        while self.connection.is_busy() {
            let frame = self.connection.next().await?;
            if frame.tag == tag::COPY_IN {
                return Err(ClientError::Protocol("it wants to be sent a file"));
            }
            if frame.tag == tag::ERROR && Connection::error_of(&frame).is_fatal {
                return Err(ClientError::Protocol("it has ended"));
            }
        }
        Ok(())
    }

    /// Brings it back to what it was when it was new.
    ///
    /// # Errors
    /// When that fails: it is of no use any more.
    pub(super) async fn reset(&mut self, remains: Remains) -> Result<(), Failure> {
        if self.connection.status() != b'I' {
            self.command("ROLLBACK").await?;
        }
        match remains {
            Remains::Nothing => Ok(()),
            Remains::Settings => self.command(RESET).await,
            Remains::Anything => {
                self.forget_prepared();
                self.command("DISCARD ALL").await
            }
        }
    }
}

/// COPY has no place in an answer.
pub(super) fn no_copy() -> QueryError {
    QueryError::NotAllowed {
        what: "COPY; import and export go through POST /v1/databases/{db}/import and …/export"
            .to_owned(),
    }
}

/// How many rows a command says that it has changed.
fn affected(frame: &Frame<'_>) -> u64 {
    let text = str::from_utf8(frame.body).unwrap_or_default();
    let mut words = text.trim_end_matches('\0').split(' ');
    match words.next() {
        Some("INSERT" | "UPDATE" | "DELETE" | "MERGE") => words
            .next_back()
            .and_then(|count| count.parse().ok())
            .unwrap_or(0),
        _ => 0,
    }
}

/// The values of a statement's parameters: of one run of it, or of each of many.
struct Runs<'s> {
    params: &'s Params,
    types: &'s [OwnType],
    count: usize,
}

impl<'s> Runs<'s> {
    /// Of values that fit the statement.
    fn of(params: &'s Params, types: &'s [OwnType]) -> Result<Self, QueryError> {
        let is_named = match params {
            Params::Named(_) => true,
            Params::List(list) => list.names().is_some(),
            Params::None | Params::Positional(_) => false,
        };
        if is_named {
            return Err(QueryError::ParameterMismatch {
                message: "parameters have numbers on this engine, and no names: write $1, $2 and \
                          give the values as a list"
                    .to_owned(),
            });
        }
        if params.len() != types.len() {
            let (wanted, given) = (types.len(), params.len());
            return Err(QueryError::ParameterMismatch {
                message: format!("the statement has {wanted} parameters, but {given} were given"),
            });
        }
        let count = match params {
            Params::List(list) => list.rows(),
            _ => 1,
        };
        let runs = Self {
            params,
            types,
            count,
        };
        // Before the first one is sent: what was sent is kept once it is through.
        let mut scratch = Vec::new();
        for run in 0..count {
            for (place, value) in runs.values(run).enumerate() {
                scratch.clear();
                if let ParamRef::Blob(_) = value {
                    let fits = write_parameter(&mut scratch, value, &types[place]);
                    fits.map_err(|fault| runs.misfit(run, place, fault.what()))?;
                }
            }
        }
        Ok(runs)
    }

    fn is_list(&self) -> bool {
        matches!(self.params, Params::List(_))
    }

    fn misfit(&self, run: usize, place: usize, what: &str) -> QueryError {
        let (number, name) = (place + 1, &self.types[place].name);
        let error = QueryError::ParameterMismatch {
            message: format!("the parameter ${number} is of type {name}, which is not {what}"),
        };
        match self.is_list() {
            true => QueryError::InRow {
                index: run,
                error: Box::new(error),
            },
            false => error,
        }
    }

    fn values(&self, run: usize) -> Box<dyn Iterator<Item = ParamRef<'s>> + Send + 's> {
        match self.params {
            Params::List(list) => Box::new(list.row(run)),
            Params::Positional(values) => Box::new(values.iter().map(|value| value.borrowed())),
            Params::None | Params::Named(_) => Box::new(std::iter::empty()),
        }
    }

    /// Gives the values of a run to the statement of this name.
    fn bind(&self, run: usize, name: &str, out: &mut BytesMut) -> Result<(), Failure> {
        let mut text = Vec::new();
        let write = |(place, value): (usize, ParamRef<'_>), out: &mut BytesMut| {
            text.clear();
            let written = write_parameter(&mut text, value, &self.types[place]);
            out.extend_from_slice(&text);
            Ok(match written {
                Ok(true) => IsNull::No,
                // Values that do not fit were refused before.
                Ok(false) | Err(_) => IsNull::Yes,
            })
        };
        let values = self.values(run).enumerate();
        let bound = frontend::bind("", name, None, values, write, None, out);
        bound.map_err(|_| {
            QueryError::PayloadTooLarge {
                what: "the parameters of the statement",
                limit: format!("{} values", i16::MAX),
            }
            .into()
        })
    }
}

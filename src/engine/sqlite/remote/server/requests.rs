//! Connections on which many requests are under way.
use super::replies::Replies;
use super::served::Served;
use crate::engine::sql::{BatchError, QueryAnswer, QueryError, Statement};
use crate::engine::sqlite::remote::wire::frame::{Frame, malformed};
use crate::engine::sqlite::remote::wire::line::{Heard, Line};
use crate::engine::sqlite::remote::wire::messages::{Heading, Said, Wanted, failed};
use crate::engine::sqlite::remote::wire::values::{SaidAnswer, SaidStatement};
use crate::locks::Mutex;
use bytes::Bytes;
use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use tokio::task::AbortHandle;

/// More requests at a time than a gateway has under way.
const MOST_REQUESTS: usize = 16_384;

/// Requests that are being worked on.
#[derive(Debug, Default)]
struct AtWork(Mutex<HashMap<u32, AbortHandle>>);

/// Answers requests until the connection ends; then all that are under way are cancelled.
pub(super) async fn answer(served: Arc<Served>, line: Line) {
    let (heard, writes) = line.into_halves();
    let replies = Arc::new(Replies::default());
    {
        let mut all = served.replies.lock();
        all.retain(|replies| replies.strong_count() > 0);
        all.push(Arc::downgrade(&replies));
    }
    let at_work = Arc::new(AtWork::default());
    let heard = hear(&served, heard, &replies, &at_work);
    tokio::select! {
        heard = heard => {
            if let Err(error) = heard {
                tracing::debug!(%error, "a connection of the gateway ended");
            }
        }
        _ = replies.send(writes) => {}
    }
    for (_, work) in at_work.0.lock().drain() {
        work.abort();
    }
}

async fn hear(
    served: &Arc<Served>,
    mut heard: Heard,
    replies: &Arc<Replies>,
    at_work: &Arc<AtWork>,
) -> io::Result<()> {
    loop {
        let frame = heard.next().await?;
        let number = frame.number;
        if matches!(frame.read()?, Wanted::Cancel) {
            if let Some(work) = at_work.0.lock().remove(&number) {
                work.abort();
            }
            continue;
        }
        let mut all = at_work.0.lock();
        if all.len() >= MOST_REQUESTS || all.contains_key(&number) {
            return Err(malformed("too many requests, or a number twice".to_owned()));
        }
        let (served, replies) = (Arc::clone(served), Arc::clone(replies));
        let of_it = Arc::clone(at_work);
        let work = tokio::spawn(async move {
            served.reply(&frame, &replies).await;
            of_it.0.lock().remove(&number);
        });
        all.insert(number, work.abort_handle());
    }
}

impl Served {
    async fn reply(&self, frame: &Frame, replies: &Replies) {
        let number = frame.number;
        let wanted = match frame.read() {
            Ok(wanted) => wanted,
            Err(error) => return replies.say(number, &failed(broken(&error)), &[]),
        };
        match wanted {
            Wanted::Query(heading, statement) => {
                let answer = self.query(&heading, statement).await;
                say_answers(
                    replies,
                    number,
                    answer.map(|it| vec![it]).map_err(Into::into),
                );
            }
            Wanted::Batch(heading, mode, statements) => {
                let answers = async {
                    let statements = owned(statements)?;
                    let (guard, target, call) = self.enter(&heading).await?;
                    let batch = self
                        .executor
                        .batch(&guard, &target, &call, statements, mode);
                    batch.await
                };
                let answers = self.for_caller(&heading, answers).await;
                say_answers(replies, number, answers);
            }
            Wanted::Schema(heading, known) => {
                let schema = async {
                    let (guard, target, call) = self.enter(&heading).await?;
                    self.executor.schema(&guard, &target, &call).await
                };
                let said = match self.for_caller(&heading, schema).await {
                    Ok(schema) if schema.version == known => Said::Schema(known, None),
                    Ok(schema) => Said::Schema(schema.version, Some(schema.tables.clone())),
                    Err(error) => failed(error),
                };
                replies.say(number, &said, &[]);
            }
            Wanted::Migrate(heading, migration) => {
                let migrated = async {
                    let (guard, target, call) = self.enter(&heading).await?;
                    let migrated = self.executor.migrate(&guard, &target, &call, migration);
                    migrated.await
                };
                let migrated = self.for_caller(&heading, migrated).await;
                replies.say(number, &Said::Migrated(migrated), &[]);
            }
            Wanted::ChangeTable(heading, command) => {
                let changed = async {
                    let (guard, target, call) = self.enter(&heading).await?;
                    let changed = self.executor.change_table(&guard, &target, &call, command);
                    changed.await
                };
                let changed = self.for_caller(&heading, changed).await;
                replies.say(number, &Said::TableChanged(changed), &[]);
            }
            Wanted::SuggestIndexes(heading, sql) => {
                let suggested = async {
                    let (guard, target, call) = self.enter(&heading).await?;
                    let schema = self.executor.schema(&guard, &target, &call).await?;
                    let executor = &self.executor;
                    let sql = sql.into();
                    let suggested = executor.suggest_indexes(&guard, &target, &call, schema, sql);
                    suggested.await
                };
                let said = match self.for_caller(&heading, suggested).await {
                    Ok(statements) => Said::Suggested(statements),
                    Err(error) => failed(error),
                };
                replies.say(number, &said, &[]);
            }
            _ => replies.say(number, &failed(not_here()), &[]),
        }
    }

    async fn query(
        &self,
        heading: &Heading,
        statement: SaidStatement<'_>,
    ) -> Result<QueryAnswer, QueryError> {
        let statement = statement.owned().map_err(|error| broken(&error))?;
        let answer = async {
            let (guard, target, call) = self.enter(heading).await?;
            self.executor.query(&guard, &target, &call, statement).await
        };
        self.for_caller(heading, answer).await
    }
}

fn say_answers(replies: &Replies, number: u32, answers: Result<Vec<QueryAnswer>, BatchError>) {
    match answers {
        Ok(answers) => {
            let bodies: Vec<Bytes> = answers.iter().map(|it| it.body.clone()).collect();
            let said = answers.iter().map(SaidAnswer::from).collect();
            replies.say(number, &Said::Answers(said), &bodies);
        }
        Err(failure) => replies.say(number, &Said::Failed(failure), &[]),
    }
}

/// Statements in memory of their own.
pub(super) fn owned(said: Vec<SaidStatement<'_>>) -> Result<Vec<Statement>, QueryError> {
    let owned = said.into_iter().map(SaidStatement::owned);
    owned
        .collect::<io::Result<_>>()
        .map_err(|error| broken(&error))
}

pub(super) fn broken(error: &io::Error) -> QueryError {
    QueryError::Broken {
        reason: format!("the gateway said something unexpected: {error}"),
    }
}

pub(super) fn not_here() -> QueryError {
    QueryError::Broken {
        reason: "the gateway asked for this on another kind of connection".to_owned(),
    }
}

//! A transaction of several requests: it has a connection, and ends with it.
use super::requests::{not_here, owned};
use super::served::{LOOK, Served};
use crate::clock::Deadline;
use crate::engine::sql::{
    QueryAnswer, TransactionBatchError, TransactionEnd, TransactionError, TransactionMode,
    TransactionPlace,
};
use crate::engine::sqlite::SqliteTransaction;
use crate::engine::sqlite::remote::wire::frame::Frame;
use crate::engine::sqlite::remote::wire::line::Line;
use crate::engine::sqlite::remote::wire::messages::{Heading, Said, Wanted};
use crate::engine::sqlite::remote::wire::values::SaidAnswer;
use crate::locks::Mutex;
use bytes::Bytes;
use std::io;
use std::sync::Arc;
use tokio::sync::Notify;

/// What the transaction tells of its end.
#[derive(Debug, Default)]
struct End {
    end: Mutex<Option<TransactionEnd>>,
    has_come: Notify,
}

impl TransactionPlace for End {
    fn end(&self, end: TransactionEnd) {
        self.end.lock().get_or_insert(end);
        self.has_come.notify_one();
    }
}

impl End {
    fn get(&self) -> Option<TransactionEnd> {
        *self.end.lock()
    }
}

/// Begins one, and answers what is asked in it until it is over or the connection is.
pub(super) async fn hold(
    served: &Served,
    heading: &Heading,
    mode: TransactionMode,
    line: &mut Line,
) -> io::Result<()> {
    let end = Arc::new(End::default());
    let place: Arc<dyn TransactionPlace> = Arc::<End>::clone(&end);
    let begun = async {
        let (guard, target, call) = served.enter(heading).await?;
        let begun = served.executor.begin(&guard, &target, &call, mode, place);
        begun.await
    };
    let begun = tokio::select! {
        begun = served.for_caller(heading, begun) => begun,
        () = line.is_gone() => return Ok(()),
    };
    let transaction = match begun {
        Ok(transaction) => transaction,
        Err(error) => {
            let ended = None;
            let result = Err(error);
            return line.say(1, &Said::Over { result, ended }, &[]).await;
        }
    };
    let held = go_on(served, &transaction, &end, line).await;
    // What was not committed is rolled back.
    transaction.end(end.get().unwrap_or(TransactionEnd::Broken));
    held
}

async fn go_on(
    served: &Served,
    transaction: &Arc<SqliteTransaction>,
    end: &End,
    line: &mut Line,
) -> io::Result<()> {
    line.say(1, &Said::Begun, &[]).await?;
    let mut is_too_old = false;
    loop {
        let frame = tokio::select! {
            frame = line.hear() => frame?,
            () = end.has_come.notified() => {
                return match end.get() {
                    Some(end) => line.say(1, &Said::Ended(end), &[]).await,
                    None => continue,
                };
            }
            () = tokio::time::sleep(LOOK), if !is_too_old => {
                if transaction.is_too_old() {
                    is_too_old = true;
                    line.say(1, &Said::TooOld, &[]).await?;
                }
                continue;
            }
        };
        if answer(served, transaction, end, line, &frame).await? {
            return Ok(());
        }
    }
}

/// Answers one request. Returns whether the transaction is over.
async fn answer(
    served: &Served,
    transaction: &Arc<SqliteTransaction>,
    end: &End,
    line: &mut Line,
    frame: &Frame,
) -> io::Result<bool> {
    match frame.read()? {
        Wanted::Run(heading, together, statements) => {
            let run = async {
                let statements = owned(statements)?;
                transaction.run(&heading.call(), statements, together).await
            };
            let answers = tokio::select! {
                answers = served.for_caller(&heading, run) => answers,
                // The statement is cancelled with its future, and the transaction ends with it.
                () = line.is_gone() => return Ok(true),
            };
            say_ran(line, answers, end.get()).await?;
        }
        Wanted::Commit => {
            let result = transaction.commit().await;
            let ended = end.get();
            line.say(1, &Said::Over { result, ended }, &[]).await?;
        }
        Wanted::RollBack(patience) => {
            let result = transaction.roll_back(Deadline::after(patience)).await;
            let ended = end.get();
            line.say(1, &Said::Over { result, ended }, &[]).await?;
        }
        _ => {
            let result = Err(TransactionError::Query(not_here()));
            let ended = end.get();
            line.say(1, &Said::Over { result, ended }, &[]).await?;
        }
    }
    Ok(end.get().is_some())
}

async fn say_ran(
    line: &mut Line,
    answers: Result<Vec<QueryAnswer>, TransactionBatchError>,
    ended: Option<TransactionEnd>,
) -> io::Result<()> {
    match answers {
        Ok(answers) => {
            let bodies: Vec<Bytes> = answers.iter().map(|it| it.body.clone()).collect();
            let said = Said::Ran {
                answers: Ok(answers.iter().map(SaidAnswer::from).collect()),
                ended,
            };
            line.say(1, &said, &bodies).await
        }
        Err(failure) => {
            let answers = Err(failure);
            line.say(1, &Said::Ran { answers, ended }, &[]).await
        }
    }
}

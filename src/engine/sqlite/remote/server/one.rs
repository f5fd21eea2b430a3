//! Connections that are for one thing: a stream, a transaction, a snapshot, a close.
use super::requests::{broken, not_here};
use super::served::{LOOK, Served};
use super::session;
use crate::clock::Deadline;
use crate::engine::sql::{QueryAnswer, QueryError, RowStream, Streamed};
use crate::engine::sqlite::remote::wire::line::Line;
use crate::engine::sqlite::remote::wire::messages::{Heading, Said, Wanted, failed};
use crate::engine::sqlite::remote::wire::values::SaidAnswer;
use std::io;
use std::time::Duration;

/// Does the one thing.
pub(super) async fn answer(served: &Served, mut line: Line) {
    let Ok(frame) = line.hear().await else {
        return;
    };
    let done = match frame.read() {
        Ok(Wanted::Stream(heading, rows, statement)) => {
            let streamed = async {
                let statement = statement.owned().map_err(|error| broken(&error))?;
                let (guard, target, call) = served.enter(&heading).await?;
                let executor = &served.executor;
                let streamed = executor.stream(&guard, &target, &call, &rows, statement);
                streamed.await
            };
            stream(served, &heading, &mut line, streamed).await
        }
        Ok(Wanted::ReadValue(heading, part)) => {
            let streamed = async {
                let (guard, target, call) = served.enter(&heading).await?;
                let streamed = served.executor.read_value(&guard, &target, &call, part);
                streamed.await
            };
            stream(served, &heading, &mut line, streamed).await
        }
        Ok(Wanted::Begin(heading, mode)) => session::hold(served, &heading, mode, &mut line).await,
        Ok(Wanted::HoldSnapshot(heading)) => hold_snapshot(served, &heading, &mut line).await,
        Ok(Wanted::Close(patience)) => close(served, patience, &mut line).await,
        Ok(_) => line.say(1, &failed(not_here()), &[]).await,
        Err(error) => line.say(1, &failed(broken(&error)), &[]).await,
    };
    if let Err(error) = done {
        tracing::debug!(%error, "a connection of the gateway ended");
    }
}

async fn stream(
    served: &Served,
    heading: &Heading,
    line: &mut Line,
    streamed: impl Future<Output = Result<Streamed, QueryError>>,
) -> io::Result<()> {
    let streamed = served.for_caller(heading, streamed);
    let streamed = tokio::select! {
        streamed = streamed => streamed,
        // The statement is cancelled with its future.
        () = line.is_gone() => return Ok(()),
    };
    match streamed {
        Ok(Streamed::Whole(answer)) => say_whole(line, &answer).await,
        Ok(Streamed::Rows(rows)) => served.for_caller(heading, send(line, rows)).await,
        Err(error) => line.say(1, &failed(error), &[]).await,
    }
}

async fn say_whole(line: &mut Line, answer: &QueryAnswer) -> io::Result<()> {
    let said = Said::Answers(vec![SaidAnswer::from(answer)]);
    let body = [answer.body.clone()];
    line.say(1, &said, &body).await
}

async fn send(line: &mut Line, mut rows: RowStream) -> io::Result<()> {
    line.say(1, &Said::Rows, &[]).await?;
    loop {
        let next = tokio::select! {
            next = rows.next() => next,
            () = line.is_gone() => return Ok(()),
        };
        match next {
            Some(Ok(piece)) => line.say(1, &Said::Piece, &[piece]).await?,
            Some(Err(error)) => return line.say(1, &failed(error), &[]).await,
            None => return line.say(1, &Said::End, &[]).await,
        }
    }
}

/// Counts a reader in another process for as long as the connection is there.
async fn hold_snapshot(served: &Served, heading: &Heading, line: &mut Line) -> io::Result<()> {
    let entered = served.enter(heading).await;
    let held = entered.and_then(|(guard, target, _)| {
        let held = served.executor.hold_snapshot(&guard, &target)?;
        Ok((held, guard))
    });
    let Ok((held, _guard)) = held else {
        return Ok(());
    };
    while !held.has_to_end() {
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = line.is_gone() => return Ok(()),
        }
    }
    line.say(1, &Said::TooOld, &[]).await?;
    line.is_gone().await;
    Ok(())
}

async fn close(served: &Served, patience: Duration, line: &mut Line) -> io::Result<()> {
    let deadline = Deadline::after(patience);
    let closed = match served.locks.take(served.database, deadline).await {
        Ok(guard) => {
            let closed = served.executor.close(served.database).await;
            drop(guard);
            closed.is_ok()
        }
        Err(_) => false,
    };
    let said = match closed {
        true => Said::Done,
        false => failed(QueryError::Locked),
    };
    line.say(1, &said, &[]).await
}

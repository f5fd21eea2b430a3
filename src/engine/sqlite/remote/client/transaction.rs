//! A transaction of several requests in a worker. It has a connection, and ends with it.
use super::link::Unanswered;
use super::remote::{LATE, Remote, broken, unanswered, unexpected};
use crate::clock::Deadline;
use crate::engine::access_lock::SharedGuard;
use crate::engine::sql::{
    Call, QueryAnswer, QueryError, SqlTransaction, Statement, Target, TransactionBatchError,
    TransactionEnd, TransactionError, TransactionMode, TransactionPlace,
};
use crate::engine::sqlite::batch::split_script;
use crate::engine::sqlite::remote::wire::frame::Frame;
use crate::engine::sqlite::remote::wire::line::Line;
use crate::engine::sqlite::remote::wire::messages::{Heading, Purpose, Said, Wanted};
use crate::engine::sqlite::remote::wire::values::{SaidStatement, with_bodies};
use crate::shares;
use async_trait::async_trait;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// A commit that takes longer than this has a disk that does not answer.
const COMMIT_PATIENCE: Duration = Duration::from_secs(10);

/// A transaction in a worker. Its requests run one after another.
#[derive(Debug)]
pub(super) struct RemoteTransaction {
    target: Target,
    requests: mpsc::UnboundedSender<Request>,
    is_too_old: Arc<AtomicBool>,
}

/// What its task is asked.
#[derive(Debug)]
enum Request {
    Run(Box<Run>),
    Commit(oneshot::Sender<Result<(), TransactionError>>),
    RollBack(Deadline, oneshot::Sender<Result<(), TransactionError>>),
    /// It has ended otherwise.
    LetGo,
}

/// Statements of one request.
#[derive(Debug)]
struct Run {
    call: Call,
    heading: Heading,
    statements: Vec<Statement>,
    together: bool,
    answer: oneshot::Sender<Result<Vec<QueryAnswer>, TransactionBatchError>>,
}

/// The task that has the connection.
struct Holder {
    line: Line,
    place: Arc<dyn TransactionPlace>,
    is_too_old: Arc<AtomicBool>,
    /// The files are not moved while it is open.
    _guard: SharedGuard,
}

/// Begins one.
pub(super) async fn begin(
    remote: &Remote,
    guard: &SharedGuard,
    target: &Target,
    call: &Call,
    mode: TransactionMode,
    place: Arc<dyn TransactionPlace>,
) -> Result<RemoteTransaction, TransactionError> {
    let heading = Heading::of(shares::holder(), target, call);
    let lost = |_| unanswered(Unanswered::Lost, false);
    let mut line = remote.line(Purpose::One, call.deadline).await?;
    let asked = async {
        let wanted = Wanted::Begin(heading, mode);
        line.say(1, &wanted, &[]).await.map_err(lost)?;
        line.hear().await.map_err(lost)
    };
    let last = call.deadline.extended(LATE).instant();
    let frame = shares::waiting(tokio::time::timeout_at(last, asked)).await;
    let frame = frame.map_err(|_| QueryError::timeout(call.timeout))??;
    match frame.read().map_err(broken)? {
        Said::Begun => {}
        Said::Over {
            result: Err(error), ..
        } => return Err(error),
        _ => return Err(unexpected().into()),
    }
    let is_too_old = Arc::new(AtomicBool::new(false));
    let (requests, asked) = mpsc::unbounded_channel();
    let holder = Holder {
        line,
        place,
        is_too_old: Arc::clone(&is_too_old),
        _guard: guard.clone(),
    };
    tokio::spawn(holder.hold(asked));
    Ok(RemoteTransaction {
        target: *target,
        requests,
        is_too_old,
    })
}

#[async_trait]
impl SqlTransaction for RemoteTransaction {
    async fn run(
        &self,
        call: &Call,
        statements: Vec<Statement>,
        together: bool,
    ) -> Result<Vec<QueryAnswer>, TransactionBatchError> {
        let (answer, answered) = oneshot::channel();
        let asked = Request::Run(Box::new(Run {
            call: *call,
            heading: Heading::of(shares::holder(), &self.target, call),
            statements,
            together,
            answer,
        }));
        let over = || TransactionError::Ended(TransactionEnd::Broken);
        self.requests.send(asked).map_err(|_| over())?;
        shares::running(answered).await.map_err(|_| over())?
    }

    async fn split(&self, script: &str, most: usize) -> Result<Vec<Range<usize>>, QueryError> {
        split_script(script, most).await
    }

    async fn commit(&self) -> Result<(), TransactionError> {
        let (answer, answered) = oneshot::channel();
        let over = || TransactionError::Ended(TransactionEnd::Broken);
        self.requests
            .send(Request::Commit(answer))
            .map_err(|_| over())?;
        answered.await.map_err(|_| over())?
    }

    async fn roll_back(&self, deadline: Deadline) -> Result<(), TransactionError> {
        let (answer, answered) = oneshot::channel();
        let over = || TransactionError::Ended(TransactionEnd::Broken);
        let asked = Request::RollBack(deadline, answer);
        self.requests.send(asked).map_err(|_| over())?;
        answered.await.map_err(|_| over())?
    }

    fn end(&self, _: TransactionEnd) {
        self.discard();
    }

    fn discard(&self) {
        let _ = self.requests.send(Request::LetGo);
    }

    fn is_too_old(&self) -> bool {
        self.is_too_old.load(Ordering::Acquire)
    }
}

impl Holder {
    /// Until it is over. The connection is closed then, and the worker rolls back what is left.
    async fn hold(mut self, mut requests: mpsc::UnboundedReceiver<Request>) {
        let mut end = None;
        while end.is_none() {
            end = tokio::select! {
                request = requests.recv() => match request {
                    Some(request) => self.answer(request).await,
                    None => return,
                },
                frame = self.line.hear() => match frame {
                    Ok(frame) => self.hear(&frame),
                    Err(_) => Some(TransactionEnd::Broken),
                },
            };
        }
        if let Some(end) = end {
            // A transaction that was let go has ended as it was told.
            self.place.end(end);
        }
    }

    /// What comes without having been asked for. Returns how it ended, where it has.
    fn hear(&self, frame: &Frame) -> Option<TransactionEnd> {
        match frame.read() {
            Ok(Said::TooOld) => {
                self.is_too_old.store(true, Ordering::Release);
                None
            }
            Ok(Said::Ended(end)) => Some(end),
            _ => Some(TransactionEnd::Broken),
        }
    }

    async fn answer(&mut self, request: Request) -> Option<TransactionEnd> {
        match request {
            Request::Run(run) => {
                let Run {
                    call,
                    heading,
                    statements,
                    together,
                    mut answer,
                } = *run;
                let said = statements.iter().map(SaidStatement::from).collect();
                let wanted = Wanted::Run(heading, together, said);
                let last = call.deadline.extended(LATE);
                let frame = tokio::select! {
                    frame = self.ask(&wanted, last) => frame,
                    // Its client went away: the worker ends it with the statement.
                    () = answer.closed() => return Some(TransactionEnd::Broken),
                };
                let (result, end) = match frame {
                    Ok(frame) => ran(&frame),
                    Err(_) => {
                        let error = match last.has_passed() || call.deadline.has_passed() {
                            true => QueryError::timeout(call.timeout),
                            false => unanswered(Unanswered::Lost, false),
                        };
                        (
                            Err(TransactionError::RolledBack(error).into()),
                            Some(TransactionEnd::Broken),
                        )
                    }
                };
                self.tell(end);
                let _ = answer.send(result);
                end
            }
            Request::Commit(answer) => {
                let last = Deadline::after(COMMIT_PATIENCE).extended(LATE);
                let frame = self.ask(&Wanted::Commit, last).await;
                let unknown = TransactionError::RolledBack(QueryError::Lost);
                let (result, end) = over(frame, unknown);
                self.tell(end);
                let _ = answer.send(result);
                end
            }
            Request::RollBack(deadline, answer) => {
                let wanted = Wanted::RollBack(deadline.remaining());
                let frame = self.ask(&wanted, deadline.extended(LATE)).await;
                let lost = TransactionError::Ended(TransactionEnd::RolledBack);
                let (result, end) = match over(frame, lost) {
                    // Without its connection it is rolled back in any case.
                    (Err(TransactionError::Ended(TransactionEnd::RolledBack)), _) => {
                        (Ok(()), Some(TransactionEnd::RolledBack))
                    }
                    other => other,
                };
                self.tell(end);
                let _ = answer.send(result);
                end
            }
            Request::LetGo => Some(TransactionEnd::RolledBack),
        }
    }

    /// Tells that it is over before the request is answered: a request behind it finds it so.
    fn tell(&self, end: Option<TransactionEnd>) {
        if let Some(end) = end {
            self.place.end(end);
        }
    }

    /// Says something, and waits for what answers it.
    async fn ask(&mut self, wanted: &Wanted<'_>, last: Deadline) -> io::Result<Frame> {
        let asked = async {
            self.line.say(1, wanted, &[]).await?;
            loop {
                let frame = self.line.hear().await?;
                match frame.read()? {
                    Said::TooOld => self.is_too_old.store(true, Ordering::Release),
                    _ => return Ok(frame),
                }
            }
        };
        let answered = tokio::time::timeout_at(last.instant(), asked).await;
        answered.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }
}

type Ran = (
    Result<Vec<QueryAnswer>, TransactionBatchError>,
    Option<TransactionEnd>,
);

fn ran(frame: &Frame) -> Ran {
    let broken_off = |error: QueryError| {
        let failure = TransactionError::RolledBack(error).into();
        (Err(failure), Some(TransactionEnd::Broken))
    };
    match frame.read() {
        Ok(Said::Ran { answers, ended }) => {
            let answers = match answers {
                Ok(answers) => match with_bodies(answers, frame.body.clone()) {
                    Ok(answers) => Ok(answers),
                    Err(error) => return broken_off(broken(error)),
                },
                Err(failure) => Err(failure),
            };
            (answers, ended)
        }
        Ok(Said::Ended(end)) => (Err(TransactionError::Ended(end).into()), Some(end)),
        Ok(_) => broken_off(unexpected()),
        Err(error) => broken_off(broken(error)),
    }
}

/// How a commit or rollback ended; `lost`: what is told where the worker does not say.
fn over(
    frame: io::Result<Frame>,
    lost: TransactionError,
) -> (Result<(), TransactionError>, Option<TransactionEnd>) {
    let Ok(frame) = frame else {
        return (Err(lost), Some(TransactionEnd::Broken));
    };
    match frame.read() {
        Ok(Said::Over { result, ended }) => (result, ended),
        Ok(Said::Ended(end)) => (Err(TransactionError::Ended(end)), Some(end)),
        _ => (Err(lost), Some(TransactionEnd::Broken)),
    }
}

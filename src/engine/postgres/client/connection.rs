//! One connection to a server: signing in, sending, and what comes back.
use super::frames::{self, Cut, Frame, HEAD_BYTES, ServerColumn};
use super::server_error::ServerError;
use super::tag;
use crate::shares::Held;
use bytes::{Buf as _, BytesMut};
use postgres_protocol::authentication::sasl::{ChannelBinding, ScramSha256};
use postgres_protocol::message::backend::Message;
use postgres_protocol::message::frontend;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, openat, statat};
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use tokio::io::{AsyncWriteExt as _, Interest};
use tokio::net::UnixStream;

/// The socket in the folder that a server listens in.
const SOCKET: &str = ".s.PGSQL.5432";

/// Room for what is read at once.
const READ_BYTES: usize = 16 << 10;

/// A buffer that a long row has left is not kept from here on.
const KEPT_BYTES: usize = 256 << 10;

/// A row that is longer has its room in memory counted.
const COUNTED_BYTES: usize = 64 << 10;

/// Most bytes before the server is ready for the first time.
const GREETING_BYTES: usize = 64 << 10;

/// How a connection signs in.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Login<'l> {
    pub(in super::super) role: &'l str,
    pub(in super::super) secret: &'l str,
    pub(in super::super) database: &'l str,
    /// Settings of the session, to which `RESET ALL` comes back.
    pub(in super::super) settings: &'l [(&'l str, &'l str)],
}

/// Why a connection is of no use any more.
#[derive(Debug, thiserror::Error)]
pub(in super::super) enum ClientError {
    /// The server does not let it in.
    #[error("the server refuses the connection: {}", .0.message)]
    Refused(Box<ServerError>),
    /// Nothing listens, or what did has gone.
    #[error("the connection to the server failed")]
    Io(#[from] io::Error),
    /// What was sent is no message of the protocol, or one that was not asked for.
    #[error("the server does not follow its protocol: {0}")]
    Protocol(&'static str),
    /// There is no room in memory for what was sent.
    #[error("no room in memory")]
    NoRoom,
}

/// Columns of a result, and the types of the parameters that it takes.
#[derive(Debug, Clone, Default)]
pub(in super::super) struct Description {
    /// OIDs of the parameters' types.
    pub(in super::super) parameters: Vec<u32>,
    /// `None` for a statement that returns no rows.
    pub(in super::super) columns: Option<Vec<ServerColumn>>,
}

/// One connection. It is used by one caller at a time.
#[derive(Debug)]
pub(in super::super) struct Connection {
    socket: UnixStream,
    read: BytesMut,
    /// Bytes of the message that was handed over last, which are passed over before the next.
    used: usize,
    /// Bytes of a row that was too large, which have not come yet.
    passed_over: usize,
    out: BytesMut,
    /// Room in memory of a long row.
    held: Held,
    /// Answers to `Sync` that have not come yet.
    unanswered: u32,
    /// What the last `ReadyForQuery` said: `I` outside of a transaction, `T` in one, `E` in one that
    /// has failed.
    status: u8,
    largest_row: usize,
    stopper: Stopper,
}

/// Stops what a connection runs, from beside it.
#[derive(Debug, Clone)]
pub(in super::super) struct Stopper {
    folder: Arc<Path>,
    process: i32,
    secret: i32,
}

impl Stopper {
    /// The server's process for this connection.
    pub(in super::super) fn process(&self) -> i32 {
        self.process
    }

    /// Asks the server to cancel what the connection runs. Whether it does is seen on the connection.
    pub(in super::super) async fn cancel(&self) -> io::Result<()> {
        let mut socket = open_socket(&self.folder).await?;
        let mut request = BytesMut::new();
        frontend::cancel_request(self.process, self.secret, &mut request);
        socket.write_all(&request).await?;
        // The server closes the connection once it has sent the signal.
        socket.readable().await?;
        Ok(())
    }
}

/// Connects to the server that listens in `folder`, whatever the length of its path: an address has
/// room for 107 bytes, so it goes through the open folder.
async fn open_socket(folder: &Path) -> io::Result<UnixStream> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let folder: OwnedFd = openat(rustix::fs::CWD, folder, flags, Mode::empty())?;
    let found = statat(&folder, SOCKET, AtFlags::SYMLINK_NOFOLLOW)?;
    if FileType::from_raw_mode(found.st_mode) != FileType::Socket {
        return Err(io::ErrorKind::NotFound.into());
    }
    UnixStream::connect(format!("/proc/self/fd/{}/{SOCKET}", folder.as_raw_fd())).await
}

impl Connection {
    /// Connects to the server that listens in `folder`, and signs in.
    pub(in super::super) async fn open(
        folder: &Arc<Path>,
        login: Login<'_>,
    ) -> Result<Self, ClientError> {
        let mut connection = Self {
            socket: open_socket(folder).await?,
            read: BytesMut::with_capacity(READ_BYTES),
            used: 0,
            passed_over: 0,
            out: BytesMut::new(),
            held: Held::default(),
            unanswered: 0,
            status: b'I',
            largest_row: GREETING_BYTES,
            stopper: Stopper {
                folder: Arc::clone(folder),
                process: 0,
                secret: 0,
            },
        };
        connection.sign_in(login).await?;
        Ok(connection)
    }

    async fn sign_in(&mut self, login: Login<'_>) -> Result<(), ClientError> {
        let own = [
            ("user", login.role),
            ("database", login.database),
            ("application_name", "dbforge"),
            ("client_encoding", "UTF8"),
        ];
        let parameters = own.into_iter().chain(login.settings.iter().copied());
        frontend::startup_message(parameters, &mut self.out)?;
        let mut scram = ScramSha256::new(login.secret.as_bytes(), ChannelBinding::unsupported());
        loop {
            match self.greeting().await? {
                Message::AuthenticationOk | Message::ParameterStatus(_) => {}
                Message::NoticeResponse(_) => {}
                Message::AuthenticationSasl(_) => {
                    let first = scram.message().to_owned();
                    frontend::sasl_initial_response("SCRAM-SHA-256", &first, &mut self.out)?;
                }
                Message::AuthenticationSaslContinue(more) => {
                    scram.update(more.data())?;
                    frontend::sasl_response(scram.message(), &mut self.out)?;
                }
                Message::AuthenticationSaslFinal(last) => scram.finish(last.data())?,
                Message::BackendKeyData(key) => {
                    self.stopper.process = key.process_id();
                    self.stopper.secret = key.secret_key();
                }
                Message::ReadyForQuery(_) => return Ok(()),
                _ => return Err(ClientError::Protocol("an unexpected greeting")),
            }
        }
    }

    /// The next message before the server is ready.
    async fn greeting(&mut self) -> Result<Message, ClientError> {
        loop {
            match frames::cut(&self.read, GREETING_BYTES) {
                Cut::Whole { tag, body } if tag == tag::ERROR => {
                    let error = ServerError::read(&self.read[body]);
                    return Err(ClientError::Refused(Box::new(error)));
                }
                Cut::Whole { .. } => {
                    let message = Message::parse(&mut self.read)?;
                    return message.ok_or(ClientError::Protocol("a message cut short"));
                }
                Cut::Missing { .. } => self.transfer().await?,
                Cut::TooLarge { .. } | Cut::Broken => {
                    return Err(ClientError::Protocol("no message"));
                }
            }
        }
    }

    /// Stops what it runs, from beside it.
    pub(in super::super) fn stopper(&self) -> &Stopper {
        &self.stopper
    }

    /// Whether the server still is at the other end of a connection that is idle. One that has
    /// something to say unasked, its last words or news of a setting, is not kept.
    pub(in super::super) fn is_alive(&self) -> bool {
        let mut ready = [PollFd::new(&self.socket, PollFlags::IN)];
        let at_once = Timespec::default();
        poll(&mut ready, Some(&at_once)).is_ok_and(|events| events == 0)
    }

    /// What is sent next: messages are written there, and go out while answers are awaited.
    pub(in super::super) fn out(&mut self) -> &mut BytesMut {
        &mut self.out
    }

    /// Asks for an answer to all that was written.
    pub(in super::super) fn sync(&mut self) {
        frontend::sync(&mut self.out);
        self.unanswered += 1;
    }

    /// Asks for statements in the simple form, without parameters.
    pub(in super::super) fn simple(&mut self, sql: &str) -> Result<(), ClientError> {
        frontend::query(sql, &mut self.out)?;
        self.unanswered += 1;
        Ok(())
    }

    /// Whether answers are on their way, or something was not sent.
    pub(in super::super) fn is_busy(&self) -> bool {
        self.unanswered > 0 || !self.out.is_empty()
    }

    /// What the server said last: `I` outside of a transaction, `T` in one, `E` in a failed one.
    pub(in super::super) fn status(&self) -> u8 {
        self.status
    }

    /// A row may have so many bytes from now on.
    pub(in super::super) fn set_largest_row(&mut self, bytes: usize) {
        self.largest_row = bytes;
    }

    /// The next message. Notices and the like are passed over. It may be given up while it waits:
    /// nothing is lost then.
    pub(in super::super) async fn next(&mut self) -> Result<Frame<'_>, ClientError> {
        let frame = self.next_or_room(0).await?;
        frame.ok_or(ClientError::Protocol("nothing"))
    }

    /// The next message, or `None` once no more than `room` bytes wait to be sent; with 0, a message
    /// is waited for in any case.
    pub(in super::super) async fn next_or_room(
        &mut self,
        room: usize,
    ) -> Result<Option<Frame<'_>>, ClientError> {
        loop {
            match self.find()? {
                Some(Found::Message { tag, body }) => match tag {
                    // Notices, notifications, and settings that have changed.
                    b'N' | b'A' | b'S' => {}
                    tag => {
                        if tag == tag::READY {
                            self.unanswered = self.unanswered.saturating_sub(1);
                            self.status = self.read.get(body.start).copied().unwrap_or(b'E');
                        }
                        return Ok(Some(Frame {
                            tag,
                            body: &self.read[body],
                            is_too_large: false,
                        }));
                    }
                },
                Some(Found::TooLarge) => {
                    return Ok(Some(Frame {
                        tag: tag::DATA_ROW,
                        body: &[],
                        is_too_large: true,
                    }));
                }
                None if room > 0 && self.out.len() <= room => return Ok(None),
                None => self.transfer().await?,
            }
        }
    }

    /// Reads an error that was handed over.
    pub(in super::super) fn error_of(frame: &Frame<'_>) -> ServerError {
        ServerError::read(frame.body)
    }

    /// Reads a description of columns that was handed over.
    pub(in super::super) fn columns_of(
        frame: &Frame<'_>,
    ) -> Result<Vec<ServerColumn>, ClientError> {
        let columns = frames::columns(frame.body);
        columns.ok_or(ClientError::Protocol("no description of rows"))
    }

    /// Reads the types of parameters that were handed over.
    pub(in super::super) fn parameters_of(frame: &Frame<'_>) -> Result<Vec<u32>, ClientError> {
        let parameters = frames::parameters(frame.body);
        parameters.ok_or(ClientError::Protocol("no description of parameters"))
    }

    fn find(&mut self) -> Result<Option<Found>, ClientError> {
        self.read.advance(std::mem::take(&mut self.used));
        if self.read.is_empty() && self.read.capacity() > KEPT_BYTES {
            self.read = BytesMut::with_capacity(READ_BYTES);
            self.held = Held::default();
        }
        let passed_over = self.passed_over.min(self.read.len());
        self.read.advance(passed_over);
        self.passed_over -= passed_over;
        if self.passed_over > 0 {
            return Ok(None);
        }
        match frames::cut(&self.read, self.largest_row) {
            Cut::Whole { tag, body } => {
                self.used = body.end;
                Ok(Some(Found::Message { tag, body }))
            }
            Cut::Missing { bytes } => {
                if bytes > COUNTED_BYTES {
                    let counted = self.held.grow(bytes);
                    counted.map_err(|_| ClientError::NoRoom)?;
                }
                self.read.reserve(bytes.saturating_sub(self.read.len()));
                Ok(None)
            }
            Cut::TooLarge { bytes } => {
                self.passed_over = bytes;
                Ok(Some(Found::TooLarge))
            }
            Cut::Broken => Err(ClientError::Protocol("no message")),
        }
    }

    /// Sends and receives what is possible, and waits until something was.
    async fn transfer(&mut self) -> Result<(), ClientError> {
        loop {
            let mut has_moved = false;
            if !self.out.is_empty() {
                match self.socket.try_write(&self.out) {
                    Ok(sent) => {
                        self.out.advance(sent);
                        has_moved = true;
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(error) => return Err(self.last_words(error)),
                }
                if self.out.is_empty() && self.out.capacity() > KEPT_BYTES {
                    self.out = BytesMut::new();
                }
            }
            if self.read.capacity() - self.read.len() < HEAD_BYTES {
                self.read.reserve(READ_BYTES);
            }
            match self.socket.try_read_buf(&mut self.read) {
                Ok(0) => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
                Ok(_) => has_moved = true,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.into()),
            }
            if has_moved {
                return Ok(());
            }
            let interest = match self.out.is_empty() {
                true => Interest::READABLE,
                false => Interest::READABLE | Interest::WRITABLE,
            };
            self.socket.ready(interest).await?;
        }
    }

    /// What a server has said before it went away, where it has; else that it went.
    fn last_words(&mut self, error: io::Error) -> ClientError {
        let _ = self.socket.try_read_buf(&mut self.read);
        match frames::cut(&self.read, self.largest_row) {
            Cut::Whole { tag, body } if tag == tag::ERROR => {
                ClientError::Refused(Box::new(ServerError::read(&self.read[body])))
            }
            _ => error.into(),
        }
    }
}

enum Found {
    Message {
        tag: u8,
        body: std::ops::Range<usize>,
    },
    TooLarge,
}

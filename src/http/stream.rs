//! A connection that loses patience with its client.
//!
//! It knows three phases: a request head is being read, a request is being answered, the connection is idle. Only the
//! caller knows where one ends (it marks them through [`Progress`]); this module must not look at the bytes. Start with
//! [`TimedStream`].

use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use axum::body::{Body, Bytes};
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// How long each phase may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// From the first byte of a head to its end.
    pub(super) head: Duration,
    /// Between two requests.
    pub(super) idle: Duration,
    /// Between two moments at which the client takes bytes.
    pub(super) write: Duration,
}

/// How many requests of a connection are being answered, and whom to wake when the last one is.
#[derive(Debug, Clone, Default)]
pub(super) struct Progress(Arc<Mutex<Answering>>);

#[derive(Debug, Default)]
struct Answering {
    count: usize,
    reader: Option<Waker>,
}

/// One request being answered; dropping it ends that.
#[derive(Debug)]
pub(super) struct InProgress(Progress);

impl Progress {
    /// Marks the end of a request head.
    pub(super) fn begin(&self) -> InProgress {
        self.lock().count += 1;
        InProgress(self.clone())
    }

    /// Whether a request is being answered; if so, `context` is woken when that ends.
    fn is_answering(&self, context: &Context<'_>) -> bool {
        let mut answering = self.lock();
        answering.reader = (answering.count > 0).then(|| context.waker().clone());
        answering.count > 0
    }

    fn lock(&self) -> MutexGuard<'_, Answering> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl InProgress {
    /// The connection changes protocol: it never reads a request head again.
    pub(super) fn for_ever(self) {
        self.0.lock().count += 1;
    }
}

impl Drop for InProgress {
    fn drop(&mut self) {
        let mut answering = self.0.lock();
        answering.count -= 1;
        let reader = if answering.count == 0 { answering.reader.take() } else { None };
        drop(answering);
        if let Some(reader) = reader {
            reader.wake();
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Head,
    Answering,
    Idle,
}

/// Wraps a stream and fails with `TimedOut` when the client uses up the patience of a phase.
#[derive(Debug)]
pub(super) struct TimedStream<S> {
    inner: S,
    patience: Patience,
    progress: Progress,
    phase: Phase,
    reading: Pin<Box<Sleep>>,
    writing: Option<Pin<Box<Sleep>>>,
}

impl<S> TimedStream<S> {
    /// Begins with the time of a first request head.
    pub(super) fn new(inner: S, patience: Patience, progress: Progress) -> Self {
        let reading = Box::pin(tokio::time::sleep(patience.head));
        Self { inner, patience, progress, phase: Phase::Head, reading, writing: None }
    }

    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        match phase {
            Phase::Head => self.reading.set(tokio::time::sleep(self.patience.head)),
            Phase::Idle => self.reading.set(tokio::time::sleep(self.patience.idle)),
            Phase::Answering => {}
        }
    }

    /// Passes on what a write came to; the time runs only while the client takes nothing.
    fn written<T>(&mut self, outcome: Poll<io::Result<T>>, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        if outcome.is_ready() {
            self.writing = None;
            return outcome;
        }
        let write = self.patience.write;
        let waiting = self.writing.get_or_insert_with(|| Box::pin(tokio::time::sleep(write)));
        match waiting.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(timed_out("the client does not read its answer"))),
            Poll::Pending => Poll::Pending,
        }
    }
}

fn timed_out(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, what)
}

impl<S: AsyncRead + Unpin> AsyncRead for TimedStream<S> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let answering = this.progress.is_answering(context);
        if answering && this.phase != Phase::Answering {
            this.enter(Phase::Answering);
        } else if !answering && this.phase == Phase::Answering {
            this.enter(Phase::Idle);
        }
        match Pin::new(&mut this.inner).poll_read(context, buffer) {
            Poll::Ready(outcome) => {
                if this.phase == Phase::Idle {
                    this.enter(Phase::Head);
                }
                Poll::Ready(outcome)
            }
            Poll::Pending if this.phase == Phase::Answering => Poll::Pending,
            Poll::Pending => match this.reading.as_mut().poll(context) {
                Poll::Ready(()) => Poll::Ready(Err(timed_out("no complete request head in time"))),
                Poll::Pending => Poll::Pending,
            },
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for TimedStream<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let outcome = Pin::new(&mut this.inner).poll_write(context, bytes);
        this.written(outcome, context)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let outcome = Pin::new(&mut this.inner).poll_flush(context);
        this.written(outcome, context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(context)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let outcome = Pin::new(&mut this.inner).poll_write_vectored(context, slices);
        this.written(outcome, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}

/// An answer's body that ends its request when it has been sent or given up.
#[derive(Debug)]
pub(super) struct Answer {
    body: Body,
    _in_progress: InProgress,
}

impl Answer {
    /// Ties `in_progress` to the life of `body`.
    pub(super) fn new(body: Body, in_progress: InProgress) -> Self {
        Self { body, _in_progress: in_progress }
    }
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.get_mut().body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A request body that must arrive within a time; `expired` tells afterwards whether it did not.
#[derive(Debug)]
pub(super) struct TimedBody {
    body: Body,
    time: Duration,
    left: Option<Pin<Box<Sleep>>>,
    expired: Expired,
}

/// Whether a body took too long.
#[derive(Debug, Clone, Default)]
pub(super) struct Expired(Arc<AtomicBool>);

impl Expired {
    /// Whether the time ran out.
    pub(super) fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

impl TimedBody {
    /// Gives `body` the time `time`, counted from the first read that has to wait.
    pub(super) fn new(body: Body, time: Duration, expired: Expired) -> Self {
        Self { body, time, left: None, expired }
    }
}

impl HttpBody for TimedBody {
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::BoxError>>> {
        let this = self.get_mut();
        let frame = Pin::new(&mut this.body).poll_frame(context);
        if let Poll::Ready(frame) = frame {
            return Poll::Ready(frame.map(|frame| frame.map_err(axum::BoxError::from)));
        }
        let time = this.time;
        let left = this.left.get_or_insert_with(|| Box::pin(tokio::time::sleep(time)));
        match left.as_mut().poll(context) {
            Poll::Ready(()) => {
                this.expired.0.store(true, Ordering::Release);
                Poll::Ready(Some(Err(timed_out("the request body did not arrive in time").into())))
            }
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
    use tokio::time::advance;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn pair() -> (DuplexStream, TimedStream<DuplexStream>, Progress) {
        let progress = Progress::default();
        let (client, server) = duplex(8);
        let patience = Patience { head: 10 * SECOND, idle: 75 * SECOND, write: 30 * SECOND };
        (client, TimedStream::new(server, patience, progress.clone()), progress)
    }

    async fn read_one(stream: &mut TimedStream<DuplexStream>) -> io::Result<u8> {
        stream.read_u8().await
    }

    #[tokio::test(start_paused = true)]
    async fn a_byte_now_and_then_does_not_buy_time_for_a_head() {
        let (mut client, mut stream, _) = pair();
        for _ in 0..9 {
            client.write_all(b"G").await.unwrap();
            assert_eq!(read_one(&mut stream).await.unwrap(), b'G');
            advance(SECOND).await;
        }
        let began = tokio::time::sleep(SECOND + SECOND / 2);
        let error = tokio::select! {
            outcome = read_one(&mut stream) => outcome.unwrap_err(),
            () = began => panic!("the time of the head started anew"),
        };
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_may_take_long_and_a_pause_may_be_longer_than_a_head() {
        let (mut client, mut stream, progress) = pair();
        let answering = progress.begin();
        tokio::select! {
            outcome = read_one(&mut stream) => panic!("ended during an answer: {outcome:?}"),
            () = tokio::time::sleep(3600 * SECOND) => {}
        }
        drop(answering);
        tokio::select! {
            outcome = read_one(&mut stream) => panic!("ended during a short pause: {outcome:?}"),
            () = tokio::time::sleep(74 * SECOND) => {}
        }
        client.write_all(b"G").await.unwrap();
        assert_eq!(read_one(&mut stream).await.unwrap(), b'G');
        tokio::select! {
            outcome = read_one(&mut stream) => panic!("the next head got too little time: {outcome:?}"),
            () = tokio::time::sleep(9 * SECOND) => {}
        }
        assert_eq!(read_one(&mut stream).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_changed_protocol_is_left_alone() {
        let (_client, mut stream, progress) = pair();
        progress.begin().for_ever();
        tokio::select! {
            outcome = read_one(&mut stream) => panic!("ended: {outcome:?}"),
            () = tokio::time::sleep(3600 * SECOND) => {}
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_nothing_is_given_up() {
        let (_client, mut stream, _) = pair();
        let error = stream.write_all(&[0; 64]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}

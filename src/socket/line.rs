//! The byte stream under a connection, with the handles that Socket.IO's own layers lack: a kill
//! switch that works on a stalled writer, a write timeout, and a pause for reading.
//!
//! Without them a reader that stops reading stays in its rooms until the kernel gives up after a
//! quarter of an hour: the writer sits in a flush that nothing cancels.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf, Bytes};
use futures_util::task::AtomicWaker;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep},
};

use crate::telemetry;

/// Why a line was cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Cut {
    /// The reader took nothing within the write timeout.
    WriteTimeout = 1,
    /// More was waiting for the reader than its queue holds.
    SendQueueFull = 2,
    /// It kept sending more than the limit allows.
    Flood = 3,
    /// Its token ran out.
    TokenExpired = 4,
    /// The user or the device was told to go.
    Revoked = 5,
    /// The node stops.
    Drain = 6,
}

impl Cut {
    const ALL: [Self; 6] = [
        Self::WriteTimeout,
        Self::SendQueueFull,
        Self::Flood,
        Self::TokenExpired,
        Self::Revoked,
        Self::Drain,
    ];

    /// The reason as metrics and logs name it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::WriteTimeout => "write_timeout",
            Self::SendQueueFull => "send_queue_full",
            Self::Flood => "flood",
            Self::TokenExpired => "token_expired",
            Self::Revoked => "revoked",
            Self::Drain => "drain",
        }
    }
}

/// The handle on a byte stream, shared by whoever may have to cut, pause or judge it.
#[derive(Debug, Default)]
pub struct Line {
    cut: AtomicU8,
    paused: AtomicBool,
    congested: AtomicBool,
    reader: AtomicWaker,
    writer: AtomicWaker,
}

impl Line {
    /// Ends the stream now: pending and later reads and writes fail. The first reason stays.
    pub fn cut(&self, reason: Cut) {
        let _ = self
            .cut
            .compare_exchange(0, reason as u8, Ordering::AcqRel, Ordering::Acquire);
        self.reader.wake();
        self.writer.wake();
    }

    /// Why it was cut, if it was.
    pub fn why_cut(&self) -> Option<Cut> {
        let value = self.cut.load(Ordering::Acquire);
        Cut::ALL.into_iter().find(|c| *c as u8 == value)
    }

    /// Stops reading, so that TCP itself holds the sender back.
    pub fn pause(&self) {
        self.paused.store(true, Ordering::Release);
    }

    /// Reads on.
    pub fn resume(&self) {
        if self.paused.swap(false, Ordering::AcqRel) {
            self.reader.wake();
        }
    }

    /// Whether the reader at the other end is slower than what is written to it.
    pub fn is_congested(&self) -> bool {
        self.congested.load(Ordering::Relaxed)
    }

    fn check(&self) -> io::Result<()> {
        match self.cut.load(Ordering::Acquire) {
            0 => Ok(()),
            _ => Err(io::ErrorKind::ConnectionAborted.into()),
        }
    }
}

/// A byte stream on a [`Line`].
pub struct Wire<S> {
    stream: S,
    line: Arc<Line>,
    /// Read already, but not by whom it was meant for.
    unread: Bytes,
    write_timeout: Duration,
    /// Exists only while a write is stalled: an idle connection pays nothing for it.
    stalled: Option<Pin<Box<Sleep>>>,
    /// Dropped with the stream.
    end: Option<Box<dyn Send>>,
}

impl<S> Wire<S> {
    /// Puts a stream on a line of its own.
    pub fn new(stream: S, write_timeout: Duration) -> Self {
        Self {
            stream,
            line: Arc::default(),
            unread: Bytes::new(),
            write_timeout,
            stalled: None,
            end: None,
        }
    }

    /// The handle.
    pub fn line(&self) -> &Arc<Line> {
        &self.line
    }

    /// Keeps something for as long as the stream lives: its drop tells that the stream is gone.
    pub fn hold(&mut self, end: impl Send + 'static) {
        self.end = Some(Box::new(end));
    }

    /// Gives back bytes that were read too early.
    pub fn unread(&mut self, bytes: &[u8]) {
        // A copy: even an empty slice of hyper's read buffer would keep all of its 8 KiB.
        self.unread = Bytes::copy_from_slice(bytes);
    }

    fn progress<T>(
        &mut self,
        cx: &mut Context<'_>,
        outcome: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if outcome.is_ready() {
            if self.stalled.take().is_some() {
                self.line.congested.store(false, Ordering::Relaxed);
            }
            return outcome;
        }
        let timeout = self.write_timeout;
        let stalled = self.stalled.get_or_insert_with(|| {
            self.line.congested.store(true, Ordering::Relaxed);
            Box::pin(tokio::time::sleep_until(Instant::now() + timeout))
        });
        ready!(stalled.as_mut().poll(cx));
        if self.line.why_cut().is_none() {
            metrics::counter!(telemetry::WRITE_TIMEOUTS_TOTAL).increment(1);
        }
        self.line.cut(Cut::WriteTimeout);
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Wire<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.line.reader.register(cx.waker());
        self.line.check()?;
        if self.line.paused.load(Ordering::Acquire) {
            return Poll::Pending;
        }
        if self.unread.has_remaining() {
            let n = self.unread.remaining().min(buf.remaining());
            buf.put_slice(&self.unread.split_to(n));
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.line.writer.register(cx.waker());
        self.line.check()?;
        let outcome = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.progress(cx, outcome)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.line.writer.register(cx.waker());
        self.line.check()?;
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.progress(cx, outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.line.writer.register(cx.waker());
        self.line.check()?;
        let outcome = Pin::new(&mut self.stream).poll_flush(cx);
        self.progress(cx, outcome)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.line.writer.register(cx.waker());
        self.line.check()?;
        let outcome = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.progress(cx, outcome)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    fn pair() -> (Wire<tokio::io::DuplexStream>, tokio::io::DuplexStream) {
        let (here, there) = tokio::io::duplex(64);
        (Wire::new(here, Duration::from_secs(10)), there)
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_takes_nothing_is_cut_after_the_write_timeout() {
        let (mut wire, _there) = pair();
        let line = wire.line().clone();
        let before = Instant::now();
        let error = wire.write_all(&[0; 1000]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(before.elapsed().as_secs(), 10);
        assert_eq!(line.why_cut(), Some(Cut::WriteTimeout));
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_takes_a_little_now_and_then_is_kept() {
        let (mut wire, mut there) = pair();
        let slow = tokio::spawn(async move {
            let mut total = 0;
            let mut buf = [0; 16];
            while total < 256 {
                tokio::time::sleep(Duration::from_secs(5)).await;
                total += there.read(&mut buf).await.unwrap();
            }
        });
        wire.write_all(&[0; 256]).await.unwrap();
        assert!(!wire.line().is_congested());
        drop(wire);
        slow.await.unwrap();
    }

    #[tokio::test]
    async fn cutting_ends_a_stalled_write_and_a_waiting_read() {
        let (mut wire, _there) = pair();
        let line = wire.line().clone();
        let writer = tokio::spawn(async move { wire.write_all(&[0; 1000]).await });
        while !line.is_congested() {
            tokio::task::yield_now().await;
        }
        line.cut(Cut::Revoked);
        assert!(writer.await.unwrap().is_err());

        let (mut wire, _there) = pair();
        let line = wire.line().clone();
        let reader = tokio::spawn(async move { wire.read_u8().await });
        tokio::task::yield_now().await;
        line.cut(Cut::Revoked);
        assert!(reader.await.unwrap().is_err());
        assert_eq!(line.why_cut(), Some(Cut::Revoked));
    }

    #[tokio::test]
    async fn a_paused_line_reads_nothing_until_it_is_resumed() {
        let (mut wire, mut there) = pair();
        let line = wire.line().clone();
        line.pause();
        there.write_all(b"x").await.unwrap();
        let mut reader = tokio::spawn(async move { wire.read_u8().await });
        let early = tokio::time::timeout(Duration::from_millis(20), &mut reader).await;
        assert!(early.is_err(), "read while paused");
        line.resume();
        assert_eq!(reader.await.unwrap().unwrap(), b'x');
    }

    #[tokio::test]
    async fn bytes_given_back_are_read_first() {
        let (mut wire, mut there) = pair();
        wire.unread(b"ab");
        there.write_all(b"c").await.unwrap();
        let mut all = [0; 3];
        wire.read_exact(&mut all).await.unwrap();
        assert_eq!(&all, b"abc");
    }
}

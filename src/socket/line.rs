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
use parking_lot::Mutex;
use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Instant, Sleep},
};

use super::outlet::{Outlet, SendFailed};
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

/// A TCP connection, shared by the one who reads it and all who may write to it, cut, pause or
/// judge it.
#[derive(Debug)]
pub struct Line {
    stream: TcpStream,
    /// How long the reader at the other end may take nothing.
    write_timeout: Duration,
    cut: AtomicU8,
    paused: AtomicBool,
    congested: AtomicBool,
    /// Whoever reads.
    reader: AtomicWaker,
    /// Whoever writes what the kernel had no room for.
    writer: AtomicWaker,
    /// Whoever waits until it is written.
    flusher: AtomicWaker,
    outlet: Mutex<Outlet>,
}

impl Line {
    fn new(stream: TcpStream, write_timeout: Duration) -> Self {
        Self {
            stream,
            write_timeout,
            cut: AtomicU8::new(0),
            paused: AtomicBool::new(false),
            congested: AtomicBool::new(false),
            reader: AtomicWaker::new(),
            writer: AtomicWaker::new(),
            flusher: AtomicWaker::new(),
            outlet: Mutex::default(),
        }
    }

    /// Ends the stream now: pending and later reads and writes fail. The first reason stays.
    pub fn cut(&self, reason: Cut) {
        let _ = self
            .cut
            .compare_exchange(0, reason as u8, Ordering::AcqRel, Ordering::Acquire);
        self.reader.wake();
        self.writer.wake();
        self.flusher.wake();
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

    /// Our frames wait from now on until socketioxide's marker comes by.
    pub fn hold(&self) {
        self.outlet.lock().hold();
    }

    /// Whether socketioxide sends the session's packets here.
    pub fn carries(&self) -> bool {
        self.outlet.lock().carries()
    }

    /// Writes a frame, or queues it behind what is queued. At most `limit` may wait.
    pub fn send(self: &Arc<Self>, frame: &Bytes, limit: usize) -> Result<(), SendFailed> {
        if self.cut.load(Ordering::Acquire) != 0 {
            return Err(SendFailed::Closed);
        }
        let mut outlet = self.outlet.lock();
        let sent = outlet.send(&self.stream, frame, limit);
        self.mind(&outlet);
        sent
    }

    /// Takes whole frames from socketioxide.
    fn pass(self: &Arc<Self>, bytes: &[u8]) {
        let mut outlet = self.outlet.lock();
        outlet.pass(&self.stream, bytes);
        self.mind(&outlet);
    }

    /// Starts a writer if there is something to write and none at it.
    fn mind(self: &Arc<Self>, outlet: &Outlet) {
        if outlet.is_behind() && !self.congested.swap(true, Ordering::Relaxed) {
            tokio::spawn(Catching::new(self.clone()));
        }
    }

    fn check(&self) -> io::Result<()> {
        match self.cut.load(Ordering::Acquire) {
            0 => Ok(()),
            _ => Err(io::ErrorKind::ConnectionAborted.into()),
        }
    }

    /// Cuts because the reader took nothing for too long.
    fn time_out(&self) {
        if self.why_cut().is_none() {
            metrics::counter!(telemetry::WRITE_TIMEOUTS_TOTAL).increment(1);
        }
        self.cut(Cut::WriteTimeout);
    }
}

/// Writes what the kernel had no room for, until the reader has caught up.
struct Catching {
    line: Arc<Line>,
    deadline: Pin<Box<Sleep>>,
}

impl Catching {
    fn new(line: Arc<Line>) -> Self {
        let deadline = Box::pin(tokio::time::sleep(line.write_timeout));
        Self { line, deadline }
    }
}

impl Future for Catching {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Self { line, deadline } = self.get_mut();
        line.writer.register(cx.waker());
        loop {
            if line.check().is_err() || line.outlet.lock().is_broken() {
                line.outlet.lock().give_up();
                line.flusher.wake();
                return Poll::Ready(());
            }
            let Poll::Ready(ready) = line.stream.poll_write_ready(cx) else {
                ready!(deadline.as_mut().poll(cx));
                line.time_out();
                continue;
            };
            let mut outlet = line.outlet.lock();
            if ready.is_err() {
                outlet.give_up();
                continue;
            }
            if outlet.write_on(&line.stream) {
                let timeout = line.write_timeout;
                deadline.as_mut().reset(Instant::now() + timeout);
                line.flusher.wake();
            }
            if !outlet.is_behind() && !outlet.is_broken() {
                // Under the lock: whoever queues next starts a writer again.
                line.congested.store(false, Ordering::Relaxed);
                return Poll::Ready(());
            }
        }
    }
}

/// The byte stream on a [`Line`], as HTTP and then socketioxide see it.
pub struct Wire {
    line: Arc<Line>,
    /// Whether it is a WebSocket now, whose frames share the line with ours.
    framed: bool,
    /// How many frames a flush under way waits for.
    flushing: Option<u64>,
    /// Read already, but not by whom it was meant for.
    unread: Bytes,
    /// Exists only while a write is stalled: an idle connection pays nothing for it.
    stalled: Option<Pin<Box<Sleep>>>,
    /// Dropped with the stream.
    end: Option<Box<dyn Send>>,
}

impl Wire {
    /// Puts a stream on a line of its own.
    pub fn new(stream: TcpStream, write_timeout: Duration) -> Self {
        Self {
            line: Arc::new(Line::new(stream, write_timeout)),
            framed: false,
            flushing: None,
            unread: Bytes::new(),
            stalled: None,
            end: None,
        }
    }

    /// The handle.
    pub fn line(&self) -> &Arc<Line> {
        &self.line
    }

    /// From now on only whole WebSocket frames are written.
    pub fn begin_frames(&mut self) {
        self.framed = true;
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

    /// Tries to write until it works, the stream breaks or the reader has taken nothing for too
    /// long.
    fn poll_plain(
        &mut self,
        cx: &mut Context<'_>,
        mut write: impl FnMut(&TcpStream) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        let Self { line, stalled, .. } = self;
        line.writer.register(cx.waker());
        loop {
            line.check()?;
            if line.stream.poll_write_ready(cx)?.is_pending() {
                let stalled = stalled.get_or_insert_with(|| {
                    line.congested.store(true, Ordering::Relaxed);
                    Box::pin(tokio::time::sleep_until(
                        Instant::now() + line.write_timeout,
                    ))
                });
                ready!(stalled.as_mut().poll(cx));
                line.time_out();
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            match write(&line.stream) {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                outcome => {
                    if stalled.take().is_some() {
                        line.congested.store(false, Ordering::Relaxed);
                    }
                    return Poll::Ready(outcome);
                }
            }
        }
    }

    fn poll_frames(&mut self, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.line.check()?;
        self.line.pass(bytes);
        Poll::Ready(Ok(bytes.len()))
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        // Others hold the line too, and the other end must hear of this now.
        let _ = SockRef::from(&self.line.stream).shutdown(std::net::Shutdown::Both);
        self.line.outlet.lock().give_up();
        self.line.writer.wake();
    }
}

impl AsyncRead for Wire {
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
        loop {
            ready!(self.line.stream.poll_read_ready(cx))?;
            match self.line.stream.try_read_buf(buf) {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                outcome => return Poll::Ready(outcome.map(drop)),
            }
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let wire = self.get_mut();
        if wire.framed {
            return wire.poll_frames(buf);
        }
        wire.poll_plain(cx, |stream| stream.try_write(buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let wire = self.get_mut();
        if wire.framed {
            let all: Vec<u8> = bufs.iter().flat_map(|b| b.iter().copied()).collect();
            return wire.poll_frames(&all);
        }
        wire.poll_plain(cx, |stream| stream.try_write_vectored(bufs))
    }

    fn is_write_vectored(&self) -> bool {
        !self.framed
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let wire = self.get_mut();
        wire.line.flusher.register(cx.waker());
        wire.line.check()?;
        let outlet = wire.line.outlet.lock();
        let all = *wire.flushing.get_or_insert(outlet.queued());
        if !outlet.has_written(all) && !outlet.is_broken() {
            return Poll::Pending;
        }
        wire.flushing = None;
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.as_mut().poll_flush(cx))?;
        Poll::Ready(SockRef::from(&self.line.stream).shutdown(std::net::Shutdown::Write))
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;
    use crate::socket::{frame::Packet, outlet::MARKER};

    /// More than the kernel takes for a reader that reads nothing.
    const MUCH: usize = 16 << 20;

    async fn pair() -> (Wire, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let there = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        let (here, _) = listener.accept().await.unwrap();
        (Wire::new(here, Duration::from_secs(10)), there)
    }

    /// A WebSocket on which our frames are let through.
    async fn open_pair() -> (Wire, TcpStream) {
        let (mut wire, there) = pair().await;
        wire.begin_frames();
        wire.line().hold();
        wire.write_all(Packet::event(MARKER).frame()).await.unwrap();
        (wire, there)
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_takes_nothing_is_cut_after_the_write_timeout() {
        let (mut wire, _there) = pair().await;
        let line = wire.line().clone();
        let before = Instant::now();
        let error = wire.write_all(&vec![0; MUCH]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(before.elapsed().as_secs(), 10);
        assert_eq!(line.why_cut(), Some(Cut::WriteTimeout));
    }

    #[tokio::test(start_paused = true)]
    async fn so_is_one_that_takes_no_frames() {
        let (mut wire, _there) = open_pair().await;
        let line = wire.line().clone();
        let frame = Bytes::from(vec![0; MUCH]);
        line.send(&frame, 2).unwrap();
        line.send(&frame, 2).unwrap();
        assert_eq!(line.send(&frame, 2), Err(SendFailed::Full));
        assert!(line.is_congested());
        let before = Instant::now();
        wire.flush().await.unwrap_err();
        assert_eq!(before.elapsed().as_secs(), 10);
        assert_eq!(line.why_cut(), Some(Cut::WriteTimeout));
        assert_eq!(line.send(&frame, 2), Err(SendFailed::Closed));
        assert!(!line.outlet.lock().is_behind(), "what waited is freed");
    }

    #[tokio::test]
    async fn frames_wait_for_a_slow_reader_and_a_flush_waits_for_them() {
        let (mut wire, mut there) = open_pair().await;
        let line = wire.line().clone();
        let frames: Vec<_> = (0..8u8).map(|n| Bytes::from(vec![n; MUCH / 4])).collect();
        for frame in &frames {
            line.send(frame, 8).unwrap();
        }
        assert!(line.is_congested());
        let reader = tokio::spawn(async move {
            let mut all = vec![0; 2 * MUCH];
            there.read_exact(&mut all).await.unwrap();
            all
        });
        wire.flush().await.unwrap();
        let all = reader.await.unwrap();
        assert!(all.chunks(MUCH / 4).zip(&frames).all(|(got, f)| got == f));
        while line.is_congested() {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_takes_a_little_now_and_then_is_kept() {
        let (mut wire, mut there) = pair().await;
        let slow = tokio::spawn(async move {
            let mut buf = vec![0; MUCH / 8];
            for _ in 0..8 {
                tokio::time::sleep(Duration::from_secs(5)).await;
                there.read_exact(&mut buf).await.unwrap();
            }
        });
        wire.write_all(&vec![0; MUCH]).await.unwrap();
        assert!(!wire.line().is_congested());
        slow.await.unwrap();
    }

    #[tokio::test]
    async fn cutting_ends_a_stalled_write_and_a_waiting_read() {
        let (mut wire, _there) = pair().await;
        let line = wire.line().clone();
        let writer = tokio::spawn(async move { wire.write_all(&vec![0; MUCH]).await });
        while !line.is_congested() {
            tokio::task::yield_now().await;
        }
        line.cut(Cut::Revoked);
        assert!(writer.await.unwrap().is_err());

        let (mut wire, _there) = pair().await;
        let line = wire.line().clone();
        let reader = tokio::spawn(async move { wire.read_u8().await });
        tokio::task::yield_now().await;
        line.cut(Cut::Revoked);
        assert!(reader.await.unwrap().is_err());
        assert_eq!(line.why_cut(), Some(Cut::Revoked));
    }

    #[tokio::test]
    async fn the_other_end_hears_at_once_that_the_wire_is_gone() {
        let (wire, mut there) = open_pair().await;
        let line = wire.line().clone();
        drop(wire);
        assert_eq!(there.read(&mut [0; 1]).await.unwrap(), 0);
        let frame = Bytes::from_static(b"x");
        assert_eq!(line.send(&frame, 9), Err(SendFailed::Closed));
    }

    #[tokio::test]
    async fn a_paused_line_reads_nothing_until_it_is_resumed() {
        let (mut wire, mut there) = pair().await;
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
        let (mut wire, mut there) = pair().await;
        wire.unread(b"ab");
        there.write_all(b"c").await.unwrap();
        let mut all = [0; 3];
        wire.read_exact(&mut all).await.unwrap();
        assert_eq!(&all, b"abc");
    }
}

//! The TCP connection under a session, with the handles that Socket.IO's own layers lack: a kill
//! switch that works on a stalled writer, a write timeout, a pause for reading, and a way to write
//! a frame from anywhere.
//!
//! Without them a reader that stops reading stays in its rooms until the kernel gives up after a
//! quarter of an hour: the writer sits in a flush that nothing cancels.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use parking_lot::Mutex;
use tokio::{
    io::ReadBuf,
    net::TcpStream,
    time::{Instant, Sleep},
};

use super::outlet::{Bound, Outlet, SendFailed};
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
    pub(super) stream: TcpStream,
    /// How long the reader at the other end may take nothing.
    pub(super) write_timeout: Duration,
    cut: AtomicU8,
    pub(super) paused: AtomicBool,
    pub(super) congested: AtomicBool,
    /// Whoever reads.
    pub(super) reader: AtomicWaker,
    /// Whoever writes what the kernel had no room for.
    pub(super) writer: AtomicWaker,
    /// Whoever waits until it is written.
    pub(super) flusher: AtomicWaker,
    pub(super) outlet: Mutex<Outlet>,
    /// The length from which the other end gets texts compressed.
    pub(super) compress_from: AtomicUsize,
}

impl Line {
    pub(super) fn new(stream: TcpStream, write_timeout: Duration) -> Self {
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
            compress_from: AtomicUsize::new(usize::MAX),
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

    /// What is sent from now on waits for one more of socketioxide's markers.
    pub fn fence(&self) {
        self.outlet.lock().fence();
    }

    /// The length from which the other end gets texts compressed, in bytes.
    pub fn compress_from(&self) -> usize {
        self.compress_from.load(Ordering::Relaxed)
    }

    /// Whether socketioxide sends the session's packets here.
    pub fn carries(&self) -> bool {
        self.outlet.lock().carries()
    }

    /// Writes a frame, or queues it behind what is queued, within the bound.
    pub fn send(self: &Arc<Self>, frame: &Bytes, bound: Bound) -> Result<(), SendFailed> {
        if self.cut.load(Ordering::Acquire) != 0 {
            return Err(SendFailed::Closed);
        }
        let mut outlet = self.outlet.lock();
        let sent = outlet.send(&self.stream, frame, bound);
        self.mind(&outlet);
        sent
    }

    /// Takes whole frames from socketioxide.
    pub(super) fn pass(self: &Arc<Self>, bytes: &[u8]) {
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

    pub(super) fn poll_read(
        &self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            ready!(self.stream.poll_read_ready(cx))?;
            match self.stream.try_read_buf(buf) {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                outcome => return Poll::Ready(outcome.map(drop)),
            }
        }
    }

    pub(super) fn check(&self) -> io::Result<()> {
        match self.cut.load(Ordering::Acquire) {
            0 => Ok(()),
            _ => Err(io::ErrorKind::ConnectionAborted.into()),
        }
    }

    /// Cuts because the reader took nothing for too long.
    pub(super) fn time_out(&self) {
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

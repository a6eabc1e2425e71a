//! A [`Line`] as HTTP and then socketioxide see it: the byte stream that they read and write.

use std::{
    io,
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf, Bytes};
use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Instant, Sleep},
};

use super::{inflate::Inflater, line::Line};

/// Bytes read at once from a client that may compress.
const READ: usize = 2048;

/// The byte stream on a [`Line`], as HTTP and then socketioxide see it.
pub struct Wire {
    line: Arc<Line>,
    /// Whether it is a WebSocket now, whose frames share the line with ours.
    framed: bool,
    /// Exists if the client may compress.
    inflater: Option<Box<Inflater>>,
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
            inflater: None,
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

    /// Frames may be compressed: those that come, of messages of at most `limit` bytes, and those
    /// that go, of texts of at least `from` bytes. Fails if what was given back makes no sense.
    pub fn compress(&mut self, from: usize, limit: usize) -> io::Result<()> {
        self.line.compress_from.store(from, Ordering::Relaxed);
        let mut inflater = Inflater::new(limit);
        let mut plain = Vec::new();
        inflater.push(&self.unread, &mut plain)?;
        self.unread = plain.into();
        self.inflater = Some(Box::new(inflater));
        Ok(())
    }

    fn poll_inflated(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut plain = Vec::new();
        let mut piece = [0; READ];
        // A part of a frame may turn into nothing yet.
        while plain.is_empty() {
            let mut read = ReadBuf::new(&mut piece);
            ready!(self.line.poll_read(cx, &mut read))?;
            if read.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            if let Some(inflater) = &mut self.inflater {
                inflater.push(read.filled(), &mut plain)?;
            }
        }
        let n = plain.len().min(buf.remaining());
        buf.put_slice(&plain[..n]);
        if n < plain.len() {
            self.unread = Bytes::from(plain).slice(n..);
        }
        Poll::Ready(Ok(()))
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
        if self.inflater.is_some() {
            return self.poll_inflated(cx, buf);
        }
        self.line.poll_read(cx, buf)
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
    use crate::socket::{
        frame::Packet,
        line::Cut,
        outlet::{Bound, MARKER, SendFailed},
    };

    fn bound(packets: usize) -> Bound {
        Bound {
            packets,
            bytes: usize::MAX,
        }
    }

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
        wire.write_all(Packet::event(MARKER).frame(usize::MAX))
            .await
            .unwrap();
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
        line.send(&frame, bound(2)).unwrap();
        line.send(&frame, bound(2)).unwrap();
        assert_eq!(line.send(&frame, bound(2)), Err(SendFailed::Full));
        assert!(line.is_congested());
        let before = Instant::now();
        wire.flush().await.unwrap_err();
        assert_eq!(before.elapsed().as_secs(), 10);
        assert_eq!(line.why_cut(), Some(Cut::WriteTimeout));
        assert_eq!(line.send(&frame, bound(2)), Err(SendFailed::Closed));
        assert!(!line.outlet.lock().is_behind(), "what waited is freed");
    }

    #[tokio::test]
    async fn frames_wait_for_a_slow_reader_and_a_flush_waits_for_them() {
        let (mut wire, mut there) = open_pair().await;
        let line = wire.line().clone();
        let frames: Vec<_> = (0..8u8).map(|n| Bytes::from(vec![n; MUCH / 4])).collect();
        for frame in &frames {
            line.send(frame, bound(8)).unwrap();
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
        assert_eq!(line.send(&frame, bound(9)), Err(SendFailed::Closed));
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

//! What is to be written to a WebSocket, and in which order.
//!
//! Socketioxide queues packets for a task per connection that writes them. For a room of fifty that
//! is fifty wake-ups a message, more than the writing itself costs. Here whoever has a frame writes
//! it at once, straight from the one copy that all share; a task exists only while the reader is
//! behind. What socketioxide has to say (the connect packet, pings, the end) passes through as well.
//!
//! Both ways must not overtake each other where order matters: an event must not arrive before the
//! connect packet, nor before what socketioxide still has queued. So frames are held until a marker
//! has come through socketioxide's own queue; the marker itself is never written. The same keeps
//! order around an event that only socketioxide can send, because it counts the acks.

use std::{
    collections::VecDeque,
    io::{self, IoSlice},
};

use bytes::{Buf, Bytes};

use super::frame::frames;

/// An event that no dialect sends: everything queued before it has been written.
pub const MARKER: &str = r#"["\u0000"]"#;
/// What the marker's frame holds.
const MARKER_PAYLOAD: &[u8] = br#"42["\u0000"]"#;
/// The answer to the probe with which a client tests a WebSocket before it upgrades to it.
const PROBE_ANSWER: &[u8] = b"3probe";
/// Frames given to the kernel in one call.
const BATCH: usize = 32;

/// Why a packet was not queued for a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SendFailed {
    /// Its queue is full: it is behind, and this packet is lost to it.
    #[error("the connection's send queue is full")]
    Full,
    /// It is closed.
    #[error("the connection is closed")]
    Closed,
}

/// Who may write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Gate {
    /// Socketioxide alone; our packets go through its queue.
    #[default]
    Engine,
    /// Socketioxide; our frames wait for the marker.
    Held,
    /// Both.
    Open,
}

/// How much may wait for a slow reader. A single packet may, however large it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bound {
    /// Packets at most.
    pub packets: usize,
    /// Bytes of them at most, as they go over the wire.
    pub bytes: usize,
}

/// Where bytes go: as much as fits at once.
pub trait Sink {
    /// Writes without waiting, as `try_write_vectored` of tokio's streams.
    fn try_write(&self, bytes: &[IoSlice<'_>]) -> io::Result<usize>;
}

impl Sink for tokio::net::TcpStream {
    fn try_write(&self, bytes: &[IoSlice<'_>]) -> io::Result<usize> {
        match bytes {
            [one] => tokio::net::TcpStream::try_write(self, one),
            many => self.try_write_vectored(many),
        }
    }
}

/// The frames of one WebSocket on their way out.
#[derive(Debug, Default)]
pub struct Outlet {
    gate: Gate,
    /// Frames that the kernel has not taken, or not all of. Empty while the reader keeps up.
    queue: VecDeque<Bytes>,
    /// Frames that wait for the gate to open, behind each of the markers that are on their way.
    held: VecDeque<Vec<Bytes>>,
    /// Bytes of all that wait, for the kernel or the gate.
    waiting: usize,
    /// Frames ever queued.
    queued: u64,
    /// Whether socketioxide has begun to write packets here, and not only to answer a probe.
    carries: bool,
    /// Nothing can be written any more.
    broken: bool,
}

impl Outlet {
    /// Our frames wait until a marker comes by. Said again before it did, it is the same marker.
    pub fn hold(&mut self) {
        if self.held.is_empty() {
            self.fence();
        }
    }

    /// What is sent from now on waits for one more marker.
    pub fn fence(&mut self) {
        self.gate = Gate::Held;
        self.held.push_back(Vec::new());
    }

    /// Whether socketioxide sends the session's packets here.
    pub fn carries(&self) -> bool {
        self.carries
    }

    /// Whether the reader is behind.
    pub fn is_behind(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Frames ever queued: those that [`Outlet::has_written`] asks about.
    pub fn queued(&self) -> u64 {
        self.queued
    }

    /// Whether the first `count` of the queued frames are written.
    pub fn has_written(&self, count: u64) -> bool {
        self.queued - self.queue.len() as u64 >= count
    }

    /// Whether nothing can be written any more.
    pub fn is_broken(&self) -> bool {
        self.broken
    }

    /// Nothing will be written any more.
    pub fn give_up(&mut self) {
        self.broken = true;
        self.queue = VecDeque::new();
        self.held = VecDeque::new();
        self.waiting = 0;
    }

    /// Writes one of our frames, or queues it, within the bound.
    pub fn send(&mut self, to: &impl Sink, frame: &Bytes, bound: Bound) -> Result<(), SendFailed> {
        if self.broken || self.gate == Gate::Engine {
            return Err(SendFailed::Closed);
        }
        let packets = self.queue.len() + self.held.iter().map(Vec::len).sum::<usize>();
        let fits = self.waiting.saturating_add(frame.len()) <= bound.bytes;
        if packets >= bound.packets || (packets > 0 && !fits) {
            return Err(SendFailed::Full);
        }
        match self.held.back_mut() {
            Some(held) => {
                self.waiting += frame.len();
                held.push(frame.clone());
            }
            None => self.put(to, frame.clone()),
        }
        Ok(())
    }

    /// Takes whole frames of socketioxide, without limit: there are never more of them than its
    /// own queue held.
    pub fn pass(&mut self, to: &impl Sink, bytes: &[u8]) {
        match self.gate {
            Gate::Open => self.put(to, Bytes::copy_from_slice(bytes)),
            Gate::Engine => {
                self.carries |= frames(bytes).any(|(_, payload, _)| payload != PROBE_ANSWER);
                self.put(to, Bytes::copy_from_slice(bytes));
            }
            Gate::Held => {
                let mut start = 0;
                for (_, payload, whole) in frames(bytes) {
                    if payload == MARKER_PAYLOAD {
                        self.put(to, Bytes::copy_from_slice(&bytes[..start]));
                        let next = self.held.pop_front().unwrap_or_default();
                        self.waiting -= next.iter().map(Bytes::len).sum::<usize>();
                        for frame in next {
                            self.put(to, frame);
                        }
                        if self.held.is_empty() {
                            self.gate = Gate::Open;
                            // An idle connection keeps no buffer.
                            self.held = VecDeque::new();
                        }
                        return self.pass(to, &bytes[start + whole..]);
                    }
                    start += whole;
                }
                self.put(to, Bytes::copy_from_slice(bytes));
            }
        }
    }

    fn put(&mut self, to: &impl Sink, mut frame: Bytes) {
        if frame.is_empty() || self.broken {
            return;
        }
        self.queued += 1;
        if self.queue.is_empty() {
            match to.try_write(&[IoSlice::new(&frame)]) {
                Ok(n) if n == frame.len() => return,
                Ok(n) => frame.advance(n),
                Err(e) if is_busy(&e) => {}
                Err(_) => return self.give_up(),
            }
        }
        self.waiting += frame.len();
        self.queue.push_back(frame);
    }

    /// Writes what is queued, as much as fits at once. Returns whether anything was written.
    pub fn write_on(&mut self, to: &impl Sink) -> bool {
        let mut any = false;
        while !self.queue.is_empty() {
            let mut batch = [IoSlice::new(&[]); BATCH];
            let count = self.queue.len().min(BATCH);
            for (slice, frame) in batch.iter_mut().zip(&self.queue) {
                *slice = IoSlice::new(frame);
            }
            match to.try_write(&batch[..count]) {
                Ok(0) => self.give_up(),
                Ok(n) => {
                    any = true;
                    self.advance(n);
                }
                Err(e) if is_busy(&e) => return any,
                Err(_) => self.give_up(),
            }
        }
        // An idle connection keeps no buffer.
        self.queue = VecDeque::new();
        any
    }

    fn advance(&mut self, mut written: usize) {
        self.waiting -= written;
        while let Some(first) = self.queue.front_mut() {
            if written < first.len() {
                return first.advance(written);
            }
            written -= first.len();
            self.queue.pop_front();
        }
    }
}

fn is_busy(e: &io::Error) -> bool {
    matches!(
        e.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use super::*;
    use crate::socket::frame::Packet;

    const ROOMY: Bound = Bound {
        packets: 99,
        bytes: 1_000_000,
    };

    /// A kernel buffer with room for so many bytes.
    #[derive(Default)]
    struct Kernel {
        room: Cell<usize>,
        got: RefCell<Vec<u8>>,
    }

    impl Kernel {
        fn with_room(room: usize) -> Self {
            let kernel = Self::default();
            kernel.room.set(room);
            kernel
        }

        fn payloads(&self) -> Vec<String> {
            let got = self.got.borrow();
            frames(&got)
                .map(|(_, payload, _)| String::from_utf8(payload.to_vec()).unwrap())
                .collect()
        }
    }

    impl Sink for Kernel {
        fn try_write(&self, bytes: &[IoSlice<'_>]) -> io::Result<usize> {
            let room = self.room.get();
            if room == 0 {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            let all: Vec<u8> = bytes.iter().flat_map(|b| b.to_vec()).collect();
            let n = all.len().min(room);
            self.got.borrow_mut().extend(&all[..n]);
            self.room.set(room - n);
            Ok(n)
        }
    }

    fn frame(text: &str) -> Bytes {
        Packet::event(format!("[{text}]")).frame(usize::MAX).clone()
    }

    fn marker() -> Bytes {
        Packet::event(MARKER).frame(usize::MAX).clone()
    }

    fn engine(payload: &str) -> Vec<u8> {
        [&[0x81, payload.len() as u8], payload.as_bytes()].concat()
    }

    #[test]
    fn our_frames_follow_the_connect_packet_and_what_was_queued_before_them() {
        let (kernel, mut outlet) = (Kernel::with_room(10_000), Outlet::default());
        outlet.hold();
        outlet.send(&kernel, &frame("1"), ROOMY).unwrap();
        outlet.pass(&kernel, &engine("0{}"));
        outlet.send(&kernel, &frame("2"), ROOMY).unwrap();
        let burst = [&engine("40{}")[..], &marker()[..], &engine("2")[..]].concat();
        outlet.pass(&kernel, &burst);
        outlet.send(&kernel, &frame("3"), ROOMY).unwrap();
        outlet.pass(&kernel, &engine("2"));
        let got = kernel.payloads();
        assert_eq!(got, ["0{}", "40{}", "42[1]", "42[2]", "2", "42[3]", "2"]);
        assert!(!outlet.is_behind());
    }

    #[test]
    fn what_only_socketioxide_can_send_keeps_its_place() {
        let (kernel, mut outlet) = (Kernel::with_room(10_000), Outlet::default());
        let send = |outlet: &mut Outlet, n: &str| outlet.send(&kernel, &frame(n), ROOMY).unwrap();
        outlet.hold();
        outlet.hold();
        outlet.pass(&kernel, &marker());
        send(&mut outlet, "1");
        outlet.fence();
        send(&mut outlet, "2");
        outlet.fence();
        send(&mut outlet, "3");
        assert_eq!(kernel.payloads(), ["42[1]"]);
        let first = [&engine("420[0]")[..], &marker()[..]].concat();
        outlet.pass(&kernel, &first);
        assert_eq!(kernel.payloads(), ["42[1]", "420[0]", "42[2]"]);
        send(&mut outlet, "4");
        let second = [&engine("421[0]")[..], &marker()[..]].concat();
        outlet.pass(&kernel, &second);
        send(&mut outlet, "5");
        let got = &kernel.payloads()[3..];
        assert_eq!(got, ["421[0]", "42[3]", "42[4]", "42[5]"]);
    }

    #[test]
    fn a_probed_websocket_carries_the_session_once_packets_come() {
        let (kernel, mut outlet) = (Kernel::with_room(10_000), Outlet::default());
        outlet.pass(&kernel, &engine("3probe"));
        assert!(!outlet.carries());
        let early = outlet.send(&kernel, &frame("1"), ROOMY);
        assert_eq!(early, Err(SendFailed::Closed));
        outlet.pass(&kernel, &engine("2"));
        assert!(outlet.carries());
    }

    #[test]
    fn nothing_is_lost_doubled_or_reordered_by_a_slow_reader() {
        for room in 1..40 {
            let (kernel, mut outlet) = (Kernel::default(), Outlet::default());
            outlet.hold();
            outlet.pass(&kernel, &marker());
            let mut wanted = Vec::new();
            for n in 0..50 {
                kernel.room.set(room);
                if n % 7 == 0 {
                    outlet.pass(&kernel, &engine("2"));
                    wanted.push("2".to_owned());
                }
                let text = format!("[{}]", "x".repeat(n));
                outlet
                    .send(
                        &kernel,
                        Packet::event(text.clone()).frame(usize::MAX),
                        ROOMY,
                    )
                    .unwrap();
                wanted.push(format!("42{text}"));
                kernel.room.set(room);
                outlet.write_on(&kernel);
            }
            while outlet.is_behind() {
                kernel.room.set(room);
                assert!(outlet.write_on(&kernel));
            }
            assert_eq!(kernel.payloads(), wanted);
            assert!(outlet.has_written(outlet.queued()));
        }
    }

    #[test]
    fn what_waits_is_bounded_and_a_flush_knows_what_it_waits_for() {
        let (kernel, mut outlet) = (Kernel::default(), Outlet::default());
        outlet.hold();
        outlet.pass(&kernel, &marker());
        let three = Bound {
            packets: 3,
            ..ROOMY
        };
        for n in 0..3 {
            outlet.send(&kernel, &frame(&n.to_string()), three).unwrap();
        }
        let full = outlet.send(&kernel, &frame("4"), three);
        assert_eq!(full, Err(SendFailed::Full));
        let flushed = outlet.queued();
        kernel.room.set(frame("0").len() * 3 - 1);
        outlet.write_on(&kernel);
        outlet.send(&kernel, &frame("5"), three).unwrap();
        assert!(!outlet.has_written(flushed));
        kernel.room.set(1);
        outlet.write_on(&kernel);
        assert!(outlet.has_written(flushed) && outlet.is_behind());
    }

    #[test]
    fn few_large_packets_fill_the_queue_as_many_small_ones_do_but_one_always_fits() {
        let (kernel, mut outlet) = (Kernel::default(), Outlet::default());
        let large = frame(&"x".repeat(100));
        let bound = Bound {
            packets: 99,
            bytes: 2 * large.len(),
        };
        let (huge, small) = (frame(&"x".repeat(1000)), frame("1"));
        outlet.hold();
        let send = |outlet: &mut Outlet, frame| outlet.send(&kernel, frame, bound);
        assert_eq!(send(&mut outlet, &large), Ok(()), "held");
        outlet.pass(&kernel, &marker());
        assert_eq!(send(&mut outlet, &large), Ok(()), "queued");
        assert_eq!(send(&mut outlet, &small), Err(SendFailed::Full));
        kernel.room.set(large.len());
        outlet.write_on(&kernel);
        assert_eq!(send(&mut outlet, &small), Ok(()));
        assert_eq!(send(&mut outlet, &huge), Err(SendFailed::Full));
        kernel.room.set(usize::MAX);
        outlet.write_on(&kernel);
        kernel.room.set(0);
        assert_eq!(send(&mut outlet, &huge), Ok(()));
        assert_eq!(send(&mut outlet, &small), Err(SendFailed::Full));
    }

    #[test]
    fn a_broken_stream_takes_nothing() {
        struct Broken;
        impl Sink for Broken {
            fn try_write(&self, _: &[IoSlice<'_>]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
        }
        let mut outlet = Outlet::default();
        outlet.hold();
        outlet.pass(&Broken, &marker());
        assert_eq!(outlet.send(&Broken, &frame("1"), ROOMY), Ok(()));
        assert!(outlet.is_broken() && !outlet.is_behind());
        assert_eq!(
            outlet.send(&Broken, &frame("2"), ROOMY),
            Err(SendFailed::Closed)
        );
    }
}

//! One Socket.IO client over a WebSocket: connects with a token, answers pings, sends events with
//! acks and hands every event it hears to an [`Inbox`].

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::BytesMut;
use parking_lot::Mutex;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::oneshot,
    task::AbortHandle,
    time::timeout,
};

use crate::{
    Outcome,
    wire::{self, Frame, Packet},
};

/// How long a handshake or an ack may take before it counts as missing.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where the events of a client go. Called by the reading task: must not block.
pub trait Inbox: Send + Sync + 'static {
    /// An event: its name, and its first argument as JSON.
    fn event(&self, name: &str, body: &str);
}

/// A connected client. Dropping it closes the connection.
pub struct Client {
    shared: Arc<Shared>,
    reader: AbortHandle,
}

struct Shared {
    writer: tokio::sync::Mutex<OwnedWriteHalf>,
    acks: Mutex<HashMap<u64, oneshot::Sender<String>>>,
    next_ack: AtomicU64,
    pings: AtomicU64,
    closed: AtomicBool,
}

impl Client {
    /// Connects to 127.0.0.1:`port`, joins the main namespace with `token` and starts to read.
    pub async fn connect(port: u16, token: &str, inbox: Arc<dyn Inbox>) -> Outcome<Self> {
        timeout(PATIENCE, Self::handshake(port, token, inbox))
            .await
            .map_err(|_| "a handshake took more than 30 s")?
    }

    async fn handshake(port: u16, token: &str, inbox: Arc<dyn Inbox>) -> Outcome<Self> {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.set_nodelay(true)?;
        let request = format!(
            "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\
             Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await?;
        let mut buffer = BytesMut::with_capacity(1024);
        let end = loop {
            if let Some(at) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            if stream.read_buf(&mut buffer).await? == 0 {
                return Err("closed during the HTTP handshake".into());
            }
        };
        let answer = buffer.split_to(end);
        if !answer.starts_with(b"HTTP/1.1 101 ") {
            let line = String::from_utf8_lossy(&answer);
            let line = line.lines().next().unwrap_or_default();
            return Err(format!("no upgrade: {line}").into());
        }
        let (mut read, writer) = stream.into_split();
        let shared = Arc::new(Shared {
            writer: tokio::sync::Mutex::new(writer),
            acks: Mutex::default(),
            next_ack: AtomicU64::new(0),
            pings: AtomicU64::new(0),
            closed: AtomicBool::new(false),
        });
        shared.join_namespace(&mut read, &mut buffer, token).await?;
        let reader = {
            let shared = shared.clone();
            tokio::spawn(async move {
                // However reading ends, the scenario sees it in `closed`.
                let _ = shared.read(read, buffer, &*inbox).await;
                shared.closed.store(true, Ordering::Relaxed);
                shared.acks.lock().clear();
            })
            .abort_handle()
        };
        Ok(Self { shared, reader })
    }

    /// Sends an event and waits for the first argument of its ack, as JSON. `body` is JSON.
    pub async fn emit_with_ack(&self, name: &str, body: &str) -> Outcome<String> {
        self.emit(name, body).await?.answer().await
    }

    /// Sends an event, and returns as soon as it is written. `body` is JSON.
    pub async fn emit(&self, name: &str, body: &str) -> Outcome<PendingAck> {
        let id = self.shared.next_ack.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = oneshot::channel();
        self.shared.acks.lock().insert(id, sender);
        if self.closed() {
            return Err("the server closed the connection".into());
        }
        let frame = wire::text_frame(&format!("42{id}[\"{name}\",{body}]"));
        self.shared.write(&frame).await?;
        Ok(PendingAck(receiver))
    }

    /// Whether the connection has ended.
    pub fn closed(&self) -> bool {
        self.shared.closed.load(Ordering::Relaxed)
    }

    /// Engine.IO pings heard so far.
    pub fn pings(&self) -> u64 {
        self.shared.pings.load(Ordering::Relaxed)
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

/// An ack that is still to come.
pub struct PendingAck(oneshot::Receiver<String>);

impl PendingAck {
    /// Waits for it.
    pub async fn answer(self) -> Outcome<String> {
        timeout(PATIENCE, self.0)
            .await
            .map_err(|_| "no ack within 30 s")?
            .map_err(|_| "the connection ended before the ack".into())
    }
}

impl Shared {
    async fn write(&self, frame: &[u8]) -> Outcome<()> {
        self.writer.lock().await.write_all(frame).await?;
        Ok(())
    }

    async fn join_namespace(
        &self,
        read: &mut OwnedReadHalf,
        buffer: &mut BytesMut,
        token: &str,
    ) -> Outcome<()> {
        loop {
            while let Some(frame) = wire::take_frame(buffer)? {
                let Frame::Text(payload) = frame else {
                    continue;
                };
                match wire::parse(std::str::from_utf8(&payload)?) {
                    Packet::Open => {
                        let auth = serde_json::json!({ "token": token });
                        self.write(&wire::text_frame(&format!("40{auth}"))).await?;
                    }
                    Packet::Ping => self.pong().await?,
                    Packet::Connected => return Ok(()),
                    Packet::Refused(reason) => return Err(format!("refused: {reason}").into()),
                    _ => {}
                }
            }
            if read.read_buf(buffer).await? == 0 {
                return Err("closed during the Socket.IO handshake".into());
            }
        }
    }

    async fn read(
        &self,
        mut read: OwnedReadHalf,
        mut buffer: BytesMut,
        inbox: &dyn Inbox,
    ) -> Outcome<()> {
        loop {
            while let Some(frame) = wire::take_frame(&mut buffer)? {
                match frame {
                    Frame::Text(payload) => match wire::parse(std::str::from_utf8(&payload)?) {
                        Packet::Event(name, body) => inbox.event(name, body),
                        Packet::Ack(id, body) => {
                            if let Some(waiting) = self.acks.lock().remove(&id) {
                                // Whoever gave up waiting needs no answer.
                                let _ = waiting.send(body.to_owned());
                            }
                        }
                        Packet::Ping => self.pong().await?,
                        Packet::Disconnected => return Ok(()),
                        _ => {}
                    },
                    Frame::Ping(payload) => self.write(&wire::pong_frame(&payload)).await?,
                    Frame::Close => return Ok(()),
                    Frame::Other => {}
                }
            }
            buffer.reserve(512);
            if read.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
        }
    }

    async fn pong(&self) -> Outcome<()> {
        self.pings.fetch_add(1, Ordering::Relaxed);
        self.write(&wire::text_frame("3")).await
    }
}

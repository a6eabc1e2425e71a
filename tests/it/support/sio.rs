//! A bare Socket.IO client over one WebSocket. It reads only when asked to, so that tests can be
//! slow, stalled or rude readers, which real clients cannot.

use std::{
    collections::{HashMap, VecDeque},
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::{WebSocketStream, client_async, tungstenite::Message};

/// Longer than anything takes that works.
pub const PATIENCE: Duration = Duration::from_secs(15);

/// A connected client.
pub struct Sio {
    ws: WebSocketStream<TcpStream>,
    /// The Socket.IO id.
    pub id: String,
    next_ack: u64,
    /// Events read while waiting for something else.
    events: VecDeque<(String, Value)>,
    acks: HashMap<u64, Value>,
}

/// A TCP connection from a loopback address of choice.
pub async fn tcp(to: SocketAddr, from: IpAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::new(from, 0)).unwrap();
    socket.connect(to).await.unwrap()
}

/// A TCP connection whose end here holds little of what is not read.
pub async fn narrow(to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(16 * 1024).unwrap();
    socket.connect(to).await.unwrap()
}

impl Sio {
    /// Connects with `auth`; the error is the server's `connect_error` message.
    pub async fn connect(addr: SocketAddr, auth: Value) -> Result<Self, String> {
        Self::connect_over(TcpStream::connect(addr).await.unwrap(), "/socket.io/", auth).await
    }

    /// Connects over a TCP connection made before.
    pub async fn connect_over(tcp: TcpStream, path: &str, auth: Value) -> Result<Self, String> {
        let addr = tcp.peer_addr().unwrap();
        let url = format!("ws://{addr}{path}?EIO=4&transport=websocket");
        let (ws, _) = client_async(url, tcp).await.map_err(|e| e.to_string())?;
        let mut sio = Self {
            ws,
            id: String::new(),
            next_ack: 0,
            events: VecDeque::new(),
            acks: HashMap::new(),
        };
        sio.raw(&format!("40{auth}")).await;
        loop {
            let text = sio.frame().await.ok_or("closed before it was connected")?;
            if let Some(rest) = text.strip_prefix("40") {
                let connected: Value = serde_json::from_str(rest).unwrap();
                sio.id = connected["sid"].as_str().unwrap().to_owned();
                return Ok(sio);
            }
            if let Some(rest) = text.strip_prefix("44") {
                let refused: Value = serde_json::from_str(rest).unwrap();
                return Err(refused["message"].as_str().unwrap().to_owned());
            }
        }
    }

    /// Sends one Engine.IO frame as it is.
    pub async fn raw(&mut self, text: &str) {
        // A server that closed is noticed by reading.
        let _ = self.ws.send(Message::text(text.to_owned())).await;
    }

    /// Queues a frame without flushing, so that many leave in one write.
    pub async fn feed(&mut self, text: &str) {
        let _ = self.ws.feed(Message::text(text.to_owned())).await;
    }

    /// Sends what was queued.
    pub async fn flush(&mut self) {
        let _ = self.ws.flush().await;
    }

    /// Emits without waiting. Returns the ack's id.
    pub async fn post(&mut self, event: &str, arg: Value) -> u64 {
        let id = self.next_ack;
        self.next_ack += 1;
        self.feed(&format!("42{id}{}", json!([event, arg]))).await;
        id
    }

    /// Emits without asking for an ack.
    pub async fn emit(&mut self, event: &str, arg: Value) {
        self.raw(&format!("42{}", json!([event, arg]))).await;
    }

    /// Emits and waits for the ack's first argument.
    pub async fn call(&mut self, event: &str, arg: Value) -> Value {
        let id = self.post(event, arg).await;
        self.flush().await;
        self.ack(id).await
    }

    /// Waits for an ack.
    pub async fn ack(&mut self, id: u64) -> Value {
        loop {
            if let Some(value) = self.acks.remove(&id) {
                return value;
            }
            assert!(self.step().await, "closed while waiting for an ack");
        }
    }

    /// Waits for an event of that name; others are kept.
    pub async fn event(&mut self, name: &str) -> Value {
        loop {
            if let Some(at) = self.events.iter().position(|(n, _)| n == name) {
                return self.events.remove(at).unwrap().1;
            }
            assert!(self.step().await, "closed while waiting for {name}");
        }
    }

    /// Waits until an event of that name was read, and keeps it.
    pub async fn until_heard(&mut self, name: &str) {
        while self.heard(name).is_empty() {
            assert!(self.step().await, "closed while waiting for {name}");
        }
    }

    /// The events of that name that were read so far.
    pub fn heard(&self, name: &str) -> Vec<&Value> {
        self.events
            .iter()
            .filter(|(n, _)| n == name)
            .map(|(_, v)| v)
            .collect()
    }

    /// Reads until the server closes.
    pub async fn closed(&mut self) {
        while self.step().await {}
    }

    /// Whether a CONNECT sent by hand was accepted.
    pub async fn admitted(&mut self) -> bool {
        loop {
            let text = self.frame().await.expect("closed while connecting again");
            if text.starts_with("40") || text.starts_with("44") {
                return text.starts_with("40");
            }
        }
    }

    /// Whether the namespace was closed by the server for good, read until then.
    pub async fn banned(&mut self) -> bool {
        loop {
            match self.frame().await {
                Some(text) if text == "41" => return true,
                Some(_) => {}
                None => return false,
            }
        }
    }

    /// Handles one frame. `false`: closed.
    async fn step(&mut self) -> bool {
        let Some(text) = self.frame().await else {
            return false;
        };
        if let Some(rest) = text.strip_prefix("42") {
            let Value::Array(mut args) = serde_json::from_str(rest).unwrap() else {
                panic!("{text}")
            };
            let arg = if args.len() > 1 {
                args.swap_remove(1)
            } else {
                Value::Null
            };
            self.events
                .push_back((args[0].as_str().unwrap().to_owned(), arg));
        } else if let Some(rest) = text.strip_prefix("43") {
            let at = rest.find('[').unwrap();
            let Value::Array(mut args) = serde_json::from_str(&rest[at..]).unwrap() else {
                panic!()
            };
            self.acks
                .insert(rest[..at].parse().unwrap(), args.swap_remove(0));
        }
        true
    }

    /// The next Engine.IO frame, pings answered. `None`: closed.
    async fn frame(&mut self) -> Option<String> {
        loop {
            let next = tokio::time::timeout(PATIENCE, self.ws.next()).await;
            match next.expect("the server says nothing") {
                Some(Ok(Message::Text(text))) if text == "2" => self.raw("3").await,
                Some(Ok(Message::Text(text))) => return Some(text.to_string()),
                Some(Ok(Message::Close(_)) | Err(_)) | None => return None,
                Some(Ok(_)) => {}
            }
        }
    }
}

//! A way between a client and a server over TCP that can be cut, and that counts what goes over it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};
use tokio_util::task::AbortOnDropHandle;

/// What the line does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Passes everything on.
    Open,
    /// Passes everything on, this much later, in each direction.
    Slow(Duration),
    /// Passes nothing on and holds it back, as a network does that loses every packet.
    Silent,
    /// Has no connection and takes none.
    Closed,
}

impl State {
    fn passes(&self) -> bool {
        matches!(self, Self::Open | Self::Slow(_))
    }
}

/// Bytes that went over a line, on all its connections.
#[derive(Default)]
struct Passed {
    to_server: AtomicU64,
    to_client: AtomicU64,
}

/// A line to one server. Gone, with its connections, when dropped.
pub struct Line {
    port: u16,
    state: watch::Sender<State>,
    passed: Arc<Passed>,
    _running: AbortOnDropHandle<()>,
}

impl Line {
    /// An open line to this port of 127.0.0.1. It runs on the runtime that this is called on.
    pub async fn start(to: u16) -> Self {
        let front = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = front.local_addr().expect("its address").port();
        let (state, told) = watch::channel(State::Open);
        let passed = Arc::<Passed>::default();
        let count = passed.clone();
        let running = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = front.accept().await {
                while connections.try_join_next().is_some() {}
                connections.spawn(connection(client, to, told.clone(), count.clone()));
            }
        });
        Self {
            port,
            state,
            passed,
            _running: AbortOnDropHandle::new(running),
        }
    }

    /// Where the line begins, on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Bytes that went to the server so far, and to the client.
    pub fn passed(&self) -> (u64, u64) {
        let Passed {
            to_server,
            to_client,
        } = &*self.passed;
        let count = |of: &AtomicU64| of.load(Ordering::Relaxed);
        (count(to_server), count(to_client))
    }

    /// Makes it do so from now on.
    pub fn set(&self, state: State) {
        self.state.send_replace(state);
    }
}

async fn connection(
    mut client: TcpStream,
    to: u16,
    mut state: watch::Receiver<State>,
    passed: Arc<Passed>,
) {
    let mut closed = state.clone();
    let passing = async {
        state.wait_for(State::passes).await.ok()?;
        let mut server = TcpStream::connect(("127.0.0.1", to)).await.ok()?;
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        tokio::select! {
            done = pass(from_client, to_server, state.clone(), &passed.to_server) => done,
            done = pass(from_server, to_client, state, &passed.to_client) => done,
        }
    };
    tokio::select! {
        _ = passing => {}
        _ = closed.wait_for(|s| *s == State::Closed) => {}
    }
}

/// One direction, until its end.
async fn pass(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut state: watch::Receiver<State>,
    passed: &AtomicU64,
) -> Option<()> {
    let mut bytes = vec![0; 16 * 1024];
    loop {
        let count = from.read(&mut bytes).await.ok().filter(|n| *n > 0)?;
        let now = *state.borrow_and_update();
        if let State::Slow(delay) = now {
            tokio::time::sleep(delay).await;
        }
        state.wait_for(State::passes).await.ok()?;
        to.write_all(&bytes[..count]).await.ok()?;
        passed.fetch_add(count as u64, Ordering::Relaxed);
    }
}

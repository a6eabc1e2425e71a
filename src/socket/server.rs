//! The Socket.IO server of each path: how a connection is admitted, and how it ends.

use std::{
    fmt,
    sync::{Arc, OnceLock, Weak},
    time::Duration,
};

use axum::body::Body;
use engineioxide::service::NotFoundService;
use http::{Request, header::CONTENT_TYPE};
use serde_json::Value;
use socketioxide::{
    SocketIo,
    extract::{SocketRef, TryData},
    handler::ConnectHandler,
    service::SocketIoService,
    socket::DisconnectReason,
};
use socketioxide_core::Sid;
use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;
use tower::Service;

use super::{
    adapter::{Door, EdgeAdapter, Slot},
    drain::Drain,
    expiry::Expiry,
    hub::Hub,
    inbound::{RawEvent, Receiver, open_inbox},
    line::Cut,
    outlet::Bound,
    peer::{Peer, PeerGuard, Peers},
    seat::{Nameless, Seat},
    session::{Session, SessionParts},
};
use crate::{
    auth::{AuthError, Authenticator, Identity},
    chat::{Chat, ChatError, ChatResult},
    config,
    dialect::{Dialect, Dialects, Hello, Introduction},
    limits::Limits,
    telemetry,
};

/// What a client with too many connections is told to wait.
pub const TOO_MANY_CONNECTIONS_RETRY: Duration = Duration::from_secs(10);

/// Everything that connections need, whichever path they came in by.
pub struct Edge {
    /// The use cases.
    pub chat: Arc<Chat>,
    /// The node's connections.
    pub hub: Arc<Hub>,
    /// Who is who.
    pub auth: Arc<Authenticator>,
    /// How much is too much.
    pub limits: Arc<Limits>,
    /// Which words are spoken.
    pub dialects: Arc<Dialects>,
    /// Tokens that run out.
    pub expiry: Expiry,
    /// Whether connections without a token may say themselves whose they are.
    pub trust_new_user: bool,
    /// Work that a stop waits for.
    pub tasks: TaskTracker,
    /// Whether the node is stopping.
    pub drain: Drain,
    /// Refused events in a minute before a connection is closed.
    pub flood_close_after: u32,
}

/// The service of one path.
pub type PathService = SocketIoService<NotFoundService, EdgeAdapter>;

/// One Socket.IO path.
pub struct SocketPathState {
    /// Where it listens.
    pub path: String,
    /// What is spoken unless a connection asks for other words.
    pub dialect: Arc<Dialect>,
    /// Events of one connection waiting at most.
    pub receive_queue: usize,
    /// How much may wait for one connection.
    pub send_queue: Bound,
    /// Sessions that poll.
    pub peers: Arc<Peers>,
    slot: Slot,
    // Set once, right after the state is made: the handlers inside refer back to the state.
    server: OnceLock<(PathService, SocketIo<EdgeAdapter>)>,
}

impl SocketPathState {
    /// Builds the Socket.IO server of a path.
    pub fn build(
        edge: &Arc<Edge>,
        socket: &config::SocketPath,
        dialect: Arc<Dialect>,
        transport: &config::Transport,
        max_message_bytes: usize,
    ) -> Arc<Self> {
        let state = Arc::new(Self {
            path: socket.path.clone(),
            dialect,
            receive_queue: transport.receive_queue,
            send_queue: Bound {
                packets: transport.send_queue,
                bytes: transport.send_queue_bytes,
            },
            peers: Arc::default(),
            slot: Slot::default(),
            server: OnceLock::new(),
        });
        let (service, io) = SocketIo::builder()
            .req_path(socket.path.clone())
            .ping_interval(transport.ping_interval)
            .ping_timeout(transport.ping_timeout)
            .connect_timeout(transport.connect_timeout)
            .upgrade_timeout(transport.upgrade_timeout)
            .max_buffer_size(transport.send_queue)
            // All three: the first bounds polling only, and the others default to 64 and 16 MiB.
            .max_payload(max_message_bytes as u64)
            .ws_max_message_size(max_message_bytes)
            .ws_max_frame_size(max_message_bytes)
            // Pinned for every idle connection; larger payloads make it grow while they last.
            .ws_read_buffer_size(256)
            .with_adapter::<EdgeAdapter>(state.slot.clone())
            .build_svc();
        // Weak: the state owns the server, which owns its handlers.
        let (admitting, admitted) = (Arc::downgrade(&state), edge.clone());
        let admit_edge = edge.clone();
        io.ns(
            "/",
            (async move |socket: SocketRef<EdgeAdapter>| connected(&admitted, &socket).await).with(
                async move |socket: SocketRef<EdgeAdapter>, TryData(auth): TryData<Value>| {
                    // Without an auth value there is nothing to extract.
                    let auth = auth.unwrap_or(Value::Null);
                    admit(&admit_edge, &admitting, &socket, auth).await
                },
            ),
        );
        let _ = state.server.set((service, io));
        state
    }

    fn server(&self) -> &(PathService, SocketIo<EdgeAdapter>) {
        // Invariant: `build` sets it before it gives the state away.
        self.server
            .get()
            .unwrap_or_else(|| unreachable!("the path is built"))
    }

    /// The Engine.IO service.
    pub fn service(&self) -> PathService {
        self.server().0.clone()
    }

    /// The door to this path's connections.
    pub fn door(&self) -> &Door {
        // Invariant: declaring the namespace in `build` made the adapter, which filled the slot.
        self.slot
            .get()
            .unwrap_or_else(|| unreachable!("the namespace is declared"))
    }

    /// Closes a polling session the way its client would: with a close packet. Socketioxide has
    /// no other way that works whatever the session's queue holds.
    pub fn close_polling(&self, sid: Sid) {
        let uri = format!("{}/?EIO=4&transport=polling&sid={sid}", self.path);
        let request = Request::post(uri)
            .header(CONTENT_TYPE, "text/plain;charset=UTF-8")
            .body(Body::from("1"));
        let Ok(request) = request else { return };
        // Streams are dropped with the runtime too, where nothing can be spawned any more.
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        let mut service = self.service();
        runtime.spawn(async move {
            let _ = Service::<Request<Body>>::call(&mut service, request).await;
        });
    }

    /// Tells the client that the server ended the connection, so that it stays away.
    pub fn disconnect(&self, sid: Sid) {
        if let Some(socket) = self.server().1.get_socket(sid) {
            // With a full queue the packet is not sent; the cut that follows ends it all the same.
            let _ = socket.disconnect();
        }
    }
}

/// Why a connection was refused, as the client's `connect_error` says it. Socketioxide passes on
/// a message only, so the code stands at its start.
struct Refusal(ChatError);

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        match self.0.retry_after_ms() {
            Some(ms) => write!(f, " (retry_after_ms={ms})"),
            None => Ok(()),
        }
    }
}

/// Decides whether a connection may exist. Nothing here is visible to others: a connection that
/// dies before it is connected never sees its disconnect handler.
async fn admit(
    edge: &Arc<Edge>,
    path: &Weak<SocketPathState>,
    socket: &SocketRef<EdgeAdapter>,
    auth: Value,
) -> Result<(), Refusal> {
    let peer = socket
        .req_parts()
        .extensions
        .get::<PeerGuard>()
        .map(|g| g.peer().clone());
    let (Some(path), Some(peer)) = (path.upgrade(), peer) else {
        return Err(Refusal(ChatError::forbidden("the server is stopping")));
    };
    peer.hold();
    match seat_for(edge, path, peer, socket.id, auth).await {
        Ok(seat) => {
            socket.on_fallback::<_, RawEvent>(Receiver::new(seat.clone(), edge.clone()));
            let edge = edge.clone();
            socket.on_disconnect(async move |reason: DisconnectReason| {
                if let Some(session) = seat.leave() {
                    disconnected(&edge, &session, reason).await;
                }
            });
            Ok(())
        }
        Err(error) => {
            error.log("a connection could not be admitted");
            metrics::counter!(telemetry::HANDSHAKES_REFUSED_TOTAL, "reason" => error.code.as_str())
                .increment(1);
            Err(Refusal(error))
        }
    }
}

async fn seat_for(
    edge: &Arc<Edge>,
    path: Arc<SocketPathState>,
    peer: Arc<Peer>,
    sid: Sid,
    auth: Value,
) -> ChatResult<Arc<Seat>> {
    let wanted = auth
        .get("dialect")
        .and_then(Value::as_str)
        .or(peer.dialect.as_deref());
    let dialect = match wanted {
        None => path.dialect.clone(),
        Some(name) => edge.dialects.get(name).ok_or_else(|| {
            let names: Vec<_> = edge.dialects.names().collect();
            ChatError::invalid(format!(
                "there is no dialect of that name, only {}",
                names.join(", ")
            ))
        })?,
    };
    let told = if auth.is_null() {
        Introduction {
            token: None,
            claimed: None,
        }
    } else {
        dialect.introduction(&auth.to_string())?
    };
    let credentials = peer.take_credentials();
    if credentials.is_none() {
        // A transport may connect again after it disconnected; that must not get around the limit.
        edge.limits
            .handshake(peer.addr)
            .map_err(ChatError::rate_limited)?;
    }
    let mut credentials = credentials.unwrap_or_default();
    credentials.handshake_token = told.token;
    let bucket = edge.limits.event_bucket();
    // Waiting here instead of refusing: clients do not come back by themselves from a refusal.
    let _turn = edge.limits.admission().await;
    let Identity {
        profile,
        expires_at,
        proof,
        ..
    } = match (edge.auth.identify(&credentials).await, &told.claimed) {
        (Ok(identity), _) => identity,
        // Whoever has a token must have a good one.
        (Err(AuthError::Missing), Some(user)) if edge.trust_new_user => {
            edge.auth.believe(user.clone())?
        }
        (Err(AuthError::Missing), None) if edge.trust_new_user && dialect.introduces() => {
            return Ok(Seat::nameless(Nameless {
                sid,
                dialect,
                bucket,
                path,
                peer,
            }));
        }
        (Err(e), _) => return Err(e.into()),
    };
    if told.claimed.is_some_and(|claimed| claimed != profile.id) {
        return Err(ChatError::forbidden(
            "the handshake names another user than the token",
        ));
    }
    // Noted before anything is waited for: what comes meanwhile is compared when it is connected.
    let standing = edge.hub.controls.standing(proof);
    let slot = edge
        .limits
        .connection_of_user(&profile.id)
        .ok_or_else(|| ChatError::rate_limited(TOO_MANY_CONNECTIONS_RETRY))?;
    let profile = edge.chat.introduce(&profile).await?;
    let session = Session::new(SessionParts {
        sid,
        profile,
        expires_at,
        standing,
        dialect,
        bucket,
        edge: Arc::downgrade(edge),
        path,
        peer,
        slot,
    });
    session.peer().set_session(&session);
    Ok(Seat::of(session))
}

/// The client has been told that it is connected.
async fn connected(edge: &Arc<Edge>, socket: &SocketRef<EdgeAdapter>) {
    let peer = socket
        .req_parts()
        .extensions
        .get::<PeerGuard>()
        .map(PeerGuard::peer);
    // One without a name begins when it gets it.
    if let Some(session) = peer.and_then(|p| p.session()) {
        begin(edge.clone(), session).await;
    }
}

/// A connection of a known user begins: it is found by what is meant for it, and may say things.
pub(super) async fn begin(edge: Arc<Edge>, session: Arc<Session>) {
    session.open();
    if !edge.hub.register(&session).await {
        return;
    }
    // Orders that came since it was admitted did not find it.
    edge.hub.mind(&session);
    if !session.is_live() {
        return;
    }
    metrics::counter!(telemetry::CONNECTIONS_TOTAL, "dialect" => session.dialect.name().to_owned())
        .increment(1);
    tracing::debug!(user = %session.actor.profile.id, device = %session.device, dialect = session.dialect.name(), "connected");
    edge.expiry.watch(&session);
    let own_id = session.sid.to_string();
    let hello = Hello {
        profile: &session.actor.profile,
        device: &own_id,
        now: edge.chat.now(),
    };
    for event in session.dialect.greet(&hello) {
        session.tell(event);
    }
    open_inbox(&session, &edge);
    if let Err(e) = edge
        .chat
        .connected(&session.actor.profile.id, &session.device)
        .await
    {
        e.log("presence could not be announced");
    }
    if session.is_gone() {
        // Its end may have been handled before its beginning was.
        leave(&edge, &session).await;
    }
}

async fn disconnected(edge: &Arc<Edge>, session: &Arc<Session>, reason: DisconnectReason) {
    edge.expiry.forget(session);
    let banned = session.is_banned().then_some(Cut::Revoked);
    let reason = match (banned.or_else(|| session.peer().why_cut()), reason) {
        (Some(cut), _) => cut.as_str(),
        (None, DisconnectReason::TransportClose) => "transport_close",
        (None, DisconnectReason::TransportError) => "transport_error",
        (None, DisconnectReason::HeartbeatTimeout) => "heartbeat_timeout",
        (None, DisconnectReason::ClientNSDisconnect) => "client_disconnect",
        (None, DisconnectReason::ServerNSDisconnect) => "server_disconnect",
        (None, _) => "protocol_error",
    };
    if edge.hub.unregister(session) {
        metrics::counter!(telemetry::DISCONNECTIONS_TOTAL, "reason" => reason).increment(1);
        tracing::debug!(user = %session.actor.profile.id, device = %session.device, reason, "disconnected");
        leave(edge, session).await;
    }
}

async fn leave(edge: &Edge, session: &Session) {
    let (user, device) = (&session.actor.profile.id, &session.device);
    let left = match session.is_banned() {
        // Nobody comes back from that in a moment.
        true => edge.chat.withdraw(user, device).await,
        false => edge.chat.disconnected(user, device).await,
    };
    if let Err(e) = left {
        e.log("presence could not be announced");
    }
}

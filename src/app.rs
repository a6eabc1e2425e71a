//! The composition root: the only file that chooses backends and knows every part.

use std::{
    fmt, io,
    net::SocketAddr,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::Router;
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    auth::{AuthConfigError, Authenticator},
    blobs,
    bus::MemoryBus,
    chat::{
        Bus, Chat, ChatError, Clock, Parts, Presence, Profile, Rules, Store, SystemClock,
        UploadRules, UserId,
    },
    config::{self, Config, Demo},
    demo,
    dialect::{DialectError, Dialects},
    http::{self, ApiState, OpsState, Origins, Stats},
    limits::Limits,
    presence::MemoryPresence,
    shutdown::{Shutdown, Stopped},
    socket::{
        accept,
        deliver::LocalHub,
        expiry::Expiry,
        front::Front,
        hub::Hub,
        line::Cut,
        roster::RosterRules,
        server::{Edge, SocketPathState},
    },
    store, telemetry,
};

/// How often limiters forget keys that are idle.
const LIMITS_SWEEP: Duration = Duration::from_secs(60);

/// Why a node did not start. Each is one line for people.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address cannot be listened on.
    #[error("cannot listen on {addr} ({key}): {source}")]
    Listen {
        /// The configuration's key.
        key: &'static str,
        /// The address.
        addr: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The node's own secret cannot be read or made.
    #[error("cannot keep a secret in {}: {source}", dir.display())]
    Secret {
        /// The data folder.
        dir: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The database cannot be used.
    #[error(transparent)]
    Store(#[from] store::OpenError),
    /// The storage of uploads cannot be used.
    #[error(transparent)]
    Blobs(#[from] blobs::OpenError),
    /// A key or secret cannot be used.
    #[error(transparent)]
    Auth(#[from] AuthConfigError),
    /// Dialects with mistakes.
    #[error("{}", Lines(.0))]
    Dialects(Vec<DialectError>),
    /// A path names a dialect that does not exist.
    #[error("socket[{index}].dialect: there is no dialect \"{name}\", only {known}")]
    UnknownDialect {
        /// Which of the paths.
        index: usize,
        /// The name.
        name: String,
        /// The names there are.
        known: String,
    },
    /// Metrics cannot be recorded.
    #[error(transparent)]
    Metrics(#[from] telemetry::InstallError),
}

impl StartError {
    /// Whether the configuration is at fault, and not the world.
    pub fn is_configuration(&self) -> bool {
        matches!(
            self,
            Self::Auth(_) | Self::Dialects(_) | Self::UnknownDialect { .. }
        )
    }
}

struct Lines<'a>(&'a [DialectError]);

impl fmt::Display for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, error) in self.0.iter().enumerate() {
            let end_of_last = if n > 0 { "\n" } else { "" };
            write!(f, "{end_of_last}{error}")?;
        }
        Ok(())
    }
}

/// The sockets that a node listens on, bound by the caller: tests bind port 0.
pub struct Listeners {
    /// For clients.
    pub clients: TcpListener,
    /// For operators.
    pub ops: TcpListener,
}

impl Listeners {
    /// Binds the configured addresses.
    pub async fn bind(config: &Config) -> Result<Self, StartError> {
        Ok(Self {
            clients: listen("server.listen", config.server.listen).await?,
            ops: listen("server.ops_listen", config.server.ops_listen).await?,
        })
    }
}

async fn listen(key: &'static str, addr: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(addr)
        .await
        .map_err(|source| StartError::Listen { key, addr, source })
}

/// Loads and checks the dialects that the configuration names.
pub fn dialects(config: &Config) -> Result<Arc<Dialects>, StartError> {
    let dir = &config.dialects.dir;
    let dir = (!dir.as_os_str().is_empty()).then_some(dir.as_path());
    let dialects = Dialects::load(dir).map_err(StartError::Dialects)?;
    for (index, socket) in config.socket.iter().enumerate() {
        if dialects.get(&socket.dialect).is_none() {
            let (name, known) = (socket.dialect.clone(), dialects.known());
            return Err(StartError::UnknownDialect { index, name, known });
        }
    }
    Ok(Arc::new(dialects))
}

/// Who is who, by the configuration; with a secret of the node's own where none is configured.
pub fn authenticator(config: &mut Config) -> Result<Authenticator, StartError> {
    if !config.auth.has_verifier() {
        let dir = config.server.data_dir.clone();
        let secret =
            config::local_secret(&dir).map_err(|source| StartError::Secret { dir, source })?;
        config.auth.jwt_secrets.push(secret);
    }
    Ok(Authenticator::new(&config.auth, Arc::new(SystemClock))?)
}

/// The file of the embedded database.
pub fn database_file(config: &Config) -> PathBuf {
    config.server.data_dir.join("porchlight.db")
}

/// The parts that the use cases need, before any edge.
struct Core {
    store: Arc<dyn Store>,
    bus: Arc<dyn Bus>,
    hub: Arc<Hub>,
    chat: Arc<Chat>,
    clock: Arc<dyn Clock>,
}

async fn core(config: &Config, tasks: &TaskTracker) -> Result<Core, StartError> {
    let store = store::open(&config.database, &database_file(config)).await?;
    let blobs = blobs::open(&config.uploads, &config.server.data_dir.join("uploads"))?;
    let bus: Arc<dyn Bus> = Arc::new(MemoryBus);
    let presence: Arc<dyn Presence> = Arc::new(MemoryPresence::default());
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let hub = Hub::new(store.clone(), bus.clone(), tasks.clone());
    let chat = Chat::new(Parts {
        store: store.clone(),
        blobs,
        bus: bus.clone(),
        local: Arc::new(LocalHub(hub.clone())),
        presence,
        clock: clock.clone(),
        rules: rules(config),
        tasks: tasks.clone(),
    });
    Ok(Core {
        store,
        bus,
        hub,
        chat,
        clock,
    })
}

/// The use cases without an edge, for commands. The caller closes the store.
pub async fn open_chat(config: &Config) -> Result<(Arc<Chat>, Arc<dyn Store>), StartError> {
    let core = core(config, &TaskTracker::new()).await?;
    Ok((core.chat, core.store))
}

/// The numbers that the use cases go by.
pub fn rules(config: &Config) -> Rules {
    let (chat, uploads) = (&config.chat, &config.uploads);
    Rules {
        max_content_chars: chat.max_content_chars,
        max_attachments: chat.max_attachments,
        max_participants: chat.max_participants,
        page_size: chat.page_size,
        max_page_size: chat.max_page_size,
        typing_timeout: chat.typing_timeout,
        typing_throttle: chat.typing_throttle,
        presence_grace: chat.presence_grace,
        uploads: UploadRules {
            max_bytes: uploads.max_bytes,
            types: uploads.types.clone(),
            max_pixels: uploads.max_pixels,
            thumbnail_side: uploads.thumbnail_side,
            unused_after: uploads.unused_after,
        },
    }
}

/// A node that runs.
pub struct Running {
    store: Arc<dyn Store>,
    hub: Arc<Hub>,
    paths: Vec<Arc<SocketPathState>>,
    shutdown: Shutdown,
    patience: Duration,
    /// Ends the operators' port, which tells about the stop until it is over.
    ops: CancellationToken,
}

impl Running {
    /// Waits until the node was told to stop and has stopped.
    pub async fn wait(self) -> Stopped {
        self.shutdown.soft().cancelled().await;
        // Closed transports make clients connect again, to another node or to this one restarted.
        for session in self.hub.sessions() {
            session.cut(Cut::Drain);
        }
        // Sessions that poll without being admitted, whose requests would wait for a minute.
        for path in &self.paths {
            for sid in path.peers.sids() {
                path.close_polling(sid);
            }
        }
        let stopped = self.shutdown.stopped(self.patience).await;
        self.store.close().await;
        self.ops.cancel();
        stopped
    }
}

/// Starts a node on these listeners. It stops when `shutdown` is triggered.
pub async fn start(
    mut config: Config,
    listeners: Listeners,
    shutdown: &Shutdown,
) -> Result<Running, StartError> {
    let started = Instant::now();
    let metrics = telemetry::install_metrics()?;
    let dialects = dialects(&config)?;
    let auth = Arc::new(authenticator(&mut config)?);
    let limits = Arc::new(Limits::new(&config.limits));
    let tasks = shutdown.tasks().clone();
    let Core {
        store,
        bus,
        hub,
        chat,
        clock,
    } = core(&config, &tasks).await?;

    let edge = Arc::new(Edge {
        chat: chat.clone(),
        hub: hub.clone(),
        auth: auth.clone(),
        limits: limits.clone(),
        dialects: dialects.clone(),
        expiry: Expiry::new(clock.clone()),
        tasks: tasks.clone(),
        trust_new_user: config.auth.trust_new_user,
        flood_close_after: config.limits.flood_close_after,
    });
    let mut paths = Vec::new();
    for (index, socket) in config.socket.iter().enumerate() {
        // Checked when the dialects were loaded.
        let Some(dialect) = dialects.get(&socket.dialect) else {
            continue;
        };
        tracing::debug!(
            index,
            path = socket.path,
            dialect = dialect.name(),
            "Socket.IO path"
        );
        let bytes = config.limits.max_message_bytes;
        paths.push(SocketPathState::build(
            &edge,
            socket,
            dialect,
            &config.transport,
            bytes,
        ));
    }

    let stats: Arc<dyn Stats> = hub.clone();
    let api = ApiState {
        chat: chat.clone(),
        auth: auth.clone(),
        limits: limits.clone(),
        stats: stats.clone(),
        tasks: tasks.clone(),
    };
    let mut router = http::api(api, &config);
    if demo_enabled(&config) {
        router = demo_router(&config, &auth).merge(router);
    }
    let front = Arc::new(Front {
        edge: edge.clone(),
        paths: paths.clone(),
        router,
        cors: http::cors(&config),
        origins: Origins::new(&config.server.cors_origins),
        trust_forwarded_for: config.server.trust_forwarded_for,
        write_timeout: config.transport.write_timeout,
        compress_from: Some(config.transport.compress_from_bytes).filter(|n| *n > 0),
        max_message_bytes: config.limits.max_message_bytes,
    });
    let ops = http::ops(OpsState {
        store: store.clone(),
        bus,
        stats,
        metrics: metrics.clone(),
        clock,
        started,
        draining: shutdown.soft().clone(),
    });

    let online = RosterRules {
        max: config.chat.online_list_max,
        interval: config.chat.online_list_interval,
    };
    let soft = shutdown.soft().clone();
    let client_port = accept::serve(listeners.clients, front, soft.clone(), tasks.clone());
    tasks.spawn(client_port);
    let ops_end = CancellationToken::new();
    let ops_ended = ops_end.clone().cancelled_owned();
    // Not tracked: it is there to tell about the stop of those that are.
    tokio::spawn(async move {
        let serving = axum::serve(listeners.ops, ops).with_graceful_shutdown(ops_ended);
        if let Err(e) = serving.await {
            tracing::error!(error = %e, "the operators' port failed");
        }
    });
    tasks.spawn(metrics.keep(soft.clone()));
    tasks.spawn(
        soft.clone()
            .run_until_cancelled_owned(async move { edge.expiry.run().await }),
    );
    let uploads = chat.clone();
    tasks.spawn(
        soft.clone()
            .run_until_cancelled_owned(async move { uploads.sweep_uploads().await }),
    );
    let (telling, told) = (hub.clone(), chat.clone());
    tasks.spawn(
        soft.clone()
            .run_until_cancelled_owned(async move { telling.roster.run(&told, online).await }),
    );
    let (handing, recorder) = (hub.clone(), chat.clone());
    tasks.spawn(
        soft.clone()
            .run_until_cancelled_owned(async move { handing.handed.run(&recorder).await }),
    );
    tasks.spawn(
        soft.clone()
            .run_until_cancelled_owned(async move { chat.sweep_outbox().await }),
    );
    tasks.spawn(soft.run_until_cancelled_owned(async move {
        loop {
            tokio::time::sleep(LIMITS_SWEEP).await;
            limits.sweep();
        }
    }));
    Ok(Running {
        store,
        hub,
        paths,
        shutdown: shutdown.clone(),
        patience: config.server.shutdown_timeout,
        ops: ops_end,
    })
}

/// Whether the demo page is served.
pub fn demo_enabled(config: &Config) -> bool {
    match config.server.demo {
        Demo::On => true,
        Demo::Off => false,
        Demo::Auto => config.server.listen.ip().is_loopback(),
    }
}

fn demo_router(config: &Config, auth: &Arc<Authenticator>) -> Router {
    let (auth, ttl) = (auth.clone(), config.auth.socket_token_ttl);
    let socket_path = config
        .socket
        .first()
        .map_or("/socket.io", |s| s.path.as_str());
    demo::router(demo::Settings {
        socket_path: socket_path.into(),
        mint: Arc::new(move |user, name| {
            let user = UserId::new(user).map_err(|e| ChatError::invalid(e.to_string()))?;
            let profile = Profile {
                name: name.into(),
                ..Profile::unknown(user)
            };
            Ok(auth.mint(&profile, ttl)?.token)
        }),
    })
}

impl Stats for Hub {
    fn connections(&self) -> usize {
        Hub::connections(self)
    }

    fn rooms(&self) -> usize {
        Hub::rooms(self)
    }

    fn users(&self) -> usize {
        Hub::users(self)
    }
}

//! The composition root: the only module that chooses backends and knows every part.

mod cluster;
mod emitters;
mod error;

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::Router;
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::cluster::{Cluster, Connected};
pub use self::error::StartError;
use crate::{
    auth::Authenticator,
    blobs,
    chat::{
        Chat, ChatError, Clock, Controls, Parts, Profile, Rules, Store, SystemClock, UploadRules,
        UserId,
    },
    config::{self, Config, Demo},
    demo,
    dialect::Dialects,
    http::{self, ApiState, OpsState, Origins, Stats},
    limits::Limits,
    shutdown::{Shutdown, Stopped},
    socket::{
        accept,
        deliver::LocalHub,
        drain::{Drain, DrainRules},
        expiry::Expiry,
        front::Front,
        hub::Hub,
        roster::RosterRules,
        server::{Edge, SocketPathState},
    },
    store, telemetry,
};

/// How often limiters forget keys that are idle.
const LIMITS_SWEEP: Duration = Duration::from_secs(60);

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
    let name = &config.emitters.node_dialect;
    if !name.is_empty() && dialects.get(name).is_none() {
        let known: Vec<_> = dialects.names().collect();
        let (name, known) = (name.clone(), known.join(", "));
        return Err(StartError::UnknownNodeDialect { name, known });
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
    hub: Arc<Hub>,
    local: Arc<LocalHub>,
    chat: Arc<Chat>,
    controls: Arc<Controls>,
    clock: Arc<dyn Clock>,
}

async fn core(config: &Config, cluster: &Cluster, tasks: &TaskTracker) -> Result<Core, StartError> {
    let store = store::open(&config.database, &database_file(config)).await?;
    let blobs = blobs::open(&config.uploads, &config.server.data_dir.join("uploads"))?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let controls = Controls::new(clock.clone());
    let hub = Hub::new(
        store.clone(),
        cluster.bus.clone(),
        controls.clone(),
        tasks.clone(),
    );
    let local = Arc::new(LocalHub {
        hub: hub.clone(),
        presence: cluster.presence.clone(),
    });
    let chat = Chat::new(Parts {
        store: store.clone(),
        blobs,
        bus: cluster.bus.clone(),
        local: local.clone(),
        presence: cluster.presence.clone(),
        controls: controls.clone(),
        clock: clock.clone(),
        rules: rules(config),
        tasks: tasks.clone(),
    });
    Ok(Core {
        store,
        hub,
        local,
        chat,
        controls,
        clock,
    })
}

/// The use cases without an edge, for commands. The caller closes the store.
pub async fn open_chat(config: &Config) -> Result<(Arc<Chat>, Arc<dyn Store>), StartError> {
    let core = core(config, &Cluster::of(config)?, &TaskTracker::new()).await?;
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
    drain: Drain,
    drain_rules: DrainRules,
    patience: Duration,
    /// The way to other nodes, needed until the last commit is published.
    others: Connected,
    /// Ends the operators' port, which tells about the stop until it is over.
    ops: CancellationToken,
}

impl Running {
    /// Waits until the node was told to stop and has stopped.
    pub async fn wait(self) -> Stopped {
        self.shutdown.soft().cancelled().await;
        self.drain
            .run(
                &self.hub,
                &self.paths,
                self.drain_rules,
                self.shutdown.hard(),
            )
            .await;
        let stopped = self.shutdown.stopped(self.patience).await;
        if !matches!(stopped, Stopped::Forced { .. }) {
            let closing = self.others.close();
            self.shutdown.now().run_until_cancelled(closing).await;
        }
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
    let auth = authenticator(&mut config)?;
    let limits = Arc::new(Limits::new(&config.limits));
    let drain = Drain::default();
    let tasks = shutdown.tasks().clone();
    let cluster = Cluster::of(&config)?.with_emitters(&config, &dialects);
    let Core {
        store,
        hub,
        local,
        chat,
        controls,
        clock,
    } = core(&config, &cluster, &tasks).await?;
    let auth = Arc::new(auth.with_controls(controls));
    // Before anybody is admitted.
    chat.learn_orders().await?;

    let edge = Arc::new(Edge {
        chat: chat.clone(),
        hub: hub.clone(),
        auth: auth.clone(),
        limits: limits.clone(),
        dialects: dialects.clone(),
        expiry: Expiry::new(clock.clone()),
        tasks: tasks.clone(),
        drain: drain.clone(),
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
        bus: cluster.bus.clone(),
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
    let presence = local.presence.clone();
    let others = cluster.connect(local, &hub).await;
    // Clients are served until the last of them was told to go.
    let served = drain.closed().clone();
    let client_port = accept::serve(listeners.clients, front, served.clone(), tasks.clone());
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
    tasks.spawn(metrics.keep(served.clone()));
    let meanwhile = Meanwhile { served, tasks };
    meanwhile.run(async move { edge.expiry.run().await });
    let uploads = chat.clone();
    meanwhile.run(async move { uploads.sweep_uploads().await });
    let (telling, told) = (hub.clone(), chat.clone());
    meanwhile.run(async move { telling.roster.run(&told, online).await });
    let healing = hub.clone();
    meanwhile.run(async move { healing.heal.run(&healing, &*presence).await });
    let (handing, recorder) = (hub.clone(), chat.clone());
    meanwhile.run(async move { handing.handed.run(&recorder).await });
    let ordered = chat.clone();
    meanwhile.run(async move { ordered.watch_orders().await });
    let watcher = chat.clone();
    meanwhile.run(async move { watcher.watch_presence().await });
    meanwhile.run(async move { chat.sweep_outbox().await });
    meanwhile.run(async move {
        loop {
            tokio::time::sleep(LIMITS_SWEEP).await;
            limits.sweep();
        }
    });
    Ok(Running {
        store,
        hub,
        paths,
        shutdown: shutdown.clone(),
        drain,
        drain_rules: DrainRules {
            notice: config.server.drain_notice,
            over: config.server.drain,
        },
        patience: config.server.shutdown_timeout,
        others,
        ops: ops_end,
    })
}

/// Runs what has no end of its own for as long as clients are served.
struct Meanwhile {
    served: CancellationToken,
    tasks: TaskTracker,
}

impl Meanwhile {
    fn run(&self, work: impl Future<Output = ()> + Send + 'static) {
        let served = self.served.clone();
        self.tasks.spawn(served.run_until_cancelled_owned(work));
    }
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

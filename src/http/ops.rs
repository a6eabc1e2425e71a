//! The operators' port: health, readiness, metrics. Not for the internet: nobody is asked who they
//! are.

use std::{
    future::Future,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    middleware,
    response::{IntoResponse, Response},
    routing::get,
};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::{Stats, layers, problem::json};
use crate::{
    chat::{Bus, Clock, Store, Unavailable},
    telemetry::Metrics,
};

/// How long a dependency may take to answer before it counts as down. Orchestrators ask every few
/// seconds and wait for about one.
const PING_TIMEOUT: Duration = Duration::from_millis(800);

/// What the operators' router is made of. Cheap to clone.
#[derive(Clone)]
pub struct OpsState {
    /// The durable truth; without it the node is not ready.
    pub store: Arc<dyn Store>,
    /// The way to other nodes; without it the node serves its own clients.
    pub bus: Arc<dyn Bus>,
    /// What this node carries.
    pub stats: Arc<dyn Stats>,
    /// The metrics.
    pub metrics: Metrics,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// When the process started.
    pub started: Instant,
    /// Cancelled when the node stops and wants no new connections.
    pub draining: CancellationToken,
}

/// The operators' router: `/health`, `/ready`, `/metrics`.
pub fn ops(state: OpsState) -> Router {
    Router::new()
        .route("/health", get(health))
        .route("/ready", get(ready))
        .route("/metrics", get(render_metrics))
        .fallback(layers::no_such_route)
        .method_not_allowed_fallback(layers::no_such_method)
        .layer(middleware::from_fn(layers::observe))
        .with_state(state)
}

#[derive(Serialize)]
struct Health {
    status: &'static str,
    connections: usize,
    /// Seconds.
    uptime: f64,
    memory: Memory,
    timestamp: String,
}

/// Bytes, from `/proc/self/status` (proc_pid_status(5)); null where there is no such file. The
/// names are those of Node's `process.memoryUsage()` where it has any, as dashboards read them.
#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Memory {
    rss: Option<u64>,
    /// Data that the process has asked for.
    heap_total: Option<u64>,
    /// Of that, what is in memory.
    heap_used: Option<u64>,
    /// What is in memory of files: the program and its libraries.
    external: Option<u64>,
    rss_peak: Option<u64>,
    #[serde(rename = "virtual")]
    address_space: Option<u64>,
}

/// That the process lives.
async fn health(State(ops): State<OpsState>) -> Response {
    let body = Health {
        status: "healthy",
        connections: ops.stats.connections(),
        uptime: ops.started.elapsed().as_secs_f64(),
        memory: memory(),
        timestamp: ops.clock.now().to_iso(),
    };
    json(StatusCode::OK, &body)
}

#[derive(Serialize)]
struct Readiness {
    /// `ready`, `degraded` (the bus is down: this node's own clients are served), `draining`,
    /// `unavailable`.
    status: &'static str,
    /// Live connections; of a draining node those that are left.
    connections: usize,
    checks: Checks,
}

#[derive(Serialize)]
struct Checks {
    store: Check,
    bus: Check,
    draining: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Check {
    ok: bool,
    /// Whether the node counts as not ready without it.
    required: bool,
    latency_ms: f64,
}

/// Whether to send clients here: 200 or 503.
async fn ready(State(ops): State<OpsState>) -> Response {
    let (store, bus) = tokio::join!(
        check("store", true, ops.store.ping()),
        check("bus", false, ops.bus.ping())
    );
    let draining = ops.draining.is_cancelled();
    let (code, status) = match (draining, store.ok, bus.ok) {
        (true, _, _) => (StatusCode::SERVICE_UNAVAILABLE, "draining"),
        (_, false, _) => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
        (_, _, false) => (StatusCode::OK, "degraded"),
        _ => (StatusCode::OK, "ready"),
    };
    let checks = Checks {
        store,
        bus,
        draining,
    };
    let connections = ops.stats.connections();
    json(
        code,
        &Readiness {
            status,
            connections,
            checks,
        },
    )
}

async fn check(
    what: &'static str,
    required: bool,
    ping: impl Future<Output = Result<(), Unavailable>>,
) -> Check {
    let started = Instant::now();
    let answer = tokio::time::timeout(PING_TIMEOUT, ping).await;
    let latency = started.elapsed();
    match &answer {
        Ok(Ok(())) => {}
        Ok(Err(e)) => {
            let cause: &dyn std::error::Error = &*e.source;
            tracing::warn!(what, cause, "a dependency is down");
        }
        Err(_) => tracing::warn!(what, "a dependency does not answer"),
    }
    Check {
        ok: matches!(answer, Ok(Ok(()))),
        required,
        latency_ms: latency.as_secs_f64() * 1000.0,
    }
}

/// Prometheus text (its exposition format 0.0.4).
async fn render_metrics(State(ops): State<OpsState>) -> Response {
    let content_type = "text/plain; version=0.0.4; charset=utf-8";
    ([(header::CONTENT_TYPE, content_type)], ops.metrics.render()).into_response()
}

fn memory() -> Memory {
    let Ok(status) = std::fs::read_to_string("/proc/self/status") else {
        return Memory::default();
    };
    let bytes = |key: &str| {
        let line = status.lines().find_map(|l| l.strip_prefix(key))?;
        let kib: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
        Some(kib * 1024)
    };
    Memory {
        rss: bytes("VmRSS:"),
        heap_total: bytes("VmData:"),
        heap_used: bytes("RssAnon:"),
        external: bytes("RssFile:"),
        rss_peak: bytes("VmHWM:"),
        address_space: bytes("VmSize:"),
    }
}

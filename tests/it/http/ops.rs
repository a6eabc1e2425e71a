//! The operators' port.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use axum::{
    Router,
    body::Body,
    http::{Request, StatusCode, header},
};
use porchlight::{
    chat::{Bus, Envelope, Millis, Publishing, SystemClock, Topic, Unavailable},
    http::{OpsState, ops},
};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{Answer, Api, Figures, answer};

/// The way to other nodes, when it is down.
enum BrokenBus {
    Refuses,
    Hangs,
}

#[async_trait]
impl Bus for BrokenBus {
    fn publish(&self, _: &Envelope) -> Publishing {
        Box::pin(std::future::pending())
    }
    async fn subscribe(&self, _: Topic) {}
    fn unsubscribe(&self, _: Topic) {}
    fn is_alone(&self) -> bool {
        false
    }
    fn is_up(&self) -> bool {
        false
    }
    async fn ping(&self) -> Result<(), Unavailable> {
        match self {
            Self::Refuses => Err(Unavailable {
                what: "redis",
                source: "connection refused by redis://:password@host".into(),
            }),
            Self::Hangs => std::future::pending().await,
        }
    }
}

fn state(api: &Api, bus: Arc<dyn Bus>) -> OpsState {
    let (_, metrics) = porchlight::telemetry::metrics_recorder().unwrap();
    OpsState {
        store: api.store.clone(),
        bus,
        stats: Arc::new(Figures),
        metrics,
        clock: Arc::new(SystemClock),
        started: Instant::now() - Duration::from_secs(90),
        draining: CancellationToken::new(),
    }
}

async fn get(router: &Router, path: &str) -> Answer {
    let request = Request::get(path).body(Body::empty()).unwrap();
    answer(router.clone(), request).await
}

#[tokio::test]
async fn health_tells_the_process() {
    let api = Api::start().await;
    let router = ops(state(&api, api.bus.clone()));
    let health = get(&router, "/health").await.expect(StatusCode::OK);
    assert_eq!(health["status"], "healthy");
    assert_eq!(health["connections"], 5);
    let uptime = health["uptime"].as_f64().unwrap();
    assert!((90.0..1000.0).contains(&uptime), "{uptime}");
    let rss = health["memory"]["rss"].as_u64().unwrap();
    assert!(rss > 1 << 20, "{rss}");
    assert!(health["memory"]["rssPeak"].as_u64().unwrap() >= rss);
    let at = Millis::from_iso(health["timestamp"].as_str().unwrap()).unwrap();
    assert!((api.chat.now().0 - at.0).abs() < 60_000);
}

fn verdict(readiness: &Value) -> (&str, bool, bool, bool) {
    let checks = &readiness["checks"];
    assert!(checks["store"]["latencyMs"].is_f64() && checks["bus"]["latencyMs"].is_f64());
    assert_eq!(checks["store"]["required"], true);
    assert_eq!(checks["bus"]["required"], false);
    (
        readiness["status"].as_str().unwrap(),
        checks["store"]["ok"].as_bool().unwrap(),
        checks["bus"]["ok"].as_bool().unwrap(),
        checks["draining"].as_bool().unwrap(),
    )
}

#[tokio::test]
async fn readiness_follows_the_dependencies() {
    let api = Api::start().await;
    let state = |bus| state(&api, bus);
    let whole = state(api.bus.clone());
    let draining = whole.draining.clone();
    let router = ops(whole);
    let answer = get(&router, "/ready").await;
    let readiness = answer.expect(StatusCode::OK);
    assert_eq!(verdict(&readiness), ("ready", true, true, false));

    // Without the bus this node's own clients are served.
    for bus in [BrokenBus::Refuses, BrokenBus::Hangs] {
        let router = ops(state(Arc::new(bus)));
        let answer = get(&router, "/ready").await;
        let readiness = answer.expect(StatusCode::OK);
        assert_eq!(verdict(&readiness), ("degraded", true, false, false));
        assert!(!readiness.to_string().contains("password"));
    }

    draining.cancel();
    let answer = get(&router, "/ready").await;
    let readiness = answer.expect(StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(verdict(&readiness), ("draining", true, true, true));
    assert_eq!(readiness["connections"], 5);
    // A draining process is a healthy one.
    get(&router, "/health").await.expect(StatusCode::OK);

    api.store.close().await;
    let router = ops(state(api.bus.clone()));
    let answer = get(&router, "/ready").await;
    let readiness = answer.expect(StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(verdict(&readiness), ("unavailable", false, true, false));
}

#[test]
fn metrics_are_rendered_for_prometheus() {
    let (recorder, metrics) = porchlight::telemetry::metrics_recorder().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.enable_all().build().unwrap();
    metrics::with_local_recorder(&recorder, || {
        runtime.block_on(async {
            let api = Api::start().await;
            let mut state = state(&api, api.bus.clone());
            state.metrics = metrics.clone();
            let router = ops(state);
            get(&router, "/health").await;
            let answer = get(&router, "/metrics").await;
            assert_eq!(answer.status, StatusCode::OK);
            let kind = answer.header(header::CONTENT_TYPE);
            assert!(kind.starts_with("text/plain; version=0.0.4"), "{kind}");
            let text = String::from_utf8(answer.bytes.to_vec()).unwrap();
            let name = porchlight::telemetry::HTTP_REQUESTS_TOTAL;
            let line = format!("{name}{{route=\"/health\",method=\"GET\",status=\"200\"}} 1");
            assert!(text.contains(&line), "no {line} in\n{text}");
            assert!(text.contains("process_resident_memory_bytes "), "{text}");
        });
    });
}

#[tokio::test]
async fn other_paths_are_problems() {
    let api = Api::start().await;
    let router = ops(state(&api, api.bus.clone()));
    get(&router, "/api/conversations")
        .await
        .refused(404, "not_found");
    let request = Request::post("/health").body(Body::empty()).unwrap();
    let answer = answer(router, request).await;
    answer.refused(405, "invalid");
    assert_eq!(answer.json()["title"], json!("Invalid request"));
}

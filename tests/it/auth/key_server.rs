//! A server of public keys that counts how often it is asked, and can be held up or broken.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::Semaphore, task::JoinHandle};

/// Serves until it is dropped.
pub struct KeyServer {
    pub url: String,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

struct Shared {
    fetches: AtomicUsize,
    answer: Mutex<(StatusCode, String)>,
    /// A fetch is answered once it gets a permit.
    gate: Semaphore,
}

impl KeyServer {
    pub async fn start(keys: &[Value]) -> Self {
        let shared = Arc::new(Shared {
            fetches: AtomicUsize::new(0),
            answer: Mutex::new((StatusCode::OK, json!({ "keys": keys }).to_string())),
            gate: Semaphore::new(Semaphore::MAX_PERMITS),
        });
        let router = Router::new()
            .route("/jwks", get(answer))
            .with_state(shared.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/jwks", listener.local_addr().unwrap());
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, shared, task }
    }

    pub fn fetches(&self) -> usize {
        self.shared.fetches.load(Ordering::SeqCst)
    }

    pub fn publish(&self, keys: &[Value]) {
        *self.shared.answer.lock() = (StatusCode::OK, json!({ "keys": keys }).to_string());
    }

    pub fn fail(&self, status: StatusCode, body: &str) {
        *self.shared.answer.lock() = (status, body.to_owned());
    }

    /// From now on fetches wait for [`KeyServer::release`].
    pub fn hold(&self) {
        self.shared.gate.forget_permits(Semaphore::MAX_PERMITS);
    }

    pub fn release(&self) {
        self.shared.gate.add_permits(Semaphore::MAX_PERMITS / 2);
    }

    pub async fn asked(&self, times: usize) {
        while self.fetches() < times {
            tokio::task::yield_now().await;
        }
    }
}

impl Drop for KeyServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(State(shared): State<Arc<Shared>>) -> Response {
    shared.fetches.fetch_add(1, Ordering::SeqCst);
    let _permit = shared.gate.acquire().await;
    let (status, body) = shared.answer.lock().clone();
    (status, [(header::LOCATION, "/jwks")], body).into_response()
}

//! The REST edge, driven in process: the real router over the real use cases, store and
//! authenticator; only the sockets are a recorder.

mod attachments;
mod callers;
mod conversations;
mod messages;
mod openapi;
mod ops;
mod people;
mod requests;
mod revocation;
mod search;
mod service;
mod uploads;

use std::{net::IpAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    body::{Body, Bytes},
    http::{HeaderMap, Method, Request, StatusCode, header},
};
use http_body_util::BodyExt;
use parking_lot::Mutex;
use porchlight::{
    app,
    auth::Authenticator,
    blobs,
    bus::MemoryBus,
    chat::{
        Bus, Chat, Clock, Controls, DeviceId, Envelope, Event, Local, MessageId, Order, Parts,
        Presence, Profile, Store, SystemClock, Topic, UserId,
    },
    config::{Sources, load},
    http::{ApiState, ClientAddr, Stats, api},
    limits::Limits,
    presence::MemoryPresence,
};
use serde_json::{Value, json};
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

const SECRET: &str = "b1946ac92492d2347c6235b4d2611184-http";
const API_KEY: &str = "e10adc3949ba59abbe56e057f20f883e-backend";

/// This node's sockets: remembers what they were to deliver.
#[derive(Default)]
struct Recorder(Mutex<Vec<Event>>);

impl Local for Recorder {
    fn deliver(&self, envelope: &Envelope, _: Option<&Topic>) {
        self.0.lock().push(envelope.event.clone());
    }

    fn comes_again(&self, _: &MessageId) {}

    fn obey(&self, _: &[Order]) {}

    fn missed(&self) {}
}

impl Recorder {
    fn take(&self) -> Vec<Event> {
        std::mem::take(&mut *self.0.lock())
    }

    /// Whom the orders were about that were given.
    fn take_subjects(&self) -> Vec<String> {
        let orders = self.take().into_iter().flat_map(|event| match event {
            Event::Orders(orders) => orders.to_vec(),
            other => panic!("{other:?}"),
        });
        orders.map(|order| order.subject.to_string()).collect()
    }

    /// Waits until an event passes the test, and returns it.
    async fn wait_for<T>(&self, test: impl Fn(&Event) -> Option<T>) -> T {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
        loop {
            if let Some(found) = self.0.lock().iter().find_map(&test) {
                return found;
            }
            assert!(
                tokio::time::Instant::now() < deadline,
                "the event never came"
            );
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

struct Figures;

impl Stats for Figures {
    fn connections(&self) -> usize {
        5
    }
    fn rooms(&self) -> usize {
        12
    }
    fn users(&self) -> usize {
        3
    }
}

/// A gateway's REST side on a private database.
struct Api {
    router: Router,
    auth: Arc<Authenticator>,
    chat: Arc<Chat>,
    store: Arc<dyn Store>,
    bus: Arc<dyn Bus>,
    sockets: Arc<Recorder>,
    tasks: TaskTracker,
    dir: tempfile::TempDir,
}

impl Api {
    async fn start() -> Self {
        Self::with(&[]).await
    }

    /// With further environment variables.
    async fn with(variables: &[(&str, &str)]) -> Self {
        Self::on(variables, Arc::new(MemoryPresence::default())).await
    }

    /// With further environment variables and whoever knows who is connected.
    async fn on(variables: &[(&str, &str)], presence: Arc<dyn Presence>) -> Self {
        let mut environment = vec![
            ("JWT_SECRET", SECRET),
            ("PORCHLIGHT_AUTH_API_KEYS", API_KEY),
        ];
        environment.extend(variables);
        let loaded = load(&Sources::new(None, environment)).expect("the configuration is right");
        let config = loaded.config;
        let dir = tempfile::tempdir().unwrap();
        let store = porchlight::store::open(&config.database, &dir.path().join("chat.db"))
            .await
            .unwrap();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let controls = Controls::new(clock.clone());
        let sockets = Arc::new(Recorder::default());
        let bus: Arc<dyn Bus> = Arc::new(MemoryBus);
        let tasks = TaskTracker::new();
        let chat = Chat::new(Parts {
            store: store.clone(),
            blobs: blobs::open(&config.uploads, &dir.path().join("uploads")).unwrap(),
            bus: bus.clone(),
            local: sockets.clone(),
            presence,
            controls: controls.clone(),
            clock: clock.clone(),
            rules: app::rules(&config),
            tasks: tasks.clone(),
        });
        let auth = Authenticator::new(&config.auth, clock).unwrap();
        let auth = Arc::new(auth.with_controls(controls));
        let state = ApiState {
            chat: chat.clone(),
            auth: auth.clone(),
            limits: Arc::new(Limits::new(&config.limits)),
            stats: Arc::new(Figures),
            tasks: tasks.clone(),
        };
        Self {
            router: api(state, &config),
            auth,
            chat,
            store,
            bus,
            sockets,
            tasks,
            dir,
        }
    }

    fn token(&self, user: &str) -> String {
        let mut profile = Profile::unknown(id(user));
        profile.name = format!("{}{}", user[..1].to_uppercase(), &user[1..]).into();
        let ttl = Duration::from_secs(600);
        self.auth.mint(&profile, ttl).unwrap().token
    }

    /// A request as this user.
    fn by(&self, user: &str, method: Method, path: &str) -> Ask<'_> {
        let token = self.token(user);
        self.ask(method, path).bearer(&token)
    }

    fn get(&self, user: &str, path: &str) -> Ask<'_> {
        self.by(user, Method::GET, path)
    }

    fn post(&self, user: &str, path: &str) -> Ask<'_> {
        self.by(user, Method::POST, path)
    }

    /// A request with the API key.
    fn service(&self, method: Method, path: &str) -> Ask<'_> {
        self.ask(method, path).header("x-api-key", API_KEY)
    }

    /// A request of nobody in particular.
    fn ask(&self, method: Method, path: &str) -> Ask<'_> {
        let request = Request::builder().method(method).uri(path);
        let local: IpAddr = [127, 0, 0, 1].into();
        Ask {
            api: self,
            request: request.extension(ClientAddr(local)),
            body: Body::empty(),
        }
    }

    /// The id of a group made by the first, with the others in it.
    async fn group(&self, admin: &str, others: &[&str]) -> String {
        let body = json!({"isGroup": true, "title": "A group", "participantIds": others});
        let made = self.post(admin, "/api/conversations").json(body).await;
        made.expect(StatusCode::CREATED)["conversation"]["id"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// The message as the sender is answered.
    async fn say(&self, user: &str, conversation: &str, content: &str) -> Value {
        let body = json!({"conversationId": conversation, "content": content});
        let sent = self.post(user, "/api/messages").json(body).await;
        sent.expect(StatusCode::CREATED)["message"].clone()
    }

    async fn connect(&self, user: &str) -> DeviceId {
        let device = DeviceId::generate();
        self.chat.connected(&id(user), &device).await.unwrap();
        device
    }
}

/// A request being made.
struct Ask<'a> {
    api: &'a Api,
    request: axum::http::request::Builder,
    body: Body,
}

impl Ask<'_> {
    fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.request = self.request.header(name, value.as_ref());
        self
    }

    fn bearer(self, token: &str) -> Self {
        self.header("authorization", format!("Bearer {token}"))
    }

    fn from(mut self, address: [u8; 4]) -> Self {
        self.request = self.request.extension(ClientAddr(address.into()));
        self
    }

    fn raw(mut self, body: impl Into<Body>) -> Self {
        self.body = body.into();
        self
    }

    fn json_text(self, text: &str) -> Self {
        self.header("content-type", "application/json")
            .raw(text.to_owned())
    }

    async fn json(self, body: Value) -> Answer {
        self.json_text(&body.to_string()).send().await
    }

    fn into_request(self) -> Request<Body> {
        self.request.body(self.body).unwrap()
    }

    async fn send(self) -> Answer {
        let router = self.api.router.clone();
        answer(router, self.into_request()).await
    }
}

async fn answer(router: Router, request: Request<Body>) -> Answer {
    let asked = format!("{} {}", request.method(), request.uri());
    let response = router.oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    Answer {
        asked,
        status: parts.status,
        headers: parts.headers,
        bytes: body.collect().await.unwrap().to_bytes(),
    }
}

struct Answer {
    asked: String,
    status: StatusCode,
    headers: HeaderMap,
    bytes: Bytes,
}

impl Answer {
    fn json(&self) -> Value {
        if self.bytes.is_empty() {
            return Value::Null;
        }
        serde_json::from_slice(&self.bytes).unwrap_or_else(|e| {
            let text = String::from_utf8_lossy(&self.bytes);
            panic!("{}: {e}: {text}", self.asked)
        })
    }

    fn header(&self, name: impl header::AsHeaderName) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// The body, if the status is the one expected.
    #[track_caller]
    fn expect(&self, status: StatusCode) -> Value {
        let text = String::from_utf8_lossy(&self.bytes);
        assert_eq!(self.status, status, "{}: {text}", self.asked);
        self.json()
    }

    /// For bodies that are no JSON.
    #[track_caller]
    fn expect_bytes(&self, status: StatusCode) -> &Bytes {
        assert_eq!(self.status, status, "{}", self.asked);
        &self.bytes
    }

    /// The problem, if it is one with this status and code and everything that belongs to it.
    #[track_caller]
    fn refused(&self, status: u16, code: &str) -> Value {
        let problem = self.expect(StatusCode::from_u16(status).unwrap());
        assert_eq!(
            self.header(header::CONTENT_TYPE),
            "application/problem+json"
        );
        assert_eq!(problem["code"], code, "{}: {problem}", self.asked);
        assert_eq!(problem["status"], status);
        assert_eq!(problem["type"], format!("urn:porchlight:problem:{code}"));
        assert!(problem["title"].is_string() && problem["detail"].is_string());
        let retryable = matches!(code, "rate_limited" | "unavailable" | "internal");
        assert_eq!(problem["retryable"], retryable);
        problem
    }
}

fn id(user: &str) -> UserId {
    UserId::new(user).unwrap()
}

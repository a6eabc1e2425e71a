//! What a request on the clients' port is: an Engine.IO request of one of the paths, or REST.
//!
//! Engine.IO keeps the head of the request that opened a session for the session's life. A head as
//! hyper gives it pins the whole read buffer, 8 to 16 KiB, so requests are rebuilt from copies of
//! the little that is needed; and WebSockets are answered here, so that nothing of hyper is left
//! once a connection is upgraded.

use std::{net::IpAddr, str::FromStr, sync::Arc, time::Duration};

use axum::{Router, body::Body, response::IntoResponse};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode,
    header::{
        self, CONNECTION, CONTENT_TYPE, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS,
        SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE,
    },
};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use socketioxide_core::Sid;
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_http::{
    compression::{CompressionLayer, predicate::SizeAbove},
    cors::CorsLayer,
};
use tungstenite::handshake::derive_accept_key;

use super::{
    deflate,
    line::Line,
    peer::{Peer, PeerGuard},
    server::{Edge, SocketPathState, TOO_MANY_CONNECTIONS_RETRY},
    wire::Wire,
};
use crate::{
    auth::Credentials,
    chat::ChatError,
    demo,
    http::{ClientAddr, Origins, Problem},
    telemetry,
};

/// The clients' port.
pub struct Front {
    /// What connections need.
    pub edge: Arc<Edge>,
    /// The Socket.IO paths.
    pub paths: Vec<Arc<SocketPathState>>,
    /// REST and pages.
    pub router: Router,
    /// Which origins may call.
    pub cors: CorsLayer,
    /// The same for WebSockets, which browsers do not hold to CORS.
    pub origins: Origins,
    /// Whether the client's address is told by a proxy.
    pub trust_forwarded_for: bool,
    /// How long a reader may take nothing.
    pub write_timeout: Duration,
    /// Packets from this size on are compressed, in bytes.
    pub compress_from: Option<usize>,
    /// Bytes of a message at most.
    pub max_message_bytes: usize,
}

impl Front {
    /// Answers a request.
    pub async fn handle(
        self: Arc<Self>,
        mut request: Request<Incoming>,
        peer: IpAddr,
        line: Arc<Line>,
    ) -> Response<Body> {
        let addr = self.client_addr(request.headers(), peer);
        let Some(path) = self.path_of(request.uri().path()) else {
            request.extensions_mut().insert(ClientAddr(addr));
            let answer = self.router.clone().oneshot(request.map(Body::new)).await;
            return answer.unwrap_or_else(|never| match never {});
        };
        if let Some(library) = client_library(&path, &request) {
            return library;
        }
        if is_websocket(request.headers()) {
            return self.websocket(path, request, addr, line);
        }
        let front = self.clone();
        let poll = service_fn(move |request: Request<Incoming>| {
            let (front, path) = (front.clone(), path.clone());
            async move { Ok::<_, std::convert::Infallible>(front.poll(path, request, addr).await) }
        });
        let compress = CompressionLayer::new().compress_when(SizeAbove::new(
            self.compress_from.map_or(u64::MAX, |n| n as u64),
        ));
        let answer = self.cors.layer(compress.layer(poll)).oneshot(request).await;
        answer
            .map(|r| r.map(Body::new))
            .unwrap_or_else(|never| match never {})
    }

    fn path_of(&self, path: &str) -> Option<Arc<SocketPathState>> {
        let of = |p: &&Arc<SocketPathState>| {
            path.strip_prefix(p.path.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        self.paths.iter().find(of).cloned()
    }

    fn client_addr(&self, headers: &HeaderMap, peer: IpAddr) -> IpAddr {
        if !self.trust_forwarded_for {
            return peer;
        }
        // The last entry is the one that our own proxy wrote.
        let forwarded = headers.get_all("x-forwarded-for").iter().next_back();
        forwarded
            .and_then(|v| v.to_str().ok())
            .and_then(|v| v.rsplit(',').next())
            .and_then(|v| IpAddr::from_str(v.trim()).ok())
            .unwrap_or(peer)
    }

    // --- Polling -------------------------------------------------------------------------------

    async fn poll(
        &self,
        path: Arc<SocketPathState>,
        request: Request<Incoming>,
        addr: IpAddr,
    ) -> Response<Body> {
        let query = request.uri().query().unwrap_or_default();
        if let Some(sid) = query_value(query, "sid") {
            let sid: Option<Sid> = sid.parse().ok();
            let peer = sid.and_then(|sid| path.peers.get(sid));
            if peer.as_ref().is_some_and(|peer| peer.addr != addr) {
                return refused(ENGINE_BAD_REQUEST);
            }
            let polls = request.method() == Method::GET;
            // Unknown ids get the engine's own answer.
            let answer = call(&path, lean(request, None)).await;
            let cut = peer.is_some_and(|peer| peer.why_cut().is_some());
            let ends = polls && (cut || self.edge.drain.is_refusing());
            if let Some(sid) = sid.filter(|_| ends) {
                self.edge.drain.told(sid);
            }
            return match ends {
                true if !answer.status().is_success() => closing(),
                _ => answer,
            };
        }
        let peer = match self.new_peer(&path, &request, addr, None) {
            Ok(peer) => peer,
            Err(error) => return self.turned_away(error),
        };
        let guard = PeerGuard::new(peer.clone(), path.peers.clone());
        let answer = call(&path, lean(request, Some(guard))).await;
        remember(&path, peer, answer).await
    }

    // --- WebSocket -----------------------------------------------------------------------------

    fn websocket(
        self: &Arc<Self>,
        path: Arc<SocketPathState>,
        mut request: Request<Incoming>,
        addr: IpAddr,
        line: Arc<Line>,
    ) -> Response<Body> {
        let Some(accept) = accept_key(&request) else {
            return refused(ENGINE_BAD_REQUEST);
        };
        let query = request.uri().query().unwrap_or_default();
        let sid: Option<Option<Sid>> = query_value(query, "sid").map(|sid| sid.parse().ok());
        let guard = match sid {
            Some(sid) => match sid.and_then(|sid| path.peers.get(sid)) {
                None => return refused(ENGINE_UNKNOWN_SID),
                Some(peer) if peer.addr != addr => return refused(ENGINE_BAD_REQUEST),
                Some(peer) => {
                    peer.upgrading(line);
                    None
                }
            },
            None => match self.new_peer(&path, &request, addr, Some(line)) {
                Ok(peer) => Some(PeerGuard::new(peer, path.peers.clone())),
                Err(error) => return self.turned_away(error),
            },
        };
        let compress = self
            .compress_from
            .and_then(|from| Some((from, deflate::negotiate(request.headers())?)));
        let limit = self.max_message_bytes;
        let from = compress.as_ref().map(|(from, _)| *from);
        let upgraded = hyper::upgrade::on(&mut request);
        let engine_request = lean(request, guard).map(|_| ());
        self.edge.tasks.spawn(async move {
            let Ok(upgraded) = upgraded.await else { return };
            let Ok(parts) = upgraded.downcast::<TokioIo<Wire>>() else {
                return;
            };
            let mut wire = parts.io.into_inner();
            wire.unread(&parts.read_buf);
            wire.begin_frames();
            if let Some(from) = from
                && wire.compress(from, limit).is_err()
            {
                return;
            }
            if let Some(sid) = sid.flatten() {
                wire.hold(EndsPolling {
                    path: path.clone(),
                    sid,
                });
            }
            let mut service = path.service();
            if let Err(e) = Service::call(&mut service, (wire, engine_request)).await {
                tracing::debug!(error = %e, "a WebSocket asked for something impossible");
            }
        });
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
        if let Some((_, answer)) = compress {
            headers.insert(SEC_WEBSOCKET_EXTENSIONS, answer);
        }
        response
    }

    /// The answer to a handshake that is refused.
    fn turned_away(&self, error: ChatError) -> Response<Body> {
        let mut response = Problem::from(error).into_response();
        if self.edge.drain.is_refusing() {
            // A balancer of connections sends the next one elsewhere.
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(CONNECTION, close);
        }
        response
    }

    /// Admits a new session, as far as its address and its request tell.
    fn new_peer(
        &self,
        path: &SocketPathState,
        request: &Request<Incoming>,
        addr: IpAddr,
        line: Option<Arc<Line>>,
    ) -> Result<Arc<Peer>, ChatError> {
        let limits = &self.edge.limits;
        let count = |error: ChatError| {
            metrics::counter!(telemetry::HANDSHAKES_REFUSED_TOTAL, "reason" => error.code.as_str())
                .increment(1);
            error
        };
        if self.edge.drain.is_refusing() {
            let error = ChatError::busy("this node is stopping, connect again", STOPPING_RETRY);
            return Err(count(error));
        }
        limits
            .handshake(addr)
            .map_err(|wait| count(ChatError::rate_limited(wait)))?;
        limits.handshake_of_node().map_err(|wait| {
            count(ChatError::busy(
                "too many connect at once, come later",
                wait,
            ))
        })?;
        let slot = limits
            .connection_of_address(addr)
            .ok_or_else(|| count(ChatError::rate_limited(TOO_MANY_CONNECTIONS_RETRY)))?;
        let query = request.uri().query().unwrap_or_default();
        // Browsers send cookies along with any page's WebSocket; only trusted pages' count.
        let cookies = self.origins.trusts(request.headers());
        let credentials = Credentials {
            handshake_token: None,
            authorization: header_text(request.headers(), &header::AUTHORIZATION),
            query: Some(query.to_owned()),
            cookies: cookies
                .then(|| header_text(request.headers(), &header::COOKIE))
                .flatten(),
        };
        let dialect = query_value(query, "dialect").map(str::to_owned);
        Ok(Peer::new(
            addr,
            dialect,
            credentials,
            line,
            path.send_queue,
            slot,
        ))
    }
}

/// An upgrade that breaks half-way leaves a session that answers polls with nothing and is never
/// timed out. Once the stream is gone there is nothing to go back to, so the session is closed;
/// after a completed upgrade it is closed already.
struct EndsPolling {
    path: Arc<SocketPathState>,
    sid: Sid,
}

impl Drop for EndsPolling {
    fn drop(&mut self) {
        self.path.close_polling(self.sid);
    }
}

/// What a client of a node that stops is told to wait: another node takes it at once.
const STOPPING_RETRY: Duration = Duration::from_secs(1);

/// Engine.IO's own error bodies, as its clients know them.
const ENGINE_UNKNOWN_SID: &str = r#"{"code":1,"message":"Session ID unknown"}"#;
const ENGINE_BAD_REQUEST: &str = r#"{"code":3,"message":"Bad request"}"#;
/// Engine.IO's close packet.
const ENGINE_CLOSE: &str = "1";

fn refused(body: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = StatusCode::BAD_REQUEST;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// The answer to a poll of a session that was ended from this side: with it the client sees a closed
/// transport, as on a WebSocket, and not an error.
fn closing() -> Response<Body> {
    let mut response = Response::new(Body::from(ENGINE_CLOSE));
    response.headers_mut().insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=UTF-8"),
    );
    response
}

/// A header's values in one text, as a client sent them.
fn header_text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let values: Vec<_> = headers
        .get_all(name)
        .iter()
        .filter_map(|v| v.to_str().ok())
        .collect();
    (!values.is_empty()).then(|| values.join("; "))
}

/// The raw value of a query parameter.
fn query_value<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    query
        .split('&')
        .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
}

/// The client library, which Node's server serves below its path too.
fn client_library(path: &SocketPathState, request: &Request<Incoming>) -> Option<Response<Body>> {
    let file = request
        .uri()
        .path()
        .strip_prefix(path.path.as_str())?
        .strip_prefix('/')?;
    demo::client::serve(file, request.headers())
}

fn is_websocket(headers: &HeaderMap) -> bool {
    headers
        .get(UPGRADE)
        .is_some_and(|v| v.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

fn accept_key(request: &Request<Incoming>) -> Option<HeaderValue> {
    let version = request.headers().get(SEC_WEBSOCKET_VERSION)?;
    let key = request.headers().get(SEC_WEBSOCKET_KEY)?;
    let fit = request.method() == Method::GET && version == "13";
    fit.then(|| HeaderValue::from_str(&derive_accept_key(key.as_bytes())).ok())
        .flatten()
}

/// The request with nothing but copies of what Engine.IO reads.
fn lean<B>(request: Request<B>, guard: Option<PeerGuard>) -> Request<B> {
    let (parts, body) = request.into_parts();
    let mut lean = Request::new(body);
    *lean.method_mut() = parts.method;
    // Parsed before, so that it parses again; the default would be refused by the engine.
    *lean.uri_mut() = parts.uri.to_string().parse().unwrap_or_default();
    if let Some(value) = parts.headers.get(CONTENT_TYPE)
        && let Ok(copy) = HeaderValue::from_bytes(value.as_bytes())
    {
        lean.headers_mut().insert(CONTENT_TYPE, copy);
    }
    if let Some(guard) = guard {
        lean.extensions_mut().insert(guard);
    }
    lean
}

async fn call(path: &SocketPathState, request: Request<Incoming>) -> Response<Body> {
    let mut service = path.service();
    let answer = Service::<Request<Incoming>>::call(&mut service, request).await;
    answer
        .map(|r| r.map(Body::new))
        .unwrap_or_else(|never| match never {})
}

/// Reads the new session's id out of the engine's answer (`0{"sid":"...",...}`), so that later
/// requests for the session can be held to the address that opened it.
async fn remember(
    path: &SocketPathState,
    peer: Arc<Peer>,
    answer: Response<Body>,
) -> Response<Body> {
    let (parts, body) = answer.into_parts();
    let Ok(body) = body.collect().await.map(|b| b.to_bytes()) else {
        return refused(ENGINE_BAD_REQUEST);
    };
    let sid = std::str::from_utf8(&body)
        .ok()
        .and_then(|text| text.split_once(r#""sid":""#))
        .and_then(|(_, rest)| rest.split('"').next())
        .and_then(|sid| sid.parse().ok());
    if let Some(sid) = sid {
        path.peers.insert(sid, peer);
    }
    Response::from_parts(parts, Body::from(body))
}

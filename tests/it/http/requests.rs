//! What holds for every request: what is malformed, how answers are sent, hang-ups, failures.

use std::{future::Future, time::Duration};

use axum::{
    body::Body,
    http::{Method, StatusCode, header},
};
use futures_util::{StreamExt, stream};
use porchlight::chat::Event;
use serde_json::json;
use tower::ServiceExt;

use super::Api;

const MESSAGES: &str = "/api/messages";

#[tokio::test]
async fn malformed_bodies_are_problems() {
    let api = Api::start().await;
    let group = api.group("alice", &[]).await;
    let post = || api.post("alice", MESSAGES);
    let right = json!({"conversationId": group, "content": "hi"}).to_string();

    for text in ["", "{", "{]", "\u{1}", &right[..20], &format!("{right} x")] {
        let answer = post().json_text(text).send().await;
        answer.refused(400, "invalid");
    }
    let answer = post().raw(right.clone()).send().await;
    answer.refused(415, "invalid");
    for kind in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/jsonx",
    ] {
        let answer = post().header("content-type", kind).raw(right.clone());
        answer.send().await.refused(415, "invalid");
    }
    let kind = "Application/JSON; charset=utf-8";
    let answer = post().header("content-type", kind).raw(right.clone());
    answer.send().await.expect(StatusCode::CREATED);

    // An optional body is held to the same.
    let read = format!("/api/conversations/{group}/read");
    let answer = api.post("alice", &read).raw("{}").send().await;
    answer.refused(415, "invalid");
    let answer = api.post("alice", &read).json_text("{").send().await;
    answer.refused(400, "invalid");

    // What does not fit is named, what was sent is not repeated.
    let secret = json!({"messageIds": "my secret"});
    let problem = api.post("alice", &read).json(secret).await;
    let problem = problem.refused(422, "invalid");
    assert!(!problem.to_string().contains("my secret"), "{problem}");
    let problem = post().json(json!({"content": "my secret"})).await;
    let problem = problem.refused(422, "invalid");
    assert!(
        problem["detail"]
            .as_str()
            .unwrap()
            .contains("conversationId")
    );
}

#[tokio::test]
async fn bodies_are_bounded() {
    let api = Api::start().await;
    let group = api.group("alice", &[]).await;
    let big =
        json!({"conversationId": group, "content": "hi", "metadata": {"x": "y".repeat(1 << 20)}});
    let answer = api.post("alice", MESSAGES).json(big).await;
    answer.refused(413, "too_large");
    // Nor is more of an endless body read.
    let endless = stream::iter(std::iter::repeat_n((), 1 << 20))
        .map(|()| Ok::<_, std::io::Error>(vec![b' '; 1 << 16]));
    let answer = api
        .post("alice", MESSAGES)
        .header("content-type", "application/json")
        .raw(Body::from_stream(endless));
    answer.send().await.refused(413, "too_large");
    let fits = json!({"conversationId": group, "content": "hi", "ignored": "y".repeat(1_000_000)});
    let answer = api.post("alice", MESSAGES).json(fits).await;
    answer.expect(StatusCode::CREATED);
    // What would be kept and sent to everybody has a bound of its own.
    let heavy =
        json!({"conversationId": group, "content": "hi", "metadata": {"x": "y".repeat(20_000)}});
    let answer = api.post("alice", MESSAGES).json(heavy).await;
    answer.refused(413, "too_large");
}

#[tokio::test]
async fn unknown_paths_and_methods_are_problems() {
    let api = Api::start().await;
    for path in [
        "/",
        "/api",
        "/api/nothing",
        "/api/conversations/",
        "/api/conversations/a/b",
    ] {
        let answer = api.get("alice", path).send().await;
        answer.refused(404, "not_found");
    }
    let answer = api
        .by("alice", Method::PUT, "/api/conversations")
        .send()
        .await;
    answer.refused(405, "invalid");
    let mut allowed: Vec<_> = answer.header(header::ALLOW).split(',').collect();
    allowed.sort_unstable();
    assert_eq!(allowed, ["GET", "HEAD", "POST"]);
    for path in [
        "/api/conversations/no%20id",
        "/api/conversations/%ff",
        "/api/conversations/%2e%2f",
    ] {
        let answer = api.get("alice", path).send().await;
        answer.refused(422, "invalid");
    }
    let long = format!("/api/conversations/{}", "x".repeat(129));
    api.get("alice", &long).send().await.refused(422, "invalid");
}

#[tokio::test]
async fn nothing_is_kept_by_caches() {
    let api = Api::start().await;
    for (path, status) in [
        ("/api/conversations", 200),
        ("/api/nothing", 404),
        ("/openapi.json", 200),
    ] {
        let answer = api.get("alice", path).send().await;
        assert_eq!(answer.status, status);
        assert_eq!(answer.header(header::CACHE_CONTROL), "no-store");
        assert_eq!(answer.header(header::X_CONTENT_TYPE_OPTIONS), "nosniff");
    }
}

#[tokio::test]
async fn long_answers_are_compressed_on_request() {
    let api = Api::start().await;
    let group = api.group("alice", &[]).await;
    let path = format!("/api/conversations/{group}/messages");
    let get = || api.get("alice", &path).header("accept-encoding", "gzip");
    let answer = get().send().await;
    assert_eq!(answer.header(header::CONTENT_ENCODING), "");
    for _ in 0..20 {
        api.say("alice", &group, "the same again").await;
    }
    let plain = api.get("alice", &path).send().await;
    assert_eq!(plain.header(header::CONTENT_ENCODING), "");
    let packed = get().send().await;
    assert_eq!(packed.header(header::CONTENT_ENCODING), "gzip");
    assert!(packed.bytes.len() * 3 < plain.bytes.len());
    assert_eq!(&packed.bytes[..2], [0x1f, 0x8b]);
}

#[tokio::test]
async fn listed_origins_may_read() {
    let origin = "https://app.example";
    let api = Api::with(&[("CLIENT_URL", origin)]).await;
    let preflight = |origin: &str| {
        api.ask(Method::OPTIONS, "/api/conversations")
            .header("origin", origin)
            .header("access-control-request-method", "PATCH")
            .header(
                "access-control-request-headers",
                "authorization,content-type",
            )
    };
    let answer = preflight(origin).send().await;
    assert!(answer.status.is_success());
    assert_eq!(answer.header(header::ACCESS_CONTROL_ALLOW_ORIGIN), origin);
    assert_eq!(
        answer.header(header::ACCESS_CONTROL_ALLOW_CREDENTIALS),
        "true"
    );
    let methods = answer.header(header::ACCESS_CONTROL_ALLOW_METHODS);
    assert!(
        methods.contains("PATCH") && methods.contains("DELETE"),
        "{methods}"
    );
    let headers = answer.header(header::ACCESS_CONTROL_ALLOW_HEADERS);
    assert!(headers.contains("authorization"), "{headers}");
    let answer = preflight("https://evil.example").send().await;
    assert_eq!(answer.header(header::ACCESS_CONTROL_ALLOW_ORIGIN), "");

    // Refusals can be read too, or pages could not tell why.
    let answer = api
        .ask(Method::GET, "/api/conversations")
        .header("origin", origin);
    let answer = answer.send().await;
    answer.refused(401, "unauthorized");
    assert_eq!(answer.header(header::ACCESS_CONTROL_ALLOW_ORIGIN), origin);

    let api = Api::with(&[("PORCHLIGHT_SERVER_CORS_ORIGINS", "*")]).await;
    let answer = api
        .get("alice", "/api/conversations")
        .header("origin", origin);
    let answer = answer.send().await;
    assert_eq!(answer.header(header::ACCESS_CONTROL_ALLOW_ORIGIN), "*");
    assert_eq!(answer.header(header::ACCESS_CONTROL_ALLOW_CREDENTIALS), "");
}

/// A caller that hangs up between a commit and its announcement must not stop the announcement.
#[tokio::test]
async fn what_was_begun_is_finished_without_its_caller() {
    let api = Api::start().await;
    let group = api.group("alice", &["bob"]).await;
    api.sockets.take();
    let (feed, body) = tokio::sync::oneshot::channel::<Vec<u8>>();
    let body = stream::once(async { body.await.map_err(std::io::Error::other) });
    let request = api
        .post("alice", MESSAGES)
        .header("content-type", "application/json")
        .raw(Body::from_stream(body))
        .into_request();
    let mut answer = Box::pin(api.router.clone().oneshot(request));
    std::future::poll_fn(|cx| {
        assert!(answer.as_mut().poll(cx).is_pending());
        std::task::Poll::Ready(())
    })
    .await;
    drop(answer);
    let text = json!({"conversationId": group, "content": "after the hang-up"}).to_string();
    feed.send(text.into_bytes()).unwrap();
    let said = api.sockets.wait_for(|e| match e {
        Event::MessageCreated { message, .. } => Some(message.content.clone()),
        _ => None,
    });
    assert_eq!(&*said.await, "after the hang-up");
    // A stop waits for such work.
    api.tasks.close();
    let all = tokio::time::timeout(Duration::from_secs(10), api.tasks.wait());
    all.await.unwrap();
}

#[tokio::test]
async fn without_the_database_callers_are_told_to_come_back() {
    let api = Api::start().await;
    let group = api.group("alice", &[]).await;
    api.store.close().await;
    let body = json!({"conversationId": group, "content": "hi"});
    let answer = api.post("alice", MESSAGES).json(body).await;
    let problem = answer.refused(503, "unavailable");
    assert_eq!(answer.header(header::RETRY_AFTER), "1");
    assert_eq!(problem["retryAfterMs"], 1000);
    assert_eq!(problem["id"].as_str().unwrap().len(), 36);
    let text = problem.to_string().to_lowercase();
    for inside in ["sqlite", "pool", "closed", "chat.db"] {
        assert!(!text.contains(inside), "{problem}");
    }
}

/// Labels are route templates and known methods: nothing that a client can multiply.
#[test]
fn requests_are_measured_by_route() {
    let (recorder, metrics) = porchlight::telemetry::metrics_recorder().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.enable_all().build().unwrap();
    metrics::with_local_recorder(&recorder, || {
        runtime.block_on(async {
            let api = Api::start().await;
            let group = api.group("alice", &[]).await;
            for path in [
                format!("/api/conversations/{group}"),
                "/api/conversations/other".to_owned(),
                "/api/made/up".to_owned(),
                "/api/made/up/too".to_owned(),
            ] {
                api.get("alice", &path).send().await;
            }
            let odd = Method::from_bytes(b"BREW").unwrap();
            api.by("alice", odd, "/api/conversations").send().await;
        });
    });
    let text = metrics.render();
    let name = porchlight::telemetry::HTTP_REQUESTS_TOTAL;
    let mut lines: Vec<_> = text.lines().filter(|l| l.starts_with(name)).collect();
    lines.sort_unstable();
    let line = |route: &str, method: &str, status: u16, n: u32| {
        format!("{name}{{route=\"{route}\",method=\"{method}\",status=\"{status}\"}} {n}")
    };
    assert_eq!(
        lines,
        [
            line("/api/conversations", "POST", 201, 1),
            line("/api/conversations", "other", 405, 1),
            line("/api/conversations/{id}", "GET", 200, 1),
            line("/api/conversations/{id}", "GET", 403, 1),
            line("unmatched", "GET", 404, 2),
        ]
    );
    let seconds = porchlight::telemetry::HTTP_SECONDS;
    let count = format!("{seconds}_count{{route=\"/api/conversations/{{id}}\"}} 2");
    assert!(text.contains(&count), "no {count} in\n{text}");
}

//! What backends may do, and only they.

use axum::http::{Method, StatusCode};
use porchlight::chat::Event;
use serde_json::{Value, json};

use super::Api;

#[tokio::test]
async fn users_are_kept_out() {
    let api = Api::start().await;
    for (method, path) in [
        (Method::GET, "users/online"),
        (Method::GET, "users/bob"),
        (Method::GET, "users/bob/devices"),
        (Method::POST, "users/bob/emit"),
        (Method::POST, "users/bob/disconnect"),
        (Method::POST, "users/bob/revoke"),
        (Method::POST, "users/bob/allow"),
        (Method::POST, "tokens/revoke"),
        (Method::POST, "tokens/allow"),
        (Method::GET, "stats"),
    ] {
        let path = format!("/api/service/{path}");
        let answer = api.by("alice", method.clone(), &path);
        let answer = answer.json(json!({"event": "x"})).await;
        answer.refused(403, "forbidden");
        let answer = api.ask(method, &path).json(json!({"event": "x"})).await;
        answer.refused(401, "unauthorized");
    }
    assert!(api.sockets.take().is_empty());
}

#[tokio::test]
async fn an_event_goes_to_a_user() {
    let api = Api::start().await;
    let emit = |body: Value| {
        let ask = api.service(Method::POST, "/api/service/users/bob/emit");
        ask.json(body)
    };
    for (body, wanted) in [
        (
            json!({"event": "order:paid", "args": [1, {"b": 2, "a": [null]}, "x"]}),
            r#"[1,{"b":2,"a":[null]},"x"]"#,
        ),
        (json!({"event": "order:paid", "args": []}), "[]"),
        (
            json!({"event": "order:paid", "data": {"id": 7}}),
            r#"[{"id":7}]"#,
        ),
        (json!({"event": "order:paid"}), "[]"),
    ] {
        let answer = emit(body).await;
        answer.expect(StatusCode::ACCEPTED);
        let events = api.sockets.take();
        let [Event::Emit { user, name, args }] = &events[..] else {
            panic!("{events:?}");
        };
        assert_eq!((user.as_str(), &**name), ("bob", "order:paid"));
        assert_eq!(args.get(), wanted);
    }
    for event in [
        "connect",
        "connect_error",
        "disconnect",
        "disconnecting",
        "newListener",
        "removeListener",
        "",
        "a\nb",
        &"x".repeat(129),
    ] {
        let answer = emit(json!({"event": event, "args": []})).await;
        answer.refused(422, "invalid");
    }
    for body in [
        json!({"args": []}),
        json!({"event": "x", "args": {"not": "a list"}}),
        json!({"event": "x", "args": [1], "data": 1}),
    ] {
        emit(body).await.refused(422, "invalid");
    }
    let ask = api.service(Method::POST, "/api/service/users/not%20an%20id/emit");
    let answer = ask.json(json!({"event": "x"})).await;
    answer.refused(422, "invalid");
    assert!(api.sockets.take().is_empty());
}

#[tokio::test]
async fn who_is_online_comes_in_pages() {
    let api = Api::start().await;
    for user in ["dave", "alice", "carol", "bob"] {
        api.connect(user).await;
    }
    let mut seen = Vec::new();
    let mut path = "/api/service/users/online?limit=3".to_owned();
    loop {
        let page = api.service(Method::GET, &path).send().await;
        let page = page.expect(StatusCode::OK);
        for user in page["users"].as_array().unwrap() {
            seen.push(user.as_str().unwrap().to_owned());
        }
        let Some(next) = page["next"].as_str() else {
            break;
        };
        path = format!("/api/service/users/online?limit=3&after={next}");
    }
    assert_eq!(seen, ["alice", "bob", "carol", "dave"]);
    let all = api.service(Method::GET, "/api/service/users/online");
    let all = all.send().await.expect(StatusCode::OK);
    assert_eq!(
        (all["users"].as_array().unwrap().len(), &all["next"]),
        (4, &Value::Null)
    );
}

#[tokio::test]
async fn a_user_is_shown_with_devices() {
    let api = Api::start().await;
    let phone = api.connect("bob").await;
    let laptop = api.connect("bob").await;
    let user = api
        .service(Method::GET, "/api/service/users/bob")
        .send()
        .await;
    let user = user.expect(StatusCode::OK);
    assert_eq!(user["userId"], "bob");
    assert_eq!(
        (&user["online"], &user["status"]),
        (&json!(true), &json!("online"))
    );
    assert_eq!(user["lastSeen"], Value::Null);
    let mut wanted = vec![phone.as_str(), laptop.as_str()];
    wanted.sort_unstable();
    for shown in [
        user,
        api.service(Method::GET, "/api/service/users/bob/devices")
            .send()
            .await
            .expect(StatusCode::OK),
    ] {
        let devices = shown["devices"].as_array().unwrap().iter();
        let mut devices: Vec<_> = devices.map(|d| d.as_str().unwrap()).collect();
        devices.sort_unstable();
        assert_eq!(devices, wanted);
    }
    let nobody = api.service(Method::GET, "/api/service/users/nobody");
    let nobody = nobody.send().await.expect(StatusCode::OK);
    assert_eq!(
        (&nobody["online"], &nobody["devices"]),
        (&json!(false), &json!([]))
    );
}

#[tokio::test]
async fn a_user_is_disconnected() {
    let api = Api::start().await;
    let path = "/api/service/users/bob/disconnect";
    let answer = api.service(Method::POST, path).send().await;
    answer.expect(StatusCode::ACCEPTED);
    let answer = api.service(Method::POST, path);
    let answer = answer.json(json!({"device": "d-1"})).await;
    answer.expect(StatusCode::ACCEPTED);
    assert_eq!(
        api.sockets.take_subjects(),
        ["devices:bob", "device:bob/d-1"]
    );
}

#[tokio::test]
async fn figures_are_told() {
    let api = Api::start().await;
    let stats = api.service(Method::GET, "/api/service/stats").send().await;
    assert_eq!(
        stats.expect(StatusCode::OK),
        json!({"connected": 5, "rooms": 12, "users": 3})
    );
}

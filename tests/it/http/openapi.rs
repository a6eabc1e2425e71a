//! The OpenAPI description: complete, served, and the same as the copy in `docs/`.
//!
//! To write the copy anew: `PORCHLIGHT_WRITE_OPENAPI=1 cargo test --test it http::openapi`

use std::path::Path;

use axum::http::{Method, StatusCode, header};
use serde_json::Value;

use super::Api;

/// Every route, as the issue and the apps that were here before ask for them.
const ROUTES: &str = "
DELETE /api/conversations/{id}
DELETE /api/conversations/{id}/participants
DELETE /api/conversations/{id}/participants/{userId}
GET /api/conversations
GET /api/conversations/{id}
GET /api/conversations/{id}/messages
GET /api/presence
GET /api/search
GET /api/service/stats
GET /api/service/users/online
GET /api/service/users/{id}
GET /api/service/users/{id}/devices
GET /api/socket/health
GET /api/uploads/{id}
GET /api/uploads/{id}/thumbnail
PATCH /api/conversations/{id}
POST /api/auth/socket-token
POST /api/conversations
POST /api/conversations/{id}/participants
POST /api/conversations/{id}/read
POST /api/messages
POST /api/service/tokens/allow
POST /api/service/tokens/revoke
POST /api/service/users/{id}/allow
POST /api/service/users/{id}/disconnect
POST /api/service/users/{id}/emit
POST /api/service/users/{id}/revoke
POST /api/uploads
";

fn operations(description: &Value) -> Vec<(String, String, Value)> {
    let paths = description["paths"].as_object().unwrap();
    let mut all: Vec<_> = paths
        .iter()
        .flat_map(|(path, item)| {
            let operations = item.as_object().unwrap().iter();
            operations.map(move |(method, o)| (method.to_uppercase(), path.clone(), o.clone()))
        })
        .collect();
    all.sort_by(|a, b| (&a.0, &a.1).cmp(&(&b.0, &b.1)));
    all
}

#[tokio::test]
async fn every_route_is_described_and_exists() {
    let api = Api::start().await;
    let answer = api.ask(Method::GET, "/openapi.json").send().await;
    assert_eq!(answer.header(header::CONTENT_TYPE), "application/json");
    let description = answer.expect(StatusCode::OK);
    let operations = operations(&description);
    let listed: Vec<_> = operations
        .iter()
        .map(|(m, p, _)| format!("{m} {p}"))
        .collect();
    assert_eq!(listed, ROUTES.trim().lines().collect::<Vec<_>>());

    let mut ids = Vec::new();
    for (method, path, operation) in operations {
        // Who calls is asked first, so that a route which exists answers 401 to nobody.
        let open = operation["security"] == serde_json::json!([{}]);
        let real = path.replace("{id}", "x").replace("{userId}", "y");
        let answer = api.ask(method.parse().unwrap(), &real).send().await;
        assert_eq!(
            answer.status,
            if open { 200 } else { 401 },
            "{method} {path}"
        );
        let responses = operation["responses"].as_object().unwrap();
        assert!(responses.contains_key("default"), "{method} {path}");
        assert!(operation["summary"].is_string() || operation["description"].is_string());
        ids.push(operation["operationId"].as_str().unwrap().to_owned());
    }
    let count = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), count, "operation ids are unique");
}

/// References lead somewhere.
#[test]
fn references_are_whole() {
    fn walk(value: &Value, root: &Value) {
        match value {
            Value::Object(map) => {
                if let Some(Value::String(reference)) = map.get("$ref") {
                    let pointer = reference.strip_prefix('#').unwrap();
                    assert!(root.pointer(pointer).is_some(), "{reference}");
                }
                map.values().for_each(|v| walk(v, root));
            }
            Value::Array(list) => list.iter().for_each(|v| walk(v, root)),
            _ => {}
        }
    }
    let description = serde_json::to_value(porchlight::http::openapi()).unwrap();
    walk(&description, &description);
}

#[test]
fn the_copy_in_docs_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/openapi.json");
    let current = porchlight::http::openapi().to_pretty_json().unwrap() + "\n";
    if std::env::var_os("PORCHLIGHT_WRITE_OPENAPI").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &current).unwrap();
    }
    let copy = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        copy == current,
        "docs/openapi.json is not what the code describes; run\n  \
         PORCHLIGHT_WRITE_OPENAPI=1 cargo test --test it http::openapi"
    );
}

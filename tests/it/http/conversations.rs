//! Conversations over REST: making, listing, changing; who may.

use axum::http::{Method, StatusCode};
use porchlight::chat::Event;
use serde_json::{Value, json};

use super::Api;

fn names(conversation: &Value) -> Vec<&str> {
    let participants = conversation["participants"].as_array().unwrap();
    participants
        .iter()
        .map(|p| p["userId"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn a_direct_conversation_is_made_once() {
    let api = Api::start().await;
    api.get("bob", "/api/conversations").send().await;
    let body = json!({"otherUserId": "bob"});
    let made = api
        .post("alice", "/api/conversations")
        .json(body.clone())
        .await;
    let made = made.expect(StatusCode::CREATED)["conversation"].clone();
    assert_eq!(made["id"], made["conversationId"]);
    assert_eq!(made["title"], Value::Null);
    assert_eq!(made["isGroup"], false);
    assert_eq!(made["lastSeq"], 0);
    assert_eq!(made["lastMessage"], Value::Null);
    assert_eq!(made["unreadCount"], 0);
    let created = made["createdAt"].as_str().unwrap();
    assert!(
        created.len() == 24 && created.ends_with('Z') && &created[10..11] == "T",
        "{created}"
    );
    assert_eq!(names(&made), ["alice", "bob"]);
    assert_eq!(made["participants"][1]["name"], "Bob");
    assert_eq!(made["participants"][1]["online"], false);
    assert_eq!(made["participants"][1]["status"], "offline");
    assert_eq!(made["participants"][1]["readSeq"], 0);
    assert_eq!(made["participants"][1]["deliveredSeq"], 0);
    assert!(made["participants"][1]["joinedAt"].is_string());

    let again = api
        .post("bob", "/api/conversations")
        .json(json!({"otherUserId": "alice"}))
        .await;
    assert_eq!(
        again.expect(StatusCode::OK)["conversation"]["id"],
        made["id"]
    );
    let again = api.post("alice", "/api/conversations").json(body).await;
    assert_eq!(
        again.expect(StatusCode::OK)["conversation"]["id"],
        made["id"]
    );
    let told = api
        .sockets
        .take()
        .into_iter()
        .filter(|e| matches!(e, Event::ConversationUpdated { .. }));
    assert_eq!(told.count(), 1);
}

#[tokio::test]
async fn a_group_is_made_by_its_admin() {
    let api = Api::start().await;
    let body = json!({"title": "Team", "isGroup": true, "participantIds": ["bob", "carol", "bob"],
        "unknown": {"fields": ["are", "ignored"]}});
    let made = api.post("alice", "/api/conversations").json(body).await;
    let made = made.expect(StatusCode::CREATED)["conversation"].clone();
    assert_eq!(made["title"], "Team");
    assert_eq!(made["isGroup"], true);
    assert_eq!(names(&made), ["alice", "bob", "carol"]);
    let roles: Vec<_> = made["participants"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| p["role"].as_str().unwrap())
        .collect();
    assert_eq!(roles, ["admin", "member", "member"]);
}

#[tokio::test]
async fn what_is_no_conversation_is_refused() {
    let api = Api::start().await;
    for (body, status, code) in [
        (json!({}), 422, "invalid"),
        (json!({"otherUserId": "alice"}), 422, "invalid"),
        (json!({"otherUserId": "not an id"}), 422, "invalid"),
        (
            json!({"otherUserId": "bob", "isGroup": true, "title": "x"}),
            422,
            "invalid",
        ),
        (
            json!({"isGroup": true, "participantIds": ["bob"]}),
            422,
            "invalid",
        ),
        (
            json!({"isGroup": true, "title": " ", "participantIds": []}),
            422,
            "invalid",
        ),
        (
            json!({"isGroup": true, "title": "x", "participantIds": "bob"}),
            422,
            "invalid",
        ),
        (json!({"participantIds": ["bob"]}), 422, "invalid"),
        (json!([]), 422, "invalid"),
        (json!({"otherUserId": "bob", "id": "mine"}), 403, "forbidden"),
    ] {
        let answer = api
            .post("alice", "/api/conversations")
            .json(body)
            .await;
        answer.refused(status, code);
    }
    let many: Vec<_> = (0..300).map(|i| format!("u{i}")).collect();
    let body = json!({"isGroup": true, "title": "x", "participantIds": many});
    let answer = api.post("alice", "/api/conversations").json(body).await;
    answer.refused(413, "too_large");
}

#[tokio::test]
async fn the_list_is_paged_newest_first_with_counts() {
    let api = Api::start().await;
    let mut made = Vec::new();
    for n in 0..5 {
        let conversation = api.group("alice", &["bob"]).await;
        api.say("alice", &conversation, &format!("hello {n}")).await;
        made.push(conversation);
    }
    // Speaking again brings a conversation to the top.
    api.say("bob", &made[0], "again").await;
    let wanted = [&made[0], &made[4], &made[3], &made[2], &made[1]];

    let mut seen = Vec::new();
    let mut path = "/api/conversations?limit=2".to_owned();
    for page in 0..3 {
        let list = api.get("bob", &path).send().await.expect(StatusCode::OK);
        let items = list["conversations"].as_array().unwrap().clone();
        assert_eq!(items.len(), if page < 2 { 2 } else { 1 });
        for item in items {
            let id = item["id"].as_str().unwrap().to_owned();
            let own = id == made[0];
            assert_eq!(item["lastMessage"]["content"] == "again", own);
            // One's own message is read; what was said before it is too, or still counts.
            assert_eq!(item["unreadCount"], if own { 0 } else { 1 }, "{item}");
            assert_eq!(item["lastMessage"]["seq"], item["lastSeq"]);
            seen.push(id);
        }
        match list["nextCursor"].as_str() {
            Some(cursor) => path = format!("/api/conversations?limit=2&cursor={cursor}"),
            None => assert_eq!(page, 2),
        }
    }
    assert_eq!(seen.iter().collect::<Vec<_>>(), wanted);

    let stranger = api.get("eve", "/api/conversations").send().await;
    let list = stranger.expect(StatusCode::OK);
    assert_eq!(list, json!({"conversations": [], "nextCursor": null}));
    for query in ["cursor=nonsense", "limit=many", "limit=-1", "limit=1&limit=2"] {
        let path = format!("/api/conversations?{query}");
        api.get("bob", &path).send().await.refused(422, "invalid");
    }
}

#[tokio::test]
async fn presence_is_in_the_conversation() {
    let api = Api::start().await;
    let group = api.group("alice", &["bob"]).await;
    api.connect("bob").await;
    let path = format!("/api/conversations/{group}");
    let shown = api.get("alice", &path).send().await.expect(StatusCode::OK);
    let bob = &shown["conversation"]["participants"][1];
    assert_eq!(bob["online"], true);
    assert_eq!(bob["status"], "online");
    assert_eq!(bob.get("lastSeen"), None);
}

#[tokio::test]
async fn members_read_and_admins_change() {
    let api = Api::start().await;
    let group = api.group("alice", &["bob"]).await;
    let path = format!("/api/conversations/{group}");

    let renamed = api.by("alice", Method::PATCH, &path);
    let renamed = renamed.json(json!({"title": "Renamed"})).await;
    assert_eq!(
        renamed.expect(StatusCode::OK)["conversation"]["title"],
        "Renamed"
    );
    let shown = api.get("bob", &path).send().await.expect(StatusCode::OK);
    assert_eq!(shown["conversation"]["title"], "Renamed");

    for title in [json!("Mine"), json!(""), json!(7), Value::Null] {
        let answer = api.by("bob", Method::PATCH, &path);
        let answer = answer.json(json!({"title": title})).await;
        match title.as_str() {
            Some("Mine") => answer.refused(403, "forbidden"),
            _ => answer.refused(422, "invalid"),
        };
    }
    let add = format!("{path}/participants");
    let answer = api.post("bob", &add).json(json!({"participantIds": ["carol"]}));
    answer.await.refused(403, "forbidden");
    let answer = api.by("bob", Method::DELETE, &path).send().await;
    answer.refused(403, "forbidden");
    let answer = api.by("bob", Method::DELETE, &format!("{add}/alice"));
    answer.send().await.refused(403, "forbidden");

    let answer = api
        .post("alice", &add)
        .json(json!({"participantIds": ["carol", "bob"]}));
    let shown = answer.await.expect(StatusCode::OK);
    assert_eq!(names(&shown["conversation"]), ["alice", "bob", "carol"]);
    let answer = api.post("alice", &add).json(json!({"participantIds": []}));
    answer.await.refused(422, "invalid");

    api.sockets.take();
    let answer = api.by("alice", Method::DELETE, &path).send().await;
    answer.expect(StatusCode::NO_CONTENT);
    assert!(answer.bytes.is_empty());
    let deleted = api.sockets.take();
    let Some(Event::ConversationDeleted { audience, .. }) = deleted.first() else {
        panic!("{deleted:?}");
    };
    assert_eq!(audience.len(), 3);
    for user in ["alice", "bob"] {
        let answer = api.get(user, &path).send().await;
        answer.refused(403, "forbidden");
    }
}

#[tokio::test]
async fn the_removed_are_out_of_everything() {
    let api = Api::start().await;
    let group = api.group("alice", &["bob", "carol"]).await;
    let path = format!("/api/conversations/{group}");
    let message = api.say("bob", &group, "here I am").await;
    api.sockets.take();
    let answer = api
        .by("alice", Method::DELETE, &format!("{path}/participants"))
        .json(json!({"userId": "bob"}));
    answer.await.expect(StatusCode::NO_CONTENT);
    let removed = api.sockets.take();
    assert!(
        matches!(&removed[0], Event::ParticipantRemoved { user, .. } if user.as_str() == "bob")
    );

    api.get("bob", &path).send().await.refused(403, "forbidden");
    let answer = api.get("bob", &format!("{path}/messages")).send().await;
    answer.refused(403, "forbidden");
    let body = json!({"messageId": message["id"]});
    let answer = api.post("bob", &format!("{path}/read")).json(body).await;
    answer.refused(403, "forbidden");
    let body = json!({"conversationId": group, "content": "still here?"});
    let answer = api.post("bob", "/api/messages").json(body).await;
    answer.refused(403, "forbidden");
    let list = api.get("bob", "/api/conversations").send().await;
    assert_eq!(list.expect(StatusCode::OK)["conversations"], json!([]));
    assert!(api.sockets.take().is_empty());

    // Leaving, and the role that passes on.
    let answer = api.by("alice", Method::DELETE, &format!("{path}/participants/alice"));
    answer.send().await.expect(StatusCode::NO_CONTENT);
    let shown = api.get("carol", &path).send().await.expect(StatusCode::OK);
    assert_eq!(names(&shown["conversation"]), ["carol"]);
    assert_eq!(shown["conversation"]["participants"][0]["role"], "admin");
}

#[tokio::test]
async fn a_direct_conversation_cannot_change() {
    let api = Api::start().await;
    let made = api
        .post("alice", "/api/conversations")
        .json(json!({"otherUserId": "bob"}))
        .await
        .expect(StatusCode::CREATED);
    let path = format!(
        "/api/conversations/{}",
        made["conversation"]["id"].as_str().unwrap()
    );
    let answer = api.by("alice", Method::PATCH, &path);
    answer
        .json(json!({"title": "x"}))
        .await
        .refused(409, "conflict");
    for user in ["alice", "bob"] {
        let answer = api.by("alice", Method::DELETE, &format!("{path}/participants/{user}"));
        answer.send().await.refused(409, "conflict");
    }
    let answer = api.by("bob", Method::DELETE, &path).send().await;
    answer.expect(StatusCode::NO_CONTENT);
}

/// What a stranger is told about a conversation is, byte for byte, what is told about one that
/// does not exist.
#[tokio::test]
async fn strangers_cannot_tell_what_exists() {
    let api = Api::start().await;
    let group = api.group("alice", &["bob"]).await;
    let message = api.say("alice", &group, "secret").await;
    let direct = api
        .post("alice", "/api/conversations")
        .json(json!({"otherUserId": "bob"}))
        .await
        .expect(StatusCode::CREATED);
    let direct = direct["conversation"]["id"].as_str().unwrap().to_owned();
    let title = json!({"title": "mine"});
    let mine = json!({"participantIds": ["eve"]});
    let read = json!({"messageId": message["id"]});
    let requests = |id: &str| {
        let path = format!("/api/conversations/{id}");
        let send = json!({"conversationId": id, "content": "hi"});
        [
            (Method::GET, path.clone(), Value::Null),
            (Method::PATCH, path.clone(), title.clone()),
            (Method::DELETE, path.clone(), Value::Null),
            (Method::POST, format!("{path}/participants"), mine.clone()),
            (
                Method::DELETE,
                format!("{path}/participants/alice"),
                Value::Null,
            ),
            (
                Method::DELETE,
                format!("{path}/participants/eve"),
                Value::Null,
            ),
            (
                Method::DELETE,
                format!("{path}/participants"),
                json!({"userId": "eve"}),
            ),
            (Method::GET, format!("{path}/messages"), Value::Null),
            (Method::POST, format!("{path}/read"), Value::Null),
            (Method::POST, "/api/messages".to_owned(), send),
        ]
    };
    for existing in [&group, &direct] {
        for (real, made_up) in requests(existing).into_iter().zip(requests("no-such")) {
            let mut answers = Vec::new();
            for (method, path, body) in [real, made_up] {
                let ask = api.by("eve", method, &path);
                let answer = if body.is_null() {
                    ask.send().await
                } else {
                    ask.json(body).await
                };
                answers.push(answer);
            }
            answers[0].refused(403, "forbidden");
            assert_eq!(answers[0].bytes, answers[1].bytes, "{}", answers[0].asked);
        }
    }
    let path = format!("/api/conversations/{group}/read");
    let answer = api.post("eve", &path).json(read).await;
    answer.refused(403, "forbidden");
}

//! Searching over REST: ranked, highlighted, paged.

use std::{collections::BTreeSet, time::Duration};

use axum::http::StatusCode;
use porchlight::chat::{ConversationId, MessageId, Millis, NewMessage, Profile};
use serde_json::Value;

use super::{Api, id};

impl Api {
    async fn search(&self, user: &str, query: &str) -> Value {
        let found = self.get(user, &format!("/api/search?{query}")).send().await;
        found.expect(StatusCode::OK)
    }

    /// Waits until a message of this word is found.
    async fn indexed(&self, user: &str, word: &str) {
        let until = tokio::time::Instant::now() + Duration::from_secs(30);
        let query = format!("q={word}");
        while self.search(user, &query).await["hits"] == Value::Array(Vec::new()) {
            assert!(tokio::time::Instant::now() < until, "{word} is never found");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn put(&self, user: &str, conversation: &str, content: &str) {
        let message = NewMessage {
            id: MessageId::generate(),
            conversation: ConversationId::new(conversation).unwrap(),
            sender: Profile::unknown(id(user)),
            client_id: None,
            kind: "text".into(),
            content: content.into(),
            attachments: [].into(),
            metadata: None,
            with: None,
            created_at: Millis(1),
        };
        self.store.append(message).await.unwrap();
    }
}

fn contents(page: &Value) -> Vec<&str> {
    let hits = page["hits"].as_array().unwrap().iter();
    hits.map(|h| h["message"]["content"].as_str().unwrap())
        .collect()
}

/// The parts of the highlighted text that the ranges name, as JavaScript would cut them.
fn marked(hit: &Value) -> Vec<String> {
    let text: Vec<u16> = hit["highlight"]["text"]
        .as_str()
        .unwrap()
        .encode_utf16()
        .collect();
    let ranges = hit["highlight"]["ranges"].as_array().unwrap().iter();
    ranges
        .map(|range| {
            let end = |name: &str| usize::try_from(range[name].as_u64().unwrap()).unwrap();
            String::from_utf16(&text[end("start")..end("end")]).unwrap()
        })
        .collect()
}

#[tokio::test]
async fn the_best_match_comes_first_with_its_places_marked() {
    let api = Api::start().await;
    let group = api.group("alice", &["bob"]).await;
    let long = format!(
        "{} caterpillar {}",
        "x\u{1f600} ".repeat(60),
        "y ".repeat(100)
    );
    for text in [
        "a cat and a Cät <b>",
        &long,
        "a cat, and quite some other words about this and that",
        "dog",
        "untilhere",
    ] {
        api.say("alice", &group, text).await;
    }
    api.indexed("bob", "untilhere").await;
    let page = api.search("bob", "q=cat").await;
    assert_eq!(
        contents(&page),
        [
            "a cat and a Cät <b>",
            "a cat, and quite some other words about this and that",
            &*long
        ]
    );
    assert_eq!(page["nextCursor"], Value::Null);
    let hits = &page["hits"];
    assert_eq!(hits[0]["highlight"]["text"], "a cat and a Cät <b>");
    assert_eq!(marked(&hits[0]), ["cat", "Cät"]);
    assert_eq!(marked(&hits[2]), ["caterpillar"]);
    let excerpt = hits[2]["highlight"]["text"].as_str().unwrap();
    assert_eq!(excerpt.chars().count(), 160);
    assert_eq!(hits[0]["message"]["conversationId"], group.as_str());
    let path = format!("q=cat&conversation={group}&limit=1");
    assert_eq!(api.search("alice", &path).await["hits"][0], hits[0]);
}

#[tokio::test]
async fn pages_hold_everything_once() {
    let api = Api::start().await;
    let group = api.group("alice", &[]).await;
    for n in 0..450 {
        // Of different worth, so that ranking moves them.
        let text = format!("needle {n} {}", "and so on ".repeat(n % 7));
        api.put("alice", &group, &text).await;
    }
    api.put("alice", &group, "untilhere").await;
    api.indexed("alice", "untilhere").await;
    let (mut seen, mut cursor, mut pages) = (BTreeSet::new(), String::new(), 0);
    loop {
        let query = format!("q=needle&limit=70{cursor}");
        let page = api.search("alice", &query).await;
        for content in contents(&page) {
            assert!(seen.insert(content.to_owned()), "{content} came twice");
        }
        pages += 1;
        let Some(next) = page["nextCursor"].as_str() else {
            break;
        };
        cursor = format!("&cursor={next}");
        // What is said meanwhile moves nothing.
        if pages == 2 {
            api.put("alice", &group, "needle needle needle later").await;
            api.put("alice", &group, "untilthere").await;
            api.indexed("alice", "untilthere").await;
        }
    }
    assert_eq!(seen.len(), 450);
    assert!(pages <= 9, "{pages} pages");
}

#[tokio::test]
async fn what_cannot_be_searched_is_refused() {
    let api = Api::start().await;
    let group = api.group("alice", &["bob"]).await;
    let long = format!("q={}", "a".repeat(201));
    let many = format!("q={}", "a+".repeat(17));
    let elsewhere = format!("q=a&conversation={group}");
    for (user, query, status, code) in [
        ("alice", "", 422, "invalid"),
        ("alice", "q=", 422, "invalid"),
        ("alice", "q=%22%27*()", 422, "invalid"),
        ("alice", "q=-only", 422, "invalid"),
        ("alice", "q=a&limit=x", 422, "invalid"),
        ("alice", "q=a&conversation=a%20b", 422, "invalid"),
        ("alice", "q=a&cursor=nonsense", 422, "invalid"),
        ("alice", "q=a&cursor=m-1~99999", 422, "invalid"),
        ("alice", &long, 413, "too_large"),
        ("alice", &many, 413, "too_large"),
        ("mallory", &elsewhere, 403, "forbidden"),
        ("alice", "q=a&conversation=none", 403, "forbidden"),
    ] {
        let answer = api.get(user, &format!("/api/search?{query}")).send().await;
        answer.refused(status, code);
    }
    // A cursor of somebody else's message is only a place in time.
    let page = api.search("mallory", "q=a&cursor=m-1~0").await;
    assert_eq!(contents(&page), [""; 0]);
}

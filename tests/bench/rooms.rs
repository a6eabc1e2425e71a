//! Conversations made for one run, and their members: connected and joined.

use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt, stream};
use serde::Deserialize;
use serde_json::json;

use crate::{
    Outcome, Target,
    client::Client,
    ledger::{Clock, Ear},
};

/// Handshakes under way at one time.
const AT_ONCE: usize = 64;

/// One conversation and its members.
pub struct Room {
    /// The server's id.
    pub id: String,
    /// All participants; the first one made it.
    pub members: Vec<Client>,
    /// What each member hears.
    pub ears: Vec<Arc<Ear>>,
}

/// Makes `count` conversations of `size` members each, connects all, to these nodes in turn, and lets
/// them join. Messages will have `bytes` characters.
pub async fn open(
    nodes: &[Target],
    clock: &Arc<Clock>,
    count: usize,
    size: usize,
    bytes: usize,
) -> Outcome<Vec<Room>> {
    let run: u32 = rand::random();
    let first = nodes.first().ok_or("no node")?;
    let http = http_client()?;
    let mut rooms = Vec::with_capacity(count);
    for number in 0..count {
        let users: Vec<String> = (0..size)
            .map(|member| format!("bench-{run:08x}-{number}-{member}"))
            .collect();
        let id = create(first, &http, &users).await?;
        let members: Vec<(Client, Arc<Ear>)> =
            stream::iter(users.into_iter().zip(nodes.iter().cycle()))
                .map(|(user, node)| enter(node, clock, &id, user, bytes))
                .buffered(AT_ONCE)
                .try_collect()
                .await?;
        let (members, ears) = members.into_iter().unzip();
        rooms.push(Room { id, members, ears });
    }
    Ok(rooms)
}

/// The ears of all rooms, for the verdict.
pub fn ears(rooms: &[Room]) -> Vec<Vec<Arc<Ear>>> {
    rooms.iter().map(|room| room.ears.clone()).collect()
}

async fn enter(
    target: &Target,
    clock: &Arc<Clock>,
    conversation: &str,
    user: String,
    bytes: usize,
) -> Outcome<(Client, Arc<Ear>)> {
    let ear = Arc::new(Ear::new(clock.clone(), conversation.to_owned(), bytes));
    let token = target.token(&user)?;
    let client = Client::connect(target.port, &token, ear.clone()).await?;
    let argument = json!({ "conversationId": conversation }).to_string();
    let ack = client.emit_with_ack("conversation:join", &argument).await?;
    if !serde_json::from_str::<Joined>(&ack).is_ok_and(|joined| joined.ok) {
        return Err(format!("conversation:join was refused: {ack}").into());
    }
    Ok((client, ear))
}

#[derive(Deserialize)]
struct Joined {
    ok: bool,
}

fn http_client() -> Outcome<reqwest::Client> {
    // The client wants a TLS provider even though everything here is plain HTTP; a second
    // installation is refused, which changes nothing.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Ok(reqwest::Client::builder().no_proxy().build()?)
}

async fn create(target: &Target, http: &reqwest::Client, users: &[String]) -> Outcome<String> {
    #[derive(Deserialize)]
    struct Created {
        conversation: Conversation,
    }
    #[derive(Deserialize)]
    struct Conversation {
        id: String,
    }
    let (maker, others) = users.split_first().ok_or("a room without members")?;
    let body = json!({ "title": "bench", "isGroup": true, "participantIds": others });
    let answer = http
        .post(format!(
            "http://127.0.0.1:{}/api/conversations",
            target.port
        ))
        .bearer_auth(target.token(maker)?)
        .header("content-type", "application/json")
        .body(body.to_string())
        .send()
        .await?;
    let status = answer.status();
    let text = answer.text().await?;
    match serde_json::from_str::<Created>(&text) {
        Ok(created) if status.is_success() => Ok(created.conversation.id),
        _ => {
            let start: String = text.chars().take(200).collect();
            Err(format!("POST /api/conversations: {status}: {start}").into())
        }
    }
}

//! Floods: refused with a code, slowed, closed; and nobody else feels it.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::node::Node;

#[tokio::test(flavor = "multi_thread")]
async fn too_many_events_are_refused_with_the_time_to_wait() {
    let node = Node::with(|c| {
        c.limits.events_per_second = 5;
        c.limits.events_burst = 3;
    })
    .await;
    let room = node.group(&["ann", "bob"]).await;
    let mut ann = node.client("ann").await;
    let mut acks = Vec::new();
    for n in 0..6 {
        let message = json!({ "conversationId": room, "content": n.to_string() });
        acks.push(ann.post("message:send", message).await);
    }
    ann.flush().await;
    let mut refused = 0;
    for id in acks {
        let ack = ann.ack(id).await;
        if ack["ok"] == false {
            refused += 1;
            assert_eq!(ack["error"]["code"], "rate_limited", "{ack}");
            assert!(
                ack["error"]["retry_after_ms"].as_u64().unwrap() > 0,
                "{ack}"
            );
        }
    }
    assert!(refused > 0);
    // Without an ack the refusal is an event.
    for _ in 0..6 {
        ann.emit("typing:start", json!({ "conversationId": room }))
            .await;
    }
    let error = ann.event("error").await;
    assert_eq!(error["code"], "rate_limited", "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flooder_is_slowed_then_closed_and_others_feel_nothing() {
    let node = Node::with(|c| {
        c.limits.events_per_second = 100;
        c.limits.events_burst = 10;
        c.limits.flood_close_after = 40;
    })
    .await;
    let room = node.group(&["ann", "bob"]).await;
    let (mut ann, mut bob) = (node.client("ann").await, node.client("bob").await);
    bob.call("conversation:join", json!(room)).await;
    let flood = tokio::spawn(async move {
        let since = Instant::now();
        for _ in 0..5_000 {
            bob.feed(r#"42["typing:start",{"conversationId":"x"}]"#)
                .await;
        }
        bob.flush().await;
        bob.closed().await;
        since.elapsed()
    });
    let mut slowest = Duration::ZERO;
    while !flood.is_finished() {
        let since = Instant::now();
        let message = json!({ "conversationId": room, "content": "calm" });
        assert_eq!(ann.call("message:send", message).await["ok"], true);
        slowest = slowest.max(since.elapsed());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    flood.await.unwrap();
    assert!(
        slowest < Duration::from_secs(2),
        "others waited {slowest:?}"
    );
    node.until_health(1, 0).await;
}

/// A burst that exceeds the receive queue is refused event by event, never dropped in silence.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_receive_queue_answers_every_event() {
    let node = Node::with(|c| c.transport.receive_queue = 4).await;
    let room = node.group(&["ann", "bob"]).await;
    let mut ann = node.client("ann").await;
    let mut acks = Vec::new();
    for n in 0..150 {
        let message = json!({ "conversationId": room, "content": n.to_string() });
        acks.push(ann.post("message:send", message).await);
    }
    ann.flush().await;
    let (mut sent, mut refused) = (0, 0);
    for id in acks {
        let ack = ann.ack(id).await;
        if ack["ok"] == true {
            sent += 1;
            assert_eq!(ack["message"]["seq"], sent);
        } else {
            refused += 1;
            assert_eq!(ack["error"]["code"], "rate_limited", "{ack}");
        }
    }
    assert_eq!(sent + refused, 150);
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_events_are_refused_and_the_connection_is_kept() {
    let node = Node::start().await;
    let mut ann = node.client("ann").await;
    for arg in [
        json!(null),
        json!(7),
        json!([]),
        json!({ "conversationId": {} }),
        json!("a b"),
    ] {
        for event in [
            "conversation:join",
            "message:send",
            "message:read",
            "typing:start",
        ] {
            let ack = ann.call(event, arg.clone()).await;
            let code = ack["error"]["code"].as_str().unwrap_or_default();
            assert!(
                matches!(code, "invalid" | "not_found"),
                "{event} {arg}: {ack}"
            );
        }
    }
    let unknown = ann.call("no:such:event", json!({})).await;
    assert_eq!(unknown["ok"], false, "{unknown}");
    ann.emit("no:such:event", json!({})).await;
    let senders = json!({ "conversationId": "c", "content": "x", "senderId": "bob" });
    assert_eq!(
        ann.call("message:send", senders).await["error"]["code"],
        "forbidden"
    );
}

/// Connecting again over the same transport costs a token check and a database write each time.
#[tokio::test(flavor = "multi_thread")]
async fn connecting_again_and_again_over_one_transport_is_limited() {
    let node = Node::with(|c| {
        c.limits.handshakes_per_second = 1;
        c.limits.handshakes_burst = 5;
    })
    .await;
    let mut ann = node.client("ann").await;
    let auth = json!({ "token": node.token("ann") });
    let mut again = 0;
    loop {
        ann.raw("41").await;
        // Until it is gone completely, connecting again is ignored.
        node.until_health(0, 0).await;
        ann.raw(&format!("40{auth}")).await;
        if !ann.admitted().await {
            break;
        }
        again += 1;
        assert!(again < 10, "it was never refused");
    }
}

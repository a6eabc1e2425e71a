//! Connections to Redis: that they tell the truth about themselves, and mend.

use std::time::Duration;

use porchlight::redis::{Connection, Link};

use crate::support::redis::{Server, setup::connect};

const PATIENCE: Duration = Duration::from_secs(20);

async fn wait(connection: &Connection, what: impl FnMut(&Link) -> bool) -> Link {
    let mut link = connection.watch();
    let found = tokio::time::timeout(PATIENCE, link.wait_for(what)).await;
    *found.expect("in time").expect("it is watched")
}

#[tokio::test]
async fn it_tells_whether_it_works_and_comes_back_by_itself() {
    let mut server = Server::start(&[]);
    let (redis, _guard) = connect(&[("URL", &server.url())]);
    for connection in [redis.commands(), redis.subscriber()] {
        let link = wait(connection, |l| l.up).await;
        assert_eq!(link.epoch, 1);
        connection.round_trip().await.expect("an answer");
    }
    redis.check().await.expect("it takes writes");

    server.stop();
    wait(redis.commands(), |l| !l.up).await;
    assert!(redis.commands().client().is_err());
    assert!(redis.check().await.is_err());

    server.restart();
    for connection in [redis.commands(), redis.subscriber()] {
        assert_eq!(wait(connection, |l| l.up).await.epoch, 2);
    }
    redis.check().await.expect("it takes writes");
}

#[tokio::test]
async fn a_start_without_redis_succeeds_when_redis_comes() {
    let mut server = Server::idle(|_, _| Vec::new());
    let (redis, _guard) = connect(&[("URL", &server.url())]);
    assert!(redis.check().await.is_err());
    server.restart();
    assert_eq!(wait(redis.commands(), |l| l.up).await.epoch, 1);
}

#[tokio::test]
async fn silence_is_noticed() {
    let mut server = Server::start(&[]);
    let (redis, _guard) = connect(&[("URL", &server.url()), ("COMMAND_TIMEOUT_MS", "200")]);
    wait(redis.subscriber(), |l| l.up).await;
    server.pause(true);
    wait(redis.subscriber(), |l| !l.up).await;
    wait(redis.commands(), |l| !l.up).await;
    server.pause(false);
    assert!(wait(redis.subscriber(), |l| l.up).await.epoch > 1);
    wait(redis.commands(), |l| l.up).await;
}

#[tokio::test]
async fn a_server_that_takes_no_writes_is_not_well() {
    let server = Server::start(&[]);
    let (redis, _guard) = connect(&[("URL", &server.url())]);
    wait(redis.commands(), |l| l.up).await;
    wait(redis.subscriber(), |l| l.up).await;
    redis.check().await.expect("it takes writes");
    server.cli(&["CONFIG", "SET", "maxmemory", "1"]);
    let refused = redis.check().await.expect_err("it is full");
    assert!(refused.source.to_string().contains("OOM"), "{refused:?}");
    assert!(redis.commands().is_up(), "it answers");
    server.cli(&["CONFIG", "SET", "maxmemory", "0"]);
    redis.check().await.expect("it takes writes again");
}

#[tokio::test]
async fn passwords() {
    let server = Server::start(&["--requirepass", "a 'b\"\\%ü"]);
    let (wrong, _guard) = connect(&[("URL", &server.url()), ("PASSWORD", "nonsense")]);
    let url = format!(
        "redis://:a%20%27b%22%5C%25%C3%BC@127.0.0.1:{}",
        server.port()
    );
    let (by_url, _guard) = connect(&[("URL", &url)]);
    let (by_key, _guard) = connect(&[("URL", &server.url()), ("PASSWORD", "a 'b\"\\%ü")]);
    wait(by_url.commands(), |l| l.up).await;
    wait(by_key.commands(), |l| l.up).await;
    assert!(!wrong.commands().is_up());
}

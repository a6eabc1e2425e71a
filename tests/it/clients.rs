//! Real clients against the real binary: the scripts of `tests/clients`.

use std::time::Duration;

use crate::support::gateway::{Gateway, clients};

const LIMIT: Duration = Duration::from_secs(180);

/// Short enough not to slow the tests down, long enough for a reconnect in between.
const GRACE: (&str, &str) = ("PORCHLIGHT_CHAT_PRESENCE_GRACE_MS", "1500");

/// A load that the default limits would slow down.
const NO_LIMITS: &[(&str, &str)] = &[
    ("PORCHLIGHT_LIMITS_EVENTS_PER_SECOND", "100000"),
    ("PORCHLIGHT_LIMITS_EVENTS_BURST", "100000"),
    ("PORCHLIGHT_LIMITS_MESSAGES_PER_SECOND", "100000"),
    ("PORCHLIGHT_LIMITS_MESSAGES_BURST", "100000"),
    ("PORCHLIGHT_LIMITS_HANDSHAKES_PER_SECOND", "100000"),
    ("PORCHLIGHT_LIMITS_HANDSHAKES_BURST", "100000"),
    ("PORCHLIGHT_LIMITS_REQUESTS_PER_SECOND", "100000"),
    ("PORCHLIGHT_LIMITS_REQUESTS_BURST", "100000"),
    ("PORCHLIGHT_LIMITS_CONNECTIONS_PER_ADDRESS", "10000"),
];

/// Runs a script on a gateway of its own: with SQLite in its folder unless `settings` name
/// another database.
fn node(script: &str, args: &[&str], settings: &[(&str, &str)]) {
    let path = clients().join(script);
    let path = path.to_str().expect("UTF-8");
    let mut gateway = Gateway::start(settings);
    let args = [&[path], args].concat();
    gateway.script("node", &args, &[], LIMIT, |_, _| {});
}

fn python(script: &str, settings: &[(&str, &str)]) {
    let folder = clients();
    let path = folder.join(script);
    let mut gateway = Gateway::start(settings);
    let args = [path.to_str().expect("UTF-8")];
    gateway.script(
        folder.join(".venv/bin/python"),
        &args,
        &[],
        LIMIT,
        |_, _| {},
    );
}

/// Kills the gateway in mid-talk each time that many per cent are acknowledged.
fn durability(strikes: &[u64], settings: &[(&str, &str)]) {
    let path = clients().join("durability.mjs");
    let args = [
        path.to_str().expect("UTF-8"),
        "--senders=40",
        "--conversations=10",
        "--messages=4000",
    ];
    let mut gateway = Gateway::start(&[NO_LIMITS, settings].concat());
    let mut left = strikes;
    gateway.script("node", &args, &[], LIMIT, |line, gateway| {
        let progress = line.strip_prefix("progress ").and_then(|rest| {
            let (acked, total) = rest.split_once(' ')?;
            Some(acked.parse::<u64>().ok()? * 100 / total.parse::<u64>().ok()?)
        });
        if let (Some(now), [strike, rest @ ..]) = (progress, left)
            && now >= *strike
        {
            assert!(
                now < 100,
                "the talk was over before it could be interrupted"
            );
            left = rest;
            gateway.restart();
        }
    });
    assert!(left.is_empty(), "strikes left: {left:?}");
}

mod sqlite {
    use super::*;

    #[test]
    fn standard_over_websocket() {
        node("standard.mjs", &["websocket"], &[GRACE]);
    }

    #[test]
    fn standard_over_polling() {
        node("standard.mjs", &["polling"], &[GRACE]);
    }

    #[test]
    fn standard_with_upgrade() {
        node("standard.mjs", &["upgrade"], &[GRACE]);
    }

    #[test]
    fn version_3_of_the_client() {
        node("v3.mjs", &[], &[]);
    }

    #[test]
    fn python_socketio() {
        python("py_client.py", &[]);
    }

    #[test]
    fn nothing_acknowledged_is_lost_by_kill_9() {
        durability(&[10, 35, 60, 85], &[]);
    }
}

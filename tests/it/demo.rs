//! The demo page in a real browser, through a kill of the gateway.

use std::time::Duration;

use crate::support::gateway::{Gateway, clients};

#[test]
fn two_people_talk_in_a_browser_through_a_kill() {
    let path = clients().join("demo.mjs");
    let shots = std::env::var("SCREENSHOTS")
        .unwrap_or_else(|_| concat!(env!("CARGO_TARGET_TMPDIR"), "/demo").to_owned());
    let mut gateway = Gateway::start(&[("PORCHLIGHT_CHAT_PRESENCE_GRACE_MS", "1000")]);
    gateway.script(
        "node",
        &[path.to_str().expect("UTF-8")],
        &[("SCREENSHOTS", &shots)],
        Duration::from_secs(180),
        |line, gateway| match line {
            "please kill" => gateway.kill(),
            "please restart" => gateway.restart(),
            _ => {}
        },
    );
}

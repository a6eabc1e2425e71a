//! Files through the real binary: memory stays bounded whatever their size, and what was being
//! uploaded when the gateway was killed does not stay.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::stream;
use serde_json::Value;

use crate::support::gateway::Gateway;

const MEGABYTE: usize = 1024 * 1024;
/// Of the large file.
const SIZE: usize = 200 * MEGABYTE;
/// What the gateway may hold of several such files at once: parts being filled and written, and
/// buffers of connections.
const MEMORY_KIB: u64 = 40 * 1024;
const BOUNDARY: &str = "a-boundary-7MA4YWxk";

fn token(gateway: &Gateway) -> String {
    let made = gateway
        .command(env!("CARGO_BIN_EXE_porchlight"))
        .args(["token", "--user", "ann"])
        .output()
        .expect("the command runs");
    let text = String::from_utf8(made.stdout).expect("text");
    text.lines().next().expect("a token").trim().to_owned()
}

/// The letter at a place of the large file.
fn letter(at: usize) -> u8 {
    b'a' + (at / MEGABYTE % 26) as u8
}

/// A form with a file of so many bytes; one that stalls there if it is `unfinished`.
fn form(size: usize, unfinished: bool) -> reqwest::Body {
    let head = format!(
        "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"f\"; filename=\"large.txt\"\r\n\r\n"
    );
    let tail = format!("\r\n--{BOUNDARY}--\r\n");
    let middle = (0..size / MEGABYTE).map(|n| Bytes::from(vec![letter(n * MEGABYTE); MEGABYTE]));
    let parts = std::iter::once(Bytes::from(head)).chain(middle);
    let tail = match unfinished {
        true => None,
        false => Some(Bytes::from(tail)),
    };
    let parts = stream::iter(parts.chain(tail).map(Ok::<_, std::io::Error>));
    use futures_util::StreamExt;
    match unfinished {
        true => reqwest::Body::wrap_stream(parts.chain(stream::pending())),
        false => reqwest::Body::wrap_stream(parts),
    }
}

fn client() -> reqwest::Client {
    // An error says that another test was first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::new()
}

fn post(gateway: &Gateway, token: &str, body: reqwest::Body) -> reqwest::RequestBuilder {
    client()
        .post(format!("{}/api/uploads", gateway.url()))
        .bearer_auth(token)
        .header(
            "content-type",
            format!("multipart/form-data; boundary={BOUNDARY}"),
        )
        .body(body)
}

async fn upload(gateway: &Gateway, token: &str) -> Value {
    let answer = post(gateway, token, form(SIZE, false)).send().await;
    let answer = answer.expect("an answer");
    let status = answer.status();
    let text = answer.text().await.expect("text");
    assert_eq!(status, 201, "{text}");
    serde_json::from_str(&text).expect("JSON")
}

/// The most memory that a process has had resident, in KiB.
fn peak_memory(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("it runs");
    let line = status.lines().find(|l| l.starts_with("VmHWM:"));
    let number = line.and_then(|l| l.split_whitespace().nth(1));
    number.expect("a number").parse().expect("a number")
}

fn files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let path = entry.expect("an entry").path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => found.push(path.display().to_string()),
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_files_stream_in_and_out() {
    let gateway = Gateway::start(&[("PORCHLIGHT_UPLOADS_MAX_BYTES", "300000000")]);
    let token = token(&gateway);
    let before = peak_memory(gateway.process());
    let (one, two) = tokio::join!(upload(&gateway, &token), upload(&gateway, &token));
    assert_eq!((&one["size"], &two["size"]), (&SIZE.into(), &SIZE.into()));
    assert_ne!(one["id"], two["id"]);

    let url = format!("{}{}", gateway.url(), one["url"].as_str().expect("a URL"));
    let mut answer = client()
        .get(url)
        .bearer_auth(&token)
        .send()
        .await
        .expect("an answer");
    let mut at = 0;
    while let Some(bytes) = answer.chunk().await.expect("more") {
        let right = bytes.iter().zip(at..).all(|(b, at)| *b == letter(at));
        assert!(right, "wrong bytes from {at}");
        at += bytes.len();
    }
    assert_eq!(at, SIZE);
    let grown = peak_memory(gateway.process()) - before;
    println!("{grown} KiB more than before");
    assert!(grown < MEMORY_KIB, "{grown} KiB more than before");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_in_the_middle_leaves_nothing_for_long() {
    let settings = [("PORCHLIGHT_UPLOADS_UNUSED_AFTER_S", "1")];
    let mut gateway = Gateway::start(&settings);
    let uploads = gateway.folder().join("data/uploads");
    let token = token(&gateway);
    let request = post(&gateway, &token, form(8 * MEGABYTE, true));
    let sending = tokio::spawn(async move { request.send().await.is_err() });
    eventually("a part of the file is there", || {
        !files(&uploads).is_empty()
    })
    .await;
    gateway.restart();
    assert!(sending.await.expect("it ends"), "it was not cut off");
    eventually("the part is gone", || files(&uploads).is_empty()).await;
}

async fn eventually(what: &str, holds: impl Fn() -> bool) {
    let until = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < until, "never happened: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

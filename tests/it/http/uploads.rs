//! Files over REST: uploading, fetching whole and in parts, who may, thumbnails.

use std::{io::Cursor, path::Path, time::Duration};

use axum::{
    body::{Body, Bytes},
    http::{Method, StatusCode},
};
use futures_util::stream;
use image::{DynamicImage, ImageFormat, Rgb, RgbImage};
use serde_json::{Value, json};

use super::{Answer, Api, answer};

const BOUNDARY: &str = "a-boundary-7MA4YWxk";

fn png(width: u32, height: u32) -> Vec<u8> {
    let picture = RgbImage::from_pixel(width, height, Rgb([0, 120, 0]));
    let mut bytes = Cursor::new(Vec::new());
    DynamicImage::from(picture)
        .write_to(&mut bytes, ImageFormat::Png)
        .unwrap();
    bytes.into_inner()
}

/// The head and the tail of a form with one file.
fn around(name: &str, claimed: &str) -> (Vec<u8>, Vec<u8>) {
    let head = format!(
        "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"note\"\r\n\r\nnot a file\r\n\
         --{BOUNDARY}\r\nContent-Disposition: form-data; name=\"upload\"; filename=\"{name}\"\r\n\
         Content-Type: {claimed}\r\n\r\n"
    );
    (head.into_bytes(), format!("\r\n--{BOUNDARY}--\r\n").into())
}

fn form(name: &str, claimed: &str, content: &[u8]) -> Vec<u8> {
    let (head, tail) = around(name, claimed);
    [&head, content, &tail].concat()
}

impl Api {
    async fn send_form(&self, user: &str, form: impl Into<Body>) -> Answer {
        let kind = format!("multipart/form-data; boundary={BOUNDARY}");
        let ask = self.post(user, "/api/uploads").header("content-type", kind);
        ask.raw(form).send().await
    }

    async fn upload(&self, user: &str, name: &str, content: &[u8]) -> Value {
        let form = form(name, "application/x-lie", content);
        let kept = self.send_form(user, form).await;
        kept.expect(StatusCode::CREATED)
    }

    async fn attach(&self, user: &str, conversation: &str, upload: &Value) -> Value {
        let body = json!({"conversationId": conversation, "attachments": [upload]});
        let sent = self.post(user, "/api/messages").json(body).await;
        sent.expect(StatusCode::CREATED)["message"].clone()
    }
}

fn url(upload: &Value) -> String {
    upload["url"].as_str().unwrap().to_owned()
}

fn files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => found.push(path.file_name().unwrap().to_str().unwrap().to_owned()),
        }
    }
    found
}

#[tokio::test]
async fn a_file_is_what_its_content_shows() {
    let api = Api::start().await;
    let picture = png(40, 30);
    let kept = api
        .upload("alice", "..\\caf\u{e9} \u{201c}1\u{201d}.jpg", &picture)
        .await;
    let id = kept["id"].as_str().unwrap();
    let expected = json!({"id": id, "name": "caf\u{e9} \u{201c}1\u{201d}.jpg", "type": "image/png",
        "size": picture.len(), "width": 40, "height": 30, "url": format!("/api/uploads/{id}"),
        "thumbnailUrl": format!("/api/uploads/{id}/thumbnail")});
    assert_eq!(kept, expected);
    let fetched = api.get("alice", &url(&kept)).send().await;
    assert_eq!(fetched.status, StatusCode::OK);
    assert_eq!(fetched.bytes, picture);
    for (name, value) in [
        ("content-type", "image/png"),
        ("content-length", &picture.len().to_string()),
        ("accept-ranges", "bytes"),
        ("x-content-type-options", "nosniff"),
        ("content-security-policy", "default-src 'none'; sandbox"),
        ("cache-control", "private, no-cache"),
        (
            "content-disposition",
            "inline; filename=\"caf_ _1_.jpg\"; \
             filename*=UTF-8''caf%C3%A9%20%E2%80%9C1%E2%80%9D.jpg",
        ),
    ] {
        assert_eq!(fetched.header(name), value, "{name}");
    }

    let text = api.upload("alice", "a%22b%0D%0A.html", b"just text").await;
    assert_eq!(
        (&text["type"], text.get("width")),
        (&json!("text/plain"), None)
    );
    let fetched = api.get("alice", &url(&text)).send().await;
    assert_eq!(fetched.header("content-type"), "text/plain; charset=utf-8");
    let expected = "attachment; filename=\"a_b.html\"; filename*=UTF-8''a%22b.html";
    assert_eq!(fetched.header("content-disposition"), expected);
    // Named as a picture, with a script in it.
    let script = form(
        "cat.png",
        "image/png",
        b"<!DOCTYPE html><script>alert(1)</script>",
    );
    let refused = api.send_form("alice", script).await.refused(422, "invalid");
    assert!(refused["detail"].as_str().unwrap().contains("text/html"));
}

#[tokio::test]
async fn what_is_no_upload_is_refused() {
    let api = Api::with(&[("PORCHLIGHT_UPLOADS_MAX_BYTES", "1000")]).await;
    let full = form("a.txt", "text/plain", &[b'x'; 1000]);
    api.send_form("alice", full)
        .await
        .expect(StatusCode::CREATED);
    let over = form("a.txt", "text/plain", &[b'x'; 1001]);
    let problem = api.send_form("alice", over).await.refused(413, "too_large");
    assert_eq!(problem["detail"], "a file has at most 1000 bytes");
    // By its length alone, and without one.
    let kind = format!("multipart/form-data; boundary={BOUNDARY}");
    let post = || {
        api.post("alice", "/api/uploads")
            .header("content-type", &kind)
    };
    let long = post().header("content-length", "100000000").send().await;
    long.refused(413, "too_large");
    let endless = stream::repeat_with(|| Ok::<_, std::io::Error>(Bytes::from(vec![b'x'; 65_536])));
    let note = post().raw(Body::from_stream(endless)).send().await;
    note.refused(413, "too_large");
    let (head, _) = around("a.txt", "text/plain");
    api.send_form("alice", head.clone())
        .await
        .refused(422, "invalid");
    api.send_form("alice", [head, b"cut off".into()].concat())
        .await
        .refused(422, "invalid");
    api.send_form("alice", form("a.txt", "text/plain", b""))
        .await
        .refused(422, "invalid");
    api.send_form("alice", format!("--{BOUNDARY}--\r\n"))
        .await
        .refused(422, "invalid");
    api.send_form("alice", "nonsense")
        .await
        .refused(422, "invalid");
    let body = json!({"file": "a"});
    let json = api.post("alice", "/api/uploads").json(body).await;
    json.refused(415, "invalid");
    let unknown = api.ask(Method::POST, "/api/uploads").send().await;
    unknown.refused(401, "unauthorized");
    let kept = files(&api.dir.path().join("uploads"));
    assert_eq!(kept.len(), 1, "what was refused is not kept: {kept:?}");
}

#[tokio::test]
async fn only_those_with_a_part_in_it_may_fetch() {
    let api = Api::start().await;
    let group = api.group("alice", &["bob"]).await;
    let kept = api.upload("alice", "a.png", &png(4, 4)).await;
    let (file, small) = (url(&kept), format!("{}/thumbnail", url(&kept)));
    for path in [&file, &small] {
        api.get("alice", path)
            .send()
            .await
            .expect_bytes(StatusCode::OK);
        api.get("bob", path).send().await.refused(404, "not_found");
        api.ask(Method::GET, path)
            .send()
            .await
            .refused(401, "unauthorized");
        let service = api.service(Method::GET, path).header("x-act-as", "bot");
        service.send().await.expect_bytes(StatusCode::OK);
    }
    api.attach("alice", &group, &kept).await;
    for path in [&file, &small] {
        api.get("bob", path)
            .send()
            .await
            .expect_bytes(StatusCode::OK);
        api.get("mallory", path)
            .send()
            .await
            .refused(404, "not_found");
    }
    // Nor can somebody else's file be had by attaching it.
    let own = api.group("mallory", &[]).await;
    let body = json!({"conversationId": own, "attachments": [kept["id"]]});
    let stolen = api.post("mallory", "/api/messages").json(body).await;
    stolen.refused(403, "forbidden");
    let removal = format!("/api/conversations/{group}/participants/bob");
    let removed = api.by("alice", Method::DELETE, &removal).send().await;
    assert!(removed.status.is_success());
    api.get("bob", &file).send().await.refused(404, "not_found");
    for path in ["/api/uploads/none", "/api/uploads/none/thumbnail"] {
        api.get("alice", path)
            .send()
            .await
            .refused(404, "not_found");
    }
    api.get("alice", "/api/uploads/a%20b")
        .send()
        .await
        .refused(422, "invalid");
}

#[tokio::test]
async fn parts_of_a_file() {
    let api = Api::start().await;
    let content: Vec<u8> = (0..100_000).map(|n| b'a' + (n % 23) as u8).collect();
    let kept = api.upload("alice", "a.txt", &content).await;
    let get = || api.get("alice", kept["url"].as_str().unwrap());
    for (range, part) in [
        ("bytes=0-9", 0..10),
        ("bytes=70000-", 70_000..100_000),
        ("bytes=-1", 99_999..100_000),
        ("bytes=99990-200000", 99_990..100_000),
    ] {
        // Even where the client would take it compressed.
        let ask = get()
            .header("range", range)
            .header("accept-encoding", "gzip");
        let fetched = ask.send().await;
        assert_eq!(fetched.status, StatusCode::PARTIAL_CONTENT, "{range}");
        assert_eq!(fetched.bytes, content[part.clone()], "{range}");
        let told = format!("bytes {}-{}/100000", part.start, part.end - 1);
        assert_eq!(fetched.header("content-range"), told);
        assert_eq!(fetched.header("content-length"), part.len().to_string());
    }
    let outside = get().header("range", "bytes=100000-").send().await;
    outside.refused(416, "invalid");
    assert_eq!(outside.header("content-range"), "bytes */100000");

    let whole = get().header("accept-encoding", "gzip").send().await;
    assert_eq!(
        (whole.status, &whole.bytes[..]),
        (StatusCode::OK, &content[..])
    );
    let etag = whole.header("etag");
    let known = get().header("if-none-match", etag).send().await;
    assert_eq!(
        (known.status, known.bytes.len()),
        (StatusCode::NOT_MODIFIED, 0)
    );
    let ranged = |tag: &str| get().header("range", "bytes=0-0").header("if-range", tag);
    assert_eq!(
        ranged(etag).send().await.status,
        StatusCode::PARTIAL_CONTENT
    );
    assert_eq!(ranged("\"other\"").send().await.status, StatusCode::OK);
    let head = api.by("alice", Method::HEAD, kept["url"].as_str().unwrap());
    let head = head.send().await;
    assert_eq!(head.header("content-length"), "100000");
    assert_eq!((head.status, head.bytes.len()), (StatusCode::OK, 0));
}

#[tokio::test]
async fn thumbnails_are_small_pictures() {
    let variables = [
        ("PORCHLIGHT_UPLOADS_THUMBNAIL_SIDE", "50"),
        ("PORCHLIGHT_UPLOADS_MAX_PIXELS", "100000"),
    ];
    let api = Api::with(&variables).await;
    let kept = api.upload("alice", "a.png", &png(400, 200)).await;
    let path = format!("{}/thumbnail", url(&kept));
    let (one, two) = tokio::join!(
        api.get("alice", &path).send(),
        api.get("alice", &path).send()
    );
    for fetched in [&one, &two] {
        assert_eq!(fetched.status, StatusCode::OK);
        assert_eq!(fetched.header("content-type"), "image/jpeg");
        let small = image::load_from_memory(&fetched.bytes).unwrap();
        assert_eq!((small.width(), small.height()), (50, 25));
    }
    let again = api.get("alice", &path);
    let again = again
        .header("if-none-match", one.header("etag"))
        .send()
        .await;
    assert_eq!(again.status, StatusCode::NOT_MODIFIED);

    for (name, content) in [("big.png", png(400, 300)), ("a.txt", b"text".to_vec())] {
        let kept = api.upload("alice", name, &content).await;
        assert_eq!(kept.get("thumbnailUrl"), None, "{name}");
        let path = format!("{}/thumbnail", url(&kept));
        api.get("alice", &path)
            .send()
            .await
            .refused(404, "not_found");
    }
    // One whose pixels are broken: there is a thumbnail to ask for, but none to be had.
    let mut broken = png(200, 200);
    let end = broken.len() - 40;
    broken.truncate(end);
    let kept = api.upload("alice", "broken.png", &broken).await;
    let path = format!("{}/thumbnail", url(&kept));
    api.get("alice", &path)
        .send()
        .await
        .refused(404, "not_found");
    // The file itself is what it is.
    api.get("alice", &url(&kept))
        .send()
        .await
        .expect_bytes(StatusCode::OK);
}

#[tokio::test]
async fn uploads_are_limited_per_user() {
    let variables = [
        ("PORCHLIGHT_LIMITS_UPLOADS_PER_MINUTE", "1"),
        ("PORCHLIGHT_LIMITS_UPLOADS_BURST", "2"),
    ];
    let api = Api::with(&variables).await;
    for _ in 0..2 {
        api.upload("alice", "a.txt", b"text").await;
    }
    let form = form("a.txt", "text/plain", b"text");
    let refused = api.send_form("alice", form).await;
    let problem = refused.refused(429, "rate_limited");
    assert!(problem["retryAfterMs"].as_u64().unwrap() > 30_000);
    api.upload("bob", "a.txt", b"text").await;
}

#[tokio::test]
async fn what_no_message_refers_to_is_deleted() {
    let api = Api::with(&[("PORCHLIGHT_UPLOADS_UNUSED_AFTER_S", "1")]).await;
    let group = api.group("alice", &["bob"]).await;
    let used = api.upload("alice", "used.png", &png(8, 8)).await;
    api.attach("alice", &group, &used).await;
    let unused = api.upload("alice", "unused.png", &png(8, 8)).await;
    let thumbnail = format!("{}/thumbnail", url(&unused));
    api.get("alice", &thumbnail)
        .send()
        .await
        .expect_bytes(StatusCode::OK);
    let folder = api.dir.path().join("uploads");
    assert_eq!(files(&folder).len(), 3);

    let chat = api.chat.clone();
    let sweeper = tokio::spawn(async move { chat.sweep_uploads().await });
    let until = tokio::time::Instant::now() + Duration::from_secs(30);
    while files(&folder).len() > 1 {
        assert!(tokio::time::Instant::now() < until, "{:?}", files(&folder));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    sweeper.abort();
    assert_eq!(files(&folder), [used["id"].as_str().unwrap()]);
    api.get("alice", &url(&unused))
        .send()
        .await
        .refused(404, "not_found");
    let body = json!({"conversationId": group, "attachments": [unused]});
    let late = api.post("alice", "/api/messages").json(body).await;
    late.refused(403, "forbidden");
    api.get("bob", &url(&used))
        .send()
        .await
        .expect_bytes(StatusCode::OK);
}

#[tokio::test]
async fn a_broken_upload_leaves_nothing() {
    let api = Api::start().await;
    let (head, _) = around("a.txt", "text/plain");
    let broken = [
        Ok(Bytes::from(head)),
        Ok(Bytes::from(vec![b'x'; 3 * 1024 * 1024])),
        Err(std::io::Error::other("the line went dead")),
    ];
    let kind = format!("multipart/form-data; boundary={BOUNDARY}");
    let ask = api
        .post("alice", "/api/uploads")
        .header("content-type", kind);
    let request = ask
        .raw(Body::from_stream(stream::iter(broken)))
        .into_request();
    let refused = answer(api.router.clone(), request).await;
    refused.refused(422, "invalid");
    let left = files(&api.dir.path().join("uploads"));
    assert!(left.is_empty(), "{left:?}");
}

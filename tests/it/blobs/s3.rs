//! So much of S3's REST protocol as storage needs: objects, ranges, uploads in parts. Keeps things
//! in memory, and refuses what real servers refuse: unsigned requests, small parts, parts that
//! nobody uploaded. <https://docs.aws.amazon.com/AmazonS3/latest/API/>

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Query, State},
    http::{HeaderMap, Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use parking_lot::Mutex;
use tokio::{net::TcpListener, task::JoinHandle};

/// The least that a part other than the last one may have.
const PART: usize = 5 * 1024 * 1024;
const DATE: &str = "Thu, 01 Jan 2026 00:00:00 GMT";

#[derive(Default)]
struct Kept {
    objects: BTreeMap<String, Bytes>,
    /// By upload id: the key and the parts.
    uploads: BTreeMap<String, (String, BTreeMap<usize, Bytes>)>,
    begun: usize,
}

struct Bucket {
    name: &'static str,
    kept: Mutex<Kept>,
}

pub struct Server {
    port: u16,
    bucket: Arc<Bucket>,
    task: JoinHandle<()>,
}

impl Server {
    pub async fn start(name: &'static str) -> Self {
        let bucket = Arc::new(Bucket {
            name,
            kept: Mutex::default(),
        });
        let router = Router::new()
            .fallback(answer)
            .layer(DefaultBodyLimit::disable())
            .with_state(bucket.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { port, bucket, task }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Objects, and parts of uploads that were neither finished nor given up.
    pub fn kept(&self) -> usize {
        let kept = self.bucket.kept.lock();
        kept.objects.len() + kept.uploads.len()
    }

    pub async fn stop(mut self) {
        self.task.abort();
        let _ = (&mut self.task).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(
    State(bucket): State<Arc<Bucket>>,
    method: Method,
    uri: Uri,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let signed = headers.get(header::AUTHORIZATION).is_some_and(|value| {
        let value = value.to_str().unwrap();
        value.starts_with("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/")
    });
    if !signed {
        return error(StatusCode::FORBIDDEN, "AccessDenied");
    }
    let Some(key) = uri.path().strip_prefix(&format!("/{}/", bucket.name)) else {
        return error(StatusCode::NOT_FOUND, "NoSuchBucket");
    };
    let mut kept = bucket.kept.lock();
    let upload = query.get("uploadId");
    match (method.as_str(), upload) {
        ("GET", None) => get(&kept, key, &headers),
        ("PUT", None) => {
            kept.objects.insert(key.to_owned(), body);
            ([(header::ETAG, "\"e\"")], "").into_response()
        }
        ("DELETE", None) => {
            kept.objects.remove(key);
            StatusCode::NO_CONTENT.into_response()
        }
        ("POST", None) if query.contains_key("uploads") => {
            kept.begun += 1;
            let id = format!("upload-{}", kept.begun);
            kept.uploads
                .insert(id.clone(), (key.to_owned(), BTreeMap::new()));
            xml(&format!(
                "<InitiateMultipartUploadResult><UploadId>{id}</UploadId>\
                 </InitiateMultipartUploadResult>"
            ))
        }
        ("PUT", Some(id)) => match kept.uploads.get_mut(id) {
            Some((_, parts)) => {
                let number: usize = query["partNumber"].parse().unwrap();
                parts.insert(number, body);
                ([(header::ETAG, format!("\"part-{number}\""))], "").into_response()
            }
            None => error(StatusCode::NOT_FOUND, "NoSuchUpload"),
        },
        ("POST", Some(id)) => match kept.uploads.remove(id) {
            Some((key, parts)) => complete(&mut kept, key, &parts, &body),
            None => error(StatusCode::NOT_FOUND, "NoSuchUpload"),
        },
        ("DELETE", Some(id)) => {
            kept.uploads.remove(id);
            StatusCode::NO_CONTENT.into_response()
        }
        _ => error(StatusCode::NOT_IMPLEMENTED, "NotImplemented"),
    }
}

fn get(kept: &Kept, key: &str, headers: &HeaderMap) -> Response {
    let Some(object) = kept.objects.get(key) else {
        return error(StatusCode::NOT_FOUND, "NoSuchKey");
    };
    let common = [(header::ETAG, "\"e\""), (header::LAST_MODIFIED, DATE)];
    let range = headers.get(header::RANGE).map(|r| r.to_str().unwrap());
    let Some(range) = range.and_then(|r| r.strip_prefix("bytes=")) else {
        return (common, object.clone()).into_response();
    };
    let (first, last) = range.split_once('-').unwrap();
    let (first, last): (usize, usize) = (first.parse().unwrap(), last.parse().unwrap());
    let told = format!("bytes {first}-{last}/{}", object.len());
    let part = object.slice(first..=last);
    let status = StatusCode::PARTIAL_CONTENT;
    (status, common, [(header::CONTENT_RANGE, told)], part).into_response()
}

fn complete(
    kept: &mut Kept,
    key: String,
    parts: &BTreeMap<usize, Bytes>,
    listed: &Bytes,
) -> Response {
    let listed = std::str::from_utf8(listed).unwrap();
    let all = parts.keys().all(|n| listed.contains(&format!("part-{n}")));
    if !all || listed.matches("<Part>").count() != parts.len() {
        return error(StatusCode::BAD_REQUEST, "InvalidPart");
    }
    let mut sizes = parts.values().rev().map(Bytes::len).skip(1);
    if sizes.any(|size| size < PART) {
        return error(StatusCode::BAD_REQUEST, "EntityTooSmall");
    }
    let parts: Vec<_> = parts.values().cloned().collect();
    kept.objects.insert(key, parts.concat().into());
    xml("<CompleteMultipartUploadResult><ETag>\"e\"</ETag></CompleteMultipartUploadResult>")
}

fn xml(text: &str) -> Response {
    ([(header::CONTENT_TYPE, "application/xml")], text.to_owned()).into_response()
}

fn error(status: StatusCode, code: &str) -> Response {
    (status, xml(&format!("<Error><Code>{code}</Code></Error>"))).into_response()
}

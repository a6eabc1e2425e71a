//! Files: uploading, fetching, thumbnails.
//!
//! What is fetched was made by anybody, so a browser is told not to guess its type, to run nothing
//! in it, and to save whatever is not a plain picture.

use std::{sync::Arc, time::Duration};

use axum::{
    body::Body,
    extract::{
        DefaultBodyLimit, FromRequest, Multipart, Request, State,
        multipart::{Field, MultipartError},
    },
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures_util::{Stream, stream};
use http_body_util::Limited;
use utoipa::ToSchema;
use utoipa_axum::{
    router::{OpenApiRouter, UtoipaMethodRouterExt},
    routes,
};

use super::{
    caller::Caller,
    extract::Ids,
    problem::{ApiResult, Problem, json},
    range::Wanted,
    state::App,
    view::AttachmentView,
};
use crate::chat::{Attachment, ChatError, ChatResult, UploadId};

/// How long nothing of a file may arrive before it is given up.
const STALLED_AFTER: Duration = Duration::from_secs(30);
/// What a form may need besides its file, in bytes.
const FORM_BYTES: u64 = 64 * 1024;
/// Pictures that a browser only paints. SVG is none of them: it can hold scripts.
const SHOWN: [&str; 5] = [
    "image/png",
    "image/jpeg",
    "image/gif",
    "image/webp",
    "image/avif",
];

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        // Bounded by the handler, which knows the files' own limit.
        .routes(routes!(upload).layer(DefaultBodyLimit::disable()))
        .routes(routes!(get_upload))
        .routes(routes!(get_thumbnail))
}

/// A form with a file.
#[derive(ToSchema)]
#[allow(dead_code, reason = "describes the form")]
struct UploadForm {
    /// The file; its field may have any name.
    #[schema(format = Binary)]
    file: String,
}

/// Uploads a file, the first one of the form. Its type is what its content shows. A message refers
/// to it by its id or URL in `attachments`; without one it is deleted after a day or whatever is
/// configured.
#[utoipa::path(post, path = "/api/uploads", tag = "files",
    request_body(content = UploadForm, content_type = "multipart/form-data"),
    responses((status = CREATED, description = "Kept", body = AttachmentView)))]
async fn upload(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    request: Request,
) -> ApiResult<Response> {
    app.limits
        .upload(&actor.profile.id)
        .map_err(ChatError::rate_limited)?;
    let most = app.max_upload_bytes.saturating_add(FORM_BYTES);
    let told = request.headers().get(header::CONTENT_LENGTH);
    let told = told.and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
    if told.is_some_and(|bytes| bytes > most) {
        return Err(too_large(app.max_upload_bytes).into());
    }
    let limit = usize::try_from(most).unwrap_or(usize::MAX);
    let request = request.map(|body| Body::new(Limited::new(body, limit)));
    let mut form = Multipart::from_request(request, &()).await.map_err(|_| {
        Problem::malformed(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "a file is sent as a form, with Content-Type: multipart/form-data",
        )
    })?;
    loop {
        let field = in_time(form.next_field(), app.max_upload_bytes).await?;
        let Some(field) = field else {
            return Err(ChatError::invalid("the form has no file").into());
        };
        let Some(name) = field.file_name().map(unescape) else {
            continue;
        };
        let content = std::pin::pin!(content(field, app.max_upload_bytes));
        let file = app.chat.upload(&actor, &name, content).await?;
        return Ok(json(StatusCode::CREATED, &AttachmentView::from(&file)));
    }
}

/// Undoes what browsers do to a name to fit it into the form's header (WHATWG HTML, "multipart/
/// form-data encoding algorithm").
fn unescape(name: &str) -> String {
    let name = name.replace("%22", "\"");
    name.replace("%0D", "\r").replace("%0A", "\n")
}

/// A file as it arrives.
fn content(field: Field<'_>, max: u64) -> impl Stream<Item = ChatResult<Bytes>> + Send {
    stream::try_unfold(field, move |mut field| async move {
        let bytes = in_time(field.chunk(), max).await?;
        Ok(bytes.map(|bytes| (bytes, field)))
    })
}

async fn in_time<T>(
    part: impl Future<Output = Result<T, MultipartError>>,
    max: u64,
) -> ChatResult<T> {
    match tokio::time::timeout(STALLED_AFTER, part).await {
        Ok(Ok(part)) => Ok(part),
        Ok(Err(e)) if e.status() == StatusCode::PAYLOAD_TOO_LARGE => Err(too_large(max)),
        Ok(Err(_)) => Err(ChatError::invalid("the form ended too early or is broken")),
        Err(_) => Err(ChatError::invalid("the form took too long to arrive")),
    }
}

fn too_large(max: u64) -> ChatError {
    ChatError::too_large(format!("a file has at most {max} bytes"))
}

/// A file, for whoever uploaded it and for those who take part in a conversation with a message
/// that refers to it. Takes `Range`, `If-Range` and `If-None-Match`.
#[utoipa::path(get, path = "/api/uploads/{id}", tag = "files",
    params(("id" = String, Path, description = "The upload")),
    responses(
        (status = OK, description = "The file", content_type = "application/octet-stream"),
        (status = PARTIAL_CONTENT, description = "The part asked for",
            content_type = "application/octet-stream"),
        (status = NOT_MODIFIED, description = "The client has it"),
        (status = RANGE_NOT_SATISFIABLE, description = "There is no such part")))]
async fn get_upload(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Ids(id): Ids<UploadId>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let file = app.chat.uploaded(&actor, &id).await?;
    let etag = format!("\"{id}\"");
    let size = file.size;
    let wanted = Wanted::of(&headers, &etag, size);
    let mut response = match &wanted {
        Wanted::Unchanged => StatusCode::NOT_MODIFIED.into_response(),
        Wanted::Outside => {
            let outside = ChatError::invalid("the file has no such part");
            let problem = Problem::with_status(StatusCode::RANGE_NOT_SATISFIABLE, outside);
            let mut response = problem.into_response();
            put(
                &mut response,
                header::CONTENT_RANGE,
                &format!("bytes */{size}"),
            );
            return Ok(response);
        }
        Wanted::Whole => {
            let bytes = app.chat.content(&file, None).await?;
            (StatusCode::OK, Body::from_stream(bytes)).into_response()
        }
        Wanted::Part(part) => {
            let bytes = app.chat.content(&file, Some(part.clone())).await?;
            (StatusCode::PARTIAL_CONTENT, Body::from_stream(bytes)).into_response()
        }
    };
    let length = match &wanted {
        Wanted::Part(part) => {
            let range = format!("bytes {}-{}/{size}", part.start, part.end - 1);
            put(&mut response, header::CONTENT_RANGE, &range);
            Some(part.end - part.start)
        }
        Wanted::Whole => Some(size),
        Wanted::Unchanged | Wanted::Outside => None,
    };
    if let Some(length) = length {
        put(&mut response, header::CONTENT_LENGTH, &length.to_string());
        put(
            &mut response,
            header::CONTENT_TYPE,
            content_type(&file.media_type),
        );
        put(
            &mut response,
            header::CONTENT_DISPOSITION,
            &disposition(&file),
        );
    }
    put(&mut response, header::ACCEPT_RANGES, "bytes");
    guard(&mut response, &etag);
    Ok(response)
}

/// A smaller picture of an uploaded picture: PNG or JPEG.
#[utoipa::path(get, path = "/api/uploads/{id}/thumbnail", tag = "files",
    params(("id" = String, Path, description = "The upload")),
    responses(
        (status = OK, description = "The picture", content_type = "image/jpeg"),
        (status = NOT_MODIFIED, description = "The client has it")))]
async fn get_thumbnail(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Ids(id): Ids<UploadId>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let (media_type, picture) = app.chat.thumbnail(&actor, &id).await?;
    let etag = format!("\"{id}.thumbnail\"");
    let size = picture.len() as u64;
    let mut response = match Wanted::of(&headers, &etag, size) {
        Wanted::Unchanged => StatusCode::NOT_MODIFIED.into_response(),
        _ => ([(header::CONTENT_TYPE, media_type)], picture).into_response(),
    };
    guard(&mut response, &etag);
    Ok(response)
}

/// What every file is served with. Browsers ask again each time, because who may see a file
/// changes; with the tag they need not fetch it again.
fn guard(response: &mut Response, etag: &str) {
    put(response, header::ETAG, etag);
    put(response, header::CACHE_CONTROL, "private, no-cache");
    let policy = "default-src 'none'; sandbox";
    put(response, header::CONTENT_SECURITY_POLICY, policy);
}

fn put(response: &mut Response, name: header::HeaderName, value: &str) {
    // Every value here is ASCII without control characters.
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

fn content_type(media_type: &str) -> &str {
    match media_type {
        // Only UTF-8 is taken for text.
        "text/plain" => "text/plain; charset=utf-8",
        other => other,
    }
}

/// RFC 6266, with the name as UTF-8 and, for old clients, as far as it is ASCII.
fn disposition(file: &Attachment) -> String {
    let how = match SHOWN.contains(&&*file.media_type) {
        true => "inline",
        false => "attachment",
    };
    let plain: String = file
        .name
        .chars()
        .map(|c| match c {
            '"' | '\\' | '%' => '_',
            ' '..='~' => c,
            _ => '_',
        })
        .collect();
    let mut encoded = String::new();
    for byte in file.name.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-' => {
                encoded.push(byte.into());
            }
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    format!("{how}; filename=\"{plain}\"; filename*=UTF-8''{encoded}")
}

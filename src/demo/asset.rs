//! Files embedded in the binary, served with a validator: a browser asks each time and is told
//! "not modified" until another build runs.

use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, Response, StatusCode, header},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};

/// A content type.
pub(super) struct Kind(&'static str);

pub(super) const HTML: Kind = Kind("text/html; charset=utf-8");
pub(super) const CSS: Kind = Kind("text/css; charset=utf-8");
pub(super) const JS: Kind = Kind("text/javascript; charset=utf-8");
pub(super) const SVG: Kind = Kind("image/svg+xml");

impl Kind {
    /// A file of this type.
    pub(super) const fn of(&self, bytes: &'static [u8]) -> Asset {
        Asset {
            kind: self.0,
            bytes,
        }
    }
}

/// An embedded file.
#[derive(Clone, Copy)]
pub(super) struct Asset {
    kind: &'static str,
    bytes: &'static [u8],
}

impl Asset {
    /// The file, or 304 where the caller has it (RFC 9110 section 13.1.2).
    pub(super) fn serve(&self, request: &HeaderMap) -> Response<Body> {
        let tag = self.tag();
        let known = request
            .get_all(header::IF_NONE_MATCH)
            .iter()
            .filter_map(|v| v.to_str().ok())
            .flat_map(|v| v.split(','))
            .map(|t| t.trim().trim_start_matches("W/"))
            .any(|t| t == tag || t == "*");
        let mut response = if known {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            response
        } else {
            Response::new(Body::from(self.bytes))
        };
        let set = response.headers_mut();
        set.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.kind));
        set.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        set.insert(
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        );
        if let Ok(tag) = HeaderValue::from_str(&tag) {
            set.insert(header::ETAG, tag);
        }
        response
    }

    /// A strong validator: quotes around a digest of the content.
    fn tag(&self) -> String {
        let digest = Sha256::digest(self.bytes);
        format!("\"{}\"", URL_SAFE_NO_PAD.encode(&digest[..12]))
    }
}

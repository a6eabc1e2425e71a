//! Uploaded files, and what messages show of them.

use std::sync::Arc;

use serde::Deserialize;

use super::{Millis, UploadId, UserId, is_valid_id};

/// Where the REST edge serves uploads: `/api/uploads/ID` and `/api/uploads/ID/thumbnail`.
const PATH: &str = "/api/uploads/";

/// Width and height of a picture in pixels, as it is meant to be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dimensions {
    /// From left to right.
    pub width: u32,
    /// From top to bottom.
    pub height: u32,
}

/// What a message shows of an upload. It never changes once the upload is complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// Which upload.
    pub id: UploadId,
    /// The file's name as its uploader has it, without folders.
    pub name: Arc<str>,
    /// The media type that its content shows, such as `image/png`.
    pub media_type: Arc<str>,
    /// Bytes.
    pub size: u64,
    /// Of a picture.
    pub dimensions: Option<Dimensions>,
    /// Where it is served, relative to the gateway.
    pub url: Arc<str>,
    /// Where a smaller picture of it is served, relative to the gateway.
    pub thumbnail_url: Option<Arc<str>>,
}

impl Attachment {
    /// Completes what is known of an upload by where it is served.
    pub fn new(
        id: UploadId,
        name: Arc<str>,
        media_type: Arc<str>,
        size: u64,
        dimensions: Option<Dimensions>,
        has_thumbnail: bool,
    ) -> Self {
        Self {
            url: format!("{PATH}{id}").into(),
            thumbnail_url: has_thumbnail.then(|| format!("{PATH}{id}/thumbnail").into()),
            id,
            name,
            media_type,
            size,
            dimensions,
        }
    }
}

/// A complete upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upload {
    /// Who uploaded it: the only one who may attach it to messages.
    pub owner: UserId,
    /// What messages show of it.
    pub file: Attachment,
    /// When it was begun.
    pub created_at: Millis,
}

/// An upload as clients refer to it: by its id or its URL, bare or in an object such as the one
/// that uploading answered.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum UploadReference {
    /// The id or URL.
    Bare(String),
    /// An object with one of them; the id counts where it has both.
    In {
        /// The id.
        id: Option<String>,
        /// The URL.
        url: Option<String>,
    },
}

impl UploadReference {
    /// The upload that is meant; `None` if it cannot be one.
    pub fn id(&self) -> Option<UploadId> {
        match self {
            Self::Bare(text) => UploadId::referred_to(text),
            Self::In { id, url } => UploadId::referred_to(id.as_ref().or(url.as_ref())?),
        }
    }
}

impl UploadId {
    /// The upload that a text means: its id, or a URL of it or of its thumbnail, with or without
    /// the gateway's own address in front.
    fn referred_to(text: &str) -> Option<Self> {
        let id = match text.rsplit_once(PATH) {
            Some((_, rest)) => rest.split(['/', '?', '#']).next().unwrap_or_default(),
            None => text,
        };
        is_valid_id(id).then(|| Self::trusted(id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uploads_are_referred_to_by_id_or_url() {
        for text in [
            "u-1",
            "/api/uploads/u-1",
            "https://chat.example/api/uploads/u-1",
            "/api/uploads/u-1/thumbnail?size=2#x",
        ] {
            let id = UploadId::referred_to(text).map(|id| id.to_string());
            assert_eq!(id.as_deref(), Some("u-1"), "{text}");
        }
        for text in ["", "/api/uploads/", "https://example.org/cat.png", "a b"] {
            assert_eq!(UploadId::referred_to(text), None, "{text}");
        }
    }
}

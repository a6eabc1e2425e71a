//! A message's attachments as its row keeps them: JSON, complete, so that reading a message asks no
//! other table.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::chat::{Attachment, Dimensions, StoreError, StoreResult, UploadId};

#[derive(Serialize, Deserialize)]
struct Stored<'a> {
    id: &'a str,
    name: std::borrow::Cow<'a, str>,
    #[serde(rename = "type")]
    media_type: std::borrow::Cow<'a, str>,
    size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    dimensions: Option<(u32, u32)>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    thumbnail: bool,
}

/// The column's text; `None` for a message without attachments.
pub(super) fn encode(attachments: &[Attachment]) -> Option<String> {
    let stored: Vec<_> = attachments
        .iter()
        .map(|a| Stored {
            id: a.id.as_str(),
            name: (&*a.name).into(),
            media_type: (&*a.media_type).into(),
            size: a.size,
            dimensions: a.dimensions.map(|d| (d.width, d.height)),
            thumbnail: a.thumbnail_url.is_some(),
        })
        .collect();
    // Texts and numbers always serialise.
    (!stored.is_empty()).then(|| serde_json::to_string(&stored).unwrap_or_default())
}

/// Reads the column.
pub(super) fn decode(json: &str) -> StoreResult<Arc<[Attachment]>> {
    let stored: Vec<Stored<'_>> = serde_json::from_str(json)
        .map_err(|_| StoreError::Corrupt("a message's attachments cannot be read".to_owned()))?;
    Ok(stored
        .into_iter()
        .map(|s| {
            let dimensions = s
                .dimensions
                .map(|(width, height)| Dimensions { width, height });
            let (id, name) = (UploadId::trusted(s.id), s.name.into());
            Attachment::new(
                id,
                name,
                s.media_type.into(),
                s.size,
                dimensions,
                s.thumbnail,
            )
        })
        .collect())
}

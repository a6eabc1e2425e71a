//! Uploading, reading and cleaning up files.

use std::{ops::Range, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt, TryStreamExt};

use super::{
    Actor, Attachment, Blob, BlobWriter, ByteStream, Chat, ChatError, ChatResult, StoreError,
    Unavailable, Upload, UploadId, picture,
};

/// The numbers of `[uploads]`.
#[derive(Debug, Clone)]
pub struct UploadRules {
    /// Bytes of a file at most.
    pub max_bytes: u64,
    /// Media types that are accepted, such as `image/png` and `image/*`.
    pub types: Vec<String>,
    /// Pixels of a picture that gets a thumbnail at most.
    pub max_pixels: u64,
    /// The side of the square that thumbnails fit into, in pixels.
    pub thumbnail_side: u32,
    /// How long an upload is kept that no message refers to.
    pub unused_after: Duration,
}

/// The name of a file that has none.
const NAMELESS: &str = "file";
/// The longest name, in characters.
const MAX_NAME_CHARS: usize = 200;
/// The largest picture that gets a thumbnail, in bytes: it is in memory while it is decoded.
const MAX_PICTURE_BYTES: u64 = 32 * 1024 * 1024;
/// Thumbnails made at the same time.
pub(super) const THUMBNAILS_AT_ONCE: usize = 2;
/// Uploads given up at once.
const SWEEP_BATCH: u32 = 100;

impl Chat {
    /// Keeps a file. Its type is what its content shows, whatever `name` says.
    ///
    /// # Errors
    /// `invalid` (nothing in it, or a type that is not accepted), `too_large`, `unavailable`, and
    /// those of `content`.
    pub async fn upload(
        &self,
        actor: &Actor,
        name: &str,
        mut content: impl Stream<Item = ChatResult<Bytes>> + Send + Unpin,
    ) -> ChatResult<Attachment> {
        let mut start = BytesMut::new();
        while start.len() < picture::TYPE_BYTES
            && let Some(bytes) = content.next().await
        {
            start.extend_from_slice(&bytes?);
        }
        if start.is_empty() {
            return Err(ChatError::invalid("the file is empty"));
        }
        let media_type = picture::media_type(&start);
        if !picture::is_allowed(media_type, &self.rules.uploads.types) {
            return Err(ChatError::invalid(format!(
                "files of the type {media_type}, which this one is by its content, are not accepted"
            )));
        }
        let id = UploadId::generate();
        let (owner, begun) = (&actor.profile.id, self.clock.now());
        self.store.begin_upload(&id, owner, begun).await?;
        let written = self.write(&id, media_type, start, content).await?;
        let file = self.describe(id, name, media_type, written).await?;
        let upload = Upload {
            owner: owner.clone(),
            file,
            created_at: begun,
        };
        match self.store.complete_upload(&upload, self.clock.now()).await {
            Ok(()) => Ok(upload.file),
            Err(StoreError::NotFound) => {
                // It took so long that it was given up; its bytes came after their deletion.
                self.blobs.delete(&upload.file.id).await?;
                Err(ChatError::conflict("the upload took too long"))
            }
            Err(e) => Err(e.into()),
        }
    }

    /// Writes the whole file. Returns its size, and so much of its start as tells of a picture.
    async fn write(
        &self,
        id: &UploadId,
        media_type: &str,
        start: BytesMut,
        content: impl Stream<Item = ChatResult<Bytes>> + Send + Unpin,
    ) -> ChatResult<(u64, BytesMut)> {
        let mut writer = self.blobs.create(Blob::File(id)).await?;
        let probe = match picture::is_picture(media_type) {
            true => picture::SIZE_BYTES,
            false => 0,
        };
        match self.copy(&mut *writer, start, content, probe).await {
            Ok(written) => {
                writer.finish().await?;
                Ok(written)
            }
            Err(e) => {
                writer.abort().await;
                Err(e)
            }
        }
    }

    async fn copy(
        &self,
        writer: &mut dyn BlobWriter,
        start: BytesMut,
        mut content: impl Stream<Item = ChatResult<Bytes>> + Send + Unpin,
        probe: usize,
    ) -> ChatResult<(u64, BytesMut)> {
        let max = self.rules.uploads.max_bytes;
        let (mut size, mut seen) = (0, BytesMut::new());
        let mut next = Some(start.freeze());
        while let Some(bytes) = next {
            size += bytes.len() as u64;
            if size > max {
                return Err(too_large(max));
            }
            let wanted = probe.saturating_sub(seen.len()).min(bytes.len());
            seen.extend_from_slice(&bytes[..wanted]);
            writer.write(bytes).await?;
            next = content.next().await.transpose()?;
        }
        Ok((size, seen))
    }

    async fn describe(
        &self,
        id: UploadId,
        name: &str,
        media_type: &'static str,
        (size, start): (u64, BytesMut),
    ) -> ChatResult<Attachment> {
        let dimensions = match picture::is_picture(media_type) {
            true => {
                let look = move || picture::dimensions(media_type, &start);
                self.look(look).await?
            }
            false => None,
        };
        let pixels = dimensions.map(|d| u64::from(d.width) * u64::from(d.height));
        let has_thumbnail =
            size <= MAX_PICTURE_BYTES && pixels.is_some_and(|n| n <= self.rules.uploads.max_pixels);
        let (name, media_type) = (file_name(name).into(), media_type.into());
        Ok(Attachment::new(
            id,
            name,
            media_type,
            size,
            dimensions,
            has_thumbnail,
        ))
    }

    /// What is known of an upload, for its uploader, for those who take part in a conversation with
    /// a message that refers to it, and for service callers.
    ///
    /// # Errors
    /// `not_found`, also to those who may not know that it exists.
    pub async fn uploaded(&self, actor: &Actor, id: &UploadId) -> ChatResult<Attachment> {
        let none = || ChatError::not_found("there is no such upload, or you have no part in it");
        let found = self.store.uploads(std::slice::from_ref(id)).await?;
        let upload = found.into_iter().next().ok_or_else(none)?;
        let me = &actor.profile.id;
        let allowed =
            actor.service || &upload.owner == me || self.store.shares_upload(id, me).await?;
        allowed.then_some(upload.file).ok_or_else(none)
    }

    /// The bytes of an upload that the actor was allowed to see, or a part of them.
    pub async fn content(
        &self,
        file: &Attachment,
        range: Option<Range<u64>>,
    ) -> ChatResult<ByteStream> {
        match self.blobs.read(Blob::File(&file.id), range).await? {
            Some(found) => Ok(found.bytes),
            None => Err(ChatError::internal(Lost)),
        }
    }

    /// A smaller picture of an upload, PNG or JPEG with its media type, made when it is first asked
    /// for.
    ///
    /// # Errors
    /// Those of [`Chat::uploaded`]; `not_found` where there is none.
    pub async fn thumbnail(
        &self,
        actor: &Actor,
        id: &UploadId,
    ) -> ChatResult<(&'static str, Bytes)> {
        let file = self.uploaded(actor, id).await?;
        let none = || ChatError::not_found("this upload has no thumbnail");
        if file.thumbnail_url.is_none() {
            return Err(none());
        }
        let small = match self.whole(Blob::Thumbnail(id)).await? {
            Some(made) => made,
            None => self.make_thumbnail(&file).await?.ok_or_else(none)?,
        };
        Ok((picture::media_type(&small), small))
    }

    async fn make_thumbnail(&self, file: &Attachment) -> ChatResult<Option<Bytes>> {
        // Before the picture is in memory, not only before it is decoded.
        let Ok(_turn) = self.thumbnails.acquire().await else {
            return Ok(None);
        };
        let thumbnail = Blob::Thumbnail(&file.id);
        if let Some(made) = self.whole(thumbnail).await? {
            return Ok(Some(made));
        }
        let Some(content) = self.whole(Blob::File(&file.id)).await? else {
            return Err(ChatError::internal(Lost));
        };
        let rules = &self.rules.uploads;
        let (side, max_pixels) = (rules.thumbnail_side, rules.max_pixels);
        let media_type = Arc::clone(&file.media_type);
        let shrink = move || picture::thumbnail(&media_type, &content, side, max_pixels);
        let Some(small) = self.look(shrink).await? else {
            return Ok(None);
        };
        let small = Bytes::from(small);
        let mut writer = self.blobs.create(thumbnail).await?;
        writer.write(small.clone()).await?;
        writer.finish().await?;
        Ok(Some(small))
    }

    async fn whole(&self, blob: Blob<'_>) -> ChatResult<Option<Bytes>> {
        let Some(found) = self.blobs.read(blob, None).await? else {
            return Ok(None);
        };
        let gather = |mut all: BytesMut, bytes: Bytes| async move {
            all.extend_from_slice(&bytes);
            Ok::<_, Unavailable>(all)
        };
        let all = found.bytes.try_fold(BytesMut::new(), gather).await?;
        Ok(Some(all.freeze()))
    }

    /// Runs what looks at a picture where it holds up nobody.
    async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce() -> T + Send + 'static,
    ) -> ChatResult<T> {
        tokio::task::spawn_blocking(look)
            .await
            .map_err(ChatError::internal)
    }

    /// Deletes uploads that no message refers to in time, for ever; the caller ends it by dropping
    /// the future. Nodes share the work; what one leaves half done another one does again.
    pub async fn sweep_uploads(&self) {
        let age = self.rules.uploads.unused_after;
        let interval = (age / 10).clamp(Duration::from_millis(100), Duration::from_secs(300));
        loop {
            match self.sweep_uploads_once().await {
                Ok(n) if n == SWEEP_BATCH as usize => continue,
                Ok(_) => {}
                Err(e) => e.log("cannot clean up uploads"),
            }
            tokio::time::sleep(interval).await;
        }
    }

    async fn sweep_uploads_once(&self) -> ChatResult<usize> {
        let age = self.rules.uploads.unused_after.as_millis();
        let age = i64::try_from(age).unwrap_or(i64::MAX);
        let older_than = self.clock.now().plus(age.saturating_neg());
        let unused = self.store.claim_uploads(older_than, SWEEP_BATCH).await?;
        for id in &unused {
            self.blobs.delete(id).await?;
        }
        if !unused.is_empty() {
            self.store.forget_uploads(&unused).await?;
            tracing::info!(
                uploads = unused.len(),
                "deleted uploads that nothing refers to"
            );
        }
        Ok(unused.len())
    }
}

/// The refusal of a file of more than `max` bytes.
fn too_large(max: u64) -> ChatError {
    ChatError::too_large(format!("a file has at most {max} bytes"))
}

/// The bytes of a complete upload are gone.
#[derive(Debug, thiserror::Error)]
#[error("the bytes of an upload are not where they should be")]
struct Lost;

/// The name of a file without folders and without what misleads its readers.
fn file_name(told: &str) -> String {
    let last = told.rsplit(['/', '\\']).next().unwrap_or_default();
    let name: String = last
        .chars()
        .filter(|c| !c.is_control() && !is_direction(*c))
        .take(MAX_NAME_CHARS)
        .collect();
    match name.trim().trim_matches('.') {
        "" => NAMELESS.to_owned(),
        _ => name.trim().to_owned(),
    }
}

/// Characters that turn the direction of writing, which make `gpj.exe` read like `exe.jpg`.
fn is_direction(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_names_only() {
        for (told, name) in [
            ("cat.png", "cat.png"),
            ("../../etc/passwd", "passwd"),
            ("C:\\Users\\ann\\caf\u{e9}.txt ", "caf\u{e9}.txt"),
            ("..", "file"),
            ("a/", "file"),
            ("", "file"),
            ("a\r\nb\0.txt", "ab.txt"),
            ("\u{202e}gpj.exe", "gpj.exe"),
            (".profile", ".profile"),
        ] {
            assert_eq!(file_name(told), name, "{told:?}");
        }
        assert_eq!(file_name(&"x".repeat(300)).len(), MAX_NAME_CHARS);
    }
}

//! The port to where the bytes of uploads are.

use std::{ops::Range, pin::Pin};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::Stream;

use super::{Unavailable, UploadId};

/// Names what is kept of an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blob<'a> {
    /// The file as it came.
    File(&'a UploadId),
    /// A smaller picture of it.
    Thumbnail(&'a UploadId),
}

/// Bytes on their way.
pub type ByteStream = Pin<Box<dyn Stream<Item = Result<Bytes, Unavailable>> + Send>>;

/// Bytes that were found.
pub struct Found {
    /// How many bytes the whole blob has.
    pub size: u64,
    /// Those that were asked for.
    pub bytes: ByteStream,
}

/// Where the bytes of uploads are.
///
/// # Contract
/// A blob appears whole or not at all. Once [`BlobWriter::finish`] returned `Ok` it survives the
/// crash of this process and of the machine. Neither reading nor writing holds a whole blob in
/// memory.
#[async_trait]
pub trait Blobs: Send + Sync + 'static {
    /// Begins a blob. One of the same name is replaced when it is finished.
    async fn create(&self, blob: Blob<'_>) -> Result<Box<dyn BlobWriter>, Unavailable>;

    /// A blob, or the part of it that `range` names, which must not be empty and must lie within
    /// it; `None` if there is no such blob.
    async fn read(
        &self,
        blob: Blob<'_>,
        range: Option<Range<u64>>,
    ) -> Result<Option<Found>, Unavailable>;

    /// Deletes all that is kept of an upload, also what a crashed writer left behind. What is not
    /// there counts as deleted.
    async fn delete(&self, id: &UploadId) -> Result<(), Unavailable>;
}

/// A blob being written. Nothing of it stays if it is dropped before it is finished.
#[async_trait]
pub trait BlobWriter: Send {
    /// Appends bytes; waits while as many are under way as may be held in memory.
    async fn write(&mut self, bytes: Bytes) -> Result<(), Unavailable>;

    /// Makes the blob appear.
    async fn finish(self: Box<Self>) -> Result<(), Unavailable>;

    /// Gives it up.
    async fn abort(self: Box<Self>);
}

//! Where the bytes of uploads are: a folder, or S3-compatible storage.
//!
//! Both are `object_store`'s. A file is written under a name of its own and moved into place when
//! it is complete, or uploaded in parts that become an object when the last one is there.

use std::{
    error::Error as StdError,
    fs::DirBuilder,
    io,
    ops::Range,
    os::unix::fs::DirBuilderExt,
    path::{Path as FsPath, PathBuf},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt};
use object_store::{
    ClientOptions, GetOptions, GetRange, ObjectStore, ObjectStoreExt, RetryConfig,
    aws::AmazonS3Builder,
    buffered::BufWriter,
    local::LocalFileSystem,
    path::{Path, PathPart},
};
use tokio::io::AsyncWriteExt;

use crate::{
    chat::{Blob, BlobWriter, Blobs, Found, Unavailable, UploadId},
    config,
};

/// Bytes of a part: the least that S3 accepts for all but the last one.
const S3_PART: usize = 5 * 1024 * 1024;
/// Bytes that are written to a file at once.
const FILE_PART: usize = 512 * 1024;
/// Parts of one file under way at the same time. With the one being filled they bound the memory
/// that an upload takes.
const PARTS_UNDER_WAY: usize = 2;
/// How long a connection to the storage may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long one request to the storage may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

/// How often a request is tried again.
const RETRIES: usize = 3;
/// For how long.
const RETRY_FOR: Duration = Duration::from_secs(10);

/// Why the storage cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder cannot be made or read.
    #[error("cannot keep uploads in {}: {source}", dir.display())]
    Folder {
        /// Which.
        dir: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The storage cannot be set up.
    #[error("cannot use the storage of [uploads]: {0}")]
    Storage(#[from] object_store::Error),
}

/// Opens the configured storage; `default_dir` is the folder used where none is set. Folders are
/// made where they are missing, for their owner alone.
pub fn open(cfg: &config::Uploads, default_dir: &FsPath) -> Result<Arc<dyn Blobs>, OpenError> {
    if !cfg.s3_bucket.is_empty() {
        return Ok(Arc::new(s3(cfg)?));
    }
    let dir = match cfg.dir.as_os_str().is_empty() {
        true => default_dir,
        false => &cfg.dir,
    };
    let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.map_err(|source| OpenError::Folder {
        dir: dir.to_owned(),
        source,
    })?;
    // What was acknowledged must survive a crash of the machine.
    let folder = LocalFileSystem::new_with_prefix(dir)?.with_fsync(true);
    Ok(Arc::new(Storage {
        store: Arc::new(folder.clone()),
        folder: Some(folder),
        prefix: Path::default(),
        part: FILE_PART,
    }))
}

fn s3(cfg: &config::Uploads) -> Result<Storage, OpenError> {
    // Which library does the cryptography is the process's choice; if it has chosen, this changes
    // nothing.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = ClientOptions::new()
        .with_connect_timeout(CONNECT_TIMEOUT)
        .with_timeout(REQUEST_TIMEOUT)
        .with_allow_http(cfg.s3_endpoint.starts_with("http://"));
    let retry = RetryConfig {
        max_retries: RETRIES,
        retry_timeout: RETRY_FOR,
        ..RetryConfig::default()
    };
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(&cfg.s3_bucket)
        .with_region(&cfg.s3_region)
        .with_retry(retry)
        // Not all storages know how to delete several objects at once.
        .with_disable_bulk_delete(true)
        .with_client_options(client);
    if !cfg.s3_endpoint.is_empty() {
        builder = builder.with_endpoint(&cfg.s3_endpoint);
    }
    if !cfg.s3_access_key_id.is_empty() {
        builder = builder
            .with_access_key_id(&cfg.s3_access_key_id)
            .with_secret_access_key(&cfg.s3_secret_access_key);
    }
    Ok(Storage {
        store: Arc::new(builder.build()?),
        folder: None,
        prefix: Path::from(cfg.s3_prefix.as_str()),
        part: S3_PART,
    })
}

/// Storage with uploads in it.
struct Storage {
    store: Arc<dyn ObjectStore>,
    /// The same, if it is a folder.
    folder: Option<LocalFileSystem>,
    prefix: Path,
    part: usize,
}

impl Storage {
    /// `ab/0199...ab`, with the last characters in front because the first ones are the time:
    /// folders stay of a bearable size.
    fn path(&self, blob: Blob<'_>) -> Path {
        let (id, name) = match blob {
            Blob::File(id) => (id, id.to_string()),
            Blob::Thumbnail(id) => (id, format!("{id}.thumbnail")),
        };
        let id = id.as_str();
        // Ids are ASCII.
        let shard = &id[id.len().saturating_sub(2)..];
        self.prefix
            .clone()
            .join(PathPart::from(shard))
            .join(PathPart::from(name))
    }
}

#[async_trait]
impl Blobs for Storage {
    async fn create(&self, blob: Blob<'_>) -> Result<Box<dyn BlobWriter>, Unavailable> {
        let store = Arc::clone(&self.store);
        let writer = BufWriter::with_capacity(store, self.path(blob), self.part);
        Ok(Box::new(Writer(
            writer.with_max_concurrency(PARTS_UNDER_WAY),
        )))
    }

    async fn read(
        &self,
        blob: Blob<'_>,
        range: Option<Range<u64>>,
    ) -> Result<Option<Found>, Unavailable> {
        let options = GetOptions {
            range: range.map(GetRange::Bounded),
            ..GetOptions::default()
        };
        match self.store.get_opts(&self.path(blob), options).await {
            Ok(found) => Ok(Some(Found {
                size: found.meta.size,
                bytes: found.into_stream().map_err(unavailable).boxed(),
            })),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(e) => Err(unavailable(e)),
        }
    }

    async fn delete(&self, id: &UploadId) -> Result<(), Unavailable> {
        for blob in [Blob::File(id), Blob::Thumbnail(id)] {
            let path = self.path(blob);
            match self.store.delete(&path).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
                Err(e) => return Err(unavailable(e)),
            }
            if let Some(folder) = &self.folder {
                let file = folder.path_to_filesystem(&path).map_err(unavailable)?;
                remove_staged(file).await.map_err(unavailable)?;
            }
        }
        Ok(())
    }
}

/// Removes what a writer that crashed left beside a file (`local.rs` of object_store 0.14.2).
async fn remove_staged(file: PathBuf) -> io::Result<()> {
    let mut staged = file.into_os_string();
    staged.push("#1");
    match tokio::fs::remove_file(PathBuf::from(staged)).await {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

struct Writer(BufWriter);

#[async_trait]
impl BlobWriter for Writer {
    async fn write(&mut self, bytes: Bytes) -> Result<(), Unavailable> {
        self.0.put(bytes).await.map_err(unavailable)
    }

    async fn finish(mut self: Box<Self>) -> Result<(), Unavailable> {
        self.0.shutdown().await.map_err(unavailable)
    }

    async fn abort(mut self: Box<Self>) {
        if let Err(e) = self.0.abort().await {
            tracing::warn!(error = %e, "a broken upload left something behind");
        }
    }
}

fn unavailable(source: impl StdError + Send + Sync + 'static) -> Unavailable {
    Unavailable {
        what: "storage of uploads",
        source: Box::new(source),
    }
}

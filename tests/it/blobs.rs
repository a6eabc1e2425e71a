//! The `Blobs` port's contract, run against a folder and against S3's protocol alike.

mod s3;

use std::sync::Arc;

use bytes::Bytes;
use futures_util::TryStreamExt;
use porchlight::{
    blobs,
    chat::{Blob, Blobs, UploadId},
    config::{Sources, Uploads, load},
};

/// More than two parts of either storage, and no multiple of one.
const LARGE: usize = 12 * 1024 * 1024 + 17;

/// A storage that goes with this.
struct Backend {
    blobs: Arc<dyn Blobs>,
    folder: tempfile::TempDir,
    s3: Option<s3::Server>,
}

fn config() -> Uploads {
    let loaded = load(&Sources::default()).expect("the default is right");
    loaded.config.uploads
}

impl Backend {
    fn folder() -> Self {
        let folder = tempfile::tempdir().unwrap();
        // Of a folder that does not exist yet.
        let dir = folder.path().join("data").join("uploads");
        let blobs = blobs::open(&config(), &dir).unwrap();
        Self {
            blobs,
            folder,
            s3: None,
        }
    }

    async fn s3() -> Self {
        let server = s3::Server::start("chat").await;
        let folder = tempfile::tempdir().unwrap();
        let config = Uploads {
            s3_bucket: "chat".to_owned(),
            s3_endpoint: server.url(),
            s3_prefix: "some/where".to_owned(),
            s3_access_key_id: "AKIDEXAMPLE".to_owned(),
            s3_secret_access_key: "secret".to_owned(),
            ..config()
        };
        let blobs = blobs::open(&config, folder.path()).unwrap();
        Self {
            blobs,
            folder,
            s3: Some(server),
        }
    }

    /// How many things are kept, whatever they are.
    fn kept(&self) -> usize {
        fn files(folder: &std::path::Path) -> usize {
            let entries = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap());
            entries
                .map(|entry| match entry.path().is_dir() {
                    true => files(&entry.path()),
                    false => 1,
                })
                .sum()
        }
        let in_folder = files(self.folder.path());
        self.s3.as_ref().map_or(in_folder, |s3| {
            assert_eq!(in_folder, 0);
            s3.kept()
        })
    }

    async fn put(&self, blob: Blob<'_>, content: &[u8]) {
        let mut writer = self.blobs.create(blob).await.unwrap();
        for bytes in content.chunks(100_000) {
            writer.write(Bytes::copy_from_slice(bytes)).await.unwrap();
        }
        writer.finish().await.unwrap();
    }

    async fn get(&self, blob: Blob<'_>, range: Option<std::ops::Range<u64>>) -> Option<Vec<u8>> {
        let found = self.blobs.read(blob, range).await.unwrap()?;
        let parts: Vec<Bytes> = found.bytes.try_collect().await.unwrap();
        Some(parts.concat())
    }
}

fn content(size: usize) -> Vec<u8> {
    (0..size).map(|n| (n % 251) as u8).collect()
}

fn id(text: &str) -> UploadId {
    UploadId::new(text).unwrap()
}

async fn are_what_was_written(db: Backend) {
    for (name, size) in [("u-1", 0), ("u-2", 1), ("u.3:_-", 100_001), ("u-4", LARGE)] {
        let (id, content) = (id(name), content(size));
        assert!(db.get(Blob::File(&id), None).await.is_none());
        db.put(Blob::File(&id), &content).await;
        db.put(Blob::Thumbnail(&id), b"small").await;
        let found = db.blobs.read(Blob::File(&id), None).await.unwrap().unwrap();
        assert_eq!(found.size, size as u64);
        assert!(db.get(Blob::File(&id), None).await.as_deref() == Some(&content[..]));
        let small = db.get(Blob::Thumbnail(&id), None).await;
        assert_eq!(small.as_deref(), Some(&b"small"[..]));
        if size > 1 {
            for part in [0..1, 7..100_000, size - 5..size] {
                let range = part.start as u64..part.end as u64;
                let found = db.get(Blob::File(&id), Some(range)).await.unwrap();
                assert!(found == content[part]);
            }
        }
    }
}

async fn appear_whole_or_not_at_all(db: Backend) {
    let id = id("u-1");
    let mut writer = db.blobs.create(Blob::File(&id)).await.unwrap();
    writer.write(content(LARGE).into()).await.unwrap();
    assert!(db.get(Blob::File(&id), None).await.is_none());
    writer.abort().await;
    assert!(db.get(Blob::File(&id), None).await.is_none());
    assert_eq!(db.kept(), 0);

    db.put(Blob::File(&id), b"one").await;
    db.put(Blob::File(&id), b"another").await;
    assert_eq!(db.get(Blob::File(&id), None).await.unwrap(), b"another");
}

async fn are_deleted(db: Backend) {
    let (one, two) = (id("u-1"), id("u-2"));
    for id in [&one, &two] {
        db.put(Blob::File(id), b"file").await;
        db.put(Blob::Thumbnail(id), b"small").await;
    }
    assert_eq!(db.kept(), 4);
    db.blobs.delete(&one).await.unwrap();
    assert!(db.get(Blob::File(&one), None).await.is_none());
    assert!(db.get(Blob::Thumbnail(&one), None).await.is_none());
    assert_eq!(db.get(Blob::File(&two), None).await.unwrap(), b"file");
    // Again, and what never was.
    db.blobs.delete(&one).await.unwrap();
    db.blobs.delete(&id("u-3")).await.unwrap();
    assert_eq!(db.kept(), 2);
}

macro_rules! suite {
    ($($name:ident),+ $(,)?) => {
        mod folder {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(super::Backend::folder()).await;
            })+
        }
        mod s3_compatible {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(super::Backend::s3().await).await;
            })+
        }
    };
}

suite! {
    are_what_was_written,
    appear_whole_or_not_at_all,
    are_deleted,
}

#[tokio::test]
async fn a_storage_that_is_away_is_unavailable() {
    let mut backend = Backend::s3().await;
    let id = id("u-1");
    backend.put(Blob::File(&id), b"file").await;
    backend.s3.take().unwrap().stop().await;
    let read = backend.blobs.read(Blob::File(&id), None);
    let refused = read.await.err().expect("it is away");
    assert!(
        !format!("{refused:?}").contains("AKIDEXAMPLE"),
        "{refused:?}"
    );
}

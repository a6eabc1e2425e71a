//! The secret that a node makes for itself.

use std::{fs, io::ErrorKind, os::unix::fs::PermissionsExt, thread};

use porchlight::config::local_secret;

#[test]
fn it_is_made_once_and_belongs_to_its_owner() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("deep/data");
    let secret = local_secret(&data).expect("made");
    assert_eq!(secret.len(), 43, "32 bytes in base64");
    assert_eq!(local_secret(&data).expect("kept"), secret);

    let path = data.join("secret");
    let mode = || fs::metadata(&path).expect("a file").permissions().mode() & 0o777;
    assert_eq!(mode(), 0o600);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("allowed");
    assert_eq!(local_secret(&data).expect("kept"), secret);
    assert_eq!(mode(), 0o600, "closed again");
    let files = fs::read_dir(&data).expect("a folder").count();
    assert_eq!(files, 1, "nothing is left beside it");

    let other = tempfile::tempdir().expect("a folder");
    assert_ne!(local_secret(other.path()).expect("made"), secret);
}

#[test]
fn all_who_start_together_get_the_same() {
    let folder = tempfile::tempdir().expect("a folder");
    let secrets: Vec<String> = thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| local_secret(folder.path()).expect("made")))
            .collect();
        threads
            .into_iter()
            .map(|t| t.join().expect("no panic"))
            .collect()
    });
    assert!(secrets.iter().all(|s| *s == secrets[0]), "{secrets:?}");
}

#[test]
fn something_else_in_its_place_is_told_without_showing_it() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("secret"), "hunter2\n").expect("a file");
    let error = local_secret(folder.path()).expect_err("no secret of ours");
    assert_eq!(error.kind(), ErrorKind::InvalidData);
    let text = error.to_string();
    let path = folder.path().join("secret");
    assert!(text.contains(path.to_str().expect("text")), "{text}");
    assert!(!text.contains("hunter2"), "{text}");

    let file = folder.path().join("file");
    fs::write(&file, "").expect("a file");
    assert!(local_secret(&file).is_err(), "a file is no folder");
}

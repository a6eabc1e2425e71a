//! Where files are kept: a folder or a bucket, not half of each.

use super::{from_env, told, warned};

#[test]
fn storage_is_complete() {
    let variables = [
        ("PORCHLIGHT_UPLOADS_DIR", "files"),
        ("PORCHLIGHT_UPLOADS_S3_BUCKET", "chat"),
        ("PORCHLIGHT_UPLOADS_S3_REGION", " "),
        ("PORCHLIGHT_UPLOADS_S3_ENDPOINT", "ftp://files.example"),
        ("PORCHLIGHT_UPLOADS_S3_ACCESS_KEY_ID", "AKIDEXAMPLE"),
        ("PORCHLIGHT_UPLOADS_TYPES", "image/*,png,*/png"),
    ];
    insta::assert_snapshot!(told(from_env(&variables)).join("\n"));
}

#[test]
fn secrets_are_not_shown() {
    let variables = [
        ("PORCHLIGHT_UPLOADS_S3_BUCKET", "chat"),
        (
            "PORCHLIGHT_UPLOADS_S3_ENDPOINT",
            "http://user:hidden@files.example",
        ),
        ("PORCHLIGHT_UPLOADS_S3_ACCESS_KEY_ID", "AKIDEXAMPLE"),
        ("PORCHLIGHT_UPLOADS_S3_SECRET_ACCESS_KEY", "hidden"),
    ];
    let mistakes = told(from_env(&variables)).join("\n");
    assert!(!mistakes.contains("hidden"), "{mistakes}");
    let loaded = from_env(&[variables[0], variables[2], variables[3]]).unwrap();
    let shown = format!("{loaded:?}");
    assert!(shown.contains("***") && !shown.contains("hidden") && !shown.contains("AKID"));
}

#[test]
fn what_changes_nothing_is_told() {
    let variables = [
        ("PORCHLIGHT_UPLOADS_S3_ENDPOINT", "https://files.example"),
        ("PORCHLIGHT_UPLOADS_S3_SECRET_ACCESS_KEY", "hidden"),
    ];
    insta::assert_snapshot!(warned(from_env(&variables)).join("\n"));
    let variables = [
        ("PORCHLIGHT_UPLOADS_S3_BUCKET", "chat"),
        ("PORCHLIGHT_UPLOADS_S3_ENDPOINT", "http://files.example"),
    ];
    insta::assert_snapshot!(warned(from_env(&variables)).join("\n"));
}

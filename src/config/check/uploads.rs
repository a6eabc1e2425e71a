//! Checks of `[uploads]`: one place to keep files, complete.

use super::{Checker, item};
use crate::config::{Config, urls};

impl Checker<'_> {
    pub(super) fn uploads(&mut self, config: &mut Config) {
        let uploads = &mut config.uploads;
        let dir = &uploads.dir;
        if dir.exists() && !dir.is_dir() {
            let problem = format!("{} is not a folder", dir.display());
            self.refuse("uploads.dir", problem);
        }
        for (i, allowed) in uploads.types.iter_mut().enumerate() {
            *allowed = allowed.trim().to_ascii_lowercase();
            if !is_type(allowed) {
                let problem =
                    format!("\"{allowed}\" is not a type such as image/png, image/* or */*");
                self.refuse(&item("uploads.types", i), problem);
            }
        }
        let (id, secret) = (
            ("uploads.s3_access_key_id", &uploads.s3_access_key_id),
            (
                "uploads.s3_secret_access_key",
                &uploads.s3_secret_access_key,
            ),
        );
        if uploads.s3_bucket.is_empty() {
            for (name, value) in [
                ("uploads.s3_endpoint", &uploads.s3_endpoint),
                ("uploads.s3_prefix", &uploads.s3_prefix),
                id,
                secret,
            ] {
                if !value.is_empty() {
                    self.warn(name, "changes nothing without uploads.s3_bucket");
                }
            }
            return;
        }
        for ((name, value), (other, theirs)) in [(id, secret), (secret, id)] {
            if value.is_empty() && !theirs.is_empty() {
                self.refuse(name, format!("is needed with {other}"));
            }
        }
        if !uploads.dir.as_os_str().is_empty() {
            self.refuse(
                "uploads.dir",
                "files are kept in a folder or in uploads.s3_bucket; set one of them",
            );
        }
        if uploads.s3_region.trim().is_empty() {
            self.refuse("uploads.s3_region", "must name a region, such as us-east-1");
        }
        if !uploads.s3_endpoint.is_empty() {
            match urls::with_scheme(&uploads.s3_endpoint, &["https", "http"]) {
                Ok(url) if !url.username().is_empty() || url.password().is_some() => self.refuse(
                    "uploads.s3_endpoint",
                    "keys belong into uploads.s3_access_key_id and uploads.s3_secret_access_key",
                ),
                Ok(url) if url.scheme() == "http" && !super::auth::is_local(&url) => self.warn(
                    "uploads.s3_endpoint",
                    "files on their way without https can be read and changed",
                ),
                Ok(_) => {}
                Err(problem) => self.refuse("uploads.s3_endpoint", problem),
            }
        }
    }
}

/// `family/name`, `family/*` or `*/*`.
fn is_type(text: &str) -> bool {
    let is_name = |name: &str| {
        !name.is_empty()
            && name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&b))
    };
    match text.split_once('/') {
        Some(("*", name)) => name == "*",
        Some((family, name)) => is_name(family) && (name == "*" || is_name(name)),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types() {
        for good in ["image/png", "image/*", "*/*", "application/vnd.ms-excel"] {
            assert!(is_type(good), "{good}");
        }
        for wrong in [
            "", "png", "*", "*/png", "image/", "image/p*", "a/b/c", "a b/c",
        ] {
            assert!(!is_type(wrong), "{wrong}");
        }
    }
}

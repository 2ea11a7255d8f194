//! The place for copies of recordings.

use std::path::PathBuf;
use std::str::FromStr;

/// The place for copies of recordings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OffsiteUrl {
    /// A bucket of an S3 server.
    Bucket {
        /// The name of the bucket.
        bucket: String,
        /// The beginning of the names of all objects, without slashes at the ends; can be empty.
        prefix: String,
    },
    /// A directory, such as the place where a share is mounted.
    Directory(PathBuf),
}

/// The error of an invalid URL. The message does not contain the URL, which may contain a key.
#[derive(Debug, thiserror::Error)]
#[error("the URL is neither s3://BUCKET/PREFIX nor file:///DIRECTORY")]
pub struct OffsiteUrlError;

impl OffsiteUrl {
    /// Returns true for a bucket.
    pub(crate) fn is_bucket(&self) -> bool {
        matches!(self, Self::Bucket { .. })
    }
}

impl FromStr for OffsiteUrl {
    type Err = OffsiteUrlError;

    fn from_str(text: &str) -> Result<Self, OffsiteUrlError> {
        if let Some(path) = text.strip_prefix("file://") {
            let path = PathBuf::from(path);
            let is_usable = path.is_absolute() && path.parent().is_some();
            return is_usable.then_some(Self::Directory(path)).ok_or(OffsiteUrlError);
        }
        let rest = text.strip_prefix("s3://").ok_or(OffsiteUrlError)?;
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let prefix = prefix.trim_matches('/');
        let is_name = |text: &str| {
            text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        };
        let is_part = |part: &str| is_name(part) && !["", ".", ".."].contains(&part);
        if !is_part(bucket) || !(prefix.is_empty() || prefix.split('/').all(is_part)) {
            return Err(OffsiteUrlError);
        }
        Ok(Self::Bucket { bucket: bucket.to_owned(), prefix: prefix.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_and_directories_are_places() {
        let bucket = |bucket: &str, prefix: &str| {
            Some(OffsiteUrl::Bucket { bucket: bucket.to_owned(), prefix: prefix.to_owned() })
        };
        let table = [
            ("s3://cameras", bucket("cameras", "")),
            ("s3://cameras/", bucket("cameras", "")),
            ("s3://cam.eras-1/a/b_c/", bucket("cam.eras-1", "a/b_c")),
            ("file:///mnt/nas", Some(OffsiteUrl::Directory("/mnt/nas".into()))),
            ("s3://", None),
            ("s3:///a", None),
            ("s3://key:secret@cameras", None),
            ("s3://cameras/../x", None),
            ("s3://cameras/a//b", None),
            ("s3://cameras/a b", None),
            ("file://nas/share", None),
            ("file:///", None),
            ("/mnt/nas", None),
            ("https://cameras.example.com", None),
        ];
        for (text, expected) in table {
            assert_eq!(text.parse().ok(), expected, "{text}");
        }
    }
}

//! A place in a bucket of an S3 server.
//!
//! Requests are not repeated here: the queue of copies retries. All requests are signed with the digest of their bodies, so
//! the server notices changed bytes.

use std::error::Error as StdError;
use std::fmt;
use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::{BoxStream, unfold};
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::client::{HttpError, HttpErrorKind};
use object_store::multipart::{MultipartStore as _, PartId};
use object_store::path::Path;
use object_store::{
    GetOptions, ObjectStore as _, ObjectStoreExt as _, PutMode, PutOptions, PutPayload, RetryConfig,
};
use tokio::time::timeout;

use super::counters::OffsiteCounters;
use super::http::{Connector, Http};
use super::pace::Pace;
use crate::base::https::HttpsError;
use crate::base::secret::Secret;

/// The size of all parts of a multipart upload except the last one: the smallest one that servers accept. Smaller files are
/// sent in one request.
pub(super) const PART: u64 = 5 * 1024 * 1024;
/// The size of the pieces in which bodies are sent, in bytes. The bandwidth is limited piece by piece.
const PIECE: usize = 32 * 1024;
/// The longest time of a request without much data.
const SHORT: Duration = Duration::from_secs(30);
/// The longest time between two pieces of a response.
const PIECE_WITHIN: Duration = Duration::from_secs(30);
/// The largest object that is read as a whole, in bytes.
const MAX_SMALL: u64 = 4096;

/// The server and the key of a bucket.
#[derive(Debug, Clone)]
pub(crate) struct BucketSettings {
    /// The name of the bucket.
    pub(crate) bucket: String,
    /// The beginning of the names of all objects, without a slash at the end; can be empty.
    pub(crate) prefix: String,
    /// The URL of the server; `None` for AWS.
    pub(crate) endpoint: Option<String>,
    /// The region.
    pub(crate) region: String,
    /// The id of the key.
    pub(crate) access_key: String,
    /// The key.
    pub(crate) secret_key: Secret,
}

/// The reason why a bucket cannot be used. Responses of servers are not shown, because they can contain details of the key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct BucketError(String);

/// The bucket.
#[derive(Clone)]
pub(crate) struct Bucket {
    store: AmazonS3,
    prefix: String,
    counters: OffsiteCounters,
}

/// A multipart upload.
#[derive(Debug)]
pub(super) struct MultipartUpload {
    /// The id.
    pub(super) id: String,
    parts: Vec<PartId>,
}

/// The reason why the settings of a bucket cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BucketSettingsError {
    /// HTTPS cannot be used.
    #[error(transparent)]
    Https(#[from] HttpsError),
    /// Another reason.
    #[error("the bucket cannot be used")]
    Store(#[source] object_store::Error),
}

impl Bucket {
    /// Creates the client of a bucket. Does not connect.
    pub(super) fn new(
        settings: &BucketSettings,
        pace: Pace,
        counters: OffsiteCounters,
    ) -> Result<Self, BucketSettingsError> {
        let is_https = settings.endpoint.as_ref().is_none_or(|url| url.starts_with("https://"));
        let http = Http::new(is_https, pace, counters.clone())?;
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(&settings.bucket)
            .with_region(&settings.region)
            .with_access_key_id(&settings.access_key)
            .with_secret_access_key(settings.secret_key.expose())
            .with_allow_http(!is_https)
            .with_retry(RetryConfig { max_retries: 0, ..RetryConfig::default() })
            .with_http_connector(Connector(http));
        if let Some(endpoint) = &settings.endpoint {
            builder = builder.with_endpoint(endpoint);
        }
        let store = builder.build().map_err(BucketSettingsError::Store)?;
        Ok(Self { store, prefix: settings.prefix.clone(), counters })
    }

    fn path(&self, name: &str) -> Path {
        if self.prefix.is_empty() {
            return Path::from(name);
        }
        Path::from(format!("{}/{name}", self.prefix))
    }

    /// Returns a small object as a text; `None` if there is no such object.
    pub(super) async fn text(&self, name: &str) -> Result<Option<String>, BucketError> {
        let path = self.path(name);
        let get = async {
            let result = self.store.get(&path).await?;
            if result.meta.size > MAX_SMALL {
                return Ok(String::new());
            }
            Ok(String::from_utf8_lossy(&result.bytes().await?).into_owned())
        };
        short(get).await.map_or_else(none_if_missing, |text| Ok(Some(text)))
    }

    /// Creates a small object, unless there is one with this name.
    pub(super) async fn create(&self, name: &str, text: &str) -> Result<(), BucketError> {
        let path = self.path(name);
        let put = |mode: PutMode| {
            let payload = PutPayload::from(text.as_bytes().to_vec());
            self.store.put_opts(&path, payload, PutOptions::from(mode))
        };
        let create = async {
            match put(PutMode::Create).await {
                // Some servers cannot do this. The caller has looked for the object before.
                Err(error) if status(&error) == Some(501) => put(PutMode::Overwrite).await,
                created => created,
            }
        };
        short(create).await.map(drop).map_err(|error| reason(&error))
    }

    /// Creates or replaces an object.
    pub(super) async fn put(&self, name: &str, bytes: Bytes) -> Result<(), BucketError> {
        self.store
            .put(&self.path(name), pieces(&bytes))
            .await
            .map(drop)
            .map_err(|error| reason(&error))
    }

    /// Begins a multipart upload.
    pub(super) async fn begin(&self, name: &str) -> Result<MultipartUpload, BucketError> {
        let path = self.path(name);
        let id = short(self.store.create_multipart(&path)).await.map_err(|error| reason(&error))?;
        Ok(MultipartUpload { id, parts: Vec::new() })
    }

    /// Uploads the next part.
    pub(super) async fn add(
        &self,
        name: &str,
        upload: &mut MultipartUpload,
        bytes: Bytes,
    ) -> Result<(), BucketError> {
        let (path, number) = (self.path(name), upload.parts.len());
        let part = self.store.put_part(&path, &upload.id, number, pieces(&bytes)).await;
        upload.parts.push(part.map_err(|error| reason(&error))?);
        Ok(())
    }

    /// Completes a multipart upload.
    pub(super) async fn complete(
        &self,
        name: &str,
        upload: MultipartUpload,
    ) -> Result<(), BucketError> {
        let path = self.path(name);
        let complete = self.store.complete_multipart(&path, &upload.id, upload.parts);
        short(complete).await.map(drop).map_err(|error| reason(&error))
    }

    /// Ends a multipart upload that is not complete, so that the server deletes its parts. An unknown upload is no error.
    pub(super) async fn abort(&self, name: &str, upload: &str) -> Result<(), BucketError> {
        let (path, id) = (self.path(name), upload.to_owned());
        let aborted = short(self.store.abort_multipart(&path, &id)).await;
        aborted.map_or_else(|error| none_if_missing::<()>(error).map(drop), Ok)
    }

    /// Returns the size of an object in bytes; `None` if there is no such object.
    pub(super) async fn size(&self, name: &str) -> Result<Option<u64>, BucketError> {
        let path = self.path(name);
        let head = short(self.store.head(&path)).await;
        head.map_or_else(none_if_missing, |meta| Ok(Some(meta.size)))
    }

    /// Deletes an object. A missing object is no error.
    pub(super) async fn delete(&self, name: &str) -> Result<(), BucketError> {
        let path = self.path(name);
        let deleted = short(self.store.delete(&path)).await;
        deleted.map_or_else(|error| none_if_missing::<()>(error).map(drop), Ok)
    }

    /// Begins to read a range of an object. Returns its bytes in pieces.
    pub(super) async fn read(
        &self,
        name: &str,
        offset: u64,
        size: u64,
    ) -> Result<BoxStream<'static, Result<Bytes, BucketError>>, BucketError> {
        let path = self.path(name);
        let range = Some((offset..offset.saturating_add(size)).into());
        let get = self.store.get_opts(&path, GetOptions { range, ..GetOptions::default() });
        let pieces = short(get).await.map_err(|error| reason(&error))?.into_stream();
        let counters = self.counters.clone();
        let pieces = unfold((pieces, counters), async |(mut pieces, counters)| {
            let late = || BucketError("the server sends nothing".to_owned());
            let next = match timeout(PIECE_WITHIN, pieces.next()).await {
                Ok(next) => next?.map_err(|error| reason(&error)),
                Err(_) => Err(late()),
            };
            if let Ok(bytes) = &next {
                counters.read(bytes.len());
            }
            Some((next, (pieces, counters)))
        });
        Ok(pieces.boxed())
    }
}

fn pieces(bytes: &Bytes) -> PutPayload {
    let begins = (0..bytes.len()).step_by(PIECE);
    begins.map(|begin| bytes.slice(begin..(begin + PIECE).min(bytes.len()))).collect()
}

/// Limits the time of a request.
async fn short<T>(
    request: impl Future<Output = object_store::Result<T>>,
) -> object_store::Result<T> {
    timeout(SHORT, request).await.unwrap_or_else(|late| {
        Err(object_store::Error::Generic { store: "S3", source: Box::new(late) })
    })
}

fn none_if_missing<T>(error: object_store::Error) -> Result<Option<T>, BucketError> {
    match error {
        object_store::Error::NotFound { .. } => Ok(None),
        error => Err(reason(&error)),
    }
}

/// Returns the status in a server's response; `None` without a response.
fn status(error: &object_store::Error) -> Option<u16> {
    match error {
        object_store::Error::Unauthenticated { .. } => Some(401),
        object_store::Error::PermissionDenied { .. } => Some(403),
        object_store::Error::NotFound { .. } => Some(404),
        object_store::Error::NotImplemented { .. } => Some(501),
        // The type of this error is private, but its text is documented.
        error => {
            let text = error.to_string();
            let (_, rest) = text.split_once("status code: ")?;
            rest.get(..3)?.parse().ok()
        }
    }
}

/// Returns the reason of a failure for people.
fn reason(error: &object_store::Error) -> BucketError {
    let mut cause: Option<&(dyn StdError + 'static)> = Some(error);
    let mut kind = None;
    let mut is_late = false;
    while let Some(error) = cause {
        kind = kind.or_else(|| error.downcast_ref::<HttpError>().map(HttpError::kind));
        is_late |= error.is::<tokio::time::error::Elapsed>();
        cause = error.source();
    }
    BucketError(match (status(error), kind) {
        (Some(status @ (401 | 403)), _) => format!(
            "the server refuses the key, or the key does not permit this (status {status}); check OFFSITE_ACCESS_KEY and OFFSITE_SECRET_KEY"
        ),
        (Some(404), _) => "there is no such bucket or object (status 404)".to_owned(),
        (Some(status), _) => format!("the server responds with status {status}"),
        (None, Some(HttpErrorKind::Connect)) => {
            "the server cannot be reached; check OFFSITE_ENDPOINT and the network".to_owned()
        }
        (None, Some(HttpErrorKind::Timeout)) => "the server does not respond".to_owned(),
        (None, Some(_)) => "the connection to the server was interrupted".to_owned(),
        (None, None) if is_late => "the server does not respond".to_owned(),
        (None, None) => "the response of the server cannot be used".to_owned(),
    })
}

impl fmt::Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bucket").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

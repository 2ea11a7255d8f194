//! The operations on a place with copies, and its marker: a small object with the id of the database and an id of the place.
//! Without the right marker, nothing is written or deleted: the place may belong to another installation, or a share may not
//! be mounted.

use std::path::PathBuf;

use super::bucket::{Bucket, BucketSettings, BucketSettingsError};
use super::counters::OffsiteCounters;
use super::pace::Pace;
use super::share::Share;
use crate::base::error::{Error, ErrorKind};
use crate::base::random;
use crate::output::recorder::layout::{self, FileName, RecordingKey};
use crate::store::db::Database;
use crate::store::db::offsite_table::CopyName;
use crate::store::error::query_failed;

/// The name of the marker.
pub(super) const MARKER: &str = ".stream-manager-copies";
/// The length of a place's id.
const ID_LENGTH: usize = 16;

/// Where copies are.
#[derive(Debug, Clone)]
pub(crate) enum PlaceSettings {
    /// In a bucket.
    Bucket(BucketSettings),
    /// In this directory.
    Share(PathBuf),
}

/// A place.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    /// In a bucket.
    Bucket(Bucket),
    /// In a directory.
    Share(Share),
}

/// The reason why the settings of a place cannot be used.
pub(crate) type PlaceError = BucketSettingsError;

impl PlaceSettings {
    /// Returns the URL of the place, without secrets.
    pub(crate) fn url(&self) -> String {
        match self {
            Self::Bucket(bucket) => {
                let BucketSettings { bucket, prefix, .. } = bucket;
                format!("s3://{}", format!("{bucket}/{prefix}").trim_end_matches('/'))
            }
            Self::Share(path) => format!("file://{}", path.display()),
        }
    }
}

impl Place {
    /// Creates a place. Does not access it.
    pub(super) fn new(
        settings: &PlaceSettings,
        pace: Pace,
        counters: OffsiteCounters,
    ) -> Result<Self, PlaceError> {
        Ok(match settings {
            PlaceSettings::Bucket(bucket) => Self::Bucket(Bucket::new(bucket, pace, counters)?),
            PlaceSettings::Share(path) => Self::Share(Share::new(path.clone(), pace, counters)),
        })
    }

    async fn text(&self, name: &str) -> Result<Option<String>, Error> {
        match self {
            Self::Bucket(bucket) => bucket.text(name).await.map_err(failed),
            Self::Share(share) => share.text(name).await.map_err(failed),
        }
    }

    async fn create(&self, name: &str, text: &str) -> Result<(), Error> {
        match self {
            Self::Bucket(bucket) => bucket.create(name, text).await.map_err(failed),
            Self::Share(share) => share.create(name, text).await.map_err(failed),
        }
    }

    /// Returns the size of a copy in bytes; `None` if there is no such copy.
    pub(super) async fn size(&self, name: &str) -> Result<Option<u64>, Error> {
        match self {
            Self::Bucket(bucket) => bucket.size(name).await.map_err(failed),
            Self::Share(share) => share.size(name).await.map_err(failed),
        }
    }

    /// Deletes a copy. A missing copy is no error.
    pub(super) async fn delete(&self, name: &str) -> Result<(), Error> {
        match self {
            Self::Bucket(bucket) => bucket.delete(name).await.map_err(failed),
            Self::Share(share) => share.delete(name).await.map_err(failed),
        }
    }

    /// Deletes what an interrupted copy has left. `upload` is the id of a multipart upload, if there is one.
    pub(super) async fn abort(&self, name: &str, upload: Option<&str>) -> Result<(), Error> {
        match (self, upload) {
            (Self::Bucket(bucket), Some(upload)) => {
                bucket.abort(name, upload).await.map_err(failed)
            }
            (Self::Bucket(_), None) => Ok(()),
            (Self::Share(share), _) => share.abort(name).await.map_err(failed),
        }
    }

    /// Checks the marker. A place that was never used gets one. Returns the id of the place in the database.
    pub(super) async fn claim(&self, database: &Database, url: &str) -> Result<i64, Error> {
        if self.text(layout::MARKER).await?.is_some() {
            return Err(unusable("this directory is for recordings; use another one for copies"));
        }
        let store = database.recording_marker().await.map_err(query_failed)?;
        let known = database.offsite_place(url).await.map_err(query_failed)?;
        let text = match self.text(MARKER).await? {
            Some(text) => text,
            None if known.is_some() => {
                let reason = format!(
                    "the marker {MARKER} is missing; check that the share is mounted, or that this is the right bucket. If the \
                     place is new, create this object with the line {store}"
                );
                return Err(unusable(&reason));
            }
            None => {
                let text = marker_text(&store, &random::text(ID_LENGTH)?);
                self.create(MARKER, &text).await?;
                // Another manager may have created it at the same time.
                self.text(MARKER).await?.unwrap_or_default()
            }
        };
        let mut lines = text.lines();
        if lines.next() != Some(&store) {
            return Err(unusable(
                "its marker belongs to another database; use another bucket, prefix or directory for each installation",
            ));
        }
        // An operator can create a marker without an id for a place to which copies were moved.
        let id = lines.next().map(ToOwned::to_owned);
        let id = match (id, known) {
            (None, Some((place, _))) => return Ok(place),
            (Some(id), Some((place, known))) if id == known => return Ok(place),
            (id, _) => id.unwrap_or_else(|| store.clone()),
        };
        let mut write = database.write().await.map_err(query_failed)?;
        let place = write.put_offsite_place(&id, url).await.map_err(query_failed)?;
        write.commit().await.map_err(query_failed)?;
        Ok(place)
    }
}

fn marker_text(store: &str, id: &str) -> String {
    format!("{store}\n{id}\n")
}

fn unusable(reason: &str) -> Error {
    Error::new(ErrorKind::StorageUnavailable, reason)
}

/// Converts an error of a place, whose text is for people.
pub(super) fn failed(error: impl std::error::Error) -> Error {
    unusable(&error.to_string())
}

/// Returns the name of a copy in a place, which is the path of the recorded file.
pub(crate) fn object_name(name: &CopyName) -> String {
    let CopyName { camera, identity, profile, start_at, span } = name;
    let (camera, identity, profile) = (camera.clone(), *identity, *profile);
    let key = RecordingKey { camera, identity, profile };
    let name = FileName { key, start_at: *start_at, span: *span };
    name.path().to_string_lossy().into_owned()
}

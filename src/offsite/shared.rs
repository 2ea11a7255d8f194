//! The place in use, its state, and reading copies.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::BoxStream;

use super::bucket::{Bucket, BucketError};
use super::counters::OffsiteCounters;
use super::pace::Pace;
use super::place::{Place, PlaceError, PlaceSettings};
use crate::base::error::{Error, ErrorKind};
use crate::base::lock::lock;
use crate::store::db::offsite_table::Waiting;

/// What is copied where.
#[derive(Debug, Clone)]
pub(crate) struct OffsiteSettings {
    /// The place.
    pub(crate) place: PlaceSettings,
    /// The time for which copies are kept; `None` for no limit.
    pub(crate) keep: Option<Duration>,
    /// The limit of the bandwidth for uploads in bytes per second; `None` for no limit.
    pub(crate) max_bytes_per_second: Option<u64>,
}

/// Copies of recordings in another place. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Offsite(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    place: Place,
    url: String,
    keep: Option<Duration>,
    counters: OffsiteCounters,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The id of the place in the database; `None` before its marker was read.
    id: Option<i64>,
    /// The reason why nothing can be copied; `None` if copies can be made.
    problem: Option<Error>,
    waiting: Waiting,
}

/// A copy that can be read.
#[derive(Debug, Clone)]
pub(crate) enum Copy {
    /// An object in a bucket.
    Object(CopiedObject),
    /// A file on a share.
    File(PathBuf),
}

/// An object in a bucket.
#[derive(Debug, Clone)]
pub(crate) struct CopiedObject {
    bucket: Bucket,
    name: String,
}

impl Offsite {
    /// Creates the place. Does not access it.
    pub(crate) fn new(settings: &OffsiteSettings) -> Result<Self, PlaceError> {
        let counters = OffsiteCounters::default();
        let pace = Pace::new(settings.max_bytes_per_second);
        Ok(Self(Arc::new(Inner {
            place: Place::new(&settings.place, pace, counters.clone())?,
            url: settings.place.url(),
            keep: settings.keep,
            counters,
            state: Mutex::default(),
        })))
    }

    /// Returns the URL of the place, without secrets.
    pub(crate) fn url(&self) -> &str {
        &self.0.url
    }

    /// Returns the counters.
    pub(crate) fn counters(&self) -> &OffsiteCounters {
        &self.0.counters
    }

    /// Returns the reason why nothing can be copied; `None` if copies can be made.
    pub(crate) fn problem(&self) -> Option<Error> {
        lock(&self.0.state).problem.clone()
    }

    /// Returns how much waits to be copied.
    pub(crate) fn waiting(&self) -> Waiting {
        lock(&self.0.state).waiting
    }

    /// Returns the copy with this name in the place with this id. Fails if the place is not the one in use, or was not
    /// available yet.
    pub(crate) fn copy(&self, place: i64, name: String) -> Result<Copy, Error> {
        let reason = match self.id() {
            Some(id) if id == place => {
                return Ok(match &self.0.place {
                    Place::Bucket(bucket) => {
                        Copy::Object(CopiedObject { bucket: bucket.clone(), name })
                    }
                    Place::Share(share) => Copy::File(share.path(&name)),
                });
            }
            Some(_) => "the copy is in another place than OFFSITE_URL",
            None => "the off-site storage is not available; try again later",
        };
        Err(Error::new(ErrorKind::StorageUnavailable, reason))
    }

    pub(super) fn place(&self) -> &Place {
        &self.0.place
    }

    pub(super) fn keep(&self) -> Option<Duration> {
        self.0.keep
    }

    pub(super) fn id(&self) -> Option<i64> {
        lock(&self.0.state).id
    }

    pub(super) fn set_id(&self, id: i64) {
        lock(&self.0.state).id = Some(id);
    }

    pub(super) fn set_waiting(&self, waiting: Waiting) {
        lock(&self.0.state).waiting = waiting;
        self.0.counters.set_waiting(waiting);
    }

    /// Sets the reason why nothing can be copied. Returns true if there was another one, or none.
    pub(super) fn set_problem(&self, problem: Option<Error>) -> bool {
        let mut state = lock(&self.0.state);
        let is_new = state.problem != problem;
        state.problem = problem;
        is_new
    }
}

impl CopiedObject {
    /// Begins to read a range of the object. Returns its bytes in pieces.
    pub(crate) async fn read(
        &self,
        offset: u64,
        size: u64,
    ) -> Result<BoxStream<'static, Result<Bytes, BucketError>>, BucketError> {
        self.bucket.read(&self.name, offset, size).await
    }

    /// Returns the name of the object.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }
}

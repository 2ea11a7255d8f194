//! Use cases of viewers who watch what was recorded: playlists, files, and what a timeline shows.
//!
//! | Module | Owns |
//! |---|---|
//! | [`timeline`] | when there are recordings |
//! | [`files`] | the permission for a recorded file, and its path |
//! | [`playlists`] | playlists |
//! | [`converted`] | segments that are converted to H.264 |
//! | [`pictures`] | pictures at a time |
//! | [`exports`] | exports as MP4 |
//! | [`shares`] | share links |

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use tracing::warn;

use super::core::Core;
use super::live;
use super::permission;
use super::streams::unknown_camera;
use crate::access::credentials::Credentials;
use crate::access::permit::Permit;
use crate::base::dirs;
use crate::base::error::{Error, ErrorKind};
use crate::base::time::unix_millis;
use crate::base::time_span::TimeSpan;
use crate::camera::id::{CameraId, Profile, StreamId};
use crate::camera::identity::Identity;
use crate::camera::identity_tag::IdentityTag;
use crate::camera::record::Record;
use crate::offsite::shared::Offsite;
use crate::output::recorder::directories::Claimed;
use crate::output::recorder::layout::FileName;
use crate::output::recorder::shared::Recorder;
use crate::recordings::footage::Footage;
use crate::recordings::source::Source;
use crate::store::db::recording_search::RecordedFormat;
use crate::store::db::recording_table::{RecordedFile, RecordedStream};
use crate::store::error::query_failed;

pub(crate) mod converted;
pub(crate) mod exports;
pub(crate) mod files;
pub(crate) mod pictures;
pub(crate) mod playlists;
pub(crate) mod shares;
pub(crate) mod timeline;

/// The permission for the recordings of a camera with one identity.
#[derive(Debug, Clone)]
pub(crate) struct ReplayPermit {
    permit: Permit,
    camera: CameraId,
    identity: Identity,
}

impl ReplayPermit {
    /// Waits until the permission has ended, or until the camera has another identity, for example because it has another
    /// owner: what was recorded before then belongs to the earlier owner, whatever the permission is limited to.
    pub(crate) async fn ended(&self, core: &Core) {
        tokio::select! {
            _ = live::refusal(core, &self.permit, &self.camera, || Ok(())) => {}
            () = self.identity_changes(core) => {}
        }
    }

    async fn identity_changes(&self, core: &Core) {
        loop {
            let record = core.cameras.get(&self.camera).await;
            let is_same = |record: Arc<Record>| record.identity() == self.identity;
            if !record.is_ok_and(|record| record.is_some_and(is_same)) {
                return;
            }
            tokio::time::sleep(live::CHECK_INTERVAL).await;
        }
    }
}

/// The time that a viewer requests, in UTC milliseconds. What is missing has a default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct RequestedTime {
    /// The beginning.
    pub(crate) from: Option<i64>,
    /// The end.
    pub(crate) to: Option<i64>,
}

/// The recordings of a stream, and the permission to watch them.
pub(crate) struct PermittedStream {
    /// The permission, which can be limited to a time.
    pub(crate) permit: Permit,
    id: StreamId,
    record: Arc<Record>,
    /// The recordings; `None` if the stream has never been recorded.
    stream: Option<RecordedStream>,
    recorder: Recorder,
    offsite: Option<Offsite>,
}

/// The place of a recorded file.
#[derive(Debug)]
pub(crate) struct FileLocation {
    /// The position of the file's directory in `RECORDINGS_DIRS`, and the path below the directory; `None` if only a copy
    /// off-site can be read.
    pub(crate) local: Option<(usize, PathBuf)>,
    /// The file or its copy.
    pub(crate) source: Source,
    /// The size of the copy in bytes; `None` of a local file, which may still be growing.
    pub(crate) size: Option<u64>,
}

impl PermittedStream {
    /// Finds the recordings of a stream. Fails if these credentials do not permit watching what was recorded of the camera,
    /// or if the camera is unknown.
    pub(crate) async fn find(
        core: &Core,
        id: &StreamId,
        shown: &Credentials<'_>,
    ) -> Result<Self, Error> {
        let camera = id.camera();
        let permit = permission::permit_to_replay(core, shown, camera).await?;
        Self::of(core, id, permit).await
    }

    /// Finds the recordings of a stream with this permission.
    async fn of(core: &Core, id: &StreamId, permit: Permit) -> Result<Self, Error> {
        let recorder = recorder(core)?.clone();
        let camera = id.camera();
        let record = core.cameras.get(camera).await?.ok_or_else(|| unknown_camera(camera))?;
        let stream = recorded_stream(&recorder, camera, &record, id.profile()).await?;
        let offsite = core.offsite.clone();
        Ok(Self { permit, id: id.clone(), record, stream, recorder, offsite })
    }

    /// Returns the permission for the recordings that were found.
    fn replay_permit(&self) -> ReplayPermit {
        let (permit, camera) = (self.permit.clone(), self.id.camera().clone());
        ReplayPermit { permit, camera, identity: self.record.identity() }
    }

    /// Returns the span that a viewer requests, of at most `max_ms`. Fails if the permission does not cover it.
    pub(crate) fn span(&self, requested: RequestedTime, max_ms: i64) -> Result<TimeSpan, Error> {
        let limit = self.permit.span();
        let from = requested.from.or(limit.map(|limit| limit.from)).ok_or_else(|| {
            let detail = "from is required, as a time such as 2026-02-03T04:05:06Z";
            Error::new(ErrorKind::InvalidRequest, detail)
        })?;
        let to = requested.to.unwrap_or_else(|| {
            let latest = from.saturating_add(max_ms);
            limit.map_or(latest, |limit| latest.min(limit.to))
        });
        let invalid = |detail: String| Error::new(ErrorKind::InvalidRequest, detail);
        let span = TimeSpan::new(from, to);
        let span = span.ok_or_else(|| invalid("to must be later than from".to_owned()))?;
        if span.duration_ms() > max_ms {
            let longest = longest(max_ms);
            let detail = format!(
                "the time between from and to can be at most {longest}; request the rest separately"
            );
            return Err(invalid(detail));
        }
        self.permit.ensure_covers(span)?;
        Ok(span)
    }

    /// Returns what was recorded in a span. Fails if nothing was.
    pub(crate) async fn footage(&self, span: TimeSpan) -> Result<Footage, Error> {
        if let Some(stream) = &self.stream {
            let (database, open) = (self.recorder.database(), self.recorder.open_files());
            let now = unix_millis(SystemTime::now());
            let footage = Footage::read(database, open, stream, span, now).await?;
            if !footage.files.is_empty() {
                return Ok(footage);
            }
        }
        Err(self.nothing_recorded(&format!("from {span}")).await)
    }

    /// Returns the format of a file.
    async fn format(&self, id: i64) -> Result<RecordedFormat, Error> {
        let format = self.recorder.database().recorded_format(id).await.map_err(query_failed)?;
        format.ok_or_else(|| {
            let camera = &self.id;
            let detail =
                format!("the recordings of camera {camera} have no description of their video");
            Error::new(ErrorKind::Internal, detail)
        })
    }

    /// Returns where a file is: on its disk or, if it is not there any more, off-site. Fails if neither is available.
    async fn location(&self, file: &RecordedFile) -> Result<FileLocation, Error> {
        let camera = &self.id;
        let unavailable = |reason: &str| {
            let detail = format!("recordings of camera {camera} cannot be read: {reason}");
            Error::new(ErrorKind::StorageUnavailable, detail)
        };
        let stream = self.stream.as_ref().ok_or_else(|| unavailable("there are none"))?;
        let name = FileName::of(stream, file).path();
        if file.is_local {
            let dirs = self.recorder.directories().present();
            if let Some(dir) = dirs.into_iter().find(|dir| dir.id == file.dir)
                && !(file.offsite_place.is_some() && self.is_missing(file, &dir, &name).await)
            {
                let source = Source::File(dir.path.join(&name));
                return Ok(FileLocation { local: Some((dir.index, name)), source, size: None });
            }
        }
        let Some(place) = file.offsite_place else {
            return Err(unavailable("their disk is not available; try again later"));
        };
        let offsite = self.offsite.as_ref();
        let offsite = offsite.ok_or_else(|| unavailable("OFFSITE_URL is not set"))?;
        let copy = offsite.copy(place, name.to_string_lossy().into_owned());
        let source = copy.map_err(|error| unavailable(&error.detail))?.into();
        Ok(FileLocation { local: None, source, size: Some(file.bytes) })
    }

    /// Returns true if the local file is missing, for example because someone deleted it, or if its disk does not respond.
    /// Players use the copy of a missing file from then on.
    async fn is_missing(&self, file: &RecordedFile, dir: &Claimed, name: &Path) -> bool {
        let (claimed, path) = (dir.clone(), name.to_owned());
        let look = move || {
            // The file also seems to be missing if the disk was removed.
            matches!(dirs::exists(&claimed.path, &path), Ok(false))
                && claimed.ensure_present().is_ok()
        };
        match self.recorder.directories().run(dir, look).await {
            // The disk does not respond.
            None => return true,
            Some(false) => return false,
            Some(true) => {}
        }
        warn!(file = %dir.path.join(name).display(), "a recorded file is missing; its copy is used");
        let forget = async {
            let mut write = self.recorder.database().write().await?;
            write.forget_local_files(&[file.id]).await?;
            write.commit().await
        };
        if let Err(error) = forget.await {
            warn!(%error, "cannot note that a recorded file is missing");
        }
        true
    }

    /// Returns the error for a time without recordings. The error reports when there are recordings, as far as the
    /// permission covers this time.
    async fn nothing_recorded(&self, time: &str) -> Error {
        let camera = &self.id;
        let present = match self.available().await {
            Ok(Some(available)) => format!("there are recordings from {available}"),
            Ok(None) => "there are no recordings of it".to_owned(),
            Err(error) => return error,
        };
        let detail = format!("nothing was recorded of camera {camera} {time}; {present}");
        Error::new(ErrorKind::NoRecordings, detail)
    }

    /// Returns the time between the beginning of the first and the end of the last recording that the permission covers;
    /// `None` without recordings.
    pub(crate) async fn available(&self) -> Result<Option<TimeSpan>, Error> {
        let Some(stream) = &self.stream else { return Ok(None) };
        available(&self.recorder, stream, self.permit.span()).await
    }
}

/// Returns the recorder. Fails if recordings are off.
pub(crate) fn recorder(core: &Core) -> Result<&Recorder, Error> {
    core.recorder.as_ref().ok_or_else(|| {
        let detail = "recordings are off; to record cameras, set RECORDINGS_DIRS";
        Error::new(ErrorKind::RecordingsOff, detail)
    })
}

/// Returns the recordings of one of a camera's streams. The recordings of an earlier camera with the same id, or of an
/// earlier owner, are not found.
async fn recorded_stream(
    recorder: &Recorder,
    camera: &CameraId,
    record: &Record,
    profile: Profile,
) -> Result<Option<RecordedStream>, Error> {
    let identity = IdentityTag::of(&record.identity());
    let stream = recorder.database().recorded_stream(camera, identity, profile).await;
    stream.map_err(query_failed)
}

async fn available(
    recorder: &Recorder,
    stream: &RecordedStream,
    limit: Option<TimeSpan>,
) -> Result<Option<TimeSpan>, Error> {
    let open = recorder.open_files().get(stream.id);
    let range = recorder.database().recorded_range(stream.id).await.map_err(query_failed)?;
    let spans = open.iter().map(|(file, _)| (file.start_at, file.end_at)).chain(range);
    let whole = spans.reduce(|one, other| (one.0.min(other.0), one.1.max(other.1)));
    let whole = whole.and_then(|(from, to)| TimeSpan::new(from, to));
    Ok(whole.and_then(|whole| limit.map_or(Some(whole), |limit| whole.intersection(limit))))
}

/// Returns a duration in words, for people.
fn longest(millis: i64) -> String {
    let hours = millis / 3_600_000;
    if hours > 24 && hours % 24 == 0 {
        format!("{} days", hours / 24)
    } else {
        format!("{hours} hours")
    }
}

//! All stored cameras: reads and changes them.

use std::collections::HashMap;
use std::fs::File;
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use dashmap::DashMap;
use tokio::sync::watch;

use super::cache::RecordCache;
use super::db::camera_table::{CameraRow, Filter};
use super::db::{Database, Location, WriteTransaction};
use super::error::{StoreError, query_failed};
use super::key_files::open_sealer;
use super::lock_file::lock_database;
use super::numbers::StreamNumbers;
use super::rows::{self, NO_MOTION, NOT_RECORDED, Rows, to_text};
use crate::base::error::{Error, ErrorKind};
use crate::base::time::{from_unix_millis, to_i64, unix_millis, unix_now};
use crate::camera::Camera;
use crate::camera::id::{CameraId, Profile, StreamId};
use crate::camera::identity::{Identity, new_incarnation};
use crate::camera::identity_tag::IdentityTag;
use crate::camera::motion::{MotionOptions, MotionSource};
use crate::camera::onvif_address::OnvifAddress;
use crate::camera::options::{KeepOption, OptionChanges};
use crate::camera::record::Record;
use crate::camera::recording::RecordingOptions;
use crate::camera::source::Source;
use crate::camera::source_spec::SourceSpec;

/// The largest number of cameras, so that a faulty client cannot fill the disk.
const MAX_CAMERAS: i64 = 100_000;

/// All stored cameras.
pub(crate) struct Cameras {
    /// Prevents other managers from using the database.
    _lock: File,
    database: Database,
    rows: Rows,
    cache: RecordCache,
    /// The streams that were requested since the start of the manager, with the plans that were
    /// learned.
    streams: Arc<DashMap<StreamId, Camera>>,
    numbers: StreamNumbers,
    /// The number of commits that have changed cameras.
    changes: watch::Sender<u64>,
    /// The options for recordings of cameras that are added without such options.
    default_recording: OnceLock<RecordingOptions>,
}

/// A camera that is recorded, at least at times.
pub(crate) struct RecordedCamera {
    /// The camera's id.
    pub(crate) id: CameraId,
    /// Which camera of which owner it is.
    pub(crate) identity: Identity,
    /// The options.
    pub(crate) options: RecordingOptions,
    /// The time until which the camera is recorded in any case.
    pub(crate) record_until: Option<SystemTime>,
    /// The streams that the camera has.
    pub(crate) profiles: Vec<Profile>,
}

impl RecordedCamera {
    /// Returns whether the camera has this stream.
    pub(crate) fn has(&self, profile: Profile) -> bool {
        self.profiles.contains(&profile)
    }
}

/// A camera whose pictures are analysed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct AnalysedCamera {
    /// The camera's id.
    pub(crate) id: CameraId,
    /// Which camera of which owner it is.
    pub(crate) identity: Identity,
    /// The options of the detection of motion.
    pub(crate) motion: MotionOptions,
    /// The sources of the streams that the camera has.
    pub(crate) sources: Vec<(Profile, Source)>,
}

/// The effect of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// The camera was added.
    Created,
    /// The camera was changed.
    Updated,
    /// The camera was already as requested.
    Unchanged,
}

impl Cameras {
    /// Opens the database at `url`, or creates it. Without a `source_key`, the key is in the database's
    /// key file, which is created with a new database.
    pub(crate) async fn open(url: &str, source_key: Option<&str>) -> Result<Self, StoreError> {
        // The lock comes first, because two managers cannot create the tables at the same time.
        let location = Location::parse(url)?;
        let lock = lock_database(location.path())?;
        let database = Database::open(location).await?;
        let rows = Rows::new(open_sealer(&database, source_key).await?);
        let (cache, streams) = (RecordCache::default(), Arc::default());
        let numbers = StreamNumbers::open(database.clone()).await?;
        let (changes, default_recording) = (watch::Sender::new(0), OnceLock::new());
        Ok(Self {
            _lock: lock,
            database,
            rows,
            cache,
            streams,
            numbers,
            changes,
            default_recording,
        })
    }

    /// Sets the options for recordings of cameras that are added without such options. Has no effect after the first
    /// call.
    pub(crate) fn set_default_recording(&self, options: RecordingOptions) {
        drop(self.default_recording.set(options));
    }

    /// Returns the options for recordings of cameras that are added without such options.
    pub(crate) fn default_recording(&self) -> RecordingOptions {
        self.default_recording.get().cloned().unwrap_or_default()
    }

    /// Returns a receiver that changes with each change of cameras.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Returns the cameras that are recorded, at least at times.
    pub(crate) async fn recorded(&self) -> Result<Vec<RecordedCamera>, Error> {
        let rows = self.database.recorded_cameras(NOT_RECORDED).await.map_err(query_failed)?;
        let camera = |row: &CameraRow| {
            let record = self.rows.record(row)?;
            let has = |profile: &Profile| record.spec.source(*profile).is_some();
            Ok(RecordedCamera {
                identity: record.identity(),
                profiles: [Profile::Main, Profile::Sub].into_iter().filter(has).collect(),
                id: record.id,
                options: record.recording,
                record_until: row.record_until.map(from_unix_millis),
            })
        };
        rows.iter().map(camera).collect()
    }

    /// Returns the time until which a camera is recorded in any case, which may have passed; `None` if nothing was
    /// requested.
    pub(crate) async fn record_until(&self, id: &CameraId) -> Result<Option<SystemTime>, Error> {
        let until = self.database.record_until(id.as_str()).await.map_err(query_failed)?;
        Ok(until.map(from_unix_millis))
    }

    /// Returns the cameras whose pictures are analysed.
    pub(crate) async fn analysed(&self) -> Result<Vec<AnalysedCamera>, Error> {
        let rows = self.database.cameras_with_motion(NO_MOTION).await.map_err(query_failed)?;
        let mut analysed = Vec::new();
        for row in &rows {
            let record = self.rows.record(row)?;
            if record.motion.source == MotionSource::Off {
                continue;
            }
            let source = |profile| Some((profile, record.spec.source(profile)?.clone()));
            analysed.push(AnalysedCamera {
                identity: record.identity(),
                sources: [Profile::Main, Profile::Sub].into_iter().filter_map(source).collect(),
                id: record.id,
                motion: record.motion,
            });
        }
        Ok(analysed)
    }

    /// Records a camera until this time in any case. With `None`, only its options decide. Returns whether the camera
    /// exists.
    pub(crate) async fn set_record_until(
        &self,
        id: &CameraId,
        until: Option<SystemTime>,
    ) -> Result<bool, Error> {
        let ms = until.map(unix_millis);
        let mut write = self.database.write().await.map_err(query_failed)?;
        let exists = write.set_record_until(id.as_str(), ms).await.map_err(query_failed)?;
        self.commit(write, vec![id.clone()], Vec::new()).await?;
        Ok(exists)
    }

    /// Returns the numbers of all streams.
    pub(crate) fn numbers(&self) -> &StreamNumbers {
        &self.numbers
    }

    /// Returns the database, for access to its other tables.
    pub(crate) fn database(&self) -> &Database {
        &self.database
    }

    /// Returns a camera; `None` if the camera is unknown. Queries the database only if the camera was not
    /// used recently.
    pub(crate) async fn get(&self, id: &CameraId) -> Result<Option<Arc<Record>>, Error> {
        let miss = match self.cache.get(id) {
            Ok(record) => return Ok(Some(record)),
            Err(miss) => miss,
        };
        let row = self.database.get(id.as_str()).await.map_err(query_failed)?;
        let Some(row) = row else { return Ok(None) };
        let record = Arc::new(self.rows.record(&row)?);
        self.cache.add(&miss, &record);
        Ok(Some(record))
    }

    /// Returns the camera of a stream, with the source and options that a start needs; `None` if the camera
    /// is unknown or does not have this stream.
    pub(crate) async fn camera_of(&self, id: &StreamId) -> Result<Option<Camera>, Error> {
        Ok(self.get(id.camera()).await?.and_then(|record| self.stream_of(&record, id)))
    }

    /// Returns the ids of the cameras with the option `keep: always`, sorted.
    pub(crate) async fn kept(&self) -> Result<Vec<CameraId>, Error> {
        let ids =
            self.database.with_keep(&to_text(KeepOption::Always)).await.map_err(query_failed)?;
        ids.iter().map(|id| CameraId::parse(id)).collect()
    }

    /// Returns the ids of all cameras, sorted.
    pub(crate) async fn ids(&self) -> Result<Vec<CameraId>, Error> {
        let ids = self.database.ids().await.map_err(query_failed)?;
        ids.iter().map(|id| CameraId::parse(id)).collect()
    }

    /// Adds or changes a camera. `change` gets the present camera, if there is one, and returns the camera to
    /// store. Returns the stored camera and the effect.
    pub(crate) async fn change(
        &self,
        id: &CameraId,
        change: impl FnOnce(Option<Record>) -> Result<Record, Error>,
    ) -> Result<(Record, Change), Error> {
        let mut write = self.database.write().await.map_err(query_failed)?;
        let mut count = write.count().await.map_err(query_failed)?;
        let changed = self.change_in(&mut write, &mut count, id, change).await?;
        self.commit(write, vec![id.clone()], Vec::new()).await?;
        Ok(changed)
    }

    /// Adds or changes all of these cameras, or none of them if one fails. Returns the effects in the
    /// order of `changes`.
    pub(crate) async fn change_all<F>(
        &self,
        changes: Vec<(CameraId, F)>,
    ) -> Result<Vec<Change>, Error>
    where
        F: FnOnce(Option<Record>) -> Result<Record, Error>,
    {
        let mut write = self.database.write().await.map_err(query_failed)?;
        let done = self.change_all_in(&mut write, changes).await?;
        let differing = done.iter().filter(|(_, change)| *change != Change::Unchanged);
        let ids = differing.map(|(record, _)| record.id.clone()).collect();
        self.commit(write, ids, Vec::new()).await?;
        Ok(done.into_iter().map(|(_, change)| change).collect())
    }

    /// Returns the cameras and the effects that [`Cameras::change_all`] would have. Changes nothing.
    pub(crate) async fn preview_all<F>(
        &self,
        changes: Vec<(CameraId, F)>,
    ) -> Result<Vec<(Record, Change)>, Error>
    where
        F: FnOnce(Option<Record>) -> Result<Record, Error>,
    {
        // A transaction without a commit is undone.
        let mut write = self.database.write().await.map_err(query_failed)?;
        self.change_all_in(&mut write, changes).await
    }

    async fn change_all_in<F>(
        &self,
        write: &mut WriteTransaction,
        changes: Vec<(CameraId, F)>,
    ) -> Result<Vec<(Record, Change)>, Error>
    where
        F: FnOnce(Option<Record>) -> Result<Record, Error>,
    {
        let mut count = write.count().await.map_err(query_failed)?;
        let mut done = Vec::with_capacity(changes.len());
        for (id, change) in changes {
            done.push(self.change_in(write, &mut count, &id, change).await?);
        }
        Ok(done)
    }

    /// Changes a stream's source and its camera's options, as far as they are given, and returns the
    /// stream. Adds an unknown camera for `owner`. Fails without a change if `check` refuses a known
    /// camera. Returns `None` if the camera is unknown and no source is given, or if the camera has no
    /// such stream.
    pub(crate) async fn put(
        &self,
        id: &StreamId,
        owner: Option<&str>,
        source: Option<Source>,
        changes: OptionChanges,
        check: impl Fn(&Record) -> Result<(), Error>,
    ) -> Result<Option<Camera>, Error> {
        let known = self.get(id.camera()).await?;
        if let Some(known) = &known {
            check(known)?;
            if !is_changed(known, id.profile(), source.as_ref(), changes) {
                return Ok(self.stream_of(known, id));
            }
        } else if source.is_none() {
            return Ok(None);
        }
        let apply = |known: Option<Record>| {
            let Some(mut record) = known else {
                let record = new_record(id, owner, source, changes)?;
                return Ok(Record { recording: self.default_recording(), ..record });
            };
            check(&record)?;
            record.options = record.options.with(changes);
            if let Some(source) = source
                && record.spec.source(id.profile()) != Some(&source)
            {
                record.spec = record.spec.with_link(id.profile(), source);
                // The ONVIF service gets a digest of the password, so it must be on the camera's host.
                if record.has_foreign_onvif() {
                    record.onvif = None;
                }
            }
            Ok(record)
        };
        let (record, _) = self.change(id.camera(), apply).await?;
        Ok(self.stream_of(&record, id))
    }

    /// Deletes a camera and its recordings, unless `check` refuses the deletion. Returns whether the camera existed. The
    /// recorder deletes the files.
    #[cfg(test)]
    pub(crate) async fn delete(
        &self,
        id: &CameraId,
        check: impl FnOnce(&Record) -> Result<(), Error>,
    ) -> Result<bool, Error> {
        self.delete_with(id, false, check).await
    }

    /// Deletes a camera, unless `check` refuses the deletion. Unless `keeps_recordings` is true, the recorder then deletes
    /// the camera's recordings. Returns whether the camera existed.
    pub(crate) async fn delete_with(
        &self,
        id: &CameraId,
        keeps_recordings: bool,
        check: impl FnOnce(&Record) -> Result<(), Error>,
    ) -> Result<bool, Error> {
        let mut write = self.database.write().await.map_err(query_failed)?;
        if let Some(row) = write.get(id.as_str()).await.map_err(query_failed)? {
            let record = self.rows.record(&row)?;
            check(&record)?;
            if !keeps_recordings {
                let tag = IdentityTag::of(&record.identity());
                write.delete_recordings_of(id, tag).await.map_err(query_failed)?;
            }
        }
        let existed = write.delete(id.as_str()).await.map_err(query_failed)?;
        let streams = [Profile::Main, Profile::Sub].map(|one| StreamId::new(id.clone(), one));
        for stream in streams.iter().filter(|_| existed) {
            let floor = self.numbers.raise_floor(stream);
            write.delete_numbers(&stream.to_string()).await.map_err(query_failed)?;
            write.put_numbers(&floor).await.map_err(query_failed)?;
        }
        self.commit(write, vec![id.clone()], streams.into()).await?;
        Ok(existed)
    }

    /// Returns one page of the cameras that match `filter`, by id, and the number of all matches.
    pub(crate) async fn list(&self, filter: &Filter) -> Result<(Vec<Record>, i64), Error> {
        let (rows, total) = self.database.list(filter).await.map_err(query_failed)?;
        let records: Result<_, _> = rows.iter().map(|row| self.rows.record(row)).collect();
        Ok((records?, total))
    }

    /// Returns a map from hosts to the ids of their cameras. If `owner` is given, the map contains only the
    /// cameras of this owner.
    pub(crate) async fn by_host(
        &self,
        owner: Option<&str>,
    ) -> Result<HashMap<String, Vec<CameraId>>, Error> {
        let mut by_host = HashMap::<_, Vec<_>>::new();
        for (id, host) in self.database.hosts(owner).await.map_err(query_failed)? {
            by_host.entry(host).or_default().push(CameraId::parse(&id)?);
        }
        Ok(by_host)
    }

    /// Returns the ONVIF services that have a confirmed certificate, sorted by the time at which their camera was
    /// last changed. If `owner` is given, returns only the services of this owner's cameras.
    pub(crate) async fn onvif_with_certificates(
        &self,
        owner: Option<&str>,
    ) -> Result<Vec<OnvifAddress>, Error> {
        let rows = self.database.onvif_certificates(owner).await.map_err(query_failed)?;
        Ok(rows.iter().filter_map(|(onvif, certificate)| rows::onvif(onvif, certificate)).collect())
    }

    /// Returns the sealed source of a camera. Only a manager with the same key can open it.
    pub(crate) fn sealed(&self, record: &Record) -> Result<Vec<u8>, Error> {
        self.rows.sealed(record)
    }

    /// Opens a source that [`Cameras::sealed`] returned for the camera `id`. Returns `None` if it was
    /// sealed with another key or for another camera, or is damaged.
    pub(crate) fn unsealed(&self, id: &CameraId, sealed: &[u8]) -> Option<SourceSpec> {
        self.rows.unsealed(id, sealed)
    }

    /// Converts a row to a camera. Fails if the row is damaged or was sealed with another key.
    pub(super) fn read(&self, row: &CameraRow) -> Result<Record, Error> {
        self.rows.record(row)
    }

    /// Commits a change, and removes the `changed` cameras from the cache. If the commit succeeds, also
    /// forgets the plans and the numbers of the `deleted` streams.
    ///
    /// The commit runs in a separate task, which continues if the caller drops this future. Without the task,
    /// the cameras would be removed from the cache when the future is dropped, which may be before the commit.
    async fn commit(
        &self,
        write: WriteTransaction,
        changed: Vec<CameraId>,
        deleted: Vec<StreamId>,
    ) -> Result<(), Error> {
        let invalidation = self.cache.invalidation(changed);
        let (streams, numbers) = (Arc::clone(&self.streams), self.numbers.clone());
        let commits = self.changes.clone();
        let commit = tokio::spawn(async move {
            let committed = write.commit().await;
            drop(invalidation);
            commits.send_modify(|count| *count += 1);
            if committed.is_ok() {
                for id in &deleted {
                    streams.remove(id);
                    numbers.forget(id);
                }
            }
            committed
        });
        match commit.await {
            Ok(committed) => committed.map_err(query_failed),
            Err(panic) => {
                let detail = "the change was interrupted; check whether it was stored";
                Err(Error::new(ErrorKind::Internal, detail).caused_by(panic))
            }
        }
    }

    /// Adds or changes a camera within a transaction. `count` is the number of cameras.
    async fn change_in(
        &self,
        write: &mut WriteTransaction,
        count: &mut i64,
        id: &CameraId,
        change: impl FnOnce(Option<Record>) -> Result<Record, Error>,
    ) -> Result<(Record, Change), Error> {
        let known = write.get(id.as_str()).await.map_err(query_failed)?;
        let known = known.map(|row| self.rows.record(&row)).transpose()?;
        if known.is_none() && *count >= MAX_CAMERAS {
            let detail = format!(
                "the manager has reached its limit of {MAX_CAMERAS} cameras; delete cameras \
                 that are no longer needed"
            );
            return Err(Error::new(ErrorKind::TooManyCameras, detail));
        }
        let mut record = change(known.clone())?;
        let now = to_i64(unix_now());
        record.updated_at = now;
        if let Some(known) = &known {
            record.created_at = known.created_at;
            record.incarnation = known.incarnation;
            let as_known = Record { updated_at: known.updated_at, ..record.clone() };
            if as_known == *known && as_known.spec.is_spelled_like(&known.spec) {
                return Ok((as_known, Change::Unchanged));
            }
        } else {
            record.created_at = now;
            record.incarnation = new_incarnation();
        }
        let row = self.rows.row(&record)?;
        write.put(&row).await.map_err(query_failed)?;
        *count += i64::from(known.is_none());
        Ok((record, if known.is_some() { Change::Updated } else { Change::Created }))
    }

    /// Returns a stream of a camera; `None` if the camera has no such stream. The learned plan is kept
    /// while source and options stay the same.
    fn stream_of(&self, record: &Record, id: &StreamId) -> Option<Camera> {
        let source = record.spec.source(id.profile())?;
        let origin = self.rows.origin(record, id, source);
        let identity = record.identity();
        let keep = if id.profile() == Profile::Main { record.keep } else { KeepOption::OnDemand };
        if let Some(known) = self.streams.get(id)
            && known.source.expose() == source.expose()
            && known.options == record.options
            && (&known.onvif, known.keep) == (&record.onvif, keep)
            && known.origin == origin
            && known.identity == identity
        {
            return Some(known.clone());
        }
        let mut camera = Camera::new(id.clone(), source.clone(), record.options);
        camera.onvif.clone_from(&record.onvif);
        camera.keep = keep;
        camera.numbers = self.numbers.of(id);
        camera.origin = origin;
        camera.identity = identity;
        let mut known = self.streams.entry(id.clone()).or_insert_with(|| camera.clone());
        if known.is_same_stream(&camera) {
            known.source = camera.source;
            known.onvif = camera.onvif;
            known.keep = keep;
            known.origin = origin;
            known.identity = camera.identity;
        } else {
            *known = camera;
        }
        Some(known.clone())
    }
}

/// Returns whether the given source or options differ from the camera's source or options.
fn is_changed(
    record: &Record,
    profile: Profile,
    source: Option<&Source>,
    changes: OptionChanges,
) -> bool {
    record.options.with(changes) != record.options
        || source.is_some_and(|source| record.spec.source(profile) != Some(source))
}

/// Returns a new camera with the source and options of its first start. Fails if no source is given. In this
/// case, the camera existed when the start began, but was deleted in the meantime.
fn new_record(
    id: &StreamId,
    owner: Option<&str>,
    source: Option<Source>,
    changes: OptionChanges,
) -> Result<Record, Error> {
    let source = source.ok_or_else(|| {
        let detail = format!("camera {} was deleted in the meantime", id.camera());
        Error::new(ErrorKind::UnknownCamera, detail)
    })?;
    let mut record = Record::new(id.camera().clone(), SourceSpec::from_link(id.profile(), source));
    record.owner = owner.map(str::to_owned);
    record.options = record.options.with(changes);
    Ok(record)
}

#[cfg(test)]
mod tests;

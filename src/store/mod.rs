//! The cameras that are known: where their video comes from, what was chosen for them, and what was
//! learned about them.
//!
//! Kept in a database, so that they outlive the manager; what is secret about them is sealed there.
//! What was learned is kept in memory. Whether a camera's stream runs is `crate::stream`'s business.
//!
//! | Module | Does |
//! |---|---|
//! | [`db`] | the tables |
//! | [`seal`] | sealing what is secret |

use std::collections::HashMap;
use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use dashmap::DashMap;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::base::error::{Error, ErrorKind};
use crate::base::time::{to_i64, unix_now};
use crate::camera::Camera;
use crate::camera::id::{CameraId, Profile, StreamId};
use crate::camera::onvif_address::OnvifAddress;
use crate::camera::options::{OptionChanges, StreamOptions};
use crate::camera::record::Record;
use crate::camera::source::Source;
use crate::camera::source_spec::SourceSpec;
use db::{Database, Filter, OpenError, Row, Write};
use seal::{KeyError, SealKey, Sealer};

pub mod db;
pub mod seal;

/// Cameras known at most, so that a faulty caller cannot fill the disk.
const MAX_CAMERAS: i64 = 100_000;
/// What is sealed to prove that a key fits, and for whom.
const PROOF: (&str, &[u8]) = ("proof", b"stream-manager");

/// Why the registry cannot be used. Its text is one line for the operator.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Its directory.
    #[error("{} cannot be made: {error}; the database's directory must be writable", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// The key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Another manager, or a rotation, uses it.
    #[error("{} is used by another stream-manager; stop it first", .0.display())]
    InUse(PathBuf),
    /// The key is none of this database's.
    #[error("{} was sealed with another key than {key}; put back the one that belongs to it", database.display())]
    OtherKey {
        /// The database's file.
        database: PathBuf,
        /// Where the key came from.
        key: String,
    },
    /// The database has a key, and it is not there.
    #[error("{} is sealed, and its key is missing: put back {} or set SOURCE_KEY", database.display(), key.display())]
    NoKey {
        /// The database's file.
        database: PathBuf,
        /// Where the key should be.
        key: PathBuf,
    },
    /// A camera's entry cannot be opened.
    #[error("{0}")]
    Damaged(Error),
    /// A query failed.
    #[error("the camera database fails: {0}")]
    Query(#[from] sqlx::Error),
}

/// All known cameras.
pub struct Cameras {
    /// Nobody else uses the database.
    _lock: File,
    database: Database,
    sealer: Sealer,
    /// Streams that were started, with what was learned about them.
    started: DashMap<StreamId, Camera>,
}

/// What a change of a camera came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It is new.
    Created,
    /// It was there, and is different now.
    Updated,
    /// It was there, just like that.
    Unchanged,
}

impl Cameras {
    /// Opens the registry. Without a `source_key` the key is kept in a file beside the database,
    /// which is made with a new database.
    pub async fn open(url: &str, source_key: Option<&str>) -> Result<Self, StoreError> {
        let database = Database::open(url).await?;
        let lock = lock(database.path())?;
        let sealer = fitting_sealer(&database, source_key).await?;
        Ok(Self { _lock: lock, database, sealer, started: DashMap::new() })
    }

    /// The database, for those who keep other things in it.
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// A camera.
    pub async fn get(&self, id: &CameraId) -> Result<Option<Record>, Error> {
        let row = self.database.get(id.as_str()).await.map_err(fails)?;
        row.map(|row| self.record(&row)).transpose()
    }

    /// A stream of a camera, ready to be started; `None` when there is no such camera, or it has no
    /// such stream.
    pub async fn stream(&self, id: &StreamId) -> Result<Option<Camera>, Error> {
        let Some(record) = self.get(id.camera()).await? else { return Ok(None) };
        Ok(self.stream_of(&record, id))
    }

    /// Adds a camera or changes one. `change` gets it as it is and returns what it shall be.
    pub async fn change(
        &self,
        id: &CameraId,
        change: impl FnOnce(Option<Record>) -> Result<Record, Error>,
    ) -> Result<(Record, Change), Error> {
        let mut write = self.database.write().await.map_err(fails)?;
        let mut count = write.count().await.map_err(fails)?;
        let changed = self.change_in(&mut write, &mut count, id, change).await?;
        write.commit().await.map_err(fails)?;
        Ok(changed)
    }

    /// Adds or changes all of these cameras, or none of them.
    pub async fn change_all<F>(&self, changes: Vec<(CameraId, F)>) -> Result<Vec<Change>, Error>
    where
        F: FnOnce(Option<Record>) -> Result<Record, Error>,
    {
        let mut write = self.database.write().await.map_err(fails)?;
        let mut count = write.count().await.map_err(fails)?;
        let mut done = Vec::with_capacity(changes.len());
        for (id, change) in changes {
            done.push(self.change_in(&mut write, &mut count, &id, change).await?.1);
        }
        write.commit().await.map_err(fails)?;
        Ok(done)
    }

    /// The stream of a camera after `source` and `changes`, as far as they are given; a new camera
    /// of `owner` when it is not known. `None` when there is nothing to start. A known camera is
    /// changed if `check` agrees.
    pub async fn put(
        &self,
        id: &StreamId,
        owner: Option<&str>,
        source: Option<Source>,
        changes: OptionChanges,
        check: impl Fn(&Record) -> Result<(), Error>,
    ) -> Result<Option<Camera>, Error> {
        let known = self.get(id.camera()).await?;
        if source.is_none() && known.is_none() {
            return Ok(None);
        }
        let apply = |known: Option<Record>| {
            known.as_ref().map_or(Ok(()), &check)?;
            let mut record = match (known, &source) {
                (Some(known), _) => known,
                (None, Some(source)) => {
                    let spec = SourceSpec::from_link(id.profile(), source.clone());
                    let owner = owner.map(str::to_owned);
                    Record { owner, ..Record::new(id.camera().clone(), spec) }
                }
                // It was deleted since it was looked up.
                (None, None) => return Err(Error::new(ErrorKind::UnknownCamera, "deleted")),
            };
            record.options = record.options.with(changes);
            if let Some(source) = &source
                && record.spec.source(id.profile()) != Some(source)
            {
                record.spec = record.spec.with_link(id.profile(), source.clone());
                // It gets a digest of the password, so it goes with the camera's host.
                if record.has_foreign_onvif() {
                    record.onvif = None;
                }
            }
            Ok(record)
        };
        let record = match &known {
            // Most starts change nothing, and need not wait for whoever writes.
            Some(known) if apply(Some(known.clone()))? == *known => known.clone(),
            _ => self.change(id.camera(), apply).await?.0,
        };
        Ok(self.stream_of(&record, id))
    }

    /// Takes a camera out if `check` agrees. False when it was not there.
    pub async fn delete(
        &self,
        id: &CameraId,
        check: impl FnOnce(&Record) -> Result<(), Error>,
    ) -> Result<bool, Error> {
        let mut write = self.database.write().await.map_err(fails)?;
        if let Some(row) = write.get(id.as_str()).await.map_err(fails)? {
            check(&self.record(&row)?)?;
        }
        let was_there = write.delete(id.as_str()).await.map_err(fails)?;
        write.commit().await.map_err(fails)?;
        for profile in [Profile::Main, Profile::Sub] {
            self.started.remove(&StreamId::new(id.clone(), profile));
        }
        Ok(was_there)
    }

    /// The cameras that `filter` lets pass, by id, and how many there are without its limits.
    pub async fn list(&self, filter: &Filter) -> Result<(Vec<Record>, i64), Error> {
        let (rows, total) = self.database.list(filter).await.map_err(fails)?;
        let records: Result<_, _> = rows.iter().map(|row| self.record(row)).collect();
        Ok((records?, total))
    }

    /// The cameras of `owner`, or all, by the host that they are at; those of one host by id.
    pub async fn by_host(
        &self,
        owner: Option<&str>,
    ) -> Result<HashMap<String, Vec<CameraId>>, Error> {
        let mut by_host = HashMap::<_, Vec<_>>::new();
        for (id, host) in self.database.hosts(owner).await.map_err(fails)? {
            by_host.entry(host).or_default().push(CameraId::parse(&id)?);
        }
        Ok(by_host)
    }

    /// A camera's source, sealed: only a registry with the same key can open it.
    pub fn sealed(&self, record: &Record) -> Result<Vec<u8>, Error> {
        let plain = serde_json::to_vec(&record.spec).map_err(|_| corrupt(&record.id))?;
        Ok(self.sealer.seal(record.id.as_str(), &plain))
    }

    /// What [`Cameras::sealed`] made for the camera `id`.
    pub fn unsealed(&self, id: &CameraId, sealed: &[u8]) -> Option<SourceSpec> {
        serde_json::from_slice(&self.sealer.open(id.as_str(), sealed)?).ok()
    }

    async fn change_in(
        &self,
        write: &mut Write,
        count: &mut i64,
        id: &CameraId,
        change: impl FnOnce(Option<Record>) -> Result<Record, Error>,
    ) -> Result<(Record, Change), Error> {
        let known = write.get(id.as_str()).await.map_err(fails)?;
        let known = known.map(|row| self.record(&row)).transpose()?;
        if known.is_none() && *count >= MAX_CAMERAS {
            let detail = format!("{MAX_CAMERAS} cameras are known, as many as there may be");
            return Err(Error::new(ErrorKind::TooManyCameras, detail));
        }
        let mut record = change(known.clone())?;
        let now = to_i64(unix_now());
        record.updated_at = now;
        if let Some(known) = &known {
            record.created_at = known.created_at;
            let as_known = Record { updated_at: known.updated_at, ..record.clone() };
            if as_known == *known {
                return Ok((as_known, Change::Unchanged));
            }
        } else {
            record.created_at = now;
        }
        let row = self.row(&record)?;
        write.put(&row).await.map_err(fails)?;
        *count += i64::from(known.is_none());
        Ok((record, if known.is_some() { Change::Updated } else { Change::Created }))
    }

    /// What was learned about a stream stays as long as its source and options do.
    fn stream_of(&self, record: &Record, id: &StreamId) -> Option<Camera> {
        let source = record.spec.source(id.profile())?.clone();
        let mut camera = Camera::new(id.clone(), source, record.options);
        camera.onvif.clone_from(&record.onvif);
        let mut started = self.started.entry(id.clone()).or_insert_with(|| camera.clone());
        if !started.is_same_stream(&camera) {
            camera.numbers = started.numbers.clone();
            *started = camera;
        } else {
            started.onvif = camera.onvif;
        }
        Some(started.clone())
    }

    fn record(&self, row: &Row) -> Result<Record, Error> {
        let id = CameraId::parse(&row.id)?;
        let read = || {
            Some(Record {
                spec: self.unsealed(&id, &row.source)?,
                options: StreamOptions {
                    video: from_text(&row.video)?,
                    audio: from_text(&row.audio)?,
                    transport: from_text(&row.transport)?,
                },
                id: id.clone(),
                name: row.name.clone(),
                owner: row.owner.clone(),
                onvif: match &row.onvif {
                    Some(text) => Some(OnvifAddress::parse(text)?),
                    None => None,
                },
                created_at: row.created_at,
                updated_at: row.updated_at,
            })
        };
        read().ok_or_else(|| corrupt(&id))
    }

    fn row(&self, record: &Record) -> Result<Row, Error> {
        let options = record.options;
        Ok(Row {
            id: record.id.to_string(),
            name: record.name.clone(),
            owner: record.owner.clone(),
            onvif: record.onvif.as_ref().map(OnvifAddress::to_string),
            host: record.spec.host().to_owned(),
            video: to_text(options.video),
            audio: to_text(options.audio),
            transport: to_text(options.transport),
            source: self.sealed(record)?,
            created_at: record.created_at,
            updated_at: record.updated_at,
        })
    }
}

/// Takes the database for this process alone: another one would seal with another key, or not know
/// what was ended here.
fn lock(database: &Path) -> Result<File, StoreError> {
    let path = beside(database, ".lock");
    let locked = File::create(&path).and_then(|file| match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(io::ErrorKind::ResourceBusy.into()),
        Err(TryLockError::Error(error)) => Err(error),
    });
    locked.map_err(|error| match error.kind() {
        io::ErrorKind::ResourceBusy => StoreError::InUse(database.to_owned()),
        _ => StoreError::Unwritable { path, error },
    })
}

async fn fitting_sealer(
    database: &Database,
    source_key: Option<&str>,
) -> Result<Sealer, StoreError> {
    let path = database.path();
    let proof = database.proof().await?;
    let fits =
        |sealer: &Sealer| proof.as_ref().is_none_or(|proof| sealer.open(PROOF.0, proof).is_some());
    let (sealer, origin) = if let Some(text) = source_key {
        (SealKey::parse(text)?.sealer(), "SOURCE_KEY".to_owned())
    } else {
        finish_rotation(path, &fits)?;
        let file = key_file(path);
        let key = match SealKey::read(&file)? {
            Some(key) => key,
            None if proof.is_some() => {
                return Err(StoreError::NoKey { database: path.to_owned(), key: file });
            }
            None => {
                let key = SealKey::generate();
                key.write_new(&file)?;
                key
            }
        };
        (key.sealer(), file.display().to_string())
    };
    if !fits(&sealer) {
        return Err(StoreError::OtherKey { database: path.to_owned(), key: origin });
    }
    if proof.is_none() {
        let mut write = database.write().await?;
        write.set_proof(&sealer.seal(PROOF.0, PROOF.1)).await?;
        write.commit().await?;
    }
    Ok(sealer)
}

/// A rotation that was cut off has left its new key, which fits if the database was done already.
fn finish_rotation(database: &Path, fits: &dyn Fn(&Sealer) -> bool) -> Result<(), KeyError> {
    let next = next_key_file(database);
    let done = match SealKey::read(&next) {
        Ok(None) => return Ok(()),
        Ok(Some(key)) if fits(&key.sealer()) => std::fs::rename(&next, key_file(database)),
        // Cut off before it counted.
        Ok(Some(_)) | Err(KeyError::File(_)) => std::fs::remove_file(&next),
        Err(error) => return Err(error),
    };
    done.map_err(|error| KeyError::Io { path: next, error })
}

/// Seals the whole database anew, with `new_key`, or with a new one in the key's file. Returns how
/// many cameras there are. Must not run beside a manager on the same database.
pub async fn rotate_key(
    url: &str,
    source_key: Option<&str>,
    new_key: Option<&str>,
) -> Result<usize, StoreError> {
    let mut cameras = Cameras::open(url, source_key).await?;
    let new = new_key.map_or_else(|| Ok(SealKey::generate()), SealKey::parse)?;
    let is_in_file = source_key.is_none() && new_key.is_none();
    let next = next_key_file(cameras.database.path());
    if is_in_file {
        // There before the database changes: whatever happens in between, one of the two fits.
        new.write_new(&next)?;
    }
    let mut write = cameras.database.write().await?;
    let rows = write.all().await?;
    let records: Result<Vec<_>, _> = rows.iter().map(|row| cameras.record(row)).collect();
    let records = records.map_err(StoreError::Damaged)?;
    cameras.sealer = new.sealer();
    for record in &records {
        write.put(&cameras.row(record).map_err(StoreError::Damaged)?).await?;
    }
    write.set_proof(&cameras.sealer.seal(PROOF.0, PROOF.1)).await?;
    write.commit().await?;
    // Before the old key goes, and with nothing left that it sealed.
    cameras.database.settle().await?;
    if is_in_file {
        let file = key_file(cameras.database.path());
        std::fs::rename(&next, &file).map_err(|error| KeyError::Io { path: next, error })?;
    }
    Ok(records.len())
}

/// The key's file, beside the database.
fn key_file(database: &Path) -> PathBuf {
    beside(database, ".key")
}

fn beside(database: &Path, ending: &str) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// The secret that playback tokens are signed with, from a file beside the database, which is made
/// if it is not there.
pub fn playback_secret(database: &Path) -> Result<Vec<u8>, KeyError> {
    let file = beside(database, ".playback-key");
    if let Some(key) = SealKey::read(&file)? {
        return Ok(key.bytes().to_vec());
    }
    let key = SealKey::generate();
    key.write_new(&file)?;
    Ok(key.bytes().to_vec())
}

/// The file of the key that a rotation goes over to.
fn next_key_file(database: &Path) -> PathBuf {
    beside(database, ".key.next")
}

fn fails(error: sqlx::Error) -> Error {
    Error::new(ErrorKind::StorageUnavailable, "the camera database cannot be used").caused_by(error)
}

fn corrupt(id: &CameraId) -> Error {
    let detail = format!("camera {id} cannot be read: its entry in the database is damaged");
    Error::new(ErrorKind::StorageUnavailable, detail)
}

/// An option as the wire and the database have it.
fn to_text(option: impl Serialize) -> String {
    let value = serde_json::to_value(option).unwrap_or_default();
    value.as_str().unwrap_or_default().to_owned()
}

fn from_text<T: DeserializeOwned>(text: &str) -> Option<T> {
    serde_json::from_value(text.into()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::camera::options::AudioOption;
    use crate::camera::plan::{Audio, Plan};
    use crate::camera::source_spec::Parts;

    struct Setup {
        dir: tempfile::TempDir,
    }

    impl Setup {
        fn new() -> Self {
            Self { dir: tempfile::tempdir().expect("a directory") }
        }

        fn url(&self) -> String {
            format!("sqlite:{}", self.dir.path().join("cameras.db").display())
        }

        fn key_file(&self) -> PathBuf {
            self.dir.path().join("cameras.db.key")
        }

        async fn open(&self) -> Result<Cameras, StoreError> {
            Cameras::open(&self.url(), None).await
        }

        /// Everything that is on disk.
        fn bytes(&self) -> Vec<u8> {
            let files = std::fs::read_dir(self.dir.path()).expect("a directory");
            let read = |file: io::Result<std::fs::DirEntry>| {
                std::fs::read(file.expect("a file").path()).expect("bytes")
            };
            files.flat_map(read).collect()
        }
    }

    async fn put(cameras: &Cameras, link: Option<&str>, changes: OptionChanges) -> Option<Camera> {
        let id = StreamId::parse("1").expect("an id");
        let source = link.map(|link| Source::parse(link).expect("a link"));
        cameras.put(&id, None, source, changes, |_| Ok(())).await.expect("a working database")
    }

    #[tokio::test]
    async fn a_plan_is_remembered_as_long_as_source_and_options_stay() {
        let setup = Setup::new();
        let cameras = setup.open().await.expect("a registry");
        let (link, unchanged) = (Some("rtsp://cam/a"), OptionChanges::default());
        let plan = Plan { audio: Audio::ToAac, ..Plan::default() };
        assert!(put(&cameras, None, unchanged).await.is_none());
        put(&cameras, link, unchanged).await.expect("a camera").learned.set(plan);
        for link in [link, None] {
            assert_eq!(put(&cameras, link, unchanged).await.expect("one").learned.get(), plan);
        }
        let other = put(&cameras, Some("rtsp://cam/b"), unchanged).await.expect("a camera");
        assert_eq!(other.learned.get(), Plan::default());

        let silent = OptionChanges { audio: Some(AudioOption::Off), ..unchanged };
        let other = put(&cameras, None, silent).await.expect("a camera");
        assert_eq!(other.source.to_string(), "rtsp://cam/b");
        assert_eq!(other.learned.get().audio, Audio::Off);
        let again = put(&cameras, link, unchanged).await.expect("a camera");
        assert_eq!(again.options.audio, AudioOption::Off);
    }

    #[tokio::test]
    async fn an_onvif_service_goes_with_the_host_of_the_streams() {
        let setup = Setup::new();
        let cameras = setup.open().await.expect("a registry");
        let (id, unchanged) = (CameraId::parse("1").expect("an id"), OptionChanges::default());
        put(&cameras, Some("rtsp://cam/a"), unchanged).await.expect("a camera");
        let onvif = OnvifAddress::parse("cam").expect("an address");
        let add = |known: Option<Record>| {
            Ok(Record { onvif: Some(onvif.clone()), ..known.expect("the camera") })
        };
        cameras.change(&id, add).await.expect("a change");
        let table = [("rtsp://CAM/b", true), ("rtsp://cam:8554/c", true), ("rtsp://new/a", false)];
        for (link, is_kept) in table {
            put(&cameras, Some(link), unchanged).await.expect("a camera");
            let record = cameras.get(&id).await.expect("a query").expect("the camera");
            assert_eq!(record.onvif.as_ref(), is_kept.then_some(&onvif), "{link}");
        }
    }

    #[tokio::test]
    async fn cameras_outlive_the_manager_and_their_secrets_are_sealed() {
        let setup = Setup::new();
        let id = StreamId::parse("front").expect("an id");
        let link = "rtsp://admin:s3cretpw@cam/a";
        let source = Source::parse(link).expect("a link");
        let cameras = setup.open().await.expect("a registry");
        cameras
            .put(&id, None, Some(source.clone()), OptionChanges::default(), |_| Ok(()))
            .await
            .expect("a camera");
        drop(cameras);
        let cameras = setup.open().await.expect("the same registry");
        let camera = cameras.stream(&id).await.expect("a query").expect("the camera");
        assert_eq!(camera.source, source);
        let bytes = setup.bytes();
        for secret in ["s3cretpw", "admin"] {
            let is_there = bytes.windows(secret.len()).any(|part| part == secret.as_bytes());
            assert!(!is_there, "{secret} is on the disk");
        }
    }

    #[tokio::test]
    async fn a_key_that_does_not_fit_or_is_missing_is_told_and_changes_nothing() {
        let setup = Setup::new();
        drop(setup.open().await.expect("a registry"));
        let other = "11".repeat(32);
        let refused = Cameras::open(&setup.url(), Some(&other)).await.err().expect("another key");
        assert!(refused.to_string().contains("another key"), "{refused}");
        assert!(!refused.to_string().contains(&other));

        let key = std::fs::read(setup.key_file()).expect("a key");
        std::fs::remove_file(setup.key_file()).expect("rm");
        let refused = setup.open().await.err().expect("no key");
        assert!(refused.to_string().contains("its key is missing"), "{refused}");
        assert!(!setup.key_file().exists(), "a new key would lock the cameras away");

        std::fs::write(setup.key_file(), "no key").expect("a write");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(setup.key_file(), mode).expect("chmod");
        let refused = setup.open().await.err().expect("no key");
        assert!(refused.to_string().contains("holds no key"), "{refused}");
        std::fs::write(setup.key_file(), key).expect("a write");
        setup.open().await.expect("the registry as it was");
    }

    #[tokio::test]
    async fn a_new_key_opens_what_the_old_one_sealed() {
        let setup = Setup::new();
        let cameras = setup.open().await.expect("a registry");
        put(&cameras, Some("rtsp://u:pw@cam/a"), OptionChanges::default()).await.expect("a camera");
        drop(cameras);
        let before = std::fs::read(setup.key_file()).expect("a key");
        assert_eq!(rotate_key(&setup.url(), None, None).await.expect("a rotation"), 1);
        assert_ne!(std::fs::read(setup.key_file()).expect("a key"), before);
        let read = |cameras: Cameras| async move {
            let id = CameraId::parse("1").expect("an id");
            cameras.get(&id).await.expect("a query").expect("the camera").spec.host().to_owned()
        };
        assert_eq!(read(setup.open().await.expect("a registry")).await, "cam");

        // Cut off before the file was renamed: the next start finishes it.
        let key = std::fs::read(setup.key_file()).expect("a key");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        let next = next_key_file(&setup.dir.path().join("cameras.db"));
        std::fs::write(&next, key).expect("a write");
        std::fs::set_permissions(&next, std::fs::Permissions::clone(&mode)).expect("chmod");
        std::fs::write(setup.key_file(), before).expect("a write");
        assert_eq!(read(setup.open().await.expect("a registry")).await, "cam");
        assert!(!next.exists());

        let own = "22".repeat(32);
        rotate_key(&setup.url(), None, Some(&own)).await.expect("a rotation");
        let cameras = Cameras::open(&setup.url(), Some(&own)).await.expect("a registry");
        assert_eq!(read(cameras).await, "cam");
    }

    #[tokio::test]
    async fn ten_thousand_cameras_are_listed_and_searched_in_pages() {
        let setup = Setup::new();
        let cameras = setup.open().await.expect("a registry");
        let changes = (0..10_000).map(|number| {
            let id = CameraId::parse(&format!("cam-{number:05}")).expect("an id");
            let spec = SourceSpec::from_parts(Parts {
                vendor: None,
                ip: format!("10.0.{}.{}", number / 250, number % 250),
                port: 554,
                path: "/live".into(),
                sub_path: None,
                username: String::new(),
                password: String::new(),
            });
            let record = Record {
                name: format!("Gate {number} 100% _"),
                owner: Some(format!("user-{}", number % 10)),
                ..Record::new(id.clone(), spec.expect("a source"))
            };
            (id, move |_| Ok(record))
        });
        let done = cameras.change_all(changes.collect()).await.expect("ten thousand cameras");
        assert!(done.iter().all(|change| *change == Change::Created));
        let list = |search: Option<&str>, owner: Option<&str>, offset| {
            let filter = Filter {
                search: search.map(str::to_owned),
                owner: owner.map(str::to_owned),
                limit: 50,
                offset,
            };
            let cameras = &cameras;
            async move {
                let (records, total) = cameras.list(&filter).await.expect("a list");
                (records.first().map(|record| record.id.to_string()), records.len(), total)
            }
        };
        for (owner, expected) in [(None, 10_000), (Some("user-7"), 1_000), (Some("nobody"), 0)] {
            let by_host = cameras.by_host(owner).await.expect("an index");
            assert_eq!(by_host.len(), expected, "{owner:?}");
            // Not those of 10.0.4.10 to 19 and 100 to 199.
            let there =
                by_host.get("10.0.4.7").map(|ids| ids.iter().map(CameraId::as_str).collect());
            let expected = (expected > 0).then(|| vec!["cam-01007"]);
            assert_eq!(there, expected, "{owner:?}");
        }
        let first = |id: &str| Some(id.to_owned());
        assert_eq!(list(None, None, 0).await, (first("cam-00000"), 50, 10_000));
        assert_eq!(list(None, None, 9_980).await, (first("cam-09980"), 20, 10_000));
        assert_eq!(list(None, Some("user-3"), 0).await, (first("cam-00003"), 50, 1_000));
        assert_eq!(list(Some("GATE 77 "), None, 0).await, (first("cam-00077"), 1, 1));
        assert_eq!(list(Some("10.0.3.7 "), None, 0).await.2, 0, "the host ends there");
        assert_eq!(list(Some("10.0.39."), None, 0).await.2, 250);
        assert_eq!(list(Some("%"), None, 0).await.2, 10_000, "a sign, not a pattern");
        assert_eq!(list(Some("x%"), None, 0).await.2, 0);
        assert_eq!(list(Some("' OR 1=1 --"), None, 0).await.2, 0);
    }

    #[tokio::test]
    async fn a_database_that_cannot_be_used_is_told_and_left_alone() {
        let setup = Setup::new();
        drop(setup.open().await.expect("a registry"));
        let path = setup.dir.path().join("cameras.db");
        let database = Database::open(&setup.url()).await.expect("a database");
        database.pretend_newer().await;
        drop(database);
        let refused = setup.open().await.err().expect("a newer database");
        assert!(refused.to_string().contains("newer stream-manager"), "{refused}");

        std::fs::write(&path, "no database at all, but longer than a header has to be").expect("x");
        let refused = setup.open().await.err().expect("no database");
        assert!(refused.to_string().contains("cameras.db"), "{refused}");
        for url in ["mysql://x", "", "sqlite:"] {
            let refused = Cameras::open(url, None).await.err().expect("no database");
            assert!(refused.to_string().contains("DATABASE_URL"), "{url}: {refused}");
        }
    }
}

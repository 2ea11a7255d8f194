//! The task that makes and deletes copies. The queues are in the database, so they survive a crash: the task only decides
//! what is next, and pauses after failures.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tracing::{info, warn};

use super::place::{Place, object_name};
use super::shared::Offsite;
use super::upload::{Job, UploadError};
use crate::base::age_clock::AgeClock;
use crate::base::backoff::Exponential;
use crate::base::blocking::blocking;
use crate::base::error::{Error, ErrorKind};
use crate::events::bus::Bus;
use crate::events::{Event, EventKind, StorageEvent, StorageEventKind};
use crate::output::recorder::cutter::{Clocks, unix_ms};
use crate::output::recorder::shared::Recorder;
use crate::store::db::recording_writes::MAX_DELETED;
use crate::store::error::query_failed;

/// The most uploads at the same time. Each needs the memory for one part.
const MAX_UPLOADS: usize = 3;
/// The time between two looks at the queues. New files are noticed at once.
const PERIOD: Duration = Duration::from_secs(5);
/// The time between two checks of the marker in a bucket. It is also checked before copies are deleted. In a directory, which
/// can be unmounted, it is checked before each step.
const CHECK_INTERVAL: Duration = Duration::from_mins(1);
/// The time between two searches for copies that are too old.
const EXPIRY_INTERVAL: Duration = Duration::from_mins(1);
/// The pauses after failures of the place.
const RETRIES: Exponential =
    Exponential { first: Duration::from_secs(1), ceiling: Duration::from_secs(15) };
/// The number of failures in a row after which they are reported.
const REPORTED_AFTER: u32 = 3;
/// The pause after which a local file is tried again that could not be read.
const LOCAL_PAUSE: Duration = Duration::from_mins(1);

/// Makes and deletes copies until the returned future is dropped.
pub(crate) async fn run(offsite: Offsite, recorder: Recorder, events: Bus) {
    let mut queue = Queue::new(offsite, recorder, events);
    loop {
        let next = queue.step().await;
        tokio::select! {
            () = queue.recorder.copies().changed() => {}
            done = queue.uploads.join_next(), if !queue.uploads.is_empty() => {
                match done {
                    Some(Ok((file, result))) => queue.finish(file, result).await,
                    // After a panic, the file is not known, so it is tried again when no other upload is running.
                    Some(Err(_)) if queue.uploads.is_empty() => queue.held.retain(|_, it| it.is_some()),
                    Some(Err(_)) | None => {}
                }
            }
            () = sleep_until(next) => {}
        }
    }
}

/// The state of the task.
pub(super) struct Queue {
    offsite: Offsite,
    pub(super) recorder: Recorder,
    events: Bus,
    pub(super) uploads: JoinSet<(i64, Result<bool, UploadError>)>,
    /// The files that are not tried now: those that are being copied, with `None`, and those that have failed, with the time
    /// of the next attempt.
    held: HashMap<i64, Option<Instant>>,
    /// The number of failures of the place in a row.
    failures: u32,
    retry_at: Instant,
    /// The time of the last check of the marker; `None` after a failure.
    checked_at: Option<Instant>,
    expiry_at: Instant,
    clock: AgeClock,
}

impl Queue {
    pub(super) fn new(offsite: Offsite, recorder: Recorder, events: Bus) -> Self {
        let now = Instant::now();
        Self {
            offsite,
            recorder,
            events,
            uploads: JoinSet::new(),
            held: HashMap::new(),
            failures: 0,
            retry_at: now,
            checked_at: None,
            expiry_at: now,
            clock: AgeClock::default(),
        }
    }

    /// Does what can be done now. Returns the time of the next step.
    pub(super) async fn step(&mut self) -> Instant {
        let now = Instant::now();
        if let Ok(waiting) = self.recorder.database().offsite_waiting().await {
            self.offsite.set_waiting(waiting);
        }
        if now < self.retry_at {
            return self.retry_at;
        }
        match self.work().await {
            Ok(true) => Instant::now(),
            Ok(false) => now + PERIOD,
            Err(error) => {
                self.fail(&error);
                self.retry_at
            }
        }
    }

    /// Returns true if there is more to do now.
    async fn work(&mut self) -> Result<bool, Error> {
        let place = self.check().await?;
        let has_expired = self.expire().await?;
        // The place can refuse to delete, and accept copies.
        let deleted = self.delete(place).await;
        self.fill(place).await?;
        Ok(has_expired || deleted?)
    }

    /// Checks the marker, and ends uploads that were interrupted. Returns the id of the place.
    async fn check(&mut self) -> Result<i64, Error> {
        let interval = match self.offsite.place() {
            Place::Bucket(_) => CHECK_INTERVAL,
            Place::Share(_) => Duration::ZERO,
        };
        if let Some(id) = self.offsite.id()
            && self.checked_at.is_some_and(|at| at.elapsed() < interval)
        {
            return Ok(id);
        }
        let database = self.recorder.database().clone();
        let id = self.offsite.place().claim(&database, self.offsite.url()).await?;
        self.offsite.set_id(id);
        if self.checked_at.is_none() {
            for upload in database.offsite_uploads(id).await.map_err(query_failed)? {
                if self.held.get(&upload.file) == Some(&None) {
                    continue;
                }
                let name = object_name(&upload.name);
                let aborted = self.offsite.place().abort(&name, upload.multipart.as_deref()).await;
                if let Err(error) = aborted {
                    warn!(name, %error, "an upload that was interrupted cannot be ended yet");
                    continue;
                }
                let mut write = database.write().await.map_err(query_failed)?;
                write.end_upload(upload.file).await.map_err(query_failed)?;
                write.commit().await.map_err(query_failed)?;
                info!(name, "an upload that was interrupted was ended");
            }
        }
        self.checked_at = Some(Instant::now());
        // The place works. If only uploads fail, they report it.
        if self.failures > 0 && self.uploads.is_empty() && self.offsite.waiting().files == 0 {
            self.succeed();
        }
        Ok(id)
    }

    /// Queues the deletion of copies that are too old. Returns true if there may be more.
    async fn expire(&mut self) -> Result<bool, Error> {
        let Clocks { system, monotonic } = self.recorder.clocks();
        let is_trusted = self.clock.is_trusted("copies of recordings", system, monotonic.into());
        let is_due = is_trusted && Instant::now() >= self.expiry_at;
        let Some(keep) = self.offsite.keep().filter(|_| is_due) else {
            return Ok(false);
        };
        let database = self.recorder.database();
        let before = unix_ms(system.checked_sub(keep).unwrap_or(SystemTime::UNIX_EPOCH));
        let ids = database.expired_copies(before).await.map_err(query_failed)?;
        if ids.len() < MAX_DELETED {
            self.expiry_at = Instant::now() + EXPIRY_INTERVAL;
        }
        if ids.is_empty() {
            return Ok(false);
        }
        let mut write = database.write().await.map_err(query_failed)?;
        write.drop_copies(&ids).await.map_err(query_failed)?;
        write.commit().await.map_err(query_failed)?;
        Ok(true)
    }

    /// Deletes copies. Returns true if there may be more.
    async fn delete(&mut self, place: i64) -> Result<bool, Error> {
        let database = self.recorder.database();
        let queued = database.offsite_deletions(place).await.map_err(query_failed)?;
        if queued.is_empty() {
            return Ok(false);
        }
        // What is deleted cannot be restored, so the marker is read again.
        let now = self.offsite.place().claim(database, self.offsite.url()).await?;
        if now != place {
            self.offsite.set_id(now);
            return Ok(true);
        }
        let mut deleted = Vec::new();
        let mut failure = None;
        for (number, name) in queued {
            // The file may have been copied back, so that it is copied again under the same name.
            let is_queued = database.is_deletion_queued(number).await.map_err(query_failed)?;
            if !is_queued {
                continue;
            }
            if let Err(error) = self.offsite.place().delete(&object_name(&name)).await {
                failure = Some(error);
                break;
            }
            deleted.push(number);
        }
        let mut write = database.write().await.map_err(query_failed)?;
        write.finish_deletions(&deleted).await.map_err(query_failed)?;
        write.commit().await.map_err(query_failed)?;
        self.offsite.counters().deleted(deleted.len());
        failure.map_or(Ok(true), Err)
    }

    /// Begins uploads.
    async fn fill(&mut self, place: i64) -> Result<(), Error> {
        // After a failure, one upload shows whether the place works again.
        let most = if self.failures > 0 { 1 } else { MAX_UPLOADS };
        if self.uploads.len() >= most {
            return Ok(());
        }
        let now = Instant::now();
        self.held.retain(|_, held| held.is_none_or(|at| at > now));
        let limit = u32::try_from(self.held.len().saturating_add(most)).unwrap_or(u32::MAX);
        let present = self.recorder.directories().present();
        let dirs: Vec<_> = present.iter().map(|dir| dir.id).collect();
        let queued = self.recorder.database().files_to_copy(&dirs, limit).await;
        let queued = queued.map_err(query_failed)?;
        for (file, name) in queued {
            if self.uploads.len() >= most {
                break;
            }
            if self.held.contains_key(&file.id) {
                continue;
            }
            let name = object_name(&name);
            let Some(dir) = present.iter().find(|dir| dir.id == file.dir) else { continue };
            let job = Job {
                database: self.recorder.database().clone(),
                place: self.offsite.place().clone(),
                place_id: place,
                file: file.id,
                name,
                dir: dir.path.clone(),
            };
            self.held.insert(file.id, None);
            self.uploads.spawn(async move { (job.file, job.run().await) });
        }
        Ok(())
    }

    /// Takes the result of an upload.
    pub(super) async fn finish(&mut self, file: i64, result: Result<bool, UploadError>) {
        self.held.remove(&file);
        match result {
            Ok(is_known) => {
                if is_known {
                    self.offsite.counters().copied();
                }
                self.succeed();
            }
            Err(UploadError::Place(error)) => {
                self.held.insert(file, Some(Instant::now() + RETRIES.delay(self.failures)));
                self.fail(&error);
            }
            Err(UploadError::Local(error)) => {
                warn!(%error, "a recorded file cannot be copied, because it cannot be read");
                self.held.insert(file, Some(Instant::now() + LOCAL_PAUSE));
                if let Err(error) = self.give_up(file, error.kind()).await {
                    warn!(%error, "cannot change the queue of copies");
                }
            }
        }
    }

    /// Ends the upload of a local file that cannot be read. A file that is missing leaves the queue, unless its disk is
    /// away.
    async fn give_up(&self, file: i64, cause: std::io::ErrorKind) -> Result<(), Error> {
        let is_missing =
            cause == std::io::ErrorKind::NotFound && self.is_disk_present(file).await?;
        let mut write = self.recorder.database().write().await.map_err(query_failed)?;
        write.end_upload(file).await.map_err(query_failed)?;
        if is_missing {
            write.leave_queue(file).await.map_err(query_failed)?;
        }
        write.commit().await.map_err(query_failed)
    }

    /// Returns whether the disk of a file is there.
    async fn is_disk_present(&self, file: i64) -> Result<bool, Error> {
        let file = self.recorder.database().recorded_file(file).await.map_err(query_failed)?;
        let dirs = self.recorder.directories().present();
        let dir = file.and_then(|file| dirs.into_iter().find(|dir| dir.id == file.dir));
        let Some(dir) = dir else { return Ok(false) };
        Ok(blocking(move || dir.ensure_present()).await.is_ok())
    }

    fn succeed(&mut self) {
        self.failures = 0;
        if self.offsite.set_problem(None) {
            info!(place = self.offsite.url(), "recordings are copied again");
            self.publish(StorageEventKind::Recovered, None);
        }
    }

    fn fail(&mut self, error: &Error) {
        self.offsite.counters().failed();
        // Uploads at the same time fail for the same reason.
        if self.failures > 0 && Instant::now() < self.retry_at {
            return;
        }
        self.checked_at = None;
        self.retry_at = Instant::now() + RETRIES.delay(self.failures);
        self.failures = self.failures.saturating_add(1);
        if self.failures < REPORTED_AFTER {
            return;
        }
        let detail =
            format!("recordings cannot be copied to {}: {}", self.offsite.url(), error.detail);
        let error = Error::new(ErrorKind::StorageUnavailable, detail);
        let was_failing = self.offsite.problem().is_some();
        self.offsite.set_problem(Some(error.clone()));
        if !was_failing {
            warn!(%error, "recordings are not copied; retrying");
            self.publish(StorageEventKind::Failed, Some(error));
        }
    }

    fn publish(&self, kind: StorageEventKind, error: Option<Error>) {
        let directory = self.offsite.url().to_owned();
        let kind = EventKind::Storage(StorageEvent { kind, directory, error });
        self.events.publish(Event { at: SystemTime::now(), subject: None, kind });
    }
}

#[cfg(test)]
mod tests;

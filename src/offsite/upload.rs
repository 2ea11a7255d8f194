//! Making one copy.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use tracing::debug;

use super::bucket::{Bucket, PART};
use super::place::{Place, failed};
use super::share::Share;
use crate::base::blocking::blocking;
use crate::base::dirs;
use crate::base::error::{Error, ErrorKind};
use crate::store::db::Database;
use crate::store::error::query_failed;

/// A file that is copied.
#[derive(Debug, Clone)]
pub(super) struct Job {
    pub(super) database: Database,
    pub(super) place: Place,
    /// The id of the place in the database.
    pub(super) place_id: i64,
    /// The id of the file in the database.
    pub(super) file: i64,
    /// The name of the copy.
    pub(super) name: String,
    /// The directory with the local file, whose path below it is `name`.
    pub(super) dir: PathBuf,
}

/// The reason why a copy was not made.
#[derive(Debug)]
pub(super) enum UploadError {
    /// The place, or the database, cannot be used.
    Place(Error),
    /// The local file cannot be read.
    Local(io::Error),
}

impl From<Error> for UploadError {
    fn from(error: Error) -> Self {
        Self::Place(error)
    }
}

impl Job {
    /// Copies the file. Returns false if the file was deleted in the meantime.
    pub(super) async fn run(&self) -> Result<bool, UploadError> {
        if !self.begin(None).await? {
            return Ok(false);
        }
        let (file, size) =
            open(self.dir.clone(), self.name.clone()).await.map_err(UploadError::Local)?;
        match &self.place {
            Place::Bucket(bucket) if size <= PART => {
                let bytes = read(&file, 0, size).await.map_err(UploadError::Local)?;
                bucket.put(&self.name, bytes).await.map_err(failed)?;
            }
            Place::Bucket(bucket) => self.upload(bucket, &file, size).await?,
            Place::Share(share) => self.copy(share, &file, size).await?,
        }
        let stored = self.place.size(&self.name).await?;
        if stored != Some(size) {
            let size = stored.map_or_else(|| "missing".to_owned(), |size| format!("{size} bytes"));
            let detail = format!("a copy is {size} after its upload");
            return Err(Error::new(ErrorKind::StorageUnavailable, detail).into());
        }
        let mut write = self.database.write().await.map_err(query_failed)?;
        let is_known =
            write.finish_upload(self.file, self.place_id, size).await.map_err(query_failed)?;
        write.commit().await.map_err(query_failed)?;
        Ok(is_known)
    }

    /// Lists the upload in the database, so that it is known after a crash.
    async fn begin(&self, upload: Option<&str>) -> Result<bool, Error> {
        let mut write = self.database.write().await.map_err(query_failed)?;
        let begun = write.begin_upload(self.file, self.place_id, upload).await;
        let begun = begun.map_err(query_failed)?;
        write.commit().await.map_err(query_failed)?;
        Ok(begun)
    }

    async fn upload(
        &self,
        bucket: &Bucket,
        file: &Arc<File>,
        size: u64,
    ) -> Result<(), UploadError> {
        let mut upload = bucket.begin(&self.name).await.map_err(failed)?;
        let id = upload.id.clone();
        let all = async {
            self.begin(Some(&id)).await?;
            let mut offset = 0;
            while offset < size {
                let part = PART.min(size - offset);
                let bytes = read(file, offset, part).await.map_err(UploadError::Local)?;
                bucket.add(&self.name, &mut upload, bytes).await.map_err(failed)?;
                offset += part;
            }
            bucket.complete(&self.name, upload).await.map_err(|error| failed(error).into())
        };
        let done: Result<(), UploadError> = all.await;
        if done.is_err() {
            match bucket.abort(&self.name, &id).await {
                Ok(()) => drop(self.begin(None).await),
                // The queue ends the upload later, because the database lists it.
                Err(error) => debug!(%error, "cannot end an upload that has failed"),
            }
        }
        done
    }

    async fn copy(&self, share: &Share, file: &Arc<File>, size: u64) -> Result<(), UploadError> {
        let mut copy = share.begin(&self.name).await.map_err(failed)?;
        let mut offset = 0;
        while offset < size {
            let part = PART.min(size - offset);
            let bytes = read(file, offset, part).await.map_err(UploadError::Local)?;
            share.add(&mut copy, bytes).await.map_err(failed)?;
            offset += part;
        }
        share.complete(copy).await.map_err(|error| failed(error).into())
    }
}

async fn open(dir: PathBuf, name: String) -> io::Result<(Arc<File>, u64)> {
    blocking(move || {
        let file = dirs::open(&dir, name.as_ref())?;
        let size = file.metadata()?.len();
        Ok((Arc::new(file), size))
    })
    .await
}

async fn read(file: &Arc<File>, offset: u64, size: u64) -> io::Result<Bytes> {
    let file = Arc::clone(file);
    blocking(move || {
        let mut bytes = vec![0; usize::try_from(size).map_err(io::Error::other)?];
        file.read_exact_at(&mut bytes, offset)?;
        Ok(bytes.into())
    })
    .await
}

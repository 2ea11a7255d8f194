//! The errors of opening and querying the database of cameras.

use std::io;
use std::path::PathBuf;

use super::db::OpenError;
use super::seal::SealKeyError;
use crate::base::error::{Error, ErrorKind};
use crate::camera::id::CameraId;

/// The reason why the database of cameras cannot be used. The text and its causes form one line for the
/// operator.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// The database cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A file next to the database cannot be written.
    #[error("cannot write {}; the directory of the database must be writable", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The key cannot be used.
    #[error(transparent)]
    Key(#[from] SealKeyError),
    /// Another process uses the database: a manager, or a rotation of the key.
    #[error("{} is in use by another stream-manager; stop that process first", .0.display())]
    InUse(PathBuf),
    /// The sources in the database were sealed with another key.
    #[error(
        "the sources of the cameras in {} are encrypted with another key than {key}; restore the key \
         that belongs to the database",
        database.display()
    )]
    OtherKey {
        /// The database's file.
        database: PathBuf,
        /// The setting or file with the wrong key.
        key: String,
    },
    /// The database contains sealed sources, and the key is missing.
    #[error(
        "the sources of the cameras in {} are encrypted, and the key is missing: restore {} or set \
         SOURCE_KEY",
        database.display(),
        key.display()
    )]
    NoKey {
        /// The database's file.
        database: PathBuf,
        /// The file in which the key should be.
        key: PathBuf,
    },
    /// The entry of a camera is damaged.
    #[error(transparent)]
    Damaged(Error),
    /// A query failed.
    #[error("the camera database cannot be used")]
    Query(#[from] sqlx::Error),
}

impl StoreError {
    /// Returns true if the database or a file next to it cannot be read or written, or if another process uses the
    /// database. A later attempt may succeed without a change of the settings.
    pub(crate) fn is_unusable(&self) -> bool {
        match self {
            Self::Open(error) => matches!(error, OpenError::Database { .. }),
            Self::Key(error) => error.is_unusable(),
            Self::Unwritable { .. } | Self::InUse(_) | Self::Query(_) => true,
            Self::OtherKey { .. } | Self::NoKey { .. } | Self::Damaged(_) => false,
        }
    }
}

/// Returns the error of a request whose query failed.
pub(crate) fn query_failed(cause: sqlx::Error) -> Error {
    Error::new(ErrorKind::StorageUnavailable, "the camera database cannot be used").caused_by(cause)
}

/// Returns the error of a request for a camera whose entry in the database is damaged.
pub(super) fn damaged(id: &CameraId) -> Error {
    let detail = format!("camera {id} cannot be read: its entry in the database is damaged");
    Error::new(ErrorKind::StorageUnavailable, detail)
}
